//! Debian's restic, as whoever leaves us with the escrow password would use it.
#![allow(dead_code, reason = "each crate that tries the vault uses its share")]

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

/// restic, or nothing where it is not installed and `YUNWEI_TEST_RESTIC=require` is not set.
pub struct Restic {
    repository: String,
    password: String,
}

/// Whether restic is here; says so where it is not.
pub fn there() -> bool {
    let there = Command::new("restic").arg("version").output().is_ok_and(|o| o.status.success());
    let required = std::env::var("YUNWEI_TEST_RESTIC").is_ok_and(|v| v == "require");
    assert!(there || !required, "restic is required and not installed: script/setup --test");
    if !there {
        eprintln!("SKIPPED: restic is not installed (script/setup --test installs it)");
    }
    there
}

impl Restic {
    pub fn new(repository: impl Into<String>, password: &str) -> Self {
        Restic { repository: repository.into(), password: password.to_owned() }
    }

    pub fn at(folder: &Path, password: &str) -> Self {
        Self::new(folder.to_str().unwrap(), password)
    }

    pub fn try_run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.within(600, arguments)
    }

    /// The same within so many seconds: restic tries for a quarter of an hour what it is refused.
    pub fn within<S: AsRef<OsStr>>(&self, seconds: u32, arguments: impl IntoIterator<Item = S>) -> Output {
        Command::new("timeout")
            .args([&seconds.to_string(), "restic", "--no-cache"])
            .args(["--repo", &self.repository])
            .args(arguments)
            .env("RESTIC_PASSWORD", &self.password)
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .output()
            .unwrap()
    }

    /// Runs it; its output when it succeeds.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let output = self.try_run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "restic: {text}");
        text
    }

    /// That every byte of the repository is as it should be.
    pub fn check(&self) {
        let said = self.run(["check", "--read-data"]);
        assert!(said.contains("no errors were found"), "{said}");
    }
}
