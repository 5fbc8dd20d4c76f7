//! The files of a finished sweep.

use super::{csv, journal, plots, summary};
use crate::error::Result;
use crate::report::run_dir::RunDir;
use crate::sweep::run::Rows;
use crate::sweep::{Row, Table};
use journal::Head;

/// Files that a sweep writes; the journal is not among them, since it outlives a run.
pub const RESULTS: &[&str] =
    &["points.csv", "points.parquet", "summary.json", "sweep.toml", "scenario.toml", "timing.json"];

/// Writes everything but `timing.json` and puts the journal in order; the same bytes however the
/// rows came about.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(dir: &RunDir, head: &Head, table: &Table, with_plots: bool) -> Result<()> {
    dir.write("sweep.toml", head.definition.sweep.as_bytes())?;
    dir.write("scenario.toml", head.definition.scenario.as_bytes())?;
    dir.write("points.csv", csv::points(table).as_bytes())?;
    #[cfg(feature = "parquet")]
    dir.write("points.parquet", &super::parquet::points(table)?)?;
    dir.write("summary.json", &summary::json(table, &head.definition)?)?;
    if with_plots {
        plots::write(dir, head, table)?;
    }
    let keyed = |row: Row| ((row.cell, row.seed), row.outcome);
    let rows: Rows = table.rows().map(keyed).collect();
    journal::write_in_order(dir, head, &table.plan, &rows)
}
