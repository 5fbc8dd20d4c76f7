//! `summary.json` as types: one [`RunSummary`] per router and seed.

use crate::stats::{self, ExactSums};
use hdrhistogram::Histogram;
use serde::Serialize;

/// The whole of `summary.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Version of this format.
    pub schema_version: &'static str,
    /// The resolved scenario.
    pub scenario: crate::scenario::Scenario,
    /// One per router and seed: routers in the order of `router.mode`, seeds ascending within.
    pub runs: Vec<RunSummary>,
}

/// A distribution, in the shape of AIPerf's metric objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the standard ones")]
pub struct Distribution {
    pub unit: &'static str,
    pub avg: f64,
    pub min: f64,
    pub p1: f64,
    pub p5: f64,
    pub p10: f64,
    pub p25: f64,
    pub p50: f64,
    pub p75: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    pub std: f64,
    pub count: u64,
}

impl Distribution {
    /// Exact percentiles with linear interpolation; everything is 0 where there is no value.
    /// `std` has divisor n, as numpy and so AIPerf have it.
    pub fn from_values(unit: &'static str, mut values: Vec<f64>) -> Distribution {
        // Sorted before summing, so that the result does not depend on the order of completion.
        values.sort_unstable_by(f64::total_cmp);
        let Some((&min, &max)) = values.first().zip(values.last()) else {
            return Distribution { unit, ..Distribution::default() };
        };
        let percentiles = Distribution::percentiles(unit, |q| stats::quantile(&values, q));
        Distribution {
            avg: stats::mean(&values),
            min,
            max,
            std: stats::population_std(&values),
            count: values.len() as u64,
            ..percentiles
        }
    }

    /// Percentiles by the histogram, the rest exactly from the sums kept beside it. Values are
    /// divided by `scale`: 1e6 turns nanoseconds into milliseconds.
    pub fn from_histogram(
        unit: &'static str,
        histogram: &Histogram<u64>,
        sums: &ExactSums,
        scale: f64,
    ) -> Distribution {
        let percentiles = Distribution::percentiles(unit, |q| {
            let value = histogram.value_at_quantile(q);
            value.clamp(sums.min, sums.max) as f64 / scale
        });
        Distribution {
            avg: sums.mean() / scale,
            min: sums.min as f64 / scale,
            max: sums.max as f64 / scale,
            std: sums.std() / scale,
            count: sums.count,
            ..percentiles
        }
    }

    fn percentiles(unit: &'static str, at: impl Fn(f64) -> f64) -> Distribution {
        Distribution {
            unit,
            p1: at(0.01),
            p5: at(0.05),
            p10: at(0.10),
            p25: at(0.25),
            p50: at(0.50),
            p75: at(0.75),
            p90: at(0.90),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            ..Distribution::default()
        }
    }
}

/// A single value with its unit, AIPerf's shape for rates.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// Unit of `avg`.
    pub unit: &'static str,
    /// The value.
    pub avg: f64,
}

impl Rate {
    /// `count` in so many seconds; 0 where there were none.
    pub fn per_second(unit: &'static str, count: u64, seconds: f64) -> Rate {
        Rate { unit, avg: stats::ratio(count as f64, seconds) }
    }
}

/// One router, one seed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RunSummary {
    /// Router mode.
    pub router: String,
    /// What plots and tables call it.
    pub label: String,
    /// Seed of this run.
    pub seed: u64,
    /// How requests ended.
    pub requests: RequestCounts,
    /// First arrival to last event, seconds.
    pub duration_s: f64,
    /// The queue grew without bound: latencies say nothing. See `metrics::overload`.
    pub overloaded: bool,
    /// Milliseconds, over completed requests.
    pub time_to_first_token: Distribution,
    /// Milliseconds, every gap of every request pooled.
    pub inter_token_latency: Distribution,
    /// Milliseconds, per request, requests of two output tokens or more.
    pub time_per_output_token: Distribution,
    /// Milliseconds, over completed requests.
    pub request_latency: Distribution,
    /// Milliseconds, over completed requests.
    pub queue_time: Distribution,
    /// Completed requests per second.
    pub request_throughput: Rate,
    /// Prompt tokens of completed requests per second.
    pub input_token_throughput: Rate,
    /// Output tokens of completed requests per second.
    pub output_token_throughput: Rate,
    /// Completed requests per second that met every SLO; only where SLOs are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goodput: Option<Rate>,
    /// Cache hits.
    pub prefix_cache: PrefixCacheSummary,
    /// Balance between workers.
    pub load: LoadSummary,
    /// Quality of decisions.
    pub routing: RoutingSummary,
}

