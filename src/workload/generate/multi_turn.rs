//! Conversations: the prompt of a turn is every earlier prompt and output, then the new user text.
//!
//! Turn k+1 is sent a think time after turn k has completed. An output is content like any other:
//! the next prompt contains it, so what was generated can be hit as well as what was asked.

use super::{Generator, MultiTurnSpec, Texts, with_room};
use crate::prompt::Segment;
use crate::units::Nanos;
use crate::workload::{Turn, When};
use smallvec::smallvec;

pub(super) struct MultiTurn {
    pub(super) spec: MultiTurnSpec,
    pub(super) texts: Texts,
}

impl Generator for MultiTurn {
    fn turns(&self, number: u64) -> Vec<Turn> {
        let spec = &self.spec;
        let mut context = self.system_prompt(number);
        let mut pen = self.texts.session(number);
        let count = pen.count(&spec.turns);
        let mut turns = Vec::with_capacity(count as usize);
        for turn in 0..count {
            let (text, when) = if turn == 0 {
                (&spec.first, When::Offset(Nanos::ZERO))
            } else {
                let pause = pen.time(&spec.think_time);
                (&spec.follow_up, When::After(smallvec![turn - 1], pause))
            };
            context.push(pen.text(text));
            let output = pen.text(&spec.output);
            turns.push(Turn { when, prompt: with_room(&context), output: smallvec![output] });
            context.push(output);
        }
        turns
    }
}

impl MultiTurn {
    fn system_prompt(&self, number: u64) -> Vec<Segment> {
        if self.spec.prefixes == 0 {
            return Vec::new();
        }
        let which = self.texts.popular(number, self.spec.prefixes, self.spec.zipf);
        vec![self.texts.shared(which, &self.spec.prefix)]
    }
}
