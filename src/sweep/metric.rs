//! The numbers of a row: what `points.csv` has columns for.

use crate::error::{Error, Result, did_you_mean};
use crate::metrics::summary::RunSummary;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less.
    Lower,
    /// More.
    Higher,
    /// Neither: it describes.
    Neither,
}

impl Better {
    /// Its name in `summary.json`.
    pub fn name(self) -> &'static str {
        match self {
            Better::Lower => "lower",
            Better::Higher => "higher",
            Better::Neither => "neither",
        }
    }

    /// Whether `a` is better than `b`.
    pub fn prefers(self, a: f64, b: f64) -> bool {
        match self {
            Better::Lower => a < b,
            Better::Higher => a > b,
            Better::Neither => false,
        }
    }
}

/// One number of a run.
#[derive(Debug)]
pub struct Metric {
    /// Its name: column of `points.csv`, key of `summary.json`.
    pub name: &'static str,
    /// What people call it, with its unit.
    pub label: &'static str,
    /// Shown times this: 100 for shares, shown in per cent.
    pub scale: f64,
    /// Which way is better.
    pub better: Better,
    /// The number; `None` where the run has none.
    pub of: fn(&RunSummary) -> Option<f64>,
}

const fn metric(
    name: &'static str,
    label: &'static str,
    scale: f64,
    better: Better,
    of: fn(&RunSummary) -> Option<f64>,
) -> Metric {
    Metric { name, label, scale, better, of }
}

/// A number that only a run with completed requests has.
macro_rules! completed {
    ($($field:tt)+) => {
        |run| (run.requests.completed > 0).then_some(run.$($field)+)
    };
}

/// Every metric, in the order of the columns.
pub const METRICS: &[Metric] = &[
    metric("hit_rate", "hit rate (%)", 100.0, Better::Higher, completed!(prefix_cache.hit_rate)),
    metric(
        "ceiling_hit_rate",
        "ceiling of the hit rate (%)",
        100.0,
        Better::Neither,
        completed!(prefix_cache.ceiling_hit_rate),
    ),
    metric(
        "ttft_avg_ms",
        "TTFT mean (ms)",
        1.0,
        Better::Lower,
        completed!(time_to_first_token.avg),
    ),
    metric("ttft_p50_ms", "TTFT p50 (ms)", 1.0, Better::Lower, completed!(time_to_first_token.p50)),
    metric("ttft_p90_ms", "TTFT p90 (ms)", 1.0, Better::Lower, completed!(time_to_first_token.p90)),
    metric("ttft_p99_ms", "TTFT p99 (ms)", 1.0, Better::Lower, completed!(time_to_first_token.p99)),
    metric("itl_avg_ms", "ITL mean (ms)", 1.0, Better::Lower, |run| {
        gaps(run, run.inter_token_latency.avg)
    }),
    metric("itl_p50_ms", "ITL p50 (ms)", 1.0, Better::Lower, |run| {
        gaps(run, run.inter_token_latency.p50)
    }),
    metric("itl_p99_ms", "ITL p99 (ms)", 1.0, Better::Lower, |run| {
        gaps(run, run.inter_token_latency.p99)
    }),
    metric("e2e_avg_ms", "E2E mean (ms)", 1.0, Better::Lower, completed!(request_latency.avg)),
    metric("e2e_p50_ms", "E2E p50 (ms)", 1.0, Better::Lower, completed!(request_latency.p50)),
    metric("e2e_p99_ms", "E2E p99 (ms)", 1.0, Better::Lower, completed!(request_latency.p99)),
    metric("queue_avg_ms", "queue time mean (ms)", 1.0, Better::Lower, completed!(queue_time.avg)),
    metric("queue_p99_ms", "queue time p99 (ms)", 1.0, Better::Lower, completed!(queue_time.p99)),
    metric("requests_per_s", "requests/s", 1.0, Better::Higher, |run| {
        Some(run.request_throughput.avg)
    }),
    metric("output_tokens_per_s", "output tokens/s", 1.0, Better::Higher, |run| {
        Some(run.output_token_throughput.avg)
    }),
    metric("goodput_per_s", "goodput (requests/s)", 1.0, Better::Higher, |run| {
        run.goodput.as_ref().map(|rate| rate.avg)
    }),
    metric("busy_mean", "busy fraction (%)", 100.0, Better::Neither, |run| {
        Some(run.load.busy_fraction_mean)
    }),
    metric("busy_spread", "busy spread (points)", 100.0, Better::Lower, |run| {
        Some(run.load.busy_fraction_spread)
    }),
    metric("preemptions", "preemptions", 1.0, Better::Lower, |run| {
        Some(run.load.preemptions as f64)
    }),
    metric("evicted_blocks", "evicted blocks", 1.0, Better::Neither, |run| {
        Some(run.prefix_cache.evicted_blocks as f64)
    }),
    metric("regret_blocks", "regret (blocks)", 1.0, Better::Lower, |run| {
        Some(run.routing.regret_blocks_avg)
    }),
    metric("best_overlap_share", "best overlap taken (%)", 100.0, Better::Higher, |run| {
        Some(run.routing.best_overlap_share)
    }),
    metric("completed", "completed requests", 1.0, Better::Higher, |run| {
        Some(run.requests.completed as f64)
    }),
    metric("rejected", "rejected requests", 1.0, Better::Lower, |run| {
        Some(run.requests.rejected as f64)
    }),
    metric("duration_s", "duration (s)", 1.0, Better::Neither, |run| Some(run.duration_s)),
    metric("overloaded", "overloaded", 1.0, Better::Lower, |run| {
        Some(f64::from(u8::from(run.overloaded)))
    }),
];

fn gaps(run: &RunSummary, value: f64) -> Option<f64> {
    (run.inter_token_latency.count > 0).then_some(value)
}

/// Place of a metric in [`METRICS`], by its name or a beginning that only it has: `goodput`.
///
/// # Errors
/// Where there is none of that name: the nearest name.
pub fn find(name: &str) -> Result<usize> {
    let begins = |metric: &&Metric| metric.name.starts_with(&format!("{name}_"));
    let is_alone = METRICS.iter().filter(begins).count() == 1;
    let is_meant = |metric: &Metric| metric.name == name || is_alone && begins(&metric);
    METRICS.iter().position(is_meant).ok_or_else(|| {
        let names = METRICS.iter().map(|metric| metric.name);
        let known = names.clone().collect::<Vec<_>>().join(", ");
        let suggestion = did_you_mean(name, names);
        Error::input(format!("metric \"{name}\" is not known{suggestion}; choose one of: {known}"))
    })
}
