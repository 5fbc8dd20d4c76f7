//! Made-up runs for the tests of reports.

use crate::metrics::summary::*;
use crate::metrics::timeline::{StepState, Timeline};
use crate::report::plot::PlotRun;
use crate::scenario::Draft;
use crate::units::Nanos;

/// A run whose latencies grow with `slowness`.
pub fn run(label: &str, seed: u64, hit_rate: f64, slowness: f64) -> RunSummary {
    let ms = |median: f64, spread: f64| {
        let values = (0..1000).map(|i| {
            let u = (f64::from(i) + 0.5) / 1000.0;
            median * ((u / (1.0 - u)).ln() * spread).exp()
        });
        Distribution::from_values("ms", values.collect())
    };
    let rate = |unit, avg| Rate { unit, avg };
    RunSummary {
        router: label.into(),
        label: label.into(),
        seed,
        requests: RequestCounts { arrived: 1000, completed: 1000, ..RequestCounts::default() },
        duration_s: 125.0,
        overloaded: false,
        time_to_first_token: ms(40.0 * slowness, 0.6),
        inter_token_latency: ms(9.0 * slowness.sqrt(), 0.1),
        time_per_output_token: ms(9.5 * slowness.sqrt(), 0.1),
        request_latency: ms(1000.0 * slowness.sqrt(), 0.2),
        queue_time: ms(2.0 * slowness, 1.0),
        request_throughput: rate("requests/sec", 8.0),
        input_token_throughput: rate("tokens/sec", 16_000.0),
        output_token_throughput: rate("tokens/sec", 1600.0),
        goodput: None,
        prefix_cache: PrefixCacheSummary {
            prompt_tokens: 2_000_000,
            hit_tokens: (2e6 * hit_rate) as u64,
            hit_rate,
            ceiling_hit_rate: 0.71,
            ..PrefixCacheSummary::default()
        },
        load: LoadSummary {
            busy_fraction_mean: 0.5,
            busy_fraction_spread: 0.25 / slowness,
            busy_fraction_cv: 0.1,
            requests_per_worker: vec![250; 4],
            tokens_per_worker: vec![500_000, 520_000, 450_000, 530_000],
            preemptions: 0,
        },
        routing: RoutingSummary::default(),
    }
}

/// A summary of these runs.
pub fn summary(runs: Vec<RunSummary>) -> Summary {
    let mut draft = Draft::load("diverse").unwrap();
    for setting in ["workload.requests=1000", "workload.arrival.rate=8", "cluster.kv_blocks=26000"]
    {
        draft.set_text(setting).unwrap();
    }
    Summary { schema_version: "1", scenario: draft.finish().unwrap(), runs }
}

/// A timeline of two minutes with a load that breathes, more so for later workers.
pub fn timeline(workers: usize, hit_rate: f64) -> Timeline {
    let mut timeline = Timeline::new(workers);
    for step in 0..2500u64 {
        for worker in 0..workers {
            let phase = step as f64 / 250.0 + worker as f64 * 2.4;
            let share = 0.5 + 0.3 * phase.sin() + 0.15 * (worker % 3) as f64;
            let start = step * 50_000_000;
            let busy = (5e7 * share.clamp(0.0, 1.0)) as u64;
            let state = StepState { running: 8, waiting: 1, used_blocks: 4000 };
            timeline.step(worker, Nanos(start), Nanos(start + busy), state);
            let warm = 1.0 - (-(step as f64) / 200.0).exp();
            let hits = 1000.0 * hit_rate * warm * (1.0 + 0.2 * (phase * 7.0).cos());
            timeline.admitted(worker, Nanos(start), 1000, hits as u32);
        }
    }
    timeline
}

/// Runs for plotting: label, hit rate, slowness; `workers` each.
pub fn with_plot_runs<T>(
    specs: &[(&str, f64, f64)],
    workers: usize,
    then: impl FnOnce(&[PlotRun<'_>]) -> T,
) -> T {
    let summaries: Vec<RunSummary> = specs.iter().map(|s| run(s.0, 42, s.1, s.2)).collect();
    let timelines: Vec<Timeline> = specs.iter().map(|s| timeline(workers, s.1)).collect();
    let mut runs = Vec::new();
    for ((spec, summary), timeline) in specs.iter().zip(&summaries).zip(&timelines) {
        let ttft = (0..5000).map(|i| {
            let u = (f64::from(i) + 0.5) / 5000.0;
            40.0 * spec.2 * ((u / (1.0 - u)).ln() * 0.6).exp()
        });
        runs.push(PlotRun {
            label: spec.0,
            ttft_ms: ttft.collect(),
            timeline,
            end: Nanos(125_000_000_000),
            summaries: vec![summary],
        });
    }
    then(&runs)
}
