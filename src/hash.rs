//! Block hashes as real engines and routers compute them, from token ids.
//!
//! The simulation needs none of these: its blocks have the chained keys of [`crate::prompt`]. They are
//! for talking to others: to know a block again in the KV events of a vLLM server, or to ask a Dynamo
//! index about a prompt.
//!
//! - **Dynamo** ([`dynamo_blocks`]): XXH3-64 with a seed over the little-endian token ids of one full
//!   block (local hash), chained by the same function over (hash before, local hash).
//! - **vLLM** ([`VllmAlgorithm`]): SHA-256 over an encoding of (parent's 32 bytes, token ids, nothing),
//!   as `--prefix-caching-hash-algo` says; events carry the last 64 bits.
//!
//! Sources: `shared/reference/dynamo.md` §1.4, `shared/reference/vllm.md`; the pickle opcodes:
//! CPython's `Modules/_pickle.c`; canonical CBOR: RFC 8949 §4.2.

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Dynamo's seed where neither an adapter nor a cache namespace changes it.
pub const DYNAMO_SEED: u64 = 1337;

/// What Dynamo calls one full block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DynamoBlock {
    /// Hash of the block's own tokens (`tokens_hash`).
    pub local: u64,
    /// Hash of everything up to the end of the block (`block_hash`).
    pub sequence: u64,
}

/// The full blocks of `tokens`, in order; `block_tokens` is at least 1.
pub fn dynamo_blocks(tokens: &[u32], block_tokens: u32) -> Vec<DynamoBlock> {
    let mut parent = None;
    let block = |tokens: &[u32]| {
        let local = dynamo_local(tokens);
        let sequence = dynamo_sequence(parent, local);
        parent = Some(sequence);
        DynamoBlock { local, sequence }
    };
    tokens.chunks_exact(block_tokens as usize).map(block).collect()
}

/// Dynamo's hash of the tokens of one full block.
pub fn dynamo_local(tokens: &[u32]) -> u64 {
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    xxh3_64_with_seed(&bytes, DYNAMO_SEED)
}

/// Dynamo's hash of a prefix: that of all blocks but the last (`None` where the last is the first),
/// continued by the last one's local hash.
pub fn dynamo_sequence(parent: Option<u64>, local: u64) -> u64 {
    let Some(parent) = parent else {
        return local;
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&parent.to_le_bytes());
    bytes[8..].copy_from_slice(&local.to_le_bytes());
    xxh3_64_with_seed(&bytes, DYNAMO_SEED)
}

/// vLLM's hash of a prefix of full blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VllmHash(pub [u8; 32]);

impl VllmHash {
    /// What KV events carry by default: the last eight bytes as a big-endian number.
    pub fn low64(&self) -> u64 {
        self.0[24..].iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }
}

/// vLLM's `--prefix-caching-hash-algo`, as far as hashes do not depend on the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VllmAlgorithm {
    /// `sha256`, the default: over Python's pickle, protocol 5.
    Sha256,
    /// `sha256_cbor`: over canonical CBOR.
    Sha256Cbor,
}

impl VllmAlgorithm {
    /// The parent of first blocks. `seed` is the server's `PYTHONHASHSEED`, or `vllm-none-hash`
    /// where that is not set.
    pub fn root(self, seed: &str) -> VllmHash {
        digest(&match self {
            VllmAlgorithm::Sha256 => pickled_text(seed),
            VllmAlgorithm::Sha256Cbor => cbor_text(seed),
        })
    }

    /// The hash of the block of `tokens` that follows `parent`.
    pub fn block(self, parent: &VllmHash, tokens: &[u32]) -> VllmHash {
        digest(&match self {
            VllmAlgorithm::Sha256 => pickled_block(&parent.0, tokens),
            VllmAlgorithm::Sha256Cbor => cbor_block(&parent.0, tokens),
        })
    }

    /// The full blocks of `tokens` after `root`, in order; `block_tokens` is at least 1.
    pub fn blocks(self, root: VllmHash, tokens: &[u32], block_tokens: u32) -> Vec<VllmHash> {
        let mut last = root;
        let block = |tokens: &[u32]| {
            last = self.block(&last, tokens);
            last
        };
        tokens.chunks_exact(block_tokens as usize).map(block).collect()
    }
}

fn digest(bytes: &[u8]) -> VllmHash {
    VllmHash(Sha256::digest(bytes).into())
}

/// A frame of a pickle is closed before the next object once it holds this many bytes.
const FRAME_TARGET: usize = 64 * 1024;

/// Opcode and length of a frame.
const FRAME_HEADER: usize = 9;

const MEMOIZE: u8 = 0x94;
const STOP: u8 = b'.';
const NONE: u8 = b'N';
const MARK: u8 = b'(';
const TUPLE3: u8 = 0x87;

