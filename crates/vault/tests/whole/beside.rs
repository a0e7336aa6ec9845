//! What goes on beside each other in one repository: backups, looks and prunes; and places that go away in the
//! middle of a look. Nothing is lost by it, and nobody calls damaged what is not.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use vault::client::{Cancel, LOOKS_MAX, Worker};
use vault::fault;
use vault::request::{Answer, Backup, Checked, Key, Place, Read, Repository, Secret, Source, Task, Unreadable};

use crate::judge::{Restic, there};
use crate::support::*;

/// What a policy lets nobody fall below, in hours.
const GRACE: u32 = 49;

/// A repository that opens with its master key.
fn quick(at: &Path) -> Repository {
    let mut made = repository(at);
    let told = run(&made, &Task::Make { escrow: Secret::new(ESCROW), alike: None }).unwrap();
    let Answer::Made { master, .. } = told else { panic!("{told:?}") };
    made.key = Key::Master(master);
    made
}

/// A stream that goes on when it is told to.
struct Halting {
    first: std::io::Cursor<Vec<u8>>,
    go: Receiver<()>,
    reached: Arc<AtomicBool>,
    gone_on: bool,
}

impl std::io::Read for Halting {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.first.read(buffer)?;
        if read == 0 && !self.gone_on {
            self.reached.store(true, Ordering::SeqCst);
            let _ = self.go.recv();
            self.gone_on = true;
        }
        Ok(read)
    }
}

fn streamed() -> Task {
    Task::Backup(Backup {
        source: Source::Stream { named: "/dump".into() },
        host: "stream".into(),
        tags: Vec::new(),
        label: "dump".into(),
        unreadable: Unreadable::Refuse,
    })
}

fn wait_for(what: &AtomicBool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !what.load(Ordering::SeqCst) {
        assert!(Instant::now() < until, "it never came about");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_prune_marked_under_a_running_backup_is_held_again_by_the_look_after_it() {
    let folder = Folder::new("revive");
    let repository = quick(&folder.join("repo"));
    let data = noise(11, 24 << 20);
    let first = {
        let told = worker().run_with(&repository, &streamed(), &Cancel::new(), &mut |_| {}, &data[..]).unwrap();
        let Answer::Taken { snapshot, .. } = told else { panic!("{told:?}") };
        snapshot
    };
    let (tell, go) = channel();
    let reached = Arc::new(AtomicBool::new(false));
    let halting = Halting { first: std::io::Cursor::new(data.clone()), go, reached: reached.clone(), gone_on: false };
    let second = thread::scope(|scope| {
        let taking = scope.spawn(|| worker().run_with(&repository, &streamed(), &Cancel::new(), &mut |_| {}, halting));
        wait_for(&reached);
        // What was sent is on its way through a pipe and a queue: nearly all of it is cut by then.
        thread::sleep(Duration::from_secs(2));
        run(&repository, &Task::Forget { snapshots: vec![first.id.clone()] }).unwrap();
        let pruned = run(&repository, &Task::Prune { grace_hours: GRACE }).unwrap();
        assert!(matches!(pruned, Answer::Pruned { removed_bytes: 0, marked_bytes } if marked_bytes > 20 << 20));
        tell.send(()).unwrap();
        let Answer::Taken { snapshot, .. } = taking.join().unwrap().unwrap() else { panic!("no snapshot") };
        snapshot
    });
    let stored = second.figures.unwrap().stored_bytes;
    assert!(stored < 4 << 20, "it counted on what was there: {stored}");
    let looked = check(&repository, Read::Everything).unwrap();
    assert!(looked.whole, "{looked:?}");
    restore(&repository, &second.id, "/dump", &folder.join("back")).unwrap();
    assert!(fs::read(folder.join("back/dump")).unwrap() == data);
    if there() {
        let restic = Restic::at(&folder.join("repo"), ESCROW);
        restic.check();
        restic.run(["restore", &second.id, "--target", folder.join("by-restic").to_str().unwrap()]);
        assert!(fs::read(folder.join("by-restic/dump")).unwrap() == data);
    }
    // A prune that removes at once takes nothing of it: nobody else is at work now.
    run(&repository, &Task::Prune { grace_hours: 0 }).unwrap();
    assert!(check(&repository, Read::Everything).unwrap().whole);
    restore(&repository, &second.id, "/dump", &folder.join("again")).unwrap();
}

#[test]
fn backups_looks_and_prunes_of_one_repository_go_on_beside_each_other() {
    let folder = Folder::new("beside");
    let repository = quick(&folder.join("repo"));
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    let (done, looks, prunes) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    // Three states that come again and again: what one lets go of, the next counts on.
    let state = |number: u64| noise(100 + number % 3, 6 << 20);
    thread::scope(|scope| {
        let _done = Done(&done);
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let looked = check(&repository, Read::Everything).unwrap();
                assert!(looked.whole, "{looked:?}");
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                // Also while somebody lets go of snapshots: what it does not find then is not missing.
                run(&repository, &Task::Prune { grace_hours: GRACE }).unwrap();
                prunes.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(300));
            }
        });
        for number in 0..7 {
            fs::write(data.join("file"), state(number)).unwrap();
            let new = back_up(&repository, &data).unwrap();
            let looked = check(&repository, Read::Everything).unwrap();
            assert!(looked.whole, "{number}: {looked:?}");
            let to = folder.join("back");
            restore(&repository, &new.id, "/data/file", &to).unwrap();
            assert!(fs::read(to.join("file")).unwrap() == state(number), "{number}");
            fs::remove_dir_all(&to).unwrap();
            let old: Vec<_> = snapshots(&repository).unwrap().into_iter().map(|one| one.id).collect();
            let goes: Vec<_> = old.into_iter().filter(|id| *id != new.id).collect();
            if !goes.is_empty() {
                run(&repository, &Task::Forget { snapshots: goes }).unwrap();
            }
        }
    });
    let (looks, prunes) = (looks.into_inner(), prunes.into_inner());
    assert!(looks > 2 && prunes > 2, "{looks} looks, {prunes} prunes");
}

