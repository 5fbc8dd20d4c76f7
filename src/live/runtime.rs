//! The event loops that live work runs on.

use crate::error::{Error, Result};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A runtime of `threads` threads that drive requests; it must go through [`stop`].
///
/// # Errors
/// Where the system gives none.
pub(super) fn new(threads: usize) -> Result<Runtime> {
    let mut builder = match threads {
        0 | 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build();
    runtime.map_err(|why| Error::Run(format!("cannot start the event loop: {why}")))
}

/// Tasks that never end by themselves (a connection half open) do not hold up the program.
pub(super) fn stop(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_millis(100));
}

/// Does `work` on this thread.
///
/// # Errors
/// Its own, or where the system gives no event loop.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = new(1)?;
    let done = runtime.block_on(work);
    stop(runtime);
    done
}
