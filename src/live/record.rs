//! The record of one live request: what was planned, what was seen on the wire, how it ended.

use super::dispatch::Explained;
use crate::request::{Request, RequestId};
use crate::units::Nanos;
use std::fmt;

/// Why a request failed. Every failed request has exactly one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// No connection: refused, unreachable, name not found.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The connection broke before the response was complete.
    Reset,
    /// The server answered with this status, 400 or more.
    Status(u16),
    /// Nothing arrived for `--request-timeout`.
    Timeout,
    /// The response is no HTTP, SSE or JSON that the protocol allows.
    Malformed,
    /// The response holds bytes that are not UTF-8.
    BadUtf8,
    /// The stream ended without `[DONE]` or a finish reason.
    Truncated,
    /// The server went on beyond every limit of the output.
    Endless,
    /// The server reported an error inside the stream.
    InStream,
    /// The stream was fine but held no output at all.
    Empty,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let name = match self {
            Failure::Status(code) => return write!(out, "http-{code}"),
            Failure::Connect => "connect",
            Failure::Tls => "tls",
            Failure::Reset => "reset",
            Failure::Timeout => "timeout",
            Failure::Malformed => "malformed",
            Failure::BadUtf8 => "bad-utf8",
            Failure::Truncated => "truncated",
            Failure::Endless => "endless",
            Failure::InStream => "error-in-stream",
            Failure::Empty => "empty",
        };
        out.write_str(name)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole answer arrived.
    Completed,
    /// It did not, for this reason.
    Failed(Failure),
    /// We gave it up: end of the grace period, or Ctrl-C.
    Cancelled,
}

impl Outcome {
    /// The word in `requests.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Failed(_) => "failed",
            Outcome::Cancelled => "cancelled",
        }
    }
}

/// What the server said about tokens (`usage`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, chat template included.
    pub prompt_tokens: u32,
    /// Tokens of the output.
    pub completion_tokens: u32,
    /// Of the prompt, found in the prefix cache; `None` where the server did not say.
    pub cached_tokens: Option<u32>,
    /// Of the output, reasoning; `None` where the server did not say.
    pub reasoning_tokens: Option<u32>,
}

/// Everything measured about one live request. Times count from the start of the run.
#[derive(Clone, Debug)]
pub struct LiveRecord {
    /// Number within the workload, from 0.
    pub id: RequestId,
    /// Session it belongs to.
    pub session: u64,
    /// Turn within the session, from 0.
    pub turn: u32,
    /// It arrived in the warm-up: counted, not measured.
    pub warm_up: bool,
    /// Endpoint it went to, from 0; shown as worker number from 1.
    pub endpoint: u32,
    /// Prompt length by our own count, chat template not included, tokens.
    pub planned_prompt_tokens: u32,
    /// Output length asked for, tokens.
    pub planned_output_tokens: u32,
    /// Prompt tokens that one infinite cache would have held, given what was sent before.
    pub expected_hit_tokens: u32,
    /// Prompt tokens that the router believed cached where it sent the request; `None` where it keeps no
    /// index or is not ours.
    pub predicted_hit_tokens: Option<u32>,
    /// Why it went where it went; only where that is recorded.
    pub decision: Option<Box<Explained>>,
    /// When it should have been sent.
    pub scheduled: Nanos,
    /// Just before its first byte went to the socket; `None` where there was no connection.
    pub sent: Option<Nanos>,
    /// The first bytes of the response arrived.
    pub first_byte: Option<Nanos>,
    /// The first chunk with content or reasoning arrived.
    pub first_token: Option<Nanos>,
    /// The first chunk with content that is no reasoning arrived.
    pub first_output: Option<Nanos>,
    /// The second chunk with content or reasoning arrived.
    pub second_token: Option<Nanos>,
    /// The last chunk with content or reasoning arrived.
    pub last_token: Option<Nanos>,
    /// It ended: the response was complete, or the failure was seen.
    pub ended: Nanos,
    /// What the server said about tokens.
    pub usage: Option<Usage>,
    /// Output tokens: the server's count, else that of our tokenizer.
    pub output_tokens: u32,
    /// Chunks with content or reasoning.
    pub chunks: u32,
    /// Of these, how many were read together with an earlier one: they share a gap.
    pub coalesced: u32,
    /// Gaps between chunks, nanoseconds; kept only where an export asks.
    pub gaps: Option<Vec<u64>>,
    /// Longest time that bytes of the response lay in the socket before we read them.
    pub read_lag: Option<Nanos>,
    /// It went over a connection that had served a request before.
    pub reused_connection: bool,
    /// How often it was sent; above 1 after 429 with Retry-After and `--retries`, or where a kept
    /// connection turned out to be closed.
    pub attempts: u32,
    /// Bytes of the request's head and body.
    pub bytes_sent: u64,
    /// Bytes of the response's body.
    pub bytes_received: u64,
    /// HTTP status, where there was one.
    pub http_status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// What exactly failed, in words; for the log, the table and the exports.
    pub error: Option<String>,
}

