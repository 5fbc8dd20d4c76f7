//! The ZMQ messages in which vLLM, SGLang and Dynamo tell of their KV caches.
//!
//! A message has three frames: topic, sequence number (8 bytes, big-endian) and a MessagePack array
//! `[time, [event...], rank?]`. An event is a map with its kind under `type` (vLLM since 0.11,
//! Dynamo), or an array that begins with its kind, the fields following in the order in which they
//! were declared (older vLLM, SGLang).
//!
//! Unknown kinds and fields are skipped, for engines add some with every version. Everything else
//! that is not as it should be makes the message [`Malformed`]. No length that a message claims is
//! believed before that many bytes are there, so memory stays within a small multiple of its size.

use reader::Reader;
use xxhash_rust::xxh3::xxh3_64;

mod reader;

/// A message that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed KV event message: {why}")]
pub struct Malformed {
    /// Its sequence number, where that could be read.
    pub sequence: Option<u64>,
    /// What is wrong.
    pub why: &'static str,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Number of the message, from 0 for every publisher.
    pub sequence: u64,
    /// When it was made, by the worker's clock, seconds since 1970.
    pub published: f64,
    /// Data-parallel rank.
    pub rank: Option<u32>,
    /// Events that are known, in order.
    pub events: Vec<Event>,
    /// Events of kinds that are not.
    pub unknown: u32,
}

/// What happened to a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Blocks were stored, each the child of the one before.
    Stored(Stored),
    /// Blocks were evicted.
    Removed {
        /// The engine's names of the blocks.
        hashes: Vec<u64>,
        /// Where they were.
        place: Place,
    },
    /// The whole cache was emptied.
    Cleared,
}

/// See [`Event::Stored`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The engine's names of the blocks.
    pub hashes: Vec<u64>,
    /// Name of the block before the first; `None` where that begins a prompt.
    pub parent: Option<u64>,
    /// Token ids of all blocks.
    pub tokens: Vec<u32>,
    /// Tokens per block.
    pub block_tokens: u32,
    /// What besides the tokens made a block what it is (adapter, image, salt), hashed; empty or one
    /// per block, 0 = nothing.
    pub salts: Vec<u64>,
    /// Where they are.
    pub place: Place,
}

/// Where blocks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the cache that requests are served from.
    Device,
    /// In another tier: host memory, storage, another machine.
    OtherTier,
    /// In the cache of another group of layers (hybrid models).
    OtherGroup,
}

/// Sequence number of the message that ends a replay: -1.
pub const END_OF_REPLAY: [u8; 8] = [0xff; 8];

/// Reads the frames of a message.
///
/// # Errors
/// Where they are no message; nothing of it is to be used then.
pub fn decode<F: AsRef<[u8]>>(frames: &[F]) -> Result<Batch, Malformed> {
    let [_, sequence, payload] = frames else {
        return Err(Malformed { sequence: None, why: "it has not three frames" });
    };
    let Ok(sequence) = <[u8; 8]>::try_from(sequence.as_ref()) else {
        return Err(Malformed { sequence: None, why: "its sequence number has not 8 bytes" });
    };
    decode_payload(u64::from_be_bytes(sequence), payload.as_ref())
}

/// Reads the payload of message number `sequence`.
///
/// # Errors
/// As [`decode`].
pub fn decode_payload(sequence: u64, payload: &[u8]) -> Result<Batch, Malformed> {
    let malformed = |why| Malformed { sequence: Some(sequence), why };
    let mut reader = Reader::new(payload);
    let batch = read_batch(sequence, &mut reader).map_err(malformed)?;
    if !reader.is_empty() {
        return Err(malformed("bytes follow its end"));
    }
    Ok(batch)
}

/// What is wrong with a message.
type Read<T> = Result<T, &'static str>;

fn read_batch(sequence: u64, reader: &mut Reader) -> Read<Batch> {
    let fields = reader.array()?;
    if fields < 2 {
        return Err("it holds no time and events");
    }
    let published = reader.float()?;
    let count = reader.array()?;
    // Events are large: room is made as they come.
    let mut events = Vec::new();
    let mut unknown = 0;
    for _ in 0..count {
        match read_event(reader)? {
            Some(event) => events.push(event),
            None => unknown += 1,
        }
    }
    let rank = if fields > 2 { reader.optional(Reader::u32)? } else { None };
    for _ in 3..fields {
        reader.skip()?;
    }
    Ok(Batch { sequence, published, rank, events, unknown })
}

/// Kinds that are known.
const KINDS: [&str; 3] = ["BlockStored", "BlockRemoved", "AllBlocksCleared"];

/// Fields by position, after the kind, as vLLM declares them.
const STORED: [&str; 9] = [
    "block_hashes",
    "parent_block_hash",
    "token_ids",
    "block_size",
    "lora_id",
    "medium",
    "lora_name",
    "extra_keys",
    "group_idx",
];
const REMOVED: [&str; 3] = ["block_hashes", "medium", "group_idx"];

