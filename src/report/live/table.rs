//! The table of a live run on the terminal: metrics by arms, and below it what failed, what to
//! distrust, and what to switch on to see more.

use crate::live::summary::{LiveRun, LiveSummary};
use crate::metrics::summary::Distribution;
use crate::report::format::{describe_load, number, plural, short};
use crate::report::table::{Column, WIDTH, join, pad, wrap};
use std::fmt::Write;

/// A row: its name, and what a run has there; left out where no run has it.
struct Row {
    name: &'static str,
    value: fn(&LiveRun) -> Option<String>,
}

const fn row(name: &'static str, value: fn(&LiveRun) -> Option<String>) -> Row {
    Row { name, value }
}

const ROWS: &[Row] = &[
    row("requests sent", |run| Some(count(run.requests.arrived))),
    row("  completed", |run| Some(count(run.requests.completed))),
    row("  failed", |run| happened(run.requests.failed)),
    row("  cancelled", |run| happened(run.requests.cancelled)),
    row("  (warm-up, not measured)", |run| happened(run.warm_up_requests)),
    row("requests/s", |run| Some(short(run.request_throughput.avg))),
    row("output tok/s", |run| Some(short(run.output_token_throughput.avg))),
    row("goodput (req/s)", |run| run.goodput.as_ref().map(|rate| short(rate.avg))),
    row("TTFT p50 (ms)", |run| at(&run.time_to_first_token, |ttft| ttft.p50)),
    row("TTFT p90 (ms)", |run| at(&run.time_to_first_token, |ttft| ttft.p90)),
    row("TTFT p99 (ms)", |run| at(&run.time_to_first_token, |ttft| ttft.p99)),
    row("  scheduled p50", |run| at(&run.scheduled_time_to_first_token, |ttft| ttft.p50)),
    row("  scheduled p99", |run| at(&run.scheduled_time_to_first_token, |ttft| ttft.p99)),
    row("first output p50 (ms)", |run| at(run.time_to_first_output_token.as_ref()?, |t| t.p50)),
    row("ITL p50 (ms)", |run| at(&run.inter_token_latency, |itl| itl.p50)),
    row("ITL p99 (ms)", |run| at(&run.inter_token_latency, |itl| itl.p99)),
    row("TPOT p50 (ms)", |run| at(&run.time_per_output_token, |tpot| tpot.p50)),
    row("E2E p50 (ms)", |run| at(&run.request_latency, |e2e| e2e.p50)),
    row("E2E p99 (ms)", |run| at(&run.request_latency, |e2e| e2e.p99)),
    row("hit rate", hit_rate),
    row("  expected", |run| completed(run, percent(run.prefix_cache.expected_hit_rate))),
    row("  by server counters", |run| run.prefix_cache.server_hit_rate.map(percent)),
    row("prompt tokens", |run| completed(run, short(run.lengths.planned_prompt_avg))),
    row("  by server", |run| run.lengths.server_prompt_avg.map(short)),
    row("output tokens", |run| completed(run, short(run.lengths.output_avg))),
    row("send lag p99 (ms)", |run| at(&run.client.send_lag, |lag| lag.p99)),
    row("client CPU (ms/req)", |run| Some(number(run.client.cpu_per_request_ms, 3))),
];

fn count(count: u64) -> String {
    number(count as f64, 0)
}

/// Rare events are shown where they happened.
fn happened(times: u64) -> Option<String> {
    (times > 0).then(|| count(times))
}

fn percent(share: f64) -> String {
    format!("{} %", number(100.0 * share, 1))
}

fn completed(run: &LiveRun, value: String) -> Option<String> {
    (run.requests.completed > 0).then_some(value)
}

/// A percentile, where anything was measured.
fn at(distribution: &Distribution, of: fn(&Distribution) -> f64) -> Option<String> {
    (distribution.count > 0).then(|| short(of(distribution)))
}

fn hit_rate(run: &LiveRun) -> Option<String> {
    completed(run, run.prefix_cache.hit_rate.map_or("unknown".into(), percent))
}

/// The table with its header and notes. Plain text, ends with a newline.
pub fn render(summary: &LiveSummary) -> String {
    let mut text = header(summary);
    let has = |row: &&Row| summary.runs.iter().any(|run| (row.value)(run).is_some());
    let rows: Vec<&Row> = ROWS.iter().filter(has).collect();
    for runs in blocks(&summary.runs, &rows) {
        text.push('\n');
        let columns = runs.iter().map(|run| column(run, &rows));
        join(&mut text, &std::iter::once(labels(&rows)).chain(columns).collect::<Vec<_>>());
    }
    let notes = notes(&summary.runs);
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "{note}");
    }
    text
}

fn header(summary: &LiveSummary) -> String {
    let live = &summary.live;
    let sent = summary.runs.first().map_or(0, |run| run.requests.arrived);
    let target = match &live.urls[..] {
        [only] => only.clone(),
        urls => plural(urls.len() as u64, "endpoint"),
    };
    let streaming = if live.streaming { "" } else { " (not streamed)" };
    wrap(&[
        describe_load(&summary.scenario, sent),
        target,
        live.model.clone(),
        format!("{}{streaming}", live.endpoint_type),
        format!("tokenizer {}", live.tokenizer),
    ])
}

fn labels(rows: &[&Row]) -> Column {
    let names = std::iter::once("").chain(rows.iter().map(|row| row.name));
    pad(names.map(String::from).collect(), false)
}

fn column(run: &LiveRun, rows: &[&Row]) -> Column {
    let values = rows.iter().map(|row| (row.value)(run).unwrap_or_else(|| "-".into()));
    pad(std::iter::once(run.label.clone()).chain(values).collect(), true)
}

/// Splits the runs over as many tables as [`WIDTH`] asks for.
fn blocks<'a>(runs: &'a [LiveRun], rows: &[&Row]) -> Vec<Vec<&'a LiveRun>> {
    let width = |column: Column| column.first().map_or(0, |cell| cell.chars().count() + 3);
    let names = width(labels(rows));
    let (mut blocks, mut used) = (vec![Vec::new()], names);
    for run in runs {
        let needs = width(column(run, rows));
        if used + needs > WIDTH + 3 && used > names {
            blocks.push(Vec::new());
            used = names;
        }
        used += needs;
        blocks.last_mut().expect("there is a first block").push(run);
    }
    blocks
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
            let reasons =
                run.failures.iter().map(|(why, times)| format!("{why} {}", count(*times)));
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
        assert_eq!(text.matches("requests sent").count(), 3, "{text}");
        let numbers = text.lines().take_while(|line| !line.contains("failed:"));
        assert!(numbers.skip(1).all(|line| line.chars().count() <= WIDTH), "{text}");
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
