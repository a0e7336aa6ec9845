//! What comes in: media types, bodies, conditions. Everything is bounded.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base::{Error, limits};
use futures_util::StreamExt as _;
use serde_json::{Map, Value as Json};

use crate::reply::Refusal;

/// Media types of a plain document.
pub(crate) const JSON: &[&str] = &["application/json"];
/// Media types of a change.
pub(crate) const PATCH: &[&str] = &["application/merge-patch+json", "application/json"];

/// Reads a JSON object of one of the `accepted` media types.
pub(crate) async fn object(headers: &HeaderMap, body: Body, accepted: &[&str]) -> Result<Map<String, Json>, Refusal> {
    expect_type(headers, accepted)?;
    let bytes = bytes(headers, body).await?;
    match parse(&bytes)? {
        Json::Object(object) => Ok(object),
        _ => Err(Error::invalid("body.not_object", "the body must be a JSON object").into()),
    }
}

/// [`object`], or an empty one where no body came.
pub(crate) async fn object_or_nothing(
    headers: &HeaderMap,
    body: Body,
    accepted: &[&str],
) -> Result<Map<String, Json>, Refusal> {
    let length = headers.get(header::CONTENT_LENGTH).map(|v| v.as_bytes() == b"0");
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    if length.unwrap_or(!chunked && !headers.contains_key(header::CONTENT_TYPE)) {
        return Ok(Map::new());
    }
    object(headers, body, accepted).await
}

fn expect_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Refusal> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let mut words = sent.split(';').map(str::trim);
    let media = words.next().unwrap_or("").to_ascii_lowercase();
    let utf8 = words.filter_map(|word| word.split_once('=')).all(|(name, value)| {
        !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    if accepted.contains(&media.as_str()) && utf8 {
        return Ok(());
    }
    let refusal = Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "body.media_type",
        format!("the body must be {} in UTF-8, and Content-Type must say so", accepted.join(" or ")),
    );
    Err(if accepted == PATCH {
        refusal.with(header::HeaderName::from_static("accept-patch"), &PATCH.join(", "))
    } else {
        refusal
    })
}

/// Reads the body. Of one that is too large the rest is read and thrown away,
/// within a bound: most callers hear an answer only when they have sent all.
async fn bytes(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    // Whoever asks first has sent nothing yet.
    let most = if headers.contains_key(header::EXPECT) { limits::BODY_BYTES_MAX } else { limits::BODY_DISCARDED_MAX };
    if announced.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let (mut kept, mut seen) = (Vec::new(), 0usize);
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Error::invalid("body.unreadable", "the body broke off"))?;
        seen = seen.saturating_add(chunk.len());
        if seen > most {
            return Err(too_large());
        }
        if seen <= limits::BODY_BYTES_MAX {
            kept.extend_from_slice(&chunk);
        }
    }
    if seen > limits::BODY_BYTES_MAX { Err(too_large()) } else { Ok(kept) }
}

fn too_large() -> Refusal {
    let message = format!("the body is larger than {} KiB", limits::BODY_BYTES_MAX / 1024);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body.too_large", message)
}

fn parse(bytes: &[u8]) -> Result<Json, Error> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Error::invalid("body.not_utf8", format!("the body is not UTF-8 at byte {}", e.valid_up_to())))?;
    let json = serde_json::from_str(text).map_err(|e| {
        if e.to_string().starts_with("recursion limit") {
            return Error::invalid(
                "document.too_deep",
                format!("the document is nested more than {} deep", limits::JSON_DEPTH_MAX),
            );
        }
        Error::invalid("body.not_json", format!("the body is not JSON: {e}"))
    })?;
    gate::shape::check_depth(&json)?;
    forbid_zero(&json)?;
    Ok(json)
}

/// PostgreSQL cannot store U+0000 in text, so nobody may send it.
fn forbid_zero(json: &Json) -> Result<(), Error> {
    match json {
        Json::String(text) if text.contains('\0') => {
            Err(Error::invalid("text.nul", "text must not contain the character U+0000"))
        }
        Json::Array(entries) => entries.iter().try_for_each(forbid_zero),
        Json::Object(body) => body.iter().try_for_each(|(name, value)| {
            if name.contains('\0') {
                return Err(Error::invalid("text.nul", "a name must not contain the character U+0000"));
            }
            forbid_zero(value)
        }),
        _ => Ok(()),
    }
}

/// Refuses a caller who does not take JSON.
pub(crate) fn expect_json_wanted(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut asked = false;
    for line in headers.get_all(header::ACCEPT) {
        for range in line.to_str().unwrap_or("").split(',') {
            let mut words = range.split(';').map(str::trim);
            let media = words.next().unwrap_or("").to_ascii_lowercase();
            let none =
                words.any(|word| word.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0)));
            let ours = matches!(media.as_str(), "" | "*/*" | "application/*" | "application/json")
                || media.starts_with("application/json");
            if ours && !none {
                return Ok(());
            }
            asked = true;
        }
    }
    if asked {
        return Err(Refusal::new(
            StatusCode::NOT_ACCEPTABLE,
            "accept.not_json",
            "answers are application/json, which Accept does not allow",
        ));
    }
    Ok(())
}

/// Says the entity tag of a revision; nothing for 0, which is none.
pub(crate) fn tag(headers: &mut HeaderMap, revision: i64) {
    if revision > 0
        && let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\""))
    {
        headers.insert(header::ETAG, tag);
    }
}

/// The revision that `If-Match` names; none where it is absent, or `*`. A tag
/// that is none of ours matches no revision: not 0 either, which some things
/// have of which nothing was said yet.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Error> {
    let mut lines = headers.get_all(header::IF_MATCH).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let text = line.to_str().unwrap_or("").trim();
    if lines.next().is_some() || text.contains(',') {
        return Err(Error::invalid("if_match.several", "If-Match must name one revision").at("If-Match"));
    }
    Ok(if text == "*" { None } else { Some(revision_of(text).unwrap_or(-1)) })
}

/// Refuses `If-Match` where nothing has a revision yet, or ever: a condition
/// that is not looked at would be worse than none.
pub(crate) fn expect_no_condition(headers: &HeaderMap) -> Result<(), Error> {
    if headers.contains_key(header::IF_MATCH) {
        let message = "If-Match cannot be honoured here: what this request is about has no revision; leave it out";
        return Err(Error::invalid("if_match.not_here", message).at("If-Match"));
    }
    Ok(())
}

/// Whether `If-None-Match` names this revision.
pub(crate) fn none_match(headers: &HeaderMap, revision: i64) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH);
    tags.iter().filter_map(|v| v.to_str().ok()).flat_map(|line| line.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || revision_of(tag) == Some(revision)
    })
}

fn revision_of(tag: &str) -> Option<i64> {
    tag.trim_start_matches("W/").strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}
