//! One HTTP/1.1 connection and one exchange over it.
//!
//! The connection's own future and the request's are polled by the same task, request first: hyper
//! then never reads from the socket again before the last chunk was taken, so the socket's stamps
//! are those of the chunk in hand.

use super::Call;
use super::answer::{Answer, Arrival, Fault, head};
use super::socket::{Seen, StampedSocket, Stamps};
use super::sse::SseParser;
use super::target::{self, Target};
use crate::live::clock::Clock;
use crate::live::record::Failure;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// Most bytes of an error response that are kept.
const MAX_ERROR_BODY: usize = 64 << 10;
/// Most bytes of a response that is no stream.
const MAX_BODY: usize = 256 << 20;

/// An open connection.
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
    stamps: Arc<Stamps>,
    /// Exchanges it has served.
    pub served: u64,
}

type Wire = TokioIo<Transport>;

/// hyper's side of the connection.
struct Driver(Option<Pin<Box<Protocol>>>);

type Protocol = http1::Connection<Wire, Full<Bytes>>;

impl Driver {
    /// Polls `work`, and the connection when `work` waits for it.
    async fn along<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            if let Some(connection) = &mut self.0 {
                if connection.as_mut().poll(cx).is_ready() {
                    self.0 = None;
                }
                // What the connection has just read is taken before it reads on.
                return work.as_mut().poll(cx);
            }
            Poll::Pending
        })
        .await
    }
}

/// What came of an exchange.
#[derive(Debug, Default)]
pub struct Exchange {
    /// What was said, as far as it came.
    pub answer: Answer,
    /// The response's head arrived.
    pub first_byte: Option<crate::units::Nanos>,
    /// Status, once there was one.
    pub status: Option<u16>,
    /// `Retry-After`, where the server gave it in seconds.
    pub retry_after: Option<Duration>,
    /// Bytes of the body.
    pub bytes_received: u64,
}

/// How much of a response is too much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Chunks with content or reasoning.
    pub chunks: u32,
    /// Bytes of a stream.
    pub bytes: u64,
}

impl Limits {
    /// For an answer of `tokens` tokens: several times what any server needs for them.
    pub fn for_output(tokens: u32) -> Limits {
        let chunks = tokens.saturating_mul(4).saturating_add(64);
        Limits { chunks, bytes: (1 << 20) + u64::from(chunks) * 4096 }
    }
}

impl Connection {
    /// Opens a connection to `target`.
    ///
    /// # Errors
    /// Refused, unreachable, or TLS failed.
    pub async fn open(
        target: &Target,
        addresses: &[SocketAddr],
        tls: Option<&TlsConnector>,
        clock: &Clock,
        limit: Duration,
    ) -> Result<Connection, Fault> {
        let stream = target::connect(addresses, limit).await?;
        let stamps = Arc::new(Stamps::default());
        let socket = StampedSocket::new(stream, clock.clone(), Arc::clone(&stamps));
        let transport = match tls.filter(|_| target.tls) {
            Some(tls) => secure(tls, target, socket, limit).await?,
            None => Transport::Plain(socket),
        };
        let (sender, connection) = http1::Builder::new()
            .handshake(TokioIo::new(transport))
            .await
            .map_err(|why| Fault::new(Failure::Connect, why.to_string()))?;
        Ok(Connection { sender, driver: Driver(Some(Box::pin(connection))), stamps, served: 0 })
    }

    /// Whether it can take another request; notices if the server has closed it.
    pub async fn is_ready(&mut self) -> bool {
        let Connection { sender, driver, .. } = self;
        driver.along(sender.ready()).await.is_ok()
    }

    /// What the socket has seen in this exchange.
    pub fn seen(&self) -> Seen {
        self.stamps.seen()
    }

    /// The socket's notes, to watch an exchange while it runs.
    pub fn stamps(&self) -> Arc<Stamps> {
        Arc::clone(&self.stamps)
    }

