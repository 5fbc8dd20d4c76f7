//! `requests.csv`, `workers.csv` and `timeline.csv`.
//!
//! Times are milliseconds with six decimals, printed from whole nanoseconds without passing through
//! a float, so that they are exact.

use super::line::Line;
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
pub struct Rows(Line);

impl Rows {
    /// For the run of `router` with `seed`.
    pub fn new(router: &str, seed: u64) -> Rows {
        Rows(Line::new(router, seed))
    }

    /// Writes one row of `requests.csv`.
    ///
    /// # Errors
    /// What `out` says.
    pub fn request(&mut self, out: &mut impl Write, record: &RequestRecord) -> io::Result<()> {
        self.0.begin();
        self.0.number(record.id);
        self.0.number(record.session);
        self.0.number(record.turn.into());
        self.0.span(Some(record.arrival));
        self.0.optional(record.worker.map(|worker| u64::from(worker) + 1));
        for count in [
            record.prompt_tokens,
            record.output_tokens,
            record.overlap_blocks,
            record.best_overlap_blocks,
            record.hit_tokens,
        ] {
            self.0.number(count.into());
        }
        self.0.span(record.queue_time());
        self.0.span(record.ttft());
        self.0.time(whole_tpot(record));
        self.0.span(record.e2e());
        self.0.number(record.preemptions.into());
        self.0.text(record.status.name());
        self.0.end(out)
    }

    /// Writes one row of `workers.csv`.
    ///
    /// # Errors
    /// What `out` says.
    pub fn worker(&mut self, out: &mut impl Write, row: &WorkerTotals) -> io::Result<()> {
        self.0.begin();
        self.0.number(u64::from(row.worker) + 1);
        self.0.number(row.requests);
        self.0.number(row.prompt_tokens + row.output_tokens);
        self.0.number(row.prompt_tokens);
        self.0.number(row.output_tokens);
        self.0.number(row.hit_tokens);
        self.0.fraction(Some(row.busy_fraction));
        self.0.number(row.preemptions);
        self.0.number(row.evicted_blocks);
        self.0.end(out)
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
                self.0.begin();
                self.0.number(worker as u64 + 1);
                self.0.time(Some(start));
                self.0.time(Some(until));
                self.cell(&cell, (until - start) as f64);
                self.0.end(out)?;
            }
        }
        Ok(())
    }

    fn cell(&mut self, cell: &Cell, span: f64) {
        self.0.fraction(Some(cell.busy_ns as f64 / span));
        self.0.fraction(Some(cell.running_ns as f64 / span));
        self.0.fraction(Some(cell.waiting_ns as f64 / span));
        self.0.fraction(Some(cell.used_block_ns as f64 / span));
        let admitted = cell.prompt_tokens > 0;
        self.0.fraction(admitted.then(|| cell.hit_tokens as f64 / cell.prompt_tokens as f64));
    }
}

/// TPOT rounded to whole nanoseconds.
fn whole_tpot(record: &RequestRecord) -> Option<u64> {
    let decode = record.finished?.saturating_sub(record.first_token?);
    per_gap(decode, record.output_tokens)
}

/// Time per gap between so many tokens, rounded to whole nanoseconds, half up.
pub(super) fn per_gap(decode: Nanos, tokens: u32) -> Option<u64> {
    let gaps = u64::from(tokens).checked_sub(1)?;
    (decode.0 + gaps / 2).checked_div(gaps)
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
