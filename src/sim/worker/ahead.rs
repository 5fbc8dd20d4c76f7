//! What a step reads first, read ahead of it ([`crate::sim::ahead`]).

use super::Worker;
use crate::cache::BlockCache;

/// Running requests looked at.
const MOST: usize = 8;

impl Worker {
    /// Some bits of each cache line that the next step of this worker needs, of no meaning.
    pub(in crate::sim) fn touch(&self, cache: &BlockCache) -> u64 {
        let mut bits = self.cruise.touch() ^ cache.touch() ^ self.waiting.len() as u64;
        bits ^= self.report.first_tokens.len() as u64 ^ self.report.admitted.len() as u64;
        for sequence in self.running.iter().take(MOST) {
            bits ^= u64::from(sequence.record.output_tokens ^ sequence.computed);
            bits ^= sequence.last_token.0 ^ cache.touch_lease(&sequence.lease);
        }
        bits
    }
}
