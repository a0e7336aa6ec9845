//! Texts that people type. Pure.

use base::{Error, Result, limits};

/// Longest text of several lines, in bytes.
pub const PROSE_BYTES_MAX: usize = 20_000;

fn refused(code: &'static str, message: impl Into<String>, at: &str) -> Error {
    Error::invalid(code, message.into()).at(at.to_owned())
}

/// One line, trimmed; may be empty.
///
/// # Errors
/// `Invalid` naming the attribute.
pub fn line(text: &str, at: &str) -> Result<String> {
    let text = text.trim();
    if text.len() > limits::TEXT_INDEXED_MAX {
        return Err(refused("text.too_long", format!("at most {} bytes fit here", limits::TEXT_INDEXED_MAX), at));
    }
    if text.chars().any(char::is_control) {
        return Err(refused("text.control", "control characters and line breaks do not belong here", at));
    }
    Ok(text.to_owned())
}

/// One line that must say something.
///
/// # Errors
/// As [`line`], and where there is nothing.
pub fn named(text: &str, at: &str) -> Result<String> {
    let text = line(text, at)?;
    if text.is_empty() {
        return Err(refused("text.empty", "something must be said here", at));
    }
    Ok(text)
}

/// Several lines; may be empty. Ends of lines become one sort.
///
/// # Errors
/// `Invalid` naming the attribute.
pub fn prose(text: &str, at: &str) -> Result<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.trim();
    if text.len() > PROSE_BYTES_MAX {
        return Err(refused("text.too_long", format!("at most {PROSE_BYTES_MAX} bytes fit here"), at));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(refused("text.control", "control characters do not belong here", at));
    }
    Ok(text.to_owned())
}

/// Several lines that must say something.
///
/// # Errors
/// As [`prose`], and where there is nothing.
pub fn told(text: &str, at: &str) -> Result<String> {
    let text = prose(text, at)?;
    if text.is_empty() {
        return Err(refused("text.empty", "something must be said here", at));
    }
    Ok(text)
}
