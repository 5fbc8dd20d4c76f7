//! Asking a publisher for messages again.
//!
//! vLLM's protocol: to its ROUTER socket goes `["", first number]` (8 bytes, big-endian); back come
//! `["", topic, number, payload]` for each message from that number on that it still has (10,000 by
//! default), then one with the number -1. Only a DEALER socket receives more than the first of them.
//!
//! A ROUTER drops what it sends faster than it is taken: of more than 1,000 messages the rest and the
//! end are often missing (Dynamo 1.6.1: always). So what follows the last one is asked for again, as
//! long as more comes.

use super::endpoint::Endpoint;
use super::message::END_OF_REPLAY;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::timeout;
use zeromq::{DealerSocket, Socket, SocketOptions, SocketRecv, SocketSend, ZmqMessage};

/// For connecting, and between two messages. vLLM's publisher looks for requests every 100 ms; a
/// busy machine may take much longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A publisher may send more messages while it answers, never this many: it buffers 10,000.
const MOST: usize = 10_000_000;

/// Silence for so long among messages: the rest was dropped.
const SILENCE: Duration = Duration::from_millis(500);

/// Messages from number `from` on, as (number, payload), in the order of their numbers: none is missing
/// behind the first.
///
/// # Errors
/// Where none come, why, in words.
pub(super) async fn fetch(endpoint: &Endpoint, from: u64) -> Result<Vec<(u64, Bytes)>, String> {
    let mut options = SocketOptions::default();
    options.connect_timeout(PATIENCE);
    let mut replay = Replay { socket: DealerSocket::with_options(options), messages: Vec::new() };
    replay.all(endpoint, from).await.map_err(|why| format!("no replay from {endpoint}: {why}"))?;
    Ok(replay.messages)
}

struct Replay {
    socket: DealerSocket,
    messages: Vec<(u64, Bytes)>,
}

impl Replay {
    async fn all(&mut self, endpoint: &Endpoint, from: u64) -> Result<(), String> {
        self.socket.connect(&endpoint.address()).await.map_err(|why| why.to_string())?;
        loop {
            let before = self.messages.len();
            let next = self.messages.last().map_or(from, |(number, _)| number.saturating_add(1));
            let mut request = ZmqMessage::from(Bytes::new());
            request.push_back(Bytes::copy_from_slice(&next.to_be_bytes()));
            self.socket.send(request).await.map_err(|why| why.to_string())?;
            let ended = self.some().await?;
            if ended || (before > 0 && self.messages.len() == before) {
                return Ok(());
            }
            if self.messages.is_empty() {
                return Err(format!("no answer within {} s", PATIENCE.as_secs()));
            }
            if self.messages.len() >= MOST {
                return Err("it does not end".into());
            }
        }
    }

    /// Takes what comes. Whether that was all there is; else some of it was dropped.
    async fn some(&mut self) -> Result<bool, String> {
        let mut whole = true;
        let mut patience = PATIENCE;
        while self.messages.len() < MOST {
            let reply = match timeout(patience, self.socket.recv()).await {
                Ok(Ok(reply)) => reply.into_vec(),
                Ok(Err(why)) => return Err(why.to_string()),
                Err(_) => return Ok(false),
            };
            let [.., number, payload] = &reply[..] else {
                return Err("an answer has not the frames of a message".into());
            };
            let Ok(number) = <[u8; 8]>::try_from(&number[..]) else {
                return Err("the sequence number of an answer has not 8 bytes".into());
            };
            if number == END_OF_REPLAY {
                return Ok(whole);
            }
            let number = u64::from_be_bytes(number);
            match self.messages.last() {
                // The first may be any: older ones are not kept.
                Some((last, _)) if number != last.saturating_add(1) => whole &= number <= *last,
                _ => self.messages.push((number, payload.clone())),
            }
            patience = SILENCE;
        }
        Ok(false)
    }
}
