//! What the servers say of themselves: Prometheus metrics before, during and after a run.
//!
//! [`ServerLog`] is given every page that was fetched and sums up what changed from the first to the
//! last. Counters are followed series by series (one for each set of labels): one that goes back
//! belongs to a server that was restarted, and counts from zero again; one that appears during the
//! run began at zero. Gauges of several engines on a page are added up, their KV usage is averaged.

use crate::units::Nanos;
use known::{KINDS, Kind, What};
use prometheus::{Line, Sample};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

pub mod facts;
mod known;
mod prometheus;

#[cfg(test)]
mod tests;

/// Metrics of all servers together, over the run. Tokens are those of the engines; of front ends
/// only where no engine told any, because they would be counted twice.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ServerMetrics {
    /// Prompt tokens looked up in prefix caches.
    pub query_tokens: Option<f64>,
    /// Of these, found.
    pub hit_tokens: Option<f64>,
    /// Preemptions.
    pub preemptions: Option<f64>,
    /// One per metrics URL.
    pub sources: Vec<ServerSource>,
}

/// One metrics URL.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ServerSource {
    /// Where.
    pub url: String,
    /// `vllm`, `sglang`, `dynamo` (the front end) or `dynamo-worker`; empty where nothing was known.
    pub kind: String,
    /// Prompt tokens looked up over the run.
    pub query_tokens: Option<f64>,
    /// Of these, found.
    pub hit_tokens: Option<f64>,
    /// Times it was asked.
    pub scrapes: u64,
    /// Times it did not answer.
    pub failed_scrapes: u64,
    /// Why not, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Lines of its answers that are no metrics.
    pub bad_lines: u64,
    /// Times that its counters went back: it was restarted.
    pub restarts: u64,
    /// Gauges over time.
    #[serde(skip)]
    pub series: Vec<GaugeSample>,
}

/// Gauges at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GaugeSample {
    /// Seconds since the start of the run.
    pub at_s: f64,
    /// Requests running.
    pub running: Option<f64>,
    /// Requests waiting.
    pub waiting: Option<f64>,
    /// Share of KV blocks in use, 0 to 1.
    pub kv_usage: Option<f64>,
    /// Prompt tokens looked up since the first sample.
    pub query_tokens: Option<f64>,
    /// Of these, found.
    pub hit_tokens: Option<f64>,
}

impl GaugeSample {
    /// Requests running and waiting, where either is known.
    pub fn requests(&self) -> Option<f64> {
        let known = self.running.is_some() || self.waiting.is_some();
        known.then(|| self.running.unwrap_or(0.0) + self.waiting.unwrap_or(0.0))
    }
}

/// Collects the metrics of some servers during a run.
pub struct ServerLog {
    sources: Vec<Source>,
}

/// What is known of one metrics URL.
struct Source {
    seen: ServerSource,
    kind: Option<&'static Kind>,
    /// Pages of metrics it gave, whether they said anything we know or not.
    pages: u64,
    queries: Counter,
    hits: Counter,
    preemptions: Counter,
}

impl ServerLog {
    /// Nothing fetched yet from any of `urls`, which must hold no secrets: they are written down.
    pub fn new(urls: impl IntoIterator<Item = String>) -> ServerLog {
        let source = |url| Source {
            seen: ServerSource { url, ..ServerSource::default() },
            kind: None,
            pages: 0,
            queries: Counter::default(),
            hits: Counter::default(),
            preemptions: Counter::default(),
        };
        ServerLog { sources: urls.into_iter().map(source).collect() }
    }

    /// Source number `source` was asked, `at` from the start of the run: its page, or why there is
    /// none. Ask before the first request, while they run, and after the last.
    pub fn scraped(&mut self, source: usize, at: Nanos, page: std::result::Result<&str, String>) {
        let source = &mut self.sources[source];
        source.seen.scrapes += 1;
        match page {
            Ok(page) => source.read(page, at),
            Err(why) => {
                source.seen.failed_scrapes += 1;
                source.seen.last_error = Some(why);
            }
        }
    }

    /// The gauges of each source when it last answered.
    pub fn latest(&self) -> impl Iterator<Item = Option<&GaugeSample>> {
        self.sources.iter().map(|source| source.seen.series.last())
    }

    /// What changed over the run.
    pub fn finish(self) -> ServerMetrics {
        let engines = |source: &Source| source.kind.is_some_and(|kind| kind.engine);
        let known = |source: &Source| source.change(&source.hits).is_some();
        let from_engines = self.sources.iter().any(|source| engines(source) && known(source));
        let (mut queries, mut hits, mut preemptions) = (None, None, None);
        let mut sources = Vec::with_capacity(self.sources.len());
        for mut source in self.sources {
            source.seen.query_tokens = source.change(&source.queries);
            source.seen.hit_tokens = source.change(&source.hits);
            if known(&source) && engines(&source) == from_engines {
                add(&mut queries, source.seen.query_tokens);
                add(&mut hits, source.seen.hit_tokens);
            }
            add(&mut preemptions, source.change(&source.preemptions));
            sources.push(source.seen);
        }
        ServerMetrics { query_tokens: queries, hit_tokens: hits, preemptions, sources }
    }
}

