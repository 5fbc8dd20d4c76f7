//! The table of a live run on the terminal: metrics by arms, and below it what failed, what to
//! distrust, and what to switch on to see more.

use super::compare_sim;
use crate::live::summary::{LiveRun, LiveSummary};
use crate::metrics::summary::Distribution;
use crate::report::format::{describe_load, number, plural};
use crate::report::paired::{self, Group, Kind, Labelled, groups, row, wrap};
use std::fmt::Write;

type Row = paired::Row<LiveRun>;

impl Labelled for LiveRun {
    fn label(&self) -> &str {
        &self.label
    }
}

const ROWS: &[Row] = &[
    row("requests sent", Kind::Count, |run| Some(run.requests.arrived as f64)),
    row("  completed", Kind::Count, |run| Some(run.requests.completed as f64)),
    row("  failed", Kind::Count, |run| happened(run.requests.failed)),
    row("  cancelled", Kind::Count, |run| happened(run.requests.cancelled)),
    row("  (warm-up, not measured)", Kind::Count, |run| happened(run.warm_up_requests)),
    row("requests/s", Kind::Quantity, |run| Some(run.request_throughput.avg)),
    row("output tok/s", Kind::Quantity, |run| Some(run.output_token_throughput.avg)),
    row("goodput (req/s)", Kind::Quantity, |run| run.goodput.as_ref().map(|rate| rate.avg)),
    row("TTFT p50 (ms)", Kind::Quantity, |run| at(&run.time_to_first_token, |ttft| ttft.p50)),
    row("TTFT p90 (ms)", Kind::Quantity, |run| at(&run.time_to_first_token, |ttft| ttft.p90)),
    row("TTFT p99 (ms)", Kind::Quantity, |run| at(&run.time_to_first_token, |ttft| ttft.p99)),
    row("  scheduled p50", Kind::Quantity, |run| {
        at(&run.scheduled_time_to_first_token, |ttft| ttft.p50)
    }),
    row("  scheduled p99", Kind::Quantity, |run| {
        at(&run.scheduled_time_to_first_token, |ttft| ttft.p99)
    }),
    row("first output p50 (ms)", Kind::Quantity, |run| {
        at(run.time_to_first_output_token.as_ref()?, |first| first.p50)
    }),
    row("ITL p50 (ms)", Kind::Quantity, |run| at(&run.inter_token_latency, |itl| itl.p50)),
    row("ITL p99 (ms)", Kind::Quantity, |run| at(&run.inter_token_latency, |itl| itl.p99)),
    row("TPOT p50 (ms)", Kind::Quantity, |run| at(&run.time_per_output_token, |tpot| tpot.p50)),
    row("E2E p50 (ms)", Kind::Quantity, |run| at(&run.request_latency, |e2e| e2e.p50)),
    row("E2E p99 (ms)", Kind::Quantity, |run| at(&run.request_latency, |e2e| e2e.p99)),
    Row { missing: "unknown", ..row("hit rate", Kind::Share, |run| run.prefix_cache.hit_rate) },
    row("  expected", Kind::Share, |run| completed(run, run.prefix_cache.expected_hit_rate)),
    row("  predicted by router", Kind::Share, |run| run.prefix_cache.predicted_hit_rate),
    row("  by server counters", Kind::Share, |run| run.prefix_cache.server_hit_rate),
    row("prompt tokens", Kind::Quantity, |run| completed(run, run.lengths.planned_prompt_avg)),
    row("  by server", Kind::Quantity, |run| run.lengths.server_prompt_avg),
    row("output tokens", Kind::Quantity, |run| completed(run, run.lengths.output_avg)),
    row("send lag p99 (ms)", Kind::Quantity, |run| at(&run.client.send_lag, |lag| lag.p99)),
    row("client CPU (ms/req)", Kind::Quantity, |run| Some(run.client.cpu_per_request_ms)),
];

/// Rare events are shown where they happened.
fn happened(times: u64) -> Option<f64> {
    (times > 0).then_some(times as f64)
}

fn completed(run: &LiveRun, value: f64) -> Option<f64> {
    (run.requests.completed > 0).then_some(value)
}

/// A percentile, where anything was measured.
fn at(distribution: &Distribution, of: fn(&Distribution) -> f64) -> Option<f64> {
    (distribution.count > 0).then(|| of(distribution))
}

/// The table with its header and notes. Plain text, ends with a newline.
pub fn render(summary: &LiveSummary) -> String {
    let mut text = header(summary);
    let groups = groups(&summary.runs);
    let rows: Vec<&Row> = ROWS.iter().filter(|row| is_shown(row, &groups)).collect();
    paired::write(&mut text, &groups, &rows);
    let notes = notes(&summary.runs);
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "{note}");
    }
    if let Some(found) = &summary.compare_sim {
        text.push('\n');
        text += &compare_sim::render(found);
    }
    text
}

