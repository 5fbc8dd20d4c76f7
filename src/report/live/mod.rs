//! What a live run leaves behind: its files, plots, table, and exports in other tools' formats.

pub mod files;
mod plots;
mod rows;
pub mod table;

pub use files::write;
pub use rows::LiveRows;

#[cfg(test)]
mod fixture;
