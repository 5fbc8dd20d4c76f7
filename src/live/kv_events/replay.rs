//! Asking a publisher for messages again.
//!
//! vLLM's protocol: to its ROUTER socket goes `["", first number]` (8 bytes, big-endian); back come
//! `["", topic, number, payload]` for each message from that number on that it still has (10,000 by
//! default), then one with the number -1. Only a DEALER socket receives more than the first of them.
//! The publisher sends all at once, and ZMQ drops what its queue (1,000 messages by default) does not take, that
//! last one too: what is missing in the middle is asked for again.

use super::endpoint::Endpoint;
use super::message::END_OF_REPLAY;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;
use zeromq::{DealerSocket, Socket, SocketOptions, SocketRecv, SocketSend, ZmqMessage};

/// For connecting, and for the first message. vLLM's publisher looks for requests every 100 ms; a
/// busy machine may take much longer.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer under way that pauses so long has lost its end.
const PAUSE: Duration = Duration::from_millis(500);
/// An answer brings a queue of 1,000 messages at least, and a publisher has 10,000 of them.
const MOST_ANSWERS: usize = 50;

/// A publisher may send more messages while it answers, never this many: it buffers 10,000.
const MOST: usize = 10_000_000;

/// Payloads by number.
type Messages = BTreeMap<u64, Bytes>;

/// The messages from number `from` on that the publisher still has, in order.
///
/// # Errors
/// Where none come, why, in words.
pub(super) async fn fetch(endpoint: &Endpoint, from: u64) -> Result<Messages, String> {
    let (mut messages, mut ended) = ask(endpoint, from).await?;
    // What is missing below that number, it has not any more.
    let mut settled = from;
    for _ in 1..MOST_ANSWERS {
        let Some(hole) = first_missing(&messages, settled, ended) else { break };
        let Ok((more, whole)) = ask(endpoint, hole).await else { break };
        let Some(first) = more.keys().next() else { break };
        settled = *first;
        ended |= whole;
        messages.extend(more);
    }
    Ok(messages)
}

/// The first number from `settled` on that is missing in the middle; where the end has not come (`ended`),
/// that after the last.
fn first_missing(messages: &Messages, settled: u64, ended: bool) -> Option<u64> {
    let mut next = None;
    for number in messages.range(settled..).map(|(number, _)| *number) {
        if next.is_some_and(|next| next != number) {
            return next;
        }
        next = number.checked_add(1);
    }
    next.filter(|_| !ended)
}

/// Asks once. What came, and whether the end came too.
async fn ask(endpoint: &Endpoint, from: u64) -> Result<(Messages, bool), String> {
    let failed = |why: String| format!("no replay from {endpoint}: {why}");
    let mut options = SocketOptions::default();
    options.connect_timeout(PATIENCE);
    let mut socket = DealerSocket::with_options(options);
    socket.connect(&endpoint.address()).await.map_err(|why| failed(why.to_string()))?;
    let mut request = ZmqMessage::from(Bytes::new());
    request.push_back(Bytes::copy_from_slice(&from.to_be_bytes()));
    socket.send(request).await.map_err(|why| failed(why.to_string()))?;
    let mut messages = Messages::new();
    loop {
        let patience = if messages.is_empty() { PATIENCE } else { PAUSE };
        let reply = match timeout(patience, socket.recv()).await {
            Ok(Ok(reply)) => reply.into_vec(),
            Ok(Err(why)) => return Err(failed(why.to_string())),
            Err(_) if messages.is_empty() => {
                return Err(failed(format!("no answer within {} s", PATIENCE.as_secs())));
            }
            Err(_) => return Ok((messages, false)),
        };
        let [.., number, payload] = &reply[..] else {
            return Err(failed("an answer has not the frames of a message".into()));
        };
        let Ok(number) = <[u8; 8]>::try_from(&number[..]) else {
            return Err(failed("the sequence number of an answer has not 8 bytes".into()));
        };
        if number == END_OF_REPLAY {
            return Ok((messages, true));
        }
        messages.insert(u64::from_be_bytes(number), payload.clone());
        if messages.len() > MOST {
            return Err(failed("it does not end".into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(numbers: &[u64]) -> Messages {
        numbers.iter().map(|number| (*number, Bytes::new())).collect()
    }

    #[test]
    fn holes_are_found_and_what_lies_below_the_first_message_is_gone() {
        let some = messages(&[5, 6, 9, 12]);
        assert_eq!(first_missing(&some, 0, true), Some(7));
        assert_eq!(first_missing(&some, 9, true), Some(10));
        assert_eq!(first_missing(&some, 12, true), None);
        assert_eq!(first_missing(&some, 12, false), Some(13));
        assert_eq!(first_missing(&messages(&[u64::MAX]), 0, false), None);
        assert_eq!(first_missing(&messages(&[]), 0, false), None);
    }
}
