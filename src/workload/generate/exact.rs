//! Lengths asked for exactly: `workload.prompt_tokens` (`--isl`) and `output_tokens` (`--osl`).
//!
//! **Outputs.** Every output has exactly so many tokens.
//!
//! **Prompts.** The prompt of a request, and the first of a session, has exactly so many tokens. What
//! is shared stays as long as it is, and what is the session's own fills the rest: the question of
//! `shared-prefix`, the first user text of `multi-turn`, the task of `agentic`. Where what is shared
//! leaves nothing, it is cut, and one token of the session's own remains. A family of `similar` has so
//! many tokens; a difference too long for what follows its place is cut. Later turns contain the
//! first prompt and grow from it as they always do: follow-ups, tool results and sub-tasks keep
//! their laws.

use super::Generator;
use crate::prompt::{Segment, total_tokens};
use crate::scenario::{Law, MixPart};
use crate::workload::Turn;

/// Lengths in tokens that replace those drawn; `None`: those drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lengths {
    pub(super) prompt: Option<u32>,
    pub(super) output: Option<u32>,
}

impl Lengths {
    /// `part` with constant laws where a law alone decides a length. The prompt of a family counts: where
    /// its members differ is a share of it.
    pub(super) fn in_place_of_laws(self, part: &MixPart) -> MixPart {
        let mut part = part.clone();
        let outputs = [
            part.shared_prefix.as_mut().map(|spec| &mut spec.output),
            part.multi_turn.as_mut().map(|spec| &mut spec.output),
            part.similar.as_mut().map(|spec| &mut spec.output),
            part.diverse.as_mut().map(|spec| &mut spec.output),
            part.agentic.as_mut().map(|spec| &mut spec.output),
        ];
        if let Some(law) = self.output.map(constant) {
            outputs.into_iter().flatten().for_each(|output| *output = law.clone());
        }
        if let (Some(law), Some(spec)) = (self.prompt.map(constant), &mut part.similar) {
            spec.prompt = law;
        }
        part
    }
}

fn constant(tokens: u32) -> Law {
    Law::Constant { value: f64::from(tokens) }
}

/// Gives the first prompt of every session `tokens` tokens.
pub(super) struct Exact {
    pub(super) inner: Box<dyn Generator>,
    pub(super) tokens: u32,
}

impl Generator for Exact {
    fn turns(&self, number: u64) -> Vec<Turn> {
        let mut turns = self.inner.turns(number);
        let Some(first) = turns.first().map(|turn| turn.prompt.clone()) else { return turns };
        let exact = fitted(&first, self.tokens);
        for turn in &mut turns {
            // So do those of sub-agents, which branch from the first prompt.
            if turn.prompt.starts_with(&first) {
                turn.prompt.splice(..first.len(), exact.iter().copied());
            }
        }
        turns
    }
}

/// `prompt` with its last text longer or shorter, so that `tokens` tokens come out; where even one
/// token of it is too much, the texts before it are cut.
fn fitted(prompt: &[Segment], tokens: u32) -> Vec<Segment> {
    let Some((last, before)) = prompt.split_last() else { return Vec::new() };
    let shared = total_tokens(before).min(u64::from(tokens.saturating_sub(1))) as u32;
    let mut left = shared;
    let mut exact = Vec::with_capacity(prompt.len());
    for segment in before {
        let kept = segment.tokens.min(left);
        left -= kept;
        exact.push(Segment { tokens: kept, ..*segment });
    }
    exact.push(Segment { tokens: tokens - shared, ..*last });
    exact.retain(|segment| segment.tokens > 0);
    exact
}
