//! Traces with one request a line, each with a time of its own: order, origin of time, window.

use super::records::{Fault, Records};
use crate::error::{Error, Result};
use crate::prompt::Segment;
use crate::units::Nanos;
use smallvec::SmallVec;
use std::path::Path;
use std::vec::IntoIter;

/// The chat that a request belongs to, where the trace says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chat {
    /// Its own number.
    pub(super) id: i64,
    /// The chat it continues; negative for none.
    pub(super) parent: i64,
}

/// One request as its line states it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// As written in the file, if it is; from [`Rows::next`], since the first arrival.
    pub(super) at: Option<Nanos>,
    pub(super) prompt: Vec<Segment>,
    pub(super) output: SmallVec<[Segment; 1]>,
    pub(super) chat: Option<Chat>,
}

/// What a line turned out to be.
pub(super) enum Parsed {
    Row(Row),
    /// A request that failed when it was recorded: it has no output.
    Failed,
    Header,
}

/// A format with one request a line.
pub(super) trait RowFormat: Send {
    /// Reads line `number` (from 1).
    fn parse(&mut self, text: &[u8], number: u64) -> std::result::Result<Parsed, Fault>;
}

/// The requests of such a trace within the window, in order of time, counted from the first.
pub(super) struct Rows {
    format: Box<dyn RowFormat>,
    sort: bool,
    sorted: Option<IntoIter<Row>>,
    start: Nanos,
    /// Requests that may still follow.
    left: u64,
    /// Time in the file of the first request, and of the first within the window.
    first: Option<Nanos>,
    origin: Option<Nanos>,
    latest: (Nanos, u64),
    pub(super) failed: u64,
}

impl Rows {
    pub(super) fn new(
        format: Box<dyn RowFormat>,
        sort: bool,
        start: Option<Nanos>,
        limit: u64,
    ) -> Rows {
        Rows {
            format,
            sort,
            sorted: None,
            start: start.unwrap_or(Nanos::ZERO),
            left: limit,
            first: None,
            origin: None,
            latest: (Nanos::ZERO, 0),
            failed: 0,
        }
    }

    /// The next request within the window.
    pub(super) fn next(&mut self, records: &mut Records) -> Result<Option<Row>> {
        if self.left == 0 {
            return Ok(None);
        }
        while let Some(mut row) = self.next_in_order(records)? {
            let Some(at) = row.at else {
                return self.untimed(row, records).map(Some);
            };
            let first = *self.first.get_or_insert(at);
            if at - first >= self.start {
                self.left -= 1;
                row.at = Some(at - *self.origin.get_or_insert(at));
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// A request without a time: it lies within any window that time does not bound.
    fn untimed(&mut self, row: Row, records: &Records) -> Result<Row> {
        if self.start > Nanos::ZERO {
            return Err(no_times(records.path()));
        }
        self.left -= 1;
        Ok(row)
    }

    fn next_in_order(&mut self, records: &mut Records) -> Result<Option<Row>> {
        if !self.sort {
            let row = self.next_in_file(records)?;
            if let Some(at) = row.as_ref().and_then(|row| row.at) {
                self.check_order(at, records)?;
            }
            return Ok(row);
        }
        if self.sorted.is_none() {
            let mut rows = Vec::new();
            while let Some(row) = self.next_in_file(records)? {
                rows.push(row);
            }
            rows.sort_by_key(|row| row.at);
            self.sorted = Some(rows.into_iter());
        }
        Ok(self.sorted.as_mut().and_then(Iterator::next))
    }

    fn next_in_file(&mut self, records: &mut Records) -> Result<Option<Row>> {
        loop {
            match records.next(|text, line| self.format.parse(text, line))? {
                Some(Parsed::Row(row)) => return Ok(Some(row)),
                Some(Parsed::Failed) => self.failed += 1,
                Some(Parsed::Header) => {}
                None => return Ok(None),
            }
        }
    }

    fn check_order(&mut self, at: Nanos, records: &Records) -> Result<()> {
        let (latest, line) = self.latest;
        if at < latest {
            return Err(Error::input(format!(
                "{}, line {}: the timestamp goes back by {}, behind that of line {line}; \
                 have the requests sorted by time with --sort-arrivals",
                records.path().display(),
                records.line(),
                latest - at
            )));
        }
        self.latest = (at, records.line());
        Ok(())
    }
}

/// The refusal of a window that begins at a time, for a trace without times.
pub(super) fn no_times(path: &Path) -> Error {
    Error::input(format!(
        "{}: --start needs arrival times, and this trace does not record when its requests or \
         conversations began; use --limit",
        path.display()
    ))
}
