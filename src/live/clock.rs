//! The clocks of a live run.
//!
//! Every time is nanoseconds since the start of the run, on the monotonic clock. Arrivals carry the
//! kernel's receive time where it gives one, so that they do not contain the delay of our own event
//! loop; that delay is reported as *read lag* instead. Timers are the kernel's too (timerfd): the
//! runtime's own round up to whole milliseconds.

use crate::units::Nanos;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The run's clock; all clones are one clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    made: Instant,
    /// Time 0 of the run, since `made`, nanoseconds.
    zero: AtomicU64,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Clock {
        Clock(Arc::new(Inner { made: instant(), zero: AtomicU64::new(0) }))
    }

    /// Starts again: connections were opened with this clock before the run began.
    pub fn restart(&self) {
        self.0.zero.store(self.since_made(), Relaxed);
    }

    fn since_made(&self) -> u64 {
        instant().duration_since(self.0.made).as_nanos() as u64
    }

    /// Time since the start.
    pub fn now(&self) -> Nanos {
        Nanos(self.since_made().saturating_sub(self.0.zero.load(Relaxed)))
    }

    /// The start as nanoseconds since 1970, by the wall clock of now.
    pub fn start_unix_ns(&self) -> u64 {
        unix_ns().saturating_sub(self.now().0)
    }

    /// Waits until `at`; at once where that has passed.
    pub async fn sleep_until(&self, timer: &mut Timer, at: Nanos) {
        let wait = at.saturating_sub(self.now());
        if wait > Nanos::ZERO {
            timer.sleep(Duration::from_nanos(wait.0)).await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "live runs are about the wall clock")]
pub(super) fn instant() -> Instant {
    Instant::now()
}

/// The real-time clock, which the kernel stamps packets with, nanoseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the kernel's receive times are on this clock")]
pub(super) fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(target_os = "linux")]
mod timer {
    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use std::time::Duration;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A timer as fine as the kernel's.
    pub struct Timer(AsyncFd<Fd>);

    struct Fd(TimerFd);

    impl AsRawFd for Fd {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    impl Timer {
        /// A timer of the running runtime.
        ///
        /// # Errors
        /// Where the system gives none.
        pub fn new() -> io::Result<Timer> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
            #[expect(
                deprecated,
                reason = "its successor is unsafe; `Fd` keeps its number for life"
            )]
            let fd = AsyncFd::with_interest(Fd(fd), Interest::READABLE)?;
            Ok(Timer(fd))
        }

        /// Waits for `wait`, which is not zero. May be dropped and called again.
        pub async fn sleep(&mut self, wait: Duration) {
            let once = Expiration::OneShot(TimeSpec::from_duration(wait));
            if self.0.get_ref().0.set(once, TimerSetTimeFlags::empty()).is_err() {
                return tokio::time::sleep(wait).await;
            }
            loop {
                let Ok(mut ready) = self.0.readable().await else { return };
                // Not fired: readiness was left over from an earlier wait that was dropped.
                let fired = ready.try_io(|fd| Ok(fd.get_ref().0.wait()?));
                if fired.is_ok() {
                    return;
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use std::io;
    use std::time::Duration;

    /// The runtime's timer: whole milliseconds.
    pub struct Timer;

    impl Timer {
        /// A timer of the running runtime.
        ///
        /// # Errors
        /// Never here.
        pub fn new() -> io::Result<Timer> {
            Ok(Timer)
        }

        /// Waits for `wait`.
        pub async fn sleep(&mut self, wait: Duration) {
            tokio::time::sleep(wait).await;
        }
    }
}

pub use timer::Timer;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_was_dropped_half_way_can_be_used_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let clock = Clock::start();
            let mut timer = Timer::new().unwrap();
            tokio::select! {
                () = timer.sleep(Duration::from_micros(500)) => {}
                () = tokio::task::yield_now() => {}
            }
            clock.sleep_until(&mut timer, Nanos(3_000_000)).await;
            assert!(clock.now() >= Nanos(3_000_000));
        });
    }
}
