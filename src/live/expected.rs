//! Expected hits: the prompt tokens that one infinite cache over all endpoints would have held when
//! a request was sent. What was observed can be compared with it.
//!
//! It is fed in order of sending. A prompt is in the cache once it is sent, an answer once it has
//! come, with the length it really had. Full blocks and the last-token rule as in [`Ceiling`]. Chat
//! templates are not counted, so near the ends of prompts it may be off by a block.

use super::conversation::Prompt;
use crate::prompt::{Segment, block_runs};
use crate::sim::ceiling::Ceiling;

/// One infinite cache of blocks.
pub struct Expected {
    cache: Ceiling,
    block_tokens: u32,
}

impl Expected {
    /// An empty cache of blocks of `block_tokens`, at least 1.
    pub fn new(block_tokens: u32) -> Expected {
        Expected { cache: Ceiling::default(), block_tokens }
    }

    /// A prompt is sent; of its tokens, how many the cache holds.
    pub fn sent(&mut self, prompt: &Prompt) -> u32 {
        let runs = block_runs(&prompt.segments, self.block_tokens);
        self.cache.arrive(&runs, runs.len(), prompt.tokens, self.block_tokens).tokens
    }

    /// The answer to a prompt has come: `prompt` are its segments as they were sent, `answer` is
    /// [`super::conversation::answer_segment`]. Of use only while the session goes on, because no
    /// other contains the answer.
    pub fn answered(&mut self, prompt: &[Segment], answer: Segment) {
        let mut whole = Vec::with_capacity(prompt.len() + 1);
        whole.extend_from_slice(prompt);
        whole.push(answer);
        self.cache.insert(&block_runs(&whole, self.block_tokens));
    }
}

#[cfg(test)]
mod tests {
    use super::super::conversation::answer_segment;
    use super::*;

    fn prompt(segments: &[(u64, u32)]) -> Prompt {
        let segments: Vec<Segment> =
            segments.iter().map(|&(content, tokens)| Segment { content, tokens }).collect();
        Prompt { messages: Vec::new(), tokens: segments.iter().map(|s| s.tokens).sum(), segments }
    }

    #[test]
    fn a_shared_prefix_is_expected_in_whole_blocks_from_the_second_request_on() {
        let mut expected = Expected::new(16);
        assert_eq!(expected.sent(&prompt(&[(1, 100), (2, 50)])), 0);
        assert_eq!(expected.sent(&prompt(&[(1, 100), (3, 50)])), 96);
        // The last token is always computed.
        assert_eq!(expected.sent(&prompt(&[(1, 96)])), 80);
    }

    #[test]
    fn an_answer_is_expected_once_it_has_come_with_its_real_length() {
        let first = prompt(&[(1, 100)]);
        let answer = answer_segment(7, 60);
        let second = prompt(&[(1, 100), (answer.content, 60), (2, 10)]);
        let mut expected = Expected::new(16);
        expected.sent(&first);
        expected.answered(&first.segments, answer);
        assert_eq!(expected.sent(&second), 160);

        let mut unanswered = Expected::new(16);
        unanswered.sent(&first);
        assert_eq!(unanswered.sent(&second), 96);
    }
}
