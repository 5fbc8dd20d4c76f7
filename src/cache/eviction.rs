//! Which free cached block is reused first. Policies order pieces; within one, blocks go from its
//! tail or from its head on.

use super::pieces::Piece;
use crate::scenario::EvictionKind;

mod lru;
mod ranked;

/// A policy: told what happens to pieces (by number), names the next to lose blocks.
pub trait Eviction: Send {
    /// A piece in use got content.
    fn stored(&mut self, _id: u32, _piece: &Piece) {}
    /// All of a piece was hit.
    fn hit(&mut self, _id: u32) {}
    /// `upper` was split off behind `lower`, free or not.
    fn split(&mut self, lower: u32, upper: u32, piece: &Piece);
    /// A piece became free, its tail first.
    fn released(&mut self, id: u32, piece: &Piece);
    /// A free piece was taken back by a hit, or is about to be gone.
    fn revived(&mut self, id: u32, piece: &Piece);
    /// The free piece that holds the block to reuse first.
    fn victim(&self) -> Option<u32>;
    /// The free piece whose blocks go after those of `id`.
    fn after(&self, id: u32) -> Option<u32>;
    /// See `crate::ahead`.
    fn fetch(&self) {}
    /// The same for what is kept for a piece.
    fn fetch_piece(&self, _id: u32) {}
    /// Blocks of a piece go from its tail on, not from its head.
    fn tail_first(&self) -> bool;
    /// Blocks stored at different times may share a piece.
    fn tells_by_piece(&self) -> bool;
}

/// The policy of that name.
pub fn build(kind: EvictionKind) -> Box<dyn Eviction> {
    match kind {
        EvictionKind::Lru => Box::new(lru::Lru::default()),
        EvictionKind::Fifo => Box::new(ranked::Ranked::fifo()),
        EvictionKind::Lfu => Box::new(ranked::Ranked::lfu()),
    }
}
