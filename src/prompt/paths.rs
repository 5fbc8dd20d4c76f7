//! Prompts as few long runs.
//!
//! Traces name their content in small pieces, and [`super::block_runs`] gives each a run of its own;
//! but pieces that came after each other once mostly do so again. [`Paths`] remembers the way of every
//! prompt: where a prompt leaves all known ways, the rest of it becomes a new *path*, one run under the
//! name of its own, and whoever goes there again walks along it by comparing keys. A block gets
//! the same name (path, index) whenever its whole prefix is the same, and only then: paths never change,
//! so the same prefix is always split at the same places.
//!
//! Paths are numbered through, so that what is kept for runs needs no hashing ([`super::RunMap`]).

use super::{BlockRun, mix};
use crate::ahead::fetch_at;
use crate::flat_map::FlatMap;

/// Third word of the key of what a run has beyond its step of a path.
const BEYOND: u64 = u64::from_le_bytes(*b"beyond\0\0");

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Paths {
    /// Paths, by the key of their first run.
    places: FlatMap<Place>,
    /// One path after the other: its head, then its runs.
    steps: Vec<Step>,
    /// The next path's number.
    next: u32,
}

/// A path.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The content of its blocks.
    number: u32,
    /// Where its head is.
    head: u32,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The path that was gone after this one last, most likely the next one too, and where the head of
    /// the one after that was; itself, if none.
    Head { then: Place, later: u32 },
    /// One run on a path, which ends where the next one's head is.
    Run { key: u64, blocks: u32 },
}

impl Paths {
    /// The same blocks as `runs`, each of which must begin at its block 0, as longer runs; none
    /// crosses the end of the first `prompt` of `runs`. With the number of runs that make up those.
    pub fn shorten(&mut self, runs: &[BlockRun], prompt: usize) -> (Vec<BlockRun>, usize) {
        let short = Vec::with_capacity(runs.len());
        let mut way = Way { short, at: 0, prompt, prompt_runs: 0 };
        // What is new mostly begins with the last runs of a prompt.
        let ends = &runs[..prompt.min(runs.len())];
        ends.iter().rev().take(2).for_each(|run| self.places.fetch(run.content));
        let (mut before, mut last) = (None, None);
        while way.at < runs.len() {
            let path = self.path(last, &runs[way.at..]);
            self.lead(before, path);
            before = last;
            let steps = &self.steps[path.head as usize + 1..];
            if let Some(left) = way.walk(path.number, steps, runs) {
                let beyond = self.beyond(left.key, left.passed);
                way.short.push(BlockRun { content: beyond.into(), first: 0, count: left.count });
            }
            last = Some(path);
        }
        if prompt >= runs.len() {
            way.prompt_runs = way.short.len();
        }
        (way.short, way.prompt_runs)
    }

    /// The path that begins as `runs` do, made where there is none; `last` was gone before it.
    fn path(&mut self, last: Option<Place>, runs: &[BlockRun]) -> Place {
        let first = runs[0].content;
        let Some(last) = last else { return self.known_or_new(first, runs) };
        if let Step::Head { then, .. } = self.steps[last.head as usize]
            && matches!(self.steps[then.head as usize + 1], Step::Run { key, .. } if key == first)
        {
            return then;
        }
        let then = self.known_or_new(first, runs);
        self.steps[last.head as usize] = Step::Head { then, later: then.head };
        then
    }

    /// Notes that `path` was gone two paths after `before`, and fetches the one that was two paths after
    /// itself (see `crate::ahead`): each leads only to the next.
    fn lead(&mut self, before: Option<Place>, path: Place) {
        if let Step::Head { later, .. } = self.steps[path.head as usize] {
            fetch_at(&self.steps, later as usize);
        }
        if let Some(before) = before
            && let Step::Head { later, .. } = &mut self.steps[before.head as usize]
            && *later != path.head
        {
            *later = path.head;
        }
    }

    fn known_or_new(&mut self, first: u64, runs: &[BlockRun]) -> Place {
        if let Some(place) = self.places.get(first) {
            return *place;
        }
        let place = self.number(first);
        self.steps.push(Step::Head { then: place, later: place.head });
        let run = |run: &BlockRun| Step::Run { key: run.content, blocks: run.count };
        self.steps.extend(runs.iter().map(run));
        place
    }

    /// The next number, for the path that begins with `key` and the next head.
    fn number(&mut self, key: u64) -> Place {
        let head = u32::try_from(self.steps.len()).expect("memory ends before numbers do");
        let place = Place { number: self.next, head };
        self.next += 1;
        self.places.insert(key, place);
        place
    }

