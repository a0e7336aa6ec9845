//! The whole house, tried from outside over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops on its first surprise")]

mod approvals;
mod factors;
mod hostile;
mod house;
mod hub;
mod reasons;
mod roles;
mod sale;
mod tmf;

use std::process::{Command, Output};

/// Runs a Python program of `tests/` with its tools; `None`, said aloud, where they cannot be had and need not be.
pub fn python(program: &str, arguments: &[&str], input: &str) -> Option<Output> {
    use std::io::Write as _;
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests");
    let mut command = Command::new(format!("{tests}/python"));
    command.arg(format!("{tests}/{program}")).args(arguments);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(75) {
        let why = String::from_utf8_lossy(&output.stderr);
        db::testing::pass_over(db::testing::TOOLS, &format!("{program} cannot run: {}", why.trim()));
        return None;
    }
    Some(output)
}
