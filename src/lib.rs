//! kvroute: will KV-cache-aware routing help my workload, how do I tune it, and does my live
//! cluster do what the model says?
#![forbid(unsafe_code)]

pub mod error;
pub mod inspect;
pub mod metrics;
pub mod prompt;
pub mod request;
pub mod rng;
pub mod scenario;
pub mod units;
pub mod workload;
