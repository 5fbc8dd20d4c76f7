//! Records of a trace: lines, or the elements of a JSON array, each held in one bounded buffer.
//!
//! A record over [`MAX_RECORD`] is refused as soon as it is known to be one; what follows of it is
//! never kept. Bad records are refused with their line, or counted where the user asked for that.

use super::input::Input;
use crate::error::{Error, Result};
use serde::Serialize;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

/// Longest record that is read, bytes.
pub(super) const MAX_RECORD: usize = 64 << 20;

/// Characters of the user's data that a message repeats at most.
const ECHO: usize = 80;

/// Bad records that were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// How many.
    pub lines: u64,
    /// What was wrong with the first: file, line, column or key.
    pub first: Option<String>,
}

/// What is wrong with a record.
#[derive(Debug)]
pub(super) struct Fault {
    /// Lines from the start of the record to the fault.
    line: u64,
    /// Sentence fragment: key or column, then what is wrong.
    what: String,
    /// Leaving out this record alone would not help.
    fatal: bool,
}

impl From<String> for Fault {
    fn from(what: String) -> Fault {
        Fault { line: 0, what, fatal: false }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(why: serde_json::Error) -> Fault {
        let message = why.to_string();
        let message = message.rsplit_once(" at line ").map_or(&*message, |m| m.0);
        Fault {
            line: (why.line() as u64).saturating_sub(1),
            what: format!("column {}: {}", why.column(), echo(message)),
            fatal: false,
        }
    }
}

impl Fault {
    /// A fault of the file as a whole.
    pub(super) fn fatal(what: String) -> Fault {
        Fault { line: 0, what, fatal: true }
    }
}

/// Text of the user's in a message: short, and without anything that would break the line.
pub(super) fn echo(text: &str) -> String {
    let mut short: String = text.chars().take(ECHO).collect();
    if short.len() < text.len() {
        short = text.chars().take(ECHO - 3).collect::<String>() + "...";
    }
    short.replace(|c: char| c.is_control(), " ")
}

/// How a file is cut into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// At line ends.
    Lines,
    /// Into the objects of a JSON array, or objects one after the other.
    Objects,
}

#[derive(Debug, PartialEq, Eq)]
enum Read {
    End,
    Record,
    TooLong,
    /// The file ends within a record or before the array is closed.
    Unfinished,
    /// Something that is no object stands where one should begin.
    NoObject,
}

/// Where a scan over JSON objects stands.
#[derive(Debug, Default)]
struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
    in_array: bool,
}

impl Scan {
    /// Takes one byte of an object; true when the object is complete.
    fn step(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.depth == 0
    }
}

/// The records of one file, in order.
pub(super) struct Records {
    path: PathBuf,
    input: Input,
    cut: Cut,
    scan: Scan,
    buffer: Vec<u8>,
    /// Line on which the present record begins, from 1.
    line: u64,
    /// Line that is read next.
    next_line: u64,
    /// The reader stands within a record that was too long to keep.
    within: bool,
    skip_bad: bool,
    skipped: Skipped,
}

impl Records {
    pub(super) fn new(path: &Path, input: Input, cut: Cut, skip_bad: bool) -> Records {
        Records {
            path: path.into(),
            input,
            cut,
            scan: Scan::default(),
            buffer: Vec::new(),
            line: 0,
            next_line: 1,
            within: false,
            skip_bad,
            skipped: Skipped::default(),
        }
    }

    /// Line of the record last read, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Reads what is left and returns the SHA-256 of the file, if it was asked for.
    pub(super) fn finish(self) -> Result<Option<String>> {
        let path = self.path;
        self.input.finish().map_err(|why| Error::unreadable(&path, why))
    }

    /// The next record that `parse` accepts; it is given the bytes and the line.
    pub(super) fn next<T>(
        &mut self,
        mut parse: impl FnMut(&[u8], u64) -> std::result::Result<T, Fault>,
    ) -> Result<Option<T>> {
        loop {
            self.buffer.clear();
            let fault = match self.read(true).map_err(|why| self.broken(&why))? {
                Read::End => return Ok(None),
                Read::Record if self.buffer.trim_ascii().is_empty() => continue,
                Read::Record => match parse(&self.buffer, self.line) {
                    Ok(record) => return Ok(Some(record)),
                    Err(fault) => fault,
                },
                Read::TooLong => too_long(),
                Read::Unfinished => unfinished(),
                Read::NoObject => Fault::fatal(
                    "a conversation { ... } or the end of the array ] must stand here".into(),
                ),
            };
            self.refuse_or_count(fault)?;
        }
    }

