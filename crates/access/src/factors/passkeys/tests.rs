//! Passkeys, enrolled and used with an authenticator of our own; each test on both databases.

use std::time::{Duration, Instant};

use base::id::TenantId;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gate::{Cx, Strength};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value as Json, json};

use super::actions::{
    AskPasskey, CHALLENGE, ENROL, EnrolPasskey, OPEN, OpenWithPasskey, REGISTER, RegisterPasskey, Request,
};
use super::install;
use crate::Authenticator;
use crate::factors::actions::{self as factors, Activated};
use crate::roles::actions::Nothing;
use crate::secret::Secret;
use crate::sessions::actions::{self as sessions, OpenSession, Opened, SignedIn};
use crate::sessions::confirm::{CONFIRM, ConfirmSession, STEP_UP, StepUp};
use crate::testing::{House, PASSWORD};

const SITE: &str = "https://cloud.example.com";

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An authenticator with one credential, and the browser before it. What it does wrong is said by
/// changing its parts.
struct Device {
    key: std::sync::Arc<EcdsaKeyPair>,
    id: Vec<u8>,
    rp: String,
    origin: String,
    ceremony: Option<&'static str>,
    flags: u8,
    counter: u32,
    user: Option<String>,
    cross: bool,
}

impl Device {
    fn new(id: u8) -> Device {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
        Device {
            key: key.into(),
            id: vec![id; 16],
            rp: "cloud.example.com".into(),
            origin: SITE.into(),
            ceremony: None,
            flags: 0x05,
            counter: 0,
            user: None,
            cross: false,
        }
    }

    /// The same device, to be made to do something wrong.
    fn with_key_of(other: &Device) -> Device {
        Device { key: other.key.clone(), counter: other.counter, ..Device::new(other.id[0]) }
    }

    fn client(&self, usual: &str, challenge: &str) -> Vec<u8> {
        let kind = self.ceremony.unwrap_or(usual);
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": self.cross })
            .to_string()
            .into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let party = digest(&SHA256, self.rp.as_bytes());
        [party.as_ref(), &[flags], &self.counter.to_be_bytes()].concat()
    }

    fn cose(&self) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let mut key = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
        key.extend_from_slice(&point[1..33]);
        key.extend_from_slice(&[0x22, 0x58, 0x20]);
        key.extend_from_slice(&point[33..]);
        key
    }

    /// What the browser gives of a new credential.
    fn make(&self, challenge: &str) -> String {
        let mut data = self.data(self.flags | 0x40);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend_from_slice(&self.id);
        data.extend_from_slice(&self.cose());
        let mut object = vec![0xa3, 0x63];
        object.extend_from_slice(b"fmt\x64none\x67attStmt\xa0\x68authData");
        // As short as it can be written.
        match u8::try_from(data.len()) {
            Ok(length) => object.extend_from_slice(&[0x58, length]),
            Err(_) => {
                object.extend_from_slice(&[&[0x59][..], &u16::try_from(data.len()).unwrap().to_be_bytes()].concat())
            }
        }
        object.extend_from_slice(&data);
        self.made(challenge, &object)
    }

    fn made(&self, challenge: &str, object: &[u8]) -> String {
        let client = self.client("webauthn.create", challenge);
        let response = json!({ "clientDataJSON": b64(&client), "attestationObject": b64(object) });
        json!({ "id": b64(&self.id), "type": "public-key", "response": response }).to_string()
    }

    /// What it gives of one that is used.
    fn answer(&self, challenge: &str) -> String {
        let (client, data) = (self.client("webauthn.get", challenge), self.data(self.flags));
        let signed = [&data[..], digest(&SHA256, &client).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        let mut response = json!({ "clientDataJSON": b64(&client), "authenticatorData": b64(&data), "signature": b64(signature.as_ref()) });
        if let Some(user) = &self.user {
            response["userHandle"] = Json::String(b64(user.as_bytes()));
        }
        json!({ "id": b64(&self.id), "type": "public-key", "response": response }).to_string()
    }
}

const EMAIL: &str = "mei@example.com";

fn nobody(house: &House) -> Cx {
    Cx::nobody(house.operator)
}

fn again(house: &House, secret: &str) -> Cx {
    Authenticator::new(house.gate.clone()).recognise(secret, None).unwrap().cx
}

/// Somebody with a session; the password was just shown.
fn signed_in(house: &House) -> Cx {
    let mei = house.person(EMAIL, house.first, &["member"]);
    house.set_password(mei);
    install(&house.gate, SITE);
    again(house, &open(house).signed_in().unwrap().secret)
}

