//! Who may do what: one small file for each credential, read at each request.
//!
//! A secret is 256 random bits that we drew ourselves, so a plain digest keeps it as well as a
//! slow one would: there is nothing to guess.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::{Error, Result};
use bytes::Bytes;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use vault::place::put;

/// Longest name of a credential or repository, in bytes.
const NAME_MAX: usize = 64;

/// What a credential may do in its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read.
    Read,
    /// Read and add, for a host that backs up.
    Append,
    /// Read, add and remove, for the scheduler that prunes.
    Maintain,
}

/// A credential, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its name, the user's in the protocol.
    pub name: String,
    /// The repository it is for.
    pub repository: String,
    /// What it may do.
    pub role: Role,
    /// How large the repository may grow by its additions, in bytes; none: as the disk allows.
    pub quota_bytes: Option<u64>,
    /// SHA-256 of the secret.
    digest: String,
}

/// Whether this can be the name of a credential or a repository.
pub fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    !name.is_empty() && name.len() <= NAME_MAX && name.bytes().all(plain)
}

fn path(data: &Path, name: &str) -> PathBuf {
    data.join("credentials").join(name)
}

fn failed(what: &str, error: io::Error) -> Error {
    Error::unavailable("repository.unusable", format!("{what}: {error}; look at the data directory")).because(error)
}

fn hash(secret: &str) -> String {
    base::hex::encode(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// Makes a credential and tells its secret, once.
///
/// # Errors
/// `Invalid` for a name that cannot be one, `Conflict` where it is taken.
pub fn issue(data: &Path, name: &str, repository: &str, role: Role, quota_bytes: Option<u64>) -> Result<String> {
    if !is_name(name) || !is_name(repository) {
        let message = "names are lower-case letters, digits, - and _, 64 at most";
        return Err(Error::invalid("credential.name", message));
    }
    let path = path(data, name);
    if path.exists() {
        return Err(Error::conflict("credential.exists", format!("there is a credential {name}; revoke it first")));
    }
    let mut secret = [0; 32];
    SystemRandom::new()
        .fill(&mut secret)
        .map_err(|_| Error::unavailable("credential.random", "the system gives no random numbers; try again"))?;
    let secret = base::hex::encode(&secret);
    let credential = Credential {
        name: name.to_owned(),
        repository: repository.to_owned(),
        role,
        quota_bytes,
        digest: hash(&secret),
    };
    let text = serde_json::to_vec(&credential)
        .map_err(|e| Error::bug("credential.unwritable", "a credential does not write").because(e))?;
    fs::create_dir_all(data.join("credentials")).map_err(|e| failed("making the directory of credentials", e))?;
    put(&path, &[Bytes::from(text)]).map_err(|e| failed("keeping the credential", e))?;
    Ok(secret)
}

/// Ends a credential: its next request is refused.
///
/// # Errors
/// `NotFound` where there is none.
pub fn revoke(data: &Path, name: &str) -> Result<()> {
    if !is_name(name) || !path(data, name).exists() {
        return Err(Error::not_found("credential.missing", format!("there is no credential {name}")));
    }
    fs::remove_file(path(data, name)).map_err(|e| failed("removing the credential", e))
}

/// All credentials, by name.
///
/// # Errors
/// Where they cannot be read.
pub fn list(data: &Path) -> Result<Vec<Credential>> {
    let entries = match fs::read_dir(data.join("credentials")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| failed("listing credentials", e))?,
    };
    let mut found: Vec<Credential> = entries.filter_map(|entry| read(&entry.ok()?.path())).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn read(path: &Path) -> Option<Credential> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The credential that a name and a secret prove.
pub fn verify(data: &Path, name: &str, secret: &str) -> Option<Credential> {
    let known = is_name(name).then(|| read(&path(data, name))).flatten();
    // Digests are compared: how far two agree says nothing that helps to find the secret.
    known.filter(|credential| credential.digest == hash(secret))
}
