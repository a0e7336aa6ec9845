//! Images, disks and seeds: the files behind a machine.
//!
//! ```text
//!   DATA/images/<sha256>/   image            as downloaded and verified (kept for its digest)
//!                           kernel … disk.*  unpacked, for direct-boot images
//!                           used             its time is that of the last use
//!   DATA/machines/<id>/     <disk>.qcow2 | <disk>.raw, seed.iso, console.log
//!                           recovered        which disks were made from a snapshot, and how that went
//! ```
//!
//! **Invariants.** A disk's file under its own name is complete: it was made beside it and renamed. An
//! image is used only after its digest was verified, and only if it refers to no other file on the
//! host. A disk that exists is never made again, whatever the specification says now. What a disk
//! holds never says what format it has: a guest writes it, and could make a raw disk look like one
//! that refers to the host's own files.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base::{Error, Result, limits};
use drivers::converge::ControlPlane;
use drivers::wire::{
    DiskSource, DiskSpec, Filesystem, ImageFormat, ImageRef, IntentId, MachineSpec, Recovered, Recovering,
    RecoveryAccess, RecoveryId, Sha256,
};
use vault::request::{Restore, Restored, Task};

use super::{bundle, iso};
use crate::files::{self, failed};

/// The files of all machines on this host.
pub struct Storage {
    images: PathBuf,
    machines: PathBuf,
    server: Arc<dyn ControlPlane>,
    vault: vault::client::Worker,
    /// One download of an image at a time.
    fetching: Mutex<HashMap<Sha256, Arc<Mutex<()>>>>,
    /// The disk of each machine that comes back from a snapshot just now.
    recovering: Mutex<HashMap<IntentId, Recovering>>,
}

/// An image that is here.
struct Ready {
    disk: PathBuf,
    format: &'static str,
    boot: Option<Boot>,
}

/// In a machine's directory: the kernel that it boots from. Disks that were restored rest on no image.
const BOOTS: &str = "boots";
/// In an image's directory: when it was used last, by the file's own time.
const USED: &str = "used";

/// In a machine's directory: which of its disks were made from a snapshot.
const RECOVERED: &str = "recovered";

/// What a machine boots from directly.
pub type Boot = (PathBuf, PathBuf, String);

/// The files of one machine, complete.
pub struct Prepared {
    /// Each disk: file, format, name.
    pub disks: Vec<(PathBuf, &'static str, String)>,
    /// Kernel, initial file system, command line.
    pub boot: Option<Boot>,
    /// The seed.
    pub seed: PathBuf,
    /// Where the console goes.
    pub console: PathBuf,
}

impl Storage {
    /// Uses `data`, which must be absolute.
    ///
    /// # Errors
    /// Where the directories cannot be made.
    pub fn new(data: &Path, server: Arc<dyn ControlPlane>) -> Result<Self> {
        let (images, machines) = (data.join("images"), data.join("machines"));
        files::passable_dir(&images)?;
        files::passable_dir(&machines)?;
        let vault = vault::client::Worker::new(vault::client::program());
        Ok(Self { images, machines, server, vault, fetching: Mutex::default(), recovering: Mutex::default() })
    }

    /// The directory of one machine.
    pub fn dir(&self, id: &IntentId) -> PathBuf {
        self.machines.join(id.as_str())
    }

    /// Every machine that there are files of.
    pub fn machines(&self) -> Result<Vec<IntentId>> {
        let entries = fs::read_dir(&self.machines).map_err(|e| failed("list", &self.machines, e))?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect())
    }

    /// The images that are here, verified.
    pub fn images(&self) -> Vec<Sha256> {
        let entries = fs::read_dir(&self.images).into_iter().flatten().flatten();
        let mut images: Vec<Sha256> = entries
            .filter(|entry| entry.path().join("image").is_file())
            .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
            .collect();
        images.sort();
        images
    }

