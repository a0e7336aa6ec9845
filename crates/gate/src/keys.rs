//! Sealing: secrets that lie in the database can be read only with the master key beside it.
//!
//! Each secret is encrypted (AES-256-GCM) with a key of its own, and that key with the master
//! key, which lies in `DATA/keys/master.key`. A stolen database, or a backup of one, opens no
//! customer's backups and computes no one-time code; a new master key needs to wrap keys anew, and not what they encrypt.
//!
//! **Invariants** (tests below):
//! - what was sealed for one row and purpose opens for no other: both are authenticated;
//! - a sealed text that was cut or changed does not open, and a master key that is another one
//!   is told apart from damage;
//! - the master key is made once, also where two start at the same moment, and nobody but its
//!   owner can read it;
//! - an installation that has sealed with one master key does not start with another.
//!
//! Not here: shares of the 32 bytes in that file, which are kept off this machine (`continuity`).

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use base::{Error, Result, hex};
use db::{Db, args};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::{Gate, Tx};

const FILE: &str = "master.key";
/// The first line of the file: what it is, for whoever finds it.
const TITLE: &str = "yunwei master key 1";
const KEY_BYTES: usize = 32;
/// What a sealed text begins with: the form, so that another can come.
const FORM: &str = "s1";

/// The master key itself. Held for as short as can be.
pub type MasterKey = [u8; KEY_BYTES];

/// What a secret is for. The same secret sealed for something else does not open.
#[derive(Debug, Clone, Copy)]
pub struct For<'a> {
    /// The id of the row that it lies in.
    pub row: &'a str,
    /// Which secret of that row.
    pub purpose: &'a str,
}

impl For<'_> {
    fn bound(&self, layer: &str) -> Vec<u8> {
        [layer, self.row, self.purpose].join("\0").into_bytes()
    }
}

/// What seals and opens.
#[derive(Clone)]
pub struct Keys {
    master: Arc<LessSafeKey>,
    root: Prk,
    name: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.name)
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Error::unavailable("random.absent", "the machine gives no random numbers"))?;
    Ok(bytes)
}

/// What seals and opens, as the server installed it with [`Gate::install`].
///
/// # Errors
/// `Bug` (`master.absent`) where none was installed.
pub fn installed(tx: &Tx<'_>) -> Result<Arc<Keys>> {
    tx.installed::<Keys>().ok_or_else(|| Error::bug("master.absent", "no master key was installed in this gate"))
}

/// A password that nobody needs to remember: 256 bits.
///
/// # Errors
/// `Unavailable` where the machine gives no random numbers.
pub fn password() -> Result<String> {
    Ok(hex::encode(&random::<KEY_BYTES>()?))
}

fn key(bytes: &[u8]) -> Result<LessSafeKey> {
    let unbound = UnboundKey::new(&AES_256_GCM, bytes);
    unbound.map(LessSafeKey::new).map_err(|_| Error::bug("secret.key", "a key is not 32 bytes long"))
}

/// Nonce and ciphertext. Nonces are random: a key of one secret sees two of them at most, and
/// the master key one for each secret.
fn encrypt(with: &LessSafeKey, bound: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let nonce = random::<NONCE_LEN>()?;
    let mut body = plain.to_vec();
    with.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut body)
        .map_err(|_| Error::bug("secret.sealing", "a secret could not be sealed"))?;
    Ok([&nonce[..], &body].concat())
}

fn decrypt(with: &LessSafeKey, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
    let mut body = body.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let length = with.open_in_place(nonce, Aad::from(bound), &mut body).ok()?.len();
    body.truncate(length);
    Some(body)
}

fn damaged() -> Error {
    Error::conflict("secret.damaged", "a sealed secret does not open: its row was changed or damaged; restore it")
}

impl Keys {
    /// Opens the master key in `folder`, or makes it there the first time.
    ///
    /// # Errors
    /// `Unavailable` (`master.unusable`) where the file cannot be read or made, is not a key, or
    /// others may read it.
    pub fn open(folder: &Path) -> Result<Keys> {
        Self::of(&Self::read(folder)?)
    }

