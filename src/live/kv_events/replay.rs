//! Asking a publisher for messages again.
//!
//! vLLM's protocol: to its ROUTER socket goes `["", first number]` (8 bytes, big-endian); back come
//! `["", topic, number, payload]` for each message from that number on that it still has (10,000 by
//! default), then one with the number -1. Only a DEALER socket receives more than the first of them.

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

/// Messages from number `from` on, as (number, payload), in the order in which they came.
///
/// # Errors
/// Where they do not come, why, in words.
pub(super) async fn fetch(endpoint: &Endpoint, from: u64) -> Result<Vec<(u64, Bytes)>, String> {
    let failed = |why: String| format!("no replay from {endpoint}: {why}");
    let mut options = SocketOptions::default();
    options.connect_timeout(PATIENCE);
    let mut socket = DealerSocket::with_options(options);
    socket.connect(&endpoint.address()).await.map_err(|why| failed(why.to_string()))?;
    let mut request = ZmqMessage::from(Bytes::new());
    request.push_back(Bytes::copy_from_slice(&from.to_be_bytes()));
    socket.send(request).await.map_err(|why| failed(why.to_string()))?;
    let mut messages = Vec::new();
    while messages.len() < MOST {
        let reply = match timeout(PATIENCE, socket.recv()).await {
            Ok(Ok(reply)) => reply.into_vec(),
            Ok(Err(why)) => return Err(failed(why.to_string())),
            Err(_) => return Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
        };
        let [.., number, payload] = &reply[..] else {
            return Err(failed("an answer has not the frames of a message".into()));
        };
        let Ok(number) = <[u8; 8]>::try_from(&number[..]) else {
            return Err(failed("the sequence number of an answer has not 8 bytes".into()));
        };
        if number == END_OF_REPLAY {
            return Ok(messages);
        }
        messages.push((u64::from_be_bytes(number), payload.clone()));
    }
    Err(failed("it does not end".into()))
}
