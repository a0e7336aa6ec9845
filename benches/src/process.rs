//! A program of ours as a process of its own, so that what it costs can be told
//! from what measuring it costs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// This very program again, in another role. Ends with its handle.
pub struct Role {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What else it has printed on its first line.
    pub words: Vec<String>,
}

impl Role {
    /// Starts this program with `arguments` and `input` on its standard input,
    /// and waits for its first line: its address, and further words.
    ///
    /// # Errors
    /// Where it does not start or prints no address.
    pub fn start(arguments: &[&str], input: &[u8]) -> std::io::Result<Role> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        if let Some(mut into) = child.stdin.take() {
            into.write_all(input)?;
        }
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().and_then(|word| word.parse().ok()) {
            Some(address) => Ok(Role { child, address, words: words.collect() }),
            None => {
                let _ = child.kill();
                Err(std::io::Error::other(format!("`{arguments:?}` printed no address")))
            }
        }
    }

    /// Processor time that it has used until now.
    pub fn used(&self) -> Duration {
        processor_time(self.child.id())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of all threads of a process, living ones.
pub fn processor_time(process: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    Duration::from_nanos(tasks.filter_map(on_processor).sum())
}

/// Memory of a process that is in use now, in MiB.
pub fn resident_mib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0);
    kib / 1024.0
}

/// Processor time of the living threads of this process that have that name.
pub fn thread_time(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let named = tasks
        .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name));
    Duration::from_nanos(named.filter_map(on_processor).sum())
}

fn on_processor(task: std::fs::DirEntry) -> Option<u64> {
    std::fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse().ok()
}
