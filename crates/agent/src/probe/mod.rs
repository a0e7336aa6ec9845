//! Whether this host's KVM works: tried, not guessed.
//!
//! `/dev/kvm` may be there and still hang every guest that gets as far as a kernel, on hosts that are
//! themselves guests. So a guest of a few hundred bytes is run that goes all the way into long mode
//! (`probe.S`), with a time limit. The answer holds for one boot of the host and one QEMU, and is
//! remembered for these.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base::Result;
use drivers::moment::HostClock;
use drivers::wire::Accelerator;
use serde::{Deserialize, Serialize};

use crate::files;

/// A working KVM needs a tenth of a second; a host that is very busy gets a hundred times that.
const PATIENCE: Duration = Duration::from_secs(10);
const QEMU: [&str; 3] = ["/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm", "/usr/bin/qemu-kvm"];
const ROM_BYTES: usize = 64 << 10;
/// QEMU's exit status for the guest's 42: twice that and one.
const DONE: i32 = 85;

/// The assembled guest, from the start of its ROM.
#[rustfmt::skip]
const CODE: [u8; 300] = [
    0xfa, 0xb8, 0x00, 0xf0, 0x8e, 0xd8, 0x2e, 0x66, 0x0f, 0x01, 0x16, 0x20, 0x01, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22,
    0xc0, 0x66, 0xea, 0x1d, 0x00, 0xff, 0xff, 0x08, 0x00, 0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc,
    0x00, 0x80, 0x00, 0x00, 0x31, 0xc0, 0xbf, 0x00, 0x10, 0x00, 0x00, 0xb9, 0x00, 0x14, 0x00, 0x00, 0xf3, 0xab, 0xc7, 0x05,
    0x00, 0x10, 0x00, 0x00, 0x03, 0x20, 0x00, 0x00, 0xc7, 0x05, 0x00, 0x20, 0x00, 0x00, 0x03, 0x30, 0x00, 0x00, 0xc7, 0x05,
    0x18, 0x20, 0x00, 0x00, 0x03, 0x40, 0x00, 0x00, 0xbf, 0x00, 0x30, 0x00, 0x00, 0xb8, 0x83, 0x00, 0x00, 0x00, 0xb9, 0x00,
    0x02, 0x00, 0x00, 0x89, 0x07, 0x83, 0xc7, 0x08, 0x05, 0x00, 0x00, 0x20, 0x00, 0xe2, 0xf4, 0xbf, 0x00, 0x40, 0x00, 0x00,
    0xb8, 0x83, 0x00, 0x00, 0xc0, 0xb9, 0x00, 0x02, 0x00, 0x00, 0x89, 0x07, 0x83, 0xc7, 0x08, 0x05, 0x00, 0x00, 0x20, 0x00,
    0xe2, 0xf4, 0xb8, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x22, 0xd8, 0x0f, 0x20, 0xe0, 0x83, 0xc8, 0x20, 0x0f, 0x22, 0xe0, 0xb9,
    0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x01, 0x00, 0x00, 0x0f, 0x30, 0x0f, 0x20, 0xc0, 0x0d, 0x00, 0x00, 0x00,
    0x80, 0x0f, 0x22, 0xc0, 0xea, 0xbf, 0x00, 0xff, 0xff, 0x18, 0x00, 0x48, 0xc7, 0xc7, 0x00, 0x00, 0x40, 0x00, 0x48, 0xc7,
    0xc1, 0x00, 0x00, 0x08, 0x00, 0x48, 0xc7, 0xc0, 0x59, 0x59, 0x00, 0x00, 0xf3, 0x48, 0xab, 0x31, 0xc0, 0x0f, 0xa2, 0x48,
    0xc7, 0xc1, 0x40, 0x42, 0x0f, 0x00, 0x48, 0xff, 0xc9, 0x75, 0xfb, 0x48, 0x8b, 0x04, 0x25, 0x08, 0x00, 0x40, 0x00, 0x48,
    0x3d, 0x59, 0x59, 0x00, 0x00, 0x75, 0x04, 0xb0, 0x2a, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd, 0x66, 0x90, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xaf, 0x00, 0x1f, 0x00, 0x00, 0x01, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];
/// Where the processor begins: a jump to the start of the ROM.
const RESET: [u8; 5] = [0xea, 0x00, 0x00, 0x00, 0xf0];

