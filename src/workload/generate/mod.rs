//! Generated workloads: sessions as a pure function of seed and session number.
//!
//! A [`Generator`] makes session `n` from the random streams of lane `n` alone, so it is the same
//! whatever was made before it, and whatever any router did. Texts are content ids, hashed from
//! seed, part of a mix, purpose and number: nothing collides between seeds, sessions or parts, and
//! what is shared is shared by construction. Every generator is endless; `workload.requests`
//! or `workload.duration` ends it. Lengths asked for exactly are given by `exact`.

mod agentic;
mod diverse;
mod exact;
mod mix;
mod multi_turn;
mod shared_prefix;
mod similar;

use crate::error::{Error, Result};
use crate::prompt::{self, Segment};
use crate::rng::{Rng, Stream, stream};
use crate::scenario::{
    AgenticSpec, DiverseSpec, Law, MixPart, MultiTurnSpec, SharedPrefixSpec, SimilarSpec,
    WorkloadKind, WorkloadSpec,
};
use crate::units::Nanos;
use crate::workload::{Session, SessionStream, Turn, When, law};
use rand_distr::{Distribution, Zipf};
use smallvec::smallvec;

/// Most turns, steps or sub-agents at a time. A session is made whole, and its prompts repeat each
/// other, so its size grows with the square of its turns.
const MAX_COUNT: u32 = 1000;

/// Makes any session of a workload, in any order.
pub trait Generator: Send {
    /// The turns of session `number`: at least one, and the first waits for nothing.
    fn turns(&self, number: u64) -> Vec<Turn>;
}

/// The sessions of a generated workload, in order and without end.
///
/// # Errors
/// Where the kind is `trace`, or its section is missing.
pub fn sessions(workload: &WorkloadSpec, seed: u64) -> Result<Box<dyn SessionStream>> {
    Ok(Box::new(Generated { generator: generator(workload, seed)?, next: 0 }))
}

struct Generated {
    generator: Box<dyn Generator>,
    next: u64,
}

impl SessionStream for Generated {
    fn next_session(&mut self) -> Result<Option<Session>> {
        let id = self.next;
        self.next += 1;
        Ok(Some(Session { id, start: None, turns: self.generator.turns(id) }))
    }
}

fn generator(workload: &WorkloadSpec, seed: u64) -> Result<Box<dyn Generator>> {
    let lengths = exact::Lengths { prompt: workload.prompt_tokens, output: workload.output_tokens };
    if workload.kind == WorkloadKind::Mix {
        let mix = mix::Mix::new(&workload.mix, lengths, seed);
        return mix.map(|mix| Box::new(mix) as Box<dyn Generator>);
    }
    let whole = MixPart {
        weight: 1.0,
        kind: workload.kind,
        shared_prefix: workload.shared_prefix.clone(),
        multi_turn: workload.multi_turn.clone(),
        similar: workload.similar.clone(),
        diverse: workload.diverse.clone(),
        agentic: workload.agentic.clone(),
    };
    of_part_exactly(&whole, lengths, Texts::new(seed, 0))
}

/// The generator of one part of a mix, with these lengths instead of those it draws.
fn of_part_exactly(
    part: &MixPart,
    lengths: exact::Lengths,
    texts: Texts,
) -> Result<Box<dyn Generator>> {
    let inner = of_part(&lengths.in_place_of_laws(part), texts)?;
    Ok(match lengths.prompt {
        Some(tokens) => Box::new(exact::Exact { inner, tokens }),
        None => inner,
    })
}

