//! A cursor over MessagePack that believes no length and follows no depth.

use super::Read;
use rmp::Marker;

/// The bytes of a message that are still to be read.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

const SHORT: &str = "it ends too early";

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn bytes(&mut self, count: usize) -> Read<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(SHORT)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A big-endian number of `N` bytes.
    fn number<const N: usize>(&mut self) -> Read<u64> {
        Ok(self.bytes(N)?.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }

    fn length<const N: usize>(&mut self) -> Read<usize> {
        usize::try_from(self.number::<N>()?).map_err(|_| SHORT)
    }

    fn marker(&mut self) -> Read<Marker> {
        Ok(Marker::from_u8(self.bytes(1)?[0]))
    }

    fn peek(&self) -> Option<Marker> {
        self.rest.first().map(|byte| Marker::from_u8(*byte))
    }

    pub fn next_is_map(&self) -> bool {
        matches!(self.peek(), Some(Marker::FixMap(_) | Marker::Map16 | Marker::Map32))
    }

    /// Length of an array that begins here. Every element has a byte at least, so what cannot fit is
    /// refused before room is made for it.
    pub fn array(&mut self) -> Read<usize> {
        let length = match self.marker()? {
            Marker::FixArray(length) => usize::from(length),
            Marker::Array16 => self.length::<2>()?,
            Marker::Array32 => self.length::<4>()?,
            _ => return Err("a list is missing"),
        };
        if length <= self.rest.len() { Ok(length) } else { Err(SHORT) }
    }

    /// Number of entries of a map that begins here.
    pub fn map(&mut self) -> Read<usize> {
        let length = match self.marker()? {
            Marker::FixMap(length) => usize::from(length),
            Marker::Map16 => self.length::<2>()?,
            Marker::Map32 => self.length::<4>()?,
            _ => return Err("a map is missing"),
        };
        if length <= self.rest.len() / 2 { Ok(length) } else { Err(SHORT) }
    }

    /// The elements of a list.
    pub fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let length = self.array()?;
        let mut list = Vec::with_capacity(length);
        for _ in 0..length {
            list.push(element(self)?);
        }
        Ok(list)
    }

    /// What `read` finds, or `None` for nothing.
    pub fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        if self.peek() == Some(Marker::Null) {
            self.bytes(1)?;
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// The value of an integer: its 64 bits, and whether it is negative.
    fn integer(&mut self) -> Read<(u64, bool)> {
        let signed = |word: u64, bits: u32| {
            let extended = ((word << (64 - bits)) as i64) >> (64 - bits);
            (extended as u64, extended < 0)
        };
        Ok(match self.marker()? {
            Marker::FixPos(value) => (u64::from(value), false),
            Marker::FixNeg(value) => (i64::from(value) as u64, true),
            Marker::U8 => (self.number::<1>()?, false),
            Marker::U16 => (self.number::<2>()?, false),
            Marker::U32 => (self.number::<4>()?, false),
            Marker::U64 => (self.number::<8>()?, false),
            Marker::I8 => signed(self.number::<1>()?, 8),
            Marker::I16 => signed(self.number::<2>()?, 16),
            Marker::I32 => signed(self.number::<4>()?, 32),
            Marker::I64 => signed(self.number::<8>()?, 64),
            _ => return Err("a number is missing"),
        })
    }

    pub fn u32(&mut self) -> Read<u32> {
        match self.integer()? {
            (value, false) => u32::try_from(value).map_err(|_| "a number is too large"),
            (_, true) => Err("a number is negative"),
        }
    }

    /// A number of any kind.
    pub fn float(&mut self) -> Read<f64> {
        match self.peek() {
            Some(Marker::F64) => {
                self.bytes(1)?;
                Ok(f64::from_bits(self.number::<8>()?))
            }
            Some(Marker::F32) => {
                self.bytes(1)?;
                Ok(f64::from(f32::from_bits(self.number::<4>()? as u32)))
            }
            _ => self.integer().map(|(value, negative)| match negative {
                true => value as i64 as f64,
                false => value as f64,
            }),
        }
    }

    /// A block's name: an integer of 64 bits, signed or not, or bytes, of which the last eight count,
    /// as when vLLM itself makes integers of them.
    pub fn hash(&mut self) -> Read<u64> {
        let Some(bytes) = self.string()? else {
            return Ok(self.integer()?.0);
        };
        if bytes.is_empty() {
            return Err("a block has an empty name");
        }
        let last = &bytes[bytes.len().saturating_sub(8)..];
        Ok(last.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }

    /// The bytes of a text or binary value; `None`, and nothing read, where there is something else.
    fn string(&mut self) -> Read<Option<&'a [u8]>> {
        let mut ahead = Reader { rest: self.rest };
        let length = match ahead.marker()? {
            Marker::FixStr(length) => usize::from(length),
            Marker::Str8 | Marker::Bin8 => ahead.length::<1>()?,
            Marker::Str16 | Marker::Bin16 => ahead.length::<2>()?,
            Marker::Str32 | Marker::Bin32 => ahead.length::<4>()?,
            _ => return Ok(None),
        };
        let bytes = ahead.bytes(length)?;
        self.rest = ahead.rest;
        Ok(Some(bytes))
    }

    /// A text; `None`, and the value skipped, where there is something else.
    pub fn text(&mut self) -> Read<Option<&'a str>> {
        let Some(bytes) = self.string()? else {
            self.skip()?;
            return Ok(None);
        };
        std::str::from_utf8(bytes).map(Some).map_err(|_| "a text is no UTF-8")
    }

    /// A text or nothing.
    pub fn optional_text(&mut self) -> Read<Option<&'a str>> {
        self.optional(|reader| reader.text()?.ok_or("a text is missing"))
    }

    /// The bytes of a value of any kind.
    pub fn raw(&mut self) -> Read<&'a [u8]> {
        let before = self.rest;
        self.skip()?;
        Ok(&before[..before.len() - self.rest.len()])
    }

    /// Passes a value of any kind. Counts what is open instead of descending: depth costs nothing.
    pub fn skip(&mut self) -> Read<()> {
        let mut open: u64 = 1;
        while open > 0 {
            open -= 1;
            let body = match self.marker()? {
                Marker::Reserved => return Err("it is no MessagePack"),
                Marker::FixPos(_) | Marker::FixNeg(_) => 0,
                Marker::Null | Marker::True | Marker::False => 0,
                Marker::U8 | Marker::I8 => 1,
                Marker::U16 | Marker::I16 => 2,
                Marker::U32 | Marker::I32 | Marker::F32 => 4,
                Marker::U64 | Marker::I64 | Marker::F64 => 8,
                Marker::FixStr(length) => usize::from(length),
                Marker::Str8 | Marker::Bin8 => self.length::<1>()?,
                Marker::Str16 | Marker::Bin16 => self.length::<2>()?,
                Marker::Str32 | Marker::Bin32 => self.length::<4>()?,
                Marker::FixExt1 => 2,
                Marker::FixExt2 => 3,
                Marker::FixExt4 => 5,
                Marker::FixExt8 => 9,
                Marker::FixExt16 => 17,
                Marker::Ext8 => 1 + self.length::<1>()?,
                Marker::Ext16 => 1 + self.length::<2>()?,
                Marker::Ext32 => 1 + self.length::<4>()?,
                Marker::FixArray(length) => self.opened(&mut open, u64::from(length)),
                Marker::Array16 => self.number::<2>().map(|n| self.opened(&mut open, n))?,
                Marker::Array32 => self.number::<4>().map(|n| self.opened(&mut open, n))?,
                Marker::FixMap(length) => self.opened(&mut open, 2 * u64::from(length)),
                Marker::Map16 => self.number::<2>().map(|n| self.opened(&mut open, 2 * n))?,
                Marker::Map32 => self.number::<4>().map(|n| self.opened(&mut open, 2 * n))?,
            };
            self.bytes(body)?;
        }
        Ok(())
    }

    /// `count` more values are to be passed; they are no bytes of this one.
    fn opened(&self, open: &mut u64, count: u64) -> usize {
        *open = open.saturating_add(count);
        0
    }
}
