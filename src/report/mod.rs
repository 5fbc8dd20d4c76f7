//! What a run leaves behind: files, plots, the table on the terminal, and explanations.

pub mod csv;
pub mod run_dir;
