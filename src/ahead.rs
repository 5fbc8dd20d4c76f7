//! Memory fetched ahead of time.
//!
//! What a large cluster keeps of its workers and requests does not fit into the processor's caches, and
//! each event touches some dozens of places in it, one found through the other. Who knows what comes
//! next asks for its memory now, and does something else while it is on its way. It changes nothing
//! but the time taken.

use prefetch_index::prefetch_index;

/// Fetches the beginning of something.
pub fn fetch<T>(one: &T) {
    prefetch_index(std::slice::from_ref(one), 0);
}

/// Fetches an element; one that does not exist is nothing.
pub fn fetch_at<T>(all: &[T], index: usize) {
    prefetch_index(all, index);
}
