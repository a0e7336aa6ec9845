//! Backups beside Debian's restic and borg, over the same data in the same run: first backup,
//! unchanged re-run, restore, check; a disk image of which a hundredth changes; and what the
//! repository server makes of its disk. Needs `yunwei-vault` and `yunwei-repository` beside it.
//!
//! YUNWEI_BENCH_IMAGE_MIB   size of the image (10240; a fifth of it is data)
//! YUNWEI_BENCH_ROUNDS      rounds of each (3)

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::figures::median;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use vault::client::{Cancel, Worker};
use vault::request::{
    Answer, Backup, Changed, Image, Key, Limits, Place, Read as Reading, Repository, Restore, Secret, Source, Task,
    Unreadable,
};

const FILES: usize = 10_000;
const FILES_MIB: usize = 200;
const PASSWORD: &str = "lantern walnut";
const BLOCK: u64 = 4 << 10;
const MIB: u64 = 1 << 20;

fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

pub fn run() {
    let scratch = Scratch(std::env::temp_dir().join(format!("yunwei-bench-{}", std::process::id())));
    fs::create_dir_all(&scratch.0).unwrap();
    files(&scratch.0);
    image(&scratch.0);
    server(&scratch.0);
}

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| self.throw().to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }

    /// Words from a small set: shrinks to about a quarter.
    fn text(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 16);
        while bytes.len() < length {
            let word = self.throw();
            bytes.extend_from_slice(format!("{:x} entry {} ", word % 4_096, word % 97).as_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn mixed(&mut self, length: usize) -> Vec<u8> {
        if self.throw().is_multiple_of(2) { self.text(length) } else { self.noise(length) }
    }
}

/// Runs it: how long it took in seconds, and the most memory that a child of ours held, in MiB.
fn measured<T>(work: impl FnOnce() -> T) -> (T, f64, f64) {
    // What was left to be written by an earlier one is not this one's to write.
    succeed(&mut Command::new("sync"));
    let (over, peak) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (done, seconds) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(children_kib(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let began = Instant::now();
        let done = work();
        let seconds = began.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        (done, seconds)
    });
    (done, seconds, peak.into_inner() as f64 / 1024.0)
}

/// The most that one of this program's children ever held.
fn children_kib() -> usize {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let peak = |pid: &str| -> Option<usize> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
    };
    let all: Vec<String> =
        children.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    all.iter().filter_map(|pid| peak(pid)).max().unwrap_or(0)
}

fn size(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().unwrap().len() }).sum()
}

/// What is backed up.
#[derive(Clone, Copy)]
enum What<'a> {
    Files,
    Image,
    /// An image, and where it changed since the last time, for whom that can be told.
    Told(&'a [(u64, u64)]),
}

/// A disk alone, under its own name.
fn disk_alone(path: PathBuf, changed: Option<Changed>) -> Source {
    let named = path.parent().unwrap_or(&path).to_owned();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Source::Images { named, images: vec![Image { path, name, changed }] }
}

/// A program that backs up into a repository below a directory.
trait Program {
    fn name(&self) -> &'static str;
    fn make(&mut self, at: &Path);
    fn back_up(&mut self, at: &Path, data: &Path, what: What<'_>);
    fn restore(&self, at: &Path, to: &Path);
    fn check(&self, at: &Path);
}

fn succeed(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

struct Ours {
    worker: Worker,
    key: Key,
    last: String,
}

impl Ours {
    fn new() -> Self {
        let program = beside("yunwei-vault");
        let key = Key::Password(Secret::new(PASSWORD));
        // Beside others, not behind them.
        let limits = Limits { nice: 0, ..Limits::default() };
        Ours { worker: Worker::new(program).limited(limits), key, last: String::new() }
    }

    fn ask(&self, at: &Path, task: &Task) -> Answer {
        let repository = Repository { place: Place::Folder(at.to_owned()), key: self.key.clone(), cache: None };
        self.worker.run(&repository, task, &Cancel::new(), &mut |_| {}).unwrap()
    }
}

impl Program for Ours {
    fn name(&self) -> &'static str {
        "yunwei"
    }

    fn make(&mut self, at: &Path) {
        self.key = Key::Password(Secret::new(PASSWORD));
        let made = self.ask(at, &Task::Make { escrow: Secret::new("another"), alike: None });
        let Answer::Made { master, .. } = made else { return };
        // As the server keeps it: no password to be stretched each time.
        self.key = Key::Master(master);
    }

    fn back_up(&mut self, at: &Path, data: &Path, what: What<'_>) {
        let path = data.to_owned();
        let source = match what {
            What::Files => Source::Path { path, named: None, except: Vec::new() },
            What::Image => disk_alone(path, None),
            What::Told(ranges) => {
                let changed = Changed { since: self.last.clone(), ranges: ranges.to_vec() };
                disk_alone(path, Some(changed))
            }
        };
        let (host, label) = ("bench".to_owned(), "bench".to_owned());
        let backup = Backup { source, host, tags: Vec::new(), label, unreadable: Unreadable::Refuse };
        if let Answer::Taken { snapshot, .. } = self.ask(at, &Task::Backup(backup)) {
            self.last = snapshot.id;
        }
    }

    fn restore(&self, at: &Path, to: &Path) {
        let (snapshot, to) = (self.last.clone(), to.to_owned());
        self.ask(at, &Task::Restore(Restore { snapshot, path: String::new(), to, sparse: true, owners: false }));
    }

    fn check(&self, at: &Path) {
        self.ask(at, &Task::Check { read: Reading::Everything });
    }
}

struct Restic;

impl Restic {
    fn run(at: &Path, arguments: &[&str]) {
        let cache = at.with_extension("cache");
        succeed(
            Command::new("restic")
                .arg("--cache-dir")
                .arg(cache)
                .arg("--repo")
                .arg(at)
                .args(arguments)
                .env("RESTIC_PASSWORD", PASSWORD),
        );
    }
}

impl Program for Restic {
    fn name(&self) -> &'static str {
        "restic"
    }

