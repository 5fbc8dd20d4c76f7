//! Writing a workload as a Mooncake trace, for other simulators and for reading it back here.
//!
//! Prompts become hashes of 512-token blocks, numbered from 0 in order of first appearance, so what
//! they share is kept to a granularity of 512 tokens. Sessions become single requests at the times at
//! which they were sent.

use super::blocks::block_keys;
use crate::error::{Error, Result};
use crate::prompt::{Segment, total_tokens};
use crate::units::Nanos;
use crate::workload::Source;
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const BLOCK: u32 = 512;

/// A line, keys in the order of the published traces.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: u64,
    input_length: u64,
    output_length: u32,
    hash_ids: &'a [u64],
}

/// Writes a Mooncake trace to a temporary file beside `path`, which takes its place at the end;
/// what is not finished leaves nothing behind.
pub struct MooncakeWriter {
    path: PathBuf,
    part: PathBuf,
    out: Option<BufWriter<File>>,
    numbers: FxHashMap<u64, u64>,
    keys: Vec<u64>,
    rows: u64,
}

impl MooncakeWriter {
    /// Creates the temporary file, so that a bad path fails at once.
    ///
    /// # Errors
    /// Where it cannot be created.
    pub fn create(path: &Path) -> Result<MooncakeWriter> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.part", std::process::id()));
        let part = path.with_file_name(name);
        let file = File::create(&part).map_err(|why| Error::unwritable(path, why))?;
        Ok(MooncakeWriter {
            path: path.into(),
            part,
            out: Some(BufWriter::new(file)),
            numbers: FxHashMap::default(),
            keys: Vec::new(),
            rows: 0,
        })
    }

    /// Adds one request; requests come in order of arrival.
    ///
    /// # Errors
    /// Where the disk is full or gone.
    pub fn row(&mut self, arrival: Nanos, prompt: &[Segment], output_tokens: u32) -> Result<()> {
        block_keys(prompt, BLOCK, &mut self.keys);
        for key in &mut self.keys {
            let next = self.numbers.len() as u64;
            *key = *self.numbers.entry(*key).or_insert(next);
        }
        let line = Line {
            timestamp: (arrival.0 + 500_000) / 1_000_000,
            input_length: total_tokens(prompt),
            output_length: output_tokens,
            hash_ids: &self.keys,
        };
        self.rows += 1;
        let written = self.out.as_mut().map_or(Ok(()), |out| write_line(out, &line));
        written.map_err(|why| Error::unwritable(&self.path, why))
    }

    /// Puts the finished file in its place; returns how many requests it holds.
    ///
    /// # Errors
    /// Where the last bytes cannot be written or the file cannot be renamed.
    pub fn finish(mut self) -> Result<u64> {
        let flushed = self.out.take().map_or(Ok(()), |mut out| out.flush());
        let renamed = flushed.and_then(|()| fs::rename(&self.part, &self.path));
        renamed.map_err(|why| Error::unwritable(&self.path, why))?;
        Ok(self.rows)
    }
}

impl Drop for MooncakeWriter {
    /// Removes the temporary file; after a rename there is none, and then nothing is to be done.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.part);
    }
}

fn write_line(out: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Writes requests `(arrival, prompt, output tokens)` as a Mooncake trace; returns their number.
///
/// # Errors
/// Where a request cannot be made or the file cannot be written.
pub fn write_mooncake(
    path: &Path,
    requests: impl IntoIterator<Item = Result<(Nanos, Vec<Segment>, u32)>>,
) -> Result<u64> {
    let mut writer = MooncakeWriter::create(path)?;
    for request in requests {
        let (arrival, prompt, output_tokens) = request?;
        writer.row(arrival, &prompt, output_tokens)?;
    }
    writer.finish()
}

/// Drains a workload into a Mooncake trace. Every request counts as completed at the moment it
/// arrives: with no cluster there is nothing to wait for, and think times alone space out a session.
///
/// # Errors
/// Where the workload cannot be read or the file cannot be written.
pub fn write_source(path: &Path, source: &mut dyn Source) -> Result<u64> {
    let requests = std::iter::from_fn(|| next_request(source).transpose());
    write_mooncake(path, requests)
}

fn next_request(source: &mut dyn Source) -> Result<Option<(Nanos, Vec<Segment>, u32)>> {
    if source.next_arrival()?.is_none() {
        return Ok(None);
    }
    let request = source.take()?;
    source.on_complete(request.id, request.arrival);
    let mut prompt = request.segments;
    let mut left = request.prompt_tokens;
    prompt.retain(|segment| {
        let within = left > 0;
        left = left.saturating_sub(segment.tokens);
        within
    });
    Ok(Some((request.arrival, prompt, request.output_tokens)))
}
