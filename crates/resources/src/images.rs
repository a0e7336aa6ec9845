//! Images: what machines' disks are made from.
//!
//! The database knows an image by its digest; the file lies in the server's
//! image folder under that digest ([`store`]) and is streamed to agents
//! ([`crate::door::Door::image`]), who check what they got.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use base::time::Timestamp;
use base::{Error, Result, hex, limits};
use db::{Class, Conn, Row, args};
use drivers::wire::{ImageFormat, ImageRef, Sha256};
use gate::{Action, Effect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::places::{check_name, taken};
use crate::{ImageId, observe};

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its name.
    pub name: String,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// How many bytes it has.
    pub bytes: u64,
    /// The format of the file.
    pub format: ImageFormat,
    /// Where else agents may fetch it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When it was registered.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
}

impl Image {
    /// The form in which a machine's disk names it.
    pub fn reference(&self) -> ImageRef {
        ImageRef {
            name: self.name.clone(),
            sha256: self.sha256.clone(),
            bytes: self.bytes,
            format: self.format,
            url: self.url.clone(),
        }
    }
}

const SELECT: &str = "SELECT id, name, sha256, bytes, format, url, created_at FROM images";

fn read(row: &Row) -> Result<Image> {
    let (sha256, format): (String, String) = (row.get(2)?, row.get(4)?);
    Ok(Image {
        id: row.get(0)?,
        name: row.get(1)?,
        sha256: sha256.parse().map_err(|e: String| Error::bug("image.damaged", e))?,
        bytes: row.get(3)?,
        format: serde_json::from_value(format.into())
            .map_err(|e| Error::bug("image.damaged", "an image's format does not read").because(e))?,
        url: row.get(5)?,
        created_at: row.get(6)?,
    })
}

/// The image of that name, whichever tenant of the operator's registered it first.
///
/// # Errors
/// `Dangling` (`image.absent`): catalogs name images.
pub fn named(conn: &mut Conn<'_>, name: &str) -> Result<Image> {
    let found = conn.query_opt(&format!("{SELECT} WHERE name = $1 ORDER BY id LIMIT 1"), args![name], read)?;
    found.ok_or_else(|| Error::dangling("image.absent", format!("there is no image called {name}; register it first")))
}

/// An image to be registered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewImage {
    /// Its name.
    pub name: String,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// How many bytes it has.
    pub bytes: u64,
    /// The format of the file.
    #[serde(default)]
    pub format: ImageFormat,
    /// Where else agents may fetch it: `https://…`, or an absolute path on the hosts.
    #[serde(default)]
    pub url: Option<String>,
}

/// Registers an image.
pub static REGISTER: Action<NewImage, Image> = Action {
    name: "image.register",
    summary: "Makes an image known by its digest. Its file goes into the server's image folder, or is fetched by agents from its address.",
    effect: Effect::Create,
    run: |tx, input| {
        check_name(&input.name, "name")?;
        if input.bytes == 0 || input.bytes > limits::IMAGE_BYTES_MAX || input.format == ImageFormat::Unknown {
            return Err(Error::invalid(
                "image.malformed",
                "an image has bytes, not too many, and a format that is known",
            )
            .at("bytes"));
        }
        if let Some(url) = &input.url
            && !(url.starts_with("https://") || url.starts_with('/'))
        {
            return Err(Error::invalid(
                "image.url",
                "an address begins with https:// or is an absolute path on the hosts",
            )
            .at("url"));
        }
        let format = match serde_json::to_value(input.format) {
            Ok(serde_json::Value::String(word)) => word,
            _ => return Err(Error::bug("image.format", "a format cannot be written")),
        };
        let (id, now, tenant) = (ImageId::fresh(tx.ids(), tx.now), tx.now, tx.cx().tenant());
        // Registering the same image again is how a set-up script is run twice.
        let same =
            tx.query_opt(&format!("{SELECT} WHERE tenant = $1 AND name = $2"), args![tenant, input.name], read)?;
        if let Some(same) = same
            .filter(|known| known.sha256 == input.sha256 && known.bytes == input.bytes && known.format == input.format)
        {
            return Ok(same);
        }
        tx.touch("image", &id.to_string(), tenant, 0);
        tx.execute(
            "INSERT INTO images (id, tenant, name, sha256, bytes, format, url, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            args![id, tenant, input.name, input.sha256.as_str(), input.bytes, format, input.url, now],
        )
        .map_err(taken("image", &input.name))?;
        tx.query_one(&format!("{SELECT} WHERE id = $1"), args![id], read)
    },
};

