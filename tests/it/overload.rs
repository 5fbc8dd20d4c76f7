//! The overload flag: raised where the queue grows without bound, and nowhere else.

use crate::support::{ListSource, fidelity, request, scenario};
use crate::support_queue::{OneMsSteps, Service, replay};
use kvroute::prompt::Segment;
use kvroute::scenario::BUNDLED;
use kvroute::sim::{Control, NoSink, Setup, run};
use kvroute::units::Nanos;
use rayon::prelude::*;

const REQUESTS: usize = 2_500;

/// Of 100 seeds of M/M/1 at this load, how many are flagged.
fn flagged(load: f64) -> usize {
    let steps = OneMsSteps::write();
    let scenario = steps.queue(Service::Exponential, load, REQUESTS);
    let overloaded = |seed: &u64| replay(&scenario, "round-robin", *seed).0.overloaded;
    (0..100u64).into_par_iter().filter(overloaded).count()
}

#[test]
fn a_queue_at_load_0_9_is_hardly_ever_called_overloaded_and_one_at_1_1_nearly_always() {
    let (below, above) = (flagged(0.9), flagged(1.1));
    fidelity(
        "the overload warning",
        "M/M/1 queues of 2,500 requests, 100 seeds each",
        "overload",
        format!("raised in {below} of 100 at load 0.9, in {above} of 100 at load 1.1"),
    );
    assert!(below <= 5, "{below} of 100 at load 0.9");
    assert!(above >= 95, "{above} of 100 at load 1.1");
}

#[test]
fn a_burst_that_arrives_at_once_is_not_called_overloaded() {
    for at in [Nanos::ZERO, Nanos(86_400_000_000_000)] {
        let burst =
            (0..500).map(|id| request(id, at, vec![Segment { content: id, tokens: 3_000 }], 50));
        let scenario = scenario("diverse", &["cluster.workers=1"]);
        let setup = Setup::new(&scenario, "round-robin", 1).unwrap();
        let source = Box::new(ListSource(burst.collect()));
        let summary = run(&setup, source, &mut NoSink, &Control::default()).unwrap().summary;
        assert!(summary.queue_time.max > 1000.0, "the burst has to queue");
        assert!(!summary.overloaded);
    }
}

#[test]
fn a_closed_loop_is_not_called_overloaded() {
    let closed = scenario(
        "shared-prefix",
        &["workload.requests=1000", "workload.arrival={process=\"closed\", concurrency=2000}"],
    );
    let (summary, _) = replay(&closed, "round-robin", 1);
    assert!(summary.queue_time.max > 100.0, "requests have to queue");
    assert!(!summary.overloaded);
}

#[test]
fn no_bundled_workload_is_called_overloaded() {
    let runs: Vec<(&str, &str)> = BUNDLED
        .iter()
        .flat_map(|(name, _)| ["kv", "round-robin", "random"].map(|mode| (*name, mode)))
        .collect();
    let wrong: Vec<_> = runs
        .into_par_iter()
        .filter(|(name, mode)| replay(&scenario(name, &[]), mode, 42).0.overloaded)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_bundled_workload_at_three_times_its_rate_is_called_overloaded() {
    let modes = ["kv", "round-robin", "random"];
    let hasty = scenario("diverse", &["workload.arrival.rate=222"]);
    modes.into_par_iter().for_each(|mode| {
        assert!(replay(&hasty, mode, 42).0.overloaded, "{mode}");
    });
}

/// As when long recorded conversations all begin within minutes: the slope over the whole run is
/// negative, and still the latencies of most requests are those of the queue alone.
#[test]
fn a_queue_that_grew_and_shrank_again_is_called_overloaded() {
    let rush = (0..2000).map(|id| (id, Nanos(id * 5_000_000)));
    let stragglers = (2000..2200).map(|id| (id, Nanos((id - 1999) * 60_000_000_000)));
    let requests = rush
        .chain(stragglers)
        .map(|(id, at)| request(id, at, vec![Segment { content: id, tokens: 12_000 }], 20));
    let scenario = scenario("diverse", &["cluster.workers=1"]);
    let setup = Setup::new(&scenario, "round-robin", 1).unwrap();
    let source = Box::new(ListSource(requests.collect()));
    let summary = run(&setup, source, &mut NoSink, &Control::default()).unwrap().summary;
    assert!(summary.overloaded, "median queue time {} ms", summary.queue_time.p50);
}