/// The others end with whoever leads, however that ends.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_look_beside_prunes_that_remove_at_once_reports_no_damage() {
    let folder = Folder::new("beside-removal");
    let repository = quick(&folder.join("repo"));
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _done = Done(&done);
        let looking = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::SeqCst) {
                match check(&repository, Read::Everything) {
                    Ok(looked) => assert!(looked.whole, "{looked:?}"),
                    // Somebody removed beside each of its tries: nobody could look, which is not damage.
                    Err(error) => assert_eq!(error.code(), fault::REPOSITORY_LOCKED, "{error}"),
                }
                looks += 1;
            }
            looks
        });
        for number in 0..12 {
            fs::write(data.join("file"), noise(300 + number, 8 << 20)).unwrap();
            let old = snapshots(&repository).unwrap();
            back_up(&repository, &data).unwrap();
            let goes: Vec<_> = old.into_iter().map(|one| one.id).collect();
            if !goes.is_empty() {
                run(&repository, &Task::Forget { snapshots: goes }).unwrap();
                run(&repository, &Task::Prune { grace_hours: 0 }).unwrap();
            }
        }
        done.store(true, Ordering::SeqCst);
        assert!(looking.join().unwrap() > 2);
    });
    assert!(check(&repository, Read::Everything).unwrap().whole);
}

/// What a server of a directory does once it is told to.
#[derive(Default)]
struct Mood {
    /// Breaks off whoever reads packs.
    away: AtomicBool,
    /// So many snapshots are let go of by somebody else, each after it was listed and before it is read.
    forgets: AtomicUsize,
    /// Nobody has let go of any since they were listed.
    listed: AtomicBool,
}