    fn refuse_or_count(&mut self, fault: Fault) -> Result<()> {
        let place = format!("{}, line {}", self.path.display(), self.line + fault.line);
        let joint = if fault.what.starts_with("column ") { ", " } else { ": " };
        let message = format!("{place}{joint}{}", fault.what);
        if fault.fatal {
            return Err(Error::input(message));
        }
        if !self.skip_bad {
            return Err(Error::input(format!(
                "{message}; correct it, or leave such lines out with --skip-bad-lines"
            )));
        }
        self.skipped.lines += 1;
        self.skipped.first.get_or_insert(message);
        if self.within {
            self.buffer = Vec::new();
            self.read(false).map_err(|why| self.broken(&why))?;
            self.within = false;
        }
        Ok(())
    }

    fn broken(&self, why: &io::Error) -> Error {
        Error::input(format!(
            "{}, line {}: cannot be read on ({why}); the file seems damaged or cut short, fetch it again",
            self.path.display(),
            self.next_line
        ))
    }

    /// Reads one record into the buffer; without `keep`, passes over the rest of the present one.
    fn read(&mut self, keep: bool) -> io::Result<Read> {
        match self.cut {
            Cut::Lines => self.read_line(keep),
            Cut::Objects => self.read_object(keep),
        }
    }

    fn read_line(&mut self, keep: bool) -> io::Result<Read> {
        self.line = self.next_line;
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                let end = self.buffer.is_empty();
                return Ok(if end { Read::End } else { Read::Record });
            }
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let used = newline.unwrap_or(chunk.len());
            if keep {
                self.buffer.extend_from_slice(&chunk[..used]);
            }
            self.input.consume(newline.map_or(used, |at| at + 1));
            self.next_line += u64::from(newline.is_some());
            if let Some(read) = self.bounded(newline.is_some()) {
                return Ok(read);
            }
        }
    }

    /// What has been read, if that is decided: the record is complete, or longer than allowed.
    fn bounded(&mut self, complete: bool) -> Option<Read> {
        if self.buffer.len() > MAX_RECORD {
            self.within = !complete;
            return Some(Read::TooLong);
        }
        complete.then_some(Read::Record)
    }

    fn read_object(&mut self, keep: bool) -> io::Result<Read> {
        if keep && !self.find_object()? {
            return self.after_last_object();
        }
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                self.scan = Scan::default();
                return Ok(Read::Unfinished);
            }
            let scan = &mut self.scan;
            let end = chunk.iter().position(|byte| scan.step(*byte));
            let used = end.map_or(chunk.len(), |at| at + 1);
            self.next_line += newlines(&chunk[..used]);
            if keep {
                self.buffer.extend_from_slice(&chunk[..used]);
            }
            self.input.consume(used);
            if let Some(read) = self.bounded(end.is_some()) {
                return Ok(read);
            }
        }
    }

    /// Moves to the next `{`; false where something else or nothing comes.
    fn find_object(&mut self) -> io::Result<bool> {
        loop {
            let Some(byte) = self.input.fill_buf()?.first().copied() else {
                return Ok(false);
            };
            self.line = self.next_line;
            match byte {
                b'{' => return Ok(true),
                b'[' if !self.scan.in_array => self.scan.in_array = true,
                b'\n' => self.next_line += 1,
                b' ' | b'\t' | b'\r' | b',' => {}
                _ => return Ok(false),
            }
            self.input.consume(1);
        }
    }

    fn after_last_object(&mut self) -> io::Result<Read> {
        let rest = self.input.fill_buf()?;
        Ok(match rest.first() {
            None if self.scan.in_array => {
                self.scan.in_array = false;
                Read::Unfinished
            }
            None => Read::End,
            Some(b']') if self.scan.in_array => Read::End,
            Some(_) => Read::NoObject,
        })
    }
}

fn newlines(chunk: &[u8]) -> u64 {
    chunk.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn too_long() -> Fault {
    Fault::from(format!(
        "it is longer than {} MiB, which no request of a trace is",
        MAX_RECORD >> 20
    ))
}

fn unfinished() -> Fault {
    Fault::from("the file ends within a conversation or before the closing ]".to_string())
}
