//! Backups of real machines with the real engine, and machines made from them again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use drivers::wire::*;
use serde_json::{Value, json};

use crate::host::{Host, run};
use crate::{LONG, http, id, settled, status};

const PASSWORD: &str = "the platform's own password";
const ESCROW: &str = "the password that its owner keeps";

/// Whether the engine's program was built beside the agent's (`cargo build -p vault`).
fn has_engine(host: &Host) -> bool {
    let there = host.dir.join("yunwei-vault").is_file();
    if !there {
        assert!(
            std::env::var_os("YUNWEI_TEST_LIBVIRT").is_none_or(|value| value != "require"),
            "yunwei-vault is not built"
        );
        eprintln!("SKIPPED: yunwei-vault is not built");
    }
    there
}

fn has_restic() -> bool {
    let there = Path::new("/usr/bin/restic").exists();
    if !there {
        eprintln!("SKIPPED in part: restic is not installed");
    }
    there
}

/// A repository in a folder of the host, made by the agent; what opens it with the master key.
fn repository(host: &Host, name: &str, alike: Option<&Value>) -> Value {
    let folder = host.dir.join(name);
    run(host.in_session(&["mkdir", "-p"]).arg(&folder));
    let place = json!({ "folder": folder });
    let with = |password: &str| json!({ "place": place, "key": { "password": password } });
    let mut access = vec![with(PASSWORD)];
    access.extend(alike.cloned());
    access.push(with(ESCROW));
    let made = done(host, &format!("make-{name}"), Work::MakeRepository { alike: alike.is_some() }, json!(access));
    let Outcome::RepositoryMade { master, .. } = made else { panic!("{made:?}") };
    json!({ "place": place, "key": { "master": master.reveal() } })
}

/// How a task ended.
fn end(host: &Host, task: &str) -> TaskReport {
    host.server.wait("a task to end", LONG, |memory| {
        let ended = |told: &&TaskReport| told.id.as_str() == task && told.state != TaskState::Running;
        memory.told.iter().find(ended).cloned()
    })
}

fn done(host: &Host, task: &str, work: Work, access: Value) -> Outcome {
    host.server.ask(task, work, access);
    let told = end(host, task);
    told.outcome.clone().unwrap_or_else(|| panic!("{told:?}"))
}

fn backup(machine: &IntentId, task: &str) -> Work {
    Work::BackUpMachine { machine: machine.clone(), tag: format!("task:{task}") }
}

struct Saved {
    snapshot: String,
    taken_at: i64,
    consistency: Consistency,
    disks: Vec<DiskCopy>,
}

fn saved(outcome: Outcome) -> Saved {
    let Outcome::MachineBackedUp { snapshot, taken_at, consistency, disks, bytes, added_bytes, seconds, .. } = outcome
    else {
        panic!("{outcome:?}")
    };
    eprintln!("{bytes} bytes of disks, {added_bytes} of them new, in {seconds:.1} s");
    assert_eq!(bytes, disks.iter().map(|disk| disk.bytes).sum::<u64>());
    Saved { snapshot, taken_at: taken_at.as_second(), consistency, disks }
}

fn scratch_is_empty(host: &Host) -> bool {
    std::fs::read_dir(host.data.join("backups")).unwrap().flatten().next().is_none()
}

fn running(host: &Host, machine: &IntentId) -> u16 {
    let (spec, port) = host.tiny("saved");
    host.server.want(machine, Desired::Machine(Box::new(spec)));
    settled(host, machine, 1);
    status(port);
    port
}

fn restic(host: &Host, repository: &str, arguments: &[&str]) -> String {
    let folder = host.dir.join(repository);
    let mut command = Command::new("restic");
    command.env("RESTIC_PASSWORD", ESCROW).args(["-q", "--no-cache", "-r"]).arg(folder).args(arguments);
    run(&mut command)
}

/// A file inside an ext4 image.
fn inside(image: &Path, file: &str) -> String {
    let mut command = Command::new("/usr/sbin/debugfs");
    command.args(["-R", &format!("cat {file}")]).arg(image);
    run(&mut command)
}

