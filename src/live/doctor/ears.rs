//! Listens to the workers' KV events while prompts are sent.

use crate::live::clock::Clock;
use crate::live::kv_events::endpoint::Endpoint;
use crate::live::kv_events::message::{Event, Place, Stored};
use crate::live::kv_events::subscriber::{Feed, Subscriber};
use crate::live::kv_events::tracker::{Statistics, Tracker};
use crate::live::kv_events::{Delivery, What};
use crate::prompt::CacheEvent;
use crate::units::Nanos;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// A publisher that is not there by then is not there.
const CONNECT_LIMIT: Nanos = Nanos(3_000_000_000);
/// A connection that takes longer to open will not.
const TCP_LIMIT: Duration = Duration::from_secs(2);
/// How long a new subscription is given to reach its publisher: what is published before is lost.
const SUBSCRIBED: Duration = Duration::from_millis(300);
/// Nothing for so long: that was all.
const QUIET: Duration = Duration::from_millis(250);
/// Messages of an answered request are on their way for no longer than this, and where a replay may
/// still go on, than this.
const NEWS_LIMIT: Nanos = Nanos(2_000_000_000);
const LATE_NEWS_LIMIT: Nanos = Nanos(5_000_000_000);
/// A replay takes no longer than this.
const REPLAY_LIMIT: Nanos = Nanos(10_000_000_000);

/// What was heard of one publisher.
pub(super) struct Heard {
    /// As it was given.
    pub endpoint: String,
    /// We bound, and it was to connect.
    pub bind: bool,
    /// Its replay socket, as it was given.
    pub replay: Option<String>,
    /// Why we could not even listen.
    pub deaf: Option<String>,
    /// Where we connect: why nobody can.
    pub closed: Option<String>,
    tracker: Tracker,
    /// Blocks stored on the device, replayed ones included, in order.
    pub stored: Vec<Stored>,
    /// Messages that came live.
    pub live: u64,
    /// Why messages could not be replayed.
    pub no_replay: Option<String>,
    /// How much later than it was made a message came, by the two wall clocks; the least, seconds.
    pub delay_s: Option<f64>,
}

impl Heard {
    /// What happened to its messages.
    pub fn statistics(&self) -> &Statistics {
        self.tracker.statistics()
    }
}

/// See the module's documentation.
pub(super) struct Ears {
    subscribers: Vec<Subscriber>,
    deliveries: UnboundedReceiver<Delivery>,
    clock: Clock,
    /// By feed.
    pub heard: Vec<Heard>,
}

impl Ears {
    /// Listens to `feeds`; waits until they are there, or will not be.
    pub async fn open(feeds: &[Feed], block_tokens: u32, clock: &Clock) -> Ears {
        let (sender, deliveries) = unbounded_channel();
        let (mut subscribers, mut heard) = (Vec::new(), Vec::new());
        for (place, feed) in feeds.iter().enumerate() {
            let mut feed = Feed { worker: place as u32, ..feed.clone() };
            let closed = if feed.events.bind { None } else { closed(&feed.events).await };
            let replay = feed.replay.as_ref().map(ToString::to_string);
            let mut no_replay = None;
            if let Some(endpoint) = feed.replay.as_ref().filter(|replay| !replay.bind) {
                no_replay = self::closed(endpoint).await;
            }
            // It would keep us from listening for a while.
            feed.replay = feed.replay.filter(|_| no_replay.is_none());
            let subscriber = Subscriber::start(&[feed.clone()], "", clock, &sender).await;
            let deaf = subscriber.as_ref().err().map(ToString::to_string);
            subscribers.extend(subscriber);
            heard.push(Heard {
                endpoint: feed.events.to_string(),
                bind: feed.events.bind,
                replay,
                deaf,
                closed,
                tracker: Tracker::new(block_tokens),
                stored: Vec::new(),
                live: 0,
                no_replay,
                delay_s: None,
            });
        }
        let mut ears = Ears { subscribers, deliveries, clock: clock.clone(), heard };
        ears.wait_for_publishers().await;
        ears
    }

