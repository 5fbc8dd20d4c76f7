//! Prompts as messages, in which the server's real answers stand where the workload has outputs.
//!
//! A prompt that begins with an earlier prompt of its session and the output of that continues a
//! conversation: the output becomes an `assistant` message that holds what the server really said.
//! An output elsewhere in a prompt (a sub-agent's, given to its parent) is quoted in the `user`
//! message. A request that failed, or has not been answered yet, is replaced by our own text of the
//! planned length. All else is joined into `user` messages; the last message is always one.
//!
//! Answers are kept until their session is over, for any later turn may contain them.

use super::body::escape;
use crate::prompt::{Segment, mix};
use crate::request::{Request, RequestId};
use crate::scenario::{MixPart, WorkloadKind, WorkloadSpec};
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::Hasher;
use std::sync::Arc;

/// Marks the content ids of real answers.
const ANSWER: u64 = 0x616e_7377_6572_7331;

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The instructions that sessions share.
    System,
    /// We.
    User,
    /// The server.
    Assistant,
}

impl Role {
    /// The word in a request.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// A stretch of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text of our own, see [`super::text::Pieces`].
    Text(Segment),
    /// What the server said, escaped for JSON.
    Answer(Arc<str>),
}

/// A message of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What, in order; at least one part.
    pub parts: Vec<Part>,
}

/// A prompt as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its messages, the last of them a user's.
    pub messages: Vec<Message>,
    /// Length, chat template not included, tokens: that of `segments`.
    pub tokens: u32,
    /// Its real content: planned segments, and answers with the length they really have.
    pub segments: Vec<Segment>,
}

/// The content of the answer to request `id`, of `tokens` tokens (at least 1): nothing else has it.
pub fn answer_segment(id: RequestId, tokens: u32) -> Segment {
    Segment { content: mix(&[ANSWER, id]), tokens: tokens.max(1) }
}

/// Whether every session of a workload begins with instructions that others share.
pub fn has_system_prompt(workload: &WorkloadSpec) -> bool {
    let multi_turn = |spec: &Option<crate::scenario::MultiTurnSpec>| {
        spec.as_ref().is_some_and(|spec| spec.prefixes > 0)
    };
    let part = |part: &MixPart| match part.kind {
        WorkloadKind::SharedPrefix | WorkloadKind::Agentic => true,
        WorkloadKind::MultiTurn => multi_turn(&part.multi_turn),
        _ => false,
    };
    match workload.kind {
        WorkloadKind::SharedPrefix | WorkloadKind::Agentic => true,
        WorkloadKind::MultiTurn => multi_turn(&workload.multi_turn),
        WorkloadKind::Mix => !workload.mix.is_empty() && workload.mix.iter().all(part),
        WorkloadKind::Similar | WorkloadKind::Diverse | WorkloadKind::Trace => false,
    }
}

/// What was said in the sessions under way.
pub struct Conversations {
    has_system_prompt: bool,
    sessions: FxHashMap<u64, Said>,
}

/// What was said in one session.
#[derive(Default)]
struct Said {
    earlier: Vec<Earlier>,
    /// The latest of `earlier` by the first content of its output; made when a second request asks.
    by_output: FxHashMap<u64, usize>,
    /// How many of `earlier` are in `by_output`.
    indexed: usize,
}

/// An earlier request of a session.
struct Earlier {
    id: RequestId,
    /// Fingerprint of its prompt.
    prompt: u64,
    /// Its output as it was planned, at least one segment.
    output: Vec<Segment>,
    answer: Option<Answer>,
    /// The one before it whose output begins with the same content.
    same: Option<usize>,
}

struct Answer {
    text: Arc<str>,
    tokens: u32,
}

impl Conversations {
    /// No session yet; `has_system_prompt` as of [`has_system_prompt`].
    pub fn new(has_system_prompt: bool) -> Conversations {
        Conversations { has_system_prompt, sessions: FxHashMap::default() }
    }

    /// The prompt of a request, which is remembered: later ones of its session may contain its output.
    pub fn prompt(&mut self, request: &Request) -> Prompt {
        let (prompt, output) = split(&request.segments, request.prompt_tokens);
        let said = self.sessions.entry(request.session).or_default();
        said.index();
        let mut writer = Writer::new(prompt.len());
        let mut seen = FxHasher::default();
        let mut at = 0;
        while at < prompt.len() {
            let found = said.output_at(&prompt[at..], seen.finish());
            let length = match found {
                Some((earlier, continues)) => {
                    writer.output(earlier, continues);
                    earlier.output.len()
                }
                None => {
                    let system = self.has_system_prompt && at == 0 && prompt.len() > 1;
                    let role = if system { Role::System } else { Role::User };
                    writer.text(role, prompt[at]);
                    1
                }
            };
            prompt[at..at + length].iter().for_each(|segment| fingerprint(&mut seen, segment));
            at += length;
        }
        said.earlier.push(Earlier {
            id: request.id,
            prompt: seen.finish(),
            output: output.to_vec(),
            answer: None,
            same: None,
        });
        writer.finish()
    }

