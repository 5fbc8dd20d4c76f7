//! The requests of a trace in order of arrival, whatever session they belong to.

use crate::error::Result;
use crate::units::Nanos;
use crate::workload::{Session, SessionStream, Turn, When};
use std::collections::BTreeMap;

/// Takes sessions apart. Sessions whose start is not recorded come one after the other.
pub(super) struct Merged<'a, S: SessionStream> {
    sessions: &'a mut S,
    /// By arrival, session, turn.
    waiting: BTreeMap<(Nanos, u64, usize), Turn>,
    /// No later session starts before this.
    reached: Nanos,
    ended: bool,
}

impl<'a, S: SessionStream> Merged<'a, S> {
    pub(super) fn new(sessions: &'a mut S) -> Self {
        Merged { sessions, waiting: BTreeMap::new(), reached: Nanos::ZERO, ended: false }
    }

    /// The next request and, where it is recorded, when it arrives.
    pub(super) fn next(&mut self) -> Result<Option<(Option<Nanos>, Turn)>> {
        while !self.ended && !self.first_is_due() {
            match self.sessions.next_session()? {
                Some(session) => self.spread(session),
                None => self.ended = true,
            }
        }
        let first = self.waiting.pop_first();
        Ok(first.map(|((at, _, _), turn)| ((at != UNKNOWN).then_some(at), turn)))
    }

    fn first_is_due(&self) -> bool {
        let first = self.waiting.first_key_value();
        first.is_some_and(|((at, ..), _)| *at <= self.reached || *at == UNKNOWN)
    }

    fn spread(&mut self, session: Session) {
        self.reached = session.start.unwrap_or(self.reached);
        for (place, turn) in session.turns.into_iter().enumerate() {
            let at = match (session.start, &turn.when) {
                (Some(start), When::Offset(offset)) => start + *offset,
                _ => UNKNOWN,
            };
            self.waiting.insert((at, session.id, place), turn);
        }
    }
}

/// Stands for an arrival that is not recorded.
const UNKNOWN: Nanos = Nanos(u64::MAX);
