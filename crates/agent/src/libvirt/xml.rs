//! A machine in libvirt's words.
//!
//! Everything that came from outside goes through [`escape`]; ids, bridge names and station addresses
//! are checked before they get here. Forwards of the user network have no element in libvirt 9, hence
//! QEMU's own command line for these.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use drivers::wire::{Accelerator, IntentId, Mac, MachineSpec, NetworkSpec, Transport};

/// Names our element in a domain's metadata.
pub const NAMESPACE: &str = "https://yunwei.example/xmlns/agent/1";

/// The mark that says whose a domain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which platform: begins the fingerprint of its CA.
    pub platform: String,
    /// The intent.
    pub id: IntentId,
    /// The generation it was last prepared for.
    pub generation: u64,
    /// Digest of the specification it was prepared from.
    pub digest: String,
    /// How it was defined to run.
    pub accelerator: String,
}

/// Everything a definition is made from.
pub struct Parts<'a> {
    /// The mark.
    pub mark: &'a Mark,
    /// The domain's name.
    pub domain: &'a str,
    /// The domain's UUID.
    pub uuid: &'a str,
    /// The wanted machine.
    pub spec: &'a MachineSpec,
    /// How it runs.
    pub accelerator: Accelerator,
    /// The disks in order, with their format.
    pub disks: Vec<(PathBuf, &'static str, String)>,
    /// The seed.
    pub seed: PathBuf,
    /// Kernel, initial file system and command line, for a direct boot.
    pub boot: Option<(PathBuf, PathBuf, String)>,
    /// Where the console goes.
    pub console: PathBuf,
}

/// Text that is safe between tags and in attributes. What XML cannot carry is left out.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => out.push(c),
            _ => {}
        }
    }
    out
}

/// The definition.
pub fn domain(parts: &Parts<'_>) -> String {
    let kvm = parts.accelerator == Accelerator::Kvm;
    let mut out = String::new();
    let kind = if kvm { "kvm" } else { "qemu" };
    let _ = write!(out, "<domain type='{kind}' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>");
    tag(&mut out, "name", parts.domain);
    tag(&mut out, "uuid", parts.uuid);
    let title: String = parts.spec.name.chars().filter(|c| !c.is_control()).take(128).collect();
    if !title.trim().is_empty() {
        tag(&mut out, "title", &title);
    }
    let mark = parts.mark;
    let _ = write!(
        out,
        "<metadata><yunwei:machine xmlns:yunwei='{NAMESPACE}' platform='{}' intent='{}' generation='{}' digest='{}' accelerator='{}'/></metadata>",
        escape(&mark.platform),
        mark.id,
        mark.generation,
        escape(&mark.digest),
        escape(&mark.accelerator)
    );
    let _ = write!(out, "<memory unit='MiB'>{}</memory><vcpu>{}</vcpu>", parts.spec.memory_mib, parts.spec.vcpus);
    out.push_str("<os><type arch='x86_64' machine='q35'>hvm</type>");
    if let Some((kernel, initrd, cmdline)) = &parts.boot {
        tag(&mut out, "kernel", &path(kernel));
        tag(&mut out, "initrd", &path(initrd));
        tag(&mut out, "cmdline", cmdline);
    } else {
        out.push_str("<boot dev='hd'/>");
    }
    out.push_str("</os><features><acpi/><apic/></features>");
    if kvm {
        out.push_str("<cpu mode='host-passthrough' migratable='off'/>");
    }
    out.push_str("<clock offset='utc'/><on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>");
    out.push_str("<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm><devices>");
    for (at, (file, format, serial)) in parts.disks.iter().enumerate() {
        let _ = write!(
            out,
            "<disk type='file' device='disk'><driver name='qemu' type='{format}' discard='unmap'/><source file='{}'/>\
             <target dev='{}' bus='virtio'/><serial>{}</serial></disk>",
            escape(&path(file)),
            target(at),
            escape(serial)
        );
    }
    let _ = write!(
        out,
        "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{}'/>\
         <target dev='{}' bus='virtio'/><readonly/><serial>cidata</serial></disk>",
        escape(&path(&parts.seed)),
        target(parts.disks.len())
    );
    out.push_str("<controller type='usb' model='none'/><memballoon model='none'/>");
    out.push_str("<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>");
    let log = escape(&path(&parts.console));
    let _ = write!(out, "<serial type='file'><source path='{log}' append='on'/><target port='0'/></serial>");
    let _ = write!(
        out,
        "<console type='file'><source path='{log}' append='on'/><target type='serial' port='0'/></console>"
    );
    for network in &parts.spec.networks {
        if let NetworkSpec::Bridge { bridge, mac, .. } = network {
            let _ = write!(
                out,
                "<interface type='bridge'><mac address='{mac}'/><source bridge='{}'/><model type='virtio'/><rom enabled='no'/></interface>",
                escape(bridge)
            );
        }
    }
    out.push_str("</devices>");
    user_networks(&mut out, parts);
    out.push_str("</domain>");
    out
}