impl Mood {
    /// Whether the snapshot that is asked for goes right now; the last one stays.
    fn takes(&self, root: &Path) -> bool {
        let left = fs::read_dir(root.join("snapshots")).unwrap().count();
        let wanted = self.forgets.load(Ordering::SeqCst) > 0 && left > 1;
        if !wanted || !self.listed.swap(false, Ordering::SeqCst) {
            return false;
        }
        self.forgets.fetch_sub(1, Ordering::SeqCst);
        true
    }
}

/// A server of a directory, and how it is.
struct Fickle {
    url: String,
    mood: Arc<Mood>,
}

impl Fickle {
    fn start(root: PathBuf) -> Fickle {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/repo", listener.local_addr().unwrap());
        let mood = Arc::new(Mood::default());
        let told = mood.clone();
        thread::spawn(move || {
            for line in listener.incoming().flatten() {
                let (root, mood) = (root.clone(), told.clone());
                thread::spawn(move || answer(line, &root, &mood));
            }
        });
        Fickle { url, mood }
    }

    fn place(&self) -> Place {
        Place::Server { url: self.url.clone(), user: "host".into(), secret: Secret::new("secret"), authority: None }
    }
}

fn answer(line: TcpStream, root: &Path, mood: &Mood) {
    let mut heard = BufReader::new(line.try_clone().unwrap());
    let (mut asked, mut range, mut length) = (String::new(), None, 0);
    heard.read_line(&mut asked).unwrap_or(0);
    loop {
        let mut header = String::new();
        if heard.read_line(&mut header).unwrap_or(0) <= 2 {
            break;
        }
        let header = header.to_lowercase();
        if let Some((from, to)) = header.strip_prefix("range: bytes=").and_then(|range| range.trim().split_once('-')) {
            range = Some((from.parse::<usize>().unwrap(), to.parse::<usize>().unwrap()));
        }
        if let Some(said) = header.strip_prefix("content-length:") {
            length = said.trim().parse().unwrap();
        }
    }
    let path = asked.split(' ').nth(1).unwrap_or_default().trim_start_matches("/repo/").to_owned();
    let lies = |path: &str| match (path.strip_prefix("data/"), path.rsplit('/').next()) {
        (Some(_), Some(name)) => root.join("data").join(&name[..2]).join(name),
        _ => root.join(path),
    };
    let mut found = "200 OK";
    let body = match path.strip_suffix('/') {
        None if asked.starts_with("POST") => {
            let mut sent = vec![0; length];
            heard.read_exact(&mut sent).unwrap();
            fs::create_dir_all(lies(&path).parent().unwrap()).unwrap();
            fs::write(lies(&path), sent).unwrap();
            Vec::new()
        }
        None if asked.starts_with("DELETE") => {
            let _ = fs::remove_file(lies(&path));
            Vec::new()
        }
        Some(kind) => {
            if kind == "snapshots" {
                mood.listed.store(true, Ordering::SeqCst);
            }
            let rows = sizes(&root.join(kind)).into_iter();
            let rows = rows.map(|(name, size)| format!("{{\"name\":\"{name}\",\"size\":{size}}}"));
            format!("[{}]", rows.collect::<Vec<_>>().join(",")).into_bytes()
        }
        None if path.starts_with("data/") && mood.away.load(Ordering::SeqCst) => return,
        None if path.starts_with("snapshots/") && mood.takes(root) => {
            let _ = fs::remove_file(root.join(&path));
            found = "404 Not Found";
            Vec::new()
        }
        // Another reader may ask for what has just been let go of.
        None => fs::read(lies(&path)).unwrap_or_else(|_| {
            found = "404 Not Found";
            Vec::new()
        }),
    };
    let (status, body) = match range {
        Some((from, to)) => ("206 Partial Content", body[from..=to].to_vec()),
        None => (found, body),
    };
    let mut line = line;
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = line.write_all(head.as_bytes()).and_then(|()| line.write_all(&body));
}