/// What was found out, and for what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// The boot of the host.
    pub boot: String,
    /// The QEMU: path, size and time of change.
    pub qemu: String,
    /// How guests run here.
    pub accelerator: Accelerator,
    /// Why.
    pub detail: String,
}

/// The answer for this host: remembered below `data`, or found out now.
///
/// # Errors
/// Where the answer cannot be kept.
pub fn accelerator(data: &Path, clock: &HostClock) -> Result<Probed> {
    let path = data.join("accelerator.json");
    let (boot, qemu) = (clock.now().boot.to_string(), qemu_identity());
    let remembered = files::read(&path)?.and_then(|bytes| serde_json::from_slice::<Probed>(&bytes).ok());
    if let Some(probed) = remembered.filter(|probed| probed.boot == boot && probed.qemu == qemu) {
        return Ok(probed);
    }
    let (accelerator, detail) = try_out(data);
    let probed = Probed { boot, qemu, accelerator, detail };
    files::write_private(&path, serde_json::to_string_pretty(&probed).unwrap_or_default().as_bytes())?;
    Ok(probed)
}

/// Tries KVM, whatever is remembered.
pub fn try_out(scratch: &Path) -> (Accelerator, String) {
    let Some(qemu) = qemu() else { return (Accelerator::Tcg, "there is no QEMU on this host".to_owned()) };
    match fs::OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Err(e) => return (Accelerator::Tcg, format!("/dev/kvm cannot be opened: {e}")),
        Ok(kvm) => drop(kvm),
    }
    match boots(&qemu, "kvm", scratch, PATIENCE) {
        Ok(took) => (Accelerator::Kvm, format!("a guest reached long mode under KVM in {} ms", took.as_millis())),
        Err(why) => (Accelerator::Tcg, format!("/dev/kvm is there but does not work: {why}")),
    }
}

/// Runs the small guest. Answers how long it took.
fn boots(qemu: &Path, accelerator: &str, scratch: &Path, patience: Duration) -> Result<Duration, String> {
    let mut rom = vec![0xf4; ROM_BYTES];
    if let Some(start) = rom.get_mut(..CODE.len()) {
        start.copy_from_slice(&CODE);
    }
    if let Some(reset) = rom.get_mut(ROM_BYTES - 16..ROM_BYTES - 11) {
        reset.copy_from_slice(&RESET);
    }
    let path = scratch.join(format!(".probe-{}-{accelerator}.rom", std::process::id()));
    files::write_private(&path, &rom).map_err(|e| e.to_string())?;
    let start = Instant::now();
    let child = Command::new(qemu)
        .args(["-accel", accelerator, "-machine", "q35", "-m", "32", "-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-bios"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let result = child.map_err(|e| e.to_string()).and_then(|mut child| {
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.code() == Some(DONE) => break Ok(start.elapsed()),
                Ok(Some(status)) => break Err(format!("QEMU ended with {status}")),
                Ok(None) if start.elapsed() < patience => std::thread::sleep(Duration::from_millis(5)),
                Ok(None) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break Err(format!("a guest made no way within {} s", patience.as_secs()));
                }
                Err(e) => break Err(e.to_string()),
            }
        }
    });
    let _ = fs::remove_file(&path);
    result
}

fn qemu() -> Option<PathBuf> {
    QEMU.iter().map(PathBuf::from).find(|path| path.exists())
}

fn qemu_identity() -> String {
    let Some(path) = qemu() else { return String::new() };
    let stamp = fs::metadata(&path).map(|metadata| format!("{}:{}", metadata.len(), metadata.mtime()));
    format!("{}:{}", path.display(), stamp.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_guest_reaches_its_end_where_instructions_are_translated() {
        let Some(qemu) = qemu() else { return crate::pass_over("there is no QEMU on this host") };
        boots(&qemu, "tcg", &std::env::temp_dir(), Duration::from_secs(30)).unwrap();
    }

    #[test]
    fn a_guest_that_makes_no_way_is_given_up() {
        let Some(qemu) = qemu() else { return crate::pass_over("there is no QEMU on this host") };
        let error = boots(&qemu, "no-such-accelerator", &std::env::temp_dir(), Duration::from_secs(5)).unwrap_err();
        assert!(error.contains("QEMU ended"), "{error}");
    }
}