/// The next event; `None` where its kind is unknown.
fn read_event(reader: &mut Reader) -> Read<Option<Event>> {
    if !reader.next_is_map() {
        return read_positional(reader);
    }
    // Almost always the first field.
    let kind = find_kind(&mut reader.clone())?;
    if !KINDS.contains(&kind) {
        reader.skip()?;
        return Ok(None);
    }
    let mut fields = Fields::default();
    for _ in 0..reader.map()? {
        match reader.text()? {
            Some(name) => fields.read(name, reader)?,
            // No field of ours has a name that is not text.
            None => reader.skip()?,
        }
    }
    fields.event(kind)
}

/// What a map has under `type`.
fn find_kind<'a>(reader: &mut Reader<'a>) -> Read<&'a str> {
    for _ in 0..reader.map()? {
        if reader.text()? == Some("type") {
            return reader.text()?.ok_or(NO_KIND);
        }
        reader.skip()?;
    }
    Err(NO_KIND)
}

fn read_positional(reader: &mut Reader) -> Read<Option<Event>> {
    let count = reader.array()?;
    if count == 0 {
        return Err(NO_KIND);
    }
    let kind = reader.text()?.ok_or(NO_KIND)?;
    let names: &[&str] = match kind {
        "BlockStored" => &STORED,
        "BlockRemoved" => &REMOVED,
        _ => &[],
    };
    let mut fields = Fields::default();
    for place in 0..count - 1 {
        match names.get(place) {
            Some(name) => fields.read(name, reader)?,
            None => reader.skip()?,
        }
    }
    fields.event(kind)
}

const NO_KIND: &str = "an event has no kind";

/// What was read of an event.
#[derive(Default)]
struct Fields {
    hashes: Option<Vec<u64>>,
    parent: Option<u64>,
    tokens: Option<Vec<u32>>,
    block_tokens: Option<u32>,
    /// Of the whole event.
    salt: u64,
    /// Per block.
    salts: Vec<u64>,
    other_tier: bool,
    other_group: bool,
}

impl Fields {
    fn read(&mut self, name: &str, reader: &mut Reader) -> Read<()> {
        match name {
            "block_hashes" => self.hashes = Some(reader.list(Reader::hash)?),
            "parent_block_hash" => self.parent = reader.optional(Reader::hash)?,
            "token_ids" => self.tokens = Some(reader.list(Reader::u32)?),
            "block_size" => self.block_tokens = Some(reader.u32()?),
            "lora_id" | "lora_name" | "cache_salt" => {
                let raw = reader.raw()?;
                if raw != NIL {
                    self.salt = xxh3_64(raw) ^ self.salt.rotate_left(1);
                }
            }
            "extra_keys" => {
                let salt = |reader: &mut Reader| {
                    let raw = reader.raw()?;
                    Ok(if raw == NIL { 0 } else { xxh3_64(raw) })
                };
                self.salts = reader.optional(|reader| reader.list(salt))?.unwrap_or_default();
            }
            "medium" => {
                let medium = reader.optional_text()?;
                self.other_tier |= medium.is_some_and(|name| !name.eq_ignore_ascii_case("gpu"));
            }
            "locality" => {
                let locality = reader.optional_text()?;
                self.other_tier |= locality.is_some_and(|at| at.eq_ignore_ascii_case("remote"));
            }
            "group_idx" => self.other_group = reader.optional(Reader::u32)?.unwrap_or(0) != 0,
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn event(self, kind: &str) -> Read<Option<Event>> {
        let place = match (self.other_tier, self.other_group) {
            (true, _) => Place::OtherTier,
            (false, true) => Place::OtherGroup,
            (false, false) => Place::Device,
        };
        let hashes = self.hashes.ok_or("an event names no blocks");
        Ok(Some(match kind {
            "BlockStored" => {
                let hashes = hashes?;
                let salts = salts(self.salt, self.salts, hashes.len());
                Event::Stored(Stored {
                    hashes,
                    parent: self.parent,
                    tokens: self.tokens.ok_or("stored blocks have no token ids")?,
                    block_tokens: self.block_tokens.ok_or("stored blocks have no size")?,
                    salts,
                    place,
                })
            }
            "BlockRemoved" => Event::Removed { hashes: hashes?, place },
            "AllBlocksCleared" => Event::Cleared,
            _ => return Ok(None),
        }))
    }
}

/// The byte for nothing.
const NIL: &[u8] = &[0xc0];

/// One salt per block of `blocks`, or none at all where no block has one.
fn salts(whole: u64, each: Vec<u64>, blocks: usize) -> Vec<u64> {
    if whole == 0 && each.iter().all(|salt| *salt == 0) {
        return Vec::new();
    }
    (0..blocks).map(|at| each.get(at).copied().unwrap_or(0) ^ whole.rotate_left(7)).collect()
}

#[cfg(test)]
mod tests;
