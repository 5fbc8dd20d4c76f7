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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Segment;
    use smallvec::SmallVec;

    struct Fixed(std::vec::IntoIter<Session>);

    impl SessionStream for Fixed {
        fn next_session(&mut self) -> Result<Option<Session>> {
            Ok(self.0.next())
        }
    }

    /// A session whose turns are sent at `start + offsets`; contents tell (session, turn).
    fn session(id: u64, start: Option<u64>, offsets: &[u64]) -> Session {
        let turn = |(place, offset): (usize, &u64)| Turn {
            when: When::Offset(Nanos(*offset)),
            prompt: vec![Segment { content: 10 * id + place as u64, tokens: 1 }],
            output: SmallVec::new(),
        };
        Session {
            id,
            start: start.map(Nanos),
            turns: offsets.iter().enumerate().map(turn).collect(),
        }
    }

    fn merged(sessions: Vec<Session>) -> Vec<(Option<u64>, u64)> {
        let mut stream = Fixed(sessions.into_iter());
        let mut merged = Merged::new(&mut stream);
        let next = || merged.next().unwrap();
        std::iter::from_fn(next)
            .map(|(at, turn)| (at.map(|at| at.0), turn.prompt[0].content))
            .collect()
    }

    #[test]
    fn turns_of_sessions_that_overlap_come_in_order_of_time() {
        let sessions = vec![
            session(0, Some(0), &[0, 50, 100]),
            session(1, Some(10), &[0, 40]),
            session(2, Some(50), &[0]),
        ];
        let expected = [(0, 0), (10, 10), (50, 1), (50, 11), (50, 20), (100, 2)];
        assert_eq!(merged(sessions), expected.map(|(at, content)| (Some(at), content)));
    }

    #[test]
    fn sessions_without_a_start_come_one_after_the_other() {
        let sessions = vec![session(0, None, &[0, 50]), session(1, None, &[0])];
        assert_eq!(merged(sessions), [(None, 0), (None, 1), (None, 10)]);
    }
}
