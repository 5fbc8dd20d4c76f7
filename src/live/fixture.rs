//! Made-up records and runs, for tests.

use super::record::{Failure, LiveRecord, Outcome, Usage};
use crate::prompt::Segment;
use crate::request::Request;
use crate::units::Nanos;

/// A request that was to be sent at `scheduled`, of 100 prompt tokens and 5 output tokens; nothing
/// has happened to it yet.
pub fn planned(id: u64, scheduled: Nanos) -> LiveRecord {
    LiveRecord::new(&Request {
        id,
        session: id / 2,
        turn: (id % 2) as u32,
        arrival: scheduled,
        segments: Vec::<Segment>::new(),
        prompt_tokens: 100,
        output_tokens: 5,
    })
}

/// One that completed: sent 0.5 ms late, first token after 20 ms, five tokens 5 ms apart, 110 prompt
/// tokens by the server, 64 of them cached.
pub fn completed(id: u64, scheduled: Nanos) -> LiveRecord {
    let sent = scheduled + Nanos(500_000);
    let after = |us: u64| Some(sent + Nanos(us * 1000));
    LiveRecord {
        expected_hit_tokens: 80,
        sent: Some(sent),
        first_byte: after(1_000),
        first_token: after(20_000),
        first_output: after(20_000),
        second_token: after(25_000),
        last_token: after(40_000),
        ended: sent + Nanos(40_100_000),
        usage: Some(Usage {
            prompt_tokens: 110,
            completion_tokens: 5,
            cached_tokens: Some(64),
            reasoning_tokens: None,
        }),
        output_tokens: 5,
        chunks: 5,
        gaps: Some(vec![5_000_000; 4]),
        read_lag: Some(Nanos(30_000)),
        reused_connection: true,
        attempts: 1,
        bytes_sent: 900,
        bytes_received: 1500,
        http_status: Some(200),
        outcome: Outcome::Completed,
        ..planned(id, scheduled)
    }
}

/// One that failed for this reason, 3 ms after it was sent.
pub fn failed(id: u64, scheduled: Nanos, failure: Failure) -> LiveRecord {
    LiveRecord {
        sent: (failure != Failure::Connect).then_some(scheduled),
        ended: scheduled + Nanos(3_000_000),
        attempts: 1,
        http_status: match failure {
            Failure::Status(code) => Some(code),
            _ => None,
        },
        outcome: Outcome::Failed(failure),
        error: Some(format!("it broke, \"{failure}\"")),
        ..planned(id, scheduled)
    }
}
