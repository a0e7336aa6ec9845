//! Direct-boot images: a tar archive with a kernel, its first file system, its command line and a disk.
//!
//! Only the few names that mean something are taken out, only as plain files, and only into a
//! directory of our own: whatever else an archive holds, links and paths included, is not looked at.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use base::{Error, Result};

const BLOCK: u64 = 512;
/// What an archive may hold; every other name is passed over.
const NAMES: [&str; 5] = ["kernel", "initrd", "cmdline", "disk.qcow2", "disk.raw"];

/// Takes the parts out of `archive` into `dir`.
///
/// # Errors
/// `Invalid` where it is not such an archive, or a part is missing; as files fail otherwise.
pub fn unpack(archive: &Path, dir: &Path) -> Result<()> {
    let fail = |e| crate::files::failed("unpack", archive, e);
    let mut file = File::open(archive).map_err(fail)?;
    let total = file.metadata().map_err(fail)?.len();
    let mut at = 0;
    let mut header = [0; BLOCK as usize];
    while at + BLOCK <= total {
        file.seek(SeekFrom::Start(at)).map_err(fail)?;
        file.read_exact(&mut header).map_err(fail)?;
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        let (name, length, plain) = parse(&header).ok_or_else(damaged)?;
        at += BLOCK;
        if length > total.saturating_sub(at) {
            return Err(damaged());
        }
        if let Some(known) = NAMES.into_iter().find(|known| plain && *known == name.trim_start_matches("./")) {
            copy(&mut file, length, &dir.join(known)).map_err(fail)?;
        }
        at += length.div_ceil(BLOCK) * BLOCK;
    }
    let has = |name: &str| dir.join(name).is_file();
    if has("kernel") && has("initrd") && has("cmdline") && (has("disk.qcow2") || has("disk.raw")) {
        return Ok(());
    }
    let message = "a direct-boot image needs kernel, initrd, cmdline and disk.qcow2 or disk.raw";
    Err(Error::invalid("image.incomplete", message))
}

/// Name, length, and whether it is a plain file. `None`: not a header.
fn parse(header: &[u8; BLOCK as usize]) -> Option<(String, u64, bool)> {
    let sum: u64 =
        header.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) }).sum();
    if octal(header.get(148..156)?)? != sum {
        return None;
    }
    let name = header.get(..100)?.split(|byte| *byte == 0).next()?;
    let kind = *header.get(156)?;
    Some((String::from_utf8_lossy(name).into_owned(), octal(header.get(124..136)?)?, kind == b'0' || kind == 0))
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(|c: char| c == '\0' || c == ' ');
    u64::from_str_radix(text, 8).ok()
}

fn copy(file: &mut File, length: u64, to: &Path) -> io::Result<()> {
    let mut out = File::create(to)?;
    let copied = io::copy(&mut file.take(length), &mut out)?;
    out.sync_all()?;
    if copied == length {
        fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o644))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn damaged() -> Error {
    Error::invalid("image.damaged", "the direct-boot image is not a tar archive")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn dir(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("yw-bundle-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("in")).unwrap();
        fs::create_dir_all(dir.join("out")).unwrap();
        dir
    }

    fn tar(dir: &Path) -> std::path::PathBuf {
        let archive = dir.join("image.tar");
        let done =
            Command::new("tar").arg("-C").arg(dir.join("in")).arg("-cf").arg(&archive).arg(".").status().unwrap();
        assert!(done.success());
        archive
    }

    #[test]
    fn the_parts_come_out_as_they_went_in_and_nothing_else_does() {
        let dir = dir("whole");
        for (name, length) in [("kernel", 1_000), ("initrd", 512), ("cmdline", 1), ("disk.raw", 100_000), ("passwd", 5)]
        {
            fs::write(dir.join("in").join(name), vec![7; length]).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", dir.join("in/disk.qcow2")).unwrap();
        unpack(&tar(&dir), &dir.join("out")).unwrap();
        assert_eq!(fs::read(dir.join("out/disk.raw")).unwrap(), vec![7; 100_000]);
        assert!(!dir.join("out/passwd").exists());
        assert!(fs::symlink_metadata(dir.join("out/disk.qcow2")).is_err(), "links are not followed");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_is_cut_off_or_no_archive_is_refused() {
        let dir = dir("cut");
        fs::write(dir.join("in/kernel"), vec![1; 5_000]).unwrap();
        let archive = tar(&dir);
        assert_eq!(unpack(&archive, &dir.join("out")).unwrap_err().code(), "image.incomplete");
        let bytes = fs::read(&archive).unwrap();
        fs::write(&archive, &bytes[..bytes.len().min(3_000)]).unwrap();
        assert!(unpack(&archive, &dir.join("out")).is_err());
        fs::write(&archive, vec![b'x'; 2_000]).unwrap();
        assert_eq!(unpack(&archive, &dir.join("out")).unwrap_err().code(), "image.damaged");
        fs::remove_dir_all(&dir).unwrap();
    }
}