/// QEMU's own network: outside what libvirt 9 can say.
fn user_networks(out: &mut String, parts: &Parts<'_>) {
    let mut arguments = Vec::new();
    for (at, network) in parts.spec.networks.iter().enumerate() {
        let NetworkSpec::User { mac, forwards, outbound } = network else { continue };
        let mac = mac.clone().unwrap_or_else(|| Mac::derived(&parts.mark.id, at));
        let mut netdev = format!("user,id=ywnet{at},restrict={}", if *outbound { "off" } else { "on" });
        for forward in forwards {
            let transport = match forward.transport {
                Transport::Tcp => "tcp",
                Transport::Udp => "udp",
            };
            let _ = write!(netdev, ",hostfwd={transport}:127.0.0.1:{}-:{}", forward.host_port, forward.guest_port);
        }
        arguments.extend(["-netdev".to_owned(), netdev]);
        // Slots from 16 up: libvirt gives out the lower ones.
        let device = format!("virtio-net-pci,netdev=ywnet{at},mac={mac},bus=pcie.0,addr={:#x},romfile=", 16 + at);
        arguments.extend(["-device".to_owned(), device]);
    }
    if arguments.is_empty() {
        return;
    }
    out.push_str("<qemu:commandline>");
    for argument in arguments {
        let _ = write!(out, "<qemu:arg value='{}'/>", escape(&argument));
    }
    out.push_str("</qemu:commandline>");
}

/// Reads the mark out of what libvirt gives back for our namespace.
pub fn read_mark(xml: &str) -> Option<Mark> {
    let attribute = |name: &str| -> Option<String> {
        let (_, rest) = xml.split_once(&format!(" {name}="))?;
        let quote = rest.chars().next().filter(|c| *c == '"' || *c == '\'')?;
        let value = rest.get(1..)?.split(quote).next()?;
        Some(value.to_owned())
    };
    Some(Mark {
        platform: attribute("platform")?,
        id: attribute("intent")?.parse().ok()?,
        generation: attribute("generation")?.parse().ok()?,
        digest: attribute("digest")?,
        accelerator: attribute("accelerator").unwrap_or_default(),
    })
}

/// A backup job of disks, each by its place among the machine's, into files.
pub fn backup(disks: &[(usize, PathBuf)]) -> String {
    let mut out = "<domainbackup mode='push'><disks>".to_owned();
    for (at, file) in disks {
        let _ = write!(
            out,
            "<disk name='{}' type='file' backupmode='full'><driver type='qcow2'/><target file='{}'/></disk>",
            target(*at),
            escape(&path(file))
        );
    }
    out.push_str("</disks></domainbackup>");
    out
}

