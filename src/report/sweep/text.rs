//! The table of a sweep on the terminal: the best cells by one metric, what they are compared with,
//! and what must not be read as a result.

use super::advice::advice;
use super::journal::Head;
use crate::error::Result;
use crate::report::describe;
use crate::report::format::{number, short};
use crate::report::paired::{Column, join, pad, signed, wrap};
use crate::sweep::{Better, Difference, METRICS, Metric, Plan, Table};
use std::cmp::Ordering;
use std::fmt::Write;

/// Cells shown.
const SHOWN: usize = 12;

/// Metrics shown beside the one that ranks.
const BESIDE: &[&str] = &["hit_rate", "ttft_p50_ms", "ttft_p99_ms", "itl_p99_ms", "requests_per_s"];

/// The table with its header, and sentences below. Plain text, ends with a newline.
///
/// # Errors
/// Where the definition cannot be read back.
pub fn render(table: &Table, head: &Head) -> Result<String> {
    let place = table.plan.spec.metric()?;
    let ranked = ranked(table, place);
    let mut text = header(table, head, place)?;
    text.push('\n');
    let mut shown: Vec<usize> = ranked.iter().copied().take(SHOWN).collect();
    let baseline = table.cells().first().map_or(0, |cell| cell.baseline);
    if !shown.contains(&baseline) && table.outcomes(baseline).next().is_some() {
        shown.push(baseline);
    }
    join(&mut text, &columns(table, &ranked, &shown, place));
    text.push('\n');
    for sentence in sentences(table, &ranked, place) {
        let _ = writeln!(text, "{sentence}");
    }
    Ok(text)
}

/// Steady cells from best to worst; those without the metric are left out.
fn ranked(table: &Table, place: usize) -> Vec<usize> {
    let better = METRICS[place].better;
    let steady = (0..table.cells().len()).filter(|cell| table.is_steady(*cell));
    let mut ranked: Vec<(usize, f64)> =
        steady.filter_map(|cell| Some((cell, table.mean(cell, place)?))).collect();
    ranked.sort_by(|a, b| match better {
        Better::Lower => a.1.total_cmp(&b.1),
        Better::Higher => b.1.total_cmp(&a.1),
        Better::Neither => Ordering::Equal,
    });
    ranked.into_iter().map(|(cell, _)| cell).collect()
}

fn header(table: &Table, head: &Head, place: usize) -> Result<String> {
    let plan = &table.plan;
    let count = |count: usize, what: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{} {what}{plural}", number(count as f64, 0))
    };
    let mut parts = vec![about(head, plan)?];
    parts.push(count(plan.points.len(), "point"));
    parts.push(format!("{} each", count(plan.seeds.len(), "seed")));
    if head.shards > 1 {
        parts.push(format!("shard {} of {}", head.shard, head.shards));
    }
    let label = METRICS[place].label;
    let interval = if plan.seeds.len() > 1 { ", mean ± 95 % interval" } else { "" };
    Ok(format!("{}ranked by {label}{interval}\n", wrap(&parts)))
}

/// What all points have in common, in a few words.
pub(super) fn about(head: &Head, plan: &Plan) -> Result<String> {
    let about = describe(&head.definition.first_scenario()?, head.definition.requests);
    let is_swept = |prefix: &str| plan.keys.iter().any(|key| key.starts_with(prefix));
    let differs = |part: &str| {
        let is = |words: &[&str]| words.iter().any(|word| part.contains(word));
        let arrivals = is(&[" arrivals ", " in flight"]);
        arrivals && (is_swept("workload.arrival") || plan.keys.iter().any(|key| key == "workload"))
            || is(&[" worker"]) && is_swept("cluster.workers")
            || is(&[" requests"]) && !arrivals && is_swept("workload.requests")
            || is(&[" of arrivals"]) && is_swept("workload.duration")
    };
    let parts: Vec<&str> = about.split(", ").filter(|part| !differs(part)).collect();
    Ok(parts.join(", "))
}

/// The last part of a dotted key, with as much before it as sets it apart.
pub(super) fn short_names(keys: &[String]) -> Vec<String> {
    let tail = |key: &str, parts: usize| {
        let all: Vec<&str> = key.split('.').collect();
        all[all.len().saturating_sub(parts)..].join(".")
    };
    let apart = |key: &String| {
        let alone = |parts: &usize| {
            keys.iter().filter(|other| tail(other, *parts) == tail(key, *parts)).count() == 1
        };
        tail(key, (1..4).find(alone).unwrap_or(4))
    };
    keys.iter().map(apart).collect()
}

