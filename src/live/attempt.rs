//! One request from the moment it is due to its end: sent, perhaps again after 429 or 503 with
//! Retry-After, and turned into its record.

use super::client::answer::Answer;
use super::client::{Call, Client, End, Reply};
use super::clock::Clock;
use super::record::{Failure, LiveRecord, Outcome};
use crate::units::Nanos;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What a task needs to carry one request through.
pub struct Attempt {
    /// Who sends it.
    pub client: Arc<Client>,
    /// The run's clock.
    pub clock: Clock,
    /// Becomes true when requests in flight are given up.
    pub cancel: watch::Receiver<bool>,
    /// How often it is sent again when the server says when to come back.
    pub retries: u32,
}

/// A request that has ended.
#[derive(Debug)]
pub struct Done {
    /// Its record, but for what only the run knows.
    pub record: LiveRecord,
    /// What was answered, as far as it came.
    pub answer: Answer,
    /// Arrival times were the kernel's.
    pub kernel: bool,
}

impl Attempt {
    /// Sends `call` and completes `record`.
    pub async fn run(mut self, call: Call, mut record: LiveRecord) -> Done {
        let mut retries = self.retries;
        loop {
            let reply = self.client.send(&call, self.cancel.clone()).await;
            record.attempts += reply.sends;
            let pause = wait_before_retry(&reply).filter(|_| retries > 0);
            retries = retries.saturating_sub(1);
            if let Some(pause) = pause
                && self.pause(pause).await
            {
                continue;
            }
            return self.done(reply, record);
        }
    }

    /// Waits; false where the request was given up meanwhile.
    async fn pause(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            _ = self.cancel.wait_for(|cancelled| *cancelled) => false,
        }
    }

    fn done(&self, reply: Reply, mut record: LiveRecord) -> Done {
        let now = self.clock.now();
        let Reply { exchange, seen, reused, end, .. } = reply;
        let mut answer = exchange.answer;
        answer.settle();
        record.sent = seen.first_write;
        record.first_byte = exchange.first_byte;
        record.first_token = answer.first_token;
        record.first_output = answer.first_output;
        record.second_token = answer.second_token;
        record.last_token = answer.last_token;
        record.usage = answer.usage;
        record.chunks = answer.chunks;
        record.coalesced = answer.coalesced;
        record.read_lag = (seen.kernel && seen.reads > 0).then_some(seen.worst_lag);
        record.reused_connection = reused;
        record.bytes_sent = seen.written;
        record.bytes_received = exchange.bytes_received;
        record.http_status = exchange.status;
        record.ended = now;
        match end {
            End::Complete => {
                record.outcome = Outcome::Completed;
                // The end is the last byte, not the moment we came to look at it.
                record.ended = seen.arrival.max(record.sent.unwrap_or(Nanos::ZERO)).min(now);
            }
            End::Failed(fault) => {
                record.outcome = Outcome::Failed(fault.failure);
                record.error = Some(fault.words);
            }
            End::Cancelled => record.outcome = Outcome::Cancelled,
        }
        Done { record, answer, kernel: seen.kernel }
    }
}

/// How long the server asks to wait, where it turned the request away for now.
fn wait_before_retry(reply: &Reply) -> Option<Duration> {
    let End::Failed(fault) = &reply.end else { return None };
    matches!(fault.failure, Failure::Status(429 | 503)).then_some(())?;
    reply.exchange.retry_after
}
