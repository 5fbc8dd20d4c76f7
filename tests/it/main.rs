//! Integration tests: one binary, one module per subject.

mod bad_traces;
mod oracle;
mod report;
mod support;
mod traces;