#[test]
fn a_place_that_goes_away_in_the_middle_of_a_look_is_not_damaged() {
    let folder = Folder::new("fickle");
    tree(&folder.join("data"));
    let repository = quick(&folder.join("repo"));
    back_up(&repository, &folder.join("data")).unwrap();
    let fickle = Fickle::start(folder.join("repo"));
    let far = Repository { place: fickle.place(), ..repository };
    assert!(check(&far, Read::Nothing).unwrap().whole);
    // Its directories cannot be had any more: the engine's walk ends, and its loaders panic.
    fickle.mood.away.store(true, Ordering::SeqCst);
    for read in [Read::Nothing, Read::Everything] {
        assert_eq!(code(check(&far, read)), fault::REPOSITORY_UNREACHABLE);
    }
}

#[test]
fn a_prune_beside_whoever_lets_go_of_snapshots_decides_again_and_calls_nothing_damaged() {
    let folder = Folder::new("beside-forget");
    fs::create_dir(folder.join("data")).unwrap();
    fs::write(folder.join("data/file"), noise(7, 1 << 20)).unwrap();
    let repository = quick(&folder.join("repo"));
    // All of the same data: whichever goes, what the others hold stays.
    for _ in 0..24 {
        back_up(&repository, &folder.join("data")).unwrap();
    }
    let fickle = Fickle::start(folder.join("repo"));
    let far = Repository { place: fickle.place(), ..repository.clone() };
    let prune = || run(&far, &Task::Prune { grace_hours: GRACE });
    fickle.mood.forgets.store(2, Ordering::SeqCst);
    let pruned = prune().unwrap();
    assert!(matches!(pruned, Answer::Pruned { removed_bytes: 0, marked_bytes: 0 }), "{pruned:?}");
    assert_eq!((fickle.mood.forgets.load(Ordering::SeqCst), snapshots(&repository).unwrap().len()), (0, 22));

    // Where somebody does so all the time, nothing is done, and that is said as what it is: it passes.
    fickle.mood.forgets.store(usize::MAX, Ordering::SeqCst);
    let busy = prune().unwrap_err();
    assert_eq!(busy.code(), fault::REPOSITORY_LOCKED, "{busy}");
    assert_eq!(busy.kind(), base::Kind::Unavailable, "whoever schedules it tries again");
    fickle.mood.forgets.store(0, Ordering::SeqCst);
    let left = snapshots(&repository).unwrap();
    assert!(!left.is_empty() && left.len() < 22, "{}", left.len());
    prune().unwrap();
    assert!(check(&repository, Read::Everything).unwrap().whole);
    restore(&repository, &left[0].id, "/data", &folder.join("back")).unwrap();

    // One that is lost without anybody's having let go of it is missed: its data is not taken for unused.
    let one = fs::read_dir(folder.join("repo/snapshots")).unwrap().next().unwrap().unwrap().path();
    fs::set_permissions(&one, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&one, b"nonsense").unwrap();
    assert_eq!(code(prune()), fault::REPOSITORY_DAMAGED);
}

#[test]
fn what_somebody_else_let_go_of_is_let_go_of() {
    let folder = Folder::new("forgotten");
    fs::create_dir(folder.join("data")).unwrap();
    fs::write(folder.join("data/file"), b"x").unwrap();
    let repository = quick(&folder.join("repo"));
    let all: Vec<_> = (0..3).map(|_| back_up(&repository, &folder.join("data")).unwrap().id).collect();
    let forget =
        |ids: &[&String]| run(&repository, &Task::Forget { snapshots: ids.iter().map(|id| (*id).clone()).collect() });
    forget(&[&all[0]]).unwrap();
    forget(&[&all[0], &all[1]]).unwrap();
    let left: Vec<_> = snapshots(&repository).unwrap().into_iter().map(|one| one.id).collect();
    assert_eq!(left, [all[2].clone()]);
    // The beginning of one is no name for it.
    assert_eq!(code(forget(&[&all[2][..8].to_owned()])), fault::SNAPSHOT_MISSING);
    assert_eq!(snapshots(&repository).unwrap().len(), 1);
}