fn open(house: &House) -> Opened {
    let input = OpenSession { email: EMAIL.into(), password: Secret::new(PASSWORD), user_agent: "Firefox".into() };
    sessions::OPEN.run(&house.gate, &nobody(house), input).unwrap()
}

fn ticket(house: &House) -> String {
    match open(house) {
        Opened::FactorNeeded(needed) => needed.ticket,
        Opened::SignedIn(_) => panic!("no second factor was asked for"),
    }
}

fn register(house: &House, cx: &Cx, credential: String) -> base::Result<Activated> {
    house.gate.run(cx, &REGISTER, RegisterPasskey { name: Some("Laptop".into()), credential })
}

/// Enrols a device in that session; the recovery codes that came with it.
fn enrol(house: &House, cx: &Cx, device: &Device) -> Vec<String> {
    let made = house.gate.run(cx, &ENROL, EnrolPasskey {}).unwrap();
    assert_eq!((made.rp.id.as_str(), made.attestation.as_str()), ("cloud.example.com", "none"));
    register(house, cx, device.make(&made.challenge)).unwrap().recovery_codes
}

fn challenge(house: &House, cx: &Cx, ticket: Option<&str>) -> Request {
    let ask = AskPasskey { ticket: ticket.map(Secret::new), anew: false };
    house.gate.run(cx, &CHALLENGE, ask).unwrap()
}

fn alone(house: &House, credential: String) -> base::Result<SignedIn> {
    let input = OpenWithPasskey { credential, user_agent: "Firefox".into() };
    OPEN.run(&house.gate, &nobody(house), input)
}

fn confirm(house: &House, ticket: &str, shown: String) -> base::Result<SignedIn> {
    let input = ConfirmSession { ticket: Secret::new(ticket), code: Secret::new(shown) };
    CONFIRM.run(&house.gate, &nobody(house), input)
}

fn code_of<T>(result: base::Result<T>) -> String {
    result.err().map(|error| error.code().to_owned()).unwrap_or_default()
}

#[test]
fn a_passkey_is_a_second_factor_and_signs_in_alone_where_its_user_is_verified() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let cx = signed_in(&house);
        let device = Device::new(1);
        assert_eq!(enrol(&house, &cx, &device).len(), base::limits::RECOVERY_CODES, "{engine}");
        let listed = house.gate.run(&cx, &factors::LIST, Nothing {}).unwrap();
        assert_eq!((listed.factors.len(), listed.factors[0].name.as_str()), (1, "Laptop"));
        // After the password.
        let ticket = ticket(&house);
        let asked = challenge(&house, &nobody(&house), Some(&ticket));
        assert_eq!(asked.allow_credentials.len(), 1);
        let signed = confirm(&house, &ticket, device.answer(&asked.challenge)).unwrap();
        assert_eq!(again(&house, &signed.secret).proof().unwrap().strength, Strength::Key, "{engine}");
        // Alone.
        let asked = challenge(&house, &nobody(&house), None);
        assert_eq!((asked.allow_credentials.len(), asked.user_verification.as_str()), (0, "required"));
        let signed = alone(&house, device.answer(&asked.challenge)).unwrap();
        let cx = again(&house, &signed.secret);
        assert_eq!(cx.proof().unwrap().strength, Strength::Passkey);
        assert!(cx.proof().unwrap().strength.is_two_factor());
        // A second use of the same answer is none.
        let asked = challenge(&house, &nobody(&house), None);
        let answer = device.answer(&asked.challenge);
        alone(&house, answer.clone()).unwrap();
        assert_eq!(code_of(alone(&house, answer)), "passkey.refused", "{engine}");
        // Whoever was only there, and not verified, does not sign in alone; after the password that will do.
        let touched = Device { flags: 0x01, ..Device::with_key_of(&device) };
        let asked = challenge(&house, &nobody(&house), None);
        assert_eq!(code_of(alone(&house, touched.answer(&asked.challenge))), "passkey.refused");
        let ticket = self::ticket(&house);
        let asked = challenge(&house, &nobody(&house), Some(&ticket));
        confirm(&house, &ticket, touched.answer(&asked.challenge)).unwrap();
    }
}

