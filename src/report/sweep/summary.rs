//! `summary.json` of a sweep: a cell for every router at every point, with what statistics says.

use crate::error::{Error, Result};
use crate::stats::Interval;
use crate::sweep::{Definition, Difference, Estimate, METRICS, Table};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Summary<'a> {
    schema_version: &'static str,
    definition_sha256: &'a str,
    sweep: Value,
    scenario: Value,
    seeds: &'a [u64],
    metrics: Vec<MetricEntry>,
    cells: Vec<CellEntry<'a>>,
}

#[derive(Serialize)]
struct MetricEntry {
    name: &'static str,
    label: &'static str,
    better: &'static str,
    /// Number of the best steady cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    best_cell: Option<usize>,
}

#[derive(Serialize)]
struct CellEntry<'a> {
    cell: usize,
    point: usize,
    router: &'a str,
    settings: BTreeMap<&'a str, Value>,
    seeds: usize,
    /// Seeds that were overloaded: their latencies describe no steady state.
    overloaded_seeds: usize,
    steady: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<&'a str>,
    /// Number of the cell that the differences are from.
    baseline_cell: usize,
    metrics: BTreeMap<&'static str, MetricOf>,
}

#[derive(Serialize)]
struct MetricOf {
    mean: f64,
    /// 95 % Student interval; null for a single seed.
    t95: Option<(f64, f64)>,
    bootstrap95: Option<(f64, f64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<DifferenceOf>,
}

#[derive(Serialize)]
struct DifferenceOf {
    mean: f64,
    percent: Option<f64>,
    t95: Option<(f64, f64)>,
    bootstrap95: Option<(f64, f64)>,
    /// null for a single pair, which cannot tell.
    significant: Option<bool>,
}

/// The whole file.
///
/// # Errors
/// Where the definition cannot be read back.
pub fn json(table: &Table, definition: &Definition) -> Result<Vec<u8>> {
    let broken = |why: serde_json::Error| Error::Run(why.to_string());
    let summary = Summary {
        schema_version: "1",
        definition_sha256: &definition.sha256,
        sweep: serde_json::to_value(&table.plan.spec).map_err(broken)?,
        scenario: serde_json::to_value(definition.first_scenario()?).map_err(broken)?,
        seeds: &table.plan.seeds,
        metrics: metrics(table),
        cells: has_rows(table).map(|cell| entry(table, cell)).collect(),
    };
    serde_json::to_vec_pretty(&summary).map_err(broken)
}

/// Cells of other shards have none.
fn has_rows(table: &Table) -> impl Iterator<Item = usize> {
    (0..table.cells().len()).filter(|cell| table.outcomes(*cell).next().is_some())
}

fn metrics(table: &Table) -> Vec<MetricEntry> {
    let all: Vec<usize> = (0..table.cells().len()).collect();
    let metrics = METRICS.iter().enumerate();
    metrics
        .map(|(place, metric)| MetricEntry {
            name: metric.name,
            label: metric.label,
            better: metric.better.name(),
            best_cell: table.best(&all, place),
        })
        .collect()
}

fn entry(table: &Table, number: usize) -> CellEntry<'_> {
    let cell = &table.plan.cells[number];
    let settings = &table.plan.points[cell.point].settings;
    let value = |value: &toml::Value| serde_json::to_value(value).unwrap_or(Value::Null);
    let metric = |place: usize| {
        let estimate = table.estimate(number, place)?;
        Some((METRICS[place].name, metric_of(&estimate, table.difference(number, place))))
    };
    CellEntry {
        cell: number,
        point: cell.point,
        router: &cell.router,
        settings: settings.iter().map(|(key, of)| (key.as_str(), value(of))).collect(),
        seeds: table.outcomes(number).count(),
        overloaded_seeds: table.overloaded(number),
        steady: table.is_steady(number),
        failed: table.failure(number),
        baseline_cell: cell.baseline,
        metrics: (0..METRICS.len()).filter_map(metric).collect(),
    }
}

fn metric_of(estimate: &Estimate, difference: Option<Difference>) -> MetricOf {
    MetricOf {
        mean: estimate.t.mean,
        t95: ends(&estimate.t),
        bootstrap95: estimate.bootstrap,
        difference: difference.map(|gap| DifferenceOf {
            mean: gap.t.mean,
            percent: gap.percent(),
            t95: ends(&gap.t),
            bootstrap95: gap.bootstrap,
            significant: gap.significant(),
        }),
    }
}

/// Both ends of an interval, where it has any.
fn ends(interval: &Interval) -> Option<(f64, f64)> {
    let half = interval.half_width;
    half.is_finite().then_some((interval.mean - half, interval.mean + half))
}
