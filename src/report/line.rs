//! A line of a CSV file, made by hand: a run writes a million of them, and times must be exact.

use crate::units::Nanos;
use std::io::{self, Write};

/// A line in the making. Each begins with the run: router and seed.
#[derive(Clone, Debug)]
pub(super) struct Line {
    run: Vec<u8>,
    line: Vec<u8>,
}

impl Line {
    /// For the run of `router` with `seed`.
    pub(super) fn new(router: &str, seed: u64) -> Line {
        let mut run = quoted(router).into_bytes();
        run.push(b',');
        push_number(&mut run, seed);
        Line { run, line: Vec::with_capacity(256) }
    }

    /// Starts a line.
    pub(super) fn begin(&mut self) {
        self.line.clear();
        self.line.extend_from_slice(&self.run);
    }

    /// Ends and writes it.
    pub(super) fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.line.push(b'\n');
        out.write_all(&self.line)
    }

    /// A whole number.
    pub(super) fn number(&mut self, value: u64) {
        self.optional(Some(value));
    }

    /// A whole number, or nothing.
    pub(super) fn optional(&mut self, value: Option<u64>) {
        self.line.push(b',');
        if let Some(value) = value {
            push_number(&mut self.line, value);
        }
    }

    /// Milliseconds with six decimals from whole nanoseconds, or nothing.
    pub(super) fn time(&mut self, nanos: Option<u64>) {
        self.line.push(b',');
        if let Some(nanos) = nanos {
            push_number(&mut self.line, nanos / 1_000_000);
            self.line.push(b'.');
            push_digits(&mut self.line, nanos % 1_000_000, 6);
        }
    }

    /// The same for a span.
    pub(super) fn span(&mut self, span: Option<Nanos>) {
        self.time(span.map(|span| span.0));
    }

    /// Six decimals, or nothing.
    pub(super) fn fraction(&mut self, value: Option<f64>) {
        self.line.push(b',');
        if let Some(value) = value {
            // A vector takes whatever is written to it.
            let _ = write!(self.line, "{value:.6}");
        }
    }

    /// A text that needs no quotes.
    pub(super) fn text(&mut self, text: &str) {
        self.line.push(b',');
        self.line.extend_from_slice(text.as_bytes());
    }

    /// So many fields without a value.
    #[cfg(feature = "live")]
    pub(super) fn blank(&mut self, fields: usize) {
        self.line.resize(self.line.len() + fields, b',');
    }
}

fn push_number(line: &mut Vec<u8>, value: u64) {
    push_digits(line, value, value.checked_ilog10().unwrap_or(0) as usize + 1);
}

fn push_digits(line: &mut Vec<u8>, mut value: u64, width: usize) {
    let start = line.len();
    line.resize(start + width, b'0');
    for digit in line[start..].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// A text as a CSV field.
pub(super) fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}
