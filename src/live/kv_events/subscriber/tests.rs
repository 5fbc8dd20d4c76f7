//! Publishers of our own in the same process, as vLLM's behave.

use super::*;
use crate::live::kv_events::fixture;
use crate::live::kv_events::tracker::{Statistics, Tracker, prompt_runs};
use crate::prompt::CacheEvent;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zeromq::{PubSocket, RouterSocket, SocketSend};

/// What a publisher keeps for replay.
type Buffer = Arc<Mutex<Vec<(u64, Vec<u8>)>>>;

/// Answers requests for messages as vLLM does, but drops what comes after `most` frames.
async fn replay(mut socket: RouterSocket, buffer: Buffer, most: usize) {
    while let Ok(request) = socket.recv().await {
        let [client, _, from] = &request.into_vec()[..] else { continue };
        let from = u64::from_be_bytes(from[..].try_into().unwrap());
        let kept = buffer.lock().unwrap().clone();
        let end = (u64::MAX, Vec::new());
        for (number, payload) in
            kept.into_iter().filter(|one| one.0 >= from).chain([end]).take(most)
        {
            let frames = [
                client.clone(),
                Bytes::new(),
                Bytes::from("kv-events"),
                Bytes::copy_from_slice(&number.to_be_bytes()),
                payload.into(),
            ];
            socket.send(frames.to_vec().try_into().unwrap()).await.unwrap();
        }
    }
}

/// A worker's publisher.
struct Publisher {
    socket: PubSocket,
    next: u64,
    buffer: Buffer,
    replay: Option<(u16, JoinHandle<()>)>,
}

impl Publisher {
    /// One that binds; `port` 0 = any. Returns the port as well.
    async fn binding(port: u16) -> (Publisher, u16) {
        let mut socket = PubSocket::new();
        let endpoint = socket.bind(&format!("tcp://127.0.0.1:{port}")).await.unwrap();
        let zeromq::Endpoint::Tcp(_, port) = endpoint else { panic!("{endpoint}") };
        (Publisher { socket, next: 0, buffer: Buffer::default(), replay: None }, port)
    }

    /// One that connects.
    async fn connecting(port: u16) -> Publisher {
        let mut socket = PubSocket::new();
        socket.connect(&format!("tcp://127.0.0.1:{port}")).await.unwrap();
        Publisher { socket, next: 0, buffer: Buffer::default(), replay: None }
    }

    async fn with_replay(self, port: u16) -> Publisher {
        self.with_replay_of(port, usize::MAX).await
    }

    /// One whose replay sends no more than `most` messages at once.
    async fn with_replay_of(mut self, port: u16, most: usize) -> Publisher {
        let mut socket = RouterSocket::new();
        let endpoint = socket.bind(&format!("tcp://127.0.0.1:{port}")).await.unwrap();
        let zeromq::Endpoint::Tcp(_, port) = endpoint else { panic!("{endpoint}") };
        self.replay = Some((port, tokio::spawn(replay(socket, Arc::clone(&self.buffer), most))));
        self
    }

    async fn publish(&mut self, payload: &Value) {
        let frames = self.dropped(payload);
        self.send(&frames).await;
    }

    async fn send(&mut self, frames: &[Vec<u8>]) {
        let frames: Vec<Bytes> = frames.iter().cloned().map(Bytes::from).collect();
        self.socket.send(frames.try_into().unwrap()).await.unwrap();
    }

    /// Publishes a message that nobody gets.
    fn dropped(&mut self, payload: &Value) -> [Vec<u8>; 3] {
        let frames = fixture::frames(self.next, payload);
        self.buffer.lock().unwrap().push((self.next, frames[2].clone()));
        self.next += 1;
        frames
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.replay {
            task.abort();
        }
    }
}

/// Blocks of two tokens: hash `n` holds `[n, n]`, each behind the one before.
fn chain(hashes: std::ops::Range<u32>, time: f64) -> Value {
    let parent = (hashes.start > 1).then(|| hashes.start - 1);
    let names: Vec<u32> = hashes.clone().collect();
    let tokens: Vec<u32> = hashes.flat_map(|hash| [hash, hash]).collect();
    json!([time, [["BlockStored", names, parent, tokens, 2]], 0])
}

