//! One JSON object per line, with a bound on the length of a line.

use std::io::{self, BufRead, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest line that a side accepts, in bytes. A status of ten thousand versions fits; a peer that sends an
/// endless line costs no more memory than this.
pub const MAX_LINE: u64 = 16 << 20;

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The socket failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The line is longer than [`MAX_LINE`].
    #[error("the peer sent a line of more than {MAX_LINE} bytes")]
    TooLong,
    /// The line is no message of this protocol.
    #[error("the peer sent something that is no plugind message")]
    Malformed(#[from] serde_json::Error),
}

/// Writes one message and its newline in one go.
///
/// # Errors
///
/// `InvalidInput` if the message cannot be JSON, such as one with a path that is not UTF-8: nothing was written then.
pub fn write<T: Serialize>(mut to: impl Write, message: &T) -> io::Result<()> {
    let line = serde_json::to_vec(message);
    let mut line = line.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Reads one message; `None` at a clean end of the stream.
pub fn read<T: DeserializeOwned>(mut from: impl BufRead) -> Result<Option<T>, ReadError> {
    let mut line = Vec::new();
    let mut limited = io::Read::take(&mut from, MAX_LINE);
    limited.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return if line.len() as u64 == MAX_LINE {
            Err(ReadError::TooLong)
        } else {
            // The peer went away in the middle of a line.
            Ok(None)
        };
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ToEngine;

    #[test]
    fn unknown_fields_are_ignored_and_a_cut_line_is_the_end() {
        let mut input: &[u8] = b"{\"type\":\"subscribe\",\"later\":1}\n{\"type\":\"subs";
        assert_eq!(
            read::<ToEngine>(&mut input).unwrap(),
            Some(ToEngine::Subscribe)
        );
        assert_eq!(read::<ToEngine>(&mut input).unwrap(), None);
    }

    #[test]
    fn garbage_is_an_error_with_a_cause() {
        let mut input: &[u8] = b"hello\n";
        assert!(matches!(
            read::<ToEngine>(&mut input),
            Err(ReadError::Malformed(_))
        ));
    }

    #[test]
    fn an_endless_line_costs_no_more_than_the_bound() {
        let endless = io::BufReader::new(io::repeat(b'a'));
        assert!(matches!(read::<ToEngine>(endless), Err(ReadError::TooLong)));
    }
}
