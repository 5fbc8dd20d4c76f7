//! What a run leaves behind: files, plots, the table on the terminal, and explanations.

pub mod capacity;
pub mod claims;
mod columns;
mod conclusion;
pub mod csv;
pub mod decision;
pub mod explain;
mod format;
mod line;
#[cfg(feature = "live")]
pub mod live;
mod paired;
pub mod plot;
pub mod run_dir;
pub mod run_files;
pub mod sweep;
pub mod table;

pub use format::describe;

#[cfg(test)]
mod fixture;
