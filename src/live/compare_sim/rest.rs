//! Where the errors of a simulation come from, as far as something was measured that says so.

use super::{CompareSim, Compared};
use crate::live::recorder::LiveOutput;
use crate::live::summary::LiveRun;
use crate::metrics::summary::RunSummary;
use crate::stats::ratio;

/// Hit rates this near need no explanation, points.
const POINTS: f64 = 2.0;
/// Times this near need none, percent.
const PERCENT: f64 = 20.0;
/// Lengths that differ by less than this share are alike.
const LENGTHS: f64 = 0.01;
/// Shares of the busiest worker that differ by less are alike, points.
const SHARES: f64 = 3.0;
/// Requests waiting that differ by less are alike.
const WAITING: f64 = 0.25;
/// A fit with a greater median error is named.
const FIT: f64 = 0.05;
/// One row in so many that is far off is worth a word.
const STALLS: usize = 12;
/// Prompts so many times as long as any that was measured are named.
const BEYOND: f64 = 1.2;
/// Endpoints that take longer together by more than this share slow each other down.
const SLOWER: f64 = 0.15;

/// A sentence for every arm with a large error; `outputs` are all live runs. `warm`: arms began with the
/// caches that others had left.
pub fn rest(found: &CompareSim, outputs: &[LiveOutput], warm: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    for run in &found.runs {
        if named.contains(&run.router.as_str()) {
            continue;
        }
        named.push(&run.router);
        let all: Vec<&Compared> =
            found.runs.iter().filter(|one| one.router == run.router).collect();
        notes.extend(of_arm(found, &all, outputs, warm));
    }
    notes.extend(expected(found));
    notes
}

/// Expected hits count on answers that come back as the tokens they were made of.
fn expected(found: &CompareSim) -> Option<String> {
    let same = found.tokens.answer_same;
    let off = |run: &Compared| run.error("expected_hit_rate").is_some_and(|error| -error > POINTS);
    (same < 1.0 && found.runs.iter().any(off)).then(|| {
        format!(
            "expected hits: answers come back as other tokens than they were made of ({:.0} % chance that \
             the next one is the same): the live run's expected hits count them, and no server can \
             hit them",
            100.0 * same
        )
    })
}

/// The sentence of an arm, all runs of it taken together.
fn of_arm(
    found: &CompareSim,
    runs: &[&Compared],
    outputs: &[LiveOutput],
    warm: bool,
) -> Option<String> {
    let first = runs.first()?;
    let mean = |metric: &str| {
        let errors: Option<Vec<f64>> = runs.iter().map(|run| run.error(metric)).collect();
        errors.map(|errors| crate::stats::mean(&errors))
    };
    let hits = mean("hit_rate").filter(|error| error.abs() > POINTS);
    let times: Vec<String> = first
        .metrics
        .iter()
        .filter(|metric| metric.unit == "ms" && metric.metric.ends_with("p50"))
        .filter_map(|metric| {
            let error = mean(metric.metric).filter(|error| error.abs() > PERCENT)?;
            let name = metric.title.trim_end_matches(" (ms)");
            Some(format!("{name} {error:+.0} %"))
        })
        .collect();
    if hits.is_none() && times.is_empty() {
        return None;
    }
    let live = &outputs.get(first.place)?.run;
    let mut causes = lengths(live, &first.simulated);
    if warm {
        causes.push(
            "it began with the caches that the arms before it had left (--reset-kv-cache none)"
                .into(),
        );
    }
    if hits.is_some() {
        causes.extend(of_hits(live, &first.simulated));
    }
    if !times.is_empty() {
        causes.extend(of_times(found, live, &first.simulated));
    }
    let mut wrong: Vec<String> =
        hits.map(|error| format!("hit rate {error:+.1} points")).into_iter().collect();
    wrong.extend(times);
    let wrong = wrong.join(", ");
    Some(match causes.is_empty() {
        true => format!("{}: {wrong}; nothing that was measured says why", first.router),
        false => format!("{}: {wrong}; measured besides: {}", first.router, causes.join("; ")),
    })
}

