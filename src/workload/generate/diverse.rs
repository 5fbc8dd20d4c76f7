//! Requests with nothing in common: the control, on which no router can win by its cache.

use super::{DiverseSpec, Generator, Texts, single};
use crate::workload::Turn;

pub(super) struct Diverse {
    pub(super) spec: DiverseSpec,
    pub(super) texts: Texts,
}

impl Generator for Diverse {
    fn turns(&self, number: u64) -> Vec<Turn> {
        let mut pen = self.texts.session(number);
        let prompt = pen.text(&self.spec.prompt);
        single(vec![prompt], pen.text(&self.spec.output))
    }
}
