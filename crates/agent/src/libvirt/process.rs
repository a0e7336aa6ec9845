//! QEMU's processes, by the domain they run: which run a machine is in, and since when.
//!
//! libvirt's own numbers of domains start again with its daemon, and it does not tell when a domain
//! was started. The kernel does: a process is named by its id and its start, over any restart of ours
//! or of libvirt's, and its start is known to ten milliseconds by a clock that nobody sets.

use std::collections::HashMap;
use std::fs;
use std::sync::{Mutex, PoisonError};

use drivers::hypervisor::{Began, Run};
use drivers::moment::Moment;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Kernel clock ticks are a hundredth of a second on every architecture that Linux shows to programs.
const TICK_MS: u64 = 10;

/// Finds processes, and remembers where they were.
#[derive(Default)]
pub struct Processes {
    known: Mutex<HashMap<String, Process>>,
}

/// Ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    started_ticks: u64,
    pid: u32,
}

impl Processes {
    /// The present run of a domain; `None` where no process of it can be seen.
    pub fn run(&self, domain: &str, now: &Moment) -> Option<Run> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Both are asked: what was taken for the guest may since have become another program.
        let alive = known
            .get(domain)
            .copied()
            .filter(|process| started(process.pid) == Some(process.started_ticks) && runs(process.pid, domain));
        let process = match alive {
            Some(process) => process,
            None => {
                *known = scan();
                *known.get(domain)?
            }
        };
        let steady_ms = process.started_ticks * TICK_MS;
        Some(Run {
            name: format!("{}:{}:{}", now.boot, process.pid, process.started_ticks),
            began: Some(Began { at: now.wall_at(steady_ms), steady_ms }),
        })
    }
}

/// Ends the process that runs a guest, at once. Answers whether that could be done.
pub fn kill(domain: &str) -> bool {
    let Some(process) = scan().remove(domain) else { return false };
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    // Held first and looked at again afterwards: by then its number cannot be another program's.
    let held = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let same = || runs(process.pid, domain) && started(process.pid) == Some(process.started_ticks);
    held.filter(|_| same()).is_some_and(|held| pidfd_send_signal(&held, Signal::KILL).is_ok())
}

/// Every QEMU process by the name of its guest.
fn scan() -> HashMap<String, Process> {
    let mut found = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Some(name) = guest(pid) else { continue };
        if let Some(started_ticks) = started(pid) {
            let process = Process { pid, started_ticks };
            // A child on its way to become another program still looks like its parent: the elder counts.
            let elder = |known: &mut Process| *known = (*known).min(process);
            found.entry(name).and_modify(elder).or_insert(process);
        }
    }
    found
}

/// The guest that a process runs, as its arguments name it.
fn guest(pid: u32) -> Option<String> {
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let guest = cmdline.split(|byte| *byte == 0).find_map(|argument| argument.strip_prefix(b"guest="))?;
    Some(std::str::from_utf8(guest).ok()?.split(',').next()?.to_owned())
}

fn runs(pid: u32, domain: &str) -> bool {
    guest(pid).is_some_and(|guest| guest == domain)
}

/// When a process was started, in ticks since the host was. `None`: there is none, or only its corpse.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses included.
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use drivers::moment::HostClock;

    #[test]
    fn a_process_is_known_by_the_guest_it_runs_and_its_start() {
        let name = format!("yw-test-{}", std::process::id());
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 30; :", &format!("guest={name},debug-threads=on")])
            .spawn()
            .unwrap();
        let processes = Processes::default();
        let clock = HostClock::system();
        let wait = std::time::Instant::now();
        let run = loop {
            if let Some(run) = processes.run(&name, &clock.now()) {
                break run;
            }
            assert!(wait.elapsed().as_secs() < 5, "the process was not found");
        };
        let began = run.began.unwrap();
        let now = clock.now();
        assert!(now.steady_ms >= began.steady_ms && now.steady_ms - began.steady_ms < 5_000, "{began:?} {now:?}");
        assert_eq!(processes.run(&name, &now).unwrap().name, run.name);
        child.kill().unwrap();
        // Nobody has waited for it yet: a corpse does not run.
        let wait = std::time::Instant::now();
        while processes.run(&name, &clock.now()).is_some() {
            assert!(wait.elapsed().as_secs() < 5, "a corpse runs");
        }
        child.wait().unwrap();
        assert!(processes.run("yw-nobody", &clock.now()).is_none());
    }

    #[test]
    fn a_guest_is_killed_by_its_name_and_nobody_else_is() {
        let name = |which: &str| format!("yw-test-kill-{which}-{}", std::process::id());
        let run = |which: &str| {
            let script = ["-c", "sleep 30; :", &format!("guest={},debug-threads=on", name(which))].map(str::to_owned);
            std::process::Command::new("sh").args(script).spawn().unwrap()
        };
        let (mut one, mut other) = (run("one"), run("other"));
        assert!(!kill(&name("nobody")));
        let wait = std::time::Instant::now();
        while !kill(&name("one")) {
            assert!(wait.elapsed().as_secs() < 5, "the process was not found");
        }
        assert!(!one.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none(), "the other goes on");
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn what_has_become_another_program_runs_the_guest_no_more() {
        let name = format!("yw-test-becomes-{}", std::process::id());
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line; exec sleep 30", &format!("guest={name}")])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let processes = Processes::default();
        let clock = HostClock::system();
        let until = |runs: bool| {
            let wait = std::time::Instant::now();
            while processes.run(&name, &clock.now()).is_some() != runs {
                assert!(wait.elapsed().as_secs() < 10, "runs: {runs} was not seen");
            }
        };
        until(true);
        drop(child.stdin.take());
        until(false);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
