//! Starting, watching and ending the processes of an installation.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::{Api, Outcome};

/// A loopback port that nobody listens on just now.
///
/// # Errors
/// Where the machine has none left.
pub fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A hundred ports below the ephemeral ones, which machines are reached at; nobody else's while this lives.
///
/// The last of them is listened on for as long: so a block is claimed across processes, and the kernel
/// gives it back however its holder ends. Two installations with one block would reach each other's machines.
#[derive(Debug)]
pub struct Ports {
    /// The first of the block.
    pub first: u16,
    _held: TcpListener,
}

impl Ports {
    /// How many may be used.
    pub const USABLE: u16 = 99;

    /// Claims a block.
    ///
    /// # Errors
    /// Where every block is taken.
    pub fn claim() -> Outcome<Ports> {
        let mut blocks = (20_000..30_000).step_by(100);
        let claimed = blocks.find_map(|first: u16| {
            let held = TcpListener::bind(("127.0.0.1", first + Self::USABLE)).ok()?;
            Some(Ports { first, _held: held })
        });
        claimed.ok_or_else(|| "every block of ports from 20000 to 29999 is taken".into())
    }
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The folder with `yunwei`, `yunwei-agent` and `yunwei-vault`.
    pub folder: PathBuf,
    /// The checkout, for `script/`.
    pub checkout: PathBuf,
}

impl Binaries {
    /// Beside the program that runs, or two levels above a test.
    ///
    /// # Errors
    /// Where they have not been built.
    pub fn find() -> Outcome<Binaries> {
        let me = std::env::current_exe()?;
        let folder = me.ancestors().skip(1).take(3).find(|dir| dir.join("yunwei").exists());
        let folder = folder.ok_or("`yunwei` has not been built; run `cargo build` first")?.to_owned();
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        Ok(Binaries { folder, checkout })
    }

    /// A command of `yunwei`.
    pub fn yunwei(&self) -> Command {
        Command::new(self.folder.join("yunwei"))
    }

    /// A command of `yunwei-agent`.
    pub fn agent(&self) -> Command {
        Command::new(self.folder.join("yunwei-agent"))
    }

    /// A script of the checkout.
    pub fn script(&self, name: &str) -> Command {
        Command::new(self.checkout.join("script").join(name))
    }
}

