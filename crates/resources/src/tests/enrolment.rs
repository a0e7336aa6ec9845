use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base::Kind;
use drivers::wire::RenewRequest;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use crate::hosts::{INVITE, Invite, ListInvitations, RetireHost};

use super::*;

#[test]
fn a_token_lets_one_host_in_and_the_same_request_again_is_the_same_host() {
    each_engine(|house| {
        let token = house.token();
        let (request, _) = enrol_request(&token, "h1");
        let first = wait(house.door.enrol(request.clone(), |cx| cx)).unwrap();
        // The answer was lost on its way.
        let again = wait(house.door.enrol(request, |cx| cx)).unwrap();
        assert_eq!((again.host_id, again.expires_at), (first.host_id.clone(), first.expires_at), "{}", house.engine);
        house.guest(&again.certificate_pem);
        // Another host with the same token is refused, and so is no token at all.
        let (other, _) = enrol_request(&token, "h2");
        assert_eq!(wait(house.door.enrol(other.clone(), |cx| cx)).unwrap_err().code(), "invitation.refused");
        let made_up = EnrolRequest { secret: "a".repeat(32), ..other };
        assert_eq!(wait(house.door.enrol(made_up, |cx| cx)).unwrap_err().kind(), Kind::Forbidden);
        let listed = house.gate.run(&staff(), &hosts::LIST_INVITATIONS, ListInvitations {}).unwrap();
        assert_eq!(listed.items[0].host.map(|host| host.to_string()), Some(first.host_id));
    });
}

#[test]
fn a_token_ends_with_its_time_and_a_retired_host_is_not_let_in_again() {
    each_engine(|house| {
        let token = house.token();
        let (request, _) = enrol_request(&token, "h1");
        house.gate.clock().advance(Duration::from_secs(3_600));
        assert_eq!(wait(house.door.enrol(request, |cx| cx)).unwrap_err().code(), "invitation.refused");
        let token = house.token();
        let (request, _) = enrol_request(&token, "h1");
        let answer = wait(house.door.enrol(request.clone(), |cx| cx)).unwrap();
        let id = answer.host_id.parse().unwrap();
        house.gate.run(&staff(), &hosts::RETIRE, RetireHost { id, machines_are_gone: false }).unwrap();
        assert_eq!(
            wait(house.door.enrol(request, |cx| cx)).unwrap_err().code(),
            "invitation.refused",
            "{}",
            house.engine
        );
        assert_eq!(wait(house.door.admit(&der(&answer.certificate_pem))).unwrap_err().kind(), Kind::Unauthenticated);
    });
}

#[test]
fn of_many_hosts_with_one_token_one_gets_in() {
    each_engine(|house| {
        let token = house.token();
        let (inside, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (house, token, inside, refused) = (&house, &token, &inside, &refused);
                scope.spawn(move || {
                    let (request, _) = enrol_request(token, &format!("h{n}"));
                    match wait(house.door.enrol(request, |cx| cx)) {
                        Ok(_) => drop(inside.fetch_add(1, Ordering::SeqCst)),
                        Err(e) if e.code() == "invitation.refused" => drop(refused.fetch_add(1, Ordering::SeqCst)),
                        Err(e) => panic!("{}: {e:?}", house.engine),
                    }
                });
            }
        });
        assert_eq!((inside.into_inner(), refused.into_inner()), (1, 7), "{}", house.engine);
        let hosts = house.gate.run(&staff(), &hosts::LIST, hosts::ListHosts::default()).unwrap();
        assert_eq!(hosts.items.len(), 1);
    });
}

#[test]
fn guessing_tokens_is_slowed_down() {
    let (engine, db, scratch) = db::testing::sqlite();
    let house = House::new(engine, db, scratch, Clock::fixed("2026-01-01T00:00:00Z".parse().unwrap()));
    let (request, _) = enrol_request(&house.token(), "h1");
    let guess = EnrolRequest { secret: "b".repeat(32), ..request.clone() };
    for _ in 0..60 {
        assert_eq!(wait(house.door.enrol(guess.clone(), |cx| cx)).unwrap_err().code(), "invitation.refused");
    }
    assert_eq!(wait(house.door.enrol(guess, |cx| cx)).unwrap_err().kind(), Kind::Throttled);
    house.gate.clock().advance(Duration::from_secs(61));
    wait(house.door.enrol(request, |cx| cx)).unwrap();
}

