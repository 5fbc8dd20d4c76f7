//! The HTTP client: sends one request and tells exactly what came of it.
//!
//! Connections are kept per endpoint ([`Reuse`]); there is no limit to their number but the
//! system's. A kept connection that turns out to be closed as soon as a request goes over it is
//! replaced once, and the reply counts both sends: most likely the server had closed it before it saw
//! the request. Closed later, the server had the request and lost it, and that is its failure.

pub mod answer;
mod connection;
pub mod socket;
pub mod sse;
pub mod target;

pub use connection::{Exchange, Limits};
pub use target::{Target, Trust};

use crate::error::{self, Error};
use crate::live::clock::Clock;
use crate::live::record::Failure;
use crate::request::RequestId;
use crate::units::Nanos;
use answer::Fault;
use bytes::Bytes;
use connection::Connection;
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request};
use rustc_hash::FxHashMap;
use socket::{Seen, Stamps};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;

/// A kept connection that breaks so soon after a request was sent had been closed before: the news
/// takes one round trip.
const AT_ONCE: Nanos = Nanos(100_000_000);

/// Which connection a request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Reuse {
    /// Any that is free, the one used last first; a new one where none is.
    #[default]
    Pooled,
    /// A new one each.
    PerRequest,
    /// The one its session has used before.
    Sticky,
}

/// How the client behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Which connection a request takes.
    pub reuse: Reuse,
    /// A request fails when nothing arrives for so long.
    pub stall: Duration,
    /// A connection fails when it takes so long to open.
    pub connect: Duration,
    /// Headers of every request.
    pub headers: HeaderMap,
}

/// See the module's documentation.
pub struct Client {
    targets: Vec<Place>,
    tls: TlsConnector,
    behaviour: Behaviour,
    clock: Clock,
    opened: AtomicU64,
}

/// An endpoint and its connections that are not in use.
struct Place {
    target: Target,
    host: HeaderValue,
    addresses: Vec<SocketAddr>,
    free: Mutex<Vec<Connection>>,
    by_session: Mutex<FxHashMap<u64, Connection>>,
}

/// One request, ready to go.
#[derive(Debug)]
pub struct Call {
    /// Which endpoint, from 0.
    pub target: usize,
    /// Who wants to know of the first token.
    pub first_token: Option<(RequestId, mpsc::UnboundedSender<RequestId>)>,
    /// Session it belongs to.
    pub session: u64,
    /// Headers besides those of every request.
    pub headers: HeaderMap,
    /// JSON.
    pub body: Bytes,
    /// How much of a response is too much.
    pub limits: Limits,
}

/// What came of a call.
#[derive(Debug)]
pub struct Reply {
    /// What was received, as far as it came.
    pub exchange: Exchange,
    /// What the socket saw.
    pub seen: Seen,
    /// The connection had served a request before.
    pub reused: bool,
    /// How often it was sent, or should have been where there was no connection: 1, or 2.
    pub sends: u32,
    /// How it ended.
    pub end: End,
}

/// How a call ended.
#[derive(Debug)]
pub enum End {
    /// The whole answer arrived.
    Complete,
    /// It did not.
    Failed(Fault),
    /// We gave it up.
    Cancelled,
}

impl Client {
    /// For `targets`, whose names are looked up now.
    ///
    /// # Errors
    /// A name that is not known, or certificates that cannot be read.
    pub async fn new(
        targets: Vec<Target>,
        trust: &Trust<'_>,
        behaviour: Behaviour,
        clock: Clock,
    ) -> error::Result<Client> {
        let mut places = Vec::new();
        for target in targets {
            let host = HeaderValue::from_str(&target.authority).map_err(|_| {
                Error::input(format!("{} {}: no host name", target.option, target.url))
            })?;
            places.push(Place {
                addresses: target.resolve().await?,
                target,
                host,
                free: Mutex::default(),
                by_session: Mutex::default(),
            });
        }
        let tls = target::connector(trust)?;
        Ok(Client { targets: places, tls, behaviour, clock, opened: AtomicU64::new(0) })
    }

