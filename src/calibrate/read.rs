//! Measurements from CSV files; what a file holds is told by its header. A folder is that of a live run.
//!
//! | kind | columns | a row is |
//! |---|---|---|
//! | engine log | `ctx_reqs, ctx_tokens, gen_reqs, elapsed_ms` | one step; contexts are not logged and taken as 0 |
//! | prefill requests | `context_cached, uncached, ttft_s` | the only request of a server: one step and the way to the client |
//! | decode requests | `batch, context, itl_median_s` | a batch of equal requests, time between their tokens |
//! | prefill beside decoding | `beside_batch, beside_context, uncached, gap_s` | the gap between tokens of decoding requests in which a prompt was computed: one step |
//! | step table | `kind, new_tokens, context_tokens, batch, step_ms` | one step, kind `prefill`, `decode` or `mixed` |

use crate::error::{Error, Result, did_you_mean};
use crate::sim::latency::BatchShape;
use std::io::Read;
use std::path::Path;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The engine's own clock, around the step alone.
    Engine,
    /// A client's clock: gaps between tokens, with what the engine does between its steps.
    Client,
    /// A client's clock from the sending of a request to its first token: the same with the way to the
    /// engine and back.
    Request,
}

/// One measured step.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What the step computed.
    pub shape: BatchShape,
    /// What it took, milliseconds.
    pub ms: f64,
    /// Whose clock.
    pub source: Source,
}

impl Row {
    /// Whether the step had prefill in it.
    pub fn is_prefill(&self) -> bool {
        self.shape.prefill_tokens > 0
    }
}

/// Columns that tell what a file holds.
const LAYOUTS: [(Layout, &[&str]); 5] = [
    (Layout::Steps, &["ctx_reqs", "ctx_tokens", "gen_reqs", "elapsed_ms"]),
    (Layout::Prefill, &["context_cached", "uncached", "ttft_s"]),
    (Layout::Decode, &["batch", "context", "itl_median_s"]),
    (Layout::Beside, &["beside_batch", "beside_context", "uncached", "gap_s"]),
    (Layout::Table, &["new_tokens", "context_tokens", "batch", "step_ms", "kind"]),
];

#[derive(Clone, Copy)]
enum Layout {
    Steps,
    Prefill,
    Decode,
    Beside,
    Table,
}

/// Reads one file, or the folder of a live run.
///
/// # Errors
/// Where it is no file of measurements, or a line of it is damaged.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    if path.is_dir() {
        return super::run::read(path);
    }
    let file = std::fs::File::open(path).map_err(|why| Error::unreadable(path, why))?;
    parse(path, file)
}

/// Reads the contents of a file; `path` names it in messages.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, contents: impl Read) -> Result<Vec<Row>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(contents);
    let wrong = |why: csv::Error| Error::input(format!("{}: {why}", path.display()));
    let header = reader.headers().map_err(wrong)?.clone();
    let (layout, places) = detect(path, &header)?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let line = record.position().map_or(0, csv::Position::line);
        let fields: Vec<&str> = places.iter().map(|at| &record[*at]).collect();
        let row = row(layout, &fields)
            .map_err(|why| Error::input(format!("{}, line {line}: {why}", path.display())))?;
        rows.extend(row);
    }
    Ok(rows)
}

/// The layout a header belongs to, and the places of its columns.
fn detect(path: &Path, header: &csv::StringRecord) -> Result<(Layout, Vec<usize>)> {
    let place = |name: &&str| header.iter().position(|column| column == *name);
    for (layout, names) in LAYOUTS {
        if let Some(places) = names.iter().map(place).collect::<Option<Vec<usize>>>() {
            return Ok((layout, places));
        }
    }
    let found = header.iter().take(8).collect::<Vec<_>>().join(",");
    let found: String = found.chars().filter(|c| !c.is_control()).take(120).collect();
    let known: Vec<String> = LAYOUTS.iter().map(|(_, names)| names.join(",")).collect();
    let near = header.iter().find_map(|column| {
        let names = LAYOUTS.iter().flat_map(|(_, names)| names.iter().copied());
        let hint = did_you_mean(column, names.clone());
        (!names.into_iter().any(|name| name == column) && !hint.is_empty())
            .then(|| format!("; for \"{}\"{}", short(column), &hint[1..]))
    });
    Err(Error::input(format!(
        "{}: the header \"{found}\" is none of measurements; it must name {}{}",
        path.display(),
        known.join(" or "),
        near.unwrap_or_default()
    )))
}

