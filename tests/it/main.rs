//! Integration tests: one binary, one module per subject.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod bad_input;
mod bad_traces;
mod calibrate;
mod claims;
mod determinism;
mod invariants;
#[cfg(feature = "live")]
mod kv_events;
#[cfg(feature = "live")]
mod kv_events_live;
mod layering;
#[cfg(feature = "live")]
mod live;
mod load;
mod oracle;
mod overload;
mod polled;
mod presets;
mod program;
mod queueing;
mod random_case;
mod report;
mod search;
mod stretches;
mod support;
mod support_queue;
mod sweep;
mod sweep_input;
mod sweep_resume;
mod traces;
mod vllm;
mod warm_up;
