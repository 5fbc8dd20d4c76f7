//! Agents: tool loops whose context grows with every output and tool result.
//!
//! ```text
//! agent prefix | task | output 1 | result 1 | output 2 | result 2 | ...        the parent
//! agent prefix | task | sub-task | output a | result a | ...                   a sub-agent
//! ```
//! Between two steps a tool runs. With the given probability the step starts sub-agents instead:
//! each branches from the parent's context up to its task, runs its own short loop beside the
//! others, and the parent goes on when all of them have answered, their last outputs standing in
//! its context in place of a tool result. Sub-agents start none themselves.

use super::{AgenticSpec, Generator, Pen, Texts, with_room};
use crate::prompt::Segment;
use crate::rng::Rng;
use crate::units::Nanos;
use crate::workload::{Turn, When};
use rand::RngExt;
use smallvec::{SmallVec, smallvec};

pub(super) struct Agentic {
    pub(super) spec: AgenticSpec,
    pub(super) texts: Texts,
}

impl Generator for Agentic {
    fn turns(&self, number: u64) -> Vec<Turn> {
        let spec = &self.spec;
        let which = self.texts.popular(number, spec.agents, spec.zipf);
        let mut pen = self.texts.session(number);
        let task = pen.text(&spec.task);
        let mut run = Run {
            spec,
            branch: vec![self.texts.shared(which, &spec.prefix), task],
            pen,
            turns: Vec::new(),
        };
        run.parent();
        run.turns
    }
}

/// One agent at work.
struct Run<'a> {
    spec: &'a AgenticSpec,
    /// Where sub-agents branch off: the agent's prefix and the task.
    branch: Vec<Segment>,
    pen: Pen,
    turns: Vec<Turn>,
}

impl Run<'_> {
    fn parent(&mut self) {
        let mut context = self.branch.clone();
        let steps = self.pen.count(&self.spec.steps);
        let mut when = When::Offset(Nanos::ZERO);
        for left in (0..steps).rev() {
            let place = self.step(when, &mut context);
            if left == 0 {
                break;
            }
            let waits_for = if chance(self.spec.sub_agent_probability, &mut self.pen.rng) {
                self.sub_agents(place, &mut context)
            } else {
                context.push(self.pen.text(&self.spec.tool_result));
                smallvec![place]
            };
            when = When::After(waits_for, self.pen.time(&self.spec.tool_time));
        }
    }

    /// One request with `context` as its prompt; the output joins the context. Its place.
    fn step(&mut self, when: When, context: &mut Vec<Segment>) -> u32 {
        let output = self.pen.text(&self.spec.output);
        self.turns.push(Turn { when, prompt: with_room(context), output: smallvec![output] });
        context.push(output);
        self.turns.len() as u32 - 1
    }

    /// Sub-agents started by step `parent`; their answers join `context`. Places of their last steps.
    fn sub_agents(&mut self, parent: u32, context: &mut Vec<Segment>) -> SmallVec<[u32; 4]> {
        let count = self.pen.count(&self.spec.sub_agents);
        (0..count).map(|_| self.sub_agent(parent, context)).collect()
    }

    fn sub_agent(&mut self, parent: u32, answers: &mut Vec<Segment>) -> u32 {
        let mut context = self.branch.clone();
        context.push(self.pen.text(&self.spec.sub_task));
        let steps = self.pen.count(&self.spec.sub_agent_steps);
        let mut place = self.step(When::After(smallvec![parent], Nanos::ZERO), &mut context);
        for _ in 1..steps {
            context.push(self.pen.text(&self.spec.tool_result));
            let pause = self.pen.time(&self.spec.tool_time);
            place = self.step(When::After(smallvec![place], pause), &mut context);
        }
        answers.extend(context.last());
        place
    }
}

fn chance(probability: f64, rng: &mut Rng) -> bool {
    rng.random::<f64>() < probability
}
