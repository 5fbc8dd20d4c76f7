//! An OpenAI server of the test's own, which misbehaves as it is told and writes down what it saw.
//!
//! A handler turns every request into a [`Script`]: bytes to send, times to wait, ways to break off.
//! The server has a thread and a runtime to itself; it can die, taking its listener and all of its
//! connections with it, and come back under the same address.

use super::connection::{Wire, read_request};
use super::script::{Script, Step, json_head};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Number among all requests for completions, from 0.
    pub number: u64,
    /// Number of its connection, and its own number on that, from 0.
    pub connection: u64,
    pub place: u64,
    /// Since the server's start.
    pub at: Duration,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

type Handler = Box<dyn Fn(&Incoming) -> Script + Send + Sync>;
type Pages = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a server is besides its handler.
pub struct Setup {
    /// Of the loopback network. One that dies should have one of its own, so that nobody takes its port.
    pub address: Ipv4Addr,
    pub tls: Option<TlsAcceptor>,
    /// Connections, by number, that it breaks off during the TLS handshake.
    pub spoils: fn(u64) -> bool,
    /// What it answers to GET, by path.
    pub pages: Pages,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            address: Ipv4Addr::LOCALHOST,
            tls: None,
            spoils: |_| false,
            pages: Box::new(|path| {
                (path == "/v1/models").then(|| r#"{"data":[{"id":"first-model"}]}"#.into())
            }),
        }
    }
}

struct Shared {
    handler: Handler,
    setup: Setup,
    start: Instant,
    requests: Mutex<Vec<Incoming>>,
    /// Path and headers of every GET.
    gets: Mutex<Vec<(String, BTreeMap<String, String>)>>,
    connections: AtomicU64,
    in_flight: AtomicU64,
    most_in_flight: AtomicU64,
    listening: AtomicBool,
}

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    alive: watch::Sender<bool>,
    over: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(handler: impl Fn(&Incoming) -> Script + Send + Sync + 'static) -> Server {
        Server::with(Setup::default(), handler)
    }

    pub fn with(
        setup: Setup,
        handler: impl Fn(&Incoming) -> Script + Send + Sync + 'static,
    ) -> Server {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let place = SocketAddr::from((setup.address, 0));
        let listener = runtime.block_on(async { listen(place) });
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            setup,
            start: Instant::now(),
            requests: Mutex::default(),
            gets: Mutex::default(),
            connections: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            most_in_flight: AtomicU64::new(0),
            listening: AtomicBool::new(true),
        });
        let (alive, over) = (watch::Sender::new(true), watch::Sender::new(false));
        let (living, mut end) = (alive.subscribe(), over.subscribe());
        let accepting = accept(listener, address, Arc::clone(&shared), living);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accepting => {}
                    _ = end.wait_for(|over| *over) => {}
                }
            });
        });
        Server { address, shared, alive, over, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        let scheme = if self.shared.setup.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests for completions that have arrived.
    pub fn requests(&self) -> Vec<Incoming> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn count(&self) -> u64 {
        self.shared.requests.lock().unwrap().len() as u64
    }

    pub fn gets(&self) -> Vec<(String, BTreeMap<String, String>)> {
        self.shared.gets.lock().unwrap().clone()
    }

    /// Connections accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(SeqCst)
    }

    /// Most requests between their arrival and the last bytes of their answer.
    pub fn most_in_flight(&self) -> u64 {
        self.shared.most_in_flight.load(SeqCst)
    }

    /// Nobody listens any more, and all connections are reset.
    pub fn die(&self) {
        self.be(false);
    }

    /// It listens again.
    pub fn come_back(&self) {
        self.be(true);
    }

    fn be(&self, alive: bool) {
        self.alive.send_replace(alive);
        wait_until("the server changes its state", || self.shared.listening.load(SeqCst) == alive);
    }

    /// Waits until so many requests have arrived.
    pub fn wait_for(&self, requests: u64) {
        wait_until("enough requests arrive", || self.count() >= requests);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Looks every millisecond, for 20 s.
pub fn wait_until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..20_000 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain until {what}");
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(4096).unwrap()
}

