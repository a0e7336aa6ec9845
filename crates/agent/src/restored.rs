//! Data sets that were brought back lie in `restored/` until their time is over.
//!
//! What nobody has taken over is somebody's data that nobody looks after. A directory there that still is
//! as the agent left it goes [`limits::RESTORED_DAYS`] days after it was made; one that was given to
//! another user, or opened to others, is theirs and stays.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::time::Timestamp;
use base::{Result, limits};

use crate::files::failed;

/// Where data sets are brought back to, below the agent's directory.
pub const FOLDER: &str = "restored";
/// What the name of a directory ends with that is being removed.
const GOING: &str = "going";

/// Removes what has been there for its time and was not taken over; says how many there were.
///
/// # Errors
/// `Unavailable` where the directory cannot be listed. What cannot be removed is told in the log.
pub fn let_go(data: &Path, now: Timestamp) -> Result<u32> {
    let folder = data.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(|e| failed("list", &folder, e))?,
    };
    let mut gone = 0;
    for path in entries.flatten().map(|entry| entry.path()) {
        // One that cannot be removed keeps nobody else's.
        match let_go_of(&path, now) {
            Ok(went) => gone += u32::from(went),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                tracing::warn!(path = %path.display(), "what was brought back and has been there for its time cannot be removed: {e}");
            }
        }
    }
    Ok(gone)
}

/// Whether it was removed: it had been there for its time, or somebody's power went out while it was removed.
fn let_go_of(path: &Path, now: Timestamp) -> io::Result<bool> {
    if path.extension().is_some_and(|end| end == GOING) {
        return emptied_by_nobody_else(path).and_then(|()| fs::remove_dir_all(path)).map(|()| false);
    }
    if !is_over(path, now)? {
        return Ok(false);
    }
    remove(path).map(|()| true)
}

/// Refuses a directory in which something is mounted: what is there is on another disk, and somebody else's.
fn emptied_by_nobody_else(path: &Path) -> io::Result<()> {
    let disk = fs::symlink_metadata(path)?.dev();
    let mut left = vec![path.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let known = entry.metadata()?;
            if known.dev() != disk {
                return Err(io::Error::other(format!("{} is on another disk", entry.path().display())));
            }
            left.extend(known.is_dir().then(|| entry.path()));
        }
    }
    Ok(())
}

/// Whether a directory is the agent's still, as it left it, and its time has passed. Its own change time is
/// asked: what was restored in it brings times of its own.
fn is_over(path: &Path, now: Timestamp) -> io::Result<bool> {
    let known = fs::symlink_metadata(path)?;
    let untouched =
        known.is_dir() && known.uid() == rustix::process::geteuid().as_raw() && known.mode() & 0o777 == 0o700;
    // A time that cannot be is none that has passed.
    let changed = Timestamp::from_second(known.ctime()).unwrap_or(now);
    let over = changed.saturating_add(Duration::from_secs(limits::RESTORED_DAYS * 86_400)).unwrap_or(Timestamp::MAX);
    Ok(untouched && now >= over)
}

/// Under another name first: what is half removed is not taken for what was brought back.
fn remove(path: &Path) -> io::Result<()> {
    emptied_by_nobody_else(path)?;
    let going: PathBuf = path.with_extension(GOING);
    fs::rename(path, &going).and_then(|()| fs::remove_dir_all(&going))?;
    tracing::info!(path = %path.display(), "a data set that was brought back has been there for its time, and is removed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use base::time::Clock;

    use super::*;

    fn made(data: &Path, name: &str, mode: u32) -> PathBuf {
        let path = data.join(FOLDER).join(name);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("file"), "data").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn what_nobody_took_over_goes_after_its_time_and_nothing_else_does() {
        let data = std::env::temp_dir().join(format!("yunwei-restored-{}", std::process::id()));
        let _ = fs::remove_dir_all(&data);
        assert_eq!(let_go(&data, Clock::System.now()).unwrap(), 0, "there is nothing yet");
        let cut_off = made(&data, "drst_0.going", 0o700);
        assert_eq!(let_go(&data, Clock::System.now()).unwrap(), 0);
        assert!(!cut_off.exists(), "what was being removed goes at once");
        // One that cannot be removed keeps none of the others.
        fs::write(data.join(FOLDER).join("a.going"), "no directory").unwrap();
        let (left, taken) = (made(&data, "drst_1", 0o700), made(&data, "drst_2", 0o755));
        fs::write(data.join(FOLDER).join("note"), "mine").unwrap();
        let after = |days: u64| Clock::System.now() + Duration::from_secs(days * 86_400);
        assert_eq!(let_go(&data, after(limits::RESTORED_DAYS - 1)).unwrap(), 0);
        assert!(left.exists());
        assert_eq!(let_go(&data, after(limits::RESTORED_DAYS + 1)).unwrap(), 1);
        assert!(!left.exists() && taken.join("file").exists() && data.join(FOLDER).join("note").exists());
        assert_eq!(fs::read_dir(data.join(FOLDER)).unwrap().count(), 3);
        fs::remove_dir_all(&data).unwrap();
    }
}
