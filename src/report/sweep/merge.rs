//! `kvroute sweep merge`: the journals of all shards make the files of one run.

use super::journal::{self, Found, Head};
use crate::error::{Error, Result};
use crate::sweep::run::Rows;
use crate::sweep::{Shard, Table};
use std::path::PathBuf;

/// Reads the shards in `folders` and puts them together.
///
/// # Errors
/// Where a folder holds no journal or that of another sweep, or a shard is missing or unfinished.
pub fn read(folders: &[PathBuf]) -> Result<(Head, Table)> {
    let mut parts: Vec<Found> = Vec::new();
    for folder in folders {
        let found = journal::read(folder)?.ok_or_else(|| {
            Error::input(format!("{} holds no {}", folder.display(), journal::NAME))
        })?;
        let first = parts.first().map_or(&found.head.definition, |part| &part.head.definition);
        if *first != found.head.definition {
            return Err(Error::input(format!(
                "{} is a shard of another sweep than {}; merge the shards of one sweep",
                folder.display(),
                folders[0].display()
            )));
        }
        parts.push(found);
    }
    let Some(first) = parts.first() else {
        return Err(Error::input("no folders to merge; name the folders of all shards"));
    };
    let head = Head::new(&first.head.definition, Shard::WHOLE);
    let (plan, shards) = (head.definition.plan()?, first.head.shards);
    let rows: Rows = journal::join(parts.into_iter().map(|part| part.rows));
    let table = Table::new(plan, rows);
    match table.first_gap(Shard::WHOLE) {
        None => Ok((head, table)),
        Some(point) => Err(Error::input(format!(
            "point {point} is not finished in any of the folders; run or --resume shard {}/{shards}",
            point % shards + 1
        ))),
    }
}
