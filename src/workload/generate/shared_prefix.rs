//! Single requests, each a popular system prompt followed by a question of its own: the workload
//! that prefix-aware routing was made for. As `generated-shared-prefix` of SGLang's benchmark and
//! `shared_prefix` of llm-d's inference-perf, with Zipf popularity instead of equal groups.

use super::{Generator, SharedPrefixSpec, Texts, single};
use crate::workload::Turn;

pub(super) struct SharedPrefix {
    pub(super) spec: SharedPrefixSpec,
    pub(super) texts: Texts,
}

impl Generator for SharedPrefix {
    fn turns(&self, number: u64) -> Vec<Turn> {
        let spec = &self.spec;
        let which = self.texts.popular(number, spec.prefixes, spec.zipf);
        let prefix = self.texts.shared(which, &spec.prefix);
        let mut pen = self.texts.session(number);
        let question = pen.text(&spec.question);
        single(vec![prefix, question], pen.text(&spec.output))
    }
}