    /// Removes images that no disk on this host is made from and that nothing has used for
    /// [`limits::IMAGE_UNUSED_DAYS`]; they can be fetched again. Gives their digests.
    ///
    /// # Errors
    /// Where the directories do not read.
    pub fn forget_images(&self) -> Result<Vec<Sha256>> {
        let in_use = self.backing_files()?;
        let entries = fs::read_dir(&self.images).map_err(|e| failed("list", &self.images, e))?;
        let mut gone = Vec::new();
        for sha256 in entries.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse::<Sha256>().ok()) {
            let lock = self.lock(&sha256);
            let _nobody_fetches_it = lock.lock().unwrap_or_else(PoisonError::into_inner);
            let dir = self.images.join(sha256.as_str());
            // An age that cannot be told (no mark yet, a clock that was set back) begins anew.
            let age = fs::metadata(dir.join(USED)).and_then(|mark| mark.modified()).map(|at| at.elapsed().ok());
            let idle = age.ok().flatten().filter(|_| !in_use.iter().any(|file| file.starts_with(&dir)));
            let Some(idle) = idle else {
                mark_used(&dir);
                continue;
            };
            if idle.as_secs() >= limits::IMAGE_UNUSED_DAYS * 24 * 3_600 {
                fs::remove_dir_all(&dir).map_err(|e| failed("remove", &dir, e))?;
                tracing::info!(%sha256, "an image that nothing uses was removed");
                gone.push(sha256);
            }
        }
        Ok(gone)
    }

    /// The files that this host's machines rest on or boot from.
    fn backing_files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for id in self.machines()? {
            found.extend(self.boots(&id));
            for entry in fs::read_dir(self.dir(&id)).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|extension| extension == "qcow2") {
                    found.extend(backing_file(&path).map_err(|e| failed("read", &path, e))?);
                }
            }
        }
        Ok(found)
    }

    fn lock(&self, sha256: &Sha256) -> Arc<Mutex<()>> {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        fetching.entry(sha256.clone()).or_default().clone()
    }

    /// The file of a disk, if it is there.
    pub fn disk_file(&self, id: &IntentId, name: &str) -> Option<(PathBuf, &'static str)> {
        ["qcow2", "raw"].into_iter().find_map(|format| {
            let path = self.dir(id).join(format!("{name}.{format}"));
            path.is_file().then_some((path, format))
        })
    }

    /// Whether every file of a machine with these disks is there.
    pub fn is_complete(&self, id: &IntentId, disks: &[String]) -> bool {
        let boots = self.boots(id).is_none_or(|kernel| kernel.is_file());
        boots && disks.iter().all(|name| self.disk_file(id, name).is_some()) && self.dir(id).join("seed.iso").is_file()
    }

    /// The kernel that a machine boots from, of an image that its disks may not rest on.
    fn boots(&self, id: &IntentId) -> Option<PathBuf> {
        fs::read_to_string(self.dir(id).join(BOOTS)).ok().map(PathBuf::from)
    }

    /// Makes what is missing. `resting`: the machine does not run, so its disks may be grown.
    ///
    /// # Errors
    /// See [`Hypervisor::prepare`](drivers::hypervisor::Hypervisor::prepare).
    pub fn prepare(&self, id: &IntentId, spec: &MachineSpec, resting: bool) -> Result<Prepared> {
        let dir = self.dir(id);
        files::passable_dir(&dir)?;
        let mut disks = Vec::new();
        let mut boot = None;
        for (at, disk) in spec.disks.iter().enumerate() {
            let image = match &disk.source {
                DiskSource::Image { image } => Some(self.image(image)?),
                DiskSource::Recovery { boot: Some(boot), .. } => Some(self.image(boot)?),
                DiskSource::Recovery { boot: None, .. } => None,
                DiskSource::Blank { .. } | DiskSource::Unknown => None,
            };
            let (path, format) = match self.disk_file(id, &disk.name) {
                Some(found) => {
                    if resting {
                        grow(&found.0, found.1, disk.size_mib)?;
                    }
                    found
                }
                None => match &disk.source {
                    DiskSource::Recovery { recovery, disk: from, .. } => self.recover_disk(id, disk, recovery, from)?,
                    _ => self.make_disk(id, disk, image.as_ref())?,
                },
            };
            disks.push((path, format, disk.name.clone()));
            if at == 0 {
                boot = image.and_then(|image| image.boot);
            }
        }
        if let Some((kernel, ..)) = &boot {
            files::write_private(&dir.join(BOOTS), kernel.to_string_lossy().as_bytes())?;
        }
        let seed = dir.join("seed.iso");
        files::write_private(&seed, &seed_image(spec))?;
        Ok(Prepared { disks, boot, seed, console: dir.join("console.log") })
    }

    /// Takes away every file of a machine.
    ///
    /// # Errors
    /// Where the disk does not let it.
    pub fn remove(&self, id: &IntentId) -> Result<()> {
        let dir = self.dir(id);
        match fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", &dir, e)),
            _ => files::sync_parent(&dir).map_err(|e| failed("remove", &dir, e)),
        }
    }

    fn make_disk(&self, id: &IntentId, disk: &DiskSpec, image: Option<&Ready>) -> Result<(PathBuf, &'static str)> {
        let format = if image.is_some() { "qcow2" } else { "raw" };
        let path = self.dir(id).join(format!("{}.{format}", disk.name));
        let draft = self.dir(id).join(format!(".{}.draft", disk.name));
        files::remove_file(&draft).map_err(|e| failed("remove", &draft, e))?;
        match image {
            Some(image) => {
                let virtual_mib = inspect(&image.disk, image.format)?.virtual_mib;
                let size = format!("{}M", disk.size_mib.max(virtual_mib));
                tool("qemu-img", |c| {
                    c.args(["create", "-q", "-f", "qcow2", "-F", image.format, "-b"])
                        .arg(&image.disk)
                        .arg(&draft)
                        .arg(size)
                })?;
            }
            None => {
                let file = fs::File::create(&draft).map_err(|e| failed("make", &draft, e))?;
                file.set_len(disk.size_mib << 20).map_err(|e| failed("make", &draft, e))?;
                if let DiskSource::Blank { filesystem: Some(Filesystem::Ext4) } = disk.source {
                    // The label is what the guest finds it by; no blocks are kept back for root.
                    tool("mke2fs", |c| c.args(["-q", "-F", "-t", "ext4", "-m", "0", "-L", &disk.name]).arg(&draft))?;
                }
            }
        }
        let finish = || -> io::Result<()> {
            fs::set_permissions(&draft, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            fs::File::open(&draft)?.sync_all()?;
            fs::rename(&draft, &path)?;
            files::sync_parent(&path)
        };
        finish().map_err(|e| failed("make", &path, e))?;
        Ok((path, format))
    }

    /// Makes a disk from a snapshot. It gets its name when all of it was hashed.
    fn recover_disk(
        &self,
        id: &IntentId,
        disk: &DiskSpec,
        recovery: &RecoveryId,
        from: &str,
    ) -> Result<(PathBuf, &'static str)> {
        let access = self.server.recover(id, recovery, from)?;
        if access.bytes > disk.size_mib << 20 {
            let message = format!("{from} had {} bytes, which {} MiB do not hold", access.bytes, disk.size_mib);
            return Err(Error::invalid("recovery.disk_too_small", message));
        }
        let folder = self.dir(id).join(format!(".{}.recovery", disk.name));
        empty(&folder)?;
        let began = Instant::now();
        let restored = self.restore(&access, folder.join("disk"), &mut |told| {
            let (true, Some(total)) = (told.bytes, told.total.filter(|total| *total > 0)) else { return };
            let (disk, recovery, done) = (disk.name.clone(), recovery.clone(), told.done);
            let seconds = began.elapsed().as_secs_f64();
            self.under_way().insert(id.clone(), Recovering { disk, recovery, done, total, seconds });
        });
        self.under_way().remove(id);
        let restored = restored?;
        let draft = folder.join("disk").join(Path::new(&access.path).file_name().unwrap_or_default());
        let length = fs::metadata(&draft).map_err(|e| failed("read", &draft, e))?.len();
        if length != access.bytes {
            let message = format!("{from} has {length} bytes in the snapshot and should have {}", access.bytes);
            return Err(Error::conflict("recovery.size", message));
        }
        tracing::info!(%id, disk = disk.name, %recovery, seconds = restored.seconds, "a disk was recovered");
        self.note_recovered(
            id,
            Recovered {
                disk: disk.name.clone(),
                recovery: recovery.clone(),
                bytes: restored.bytes,
                seconds: restored.seconds,
                verify_seconds: restored.verify_seconds,
                digest: restored.digest,
            },
        )?;
        let path = self.dir(id).join(format!("{}.raw", disk.name));
        let finish = || -> io::Result<()> {
            let file = fs::File::options().write(true).open(&draft)?;
            file.set_len(disk.size_mib << 20)?;
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            files::sync_parent(&path)
        };
        finish().map_err(|e| failed("make", &path, e))?;
        let _ = fs::remove_dir_all(&folder);
        Ok((path, "raw"))
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<IntentId, Recovering>> {
        self.recovering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk of a machine that comes back just now, and how far it is.
    pub fn recovering(&self, id: &IntentId) -> Vec<Recovering> {
        self.under_way().get(id).cloned().into_iter().collect()
    }

    fn restore(&self, access: &RecoveryAccess, to: PathBuf, told: vault::client::Listener<'_>) -> Result<Restored> {
        let unread = |e| Error::invalid("recovery.access", "what opens the recovery does not read").because(e);
        let repository = serde_json::from_value(access.repository.clone()).map_err(unread)?;
        let (snapshot, path) = (access.snapshot.clone(), access.path.clone());
        let task = Task::Restore(Restore { snapshot, path, to, sparse: true, owners: false });
        match self.vault.run(&repository, &task, &vault::client::Cancel::new(), told)? {
            vault::request::Answer::Restored(restored) => Ok(restored),
            _ => Err(Error::bug("task.answer", "the backup engine answered something else")),
        }
    }

    /// The disks of a machine that were made from a snapshot.
    pub fn recovered(&self, id: &IntentId) -> Vec<Recovered> {
        let read = files::read(&self.dir(id).join(RECOVERED)).ok().flatten();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn note_recovered(&self, id: &IntentId, one: Recovered) -> Result<()> {
        let mut all = self.recovered(id);
        all.retain(|known| known.disk != one.disk);
        all.push(one);
        let text = serde_json::to_vec(&all)
            .map_err(|e| Error::bug("recovery.note", "what was recovered cannot be written down").because(e))?;
        files::write_private(&self.dir(id).join(RECOVERED), &text)
    }

    /// Makes sure that an image is here, whole, and what it says it is.
    fn image(&self, image: &ImageRef) -> Result<Ready> {
        let lock = self.lock(&image.sha256);
        let _one_at_a_time = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = self.images.join(image.sha256.as_str());
        let file = dir.join("image");
        if !file.is_file() {
            files::passable_dir(&dir)?;
            self.fetch(image, &dir.join(".image.draft"))?;
            self.accept(image, &dir)?;
        }
        mark_used(&dir);
        let ready = |disk: PathBuf, format, boot| Ready { disk, format, boot };
        match image.format {
            ImageFormat::Raw => Ok(ready(file, "raw", None)),
            ImageFormat::DirectBoot => {
                let cmdline = fs::read_to_string(dir.join("cmdline")).map_err(|e| failed("read", &dir, e))?;
                let boot = Some((dir.join("kernel"), dir.join("initrd"), cmdline.trim().to_owned()));
                let (disk, format) = match dir.join("disk.qcow2") {
                    qcow2 if qcow2.is_file() => (qcow2, "qcow2"),
                    _ => (dir.join("disk.raw"), "raw"),
                };
                Ok(ready(disk, format, boot))
            }
            ImageFormat::Qcow2 | ImageFormat::Unknown => Ok(ready(file, "qcow2", None)),
        }
    }

    /// Brings an image's bytes here: from a file of this host that the server named, else from the
    /// server; what was left of an earlier attempt is continued.
    fn fetch(&self, image: &ImageRef, draft: &Path) -> Result<()> {
        let fail = |e| failed("write", draft, e);
        if let Some(path) = image.url.as_deref().map(|url| url.strip_prefix("file://").unwrap_or(url))
            && path.starts_with('/')
            && files::sha256(Path::new(path)).is_ok_and(|digest| digest == image.sha256.as_str())
        {
            fs::copy(path, draft).map_err(fail)?;
            return fs::File::open(draft).and_then(|file| file.sync_all()).map_err(fail);
        }
        let mut offset = fs::metadata(draft).map_or(0, |metadata| metadata.len());
        if offset > image.bytes {
            fs::remove_file(draft).map_err(fail)?;
            offset = 0;
        }
        let file = fs::OpenOptions::new().create(true).append(true).open(draft).map_err(fail)?;
        if offset < image.bytes {
            tracing::info!(image = image.name, sha256 = %image.sha256, bytes = image.bytes, offset, "fetching an image");
            let mut bounded = Bounded { file: &file, left: image.bytes - offset };
            self.server.image(image, offset, &mut bounded)?;
        }
        file.sync_all().map_err(fail)
    }

    /// Verifies a download and gives it its name.
    fn accept(&self, image: &ImageRef, dir: &Path) -> Result<()> {
        let draft = dir.join(".image.draft");
        let digest = files::sha256(&draft).map_err(|e| failed("read", &draft, e))?;
        if digest != image.sha256.as_str() {
            let length = fs::metadata(&draft).map_or(0, |metadata| metadata.len());
            let _ = fs::remove_file(&draft);
            // A short one was cut off on its way; a full one is not what was promised.
            return Err(if length < image.bytes {
                Error::unavailable("image.incomplete", "the image's download was cut off")
            } else {
                Error::invalid("image.digest_mismatch", "the image's bytes are not those of its digest")
            });
        }
        match image.format {
            ImageFormat::DirectBoot => {
                bundle::unpack(&draft, dir)?;
                let disk = dir.join("disk.qcow2");
                if disk.is_file() {
                    stands_alone(&disk)?;
                }
            }
            ImageFormat::Raw => {}
            ImageFormat::Qcow2 | ImageFormat::Unknown => stands_alone(&draft)?,
        }
        let name = dir.join("image");
        fs::rename(&draft, &name).and_then(|()| files::sync_parent(&name)).map_err(|e| failed("write", &name, e))
    }
}

/// A directory with nothing in it.
fn empty(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove", dir, e)),
        _ => {}
    }
    fs::DirBuilder::new().mode(0o700).create(dir).map_err(|e| failed("make", dir, e))
}

/// Notes that an image was used just now. Where the disk is too full for it, the old mark must do.
fn mark_used(dir: &Path) {
    let _ = fs::write(dir.join(USED), b"used\n");
}

/// What a qcow2 file rests on, from its header (QEMU, docs/interop/qcow2.txt): after the magic number and the
/// version, the name's place and its length.
pub fn backing_file(qcow2: &Path) -> io::Result<Option<PathBuf>> {
    let file = fs::File::open(qcow2)?;
    let mut head = [0u8; 20];
    file.read_exact_at(&mut head, 0)?;
    let [_, _, _, _, _, _, _, _, p0, p1, p2, p3, p4, p5, p6, p7, l0, l1, l2, l3] = head;
    let place = u64::from_be_bytes([p0, p1, p2, p3, p4, p5, p6, p7]);
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    // The format allows no longer name.
    if !head.starts_with(b"QFI\xfb") || place == 0 || length > 1_023 {
        return Ok(None);
    }
    let mut name = vec![0; length as usize];
    file.read_exact_at(&mut name, place)?;
    Ok(Some(PathBuf::from(OsString::from_vec(name))))
}

/// Lets through only as many bytes as an image has.
struct Bounded<'a> {
    file: &'a fs::File,
    left: u64,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::Error::other("the image has more bytes than it should"));
        }
        let mut file = self.file;
        let written = file.write(bytes)?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Inspected {
    virtual_mib: u64,
    refers_elsewhere: bool,
}