impl LiveRecord {
    /// Nothing has happened to the request but that it was planned.
    pub fn new(request: &Request) -> LiveRecord {
        LiveRecord {
            id: request.id,
            session: request.session,
            turn: request.turn,
            warm_up: false,
            endpoint: 0,
            planned_prompt_tokens: request.prompt_tokens,
            planned_output_tokens: request.output_tokens,
            expected_hit_tokens: 0,
            predicted_hit_tokens: None,
            decision: None,
            scheduled: request.arrival,
            sent: None,
            first_byte: None,
            first_token: None,
            first_output: None,
            second_token: None,
            last_token: None,
            ended: request.arrival,
            usage: None,
            output_tokens: 0,
            chunks: 0,
            coalesced: 0,
            gaps: None,
            read_lag: None,
            reused_connection: false,
            attempts: 0,
            bytes_sent: 0,
            bytes_received: 0,
            http_status: None,
            outcome: Outcome::Cancelled,
            error: None,
        }
    }

    /// Prompt tokens: the server's count, else ours.
    pub fn prompt_tokens(&self) -> u32 {
        self.usage.map_or(self.planned_prompt_tokens, |usage| usage.prompt_tokens)
    }

    /// Prompt tokens found in the prefix cache by the server's word; `None` where it said nothing.
    pub fn hit_tokens(&self) -> Option<u32> {
        self.usage.and_then(|usage| usage.cached_tokens)
    }

    /// First token − actual send.
    pub fn ttft(&self) -> Option<Nanos> {
        Some(self.first_token?.saturating_sub(self.sent?))
    }

    /// First token − intended send.
    pub fn scheduled_ttft(&self) -> Option<Nanos> {
        self.first_token.map(|at| at.saturating_sub(self.scheduled))
    }

    /// First token that is no reasoning − actual send.
    pub fn first_output_latency(&self) -> Option<Nanos> {
        Some(self.first_output?.saturating_sub(self.sent?))
    }

    /// Last token − actual send.
    pub fn e2e(&self) -> Option<Nanos> {
        Some(self.last_token?.saturating_sub(self.sent?))
    }

    /// Last token − intended send.
    pub fn scheduled_e2e(&self) -> Option<Nanos> {
        self.last_token.map(|at| at.saturating_sub(self.scheduled))
    }

    /// Actual − intended send.
    pub fn send_lag(&self) -> Option<Nanos> {
        self.sent.map(|at| at.saturating_sub(self.scheduled))
    }

    /// (E2E − TTFT) / (output tokens − 1), nanoseconds; `None` below two tokens, or where the whole
    /// answer came in one piece.
    pub fn tpot_ns(&self) -> Option<f64> {
        let decode = self.last_token?.saturating_sub(self.first_token?);
        (self.output_tokens > 1 && self.chunks > 1)
            .then(|| decode.0 as f64 / f64::from(self.output_tokens - 1))
    }
}

/// Takes records as requests end, in that order.
pub trait LiveSink: Send {
    /// The run begins: its time 0 is `unix_ns` nanoseconds since 1970 by the wall clock.
    fn started(&mut self, unix_ns: u64) {
        let _ = unix_ns;
    }

    /// A request ended.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn request(&mut self, record: &LiveRecord) -> crate::error::Result<()>;
}
