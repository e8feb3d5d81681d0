//! Bounds: every range of an image is checked here before it is looked at.

use object::pod::{self, Pod};

use super::{Answer, ElfError};

/// The bytes at `offset`, or what ends beyond the end of `bytes`.
pub(super) fn slice<'a>(
    bytes: &'a [u8],
    table: &'static str,
    at: u64,
    size: u64,
) -> Answer<&'a [u8]> {
    let (end, len) = (at.saturating_add(size), bytes.len() as u64);
    if end > len {
        return Err(ElfError::Truncated { table, end, len });
    }
    Ok(&bytes[at as usize..end as usize])
}

/// The first bytes of what is loaded.
pub(super) fn start(loaded: &[u8], size: u64) -> Answer<&[u8]> {
    let start = usize::try_from(size)
        .ok()
        .and_then(|size| loaded.get(..size));
    start.ok_or(ElfError::Malformed(
        "a dynamic table ends beyond its segment",
    ))
}

pub(super) fn array<'a, T: Pod>(
    bytes: &'a [u8],
    table: &'static str,
    at: u64,
    size: u64,
) -> Answer<&'a [T]> {
    cast(slice(bytes, table, at, size)?)
}

pub(super) fn cast<T: Pod>(bytes: &[u8]) -> Answer<&[T]> {
    pod::slice_from_all_bytes(bytes).map_err(|()| ElfError::Malformed("a table is not aligned"))
}

pub(super) fn malformed<T>(what: &'static str) -> Answer<T> {
    Err(ElfError::Malformed(what))
}

pub(super) fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
