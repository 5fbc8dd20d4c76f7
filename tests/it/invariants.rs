//! What holds in every run, whatever the scenario: checked over small random ones.
//!
//! Blocks are conserved and the clock never goes back: the simulation asserts both itself where
//! debug assertions are on, as they are here (`sim::conserve`, `Simulation::advance`).

use crate::random_case::{Case, ClusterDraw, RouterDraw, some_case};
use crate::support::{fidelity, scenario};
use crate::support_queue::replay;
use kvroute::error::Result;
use kvroute::metrics::recorder::RunOutput;
use kvroute::request::{RequestRecord, Status};
use kvroute::sim::{Control, DecisionView, Setup, Sink, run};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;

/// What a run showed, and what is wrong with the routers' indexes.
#[derive(Default)]
struct Witness {
    records: Vec<RequestRecord>,
    /// Requests in flight per worker.
    in_flight: Vec<u32>,
    /// The index must equal the truth.
    exact: bool,
    compared: u64,
    found: u64,
    wrong: Vec<String>,
}

impl Sink for Witness {
    fn wants_decisions(&self) -> bool {
        true
    }

    /// Events are delivered when the step that caused them ends, and the truth changes when it
    /// begins. A worker without requests in flight has no step under way: there index and truth
    /// must agree, at every decision.
    fn decision(&mut self, view: &DecisionView) -> Result<()> {
        for (worker, believed) in view.decision.believed.iter().enumerate() {
            if self.exact && self.in_flight[worker] == 0 {
                self.compared += 1;
                self.found += u64::from(*believed > 0);
                if *believed != view.truth[worker] {
                    let request = view.request.id;
                    let truth = view.truth[worker];
                    self.wrong.push(format!("{request}: worker {worker}: {believed}, not {truth}"));
                }
            }
        }
        self.in_flight[view.decision.worker as usize] += 1;
        Ok(())
    }

    fn request(&mut self, record: &RequestRecord) -> Result<()> {
        if let Some(worker) = record.worker {
            self.in_flight[worker as usize] -= 1;
        }
        self.records.push(record.clone());
        Ok(())
    }
}

fn witness(case: &Case) -> (RunOutput, Witness) {
    let setup = Setup::new(&case.scenario(), case.router.mode, 7).unwrap();
    let mut witness = Witness {
        in_flight: vec![0; case.cluster.workers as usize],
        exact: case.router.event_delay_ms == 0
            && case.router.event_loss == 0.0
            && case.router.events
            && case.router.mode.starts_with("kv"),
        ..Witness::default()
    };
    let output = run(&setup, case.source(), &mut witness, &Control::default()).unwrap();
    witness.records.sort_by_key(|record| record.id);
    (output, witness)
}

fn requests_are_conserved(case: &Case, output: &RunOutput, records: &[RequestRecord]) {
    let ids: Vec<u64> = records.iter().map(|record| record.id).collect();
    assert_eq!(ids, (0..case.requests()).collect::<Vec<_>>(), "every request ends exactly once");
    let counts = &output.summary.requests;
    let with = |status| records.iter().filter(|record| record.status == status).count() as u64;
    assert_eq!(counts.arrived, case.requests());
    assert_eq!(counts.completed, with(Status::Completed));
    assert_eq!(counts.rejected, with(Status::Rejected));
    assert_eq!(counts.unfinished, 0, "a run ends when everything has ended");
    assert_eq!(counts.completed + counts.rejected, counts.arrived);
    let routed: u64 = output.summary.load.requests_per_worker.iter().sum();
    assert_eq!((routed, output.summary.routing.decisions), (counts.completed, counts.completed));
}

/// A request is rejected exactly where it cannot fit, and otherwise all its times are in order.
fn requests_are_in_order(case: &Case, record: &RequestRecord) {
    let block = case.cluster.block_tokens;
    let needed = (record.prompt_tokens + record.output_tokens - 1).div_ceil(block);
    let fits = needed <= case.cluster.kv_blocks;
    assert_eq!(record.status, if fits { Status::Completed } else { Status::Rejected });
    let times = [Some(record.arrival), record.admitted, record.first_token, record.finished];
    if fits {
        assert!(times.iter().all(Option::is_some) && times.is_sorted(), "{record:?}");
        assert_eq!(record.output_tokens == 1, record.first_token == record.finished, "{record:?}");
    } else {
        assert_eq!(times[1..], [None; 3]);
    }
}

/// Hits are whole blocks, at least one token is computed, and the ceiling is not passed.
///
/// Under `oracle-shared-cache` a single request may pass its ceiling: requests that arrive later may
/// be admitted earlier, on another worker, and what they stored is hit by the earlier arrival, which
/// the ceiling, filled in order of arrival, does not know. A cache of its own is filled by requests
/// admitted before, and a worker admits in order of arrival, so there it cannot happen.
fn hits_are_possible(case: &Case, record: &RequestRecord) {
    let block = case.cluster.block_tokens;
    assert!(record.hit_tokens < record.prompt_tokens, "{record:?}");
    assert!(record.hit_tokens.is_multiple_of(block), "{record:?}");
    assert!(record.ceiling_tokens < record.prompt_tokens, "{record:?}");
    if case.router.mode != "oracle-shared-cache" {
        assert!(record.hit_tokens <= record.ceiling_tokens, "{record:?}");
    } else {
        assert_eq!(record.best_overlap_blocks, record.overlap_blocks, "nothing to regret");
    }
    assert!(record.overlap_blocks <= record.best_overlap_blocks, "{record:?}");
    assert!(record.best_overlap_blocks <= record.prompt_tokens / block, "{record:?}");
}