/// How requests ended; `arrived` is the sum of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are the contract's words")]
pub struct RequestCounts {
    pub arrived: u64,
    pub completed: u64,
    pub failed: u64,
    pub rejected: u64,
    pub cancelled: u64,
    pub unfinished: u64,
}

/// Cache hits over completed requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PrefixCacheSummary {
    /// Prompt tokens of completed requests.
    pub prompt_tokens: u64,
    /// Of these, reused at first admission.
    pub hit_tokens: u64,
    /// `hit_tokens / prompt_tokens`; 0 where nothing completed.
    pub hit_rate: f64,
    /// `hit_tokens` in blocks.
    pub hit_blocks: u64,
    /// What the router believed at the decisions; `None` where it keeps no index.
    pub predicted_hit_tokens: Option<u64>,
    /// Cached blocks reused for something else, all workers.
    pub evicted_blocks: u64,
    /// Hit rate of one infinite cache shared by all workers.
    pub ceiling_hit_rate: f64,
}

/// Balance between workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LoadSummary {
    /// Mean over workers of the share of time spent executing steps.
    pub busy_fraction_mean: f64,
    /// Its maximum − minimum over workers.
    pub busy_fraction_spread: f64,
    /// Its standard deviation / mean over workers; 0 where the mean is 0.
    pub busy_fraction_cv: f64,
    /// Per worker: requests routed to it.
    pub requests_per_worker: Vec<u64>,
    /// Per worker: prompt tokens and output tokens of completed requests.
    pub tokens_per_worker: Vec<u64>,
    /// Preemptions, all workers.
    pub preemptions: u64,
}

/// Quality of decisions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RoutingSummary {
    /// Mean over decisions of best overlap anywhere − overlap of the chosen worker, blocks.
    pub regret_blocks_avg: f64,
    /// Share of decisions that took a worker with the best overlap.
    pub best_overlap_share: f64,
    /// Number of decisions.
    pub decisions: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_does_not_depend_on_the_order_of_its_values() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i) * 0.1).collect();
        let reversed = values.iter().rev().copied().collect();
        let forward = Distribution::from_values("ms", values);
        assert_eq!(forward, Distribution::from_values("ms", reversed));
        assert!((forward.p99 - 98.901).abs() < 1e-9);
        assert_eq!((forward.min, forward.count), (0.0, 1000));
    }

    #[test]
    fn nothing_measured_is_all_zero() {
        let empty = Distribution::from_values("ms", Vec::new());
        let histogram = Histogram::new(3).unwrap();
        let pooled = Distribution::from_histogram("ms", &histogram, &ExactSums::default(), 1e6);
        assert_eq!(empty, pooled);
        assert_eq!((empty.unit, empty.count, empty.p50), ("ms", 0, 0.0));
    }

    #[test]
    fn a_histogram_is_exact_but_for_its_percentiles() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        let mut sums = ExactSums::default();
        for i in 1..=1000u64 {
            histogram.record(i * 12_345).unwrap();
            sums.record_n(i * 12_345, 1);
        }
        let pooled = Distribution::from_histogram("ms", &histogram, &sums, 1e6);
        assert_eq!((pooled.min, pooled.max), (0.012_345, 12.345));
        assert!((pooled.avg - 6.178_672_5).abs() < 1e-9);
        assert!((pooled.p99 / 12.221_55 - 1.0).abs() < 2e-3, "{}", pooled.p99);
        assert!(pooled.p999 <= pooled.max);
    }
}

/// One worker over a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorkerTotals {
    /// The worker, from 0; written as number from 1.
    pub worker: u32,
    /// Requests routed to it.
    pub requests: u64,
    /// Prompt tokens of its completed requests.
    pub prompt_tokens: u64,
    /// Output tokens of its completed requests.
    pub output_tokens: u64,
    /// Of the prompt tokens, reused.
    pub hit_tokens: u64,
    /// Share of the measured time that it was executing steps.
    pub busy_fraction: f64,
    /// Preemptions.
    pub preemptions: u64,
    /// Cached blocks reused for something else.
    pub evicted_blocks: u64,
}
