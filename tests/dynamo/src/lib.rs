//! Differential tests of kvroute against the router crates of NVIDIA Dynamo, version 1.6.1: what
//! the tests in `tests/` share.
//!
//! - [`state`]: a random view of a cluster and a request.
//! - [`formula`]: Dynamo's costs and sampling, transcribed from its description, independent of both.
//! - [`peer`]: the state as Dynamo's selector takes it.
//! - [`ours`]: the state as kvroute's `kv` takes it.
//! - [`prompts`], [`cache`], [`indexes`]: prompts, what workers hold of them, and the events that say so, for both.
//! - [`stream`], [`timed`]: for `index-bench`: queries and events, and the indexes driven through them.
//! - [`chi_square`]: the statistics.

pub mod cache;
pub mod chi_square;
pub mod formula;
pub mod indexes;
pub mod ours;
pub mod peer;
pub mod prompts;
pub mod state;
pub mod stream;
pub mod timed;

/// One row of `docs/fidelity.md`, which `scripts/fidelity.sh --dynamo` collects from the output.
pub fn fidelity(claim: &str, against: &str, test: &str, found: impl std::fmt::Display) {
    println!("FIDELITY\t{claim}\t{against}\t`{test}`\t{found}");
}