fn lengths(live: &LiveRun, simulated: &RunSummary) -> Vec<String> {
    let mean = |tokens: f64, requests: u64| ratio(tokens, requests as f64);
    let prompts = (
        mean(live.prefix_cache.prompt_tokens as f64, live.requests.completed),
        mean(simulated.prefix_cache.prompt_tokens as f64, simulated.requests.completed),
    );
    let made = simulated.output_token_throughput.avg * simulated.duration_s;
    let outputs = (live.lengths.output_avg, mean(made, simulated.requests.completed));
    let mut causes = Vec::new();
    for (what, (live, simulated)) in [("prompts", prompts), ("outputs", outputs)] {
        if (simulated / live - 1.0).abs() > LENGTHS {
            causes.push(format!("{what} of {live:.0} tokens on average, simulated {simulated:.0}"));
        }
    }
    let lost = live.requests.arrived - live.requests.completed;
    if lost > 0 {
        causes.push(format!("{lost} requests did not complete"));
    }
    if simulated.requests.rejected > 0 {
        causes.push(format!(
            "{} simulated requests could never fit and were rejected",
            simulated.requests.rejected
        ));
    }
    causes
}

fn of_hits(live: &LiveRun, simulated: &RunSummary) -> Vec<String> {
    let mut causes = Vec::new();
    // How far a router is wrong about its workers, points: by news that is late or lost, or blocks that it
    // names otherwise than they do.
    let wrong = |predicted: f64, hits: f64| 100.0 * (predicted - hits);
    let believed = live.prefix_cache.predicted_hit_rate.zip(live.prefix_cache.hit_rate);
    let cache = &simulated.prefix_cache;
    if let Some(((predicted, hits), tokens)) = believed.zip(cache.predicted_hit_tokens) {
        let theirs = wrong(ratio(tokens as f64, cache.prompt_tokens as f64), cache.hit_rate);
        let ours = wrong(predicted, hits);
        if (ours - theirs).abs() > POINTS {
            causes.push(format!(
                "the live router was wrong about hits by {ours:+.1} points, the simulated one by \
                 {theirs:+.1}"
            ));
        }
    }
    let busiest = |workers: &[u64]| {
        let most = workers.iter().max().copied().unwrap_or(0);
        100.0 * ratio(most as f64, workers.iter().sum::<u64>() as f64)
    };
    let (ours, theirs) = (&live.load.requests_per_worker, &simulated.load.requests_per_worker);
    let shares = (busiest(ours), busiest(theirs));
    if ours.len() == theirs.len() && (shares.0 - shares.1).abs() > SHARES {
        causes.push(format!(
            "the busiest worker got {:.0} % of the requests, simulated {:.0} %",
            shares.0, shares.1
        ));
    }
    causes
}

fn of_times(found: &CompareSim, live: &LiveRun, simulated: &RunSummary) -> Vec<String> {
    let mut causes = Vec::new();
    if let Some(fit) = &found.calibration {
        for (what, error) in [("prefill", fit.prefill_error), ("decode", fit.decode_error)] {
            if let Some(error) = error.filter(|error| *error > FIT) {
                causes.push(format!("the fit is {:.0} % off {what} steps (median)", 100.0 * error));
            }
        }
    }
    if let Some(fit) = found.calibration.filter(|fit| fit.left_out * STALLS > fit.rows) {
        causes.push(format!(
            "{} of {} measurements of the probe were far off all others: the machine stalls",
            fit.left_out,
            fit.rows + fit.left_out
        ));
    }
    if let Some(fit) = &found.calibration {
        let (measured, longest) =
            (fit.prefill_tokens.max(fit.context), u64::from(fit.longest_prompt));
        if longest as f64 > BEYOND * measured as f64 {
            causes.push(format!(
                "prompts have up to {longest} tokens, and the probe measured up to {measured}"
            ));
        }
    }
    if let Some(slowdown) = found.slowdown_together.filter(|times| *times > 1.0 + SLOWER) {
        causes.push(format!(
            "endpoints that prefill at the same time take {slowdown:.2} times as long: they share what \
             the simulation gives to each"
        ));
    }
    let expected = simulated.queue_time.avg / 1e3 * simulated.request_throughput.avg;
    if let Some(waiting) = waiting(live).filter(|waiting| (waiting - expected).abs() > WAITING) {
        causes.push(format!(
            "{waiting:.1} requests waited at the servers on average, simulated {expected:.1}"
        ));
    }
    let client = &live.client;
    if client.cpu_fraction > 0.8 {
        causes
            .push(format!("the client used {:.0} % of its thread(s)", 100.0 * client.cpu_fraction));
    }
    if client.send_lag.p50 > 0.05 * live.time_to_first_token.p50 {
        causes.push(format!("requests were sent {:.1} ms late (median)", client.send_lag.p50));
    }
    causes
}

