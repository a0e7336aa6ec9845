//! Copies of a machine's disks, all of one instant, made while it runs.
//!
//! A machine that runs is copied by QEMU itself (libvirt's backup job): from the instant that the job
//! begins, whatever the guest overwrites is first copied as it was. The guest goes on, its disks stay the
//! files they are, and a copy that is cut off leaves nothing but scratch. The copies are qcow2, in which
//! zeros take no room, and become sparse raw files one after the other.
//!
//! A machine that rests is copied from its files; if they change meanwhile, because it was started, the
//! copy is made again.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base::error::Kind;
use base::time::Timestamp;
use base::{Error, Result};
use drivers::tasks::Cancel;
use drivers::wire::{Consistency, IntentId, TaskProgress};

use super::connection::Effect;
use super::storage::{backing_file, tool};
use super::{Libvirt, READS, Shown, disk_space, disks_of, domain_name, xml};
use crate::files::{self, failed};

/// How often it is looked how far QEMU is.
const LOOK: Duration = Duration::from_millis(100);
/// How often a copy is begun again because the machine was started or stopped meanwhile.
const TRIES: u32 = 4;
/// What is left free of the file system that the copies are on, in MiB.
const SPARE_MIB: u64 = 64;

/// Copies of a machine's disks.
pub struct Copied {
    /// The instant that they are of.
    pub taken_at: Timestamp,
    /// What was done for that.
    pub consistency: Consistency,
    /// Each disk, as a raw file named after it.
    pub files: Vec<PathBuf>,
}

/// One disk as it is found.
struct Disk {
    name: String,
    file: PathBuf,
    format: &'static str,
}

/// Who is told how far it is.
pub type Told<'a> = &'a mut dyn FnMut(TaskProgress);

impl Libvirt {
    /// Copies the disks of a machine into `into`, as `<disk>.raw`; the directory must be empty.
    ///
    /// # Errors
    /// `NotFound` (`machine.absent`) where there is no such machine; `Exhausted` (`backup.scratch_full`)
    /// where the copies have no room; `Conflict` (`backup.cancelled`).
    pub fn copy_disks(&self, id: &IntentId, into: &Path, cancel: &Cancel, told: Told<'_>) -> Result<Copied> {
        for _ in 0..TRIES {
            let absent = || Error::not_found("machine.absent", format!("there is no machine {id} on this host"));
            let seen = self.seen(id)?.ok_or_else(absent)?;
            let disks = self.disks(id)?;
            self.room_for(&disks, into)?;
            let taken_at = self.clock.now().wall;
            let copied = match seen.activity {
                Shown::Stopped(_) => self.copy_resting(id, &disks, into, cancel, told)?,
                Shown::Running | Shown::Paused(_) => self.copy_living(id, &disks, into, cancel, told)?,
            };
            if let Some(consistency) = copied {
                let files = disks.iter().map(|disk| raw(into, disk)).collect();
                return Ok(Copied { taken_at, consistency, files });
            }
            for disk in &disks {
                for file in [raw(into, disk), draft(into, disk)] {
                    files::remove_file(&file).map_err(|e| failed("remove", &file, e))?;
                }
            }
        }
        Err(Error::unavailable(
            "backup.unsteady",
            "the machine was started or stopped whenever it was copied; try again",
        ))
    }

    /// Ends copies that nobody waits for any more.
    ///
    /// # Errors
    /// Where libvirt cannot be asked.
    pub fn end_copies(&self) -> Result<()> {
        use drivers::hypervisor::Hypervisor as _;
        for found in self.list()?.into_iter().filter(drivers::hypervisor::Found::lives) {
            self.end_copy(&found.id)?;
        }
        Ok(())
    }

    fn disks(&self, id: &IntentId) -> Result<Vec<Disk>> {
        let found = |name: String| {
            let missing = || Error::unavailable("machine.incomplete", format!("the disk {name} of {id} is not there"));
            let (file, format) = self.storage.disk_file(id, &name).ok_or_else(missing)?;
            Ok(Disk { name, file, format })
        };
        disks_of(&self.storage.dir(id)).into_iter().map(found).collect()
    }

