//! Runs every router and seed of a scenario over the same workload, in parallel.

use crate::error::{Error, Result};
use crate::metrics::recorder::RunOutput;
use crate::scenario::{Scenario, WorkloadKind};
use crate::sim::{self, Control, Setup, Sink};
use crate::workload::{self, Source, trace};
use rayon::prelude::*;

/// A sink for each run, by its place in the order of [`setups`].
pub type MakeSink<'a> = &'a (dyn Fn(usize, &Setup) -> Result<Box<dyn Sink + Send>> + Sync);

/// The runs of a resolved scenario: routers in order, seeds ascending within each.
///
/// # Errors
/// Where a router or preset is not known.
pub fn setups(scenario: &Scenario) -> Result<Vec<Setup>> {
    let seeds = (0..u64::from(scenario.seeds)).map(|replicate| scenario.seed.wrapping_add(replicate));
    let runs = scenario.router.mode.iter().flat_map(|mode| seeds.clone().map(move |seed| (mode, seed)));
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

/// Runs all of `setups` on at most `threads` threads (0: one per core); results in their order, the
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
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|why| Error::Run(format!("cannot start threads: {why}")))?;
    let run = |(place, setup): (usize, &Setup)| {
        let source = open_workload(&setup.scenario, setup.seed)?;
        let mut sink = make_sink(place, setup)?;
        sim::run(setup, source, sink.as_mut(), control)
    };
    let outputs: Vec<Result<RunOutput>> =
        pool.install(|| setups.par_iter().enumerate().map(run).collect());
    outputs.into_iter().collect()
}
