//! The comparison table of simulated runs on the terminal: metrics by routers, each router against the
//! first; see `paired`.

use crate::metrics::summary::{RunSummary, Summary};
use crate::report::conclusion;
use crate::report::format::{describe, number};
use crate::report::paired::{self, Kind, Labelled, groups, row, wrap};
use std::fmt::Write;

pub(super) type Group<'a> = paired::Group<'a, RunSummary>;
pub(super) type Metric = paired::Metric<RunSummary>;
type Row = paired::Row<RunSummary>;

impl Labelled for RunSummary {
    fn label(&self) -> &str {
        &self.label
    }
}

const ROWS: &[Row] = &[
    row("hit rate", Kind::Share, |run| completed(run, run.prefix_cache.hit_rate)),
    row("  ceiling", Kind::Share, |run| completed(run, run.prefix_cache.ceiling_hit_rate)),
    row("TTFT p50 (ms)", Kind::Quantity, ttft_p50),
    row("TTFT p99 (ms)", Kind::Quantity, ttft_p99),
    row("ITL p50 (ms)", Kind::Quantity, |run| {
        let itl = &run.inter_token_latency;
        (itl.count > 0).then_some(itl.p50)
    }),
    row("ITL p99 (ms)", Kind::Quantity, |run| {
        let itl = &run.inter_token_latency;
        (itl.count > 0).then_some(itl.p99)
    }),
    row("E2E p50 (ms)", Kind::Quantity, |run| completed(run, run.request_latency.p50)),
    row("E2E p99 (ms)", Kind::Quantity, |run| completed(run, run.request_latency.p99)),
    row("requests/s", Kind::Quantity, |run| Some(run.request_throughput.avg)),
    row("output tok/s", Kind::Quantity, |run| Some(run.output_token_throughput.avg)),
    row("goodput (req/s)", Kind::Quantity, |run| run.goodput.as_ref().map(|rate| rate.avg)),
    row("busy spread", Kind::Share, |run| Some(run.load.busy_fraction_spread)),
    row("preemptions", Kind::Count, |run| Some(run.load.preemptions as f64)),
    row("rejected", Kind::Count, |run| Some(run.requests.rejected as f64)),
    row("unfinished", Kind::Count, |run| Some(run.requests.unfinished as f64)),
];

fn completed(run: &RunSummary, value: f64) -> Option<f64> {
    (run.requests.completed > 0).then_some(value)
}

pub(super) fn ttft_p50(run: &RunSummary) -> Option<f64> {
    completed(run, run.time_to_first_token.p50)
}

pub(super) fn ttft_p99(run: &RunSummary) -> Option<f64> {
    completed(run, run.time_to_first_token.p99)
}

/// The table with its header, and below it what it says in words. Plain text, ends with a newline.
pub fn render(summary: &Summary) -> String {
    let groups = groups(&summary.runs);
    let mut text = header(summary);
    if groups.is_empty() {
        return text + "no runs\n";
    }
    let rows: Vec<&Row> = ROWS.iter().filter(|row| is_shown(row, &groups)).collect();
    paired::write(&mut text, &groups, &rows);
    text.push('\n');
    for sentence in conclusion::sentences(&groups) {
        let _ = writeln!(text, "{sentence}");
    }
    text
}

/// Rows without any value, and rare events that did not happen, are left out.
fn is_shown(row: &Row, groups: &[Group<'_>]) -> bool {
    let mut means = groups.iter().map(|group| group.mean(row.metric));
    match row.name {
        "rejected" | "unfinished" => means.any(|mean| mean.unwrap_or(0.0) > 0.0),
        "goodput (req/s)" => means.any(|mean| mean.is_some()),
        _ => true,
    }
}

fn header(summary: &Summary) -> String {
    let scenario = &summary.scenario;
    let cluster = &scenario.cluster;
    let arrived = summary.runs.first().map_or(0, |run| run.requests.arrived);
    let mut parts = vec![describe(scenario, arrived)];
    let blocks = cluster
        .kv_blocks
        .map_or(String::new(), |blocks| format!("{} KV ", number(f64::from(blocks), 0)));
    parts.push(format!("{blocks}blocks of {} tokens each", cluster.block_tokens));
    parts.push(cluster.latency.clone());
    if scenario.seeds > 1 {
        parts.push(format!("{} seeds (mean; difference ± 95 % interval)", scenario.seeds));
    }
    wrap(&parts)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