    fn make(&mut self, at: &Path) {
        Self::run(at, &["init"]);
    }

    fn back_up(&mut self, at: &Path, data: &Path, _: What<'_>) {
        Self::run(at, &["backup", data.to_str().unwrap()]);
    }

    fn restore(&self, at: &Path, to: &Path) {
        Self::run(at, &["restore", "latest", "--target", to.to_str().unwrap()]);
    }

    fn check(&self, at: &Path) {
        Self::run(at, &["check", "--read-data"]);
    }
}

struct Borg {
    archives: usize,
}

impl Borg {
    fn run(at: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("borg");
        command.args(arguments).env("BORG_PASSPHRASE", PASSWORD).env("BORG_BASE_DIR", at.with_extension("borg"));
        command.env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
        command
    }
}

impl Program for Borg {
    fn name(&self) -> &'static str {
        "borg"
    }

    fn make(&mut self, at: &Path) {
        succeed(&mut Self::run(at, &["init", "--encryption", "repokey-blake2", at.to_str().unwrap()]));
    }

    fn back_up(&mut self, at: &Path, data: &Path, what: What<'_>) {
        self.archives += 1;
        let archive = format!("{}::{}", at.display(), self.archives);
        let mut arguments = vec!["create", "--compression", "zstd,3"];
        if !matches!(what, What::Files) {
            // As its manual has it for disks.
            arguments.extend(["--sparse", "--chunker-params", "fixed,4194304"]);
        }
        arguments.extend([archive.as_str(), data.to_str().unwrap()]);
        succeed(&mut Self::run(at, &arguments));
    }

    fn restore(&self, at: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        let archive = format!("{}::{}", at.display(), self.archives);
        succeed(Self::run(at, &["extract", "--sparse", &archive]).current_dir(to));
    }

    fn check(&self, at: &Path) {
        succeed(&mut Self::run(at, &["check", "--verify-data", at.to_str().unwrap()]));
    }
}

fn programs() -> Vec<Box<dyn Program>> {
    let mut all: Vec<Box<dyn Program>> = vec![Box::new(Ours::new())];
    for (name, program) in [("restic", Box::new(Restic) as Box<dyn Program>), ("borg", Box::new(Borg { archives: 0 }))]
    {
        if Command::new(name).arg("--version").output().is_ok() {
            all.push(program);
        } else {
            println!("{name} is not installed (script/setup --test installs it)");
        }
    }
    all
}

/// A row: what, of each program, and ours against the best of the others.
fn row(what: &str, unit: &str, values: &[f64], aim: &str) {
    let all: String = values.iter().map(|value| format!("{value:>9.2}")).collect();
    let best = values.iter().skip(1).copied().fold(f64::NAN, f64::min);
    let ours = values.first().copied().unwrap_or(f64::NAN);
    println!("{what:<30}{all} {unit:<4} ratio {:>5.2}   {aim}", ours / best);
}

fn heading(what: &str, programs: &[Box<dyn Program>]) {
    let names: String = programs.iter().map(|program| format!("{:>9}", program.name())).collect();
    println!("\n{what}\n{:<30}{names}", "");
}

