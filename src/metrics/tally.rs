//! A distribution of whole numbers that grows without memory growing: a histogram for its
//! percentiles (error ≤ 0.1 %), and exact count, sum, extremes and deviation beside it.

use super::summary::Distribution;
use crate::stats::ExactSums;
use hdrhistogram::Histogram;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Tally {
    histogram: Histogram<u64>,
    sums: ExactSums,
}

impl Default for Tally {
    fn default() -> Tally {
        let histogram = Histogram::new(3).expect("three significant digits are allowed");
        Tally { histogram, sums: ExactSums::default() }
    }
}

impl Tally {
    /// Adds a value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Adds `count` times the same value.
    pub fn record_n(&mut self, value: u64, count: u64) {
        self.sums.record_n(value, count);
        // The highest trackable value grows by itself; 0 is tracked as 0.
        self.histogram.record_n(value, count).expect("the histogram resizes itself");
    }

    /// Adds all values of another one.
    pub fn merge(&mut self, other: &Tally) {
        self.sums.merge(&other.sums);
        self.histogram.add(&other.histogram).expect("the histogram resizes itself");
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.sums.count
    }

    /// Their sum, exactly.
    pub fn sum(&self) -> u128 {
        self.sums.sum
    }

    /// Their distribution, divided by `scale`: 1e6 turns nanoseconds into milliseconds.
    pub fn distribution(&self, unit: &'static str, scale: f64) -> Distribution {
        Distribution::from_histogram(unit, &self.histogram, &self.sums, scale)
    }

    /// The histogram alone.
    pub fn into_histogram(self) -> Histogram<u64> {
        self.histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tallies_merged_are_one_of_all_values() {
        let (mut odd, mut even, mut all) = (Tally::default(), Tally::default(), Tally::default());
        for value in 0..1000u64 {
            let part = if value % 2 == 1 { &mut odd } else { &mut even };
            part.record(value * 77_777);
            all.record(value * 77_777);
        }
        odd.merge(&even);
        odd.merge(&Tally::default());
        assert_eq!(odd.distribution("ms", 1e6), all.distribution("ms", 1e6));
        assert_eq!((odd.count(), odd.sum()), (1000, 77_777 * 499_500));
        let mut empty = Tally::default();
        empty.merge(&all);
        assert_eq!(empty.distribution("ms", 1e6).min, 0.0);
    }
}
