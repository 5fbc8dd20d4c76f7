//! What a sweep leaves behind: the journal, `points.csv`, `summary.json`, plots, and the table on the
//! terminal.

mod advice;
mod csv;
mod files;
pub mod journal;
pub mod merge;
#[cfg(feature = "parquet")]
mod parquet;
mod plots;
mod summary;
mod text;

pub use files::{RESULTS, write};
pub use text::render;
