//! Block and sequence hashes: `kvroute::hash` against Dynamo's own functions.

use dynamo_kv_router::protocols::{
    BlockHashOptions, compute_block_hash_for_seq, compute_seq_hash_for_block,
};
use kvroute::hash;
use kvroute::rng::{Stream, stream};
use kvroute_dynamo_tests::fidelity;
use rand::RngExt;

/// Ours, as theirs: (of each block, of each prefix).
fn ours(tokens: &[u32], block: u32) -> (Vec<u64>, Vec<u64>) {
    hash::dynamo_blocks(tokens, block).iter().map(|block| (block.local, block.sequence)).unzip()
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
        let theirs = theirs(&tokens, block as u32);
        assert_eq!(ours(&tokens, block as u32), theirs, "block of {block}: {tokens:?}");
        blocks += theirs.0.len();
    }
    fidelity(
        "block and sequence hashes of Dynamo",
        "dynamo-kv-router 1.6.1",
        "dynamo hashes",
        format!("{blocks} of {blocks} blocks equal"),
    );
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
        assert_eq!(ours(&tokens, block), (local, chained));
    }
}
