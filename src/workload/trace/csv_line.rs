//! One line of a CSV trace at a time, columns found by the names in the header.

use super::detect::names;
use super::fields::Loose;
use super::records::{Fault, echo};

/// The columns of one trace, in the order in which the format asks for them.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// Place of each wanted column; empty until the header has been read.
    places: Vec<usize>,
    /// Number of columns.
    width: usize,
}

impl Columns {
    /// The wanted fields of a line, or `None` where the line is the header.
    pub(super) fn read<'a>(
        &mut self,
        wanted: &[&str],
        line: &'a [u8],
    ) -> Result<Option<Vec<Field<'a>>>, Fault> {
        let text = std::str::from_utf8(line)
            .map_err(|_| "it is not UTF-8 text".to_string())?
            .trim_end_matches('\r');
        let fields = split(text)?;
        if self.places.is_empty() {
            self.places = header(wanted, text, &fields)?;
            self.width = fields.len();
            return Ok(None);
        }
        if fields.len() != self.width {
            let (found, width) = (fields.len(), self.width);
            return Err(format!("it has {found} columns, the header names {width}").into());
        }
        Ok(Some(self.places.iter().map(|at| fields[*at].clone()).collect()))
    }
}

/// One field, without quotes and surrounding blanks.
pub(super) type Field<'a> = std::borrow::Cow<'a, str>;

/// As a number, or whatever else it is.
pub(super) fn loose(field: &Field) -> Loose {
    Loose::of_text(field)
}

/// Splits at commas; only a line with quotes needs the full rules.
fn split(text: &str) -> Result<Vec<Field<'_>>, Fault> {
    if !text.contains('"') {
        return Ok(text.split(',').map(|field| field.trim().into()).collect());
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let record = reader.records().next().transpose();
    let record = record.map_err(|why| echo(&why.to_string()))?.unwrap_or_default();
    Ok(record.iter().map(|field| field.trim().to_string().into()).collect())
}

fn header(wanted: &[&str], text: &str, fields: &[Field]) -> Result<Vec<usize>, Fault> {
    let place = |name: &&str| {
        fields.iter().position(|field| field == name).ok_or_else(|| {
            Fault::fatal(format!(
                "there is no column {name} in the header \"{}\"; if the file has another format, \
                 name it with --trace-format {}",
                echo(text),
                names()
            ))
        })
    };
    wanted.iter().map(place).collect()
}
