//! Runs what is left of a sweep on all threads; every row is handed over as it ends.

use super::job::{Job, jobs};
use super::plan::Shard;
use super::prepare::{Ready, Sweep, is_trace, trace_name};
use super::row::{Outcome, Row, values};
use super::stop::StopRule;
use crate::compare;
use crate::error::{Error, Result};
use crate::sim::{self, Control, NoSink, Setup};
use crate::workload::trace::SharedTrace;
use crate::workload::{self, Source};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory for parsed traces, all together; what does not fit is read again by every run.
const TRACE_BYTES: u64 = 512 << 20;

/// Outcomes by cell and seed.
pub type Rows = BTreeMap<(usize, u64), Outcome>;

/// Takes a row as soon as it has ended; called by one thread at a time.
pub type OnRow<'a> = &'a (dyn Fn(&Row) -> Result<()> + Sync);

/// How a sweep is run; none of it changes a row.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Which points.
    pub shard: Shard,
    /// Threads at most.
    pub threads: usize,
    /// Progress, and the wish to stop.
    pub control: &'a Control,
    /// Where rows go.
    pub on_row: OnRow<'a>,
}

/// Runs the rows that `done` does not have, and returns all. Where it was asked to stop, what was
/// under way is thrown away: a row is whole or not at all.
///
/// # Errors
/// Where a trace cannot be read, or a row not be handed over; a row whose run failed is no error.
pub fn run(sweep: &Sweep, done: Rows, options: Options<'_>) -> Result<Rows> {
    let state = State {
        sweep,
        options,
        stop: StopRule::new(&sweep.plan),
        traces: shared_traces(sweep, options.shard, &done)?,
        rows: Mutex::new(done),
    };
    state.fail_what_cannot_run()?;
    let jobs = jobs(sweep, options.shard);
    state.work(&state.tasks(&jobs))?;
    state.rows.into_inner().map_err(|_| Error::Run("a thread has panicked".into()))
}

/// Requests that are still to be simulated: the length of a progress bar.
pub fn pending_requests(sweep: &Sweep, shard: Shard, done: &Rows) -> u64 {
    let jobs = jobs(sweep, shard);
    let seeds = |job: &Job| {
        let missing =
            |seed: &&u64| job.cells.iter().any(|cell| !done.contains_key(&(*cell, **seed)));
        sweep.plan.seeds.iter().filter(missing).count() as u64
    };
    jobs.iter().map(|job| seeds(job) * requests(sweep, job)).sum()
}

fn requests(sweep: &Sweep, job: &Job) -> u64 {
    let point = sweep.plan.cells[job.cells[0]].point;
    sweep.points[point].as_ref().map_or(0, |ready| ready.requests)
}

/// One simulation, or, where cells may stop early, those of all seeds one after the other.
struct Task<'a> {
    job: &'a Job,
    seeds: Vec<u64>,
}

struct State<'a> {
    sweep: &'a Sweep,
    options: Options<'a>,
    stop: StopRule,
    traces: Traces,
    rows: Mutex<Rows>,
}

