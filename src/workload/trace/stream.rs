//! A trace as a [`SessionStream`], and the one pass that says whether it can be used.

use super::azure::Azure;
use super::bailian::{self, Bailian};
use super::burstgpt::BurstGpt;
use super::detect::detect;
use super::input::Input;
use super::mooncake::Mooncake;
use super::records::{Cut, Fault, Records, Skipped};
use super::rows::{Row, RowFormat, Rows, no_times};
use super::tokens::Tokens;
use super::{native_block_tokens, sharegpt, weka};
use crate::error::{Error, Result};
use crate::scenario::{TraceFormat, WorkloadSpec};
use crate::units::Nanos;
use crate::workload::{Session, SessionStream, Turn, When};
use serde::Serialize;
use std::path::Path;
use std::vec::IntoIter;

/// What one pass over a trace found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceFacts {
    /// SHA-256 of the file's bytes, hex.
    pub sha256: String,
    /// Its format, given or detected.
    pub format: TraceFormat,
    /// Tokens in a block of the trace's own hashes; `None` where it has none.
    pub native_block_tokens: Option<u32>,
    /// Requests within the window.
    pub requests: u64,
    /// Sessions within the window.
    pub sessions: u64,
    /// Bad lines that were left out.
    pub skipped: Skipped,
    /// Requests recorded as failed, without output (conversations without an answer): left out.
    pub failed_rows: u64,
}

type Conversation = fn(&[u8], u64) -> std::result::Result<Vec<Turn>, Fault>;

/// How the records of a format become sessions.
enum Body {
    /// Every row is a session of its own.
    Rows(Rows),
    /// Rows that belong to chats; the sessions are known when all have been read.
    Chats(Rows, Option<IntoIter<Session>>),
    /// Every record is a conversation.
    Conversations(Conversation),
}

/// The sessions of a trace within the window of the workload, read as they are asked for.
pub struct TraceStream {
    format: TraceFormat,
    records: Records,
    body: Body,
    limit: u64,
    sessions: u64,
    requests: u64,
    without_answer: u64,
}

/// Opens the trace that `spec` names.
///
/// # Errors
/// Where the file cannot be read, is empty, or its format cannot be told.
pub fn open(spec: &WorkloadSpec) -> Result<TraceStream> {
    let path = path_of(spec)?;
    let input = Input::open(path, false).map_err(|why| Error::unreadable(path, why))?;
    TraceStream::new(spec, path, input)
}

/// Reads the trace that `spec` names once, and checks all of it that lies within the window.
///
/// # Errors
/// Whatever is wrong with it, as a sentence with file, line, column or key, and cure; also where its
/// SHA-256 is not the one in `spec`.
pub fn scan(spec: &WorkloadSpec) -> Result<TraceFacts> {
    let mut stream = open_hashed(spec)?;
    while stream.next_session()?.is_some() {}
    stream.finish(spec)
}

/// Like [`open`], and ready for [`TraceStream::finish`].
///
/// # Errors
/// As for [`open`].
pub fn open_hashed(spec: &WorkloadSpec) -> Result<TraceStream> {
    let path = path_of(spec)?;
    let input = Input::open(path, true).map_err(|why| Error::unreadable(path, why))?;
    TraceStream::new(spec, path, input)
}

fn path_of(spec: &WorkloadSpec) -> Result<&Path> {
    spec.trace.as_deref().ok_or_else(|| Error::input("workload.trace names no file"))
}

impl TraceStream {
    pub(super) fn new(spec: &WorkloadSpec, path: &Path, input: Input) -> Result<TraceStream> {
        let format = match spec.trace_format {
            Some(format) => format,
            None => detect(path, input.head())?,
        };
        let limit = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        let limit = limit(spec.limit).min(limit(spec.requests));
        let rows =
            |format: Box<dyn RowFormat>| Rows::new(format, spec.sort_arrivals, spec.start, limit);
        let body = match format {
            TraceFormat::Mooncake => Body::Rows(rows(Box::new(Mooncake))),
            TraceFormat::Azure => Body::Rows(rows(Box::<Azure>::default())),
            TraceFormat::Burstgpt => Body::Rows(rows(Box::<BurstGpt>::default())),
            TraceFormat::Tokens => Body::Rows(rows(Box::<Tokens>::default())),
            TraceFormat::Bailian => Body::Chats(rows(Box::new(Bailian)), None),
            TraceFormat::Weka => Body::Conversations(weka::parse),
            TraceFormat::Sharegpt => Body::Conversations(sharegpt::parse),
        };
        if matches!(body, Body::Conversations(_)) && spec.start.is_some_and(|at| at > Nanos::ZERO) {
            return Err(no_times(path));
        }
        let cut = if format == TraceFormat::Sharegpt { Cut::Objects } else { Cut::Lines };
        Ok(TraceStream {
            format,
            records: Records::new(path, input, cut, spec.skip_bad_lines),
            body,
            limit,
            sessions: 0,
            requests: 0,
            without_answer: 0,
        })
    }