/// A process that ends with its handle.
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command` with its output in `log`.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Outcome<Daemon> {
        let out = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().map_err(|e| format!("{name} does not start: {e}"))?;
        Ok(Daemon { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails, with the end of its log, if it has ended.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn expect_alive(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("{} ended ({status}):\n{}", self.name, tail(&self.log)).into()),
        }
    }

    /// Sends a signal, by its name.
    ///
    /// # Errors
    /// Where it cannot be sent.
    pub fn signal(&self, name: &str) -> Outcome<()> {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status()?;
        sent.success().then_some(()).ok_or_else(|| format!("{} takes no {name}", self.name).into())
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Where it goes on for longer than `most`.
    pub fn wait(&mut self, most: Duration) -> Outcome<std::process::ExitStatus> {
        let until = Instant::now() + most;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                return Err(format!("{} has not ended", self.name).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL, as a crash would.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn kill(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then SIGKILL after ten seconds.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn stop(mut self) -> Outcome<()> {
        self.end()
    }

    fn end(&mut self) -> Outcome<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let until = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                self.child.kill()?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn tail(log: &Path) -> String {
    let lines: Vec<String> =
        File::open(log).map(|f| BufReader::new(f).lines().map_while(Result::ok).collect()).unwrap_or_default();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// What an installation is to be like.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A fixed address for the server; any free port where absent.
    pub listen: Option<String>,
    /// PostgreSQL instead of SQLite.
    pub database: Option<String>,
    /// Further words for `yunwei serve`.
    pub flags: Vec<String>,
    /// Environment of the server.
    pub environment: Vec<(String, String)>,
    /// A data directory elsewhere.
    pub data: Option<PathBuf>,
}

/// A server on private directories, with what belongs to it.
pub struct Installation {
    /// Everything is in here.
    pub folder: PathBuf,
    /// The programs.
    pub binaries: Binaries,
    /// The API as the first administrator.
    pub api: Api,
    /// What its machines are reached at.
    pub ports: Ports,
    listen: String,
    agent_listen: String,
    options: Options,
    server: Option<Daemon>,
}

impl Installation {
    /// Makes the operator in `folder` and starts the server.
    ///
    /// # Errors
    /// Where a process fails, with its words.
    pub fn start(folder: &Path, options: Options) -> Outcome<Installation> {
        let binaries = Binaries::find()?;
        std::fs::create_dir_all(folder.join("log"))?;
        let listen = options.listen.clone().map_or_else(|| free_port().map(|port| format!("127.0.0.1:{port}")), Ok)?;
        let agent_listen = format!("127.0.0.1:{}", free_port()?);
        let api = Api::new(&format!("http://{listen}"), "");
        let mut made = Installation {
            folder: folder.to_owned(),
            binaries,
            api,
            ports: Ports::claim()?,
            listen,
            agent_listen,
            options,
            server: None,
        };
        let password = folder.join("password");
        std::fs::write(&password, Installation::PASSWORD)?;
        let password = password.display().to_string();
        let init =
            made.run_json(&["admin", "init", "--email", Installation::ADMINISTRATOR, "--password-file", &password])?;
        let token = init["token"].as_str().ok_or("`yunwei admin init --json` printed no token")?;
        made.api = made.api.as_token(token);
        made.start_server()?;
        Ok(made)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.options.data.clone().unwrap_or_else(|| self.folder.join("data"))
    }

    /// What the server wrote to its log until now.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log/server.log")).unwrap_or_default()
    }

    /// Changes what the server is started with the next time.
    pub fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    /// Where agents connect.
    pub fn agent_address(&self) -> &str {
        &self.agent_listen
    }

    /// Names the data on a command.
    pub fn data_args(&self, command: &mut Command) {
        command.arg("--data").arg(self.data());
        if let Some(url) = &self.options.database {
            command.args(["--database", url]);
        }
    }

    /// Runs a `yunwei` command on the data directory and reads the JSON that it prints.
    ///
    /// # Errors
    /// Where it fails, with its words.
    pub fn run_json(&self, words: &[&str]) -> Outcome<Json> {
        let mut command = self.binaries.yunwei();
        command.args(words).arg("--json");
        self.data_args(&mut command);
        let output = command.output()?;
        if !output.status.success() {
            return Err(
                format!("`yunwei {}` failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr)).into()
            );
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Starts the server, and waits until it is ready.
    ///
    /// # Errors
    /// Where its address is taken, it ends, or is not ready in a minute.
    pub fn start_server(&mut self) -> Outcome<()> {
        // Whoever answers there already would be taken for the server.
        let free = TcpListener::bind(&self.listen).map(drop);
        free.map_err(|e| format!("cannot listen on {}: {e}; choose another address with --listen", self.listen))?;
        let mut command = self.binaries.yunwei();
        command.args(["serve", "--listen", &self.listen, "--agent-listen", &self.agent_listen]);
        command.args(&self.options.flags).envs(self.options.environment.iter().cloned());
        self.data_args(&mut command);
        let mut daemon = Daemon::start("yunwei serve", command, &self.folder.join("log/server.log"))?;
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if self.api.send("GET", "/readyz", &[], None).is_ok_and(|answer| answer.status == 200) {
                break;
            }
            daemon.expect_alive()?;
            if Instant::now() > until {
                return Err("the server is not ready after a minute".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.server = Some(daemon);
        Ok(())
    }

    /// The server's process.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn server(&mut self) -> Outcome<&mut Daemon> {
        self.server.as_mut().ok_or_else(|| "the server is not running".into())
    }

    /// Kills the server as a crash would.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn kill_server(&mut self) -> Outcome<()> {
        self.server.take().ok_or("the server is not running")?.kill()
    }

    /// Stops the server as `systemctl stop` would.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn stop_server(&mut self) -> Outcome<()> {
        self.server.take().ok_or("the server is not running")?.stop()
    }
}
