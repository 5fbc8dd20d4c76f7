//! What a run measured.

pub mod intervals;
pub mod overload;
pub mod recorder;
pub mod summary;
pub mod tally;
pub mod timeline;
pub mod window;
