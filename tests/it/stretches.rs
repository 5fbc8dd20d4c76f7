//! Steps made many at a time give, byte for byte, what single steps give.

use crate::random_case::{Case, some_case};
use crate::support::{fidelity, scenario};
use kvroute::compare::open_workload;
use kvroute::error::Result;
use kvroute::prompt::CacheEvent;
use kvroute::request::RequestRecord;
use kvroute::sim::{Control, DecisionView, Setup, Sink, run};
use kvroute::units::Nanos;
use kvroute::workload::Source;
use proptest::test_runner::{Config, TestRunner};
use std::fmt::Write;

/// Everything a run tells, as text, in the order in which it is told.
#[derive(Default)]
struct Transcript {
    text: String,
    /// Whether KV events are wanted: a worker tells them in time then.
    events: bool,
}

impl Sink for Transcript {
    fn wants_decisions(&self) -> bool {
        true
    }

    fn decision(&mut self, view: &DecisionView) -> Result<()> {
        let DecisionView { request, prompt_blocks, decision, truth } = view;
        writeln!(self.text, "{request:?} {prompt_blocks} {decision:?} {truth:?}").unwrap();
        Ok(())
    }

    fn request(&mut self, record: &RequestRecord) -> Result<()> {
        writeln!(self.text, "{record:?}").unwrap();
        Ok(())
    }

    fn wants_cache_events(&self) -> bool {
        self.events
    }

    fn cache_events(&mut self, worker: u32, at: Nanos, events: &[CacheEvent]) -> Result<()> {
        writeln!(self.text, "{worker} {at} {events:?}").unwrap();
        Ok(())
    }
}

fn told(setup: &Setup, source: Box<dyn Source>, events: bool) -> String {
    let mut sink = Transcript { events, ..Transcript::default() };
    let output = run(setup, source, &mut sink, &Control::default()).unwrap();
    let summary = serde_json::to_string_pretty(&output.summary).unwrap();
    let (timeline, workers) = (&output.timeline, &output.workers);
    let (interval, rows) = (timeline.interval(), timeline.rows());
    format!("{}{summary}{workers:?}{interval}{rows:?}{:?}", sink.text, output.end)
}

fn single_steps(setup: &Setup) -> Setup {
    let mut setup = setup.clone();
    setup.step_by_step = true;
    setup
}

/// The first line that differs, with the same line of the other.
fn difference(ours: &str, plain: &str) -> Option<String> {
    let pairs = ours.lines().zip(plain.lines());
    let first = pairs.enumerate().find(|(_, (a, b))| a != b);
    let shown = |(line, (a, b))| format!("line {line}:\n  many: {a}\nsingle: {b}");
    first.map(shown).or_else(|| (ours.len() != plain.len()).then(|| "one is longer".into()))
}

/// Longer outputs than those of the random cases, and a warm-up.
fn setup(case: &mut Case, longer: u32, warm_up: &str) -> Setup {
    for (_, turns) in &mut case.sessions {
        turns.iter_mut().for_each(|(_, output, _)| *output *= longer);
    }
    let mut scenario = case.scenario();
    scenario.cluster.kv_blocks = scenario.cluster.kv_blocks.map(|blocks| blocks * longer);
    scenario.metrics.warm_up = (!warm_up.is_empty()).then(|| warm_up.into());
    Setup::new(&scenario, case.router.mode, 7).unwrap()
}

#[test]
fn many_steps_at_a_time_give_what_single_steps_give() {
    use proptest::prelude::*;
    let cases = 4_000;
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let warm_up = prop::sample::select(vec!["", "", "3 requests", "250ms"]);
    let outcome = TestRunner::new(config).run(
        &(some_case(), prop::sample::select(vec![1, 1, 4, 16]), warm_up, prop::bool::weighted(0.3)),
        |(mut case, longer, warm_up, events)| {
            let setup = setup(&mut case, longer, warm_up);
            let many = told(&setup, case.source(), events);
            let single = told(&single_steps(&setup), case.source(), events);
            prop_assert_eq!(difference(&many, &single), None);
            Ok(())
        },
    );
    if let Err(why) = outcome {
        panic!("{why}");
    }
    fidelity(
        "steps made many at a time leave no trace in results",
        "the same run step by step, random scenarios (all routers, engines, eviction policies)",
        "stretches",
        format!("no byte differs in {cases} cases a run"),
    );
}

#[test]
fn bundled_workloads_come_out_the_same_step_by_step() {
    for (workload, overrides) in [
        ("shared-prefix", &["workload.requests=300"][..]),
        ("multi-turn", &["workload.requests=300", "cluster.kv_blocks=1500"]),
        ("agentic", &["workload.requests=200", "cluster.kv_blocks=6000"]),
        (
            "multi-turn",
            &["workload.requests=300", "cluster.latency=mocker", "cluster.kv_blocks=900"],
        ),
    ] {
        let scenario = scenario(workload, overrides);
        let setup = Setup::new(&kvroute::sim::setup::resolve(scenario).unwrap(), "kv", 3).unwrap();
        let source = || open_workload(&setup.scenario, 3).unwrap();
        for events in [false, true] {
            let many = told(&setup, source(), events);
            let single = told(&single_steps(&setup), source(), events);
            assert_eq!(difference(&many, &single), None, "{workload}, events: {events}");
        }
    }
}