    /// The number of what follows `passed` blocks of the run `key`, where the path ends and the run
    /// does not.
    fn beyond(&mut self, key: u64, passed: u32) -> u32 {
        let key = mix(&[key, u64::from(passed), BEYOND]);
        let known = self.places.get(key).copied();
        known.unwrap_or_else(|| self.number(key)).number
    }
}

/// A list of runs on its way along the paths.
struct Way {
    short: Vec<BlockRun>,
    /// The next of the runs.
    at: usize,
    prompt: usize,
    prompt_runs: usize,
}

/// What a run has beyond its step of a path.
struct Left {
    key: u64,
    passed: u32,
    count: u32,
}

impl Way {
    /// As far along path `number`, whose runs `steps` begins with, as it goes, at least one run.
    fn walk(&mut self, number: u32, steps: &[Step], runs: &[BlockRun]) -> Option<Left> {
        let content = u64::from(number);
        let (mut first, mut count) = (0, 0);
        for step in steps {
            let Step::Run { key, blocks } = *step else { break };
            let Some(run) = runs.get(self.at).filter(|run| run.content == key) else {
                break;
            };
            if self.at == self.prompt && count > 0 {
                self.short.push(BlockRun { content, first, count });
                (first, count) = (first + count, 0);
            }
            if self.at == self.prompt {
                self.prompt_runs = self.short.len();
            }
            self.at += 1;
            count += run.count.min(blocks);
            if run.count > blocks {
                self.short.push(BlockRun { content, first, count });
                return Some(Left { key, passed: blocks, count: run.count - blocks });
            }
            if run.count < blocks {
                break;
            }
        }
        self.short.push(BlockRun { content, first, count });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Segment, block_runs};
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn blocks(runs: &[BlockRun]) -> Vec<(u64, u32)> {
        let of = |run: &BlockRun| {
            let content = run.content;
            (run.first..run.end()).map(move |index| (content, index))
        };
        runs.iter().flat_map(of).collect()
    }

    fn some_segments() -> impl Strategy<Value = Vec<Segment>> {
        prop::collection::vec((0u64..3, 1u32..12), 1..7).prop_map(|list| {
            list.into_iter().map(|(content, tokens)| Segment { content, tokens }).collect()
        })
    }

    proptest! {
        #[test]
        fn blocks_have_one_name_each_however_prompts_come_and_go(
            prompts in prop::collection::vec((some_segments(), 0usize..8), 1..40),
            block in 1u32..5,
        ) {
            let mut paths = Paths::default();
            let mut names: HashMap<(u64, u32), (u64, u32)> = HashMap::new();
            let mut taken: HashMap<(u64, u32), (u64, u32)> = HashMap::new();
            for (segments, cut) in prompts {
                let runs = block_runs(&segments, block);
                let prompt = cut.min(runs.len());
                let (short, prompt_runs) = paths.shorten(&runs, prompt);
                let (plain, named) = (blocks(&runs), blocks(&short));
                prop_assert_eq!(plain.len(), named.len());
                for (block, name) in plain.iter().zip(&named) {
                    prop_assert_eq!(names.entry(*block).or_insert(*name), name);
                    prop_assert_eq!(taken.entry(*name).or_insert(*block), block);
                }
                prop_assert_eq!(blocks(&short[..prompt_runs]).len(), blocks(&runs[..prompt]).len());
                // A prompt's runs begin at their block 0; a later one goes on where one ended.
                prop_assert!(short[..prompt_runs].iter().all(|run| run.first == 0));
                for pair in short.windows(2) {
                    let goes_on = (pair[0].content, pair[0].end()) == (pair[1].content, pair[1].first);
                    prop_assert!(pair[1].first == 0 || goes_on);
                }
                prop_assert!(short.iter().all(|run| run.count > 0));
            }
        }
    }

    #[test]
    fn what_comes_again_is_one_run() {
        let segments = |ids: &[u64]| -> Vec<Segment> {
            ids.iter().map(|id| Segment { content: *id, tokens: 32 }).collect()
        };
        let mut paths = Paths::default();
        let mut short = |ids: &[u64], prompt| {
            let (runs, prompt) = paths.shorten(&block_runs(&segments(ids), 16), prompt);
            (runs.iter().map(|run| (run.first, run.count)).collect::<Vec<_>>(), prompt)
        };
        assert_eq!(short(&[1, 2, 3, 4], 3), (vec![(0, 6), (6, 2)], 1));
        assert_eq!(short(&[1, 2, 3, 4, 5, 6], 5), (vec![(0, 8), (0, 2), (2, 2)], 2));
        assert_eq!(short(&[1, 2, 7, 8], 4), (vec![(0, 4), (0, 4)], 2));
        assert_eq!(short(&[1, 2, 7, 8, 9], 1), (vec![(0, 2), (2, 2), (0, 4), (0, 2)], 1));
    }
}
