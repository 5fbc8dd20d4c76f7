//! Trace files as streams of sessions.