    /// Whether the copies have room. They take what the disks take, and the largest of them twice for a moment.
    fn room_for(&self, disks: &[Disk], into: &Path) -> Result<()> {
        let sizes: Vec<u64> = disks.iter().map(|disk| occupied(&disk.file)).collect::<Result<_>>()?;
        let needed = (sizes.iter().sum::<u64>() + sizes.iter().max().copied().unwrap_or(0)).div_ceil(1 << 20);
        let (_, free) = disk_space(into);
        if needed + SPARE_MIB <= free {
            return Ok(());
        }
        Err(no_room(into, &format!("{needed} MiB are needed for a while, {free} MiB are free")))
    }

    /// `None` where the machine did not rest all the while.
    fn copy_resting(
        &self,
        id: &IntentId,
        disks: &[Disk],
        into: &Path,
        cancel: &Cancel,
        told: Told<'_>,
    ) -> Result<Option<Consistency>> {
        let before = states(disks)?;
        for (done, disk) in disks.iter().enumerate() {
            told(things("copying disks", done, disks.len()));
            convert(&disk.file, disk.format, &raw(into, disk), cancel)?;
        }
        let rests = self.seen(id)?.is_some_and(|seen| matches!(seen.activity, Shown::Stopped(_)));
        Ok((rests && states(disks)? == before).then_some(Consistency::Stopped))
    }

    /// `None` where the machine stopped before QEMU was done.
    fn copy_living(
        &self,
        id: &IntentId,
        disks: &[Disk],
        into: &Path,
        cancel: &Cancel,
        told: Told<'_>,
    ) -> Result<Option<Consistency>> {
        self.end_copy(id)?;
        let job = into.join("job.xml");
        let drafts: Vec<(usize, PathBuf)> = disks.iter().map(|disk| draft(into, disk)).enumerate().collect();
        files::write_private(&job, xml::backup(&drafts).as_bytes())?;
        let begun = self.virsh(|c| c.args(["backup-begin", &domain_name(id)]).arg(&job));
        let _ = files::remove_file(&job);
        if begun.is_err() && !self.lives(id)? {
            return Ok(None);
        }
        begun.map_err(|e| self.explained(e, into))?;
        let copied = self.wait_for_copy(id, cancel, told);
        if copied.is_err() {
            let _ = self.end_copy(id);
        }
        if !copied.map_err(|e| self.explained(e, into))? {
            return Ok(None);
        }
        for (done, disk) in disks.iter().enumerate() {
            told(things("unpacking copies", done, disks.len()));
            let draft = draft(into, disk);
            convert(&draft, "qcow2", &raw(into, disk), cancel)?;
            files::remove_file(&draft).map_err(|e| failed("remove", &draft, e))?;
        }
        Ok(Some(Consistency::CrashConsistent))
    }

    /// Whether QEMU came to the end of it; not so where the machine ended before.
    fn wait_for_copy(&self, id: &IntentId, cancel: &Cancel, told: Told<'_>) -> Result<bool> {
        loop {
            if cancel.asked() {
                return Err(cancelled());
            }
            let Some((busy, done, total)) = self.job(id)? else { return Ok(false) };
            if !busy {
                break;
            }
            told(TaskProgress { phase: "copying disks".to_owned(), done, total: Some(total), bytes: true });
            std::thread::sleep(LOOK);
        }
        let said = match self.virsh(|c| c.args(["domjobinfo", &domain_name(id), "--completed", "--rawstats"])) {
            Ok(said) => said,
            Err(_) if !self.lives(id)? => return Ok(false),
            Err(e) => return Err(e),
        };
        let said = String::from_utf8_lossy(&said);
        match said.lines().any(|line| line.contains("success") && line.trim_end().ends_with('1')) {
            true => Ok(true),
            false if !self.lives(id)? => Ok(false),
            false => {
                let why = said
                    .lines()
                    .find_map(|line| line.split_once("errmsg").map(|(_, why)| why.trim_matches([':', ' ', '\''])));
                let message = format!("QEMU could not copy the disks: {}", why.unwrap_or("it did not say why"));
                Err(Error::unavailable("backup.copy_failed", message))
            }
        }
    }

    /// Ends a copy that is under way, if there is one.
    fn end_copy(&self, id: &IntentId) -> Result<()> {
        for _ in 0..50 {
            match self.job(id)? {
                Some((true, ..)) => {}
                _ => return Ok(()),
            }
            let _ = self.virsh(|c| c.args(["domjobabort", &domain_name(id)]));
            std::thread::sleep(LOOK);
        }
        Err(Error::unavailable("backup.busy", "another job of this machine at the hypervisor does not end"))
    }

