//! Images that come through a browser: a form with a file, taken as it comes.
//!
//! The fields come before the file, as the form has them, so that who may send
//! what is settled before the first byte is kept. Whoever may send and made a
//! mistake hears it once their file has come: browsers read no answer before.
//!
//! Not here: how a file is kept (`resources::images::Arriving`), progress
//! (`assets/portal.js`; the form works without it).

use std::time::Duration;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base::{Error, Result, limits};
use drivers::wire::{ImageFormat, Sha256};
use multer::{Constraints, Field as Part, Multipart, SizeLimit};
use resources::images::{self, Announced, Arriving, Image, NewImage};

use crate::account::{correctable, said};
use crate::hosts::formats;
use crate::http::Form;
use crate::page::{Page, show};
use crate::ui::{Crumbs, Field, Summary, told};
use crate::visit::{Answer, Signed, bound, done};

/// The one page that takes a file.
pub(crate) const IMAGES: &str = "/operator/images/upload";

/// The page.
#[derive(Template)]
#[template(path = "operator/upload.html")]
struct UploadPage<'a> {
    p: &'a Page,
    crumbs: Crumbs,
    summary: Summary,
    action: &'static str,
    fields: Vec<Field>,
}

/// Whether a request brings a file to a page that takes one.
pub(crate) fn is_one(parts: &Parts) -> bool {
    let here = parts.extensions.get::<MatchedPath>().is_some_and(|path| path.as_str() == IMAGES);
    here && boundary(&parts.headers).is_some()
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    multer::parse_boundary(headers.get(header::CONTENT_TYPE)?.to_str().ok()?).ok()
}

fn page(s: &Signed, form: &Form, wrong: &[(&str, String)], general: &str) -> Response {
    let (p, t) = (s.p(), s.t());
    let o = &t.operator;
    let check = Field::line("sha256", o.image_digest, form.get("sha256")).hint(o.image_check_hint);
    let fields = vec![
        told(wrong, Field::line("name", t.frame.name, form.get("name"))),
        told(wrong, Field::tiles("format", o.format, formats(form))),
        told(wrong, check.optional(t.frame.optional)),
        told(wrong, Field::file("file", o.image_file).hint(o.image_file_hint)),
    ];
    let summary = Summary::gather(t.frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let crumbs = p.crumbs(&[("/operator/images", t.frame.images)]);
    show(status, &UploadPage { p, crumbs, summary, action: IMAGES, fields })
}

/// `GET /operator/images/upload`
pub(crate) async fn form(s: Signed) -> Answer {
    Ok(page(&s, &Form::default(), &[], ""))
}

/// `POST /operator/images/upload`
pub(crate) async fn receive(s: Signed, request: Request) -> Answer {
    let mut form = s.visit.form.clone();
    let outcome = match boundary(request.headers()) {
        Some(boundary) => taken(&s, &mut form, boundary, request).await,
        // A form without a file, of a browser that cannot send one.
        None => announced(&s, &form).await.and_then(|_| Err(missing(&s))),
    };
    match outcome {
        Ok(_) => Ok(done(&s.portal, "/operator/images", "saved")),
        Err(error) if correctable(&error) => Ok(match error.attribute() {
            Some(at @ ("name" | "format" | "sha256" | "file")) => page(&s, &form, &[(at, said(&s, &error))], ""),
            _ => page(&s, &form, &[], &said(&s, &error)),
        }),
        Err(error) => Err(error.into()),
    }
}

fn missing(s: &Signed) -> Error {
    Error::invalid("form.file_missing", s.t().operator.image_file_missing).at("file")
}

/// What the form has, each once.
const FIELDS: [&str; 5] = ["csrf", "name", "format", "sha256", "file"];

/// Reads the form, and keeps its file.
async fn taken(s: &Signed, form: &mut Form, boundary: String, request: Request) -> Result<Image> {
    // Who may send none is not listened to.
    let any = Announced { name: "image".to_owned(), format: ImageFormat::Raw };
    if let Err(error) = s.call(&images::UPLOAD, any).await
        && !correctable(&error)
    {
        return Err(error);
    }
    let sizes = SizeLimit::new().per_field(4 << 10).for_field("file", limits::IMAGE_BYTES_MAX + 1);
    let known = Constraints::new().allowed_fields(FIELDS.to_vec()).size_limit(sizes);
    let body = request.into_body().into_data_stream();
    let mut parts = Multipart::with_constraints(body, boundary, known);
    let mut seen = 0;
    while let Some(part) = in_time(parts.next_field()).await? {
        seen += 1;
        if seen > FIELDS.len() {
            return Err(Error::invalid("form.broken_off", "the form does not read: it has too many parts"));
        }
        match part.name().unwrap_or_default().to_owned() {
            name if name == "file" => {
                bound(form, &s.visit.page.csrf)?;
                return file(s, form, part).await;
            }
            name => form.set(&name, &in_time(part.text()).await?),
        }
    }
    bound(form, &s.visit.page.csrf)?;
    announced(s, form).await?;
    Err(missing(s))
}

/// What the form says of the image, once it is known that it may be sent.
async fn announced(s: &Signed, form: &Form) -> Result<(Announced, Option<Sha256>)> {
    let format = serde_json::from_value(form.get("format").into()).unwrap_or(ImageFormat::Unknown);
    let image = Announced { name: form.get("name").to_owned(), format };
    s.call(&images::UPLOAD, image.clone()).await?;
    let expected = match form.get("sha256") {
        "" => None,
        text => Some(text.parse().map_err(|e: String| Error::invalid("image.digest", e).at("sha256"))?),
    };
    Ok((image, expected))
}

async fn file(s: &Signed, form: &Form, mut part: Part<'_>) -> Result<Image> {
    let (image, expected) = match announced(s, form).await {
        Ok(both) => both,
        Err(error) => {
            while correctable(&error) && in_time(part.chunk()).await?.is_some() {}
            return Err(error);
        }
    };
    let folder = s.portal.images.clone();
    let mut arriving = aside(move || Arriving::begin(&folder)).await?;
    let mut any = false;
    while let Some(chunk) = in_time(part.chunk()).await? {
        any |= !chunk.is_empty();
        arriving = aside(move || written(arriving, &chunk)).await?;
    }
    if !any {
        return Err(missing(s));
    }
    let (sha256, bytes) = aside(move || arriving.finish(expected.as_ref())).await?;
    // Where this fails the file stays under its digest, and is taken as it is the next time.
    s.call(&images::REGISTER, NewImage { name: image.name, sha256, bytes, format: image.format, url: None }).await
}

fn written(mut arriving: Arriving, chunk: &Bytes) -> Result<Arriving> {
    arriving.write(chunk)?;
    Ok(arriving)
}

/// Work on disk, beside the tasks that answer others.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::bug("upload.task", "keeping a file stopped on a broken invariant").because(e))?
}

/// The next of what comes, within a bound: whoever sends nothing holds a place.
async fn in_time<T>(next: impl Future<Output = multer::Result<T>>) -> Result<T> {
    let bound = Duration::from_secs(limits::UPLOAD_SILENCE_SECONDS);
    let broken = |words: String| Error::invalid("form.broken_off", words);
    match tokio::time::timeout(bound, next).await {
        Ok(next) => next.map_err(|e| broken(format!("the form does not read: {e}"))),
        Err(_) => Err(broken(format!("nothing came for {} seconds", limits::UPLOAD_SILENCE_SECONDS))),
    }
}