    /// The server has answered request `id` with `text`, `tokens` tokens long. An empty answer is as
    /// good as none. Not worth calling when the session is over.
    pub fn answered(&mut self, session: u64, id: RequestId, text: &str, tokens: u32) {
        let said = self.sessions.get_mut(&session);
        let earlier = said.and_then(|said| said.earlier.iter_mut().rev().find(|one| one.id == id));
        if let (Some(earlier), false) = (earlier, text.is_empty()) {
            earlier.answer = Some(Answer { text: escape(text).into(), tokens });
        }
    }

    /// The session is over: nothing of it will be asked for again.
    pub fn forget(&mut self, session: u64) {
        self.sessions.remove(&session);
    }

    /// Sessions that are remembered.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }
}

impl Said {
    /// Makes outputs findable. Sessions of one turn never come here with anything to do.
    fn index(&mut self) {
        for place in self.indexed..self.earlier.len() {
            let first = self.earlier[place].output[0].content;
            self.earlier[place].same = self.by_output.insert(first, place);
        }
        self.indexed = self.earlier.len();
    }

    /// The request whose output `rest` begins with, and whether what stands before it, with the
    /// fingerprint `before`, is the prompt of that request. The latest, where there are several.
    fn output_at(&self, rest: &[Segment], before: u64) -> Option<(&Earlier, bool)> {
        let mut next = self.by_output.get(&rest[0].content).copied();
        let mut quoted = None;
        while let Some(place) = next {
            let earlier = &self.earlier[place];
            if rest.starts_with(&earlier.output) {
                if earlier.prompt == before {
                    return Some((earlier, true));
                }
                quoted.get_or_insert(earlier);
            }
            next = earlier.same;
        }
        quoted.map(|earlier| (earlier, false))
    }
}

/// Adds a segment to the fingerprint of those before it.
fn fingerprint(seen: &mut FxHasher, segment: &Segment) {
    seen.write_u64(segment.content);
    seen.write_u32(segment.tokens);
}

/// Prompt and output of a request; the end of the prompt is the end of a segment.
fn split(segments: &[Segment], prompt_tokens: u32) -> (&[Segment], &[Segment]) {
    let mut left = prompt_tokens;
    let mut end = 0;
    while left > 0 && end < segments.len() {
        left = left.saturating_sub(segments[end].tokens);
        end += 1;
    }
    segments.split_at(end)
}

/// Writes a prompt, message by message.
struct Writer {
    messages: Vec<Message>,
    segments: Vec<Segment>,
}

impl Writer {
    fn new(segments: usize) -> Writer {
        Writer { messages: Vec::new(), segments: Vec::with_capacity(segments) }
    }

    fn text(&mut self, role: Role, segment: Segment) {
        self.segments.push(segment);
        self.part(role, Part::Text(segment));
    }

    /// An earlier request's output: the answer, or in its place our own text.
    fn output(&mut self, earlier: &Earlier, continues: bool) {
        let role = if continues { Role::Assistant } else { Role::User };
        if let Some(answer) = &earlier.answer {
            self.segments.push(answer_segment(earlier.id, answer.tokens));
            self.part(role, Part::Answer(Arc::clone(&answer.text)));
        } else {
            earlier.output.iter().for_each(|segment| self.text(role, *segment));
        }
    }

    fn part(&mut self, role: Role, part: Part) {
        match self.messages.last_mut() {
            Some(message) if message.role == role => message.parts.push(part),
            _ => self.messages.push(Message { role, parts: vec![part] }),
        }
    }

    /// A server answers users: what an assistant said last becomes part of what the user says.
    fn finish(mut self) -> Prompt {
        if self.messages.last().is_some_and(|message| message.role == Role::Assistant) {
            let last = self.messages.pop().map_or(Vec::new(), |message| message.parts);
            last.into_iter().for_each(|part| self.part(Role::User, part));
        }
        let tokens = self.segments.iter().fold(0u32, |sum, one| sum.saturating_add(one.tokens));
        Prompt { messages: self.messages, tokens, segments: self.segments }
    }
}

#[cfg(test)]
mod tests;
