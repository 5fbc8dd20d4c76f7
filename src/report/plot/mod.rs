//! Plots as SVG, and PNG made from it: nothing of the machine (fonts, clock) gets into them.

pub(super) mod axis;
mod balance;
pub(super) mod canvas;
pub(super) mod over_time;
mod panel;
mod residuals;
pub(super) mod style;
pub(super) mod ttft_cdf;

pub use canvas::png;
pub use residuals::draw_residuals;

use crate::error::Result;
use crate::metrics::summary::RunSummary;
use crate::metrics::timeline::Timeline;
use crate::report::run_dir::RunDir;
use crate::units::Nanos;

/// What the plots show of one router.
#[derive(Clone, Debug)]
pub struct PlotRun<'a> {
    /// What the router is called.
    pub label: &'a str,
    /// TTFT of completed requests, or quantiles of it, in any order; all seeds together.
    pub ttft_ms: Vec<f64>,
    /// Timeline of the first seed.
    pub timeline: &'a Timeline,
    /// When the run of the first seed ended, on the timeline's clock.
    pub end: Nanos,
    /// Every seed, ascending; never empty.
    pub summaries: Vec<&'a RunSummary>,
}

/// One finished plot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    /// File name without its ending.
    pub name: &'static str,
    /// The drawing.
    pub svg: String,
}

/// Draws all plots; `workload` says in a few words what was run.
///
/// # Errors
/// Only where drawing itself fails, which would be a bug.
pub fn all(workload: &str, runs: &[PlotRun<'_>]) -> Result<Vec<Plot>> {
    let seeds = runs.iter().map(|run| run.summaries.len()).max();
    let seeds = seeds.unwrap_or(0);
    let (pooled, first, averaged) = if seeds > 1 {
        (
            format!("{workload}; {seeds} seeds pooled"),
            format!("{workload}; first of {seeds} seeds"),
            format!("{workload}; mean of {seeds} seeds"),
        )
    } else {
        (workload.into(), workload.into(), workload.into())
    };
    let ttft = runs.iter().map(|run| ttft_cdf::of_values(run.label, &run.ttft_ms));
    let ttft: Vec<_> = ttft.collect();
    let plot = |name, svg: Result<String>| svg.map(|svg| Plot { name, svg });
    Ok(vec![
        plot("summary", panel::draw_panel(&averaged, runs))?,
        plot("ttft_cdf", ttft_cdf::draw_cdf(&pooled, &ttft))?,
        plot("hit_rate_over_time", over_time::hit_rate(&first, runs))?,
        plot("worker_load_over_time", over_time::load(&first, runs))?,
        plot("balance", balance::draw_balance(&first, runs))?,
    ])
}

/// Draws all plots into `plots/` of a run, as SVG and as PNG.
///
/// # Errors
/// Where a file cannot be written.
pub fn write_all(dir: &RunDir, workload: &str, runs: &[PlotRun<'_>]) -> Result<()> {
    write(dir, &all(workload, runs)?)
}

/// Writes finished plots into `plots/` of a run, as SVG and as PNG.
///
/// # Errors
/// Where a file cannot be written.
pub(super) fn write(dir: &RunDir, plots: &[Plot]) -> Result<()> {
    for plot in plots {
        dir.write(&format!("plots/{}.svg", plot.name), plot.svg.as_bytes())?;
        dir.write(&format!("plots/{}.png", plot.name), &png(&plot.svg)?)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