#[test]
fn a_machine_is_saved_while_it_runs_and_plain_restic_brings_its_disk_back() {
    let Some(host) = Host::start("saved") else { return };
    if !has_engine(&host) {
        return;
    }
    let machine = id("mch_saved");
    let first = repository(&host, "first", None);
    let port = running(&host, &machine);
    let before = status(port)["livedSeconds"].as_u64().unwrap();
    let one = saved(done(&host, "t1", backup(&machine, "t1"), json!([first])));
    assert_eq!(one.consistency, Consistency::CrashConsistent);
    let names: Vec<&str> = one.disks.iter().map(|disk| disk.name.as_str()).collect();
    assert_eq!((names, one.disks[1].bytes), (vec!["data", "system"], 64 << 20));
    assert_eq!(one.disks[0].path, "/machines/mch_saved/data.raw");
    assert!(scratch_is_empty(&host));
    // The same life goes on.
    assert!(status(port)["livedSeconds"].as_u64().unwrap() >= before);
    assert_eq!(host.server.memory.lock().unwrap().lives[&machine].len(), 1);

    // Looked into while it is nowhere but in the repository: a journal that was not written back is read as if it were.
    let path = "/machines/mch_saved/data.raw".to_owned();
    let look = Work::LookInto { snapshot: one.snapshot.clone(), path: path.clone(), after: String::new() };
    let Outcome::LookedInto { items, next: None } = done(&host, "look", look, json!([first])) else {
        panic!("no list")
    };
    let log = items.iter().find(|item| item.name == "lived.log").unwrap_or_else(|| panic!("{items:?}"));
    assert_eq!(log.kind, SavedKind::File);
    let fetch =
        Work::FetchFile { snapshot: one.snapshot.clone(), path: format!("{path}/lived.log"), bytes_max: 1 << 20 };
    let Outcome::FileFetched { bytes, .. } = done(&host, "fetch", fetch, json!([first])) else { panic!("no file") };
    let fetched = host.server.memory.lock().unwrap().files["fetch"].clone();
    assert_eq!(bytes, fetched.len() as u64);
    assert!(scratch_is_empty(&host));

    if has_restic() {
        let target = host.dir.join("by-restic");
        restic(&host, "first", &["restore", &one.snapshot, "--target", target.to_str().unwrap()]);
        let image = target.join("machines/mch_saved/data.raw");
        // A journal is played back, as after a power cut; then nothing is wrong.
        let repaired = Command::new("/usr/sbin/e2fsck").args(["-p", "-f"]).arg(&image).status().unwrap();
        assert!(matches!(repaired.code(), Some(0 | 1)), "{repaired:?}");
        assert!(Command::new("/usr/sbin/e2fsck").args(["-n", "-f"]).arg(&image).status().unwrap().success());
        let record = inside(&image, "/lived.log");
        assert_eq!(String::from_utf8(fetched).unwrap(), record);
        let last: i64 = record.lines().last().unwrap().split(' ').next().unwrap().parse().unwrap();
        let age = one.taken_at - last;
        assert!((-5..=60).contains(&age), "the newest second on the disk is {age} s older than the recovery point");
        assert!(restic(&host, "first", &["check", "--read-data"]).is_empty());
    }

    // Asked for once more after the server lost its memory of it: the same snapshot, and no other.
    host.server.drop_task("t1");
    host.server.memory.lock().unwrap().told.clear();
    std::thread::sleep(Duration::from_secs(4));
    let again = saved(done(&host, "t1", backup(&machine, "t1"), json!([first])));
    assert_eq!(again.snapshot, one.snapshot);

    // One that rests, to the same repository.
    let (mut spec, _) = host.tiny("saved");
    spec.power = Power::Stopped;
    host.server.want(&machine, Desired::Machine(Box::new(spec)));
    settled(&host, &machine, 2);
    let two = saved(done(&host, "t2", backup(&machine, "t2"), json!([first])));
    assert_eq!((two.consistency, two.disks.len()), (Consistency::Stopped, 2));

    // Copies, checks, and letting go.
    let second = repository(&host, "second", Some(&first));
    let snapshots = vec![one.snapshot.clone(), two.snapshot.clone()];
    let copied = done(&host, "copy", Work::CopySnapshots { snapshots: snapshots.clone() }, json!([first, second]));
    let Outcome::SnapshotsCopied { ids, .. } = copied else { panic!("{copied:?}") };
    assert_eq!(ids.keys().cloned().collect::<std::collections::BTreeSet<_>>(), snapshots.iter().cloned().collect());
    let there: Vec<String> = ids.values().cloned().collect();
    let mut asked = there.clone();
    asked.push("0".repeat(64));
    let check = Work::CheckRepository { snapshots: asked, read: ReadShare::Everything };
    let checked = done(&host, "check", check, json!([second]));
    let Outcome::RepositoryChecked { snapshots: present, whole, faults, .. } = checked else { panic!("{checked:?}") };
    assert!(whole && faults.is_empty(), "{faults:?}");
    assert_eq!(present, there);
    let forget = Work::ForgetSnapshots { snapshots: vec![one.snapshot.clone()], grace_hours: 0 };
    for task in ["forget", "forget-again"] {
        let gone = done(&host, task, forget.clone(), json!([first]));
        assert!(matches!(gone, Outcome::SnapshotsForgotten { .. }), "{gone:?}");
    }
    let check = Work::CheckRepository { snapshots: snapshots.clone(), read: ReadShare::Nothing };
    let Outcome::RepositoryChecked { snapshots: left, .. } = done(&host, "left", check, json!([first])) else {
        panic!()
    };
    assert_eq!(left, std::slice::from_ref(&two.snapshot));

    // A copy that lost a pack is not whole.
    let mut packs: Vec<PathBuf> = Vec::new();
    for folder in std::fs::read_dir(host.dir.join("second/data")).unwrap().flatten() {
        packs.extend(std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path()));
    }
    std::fs::remove_file(&packs[0]).unwrap();
    let check = Work::CheckRepository { snapshots: there, read: ReadShare::Nothing };
    let Outcome::RepositoryChecked { whole, faults, .. } = done(&host, "damaged", check, json!([second])) else {
        panic!()
    };
    assert!(!whole && !faults.is_empty());
}

