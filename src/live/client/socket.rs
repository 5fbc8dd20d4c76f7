//! A TCP socket that notes when bytes left and when they arrived.
//!
//! Arrival is the kernel's receive time (`SO_TIMESTAMPNS`, Linux) of the last byte of a read, so that
//! time spent in our own event loop is not taken for the server's. Elsewhere it is the time of the
//! read. TLS and HTTP lie above and need not know.

use crate::live::clock::Clock;
use crate::units::Nanos;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a socket has seen since [`Stamps::begin`]. Shared between the socket, deep inside the HTTP
/// connection, and who measures.
#[derive(Debug, Default)]
pub struct Stamps {
    /// Just before the first byte was handed over; 0 = not yet.
    first_write: AtomicU64,
    /// Arrival of what was read last.
    arrival: AtomicU64,
    /// Number of reads that gave bytes.
    reads: AtomicU64,
    /// Longest wait of bytes between arrival and read.
    worst_lag: AtomicU64,
    written: AtomicU64,
    kernel: AtomicBool,
    /// Read in small bits: see [`Stamps::begin`].
    fine: AtomicBool,
}

/// Most bytes of a fine read: less than the smallest chunk of a stream with its frame.
const FINE_READ: usize = 128;

/// A copy of [`Stamps`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Just before the first byte was handed over; `None` = not yet.
    pub first_write: Option<Nanos>,
    /// Arrival of what was read last.
    pub arrival: Nanos,
    /// Number of reads that gave bytes.
    pub reads: u64,
    /// Longest wait of bytes between arrival and read.
    pub worst_lag: Nanos,
    /// Bytes handed over (below TLS).
    pub written: u64,
    /// `arrival` is the kernel's time.
    pub kernel: bool,
}

impl Stamps {
    /// Forgets what was seen: another request begins. Until [`Stamps::first_token`] reads are small, so
    /// that the first token has its own arrival, even if others have come by the time it is read.
    pub fn begin(&self) {
        self.fine.store(true, Relaxed);
        let Stamps { first_write, arrival, reads, worst_lag, written, .. } = self;
        for cell in [first_write, arrival, reads, worst_lag, written] {
            cell.store(0, Relaxed);
        }
    }

    /// The first token has been read: from now on bytes are read as they come. False where that was
    /// known.
    pub fn first_token(&self) -> bool {
        self.fine.swap(false, Relaxed)
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        let first_write = self.first_write.load(Relaxed);
        Seen {
            first_write: (first_write > 0).then_some(Nanos(first_write)),
            arrival: Nanos(self.arrival.load(Relaxed)),
            reads: self.reads.load(Relaxed),
            worst_lag: Nanos(self.worst_lag.load(Relaxed)),
            written: self.written.load(Relaxed),
            kernel: self.kernel.load(Relaxed),
        }
    }

    /// Bytes are about to be handed over.
    fn writing(&self, clock: &Clock) {
        if self.first_write.load(Relaxed) == 0 {
            self.first_write.store(clock.now().0.max(1), Relaxed);
        }
    }

    /// Bytes were read that had arrived `lag` before.
    fn read(&self, clock: &Clock, lag: Option<Nanos>) {
        let lag_ns = lag.map_or(0, |lag| lag.0);
        // The lag is taken from two clocks, one after the other: of what came together, the later
        // read may seem to have come earlier.
        self.arrival.fetch_max(clock.now().0.saturating_sub(lag_ns), Relaxed);
        self.reads.fetch_add(1, Relaxed);
        self.worst_lag.fetch_max(lag_ns, Relaxed);
        self.kernel.store(lag.is_some(), Relaxed);
    }
}

/// See the module's documentation.
pub struct StampedSocket {
    stream: TcpStream,
    clock: Clock,
    stamps: Arc<Stamps>,
    receive: kernel::Receive,
}

impl StampedSocket {
    /// Watches over `stream`.
    pub fn new(stream: TcpStream, clock: Clock, stamps: Arc<Stamps>) -> StampedSocket {
        let receive = kernel::Receive::new(&stream);
        StampedSocket { stream, clock, stamps, receive }
    }
}

