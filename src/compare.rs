//! Runs every router and seed of a scenario over the same workload, in parallel.

use crate::error::{Error, Result};
use crate::metrics::recorder::RunOutput;
use crate::scenario::{Scenario, WorkloadKind, WorkloadSpec};
use crate::sim::{self, Control, Setup, Sink};
use crate::workload::trace::{self, TraceFacts};
use crate::workload::{self, Source};
use rayon::prelude::*;

/// A scenario made ready to run.
pub struct Prepared {
    /// Everything filled in.
    pub scenario: Scenario,
    /// Requests of one run at most, for progress and headings; 0 where only `workload.duration` ends
    /// it.
    pub requests: u64,
    /// What the user should know about the trace, if anything.
    pub note: Option<String>,
}

/// Fills in what the scenario leaves to its preset, and reads its trace once from end to end, so
/// that bad input is refused before anything is written.
///
/// # Errors
/// Whatever is wrong with the scenario or the trace.
pub fn prepare(scenario: Scenario) -> Result<Prepared> {
    prepare_with(scenario, &mut |workload| trace::scan(workload))
}

/// [`prepare`] with another way to learn what is in the trace: sweeps read it once for many points.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_with(
    scenario: Scenario,
    scan: &mut dyn FnMut(&WorkloadSpec) -> Result<TraceFacts>,
) -> Result<Prepared> {
    let scenario = sim::setup::resolve(scenario)?;
    if scenario.workload.kind != WorkloadKind::Trace {
        let requests = scenario.workload.requests.unwrap_or(0);
        return Ok(Prepared { scenario, requests, note: None });
    }
    let facts = scan(&scenario.workload)?;
    Ok(with_facts(scenario, &facts))
}

/// Fills in what one pass over its trace has found.
fn with_facts(mut scenario: Scenario, facts: &TraceFacts) -> Prepared {
    scenario.workload.trace_format = Some(facts.format);
    scenario.workload.trace_sha256 = Some(facts.sha256.clone());
    let requests = scenario.workload.requests.map_or(facts.requests, |n| n.min(facts.requests));
    if scenario.workload.duration.is_none() {
        scenario.metrics.count_share_of(requests);
    }
    Prepared { scenario, requests, note: note(facts) }
}

/// What was left out of a trace.
fn note(facts: &TraceFacts) -> Option<String> {
    let mut parts = Vec::new();
    if facts.failed_rows > 0 {
        parts.push(format!("{} requests recorded as failed were left out", facts.failed_rows));
    }
    if facts.skipped.lines > 0 {
        let first = facts.skipped.first.as_deref().unwrap_or("");
        parts.push(format!("{} bad lines were left out, the first: {first}", facts.skipped.lines));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// A sink for each run, by its place in the order of [`setups`].
pub type MakeSink<'a> = &'a (dyn Fn(usize, &Setup) -> Result<Box<dyn Sink + Send>> + Sync);

/// The runs of a resolved scenario: routers in order, seeds ascending within each.
///
/// # Errors
/// Where a router or preset is not known.
pub fn setups(scenario: &Scenario) -> Result<Vec<Setup>> {
    let seeds =
        (0..u64::from(scenario.seeds)).map(|replicate| scenario.seed.wrapping_add(replicate));
    let runs =
        scenario.router.mode.iter().flat_map(|mode| seeds.clone().map(move |seed| (mode, seed)));
    runs.map(|(mode, seed)| Setup::new(scenario, mode, seed)).collect()
}

/// The workload of a scenario under one seed, from its beginning.
///
/// # Errors
/// Where the trace cannot be read.
pub fn open_workload(scenario: &Scenario, seed: u64) -> Result<Box<dyn Source>> {
    let trace = match scenario.workload.kind {
        WorkloadKind::Trace => Some(trace::open(&scenario.workload)?),
        _ => None,
    };
    workload::build(&scenario.workload, seed, trace.map(|trace| Box::new(trace) as _))
}

/// Threads to use where `asked` were asked for; 0 means one per core.
pub fn threads(asked: usize) -> usize {
    if asked > 0 { asked } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// So many threads to run on.
///
/// # Errors
/// Where the system gives none.
pub fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|why| Error::Run(format!("cannot start threads: {why}")))
}

/// Runs all of `setups` on at most `threads` threads; results in their order, the
/// same whatever the number of threads. When asked to stop, every run ends with what it has.
///
/// # Errors
/// The first run that failed, in their order.
pub fn run_all(
    setups: &[Setup],
    threads: usize,
    make_sink: MakeSink,
    control: &Control,
) -> Result<Vec<RunOutput>> {
    let pool = pool(threads)?;
    let run = |(place, setup): (usize, &Setup)| {
        let source = open_workload(&setup.scenario, setup.seed)?;
        let mut sink = make_sink(place, setup)?;
        sim::run(setup, source, sink.as_mut(), control)
    };
    let outputs: Vec<Result<RunOutput>> =
        pool.install(|| setups.par_iter().enumerate().map(run).collect());
    outputs.into_iter().collect()
}