#[test]
fn a_sensitive_action_is_opened_by_a_passkey_for_ten_minutes() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let cx = signed_in(&house);
        let device = Device::new(1);
        enrol(&house, &cx, &device);
        let asked = challenge(&house, &nobody(&house), None);
        let secret = alone(&house, device.answer(&asked.challenge)).unwrap().secret;
        house.gate.clock().advance(Duration::from_secs(700));
        let cx = again(&house, &secret);
        let renewed = || house.gate.run(&again(&house, &secret), &factors::RENEW, Nothing {});
        assert_eq!(code_of(renewed()), "session.step_up", "{engine}");
        let up = |cx: &Cx, shown: String| {
            STEP_UP.run(&house.gate, cx, StepUp { code: Some(Secret::new(shown)), password: None })
        };
        let asked = challenge(&house, &cx, None);
        assert_eq!((asked.user_verification.as_str(), asked.allow_credentials.len()), ("required", 1));
        // Not by an answer that was made for signing in, nor without verification: a passkey opened this session.
        let other = challenge(&house, &nobody(&house), None);
        assert_eq!(code_of(up(&cx, device.answer(&other.challenge))), "passkey.refused");
        let touched = Device { flags: 0x01, ..Device::with_key_of(&device) };
        assert_eq!(code_of(up(&cx, touched.answer(&asked.challenge))), "passkey.refused");
        let asked = challenge(&house, &cx, None);
        assert_eq!(up(&cx, device.answer(&asked.challenge)).unwrap().strength, Strength::Passkey);
        renewed().unwrap();
    }
}

#[test]
fn what_was_made_elsewhere_for_something_else_or_by_somebody_else_counts_for_nothing() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let cx = signed_in(&house);
        let mut device = Device::new(1);
        // Enrolling.
        let made = || house.gate.run(&cx, &ENROL, EnrolPasskey {}).unwrap().challenge;
        for (broken, code) in [
            (Device { origin: "https://cloud.example.com.evil.example".into(), ..Device::new(2) }, "passkey.refused"),
            (Device { origin: "http://cloud.example.com".into(), ..Device::new(2) }, "passkey.refused"),
            (Device { rp: "example.com".into(), ..Device::new(2) }, "passkey.refused"),
            (Device { ceremony: Some("webauthn.get"), ..Device::new(2) }, "passkey.refused"),
            (Device { cross: true, ..Device::new(2) }, "passkey.refused"),
            (Device { flags: 0x00, ..Device::new(2) }, "passkey.refused"),
            (Device { flags: 0x15, ..Device::new(2) }, "passkey.refused"),
            (Device { flags: 0x85, ..Device::new(2) }, "passkey.malformed"),
            (Device { id: vec![], ..Device::new(2) }, "passkey.malformed"),
            (Device { id: vec![7; 1_024], ..Device::new(2) }, "passkey.malformed"),
        ] {
            let credential = broken.make(&made());
            assert_eq!(code_of(register(&house, &cx, credential)), code, "{engine}: {}", broken.origin);
        }
        // Cut short, with something behind its end, or nothing at all.
        let whole = Device::new(2).make(&made());
        let object = serde_json::from_str::<Json>(&whole).unwrap()["response"]["attestationObject"].clone();
        let object = URL_SAFE_NO_PAD.decode(object.as_str().unwrap()).unwrap();
        for end in [0, 1, 5, 30, 60, 70, 90, object.len() - 1] {
            let cut = Device::new(2).made(&made(), &object[..end]);
            assert_eq!(code_of(register(&house, &cx, cut)), "passkey.malformed", "{engine}: {end}");
        }
        let longer = Device::new(2).made(&made(), &[&object[..], &[0]].concat());
        assert_eq!(code_of(register(&house, &cx, longer)), "passkey.malformed");
        for text in ["", "{}", "[]", "null", "{\"response\":{}}"] {
            assert_eq!(code_of(register(&house, &cx, text.into())), "passkey.malformed", "{text}");
        }
        // Another session's challenge is none here.
        let second = again(&house, &open(&house).signed_in().unwrap().secret);
        let credential = device.make(&made());
        assert_eq!(code_of(register(&house, &second, credential)), "passkey.refused");
        assert!(open(&house).signed_in().is_some(), "none of it was enrolled");

        enrol(&house, &cx, &device);
        assert_eq!(code_of(register(&house, &cx, device.make(&made()))), "passkey.known", "{engine}");
        // Signing in.
        let fresh = || challenge(&house, &nobody(&house), None).challenge;
        let unknown = Device::new(9).answer(&fresh());
        assert_eq!(code_of(alone(&house, unknown)), "passkey.refused");
        let impostor = Device { id: device.id.clone(), ..Device::new(1) }.answer(&fresh());
        assert_eq!(code_of(alone(&house, impostor)), "passkey.refused", "another key");
        for (origin, rp, user) in [
            ("https://evil.example", "cloud.example.com", None),
            (SITE, "evil.example", None),
            (SITE, "cloud.example.com", Some("acc_somebody_else")),
        ] {
            let broken = Device {
                origin: origin.into(),
                rp: rp.into(),
                user: user.map(Into::into),
                ..Device::with_key_of(&device)
            };
            assert_eq!(code_of(alone(&house, broken.answer(&fresh()))), "passkey.refused", "{engine}: {origin} {rp}");
        }
        // Too late.
        let late = device.answer(&fresh());
        house.gate.clock().advance(Duration::from_secs(301));
        assert_eq!(code_of(alone(&house, late)), "passkey.refused");
        device.user = Some(cx.account().unwrap().to_string());
        alone(&house, device.answer(&fresh())).unwrap();
    }
}

