//! Receives the KV events of several workers and puts each worker's messages in order.
//!
//! One task per worker. Where we connect, it keeps trying, and again when the worker is gone; where
//! we bind, publishers come and go. With a replay socket, all that was published before we came and
//! all that was dropped on the way is asked for; without one it is reported as lost. A reconnected
//! publisher is the old one only if it has our last message still.
//!
//! The library's own reconnecting is not used: it waits up to 30 s, and a worker that returns gets
//! its next requests within one.

use super::endpoint::Endpoint;
use super::message::{self, Malformed};
use super::sequence::{Sequence, Verdict};
use super::{Delivery, What, replay};
use crate::error::{Error, Result};
use crate::live::clock::Clock;
use crate::units::Nanos;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use xxhash_rust::xxh3::xxh3_64;
use zeromq::{Socket, SocketEvent, SocketOptions, SocketRecv, SubSocket, ZmqMessage, ZmqResult};

/// A connection that takes longer to open is tried anew.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long a worker is left alone after a connection was refused or lost.
const RETRY: Duration = Duration::from_millis(200);

/// Where one worker's events come from.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The worker's number in deliveries.
    pub worker: u32,
    /// Its publisher.
    pub events: Endpoint,
    /// Its replay socket, where it has one; always connected to.
    pub replay: Option<Endpoint>,
}

impl Feed {
    /// Whether it can be listened to at all.
    ///
    /// # Errors
    /// Where a replay socket is to be bound.
    pub fn check(&self) -> Result<()> {
        match self.replay.as_ref().filter(|replay| replay.bind) {
            None => Ok(()),
            Some(replay) => Err(Error::input(format!(
                "workers always bind their replay sockets, so {replay} cannot be one; write \
                 tcp://HOST:PORT"
            ))),
        }
    }
}

/// The tasks that receive; they end when it is dropped.
pub struct Subscriber {
    _tasks: JoinSet<()>,
}

impl Subscriber {
    /// Receives from `feeds` what was published under topics that begin with `topic` (`""` = all);
    /// what happens goes to `deliveries`, with times by `clock`. Needs a runtime.
    ///
    /// # Errors
    /// Where we cannot bind, or a replay socket is to be bound.
    pub async fn start(
        feeds: &[Feed],
        topic: &str,
        clock: &Clock,
        deliveries: &UnboundedSender<Delivery>,
    ) -> Result<Subscriber> {
        let mut tasks = JoinSet::new();
        for feed in feeds {
            feed.check()?;
            let worker = Worker {
                feed: feed.clone(),
                topic: topic.to_string(),
                clock: clock.clone(),
                deliveries: deliveries.clone(),
                sequence: Sequence::default(),
                backlog: VecDeque::new(),
            };
            if feed.events.bind {
                let socket = worker.bound().await?;
                tasks.spawn(worker.serve(socket));
            } else {
                tasks.spawn(worker.follow());
            }
        }
        Ok(Subscriber { _tasks: tasks })
    }
}

/// A subscribed socket, and what happens to its connections.
struct Subscribed {
    socket: SubSocket,
    monitor: Monitor,
}

type Monitor = futures_channel::mpsc::Receiver<SocketEvent>;

/// One worker's task.
struct Worker {
    feed: Feed,
    topic: String,
    clock: Clock,
    deliveries: UnboundedSender<Delivery>,
    sequence: Sequence,
    /// What came while messages were replayed; the publisher would drop it if nobody took it.
    backlog: VecDeque<(Nanos, ZmqResult<ZmqMessage>)>,
}

impl Worker {
    fn tell(&self, at: Nanos, what: What) {
        // Nobody listens any more: the task is about to be aborted.
        let _ = self.deliveries.send(Delivery { worker: self.feed.worker, at, what });
    }

    fn tell_now(&self, what: What) {
        self.tell(self.clock.now(), what);
    }

    async fn subscribed(&self) -> std::result::Result<Subscribed, String> {
        let mut options = SocketOptions::default();
        options.connect_timeout(CONNECT_LIMIT);
        let mut socket = SubSocket::with_options(options);
        let monitor = socket.monitor();
        socket.subscribe(&self.topic).await.map_err(|why| why.to_string())?;
        Ok(Subscribed { socket, monitor })
    }

    async fn bound(&self) -> Result<Subscribed> {
        let refused = |why: String| {
            Error::input(format!("cannot bind {} for KV events: {why}", self.feed.events))
        };
        let mut subscribed = self.subscribed().await.map_err(refused)?;
        let address = self.feed.events.address();
        subscribed.socket.bind(&address).await.map_err(|why| refused(why.to_string()))?;
        Ok(subscribed)
    }

    async fn connected(&self) -> std::result::Result<Subscribed, String> {
        let mut subscribed = self.subscribed().await?;
        let address = self.feed.events.address();
        subscribed.socket.connect(&address).await.map_err(|why| why.to_string())?;
        Ok(subscribed)
    }

