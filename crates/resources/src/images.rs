//! Images: what machines' disks are made from.
//!
//! The database knows an image by its digest; the file lies in the server's
//! image folder under that digest ([`Arriving`]) and is streamed to agents
//! ([`crate::door::Door::image`]), who check what they got.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
        db::words::begin(tx, "image", tenant, &id.to_string(), &[&input.name])?;
        tx.query_one(&format!("{SELECT} WHERE id = $1"), args![id], read)
    },
};

/// An image whose bytes are about to come.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Announced {
    /// Its name.
    pub name: String,
    /// The format of the file.
    #[serde(default)]
    pub format: ImageFormat,
}

/// Says whether an image may be sent, before its many bytes are.
pub static UPLOAD: Action<Announced, ()> = Action {
    name: "image.upload",
    summary: "Says whether an image of that name and format may be sent, before its bytes are.",
    effect: Effect::Read,
    run: |tx, input| {
        check_name(&input.name, "name")?;
        if input.format == ImageFormat::Unknown {
            return Err(Error::invalid("image.malformed", "an image has a format that is known").at("format"));
        }
        let tenant = tx.cx().tenant();
        let same =
            tx.query_opt("SELECT id FROM images WHERE tenant = $1 AND name = $2", args![tenant, input.name], |row| {
                row.get::<ImageId>(0)
            })?;
        match same {
            Some(_) => {
                let message = format!("there is an image called {} already", input.name);
                Err(Error::conflict("image.name_taken", message).at("name"))
            }
            None => Ok(()),
        }
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
/// `Invalid` (`image.unreadable`, `image.no_file`), those of [`Arriving`].
pub fn store(folder: &Path, file: &Path) -> Result<(Sha256, u64)> {
    let unreadable = |e: std::io::Error| {
        Error::invalid("image.unreadable", format!("cannot read {}: {e}", file.display())).because(e)
    };
    let mut source = File::open(file).map_err(unreadable)?;
    if !source.metadata().map_err(unreadable)?.is_file() {
        return Err(Error::invalid("image.no_file", format!("{} is not a file", file.display())));
    }
    let mut arriving = Arriving::begin(folder)?;
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        let read = source.read(&mut buffer).map_err(unreadable)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else { break };
        arriving.write(chunk)?;
    }
    arriving.finish(None)
}

/// A file on its way into the image folder: under a name of its own until it is
/// finished, and gone again where it never is.
pub struct Arriving {
    folder: PathBuf,
    part: PathBuf,
    file: File,
    digest: ring::digest::Context,
    bytes: u64,
}

impl Arriving {
    /// Of nothing yet.
    ///
    /// # Errors
    /// `Unavailable` (`image.not_stored`).
    pub fn begin(folder: &Path) -> Result<Arriving> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        std::fs::create_dir_all(folder).map_err(|e| not_stored(folder, e))?;
        let name = format!("{PART}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let part = folder.join(name);
        let file = File::create(&part).map_err(|e| not_stored(folder, e))?;
        let digest = ring::digest::Context::new(&ring::digest::SHA256);
        Ok(Arriving { folder: folder.to_owned(), part, file, digest, bytes: 0 })
    }

    /// The next bytes.
    ///
    /// # Errors
    /// `Invalid` (`image.malformed`) beyond the size of an image, `Unavailable` (`image.not_stored`).
    pub fn write(&mut self, chunk: &[u8]) -> Result<()> {
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        if self.bytes > limits::IMAGE_BYTES_MAX {
            let most = limits::IMAGE_BYTES_MAX >> 30;
            return Err(Error::invalid("image.malformed", format!("an image has at most {most} GiB")).at("bytes"));
        }
        self.digest.update(chunk);
        self.file.write_all(chunk).map_err(|e| not_stored(&self.folder, e))
    }

    /// All has come: the file lies under its digest, for good.
    ///
    /// # Errors
    /// `Invalid` (`image.digest_mismatch`) where another digest was expected, `Unavailable` (`image.not_stored`).
    pub fn finish(self, expected: Option<&Sha256>) -> Result<(Sha256, u64)> {
        let digest = self.digest.clone().finish();
        let sha256: Sha256 = hex::encode(digest.as_ref()).parse().map_err(|e: String| Error::bug("image.digest", e))?;
        if expected.is_some_and(|expected| *expected != sha256) {
            let message = format!("what came has the digest {sha256}; it was not kept");
            return Err(Error::invalid("image.digest_mismatch", message).at("sha256"));
        }
        let keep = || {
            self.file.sync_all()?;
            std::fs::rename(&self.part, self.folder.join(sha256.as_str()))?;
            File::open(&self.folder)?.sync_all()
        };
        keep().map_err(|e| not_stored(&self.folder, e))?;
        Ok((sha256, self.bytes))
    }
}

impl std::fmt::Debug for Arriving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arriving").field("part", &self.part).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        // Not there any more once it was finished.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// How the names of files begin that are on their way.
const PART: &str = "part-";

/// Removes what was on its way a day ago and will not come any more: its server ended.
pub fn sweep(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PART)) {
        let age = entry.metadata().and_then(|it| it.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > Duration::from_secs(86_400)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn not_stored(folder: &Path, e: std::io::Error) -> Error {
    Error::unavailable("image.not_stored", format!("cannot write into {}: {e}", folder.display())).because(e)
}