    /// The master key in `folder` itself, made the first time: for the shares of it.
    ///
    /// # Errors
    /// As [`Keys::open`].
    pub fn read(folder: &Path) -> Result<MasterKey> {
        let path = folder.join(FILE);
        let unusable = |e: io::Error| {
            Error::unavailable("master.unusable", format!("cannot use the master key {}: {e}", path.display()))
                .because(e)
        };
        if !path.exists() {
            make(folder, &path, &random()?).map_err(unusable)?;
        }
        guard(&path).map_err(unusable)?;
        let text = fs::read_to_string(&path).map_err(unusable)?;
        let bytes = text
            .strip_prefix(TITLE)
            .and_then(|rest| hex::decode(rest.trim()))
            .and_then(|bytes| MasterKey::try_from(bytes).ok())
            .ok_or_else(|| unusable(io::Error::other("it is not a key any more; restore it from a copy")))?;
        Ok(bytes)
    }

    /// What this master key seals and opens.
    ///
    /// # Errors
    /// None that can come.
    pub fn of(bytes: &MasterKey) -> Result<Keys> {
        // A name for it that says nothing about it.
        let name = hex::encode(digest(&SHA256, &[b"name\0", &bytes[..]].concat()).as_ref());
        let root = Salt::new(HKDF_SHA256, b"yunwei").extract(bytes);
        Ok(Keys { master: Arc::new(key(bytes)?), root, name: name[..16].to_owned() })
    }

    /// Puts a master key that was brought back into `folder`, where none is yet.
    ///
    /// # Errors
    /// `Conflict` (`master.differs`) where another one is there; `Unavailable` where it cannot be written.
    pub fn put(folder: &Path, bytes: &MasterKey) -> Result<()> {
        let path = folder.join(FILE);
        let unusable = |e: io::Error| {
            Error::unavailable("master.unusable", format!("cannot write the master key {}: {e}", path.display()))
        };
        make(folder, &path, bytes).map_err(unusable)?;
        if Self::read(folder)? == *bytes {
            return Ok(());
        }
        Err(Error::conflict("master.differs", format!("{} holds another master key", path.display())))
    }

    /// A password that follows from the master key (HKDF, RFC 5869): what it opens can be opened
    /// by whoever brings the master key back, with nothing else to keep.
    ///
    /// # Errors
    /// None that can come.
    pub fn password_for(&self, purpose: &str) -> Result<String> {
        let mut bytes = [0; KEY_BYTES];
        let failed = |_| Error::bug("secret.derived", "a password cannot be derived");
        let info = [b"password\0", purpose.as_bytes()];
        self.root.expand(&info, HKDF_SHA256).and_then(|okm| okm.fill(&mut bytes)).map_err(failed)?;
        Ok(hex::encode(&bytes))
    }

    /// The key's name: tells one master key from another and nothing about either.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Holds the installation to one master key: what was sealed with another would be lost
    /// without a word.
    ///
    /// # Errors
    /// `Conflict` (`master.differs`) where this installation has sealed with another.
    pub fn settle(&self, gate: &Gate) -> Result<()> {
        let (name, now) = (self.name.clone(), gate.now());
        gate.db().write(move |conn| {
            conn.execute(
                "INSERT INTO master_keys (place, name, made_at) VALUES (1, $1, $2) ON CONFLICT (place) DO NOTHING",
                args![name, now],
            )?;
            let known: String = conn.query_one("SELECT name FROM master_keys WHERE place = 1", &[], |row| row.get(0))?;
            if known == name {
                return Ok(());
            }
            Err(Error::conflict(
                "master.differs",
                format!("secrets of this installation are sealed with another master key ({known}); bring its keys/{FILE} back, or no backup can be opened"),
            ))
        })
    }

    /// Which master key an installation has sealed with, if it has.
    ///
    /// # Errors
    /// Those of the database.
    pub fn known(db: &Db) -> Result<Option<String>> {
        db.read(|conn| conn.query_opt("SELECT name FROM master_keys WHERE place = 1", &[], |row| row.get(0)))
    }

