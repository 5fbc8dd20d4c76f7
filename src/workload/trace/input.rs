//! The bytes of a trace file: plain or gzip, hashed as they pass, with a look at the beginning.

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// How far the format detection looks into the (decompressed) file, bytes.
const HEAD: u64 = 64 * 1024;

/// Size of each read from the file, bytes.
const CHUNK: usize = 128 * 1024;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Passes bytes on and hashes them, where a hash is wanted.
struct Tee {
    source: Box<dyn Read + Send>,
    hash: Option<Sha256>,
}

impl Read for Tee {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(into)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&into[..count]);
        }
        Ok(count)
    }
}

type Raw = BufReader<Tee>;

enum Body {
    Plain(Raw),
    Gzip(Box<BufReader<MultiGzDecoder<Raw>>>),
}

impl Body {
    fn reader(&mut self) -> &mut dyn BufRead {
        match self {
            Body::Plain(reader) => reader,
            Body::Gzip(reader) => reader,
        }
    }

    fn into_raw(self) -> Raw {
        match self {
            Body::Plain(reader) => reader,
            Body::Gzip(reader) => reader.into_inner().into_inner(),
        }
    }
}

/// The decompressed text of a trace file.
pub(super) struct Input {
    head: Vec<u8>,
    consumed: usize,
    body: Body,
}

impl Input {
    /// Opens a file; `hashed` asks for the SHA-256 of its bytes as they are on disk.
    pub(super) fn open(path: &Path, hashed: bool) -> io::Result<Input> {
        if path.is_dir() {
            return Err(io::Error::other("it is a folder; name a trace file in it"));
        }
        Input::new(Box::new(File::open(path)?), hashed)
    }

    /// Reads from anything.
    pub(super) fn new(source: Box<dyn Read + Send>, hashed: bool) -> io::Result<Input> {
        let hash = hashed.then(Sha256::new);
        let mut raw = BufReader::with_capacity(CHUNK, Tee { source, hash });
        let mut body = if raw.fill_buf()?.starts_with(&GZIP) {
            let text = BufReader::with_capacity(CHUNK, MultiGzDecoder::new(raw));
            Body::Gzip(Box::new(text))
        } else {
            Body::Plain(raw)
        };
        let mut head = Vec::new();
        body.reader().take(HEAD).read_to_end(&mut head)?;
        let consumed = if head.starts_with(&BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Ok(Input { head, consumed, body })
    }

    /// The first bytes of the text, for a look at its format. Valid before anything is consumed.
    pub(super) fn head(&self) -> &[u8] {
        &self.head[self.consumed..]
    }

    /// Reads what is left of the file and returns its SHA-256 in hex, if one was asked for.
    pub(super) fn finish(self) -> io::Result<Option<String>> {
        let mut raw = self.body.into_raw();
        if raw.get_ref().hash.is_none() {
            return Ok(None);
        }
        io::copy(&mut raw, &mut io::sink())?;
        let hash = raw.into_inner().hash.map(Sha256::finalize);
        Ok(hash.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.consumed < self.head.len() {
            return Ok(&self.head[self.consumed..]);
        }
        self.body.reader().fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if self.consumed < self.head.len() {
            self.consumed += count;
        } else {
            self.body.reader().consume(count);
        }
    }
}
