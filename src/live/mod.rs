//! Live runs: the simulator's workloads against real OpenAI-compatible endpoints, measured.
//!
//! The same [`crate::workload::Source`] that feeds the simulation says when which request is sent;
//! here its clock is the real one. A prompt's segments become text of exactly as many tokens.
//!
//! This module and its parts are the only ones of the library that may read the wall clock.

pub mod health;
pub mod record;
pub mod recorder;
pub mod server;
pub mod summary;
pub mod timeline;
mod totals;

#[cfg(test)]
pub(crate) mod fixture;