/// Nothing to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListImages {}

/// All images, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ImagePage {
    /// The images.
    pub items: Vec<Image>,
}

/// Lists images.
pub static LIST: Action<ListImages, ImagePage> = Action {
    name: "image.list",
    summary: "Lists images.",
    effect: Effect::Read,
    run: |tx, _| {
        let operator = tx.cx().tenant();
        let items = tx.query(
            &format!("{SELECT} WHERE tenant = $1 ORDER BY id LIMIT $2"),
            args![operator, limits::PAGE_MAX],
            read,
        )?;
        Ok(ImagePage { items })
    },
};

/// Which image.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageIdRef {
    /// The image.
    pub id: ImageId,
}

/// Shows an image.
pub static GET: Action<ImageIdRef, Image> = Action {
    name: "image.get",
    summary: "Shows an image.",
    effect: Effect::Read,
    run: |tx, input| {
        let found = tx.query_opt("SELECT tenant FROM images WHERE id = $1", args![input.id], |row| row.get(0))?;
        let owner =
            found.ok_or_else(|| Error::not_found("image.not_found", format!("there is no image {}", input.id)))?;
        tx.grant("image.get", "image", &input.id.to_string(), owner, Class::Internal, ())?;
        tx.query_one(&format!("{SELECT} WHERE id = $1"), args![input.id], read)
    },
};

/// Which image's bytes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FetchImage {
    /// Its digest.
    pub sha256: Sha256,
}

/// Whether an agent may have an image's bytes, and how many there are. Any
/// enrolled host may have any image: which machines it will get is not known before.
pub static FETCH: Action<FetchImage, u64> = Action {
    name: "agent.image",
    summary: "Lets a host's agent fetch an image.",
    effect: Effect::Read,
    run: |tx, input| {
        observe::speaker(tx)?;
        let bytes =
            tx.query_opt("SELECT bytes FROM images WHERE sha256 = $1 LIMIT 1", args![input.sha256.as_str()], |row| {
                row.get(0)
            })?;
        bytes.ok_or_else(|| Error::not_found("image.not_found", format!("there is no image {}", input.sha256)))
    },
};

/// Copies a file into the image folder under its digest. Gives the digest and
/// the size for [`REGISTER`]. A copy that is there already stays.
///
/// # Errors
/// `Invalid` (`image.unreadable`, `image.no_file`), `Unavailable` (`image.not_stored`).
pub fn store(folder: &Path, file: &Path) -> Result<(Sha256, u64)> {
    let part = folder.join(format!("part-{}", std::process::id()));
    let stored = copy(file, &part, folder).and_then(|(sha256, bytes)| {
        std::fs::rename(&part, folder.join(sha256.as_str())).map_err(|e| not_stored(folder, e))?;
        Ok((sha256, bytes))
    });
    if stored.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    stored
}

fn not_stored(folder: &Path, e: std::io::Error) -> Error {
    Error::unavailable("image.not_stored", format!("cannot write into {}: {e}", folder.display())).because(e)
}

fn copy(file: &Path, part: &Path, folder: &Path) -> Result<(Sha256, u64)> {
    let unreadable = |e: std::io::Error| {
        Error::invalid("image.unreadable", format!("cannot read {}: {e}", file.display())).because(e)
    };
    let mut source = File::open(file).map_err(unreadable)?;
    if !source.metadata().map_err(unreadable)?.is_file() {
        return Err(Error::invalid("image.no_file", format!("{} is not a file", file.display())));
    }
    std::fs::create_dir_all(folder).map_err(|e| not_stored(folder, e))?;
    let mut target = File::create(part).map_err(|e| not_stored(folder, e))?;
    let (mut digest, mut bytes) = (ring::digest::Context::new(&ring::digest::SHA256), 0u64);
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        let read = source.read(&mut buffer).map_err(unreadable)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else { break };
        digest.update(chunk);
        target.write_all(chunk).map_err(|e| not_stored(folder, e))?;
        bytes += read as u64;
    }
    target.sync_all().map_err(|e| not_stored(folder, e))?;
    let sha256: Sha256 =
        hex::encode(digest.finish().as_ref()).parse().map_err(|e: String| Error::bug("image.digest", e))?;
    Ok((sha256, bytes))
}
