//! BurstGPT CSV: `Timestamp` in seconds, lengths; newer files name a session and an elapsed time
//! besides. Rows with `Response tokens` = 0 are requests that failed: they are counted and left out.

use super::csv_line::{Columns, loose};
use super::records::Fault;
use super::rows::{Parsed, Row, RowFormat};

const WANTED: [&str; 3] = ["Timestamp", "Request tokens", "Response tokens"];
const NS_PER_S: u64 = 1_000_000_000;

#[derive(Default)]
pub(super) struct BurstGpt {
    columns: Columns,
}

impl RowFormat for BurstGpt {
    fn parse(&mut self, text: &[u8], number: u64) -> Result<Parsed, Fault> {
        let Some(fields) = self.columns.read(&WANTED, text)? else {
            return Ok(Parsed::Header);
        };
        let at = loose(&fields[0]).nanos(WANTED[0], NS_PER_S)?;
        let output_tokens = loose(&fields[2]).tokens_or_none(WANTED[2])?;
        if output_tokens == 0 {
            return Ok(Parsed::Failed);
        }
        let prompt_tokens = loose(&fields[1]).tokens(WANTED[1])?;
        Ok(Parsed::Row(Row::unique(at, number, prompt_tokens, output_tokens)))
    }
}