#[test]
fn an_agent_killed_in_the_middle_of_a_backup_leaves_one_snapshot_one_outcome_and_no_scratch() {
    let Some(mut host) = Host::start("cut") else { return };
    if !has_engine(&host) {
        return;
    }
    let machine = id("mch_cut");
    let first = repository(&host, "first", None);
    let port = running(&host, &machine);
    let before = status(port)["livedSeconds"].as_u64().unwrap();
    for (n, delay_ms) in [100, 700, 1_500].into_iter().enumerate() {
        let task = format!("t{n}");
        host.server.ask(&task, backup(&machine, &task), json!([first]));
        std::thread::sleep(Duration::from_millis(delay_ms));
        host.kill_agent();
        host.start_agent();
        assert_eq!(end(&host, &task).state, TaskState::Succeeded, "{:?}", end(&host, &task));
        let told = host.server.memory.lock().unwrap().told.clone();
        let ends = told.iter().filter(|told| told.id.as_str() == task && told.state == TaskState::Succeeded).count();
        assert_eq!(ends, 1);
    }
    assert!(scratch_is_empty(&host));
    assert!(status(port)["livedSeconds"].as_u64().unwrap() >= before, "the guest went on");
    if has_restic() {
        let list: Value = serde_json::from_str(&restic(&host, "first", &["snapshots", "--json"])).unwrap();
        assert_eq!(list.as_array().unwrap().len(), 3, "{list:#}");
    }
    // Cancelled: no end is told of, nothing is left, and the next one works.
    host.server.ask("cancelled", backup(&machine, "cancelled"), json!([first]));
    host.server.wait("its beginning", LONG, |memory| {
        memory.told.iter().any(|told| told.id.as_str() == "cancelled").then_some(())
    });
    host.server.drop_task("cancelled");
    saved(done(&host, "after", backup(&machine, "after"), json!([first])));
    let told = host.server.memory.lock().unwrap().told.clone();
    let odd = told.iter().any(|told| told.id.as_str() == "cancelled" && told.state == TaskState::Failed);
    assert!(!odd, "{told:?}");
}

#[test]
fn a_machine_that_is_not_there_and_a_repository_that_does_not_open_have_names() {
    let Some(host) = Host::start("named") else { return };
    if !has_engine(&host) {
        return;
    }
    let first = repository(&host, "first", None);
    let code = |task: &str, work: Work, access: Value| {
        host.server.ask(task, work, access);
        end(&host, task).problem.unwrap().code
    };
    assert_eq!(code("t1", backup(&id("mch_nowhere"), "t1"), json!([first])), "machine.absent");
    let wrong = json!({ "place": first["place"], "key": { "password": "wrong" } });
    assert_eq!(code("t2", backup(&id("mch_nowhere"), "t2"), json!([wrong])), "repository.key_wrong");
    assert_eq!(code("t3", backup(&id("mch_nowhere"), "t3"), json!([])), "task.access");
    assert!(scratch_is_empty(&host));
}