    /// Number of endpoints.
    pub fn targets(&self) -> usize {
        self.targets.len()
    }

    /// Connections opened so far.
    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Opens `count` connections, spread over the endpoints, so that the first requests need not wait for
    /// theirs; where connections are not pooled, one for each endpoint, which shows that it is there.
    ///
    /// # Errors
    /// The first that cannot be opened.
    pub async fn warm(&self, count: usize) -> error::Result<()> {
        let pooled = self.behaviour.reuse == Reuse::Pooled;
        for number in 0..if pooled { count } else { self.targets.len() } {
            let place = &self.targets[number % self.targets.len()];
            let connection = self.open(place).await.map_err(|fault| {
                let Target { option, url, .. } = &place.target;
                let (words, cure) = (&fault.words, fault.cure());
                Error::input(format!("{option} {url}: cannot connect: {words}; {cure}"))
            })?;
            lock(&place.free).push(connection);
        }
        Ok(())
    }

    /// Sends `call`; gives it up when `cancel` becomes true.
    pub async fn send(&self, call: &Call, mut cancel: watch::Receiver<bool>) -> Reply {
        let place = &self.targets[call.target];
        let mut kept = self.take(place, call.session).await;
        let mut sends = 1;
        loop {
            let was_kept = kept.is_some();
            let opened = match kept.take() {
                Some(connection) => Ok(connection),
                None => tokio::select! {
                    opened = self.open(place) => opened,
                    _ = cancel.wait_for(|cancelled| *cancelled) => {
                        return Reply::nothing(End::Cancelled);
                    }
                },
            };
            let mut connection = match opened {
                Ok(connection) => connection,
                Err(fault) => return Reply::nothing(End::Failed(fault)),
            };
            let reused = connection.served > 0;
            let mut exchange = Exchange::default();
            let request = self.request(place, call);
            let stamps = connection.stamps();
            let end = tokio::select! {
                biased;
                done = connection.exchange(request, call, &mut exchange) => match done {
                    Ok(()) => End::Complete,
                    Err(fault) => End::Failed(fault),
                },
                fault = self.stalled(&stamps) => End::Failed(fault),
                _ = cancel.wait_for(|cancelled| *cancelled) => End::Cancelled,
            };
            let seen = connection.seen();
            let stale = was_kept && seen.reads == 0 && is_reset(&end);
            if stale && self.at_once(seen) {
                sends += u32::from(seen.first_write.is_some());
                continue;
            }
            if matches!(end, End::Complete) || is_status(&end) {
                self.keep(place, call.session, connection);
            }
            return Reply { exchange, seen, reused, sends, end };
        }
    }

    /// Whether a request was sent only now, or not at all.
    fn at_once(&self, seen: Seen) -> bool {
        seen.first_write.is_none_or(|sent| self.clock.now().saturating_sub(sent) < AT_ONCE)
    }

    /// Returns when nothing has arrived for the stall limit.
    async fn stalled(&self, stamps: &Stamps) -> Fault {
        let limit = self.behaviour.stall;
        let mut last = self.clock.now();
        loop {
            let idle = Duration::from_nanos(self.clock.now().saturating_sub(last).0);
            if idle >= limit {
                let words = format!("nothing arrived for {} s", limit.as_secs_f64());
                return Fault::new(Failure::Timeout, words);
            }
            tokio::time::sleep(limit - idle).await;
            let seen = stamps.seen();
            if seen.reads > 0 {
                last = last.max(seen.arrival);
            }
        }
    }