fn files(scratch: &Path) {
    let data = scratch.join("files");
    let mut dice = Dice(41);
    let mean = FILES_MIB * (1 << 20) / FILES;
    for number in 0..FILES {
        let folder = data.join(format!("{:02}/{:02}", number % 37, number % 11));
        fs::create_dir_all(&folder).unwrap();
        // Most are small, some are large; together what they should be.
        let length = if number % 20 == 0 { mean * 12 } else { mean * 8 / 19 };
        let length = length / 2 + usize::try_from(dice.throw()).unwrap() % length;
        fs::write(folder.join(number.to_string()), dice.mixed(length)).unwrap();
    }
    let mut programs = programs();
    let phases = ["first backup", "unchanged re-run", "restore", "check, all data read"];
    let mut seconds = vec![vec![Vec::new(); programs.len()]; phases.len()];
    // Of the backups, and of restore and check.
    let (mut peaks, mut others) = (vec![0.0_f64; programs.len()], vec![0.0_f64; programs.len()]);
    let mut stored = vec![0.0; programs.len()];
    for round in 0..setting("YUNWEI_BENCH_ROUNDS", 3) {
        for (which, program) in programs.iter_mut().enumerate() {
            let at = scratch.join(format!("{}-{round}", program.name()));
            let back = scratch.join("back");
            program.make(&at);
            for (phase, seconds) in seconds.iter_mut().enumerate() {
                let ((), took, peak) = measured(|| match phase {
                    0 | 1 => program.back_up(&at, &data, What::Files),
                    2 => program.restore(&at, &back),
                    _ => program.check(&at),
                });
                seconds[which].push(took);
                let most = if phase < 2 { &mut peaks } else { &mut others };
                most[which] = most[which].max(peak);
            }
            stored[which] = size(&at) as f64 / MIB as f64;
            for left in [at.clone(), at.with_extension("cache"), at.with_extension("borg"), back] {
                let _ = fs::remove_dir_all(left);
            }
        }
    }
    heading(&format!("{FILES} files, {} MiB", size(&data) / MIB), &programs);
    for (phase, all) in phases.iter().zip(seconds) {
        let values: Vec<f64> = all.into_iter().map(median).collect();
        row(phase, "s", &values, if *phase == "unchanged re-run" { "aim 0.67" } else { "aim 1.00" });
    }
    row("repository", "MiB", &stored, "");
    row("most memory, backup", "MiB", &peaks, "aim 300 MiB");
    row("most memory, restore, check", "MiB", &others, "");
    fs::remove_dir_all(data).unwrap();
}

/// The runs of an image that hold data: ten, a fifth of the whole.
fn written(image: u64) -> Vec<(u64, u64)> {
    let run = image / 50 / BLOCK * BLOCK;
    (0..10).map(|number| (number * 5 * run, run)).collect()
}

/// Writes a hundredth of the data anew, in runs of so many bytes: where.
fn change(file: &File, dice: &mut Dice, runs: &[(u64, u64)], length: u64) -> Vec<(u64, u64)> {
    let data: u64 = runs.iter().map(|(_, length)| length).sum();
    let one = |_| {
        let (from, whole) = runs[usize::try_from(dice.throw()).unwrap() % runs.len()];
        let at = from + dice.throw() % (whole / length) * length;
        file.write_all_at(&dice.mixed(usize::try_from(length).unwrap()), at).unwrap();
        (at, length)
    };
    (0..data / 100 / length).map(one).collect()
}

fn image(scratch: &Path) {
    let image = setting("YUNWEI_BENCH_IMAGE_MIB", 10_240) as u64 * MIB;
    let path = scratch.join("disk.raw");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(image).unwrap();
    let mut dice = Dice(43);
    let runs = written(image);
    for (from, length) in &runs {
        for at in (*from..from + length).step_by(1 << 16) {
            let piece = usize::try_from((from + length - at).min(1 << 16)).unwrap();
            file.write_all_at(&dice.mixed(piece), at).unwrap();
        }
    }
    let mut programs = programs();
    let data: u64 = runs.iter().map(|(_, length)| length).sum();
    heading(&format!("an image of {} MiB, {} MiB of them data", image / MIB, data / MIB), &programs);
    let mut peaks = vec![0.0_f64; programs.len()];
    let at = |program: &dyn Program| scratch.join(format!("{}-image", program.name()));
    programs.iter_mut().for_each(|program| program.make(&at(program.as_ref())));
    let steps = [("first backup", 0), ("unchanged re-run", 0), ("1 % in 4 KiB", BLOCK), ("1 % in 1 MiB", MIB)];
    let told = [("1 % in 4 KiB, ours told where", BLOCK), ("1 % in 1 MiB, ours told where", MIB)];
    for (number, (what, length)) in steps.into_iter().chain(told).enumerate() {
        let changed = if length == 0 { Vec::new() } else { change(&file, &mut dice, &runs, length) };
        let (mut seconds, mut stored) = (Vec::new(), Vec::new());
        for (which, program) in programs.iter_mut().enumerate() {
            let at = at(program.as_ref());
            let before = size(&at);
            let source = if number < steps.len() { What::Image } else { What::Told(&changed) };
            let ((), took, peak) = measured(|| program.back_up(&at, &path, source));
            peaks[which] = peaks[which].max(peak);
            seconds.push(took);
            stored.push((size(&at) - before) as f64 / MIB as f64);
        }
        row(what, "s", &seconds, "");
        let bytes: u64 = changed.iter().map(|(_, length)| length).sum();
        let stored_of = if length == 0 {
            "  stored".to_owned()
        } else {
            format!("  stored of {:.1} MiB", bytes as f64 / MIB as f64)
        };
        row(&stored_of, "MiB", &stored, "");
    }
    let restored: Vec<f64> = programs
        .iter()
        .map(|program| {
            let back = scratch.join("back");
            let ((), took, _) = measured(|| program.restore(&at(program.as_ref()), &back));
            fs::remove_dir_all(back).unwrap();
            took
        })
        .collect();
    row("restore", "s", &restored, "");
    row("most memory", "MiB", &peaks, "aim 300 MiB");
    programs.iter().for_each(|program| fs::remove_dir_all(at(program.as_ref())).unwrap());
    fs::remove_file(path).unwrap();
}

