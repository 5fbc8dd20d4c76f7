//! What a live view shows while a run goes on: written by the run, read by whoever watches.

use super::record::{LiveRecord, Outcome};
use hdrhistogram::Histogram;
use std::sync::{Mutex, PoisonError};

/// The state of a run at a moment.
#[derive(Clone, Debug)]
pub struct Now {
    /// Requests sent.
    pub sent: u64,
    /// Completed.
    pub completed: u64,
    /// Failed.
    pub failed: u64,
    /// Prompt tokens of completed requests, and of those the cached ones, as far as `usage` says.
    pub prompt_tokens: u64,
    /// See `prompt_tokens`; `None` while no response has said.
    pub hit_tokens: Option<u64>,
    /// Per endpoint: requests in flight, and completed.
    pub endpoints: Vec<(u64, u64)>,
    /// TTFT since the last look, nanoseconds.
    pub ttft: Histogram<u64>,
    /// The run is waiting for its last requests.
    pub draining: bool,
}

impl Now {
    /// A request has ended.
    pub(super) fn ended(&mut self, record: &LiveRecord) {
        let endpoint = &mut self.endpoints[record.endpoint as usize];
        endpoint.0 -= 1;
        match record.outcome {
            Outcome::Completed => {
                endpoint.1 += 1;
                self.completed += 1;
                self.prompt_tokens += u64::from(record.prompt_tokens());
                if let Some(hit) = record.usage.and_then(|usage| usage.cached_tokens) {
                    *self.hit_tokens.get_or_insert(0) += u64::from(hit);
                }
                if let Some(ttft) = record.ttft() {
                    // The histogram grows by itself.
                    self.ttft.record(ttft.0).expect("the histogram resizes itself");
                }
            }
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Cancelled => {}
        }
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u64 {
        self.endpoints.iter().map(|(flying, _)| flying).sum()
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Progress(Mutex<Now>);

impl Progress {
    /// Nothing has been sent to any of `endpoints`.
    pub fn new(endpoints: usize) -> Progress {
        Progress(Mutex::new(Now {
            sent: 0,
            completed: 0,
            failed: 0,
            prompt_tokens: 0,
            hit_tokens: None,
            endpoints: vec![(0, 0); endpoints],
            ttft: Histogram::new(3).expect("three significant digits are allowed"),
            draining: false,
        }))
    }

    /// Changes the state.
    pub fn update(&self, change: impl FnOnce(&mut Now)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The state; TTFT starts afresh.
    pub fn look(&self) -> Now {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let look = now.clone();
        now.ttft.reset();
        look
    }
}
