//! Plots of a sweep: heat maps over two keys, lines over one, knee curves, and the trade-off.

mod grid;
mod heat;
mod lines;
mod pareto;

use super::journal::Head;
use super::text::about;
use crate::error::Result;
use crate::report::plot::png;
use crate::report::run_dir::RunDir;
use crate::sweep::{METRICS, Table, metric};
use grid::{Grid, Lines};
use rayon::prelude::*;

/// Metrics with a heat map of their own.
const HEAT: &[&str] = &[
    "hit_rate",
    "ttft_avg_ms",
    "ttft_p50_ms",
    "ttft_p99_ms",
    "itl_p99_ms",
    "e2e_p99_ms",
    "output_tokens_per_s",
    "goodput_per_s",
    "busy_spread",
];

/// A plot: file name without its ending, and what draws its SVG.
type Plot<'a> = (String, Box<dyn Fn() -> Result<String> + Send + Sync + 'a>);

/// Draws all plots that suit the sweep into `plots/`, as SVG and PNG, on the threads of the caller's
/// pool.
///
/// # Errors
/// Where a file cannot be written.
pub(super) fn write(dir: &RunDir, head: &Head, table: &Table) -> Result<()> {
    let about = about(head, &table.plan)?;
    let grid = Grid::of(table);
    let lines = grid.lines(table);
    all(&about, table, &grid, lines.as_ref()).par_iter().with_max_len(1).try_for_each(
        |(name, draw)| {
            let svg = draw()?;
            dir.write(&format!("plots/{name}.svg"), svg.as_bytes())?;
            dir.write(&format!("plots/{name}.png"), &png(&svg)?)
        },
    )
}

fn all<'a>(
    about: &'a str,
    table: &'a Table,
    grid: &'a Grid,
    lines: Option<&'a Lines>,
) -> Vec<Plot<'a>> {
    let mut plots: Vec<Plot> = Vec::new();
    if grid.has_heat() {
        for place in shown_metrics(table) {
            let name = format!("heat_{}", METRICS[place].name);
            plots.push((name, Box::new(move || heat::draw(about, table, grid, place))));
        }
    }
    if let Some(lines) = lines {
        plots.push(("lines".into(), Box::new(move || lines::draw(about, table, lines))));
        if lines.is_load {
            plots.push(("knee".into(), Box::new(move || lines::draw_knee(about, table, lines))));
        }
    }
    if table.plan.points.len() > 2 {
        plots.push(("tradeoff".into(), Box::new(move || pareto::draw(about, table, grid))));
    }
    plots
}

/// Those of [`HEAT`] that the runs have, and the one that ranks.
fn shown_metrics(table: &Table) -> Vec<usize> {
    let ranking = table.plan.spec.metric.as_str();
    let has =
        |place: &usize| (0..table.cells().len()).any(|cell| table.mean(cell, *place).is_some());
    let wanted = HEAT.iter().copied().filter(|name| *name != ranking).chain([ranking]);
    wanted.filter_map(|name| metric::find(name).ok()).filter(has).collect()
}

/// `; mean of 5 seeds`, where there are several.
fn over_seeds(table: &Table) -> String {
    match table.plan.seeds.len() {
        1 => String::new(),
        seeds => format!("; mean of {seeds} seeds"),
    }
}
