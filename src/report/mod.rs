//! What a run leaves behind: files, plots, the table on the terminal, and explanations.

mod conclusion;
pub mod csv;
#[cfg(test)]
mod fixture;
mod format;
pub mod plot;
pub mod run_dir;
pub mod run_files;
pub mod table;