fn add(sum: &mut Option<f64>, value: Option<f64>) {
    if let Some(value) = value {
        *sum = Some(sum.unwrap_or(0.0) + value);
    }
}

impl Source {
    /// What a counter counted, where there was a page before and one after.
    fn change(&self, counter: &Counter) -> Option<f64> {
        counter.total().filter(|_| self.pages > 1)
    }

    fn read(&mut self, page: &str, at: Nanos) {
        let page = Page::of(page);
        self.seen.bad_lines += page.bad_lines;
        // An empty page is that of a server that has counted nothing yet; a page of nothing but bad
        // lines is that of something else.
        if page.bad_lines > 0 && page.samples.is_empty() {
            return;
        }
        let first = self.pages == 0;
        self.pages += 1;
        let Some(kind) = KINDS.iter().find(|kind| page.is_of(kind)) else {
            return;
        };
        self.kind = Some(kind);
        self.seen.kind = kind.name.into();
        let restarted = [
            self.queries.read(page.values(kind, What::Queries), first),
            self.hits.read(page.values(kind, What::Hits), first),
            self.preemptions.read(page.values(kind, What::Preemptions), first),
        ];
        self.seen.restarts += u64::from(restarted.contains(&true));
        let gauge = |what| page.values(kind, what).filter(|values| !values.is_empty());
        let sum = |what| gauge(what).map(|values| values.iter().map(|one| one.value).sum::<f64>());
        let count = gauge(What::KvUsage).map_or(1, |values| values.len());
        self.seen.series.push(GaugeSample {
            at_s: at.as_secs_f64(),
            running: sum(What::Running),
            waiting: sum(What::Waiting),
            kv_usage: sum(What::KvUsage).map(|usage| usage / count as f64),
            query_tokens: self.queries.total(),
            hit_tokens: self.hits.total(),
        });
    }
}

/// One page of metrics.
struct Page<'a> {
    samples: FxHashMap<&'a str, Vec<Sample<'a>>>,
    declared: FxHashSet<&'a str>,
    bad_lines: u64,
}

impl<'a> Page<'a> {
    fn of(text: &'a str) -> Page<'a> {
        let mut page =
            Page { samples: FxHashMap::default(), declared: FxHashSet::default(), bad_lines: 0 };
        for line in prometheus::lines(text) {
            match line {
                Line::Sample(sample) if sample.value.is_finite() => {
                    page.samples.entry(sample.name).or_default().push(sample);
                }
                Line::Sample(_) => {}
                Line::Declared(name) => {
                    page.declared.insert(name);
                }
                Line::Bad => page.bad_lines += 1,
            }
        }
        page
    }

    /// Whether it has any metric of that kind.
    fn is_of(&self, kind: &Kind) -> bool {
        kind.names.iter().any(|(what, _)| self.values(kind, *what).is_some())
    }

    /// The values of a metric, one for each set of labels: none where it is only declared, `None`
    /// where the page does not know it.
    fn values(&self, kind: &Kind, what: What) -> Option<&[Sample<'a>]> {
        let (_, names) = kind.names.iter().find(|(one, _)| *one == what)?;
        if let Some(found) = names.iter().find_map(|name| self.samples.get(name)) {
            return Some(found);
        }
        let declared = |name: &&str| {
            let family = name.strip_suffix("_sum").unwrap_or(name);
            self.declared.contains(*name) || self.declared.contains(family)
        };
        names.iter().any(declared).then_some(&[])
    }
}

/// A counter since the first page.
#[derive(Default)]
struct Counter {
    /// By name and labels: the last value, and how much was counted.
    series: FxHashMap<String, (f64, f64)>,
    /// Some page knew the counter.
    known: bool,
}

impl Counter {
    /// Reads its values on the next page, or on the first. Whether the counter went back.
    fn read(&mut self, values: Option<&[Sample]>, first: bool) -> bool {
        self.known |= values.is_some();
        let mut restarted = false;
        for sample in values.unwrap_or_default() {
            let Some((last, counted)) = self.series.get_mut(sample.series) else {
                let counted = if first { 0.0 } else { sample.value };
                self.series.insert(sample.series.into(), (sample.value, counted));
                continue;
            };
            let back = sample.value < *last;
            *counted += if back { sample.value } else { sample.value - *last };
            *last = sample.value;
            restarted |= back;
        }
        restarted
    }

    /// Counted so far; `None` where no page knew it.
    fn total(&self) -> Option<f64> {
        // Added in order, so that equal pages give equal sums whatever the map's order.
        let mut counted: Vec<f64> = self.series.values().map(|(_, counted)| *counted).collect();
        counted.sort_unstable_by(f64::total_cmp);
        self.known.then(|| counted.into_iter().sum())
    }
}
