//! Everything that can go wrong with a backup, by code, and what to do about it.
//!
//! Codes cross from the child to its parent as text; the kind is looked up here, so that both
//! sides agree and a code without a kind cannot be made.

use base::{Error, Kind};

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $code:literal $kind:ident;)*) => {
        $($(#[$doc])* pub const $name: &str = $code;)*

        /// Every code with its kind.
        pub const ALL: &[(&str, Kind)] = &[$(($code, Kind::$kind)),*];
    };
}

faults! {
    /// There is no repository at that place.
    REPOSITORY_MISSING = "repository.missing" NotFound;
    /// There is one already.
    REPOSITORY_EXISTS = "repository.exists" Conflict;
    /// None of its keys opens with what was given.
    REPOSITORY_KEY = "repository.key_wrong" Forbidden;
    /// What it holds does not match its hash or does not decrypt. Use another copy.
    REPOSITORY_DAMAGED = "repository.damaged" Conflict;
    /// Something that it should hold is gone. Use another copy.
    REPOSITORY_INCOMPLETE = "repository.incomplete" Conflict;
    /// Another program holds a lock in it, or somebody adds or removes snapshots beside all that is tried.
    REPOSITORY_LOCKED = "repository.locked" Unavailable;
    /// The disk under it is full.
    REPOSITORY_FULL = "repository.full" Exhausted;
    /// The quota of the credential is used up.
    REPOSITORY_QUOTA = "repository.quota" Exhausted;
    /// It does not answer.
    REPOSITORY_UNREACHABLE = "repository.unreachable" Unavailable;
    /// It answers too slowly.
    REPOSITORY_SLOW = "repository.slow" Unavailable;
    /// It does not know the credential, or the file system forbids.
    REPOSITORY_REFUSED = "repository.refused" Forbidden;
    /// It lets nobody change or remove what is there.
    REPOSITORY_APPEND_ONLY = "repository.append_only" Forbidden;
    /// Something else is wrong with the place.
    REPOSITORY_UNUSABLE = "repository.unusable" Unavailable;
    /// There is no such snapshot.
    SNAPSHOT_MISSING = "snapshot.missing" NotFound;
    /// There is no such path in the snapshot.
    SNAPSHOT_PATH = "snapshot.path" NotFound;
    /// What is at a path is not what is wanted there: a file, a directory.
    SNAPSHOT_KIND = "snapshot.kind" Conflict;
    /// There is no file system, or one that cannot be looked into.
    FILESYSTEM_UNKNOWN = "filesystem.unsupported" Conflict;
    /// The file system was damaged before it was backed up; the copy of it is whole.
    FILESYSTEM_DAMAGED = "filesystem.damaged" Conflict;
    /// It is larger than may be fetched.
    FETCH_TOO_LARGE = "fetch.too_large" Exhausted;
    /// What should be backed up is not there.
    SOURCE_MISSING = "source.missing" NotFound;
    /// It could not be read to its end.
    SOURCE_UNREADABLE = "source.unreadable" Unavailable;
    /// The stream ended before its writer said that it was complete.
    SOURCE_CUT = "source.cut" Unavailable;
    /// Something lies already where the restore should go.
    TARGET_TAKEN = "target.taken" Conflict;
    /// It could not be written.
    TARGET_UNWRITABLE = "target.unwritable" Unavailable;
    /// The disk of the restore is full.
    TARGET_FULL = "target.full" Exhausted;
    /// The request makes no sense.
    REQUEST_INVALID = "backup.request" Invalid;
    /// It was cancelled.
    CANCELLED = "backup.cancelled" Conflict;
    /// It took longer than it was given.
    DEADLINE = "backup.deadline" Unavailable;
    /// It wanted more memory than it was given.
    MEMORY = "backup.memory" Exhausted;
    /// Something killed the process: by hand, or the system for want of memory.
    KILLED = "backup.killed" Uncertain;
    /// The process ended without an answer.
    CRASHED = "backup.crashed" Uncertain;
    /// The program could not be started.
    ABSENT = "backup.absent" Unavailable;
    /// The engine failed in a way that has no name yet.
    ENGINE = "backup.engine" Uncertain;
}

/// The error of a code; one that nobody knows is of an unnamed failure of the engine.
pub fn error(code: &str, message: impl Into<String>) -> Error {
    match ALL.iter().find(|(known, _)| *known == code) {
        Some((known, kind)) => Error::new(*kind, *known, message),
        None => Error::new(Kind::Uncertain, ENGINE, message),
    }
}

/// What a panic of the engine is.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let said = said.unwrap_or("for no reason it told").lines().next().unwrap_or_default();
    error(CRASHED, format!("the backup engine gave up: {said}; check the repository"))
}

/// What an error of the file system means where a repository lies.
pub(crate) fn of_place(error: &std::io::Error, what: &str) -> Error {
    use std::io::ErrorKind as E;
    let (code, advice) = match error.kind() {
        E::NotFound => (REPOSITORY_INCOMPLETE, "something that the repository should hold is gone; use another copy"),
        E::StorageFull => (REPOSITORY_FULL, "the disk under the repository is full; free space or move the repository"),
        E::QuotaExceeded => (REPOSITORY_QUOTA, "the quota under the repository is used up; raise it"),
        E::PermissionDenied | E::ReadOnlyFilesystem => {
            (REPOSITORY_REFUSED, "the file system forbids it; look at the owner and mode of the repository")
        }
        E::TimedOut => (REPOSITORY_SLOW, "the repository answers too slowly; look at its disk or network"),
        _ => (REPOSITORY_UNUSABLE, "the place of the repository does not work; look at its disk"),
    };
    self::error(code, format!("{what}: {error}; {advice}"))
}

/// What an error of the file system means where a restore goes.
pub(crate) fn of_target(error: &std::io::Error, what: &str) -> Error {
    let (code, advice) = match error.kind() {
        std::io::ErrorKind::StorageFull => (TARGET_FULL, "the disk of the restore is full; restore to a larger one"),
        _ => (TARGET_UNWRITABLE, "the restore cannot be written there; choose another place"),
    };
    self::error(code, format!("{what}: {error}; {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_there_once() {
        let mut codes: Vec<_> = ALL.iter().map(|(code, _)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
    }

    #[test]
    fn a_code_nobody_knows_is_the_engines() {
        assert_eq!(error("no.such", "x").code(), ENGINE);
        assert_eq!(error(REPOSITORY_KEY, "x").kind(), Kind::Forbidden);
    }
}
