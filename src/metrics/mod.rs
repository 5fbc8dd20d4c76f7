//! What a run measured.

pub mod summary;
pub mod timeline;
