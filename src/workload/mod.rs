//! Workloads: generated sessions and replayed traces, as a lazy source of requests.
//!
//! Generators and trace readers produce [`Session`]s in order of start ([`SessionStream`]); the
//! [`driver`] turns them into arrivals, open or closed loop, so that memory follows the requests in
//! flight and not the length of the workload.

use crate::error::Result;
use crate::prompt::Segment;
use crate::request::{Request, RequestId};
use crate::units::Nanos;
use smallvec::SmallVec;

pub mod arrival;
pub mod driver;
pub mod generate;
pub mod late;
pub mod law;
pub mod trace;

pub use driver::build;

/// Requests in order of arrival; later arrivals may depend on completions.
pub trait Source: Send {
    /// When the next request arrives, as far as is known now: `None` when all have been taken or
    /// the next one waits for a completion. May become earlier after [`Source::on_complete`].
    ///
    /// # Errors
    /// Where the underlying trace cannot be read.
    fn next_arrival(&mut self) -> Result<Option<Nanos>>;

    /// Takes the request that [`Source::next_arrival`] announced.
    ///
    /// # Errors
    /// Where the underlying trace cannot be read.
    fn take(&mut self) -> Result<Request>;

    /// A request completed or was rejected at `now`. Whether its session has no request left to take
    /// or to complete, as far as that is known.
    fn on_complete(&mut self, id: RequestId, now: Nanos) -> bool;

    /// See `crate::ahead`: a request completes soon; first this, then [`Source::fetch`].
    fn fetch_place(&self, _id: RequestId) {}

    /// See `crate::ahead`.
    fn fetch(&self, _id: RequestId) {}
}

/// A session: turns that may wait for each other. Single requests are sessions of one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Number within the workload, from 0.
    pub id: u64,
    /// The trace's own start time, from the first arrival of the trace; `None` for generators.
    pub start: Option<Nanos>,
    /// Turns; a request's id is the number of requests in earlier sessions plus its place here.
    pub turns: Vec<Turn>,
}

/// One request of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// When it is sent.
    pub when: When,
    /// Content of the prompt, at least one token.
    pub prompt: Vec<Segment>,
    /// Content of the output, at least one token; mostly one segment.
    pub output: SmallVec<[Segment; 1]>,
}

/// When a turn is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// This long after the session's start.
    Offset(Nanos),
    /// This long after the last of these turns (places in the session, all earlier) has completed;
    /// mostly it is one.
    After(SmallVec<[u32; 4]>, Nanos),
}

/// Sessions in order of number; of start, too, where they have one.
pub trait SessionStream: Send {
    /// The next session, or `None` at the end.
    ///
    /// # Errors
    /// Where a trace cannot be read or a line is malformed: file, line, key and cure.
    fn next_session(&mut self) -> Result<Option<Session>>;
}