#[test]
fn a_snapshot_that_cannot_be_read_is_let_go_of_by_its_name_and_keeps_nothing_from_being_removed() {
    let folder = Folder::new("unreadable");
    fs::create_dir(folder.join("data")).unwrap();
    fs::write(folder.join("data/file"), noise(3, 1 << 16)).unwrap();
    let repository = quick(&folder.join("repo"));
    let all: Vec<_> = (0..2).map(|_| back_up(&repository, &folder.join("data")).unwrap().id).collect();
    let broken = folder.join("repo/snapshots").join(&all[0]);
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&broken, b"nonsense").unwrap();
    assert_eq!(code(run(&repository, &Task::Prune { grace_hours: 0 })), fault::REPOSITORY_DAMAGED);
    run(&repository, &Task::Forget { snapshots: vec![all[0].clone()] }).unwrap();
    run(&repository, &Task::Prune { grace_hours: 0 }).unwrap();
    assert!(check(&repository, Read::Everything).unwrap().whole);
    restore(&repository, &all[1], "/data", &folder.join("back")).unwrap();
}

/// A program that gives up so many times, by its own word or by dying, and then finds everything whole.
fn giving_up(folder: &Folder, times: usize, how: &str) -> Worker {
    let whole = Checked { snapshots: 1, whole: true, faults: Vec::new(), remarks: Vec::new(), guarded: None };
    let answer = serde_json::to_string(&Answer::Checked(whole)).unwrap();
    let (program, looks) = (folder.join(&format!("gives-up-{times}")), folder.join(&format!("looks-{times}")));
    let script = format!(
        "#!/bin/sh\nread -r line\necho x >> {looks}\nn=0\nwhile read -r x; do n=$((n+1)); done < {looks}\nif [ $n -le {times} ]; then {how}; fi\necho '{{\"answer\":{answer}}}'\n",
        looks = looks.display()
    );
    // Written by a process of its own: what another thread forks meanwhile would hold it open for writing,
    // and nothing can run what is.
    let text = folder.join("text");
    fs::write(&text, script).unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(std::process::Command::new("cp").arg("-p").arg(&text).arg(&program).status().unwrap().success());
    Worker::new(program)
}

#[test]
fn a_look_over_which_the_engine_gives_up_is_made_again_so_often_and_says_so() {
    let folder = Folder::new("gives-up");
    let by_word = r#"echo '{"error":{"code":"backup.crashed","message":"no thread"}}'; exit 1"#;
    for (how, number) in [(by_word, 0), ("kill -6 $$", 1)] {
        let folder = Folder(folder.join(&number.to_string()));
        fs::create_dir(&folder.0).unwrap();
        let here = repository(&folder.join("repo"));
        let ask = |worker: &Worker, task: &Task| {
            let mut phases = Vec::new();
            let done = worker.run(&here, task, &Cancel::new(), &mut |told| phases.push(told.phase));
            (done, phases)
        };
        let look = Task::Check { read: Read::Nothing };
        let (done, phases) = ask(&giving_up(&folder, LOOKS_MAX - 1, how), &look);
        let Answer::Checked(looked) = done.unwrap() else { panic!("no look") };
        assert_eq!((looked.whole, looked.remarks.len(), phases.len()), (true, LOOKS_MAX - 1, LOOKS_MAX - 1));
        let (done, _) = ask(&giving_up(&folder, LOOKS_MAX, how), &look);
        let error = done.unwrap_err();
        assert!(error.code() == fault::CRASHED && error.message().contains("3 looks"), "{error}");
        // What is not a look is not made twice.
        let (done, _) = ask(&giving_up(&folder, 1, how), &Task::Snapshots);
        assert_eq!(code(done), fault::CRASHED);
    }
}

/// The files in a directory and below, while others remove some: their names and sizes.
fn sizes(at: &Path) -> Vec<(String, u64)> {
    let Ok(entries) = fs::read_dir(at) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.filter_map(std::result::Result::ok) {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => found.extend(sizes(&entry.path())),
            Ok(meta) => found.push((entry.file_name().to_string_lossy().into_owned(), meta.len())),
            Err(_) => {}
        }
    }
    found
}
