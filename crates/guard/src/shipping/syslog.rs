//! Syslog (RFC 5424) over TLS with octet counting (RFC 5425): an entry or a signed head in each message, as
//! JSON in ASCII, so that what the other side keeps in its file can be held against the log.
//!
//! Syslog has no receipts. We end the connection in order and wait for the other side to end it too: what
//! it had not read by then it would answer with a reset. Every piece ends with the newest signed head, so
//! that a message lost over there shows when its file is held against the log.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use base::time::{Timestamp, from_micros};
use base::{Error, Result};
use gate::audit::Shipment;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

/// How long a connection, and each step of the exchange, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long we wait for the other side's end of the connection.
const FAREWELL: Duration = Duration::from_secs(3);
/// Facility "log audit" (13), severity informational (6).
const ENTRY: u8 = 13 * 8 + 6;
/// Facility "log audit" (13), severity notice (5).
const CHECKPOINT: u8 = 13 * 8 + 5;

fn unsent(address: &str, e: &dyn std::fmt::Display) -> Error {
    Error::unavailable("shipping.syslog", format!("the syslog server {address} cannot be sent to: {e}"))
}

/// Host and port of an address.
///
/// # Errors
/// `Invalid` (`auditPlace.address`).
pub(super) fn parts(address: &str) -> Result<(&str, u16)> {
    let wrong = || {
        Error::invalid("auditPlace.address", "a syslog server is named by host and port: log.example.com:6514")
            .at("target.address")
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    ServerName::try_from(host).map_err(|_| wrong())?;
    Ok((host, port))
}

/// What trusts one authority (PEM).
///
/// # Errors
/// `Invalid` (`auditPlace.authority`).
pub(super) fn trusting(authority: &str) -> Result<Arc<ClientConfig>> {
    let wrong =
        || Error::invalid("auditPlace.authority", "the authority is a certificate in PEM form").at("target.authority");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate.map_err(|_| wrong())?).map_err(|_| wrong())?;
    }
    if roots.is_empty() {
        return Err(wrong());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::bug("shipping.tls", "TLS has no versions").because(e))?;
    Ok(Arc::new(versions.with_root_certificates(roots).with_no_client_auth()))
}

pub(super) fn send(address: &str, authority: &str, piece: &Shipment, now: Timestamp) -> Result<()> {
    let (host, port) = parts(address)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|e| unsent(address, &e))?;
    let connection = ClientConnection::new(trusting(authority)?, name).map_err(|e| unsent(address, &e))?;
    let socket = connect(host, port).map_err(|e| unsent(address, &e))?;
    let mut stream = StreamOwned::new(connection, socket);
    exchange(&mut stream, piece, now).map_err(|e| unsent(address, &e))
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for at in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&at, PATIENCE) {
            Ok(socket) => {
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                return Ok(socket);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn exchange(stream: &mut Stream, piece: &Shipment, now: Timestamp) -> io::Result<()> {
    let host = hostname();
    let mut out = io::BufWriter::with_capacity(16 << 10, &mut *stream);
    for (index, leaf) in (piece.from..).zip(&piece.leaves) {
        let said = json!({ "index": index, "leaf": leaf }).to_string();
        out.write_all(&frame(ENTRY, at(leaf).unwrap_or(now), &host, "entry", &said))?;
    }
    let said = json!({ "checkpoint": piece.note }).to_string();
    out.write_all(&frame(CHECKPOINT, now, &host, "checkpoint", &said))?;
    out.flush()?;
    drop(out);
    farewell(stream)
}

/// Ends the connection in order, and hears whether the other side was there until its end.
fn farewell(stream: &mut Stream) -> io::Result<()> {
    stream.conn.send_close_notify();
    stream.flush()?;
    stream.sock.shutdown(std::net::Shutdown::Write)?;
    stream.sock.set_read_timeout(Some(FAREWELL))?;
    let mut ignored = [0; 1 << 10];
    loop {
        match stream.read(&mut ignored) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) => match e.kind() {
                // It ended without its own farewell, or keeps the connection open: both do, and have read.
                io::ErrorKind::UnexpectedEof | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(()),
                _ => return Err(e),
            },
        }
    }
}

/// When an entry was made.
fn at(leaf: &str) -> Option<Timestamp> {
    let read: serde_json::Value = serde_json::from_str(leaf).ok()?;
    from_micros(read["at"].as_i64()?).ok()
}

fn hostname() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = read.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// A message with its length before it.
fn frame(priority: u8, at: Timestamp, host: &str, kind: &str, json: &str) -> Vec<u8> {
    let (process, said) = (std::process::id(), ascii(json));
    let at = at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    let message = format!("<{priority}>1 {at} {host} yunwei {process} {kind} - {said}");
    format!("{} {message}", message.len()).into_bytes()
}

/// JSON with nothing but ASCII in it: characters outside stand in strings, where they can be escaped.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_as_rfc_5424_and_5425_have_it() {
        let at = "2026-11-23T12:34:56.789Z".parse().unwrap();
        let frame = String::from_utf8(frame(ENTRY, at, "host", "entry", r#"{"leaf":"陳𠀋"}"#)).unwrap();
        let (length, message) = frame.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), message.len());
        let start = format!("<110>1 2026-11-23T12:34:56.789000Z host yunwei {} entry - ", std::process::id());
        let json = message.strip_prefix(&start).unwrap_or_else(|| panic!("{message}"));
        assert_eq!(json, r#"{"leaf":"\u9673\ud840\udc0b"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap()["leaf"], "陳𠀋");
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(parts("log.example.com:6514").unwrap(), ("log.example.com", 6514));
        assert_eq!(parts("[2001:db8::1]:6514").unwrap(), ("2001:db8::1", 6514));
        for wrong in ["log.example.com", ":6514", "host:0", "host:x", "a b:1"] {
            assert_eq!(parts(wrong).unwrap_err().code(), "auditPlace.address", "{wrong}");
        }
        assert_eq!(trusting("no certificate").unwrap_err().code(), "auditPlace.authority");
    }
}
