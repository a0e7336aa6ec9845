//! A file as an answer: to be saved, never to be shown.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use base::{Error, Result};
use tokio::io::AsyncReadExt as _;

/// How much is read at a time.
const CHUNK: usize = 256 << 10;
/// Longest name that is given to a file, in bytes.
const NAME_MAX: usize = 200;

/// A file of so many bytes under a name. Whatever is in it, a browser saves it and runs nothing of it.
///
/// # Errors
/// None in practice: names are written so that a header can carry them.
pub fn attachment(name: &str, bytes: u64, file: std::fs::File) -> Result<Response> {
    let file = tokio::fs::File::from_std(file);
    let chunks = futures_util::stream::try_unfold((file, bytes), |(mut file, left)| async move {
        let mut chunk = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
        if chunk.is_empty() {
            return Ok::<_, std::io::Error>(None);
        }
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        chunk.truncate(read);
        Ok(Some((Bytes::from(chunk), (file, left - read as u64))))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let named = HeaderValue::try_from(disposition(name))
        .map_err(|e| Error::bug("attachment.name", "a file's name cannot be written").because(e))?;
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    head.insert(header::CONTENT_LENGTH, bytes.into());
    head.insert(header::CONTENT_DISPOSITION, named);
    head.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    head.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// How the file is to be saved (RFC 6266): a plain name for whoever reads no other, and the whole one.
fn disposition(name: &str) -> String {
    let mut end = name.len().min(NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = name.get(..end).unwrap_or_default().trim_matches(['.', ' ']);
    let name = if name.is_empty() { "file" } else { name };
    let plain = |one: char| if one.is_ascii_alphanumeric() || " .-_()+,@=".contains(one) { one } else { '_' };
    let plain: String = name.chars().map(plain).collect();
    let whole = name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    });
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}")
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn a_name_is_one_name_whatever_is_in_it() {
        for (name, wanted) in [
            ("fstab", "attachment; filename=\"fstab\"; filename*=UTF-8''fstab"),
            (
                "a\";x=\"b\r\nSet-Cookie: y",
                "attachment; filename=\"a__x=_b__Set-Cookie_ y\"; filename*=UTF-8''a%22%3Bx%3D%22b%0D%0ASet-Cookie%3A%20y",
            ),
            ("備份.txt", "attachment; filename=\"__.txt\"; filename*=UTF-8''%E5%82%99%E4%BB%BD.txt"),
            ("../..", "attachment; filename=\"_\"; filename*=UTF-8''%2F"),
            ("", "attachment; filename=\"file\"; filename*=UTF-8''file"),
        ] {
            assert_eq!(disposition(name), wanted, "{name:?}");
        }
        assert!(disposition(&"名".repeat(500)).len() < 1_000);
    }
}
