use super::active::ActiveBlocks;
use super::approximate::ApproximateIndex;
use super::index::{BlockSet, Holder, PrefixIndex};
use super::*;
use crate::prompt::CacheEvent;
use crate::rng::{Stream, stream};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn run(content: u64, count: u32) -> BlockRun {
    BlockRun { content, first: 0, count }
}

fn request(prompt_tokens: u32) -> RouteRequest<'static> {
    RouteRequest {
        id: 0,
        session: 0,
        now: Nanos::ZERO,
        prompt_tokens,
        runs: &[],
        true_best_overlap: 0,
    }
}

/// Routes once with the given overlaps and active blocks; (worker from 1, scores).
fn route(spec: &RouterSpec, name: &str, overlaps: &[u32], loads: &[WorkerLoad]) -> (u32, Vec<f64>) {
    let zero = vec![0; loads.len()];
    let loads = &loads.iter().copied().collect();
    let view =
        ClusterView { loads, overlaps, active_overlaps: &zero, block_tokens: 16, kv_blocks: 1000 };
    let mut explanation = Explanation::default();
    let mut rng = stream(1, Stream::Routing, 0);
    let mut policy = build(name, spec).unwrap();
    let worker = policy.route(&request(480), &view, &mut rng, Some(&mut explanation));
    (worker + 1, explanation.candidates.iter().map(|(_, candidate)| candidate.score).collect())
}

fn active(blocks: &[u64]) -> Vec<WorkerLoad> {
    blocks
        .iter()
        .map(|&active_blocks| WorkerLoad { active_blocks, ..WorkerLoad::default() })
        .collect()
}

#[test]
fn the_worked_example_of_the_textbook_form_comes_out() {
    let (worker, scores) =
        route(&RouterSpec::default(), "kv-linear", &[25, 5, 15], &active(&[300, 800, 500]));
    assert_eq!(worker, 1);
    assert_eq!(scores, [22.0, -3.0, 10.0]);
}

#[test]
fn kv_costs_follow_the_formula() {
    let mut loads = active(&[10, 0, 3]);
    loads[1].prefill_tokens = 160;
    // 30 prompt blocks: max(0, (0 + 480)/16 − overlap) + active + 30.
    let (worker, scores) = route(&RouterSpec::default(), "kv", &[20, 0, 40], &loads);
    assert_eq!(scores, [10.0 + 40.0, 40.0 + 30.0, 0.0 + 33.0]);
    assert_eq!(worker, 3);
    let mut spec = RouterSpec::default();
    spec.kv.overlap_weight = 0.0;
    assert_eq!(route(&spec, "kv", &[20, 0, 40], &loads).1, [40.0, 30.0, 33.0]);
    spec.kv.overlap_weight = 2.0;
    assert_eq!(route(&spec, "kv", &[20, 0, 40], &loads).1, [60.0, 110.0, 33.0]);
}

#[test]
fn ties_are_uniform_and_softmax_follows_normalised_costs() {
    let mut rng = stream(9, Stream::Routing, 0);
    let mut counts = [0u32; 3];
    for _ in 0..30_000 {
        counts[pick::least(&[1.0, 0.5, 0.5], &mut rng).0] += 1;
    }
    assert_eq!(counts[0], 0);
    assert!((14_500..15_500).contains(&counts[1]), "{counts:?}");
    // T = 1: best : worst = e : 1 however large the gap.
    let mut counts = [0u32; 2];
    for _ in 0..30_000 {
        counts[pick::softmax(&[100.0, 900.0], 1.0, &mut rng)] += 1;
    }
    let odds = f64::from(counts[0]) / f64::from(counts[1]);
    assert!((odds / std::f64::consts::E - 1.0).abs() < 0.06, "{odds}");
}

#[test]
fn unknown_routers_are_refused_with_the_nearest_name() {
    let why = build("round_robbin", &RouterSpec::default()).err().unwrap().to_string();
    assert!(why.contains("did you mean \"round-robin\"?"), "{why}");
}

#[test]
fn an_approximate_index_forgets_by_age_and_by_size() {
    let prompt = [run(1, 4), run(2, 4)];
    let mut overlaps = [0; 2];
    let mut index = ApproximateIndex::new(2, Nanos(100), 10);
    index.routed(1, Nanos(0), &prompt);
    index.overlaps(Nanos(99), &prompt, &mut overlaps);
    assert_eq!(overlaps, [0, 8]);
    index.routed(1, Nanos(50), &prompt[..1]);
    index.overlaps(Nanos(120), &prompt, &mut overlaps);
    assert_eq!(overlaps, [0, 4], "the second run has expired, the first was routed again");
    index.routed(1, Nanos(121), &[run(3, 8)]);
    index.overlaps(Nanos(122), &prompt, &mut overlaps);
    assert_eq!(overlaps, [0, 0], "4 + 8 blocks exceed 10: the older run went");
    index.overlaps(Nanos(122), &[run(3, 8)], &mut overlaps);
    assert_eq!(overlaps, [0, 8]);
}

