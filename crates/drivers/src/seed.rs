//! What a guest is told about itself: the three documents of a NoCloud seed.
//!
//! **What.** [`nocloud`] writes them from plain values. Every value goes through JSON, which is YAML
//! too, so nothing a customer types can end one line and begin another.
//!
//! **Invariants.** `user-data` and `network-config` are what cloud-init documents (network
//! configuration version 2). `meta-data` carries `yunwei:` with the machine's name and characteristics
//! in one line of JSON each: our tiny guest reads them with `sed`, cloud-init keeps them as instance data.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::wire::{CloudInit, Mac};

/// What a guest should know.
#[derive(Clone, Debug, Default)]
pub struct Guest<'a> {
    /// Names this instance: cloud-init does its once-per-instance work again when it changes.
    pub instance_id: &'a str,
    /// The host name, `[a-z0-9-]`.
    pub hostname: &'a str,
    /// The name people gave it.
    pub name: &'a str,
    /// The user who may log in.
    pub user: Option<&'a str>,
    /// Public keys of that user, in OpenSSH's form.
    pub ssh_keys: &'a [String],
    /// What was ordered, by name.
    pub characteristics: BTreeMap<String, String>,
    /// Its interfaces.
    pub networks: Vec<Interface>,
}

/// How one interface gets its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The station address, by which the guest recognises it.
    pub mac: Mac,
    /// Its addresses with prefix lengths; none: by DHCP, as QEMU's user network offers it.
    pub addresses: Vec<String>,
    /// The way out.
    pub gateway: Option<String>,
    /// Whom to ask for names.
    pub nameservers: Vec<String>,
}

/// Writes the seed of a guest.
pub fn nocloud(guest: &Guest<'_>) -> CloudInit {
    CloudInit {
        user_data: user_data(guest),
        meta_data: meta_data(guest),
        network_config: (!guest.networks.is_empty()).then(|| network_config(&guest.networks)),
    }
}

/// The same guest elsewhere: another instance, with other interfaces. All else that it is told stays.
pub fn elsewhere(seed: &CloudInit, instance_id: &str, networks: &[Interface]) -> CloudInit {
    let mut meta_data = String::new();
    for line in seed.meta_data.lines() {
        let _ = match line.starts_with("instance-id:") {
            true => writeln!(meta_data, "instance-id: {}", json!(instance_id)),
            false => writeln!(meta_data, "{line}"),
        };
    }
    let network_config = (!networks.is_empty()).then(|| network_config(networks));
    CloudInit { user_data: seed.user_data.clone(), meta_data, network_config }
}

fn user_data(guest: &Guest<'_>) -> String {
    let mut config = json!({ "preserve_hostname": false, "hostname": guest.hostname });
    if let Some(user) = guest.user {
        config["users"] = json!([{
            "name": user,
            "shell": "/bin/bash",
            "lock_passwd": true,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": guest.ssh_keys,
        }]);
    }
    let mut text = "#cloud-config\n".to_owned();
    lines(&mut text, &config);
    text
}

fn meta_data(guest: &Guest<'_>) -> String {
    let mut text = String::new();
    lines(&mut text, &json!({ "instance-id": guest.instance_id, "local-hostname": guest.hostname }));
    let characteristics = json!(guest.characteristics);
    let _ = writeln!(text, "yunwei:\n  name: {}\n  characteristics: {characteristics}", json!(guest.name));
    text
}

fn network_config(interfaces: &[Interface]) -> String {
    let mut text = "version: 2\nethernets:\n".to_owned();
    for (at, interface) in interfaces.iter().enumerate() {
        let _ = writeln!(text, "  net{at}:\n    match:\n      macaddress: {}", json!(interface.mac));
        if interface.addresses.is_empty() {
            text.push_str("    dhcp4: true\n");
            continue;
        }
        let _ = writeln!(text, "    addresses: {}", json!(interface.addresses));
        if let Some(gateway) = &interface.gateway {
            let to = if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" };
            let _ = writeln!(text, "    routes: {}", json!([{ "to": to, "via": gateway }]));
        }
        if !interface.nameservers.is_empty() {
            let _ = writeln!(text, "    nameservers: {}", json!({ "addresses": interface.nameservers }));
        }
    }
    text
}

/// Writes an object with one `key: value` a line.
fn lines(text: &mut String, object: &Value) {
    for (key, value) in object.as_object().into_iter().flatten() {
        let _ = writeln!(text, "{key}: {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_customer_types_begins_a_line_of_its_own() {
        let hostile = "x\nruncmd: [reboot]\r\n\u{2028}\"'#: ";
        let keys = vec![hostile.to_owned()];
        let seed = nocloud(&Guest {
            instance_id: "i-1",
            hostname: hostile,
            name: hostile,
            user: Some(hostile),
            ssh_keys: &keys,
            characteristics: BTreeMap::from([(hostile.to_owned(), hostile.to_owned())]),
            networks: vec![],
        });
        for text in [&seed.user_data, &seed.meta_data] {
            assert!(!text.lines().any(|line| line.trim_start().starts_with("runcmd")), "{text}");
        }
        let line = seed.meta_data.lines().find_map(|line| line.strip_prefix("  characteristics: ")).unwrap();
        let read: BTreeMap<String, String> = serde_json::from_str(line).unwrap();
        assert_eq!(read[hostile], hostile);
    }

    #[test]
    fn elsewhere_a_guest_is_told_the_same_but_who_and_where_it_is() {
        let seed = nocloud(&Guest { instance_id: "i-1", hostname: "web", name: "Web", ..Guest::default() });
        let interface = Interface {
            mac: "52:54:00:00:00:02".parse().unwrap(),
            addresses: vec!["192.0.2.9/24".into()],
            gateway: None,
            nameservers: vec![],
        };
        let moved = elsewhere(&seed, "i-2", &[interface]);
        assert_eq!(moved.user_data, seed.user_data);
        assert_eq!(moved.meta_data, seed.meta_data.replace("\"i-1\"", "\"i-2\""));
        assert!(moved.network_config.unwrap().contains("192.0.2.9/24"));
    }

    #[test]
    fn addresses_reach_the_network_configuration() {
        let interface = Interface {
            mac: "52:54:00:00:00:01".parse().unwrap(),
            addresses: vec!["192.0.2.7/24".into()],
            gateway: Some("192.0.2.1".into()),
            nameservers: vec!["192.0.2.53".into()],
        };
        let dhcp = Interface { addresses: vec![], ..interface.clone() };
        let guest = Guest { instance_id: "i", hostname: "h", networks: vec![interface, dhcp], ..Guest::default() };
        let text = nocloud(&guest).network_config.unwrap();
        let expected = "version: 2\nethernets:\n  net0:\n    match:\n      macaddress: \"52:54:00:00:00:01\"\n    \
             addresses: [\"192.0.2.7/24\"]\n    routes: [{\"to\":\"0.0.0.0/0\",\"via\":\"192.0.2.1\"}]\n    \
             nameservers: {\"addresses\":[\"192.0.2.53\"]}\n  net1:\n    match:\n      \
             macaddress: \"52:54:00:00:00:01\"\n    dhcp4: true\n";
        assert_eq!(text, expected);
    }
}