    /// Whether a job is at work for the machine, and how far it is; `None` where the machine does not run.
    fn job(&self, id: &IntentId) -> Result<Option<(bool, u64, u64)>> {
        let name = domain_name(id);
        let asked = self.connection.call(Effect::Reads, READS, move |libvirt| {
            let job = libvirt.lookup_domain_by_name(&name)?.job_info()?;
            Ok((job.r#type != 0, job.disk_processed.unwrap_or(0), job.disk_total.unwrap_or(0)))
        });
        match asked {
            Ok(job) => Ok(Some(job)),
            Err(e) if e.kind() == Kind::NotFound || !self.lives(id)? => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn lives(&self, id: &IntentId) -> Result<bool> {
        Ok(self.seen(id)?.is_some_and(|seen| !matches!(seen.activity, Shown::Stopped(_))))
    }

    /// The binding has no safe way to backup jobs.
    fn virsh(&self, arguments: impl FnOnce(&mut Command) -> &mut Command) -> Result<Vec<u8>> {
        tool("virsh", |c| arguments(c.args(["-q", "-c", self.connection.uri()])))
    }

    /// A failure, where want of room is behind it in those words.
    fn explained(&self, e: Error, into: &Path) -> Error {
        let (_, free) = disk_space(into);
        let full = free < SPARE_MIB || e.message().contains("No space left");
        if full && e.code() != CANCELLED { no_room(into, &format!("{free} MiB are free ({})", e.message())) } else { e }
    }
}

const CANCELLED: &str = "backup.cancelled";

/// What a task fails with that is not wanted any more.
pub fn cancelled() -> Error {
    Error::conflict(CANCELLED, "it was cancelled")
}

fn no_room(into: &Path, figures: &str) -> Error {
    let message = format!("the copies of the disks have no room in {}: {figures}; make room there", into.display());
    Error::exhausted("backup.scratch_full", message)
}

fn raw(into: &Path, disk: &Disk) -> PathBuf {
    into.join(format!("{}.raw", disk.name))
}

fn draft(into: &Path, disk: &Disk) -> PathBuf {
    into.join(format!("{}.qcow2", disk.name))
}

fn things(phase: &str, done: usize, total: usize) -> TaskProgress {
    TaskProgress { phase: phase.to_owned(), done: done as u64, total: Some(total as u64), bytes: false }
}

/// Copies a disk into a sparse file. What the disk holds does not say what format it has.
fn convert(from: &Path, format: &str, to: &Path, cancel: &Cancel) -> Result<()> {
    // It may take hours, and ends with this program. Shared (-U): its machine may be started meanwhile;
    // a copy of disks that changed under it is thrown away.
    let missing = |e| Error::unavailable("host.tool_missing", format!("cannot run qemu-img: {e}")).because(e);
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "qemu-img", "convert", "-U", "-f", format, "-O", "raw", "-S", "4k"])
        .arg(from)
        .arg(to)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    while child.try_wait().map_err(missing)?.is_none() {
        if cancel.asked() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(cancelled());
        }
        std::thread::sleep(LOOK);
    }
    let output = child.wait_with_output().map_err(missing)?;
    if output.status.success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
    Err(match said.contains("No space left") {
        true => no_room(to.parent().unwrap_or(to), &said),
        false => Error::unavailable("backup.copy_failed", format!("qemu-img could not copy a disk: {said}")),
    })
}

/// What a disk takes, with what it rests on.
fn occupied(file: &Path) -> Result<u64> {
    let taken = |file: &Path| fs::metadata(file).map(|found| found.blocks() * 512).map_err(|e| failed("read", file, e));
    let below = match file.extension().is_some_and(|extension| extension == "qcow2") {
        true => backing_file(file).map_err(|e| failed("read", file, e))?,
        false => None,
    };
    Ok(taken(file)? + below.map_or(Ok(0), |below| taken(&below))?)
}

/// By what it is seen that a file was written to.
fn states(disks: &[Disk]) -> Result<Vec<(u64, i64, i64)>> {
    let state = |disk: &Disk| {
        let found = fs::metadata(&disk.file).map_err(|e| failed("read", &disk.file, e))?;
        Ok((found.len(), found.mtime(), found.mtime_nsec()))
    };
    disks.iter().map(state).collect()
}
