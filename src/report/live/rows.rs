//! `requests.csv`, `workers.csv`, `timeline.csv` and `server_metrics.csv` of a live run.
//!
//! **The rule.** Each begins with the columns of a simulated run, in their order and under their
//! names, so that one reader reads both; what only a simulator can know is empty there, and what only
//! a live run has is appended. Latencies count from the actual send; those from the intended send are
//! called scheduled.

use crate::error::Result;
use crate::live::record::{LiveRecord, LiveSink, Outcome};
use crate::live::recorder::LiveWorker;
use crate::live::server::ServerSource;
use crate::live::timeline::{LiveCell, LiveTimeline};
use crate::report::csv::{self, per_gap};
use crate::report::line::{Line, quoted};
use crate::report::run_dir::{ResultFile, RunDir};
use crate::report::run_files::{REQUESTS, share};
use crate::units::Nanos;
use std::io::{self, Write};

/// Columns of `requests.csv` after those of a simulated run.
const REQUEST_COLUMNS: &str = "sent_ms,send_lag_ms,scheduled_ttft_ms,scheduled_e2e_ms,\
    expected_hit_tokens,planned_prompt_tokens,planned_output_tokens,chunks,coalesced_chunks,\
    read_lag_ms,http_status,attempts,reused_connection,failure,warm_up\n";

/// The same of `workers.csv`.
const WORKER_COLUMNS: &str = "url,completed,failed,cancelled,expected_hit_tokens,ttft_avg_ms,\
    ttft_p99_ms\n";

/// The same of `timeline.csv`.
const TIMELINE_COLUMNS: &str = "in_flight,sent,completed,failed,cancelled,ttft_avg_ms,\
    prompt_tokens,hit_tokens,planned_prompt_tokens,expected_hit_tokens,output_tokens\n";

/// First line of `server_metrics.csv`.
pub(super) const SERVER_HEADER: &str = "router,seed,url,kind,time_s,running,waiting,kv_usage,\
    query_tokens,hit_tokens\n";

fn header(simulated: &str, appended: &str) -> String {
    format!("{},{appended}", simulated.trim_end())
}

/// First line of `requests.csv`.
pub(super) fn requests_header() -> String {
    header(csv::REQUESTS_HEADER, REQUEST_COLUMNS)
}

/// First line of `workers.csv`.
pub(super) fn workers_header() -> String {
    header(csv::WORKERS_HEADER, WORKER_COLUMNS)
}

/// First line of `timeline.csv`.
pub(super) fn timeline_header() -> String {
    header(csv::TIMELINE_HEADER, TIMELINE_COLUMNS)
}

/// The rows of `requests.csv` of one run, written as its requests end.
pub(super) struct LiveRows {
    line: Line,
    out: ResultFile,
}

impl LiveRows {
    /// For run number `place`, from 0, of those that go to `dir`.
    ///
    /// # Errors
    /// Where the file cannot be created.
    pub(super) fn create(dir: &RunDir, place: usize, router: &str, seed: u64) -> Result<LiveRows> {
        let out = dir.writer(&share(REQUESTS, place))?;
        Ok(LiveRows { line: Line::new(router, seed), out })
    }

    /// Ends the file; `requests.csv` itself is put together by [`super::files::write`].
    ///
    /// # Errors
    /// Where the rest cannot be written.
    pub(super) fn finish(self) -> Result<()> {
        self.out.commit()
    }
}

impl LiveSink for LiveRows {
    fn request(&mut self, record: &LiveRecord) -> Result<()> {
        request(&mut self.line, &mut self.out, record).map_err(|why| self.out.error(&why))
    }
}

fn request(line: &mut Line, out: &mut impl Write, record: &LiveRecord) -> io::Result<()> {
    line.begin();
    line.number(record.id);
    line.number(record.session);
    line.number(record.turn.into());
    line.span(Some(record.scheduled));
    line.number(u64::from(record.endpoint) + 1);
    line.number(record.prompt_tokens().into());
    line.number(record.output_tokens.into());
    line.blank(2); // overlap_blocks, best_overlap_blocks
    line.optional(record.hit_tokens().map(u64::from));
    line.blank(1); // queue_ms
    line.span(record.ttft());
    line.time(tpot(record));
    line.span(record.e2e());
    line.blank(1); // preemptions
    line.text(record.outcome.name());
    line.span(record.sent);
    line.span(record.send_lag());
    line.span(record.scheduled_ttft());
    line.span(record.scheduled_e2e());
    for count in [
        record.expected_hit_tokens,
        record.planned_prompt_tokens,
        record.planned_output_tokens,
        record.chunks,
        record.coalesced,
    ] {
        line.number(count.into());
    }
    line.span(record.read_lag);
    line.optional(record.http_status.map(u64::from));
    line.number(record.attempts.into());
    line.text(yes(record.reused_connection));
    match record.outcome {
        Outcome::Failed(why) => line.text(&why.to_string()),
        Outcome::Completed | Outcome::Cancelled => line.blank(1),
    }
    line.text(yes(record.warm_up));
    line.end(out)
}

