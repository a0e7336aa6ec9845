//! A host for a test: a directory, a private libvirt daemon, an agent.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drivers::seed::{Guest, Interface, nocloud};
use drivers::wire::*;

use crate::server::Server;

/// One host at a time beside the tests that want two: a small machine boots two guests at most.
static BUSY: Mutex<()> = Mutex::new(());
thread_local! {
    static MINE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

pub struct Host {
    pub server: Arc<Server>,
    pub data: PathBuf,
    pub dir: PathBuf,
    /// In a namespace, beside a system daemon (`script/libvirt-namespace`), and not a session's.
    namespace: bool,
    agent: Option<Child>,
    _turn: Option<MutexGuard<'static, ()>>,
}

/// Set for the test that runs inside a namespace.
const INSIDE: &str = "YUNWEI_TEST_INSIDE";

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// What keeps real machines from being made here.
fn missing() -> Option<String> {
    let there =
        |name: &str| ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].iter().any(|dir| Path::new(dir).join(name).exists());
    let tools = ["libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "mke2fs", "busybox", "cpio", "setpriv"];
    tools.into_iter().find(|tool| !there(tool)).map(|tool| format!("{tool} is not installed"))
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The Debian guest, built if `YUNWEI_TEST_DEBIAN=build`; `None`, with a word, where it is not there.
pub fn debian() -> Option<PathBuf> {
    let missing_ssh = !Path::new("/usr/bin/ssh").exists();
    if let Some(why) = missing().or_else(|| missing_ssh.then(|| "ssh is not installed".to_owned())) {
        eprintln!("SKIPPED: {why}");
        return None;
    }
    let manifest = top().join(".cache/guest/debian.json");
    if std::env::var("YUNWEI_TEST_DEBIAN").is_ok_and(|value| value == "build") {
        return Some(PathBuf::from(run(&mut Command::new(top().join("script/guest-debian"))).trim()));
    }
    if !manifest.exists() {
        eprintln!("SKIPPED: the Debian guest is not built; script/guest-debian builds it");
        return None;
    }
    Some(manifest)
}

pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Host {
    /// A host whose agent is enrolled and works. `None`, with a word, where there cannot be one.
    pub fn start(name: &str) -> Option<Self> {
        let mut host = Self::prepare(name)?;
        host.enrol();
        host.start_agent();
        Some(host)
    }

    /// A host whose agent has never run.
    pub fn prepare(name: &str) -> Option<Self> {
        if let Some(why) = missing() {
            let required = std::env::var("YUNWEI_TEST_LIBVIRT").is_ok_and(|value| value == "require");
            assert!(!required, "{why}");
            eprintln!("SKIPPED: {why}");
            return None;
        }
        let turn = (MINE.get() == 0).then(|| BUSY.lock().unwrap_or_else(PoisonError::into_inner));
        MINE.set(MINE.get() + 1);
        let dir = PathBuf::from(format!("/tmp/yw-host-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_yunwei-agent"), dir.join("yunwei-agent")).unwrap();
        // The backup engine is another crate's program, built beside the agent's.
        let vault = Path::new(env!("CARGO_BIN_EXE_yunwei-agent")).with_file_name("yunwei-vault");
        let _ = std::fs::copy(vault, dir.join("yunwei-vault"));
        let namespace = is_inside();
        let host = Self { server: Server::start(), data: dir.join("data"), dir, namespace, agent: None, _turn: turn };
        host.session("start");
        run(host.in_session(&["mkdir", "-p"]).arg(&host.data));
        Some(host)
    }

    /// Runs one test of this program again inside a namespace with a bridge. `None`, with a word, where
    /// that cannot be; `Some(true)`: this is the inside.
    pub fn inside_namespace(test: &str) -> Option<bool> {
        if is_inside() {
            return Some(true);
        }
        let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
        let why = missing().or_else(|| (!root).then(|| "a network namespace needs root".to_owned()));
        if let Some(why) = why {
            eprintln!("SKIPPED: {why}");
            return None;
        }
        run(&mut Command::new(top().join("script/guest-image")));
        let _turn = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(top().join("script/libvirt-namespace"));
        command.args(["--bridge", "br0", "192.0.2.1/24", "--"]).arg(program).args(["--exact", test, "--nocapture"]);
        let done = command.env(INSIDE, "1").status().unwrap();
        assert!(done.success(), "{test} failed inside its namespace");
        Some(false)
    }

    pub fn session(&self, verb: &str) {
        if self.namespace {
            return;
        }
        run(Command::new(top().join("script/libvirt-session")).arg(verb).arg(&self.dir));
    }

    pub fn in_session(&self, command: &[&str]) -> Command {
        if self.namespace {
            let mut plain = Command::new(command[0]);
            plain.args(&command[1..]);
            return plain;
        }
        let mut session = Command::new(top().join("script/libvirt-session"));
        session.env_remove("LIBVIRT_DEFAULT_URI").arg("run").arg(&self.dir).arg("--").args(command);
        session
    }

    pub fn virsh(&self, arguments: &[&str]) -> String {
        run(self.in_session(&["virsh", "-q"]).args(arguments))
    }

    pub fn domains(&self) -> Vec<String> {
        self.virsh(&["list", "--all", "--name"]).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// The agent as a command, on this host's data.
    pub fn agent(&self, arguments: &[&str]) -> Command {
        let binary = self.dir.join("yunwei-agent");
        let mut command = self.in_session(&[binary.to_str().unwrap()]);
        command.args(arguments).arg("--data").arg(&self.data);
        command
    }

    pub fn enrol(&self) {
        let token = self.server.token.to_string();
        run(&mut self.agent(&["enrol", "--server", &self.server.url(), "--token", &token]));
    }

    pub fn start_agent(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.join("agent.log")).unwrap();
        let mut command = self.agent(&["run", "--grace-seconds", "15"]);
        command.env("RUST_LOG", "info,drivers=debug").stdout(Stdio::null()).stderr(log);
        self.agent = Some(command.spawn().unwrap());
    }

    /// Without warning.
    pub fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().unwrap();
            agent.wait().unwrap();
        }
    }

    /// The machine's own process, as a power cut would.
    pub fn kill_machine(&self, id: &IntentId) {
        let file = self.dir.join(format!("run/libvirt/qemu/run/yw-{id}.pid"));
        let pid = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        run(Command::new("kill").args(["-9", pid.trim()]));
    }

    /// Puts the agent's data on a file system of its own, in a namespace.
    pub fn mount_data(&self, size: &str) {
        assert!(self.namespace);
        let options = format!("mode=711,size={size}");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&self.data));
    }

    pub fn remount_data(&self, size: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(&self.data));
    }

    pub fn machine_dir(&self, id: &IntentId) -> PathBuf {
        self.data.join("machines").join(id.as_str())
    }

    pub fn assert_empty(&self) {
        assert_eq!(self.domains(), Vec::<String>::new());
        let left: Vec<_> = std::fs::read_dir(self.data.join("machines")).unwrap().flatten().map(|e| e.path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// A key pair for SSH; the path is the private one's.
    pub fn ssh_key(&self) -> PathBuf {
        self.ssh_key_named("key")
    }

    pub fn ssh_key_named(&self, name: &str) -> PathBuf {
        let path = self.dir.join(format!("ssh-{name}"));
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path));
        path
    }

    pub fn ssh(&self, key: &Path, port: u16, user: &str, command: &str) -> std::process::Output {
        let port = port.to_string();
        Command::new("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "IdentitiesOnly=yes"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=30", "-o", "LogLevel=ERROR"])
            .args(["-p", &port, "-l", user, "-i"])
            .arg(key)
            .args(["127.0.0.1", command])
            .output()
            .unwrap()
    }

    /// An image that a script of ours builds, offered by the server.
    pub fn image(&self, script: &str) -> ImageRef {
        let manifest = run(&mut Command::new(top().join("script").join(script)));
        self.offer(Path::new(manifest.trim()))
    }

    /// An image that is there, offered by the server.
    pub fn offer(&self, manifest: &Path) -> ImageRef {
        let image: serde_json::Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
        let sha256: Sha256 = image["sha256"].as_str().unwrap().parse().unwrap();
        let file = manifest.with_file_name(image["file"].as_str().unwrap());
        self.server.memory.lock().unwrap().images.insert(sha256.to_string(), file);
        ImageRef {
            name: image["name"].as_str().unwrap().to_owned(),
            sha256,
            bytes: image["bytes"].as_u64().unwrap(),
            format: ImageFormat::DirectBoot,
            url: None,
        }
    }

    /// A tiny machine, and the port of this host that leads to its page.
    pub fn tiny(&self, name: &str) -> (MachineSpec, u16) {
        let image = self.image("guest-image");
        let port = free_port();
        let mac: Mac = "52:54:00:aa:bb:01".parse().unwrap();
        let guest = Guest {
            instance_id: name,
            hostname: "tiny",
            name,
            characteristics: BTreeMap::from([("note".to_owned(), "it's <fine>".to_owned())]),
            networks: vec![Interface { mac: mac.clone(), addresses: vec![], gateway: None, nameservers: vec![] }],
            ..Guest::default()
        };
        let data = DiskSource::Blank { filesystem: Some(Filesystem::Ext4) };
        let spec = MachineSpec {
            name: name.into(),
            vcpus: 1,
            memory_mib: 128,
            disks: vec![
                DiskSpec { name: "system".into(), size_mib: 64, source: DiskSource::Image { image } },
                DiskSpec { name: "data".into(), size_mib: 64, source: data },
            ],
            networks: vec![NetworkSpec::User {
                mac: Some(mac),
                forwards: vec![Forward { host_port: port, guest_port: 80, transport: Transport::Tcp }],
                outbound: false,
            }],
            cloud_init: nocloud(&guest),
            power: Power::Running,
            reboot_token: None,
            check: Some(Check::Http { port: 80, path: "/status.json".into(), tell: None }),
        };
        (spec, port)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        MINE.set(MINE.get() - 1);
        self.kill_agent();
        if !self.namespace {
            let _ = Command::new(top().join("script/libvirt-session")).arg("stop").arg(&self.dir).status();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.join("agent.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- agent.log, last lines\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            if std::env::var_os("YUNWEI_TEST_KEEP").is_some() {
                return;
            }
        }
        if self.namespace {
            // A file system of its own, where `mount_data` was called; else there is nothing to take off.
            let _ = Command::new("umount").args(["-l", "-q"]).arg(&self.data).stderr(Stdio::null()).status();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
