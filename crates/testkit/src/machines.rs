//! A host: an unprivileged libvirt daemon and the agent that speaks to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::{Daemon, Installation, Outcome, Ports};

/// A host of an installation. Ends with its handle, machines included.
pub struct Machines {
    folder: PathBuf,
    script: PathBuf,
    program: PathBuf,
    agent: Option<Daemon>,
    log: PathBuf,
    /// The pool that it is invited into, which is its alone.
    pool: String,
    /// The host's id.
    pub id: String,
    /// `kvm` or `tcg`.
    pub accelerator: String,
}

impl Machines {
    /// Starts a hypervisor and an agent, and lets them in.
    ///
    /// # Errors
    /// Where a process fails or the server refuses.
    pub fn start(house: &Installation, name: &str) -> Outcome<Machines> {
        let mut made = Machines::begin(house, name)?;
        made.let_in(house)?;
        Ok(made)
    }

    /// Starts a hypervisor and an agent, which finds out what it has while other things are done.
    ///
    /// # Errors
    /// Where a process fails or the server refuses.
    pub fn begin(house: &Installation, name: &str) -> Outcome<Machines> {
        let folder = house.folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let script = house.binaries.checkout.join("script/libvirt-session");
        // The daemon's user may not see into the folder that the programs were built in.
        for name in ["yunwei-agent", "yunwei-vault"] {
            if !house.folder.join(name).exists() {
                std::fs::copy(house.binaries.folder.join(name), house.folder.join(name))?;
            }
        }
        let program = house.folder.join("yunwei-agent");
        let log = house.folder.join(format!("log/{name}.log"));
        let (pool, token) = invite(house)?;
        let (id, accelerator) = (String::new(), String::new());
        let mut made = Machines { folder, script, program, agent: None, log, pool, id, accelerator };
        made.session("start")?;
        let enrolled = made
            .command(&["enrol", "--server", &format!("https://{}", house.agent_address()), "--token", &token])
            .output()?;
        if !enrolled.status.success() {
            return Err(format!("the agent could not enrol: {}", String::from_utf8_lossy(&enrolled.stderr)).into());
        }
        made.start_agent()?;
        Ok(made)
    }

    fn session(&self, verb: &str) -> Outcome<()> {
        let output = std::process::Command::new(&self.script).arg(verb).arg(&self.folder).output()?;
        if !output.status.success() {
            return Err(
                format!("script/libvirt-session {verb} failed: {}", String::from_utf8_lossy(&output.stderr)).into()
            );
        }
        Ok(())
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(&self.script);
        command.arg("run").arg(&self.folder).arg("--").arg(&self.program).args(words);
        command.arg("--data").arg(self.agent_data());
        command
    }

    fn agent_data(&self) -> PathBuf {
        self.folder.join("home/agent")
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start_agent(&mut self) -> Outcome<()> {
        self.agent = Some(Daemon::start("yunwei-agent run", self.command(&["run"]), &self.log)?);
        Ok(())
    }

    /// Kills the agent as a crash would; machines go on.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn kill_agent(&mut self) -> Outcome<()> {
        self.agent.take().ok_or("the agent is not running")?.kill()
    }

    /// Kills the hypervisor's daemon as a crash would; machines go on.
    ///
    /// # Errors
    /// Where the script fails.
    pub fn kill_hypervisor(&self) -> Outcome<()> {
        self.session("kill")
    }

    /// Kills everything on the host at once: agent, hypervisor's daemon, machines.
    ///
    /// # Errors
    /// Where the agent is not running or the script fails.
    pub fn kill_everything(&mut self) -> Outcome<()> {
        self.session("crash")?;
        self.kill_agent()
    }

    /// The agent's process.
    ///
    /// # Errors
    /// Where it is not running.
    pub fn agent(&mut self) -> Outcome<&mut Daemon> {
        self.agent.as_mut().ok_or_else(|| "the agent is not running".into())
    }

