//! Sums per row (worker or endpoint) and interval of time.
//!
//! The length of a run is not known while it runs, so intervals start short and are merged in pairs
//! whenever there are too many: the run ends with [`MOST`]`/2` to [`MOST`] of them.

use crate::ahead::fetch_at;
use crate::units::Nanos;

/// Most intervals kept.
pub const MOST: usize = 256;

/// Sums over an interval, which can be added up.
pub trait Sums: Clone + Default {
    /// Adds those of another interval.
    fn add(&mut self, other: &Self);
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Intervals<S> {
    interval: u64,
    /// The interval asked for last: its number and begin. The next one asked for mostly is the same.
    latest: (usize, u64),
    /// `rows[row][interval]`.
    rows: Vec<Vec<S>>,
}

impl<S: Sums> Intervals<S> {
    /// Nothing yet, for so many rows.
    pub fn new(rows: usize) -> Intervals<S> {
        Intervals { interval: 1_000_000, latest: (0, 0), rows: vec![Vec::new(); rows] }
    }

    /// Length of an interval.
    pub fn interval(&self) -> Nanos {
        Nanos(self.interval)
    }

    /// Per row, its intervals; a row's list ends with its last activity.
    pub fn rows(&self) -> &[Vec<S>] {
        &self.rows
    }

    /// Number of intervals of the longest row.
    pub fn len(&self) -> usize {
        self.rows.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sums of `row` at a moment.
    pub fn at(&mut self, row: usize, at: Nanos) -> &mut S {
        self.make_room(at);
        let (index, _) = self.find(at.0);
        Self::cell(&mut self.rows[row], index)
    }

    /// Calls `add` with the sums of every interval that overlaps `start` to `end`, and with the
    /// overlap's own start and end in ns.
    pub fn over(
        &mut self,
        row: usize,
        start: Nanos,
        end: Nanos,
        mut add: impl FnMut(&mut S, u64, u64),
    ) {
        self.make_room(end);
        let mut at = start.0;
        while at < end.0 {
            let (index, begin) = self.find(at);
            let until = end.0.min(begin + self.interval);
            add(Self::cell(&mut self.rows[row], index), at, until);
            at = until;
        }
    }

    /// See `crate::ahead`.
    pub fn fetch(&self, row: usize, at: Nanos) {
        fetch_at(&self.rows[row], (at.0 / self.interval) as usize);
    }

    fn cell(row: &mut Vec<S>, index: usize) -> &mut S {
        if row.len() <= index {
            row.resize(index + 1, S::default());
        }
        &mut row[index]
    }

    /// Number and begin of the interval that a moment lies in.
    fn find(&mut self, at: u64) -> (usize, u64) {
        let begin = self.latest.1;
        if at < begin || at - begin >= self.interval {
            let index = at / self.interval;
            self.latest = (index as usize, index * self.interval);
        }
        self.latest
    }

    fn make_room(&mut self, at: Nanos) {
        while at.0 >= self.interval * MOST as u64 {
            self.interval *= 2;
            self.latest = (0, 0);
            for row in &mut self.rows {
                let merged = row.chunks(2).map(|pair| {
                    let mut sums = pair[0].clone();
                    pair.get(1).inspect(|other| sums.add(other));
                    sums
                });
                *row = merged.collect();
            }
        }
    }
}
