//! In which order a publisher's messages are to be believed.
//!
//! A publisher numbers its messages from 0. On one connection numbers only rise; they fall where
//! another process has taken its place, and skip where messages were dropped. Replayed messages may
//! come once more on the connection, because both were under way at the same time.

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next message.
    Next,
    /// It was delivered before.
    Duplicate,
    /// This many are missing before it.
    Gap(u64),
    /// Another process is talking.
    Restarted,
}

/// What was delivered of one publisher.
#[derive(Default)]
pub(super) struct Sequence {
    /// The last message: its number, and a fingerprint of it.
    last: Option<(u64, u64)>,
    /// Number of the last that came live on this connection.
    live: Option<u64>,
    /// Number of the last that was replayed on this connection.
    replayed: Option<u64>,
}

impl Sequence {
    /// Number and fingerprint of the last message.
    pub fn last(&self) -> Option<(u64, u64)> {
        self.last
    }

    /// Number of the next message.
    pub fn next(&self) -> u64 {
        self.last.map_or(0, |(number, _)| number.saturating_add(1))
    }

    /// A new connection.
    pub fn connected(&mut self) {
        (self.live, self.replayed) = (None, None);
    }

    /// Another process is talking.
    pub fn restarted(&mut self) {
        *self = Sequence::default();
    }

    /// What to make of message `number`, come live.
    pub fn judge(&self, number: u64) -> Verdict {
        let next = self.next();
        if number >= next {
            return if number == next { Verdict::Next } else { Verdict::Gap(number - next) };
        }
        let fell = self.live.is_some_and(|live| number <= live);
        let covered = self.replayed.is_some_and(|replayed| number <= replayed);
        if covered && !fell { Verdict::Duplicate } else { Verdict::Restarted }
    }

    /// Message `number` came live, whatever becomes of it.
    pub fn came_live(&mut self, number: u64) {
        self.live = Some(number);
    }

    /// Message `number` was delivered.
    pub fn delivered(&mut self, number: u64, fingerprint: u64, replayed: bool) {
        self.last = Some((number, fingerprint));
        if replayed {
            self.replayed = Some(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(live: &[u64]) -> Sequence {
        let mut sequence = Sequence::default();
        for number in live {
            sequence.came_live(*number);
            sequence.delivered(*number, 0, false);
        }
        sequence
    }

    #[test]
    fn numbers_that_follow_each_other_are_the_next() {
        assert_eq!(Sequence::default().judge(0), Verdict::Next);
        assert_eq!(after(&[0, 1]).judge(2), Verdict::Next);
    }

    #[test]
    fn numbers_that_are_skipped_are_a_gap() {
        assert_eq!(Sequence::default().judge(5), Verdict::Gap(5));
        assert_eq!(after(&[0, 1]).judge(4), Verdict::Gap(2));
        assert_eq!(after(&[0]).judge(u64::MAX), Verdict::Gap(u64::MAX - 1));
    }

    #[test]
    fn numbers_that_fall_on_a_connection_are_a_restart() {
        assert_eq!(after(&[0, 1, 2]).judge(0), Verdict::Restarted);
        assert_eq!(after(&[0, 1, 2]).judge(2), Verdict::Restarted);
    }

    #[test]
    fn lower_numbers_on_a_new_connection_are_a_restart() {
        let mut sequence = after(&[0, 1, 2]);
        sequence.connected();
        assert_eq!(sequence.judge(0), Verdict::Restarted);
        assert_eq!(sequence.judge(3), Verdict::Next);
    }

    #[test]
    fn what_was_replayed_may_come_live_once_and_no_more() {
        let mut sequence = after(&[0]);
        sequence.delivered(1, 0, true);
        sequence.delivered(2, 0, true);
        assert_eq!(sequence.judge(1), Verdict::Duplicate);
        sequence.came_live(1);
        assert_eq!(sequence.judge(2), Verdict::Duplicate);
        assert_eq!(sequence.judge(1), Verdict::Restarted);
        sequence.came_live(2);
        assert_eq!(sequence.judge(3), Verdict::Next);
    }
}