#[test]
fn copies_that_have_no_room_are_refused_before_they_are_begun() {
    const NAME: &str = "backups::copies_that_have_no_room_are_refused_before_they_are_begun";
    if Host::inside_namespace(NAME) != Some(true) {
        return;
    }
    let Some(mut host) = Host::prepare("narrow") else { return };
    if !has_engine(&host) {
        return;
    }
    host.mount_data("400M");
    host.enrol();
    host.start_agent();
    let machine = id("mch_narrow");
    let first = repository(&host, "first", None);
    let port = running(&host, &machine);
    let filler = host.data.join("filler");
    run(Command::new("sh").arg("-c").arg(format!("head -c 2G /dev/zero > {} || true", filler.display())));
    host.server.ask("t1", backup(&machine, "t1"), json!([first]));
    let told = end(&host, "t1").problem.unwrap();
    assert_eq!(told.code, "backup.scratch_full", "{told:?}");
    // An emulated guest on a busy machine may take longer than one question waits.
    assert!((0..20).any(|_| http(port, "/").is_some()), "the guest goes on");
    std::fs::remove_file(&filler).unwrap();
    assert!(scratch_is_empty(&host));
    saved(done(&host, "t2", backup(&machine, "t2"), json!([first])));
}

/// The same machine, its disks made from a snapshot.
fn from(spec: &MachineSpec, recovery: &str) -> MachineSpec {
    let mut spec = spec.clone();
    for disk in &mut spec.disks {
        let boot = match &disk.source {
            DiskSource::Image { image } => Some(image.clone()),
            _ => None,
        };
        disk.source = DiskSource::Recovery { recovery: recovery.parse().unwrap(), disk: disk.name.clone(), boot };
    }
    spec
}

/// Lets a host recover the disks of a snapshot.
fn offer(host: &Host, recovery: &str, repository: &Value, saved: &Saved) {
    let mut memory = host.server.memory.lock().unwrap();
    for disk in &saved.disks {
        let access = json!(RecoveryAccess {
            repository: repository.clone(),
            snapshot: saved.snapshot.clone(),
            path: disk.path.clone(),
            bytes: disk.bytes,
        });
        memory.access.insert(format!("{recovery}/{}", disk.name), access);
    }
}

#[test]
fn a_machine_that_is_lost_is_wanted_again_from_its_snapshot_here_and_on_another_host() {
    let Some(host) = Host::start("lost") else { return };
    if !has_engine(&host) {
        return;
    }
    let machine = id("mch_lost");
    let first = repository(&host, "first", None);
    let (spec, port) = host.tiny("lost");
    host.server.want(&machine, Desired::Machine(Box::new(spec.clone())));
    settled(&host, &machine, 1);
    let born = status(port)["firstSecond"].as_u64().unwrap();
    let point = saved(done(&host, "t1", backup(&machine, "t1"), json!([first])));
    host.server.want(&machine, Desired::Absent);
    settled(&host, &machine, 2);
    host.assert_empty();

    // Here, under another name; too small a disk is refused, and what does not open is named.
    let again = id("mch_again");
    offer(&host, "rcv_1", &first, &point);
    let mut small = from(&spec, "rcv_1");
    small.disks[1].size_mib = 8;
    host.server.want(&again, Desired::Machine(Box::new(small)));
    host.server.wait("a refusal", LONG, |memory| {
        let problem = memory.states.get(&again)?.problem.clone()?;
        (problem.code == "recovery.disk_too_small" && !problem.retrying).then_some(())
    });
    host.server.want(&again, Desired::Machine(Box::new(from(&spec, "rcv_none"))));
    host.server.wait("a word about the recovery", LONG, |memory| {
        let seen = memory.states.get(&again)?;
        (seen.generation == 2 && seen.problem.as_ref()?.retrying).then_some(())
    });
    let began = Instant::now();
    host.server.want(&again, Desired::Machine(Box::new(from(&spec, "rcv_1"))));
    let seen = settled(&host, &again, 3);
    eprintln!("from wanting it to its answer: {:?}", began.elapsed());
    let mut names: Vec<&str> = seen.recovered.iter().map(|one| one.disk.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["data", "system"]);
    assert!(seen.recovered.iter().all(|one| one.bytes == 64 << 20 && one.digest.len() == 64), "{:?}", seen.recovered);
    let page = status(port);
    assert_eq!(page["firstSecond"].as_u64().unwrap(), born, "the record on its disk goes on");

    // On another host, with an agent and a daemon of its own.
    let Some(other) = Host::start("other") else { return };
    let elsewhere = id("mch_elsewhere");
    let (mut there, port) = other.tiny("lost");
    there.cloud_init = spec.cloud_init.clone();
    offer(&other, "rcv_1", &first, &point);
    other.server.want(&elsewhere, Desired::Machine(Box::new(from(&there, "rcv_1"))));
    let seen = settled(&other, &elsewhere, 1);
    assert_eq!(seen.recovered.len(), 2);
    assert_eq!(status(port)["firstSecond"].as_u64().unwrap(), born);
    let left = std::fs::read_dir(other.machine_dir(&elsewhere)).unwrap().flatten();
    let drafts: Vec<_> =
        left.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(drafts.is_empty(), "{drafts:?}");
}
