//! The simulation: one event loop over workload, routers and workers.
//!
//! At equal times: steps end (completions, then the KV events they carry), delayed KV events arrive,
//! all requests of that instant arrive, then steps begin; within each, in order of scheduling.
//! Only steps begin in order of worker, unless workers share a cache: so it does not matter how far
//! ahead they were planned.

mod ahead;
pub mod ceiling;
mod conserve;
pub mod event;
mod lag;
pub mod latency;
mod poll;
pub mod queue;
pub mod setup;
pub mod sink;
mod steps;
mod watch;
pub mod worker;

pub use setup::Setup;
pub use sink::{Control, DecisionView, NoSink, Sink};

use crate::cache::BlockCache;
use crate::error::{Error, Result};
use crate::metrics::recorder::{Recorder, RunOutput};
use crate::prompt::{BlockRun, CacheEvent, Paths, Segment, block_runs, runs_within};
use crate::request::{RequestRecord, Status};
use crate::rng::{Rng, Stream, stream};
use crate::router::index::PrefixIndex;
use crate::router::{Frontend, IndexSource, RouteRequest};
use crate::units::Nanos;
use crate::workload::{Source, late};
use ceiling::Ceiling;
use event::{ARRIVAL_RANK, Event};
use latency::LatencyModel;
use queue::EventQueue;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use watch::Watch;
use worker::{Sequence, StepReport, Worker};

/// Nothing happens later, so that times can be added up without fear: 2^62 ns.
const LAST_INSTANT: Nanos = Nanos(1 << 62);

/// Runs one router over one workload.
///
/// # Errors
/// Where the workload cannot be read or a row cannot be written.
pub fn run(
    setup: &Setup,
    source: Box<dyn Source>,
    sink: &mut dyn Sink,
    control: &Control,
) -> Result<RunOutput> {
    let source = late::by(source, setup.front());
    let mut simulation = Simulation::new(setup, source, sink, control);
    simulation.run()?;
    simulation.finish()
}

/// All state of a run.
struct Simulation<'a> {
    setup: &'a Setup,
    now: Nanos,
    queue: EventQueue<Event>,
    source: Box<dyn Source>,
    /// What the source said last, and whether it may say something else now.
    arrival: Option<Nanos>,
    asks_source: bool,
    routers: Vec<Frontend>,
    /// Next replica to take a request.
    next_router: usize,
    workers: Vec<Worker>,
    /// Number of each worker's latest plan when its steps end; a `StepEnd` of an earlier one is void.
    plans: Vec<u32>,
    /// What the step that begins or ends now does.
    report: StepReport,
    /// A `StepBegin` is in the queue.
    woken: Vec<bool>,
    /// Could not schedule anything: a shared cache is full of others' blocks.
    stalled: Vec<u32>,
    /// One per worker, or one for all of them.
    caches: Vec<BlockCache>,
    latency: Box<dyn LatencyModel>,
    /// Names runs, unless the router's index forgets run by run.
    paths: Option<Paths>,
    /// What every cache holds, now, but for what is watched.
    truth: PrefixIndex,
    watch: Watch,
    /// Per worker: the runs watched because they lose blocks in the stretch under way.
    going: Vec<Vec<(u64, u32)>>,
    /// KV events of each worker's step under way.
    pending_events: Vec<Vec<CacheEvent>>,
    /// KV events that reach the routers later, by worker; all take equally long.
    on_the_way: VecDeque<(u32, Vec<CacheEvent>)>,
    /// By routers, by the sink, or by both.
    events_wanted: bool,
    sink_wants_events: bool,
    event_loss: Rng,
    ceiling: Ceiling,
    recorder: Recorder,
    /// When a request last arrived or a step last began or ended: KV events still on their way then
    /// make no run longer.
    active: Nanos,
    /// Checks of conservation so far, to sample them.
    steps: u64,
    sink: &'a mut dyn Sink,
    control: &'a Control,
}

