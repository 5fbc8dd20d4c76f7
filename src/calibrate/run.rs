//! Measurements from the folder of a live run: requests that nobody disturbed.
//!
//! A request that was alone on its worker until its first token is a prefill row: TTFT against cached and
//! computed tokens. One during whose decoding nobody's prompt was computed on its worker is a decode row:
//! time per output token against the mean number of requests that decoded and their mean length. The
//! others tell nothing of a single step and are left out.

use super::read::{Row, Source, add_decodes};
use crate::error::{Error, Result};
use crate::sim::latency::BatchShape;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Rows of either kind at least: fewer say nothing of how times grow.
const LEAST: usize = 8;

/// The columns of `requests.csv` that are needed.
#[derive(Deserialize)]
struct Line {
    router: String,
    seed: u64,
    worker: u32,
    prompt_tokens: u32,
    output_tokens: u32,
    hit_tokens: Option<u32>,
    ttft_ms: Option<f64>,
    tpot_ms: Option<f64>,
    e2e_ms: Option<f64>,
    sent_ms: Option<f64>,
    status: String,
}

/// A request that was sent; times are milliseconds from the start of its run.
struct Sent {
    sent: f64,
    first: Option<f64>,
    end: Option<f64>,
    prompt: u32,
    output: u32,
    hits: Option<u32>,
    tpot: Option<f64>,
    completed: bool,
}

/// A stretch of time.
#[derive(Clone, Copy)]
struct Span(f64, f64);

impl Span {
    fn overlap(self, other: Span) -> f64 {
        (self.1.min(other.1) - self.0.max(other.0)).max(0.0)
    }
}

/// Reads the requests of the live run in `folder`.
///
/// # Errors
/// Where it is no live run's, a line is damaged, or too few requests can be used.
pub(super) fn read(folder: &Path) -> Result<Vec<Row>> {
    let mut prefill = Vec::new();
    let mut decode = Vec::new();
    let mut requests = 0;
    let mut tells_hits = false;
    for worker in by_worker(folder)?.into_values() {
        requests += worker.len();
        let tells = worker.iter().any(|request| request.hits.is_some());
        tells_hits |= tells;
        let worker = Worker::new(worker);
        for place in 0..worker.requests.len() {
            prefill.extend(worker.prefill(place).filter(|_| tells));
            decode.extend(worker.decode(place));
        }
    }
    if prefill.len() >= LEAST && decode.len() >= LEAST {
        return Ok([prefill, decode].concat());
    }
    let why = if tells_hits || requests == 0 {
        "give a run at a lower rate, or the probe-*.csv of one with --compare-sim"
    } else {
        "no response said how many prompt tokens were cached, which a prefill row must know; vLLM does with \
         --enable-prompt-tokens-details"
    };
    Err(Error::input(format!(
        "{}: of {requests} requests {} were alone on their worker until their first token and {} decoded \
         without another's prefill; a fit needs {LEAST} of each: {why}",
        folder.display(),
        prefill.len(),
        decode.len()
    )))
}

/// The requests of each worker in each run.
fn by_worker(folder: &Path) -> Result<BTreeMap<(String, u64, u32), Vec<Sent>>> {
    let path = folder.join("requests.csv");
    if !path.is_file() {
        return Err(Error::input(format!(
            "{} is a folder without requests.csv; give that of a live run, or CSV files of measurements",
            folder.display()
        )));
    }
    let mut reader = csv::Reader::from_path(&path).map_err(|why| Error::unreadable(&path, why))?;
    let wrong = |why: csv::Error| Error::input(format!("{}: {why}", path.display()));
    let header = reader.headers().map_err(wrong)?;
    if !header.iter().any(|column| column == "sent_ms") {
        return Err(Error::input(format!(
            "{} is the folder of a simulated run, whose times come from a latency model; give that of a \
             live run",
            folder.display()
        )));
    }
    let mut workers: BTreeMap<(String, u64, u32), Vec<Sent>> = BTreeMap::new();
    for line in reader.deserialize() {
        let line: Line = line.map_err(wrong)?;
        let Some(sent) = line.sent_ms else { continue };
        let request = Sent {
            sent,
            first: line.ttft_ms.map(|ttft| sent + ttft),
            end: line.e2e_ms.map(|e2e| sent + e2e),
            prompt: line.prompt_tokens,
            output: line.output_tokens,
            hits: line.hit_tokens,
            tpot: line.tpot_ms,
            completed: line.status == "completed",
        };
        workers.entry((line.router, line.seed, line.worker)).or_default().push(request);
    }
    Ok(workers)
}

/// One worker in one run, its requests in the order in which they were sent.
struct Worker {
    requests: Vec<Sent>,
    /// The longest that a request took.
    longest: f64,
}