#[test]
fn a_credential_that_was_copied_is_refused_and_on_the_record() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let cx = signed_in(&house);
        let mut device = Device { counter: 5, ..Device::new(1) };
        enrol(&house, &cx, &device);
        let fresh = || challenge(&house, &nobody(&house), None).challenge;
        device.counter = 9;
        alone(&house, device.answer(&fresh())).unwrap();
        for behind in [9, 8, 0] {
            device.counter = behind;
            assert_eq!(code_of(alone(&house, device.answer(&fresh()))), "passkey.copied", "{engine}: {behind}");
        }
        device.counter = 10;
        alone(&house, device.answer(&fresh())).unwrap();
        let copied = |(action, _, outcome): &(String, TenantId, String)| {
            action == "session.open_passkey" && outcome == "refused:passkey.copied"
        };
        // Written beside the answer, by whichever writer is free.
        let deadline = Instant::now() + Duration::from_secs(20);
        while house.audit().iter().filter(|entry| copied(entry)).count() < 3 {
            assert!(Instant::now() < deadline, "{engine}: not all of it is on the record");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn anothers_passkey_is_no_second_factor_and_a_removed_one_opens_nothing() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let cx = signed_in(&house);
        let (mine, theirs) = (Device::new(1), Device::new(2));
        enrol(&house, &cx, &mine);
        let other = house.person("lin@example.org", house.second, &["owner"]);
        house.set_password(other);
        let input =
            OpenSession { email: "lin@example.org".into(), password: Secret::new(PASSWORD), user_agent: "x".into() };
        let opened = sessions::OPEN.run(&house.gate, &nobody(&house), input).unwrap();
        enrol(&house, &again(&house, &opened.signed_in().unwrap().secret), &theirs);
        let ticket = ticket(&house);
        let asked = challenge(&house, &nobody(&house), Some(&ticket));
        assert_eq!(code_of(confirm(&house, &ticket, theirs.answer(&asked.challenge))), "passkey.refused", "{engine}");
        // A challenge of one sign-in is none of another's.
        let second = self::ticket(&house);
        let asked = challenge(&house, &nobody(&house), Some(&second));
        assert_eq!(code_of(confirm(&house, &ticket, mine.answer(&asked.challenge))), "passkey.refused");

        let listed = house.gate.run(&cx, &factors::LIST, Nothing {}).unwrap();
        house.gate.run(&cx, &factors::REMOVE, factors::FactorRef { factor: listed.factors[0].id }).unwrap();
        let asked = challenge(&house, &nobody(&house), None);
        assert_eq!(code_of(alone(&house, mine.answer(&asked.challenge))), "passkey.refused", "{engine}");
        assert!(open(&house).signed_in().is_some(), "the password alone signs in again");
    }
}

#[test]
fn without_a_name_no_passkeys_are_offered() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let cx = signed_in_without_a_name(&house);
    assert_eq!(code_of(house.gate.run(&cx, &ENROL, EnrolPasskey {})), "passkey.no_name");
    assert_eq!(code_of(house.gate.run(&nobody(&house), &CHALLENGE, AskPasskey::default())), "passkey.no_name");
}

fn signed_in_without_a_name(house: &House) -> Cx {
    let mei = house.person(EMAIL, house.first, &["member"]);
    house.set_password(mei);
    install(&house.gate, "https://192.0.2.7");
    again(house, &open(house).signed_in().unwrap().secret)
}