#[derive(Clone, Debug)]
enum Change {
    Insert(u32, u32),
    Remove(u32, u32),
}

proptest! {
    #[test]
    fn a_block_set_agrees_with_a_set_of_numbers(
        changes in prop::collection::vec((any::<bool>(), 0u32..20, 1u32..8), 1..60),
    ) {
        let mut set = BlockSet::default();
        let mut naive = BTreeSet::new();
        for (insert, from, count) in changes {
            let change = if insert { Change::Insert(from, from + count) } else { Change::Remove(from, from + count) };
            match change {
                Change::Insert(from, to) => { set.insert(from, to); naive.extend(from..to); }
                Change::Remove(from, to) => { set.remove(from, to); naive.retain(|i| !(from..to).contains(i)); }
            }
            let prefix = (0..).take_while(|index| naive.contains(index)).count();
            prop_assert_eq!(set.prefix() as usize, prefix);
            prop_assert_eq!(set.is_empty(), naive.is_empty());
        }
    }

    #[test]
    fn overlaps_agree_with_sets_of_blocks(
        events in prop::collection::vec((any::<bool>(), 0u32..4, 0u64..3, 0u32..6, 1u32..4), 1..80),
        prompt in prop::collection::vec((0u64..3, 1u32..6), 1..4),
    ) {
        let mut index = PrefixIndex::default();
        let mut naive: Vec<BTreeSet<(u64, u32)>> = vec![BTreeSet::new(); 4];
        for (stored, worker, content, first, count) in events {
            let run = BlockRun { content, first, count };
            let event = if stored { CacheEvent::Stored { run, copy: false } } else { CacheEvent::Removed { run, copy: false } };
            index.apply(worker, &event);
            for block in run.first..run.end() {
                if stored { naive[worker as usize].insert((content, block)); }
                else { naive[worker as usize].remove(&(content, block)); }
            }
        }
        let runs: Vec<BlockRun> = prompt.iter().map(|(content, count)| run(*content, *count)).collect();
        let mut overlaps = vec![0; 4];
        index.overlaps(&runs, &mut overlaps);
        for (worker, overlap) in overlaps.iter().enumerate() {
            let blocks = runs.iter().flat_map(|run| (0..run.count).map(|index| (run.content, index)));
            let expected = blocks.take_while(|block| naive[worker].contains(block)).count();
            prop_assert_eq!(*overlap as usize, expected);
            prop_assert_eq!(index.overlap_of(&runs, worker as u32), *overlap);
        }
        prop_assert_eq!(Some(index.best_overlap(&runs)), overlaps.iter().copied().max());
    }

    #[test]
    fn active_blocks_count_each_shared_block_once(
        prompts in prop::collection::vec((0u32..2, prop::collection::vec((0u64..3, 1u32..6), 1..4)), 1..20),
        leave in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        // Keys are chained, as real ones are: a run is a node of a tree.
        let chain = |shape: &[(u64, u32)]| -> Vec<BlockRun> {
            let mut key = 0;
            shape.iter().map(|(content, count)| {
                key = crate::prompt::mix(&[key, *content]);
                let run = run(key, *count);
                key = crate::prompt::mix(&[key, u64::from(*count)]);
                run
            }).collect()
        };
        let mut active = ActiveBlocks::default();
        let mut live: Vec<(u32, Vec<BlockRun>)> = Vec::new();
        let mut totals = [0u64; 2];
        let count = |live: &[(u32, Vec<BlockRun>)], worker: u32| {
            let mine = live.iter().filter(|(on, _)| *on == worker);
            mine.flat_map(|(_, runs)| runs.iter())
                .flat_map(|run| (0..run.count).map(|index| (run.content, index)))
                .collect::<BTreeSet<_>>().len() as u64
        };
        for (worker, shape) in prompts {
            let runs = chain(&shape);
            totals[worker as usize] += active.add(worker, &runs);
            live.push((worker, runs));
            prop_assert_eq!(totals[worker as usize], count(&live, worker));
        }
        for index in leave {
            if live.is_empty() { break; }
            let (worker, runs) = live.swap_remove(index.index(live.len()));
            totals[worker as usize] -= active.remove(worker, &runs);
            prop_assert_eq!(totals[worker as usize], count(&live, worker));
        }
    }
}