/// A prompt of the blocks `1 ..= blocks`.
fn prompt(blocks: u32) -> Vec<u32> {
    (1..=blocks).flat_map(|hash| [hash, hash]).collect()
}

/// We, with a tracker per worker.
struct Listener {
    _subscriber: Subscriber,
    deliveries: UnboundedReceiver<Delivery>,
    trackers: Vec<Tracker>,
    held: Vec<Vec<u64>>,
    seen: Vec<(u32, What)>,
}

impl Listener {
    async fn start(feeds: &[(String, Option<u16>)]) -> Listener {
        let feed = |(worker, (events, replay)): (usize, &(String, Option<u16>))| Feed {
            worker: worker as u32,
            events: events.parse().unwrap(),
            replay: replay.map(|port| format!("tcp://127.0.0.1:{port}").parse().unwrap()),
        };
        let feeds: Vec<Feed> = feeds.iter().enumerate().map(feed).collect();
        let (sender, deliveries) = unbounded_channel();
        let subscriber = Subscriber::start(&feeds, "kv", &Clock::start(), &sender).await.unwrap();
        Listener {
            _subscriber: subscriber,
            deliveries,
            trackers: feeds.iter().map(|_| Tracker::new(2)).collect(),
            held: vec![Vec::new(); feeds.len()],
            seen: Vec::new(),
        }
    }

    /// Follows deliveries until one is what is waited for.
    async fn until(&mut self, worker: u32, wanted: impl Fn(&What) -> bool) {
        loop {
            let next = timeout(Duration::from_secs(20), self.deliveries.recv()).await;
            let delivery = next.expect("it comes in time").unwrap();
            let mut events = Vec::new();
            self.trackers[delivery.worker as usize].follow(&delivery, &mut events);
            let held = &mut self.held[delivery.worker as usize];
            for event in events {
                match event {
                    CacheEvent::Stored { run, copy: false } => held.push(run.content),
                    CacheEvent::Removed { run, copy: false } => {
                        held.retain(|key| *key != run.content)
                    }
                    CacheEvent::Cleared => held.clear(),
                    _ => {}
                }
            }
            let found = delivery.worker == worker && wanted(&delivery.what);
            self.seen.push((delivery.worker, delivery.what));
            if found {
                return;
            }
        }
    }

    async fn until_connected(&mut self, worker: u32) {
        self.until(worker, |what| *what == What::Connected).await;
        // A publisher needs a moment to read what we subscribe to.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    async fn until_message(&mut self, worker: u32, number: u64) {
        self.until(
            worker,
            |what| matches!(what, What::Batch { batch, .. } if batch.sequence == number),
        )
        .await;
    }

    fn overlap(&self, worker: u32, blocks: u32) -> usize {
        let held = &self.held[worker as usize];
        prompt_runs(&prompt(blocks), 2).iter().take_while(|run| held.contains(&run.content)).count()
    }

    fn statistics(&self, worker: u32) -> &Statistics {
        self.trackers[worker as usize].statistics()
    }
}

/// A port that nobody has.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn at(port: u16) -> String {
    format!("tcp://127.0.0.1:{port}")
}

#[tokio::test]
async fn several_workers_are_followed_whether_they_bind_or_connect() {
    let (mut first, port) = Publisher::binding(0).await;
    let (late, bound) = (free_port(), free_port());
    let bind = format!("bind:tcp://127.0.0.1:{bound}");
    let mut listener = Listener::start(&[(at(port), None), (at(late), None), (bind, None)]).await;
    listener.until_connected(0).await;
    // The second worker is not there yet, which is said; then it is.
    listener.until(1, |what| matches!(what, What::Unreachable(_))).await;
    assert!(listener.statistics(1).trouble.as_ref().unwrap().contains("cannot be reached"));
    let (mut second, _) = Publisher::binding(late).await;
    listener.until_connected(1).await;
    let mut third = Publisher::connecting(bound).await;
    listener.until_connected(2).await;
    for (blocks, publisher) in [(2, &mut first), (3, &mut second), (4, &mut third)] {
        publisher.publish(&chain(1..blocks + 1, 0.5)).await;
    }
    for worker in 0..3 {
        if listener.statistics(worker).messages == 0 {
            listener.until_message(worker, 0).await;
        }
        assert_eq!(listener.overlap(worker, 9), 2 + worker as usize);
        assert!(listener.statistics(worker).connected);
        assert_eq!(listener.statistics(worker).last_sequence, Some(0));
    }
}