/// Has the kernel acknowledge what was read now. On a connection that has served a request it would wait 40
/// ms, and a server that leaves Nagle's algorithm on (Dynamo's front end) holds the first token back until
/// the head of its response is acknowledged.
fn acknowledge(stream: &TcpStream) {
    // Only a hint: what does not work costs no more than that time.
    #[cfg(target_os = "linux")]
    let _ = stream.set_quickack(true);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

impl AsyncRead for StampedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
        buf: &mut ReadBuf,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let most = if this.stamps.fine.load(Relaxed) { FINE_READ } else { usize::MAX };
        let lag = match this.receive.poll(&mut this.stream, cx, buf, most) {
            Poll::Ready(Ok(lag)) => lag,
            Poll::Ready(Err(why)) => return Poll::Ready(Err(why)),
            Poll::Pending => return Poll::Pending,
        };
        if buf.filled().len() > before {
            this.stamps.read(&this.clock, lag);
            if most == FINE_READ {
                acknowledge(&this.stream);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StampedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stamps.writing(&self.clock);
        let done = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
        slices: &[io::IoSlice],
    ) -> Poll<io::Result<usize>> {
        self.stamps.writing(&self.clock);
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.count(done)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl StampedSocket {
    fn count(&self, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &done {
            self.stamps.written.fetch_add(*bytes as u64, Relaxed);
        }
        done
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use super::{Context, Nanos, Poll, ReadBuf, TcpStream, io};
    use crate::live::clock::unix_ns;
    use nix::cmsg_space;
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
    use nix::sys::time::TimeSpec;
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd;
    use tokio::io::Interest;

    /// A wait beyond this is a clock that was set, not a packet that waited.
    const ABSURD: u64 = 60_000_000_000;

    /// Reads with the kernel's receive time, where the socket gives it.
    pub struct Receive {
        control: Vec<u8>,
    }

    impl Receive {
        pub fn new(stream: &TcpStream) -> Receive {
            let stamped = setsockopt(stream, sockopt::ReceiveTimestampns, &true).is_ok();
            Receive { control: if stamped { cmsg_space!(TimeSpec) } else { Vec::new() } }
        }

        /// Reads what there is, at most `most` bytes; how long ago it arrived, where that is known.
        pub fn poll(
            &mut self,
            stream: &mut TcpStream,
            cx: &mut Context,
            buf: &mut ReadBuf,
            most: usize,
        ) -> Poll<io::Result<Option<Nanos>>> {
            loop {
                match stream.poll_read_ready(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(why)) => return Poll::Ready(Err(why)),
                    Poll::Pending => return Poll::Pending,
                }
                let room = buf.initialize_unfilled_to(most.min(buf.remaining()));
                let read = stream.try_io(Interest::READABLE, || self.receive(stream, room));
                match read {
                    Ok((bytes, lag)) => {
                        buf.advance(bytes);
                        return Poll::Ready(Ok(lag));
                    }
                    Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                    Err(why) => return Poll::Ready(Err(why)),
                }
            }
        }

        fn receive(
            &mut self,
            stream: &TcpStream,
            room: &mut [u8],
        ) -> io::Result<(usize, Option<Nanos>)> {
            let mut slices = [IoSliceMut::new(room)];
            let control = Some(self.control.as_mut_slice()).filter(|control| !control.is_empty());
            let flags = MsgFlags::empty();
            let message = recvmsg::<()>(stream.as_raw_fd(), &mut slices, control, flags)?;
            let stamp = message.cmsgs().ok().and_then(|mut all| {
                all.find_map(|one| match one {
                    ControlMessageOwned::ScmTimestampns(time) => Some(time),
                    _ => None,
                })
            });
            let lag = stamp.map(|time| {
                let arrived = time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64;
                Nanos(unix_ns().saturating_sub(arrived)).min(Nanos(ABSURD))
            });
            Ok((message.bytes, lag.filter(|lag| lag.0 < ABSURD)))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::{AsyncRead, Context, Nanos, Pin, Poll, ReadBuf, TcpStream, io};

    /// Reads without the kernel's receive time.
    pub struct Receive;

    impl Receive {
        pub fn new(_: &TcpStream) -> Receive {
            Receive
        }

        pub fn poll(
            &mut self,
            stream: &mut TcpStream,
            cx: &mut Context,
            buf: &mut ReadBuf,
            _: usize,
        ) -> Poll<io::Result<Option<Nanos>>> {
            Pin::new(stream).poll_read(cx, buf).map_ok(|()| None)
        }
    }
}
