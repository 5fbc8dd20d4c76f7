//! The workload of a live run as its workers see it, for the simulation of that run: prompts with the
//! template's tokens in them, texts and answers as long as the server counts them.

use super::conversation::{Conversations, answer_segment};
use super::server_tokens::ServerTokens;
use crate::error::Result;
use crate::request::{Request, RequestId};
use crate::units::Nanos;
use crate::workload::Source;
use rustc_hash::FxHashMap;

/// A source whose requests are those of another, as the server sees them.
pub struct AsServer {
    source: Box<dyn Source>,
    conversations: Conversations,
    tokens: ServerTokens,
    /// Session and output tokens of requests in flight.
    in_flight: FxHashMap<RequestId, (u64, u32)>,
}

impl AsServer {
    /// `source` under the rules of `tokens`; `has_system_prompt` as of
    /// [`super::conversation::has_system_prompt`].
    pub fn new(source: Box<dyn Source>, tokens: ServerTokens, has_system_prompt: bool) -> AsServer {
        let conversations = Conversations::new(has_system_prompt);
        AsServer { source, conversations, tokens, in_flight: FxHashMap::default() }
    }
}

impl Source for AsServer {
    fn next_arrival(&mut self) -> Result<Option<Nanos>> {
        self.source.next_arrival()
    }

    fn take(&mut self) -> Result<Request> {
        let mut request = self.source.take()?;
        let prompt = self.conversations.prompt(&request);
        let mut segments = self.tokens.prompt(&prompt);
        request.prompt_tokens =
            segments.iter().fold(0, |sum: u32, segment| sum.saturating_add(segment.tokens));
        segments.push(answer_segment(request.id, request.output_tokens));
        request.segments = segments;
        self.in_flight.insert(request.id, (request.session, request.output_tokens));
        Ok(request)
    }

    fn on_complete(&mut self, id: RequestId, now: Nanos) -> bool {
        let is_over = self.source.on_complete(id, now);
        let Some((session, output)) = self.in_flight.remove(&id) else { return is_over };
        if is_over {
            self.conversations.forget(session);
        } else {
            // Of what it says, only the length matters here.
            self.conversations.answered(session, id, "said", output);
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{block_runs, total_tokens};
    use crate::scenario::Draft;

    /// The requests of multi-turn sessions, one after the other.
    fn requests(tokens: ServerTokens) -> Vec<Request> {
        let mut draft = Draft::load("multi-turn").unwrap();
        draft.set_text("workload.requests=40").unwrap();
        let workload = draft.finish().unwrap().workload;
        let source = crate::workload::build(&workload, 3, None).unwrap();
        let mut source = AsServer::new(source, tokens, true);
        let mut taken = Vec::new();
        while let Some(at) = source.next_arrival().unwrap() {
            let request = source.take().unwrap();
            source.on_complete(request.id, at + Nanos(1_000_000));
            taken.push(request);
        }
        assert!(source.in_flight.is_empty() && source.conversations.sessions() == 0);
        taken
    }

    /// Full blocks that two prompts have in common.
    fn common(earlier: &Request, later: &Request) -> usize {
        let keys = |request: &Request| -> Vec<_> {
            let runs = block_runs(&request.segments, 16);
            runs.iter()
                .flat_map(|run| (0..run.count).map(|i| (run.content, run.first + i)))
                .collect()
        };
        keys(earlier).iter().zip(keys(later)).take_while(|(a, b)| **a == *b).count()
    }

    #[test]
    fn a_later_turn_contains_the_earlier_one_and_its_answer() {
        let template =
            ServerTokens { before: 3, after_user: 5, after_answer: 2, ..ServerTokens::default() };
        let taken = requests(template);
        assert_eq!(taken.len(), 40);
        let mut turns = 0;
        for later in taken.iter().filter(|request| request.turn > 0) {
            let is_before =
                |one: &&Request| one.session == later.session && one.turn + 1 == later.turn;
            let earlier = taken.iter().find(is_before).unwrap();
            let whole = earlier.prompt_tokens + earlier.output_tokens;
            assert_eq!(common(earlier, later), whole as usize / 16);
            assert!(later.prompt_tokens > whole);
            assert_eq!(
                u64::from(later.prompt_tokens + later.output_tokens),
                total_tokens(&later.segments)
            );
            turns += 1;
        }
        assert!(turns > 10);
    }

    #[test]
    fn answers_tokenised_anew_are_no_common_prefix() {
        let taken = requests(ServerTokens { answer_same: 0.0, ..ServerTokens::default() });
        let later = taken.iter().find(|request| request.turn == 1).unwrap();
        let earlier =
            taken.iter().find(|one| one.session == later.session && one.turn == 0).unwrap();
        assert_eq!(common(earlier, later), earlier.prompt_tokens as usize / 16);
    }
}
