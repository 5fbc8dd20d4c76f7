//! What can happen, and in which order at one instant.

use super::queue::Ranked;

/// Something that happens at a point in time. Arrivals come from the workload, not from the queue.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A worker's steps under way end.
    StepEnd {
        /// Worker, from 0.
        worker: u32,
        /// Number of the plan that says so; void where there is a later one.
        plan: u32,
    },
    /// The KV events sent first, of those on their way, reach the routers.
    KvEvents,
    /// Routers look at the workers' metrics.
    Poll,
    /// A worker begins a step.
    StepBegin {
        /// Worker, from 0.
        worker: u32,
        /// Lower ones first.
        place: u32,
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
            Event::KvEvents | Event::Poll => 1,
            Event::StepBegin { .. } => 3,
        }
    }

    fn place(&self) -> u32 {
        match self {
            Event::StepBegin { place, .. } => *place,
            Event::StepEnd { .. } | Event::KvEvents | Event::Poll => 0,
        }
    }
}
