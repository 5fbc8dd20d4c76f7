//! `journal.jsonl`: every row of a sweep, written as it ends, so that nothing done is ever lost.
//!
//! The first line says which sweep this is ([`Head`]), each other line is one row. A line is written
//! in one go, without a buffer; the last one may be torn by a crash and is then cut off and run
//! again. When a sweep ends, the journal is put in order of cells and seeds, in one step, so that it
//! no longer tells how often the sweep was interrupted.

use crate::error::{Error, Result};
use crate::report::run_dir::RunDir;
use crate::sweep::run::Rows;
use crate::sweep::{Definition, METRICS, Outcome, Plan, Row, Shard};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Name of the journal in its folder.
pub const NAME: &str = "journal.jsonl";

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Which sweep.
    pub definition: Definition,
    /// Number of the shard, from 1.
    pub shard: usize,
    /// Number of shards.
    pub shards: usize,
}

impl Head {
    /// For one shard of a sweep.
    pub fn new(definition: &Definition, shard: Shard) -> Head {
        Head { definition: definition.clone(), shard: shard.index, shards: shard.of }
    }
}

/// A row as a line.
#[derive(Serialize, Deserialize)]
struct Line {
    point: usize,
    router: String,
    seed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    metrics: Map<String, Value>,
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

/// What a folder already holds.
#[derive(Debug)]
pub struct Found {
    /// Which sweep.
    pub head: Head,
    /// Its rows.
    pub rows: Rows,
    /// Length of the part that is whole, bytes.
    whole: u64,
}

/// Reads the journal in `folder`; `None` where nothing was written yet.
///
/// # Errors
/// Where it is damaged elsewhere than at its end.
pub fn read(folder: &Path) -> Result<Option<Found>> {
    let path = folder.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(Error::unreadable(&path, why)),
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let mut lines = bytes[..whole].split(|byte| *byte == b'\n').enumerate();
    let Some((_, first)) = lines.next().filter(|(_, line)| !line.is_empty()) else {
        return Ok(None);
    };
    let head: Head = serde_json::from_slice(first).map_err(|why| damaged(&path, 0, &why))?;
    let plan = head.definition.plan()?;
    let mut rows = Rows::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let (key, outcome) = row(line, &plan).map_err(|why| damaged(&path, number, &why))?;
        rows.insert(key, outcome);
    }
    Ok(Some(Found { head, rows, whole: whole as u64 }))
}

fn damaged(path: &Path, line: usize, why: &dyn std::fmt::Display) -> Error {
    Error::input(format!(
        "{}, line {}: {why}; remove that line and its row will be run again",
        path.display(),
        line + 1
    ))
}

type Keyed = ((usize, u64), Outcome);

fn row(line: &[u8], plan: &Plan) -> std::result::Result<Keyed, String> {
    let line: Line = serde_json::from_slice(line).map_err(|why| why.to_string())?;
    let cell = plan.find(line.point, &line.router).ok_or_else(|| {
        format!("the sweep has no router {} at point {}", line.router, line.point)
    })?;
    let outcome = match line.failed {
        Some(reason) => Err(reason),
        None => {
            let value = |name: &str| line.metrics.get(name).and_then(Value::as_f64);
            Ok(METRICS.iter().map(|metric| value(metric.name)).collect())
        }
    };
    Ok(((cell, line.seed), outcome))
}

fn line(row: &Row, plan: &Plan) -> Result<String> {
    let cell = &plan.cells[row.cell];
    let mut metrics = Map::new();
    for (metric, value) in METRICS.iter().zip(row.outcome.iter().flatten()) {
        metrics.extend(value.map(|value| (metric.name.into(), Value::from(value))));
    }
    let line = Line {
        point: cell.point,
        router: cell.router.clone(),
        seed: row.seed,
        failed: row.outcome.as_ref().err().cloned(),
        metrics,
    };
    json(&line)
}

fn json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|why| Error::Run(why.to_string()))?;
    Ok(text + "\n")
}

impl Journal {
    /// Begins a journal, or goes on with one that `found` was read from.
    ///
    /// # Errors
    /// Where it cannot be written, or another program is writing it.
    pub fn open(dir: &RunDir, head: &Head, found: Option<&Found>) -> Result<Journal> {
        let path = dir.path(NAME);
        let fail = |why: io::Error| Error::unwritable(&path, why);
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(fail)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::input(format!(
                "{} is being written by another kvroute; wait for it, or choose another --out",
                path.display()
            )));
        }
        file.set_len(found.map_or(0, |found| found.whole)).map_err(fail)?;
        if found.is_none() {
            file.write_all(json(head)?.as_bytes()).map_err(fail)?;
        }
        Ok(Journal { path, file: Mutex::new(file) })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// Where it cannot be written, for example on a full disk.
    pub fn add(&self, row: &Row, plan: &Plan) -> Result<()> {
        let line = line(row, plan)?;
        let mut file = self.file.lock().map_err(|_| Error::Run("a thread has panicked".into()))?;
        file.write_all(line.as_bytes()).map_err(|why| Error::unwritable(&self.path, why))
    }
}

/// Writes the journal of a finished sweep in order of cells and seeds, in place of what is there.
///
/// # Errors
/// Where it cannot be written.
pub fn write_in_order(dir: &RunDir, head: &Head, plan: &Plan, rows: &Rows) -> Result<()> {
    let mut text = json(head)?;
    for ((cell, seed), outcome) in rows {
        let row = Row { cell: *cell, seed: *seed, outcome: outcome.clone() };
        text += &line(&row, plan)?;
    }
    dir.write(NAME, text.as_bytes())
}

/// Rows of several journals together.
pub(super) fn join(parts: impl IntoIterator<Item = Rows>) -> Rows {
    parts.into_iter().flatten().collect::<BTreeMap<_, _>>()
}