/// Requests waiting at all servers, averaged over the looks at their metrics; `None` where none tells.
fn waiting(live: &LiveRun) -> Option<f64> {
    let sources = live.server.iter().flat_map(|server| &server.sources);
    let means = sources.filter_map(|source| {
        let told: Vec<f64> = source.series.iter().filter_map(|sample| sample.waiting).collect();
        (!told.is_empty()).then(|| crate::stats::mean(&told))
    });
    let means: Vec<f64> = means.collect();
    (!means.is_empty()).then(|| means.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::super::{Calibration, Cluster, Metric};
    use super::*;
    use crate::live::probe::Probed;
    use crate::live::record::LiveRecord;
    use crate::live::recorder::{LiveRecorder, RunFacts};
    use crate::metrics::summary::Rate;
    use crate::scenario::ClusterSpec;

    fn live() -> LiveOutput {
        let records: Vec<LiveRecord> = (0..20)
            .map(|id| crate::live::fixture::completed(id, crate::units::Nanos(id * 100_000_000)))
            .collect();
        let mut recorder = LiveRecorder::new(1, None);
        records.iter().for_each(|record| recorder.ended(record));
        recorder.finish(RunFacts { label: "kv".into(), ..RunFacts::default() })
    }

    /// A simulation of that, with these errors of hit rate and TTFT.
    fn found(points: f64, percent: f64) -> CompareSim {
        let fit = Calibration {
            rows: 60,
            left_out: 0,
            r2: 0.9,
            prefill_error: Some(0.12),
            decode_error: Some(0.01),
            prefill_tokens: 1000,
            context: 900,
            longest_prompt: 1000,
            batch: 8,
            front_ms: 1.0,
        };
        let probed = Probed { slowdown: Some(1.6), ..Probed::default() };
        let cluster = Cluster::of(&ClusterSpec::default(), &probed);
        let mut found = CompareSim::new("x".into(), Some(fit), &probed, cluster);
        let metric = |metric, title, unit, error| Metric {
            metric,
            title,
            unit,
            live: 1.0,
            simulated: 1.0,
            error,
            error_unit: "",
        };
        let mut simulated = RunSummary { duration_s: 2.0, ..RunSummary::default() };
        simulated.requests.completed = 20;
        simulated.prefix_cache.prompt_tokens = 20 * 110;
        simulated.output_token_throughput = Rate { unit: "tokens/s", avg: 50.0 };
        found.runs.push(Compared {
            router: "kv".into(),
            mode: "kv".into(),
            seed: 1,
            metrics: vec![
                metric("hit_rate", "hit rate", "share", points),
                metric("time_to_first_token_p50", "TTFT p50 (ms)", "ms", percent),
            ],
            simulated,
            ttft_ms: Vec::new(),
            place: 0,
        });
        found
    }

    #[test]
    fn small_errors_need_no_words() {
        assert!(rest(&found(1.9, -19.0), &[live()], true).is_empty());
    }

    #[test]
    fn large_ones_are_named_with_what_was_measured_and_nothing_else() {
        let notes = rest(&found(0.0, -35.0), &[live()], false);
        assert_eq!(
            notes,
            [
                "kv: TTFT p50 -35 %; measured besides: the fit is 12 % off prefill steps (median); endpoints \
              that prefill at the same time take 1.60 times as long: they share what the simulation gives \
              to each"
            ]
        );
        let notes = rest(&found(-6.0, 0.0), &[live()], false);
        assert_eq!(notes, ["kv: hit rate -6.0 points; nothing that was measured says why"]);
        let notes = rest(&found(-6.0, 0.0), &[live()], true);
        assert!(notes[0].contains("--reset-kv-cache none"), "{notes:?}");
    }

    #[test]
    fn answers_that_come_back_otherwise_are_named_where_expected_hits_differ() {
        let mut retold = found(0.0, 0.0);
        let expected =
            Metric { metric: "expected_hit_rate", error: -9.0, ..retold.runs[0].metrics[0] };
        retold.runs[0].metrics.push(expected);
        assert!(rest(&retold, &[live()], false).is_empty());
        retold.tokens.answer_same = 0.0;
        let notes = rest(&retold, &[live()], false);
        assert!(notes[0].starts_with("expected hits: answers come back"), "{notes:?}");
    }

    #[test]
    fn lengths_that_differ_are_named_first() {
        let mut longer = found(5.0, 0.0);
        longer.runs[0].simulated.prefix_cache.prompt_tokens = 20 * 130;
        let notes = rest(&longer, &[live()], false);
        assert!(notes[0].contains("prompts of 110 tokens on average, simulated 130"), "{notes:?}");
    }
}
