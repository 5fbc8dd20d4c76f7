//! Per worker, per interval: what `timeline.csv` and the plots over time show.

use super::intervals::{Intervals, Sums};
use crate::units::Nanos;

/// Sums over one interval of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    /// Time spent executing steps, ns.
    pub busy_ns: u64,
    /// Running requests × time, ns.
    pub running_ns: u128,
    /// Waiting requests (as of the start of each step) × time, ns.
    pub waiting_ns: u128,
    /// KV blocks in use by running requests × time, ns.
    pub used_block_ns: u128,
    /// Prompt tokens of requests first admitted in the interval.
    pub prompt_tokens: u64,
    /// Of these, reused.
    pub hit_tokens: u64,
}

impl Sums for Cell {
    fn add(&mut self, other: &Cell) {
        self.busy_ns += other.busy_ns;
        self.running_ns += other.running_ns;
        self.waiting_ns += other.waiting_ns;
        self.used_block_ns += other.used_block_ns;
        self.prompt_tokens += other.prompt_tokens;
        self.hit_tokens += other.hit_tokens;
    }
}

/// State of a worker during a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepState {
    /// Running requests.
    pub running: u64,
    /// Waiting requests.
    pub waiting: u64,
    /// KV blocks in use.
    pub used_blocks: u64,
}

/// The timeline of one run.
#[derive(Clone, Debug)]
pub struct Timeline(Intervals<Cell>);

impl Timeline {
    /// An empty timeline for `workers` workers.
    pub fn new(workers: usize) -> Timeline {
        Timeline(Intervals::new(workers))
    }

    /// Length of an interval.
    pub fn interval(&self) -> Nanos {
        self.0.interval()
    }

    /// Per worker (from 0), its intervals; a worker's list ends with its last activity.
    pub fn rows(&self) -> &[Vec<Cell>] {
        self.0.rows()
    }

    /// The intervals themselves.
    pub fn intervals(&self) -> &Intervals<Cell> {
        &self.0
    }

    /// A worker was busy from `start` to `end`.
    pub fn step(&mut self, worker: usize, start: Nanos, end: Nanos, state: StepState) {
        self.0.over(worker, start, end, |cell, at, until| {
            let span = until - at;
            cell.busy_ns += span;
            cell.running_ns += u128::from(state.running) * u128::from(span);
            cell.waiting_ns += u128::from(state.waiting) * u128::from(span);
            cell.used_block_ns += u128::from(state.used_blocks) * u128::from(span);
        });
    }

    /// See `crate::ahead`.
    pub fn fetch(&self, worker: usize, now: Nanos) {
        self.0.fetch(worker, now);
    }

    /// A request was first admitted.
    pub fn admitted(&mut self, worker: usize, at: Nanos, prompt_tokens: u32, hit_tokens: u32) {
        let cell = self.0.at(worker, at);
        cell.prompt_tokens += u64::from(prompt_tokens);
        cell.hit_tokens += u64::from(hit_tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::intervals::MOST;

    #[test]
    fn merging_intervals_loses_nothing() {
        let mut timeline = Timeline::new(2);
        let state = StepState { running: 3, waiting: 1, used_blocks: 10 };
        let mut busy = 0;
        for i in 0..1000u64 {
            let start = Nanos(i * 7_000_000);
            timeline.step((i % 2) as usize, start, start + Nanos(5_000_000), state);
            timeline.admitted(0, start, 10, 4);
            busy += 5_000_000;
        }
        let cells = || timeline.rows().iter().flatten();
        assert_eq!(cells().map(|cell| cell.busy_ns).sum::<u64>(), busy);
        assert_eq!(cells().map(|cell| cell.running_ns).sum::<u128>(), u128::from(busy) * 3);
        assert_eq!(cells().map(|cell| cell.hit_tokens).sum::<u64>(), 4000);
        let longest = timeline.rows().iter().map(Vec::len).max().unwrap();
        assert!((MOST / 2..=MOST).contains(&longest), "{longest}");
        assert!(cells().all(|cell| cell.busy_ns <= timeline.interval().0));
    }
}
