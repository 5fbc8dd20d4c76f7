//! The ceiling: what one infinite cache shared by all workers would reuse. Full blocks, the same
//! last-token rule as a worker, prompt and output inserted at arrival.

use crate::prompt::{BlockRun, RunMap};

/// What a request finds.
pub struct Found {
    /// Tokens of its prompt.
    pub tokens: u32,
    /// No request before it has named a block that its output will fill.
    pub new_output: bool,
}

/// Every run seen so far, and how many of its leading blocks.
#[derive(Default)]
pub struct Ceiling {
    seen: RunMap<u32>,
}

impl Ceiling {
    /// For runs named by one [`crate::prompt::Paths`].
    pub fn numbered() -> Ceiling {
        Ceiling { seen: RunMap::numbered() }
    }

    /// See `crate::ahead`: a request for `runs` arrives.
    pub fn fetch(&self, runs: &[BlockRun]) {
        runs.iter().for_each(|run| self.seen.fetch(run.content));
    }

    /// A request arrives. `runs` cover prompt and output, the first `prompt_runs` of them the prompt.
    pub fn arrive(
        &mut self,
        runs: &[BlockRun],
        prompt_runs: usize,
        prompt_tokens: u32,
        block_tokens: u32,
    ) -> Found {
        let most = (prompt_tokens - 1) / block_tokens;
        let mut found = 0;
        let mut goes_on = true;
        let mut new_output = true;
        for (place, run) in runs.iter().enumerate() {
            let seen = self.seen.get_or_insert_with(run.content, || 0);
            if goes_on {
                found += run.end().min(*seen).saturating_sub(run.first);
                goes_on = *seen >= run.end() && found < most;
            }
            new_output &= place < prompt_runs || *seen <= run.first;
            *seen = run.end().max(*seen);
        }
        Found { tokens: found.min(most) * block_tokens, new_output }
    }

    /// Keeps blocks for ever.
    pub fn insert(&mut self, runs: &[BlockRun]) {
        for run in runs {
            let seen = self.seen.get_or_insert_with(run.content, || 0);
            *seen = run.end().max(*seen);
        }
    }
}