#[test]
fn an_invitation_names_a_pool_of_ones_own_and_its_secret_is_not_kept() {
    each_engine(|house| {
        let invite =
            |cx: &Cx, hours| house.gate.run(cx, &INVITE, Invite { pool: house.pool.id, hours, note: String::new() });
        assert_eq!(invite(&gate::testing::somebody(CUSTOMER), None).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(invite(&staff(), Some(0)).unwrap_err().kind(), Kind::Invalid);
        assert_eq!(invite(&staff(), Some(100_000)).unwrap_err().kind(), Kind::Invalid);
        let token: drivers::wire::EnrolToken = invite(&staff(), None).unwrap().token.parse().unwrap();
        assert_eq!(token.ca_sha256.as_str(), house.door.ca().fingerprint());
        let digests: Vec<String> = house
            .gate
            .db()
            .read(|conn| conn.query("SELECT secret_sha256 FROM host_invitations", &[], |row| row.get(0)))
            .unwrap();
        assert!(digests.iter().all(|digest| digest != &token.secret && digest.len() == 64), "{}", house.engine);
    });
}

#[test]
fn of_a_request_only_its_key_is_taken() {
    let (engine, db, scratch) = db::testing::sqlite();
    let house = House::new(engine, db, scratch, Clock::fixed("2026-01-01T00:00:00Z".parse().unwrap()));
    let (request, key) = enrol_request(&house.token(), "h1");
    let mut greedy = CertificateParams::new(vec!["agents.yunwei.internal".to_owned()]).unwrap();
    greedy.distinguished_name.push(rcgen::DnType::CommonName, "hst_00000000000000000000000001");
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let csr_pem = greedy.serialize_request(&key).unwrap().pem().unwrap();
    let answer = wait(house.door.enrol(EnrolRequest { csr_pem, ..request }, |cx| cx)).unwrap();
    let leaf = der(&answer.certificate_pem);
    let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    assert!(!parsed.is_ca() && parsed.subject_alternative_name().unwrap().is_none());
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    assert_eq!(parsed.subject().iter_common_name().next().unwrap().as_str().unwrap(), answer.host_id);
    let seconds = parsed.validity().not_after.timestamp() - parsed.validity().not_before.timestamp();
    assert_eq!(seconds, 30 * 86_400 + 300);
}

#[test]
fn a_request_that_does_not_prove_its_key_is_refused() {
    let (engine, db, scratch) = db::testing::sqlite();
    let house = House::new(engine, db, scratch, Clock::fixed("2026-01-01T00:00:00Z".parse().unwrap()));
    let token = house.token();
    let (request, key) = enrol_request(&token, "h1");
    // Somebody else's request with one byte of its signature changed.
    let mut bytes = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let forged = pem_of("CERTIFICATE REQUEST", &bytes);
    let weak = openssl(
        house.scratch.path(),
        &["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "/dev/null"],
    );
    let certificate = house.door.ca().certificate_pem().to_owned();
    let mut tries = vec![
        (forged, "csr.signature"),
        (certificate, "csr.malformed"),
        (String::new(), "csr.malformed"),
        ("x".repeat(1 << 20), "csr.malformed"),
    ];
    if let Some(weak) = weak.and_then(|text| text.find("-----BEGIN").map(|at| text[at..].to_owned())) {
        tries.push((weak, "csr.key"));
    }
    for (csr_pem, code) in tries {
        let refused = wait(house.door.enrol(EnrolRequest { csr_pem, ..request.clone() }, |cx| cx)).unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (Kind::Invalid, code));
    }
    // The token is still good: none of these used it up.
    wait(house.door.enrol(request, |cx| cx)).unwrap();
}

#[test]
fn a_certificate_is_renewed_and_both_are_good_until_each_runs_out() {
    each_engine(|house| {
        let (request, _) = enrol_request(&house.token(), "h1");
        let first = wait(house.door.enrol(request, |cx| cx)).unwrap();
        house.gate.clock().advance(Duration::from_secs(20 * 86_400));
        let guest = house.guest(&first.certificate_pem);
        let key = KeyPair::generate().unwrap();
        let second = wait(house.door.renew(&guest, RenewRequest { csr_pem: csr(&key) })).unwrap();
        assert_eq!(house.guest(&second.certificate_pem).host, guest.host);
        assert_eq!(house.guest(&first.certificate_pem).host, guest.host, "the answer may have been lost");
        house.gate.clock().advance(Duration::from_secs(10 * 86_400));
        assert_eq!(
            wait(house.door.admit(&der(&first.certificate_pem))).unwrap_err().code(),
            "agent.certificate",
            "{}",
            house.engine
        );
        house.guest(&second.certificate_pem);
        crate::work::certificates(&house.gate).unwrap();
    });
}

#[test]
fn the_authority_is_kept_and_its_key_is_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new();
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let first = Ca::open(scratch.path(), now).unwrap();
    assert_eq!(Ca::open(scratch.path(), now).unwrap().fingerprint(), first.fingerprint());
    let key = scratch.path().join("agents-ca.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(Ca::open(scratch.path(), now).unwrap_err().code(), "authority.unusable");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(Ca::open(scratch.path(), now).unwrap_err().message().contains("not of the key beside it"));
}

#[test]
fn another_authority_is_not_slipped_in() {
    each_engine(|house| {
        let other = Arc::new(Ca::open(&house.scratch.path().join("other"), house.gate.now()).unwrap());
        let refused = Door::open(house.gate.clone(), other, house.scratch.path().join("images")).map(drop).unwrap_err();
        assert_eq!(refused.code(), "authority.differs", "{}", house.engine);
    });
}

#[test]
fn openssl_reads_the_authority_and_what_it_signs() {
    let (engine, db, scratch) = db::testing::sqlite();
    // OpenSSL looks at the real clock.
    let house = House::new(engine, db, scratch, Clock::System);
    let (request, _) = enrol_request(&house.token(), "h1");
    let answer = wait(house.door.enrol(request, |cx| cx)).unwrap();
    let folder = house.scratch.path();
    std::fs::write(folder.join("ca.pem"), &answer.ca_pem).unwrap();
    std::fs::write(folder.join("host.pem"), &answer.certificate_pem).unwrap();
    let server = house.door.ca().server(house.gate.now()).unwrap();
    std::fs::write(folder.join("server.pem"), pem_of("CERTIFICATE", &server.chain[0])).unwrap();
    let Some(verified) =
        openssl(folder, &["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.pem", "host.pem"])
    else {
        return db::testing::pass_over(db::testing::TOOLS, "openssl is not installed");
    };
    assert_eq!(verified.trim(), "host.pem: OK");
    let verify = |purpose, file| {
        openssl(folder, &["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", file]).unwrap()
    };
    assert!(verify("sslserver", "host.pem").contains("certificate purpose"), "a host's certificate is no server's");
    assert_eq!(verify("sslserver", "server.pem").trim(), "server.pem: OK");
    let text = |file| openssl(folder, &["x509", "-noout", "-text", "-in", file]).unwrap();
    let (ca, host) = (text("ca.pem"), text("host.pem"));
    assert!(ca.contains("CA:TRUE, pathlen:0") && ca.contains("prime256v1") && ca.contains("Certificate Sign"), "{ca}");
    assert!(
        host.contains("CA:FALSE") && host.contains("TLS Web Client Authentication") && host.contains(&answer.host_id),
        "{host}"
    );
    let name =
        openssl(folder, &["x509", "-noout", "-checkhost", "agents.yunwei.internal", "-in", "server.pem"]).unwrap();
    assert!(name.contains("does match"), "{name}");
}

fn pem_of(what: &str, bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", lines.join("\n"))
}