#[tokio::test]
async fn what_was_dropped_or_came_before_us_is_replayed() {
    let (publisher, port) = Publisher::binding(0).await;
    let mut publisher = publisher.with_replay(0).await;
    let replay = publisher.replay.as_ref().map(|(port, _)| *port);
    publisher.dropped(&chain(1..3, 0.0));
    let mut listener = Listener::start(&[(at(port), replay)]).await;
    listener.until_message(0, 0).await;
    assert_eq!((listener.overlap(0, 9), listener.statistics(0).gaps), (2, 0));
    tokio::time::sleep(Duration::from_millis(100)).await;
    publisher.publish(&chain(3..4, 1.0)).await;
    publisher.dropped(&chain(4..5, 2.0));
    publisher.dropped(&chain(5..6, 3.0));
    publisher.publish(&chain(6..7, 4.0)).await;
    listener.until(0, |what| *what == What::Duplicate).await;
    assert_eq!(listener.overlap(0, 9), 6);
    let statistics = listener.statistics(0);
    assert_eq!((statistics.messages, statistics.replayed, statistics.gaps), (5, 4, 1));
    assert_eq!((statistics.lost, statistics.missed_before, statistics.unknown_parents), (0, 0, 0));
}

#[tokio::test]
async fn a_replay_that_is_cut_short_is_asked_to_go_on() {
    let (publisher, port) = Publisher::binding(0).await;
    let mut publisher = publisher.with_replay_of(0, 3).await;
    let replay = publisher.replay.as_ref().map(|(port, _)| *port);
    for block in 1..8 {
        publisher.dropped(&chain(block..block + 1, 0.0));
    }
    let mut listener = Listener::start(&[(at(port), replay)]).await;
    listener.until_message(0, 6).await;
    let statistics = listener.statistics(0);
    assert_eq!((statistics.replayed, statistics.missed_before, statistics.lost), (7, 0, 0));
    assert_eq!(listener.overlap(0, 9), 7);
}

#[tokio::test]
async fn without_replay_a_gap_empties_the_index_which_heals() {
    let (mut publisher, port) = Publisher::binding(0).await;
    let mut listener = Listener::start(&[(at(port), None)]).await;
    listener.until_connected(0).await;
    publisher.publish(&chain(1..4, 0.0)).await;
    publisher.dropped(&chain(4..5, 1.0));
    publisher.publish(&json!([2.0, [], 0])).await;
    listener.until_message(0, 2).await;
    assert_eq!((listener.overlap(0, 9), listener.statistics(0).lost), (0, 1));
    // A request goes on behind block 3.
    publisher.publish(&chain(4..6, 3.0)).await;
    listener.until_message(0, 3).await;
    assert_eq!((listener.overlap(0, 9), listener.statistics(0).revived), (5, 3));
}

#[tokio::test]
async fn a_replay_that_cannot_be_had_is_told() {
    let (mut publisher, port) = Publisher::binding(0).await;
    let mut listener = Listener::start(&[(at(port), Some(free_port()))]).await;
    listener.until(0, |what| matches!(what, What::ReplayFailed(_))).await;
    assert!(listener.statistics(0).trouble.as_ref().unwrap().contains("no replay from tcp://"));
    publisher.publish(&chain(1..4, 0.0)).await;
    listener.until_message(0, 0).await;
    assert_eq!(listener.overlap(0, 9), 3);
}

