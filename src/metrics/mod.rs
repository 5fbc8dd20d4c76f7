//! What a run measured.

pub mod overload;
pub mod recorder;
pub mod summary;
pub mod timeline;
pub mod window;
