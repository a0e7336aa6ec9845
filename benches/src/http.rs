//! A client that costs little: connections that are kept, requests that are
//! written once, answers of which only status and length are looked at.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// One connection to a server, kept.
pub struct Line {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// Where nobody listens.
    pub fn open(address: SocketAddr) -> std::io::Result<Line> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Line { stream, answer: Vec::new() })
    }

    /// Sends a request; gives the whole answer, head and body.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub fn ask(&mut self, request: &[u8]) -> std::io::Result<&[u8]> {
        self.stream.write_all(request)?;
        self.answer.clear();
        let mut buffer = [0; 16 << 10];
        loop {
            let got = self.stream.read(&mut buffer)?;
            self.answer.extend_from_slice(&buffer[..got]);
            if got == 0 || whole(&self.answer).is_some_and(|length| self.answer.len() >= length) {
                return Ok(&self.answer);
            }
        }
    }

    /// Reads an answer that is as long as `answer` has room for.
    fn read(&mut self) -> std::io::Result<()> {
        self.stream.read_exact(&mut self.answer)?;
        match self.answer.starts_with(b"HTTP/1.1 200") {
            true => Ok(()),
            false => Err(std::io::Error::other("an answer was no success")),
        }
    }
}

/// A GET of `path` with these further header lines, as it goes over the wire.
pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: application/json\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// [`Line::ask`] over a connection of its own.
///
/// # Errors
/// As [`Line::open`] and [`Line::ask`].
pub fn once(address: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    Ok(Line::open(address)?.ask(request)?.to_vec())
}

/// How long an answer is, once its head has arrived.
fn whole(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..end]).ok()?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    Some(end + length.trim().parse::<usize>().ok()?)
}

/// The body of an answer.
pub fn body(answer: &[u8]) -> &[u8] {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    &answer[end..]
}

/// Answers a second over so many kept connections. Every answer must be a 200
/// and as long as the first one.
///
/// # Errors
/// Where a connection breaks or an answer is another one.
pub fn hammer(address: SocketAddr, request: &[u8], connections: usize, span: Duration) -> std::io::Result<f64> {
    let length = once(address, request)?.len();
    let threads = connections.min(2);
    let began = Instant::now();
    let answered: std::io::Result<u64> = std::thread::scope(|scope| {
        let share = |thread: usize| connections / threads + usize::from(thread < connections % threads);
        let workers: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || waves(address, request, share(thread), length, span)))
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))).sum()
    });
    Ok(answered? as f64 / began.elapsed().as_secs_f64())
}

/// Asks on every connection, then reads every answer, again and again.
fn waves(address: SocketAddr, request: &[u8], lines: usize, length: usize, span: Duration) -> std::io::Result<u64> {
    let open = |_| Line::open(address).map(|line| Line { answer: vec![0; length], ..line });
    let mut lines: Vec<Line> = (0..lines).map(open).collect::<std::io::Result<_>>()?;
    let (began, mut answered) = (Instant::now(), 0);
    while began.elapsed() < span {
        lines.iter_mut().try_for_each(|line| line.stream.write_all(request))?;
        lines.iter_mut().try_for_each(Line::read)?;
        answered += lines.len() as u64;
    }
    Ok(answered)
}
