use super::render;
use crate::metrics::summary::{Rate, RequestCounts};
use crate::report::fixture::{run, summary};

#[test]
fn one_seed_shows_differences_without_intervals() {
    let text = render(&summary(vec![
        run("kv", 42, 0.63, 1.0),
        run("round-robin", 42, 0.22, 2.9),
        run("random", 42, 0.2, 1.3),
    ]));
    let expected = "\
diverse, 1,000 requests, poisson arrivals 8/s, 4 workers, 26,000 KV blocks of 16 tokens each,
  llama-3.1-8b-h100

                kv       round-robin       random
hit rate        63.0 %   22.0 % -41.0 pp   20.0 % -43.0 pp
  ceiling       71.0 %   71.0 % same       71.0 % same
TTFT p50 (ms)     40.0      116 +190 %       52.0 +30 %
TTFT p99 (ms)      612    1,775 +190 %        796 +30 %
ITL p50 (ms)      9.00     15.3 +70 %        10.3 +14 %
ITL p99 (ms)      14.2     24.1 +70 %        16.2 +14 %
E2E p50 (ms)     1,000    1,703 +70 %       1,140 +14 %
E2E p99 (ms)     2,483    4,228 +70 %       2,831 +14 %
requests/s        8.00     8.00 same         8.00 same
output tok/s     1,600    1,600 same        1,600 same
busy spread     25.0 %    8.6 % -16.4 pp   19.2 % -5.8 pp
preemptions          0        0 same            0 same

kv reuses 63 % of prompt tokens (ceiling 71 %), round-robin 22 %, random 20 %.
Under kv, TTFT p50 is 2.9 times lower than with round-robin and 23 % lower than with random.
Under kv, TTFT p99 is 2.9 times lower than with round-robin and 23 % lower than with random.
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn several_seeds_show_paired_intervals_and_what_is_not_significant() {
    let mut runs = Vec::new();
    for (seed, slowness) in [(1, 1.0), (2, 1.1), (3, 1.2)] {
        runs.push(run("kv", seed, 0.6, slowness));
    }
    for (seed, slowness) in [(1, 2.0), (2, 2.1), (3, 2.3)] {
        let mut other = run("random", seed, 0.2, slowness);
        other.load.preemptions = seed;
        // The workload differs far more between seeds than the routers do within one.
        other.request_throughput.avg = 8.0 + 0.01 * (seed as f64 - 2.0);
        runs.push(other);
    }
    let mut summary = summary(runs);
    summary.scenario.seeds = 3;
    let text = render(&summary);
    for expected in [
        "  llama-3.1-8b-h100, 3 seeds (mean; difference ± 95 % interval)\n",
        "TTFT p50 (ms)     44.0     85.3 +94 % ± 13\n",
        "hit rate        60.0 %   20.0 % -40.0 pp ± 0.0\n",
        "requests/s        8.00     8.00 +0.0 % ± 0.3 n.s.\n",
        "preemptions          0        2 +2.0 ± 2.5 n.s.\n",
        "Under kv, TTFT p50 is 48 % lower than with random.\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn warnings_name_the_runs_that_mean_nothing() {
    let mut overloaded = run("random", 1, 0.2, 9.0);
    overloaded.overloaded = true;
    overloaded.requests.rejected = 3;
    let mut empty = run("idle", 1, 0.0, 1.0);
    empty.requests = RequestCounts::default();
    empty.inter_token_latency.count = 0;
    let text = render(&summary(vec![run("kv", 1, 0.6, 1.0), overloaded, empty]));
    for expected in [
        "WARNING: the queue grew without bound under random: latencies say nothing about a steady \
         state; lower the load or add workers.\n",
        "WARNING: no request completed under idle",
        "WARNING: requests were rejected under random",
        "rejected             0        3 +3",
        "TTFT p50 (ms)     40.0      360 +800 %          -\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("unfinished"), "{text}");
    assert!(!text.contains("Under kv"), "latencies of an overloaded run: {text}");
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
}

#[test]
fn goodput_is_shown_where_slos_are_given() {
    let mut with_slo = run("kv", 1, 0.6, 1.0);
    with_slo.goodput = Some(Rate { unit: "requests/sec", avg: 7.5 });
    assert!(render(&summary(vec![with_slo])).contains("goodput (req/s)"));
    assert!(!render(&summary(vec![run("kv", 1, 0.6, 1.0)])).contains("goodput"));
    assert!(render(&summary(Vec::new())).contains("no runs"));
}

#[test]
fn many_routers_are_folded_to_the_width_of_a_terminal() {
    let runs = (0..9).map(|i| run(&format!("router-{i}"), 1, 0.1 * f64::from(i), 1.0));
    let text = render(&summary(runs.collect()));
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(110), "{text}");
    assert_eq!(text.matches("TTFT p50 (ms)").count(), 2, "{text}");
    assert_eq!(text.matches(" router-8").count(), 1, "{text}");
}