fn tpot(record: &LiveRecord) -> Option<u64> {
    record.tpot_ns()?;
    per_gap(record.last_token?.saturating_sub(record.first_token?), record.output_tokens)
}

fn yes(is: bool) -> &'static str {
    if is { "true" } else { "false" }
}

/// Writes the row of endpoint number `place`, from 0, of `workers.csv`.
pub(super) fn worker(
    line: &mut Line,
    out: &mut impl Write,
    (place, url): (usize, &str),
    worker: &LiveWorker,
) -> io::Result<()> {
    line.begin();
    line.number(place as u64 + 1);
    line.number(worker.requests.arrived);
    line.number(worker.prompt_tokens + worker.output_tokens);
    line.number(worker.prompt_tokens);
    line.number(worker.output_tokens);
    line.optional(worker.hit_tokens);
    line.blank(3); // busy_fraction, preemptions, evicted_blocks
    line.text(&quoted(url));
    line.number(worker.requests.completed);
    line.number(worker.requests.failed);
    line.number(worker.requests.cancelled);
    line.number(worker.expected_hit_tokens);
    let ttft = Some(&worker.ttft).filter(|ttft| ttft.count > 0);
    line.fraction(ttft.map(|ttft| ttft.avg));
    line.fraction(ttft.map(|ttft| ttft.p99));
    line.end(out)
}

/// Writes a run's rows of `timeline.csv`: every endpoint has every interval, and the last interval
/// ends with the run. Hits are empty where nobody told of any (`tells_hits`).
pub(super) fn timeline(
    line: &mut Line,
    out: &mut impl Write,
    timeline: &LiveTimeline,
    tells_hits: bool,
) -> io::Result<()> {
    let intervals = timeline.intervals();
    for (endpoint, cells) in intervals.rows().iter().enumerate() {
        for index in 0..intervals.len() {
            let start = intervals.interval().0 * index as u64;
            let end = (start + intervals.interval().0).min(timeline.end().0.max(start + 1));
            line.begin();
            line.number(endpoint as u64 + 1);
            line.span(Some(Nanos(start)));
            line.span(Some(Nanos(end)));
            let cell = cells.get(index).copied().unwrap_or_default();
            write_cell(line, &cell, end - start, tells_hits);
            line.end(out)?;
        }
    }
    Ok(())
}

fn write_cell(line: &mut Line, cell: &LiveCell, span: u64, tells_hits: bool) {
    let rate = || cell.hit_tokens as f64 / cell.prompt_tokens as f64;
    line.blank(4); // busy_fraction, running, waiting, used_blocks
    line.fraction((tells_hits && cell.prompt_tokens > 0).then(rate));
    line.fraction(Some(cell.in_flight_ns as f64 / span as f64));
    for count in [cell.sent, cell.completed, cell.failed, cell.cancelled] {
        line.number(count);
    }
    let ttft_ms = || cell.ttft_ns as f64 / cell.ttft_count as f64 / 1e6;
    line.fraction((cell.ttft_count > 0).then(ttft_ms));
    line.number(cell.prompt_tokens);
    line.optional(tells_hits.then_some(cell.hit_tokens));
    line.number(cell.planned_prompt_tokens);
    line.number(cell.expected_hit_tokens);
    line.number(cell.output_tokens);
}

/// Writes the rows of one metrics URL of `server_metrics.csv`; counters count from the start of the
/// server.
pub(super) fn server(
    line: &mut Line,
    out: &mut impl Write,
    source: &ServerSource,
) -> io::Result<()> {
    let url = quoted(&source.url);
    for sample in &source.series {
        line.begin();
        line.text(&url);
        line.text(&source.kind);
        line.fraction(Some(sample.at_s));
        for gauge in [
            sample.running,
            sample.waiting,
            sample.kv_usage,
            sample.query_tokens,
            sample.hit_tokens,
        ] {
            line.fraction(gauge);
        }
        line.end(out)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