/// What `pickle.dumps(..., 5)` writes.
struct Pickle {
    out: Vec<u8>,
    /// Where the present frame begins.
    frame: usize,
}

impl Pickle {
    fn new(capacity: usize) -> Pickle {
        let mut out = Vec::with_capacity(capacity);
        out.extend([0x80, 5]);
        let mut pickle = Pickle { out, frame: 0 };
        pickle.open_frame();
        pickle
    }

    fn open_frame(&mut self) {
        self.frame = self.out.len();
        self.out.extend([0x95, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    fn close_frame(&mut self) {
        let begin = self.frame + FRAME_HEADER;
        let length = (self.out.len() - begin) as u64;
        self.out[self.frame + 1..begin].copy_from_slice(&length.to_le_bytes());
    }

    /// An object begins.
    fn object(&mut self) {
        if self.out.len() - self.frame - FRAME_HEADER >= FRAME_TARGET {
            self.close_frame();
            self.open_frame();
        }
    }

    fn int(&mut self, value: u32) {
        self.object();
        let bytes = value.to_le_bytes();
        match value {
            0..=0xff => self.out.extend([b'K', bytes[0]]),
            0x100..=0xffff => self.out.extend([b'M', bytes[0], bytes[1]]),
            0x1_0000..=0x7fff_ffff => {
                self.out.push(b'J');
                self.out.extend(bytes);
            }
            // Signed numbers of 32 bits end here: five bytes, the last for the sign.
            _ => {
                self.out.extend([0x8a, 5]);
                self.out.extend(bytes);
                self.out.push(0);
            }
        }
    }

    fn tuple(&mut self, values: &[u32]) {
        self.object();
        if values.is_empty() {
            // The empty tuple is not remembered.
            self.out.push(b')');
            return;
        }
        if values.len() > 3 {
            self.out.push(MARK);
        }
        values.iter().for_each(|value| self.int(*value));
        let end = match values.len() {
            1 => 0x85,
            2 => 0x86,
            3 => TUPLE3,
            _ => b't',
        };
        self.out.extend([end, MEMOIZE]);
    }

    fn finish(mut self) -> Vec<u8> {
        self.out.push(STOP);
        self.close_frame();
        self.out
    }
}

/// `pickle.dumps(text, 5)`, for texts that fit a frame.
fn pickled_text(text: &str) -> Vec<u8> {
    let mut pickle = Pickle::new(text.len() + 24);
    match u8::try_from(text.len()) {
        Ok(length) => pickle.out.extend([0x8c, length]),
        Err(_) => {
            pickle.out.push(b'X');
            pickle.out.extend((text.len() as u32).to_le_bytes());
        }
    }
    pickle.out.extend(text.as_bytes());
    pickle.out.push(MEMOIZE);
    pickle.finish()
}

/// `pickle.dumps((parent, tuple(tokens), None), 5)`.
fn pickled_block(parent: &[u8; 32], tokens: &[u32]) -> Vec<u8> {
    let mut pickle = Pickle::new(64 + 5 * tokens.len());
    pickle.out.extend([b'C', 32]);
    pickle.out.extend(parent);
    pickle.out.push(MEMOIZE);
    pickle.tuple(tokens);
    pickle.object();
    pickle.out.extend([NONE, TUPLE3, MEMOIZE]);
    pickle.finish()
}

/// Major types of CBOR, in place.
const UNSIGNED: u8 = 0;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const ARRAY: u8 = 4 << 5;
const NULL: u8 = 0xf6;

/// The head of an item: its type and a number in the shortest form.
fn cbor_head(out: &mut Vec<u8>, major: u8, value: u32) {
    let bytes = value.to_be_bytes();
    match value {
        0..=23 => out.push(major | bytes[3]),
        24..=0xff => out.extend([major | 24, bytes[3]]),
        0x100..=0xffff => out.extend([major | 25, bytes[2], bytes[3]]),
        _ => {
            out.push(major | 26);
            out.extend(bytes);
        }
    }
}

fn cbor_text(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 5);
    cbor_head(&mut out, TEXT, text.len() as u32);
    out.extend(text.as_bytes());
    out
}

/// `[parent, [tokens...], null]`.
fn cbor_block(parent: &[u8; 32], tokens: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(48 + 3 * tokens.len());
    cbor_head(&mut out, ARRAY, 3);
    cbor_head(&mut out, BYTES, 32);
    out.extend(parent);
    cbor_head(&mut out, ARRAY, tokens.len() as u32);
    tokens.iter().for_each(|token| cbor_head(&mut out, UNSIGNED, *token));
    out.push(NULL);
    out
}

#[cfg(test)]
mod tests;