impl<'a> Simulation<'a> {
    fn new(
        setup: &'a Setup,
        source: Box<dyn Source>,
        sink: &'a mut dyn Sink,
        control: &'a Control,
    ) -> Self {
        let workers = setup.workers();
        let routers = setup.frontends();
        let needs = routers[0].needs();
        // An index that forgets run by run wants them as they are.
        let joins = needs.index != IndexSource::Decisions;
        let caches = setup.caches(needs.shared_cache);
        let sink_wants_events = sink.wants_cache_events();
        let events_wanted = sink_wants_events || needs.index == IndexSource::Events;
        let in_time = sink_wants_events
            || setup.scenario.router.metrics_interval.is_some()
            || events_wanted && setup.events_go_astray();
        let config = setup.worker_config(&needs, !in_time && caches[0].may_fill_late());
        let routers =
            if joins { routers.into_iter().map(Frontend::numbered).collect() } else { routers };
        Simulation {
            now: Nanos::ZERO,
            queue: EventQueue::default(),
            source,
            arrival: None,
            asks_source: true,
            next_router: 0,
            workers: (0..workers).map(|_| Worker::new(config)).collect(),
            plans: vec![0; workers],
            report: StepReport::default(),
            woken: vec![false; workers],
            stalled: Vec::new(),
            latency: setup.latency(),
            paths: joins.then(Paths::default),
            truth: if joins { PrefixIndex::numbered() } else { PrefixIndex::default() },
            watch: Watch::default(),
            going: vec![Vec::new(); workers],
            caches,
            pending_events: vec![Vec::new(); workers],
            on_the_way: VecDeque::new(),
            events_wanted,
            sink_wants_events,
            event_loss: stream(setup.seed, Stream::EventLoss, 0),
            ceiling: if joins { Ceiling::numbered() } else { Ceiling::default() },
            recorder: setup.recorder(),
            active: Nanos::ZERO,
            steps: 0,
            routers,
            setup,
            sink,
            control,
        }
    }

    /// The loop. Ends when nothing is left to happen, or when asked to stop.
    fn run(&mut self) -> Result<()> {
        self.poll()?;
        while !self.control.stop.load(Ordering::Relaxed) {
            let arrival = self.next_arrival()?.map(|at| (at, ARRIVAL_RANK));
            match (arrival, self.queue.peek()) {
                (None, None) => break,
                (Some(next), event) if event.is_none_or(|event| next < event) => {
                    self.advance(next.0)?;
                    self.arrive()?;
                }
                _ => {
                    let (at, event) = self.queue.pop().expect("it was just looked at");
                    self.advance(at)?;
                    self.look_ahead();
                    self.happen(event)?;
                }
            }
        }
        Ok(())
    }

    /// When the next request arrives, as far as is known now. Asked from the source only where the
    /// answer may be another than before.
    fn next_arrival(&mut self) -> Result<Option<Nanos>> {
        if self.asks_source {
            self.arrival = self.source.next_arrival()?;
            self.asks_source = false;
        }
        Ok(self.arrival)
    }

    fn advance(&mut self, to: Nanos) -> Result<()> {
        debug_assert!(to >= self.now, "the clock went back from {} to {to}", self.now);
        self.on_clock(to)?;
        self.now = to;
        Ok(())
    }

    /// Refuses a time that comes after [`LAST_INSTANT`].
    fn on_clock(&self, to: Nanos) -> Result<()> {
        if to <= LAST_INSTANT {
            return Ok(());
        }
        Err(Error::input(format!(
            "the simulation passes {:.0} years, as far as its clock goes, after {}; \
             shorten the pauses or steps, or raise the rate",
            LAST_INSTANT.as_secs_f64() / (365.25 * 86_400.0),
            self.now
        )))
    }

    fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::StepEnd { worker, plan } => {
                if self.plans[worker as usize] == plan {
                    self.active = self.now;
                    self.end_step(worker as usize)?;
                }
            }
            Event::KvEvents => {
                let (worker, events) = self.on_the_way.pop_front().expect("they were sent");
                steps::deliver(&mut self.routers, worker, &events);
            }
            Event::Poll => self.poll()?,
            Event::StepBegin { worker, .. } => {
                self.active = self.now;
                self.begin_step(worker as usize)?;
            }
        }
        Ok(())
    }

    fn arrive(&mut self) -> Result<()> {
        let request = self.source.take()?;
        self.asks_source = true;
        self.active = self.now;
        if self.recorder.opens_at(request.arrival) {
            self.settle_all();
        }
        let prompt_blocks = request.prompt_tokens / self.block_tokens();
        let (runs, prompt_runs) = self.runs_of(&request.segments, prompt_blocks);
        self.ceiling.fetch(&runs);
        self.routers[self.next_router].fetch_runs(&runs[..prompt_runs]);
        self.truth.fetch_runs(&runs[..prompt_runs]);
        let mut record = RequestRecord::new(&request);
        self.recorder.arrived(request.arrival);
        if !self.setup.fits(request.prompt_tokens, request.output_tokens) {
            record.status = Status::Rejected;
            return self.ended(&record);
        }
        let block_tokens = self.block_tokens();
        let found = self.ceiling.arrive(&runs, prompt_runs, request.prompt_tokens, block_tokens);
        record.ceiling_tokens = found.tokens;
        self.ask_watched(&runs);
        self.route(&mut record, &runs, prompt_runs, prompt_blocks)?;
        let worker = record.worker.expect("it was just routed");
        let sequence = Sequence::new(record, runs, prompt_runs, found.new_output);
        if found.new_output {
            self.watch.output(worker, &sequence);
        }
        self.workers[worker as usize].enqueue(sequence);
        self.wake(worker as usize);
        Ok(())
    }

    /// The full blocks of prompt and output, and how many runs make up the first `prompt_blocks`.
    fn runs_of(&mut self, segments: &[Segment], prompt_blocks: u32) -> (Arc<[BlockRun]>, usize) {
        let runs = block_runs(segments, self.block_tokens());
        let prompt_runs = runs_within(&runs, prompt_blocks);
        let (runs, prompt_runs) = match &mut self.paths {
            Some(paths) => paths.shorten(&runs, prompt_runs),
            None => (runs, prompt_runs),
        };
        (runs.into(), prompt_runs)
    }

    fn block_tokens(&self) -> u32 {
        self.setup.scenario.cluster.block_tokens
    }

    fn route(
        &mut self,
        record: &mut RequestRecord,
        runs: &Arc<[BlockRun]>,
        prompt_runs: usize,
        prompt_blocks: u32,
    ) -> Result<()> {
        let best = self.truth.best_overlap(&runs[..prompt_runs]);
        let request = RouteRequest {
            id: record.id,
            session: record.session,
            now: self.now,
            prompt_tokens: record.prompt_tokens,
            runs: &runs[..prompt_runs],
            true_best_overlap: best,
        };
        let wanted = self.sink.wants_decisions();
        let decision = self.routers[self.next_router].route(&request, runs, wanted);
        self.next_router = (self.next_router + 1) % self.routers.len();
        record.worker = Some(decision.worker);
        let cache = self.cache_of(decision.worker as usize) as u32;
        record.overlap_blocks = self.truth.overlap_of(&runs[..prompt_runs], cache);
        record.best_overlap_blocks = best;
        record.predicted_overlap_blocks = decision.predicted_overlap;
        self.recorder.decided(record);
        if wanted {
            let mut overlaps = vec![0; self.caches.len()];
            self.truth.overlaps(&runs[..prompt_runs], &mut overlaps);
            let truth: Vec<u32> =
                (0..self.workers.len()).map(|worker| overlaps[self.cache_of(worker)]).collect();
            let view =
                DecisionView { request: record, prompt_blocks, decision: &decision, truth: &truth };
            self.sink.decision(&view)?;
        }
        Ok(())
    }

    fn cache_of(&self, worker: usize) -> usize {
        if self.caches.len() == 1 { 0 } else { worker }
    }

    /// A request reached its end, whichever.
    fn ended(&mut self, record: &RequestRecord) -> Result<()> {
        self.recorder.ended(record);
        self.source.on_complete(record.id, self.now);
        self.asks_source = true;
        self.control.done.fetch_add(1, Ordering::Relaxed);
        self.sink.request(record)
    }

    fn finish(mut self) -> Result<RunOutput> {
        let interrupted = self.control.stop.load(Ordering::Relaxed);
        self.settle_all();
        self.record_under_way();
        let mut left: Vec<RequestRecord> =
            self.workers.iter_mut().flat_map(Worker::abandon).collect();
        if !interrupted && let Some(record) = left.first() {
            return Err(Error::Run(format!(
                "{} requests wait for ever, the first is request {}: a defect of kvroute, please report it",
                left.len(),
                record.id
            )));
        }
        left.sort_by_key(|record| record.id);
        for record in &mut left {
            record.status = Status::Unfinished;
            self.recorder.ended(record);
            self.sink.request(record)?;
        }
        self.sink.finish()?;
        let evicted: Vec<u64> = self.caches.iter().map(BlockCache::evicted).collect();
        let Setup { mode, seed, .. } = self.setup;
        Ok(self.recorder.finish(mode, *seed, self.active, &evicted))
    }
}