    /// Sends `request` and takes the whole response into `exchange`, which keeps what has come when
    /// this fails or is dropped.
    ///
    /// # Errors
    /// The one reason why it is no complete answer.
    pub async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        call: &Call,
        exchange: &mut Exchange,
    ) -> Result<(), Fault> {
        self.stamps.begin();
        let Connection { sender, driver, stamps, .. } = self;
        let response = driver.along(sender.send_request(request)).await.map_err(broken)?;
        exchange.first_byte = Some(stamps.seen().arrival);
        let status = response.status();
        exchange.status = Some(status.as_u16());
        exchange.retry_after = seconds(response.headers().get(RETRY_AFTER));
        self.served += 1;
        if !status.is_success() {
            let said = self.collect(response, MAX_ERROR_BODY, exchange).await.unwrap_or_default();
            let said = head(&String::from_utf8_lossy(&said));
            return Err(Fault::new(Failure::Status(status.as_u16()), format!("{status}: {said}")));
        }
        let streamed = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
            kind.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream")
        });
        if streamed {
            return self.stream(response, call, exchange).await;
        }
        let _ = self.stamps.first_token();
        let body = self.collect(response, MAX_BODY, exchange).await?;
        let arrival = self.stamps.seen().arrival;
        exchange.answer.whole(&body, arrival)?;
        finished(&exchange.answer, "the response")
    }

    async fn stream(
        &mut self,
        response: Response<Incoming>,
        call: &Call,
        exchange: &mut Exchange,
    ) -> Result<(), Fault> {
        let limits = call.limits;
        let mut body = response.into_body();
        let mut parser = SseParser::default();
        while let Some(frame) = self.driver.along(body.frame()).await {
            let frame = match frame {
                Ok(frame) => frame,
                // Everything was said; that the connection is gone concerns the next request.
                Err(_) if exchange.answer.done && !parser.is_inside_event() => break,
                Err(why) => return Err(broken(why)),
            };
            let Ok(data) = frame.into_data() else { continue };
            let seen = self.stamps.seen();
            let arrival = Arrival { at: seen.arrival, read: seen.reads };
            exchange.bytes_received += data.len() as u64;
            let answer = &mut exchange.answer;
            parser.push(&data, &mut |event| answer.event(event, arrival))?;
            if answer.first_token.is_some()
                && self.stamps.first_token()
                && let Some((id, news)) = &call.first_token
            {
                // Nobody listens any more: the run is over.
                let _ = news.send(*id);
            }
            if answer.chunks > limits.chunks || exchange.bytes_received > limits.bytes {
                let words = format!("no end after {} chunks", answer.chunks);
                return Err(Fault::new(Failure::Endless, words));
            }
        }
        if parser.is_inside_event() {
            return Err(Fault::new(Failure::Truncated, "the stream ended inside an event"));
        }
        finished(&exchange.answer, "the stream")
    }

    /// The whole body, at most `most` bytes of it.
    async fn collect(
        &mut self,
        response: Response<Incoming>,
        most: usize,
        exchange: &mut Exchange,
    ) -> Result<Vec<u8>, Fault> {
        let mut body = response.into_body();
        let mut whole = Vec::new();
        while let Some(frame) = self.driver.along(body.frame()).await {
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            exchange.bytes_received += data.len() as u64;
            if whole.len() + data.len() > most {
                let words = format!("the body has more than {most} bytes");
                return Err(Fault::new(Failure::Endless, words));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole)
    }

    /// Sends `request` and takes the body of its answer, whatever it is: metrics, models.
    ///
    /// # Errors
    /// Where there is no answer of status 2xx.
    pub async fn fetch(&mut self, request: Request<Full<Bytes>>) -> Result<Vec<u8>, Fault> {
        let Connection { sender, driver, .. } = self;
        let response = driver.along(sender.send_request(request)).await.map_err(broken)?;
        let status = response.status();
        let body = self.collect(response, MAX_BODY, &mut Exchange::default()).await?;
        if status.is_success() {
            return Ok(body);
        }
        let said = head(&String::from_utf8_lossy(&body));
        Err(Fault::new(Failure::Status(status.as_u16()), format!("{status}: {said}")))
    }
}

/// A response that has ended: was it whole?
fn finished(answer: &Answer, what: &str) -> Result<(), Fault> {
    if !answer.done && !answer.finished {
        let words = format!("{what} ended without [DONE] or a finish reason");
        return Err(Fault::new(Failure::Truncated, words));
    }
    let silent = answer.chunks == 0;
    let counted = answer.usage.is_some_and(|usage| usage.completion_tokens > 0);
    if silent && !counted {
        return Err(Fault::new(Failure::Empty, format!("{what} holds no output")));
    }
    Ok(())
}

/// What hyper's errors mean here.
fn broken(why: hyper::Error) -> Fault {
    let mut words = why.to_string();
    let mut malformed = why.is_parse();
    if let Some(source) = std::error::Error::source(&why) {
        words = format!("{words}: {source}");
        // What is wrong with a chunk comes as an error of the socket; its end is no such thing.
        malformed |= source.downcast_ref::<io::Error>().is_some_and(|why| {
            matches!(why.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        });
    }
    Fault::new(if malformed { Failure::Malformed } else { Failure::Reset }, words)
}

fn seconds(header: Option<&hyper::header::HeaderValue>) -> Option<Duration> {
    let seconds = header?.to_str().ok()?.trim().parse::<f64>().ok()?;
    (0.0..1e6).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

async fn secure(
    tls: &TlsConnector,
    target: &Target,
    socket: StampedSocket,
    limit: Duration,
) -> Result<Transport, Fault> {
    let wrong = |why: String| Fault::new(Failure::Tls, format!("{}: {why}", target.host));
    let name = ServerName::try_from(target.host.clone()).map_err(|why| wrong(why.to_string()))?;
    match tokio::time::timeout(limit, tls.connect(name, socket)).await {
        Ok(Ok(stream)) => Ok(Transport::Tls(Box::new(stream))),
        Ok(Err(why)) => Err(wrong(why.to_string())),
        Err(_) => Err(wrong("the TLS handshake does not end".into())),
    }
}

/// With or without TLS.
enum Transport {
    Plain(StampedSocket),
    Tls(Box<TlsStream<StampedSocket>>),
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context,
        buf: &mut ReadBuf,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context,
        slices: &[io::IoSlice],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