fn tag(out: &mut String, name: &str, text: &str) {
    let _ = write!(out, "<{name}>{}</{name}>", escape(text));
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// `vda`, `vdb`, …
fn target(at: usize) -> String {
    format!("vd{}", char::from(b'a' + u8::try_from(at.min(25)).unwrap_or(25)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use drivers::wire::{CloudInit, Forward, Power};
    use proptest::prelude::*;

    fn definition(name: &str, cmdline: &str, dir: &str) -> String {
        let spec = MachineSpec {
            name: name.to_owned(),
            vcpus: 2,
            memory_mib: 256,
            disks: vec![],
            networks: vec![
                NetworkSpec::User {
                    mac: None,
                    forwards: vec![Forward { host_port: 8080, guest_port: 80, transport: Transport::Tcp }],
                    outbound: false,
                },
                NetworkSpec::Bridge {
                    bridge: "br0".into(),
                    mac: "52:54:00:00:00:01".parse().unwrap(),
                    addresses: vec![],
                },
            ],
            cloud_init: CloudInit::default(),
            power: Power::Running,
            reboot_token: None,
            check: None,
        };
        let mark = Mark {
            platform: "p".into(),
            id: "m1".parse().unwrap(),
            generation: 7,
            digest: "d".into(),
            accelerator: "tcg".into(),
        };
        domain(&Parts {
            mark: &mark,
            domain: "yw-m1",
            uuid: "6a5c0a9e-0000-4000-8000-000000000001",
            spec: &spec,
            accelerator: Accelerator::Tcg,
            disks: vec![(PathBuf::from(dir).join("system.qcow2"), "qcow2", "system".into())],
            seed: PathBuf::from(dir).join("seed.iso"),
            boot: Some((PathBuf::from("/k"), PathBuf::from("/i"), cmdline.to_owned())),
            console: PathBuf::from(dir).join("console.log"),
        })
    }

    /// Libvirt's own judge, where it is installed: its in-process test hypervisor.
    fn define(xml: &str) -> Option<String> {
        let connection = virt::connect::Connect::open(Some("test:///default")).ok()?;
        let domain = connection.define_domain_xml(xml).unwrap_or_else(|e| panic!("{e}\n{xml}"));
        let title = domain.xml_desc(0).unwrap();
        let mark = domain.metadata(2, Some(NAMESPACE), 0).unwrap();
        assert_eq!(read_mark(&mark).unwrap().generation, 7);
        let _ = domain.undefine();
        Some(title)
    }

    #[test]
    fn hostile_names_stay_names() {
        let hostile = "</title><os><loader>/etc/shadow</loader></os><title>\u{0}\u{1b}\u{ffff}'\"&";
        let xml = definition(hostile, "a='b' \"c\" <d>&e", "/tmp/it's <a> & \"b\"");
        assert!(!xml.contains("<loader>"));
        let Some(read) = define(&xml) else { return crate::pass_over("libvirt's test hypervisor is not there") };
        assert!(!read.contains("<loader>"), "{read}");
    }

    #[test]
    fn the_user_network_reaches_nothing_but_its_forwards() {
        let xml = definition("web", "quiet", "/d");
        assert!(xml.contains("user,id=ywnet0,restrict=on,hostfwd=tcp:127.0.0.1:8080-:80"), "{xml}");
    }

    proptest! {
        #[test]
        fn escaped_text_never_opens_or_closes_anything(text in ".*") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let ampersands = escaped.matches('&').count();
            let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#9;", "&#10;", "&#13;"];
            prop_assert_eq!(ampersands, entities.iter().map(|entity| escaped.matches(entity).count()).sum::<usize>());
        }

        #[test]
        fn a_mark_is_read_back(generation in any::<u64>(), platform in "[0-9a-f]{16}", id in "[a-z0-9][a-z0-9_]{0,30}") {
            let xml = format!("<machine platform=\"{platform}\" intent=\"{id}\" generation=\"{generation}\" digest=\"x\"/>");
            let mark = read_mark(&xml).unwrap();
            prop_assert_eq!((mark.platform, mark.id.to_string(), mark.generation), (platform, id, generation));
        }
    }
}