fn columns(table: &Table, ranked: &[usize], shown: &[usize], place: usize) -> Vec<Column> {
    let rank = |cell: &usize| match ranked.iter().position(|other| other == cell) {
        Some(place) => (place + 1).to_string(),
        None => "-".into(),
    };
    let mut columns = vec![column("#", shown.iter().map(rank), true)];
    for (key, name) in table.plan.keys.iter().zip(short_names(&table.plan.keys)) {
        let values = shown.iter().map(|cell| table.plan.shown(*cell, key));
        if key != "router.mode" {
            columns.push(column(&name, values, false));
        }
    }
    let router = |cell: &usize| table.plan.cells[*cell].router.clone();
    columns.push(column("router", shown.iter().map(router), false));
    let value = |cell: &usize| value(table, *cell, place);
    columns.push(column(METRICS[place].label, shown.iter().map(value), false));
    let gap = |cell: &usize| difference(table, *cell, place);
    columns.push(column("against baseline", shown.iter().map(gap), false));
    for (other, metric) in METRICS.iter().enumerate() {
        if BESIDE.contains(&metric.name) && other != place {
            let mean = |cell: &usize| plain(table.mean(*cell, other), metric);
            columns.push(column(metric.label, shown.iter().map(mean), true));
        }
    }
    columns
}

fn column(title: &str, cells: impl Iterator<Item = String>, right: bool) -> Column {
    pad(std::iter::once(title.to_string()).chain(cells).collect(), right)
}

pub(super) fn plain(mean: Option<f64>, metric: &Metric) -> String {
    let decimals = |value: f64| match metric.scale {
        1.0 => short(value),
        scale => number(value * scale, 1),
    };
    mean.map_or("-".into(), decimals)
}

fn value(table: &Table, cell: usize, place: usize) -> String {
    let Some(estimate) = table.estimate(cell, place) else { return "-".into() };
    let mut text = plain(Some(estimate.t.mean), &METRICS[place]);
    if estimate.seeds > 1 {
        text += &format!(" ± {}", plain(Some(estimate.t.half_width), &METRICS[place]));
    }
    match table.is_steady(cell) {
        true => text,
        false => text + " (overloaded)",
    }
}

fn difference(table: &Table, cell: usize, place: usize) -> String {
    if table.plan.cells[cell].baseline == cell {
        return "baseline".into();
    }
    let gap = table.difference(cell, place);
    gap.map_or(String::new(), |gap| in_words(&gap, &METRICS[place]))
}

/// `-12 % ± 3 %`, with "n.s." where it is not significant.
fn in_words(gap: &Difference, metric: &Metric) -> String {
    if gap.t.mean == 0.0 && gap.t.half_width <= 0.0 {
        return "same".into();
    }
    let (scale, unit) = match (metric.scale, gap.percent()) {
        (1.0, Some(_)) => (100.0 / gap.base.abs(), " %"),
        (1.0, None) => (1.0, ""),
        (scale, _) => (scale, " pp"),
    };
    let shown = format!("{}{unit}", signed(gap.t.mean * scale, 1));
    match gap.significant() {
        None => shown,
        Some(significant) => {
            let mark = if significant { "" } else { " n.s." };
            format!("{shown} ± {}{mark}", number(gap.t.half_width * scale, 1))
        }
    }
}

/// What the table cannot say.
fn sentences(table: &Table, ranked: &[usize], place: usize) -> Vec<String> {
    let mut sentences = Vec::new();
    sentences.extend(advice(table, place));
    if ranked.len() > 1 && table.plan.seeds.len() > 1 {
        let ties =
            table.best(ranked, place).map_or(0, |best| table.ties(ranked, best, place).len() - 1);
        let label = METRICS[place].label;
        sentences.push(match ties {
            0 => {
                format!("Pair by pair, the best cell is significantly better in {label} than every other.")
            }
            1 => format!("Pair by pair, one other cell cannot be told from the best in {label} (n.s.)."),
            ties => format!("Pair by pair, {ties} others cannot be told from the best in {label} (n.s.)."),
        });
    }
    let count =
        |what: &dyn Fn(usize) -> bool| (0..table.cells().len()).filter(|cell| what(*cell)).count();
    let overloaded = count(&|cell| table.overloaded(cell) > 0);
    if overloaded > 0 {
        sentences.push(format!(
            "WARNING: {overloaded} of {} cells were overloaded (the queue grew without bound): they \
             have no steady state and are not ranked.",
            table.cells().len()
        ));
    }
    let failed = (0..table.cells().len()).filter_map(|cell| table.failure(cell));
    let reasons: Vec<&str> = failed.collect();
    if let Some(first) = reasons.first() {
        let cells = if reasons.len() == 1 { "cell" } else { "cells" };
        sentences.push(format!("{} {cells} failed; the first: {first}", reasons.len()));
    }
    sentences
}