/// Totals are those of the records.
fn totals_agree(case: &Case, output: &RunOutput, records: &[RequestRecord]) {
    let summary = &output.summary;
    let sum = |of: fn(&RequestRecord) -> u64| -> u64 {
        records.iter().filter(|record| record.status == Status::Completed).map(of).sum()
    };
    let cache = &summary.prefix_cache;
    assert_eq!(cache.prompt_tokens, sum(|record| u64::from(record.prompt_tokens)));
    assert_eq!(cache.hit_tokens, sum(|record| u64::from(record.hit_tokens)));
    assert_eq!(summary.load.preemptions, sum(|record| u64::from(record.preemptions)));
    if case.router.mode != "oracle-shared-cache" {
        assert!(cache.ceiling_hit_rate >= cache.hit_rate);
    }
    let gaps = &summary.inter_token_latency;
    assert_eq!(gaps.count, sum(|record| u64::from(record.output_tokens - 1)));
    let decode = sum(|record| (record.finished.unwrap() - record.first_token.unwrap()).0) as f64;
    assert!((gaps.avg * gaps.count as f64 - decode / 1e6).abs() <= 1e-9 * decode / 1e6, "{gaps:?}");
    let last = records.iter().filter_map(|record| record.finished).max();
    assert!(last.is_none_or(|last| last <= output.end), "the run outlasts its requests");
    for worker in &output.workers {
        assert!((0.0..=1.0).contains(&worker.busy_fraction), "{worker:?}");
    }
}

#[test]
fn every_run_conserves_what_it_must() {
    let mut runner = TestRunner::new(cases(3_000));
    let seen = Cell::new([0u64; 5]);
    let outcome = runner.run(&some_case(), |case| {
        let (output, witness) = witness(&case);
        let records = &witness.records;
        requests_are_conserved(&case, &output, records);
        records.iter().for_each(|record| requests_are_in_order(&case, record));
        records.iter().for_each(|record| hits_are_possible(&case, record));
        totals_agree(&case, &output, records);
        prop_assert!(witness.wrong.is_empty(), "{:?}", witness.wrong);
        let summary = &output.summary;
        let new = [
            witness.compared,
            witness.found,
            summary.load.preemptions,
            summary.requests.rejected,
            summary.prefix_cache.evicted_blocks,
        ];
        let before = seen.get();
        seen.set(std::array::from_fn(|at| before[at] + new[at]));
        Ok(())
    });
    if let Err(why) = outcome {
        panic!("{why}");
    }
    let [compared, found, preemptions, rejected, evicted] = seen.get();
    eprintln!(
        "{compared} overlaps compared, {found} of them above 0; \
         {preemptions} preemptions, {rejected} rejections, {evicted} evictions"
    );
    fidelity(
        "requests and blocks are conserved, times ordered, a router's index is the truth",
        "random scenarios (all routers, engines and eviction policies)",
        "invariants",
        "no counterexample in 3,000 cases a run",
    );
    let rare = [compared, found, preemptions, rejected, evicted].into_iter().min();
    assert!(rare > Some(100), "the cases no longer reach what they are for");
}

fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// A run as text.
fn everything(case: &Case) -> String {
    let (output, witness) = witness(case);
    format!("{:?} {:?} {:?}", output.summary, output.workers, witness.records)
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn the_same_seed_gives_the_same_run(case in some_case()) {
        prop_assert_eq!(everything(&case), everything(&case));
    }
}

#[test]
fn another_seed_gives_another_run() {
    let multi_turn = scenario("multi-turn", &["workload.requests=200"]);
    for mode in ["kv", "round-robin", "random"] {
        let run = |seed| format!("{:?}", replay(&multi_turn, mode, seed));
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
    // Where the workload is fixed, the choices differ.
    let case = Case {
        sessions: (0..50).map(|_| (1, vec![(vec![(1, 1)], 1, 0)])).collect(),
        ..plain_case()
    };
    let choices = |seed| {
        let setup = Setup::new(&case.scenario(), "random", seed).unwrap();
        let mut sink = crate::support::Records::default();
        run(&setup, case.source(), &mut sink, &Control::default()).unwrap();
        sink.0.iter().map(|record| (record.id, record.worker)).collect::<Vec<_>>()
    };
    assert_ne!(choices(1), choices(2));
}

fn plain_case() -> Case {
    let cluster = ClusterDraw {
        workers: 4,
        block_tokens: 16,
        kv_blocks: 100,
        budget: 64,
        max_seqs: 8,
        engine: "vllm",
        eviction: "lru",
    };
    let router = RouterDraw {
        mode: "random",
        events: true,
        event_delay_ms: 0,
        event_loss: 0.0,
        replicas: 1,
        metrics_interval: None,
        temperature: 0.0,
    };
    Case { cluster, router, sessions: Vec::new(), concurrency: None }
}

#[test]
fn events_that_arrive_after_everything_has_ended_make_no_run_longer() {
    let late = |delay| {
        let mut case = plain_case();
        case.router.mode = "kv";
        case.router.event_delay_ms = delay;
        case.sessions = vec![(0, vec![(vec![(1, 64)], 4, 0)])];
        witness(&case).0.summary.duration_s
    };
    assert_eq!(late(0), late(60_000));
}
