//! Near-duplicates: families of prompts that agree up to one place, differ for a stretch, and agree
//! again after it. A prefix cache can use only what lies before the difference, so the same
//! similarity is worth everything at the end of a prompt and nothing at its beginning.
//!
//! A member is the family's text with a stretch replaced: `round(differs_at · P)` tokens of it, a
//! stretch of its own, then as much of the family's tail as fills up the length P. The stretch is
//! never shortened: one that does not fit makes the prompt longer.

use super::{Generator, SimilarSpec, Texts, single};
use crate::prompt::{self, Segment};
use crate::workload::Turn;

pub(super) struct Similar {
    pub(super) spec: SimilarSpec,
    pub(super) texts: Texts,
}

impl Generator for Similar {
    fn turns(&self, number: u64) -> Vec<Turn> {
        let spec = &self.spec;
        let which = self.texts.popular(number, spec.families, spec.zipf);
        let family = self.texts.shared(which, &spec.prompt);
        let mut pen = self.texts.session(number);
        let stretch = pen.text(&spec.difference);
        let prompt = member(family, spec.differs_at, stretch);
        single(prompt, pen.text(&spec.output))
    }
}

/// The text of `family` with `stretch` in its place.
fn member(family: Segment, differs_at: f64, stretch: Segment) -> Vec<Segment> {
    let lead = (differs_at * f64::from(family.tokens)).round() as u32;
    let resumed = lead.saturating_add(stretch.tokens);
    let parts = [
        Segment { tokens: lead, ..family },
        stretch,
        // Named by where it begins, so that equal stretches of the family are equal text.
        Segment {
            content: prompt::mix(&[family.content, u64::from(resumed)]),
            tokens: family.tokens.saturating_sub(resumed),
        },
    ];
    parts.into_iter().filter(|part| part.tokens > 0).collect()
}
