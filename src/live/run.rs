//! A live run: the workload's requests are sent when they are due, and the source hears of every end.
//!
//! One task deals out requests, a task each carries them through, one scrapes metrics and one measures
//! how late the event loop is. Every request that was sent ends in exactly one of completed, failed and
//! cancelled, and only then the run does. Stopped early (Ctrl-C, or the end of a `--duration`), it sends
//! nothing more, waits the grace period and gives up what is left.

use super::arms::Choosing;
use super::attempt::{Attempt, Done};
use super::body::Bodies;
use super::client::answer::Answer;
use super::client::{Call, Client, Limits};
use super::clock::{Clock, Timer};
use super::connect::{self, header_name};
use super::conversation::{Conversations, answer_segment};
use super::dispatch::Dispatch;
use super::expected::Expected;
use super::kv_events::subscriber::Subscriber;
use super::machine;
use super::options::LiveOptions;
use super::plan::Job;
use super::progress::Progress;
use super::record::{LiveRecord, LiveSink, Outcome};
use super::recorder::{LiveOutput, LiveRecorder, RunFacts};
use super::runtime;
use super::text::Texts;
use super::watchers::Watchers;
use crate::error::{Error, Result};
use crate::metrics::window::Window;
use crate::prompt::Segment;
use crate::request::{Request, RequestId};
use crate::sim::Control;
use crate::units::Nanos;
use crate::workload::Source;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

/// How often the run looks whether it shall stop.
const TICK: Duration = Duration::from_millis(50);
/// Requests dealt out before those in flight get their turn.
const BATCH: u32 = 32;

/// Runs `job` to its end; `sinks` get every record. `control.stop` ends it early.
///
/// # Errors
/// Where no endpoint can be reached, an option is no header, or a sink cannot be written.
pub fn run(
    job: Job,
    sinks: &mut [&mut dyn LiveSink],
    progress: &Progress,
    control: &Control,
) -> Result<LiveOutput> {
    start(job, progress)?.run(sinks, control)
}

/// A run that has its connections, and has sent nothing yet.
pub struct Ready<'a> {
    runtime: Runtime,
    run: Run<'a>,
}

/// Does all of `job` that can fail before the first request.
///
/// # Errors
/// Where an endpoint cannot be reached, or an option is no header.
pub fn start<'a>(job: Job<'a>, progress: &'a Progress) -> Result<Ready<'a>> {
    let runtime = runtime::new(job.options.threads)?;
    match runtime.block_on(Run::start(job, progress)) {
        Ok(run) => Ok(Ready { runtime, run }),
        Err(why) => {
            runtime::stop(runtime);
            Err(why)
        }
    }
}

impl Ready<'_> {
    /// Runs to the end; `sinks` get every record. `control.stop` ends it early.
    ///
    /// # Errors
    /// Where a sink cannot be written.
    pub fn run(self, sinks: &mut [&mut dyn LiveSink], control: &Control) -> Result<LiveOutput> {
        let Ready { runtime, mut run } = self;
        let result = runtime.block_on(async {
            run.drive(sinks, control).await?;
            Ok(run.finish().await)
        });
        runtime::stop(runtime);
        result
    }
}

struct Run<'a> {
    source: Box<dyn Source>,
    options: &'a LiveOptions,
    texts: &'a Texts,
    dispatch: Box<dyn Dispatch + 'a>,
    /// Hears KV events as long as it lives.
    _subscriber: Option<Subscriber>,
    recorder: LiveRecorder,
    window: Window,
    duration: Option<Nanos>,
    facts: RunFacts,
    client: Arc<Client>,
    clock: Clock,
    conversations: Conversations,
    expected: Expected,
    bodies: Bodies,
    session_header: Option<HeaderName>,
    progress: &'a Progress,
    ended: mpsc::UnboundedReceiver<Done>,
    end: mpsc::UnboundedSender<Done>,
    cancel: watch::Sender<bool>,
    first_tokens: mpsc::UnboundedReceiver<RequestId>,
    first_token: mpsc::UnboundedSender<RequestId>,
    /// Segments of the prompts in flight.
    prompts: FxHashMap<RequestId, Vec<Segment>>,
    /// When requests in flight are given up, once the run was ended early.
    deadline: Option<Nanos>,
    cpu_before: f64,
    watchers: Watchers,
}