impl State<'_> {
    /// Points without a scenario have failed before they began.
    fn fail_what_cannot_run(&self) -> Result<()> {
        for (number, cell) in self.sweep.plan.cells.iter().enumerate() {
            let Err(why) = &self.sweep.points[cell.point] else { continue };
            if !self.options.shard.holds(cell.point) {
                continue;
            }
            for seed in &self.sweep.plan.seeds {
                self.record(&[number], *seed, &Err(why.clone()))?;
            }
        }
        Ok(())
    }

    fn tasks<'j>(&self, jobs: &'j [Job]) -> Vec<Task<'j>> {
        let seeds = &self.sweep.plan.seeds;
        if self.stop.is_on() {
            return jobs.iter().map(|job| Task { job, seeds: seeds.clone() }).collect();
        }
        let one = |seed: u64| jobs.iter().map(move |job| Task { job, seeds: vec![seed] });
        seeds.iter().flat_map(|seed| one(*seed)).collect()
    }

    /// All threads take the next task until none is left: the last ones end close together.
    fn work(&self, tasks: &[Task<'_>]) -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.options.threads)
            .build()
            .map_err(|why| Error::Run(format!("cannot start threads: {why}")))?;
        let next = AtomicUsize::new(0);
        let worked: Vec<Result<()>> = pool.broadcast(|_| {
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let done = task.seeds.iter().try_for_each(|seed| self.simulate(task.job, *seed));
                if let Err(why) = done {
                    self.options.control.stop.store(true, Ordering::Relaxed);
                    return Err(why);
                }
            }
            Ok(())
        });
        worked.into_iter().collect()
    }

    /// One seed of a job, where any of its cells needs it.
    fn simulate(&self, job: &Job, seed: u64) -> Result<()> {
        let control = self.options.control;
        if control.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let cells = self.cells_that_need(job, seed)?;
        let Some(first) = cells.first() else {
            if self.stop.is_on() {
                control.done.fetch_add(requests(self.sweep, job), Ordering::Relaxed);
            }
            return Ok(());
        };
        let cell = &self.sweep.plan.cells[*first];
        let Ok(ready) = &self.sweep.points[cell.point] else { return Ok(()) };
        let outcome = self.measure(ready, &cell.router, seed).map_err(|why| why.to_string());
        if control.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.record(&cells, seed, &outcome)
    }

    /// The cells of a job that lack this seed and have not stopped before it.
    fn cells_that_need(&self, job: &Job, seed: u64) -> Result<Vec<usize>> {
        let rows = self.rows.lock().map_err(|_| Error::Run("a thread has panicked".into()))?;
        let needs = |cell: &usize| {
            if rows.contains_key(&(*cell, seed)) {
                return false;
            }
            let earlier = rows.range((*cell, 0)..).take_while(|((other, _), _)| other == cell);
            let outcomes: Vec<&Outcome> = earlier.map(|(_, outcome)| outcome).collect();
            !self.stop.stops(*cell, &outcomes)
        };
        Ok(job.cells.iter().copied().filter(needs).collect())
    }

    fn measure(&self, ready: &Ready, router: &str, seed: u64) -> Result<super::Values> {
        let setup = Setup::new(&ready.scenario, router, seed)?;
        let source = self.source(ready, seed)?;
        let output = sim::run(&setup, source, &mut NoSink, self.options.control)?;
        Ok(values(&output.summary))
    }

    fn source(&self, ready: &Ready, seed: u64) -> Result<Box<dyn Source>> {
        let workload = &ready.scenario.workload;
        match self.traces.get(&trace_name(workload)) {
            Some(Some(trace)) => workload::build(workload, seed, Some(Box::new(trace.stream()))),
            _ => compare::open_workload(&ready.scenario, seed),
        }
    }

    /// Keeps a row and hands it over, unless it is there already.
    fn record(&self, cells: &[usize], seed: u64, outcome: &Outcome) -> Result<()> {
        let mut rows = self.rows.lock().map_err(|_| Error::Run("a thread has panicked".into()))?;
        for cell in cells {
            if rows.contains_key(&(*cell, seed)) {
                continue;
            }
            let row = Row { cell: *cell, seed, outcome: outcome.clone() };
            (self.options.on_row)(&row)?;
            rows.insert((*cell, seed), row.outcome);
        }
        Ok(())
    }
}

/// Parsed traces by [`trace_name`]; `None` where there is no memory for one.
type Traces = BTreeMap<String, Option<SharedTrace>>;

/// Reads the traces of what is left to run, as long as there is memory for them.
fn shared_traces(sweep: &Sweep, shard: Shard, done: &Rows) -> Result<Traces> {
    let mut traces = Traces::new();
    if pending_requests(sweep, shard, done) == 0 {
        return Ok(traces);
    }
    let mut left = TRACE_BYTES;
    let ready = sweep.points.iter().enumerate().filter(|(number, _)| shard.holds(*number));
    for ready in ready.filter_map(|(_, point)| point.as_ref().ok()) {
        let workload = &ready.scenario.workload;
        let name = trace_name(workload);
        if is_trace(&ready.scenario) && !traces.contains_key(&name) {
            let trace = SharedTrace::read(workload, left)?;
            left -= trace.as_ref().map_or(0, SharedTrace::bytes);
            traces.insert(name, trace);
        }
    }
    Ok(traces)
}
