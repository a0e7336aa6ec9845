//! A stream with an end of its own: pieces with their lengths before them, then an empty piece.
//! A pipe that just closes, because its writer died, is thereby told from one that is complete.

use std::io::{self, Read, Write};

/// Largest piece, in bytes.
const PIECE_MAX: usize = 1 << 20;

/// Sends all of `from` in pieces and says that it is complete.
pub(crate) fn send(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE_MAX];
    loop {
        let length = match from.read(&mut piece) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let header = u32::try_from(length).map_err(io::Error::other)?;
        to.write_all(&header.to_be_bytes())?;
        to.write_all(piece.get(..length).unwrap_or_default())?;
        if length == 0 {
            return to.flush();
        }
    }
}

/// Reads what [`send`] sent; an end before the end is `UnexpectedEof`.
#[derive(Debug)]
pub(crate) struct Receive<R> {
    from: R,
    left: usize,
    complete: bool,
}

impl<R: Read> Receive<R> {
    pub(crate) fn new(from: R) -> Self {
        Receive { from, left: 0, complete: false }
    }
}

impl<R: Read> Read for Receive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.complete {
            return Ok(0);
        }
        if self.left == 0 {
            let mut header = [0; 4];
            self.from.read_exact(&mut header)?;
            self.left = u32::from_be_bytes(header) as usize;
            if self.left > PIECE_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a piece is larger than any may be"));
            }
            if self.left == 0 {
                self.complete = true;
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.left);
        let room = buffer.get_mut(..length).unwrap_or_default();
        let read = self.from.read(room)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_sent_arrives(data in proptest::collection::vec(any::<u8>(), 0..5_000)) {
            let mut sent = Vec::new();
            send(data.as_slice(), &mut sent).unwrap();
            let mut got = Vec::new();
            Receive::new(sent.as_slice()).read_to_end(&mut got).unwrap();
            prop_assert_eq!(got, data);
        }

        #[test]
        fn a_stream_cut_anywhere_is_not_complete(data in proptest::collection::vec(any::<u8>(), 0..500), at in any::<prop::sample::Index>()) {
            let mut sent = Vec::new();
            send(data.as_slice(), &mut sent).unwrap();
            let cut = &sent[..at.index(sent.len())];
            let error = Receive::new(cut).read_to_end(&mut Vec::new()).unwrap_err();
            prop_assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