/// The generator of one part of a mix, writing in its own namespace.
fn of_part(part: &MixPart, texts: Texts) -> Result<Box<dyn Generator>> {
    let missing = || Error::input("workload.kind asks for a section that the scenario lacks");
    Ok(match part.kind {
        WorkloadKind::SharedPrefix => Box::new(shared_prefix::SharedPrefix {
            spec: part.shared_prefix.clone().ok_or_else(missing)?,
            texts,
        }),
        WorkloadKind::MultiTurn => Box::new(multi_turn::MultiTurn {
            spec: part.multi_turn.clone().ok_or_else(missing)?,
            texts,
        }),
        WorkloadKind::Similar => {
            Box::new(similar::Similar { spec: part.similar.clone().ok_or_else(missing)?, texts })
        }
        WorkloadKind::Diverse => {
            Box::new(diverse::Diverse { spec: part.diverse.clone().ok_or_else(missing)?, texts })
        }
        WorkloadKind::Agentic => {
            Box::new(agentic::Agentic { spec: part.agentic.clone().ok_or_else(missing)?, texts })
        }
        WorkloadKind::Mix | WorkloadKind::Trace => {
            return Err(Error::input(
                "workload.kind = \"mix\" or \"trace\" is no generator; choose one of shared-prefix, \
                 multi-turn, similar, diverse, agentic",
            ));
        }
    })
}

/// The namespace of the texts of one workload, or of one part of a mix, and its random streams.
#[derive(Clone, Copy, Debug)]
struct Texts {
    seed: u64,
    space: u64,
}

/// What a text is for. The discriminants are part of the results: never renumber them.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    /// A system prompt or family text that many sessions use.
    Shared = 1,
    /// A text of one session alone.
    Own = 2,
}

impl Texts {
    /// Part `part` of a workload, 0 where it is no mix.
    fn new(seed: u64, part: u64) -> Texts {
        Texts { seed, space: prompt::mix(&[seed, part]) }
    }

    /// Shared text `number`, its length drawn once for all who use it.
    fn shared(self, number: u64, length: &Law) -> Segment {
        let content = prompt::mix(&[self.space, Purpose::Shared as u64, number]);
        let mut rng = stream(self.seed, Stream::Content, content);
        Segment { content, tokens: law::whole(length, &mut rng) }
    }

    /// Which of `count` shared texts session `session` takes: Zipf's law, number 0 most popular.
    fn popular(self, session: u64, count: u32, exponent: f64) -> u64 {
        let count = count.max(1);
        let law =
            Zipf::new(f64::from(count), exponent).expect("the scenario check admits no such law");
        let rank = law.sample(&mut stream(self.seed, Stream::Popularity, session));
        (rank as u64).clamp(1, u64::from(count)) - 1
    }

    /// A writer of the texts that only session `session` uses.
    fn session(self, session: u64) -> Pen {
        Pen {
            namespace: prompt::mix(&[self.space, Purpose::Own as u64, session]),
            written: 0,
            rng: stream(self.seed, Stream::Session, session),
        }
    }
}

/// Writes one session: numbers its texts, and draws their lengths and times.
struct Pen {
    namespace: u64,
    written: u64,
    rng: Rng,
}

impl Pen {
    /// A new text that nothing else contains.
    fn text(&mut self, length: &Law) -> Segment {
        let tokens = law::whole(length, &mut self.rng);
        self.written += 1;
        Segment { content: prompt::mix(&[self.namespace, self.written]), tokens }
    }

    fn count(&mut self, law: &Law) -> u32 {
        law::whole(law, &mut self.rng).min(MAX_COUNT)
    }

    fn time(&mut self, law: &Law) -> Nanos {
        law::time(law, &mut self.rng)
    }
}

/// A session of one request.
fn single(prompt: Vec<Segment>, output: Segment) -> Vec<Turn> {
    vec![Turn { when: When::Offset(Nanos::ZERO), prompt, output: smallvec![output] }]
}

/// The same prompt, with room for the output that will be put behind it.
fn with_room(prompt: &[Segment]) -> Vec<Segment> {
    let mut copy = Vec::with_capacity(prompt.len() + 1);
    copy.extend_from_slice(prompt);
    copy
}

#[cfg(test)]
mod tests;
