//! One row: what one seed of a cell measured, or why it could not.

use super::metric::METRICS;
use crate::metrics::summary::RunSummary;

/// One number per entry of [`METRICS`].
pub type Values = Vec<Option<f64>>;

/// What was measured, or the reason of the failure.
pub type Outcome = std::result::Result<Values, String>;

/// A row of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Number of the cell: its place in the plan.
    pub cell: usize,
    /// Seed.
    pub seed: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// The numbers of a run.
pub fn values(run: &RunSummary) -> Values {
    METRICS.iter().map(|metric| (metric.of)(run)).collect()
}
