//! Block and sequence hashes: Dynamo's own functions against an implementation of their rule.
//!
//! The rule is implemented in `mod hash` below. Once `kvroute::hash` exists, delete that module and
//! write `use kvroute::hash;` (names as there) instead: the tests then hold kvroute against Dynamo.

use dynamo_kv_router::protocols::{
    BlockHashOptions, compute_block_hash_for_seq, compute_seq_hash_for_block,
};
use kvroute::rng::{Stream, stream};
use rand::RngExt;

/// Stand-in for `kvroute::hash`.
mod hash {
    use xxhash_rust::xxh3::xxh3_64_with_seed;

    const SEED: u64 = 1337;

    /// XXH3-64 (seed 1337) over the little-endian tokens of each full block.
    pub fn local(tokens: &[u32], block: usize) -> Vec<u64> {
        let of_block = |tokens: &[u32]| {
            let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
            xxh3_64_with_seed(&bytes, SEED)
        };
        tokens.chunks_exact(block).map(of_block).collect()
    }

    /// The first is the local hash; each other XXH3-64 (seed 1337) over the one before it and its
    /// local hash, both little-endian.
    pub fn chained(local: &[u64]) -> Vec<u64> {
        let mut hashes: Vec<u64> = Vec::with_capacity(local.len());
        for &hash in local {
            let next = hashes.last().map_or(hash, |parent| {
                let bytes = [parent.to_le_bytes(), hash.to_le_bytes()].concat();
                xxh3_64_with_seed(&bytes, SEED)
            });
            hashes.push(next);
        }
        hashes
    }
}

/// Dynamo's hashes of `tokens`: (of each block, of each prefix).
fn theirs(tokens: &[u32], block: u32) -> (Vec<u64>, Vec<u64>) {
    let local = compute_block_hash_for_seq(tokens, block, BlockHashOptions::default());
    let chained = compute_seq_hash_for_block(&local);
    (local.iter().map(|hash| hash.0).collect(), chained)
}

#[test]
fn random_prompts_hash_alike() {
    let mut rng = stream(20_261_122, Stream::Content, 77);
    let mut blocks = 0;
    for _ in 0..20_000 {
        let block = [1, 2, 16, 17, 32, 64, 100, 512][rng.random_range(0..8)];
        let length = rng.random_range(0..10 * block + 3);
        let most = if rng.random_bool(0.5) { u32::MAX } else { 200_000 };
        let tokens: Vec<u32> = (0..length).map(|_| rng.random_range(0..=most)).collect();
        let (local, chained) = theirs(&tokens, block as u32);
        assert_eq!(hash::local(&tokens, block), local, "block of {block}: {tokens:?}");
        assert_eq!(hash::chained(&local), chained, "block of {block}: {tokens:?}");
        blocks += local.len();
    }
    println!("20000 prompts, {blocks} blocks: all hashes equal");
}

/// Answers to hold other implementations against: run with `--nocapture` to see them.
#[test]
fn known_answers() {
    for (name, tokens, block) in [
        ("0..16, block 4", (0..16).collect::<Vec<u32>>(), 4u32),
        ("1..=48, block 16 (3 blocks)", (1..=48).collect(), 16),
        ("[4294967295; 2], block 1", vec![u32::MAX; 2], 1),
        ("0..1024, block 512", (0..1024).collect(), 512),
    ] {
        let (local, chained) = theirs(&tokens, block);
        println!("{name}\n  local   {local:016x?}\n  chained {chained:016x?}");
        assert_eq!(hash::local(&tokens, block as usize), local);
        assert_eq!(hash::chained(&local), chained);
    }
}