    /// Connects, as often as it takes.
    async fn follow(mut self) {
        let mut trouble = None;
        loop {
            match self.connected().await {
                Ok(mut subscribed) => {
                    trouble = None;
                    self.on_connected(&mut subscribed.socket).await;
                    self.listen(&mut subscribed).await;
                    self.tell_now(What::Disconnected);
                }
                Err(why) if trouble.as_ref() != Some(&why) => {
                    let text = format!("{} cannot be reached: {why}", self.feed.events);
                    self.tell_now(What::Unreachable(text));
                    trouble = Some(why);
                }
                Err(_) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Lets publishers connect.
    async fn serve(mut self, mut subscribed: Subscribed) {
        loop {
            self.listen(&mut subscribed).await;
        }
    }

    /// Takes messages. Ends with the connection, where we connected.
    async fn listen(&mut self, subscribed: &mut Subscribed) {
        let Subscribed { socket, monitor } = subscribed;
        loop {
            if let Some((at, message)) = self.backlog.pop_front() {
                if self.on_received(at, message, socket).await {
                    continue;
                }
                return;
            }
            // Messages first: what was sent before the end of a connection is read before its end.
            tokio::select! {
                biased;
                message = socket.recv() => {
                    let at = self.clock.now();
                    if !self.on_received(at, message, socket).await {
                        return;
                    }
                }
                event = monitor.recv() => match event {
                    Ok(SocketEvent::Accepted(..)) => self.on_connected(socket).await,
                    Ok(SocketEvent::Disconnected(_)) if self.feed.events.bind => {
                        self.tell_now(What::Disconnected);
                    }
                    Ok(SocketEvent::Disconnected(_)) | Err(_) => return,
                    Ok(_) => {}
                },
            }
        }
    }

    /// A publisher is there: the one that was, or another?
    async fn on_connected(&mut self, socket: &mut SubSocket) {
        self.sequence.connected();
        self.tell_now(What::Connected);
        match self.sequence.last() {
            None => self.catch_up(0, socket).await,
            Some((last, fingerprint)) => self.find_again(last, fingerprint, socket).await,
        }
        self.tell_now(What::CaughtUp);
    }

    /// The old publisher still has our last message.
    async fn find_again(&mut self, last: u64, fingerprint: u64, socket: &mut SubSocket) {
        let Some(replies) = self.replay(last, socket).await else { return };
        if replies.get(&last).is_some_and(|payload| xxh3_64(payload) == fingerprint) {
            self.deliver_replayed(replies);
        } else {
            self.restarted();
            self.catch_up(0, socket).await;
        }
    }

    fn restarted(&mut self) {
        self.sequence.restarted();
        self.tell_now(What::Restarted);
    }

    /// Replays from `from` on, where that is possible.
    async fn catch_up(&mut self, from: u64, socket: &mut SubSocket) {
        if let Some(replies) = self.replay(from, socket).await {
            self.deliver_replayed(replies);
        }
    }

    async fn replay(&mut self, from: u64, socket: &mut SubSocket) -> Option<BTreeMap<u64, Bytes>> {
        let endpoint = self.feed.replay.clone()?;
        let fetch = pin!(replay::fetch(&endpoint, from));
        match self.hearing(fetch, socket).await {
            Ok(replies) => Some(replies),
            Err(why) => {
                self.tell_now(What::ReplayFailed(why));
                None
            }
        }
    }

    /// Waits for `future`, and keeps what comes meanwhile.
    async fn hearing<F: Future + Unpin>(
        &mut self,
        mut future: F,
        socket: &mut SubSocket,
    ) -> F::Output {
        loop {
            tokio::select! {
                output = &mut future => return output,
                message = socket.recv() => {
                    let over = message.is_err();
                    self.backlog.push_back((self.clock.now(), message));
                    if over {
                        return future.await;
                    }
                }
            }
        }
    }

    fn deliver_replayed(&mut self, replies: BTreeMap<u64, Bytes>) {
        let at = self.clock.now();
        for (number, payload) in replies {
            let next = self.sequence.next();
            if number > next {
                self.tell(at, What::Lost(number - next));
            }
            // Numbers below are those that we have.
            if number >= next {
                self.deliver(at, number, &payload, true);
            }
        }
    }

    fn deliver(&mut self, at: Nanos, number: u64, payload: &Bytes, replayed: bool) {
        self.sequence.delivered(number, xxh3_64(payload), replayed);
        self.tell(
            at,
            match message::decode_payload(number, payload) {
                Ok(batch) => What::Batch { batch, replayed },
                Err(malformed) => What::Malformed(malformed),
            },
        );
    }

    /// Whether the connection goes on.
    async fn on_received(
        &mut self,
        at: Nanos,
        message: ZmqResult<ZmqMessage>,
        socket: &mut SubSocket,
    ) -> bool {
        match message {
            Ok(message) => self.on_message(at, message, socket).await,
            // What came was no ZMQ; the socket has closed that connection.
            Err(_) if self.feed.events.bind => {}
            Err(_) => return false,
        }
        true
    }

    async fn on_message(&mut self, at: Nanos, message: ZmqMessage, socket: &mut SubSocket) {
        let frames = message.into_vec();
        let number = frames.get(1).and_then(|frame| <[u8; 8]>::try_from(&frame[..]).ok());
        let (Some(number), [_, _, payload]) = (number.map(u64::from_be_bytes), &frames[..]) else {
            let why = "it has not three frames with a sequence number of 8 bytes";
            self.tell(at, What::Malformed(Malformed { sequence: None, why }));
            return;
        };
        let mut verdict = self.sequence.judge(number);
        if verdict == Verdict::Restarted {
            self.restarted();
            verdict = self.sequence.judge(number);
        }
        if let Verdict::Gap(missing) = verdict {
            self.tell(at, What::Gap(missing));
            self.catch_up(self.sequence.next(), socket).await;
            verdict = self.sequence.judge(number);
        }
        self.sequence.came_live(number);
        match verdict {
            Verdict::Next => self.deliver(at, number, payload, false),
            Verdict::Gap(missing) => {
                self.tell(at, What::Lost(missing));
                self.deliver(at, number, payload, false);
            }
            Verdict::Duplicate => self.tell(at, What::Duplicate),
            // Only while a replay went on, by yet another process: its next message tells.
            Verdict::Restarted => {}
        }
    }
}

#[cfg(test)]
mod tests;
