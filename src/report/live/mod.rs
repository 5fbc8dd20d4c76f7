//! What a live run leaves behind: its files, plots, table, and exports in other tools' formats.

mod aiperf;
mod aiperf_metrics;
mod aiperf_record;
mod civil;
pub mod export;
pub mod files;
mod plots;
mod rows;
pub mod table;
mod vllm;

pub use export::{ExportHead, LiveWriter};
pub use files::write;

/// Files a live run may write.
pub const RESULTS: &[&str] = &[
    "scenario.toml",
    "timing.json",
    "summary.json",
    "requests.csv",
    "workers.csv",
    "timeline.csv",
    "server_metrics.csv",
    "profile_export.jsonl",
    "profile_export_aiperf.json",
    "profile_export_aiperf.csv",
    "vllm.json",
];

#[cfg(test)]
mod fixture;