    /// Loses the host's machines as a dead disk would: everything on it is killed, and no disk is left.
    ///
    /// # Errors
    /// Where the agent is not running or files cannot be removed.
    pub fn lose_disks(&mut self) -> Outcome<()> {
        self.kill_everything()?;
        let machines = self.agent_data().join("machines");
        std::fs::remove_dir_all(&machines).map_err(|e| format!("cannot remove {}: {e}", machines.display()))?;
        Ok(())
    }

    /// The directories of machines that are on the host's disk.
    pub fn directories(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.agent_data().join("machines")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Starts the hypervisor's daemon again.
    ///
    /// # Errors
    /// Where the script fails.
    pub fn start_hypervisor(&self) -> Outcome<()> {
        self.session("start")
    }

    /// The domains that are there, by name.
    ///
    /// # Errors
    /// Where virsh fails.
    pub fn domains(&self) -> Outcome<Vec<String>> {
        Ok(self.virsh(&["list", "--all", "--name"])?.split_whitespace().map(str::to_owned).collect())
    }

    /// Asks the hypervisor itself; gives what `virsh` prints.
    ///
    /// # Errors
    /// Where virsh fails, with its words.
    pub fn virsh(&self, words: &[&str]) -> Outcome<String> {
        let mut command = std::process::Command::new(&self.script);
        let output = command.arg("run").arg(&self.folder).args(["--", "virsh"]).args(words).output()?;
        if !output.status.success() {
            return Err(format!("virsh {} failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Lets it in as soon as the server knows it, and waits until machines can be put there.
    ///
    /// # Errors
    /// Where its agent ends, or nothing is known of it after a minute and a half.
    pub fn let_in(&mut self, house: &Installation) -> Outcome<()> {
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let hosts = house.api.get("/api/v1/hosts")?;
            let mine = hosts["items"].as_array().into_iter().flatten().find(|h| h["pool"] == self.pool.as_str());
            if let Some(host) = mine.filter(|h| h["reachable"] == true && h["state"] == "active") {
                self.id = host["id"].as_str().unwrap_or_default().to_owned();
                self.accelerator =
                    host.pointer("/facts/accelerator").and_then(Json::as_str).unwrap_or("unknown").to_owned();
                return Ok(());
            }
            if let Some(host) = mine.filter(|h| h["state"] == "enrolled") {
                house
                    .api
                    .post(&format!("/api/v1/hosts/{}/activate", host["id"].as_str().unwrap_or_default()), &json!({}))?;
            }
            if let Some(agent) = &mut self.agent {
                agent.expect_alive()?;
            }
            if Instant::now() > until {
                return Err(format!("the host is not known after 90 s: {hosts:#}").into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        drop(self.agent.take());
        let _ = self.session("stop");
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder);
}

/// A site, once, a pool of its own, and a token for a host in it.
fn invite(house: &Installation) -> Outcome<(String, String)> {
    let pools = house.api.get("/api/v1/pools")?;
    let pools = pools["items"].as_array().cloned().unwrap_or_default();
    let site = match pools.first() {
        Some(pool) => pool["site"].clone(),
        None => house.api.post("/api/v1/sites", &json!({ "name": "taipei", "place": "Taipei" }))?["id"].clone(),
    };
    // Several installations may share this machine, and its ports; so do the hosts of each.
    const PORTS: u16 = Ports::USABLE / 4;
    let number = u16::try_from(pools.len())?;
    let first = house.ports.first + number * PORTS;
    let name = if number == 0 { "general".to_owned() } else { format!("general-{}", number + 1) };
    let pool = json!({ "site": site, "name": name, "portFirst": first, "portLast": first + PORTS - 1 });
    let pool = house.api.post("/api/v1/pools", &pool)?;
    let invited = house.api.post("/api/v1/hosts/invitations", &json!({ "pool": pool["id"], "note": "demo" }))?;
    let [Some(pool), Some(token)] = [&pool["id"], &invited["token"]].map(Json::as_str) else {
        return Err(format!("no pool or no token: {pool} {invited}").into());
    };
    Ok((pool.to_owned(), token.to_owned()))
}
