//! Prompts with shared prefixes, as kvroute's runs of blocks and as Dynamo's hashes of tokens.

use dynamo_kv_router::protocols::{
    BlockHashOptions, LocalBlockHash, compute_block_hash_for_seq, compute_seq_hash_for_block,
};
use kvroute::prompt::{BlockRun, Segment, block_runs, mix, total_tokens};
use kvroute::rng::Rng;
use rand::RngExt;
use std::sync::Arc;

/// A prompt in both forms.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Its length.
    pub tokens: u32,
    /// Its full blocks as kvroute has them.
    pub runs: Arc<[BlockRun]>,
    /// The same block by block: (content, index in the run).
    pub blocks: Vec<(u64, u32)>,
    /// Hash of the tokens of each full block.
    pub local: Vec<LocalBlockHash>,
    /// Chained hash of each full block.
    pub chained: Vec<u64>,
}

/// The token at `offset` of content `content`.
fn token(content: u64, offset: u32) -> u32 {
    mix(&[content, u64::from(offset)]) as u32
}

impl Prompt {
    /// The full blocks of `segments`.
    pub fn new(segments: &[Segment], block: u32) -> Prompt {
        let runs: Arc<[BlockRun]> = block_runs(segments, block).into();
        let blocks = runs
            .iter()
            .flat_map(|run| (run.first..run.end()).map(|index| (run.content, index)))
            .collect();
        let text: Vec<u32> = segments
            .iter()
            .flat_map(|part| (0..part.tokens).map(|offset| token(part.content, offset)))
            .collect();
        let local = compute_block_hash_for_seq(&text, block, BlockHashOptions::default());
        let chained = compute_seq_hash_for_block(&local);
        Prompt { tokens: total_tokens(segments) as u32, runs, blocks, local, chained }
    }

    /// `count` prompts that share prefixes of all lengths: each continues a part of an earlier one,
    /// with contents that are often the same.
    pub fn family(count: usize, block: u32, rng: &mut Rng) -> Vec<Prompt> {
        let mut all: Vec<Vec<Segment>> = Vec::new();
        for _ in 0..count {
            let mut segments = match all.len() {
                0 => Vec::new(),
                n => all[rng.random_range(0..n)].clone(),
            };
            segments.truncate(rng.random_range(0..=segments.len()));
            if let Some(last) = segments.last_mut().filter(|_| rng.random_bool(0.3)) {
                last.tokens = rng.random_range(1..=last.tokens);
            }
            for _ in 0..rng.random_range(1..4) {
                let tokens = match rng.random_range(0..3) {
                    0 => block * rng.random_range(1..8),
                    _ => rng.random_range(1..6 * block + 2),
                };
                segments.push(Segment { content: rng.random_range(0..3), tokens });
            }
            all.push(segments);
        }
        all.iter().map(|segments| Prompt::new(segments, block)).collect()
    }

    /// Runs of the blocks `from .. to`, in ascending order.
    pub fn runs_of(&self, from: usize, to: usize) -> Vec<BlockRun> {
        runs_of(&self.blocks[from..to])
    }
}

/// Runs of consecutive `blocks`, given in ascending order.
pub fn runs_of(blocks: &[(u64, u32)]) -> Vec<BlockRun> {
    blocks
        .chunk_by(|a, b| a.0 == b.0 && a.1 + 1 == b.1)
        .map(|run| BlockRun { content: run[0].0, first: run[0].1, count: run.len() as u32 })
        .collect()
}
