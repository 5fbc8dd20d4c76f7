//! The comparison table on the terminal: metrics by routers, each router against the first.
//!
//! A cell is the mean over seeds. With several seeds the difference is the mean of the paired
//! differences (same seed, same workload) with its 95 % Student interval, and "n.s." (not
//! significant) marks an interval that contains 0.

use crate::metrics::summary::{RunSummary, Summary};
use crate::report::conclusion;
use crate::report::format::{describe, number, short};
use crate::stats::{interval_95, mean};
use std::fmt::Write;

/// Routers beyond this width go into a second table below.
pub(super) const WIDTH: usize = 110;

/// The runs of one router, seeds ascending.
pub(super) struct Group<'a> {
    pub(super) label: &'a str,
    pub(super) runs: Vec<&'a RunSummary>,
}

impl Group<'_> {
    /// `metric` of every seed, where all seeds have it.
    pub(super) fn values(&self, metric: Metric) -> Option<Vec<f64>> {
        self.runs.iter().map(|run| metric(run)).collect()
    }

    /// `metric` averaged over seeds.
    pub(super) fn mean(&self, metric: Metric) -> Option<f64> {
        self.values(metric).map(|values| mean(&values))
    }
}

/// Runs by router, in the order of their first appearance.
pub(super) fn groups(summary: &Summary) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for run in &summary.runs {
        match groups.iter_mut().find(|group| group.label == run.label) {
            Some(group) => group.runs.push(run),
            None => groups.push(Group { label: &run.label, runs: vec![run] }),
        }
    }
    groups
}

/// A number of a run; `None` where the run has none.
pub(super) type Metric = fn(&RunSummary) -> Option<f64>;

/// How a row's values and differences are printed.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Share of 1, shown in percent; differences in percentage points.
    Share,
    /// A quantity; differences in percent of the first router's.
    Quantity,
    /// A count; differences are counts.
    Count,
}

struct Row {
    name: &'static str,
    kind: Kind,
    metric: Metric,
}

const fn row(name: &'static str, kind: Kind, metric: Metric) -> Row {
    Row { name, kind, metric }
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
    let groups = groups(summary);
    let mut text = header(summary);
    let Some((base, others)) = groups.split_first() else {
        return text + "no runs\n";
    };
    let rows: Vec<&Row> = ROWS.iter().filter(|row| is_shown(row, &groups)).collect();
    let labels = labels(&rows);
    let first = column(base, base, &rows);
    for block in blocks(&labels, &first, base, others, &rows) {
        text.push('\n');
        join(&mut text, &block);
    }
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

/// Parts joined by commas, broken before [`WIDTH`].
pub(super) fn wrap(parts: &[String]) -> String {
    let (mut text, mut used) = (String::new(), 0);
    for part in parts {
        if used > 0 && used + part.chars().count() + 2 > WIDTH {
            text.push_str(",\n  ");
            used = 2;
        } else if used > 0 {
            text.push_str(", ");
            used += 2;
        }
        text.push_str(part);
        used += part.chars().count();
    }
    text + "\n"
}

/// A column of the table, all cells of one width.
pub(super) type Column = Vec<String>;

fn labels(rows: &[&Row]) -> Column {
    let names = std::iter::once("").chain(rows.iter().map(|row| row.name));
    pad(names.map(String::from).collect(), false)
}

/// A router's column: values right-aligned, and behind them the difference against `base`.
fn column(group: &Group<'_>, base: &Group<'_>, rows: &[&Row]) -> Column {
    let values = rows.iter().map(|row| value(row, group)).collect();
    let differences = if std::ptr::eq(group, base) {
        vec![String::new(); rows.len()]
    } else {
        rows.iter().map(|row| difference(row, group, base)).collect()
    };
    let cells = std::iter::zip(pad(values, true), pad(differences, false))
        .map(|(value, difference)| format!("{value} {difference}").trim_end().to_string());
    let title = group.label.to_string();
    let mut column = pad(cells.collect(), false);
    let width = column.iter().map(|cell| cell.chars().count()).max();
    column.insert(0, format!("{title:<0$}", width.unwrap_or(0)));
    pad(column, false)
}

pub(super) fn pad(cells: Vec<String>, right: bool) -> Column {
    let width = cells.iter().map(|cell| cell.chars().count()).max();
    let width = width.unwrap_or(0);
    let fill = |cell: String| match right {
        true => format!("{cell:>width$}"),
        false => format!("{cell:<width$}"),
    };
    cells.into_iter().map(fill).collect()
}

/// Splits the routers over as many tables as [`WIDTH`] asks for; each begins with the first router.
fn blocks(
    labels: &Column,
    first: &Column,
    base: &Group<'_>,
    others: &[Group<'_>],
    rows: &[&Row],
) -> Vec<Vec<Column>> {
    let width = |column: &Column| column.first().map_or(0, |cell| cell.chars().count() + 3);
    let start = || vec![labels.clone(), first.clone()];
    let mut blocks = vec![start()];
    for other in others {
        let next = column(other, base, rows);
        let used: usize = blocks.last().into_iter().flatten().map(&width).sum();
        let is_full = blocks.last().is_some_and(|block| block.len() > 2);
        if is_full && used + width(&next) > WIDTH + 3 {
            blocks.push(start());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(next);
        }
    }
    blocks
}

pub(super) fn join(text: &mut String, columns: &[Column]) {
    let height = columns.first().map_or(0, Vec::len);
    for line in 0..height {
        let cells: Vec<&str> = columns.iter().map(|column| column[line].as_str()).collect();
        let _ = writeln!(text, "{}", cells.join("   ").trim_end());
    }
}

fn value(row: &Row, group: &Group<'_>) -> String {
    let Some(mean) = group.mean(row.metric) else {
        return "-".into();
    };
    match row.kind {
        Kind::Share => format!("{} %", number(100.0 * mean, 1)),
        Kind::Quantity => short(mean),
        Kind::Count => number(mean, usize::from(mean.fract() != 0.0)),
    }
}

fn difference(row: &Row, group: &Group<'_>, base: &Group<'_>) -> String {
    let pair = group.values(row.metric).zip(base.values(row.metric));
    let Some((values, base)) = pair else {
        return String::new();
    };
    let paired: Vec<f64> = std::iter::zip(&values, &base).map(|(a, b)| a - b).collect();
    if paired.iter().all(|difference| *difference == 0.0) {
        return "same".into();
    }
    let (scale, unit) = match row.kind {
        Kind::Share => (100.0, " pp"),
        Kind::Count => (1.0, ""),
        Kind::Quantity if mean(&base) == 0.0 => return String::new(),
        Kind::Quantity => (100.0 / mean(&base), " %"),
    };
    let interval = interval_95(&paired);
    let size = interval.mean * scale;
    let decimals = usize::from(match row.kind {
        Kind::Share => true,
        Kind::Quantity => size.abs() < 9.95,
        Kind::Count => paired.len() > 1,
    });
    let shown = format!("{}{unit}", signed(size, decimals));
    if paired.len() < 2 {
        return shown;
    }
    let half_width = number(interval.half_width * scale, decimals);
    let mark = if interval.contains_zero() { " n.s." } else { "" };
    format!("{shown} ± {half_width}{mark}")
}

pub(super) fn signed(value: f64, decimals: usize) -> String {
    let text = number(value, decimals);
    if value < 0.0 { text } else { format!("+{text}") }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
