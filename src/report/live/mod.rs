//! What a live run leaves behind: its files, plots, table, and exports in other tools' formats.

mod aiperf;
mod aiperf_metrics;
mod aiperf_record;
mod civil;
pub mod compare_sim;
mod decisions;
pub mod doctor;
pub mod export;
pub mod files;
mod plots;
pub mod probe;
mod rows;
pub mod table;
mod vllm;

pub use export::{ExportHead, LiveWriter};
pub use files::write;

#[cfg(test)]
mod fixture;
