//! Tasks beside the load: one looks at the servers' metrics, one at how late the event loop is.

use super::client::{Client, Target};
use super::clock::{Clock, Timer};
use super::server::{GaugeSample, ServerLog, ServerMetrics};
use crate::error::{Error, Result};
use crate::units::Nanos;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often the event loop's delay is measured: often enough for a 99th percentile of ten seconds, and
/// seldom enough to cost nothing.
const BEAT: Nanos = Nanos(50_000_000);

/// The tasks, and what they have seen.
pub struct Watchers {
    seen: Arc<Mutex<Seen>>,
    sources: Vec<Source>,
    client: Arc<Client>,
    clock: Clock,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
struct Source {
    target: Target,
    addresses: Vec<SocketAddr>,
}

struct Seen {
    log: ServerLog,
    loop_delays: Vec<u64>,
}

impl Watchers {
    /// Looks at `metrics` now and every `period`, until [`Watchers::finish`].
    ///
    /// # Errors
    /// A metrics host whose name is not known.
    pub async fn start(
        client: &Arc<Client>,
        metrics: &[Target],
        period: Duration,
        clock: &Clock,
    ) -> Result<Watchers> {
        let mut sources = Vec::new();
        for target in metrics {
            sources.push(Source { target: target.clone(), addresses: target.resolve().await? });
        }
        let urls = metrics.iter().map(|target| target.url.clone());
        let seen = Seen { log: ServerLog::new(urls), loop_delays: Vec::new() };
        let watchers = Watchers {
            seen: Arc::new(Mutex::new(seen)),
            sources,
            client: Arc::clone(client),
            clock: clock.clone(),
            tasks: Vec::new(),
        };
        for number in 0..watchers.sources.len() {
            watchers.scrape(number).await;
        }
        Ok(watchers.spawn(period))
    }

    fn spawn(mut self, period: Duration) -> Watchers {
        let beat = tokio::spawn(beat(self.clock.clone(), Arc::clone(&self.seen)));
        self.tasks.push(beat);
        for (number, source) in self.sources.iter().cloned().enumerate() {
            let (client, clock, seen) =
                (Arc::clone(&self.client), self.clock.clone(), Arc::clone(&self.seen));
            self.tasks.push(tokio::spawn(async move {
                loop {
                    tokio::time::sleep(period).await;
                    look(&client, &source, number, &clock, &seen).await;
                }
            }));
        }
        self
    }

    async fn scrape(&self, number: usize) {
        look(&self.client, &self.sources[number], number, &self.clock, &self.seen).await;
    }

    /// Delays of the event loop since the last call, nanoseconds.
    pub fn take_loop_delays(&self) -> Vec<u64> {
        std::mem::take(&mut lock(&self.seen).loop_delays)
    }

    /// What each page said when it last answered.
    pub fn latest(&self) -> Vec<Option<GaugeSample>> {
        lock(&self.seen).log.latest().map(Option::<&GaugeSample>::copied).collect()
    }

    /// Loads can be polled: every page shows requests.
    ///
    /// # Errors
    /// Where one does not, or did not answer.
    pub fn show_loads(&self) -> Result<()> {
        let shows = |sample: &Option<GaugeSample>| sample.and_then(|one| one.requests()).is_some();
        match self.latest().iter().position(|sample| !shows(sample)) {
            None => Ok(()),
            Some(number) => Err(Error::input(format!(
                "{} shows no requests running or waiting, by which --router-metrics-interval lets the \
                 router go; check --metrics-url, or leave that option out",
                self.sources[number].target.url
            ))),
        }
    }

    /// A last look; what the servers said over the run, where they were asked.
    pub async fn finish(self) -> Option<ServerMetrics> {
        self.tasks.iter().for_each(JoinHandle::abort);
        for number in 0..self.sources.len() {
            self.scrape(number).await;
        }
        let log = std::mem::replace(&mut lock(&self.seen).log, ServerLog::new([]));
        (!self.sources.is_empty()).then(|| log.finish())
    }
}

async fn look(client: &Client, source: &Source, number: usize, clock: &Clock, seen: &Mutex<Seen>) {
    let page = client.fetch(&source.target, &source.addresses).await;
    let page = page.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let page = page.as_deref().map_err(|fault| fault.words.clone());
    lock(seen).log.scraped(number, clock.now(), page);
}

/// A timer that says how late it was.
async fn beat(clock: Clock, seen: Arc<Mutex<Seen>>) {
    let Ok(mut timer) = Timer::new() else { return };
    let mut due = clock.now() + BEAT;
    loop {
        clock.sleep_until(&mut timer, due).await;
        let now = clock.now();
        lock(&seen).loop_delays.push(now.saturating_sub(due).0);
        // Beats that were missed are one delay, not many.
        due = (due + BEAT).max(now);
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