#[tokio::test]
async fn a_worker_that_restarts_is_found_again_with_an_empty_cache() {
    for with_replay in [false, true] {
        let (mut publisher, port) = Publisher::binding(0).await;
        let mut replay = None;
        if with_replay {
            publisher = publisher.with_replay(0).await;
            replay = publisher.replay.as_ref().map(|(port, _)| *port);
        }
        let mut listener = Listener::start(&[(at(port), replay)]).await;
        listener.until_connected(0).await;
        publisher.publish(&chain(1..4, 0.0)).await;
        listener.until_message(0, 0).await;
        assert_eq!(listener.overlap(0, 9), 3);
        drop(publisher);
        listener.until(0, |what| *what == What::Disconnected).await;
        // It comes back on its ports, and publishes before we are there.
        let (mut publisher, _) = Publisher::binding(port).await;
        if let Some(port) = replay {
            publisher = publisher.with_replay(port).await;
            publisher.dropped(&chain(1..2, 9.0));
        }
        listener.until_connected(0).await;
        publisher.publish(&chain(1..3, 10.0)).await;
        listener.until_message(0, publisher.next - 1).await;
        assert_eq!((listener.overlap(0, 9), listener.statistics(0).restarts), (2, 1));
        assert_eq!((listener.statistics(0).connections, listener.statistics(0).lost), (2, 0));
    }
}

#[tokio::test]
async fn a_connection_that_breaks_loses_nothing_where_there_is_replay() {
    let (publisher, port) = Publisher::binding(0).await;
    let mut publisher = publisher.with_replay(0).await;
    let replay = publisher.replay.as_ref().map(|(port, _)| *port);
    let mut listener = Listener::start(&[(at(port), replay)]).await;
    listener.until_connected(0).await;
    publisher.publish(&chain(1..4, 0.0)).await;
    listener.until_message(0, 0).await;
    // The socket goes and comes back; the process behind it, with its buffer, stays.
    let old = std::mem::replace(&mut publisher.socket, PubSocket::new());
    drop(old);
    publisher.dropped(&chain(4..5, 1.0));
    listener.until(0, |what| *what == What::Disconnected).await;
    publisher.socket.bind(&at(port)).await.unwrap();
    listener.until_message(0, 1).await;
    assert_eq!((listener.overlap(0, 9), listener.statistics(0).restarts), (4, 0));
}

#[tokio::test]
async fn messages_that_cannot_be_read_are_counted_and_the_next_ones_followed() {
    let (mut publisher, port) = Publisher::binding(0).await;
    let mut listener = Listener::start(&[(at(port), None)]).await;
    listener.until_connected(0).await;
    publisher.publish(&chain(1..4, 0.0)).await;
    publisher.send(&[b"kv-events".to_vec()]).await;
    publisher.send(&[b"kv".to_vec(), vec![1, 2], vec![0x90]]).await;
    publisher.publish(&json!("no batch")).await;
    publisher.send(&[b"other topic".to_vec()]).await;
    publisher.publish(&chain(1..3, 2.0)).await;
    listener.until_message(0, 2).await;
    let statistics = listener.statistics(0);
    assert_eq!((statistics.malformed, statistics.messages, statistics.lost), (3, 2, 0));
    assert_eq!(listener.overlap(0, 9), 2);
}

#[tokio::test]
async fn a_server_that_speaks_no_zmq_is_unreachable() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in server.incoming().take(1) {
            use std::io::Write;
            let _ = connection.unwrap().write_all(&[b'x'; 200]);
        }
    });
    let mut listener = Listener::start(&[(at(port), None)]).await;
    listener.until(0, |what| matches!(what, What::Unreachable(_))).await;
    assert_eq!(listener.statistics(0).connections, 0);
}

#[tokio::test]
async fn ports_that_are_taken_and_replay_sockets_to_bind_are_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let events = format!("bind:tcp://127.0.0.1:{}", taken.local_addr().unwrap().port());
    let refusal = async |events: &str, replay: &str| {
        let (events, replay) = (events.parse().unwrap(), replay.parse().ok());
        let feeds = [Feed { worker: 0, events, replay }];
        let (sender, _deliveries) = unbounded_channel();
        let started = Subscriber::start(&feeds, "", &Clock::start(), &sender).await;
        started.err().unwrap().to_string()
    };
    assert!(refusal(&events, "").await.starts_with("cannot bind bind:tcp://127.0.0.1:"));
    let replay = refusal("tcp://127.0.0.1:5557", "tcp://*:5558").await;
    assert!(replay.contains("always bind their replay sockets"), "{replay}");
}
