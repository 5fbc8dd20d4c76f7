//! What a live run needs to know besides its scenario.

use super::body::BodySpec;
use super::client::{Reuse, Target};
use std::path::PathBuf;
use std::time::Duration;

/// See the module's documentation. No part of it changes what is asked, only where and how.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Endpoints; requests are dealt to them in turn.
    pub targets: Vec<Target>,
    /// Where servers show their metrics.
    pub metrics: Vec<Target>,
    /// Time between two looks at them.
    pub scrape_every: Duration,
    /// What the JSON bodies hold.
    pub body: BodySpec,
    /// Sent as `Authorization: Bearer`.
    pub api_key: Option<String>,
    /// `Name: value`, for every request.
    pub headers: Vec<(String, String)>,
    /// Header that carries the session's number.
    pub session_header: Option<String>,
    /// Which connection a request takes.
    pub reuse: Reuse,
    /// More trusted certificates, PEM.
    pub cacert: Option<PathBuf>,
    /// Trust any certificate.
    pub insecure: bool,
    /// A request fails when nothing arrives for so long.
    pub request_timeout: Duration,
    /// Requests still in flight so long after the last send of a run that was ended are given up.
    pub grace: Duration,
    /// How often a request is sent again after 429 or 503 with Retry-After.
    pub retries: u32,
    /// Keep every gap of every request: exports want them.
    pub keep_gaps: bool,
    /// Threads that drive requests.
    pub threads: usize,
    /// The servers' caches have just been emptied, whatever they published before.
    pub caches_emptied: bool,
    /// `tokenizer.json`; `None` = the embedded one.
    pub tokenizer: Option<PathBuf>,
}
