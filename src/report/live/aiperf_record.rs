//! A line of AIPerf's `profile_export.jsonl`: one request, with its metrics or its error.

use super::aiperf_metrics::Metrics;
use crate::live::record::{LiveRecord, Outcome};
use crate::units::Nanos;
use serde::Serialize;

/// Code that AIPerf gives to cancelled requests.
const CANCELLED: u16 = 499;

/// AIPerf's `ErrorDetails`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct ErrorDetails {
    code: Option<u16>,
    r#type: String,
    message: String,
}

impl ErrorDetails {
    /// Of a request that did not complete.
    pub(super) fn of(record: &LiveRecord) -> Option<ErrorDetails> {
        let message = |or: &str| record.error.clone().unwrap_or_else(|| or.into());
        match record.outcome {
            Outcome::Completed => None,
            Outcome::Cancelled => Some(ErrorDetails {
                code: Some(CANCELLED),
                r#type: "RequestCancellationError".into(),
                message: message("cancelled"),
            }),
            Outcome::Failed(why) => Some(ErrorDetails {
                code: record.http_status.filter(|status| *status >= 400),
                r#type: why.to_string(),
                message: message(&why.to_string()),
            }),
        }
    }
}

/// A line of `profile_export.jsonl`.
#[derive(Serialize)]
pub(super) struct RecordLine<'a> {
    metadata: Metadata,
    metrics: Metrics<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ErrorDetails>,
}

impl<'a> RecordLine<'a> {
    /// For a run that began at `start_unix_ns`.
    pub(super) fn new(
        record: &'a LiveRecord,
        start_unix_ns: u64,
        error: Option<&'a ErrorDetails>,
    ) -> RecordLine<'a> {
        RecordLine {
            metadata: Metadata::new(record, start_unix_ns),
            metrics: Metrics(record),
            error,
        }
    }
}

#[derive(Serialize)]
struct Metadata {
    session_num: u64,
    x_request_id: String,
    x_correlation_id: String,
    conversation_id: String,
    turn_index: u32,
    credit_issued_ns: u64,
    request_start_ns: u64,
    request_ack_ns: Option<u64>,
    request_end_ns: u64,
    /// In AIPerf the client's process; here where the request went.
    worker_id: String,
    record_processor_id: &'static str,
    benchmark_phase: &'static str,
    phase_index: u32,
    profiling_index: u32,
    phase_name: &'static str,
    phase_kind: &'static str,
    was_cancelled: bool,
    cancellation_time_ns: Option<u64>,
}

impl Metadata {
    fn new(record: &LiveRecord, start_unix_ns: u64) -> Metadata {
        let wall = |at: Nanos| start_unix_ns + at.0;
        let was_cancelled = record.outcome == Outcome::Cancelled;
        let session = record.session.to_string();
        Metadata {
            session_num: record.session,
            x_request_id: record.id.to_string(),
            x_correlation_id: session.clone(),
            conversation_id: session,
            turn_index: record.turn,
            credit_issued_ns: wall(record.scheduled),
            request_start_ns: wall(record.sent.unwrap_or(record.scheduled)),
            request_ack_ns: record.first_byte.map(wall),
            request_end_ns: wall(record.ended),
            worker_id: format!("worker-{}", record.endpoint + 1),
            record_processor_id: "kvroute",
            benchmark_phase: "profiling",
            phase_index: 0,
            profiling_index: 0,
            phase_name: "profiling",
            phase_kind: "profiling",
            was_cancelled,
            cancellation_time_ns: was_cancelled.then(|| wall(record.ended)),
        }
    }
}
