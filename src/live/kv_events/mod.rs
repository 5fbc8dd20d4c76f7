//! KV events of real workers: which blocks each of them has cached, as they tell it over ZMQ.
//!
//! [`subscriber`] receives and puts the messages of every worker in order, [`message`] reads them, and
//! one [`tracker`] per worker turns them into the [`crate::prompt::CacheEvent`]s that routers of the
//! simulator follow. Blocks are known by their token ids, so the engine's own hashes need not be
//! computed: [`tracker::prompt_runs`] gives the runs of a prompt whose tokens are known.
//!
//! What comes from a server is never trusted: whatever cannot be read is counted, and an index that
//! may have missed something is emptied, because an index with holes lies.

pub mod endpoint;
#[cfg(test)]
mod fixture;
pub mod message;
mod replay;
mod sequence;
pub mod subscriber;
pub mod tracker;

use crate::units::Nanos;
use message::{Batch, Malformed};

/// Something that a worker's publisher did, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The worker, as it was numbered at the start.
    pub worker: u32,
    /// When it was received, on the run's clock.
    pub at: Nanos,
    /// What.
    pub what: What,
}

/// See [`Delivery`].
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A publisher is connected to us or we to it.
    Connected,
    /// What it published before has been replayed, as far as that can be had.
    CaughtUp,
    /// It is gone; we wait for it to come back.
    Disconnected,
    /// It cannot be reached, and why; told once for every new reason.
    Unreachable(String),
    /// A message.
    Batch {
        /// What it says.
        batch: Batch,
        /// It came from the replay socket.
        replayed: bool,
    },
    /// A message that cannot be read.
    Malformed(Malformed),
    /// A message that had come before; it was dropped.
    Duplicate,
    /// Sequence numbers were skipped: this many. Replayed messages follow, or [`What::Lost`].
    Gap(u64),
    /// This many messages are lost for good, between those before and those that follow.
    Lost(u64),
    /// Messages were to be replayed, and why they could not.
    ReplayFailed(String),
    /// Sequence numbers began again: another process, with an empty cache.
    Restarted,
}
