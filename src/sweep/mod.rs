//! Sweeps: many settings of one scenario, each under several seeds, and what differs between them.
//!
//! ```text
//! Spec ──expand──▶ Plan: points, cells ──prepare──▶ Sweep: scenarios ──run──▶ rows ──▶ Table
//! ```
//!
//! A *point* is one choice of values for the swept keys, a *cell* one router at one point, a *row*
//! what one seed of a cell measured. All cells see the same seeds, so the same workloads (common
//! random numbers), and are compared seed by seed. [`Table`] is what reports, searches and claims
//! read; nothing in it depends on the order in which rows came, on the number of threads, or on how
//! often the sweep was interrupted.

pub mod axis;
pub mod job;
pub mod metric;
pub mod plan;
pub mod prepare;
pub mod row;
pub mod run;
pub mod sample;
pub mod spec;
pub mod stop;
pub mod table;

pub use metric::{Better, METRICS, Metric};
pub use plan::{Cell, Plan, Point, Shard};
pub use prepare::{Definition, Sweep};
pub use row::{Outcome, Row, Values};
pub use run::run;
pub use spec::Spec;
pub use table::{Difference, Estimate, Table};