impl<'a> Run<'a> {
    async fn start(job: Job<'a>, progress: &'a Progress) -> Result<Run<'a>> {
        let options = job.options;
        let clock = Clock::start();
        machine::raise_file_limit();
        machine::raise_priority();
        let client = Arc::new(connect::client(options, &clock).await?);
        client.warm(job.warm_connections.max(1)).await?;
        let watchers =
            Watchers::start(&client, &options.metrics, options.scrape_every, &clock).await?;
        let Choosing { mut dispatch, events } = job.choosing;
        if dispatch.wants_metrics() {
            watchers.show_loads()?;
        }
        let subscriber = match events {
            Some(events) => Some(events.start(&clock, dispatch.as_mut()).await?),
            None => None,
        };
        if options.caches_emptied {
            dispatch.caches_emptied();
        }
        let (end, ended) = mpsc::unbounded_channel();
        let (first_token, first_tokens) = mpsc::unbounded_channel();
        Ok(Run {
            source: job.source,
            options,
            texts: job.texts,
            dispatch,
            _subscriber: subscriber,
            recorder: job.recorder,
            window: job.window,
            duration: job.duration,
            facts: RunFacts {
                label: job.label.clone(),
                router: job.label,
                seed: job.seed,
                ..RunFacts::default()
            },
            client,
            clock,
            conversations: Conversations::new(job.system_prompt),
            expected: Expected::new(job.block_tokens),
            bodies: Bodies::new(&options.body)?,
            session_header: options.session_header.as_deref().map(header_name).transpose()?,
            progress,
            ended,
            end,
            cancel: watch::Sender::new(false),
            first_tokens,
            first_token,
            prompts: FxHashMap::default(),
            deadline: None,
            cpu_before: 0.0,
            watchers,
        })
    }

    /// Sends until there is nothing left to send, or it shall stop; ends with the last request.
    async fn drive(&mut self, sinks: &mut [&mut dyn LiveSink], control: &Control) -> Result<()> {
        let mut timer = Timer::new().map_err(|why| Error::Run(format!("no timer: {why}")))?;
        let mut tick = tokio::time::interval(TICK);
        // Time 0 of the run is when everything is ready.
        self.clock.restart();
        self.cpu_before = machine::cpu_seconds();
        let unix_ns = self.clock.start_unix_ns();
        sinks.iter_mut().for_each(|sink| sink.started(unix_ns));
        self.facts.interrupted = control.stop.load(Relaxed);
        if self.facts.interrupted {
            return Ok(());
        }
        loop {
            let next = self.send_due().await?;
            if next.is_none() && self.prompts.is_empty() {
                return Ok(());
            }
            let due = next.unwrap_or(Nanos(u64::MAX));
            tokio::select! {
                biased;
                Some(done) = self.ended.recv() => {
                    self.done(done, sinks)?;
                    while let Ok(done) = self.ended.try_recv() {
                        self.done(done, sinks)?;
                    }
                }
                () = self.clock.sleep_until(&mut timer, due), if next.is_some() => {}
                _ = tick.tick() => self.tick(control),
            }
        }
    }

    /// Sends what is due by now. When the next one is, if any is known.
    async fn send_due(&mut self) -> Result<Option<Nanos>> {
        let mut batch = 0;
        loop {
            if self.deadline.is_some() {
                return Ok(None);
            }
            match self.source.next_arrival()? {
                Some(at) if at <= self.clock.now() => {
                    let request = self.source.take()?;
                    self.send(&request)?;
                }
                next => return Ok(next),
            }
            batch += 1;
            if batch % BATCH == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn send(&mut self, request: &Request) -> Result<()> {
        let prompt = self.conversations.prompt(request);
        self.window.arrive(request.arrival);
        let mut record = LiveRecord::new(request);
        record.warm_up = !self.window.is_open();
        record.planned_prompt_tokens = prompt.tokens;
        record.expected_hit_tokens = self.expected.sent(&prompt);
        self.hear_first_tokens();
        self.hear_metrics();
        let choice = self.dispatch.choose(request, &prompt, self.clock.now())?;
        let target = choice.endpoint;
        record.endpoint = target as u32;
        record.predicted_hit_tokens = choice.predicted_tokens;
        record.decision = self.dispatch.explained().map(Box::new);
        let news = self.dispatch.wants_first_tokens().then(|| self.first_token.clone());
        let call = Call {
            target,
            first_token: news.map(|news| (request.id, news)),
            session: request.session,
            headers: self.headers(request),
            body: self.bodies.bytes(&self.texts.pieces, &prompt, request.output_tokens),
            limits: Limits::for_output(request.output_tokens),
        };
        self.prompts.insert(request.id, prompt.segments);
        self.recorder.sent();
        self.progress.update(|now| {
            now.sent += 1;
            now.endpoints[target].0 += 1;
        });
        let attempt = Attempt {
            client: Arc::clone(&self.client),
            clock: self.clock.clone(),
            cancel: self.cancel.subscribe(),
            retries: self.options.retries,
        };
        let end = self.end.clone();
        tokio::spawn(async move {
            // The receiver lives as long as any request does.
            drop(end.send(attempt.run(call, record).await));
        });
        Ok(())
    }

    /// Tells the router of first tokens that have come.
    fn hear_first_tokens(&mut self) {
        while let Ok(id) = self.first_tokens.try_recv() {
            self.dispatch.first_token(id);
        }
    }

    /// Shows the router the workers' latest metrics, where it goes by them.
    fn hear_metrics(&mut self) {
        if !self.dispatch.wants_metrics() {
            return;
        }
        for (endpoint, gauges) in self.watchers.latest().iter().enumerate() {
            gauges.iter().for_each(|gauges| self.dispatch.polled(endpoint, gauges));
        }
    }

    fn headers(&self, request: &Request) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(name) = &self.session_header {
            headers.insert(name, HeaderValue::from(request.session));
        }
        headers
    }

    /// A request has ended: books are kept, later turns may go.
    fn done(&mut self, done: Done, sinks: &mut [&mut dyn LiveSink]) -> Result<()> {
        let Done { mut record, answer, kernel } = done;
        self.facts.kernel_timestamps |= kernel;
        record.output_tokens = self.output_tokens(&record, &answer);
        self.hear_first_tokens();
        self.dispatch.ended(record.id);
        let is_over = self.source.on_complete(record.id, record.ended);
        let prompt = self.prompts.remove(&record.id).unwrap_or_default();
        if is_over {
            self.dispatch.session_over(record.session);
            self.conversations.forget(record.session);
            self.client.session_over(record.session);
        } else if record.outcome == Outcome::Completed {
            let tokens = self.history_tokens(&record, &answer);
            self.conversations.answered(record.session, record.id, &answer.text, tokens);
            self.expected.answered(&prompt, answer_segment(record.id, tokens));
        }
        if !record.warm_up {
            answer.gaps.iter().for_each(|gap| self.recorder.gap(*gap));
        }
        record.gaps = self.options.keep_gaps.then_some(answer.gaps);
        self.recorder.ended(&record);
        self.progress.update(|now| now.ended(&record));
        sinks.iter_mut().try_for_each(|sink| sink.request(&record))
    }

    /// The server's count, else our tokenizer's.
    fn output_tokens(&self, record: &LiveRecord, answer: &Answer) -> u32 {
        match answer.usage {
            Some(usage) if usage.completion_tokens > 0 => usage.completion_tokens,
            _ if record.outcome != Outcome::Completed => answer.chunks,
            _ => {
                let counted = self.texts.tokenizer.count(&answer.text) as u32;
                counted + answer.reasoning_chunks
            }
        }
    }

    /// How long an answer is when a later turn contains it. The server tokenises its text anew, and that
    /// need not give the tokens it was made of; with the model's tokenizer we know, else its own count is
    /// the best guess.
    fn history_tokens(&self, record: &LiveRecord, answer: &Answer) -> u32 {
        if self.options.tokenizer.is_some() {
            return self.texts.tokenizer.count(&answer.text) as u32;
        }
        record.output_tokens
    }

    /// From time to time: shall it stop, and has what is in flight had its time?
    fn tick(&mut self, control: &Control) {
        let now = self.clock.now();
        self.hear_loop_delays();
        let grace = Nanos(self.options.grace.as_nanos() as u64);
        let stopped = control.stop.load(Relaxed);
        if self.deadline.is_none() && (stopped || self.duration.is_some_and(|end| now >= end)) {
            self.deadline = Some(now + grace);
            self.facts.interrupted = stopped;
            self.progress.update(|now| now.draining = true);
        }
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.cancel.send_replace(true);
        }
    }

    fn hear_loop_delays(&mut self) {
        for delay in self.watchers.take_loop_delays() {
            self.recorder.loop_delay(delay);
        }
    }

    async fn finish(mut self) -> LiveOutput {
        self.hear_loop_delays();
        self.facts.cpu_s = machine::cpu_seconds() - self.cpu_before;
        self.facts.threads = self.options.threads.max(1);
        self.facts.connections = self.client.opened();
        self.facts.doubts = self.dispatch.doubts();
        self.facts.server = self.watchers.finish().await;
        self.recorder.finish(self.facts)
    }
}
