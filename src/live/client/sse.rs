//! Server-sent events, as far as OpenAI-compatible servers use them (WHATWG HTML §9.2.6): events end
//! with a blank line, `data:` lines of one event are joined by a newline, comments and other fields
//! are passed over, lines end with LF, CR LF or CR.

use memchr::memchr2;

/// Longest event; a server that sends more without a blank line is malformed.
const MAX_EVENT: usize = 8 << 20;

/// Splits a stream of bytes into events, however it is cut.
#[derive(Debug, Default)]
pub struct SseParser {
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// Data of the event whose end has not arrived.
    data: Vec<u8>,
    /// The event has at least one data line.
    has_data: bool,
    /// The last line ended with CR: an LF that follows belongs to it.
    after_cr: bool,
}

/// An event was longer than any server would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl SseParser {
    /// Takes the next bytes; `event` gets the data of each event that they complete, and may stop
    /// the parser by an error of its own.
    ///
    /// # Errors
    /// `event`'s, or [`TooLong`] turned into one.
    pub fn push<E: From<TooLong>>(
        &mut self,
        mut bytes: &[u8],
        event: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(first) = bytes.first()
            && std::mem::take(&mut self.after_cr)
            && *first == b'\n'
        {
            bytes = &bytes[1..];
        }
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            let (line, cr) = (&bytes[..end], bytes[end] == b'\r');
            if self.line.is_empty() {
                self.take_line(line, event)?;
            } else {
                self.line.extend_from_slice(line);
                let whole = std::mem::take(&mut self.line);
                self.take_line(&whole, event)?;
                self.line = whole;
                self.line.clear();
            }
            bytes = &bytes[end + 1..];
            if cr && bytes.first() == Some(&b'\n') {
                bytes = &bytes[1..];
            } else if cr && bytes.is_empty() {
                self.after_cr = true;
            }
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() + self.data.len() > MAX_EVENT { Err(TooLong.into()) } else { Ok(()) }
    }

    fn take_line<E>(
        &mut self,
        line: &[u8],
        event: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if line.is_empty() {
            if !std::mem::take(&mut self.has_data) {
                return Ok(());
            }
            let result = event(&self.data);
            self.data.clear();
            return result;
        }
        if let Some(value) = line.strip_prefix(b"data:") {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.has_data = true;
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
        Ok(())
    }

    /// Whether bytes are left that belong to no complete event.
    pub fn is_inside_event(&self) -> bool {
        self.has_data || !self.line.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(parts: &[&[u8]]) -> Vec<String> {
        let (mut parser, mut found) = (SseParser::default(), Vec::new());
        for part in parts {
            let taken = parser.push::<TooLong>(part, &mut |data| {
                found.push(String::from_utf8_lossy(data).into_owned());
                Ok(())
            });
            taken.unwrap();
        }
        found
    }

    const STREAM: &str = ": hello\ndata: one\n\nevent: x\r\ndata:two\r\ndata: more\r\n\r\nid: 3\n\n\
        retry: 5\rdata: three\r\rdata: [DONE]\n\n";

    #[test]
    fn all_line_ends_comments_and_other_fields() {
        assert_eq!(events(&[STREAM.as_bytes()]), ["one", "two\nmore", "three", "[DONE]"]);
    }

    #[test]
    fn an_event_without_its_blank_line_is_not_one() {
        let mut parser = SseParser::default();
        parser.push::<TooLong>(b"data: half\n", &mut |_| panic!("incomplete")).unwrap();
        assert!(parser.is_inside_event());
    }

    #[test]
    fn an_event_without_end_is_refused_before_it_fills_the_memory() {
        let mut parser = SseParser::default();
        let chunk = vec![b'x'; 1 << 20];
        let refused = (0..20).find_map(|_| parser.push::<TooLong>(&chunk, &mut |_| Ok(())).err());
        assert_eq!(refused, Some(TooLong));
    }

    #[test]
    fn nothing_between_cr_and_lf_changes_nothing() {
        let parts: [&[u8]; 4] = [b"data: a\r", b"", b"\ndata: b\r", b"\n\n"];
        assert_eq!(events(&parts), ["a\nb"]);
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_how_the_stream_is_cut(
            cuts in prop::collection::vec(0usize..STREAM.len(), 0..12),
        ) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let bytes = STREAM.as_bytes();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(events(&parts), events(&[bytes]));
        }
    }
}