    /// Its format, given or detected.
    pub fn format(&self) -> TraceFormat {
        self.format
    }

    /// Bad lines left out so far.
    pub fn skipped(&self) -> &Skipped {
        self.records.skipped()
    }

    /// What was found, once all sessions have been read; the rest of the file is only hashed.
    ///
    /// # Errors
    /// Where the rest cannot be read, or the SHA-256 is not the one in `spec`.
    pub fn finish(self, spec: &WorkloadSpec) -> Result<TraceFacts> {
        let path = self.records.path().to_path_buf();
        let failed_rows = self.failed_rows();
        let skipped = self.records.skipped().clone();
        let sha256 = self.records.finish()?.unwrap_or_default();
        check_hash(&path, &sha256, spec.trace_sha256.as_deref())?;
        Ok(TraceFacts {
            sha256,
            format: self.format,
            native_block_tokens: native_block_tokens(self.format),
            requests: self.requests,
            sessions: self.sessions,
            skipped,
            failed_rows,
        })
    }

    fn failed_rows(&self) -> u64 {
        match &self.body {
            Body::Rows(rows) | Body::Chats(rows, _) => rows.failed,
            Body::Conversations(_) => self.without_answer,
        }
    }

    fn read_session(&mut self) -> Result<Option<Session>> {
        let records = &mut self.records;
        match &mut self.body {
            Body::Rows(rows) => {
                let id = self.sessions;
                Ok(rows.next(records)?.map(|row| single(id, row)))
            }
            Body::Chats(rows, sessions) => {
                if sessions.is_none() {
                    *sessions = Some(bailian::sessions(rows, records)?);
                }
                Ok(sessions.as_mut().and_then(Iterator::next))
            }
            Body::Conversations(parse) => {
                let parse = *parse;
                self.conversation(parse)
            }
        }
    }

    /// The next conversation in which something is asked, cut to what the limit leaves.
    fn conversation(&mut self, parse: Conversation) -> Result<Option<Session>> {
        let left = usize::try_from(self.limit - self.requests).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        while let Some(mut turns) = self.records.next(parse)? {
            if !turns.is_empty() {
                turns.truncate(left);
                return Ok(Some(Session { id: self.sessions, start: None, turns }));
            }
            self.without_answer += 1;
        }
        Ok(None)
    }

    fn nothing_left(&self) -> Error {
        let file = self.records.path().display();
        let skipped = self.skipped();
        let mut why = String::new();
        if self.failed_rows() > 0 {
            why += &format!(", {} failed", self.failed_rows());
        }
        if let Some(first) = &skipped.first {
            why += &format!(", {} bad lines left out, the first: {first}", skipped.lines);
        }
        Error::input(format!(
            "{file} holds no request that can be replayed{why}; use another file, or widen --start"
        ))
    }
}

impl SessionStream for TraceStream {
    fn next_session(&mut self) -> Result<Option<Session>> {
        let session = self.read_session()?;
        match &session {
            Some(session) => {
                self.sessions += 1;
                self.requests += session.turns.len() as u64;
            }
            None if self.requests == 0 => return Err(self.nothing_left()),
            None => {}
        }
        Ok(session)
    }
}

fn single(id: u64, row: Row) -> Session {
    Session {
        id,
        start: row.at,
        turns: vec![Turn {
            when: When::Offset(Nanos::ZERO),
            prompt: row.prompt,
            output: row.output,
        }],
    }
}

fn check_hash(path: &Path, found: &str, expected: Option<&str>) -> Result<()> {
    match expected {
        Some(expected) if !expected.eq_ignore_ascii_case(found) => Err(Error::input(format!(
            "{} is not the file that the scenario was made with: its SHA-256 is {found}, \
             workload.trace_sha256 is {}; use the original file, or remove that key",
            path.display(),
            super::records::echo(expected)
        ))),
        _ => Ok(()),
    }
}
