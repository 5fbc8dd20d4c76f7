//! Per endpoint, per interval: what `timeline.csv` and the plots over time show of a live run.
//!
//! **The rule.** A request's TTFT, prompt and hits belong to the interval in which it was sent, its
//! end to the interval in which it ended; output tokens are spread evenly from the first to the last
//! one. The whole run is shown, warm-up included, and failed and cancelled requests as far as they
//! came; hits, expected or not, are those of completed requests.

use super::record::{LiveRecord, Outcome};
use crate::metrics::intervals::{Intervals, Sums};
use crate::units::Nanos;

/// Sums over one interval of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveCell {
    /// Requests sent.
    pub sent: u64,
    /// Requests completed.
    pub completed: u64,
    /// Requests failed.
    pub failed: u64,
    /// Requests given up.
    pub cancelled: u64,
    /// Requests between their sending and their end × time, ns.
    pub in_flight_ns: u128,
    /// TTFT of all requests sent in the interval that got a token, ns.
    pub ttft_ns: u128,
    /// Number of these.
    pub ttft_count: u64,
    /// Prompt tokens of completed requests, the server's count where it gave one.
    pub prompt_tokens: u64,
    /// Of these, cached by the server's word.
    pub hit_tokens: u64,
    /// Prompt tokens of completed requests by our own count.
    pub planned_prompt_tokens: u64,
    /// Of these, what one infinite cache would have held.
    pub expected_hit_tokens: u64,
    /// Output tokens received.
    pub output_tokens: u64,
}

impl Sums for LiveCell {
    fn add(&mut self, other: &LiveCell) {
        self.sent += other.sent;
        self.completed += other.completed;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.in_flight_ns += other.in_flight_ns;
        self.ttft_ns += other.ttft_ns;
        self.ttft_count += other.ttft_count;
        self.prompt_tokens += other.prompt_tokens;
        self.hit_tokens += other.hit_tokens;
        self.planned_prompt_tokens += other.planned_prompt_tokens;
        self.expected_hit_tokens += other.expected_hit_tokens;
        self.output_tokens += other.output_tokens;
    }
}

/// The timeline of one live run.
#[derive(Clone, Debug)]
pub struct LiveTimeline {
    cells: Intervals<LiveCell>,
    end: Nanos,
}

impl LiveTimeline {
    /// An empty timeline for so many endpoints.
    pub fn new(endpoints: usize) -> LiveTimeline {
        LiveTimeline { cells: Intervals::new(endpoints), end: Nanos::ZERO }
    }

    /// The sums, per endpoint and interval.
    pub fn intervals(&self) -> &Intervals<LiveCell> {
        &self.cells
    }

    /// When the last request ended.
    pub fn end(&self) -> Nanos {
        self.end
    }

    /// A request ended.
    pub fn ended(&mut self, record: &LiveRecord) {
        let endpoint = record.endpoint as usize;
        self.end = self.end.max(record.ended);
        if let Some(sent) = record.sent {
            self.sent(endpoint, sent, record);
        }
        let cell = self.cells.at(endpoint, record.ended);
        match record.outcome {
            Outcome::Completed => cell.completed += 1,
            Outcome::Failed(_) => cell.failed += 1,
            Outcome::Cancelled => cell.cancelled += 1,
        }
    }

    fn sent(&mut self, endpoint: usize, sent: Nanos, record: &LiveRecord) {
        self.cells.over(endpoint, sent, record.ended, |cell, from, to| {
            cell.in_flight_ns += u128::from(to - from);
        });
        self.output(endpoint, record);
        let cell = self.cells.at(endpoint, sent);
        cell.sent += 1;
        if let Some(ttft) = record.ttft() {
            cell.ttft_ns += u128::from(ttft.0);
            cell.ttft_count += 1;
        }
        if record.outcome == Outcome::Completed {
            cell.prompt_tokens += u64::from(record.prompt_tokens());
            cell.hit_tokens += u64::from(record.hit_tokens().unwrap_or(0));
            cell.planned_prompt_tokens += u64::from(record.planned_prompt_tokens);
            cell.expected_hit_tokens += u64::from(record.expected_hit_tokens);
        }
    }

    fn output(&mut self, endpoint: usize, record: &LiveRecord) {
        let Some((first, last)) = record.first_token.zip(record.last_token) else {
            return;
        };
        let tokens = u64::from(record.output_tokens);
        let span = last.saturating_sub(first).0;
        if span == 0 {
            self.cells.at(endpoint, last).output_tokens += tokens;
            return;
        }
        // Whole tokens by each moment, so that the intervals' differences add up to all of them.
        let by = |at: u64| {
            let share = u128::from(tokens) * u128::from(at - first.0) / u128::from(span);
            u64::try_from(share).expect("a share of the tokens is at most all of them")
        };
        self.cells.over(endpoint, first, last, |cell, from, to| {
            cell.output_tokens += by(to) - by(from);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::fixture::completed;

    #[test]
    fn nothing_is_lost_however_long_the_run() {
        let mut timeline = LiveTimeline::new(2);
        let (mut in_flight, mut output) = (0, 0);
        for i in 0..2000u64 {
            let mut record = completed(i, Nanos(i * 3_000_000));
            record.endpoint = (i % 2) as u32;
            in_flight += u128::from((record.ended - record.sent.unwrap()).0);
            output += u64::from(record.output_tokens);
            timeline.ended(&record);
        }
        let cells = || timeline.intervals().rows().iter().flatten();
        assert_eq!(cells().map(|cell| cell.in_flight_ns).sum::<u128>(), in_flight);
        assert_eq!(cells().map(|cell| cell.output_tokens).sum::<u64>(), output);
        assert_eq!(cells().map(|cell| cell.sent).sum::<u64>(), 2000);
        assert_eq!(cells().map(|cell| cell.completed).sum::<u64>(), 2000);
        assert!((128..=256).contains(&timeline.intervals().len()));
    }

    #[test]
    fn a_request_that_was_never_sent_is_only_an_end() {
        let mut timeline = LiveTimeline::new(1);
        let mut record = completed(0, Nanos(5_000_000));
        record.sent = None;
        record.first_token = None;
        record.outcome = Outcome::Cancelled;
        timeline.ended(&record);
        let cells: Vec<&LiveCell> = timeline.intervals().rows()[0].iter().collect();
        let total = |of: fn(&LiveCell) -> u64| cells.iter().map(|cell| of(cell)).sum::<u64>();
        assert_eq!(total(|cell| cell.cancelled), 1);
        assert_eq!(total(|cell| cell.sent + cell.output_tokens + cell.prompt_tokens), 0);
    }
}
