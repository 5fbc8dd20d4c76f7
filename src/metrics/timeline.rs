//! Per worker, per interval: what `timeline.csv` and the plots over time show.
//!
//! The length of a run is not known while it runs, so intervals start short and are merged in pairs
//! whenever there are too many: the run ends with [`MOST`]`/2` to [`MOST`] of them.

use crate::units::Nanos;

/// Most intervals kept.
pub const MOST: usize = 256;

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

impl Cell {
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
pub struct Timeline {
    interval: u64,
    /// `rows[worker][interval]`.
    rows: Vec<Vec<Cell>>,
}

impl Timeline {
    /// An empty timeline for `workers` workers.
    pub fn new(workers: usize) -> Timeline {
        Timeline { interval: 1_000_000, rows: vec![Vec::new(); workers] }
    }

    /// Length of an interval.
    pub fn interval(&self) -> Nanos {
        Nanos(self.interval)
    }

    /// Per worker (from 0), its intervals; a worker's list ends with its last activity.
    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// A worker was busy from `start` to `end`.
    pub fn step(&mut self, worker: usize, start: Nanos, end: Nanos, state: StepState) {
        self.make_room(end);
        let (mut at, interval) = (start.0, self.interval);
        while at < end.0 {
            let index = (at / interval) as usize;
            let until = end.0.min((index as u64 + 1) * interval);
            let span = until - at;
            let cell = Self::cell(&mut self.rows[worker], index);
            cell.busy_ns += span;
            cell.running_ns += u128::from(state.running) * u128::from(span);
            cell.waiting_ns += u128::from(state.waiting) * u128::from(span);
            cell.used_block_ns += u128::from(state.used_blocks) * u128::from(span);
            at = until;
        }
    }

    /// A request was first admitted.
    pub fn admitted(&mut self, worker: usize, at: Nanos, prompt_tokens: u32, hit_tokens: u32) {
        self.make_room(at);
        let index = (at.0 / self.interval) as usize;
        let cell = Self::cell(&mut self.rows[worker], index);
        cell.prompt_tokens += u64::from(prompt_tokens);
        cell.hit_tokens += u64::from(hit_tokens);
    }

    fn cell(row: &mut Vec<Cell>, index: usize) -> &mut Cell {
        if row.len() <= index {
            row.resize(index + 1, Cell::default());
        }
        &mut row[index]
    }

    fn make_room(&mut self, at: Nanos) {
        while at.0 / self.interval >= MOST as u64 {
            self.interval *= 2;
            for row in &mut self.rows {
                let merged = row.chunks(2).map(|pair| {
                    let mut cell = pair[0];
                    pair.get(1).inspect(|other| cell.add(other));
                    cell
                });
                *row = merged.collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
