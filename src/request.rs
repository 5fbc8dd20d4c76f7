//! A request, and the record of what became of it.

use crate::prompt::Segment;
use crate::units::Nanos;

/// Number of a request within its workload, from 0: line order of a trace, or fixed by
/// (session, turn) for generated sessions, so the same under every router.
pub type RequestId = u64;

/// One request to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Number within the workload, from 0.
    pub id: RequestId,
    /// Session it belongs to; a single request is a session of one turn.
    pub session: u64,
    /// Turn within the session, from 0.
    pub turn: u32,
    /// When it reaches the router.
    pub arrival: Nanos,
    /// Content of prompt, then output; the end of the prompt is the end of a segment.
    pub segments: Vec<Segment>,
    /// Length of the prompt, at least 1 token.
    pub prompt_tokens: u32,
    /// Length of the output, at least 1 token. No router but an oracle may look at it.
    pub output_tokens: u32,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All output tokens were made.
    Completed,
    /// It can never fit into a worker's KV cache.
    Rejected,
    /// The run ended before it did (interrupted).
    Unfinished,
}

impl Status {
    /// The word in `requests.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Status::Completed => "completed",
            Status::Rejected => "rejected",
            Status::Unfinished => "unfinished",
        }
    }
}

/// Everything measured about one request. Times are absolute.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// Number within the workload, from 0.
    pub id: RequestId,
    /// Session it belongs to.
    pub session: u64,
    /// Turn within the session, from 0.
    pub turn: u32,
    /// Prompt length, tokens.
    pub prompt_tokens: u32,
    /// Output length, tokens.
    pub output_tokens: u32,
    /// When it reached the router.
    pub arrival: Nanos,
    /// Worker it went to, from 0; shown as number from 1.
    pub worker: Option<u32>,
    /// Leading prompt blocks the chosen worker truly held at the decision.
    pub overlap_blocks: u32,
    /// The same for the worker that held most.
    pub best_overlap_blocks: u32,
    /// Overlap the router believed the chosen worker had, in blocks; `None` where it keeps no index.
    pub predicted_overlap_blocks: Option<u32>,
    /// Prompt tokens reused at first admission.
    pub hit_tokens: u32,
    /// Prompt tokens an infinite cache shared by all workers would have reused.
    pub ceiling_tokens: u32,
    /// First admission to the running batch.
    pub admitted: Option<Nanos>,
    /// First output token.
    pub first_token: Option<Nanos>,
    /// Last output token.
    pub finished: Option<Nanos>,
    /// How often it was preempted.
    pub preemptions: u32,
    /// How it ended.
    pub status: Status,
}

impl RequestRecord {
    /// Nothing has happened to the request yet, but that it arrived.
    pub fn new(request: &Request) -> RequestRecord {
        RequestRecord {
            id: request.id,
            session: request.session,
            turn: request.turn,
            prompt_tokens: request.prompt_tokens,
            output_tokens: request.output_tokens,
            arrival: request.arrival,
            worker: None,
            overlap_blocks: 0,
            best_overlap_blocks: 0,
            predicted_overlap_blocks: None,
            hit_tokens: 0,
            ceiling_tokens: 0,
            admitted: None,
            first_token: None,
            finished: None,
            preemptions: 0,
            status: Status::Unfinished,
        }
    }

    /// Admission to the running batch − arrival.
    pub fn queue_time(&self) -> Option<Nanos> {
        self.admitted.map(|at| at - self.arrival)
    }

    /// First output token − arrival.
    pub fn ttft(&self) -> Option<Nanos> {
        self.first_token.map(|at| at - self.arrival)
    }

    /// Last token − arrival.
    pub fn e2e(&self) -> Option<Nanos> {
        self.finished.map(|at| at - self.arrival)
    }

    /// (E2E − TTFT) / (output tokens − 1), in nanoseconds; `None` for a single output token.
    pub fn tpot_ns(&self) -> Option<f64> {
        let decode = self.finished?.saturating_sub(self.first_token?);
        (self.output_tokens > 1).then(|| decode.0 as f64 / f64::from(self.output_tokens - 1))
    }
}