impl Worker {
    fn new(mut requests: Vec<Sent>) -> Worker {
        requests.sort_by(|a, b| a.sent.total_cmp(&b.sent));
        let took = requests.iter().filter_map(|request| Some(request.end? - request.sent));
        let longest = took.fold(0.0, f64::max);
        Worker { requests, longest }
    }

    /// A request's time on the worker; where its end is not known, as long as the longest.
    fn span(&self, request: &Sent) -> Span {
        Span(request.sent, request.end.unwrap_or(request.sent + self.longest))
    }

    /// The requests besides number `place` that were on the worker at any time of `span`.
    fn beside(&self, place: usize, span: Span) -> impl Iterator<Item = &Sent> {
        let from = self.requests.partition_point(|other| other.sent < span.0 - self.longest);
        let to = self.requests.partition_point(|other| other.sent < span.1);
        (from..to)
            .filter(move |other| *other != place)
            .map(|other| &self.requests[other])
            .filter(move |other| self.span(other).overlap(span) > 0.0)
    }

    fn prefill(&self, place: usize) -> Option<Row> {
        let request = &self.requests[place];
        let first = request.first.filter(|_| request.completed)?;
        if self.beside(place, Span(request.sent, first)).next().is_some() {
            return None;
        }
        // Servers that tell of hits may leave out zeros.
        let hits = request.hits.unwrap_or(0).min(request.prompt.saturating_sub(1));
        let mut shape = BatchShape::default();
        shape.prefill(hits, request.prompt - hits);
        let ms = first - request.sent;
        (ms > 0.0 && request.prompt > 0).then_some(Row { shape, ms, source: Source::Request })
    }

    fn decode(&self, place: usize) -> Option<Row> {
        let request = &self.requests[place];
        let (first, end) = request.first.zip(request.end)?;
        let ms = request.tpot.filter(|tpot| *tpot > 0.0 && request.completed && end > first)?;
        let span = Span(first, end);
        let context = |request: &Sent| f64::from(request.prompt) + f64::from(request.output) / 2.0;
        let (mut batch, mut contexts) = (1.0, context(request));
        for other in self.beside(place, span) {
            let decodes = Span(other.first?, other.end?);
            if Span(other.sent, decodes.0).overlap(span) > 0.0 {
                return None;
            }
            let share = decodes.overlap(span) / (end - first);
            batch += share;
            contexts += share * context(other);
        }
        let mut shape = BatchShape::default();
        add_decodes(&mut shape, batch.round() as u32, (contexts / batch).round() as u32).ok()?;
        Some(Row { shape, ms, source: Source::Client })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(sent: f64, first: f64, end: f64) -> Sent {
        Sent {
            sent,
            first: Some(first),
            end: Some(end),
            prompt: 100,
            output: 11,
            hits: Some(64),
            tpot: Some((end - first) / 10.0),
            completed: true,
        }
    }

    #[test]
    fn only_requests_that_nobody_disturbed_are_rows() {
        let worker = Worker::new(vec![
            sent(0.0, 20.0, 120.0),
            // Comes while the first one decodes: disturbs it, and is not alone itself.
            sent(50.0, 80.0, 180.0),
            // Begins when the second has ended.
            sent(180.0, 200.0, 300.0),
        ]);
        let alone: Vec<bool> = (0..3).map(|place| worker.prefill(place).is_some()).collect();
        assert_eq!(alone, [true, false, true]);
        let decoded: Vec<bool> = (0..3).map(|place| worker.decode(place).is_some()).collect();
        assert_eq!(decoded, [false, true, true]);
        let first = worker.prefill(0).unwrap();
        assert_eq!((first.shape.prefill_tokens, first.shape.prefill_context), (36, 64));
        assert_eq!((first.ms, first.source), (20.0, Source::Request));
    }

    #[test]
    fn a_decode_row_has_the_mean_batch_of_its_time() {
        // Two decode together for 90 of 100 ms of the later one.
        let worker = Worker::new(vec![sent(0.0, 20.0, 190.0), sent(60.0, 100.0, 200.0)]);
        let row = worker.decode(1).unwrap();
        assert_eq!((row.shape.decode_seqs, row.ms), (2, 10.0));
        assert_eq!(row.shape.decode_context, 2 * 107);
    }

    #[test]
    fn one_that_never_ended_disturbs_as_long_as_the_longest() {
        let mut lost = sent(10.0, 0.0, 0.0);
        (lost.first, lost.end, lost.completed) = (None, None, false);
        let worker = Worker::new(vec![lost, sent(50.0, 60.0, 150.0), sent(170.0, 190.0, 250.0)]);
        assert!(worker.prefill(0).is_none() && worker.prefill(1).is_none());
        assert!(worker.prefill(2).is_some());
        assert!(worker.decode(1).is_none() && worker.decode(2).is_some());
    }
}
