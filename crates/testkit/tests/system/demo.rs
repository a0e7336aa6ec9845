//! The demo ends in good order, also where somebody has seen enough of it.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{Scratch, has_hypervisor};

/// The processes that have to do with a folder: it is named in their words, or they stand in it.
fn processes_of(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()) {
        let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        let stands = std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        if stands || words.contains(&folder.display().to_string()) {
            found.push(format!("{}: {words}", process.display()));
        }
    }
    found
}

/// A demo in a process group of its own, as a shell starts it.
struct Demo {
    child: Child,
    output: PathBuf,
}

impl Demo {
    fn start(scratch: &Scratch) -> Demo {
        let output = scratch.0.join("output");
        let file = std::fs::File::create(&output).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_yunwei-demo"));
        command.args(["--once", "--seconds", "1"]).process_group(0);
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Demo { child: command.spawn().unwrap(), output }
    }

    fn folder(&self) -> PathBuf {
        std::env::temp_dir().join(format!("yunwei-demo-{}", self.child.id()))
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    fn wait_for(&mut self, words: &str) {
        let until = Instant::now() + Duration::from_secs(180);
        while !self.said().contains(words) {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.said());
            assert!(Instant::now() < until, "{words}: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + Duration::from_secs(240);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it goes on: {}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    if !has_hypervisor() {
        return;
    }
    // Ctrl-C reaches everything that the terminal has started, `kill` only the demo.
    for (case, whole_group) in [("terminal", true), ("kill", false)] {
        let scratch = Scratch::new(&format!("demo-{case}"));
        let mut demo = Demo::start(&scratch);
        demo.wait_for("Choose a host and reserve capacity");
        let folder = demo.folder();
        assert!(folder.is_dir() && !processes_of(&folder).is_empty(), "{case}: it is at work");
        let whom = format!("{}{}", if whole_group { "-" } else { "" }, demo.child.id());
        assert!(Command::new("kill").args(["-s", "INT", "--", &whom]).status().unwrap().success());
        let status = demo.end();
        assert_eq!(status.code(), Some(1), "{case}: {}", demo.said());
        assert!(!folder.exists(), "{case}: {} is left: {}", folder.display(), demo.said());
        let until = Instant::now() + Duration::from_secs(10);
        while !processes_of(&folder).is_empty() {
            assert!(Instant::now() < until, "{case}: still there: {:#?}", processes_of(&folder));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
