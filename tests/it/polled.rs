//! Routers that go by polled metrics.

use crate::support::scenario;
use kvroute::compare;
use kvroute::metrics::recorder::RunOutput;
use kvroute::request::{RequestId, RequestRecord};
use kvroute::sim::{self, Control, Setup, Sink};

/// The worker of every request, in order of completion.
#[derive(Default)]
struct Workers(Vec<(RequestId, Option<u32>)>);

impl Sink for Workers {
    fn request(&mut self, record: &RequestRecord) -> kvroute::error::Result<()> {
        self.0.push((record.id, record.worker));
        Ok(())
    }
}

/// `least-loaded` at a load where queues form, its loads polled at `interval`, if any.
fn least_loaded(interval: Option<&str>) -> (RunOutput, Workers) {
    let mut overrides = vec![
        "workload.requests=2000".to_string(),
        "workload.arrival={process=\"poisson\", rate=10.0}".to_string(),
        "cluster.max_seqs=8".to_string(),
    ];
    overrides.extend(interval.map(|time| format!("router.metrics_interval=\"{time}\"")));
    let overrides: Vec<&str> = overrides.iter().map(String::as_str).collect();
    let prepared = compare::prepare(scenario("diverse", &overrides)).unwrap();
    let setup = Setup::new(&prepared.scenario, "least-loaded", 7).unwrap();
    let mut workers = Workers::default();
    let source = compare::open_workload(&prepared.scenario, 7).unwrap();
    let output = sim::run(&setup, source, &mut workers, &Control::default()).unwrap();
    (output, workers)
}

#[test]
fn metrics_polled_all_the_time_are_as_good_as_the_routers_own_books() {
    let (_, own) = least_loaded(None);
    let (_, polled) = least_loaded(Some("1ns"));
    assert_eq!(own.0, polled.0);
}

/// Requests between two polls go to whoever looked idle at the first (herding): the older the metrics,
/// the longer the queues. The shape is that of `reference/routers.md`, test e.
#[test]
fn the_older_the_metrics_the_longer_the_queues() {
    let p99 = |interval| {
        let (output, _) = least_loaded(Some(interval));
        output.summary.time_to_first_token.p99
    };
    let times = [p99("10ms"), p99("300ms"), p99("3s")];
    eprintln!("TTFT p99 by age of metrics: {times:?}");
    assert!(times[0] * 1.2 < times[1] && times[1] * 1.2 < times[2], "{times:?}");
}
