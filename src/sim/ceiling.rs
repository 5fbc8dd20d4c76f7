//! The ceiling: what one infinite cache shared by all workers would reuse. Full blocks, the same
//! last-token rule as a worker; in a simulation, prompt and output are inserted at arrival.

use crate::prompt::BlockRun;
use rustc_hash::FxHashMap;

/// Every run seen so far, and how many of its leading blocks.
#[derive(Default)]
pub struct Ceiling {
    seen: FxHashMap<u64, u32>,
}

impl Ceiling {
    /// A request arrives; prompt tokens it finds. `runs` cover prompt and output.
    pub fn arrive(&mut self, runs: &[BlockRun], prompt_tokens: u32, block_tokens: u32) -> u32 {
        let found = self.look_up(runs, prompt_tokens, block_tokens);
        self.insert(runs);
        found
    }

    /// Prompt tokens that a request finds, if its prompt of `prompt_tokens`, at least 1, begins `runs`.
    pub fn look_up(&self, runs: &[BlockRun], prompt_tokens: u32, block_tokens: u32) -> u32 {
        let most = (prompt_tokens - 1) / block_tokens;
        let mut found = 0;
        for run in runs {
            let here = self.seen.get(&run.content).copied().unwrap_or(0).min(run.count);
            found += here;
            if here < run.count || found >= most {
                break;
            }
        }
        found.min(most) * block_tokens
    }

    /// Keeps blocks for ever.
    pub fn insert(&mut self, runs: &[BlockRun]) {
        for run in runs {
            let seen = self.seen.entry(run.content).or_insert(0);
            *seen = run.count.max(*seen);
        }
    }
}