fn inspect(disk: &Path, format: &str) -> Result<Inspected> {
    let output = tool("qemu-img", |c| c.args(["info", "-U", "--output=json", "-f", format]).arg(disk))?;
    let info: serde_json::Value = serde_json::from_slice(&output)
        .map_err(|e| Error::bug("image.uninspectable", "qemu-img's answer cannot be read").because(e))?;
    let bytes = info["virtual-size"].as_u64().unwrap_or(0);
    let elsewhere = ["backing-filename", "full-backing-filename"].iter().any(|key| !info[*key].is_null())
        || !info["format-specific"]["data"]["data-file"].is_null();
    Ok(Inspected { virtual_mib: bytes.div_ceil(1 << 20), refers_elsewhere: elsewhere })
}

/// An image must not name other files of the host: a guest would read them.
fn stands_alone(disk: &Path) -> Result<()> {
    if inspect(disk, "qcow2")?.refers_elsewhere {
        let message = "the image refers to another file; flatten it with qemu-img convert";
        return Err(Error::invalid("image.refers_elsewhere", message));
    }
    Ok(())
}

/// Grows a resting disk; never shrinks one.
fn grow(disk: &Path, format: &str, size_mib: u64) -> Result<()> {
    if inspect(disk, format)?.virtual_mib < size_mib {
        tool("qemu-img", |c| c.args(["resize", "-q", "-f", format]).arg(disk).arg(format!("{size_mib}M")))?;
    }
    Ok(())
}

