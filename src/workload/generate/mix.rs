//! A weighted mix: every session belongs to one part, drawn by weight. Parts share no content.

use super::exact::Lengths;
use super::{Generator, Texts, of_part_exactly};
use crate::error::Result;
use crate::rng::{Stream, stream};
use crate::scenario::MixPart;
use crate::workload::{Turn, law};

pub(super) struct Mix {
    seed: u64,
    weights: Vec<f64>,
    parts: Vec<Box<dyn Generator>>,
}

impl Mix {
    /// Parts are numbered from 1, so that none has the namespace of an unmixed workload.
    pub(super) fn new(parts: &[MixPart], lengths: Lengths, seed: u64) -> Result<Mix> {
        Ok(Mix {
            seed,
            weights: parts.iter().map(|part| part.weight).collect(),
            parts: (1..)
                .zip(parts)
                .map(|(number, part)| of_part_exactly(part, lengths, Texts::new(seed, number)))
                .collect::<Result<_>>()?,
        })
    }

    /// The part that session `number` belongs to.
    pub(super) fn part_of(&self, number: u64) -> usize {
        let mut rng = stream(self.seed, Stream::Mix, number);
        law::pick(self.parts.len(), &self.weights, &mut rng)
    }
}

impl Generator for Mix {
    fn turns(&self, number: u64) -> Vec<Turn> {
        self.parts[self.part_of(number)].turns(number)
    }
}
