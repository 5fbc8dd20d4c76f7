//! Who must be asked before what is known of a run of blocks is believed: the workers that put
//! changes of it down late (`super::worker::lag`).

use super::worker::Sequence;
use crate::flat_map::FlatMap;
use crate::prompt::BlockRun;
use smallvec::SmallVec;

/// See the module's documentation.
#[derive(Default)]
pub struct Watch {
    by_run: FlatMap<SmallVec<[Watcher; 2]>>,
}

/// A worker on which blocks of a run come or go.
#[derive(Clone, Copy, PartialEq)]
pub struct Watcher {
    /// Which worker.
    pub worker: u32,
    /// No block before it does.
    pub from: u32,
}

impl Watch {
    /// From now on, blocks of `content` may come or go.
    pub fn add(&mut self, content: u64, watcher: Watcher) {
        self.by_run.get_or_insert_with(content, SmallVec::new).push(watcher);
    }

    /// See `crate::ahead`.
    pub fn fetch(&self, content: u64) {
        self.by_run.fetch(content);
    }

    /// They do no more.
    pub fn remove(&mut self, content: u64, watcher: Watcher) {
        self.remove_if(content, |other| *other == watcher);
    }

    /// A worker to be asked before `run` is looked up, once each.
    pub fn take(&mut self, run: &BlockRun) -> Option<u32> {
        let watcher = self.remove_if(run.content, |watcher| watcher.from < run.end())?;
        Some(watcher.worker)
    }

    /// From now on, `worker` may fill the blocks of a request's output late.
    pub fn output(&mut self, worker: u32, sequence: &Sequence) {
        for run in sequence.output() {
            self.add(run.content, Watcher { worker, from: run.first });
        }
    }

    /// It does no more.
    pub fn forget_output(&mut self, worker: u32, sequence: &Sequence) {
        for run in sequence.output() {
            self.remove(run.content, Watcher { worker, from: run.first });
        }
    }

    fn remove_if(&mut self, content: u64, is: impl Fn(&Watcher) -> bool) -> Option<Watcher> {
        let watchers = self.by_run.get_mut(content)?;
        let watcher = watchers.swap_remove(watchers.iter().position(is)?);
        if watchers.is_empty() {
            self.by_run.remove(content);
        }
        Some(watcher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_change_a_run_is_asked_once_before_blocks_that_may_change_are_looked_up() {
        let mut watch = Watch::default();
        let run = |count| BlockRun { content: 7, first: 0, count };
        watch.add(7, Watcher { worker: 1, from: 4 });
        watch.add(7, Watcher { worker: 2, from: 0 });
        watch.add(8, Watcher { worker: 3, from: 0 });
        assert_eq!(watch.take(&run(4)), Some(2));
        assert_eq!(watch.take(&run(4)), None, "blocks before the fourth stay as they are");
        assert_eq!(watch.take(&run(5)), Some(1));
        assert_eq!(watch.take(&run(5)), None);
        watch.remove(7, Watcher { worker: 1, from: 4 });
        watch.remove(8, Watcher { worker: 3, from: 0 });
        assert!(watch.by_run.get(7).is_none() && watch.by_run.get(8).is_none());
    }
}