/// What clients of the repository server get, beside what its disk gives alone.
fn server(scratch: &Path) {
    const PACKS: usize = 64;
    const CLIENTS: usize = 4;
    let mut dice = Dice(47);
    let packs: Vec<Vec<u8>> = (0..PACKS).map(|_| dice.noise(16 << 20)).collect();
    let names: Vec<String> = packs.iter().map(|pack| hash(pack)).collect();
    let total = (PACKS * 16) as f64;
    let plain = scratch.join("plain");
    fs::create_dir_all(&plain).unwrap();
    let disk = |to: bool| {
        per_second(total, CLIENTS, PACKS, |number| {
            let path = plain.join(&names[number]);
            if to {
                let mut file = File::create(path).unwrap();
                file.write_all(&packs[number]).unwrap();
                file.sync_all().unwrap();
            } else {
                assert_eq!(fs::read(path).unwrap().len(), packs[number].len());
            }
        })
    };
    let (disk_write, disk_read) = (disk(true), disk(false));
    fs::remove_dir_all(&plain).unwrap();
    let served = Served::start(&scratch.join("served"));
    let write = per_second(total, CLIENTS, PACKS, |number| served.ask("POST", &names[number], &packs[number]));
    let read = per_second(total, CLIENTS, PACKS, |number| served.ask("GET", &names[number], &[]));
    println!("\nthe repository server, {PACKS} packs of 16 MiB, {CLIENTS} clients, no TLS");
    crate::figures::report("added, hashed and on the disk", write, "MiB/s", "the disk alone", disk_write);
    crate::figures::report("read", read, "MiB/s", "the disk's cache alone", disk_read);
}

/// How much of `total` is done a second by threads that share `count` turns.
fn per_second(total: f64, threads: usize, count: usize, work: impl Fn(usize) + Sync) -> f64 {
    let (next, began) = (AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < count) {
                    work(number);
                }
            });
        }
    });
    total / began.elapsed().as_secs_f64()
}

fn hash(data: &[u8]) -> String {
    base::hex::encode(ring::digest::digest(&ring::digest::SHA256, data).as_ref())
}

/// A repository server that ends with its handle.
struct Served {
    child: Child,
    address: SocketAddr,
    credential: String,
}

impl Served {
    fn start(data: &Path) -> Self {
        let program = beside("yunwei-repository");
        let data = data.to_str().unwrap();
        let add = ["credential", "add", "bench", "--data", data, "--repository", "bench", "--role", "append"];
        let added = Command::new(&program).args(add).output().unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let secret = String::from_utf8(added.stdout).unwrap();
        let credential = BASE64_STANDARD.encode(format!("bench:{}", secret.trim()));
        let serve = ["serve", "--data", data, "--listen", "127.0.0.1:0"];
        let mut child =
            Command::new(&program).args(serve).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("listening on ").parse().unwrap();
        let served = Served { child, address, credential };
        served.send("POST /bench/?create=true", &[]);
        served
    }

    fn ask(&self, method: &str, pack: &str, body: &[u8]) {
        self.send(&format!("{method} /bench/data/{pack}"), body);
    }

    fn send(&self, what: &str, body: &[u8]) {
        let mut line = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        let head = format!(
            "{what} HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
            self.credential
        );
        line.write_all(head.as_bytes()).unwrap();
        line.write_all(body).unwrap();
        let mut answer = Vec::new();
        line.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..answer.len().min(300)]));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that was built with this one.
fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(name)
}