/// `None` for a step that computed nothing.
fn row(layout: Layout, fields: &[&str]) -> std::result::Result<Option<Row>, String> {
    let count = |at: usize| count(layout, at, fields[at]);
    let mut shape = BatchShape::default();
    let (ms, source) = match layout {
        Layout::Steps => {
            let (requests, tokens, decoding) = (count(0)?, count(1)?, count(2)?);
            add_chunks(&mut shape, requests, tokens)?;
            // Not `BatchShape::decode`: no context is known, not even that of one token.
            shape.decode_seqs = decoding.into();
            (time(layout, 3, fields[3])?, Source::Engine)
        }
        Layout::Prefill => {
            shape.prefill(count(0)?, count(1)?);
            (1e3 * time(layout, 2, fields[2])?, Source::Request)
        }
        Layout::Decode => {
            add_decodes(&mut shape, count(0)?, count(1)?)?;
            (1e3 * time(layout, 2, fields[2])?, Source::Client)
        }
        Layout::Beside => {
            shape.prefill(0, count(2)?);
            add_decodes(&mut shape, count(0)?, count(1)?)?;
            (1e3 * time(layout, 3, fields[3])?, Source::Client)
        }
        Layout::Table => {
            let (new, context, batch) = (count(0)?, count(1)?, count(2)?);
            shape = table_step(fields[4], new, context, batch)?;
            (time(layout, 3, fields[3])?, Source::Engine)
        }
    };
    let is_empty = shape.prefill_tokens == 0 && shape.decode_seqs == 0;
    Ok((!is_empty).then_some(Row { shape, ms, source }))
}

/// A step of a step table.
fn table_step(
    kind: &str,
    new: u32,
    context: u32,
    batch: u32,
) -> std::result::Result<BatchShape, String> {
    let mut shape = BatchShape::default();
    match kind {
        "prefill" => shape.prefill(context, new),
        "decode" => add_decodes(&mut shape, batch, context)?,
        "mixed" => {
            shape.prefill(0, new);
            add_decodes(&mut shape, batch, context)?;
        }
        other => {
            return Err(format!("kind = \"{}\" must be prefill, decode or mixed", short(other)));
        }
    }
    Ok(shape)
}

/// `tokens` in `requests` chunks as equal as they can be.
fn add_chunks(
    shape: &mut BatchShape,
    requests: u32,
    tokens: u32,
) -> std::result::Result<(), String> {
    if tokens > 0 && requests == 0 || requests > tokens {
        return Err(format!(
            "{tokens} prefill tokens in {requests} requests cannot be: a request has one or more"
        ));
    }
    for request in 0..requests {
        shape.prefill(0, tokens / requests + u32::from(request < tokens % requests));
    }
    Ok(())
}

/// `sequences` that decode on `context` tokens each; the shape counts the new token too.
pub(super) fn add_decodes(
    shape: &mut BatchShape,
    sequences: u32,
    context: u32,
) -> std::result::Result<(), String> {
    let context = context.checked_add(1).ok_or("context is too large")?;
    shape.decode_seqs += u64::from(sequences);
    shape.decode_context += u64::from(sequences) * u64::from(context);
    Ok(())
}

fn name(layout: Layout, at: usize) -> &'static str {
    LAYOUTS[layout as usize].1[at]
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Tokens and requests of one step: no more than a step can have, so that a slip is noticed.
fn count(layout: Layout, at: usize, text: &str) -> std::result::Result<u32, String> {
    const MOST: u32 = 1 << 24;
    text.parse().ok().filter(|count| *count <= MOST).ok_or_else(|| {
        format!("{} = \"{}\" must be a whole number, 0 to {MOST}", name(layout, at), short(text))
    })
}

/// A time above 0, at most a day.
fn time(layout: Layout, at: usize, text: &str) -> std::result::Result<f64, String> {
    text.parse().ok().filter(|time| *time > 0.0 && *time < 8.64e7).ok_or_else(|| {
        format!(
            "{} = \"{}\" must be a number above 0; remove the line if the measurement failed",
            name(layout, at),
            short(text)
        )
    })
}