/// How long a tool may take before it is ended: a disk that hangs must not hold a worker for ever.
const TOOL_SECONDS: &str = "600";

/// Runs a tool and gives back what it printed.
pub fn tool(name: &str, arguments: impl FnOnce(&mut Command) -> &mut Command) -> Result<Vec<u8>> {
    let path =
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].iter().map(|dir| Path::new(dir).join(name)).find(|p| p.exists());
    let path = path.ok_or_else(|| Error::unavailable("host.tool_missing", format!("{name} is not installed")))?;
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", TOOL_SECONDS]).arg(path);
    arguments(&mut command);
    let output = command
        .env("LC_ALL", "C")
        .output()
        .map_err(|e| Error::unavailable("host.tool_missing", format!("cannot run {name}: {e}")).because(e))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    if matches!(output.status.code(), Some(124 | 137)) {
        return Err(Error::uncertain("host.tool_timed_out", format!("{name} was ended after {TOOL_SECONDS} s")));
    }
    let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
    let full = said.contains("No space left");
    let message = format!("{name} failed: {said}");
    Err(if full {
        Error::exhausted("host.disk_full", message)
    } else {
        Error::unavailable("host.tool_failed", message)
    })
}

fn seed_image(spec: &MachineSpec) -> Vec<u8> {
    let seed = &spec.cloud_init;
    let mut files: Vec<(&str, &[u8])> =
        vec![("user-data", seed.user_data.as_bytes()), ("meta-data", seed.meta_data.as_bytes())];
    if let Some(network) = &seed.network_config {
        files.push(("network-config", network.as_bytes()));
    }
    debug_assert!(files.iter().all(|(_, bytes)| bytes.len() <= limits::SEED_BYTES_MAX));
    iso::image("cidata", &files)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_guest_writes_on_its_disk_does_not_say_what_format_it_has() {
        let dir = std::env::temp_dir().join(format!("yw-storage-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let disk = dir.join("data.raw");
        // A header as a hostile guest would write it: of a larger disk, over a file of the host.
        let lie = ["create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/hostname"];
        if tool("qemu-img", |c| c.args(lie).arg(&disk).arg("1T")).is_err() {
            return crate::pass_over("qemu-img (package qemu-utils) is not installed");
        }
        fs::OpenOptions::new().write(true).open(&disk).unwrap().set_len(4 << 20).unwrap();
        assert!(stands_alone(&disk).is_err());
        grow(&disk, "raw", 8).unwrap();
        assert_eq!(fs::metadata(&disk).unwrap().len(), 8 << 20);
        fs::remove_dir_all(&dir).unwrap();
    }

    struct Nobody;

    impl ControlPlane for Nobody {
        fn intents(&self, _: u64, _: Duration) -> Result<drivers::wire::Intents> {
            unreachable!()
        }
        fn report(&self, _: &drivers::wire::Report) -> Result<drivers::wire::ReportAnswer> {
            unreachable!()
        }
        fn console(&self, _: &drivers::wire::ConsoleTail) -> Result<()> {
            unreachable!()
        }
        fn image(&self, _: &ImageRef, _: u64, _: &mut dyn Write) -> Result<()> {
            unreachable!()
        }
        fn access(&self, _: &drivers::wire::TaskId) -> Result<serde_json::Value> {
            unreachable!()
        }
        fn recover(
            &self,
            _: &IntentId,
            _: &drivers::wire::RecoveryId,
            _: &str,
        ) -> Result<drivers::wire::RecoveryAccess> {
            unreachable!()
        }
    }

    #[test]
    fn images_that_nothing_uses_are_removed_in_time_and_those_that_disks_rest_on_are_not() {
        let data = std::env::temp_dir().join(format!("yunwei-images-{}", std::process::id()));
        let storage = Storage::new(&data, Arc::new(Nobody)).unwrap();
        let digest = |n: u8| -> Sha256 { format!("{n:064x}").parse().unwrap() };
        let dir = |n: u8| data.join("images").join(digest(n).as_str());
        for n in 1..=3 {
            fs::create_dir_all(dir(n)).unwrap();
            fs::write(dir(n).join("image"), b"bytes").unwrap();
        }
        let machine: IntentId = "mch_one".parse().unwrap();
        fs::create_dir_all(storage.dir(&machine)).unwrap();
        let base = dir(1).join("image");
        let made = tool("qemu-img", |c| {
            c.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
                .arg(&base)
                .arg(storage.dir(&machine).join("system.qcow2"))
        });
        if made.is_err() {
            return crate::pass_over("qemu-img (package qemu-utils) is not installed");
        }
        let age = |n: u8, days: u64| {
            let mark = fs::File::options().write(true).open(dir(n).join(USED)).unwrap();
            let now = mark.metadata().unwrap().modified().unwrap();
            mark.set_modified(now - Duration::from_secs(days * 24 * 3_600)).unwrap();
        };
        assert!(storage.forget_images().unwrap().is_empty(), "what has no mark gets one");
        age(1, 100);
        age(2, 100);
        age(3, limits::IMAGE_UNUSED_DAYS - 1);
        assert_eq!(storage.forget_images().unwrap(), [digest(2)]);
        assert!(dir(1).join("image").exists() && dir(3).join("image").exists() && !dir(2).exists());
        // A disk that was restored rests on nothing, and its machine boots from the image all the same.
        fs::write(storage.dir(&machine).join(BOOTS), dir(3).join("kernel").to_str().unwrap()).unwrap();
        fs::write(dir(3).join("kernel"), b"kernel").unwrap();
        age(3, 100);
        assert!(storage.forget_images().unwrap().is_empty());
        fs::write(storage.dir(&machine).join("seed.iso"), b"").unwrap();
        assert!(storage.is_complete(&machine, &["system".to_owned()]));
        fs::remove_file(dir(3).join("kernel")).unwrap();
        assert!(!storage.is_complete(&machine, &["system".to_owned()]), "what it boots from is to be fetched again");
        storage.remove(&machine).unwrap();
        assert!(storage.forget_images().unwrap().is_empty(), "its last use was seen just now");
        age(1, 100);
        assert_eq!(storage.forget_images().unwrap(), [digest(1)]);
        fs::remove_dir_all(&data).unwrap();
    }
}
