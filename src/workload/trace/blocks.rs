//! The identity of every block of a prompt, the partial one at its end included.
//!
//! Caches hold full blocks only. Inspection counts as published work on the traces does: the tail is
//! a block like any other, and is the same again only where the whole prompt up to it is.

use crate::prompt::{BlockRun, Segment, block_runs, mix, total_tokens};

/// First word of the key of a tail.
const TAIL: u64 = u64::from_le_bytes(*b"tail\0\0\0\0");

/// Spreads the blocks of a run, whose key is a hash already, over the space of keys.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The runs of a prompt's blocks, its tail a run of its own; equal names (key, index) mean equal
/// prefixes up to the end of the block.
pub fn runs_with_tail(prompt: &[Segment], block_tokens: u32) -> Vec<BlockRun> {
    let mut runs = block_runs(prompt, block_tokens);
    let blocks: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
    let covered = blocks * u64::from(block_tokens);
    if covered < total_tokens(prompt) {
        let last = |run: &BlockRun| u64::from(run.end() - 1).wrapping_mul(STRIDE);
        let parent = runs.last().map_or(0, |run| run.content.wrapping_add(last(run)));
        runs.push(BlockRun { content: tail_key(prompt, covered, parent), first: 0, count: 1 });
    }
    runs
}

/// One key per block; equal keys mean equal prefixes up to the end of the block.
pub fn block_keys(prompt: &[Segment], block_tokens: u32, keys: &mut Vec<u64>) {
    keys.clear();
    for run in runs_with_tail(prompt, block_tokens) {
        let key = |index| run.content.wrapping_add(u64::from(index).wrapping_mul(STRIDE));
        keys.extend((run.first..run.end()).map(key));
    }
}

/// Hashes what comes before the tail and every piece of it.
fn tail_key(prompt: &[Segment], covered: u64, parent: u64) -> u64 {
    let mut words = vec![TAIL, parent];
    let mut begin = 0;
    for segment in prompt {
        let end = begin + u64::from(segment.tokens);
        if end > covered {
            let offset = covered.saturating_sub(begin);
            words.extend([segment.content, offset, end - begin]);
        }
        begin = end;
    }
    mix(&words)
}
