//! The command line, used as people and scripts use it, and as they should not.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value as Json, json};
use testkit::{Binaries, Installation, Options, free_port};

use crate::Scratch;

/// `yunwei` with a home of its own.
struct Shell<'s> {
    scratch: &'s Scratch,
    binaries: Binaries,
}

impl<'s> Shell<'s> {
    fn new(scratch: &'s Scratch) -> Self {
        Shell { scratch, binaries: Binaries::find().unwrap() }
    }

    fn command(&self) -> Command {
        let mut command = self.binaries.yunwei();
        for name in ["YUNWEI_URL", "YUNWEI_TOKEN", "YUNWEI_DATA", "YUNWEI_DATABASE", "YUNWEI_CA"] {
            command.env_remove(name);
        }
        command.env("XDG_CONFIG_HOME", self.scratch.0.join("config")).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command().args(words).output().unwrap()
    }

    fn piped(&self, words: &[&str], input: &[u8]) -> Output {
        let mut command = self.command();
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let _ = stdin.write_all(input);
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    /// Fails with that status, says so once for people and once for programs, and gives the words.
    fn refused(&self, words: &[&str], status: i32) -> String {
        let human = self.run(words);
        assert_eq!(human.status.code(), Some(status), "{words:?}: {}", said(&human));
        assert!(human.stdout.is_empty(), "{words:?}: errors go to standard error: {}", said(&human));
        let program = self.run(&[words, &["--json"]].concat());
        let error: Json =
            serde_json::from_slice(&program.stderr).unwrap_or_else(|_| panic!("{words:?}: {}", said(&program)));
        assert_eq!(program.status.code(), Some(status), "{words:?}: {error:#}");
        assert!(error["error"]["code"].is_string() && error["error"]["message"].is_string(), "{words:?}: {error:#}");
        said(&human)
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn what_is_wrong_is_said_with_what_to_do_and_an_exit_status() {
    let scratch = Scratch::new("cli");
    let shell = Shell::new(&scratch);
    let text = |words: &[&str]| said(&shell.run(words));
    assert!(text(&["--help"]).contains("Start here:"));
    assert!(text(&["order", "create", "--help"]).contains("Examples:"));
    for (words, about) in
        [(&["ordr"][..], "order"), (&["order", "show"], "<ID>"), (&["serve"], "--data"), (&[], "Usage")]
    {
        let output = shell.run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(about), "{words:?}: {}", said(&output));
    }
    assert!(shell.refused(&["catalog", "ls"], 3).contains("yunwei login"), "not signed in");
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    let away = shell.refused(&["login", &nobody, "--token", "ywt_x"], 6);
    assert!(away.contains("cannot be reached"), "{away}");
    for wrong in ["cloud", "ftp://cloud", "http://", "http://[", "//x", "https:// x"] {
        shell.refused(&["login", wrong, "--token", "ywt_x"], 2);
    }
    for wrong in ["", "a b", "zeile\nzwei", "ümläut"] {
        shell.refused(&["login", &nobody, "--token", wrong], 2);
    }
    let data = scratch.0.join("absent");
    let absent = shell.refused(&["audit", "verify", "--data", data.to_str().unwrap()], 4);
    assert!(absent.contains("absent"), "{absent}");
    assert!(!data.exists(), "looking makes no directory");
    let empty = shell.refused(&["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"], 4);
    assert!(empty.contains("yunwei admin init"), "{empty}");
    let url = shell.refused(&["audit", "verify", "--data", data.to_str().unwrap(), "--database", "mysql://x"], 2);
    assert!(url.contains("postgres://"), "{url}");
}

#[test]
fn hostile_input_and_files_are_refused_and_do_no_harm() {
    let scratch = Scratch::new("hostile");
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    let shell = Shell::new(&scratch);
    let login = shell.run(&["login", &house.api.url, "--token", &house.api.token]);
    assert!(login.status.success(), "{}", said(&login));

    for id in ["../../api/v1/hosts", "x?limit=1", "a/b", "", "%2e%2e", "a b", "x#y", "\u{202e}evil", &"x".repeat(5_000)]
    {
        for words in [["order", "show"], ["service", "stop"], ["bill", "show"], ["catalog", "show"]] {
            let said = shell.refused(&[words[0], words[1], id], 2);
            assert!(said.len() < 400 && !said.contains('\u{202e}'), "{said}");
        }
    }
    shell.refused(&["order", "show", "pord_none"], 4);
    shell.refused(&["order", "create", "no such offering"], 4);
    shell.refused(&["order", "create", "x", "--set", "novalue"], 2);
    let bytes = shell.command().args(["order", "show"]).arg(std::ffi::OsStr::from_bytes(b"\xff\xfe")).output().unwrap();
    assert_eq!(bytes.status.code(), Some(2), "{}", said(&bytes));

    let file = |name: &str, content: &[u8]| {
        let path = scratch.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let data = scratch.0.join("fresh").display().to_string();
    for (name, status) in [
        ("/dev/zero", 2),
        ("/nowhere/at/all", 2),
        ("/", 2),
        (&file("long", &[b'x'; 100_000]), 2),
        (&file("binary", &[0xff; 20]), 2),
        (&file("short", b"abc\n"), 2),
    ] {
        let said = shell.refused(&["admin", "init", "--data", &data, "--password-file", name], status);
        assert!(!said.contains("xxxxxxxx"), "what was read is not shown: {said}");
    }
    let add = |file: &str, status: i32| {
        let image = shell.run(&["admin", "add-image", "--data", house.data().to_str().unwrap(), "--name", "x", file]);
        assert_eq!(image.status.code(), Some(status), "{file}: {}", said(&image));
    };
    add("/nowhere/at/all", 2);
    add("/", 2);

    // A kept login that was damaged, and one for something that is no server of ours.
    let kept = scratch.0.join("config/yunwei/login.json");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&kept, "{\"url\":").unwrap();
    assert!(shell.refused(&["catalog", "ls"], 2).contains("yunwei login"));
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n<html></html>",
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
        "garbage\r\n\r\n",
        "",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let liar = std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4_096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        shell.refused(&["login", &url, "--token", "ywt_x"], 6);
        liar.join().unwrap();
    }
}

#[test]
fn a_person_signs_in_looks_around_and_a_script_reads_json() {
    let scratch = Scratch::new("login");
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    let shell = Shell::new(&scratch);
    let refused = shell.piped(&["login", &house.api.url], b"ywt_wrong\n");
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(!scratch.0.join("config/yunwei/login.json").exists(), "what does not work is not kept");
    let login = shell.piped(&["login", &house.api.url], format!("{}\n", house.api.token).as_bytes());
    assert!(said(&login).contains("Signed in as"), "{}", said(&login));
    house.api.post("/api/v1/catalog/seed", &json!({})).unwrap();

    for words in [["catalog", "ls"], ["order", "ls"], ["service", "ls"], ["bill", "ls"]] {
        let (human, program) = (shell.run(&words), shell.run(&[words[0], words[1], "--json"]));
        assert!(human.status.success() && program.status.success(), "{words:?}: {} {}", said(&human), said(&program));
        let list: Json = serde_json::from_slice(&program.stdout).unwrap();
        assert!(list.is_array(), "{words:?}: {list:#}");
        assert!(!human.stdout.is_empty(), "an empty list says so");
    }
    let list: Json = serde_json::from_slice(&shell.run(&["catalog", "ls", "--json"]).stdout).unwrap();
    let shown = shell.run(&["catalog", "show", list[0]["id"].as_str().unwrap()]);
    assert!(said(&shown).contains("characteristic") && said(&shown).contains("price"), "{}", said(&shown));
    let confirm = shell.run(&["service", "rm", "svc_none"]);
    assert_eq!(confirm.status.code(), Some(4), "{}", said(&confirm));

    for (name, checker) in [("bash", Some("bash")), ("zsh", None), ("fish", None)] {
        let script = shell.run(&["completions", name]);
        assert!(script.status.success() && said(&script).contains("yunwei"), "{name}");
        if let Some(checker) = checker {
            let file = scratch.0.join("completions");
            std::fs::write(&file, &script.stdout).unwrap();
            assert!(Command::new(checker).arg("-n").arg(&file).status().unwrap().success(), "{name}");
        }
    }
    let document: Json = serde_json::from_slice(&shell.run(&["openapi"]).stdout).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with('3'));
}
