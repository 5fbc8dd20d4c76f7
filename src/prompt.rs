//! Prompts as segments, and the runs of blocks they fill.
//!
//! A request holds no tokens. It holds *segments* `(content, tokens)`: the first `tokens` tokens of
//! an endless text that is a pure function of the content id. Two prompts share a prefix exactly as
//! far as their segments agree, and a shorter segment shares its leading tokens with a longer one.
//!
//! Caches and indexes work on *blocks* of `block_tokens` tokens. Blocks that lie in one segment and
//! follow each other form a [`BlockRun`]: its `content` key hashes everything before the run, so
//! equality of (key, index in the run) means equality of the whole prefix. A block that straddles
//! segments is a run of one.

mod paths;
mod run_map;

pub use paths::Paths;
pub use run_map::RunMap;

use xxhash_rust::xxh3::xxh3_64;

/// A stretch of a prompt: the first `tokens` tokens of content `content`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Content id; the text or token ids behind it are a pure function of it.
    pub content: u64,
    /// Number of tokens, at least 1.
    pub tokens: u32,
}

/// Consecutive full blocks of one prefix: blocks `first .. first + count` of the run `content`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockRun {
    /// Chained key: hashes the whole prefix before the run and the content of the run itself.
    pub content: u64,
    /// First block, counted within the run.
    pub first: u32,
    /// Number of blocks, at least 1.
    pub count: u32,
}

impl BlockRun {
    /// One past the last block, counted within the run.
    pub fn end(&self) -> u32 {
        self.first + self.count
    }
}

/// A change of a worker's prefix cache, as it is told to routers.
///
/// Events count physical copies, as vLLM's do. `copy` says that another copy of the same blocks was
/// there already (`Stored`) or stays behind (`Removed`); who keeps a set of blocks skips those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheEvent {
    /// Blocks became hittable, in ascending order.
    Stored {
        /// Which blocks.
        run: BlockRun,
        /// Another copy was there already.
        copy: bool,
    },
    /// Blocks were evicted, in descending order.
    Removed {
        /// Which blocks.
        run: BlockRun,
        /// Another copy stays behind.
        copy: bool,
    },
    /// The whole cache was emptied.
    Cleared,
}

impl CacheEvent {
    /// The run it is about.
    pub fn content(&self) -> Option<u64> {
        match self {
            CacheEvent::Stored { run, .. } | CacheEvent::Removed { run, .. } => Some(run.content),
            CacheEvent::Cleared => None,
        }
    }
}

/// Key of the empty prefix.
const ROOT: u64 = 0x6b76_726f_7574_6531;

/// Hashes a few words into one; used for chained keys and content ids (XXH3-64).
pub fn mix(words: &[u64]) -> u64 {
    let mut bytes = [0u8; 64];
    if words.len() <= 8 {
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        return xxh3_64(&bytes[..words.len() * 8]);
    }
    let long: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    xxh3_64(&long)
}

/// Total tokens of some segments.
pub fn total_tokens(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| u64::from(segment.tokens)).sum()
}

/// The runs of full blocks that `segments` fill, in order; every run starts at its block 0.
///
/// The first `n` full blocks of the result depend on the first `n * block_tokens` tokens alone, and
/// no run crosses the end of a segment.
pub fn block_runs(segments: &[Segment], block_tokens: u32) -> Vec<BlockRun> {
    let mut runs = Vec::with_capacity(segments.len());
    let mut chain = ROOT;
    let mut left = total_tokens(segments);
    let mut at = 0;
    let mut offset = 0;
    let mut pieces: Vec<u64> = Vec::new();
    while left >= u64::from(block_tokens) {
        let rest = segments[at].tokens - offset;
        let (key, count) = if rest >= block_tokens {
            let key = mix(&[chain, segments[at].content, u64::from(offset)]);
            let count = rest / block_tokens;
            offset += count * block_tokens;
            (key, count)
        } else {
            pieces.clear();
            pieces.push(chain);
            let mut missing = block_tokens;
            while missing > 0 {
                let take = missing.min(segments[at].tokens - offset);
                pieces.extend([segments[at].content, u64::from(offset), u64::from(take)]);
                missing -= take;
                offset += take;
                if offset == segments[at].tokens && missing > 0 {
                    at += 1;
                    offset = 0;
                }
            }
            (mix(&pieces), 1)
        };
        runs.push(BlockRun { content: key, first: 0, count });
        chain = mix(&[key, u64::from(count)]);
        left -= u64::from(count) * u64::from(block_tokens);
        if offset == segments[at].tokens {
            at += 1;
            offset = 0;
        }
    }
    runs
}

/// How many of `runs` make up the leading `blocks` blocks.
pub fn runs_within(runs: &[BlockRun], blocks: u32) -> usize {
    let mut left = blocks;
    let fits = |run: &&BlockRun| {
        let fits = run.count <= left;
        left = left.saturating_sub(run.count);
        fits
    };
    runs.iter().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The identity of every full block, block by block.
    fn blocks(segments: &[Segment], block_tokens: u32) -> Vec<(u64, u32)> {
        block_runs(segments, block_tokens)
            .iter()
            .flat_map(|run| (run.first..run.end()).map(|index| (run.content, index)))
            .collect()
    }

    /// The tokens themselves, as (content, offset) pairs.
    fn tokens(segments: &[Segment]) -> Vec<(u64, u32)> {
        segments.iter().flat_map(|s| (0..s.tokens).map(|offset| (s.content, offset))).collect()
    }

    fn some_segments() -> impl Strategy<Value = Vec<Segment>> {
        prop::collection::vec((0u64..3, 1u32..20), 1..6).prop_map(|list| {
            list.into_iter().map(|(content, tokens)| Segment { content, tokens }).collect()
        })
    }

    proptest! {
        #[test]
        fn blocks_agree_exactly_as_far_as_the_tokens_do(
            a in some_segments(), b in some_segments(), block in 1u32..9,
        ) {
            let same = tokens(&a).iter().zip(&tokens(&b)).take_while(|(x, y)| x == y).count();
            let (left, right) = (blocks(&a, block), blocks(&b, block));
            prop_assert_eq!(left.len(), tokens(&a).len() / block as usize);
            let shared = left.iter().zip(&right).take_while(|(x, y)| x == y).count();
            prop_assert_eq!(shared, same / block as usize);
            // Chained: what differs once never agrees again.
            prop_assert!(left.iter().zip(&right).skip(shared).all(|(x, y)| x != y));
        }
    }
}
