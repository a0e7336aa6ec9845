//! Keys and checkpoints: Ed25519, in the forms of C2SP signed-note and tlog-checkpoint.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base::{Error, Result, hex, limits};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::kept::Kept;
use super::sha256;
use super::tree::Hash;

const PRIVATE: &str = "audit.key";
const PUBLIC: &str = "audit.pub";
const CHECKPOINTS: &str = "audit.checkpoints";
/// The signature type of Ed25519 in signed notes.
const TYPE: u8 = 1;

/// The key that signs checkpoints, in its directory.
pub struct Key {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
    directory: PathBuf,
}

/// The public half, with the log's name: what a verifier needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    key: [u8; 32],
}

/// A signed head of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Head of the tree.
    pub root: Hash,
}

fn unusable(path: &Path, e: std::io::Error) -> Error {
    Error::unavailable("audit.key_unusable", format!("cannot use {}: {e}", path.display())).because(e)
}

fn damaged(what: &str) -> Error {
    Error::conflict("audit.key_damaged", format!("the audit log's key cannot be used: {what}"))
}

impl Key {
    /// Opens the key in `directory`, making it where there is none: `audit.key`
    /// (readable by its owner only) and `audit.pub`.
    ///
    /// # Errors
    /// `Unavailable` where the files cannot be used, `Conflict` where they are damaged.
    pub fn open_or_make(directory: &Path) -> Result<Key> {
        let path = directory.join(PRIVATE);
        if !path.exists() {
            std::fs::create_dir_all(directory).map_err(|e| unusable(directory, e))?;
            let pkcs8 =
                Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| damaged("no random numbers"))?;
            // Made beside and linked into place: a half-written key must not be found
            // after a crash, and of two servers that start at once one makes it.
            let fresh = directory.join(format!("audit.key.{}", std::process::id()));
            let mut options = std::fs::File::options();
            let file = options.create(true).truncate(true).write(true).mode(0o600).open(&fresh);
            let mut file = file.map_err(|e| unusable(&fresh, e))?;
            file.write_all(pkcs8.as_ref()).and_then(|()| file.sync_all()).map_err(|e| unusable(&fresh, e))?;
            match std::fs::hard_link(&fresh, &path) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(unusable(&path, e)),
                _ => std::fs::remove_file(&fresh).map_err(|e| unusable(&fresh, e))?,
            }
        }
        let pkcs8 = std::fs::read(&path).map_err(|e| unusable(&path, e))?;
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|e| damaged(&e.to_string()))?;
        let mut key = [0; 32];
        key.copy_from_slice(pair.public_key().as_ref());
        let public = VerifyingKey { name: format!("yunwei/audit/{}", hex::encode(&sha256(&key)[..6])), key };
        let known = directory.join(PUBLIC);
        if !known.exists() {
            std::fs::write(&known, format!("{}\n", public.text())).map_err(|e| unusable(&known, e))?;
        }
        Ok(Key { pair, public, directory: directory.to_owned() })
    }

    /// The public half.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs a head of the tree; gives the note.
    pub fn sign(&self, size: u64, root: &Hash) -> String {
        self.sign_text(&body(&self.public.name, size, root))
    }

    /// Signs lines of text, each with its end; gives the note.
    pub fn sign_text(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let signed = [&self.public.id()[..], signature.as_ref()].concat();
        format!("{text}\n\u{2014} {} {}\n", self.public.name, BASE64.encode(signed))
    }

    /// Adds a note to the append-only file beside the key.
    ///
    /// # Errors
    /// `Unavailable` where it cannot be written.
    pub fn write_out(&self, note: &str) -> Result<()> {
        let path = self.directory.join(CHECKPOINTS);
        let file = std::fs::File::options().create(true).append(true).mode(0o600).open(&path);
        let mut file = file.map_err(|e| unusable(&path, e))?;
        // One write, so that two servers that share the directory do not mix their lines.
        file.write_all(format!("{note}\n").as_bytes()).and_then(|()| file.sync_data()).map_err(|e| unusable(&path, e))
    }

    /// The notes in the file.
    ///
    /// # Errors
    /// `Unavailable` where it cannot be read.
    pub fn written_out(&self) -> Result<Vec<String>> {
        notes_in(&self.directory)
    }
}