    async fn wait_for_publishers(&mut self) {
        let limit = self.clock.now() + CONNECT_LIMIT;
        let here = |heard: &Heard| {
            let seen = heard.statistics();
            heard.deaf.is_some() || seen.connected || seen.trouble.is_some()
        };
        while !self.heard.iter().all(here) && self.clock.now() < limit {
            self.next().await;
        }
        if self.heard.iter().any(|heard| heard.statistics().connected) {
            tokio::time::sleep(SUBSCRIBED).await;
            self.settle(REPLAY_LIMIT).await;
        }
    }

    /// How much of each feed has come by now.
    pub fn mark(&mut self) -> Vec<usize> {
        while let Ok(delivery) = self.deliveries.try_recv() {
            self.hear(&delivery);
        }
        self.stored()
    }

    fn stored(&self) -> Vec<usize> {
        self.heard.iter().map(|heard| heard.stored.len()).collect()
    }

    /// Waits for news of a prompt that was answered since `mark`, and until no more come.
    pub async fn listen(&mut self, mark: &[usize]) {
        let replays = self.heard.iter().any(|heard| heard.replay.is_some());
        let limit = self.clock.now() + if replays { LATE_NEWS_LIMIT } else { NEWS_LIMIT };
        let silent = |ears: &Ears| ears.stored() == mark;
        let anybody = |ears: &Ears| ears.heard.iter().any(|heard| heard.statistics().connected);
        while silent(self) && anybody(self) && self.clock.now() < limit {
            self.next().await;
        }
        self.settle(NEWS_LIMIT).await;
    }

    /// Hears what comes until nothing does.
    async fn settle(&mut self, limit: Nanos) {
        let limit = self.clock.now() + limit;
        while !self.subscribers.is_empty() && self.clock.now() < limit && self.next().await {}
    }

    /// Hears the next delivery; false where none comes for a while.
    async fn next(&mut self) -> bool {
        match timeout(QUIET, self.deliveries.recv()).await {
            Ok(Some(delivery)) => {
                self.hear(&delivery);
                true
            }
            Ok(None) => {
                // No feed could be opened: nothing will ever come.
                tokio::time::sleep(QUIET).await;
                false
            }
            Err(_) => false,
        }
    }

    fn hear(&mut self, delivery: &Delivery) {
        let heard = &mut self.heard[delivery.worker as usize];
        let mut events: Vec<CacheEvent> = Vec::new();
        heard.tracker.follow(delivery, &mut events);
        match &delivery.what {
            What::ReplayFailed(why) => heard.no_replay = Some(why.clone()),
            What::Batch { batch, replayed } => {
                let stored = batch.events.iter().filter_map(|event| match event {
                    Event::Stored(stored) if stored.place == Place::Device => Some(stored.clone()),
                    _ => None,
                });
                heard.stored.extend(stored);
                if !replayed {
                    heard.live += 1;
                    let came = (self.clock.start_unix_ns() + delivery.at.0) as f64 / 1e9;
                    let delay = came - batch.published;
                    heard.delay_s = Some(heard.delay_s.map_or(delay, |least| least.min(delay)));
                }
            }
            _ => {}
        }
    }
}

/// Why no connection to `endpoint` can be opened; `None` where one can.
async fn closed(endpoint: &Endpoint) -> Option<String> {
    let address = endpoint.address();
    let place = address.trim_start_matches("tcp://");
    match timeout(TCP_LIMIT, tokio::net::TcpStream::connect(place)).await {
        Ok(Ok(_)) => None,
        Ok(Err(why)) => Some(format!("{endpoint}: {why}")),
        Err(_) => Some(format!("{endpoint}: no answer within {} s", TCP_LIMIT.as_secs())),
    }
}
