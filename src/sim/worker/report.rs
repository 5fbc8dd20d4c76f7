//! What a step did, for recorder and routers.

use super::Sequence;
use crate::request::RequestId;
use crate::units::Nanos;

/// A request that was admitted for the first time.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// When it arrived.
    pub arrival: Nanos,
    /// Length of its prompt.
    pub prompt_tokens: u32,
    /// Prompt tokens reused.
    pub hit_tokens: u32,
}

/// What a step did; reused from step to step.
#[derive(Default)]
pub struct StepReport {
    /// First admissions, in order (filled when the step begins, as is the next).
    pub admitted: Vec<Admission>,
    /// Requests preempted.
    pub preempted: u32,
    /// Requests that got their first token, in order of admission (filled when the step ends, as is all
    /// below).
    pub first_tokens: Vec<RequestId>,
    /// Gaps between consecutive tokens of a request: (gap, how many).
    pub gaps: Vec<(Nanos, u64)>,
    /// Requests that got their last token; they hold no blocks any more.
    pub finished: Vec<Sequence>,
}

impl StepReport {
    pub(super) fn clear(&mut self) {
        self.admitted.clear();
        self.preempted = 0;
        self.first_tokens.clear();
        self.gaps.clear();
        self.finished.clear();
    }

    pub(super) fn gap(&mut self, gap: Nanos) {
        match self.gaps.last_mut() {
            Some((same, count)) if *same == gap => *count += 1,
            _ => self.gaps.push((gap, 1)),
        }
    }
}
