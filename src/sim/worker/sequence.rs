//! A request on a worker.

use crate::cache::Lease;
use crate::prompt::BlockRun;
use crate::request::RequestRecord;
use crate::units::Nanos;
use std::sync::Arc;

/// A request on a worker: what steps need of it is together, all else elsewhere. A large cluster's
/// requests do not fit into the processor's caches.
pub struct Sequence {
    pub(in crate::sim) lease: Lease,
    /// Tokens whose KV is in the cache.
    pub(super) computed: u32,
    /// Output tokens made.
    pub(super) generated: u32,
    /// Tokens computed in the current step.
    pub(super) scheduled: u32,
    /// Length of its prompt.
    pub(super) prompt_tokens: u32,
    /// Length of its output.
    pub(super) output_tokens: u32,
    /// When the latest output token was made.
    pub(super) last_token: Nanos,
    /// Nobody else names the blocks that its output fills.
    pub(super) private: bool,
    /// How many of `runs` make up the prompt.
    pub(super) prompt_runs: u32,
    /// Full blocks of prompt and output.
    pub(super) runs: Arc<[BlockRun]>,
    /// What is measured about it; travels with it.
    pub record: Box<RequestRecord>,
}

impl Sequence {
    /// A request that has just been routed; `runs` cover prompt and output.
    pub fn new(
        record: RequestRecord,
        runs: Arc<[BlockRun]>,
        prompt_runs: usize,
        private: bool,
    ) -> Sequence {
        Sequence {
            lease: Lease::default(),
            computed: 0,
            generated: 0,
            scheduled: 0,
            prompt_tokens: record.prompt_tokens,
            output_tokens: record.output_tokens,
            last_token: Nanos::ZERO,
            private,
            prompt_runs: prompt_runs as u32,
            runs,
            record: Box::new(record),
        }
    }

    /// Whether nobody else names the blocks that its output fills.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The runs of its prompt.
    pub fn prompt(&self) -> &[BlockRun] {
        &self.runs[..self.prompt_runs as usize]
    }

    /// The runs that its output fills.
    pub fn output(&self) -> &[BlockRun] {
        &self.runs[self.prompt_runs as usize..]
    }

    /// Tokens known so far: prompt and output made.
    pub(super) fn known(&self) -> u32 {
        self.prompt_tokens + self.generated
    }

    /// It has output, and lacks one token only.
    pub(super) fn decodes(&self) -> bool {
        self.generated > 0 && self.computed + 1 == self.known()
    }
}
