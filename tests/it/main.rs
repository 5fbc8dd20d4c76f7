//! Integration tests: one binary, one module per subject.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod bad_traces;
mod calibrate;
mod oracle;
mod presets;
mod report;
mod support;
mod traces;
