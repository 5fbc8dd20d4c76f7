//! What the servers say of themselves: Prometheus metrics before, during and after a run.

use serde::Serialize;

/// Metrics of all servers together, over the run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ServerMetrics {
    /// Prompt tokens looked up in prefix caches.
    pub query_tokens: Option<f64>,
    /// Of these, found.
    pub hit_tokens: Option<f64>,
    /// Preemptions.
    pub preemptions: Option<f64>,
    /// One per metrics URL.
    pub sources: Vec<ServerSource>,
}

/// One metrics URL.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ServerSource {
    /// Where.
    pub url: String,
    /// `vllm`, `sglang`, `dynamo` or what was recognised; empty where nothing was.
    pub kind: String,
    /// Prompt tokens looked up over the run.
    pub query_tokens: Option<f64>,
    /// Of these, found.
    pub hit_tokens: Option<f64>,
    /// Times it was asked.
    pub scrapes: u64,
    /// Times it did not answer.
    pub failed_scrapes: u64,
    /// Gauges over time.
    #[serde(skip)]
    pub series: Vec<GaugeSample>,
}

/// Gauges at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GaugeSample {
    /// Seconds since the start of the run.
    pub at_s: f64,
    /// Requests running.
    pub running: Option<f64>,
    /// Requests waiting.
    pub waiting: Option<f64>,
    /// Share of KV blocks in use, 0 to 1.
    pub kv_usage: Option<f64>,
    /// Prompt tokens looked up so far.
    pub query_tokens: Option<f64>,
    /// Of these, found.
    pub hit_tokens: Option<f64>,
}