/// Rows that no run has a value for are left out, but for an unknown hit rate.
fn is_shown(row: &Row, groups: &[Group<'_, LiveRun>]) -> bool {
    let mut runs = groups.iter().flat_map(|group| &group.runs);
    let any = runs.clone().any(|run| (row.metric)(run).is_some());
    any || row.missing != "-" && runs.any(|run| run.requests.completed > 0)
}

fn header(summary: &LiveSummary) -> String {
    let live = &summary.live;
    let sent = summary.runs.first().map_or(0, |run| run.requests.arrived);
    let target = match &live.urls[..] {
        [only] => only.clone(),
        urls => plural(urls.len() as u64, "endpoint"),
    };
    let streaming = if live.streaming { "" } else { " (not streamed)" };
    let mut parts = vec![
        describe_load(&summary.scenario, sent),
        target,
        live.model.clone(),
        format!("{}{streaming}", live.endpoint_type),
        format!("tokenizer {}", live.tokenizer),
    ];
    if summary.scenario.seeds > 1 {
        let runs = summary.scenario.seeds;
        parts.push(format!("{runs} runs each (mean; difference ± 95 % interval)"));
    }
    wrap(&parts)
}

/// What the table cannot say in numbers, one line each; of several runs each names its own.
fn notes(runs: &[LiveRun]) -> Vec<String> {
    let mut notes = Vec::new();
    for run in runs {
        let whose = if runs.len() > 1 { format!("{}: ", run.label) } else { String::new() };
        let mut note = |text: String| notes.push(format!("{whose}{text}"));
        if run.interrupted {
            note("interrupted: what was sent until then is reported".into());
        }
        if !run.failures.is_empty() {
            let reasons = run
                .failures
                .iter()
                .map(|(why, times)| format!("{why} {}", number(*times as f64, 0)));
            note(format!("failed: {}", reasons.collect::<Vec<_>>().join(", ")));
        }
        run.client.warnings.iter().for_each(|warning| note(format!("warning: {warning}")));
    }
    let unknown = |run: &LiveRun| run.requests.completed > 0 && run.prefix_cache.hit_rate.is_none();
    if runs.iter().any(unknown) {
        notes.push(
            "hit rate unknown: no response says how many prompt tokens were cached; vLLM does with \
             --enable-prompt-tokens-details, SGLang with --enable-cache-report"
                .into(),
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::live::fixture;

    fn run(label: &str) -> LiveRun {
        fixture::output(label, &fixture::records(400, 2)).run
    }

    #[test]
    fn one_run_is_one_column_with_its_failures() {
        let text = render(&fixture::summary(vec![run("live")]));
        let expected = "
diverse, 380 requests, poisson arrivals 50/s, 2 endpoints, mock, chat, tokenizer builtin

                            live
requests sent                  380
  completed                    350
  failed                        20
  cancelled                     10
  (warm-up, not measured)       20
requests/s                    12.2
";
        assert!(text.starts_with(expected.trim_start()), "{text}");
        assert!(text.contains("\n  by server                    110\n"), "{text}");
        assert!(text.contains("\nfailed: connect 10, http-503 10\n"), "{text}");
        assert!(text.contains("\nwarning: the server counts 10 % more"), "{text}");
        assert!(!text.contains("unknown") && !text.contains("goodput"), "{text}");
        assert!(text.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn an_unknown_hit_rate_says_how_to_know_it() {
        let mut silent = run("a");
        silent.prefix_cache.hit_rate = None;
        silent.prefix_cache.server_hit_rate = None;
        let text = render(&fixture::summary(vec![run("b"), silent]));
        let line = text.lines().find(|line| line.starts_with("hit rate ")).unwrap();
        assert!(line.ends_with("unknown"), "{text}");
        assert!(text.contains("--enable-prompt-tokens-details"), "{text}");
        assert!(text.contains("\na: failed: connect 10"), "{text}");
        assert!(text.lines().any(|line| line.contains("by server") && line.ends_with(" -")));
    }

    #[test]
    fn many_runs_wrap_into_several_tables() {
        let runs = (0..9).map(|i| run(&format!("a-rather-long-name-{i}"))).collect();
        let text = render(&fixture::summary(runs));
        // Three columns fit, and the first is repeated in each table.
        assert_eq!(text.matches("requests sent").count(), 4, "{text}");
        let numbers = text.lines().take_while(|line| !line.contains("failed:"));
        assert!(numbers.skip(1).all(|line| line.chars().count() <= paired::WIDTH), "{text}");
    }

    #[test]
    fn nothing_completed_is_no_panic() {
        let mut empty = LiveRun { label: "live".into(), ..LiveRun::default() };
        empty.requests.arrived = 3;
        empty.requests.failed = 3;
        empty.interrupted = true;
        let text = render(&fixture::summary(vec![empty]));
        assert!(!text.contains("TTFT") && text.contains("interrupted"), "{text}");
        render(&fixture::summary(Vec::new()));
    }
}
