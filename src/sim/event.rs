//! What can happen, and in which order at one instant.

use super::queue::Ranked;
use crate::prompt::CacheEvent;

/// Something that happens at a point in time. Arrivals come from the workload, not from the queue.
#[derive(Debug)]
pub enum Event {
    /// A worker's step ends.
    StepEnd {
        /// Worker, from 0.
        worker: u32,
    },
    /// KV events reach the routers.
    KvEvents {
        /// The worker that sent them, from 0.
        worker: u32,
        /// In order.
        events: Vec<CacheEvent>,
    },
    /// A worker begins a step.
    StepBegin {
        /// Worker, from 0.
        worker: u32,
    },
}

/// Rank of arrivals among the events of one instant.
pub const ARRIVAL_RANK: u8 = 2;

impl Ranked for Event {
    /// Completions first, so that closed loops and routers see them; then what routers learn; then
    /// all arrivals, so that requests that arrive together can share a step; then steps.
    fn rank(&self) -> u8 {
        match self {
            Event::StepEnd { .. } => 0,
            Event::KvEvents { .. } => 1,
            Event::StepBegin { .. } => 3,
        }
    }
}