    fn request(&self, place: &Place, call: &Call) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() =
            place.target.path.parse().expect("the path was part of a URL that was read");
        let headers = request.headers_mut();
        headers.reserve(self.behaviour.headers.len() + call.headers.len() + 1);
        headers.insert(HOST, place.host.clone());
        for (name, value) in self.behaviour.headers.iter().chain(&call.headers) {
            headers.insert(name.clone(), value.clone());
        }
        request
    }

    /// A kept connection that is still open.
    async fn take(&self, place: &Place, session: u64) -> Option<Connection> {
        loop {
            let own = match self.behaviour.reuse {
                Reuse::Sticky => lock(&place.by_session).remove(&session),
                Reuse::Pooled | Reuse::PerRequest => None,
            };
            let mut connection = own.or_else(|| lock(&place.free).pop())?;
            if connection.is_ready().await {
                return Some(connection);
            }
        }
    }

    async fn open(&self, place: &Place) -> Result<Connection, Fault> {
        self.opened.fetch_add(1, Relaxed);
        let limit = self.behaviour.connect;
        let tls = Some(&self.tls);
        Connection::open(&place.target, &place.addresses, tls, &self.clock, limit).await
    }

    fn keep(&self, place: &Place, session: u64, connection: Connection) {
        match self.behaviour.reuse {
            Reuse::Pooled => lock(&place.free).push(connection),
            Reuse::Sticky => drop(lock(&place.by_session).insert(session, connection)),
            Reuse::PerRequest => {}
        }
    }

    /// A session is over: its own connection is closed.
    pub fn session_over(&self, session: u64) {
        if self.behaviour.reuse == Reuse::Sticky {
            for place in &self.targets {
                lock(&place.by_session).remove(&session);
            }
        }
    }

    /// The page `target`, by GET over a connection of its own.
    /// Headers that were given for the endpoints, and the key among them, go to their hosts only.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn fetch(&self, target: &Target, addresses: &[SocketAddr]) -> Result<Vec<u8>, Fault> {
        self.ask(Method::GET, target, addresses).await
    }

    /// Asks for the page `target`, over a connection of its own.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(
        &self,
        method: Method,
        target: &Target,
        addresses: &[SocketAddr],
    ) -> Result<Vec<u8>, Fault> {
        let limit = self.behaviour.connect;
        let work = async {
            let tls = Some(&self.tls);
            let mut connection =
                Connection::open(target, addresses, tls, &self.clock, limit).await?;
            let mut request = Request::new(Full::default());
            *request.method_mut() = method;
            *request.uri_mut() = target
                .path
                .parse()
                .map_err(|why| Fault::new(Failure::Malformed, format!("{}: {why}", target.path)))?;
            let headers = request.headers_mut();
            if self.targets.iter().any(|place| place.target.host == target.host) {
                headers.extend(self.behaviour.headers.clone());
            }
            // Those of completions.
            headers.remove(ACCEPT);
            headers.remove(CONTENT_TYPE);
            if let Ok(host) = HeaderValue::from_str(&target.authority) {
                headers.insert(HOST, host);
            }
            connection.fetch(request).await
        };
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            let words = format!("no answer within {} s", limit.as_secs_f64());
            Err(Fault::new(Failure::Timeout, words))
        })
    }
}

impl Reply {
    /// There was no connection.
    fn nothing(end: End) -> Reply {
        let (exchange, seen) = (Exchange::default(), Seen::default());
        Reply { exchange, seen, reused: false, sends: 1, end }
    }

    /// Arrival of the last byte, or `None` where nothing was read.
    pub fn last_byte(&self) -> Option<Nanos> {
        (self.seen.reads > 0).then_some(self.seen.arrival)
    }
}

fn is_reset(end: &End) -> bool {
    matches!(end, End::Failed(fault) if fault.failure == Failure::Reset)
}

/// An error with a whole response: the connection is as good as before.
fn is_status(end: &End) -> bool {
    matches!(end, End::Failed(fault) if matches!(fault.failure, Failure::Status(_)))
}

/// Nothing is left half-done under these locks, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shared by all tasks of a run.
pub type Shared = Arc<Client>;