    /// Seals a secret.
    ///
    /// # Errors
    /// `Unavailable` where the machine gives no random numbers.
    pub fn seal(&self, what: For<'_>, secret: &str) -> Result<String> {
        let own = random::<KEY_BYTES>()?;
        let wrapped = encrypt(&self.master, &what.bound("key"), &own)?;
        let body = encrypt(&key(&own)?, &what.bound("secret"), secret.as_bytes())?;
        Ok([FORM, &self.name, &hex::encode(&wrapped), &hex::encode(&body)].join("."))
    }

    /// Opens what was sealed for the same row and purpose.
    ///
    /// # Errors
    /// `Conflict`: `secret.key_wrong` where another master key sealed it, `secret.damaged` where
    /// it was cut, changed, or taken from another row.
    pub fn unseal(&self, what: For<'_>, sealed: &str) -> Result<String> {
        let parts: Vec<&str> = sealed.split('.').collect();
        let [FORM, name, wrapped, body] = parts[..] else { return Err(damaged()) };
        if name != self.name {
            let message = format!("a secret is sealed with the master key {name}, and this is {}", self.name);
            return Err(Error::conflict("secret.key_wrong", message));
        }
        let bytes = |text| hex::decode(text).ok_or_else(damaged);
        let own = decrypt(&self.master, &what.bound("key"), &bytes(wrapped)?).ok_or_else(damaged)?;
        let plain = decrypt(&key(&own)?, &what.bound("secret"), &bytes(body)?).ok_or_else(damaged)?;
        String::from_utf8(plain).map_err(|_| damaged())
    }
}

/// Makes the key under a name of its own and gives it its real one only where none is there:
/// of two that start at once, both go on with the same key.
fn make(folder: &Path, path: &Path, secret: &MasterKey) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::create_dir_all(folder)?;
    let part = folder.join(format!("{FILE}.{}.part", hex::encode(&random::<8>().map_err(io::Error::other)?)));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let written = writeln!(file, "{TITLE}\n{}", hex::encode(secret)).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&part, path));
    fs::remove_file(&part)?;
    match linked {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
        Ok(()) => fs::File::open(folder)?.sync_all(),
    }
}

