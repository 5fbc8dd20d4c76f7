//! Live runs: the simulator's workloads against real OpenAI-compatible endpoints, measured.
//!
//! The same [`crate::workload::Source`] that feeds the simulation says when which request is sent;
//! here its clock is the real one. A prompt's segments become text of exactly as many tokens.
//!
//! This module and its parts are the only ones of the library that may read the wall clock.

pub mod arms;
pub mod as_server;
mod attempt;
pub mod body;
pub mod chat_template;
pub mod client;
pub mod clock;
pub mod compare_sim;
pub mod connect;
pub mod conversation;
pub mod dispatch;
pub mod doctor;
pub mod expected;
#[cfg(test)]
pub(crate) mod fixture;
pub mod health;
pub mod kv_events;
mod machine;
pub mod options;
pub mod plan;
pub mod probe;
pub mod progress;
pub mod record;
pub mod recorder;
pub mod run;
mod runtime;
pub mod senses;
pub mod server;
pub mod server_tokens;
pub mod summary;
pub mod text;
pub mod timeline;
pub mod tokenizer;
mod totals;
mod watchers;