async fn accept(
    first: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    mut alive: watch::Receiver<bool>,
) {
    let (mut listener, living) = (Some(first), alive.clone());
    loop {
        let here = listener.take().unwrap_or_else(|| listen(address));
        shared.listening.store(true, SeqCst);
        loop {
            tokio::select! {
                biased;
                _ = alive.wait_for(|alive| !alive) => break,
                accepted = here.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    stream.set_nodelay(true).unwrap();
                    let number = shared.connections.fetch_add(1, SeqCst);
                    tokio::spawn(connection(stream, number, Arc::clone(&shared), living.clone()));
                }
            }
        }
        drop(here);
        shared.listening.store(false, SeqCst);
        drop(alive.wait_for(|alive| *alive).await);
    }
}

async fn connection(
    stream: TcpStream,
    number: u64,
    shared: Arc<Shared>,
    mut alive: watch::Receiver<bool>,
) {
    let spoilt = (shared.setup.spoils)(number);
    let mut wire = match &shared.setup.tls {
        None => Wire::Plain(stream),
        Some(_) if spoilt => return,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => Wire::Tls(Box::new(stream)),
            Err(_) => return,
        },
    };
    let killed = tokio::select! {
        () = serve(&mut wire, number, &shared) => false,
        _ = alive.wait_for(|alive| !alive) => true,
    };
    if killed {
        wire.reset();
    }
}

async fn serve(wire: &mut Wire, connection: u64, shared: &Shared) {
    let (mut buffer, mut place) = (Vec::new(), 0);
    while let Some((method, mut request)) = read_request(wire, &mut buffer).await {
        if method == "GET" {
            let page = (shared.setup.pages)(&request.path);
            shared.gets.lock().unwrap().push((request.path, request.headers));
            if wire.write(&page_bytes(page)).await.is_err() {
                return;
            }
            continue;
        }
        (request.connection, request.place) = (connection, place);
        place += 1;
        let script = shared.arrived(request);
        if !shared.play(wire, script).await {
            return;
        }
    }
}

fn page_bytes(page: Option<String>) -> Vec<u8> {
    let (status, body) = page.map_or((404, String::new()), |body| (200, body));
    [json_head(status, body.len(), "").into_bytes(), body.into_bytes()].concat()
}

impl Shared {
    /// Writes a request down and asks what to do with it.
    fn arrived(&self, mut request: Incoming) -> Script {
        let now = self.in_flight.fetch_add(1, SeqCst) + 1;
        self.most_in_flight.fetch_max(now, SeqCst);
        request.at = self.start.elapsed();
        let mut requests = self.requests.lock().unwrap();
        request.number = requests.len() as u64;
        requests.push(request.clone());
        drop(requests);
        (self.handler)(&request)
    }

    /// Whether the connection goes on. A request is no longer in flight when its last step begins: the
    /// client may send the next one before we hear that ours was sent.
    async fn play(&self, wire: &mut Wire, script: Script) -> bool {
        let steps = script.0.len();
        for (place, step) in script.0.into_iter().enumerate() {
            if place + 1 == steps {
                self.in_flight.fetch_sub(1, SeqCst);
            }
            let goes_on = match step {
                Step::Wait(time) => wire.wait(time).await,
                Step::Send(bytes) => wire.write(&bytes).await.is_ok(),
                Step::Repeat(bytes) => {
                    while wire.write(&bytes).await.is_ok() {
                        tokio::task::yield_now().await;
                    }
                    false
                }
                Step::Hang => {
                    wire.wait(Duration::from_secs(60)).await;
                    false
                }
                Step::Reset => wire.reset(),
                Step::Close => false,
                Step::Follow(bytes) => {
                    let mut bytes = bytes.lock().unwrap().take().unwrap();
                    let mut goes_on = true;
                    while let Some(some) = bytes.recv().await {
                        goes_on &= wire.write(&some).await.is_ok();
                    }
                    goes_on
                }
            };
            if !goes_on {
                if place + 1 < steps {
                    self.in_flight.fetch_sub(1, SeqCst);
                }
                return false;
            }
        }
        true
    }
}