/// The key is nobody else's to read.
fn guard(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(io::Error::other(format!("others may read it (mode {:o}); chmod 600 it", mode & 0o777)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use base::Kind;
    use db::testing::Scratch;

    use super::*;

    const WHAT: For<'_> = For { row: "repo_1", purpose: "password" };

    #[test]
    fn what_was_sealed_opens_again_and_nothing_shows_through() {
        let folder = Scratch::new();
        let keys = Keys::open(folder.path()).unwrap();
        let sealed = keys.seal(WHAT, "hunter2 雲").unwrap();
        assert_eq!(keys.unseal(WHAT, &sealed).unwrap(), "hunter2 雲");
        assert!(!sealed.contains("hunter2") && !sealed.contains(&hex::encode(b"hunter2")));
        assert_ne!(sealed, keys.seal(WHAT, "hunter2 雲").unwrap(), "each has a key and nonces of its own");
        let again = Keys::open(folder.path()).unwrap();
        assert_eq!(again.unseal(WHAT, &sealed).unwrap(), "hunter2 雲");
        assert!(!format!("{keys:?}").contains(fs::read_to_string(folder.path().join(FILE)).unwrap().trim()));
    }

    #[test]
    fn a_secret_of_another_row_or_purpose_does_not_open() {
        let folder = Scratch::new();
        let keys = Keys::open(folder.path()).unwrap();
        let sealed = keys.seal(WHAT, "secret").unwrap();
        for other in [For { row: "repo_2", ..WHAT }, For { purpose: "master", ..WHAT }] {
            assert_eq!(keys.unseal(other, &sealed).unwrap_err().code(), "secret.damaged");
        }
    }

    #[test]
    fn halves_of_two_secrets_do_not_make_one() {
        let folder = Scratch::new();
        let keys = Keys::open(folder.path()).unwrap();
        let (one, two) = (keys.seal(WHAT, "one").unwrap(), keys.seal(WHAT, "two").unwrap());
        let (head, tail) = (one.rsplit_once('.').unwrap().0, two.rsplit_once('.').unwrap().1);
        assert_eq!(keys.unseal(WHAT, &format!("{head}.{tail}")).unwrap_err().code(), "secret.damaged");
    }

    #[test]
    fn another_master_key_is_told_from_damage() {
        let (one, two) = (Scratch::new(), Scratch::new());
        let sealed = Keys::open(one.path()).unwrap().seal(WHAT, "secret").unwrap();
        let error = Keys::open(two.path()).unwrap().unseal(WHAT, &sealed).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Conflict, "secret.key_wrong"));
    }

    #[test]
    fn no_cut_and_no_changed_character_opens() {
        let folder = Scratch::new();
        let keys = Keys::open(folder.path()).unwrap();
        let sealed = keys.seal(WHAT, "secret").unwrap();
        for length in 0..sealed.len() {
            assert!(keys.unseal(WHAT, &sealed[..length]).is_err(), "cut at {length}");
        }
        for place in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
            assert!(keys.unseal(WHAT, &String::from_utf8(changed).unwrap()).is_err(), "changed at {place}");
        }
    }

    #[test]
    fn the_key_file_is_its_owners_alone() {
        let folder = Scratch::new();
        Keys::open(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left of its making");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Keys::open(folder.path()).unwrap_err();
        assert!(error.code() == "master.unusable" && error.message().contains("chmod 600"));
    }

    #[test]
    fn a_key_file_that_is_none_is_not_replaced() {
        let folder = Scratch::new();
        Keys::open(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        let whole = fs::read_to_string(&path).unwrap();
        for text in ["", TITLE, &whole[..whole.len() - 9], &whole.replace(TITLE, "something else")] {
            fs::write(&path, text).unwrap();
            assert_eq!(Keys::open(folder.path()).unwrap_err().code(), "master.unusable");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn two_that_start_at_once_have_one_key() {
        for _ in 0..20 {
            let folder = Scratch::new();
            let names: Vec<String> = std::thread::scope(|scope| {
                let started: Vec<_> =
                    (0..8).map(|_| scope.spawn(|| Keys::open(folder.path()).unwrap().name().to_owned())).collect();
                started.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(names.windows(2).all(|pair| pair[0] == pair[1]), "{names:?}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_master_key_that_was_brought_back_is_put_where_none_is() {
        let (one, two) = (Scratch::new(), Scratch::new());
        let bytes = Keys::read(one.path()).unwrap();
        Keys::put(two.path(), &bytes).unwrap();
        Keys::put(two.path(), &bytes).unwrap();
        assert_eq!(Keys::open(two.path()).unwrap().name(), Keys::open(one.path()).unwrap().name());
        assert_eq!(Keys::put(two.path(), &[7; KEY_BYTES]).unwrap_err().code(), "master.differs");
        assert_eq!(Keys::read(two.path()).unwrap(), bytes);
    }

    #[test]
    fn what_follows_from_a_master_key_is_what_rfc_5869_says() {
        let keys = Keys::of(&[0x0b; KEY_BYTES]).unwrap();
        // Python: hmac(hmac("yunwei", key), "password\0" + "x" + "\1"), both SHA-256.
        let said = "88c9c43fd73dddb6ec63f9f635aaee29ad9d1a2e23c152c7c8acec9ab157081d";
        assert_eq!(keys.password_for("x").unwrap(), said);
        assert_ne!(keys.password_for("y").unwrap(), said);
    }

    #[test]
    fn an_installation_keeps_to_its_master_key() {
        for (engine, db, keep) in db::testing::databases() {
            let gate = crate::testing::gate(db, crate::Catalogue::default());
            let other = Scratch::new();
            let (first, second) = (Keys::open(keep.path()).unwrap(), Keys::open(other.path()).unwrap());
            assert_eq!(Keys::known(gate.db()).unwrap(), None, "{engine}");
            first.settle(&gate).unwrap();
            first.settle(&gate).unwrap();
            assert_eq!(second.settle(&gate).unwrap_err().code(), "master.differs", "{engine}");
            assert_eq!(Keys::known(gate.db()).unwrap().as_deref(), Some(first.name()), "{engine}");
        }
    }
}
