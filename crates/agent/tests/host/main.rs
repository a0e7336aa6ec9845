//! The agent as a program, against a real libvirt with real machines.
//!
//! Each test has a private libvirt daemon (`script/libvirt-session`), a server of its own and the tiny
//! guest. Where libvirt or QEMU is missing the tests say so and pass;
//! set `YUNWEI_TEST_LIBVIRT=require` to make that a failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod backups;
mod databases;
mod host;
mod server;
#[path = "../../src/tasks/data/tests/servers.rs"]
mod servers;

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use drivers::seed::{Guest, Interface, nocloud};
use drivers::wire::*;
use host::Host;

/// Only a bound: a busy machine translates instructions ten times slower than an idle one.
const LONG: Duration = Duration::from_secs(180);

fn id(name: &str) -> IntentId {
    name.parse().unwrap()
}

fn http(port: u16, path: &str) -> Option<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(3))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.split_once("\r\n\r\n")?.1.to_owned())
}

fn status(port: u16) -> serde_json::Value {
    let start = Instant::now();
    loop {
        let read = http(port, "/status.json").and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        // Its first second is on the disk.
        if let Some(status) = read.filter(|status| !status["firstSecond"].is_null()) {
            return status;
        }
        assert!(start.elapsed() < LONG, "the guest does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the machine is as wanted at its newest generation, and answers its check if it runs.
fn settled(host: &Host, machine: &IntentId, generation: u64) -> Observation {
    host.server.wait("the machine to settle", LONG, |memory| {
        let state = memory.states.get(machine)?;
        let checked = state.power != Some(Power::Running) || state.check.as_ref().is_some_and(|check| check.ok);
        (state.generation == generation && state.converged && checked).then(|| state.clone())
    })
}

#[test]
fn a_machine_is_made_answers_stops_starts_reboots_and_leaves_nothing() {
    let Some(host) = Host::start("story") else { return };
    let machine = id("mch_story");
    let (mut spec, port) = host.tiny("<b>& \"Wéb\" 店</b>");
    let ordered = Instant::now();
    host.server.want(&machine, Desired::Machine(Box::new(spec.clone())));
    let state = settled(&host, &machine, 1);
    let took = ordered.elapsed();
    let check = state.check.clone().unwrap();
    eprintln!("order to answer {took:?}, of which the machine's own {} ms", check.boot_ms.unwrap());
    assert_eq!(state.state, MachineState::Running);
    let page = status(port);
    assert_eq!(page["name"], "<b>& \"Wéb\" 店</b>");
    assert_eq!(page["characteristics"]["note"], "it's <fine>");
    assert_eq!(page["dataDisk"], true);
    assert!(http(port, "/").unwrap().contains("<!doctype html>"));
    let reported = host.server.memory.lock().unwrap().host.clone().unwrap();
    assert!(reported.memory_mib > 0 && reported.cpu_cores > 0, "{reported:?}");

    host.server.ask_console(&machine, "c1");
    let tail = host.server.wait("the console", LONG, |memory| memory.consoles.get("c1").cloned());
    assert!(tail.text.contains("answering on port 80"), "{tail:?}");

    // Stopped in good order: the guest had time to say so.
    spec.power = Power::Stopped;
    host.server.want(&machine, Desired::Machine(Box::new(spec.clone())));
    let state = settled(&host, &machine, 2);
    assert_eq!(state.state, MachineState::Stopped);
    let console = std::fs::read_to_string(host.machine_dir(&machine).join("console.log")).unwrap();
    assert!(console.contains("good bye"), "{console}");
    let life = host.server.memory.lock().unwrap().lives[&machine][&1].clone();
    let end = life.end.clone().unwrap();
    assert!(end.certain && end.reason == "stopped" && life.started_certain, "{life:?}");
    assert!(life.ran_ms > 1_000, "{life:?}");

    // Started and rebooted: the disk keeps what it held.
    spec.power = Power::Running;
    host.server.want(&machine, Desired::Machine(Box::new(spec.clone())));
    settled(&host, &machine, 3);
    assert!(status(port)["firstSecond"] == page["firstSecond"]);
    spec.reboot_token = Some("once".into());
    host.server.want(&machine, Desired::Machine(Box::new(spec.clone())));
    let state = settled(&host, &machine, 4);
    assert_eq!(state.reboot_token.as_deref(), Some("once"));
    assert_eq!(host.server.memory.lock().unwrap().lives[&machine].len(), 3);

    host.server.want(&machine, Desired::Absent);
    settled(&host, &machine, 5);
    host.assert_empty();
    let lives = host.server.memory.lock().unwrap().lives[&machine].clone();
    assert!(lives.values().all(|life| life.end.as_ref().is_some_and(|end| end.certain)), "{lives:?}");
}

#[test]
fn an_agent_killed_at_any_moment_finishes_after_its_restart() {
    let Some(mut host) = Host::start("killed") else { return };
    let machine = id("mch_killed");
    let (spec, _) = host.tiny("killed");
    let mut generation = 0;
    for delay_ms in [0, 30, 80, 150, 300, 600, 1_200] {
        host.server.want(&machine, Desired::Machine(Box::new(spec.clone())));
        std::thread::sleep(Duration::from_millis(delay_ms));
        host.kill_agent();
        host.start_agent();
        generation += 1;
        settled(&host, &machine, generation);
        assert_eq!(host.domains(), ["yw-mch_killed"]);
        let open =
            host.server.memory.lock().unwrap().lives[&machine].values().filter(|life| life.end.is_none()).count();
        assert_eq!(open, 1, "after {delay_ms} ms");
        host.server.want(&machine, Desired::Absent);
        std::thread::sleep(Duration::from_millis(delay_ms / 4));
        host.kill_agent();
        host.start_agent();
        generation += 1;
        settled(&host, &machine, generation);
        host.assert_empty();
    }
    let lives = host.server.memory.lock().unwrap().lives[&machine].clone();
    let expected: Vec<u64> = (1..=lives.len() as u64).collect();
    assert_eq!(lives.keys().copied().collect::<Vec<_>>(), expected, "no life is missing");
}

#[test]
fn a_hypervisor_daemon_that_dies_takes_no_machine_with_it() {
    let Some(host) = Host::start("daemon") else { return };
    let (machine, other) = (id("mch_daemon"), id("mch_other"));
    let (spec, port) = host.tiny("daemon");
    host.server.want(&machine, Desired::Machine(Box::new(spec)));
    settled(&host, &machine, 1);
    host.session("kill");
    let (spec, _) = host.tiny("other");
    host.server.want(&other, Desired::Machine(Box::new(spec)));
    std::thread::sleep(Duration::from_secs(2));
    assert!(status(port)["livedSeconds"].as_u64().unwrap() > 0);
    host.session("start");
    settled(&host, &other, 1);
    settled(&host, &machine, 1);
    let lives = host.server.memory.lock().unwrap().lives[&machine].clone();
    assert_eq!(lives.len(), 1, "the same life went on: {lives:?}");
    assert!(lives[&1].end.is_none());
}

#[test]
fn a_host_whose_every_process_was_killed_comes_back_with_its_machines() {
    let Some(mut host) = Host::start("power") else { return };
    let machine = id("mch_power");
    let (spec, port) = host.tiny("power");
    host.server.want(&machine, Desired::Machine(Box::new(spec)));
    settled(&host, &machine, 1);
    let first = status(port)["firstSecond"].as_u64().unwrap();
    host.kill_agent();
    host.session("kill");
    host.kill_machine(&machine);
    std::thread::sleep(Duration::from_secs(6));
    host.session("start");
    host.start_agent();
    host.server.wait("a second life", LONG, |memory| {
        let check = memory.states.get(&machine)?.check.clone()?;
        (memory.lives[&machine].len() == 2 && check.ok && check.life == 2).then_some(())
    });
    let after = status(port);
    assert_eq!(after["firstSecond"].as_u64().unwrap(), first, "the record on its disk goes on");
    let life = host.server.memory.lock().unwrap().lives[&machine][&1].clone();
    let end = life.end.unwrap();
    assert!(!end.certain, "nobody saw it end: {end:?}");
    assert!(end.at.duration_since(life.last_seen_at).as_secs() >= 5, "and what was not seen is not claimed");
}

#[test]
fn a_full_disk_is_named_and_the_machine_made_once_there_is_room() {
    if Host::inside_namespace("a_full_disk_is_named_and_the_machine_made_once_there_is_room") != Some(true) {
        return;
    }
    let Some(mut host) = Host::prepare("full") else { return };
    host.mount_data("30M");
    host.enrol();
    host.start_agent();
    let machine = id("mch_full");
    let (spec, _) = host.tiny("full");
    host.server.want(&machine, Desired::Machine(Box::new(spec)));
    host.server.wait("a word about the disk", LONG, |memory| {
        let problem = memory.states.get(&machine)?.problem.clone()?;
        (problem.code == "host.disk_full" && problem.retrying).then_some(())
    });
    host.remount_data("300M");
    settled(&host, &machine, 1);
    host.server.want(&machine, Desired::Absent);
    settled(&host, &machine, 2);
    host.assert_empty();
}

#[test]
fn a_machine_that_dies_is_started_again_and_one_that_shuts_down_is_not() {
    let Some(host) = Host::start("dies") else { return };
    let machine = id("mch_dies");
    let (spec, _) = host.tiny("dies");
    host.server.want(&machine, Desired::Machine(Box::new(spec.clone())));
    settled(&host, &machine, 1);
    host.virsh(&["destroy", "yw-mch_dies"]);
    host.server.wait("a second life", LONG, |memory| {
        let check = memory.states.get(&machine)?.check.clone()?;
        (memory.lives[&machine].len() == 2 && check.ok && check.life == 2).then_some(())
    });
    host.virsh(&["shutdown", "yw-mch_dies"]);
    host.server.wait("it to stay down", LONG, |memory| {
        let problem = memory.states.get(&machine)?.problem.clone()?;
        (problem.code == "machine.shut_down_inside").then_some(())
    });
    host.server.want(&machine, Desired::Machine(Box::new(spec)));
    settled(&host, &machine, 2);
}

#[test]
fn what_the_server_has_forgotten_stays_and_is_reported() {
    let Some(mut host) = Host::start("orphan") else { return };
    let machine = id("mch_orphan");
    let (spec, port) = host.tiny("orphan");
    host.server.want(&machine, Desired::Machine(Box::new(spec)));
    settled(&host, &machine, 1);
    host.kill_agent();
    host.server.forget(&machine);
    // Even an agent that has lost its own memory.
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(host.data.join(format!("agent.db{suffix}")));
    }
    host.start_agent();
    let orphan = host.server.wait("the orphan", LONG, |memory| memory.orphans.first().cloned());
    assert_eq!((orphan.id.clone(), orphan.generation, orphan.power), (machine.clone(), 1, Power::Running));
    assert!(status(port)["livedSeconds"].as_u64().unwrap() > 0);
    // The server decides that it must go; the life that the agent finds gets a number of its own.
    host.server.want(&machine, Desired::Absent);
    host.server.wait("it to be gone", LONG, |memory| {
        let state = memory.states.get(&machine)?;
        (state.state == MachineState::Absent && state.converged).then_some(())
    });
    host.assert_empty();
    let lives = host.server.memory.lock().unwrap().lives[&machine].clone();
    assert_eq!(lives.keys().copied().collect::<Vec<_>>(), [1, 2], "{lives:?}");
    assert!(lives[&1].last_seen_at <= lives[&2].started_at, "one run, and no second of it told twice: {lives:?}");
}

#[test]
fn a_host_cut_off_from_its_server_keeps_its_machines_and_tells_later() {
    let Some(host) = Host::start("cut") else { return };
    let machine = id("mch_cut");
    let (spec, port) = host.tiny("cut");
    host.server.want(&machine, Desired::Machine(Box::new(spec)));
    settled(&host, &machine, 1);
    host.server.set_reachable(false);
    host.virsh(&["destroy", "yw-mch_cut"]);
    std::thread::sleep(Duration::from_secs(3));
    status(port);
    assert_eq!(host.server.memory.lock().unwrap().lives[&machine].len(), 1);
    host.server.set_reachable(true);
    host.server.wait("both lives", LONG, |memory| {
        let lives = &memory.lives[&machine];
        (lives.len() == 2 && lives[&1].end.as_ref().is_some_and(|end| end.certain)).then_some(())
    });
}

#[test]
fn an_image_that_is_not_what_it_should_be_makes_no_machine() {
    let Some(host) = Host::start("image") else { return };
    let machine = id("mch_image");
    let (mut spec, _) = host.tiny("image");
    let good = spec.clone();
    let DiskSource::Image { image } = &mut spec.disks[0].source else { panic!("an image") };
    let (digest, bad) = (image.sha256.clone(), "0".repeat(64).parse::<Sha256>().unwrap());
    let file = host.server.memory.lock().unwrap().images[digest.as_str()].clone();
    host.server.memory.lock().unwrap().images.insert(bad.to_string(), file);
    image.sha256 = bad;
    host.server.want(&machine, Desired::Machine(Box::new(spec)));
    host.server.wait("the refusal", LONG, |memory| {
        let state = memory.states.get(&machine)?;
        let problem = state.problem.clone()?;
        (problem.code == "image.digest_mismatch" && state.state == MachineState::Failed).then_some(())
    });
    assert_eq!(host.domains(), Vec::<String>::new());
    host.server.want(&machine, Desired::Machine(Box::new(good)));
    settled(&host, &machine, 2);
}

#[test]
fn two_hosts_live_side_by_side_and_share_nothing() {
    let Some(one) = Host::start("one") else { return };
    let Some(two) = Host::start("two") else { return };
    let (spec, port) = one.tiny("one");
    one.server.want(&id("mch_one"), Desired::Machine(Box::new(spec)));
    let (spec, _) = two.tiny("two");
    two.server.want(&id("mch_two"), Desired::Machine(Box::new(spec)));
    settled(&one, &id("mch_one"), 1);
    settled(&two, &id("mch_two"), 1);
    assert_eq!((one.domains(), two.domains()), (vec!["yw-mch_one".to_owned()], vec!["yw-mch_two".to_owned()]));
    let before = status(port)["livedSeconds"].as_u64().unwrap();
    drop(two);
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(status(port)["livedSeconds"].as_u64().unwrap() > before);
}

#[test]
fn a_token_for_another_server_is_not_shown_to_this_one() {
    let Some(host) = Host::prepare("token") else { return };
    let wrong = EnrolToken { ca_sha256: "1".repeat(64).parse().unwrap(), ..host.server.token.clone() };
    let output =
        host.agent(&["enrol", "--server", &host.server.url(), "--token", &wrong.to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(host.server.memory.lock().unwrap().host.is_none(), "nothing was sent");
    let wrong = EnrolToken { secret: "wrongwrongwrongwrongwrong".into(), ..host.server.token.clone() };
    let output =
        host.agent(&["enrol", "--server", &host.server.url(), "--token", &wrong.to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let output = host.agent(&["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "not enrolled");
    // The right one works after wrong ones, and its key is nobody's but its owner's.
    host.enrol();
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(host.data.join("identity.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_certificate_is_renewed_before_it_runs_out() {
    let Some(host) = Host::prepare("renew") else { return };
    *host.server.certificate_seconds.lock().unwrap() = 6;
    let mut host = host;
    host.enrol();
    *host.server.certificate_seconds.lock().unwrap() = 86_400;
    host.start_agent();
    host.server.wait("a renewal", LONG, |memory| (memory.renewals == 1).then_some(()));
    let machine = id("mch_renew");
    let (spec, _) = host.tiny("renew");
    host.server.want(&machine, Desired::Machine(Box::new(spec)));
    settled(&host, &machine, 1);
    assert_eq!(host.server.memory.lock().unwrap().renewals, 1);
}

#[test]
fn a_machine_on_a_bridge_answers_at_its_own_address() {
    if Host::inside_namespace("a_machine_on_a_bridge_answers_at_its_own_address") != Some(true) {
        return;
    }
    let Some(host) = Host::start("bridge") else { return };
    let machine = id("mch_bridge");
    let (mut spec, _) = host.tiny("on a bridge");
    let mac: Mac = "52:54:00:00:02:07".parse().unwrap();
    let addresses = vec!["192.0.2.7/24".to_owned()];
    let (gateway, nameservers) = (Some("192.0.2.1".to_owned()), vec![]);
    let interface = Interface { mac: mac.clone(), addresses: addresses.clone(), gateway, nameservers };
    let guest =
        Guest { instance_id: "b", hostname: "b", name: "on a bridge", networks: vec![interface], ..Guest::default() };
    spec.cloud_init = nocloud(&guest);
    spec.networks = vec![NetworkSpec::Bridge { bridge: "nosuch0".into(), mac, addresses }];
    host.server.want(&machine, Desired::Machine(Box::new(spec.clone())));
    host.server.wait("a word about the bridge", LONG, |memory| {
        let problem = memory.states.get(&machine)?.problem.clone()?;
        (problem.code == "host.bridge_missing" && problem.retrying).then_some(())
    });
    let NetworkSpec::Bridge { bridge, .. } = &mut spec.networks[0] else { panic!("a bridge") };
    "br0".clone_into(bridge);
    host.server.want(&machine, Desired::Machine(Box::new(spec)));
    settled(&host, &machine, 2);
    let bridges = host.server.memory.lock().unwrap().host.clone().unwrap().bridges;
    assert_eq!(bridges, ["br0"]);
    assert!(!std::fs::read_dir("/sys/class/net/br0/brif").unwrap().flatten().collect::<Vec<_>>().is_empty());
    host.server.want(&machine, Desired::Absent);
    settled(&host, &machine, 3);
    host.assert_empty();
    let ports: Vec<_> = std::fs::read_dir("/sys/class/net/br0/brif").unwrap().flatten().collect();
    assert!(ports.is_empty(), "{ports:?}");
}

#[test]
fn a_debian_guest_takes_an_ssh_key_and_answers_to_it() {
    let Some(manifest) = host::debian() else { return };
    let Some(host) = Host::start("debian") else { return };
    let key = host.ssh_key();
    let (mut spec, _) = host.tiny("debian");
    let port = host::free_port();
    let keys = vec![std::fs::read_to_string(key.with_extension("pub")).unwrap().trim().to_owned()];
    let NetworkSpec::User { mac: Some(mac), forwards, .. } = &mut spec.networks[0] else { panic!("a user network") };
    *forwards = vec![Forward { host_port: port, guest_port: 22, transport: Transport::Tcp }];
    let interface = Interface { mac: mac.clone(), addresses: vec![], gateway: None, nameservers: vec![] };
    let guest = Guest {
        instance_id: "i-debian",
        hostname: "debian-guest",
        user: Some("ops"),
        ssh_keys: &keys,
        networks: vec![interface],
        ..Guest::default()
    };
    spec.cloud_init = nocloud(&guest);
    let image = host.offer(&manifest);
    spec.disks[0] = DiskSpec { name: "system".into(), size_mib: 2_048, source: DiskSource::Image { image } };
    spec.memory_mib = 512;
    spec.check = None;
    let machine = id("mch_debian");
    host.server.want(&machine, Desired::Machine(Box::new(spec)));
    host.server.wait("the machine to run", LONG, |memory| memory.states.get(&machine)?.converged.then_some(()));
    let start = Instant::now();
    loop {
        let output = host.ssh(&key, port, "ops", "hostname && sudo -n id -u");
        if output.status.success() {
            assert_eq!(String::from_utf8_lossy(&output.stdout), "debian-guest\n0\n");
            break;
        }
        if start.elapsed() > Duration::from_secs(400) {
            let console = std::fs::read_to_string(host.machine_dir(&machine).join("console.log")).unwrap_or_default();
            panic!("no answer over SSH: {}\n{console}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_secs(2));
    }
    eprintln!("Debian answered over SSH after {:?}", start.elapsed());
    let other = host.ssh_key_named("other");
    assert!(!host.ssh(&other, port, "ops", "true").status.success(), "a key that was not given opens nothing");
}
