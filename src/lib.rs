//! kvroute: will KV-cache-aware routing help my workload, how do I tune it, and does my live
//! cluster do what the model says?
#![forbid(unsafe_code)]

mod ahead;
pub mod cache;
pub mod calibrate;
pub mod claims;
pub mod compare;
pub mod error;
mod flat_map;
pub mod hash;
pub mod inspect;
#[cfg(feature = "live")]
pub mod live;
pub mod metrics;
pub mod prompt;
pub mod report;
pub mod request;
pub mod rng;
pub mod router;
pub mod scenario;
pub mod search;
pub mod sim;
mod soonest;
pub mod stats;
pub mod sweep;
pub mod units;
pub mod workload;
