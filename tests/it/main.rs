//! Integration tests: one binary, one module per subject.

mod bad_traces;
mod traces;
