//! `requests.csv`, `workers.csv` and `timeline.csv`.
//!
//! Times are milliseconds with six decimals, printed from whole nanoseconds without passing through
//! a float, so that they are exact. Rows are made by hand: a run writes a million of them.

use crate::metrics::summary::WorkerTotals;
use crate::metrics::timeline::{Cell, Timeline};
use crate::request::RequestRecord;
use crate::units::Nanos;
use std::io::{self, Write};

/// First line of `requests.csv`.
pub const REQUESTS_HEADER: &str = "router,seed,request_id,session_id,turn,arrival_ms,worker,\
    prompt_tokens,output_tokens,overlap_blocks,best_overlap_blocks,hit_tokens,queue_ms,ttft_ms,\
    tpot_ms,e2e_ms,preemptions,status\n";

/// First line of `workers.csv`.
pub const WORKERS_HEADER: &str = "router,seed,worker,requests,tokens,prompt_tokens,output_tokens,\
    hit_tokens,busy_fraction,preemptions,evicted_blocks\n";

/// First line of `timeline.csv`.
pub const TIMELINE_HEADER: &str = "router,seed,worker,start_ms,end_ms,busy_fraction,running,\
    waiting,used_blocks,hit_rate\n";

/// Writes the rows of one run (router and seed).
#[derive(Clone, Debug)]
pub struct Rows {
    run: Vec<u8>,
    line: Vec<u8>,
}

impl Rows {
    /// For the run of `router` with `seed`.
    pub fn new(router: &str, seed: u64) -> Rows {
        let mut run = quoted(router).into_bytes();
        run.push(b',');
        push_number(&mut run, seed);
        Rows { run, line: Vec::with_capacity(256) }
    }

    /// Writes one row of `requests.csv`.
    ///
    /// # Errors
    /// What `out` says.
    pub fn request(&mut self, out: &mut impl Write, record: &RequestRecord) -> io::Result<()> {
        self.begin();
        self.number(record.id);
        self.number(record.session);
        self.number(record.turn.into());
        self.time(Some(record.arrival.0));
        self.optional(record.worker.map(|worker| u64::from(worker) + 1));
        for count in [
            record.prompt_tokens,
            record.output_tokens,
            record.overlap_blocks,
            record.best_overlap_blocks,
            record.hit_tokens,
        ] {
            self.number(count.into());
        }
        self.time(record.queue_time().map(|span| span.0));
        self.time(record.ttft().map(|span| span.0));
        self.time(whole_tpot(record));
        self.time(record.e2e().map(|span| span.0));
        self.number(record.preemptions.into());
        self.text(record.status.name());
        self.end(out)
    }

    /// Writes one row of `workers.csv`.
    ///
    /// # Errors
    /// What `out` says.
    pub fn worker(&mut self, out: &mut impl Write, row: &WorkerTotals) -> io::Result<()> {
        self.begin();
        self.number(u64::from(row.worker) + 1);
        self.number(row.requests);
        self.number(row.prompt_tokens + row.output_tokens);
        self.number(row.prompt_tokens);
        self.number(row.output_tokens);
        self.number(row.hit_tokens);
        self.fraction(Some(row.busy_fraction));
        self.number(row.preemptions);
        self.number(row.evicted_blocks);
        self.end(out)
    }

    /// Writes a run's rows of `timeline.csv`: every worker has every interval, and the last
    /// interval ends with the run, at `end`.
    ///
    /// # Errors
    /// What `out` says.
    pub fn timeline(
        &mut self,
        out: &mut impl Write,
        timeline: &Timeline,
        end: Nanos,
    ) -> io::Result<()> {
        let intervals = timeline.rows().iter().map(Vec::len).max().unwrap_or(0);
        for (worker, cells) in timeline.rows().iter().enumerate() {
            for index in 0..intervals {
                let start = timeline.interval().0 * index as u64;
                let until = (start + timeline.interval().0).min(end.0.max(start + 1));
                let cell = cells.get(index).copied().unwrap_or_default();
                self.begin();
                self.number(worker as u64 + 1);
                self.time(Some(start));
                self.time(Some(until));
                self.cell(&cell, (until - start) as f64);
                self.end(out)?;
            }
        }
        Ok(())
    }

    fn cell(&mut self, cell: &Cell, span: f64) {
        self.fraction(Some(cell.busy_ns as f64 / span));
        self.fraction(Some(cell.running_ns as f64 / span));
        self.fraction(Some(cell.waiting_ns as f64 / span));
        self.fraction(Some(cell.used_block_ns as f64 / span));
        let admitted = cell.prompt_tokens > 0;
        self.fraction(admitted.then(|| cell.hit_tokens as f64 / cell.prompt_tokens as f64));
    }

    fn begin(&mut self) {
        self.line.clear();
        self.line.extend_from_slice(&self.run);
    }

    fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.line.push(b'\n');
        out.write_all(&self.line)
    }

    fn number(&mut self, value: u64) {
        self.optional(Some(value));
    }

    fn optional(&mut self, value: Option<u64>) {
        self.line.push(b',');
        if let Some(value) = value {
            push_number(&mut self.line, value);
        }
    }

    fn time(&mut self, nanos: Option<u64>) {
        self.line.push(b',');
        if let Some(nanos) = nanos {
            push_number(&mut self.line, nanos / 1_000_000);
            self.line.push(b'.');
            push_digits(&mut self.line, nanos % 1_000_000, 6);
        }
    }

    fn fraction(&mut self, value: Option<f64>) {
        self.line.push(b',');
        if let Some(value) = value {
            // A vector takes whatever is written to it.
            let _ = write!(self.line, "{value:.6}");
        }
    }

    fn text(&mut self, text: &str) {
        self.line.push(b',');
        self.line.extend_from_slice(text.as_bytes());
    }
}

/// TPOT rounded to whole nanoseconds, half up.
fn whole_tpot(record: &RequestRecord) -> Option<u64> {
    let decode = record.finished?.saturating_sub(record.first_token?).0;
    let gaps = u64::from(record.output_tokens).checked_sub(1)?;
    (decode + gaps / 2).checked_div(gaps)
}

fn push_number(line: &mut Vec<u8>, value: u64) {
    push_digits(line, value, value.checked_ilog10().unwrap_or(0) as usize + 1);
}

fn push_digits(line: &mut Vec<u8>, mut value: u64, width: usize) {
    let start = line.len();
    line.resize(start + width, b'0');
    for digit in line[start..].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// A text as a CSV field.
pub(super) fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::timeline::StepState;
    use crate::request::Status;

    fn record() -> RequestRecord {
        RequestRecord {
            id: 7,
            session: 3,
            turn: 1,
            prompt_tokens: 1000,
            output_tokens: 4,
            arrival: Nanos(1_234_567_890_123),
            worker: Some(0),
            overlap_blocks: 12,
            best_overlap_blocks: 20,
            predicted_overlap_blocks: Some(12),
            hit_tokens: 192,
            ceiling_tokens: 320,
            admitted: Some(Nanos(1_234_567_890_124)),
            first_token: Some(Nanos(1_234_600_000_000)),
            finished: Some(Nanos(1_234_600_000_011)),
            preemptions: 0,
            status: Status::Completed,
        }
    }

    fn line_of(record: &RequestRecord) -> String {
        let mut out = Vec::new();
        Rows::new("kv", 42).request(&mut out, record).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_exact_to_the_nanosecond() {
        assert_eq!(
            line_of(&record()),
            "kv,42,7,3,1,1234567.890123,1,1000,4,12,20,192,0.000001,32.109877,0.000004,32.109888,\
             0,completed\n"
        );
        let mut late = record();
        late.arrival = Nanos(u64::MAX);
        late.admitted = None;
        late.first_token = None;
        late.finished = None;
        assert!(line_of(&late).contains(",18446744073709.551615,"));
    }

    #[test]
    fn what_never_happened_is_empty() {
        let mut rejected = record();
        rejected.worker = None;
        rejected.admitted = None;
        rejected.first_token = None;
        rejected.finished = None;
        rejected.status = Status::Rejected;
        assert!(line_of(&rejected).ends_with(",192,,,,,0,rejected\n"));
        assert!(line_of(&rejected).contains(".890123,,1000,"));
        let mut short = record();
        short.output_tokens = 1;
        assert!(line_of(&short).contains(",32.109877,,32.109888,"));
    }

    #[test]
    fn every_row_has_as_many_fields_as_its_header() {
        let fields = |line: &str| line.split(',').count();
        assert_eq!(fields(&line_of(&record())), fields(REQUESTS_HEADER));
        let mut rows = Rows::new("kv", 1);
        let mut out = Vec::new();
        rows.worker(&mut out, &WorkerTotals::default()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(fields(&text), fields(WORKERS_HEADER));
        assert_eq!(text, "kv,1,1,0,0,0,0,0,0.000000,0,0\n");
    }

    #[test]
    fn timeline_rows_are_averages_over_their_interval() {
        let mut timeline = Timeline::new(2);
        let state = StepState { running: 4, waiting: 2, used_blocks: 100 };
        timeline.step(0, Nanos(0), Nanos(500_000), state);
        timeline.step(0, Nanos(1_000_000), Nanos(1_200_000), state);
        timeline.admitted(0, Nanos(10), 40, 10);
        let mut out = Vec::new();
        let mut rows = Rows::new("a,b", 1);
        rows.timeline(&mut out, &timeline, Nanos(1_200_000)).unwrap();
        let expected = "\
\"a,b\",1,1,0.000000,1.000000,0.500000,2.000000,1.000000,50.000000,0.250000
\"a,b\",1,1,1.000000,1.200000,1.000000,4.000000,2.000000,100.000000,
\"a,b\",1,2,0.000000,1.000000,0.000000,0.000000,0.000000,0.000000,
\"a,b\",1,2,1.000000,1.200000,0.000000,0.000000,0.000000,0.000000,
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
