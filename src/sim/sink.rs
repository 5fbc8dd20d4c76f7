//! Who watches a run: rows as they come, progress, and the wish to stop.

use crate::error::Result;
use crate::prompt::CacheEvent;
use crate::request::RequestRecord;
use crate::router::Decision;
use crate::units::Nanos;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Between a run and whoever watches it: progress one way, a request to stop the other.
#[derive(Debug, Default)]
pub struct Control {
    /// Requests that have ended.
    pub done: AtomicU64,
    /// Set to end the run now, with what it has.
    pub stop: AtomicBool,
}

/// A decision as the simulation saw it.
pub struct DecisionView<'a> {
    /// Which request.
    pub request: &'a RequestRecord,
    /// Full blocks of its prompt.
    pub prompt_blocks: u32,
    /// What the router decided, and why.
    pub decision: &'a Decision,
    /// Leading prompt blocks each worker truly held.
    pub truth: &'a [u32],
}

/// Takes a run's rows as they come.
pub trait Sink {
    /// Whether [`Sink::decision`] wants explanations; they cost time.
    fn wants_decisions(&self) -> bool {
        false
    }

    /// A decision was taken.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn decision(&mut self, _decision: &DecisionView) -> Result<()> {
        Ok(())
    }

    /// A request ended.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn request(&mut self, _record: &RequestRecord) -> Result<()> {
        Ok(())
    }

    /// Whether [`Sink::cache_events`] wants to be called; keeping the events costs time.
    fn wants_cache_events(&self) -> bool {
        false
    }

    /// What changed in a worker's cache (worker from 0) in the step that ended at `at`, in order;
    /// told before any event is lost or delayed on its way to the routers.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn cache_events(&mut self, _worker: u32, _at: Nanos, _events: &[CacheEvent]) -> Result<()> {
        Ok(())
    }

    /// The run has ended; nothing follows.
    ///
    /// # Errors
    /// Where what was buffered cannot be written.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A sink that keeps nothing.
pub struct NoSink;

impl Sink for NoSink {}
