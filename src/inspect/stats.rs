//! Distributions of lengths, and what can be said about arrivals.

use crate::units::Nanos;
use serde::Serialize;

/// A distribution of lengths in tokens. Percentile q is the value at place floor(q * n) in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// Least.
    pub min: u32,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: u32,
    /// 90th percentile.
    pub p90: u32,
    /// 99th percentile.
    pub p99: u32,
    /// Greatest.
    pub max: u32,
}

impl Distribution {
    /// Of some lengths, in any order.
    pub fn of(mut values: Vec<u32>) -> Distribution {
        values.sort_unstable();
        let Some(last) = values.len().checked_sub(1) else {
            return Distribution::default();
        };
        let sum: u64 = values.iter().map(|value| u64::from(*value)).sum();
        // Whole percents, so that the place is exact.
        let at = |percent: usize| values[last.min(percent * values.len() / 100)];
        Distribution {
            min: values[0],
            mean: sum as f64 / values.len() as f64,
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max: values[last],
        }
    }
}

/// When the requests of a trace arrive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Arrivals {
    /// From the first to the last, seconds.
    pub duration_s: f64,
    /// Requests per second: one over the mean gap; `None` where there is no gap.
    pub rate_per_s: Option<f64>,
    /// Standard deviation of the gaps over their mean: 1 is Poisson, more is bursty.
    pub gap_cv: Option<f64>,
    /// Different arrival times.
    pub distinct_times: u64,
    /// Requests that arrive at the time of another one.
    pub simultaneous_requests: u64,
    /// Most requests at one time.
    pub most_at_one_time: u64,
}

/// Collects arrivals in order of time.
#[derive(Debug, Default)]
pub(super) struct Clock {
    requests: u64,
    first: Nanos,
    last: Nanos,
    squares: f64,
    distinct: u64,
    simultaneous: u64,
    here: u64,
    most: u64,
}

impl Clock {
    pub(super) fn add(&mut self, at: Nanos) {
        if self.requests == 0 {
            (self.first, self.last) = (at, at);
        }
        let gap = at.saturating_sub(self.last);
        self.squares += gap.as_secs_f64().powi(2);
        if self.requests == 0 || gap > Nanos::ZERO {
            self.distinct += 1;
            self.here = 0;
        }
        self.here += 1;
        self.simultaneous += match self.here {
            1 => 0,
            2 => 2,
            _ => 1,
        };
        self.most = self.most.max(self.here);
        self.requests += 1;
        self.last = at;
    }

    /// `None` where nothing has arrived.
    pub(super) fn finish(&self) -> Option<Arrivals> {
        let gaps = self.requests.checked_sub(1)? as f64;
        let duration_s = self.last.saturating_sub(self.first).as_secs_f64();
        let mean = duration_s / gaps;
        let spaced = duration_s > 0.0;
        Some(Arrivals {
            duration_s,
            rate_per_s: spaced.then(|| 1.0 / mean),
            gap_cv: spaced.then(|| (self.squares / gaps - mean * mean).max(0.0).sqrt() / mean),
            distinct_times: self.distinct,
            simultaneous_requests: self.simultaneous,
            most_at_one_time: self.most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_gaps_have_no_burstiness_and_batches_are_counted() {
        let mut clock = Clock::default();
        for second in [0u64, 2, 4, 4, 4, 6, 8] {
            clock.add(Nanos(second * 1_000_000_000));
        }
        let arrivals = clock.finish().unwrap();
        assert_eq!((arrivals.distinct_times, arrivals.most_at_one_time), (5, 3));
        assert_eq!(arrivals.simultaneous_requests, 3);
        assert_eq!(arrivals.rate_per_s, Some(0.75));
        // Gaps 2 2 0 0 2 2: mean 4/3, standard deviation sqrt(8/9).
        assert!((arrivals.gap_cv.unwrap() - 0.5f64.sqrt()).abs() < 1e-12);
        assert!(Clock::default().finish().is_none());
    }
}
