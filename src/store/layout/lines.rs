//! Compressed lines: packing them into a blob that `zstdcat` can read, and taking them out again.

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe,
};

use super::{
    places::{Place, Places},
    spans::Span,
};
use crate::store::StoreError;

/// No blob is larger than this when it is unpacked: what claims to be is damaged.
const UNPACKED_MAX: u64 = 1 << 31;

/// A compression context and a buffer that are used again and again: a blob is a small part of the
/// room that its compression asks for.
pub(in crate::store) struct Packer {
    compressor: Compressor<'static>,
    buffer: Vec<u8>,
}

impl Packer {
    /// A context for this zstd level.
    pub(in crate::store) fn new(level: i32) -> Result<Self, StoreError> {
        let compressor = Compressor::new(level);
        let compressor = compressor.map_err(|error| StoreError::failed("written", error))?;
        Ok(Self {
            compressor,
            buffer: Vec::new(),
        })
    }

    /// Compresses lines that each end with a line feed, or index entries; nothing becomes nothing.
    pub(in crate::store) fn pack(&mut self, lines: &[u8]) -> Result<Vec<u8>, StoreError> {
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        self.buffer.clear();
        self.buffer.reserve(zstd_safe::compress_bound(lines.len()));
        let packed = self.compressor.compress_to_buffer(lines, &mut self.buffer);
        packed.map_err(|error| StoreError::failed("written", error))?;
        Ok(self.buffer.clone())
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

/// A decompression context that is used again and again.
pub(in crate::store) struct Unpacker(Decompressor<'static>);

impl Unpacker {
    /// A context.
    pub(in crate::store) fn new() -> Result<Self, StoreError> {
        let decompressor = Decompressor::new();
        Ok(Self(
            decompressor.map_err(|error| StoreError::failed("read", error))?,
        ))
    }

    /// Takes `count` lines out of a blob; says what is wrong with it if that cannot be.
    pub(in crate::store) fn unpack(&mut self, blob: &[u8], count: u32) -> Result<Lines, String> {
        let bytes = self.unpack_bytes(blob)?;
        let mut ends = Vec::with_capacity(count as usize);
        for end in memchr::memchr_iter(b'\n', &bytes) {
            ends.push(u32::try_from(end).map_err(|error| error.to_string())?);
        }
        let whole = ends.last().map_or(0, |&end| end as usize + 1) == bytes.len();
        if whole && ends.len() == count as usize {
            Ok(Lines { bytes, ends })
        } else {
            Err(format!("{} lines are there instead of {count}", ends.len()))
        }
    }

    /// The bytes of a blob; says what is wrong with it if that cannot be.
    pub(in crate::store) fn unpack_bytes(&mut self, blob: &[u8]) -> Result<Vec<u8>, String> {
        if blob.is_empty() {
            return Ok(Vec::new());
        }
        let size = unpacked_bytes(blob);
        if size > UNPACKED_MAX {
            return Err("what is compressed has no valid size".to_owned());
        }
        let size = usize::try_from(size).map_err(|error| error.to_string())?;
        let unpacked = self.0.decompress(blob, size);
        unpacked.map_err(|error| format!("what is compressed cannot be read: {error}"))
    }
}

/// How large a blob says it is when it is unpacked; beyond all limits if it does not say.
pub(in crate::store) fn unpacked_bytes(blob: &[u8]) -> u64 {
    if blob.is_empty() {
        return 0;
    }
    let size = zstd_safe::get_frame_content_size(blob);
    size.ok().flatten().unwrap_or(u64::MAX)
}

/// Lines that were unpacked.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Lines {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Lines {
    /// The line of this index, without its line feed.
    pub(in crate::store) fn get(&self, index: u32) -> Option<&[u8]> {
        let index = index as usize;
        let end = *self.ends.get(index)? as usize;
        let start = match index.checked_sub(1) {
            Some(before) => self.ends[before] as usize + 1,
            None => 0,
        };
        Some(&self.bytes[start..end])
    }

    /// All of them, each with its line feed.
    pub(in crate::store) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The lines of one kind of a row, held in memory.
#[derive(Debug)]
pub(in crate::store) struct HeldLines {
    first_position: u64,
    places: Places,
    lines: Lines,
}

impl HeldLines {
    /// The lines of one kind, with the places of their row.
    pub(in crate::store) fn new(first_position: u64, places: Places, lines: Lines) -> Self {
        Self {
            first_position,
            places,
            lines,
        }
    }

    /// The line at a position of the row, which must be of this kind.
    pub(in crate::store) fn get(&self, position: u64) -> Option<&[u8]> {
        let offset = position.checked_sub(self.first_position)?;
        match self.places.place(u32::try_from(offset).ok()?)? {
            Place::Seated(index) | Place::Unseated(index) => self.lines.get(index),
        }
    }
}

impl Span for HeldLines {
    fn first_position(&self) -> u64 {
        self.first_position
    }

    fn count(&self) -> u64 {
        u64::from(self.places.count())
    }

    fn bytes(&self) -> usize {
        self.places.bytes() + self.lines.bytes.len() + self.lines.ends.len() * 4
    }
}