/// The notes in the append-only file of a key's directory; none where there is no file.
pub(super) fn notes_in(directory: &Path) -> Result<Vec<String>> {
    let path = directory.join(CHECKPOINTS);
    match std::fs::read(&path) {
        Ok(text) => Ok(Kept::of(&text[..]).map_err(|e| unusable(&path, e))?.notes),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(unusable(&path, e)),
    }
}

/// Em dash, space, a name without spaces or plus signs, space, at least a key's id in base 64.
fn is_signature_line(line: &str) -> bool {
    let Some((name, signature)) = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' ')) else {
        return false;
    };
    let named = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+');
    named && BASE64.decode(signature).is_ok_and(|bytes| bytes.len() > 4)
}

fn body(origin: &str, size: u64, root: &Hash) -> String {
    format!("{origin}\n{size}\n{}\n", BASE64.encode(root))
}

impl VerifyingKey {
    /// Reads `name+hash+key` as signed-note writes it.
    ///
    /// # Errors
    /// `Invalid` (`audit.key`).
    pub fn read(text: &str) -> Result<Self> {
        let wrong =
            || Error::invalid("audit.key", "a verifying key has the form name+hash+key, as in the file audit.pub");
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return Err(wrong()) };
        let key = BASE64.decode(key).map_err(|_| wrong())?;
        let (Some(&TYPE), Ok(key)) = (key.first(), <[u8; 32]>::try_from(key.get(1..).unwrap_or_default())) else {
            return Err(wrong());
        };
        let read = VerifyingKey { name: name.to_owned(), key };
        if hex::decode(id).as_deref() == Some(&read.id()) { Ok(read) } else { Err(wrong()) }
    }

    /// Reads the file `audit.pub` of a key's directory.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub fn in_directory(directory: &Path) -> Result<Self> {
        let path = directory.join(PUBLIC);
        let text = std::fs::read_to_string(&path).map_err(|e| {
            Error::not_found("audit.key_absent", format!("there is no verifying key at {}", path.display())).because(e)
        })?;
        VerifyingKey::read(&text)
    }

    /// Its text form.
    pub fn text(&self) -> String {
        let key = [&[TYPE][..], &self.key].concat();
        format!("{}+{}+{}", self.name, hex::encode(&self.id()), BASE64.encode(key))
    }

    /// The first four bytes of SHA-256(name ‖ newline ‖ type ‖ key).
    fn id(&self) -> [u8; 4] {
        let hash = sha256(&[self.name.as_bytes(), b"\n", &[TYPE], &self.key].concat());
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Reads a note and sees to it that this key signed it.
    ///
    /// # Errors
    /// `Conflict` (`audit.checkpoint_bad`) where it is malformed or the signature is wrong.
    pub fn open(&self, note: &str) -> Result<Checkpoint> {
        self.checked(note)
            .ok_or_else(|| Error::conflict("audit.checkpoint_bad", "a checkpoint is not signed by the log's key"))
    }

    /// Whether one of these signature lines is this key's, of that text.
    pub fn signed(&self, text: &str, signatures: &str) -> bool {
        let own = |line: &str| {
            let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let signature = BASE64.decode(signature).ok()?;
            (name == self.name && signature.get(..4)? == self.id()).then_some(signature)
        };
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        let good = |signed: Vec<u8>| signed.get(4..).is_some_and(|bytes| key.verify(text.as_bytes(), bytes).is_ok());
        signatures.lines().find_map(own).is_some_and(good)
    }

    fn checked(&self, note: &str) -> Option<Checkpoint> {
        // As signed-note has it: no control characters, and nothing after the text but signature lines.
        if note.len() > limits::NOTE_BYTES_MAX || note.chars().any(|c| c < ' ' && c != '\n') {
            return None;
        }
        let (text, signatures) = note.rsplit_once("\n\n")?;
        let text = format!("{text}\n");
        let formed = signatures.ends_with('\n') && signatures.lines().all(is_signature_line);
        // As tlog-checkpoint has it: no line of the text is empty.
        if !formed || text.lines().any(str::is_empty) || !self.signed(&text, signatures) {
            return None;
        }
        let mut lines = text.lines();
        let origin = lines.next()?.to_owned();
        let size = lines.next()?;
        let root = BASE64.decode(lines.next()?).ok()?.try_into().ok()?;
        let plain = size == "0" || !size.starts_with(['0', '+']);
        (origin == self.name && plain).then_some(Checkpoint { origin, size: size.parse().ok()?, root })
    }
}
