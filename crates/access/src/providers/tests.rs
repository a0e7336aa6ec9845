//! Tokens tampered with in every way, settings, a provider that is played ([`played`]), and a real one ([`real`]).

mod played;
mod real;

use base::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value as Json, json};

use super::jwt::{Claims, Expected, KEY_UNKNOWN, Keys, verify};
use super::{Domain, GroupRole, Provider, ProviderId, ProviderState, Settings, rules};

const NOW: i64 = 1_780_000_000;

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key of a provider's, and what its document says of it.
struct Signer {
    pair: EcdsaKeyPair,
    public: Json,
}

impl Signer {
    fn new(kid: Option<&str>) -> Signer {
        let rng = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &rng).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (b64(&point[1..33]), b64(&point[33..65]));
        let public = json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "x": x, "y": y });
        Signer { pair, public }
    }

    fn sign(&self, header: &Json, claims: &Json) -> String {
        let signed = format!("{}.{}", b64(header.to_string().as_bytes()), b64(claims.to_string().as_bytes()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", b64(signature.as_ref()))
    }
}

fn keys(all: &[&Json]) -> Keys {
    serde_json::from_value(json!({ "keys": all })).unwrap()
}

fn header() -> Json {
    json!({ "alg": "ES256", "kid": "one", "typ": "JWT" })
}

fn claims() -> Json {
    json!({
        "iss": "https://id.example.com", "aud": "yunwei", "sub": "mei", "nonce": "n-1",
        "iat": NOW - 5, "exp": NOW + 300, "email": "mei@example.com", "email_verified": true,
    })
}

fn judged(token: &str, keys: &Keys) -> base::Result<Claims> {
    let now = Timestamp::from_second(NOW).unwrap();
    verify(token, keys, &Expected { issuer: "https://id.example.com", client: "yunwei", nonce: "n-1", now })
}

/// With some members otherwise; `null` leaves one out.
fn with(mut json: Json, but: Json) -> Json {
    let members = json.as_object_mut().unwrap();
    for (name, value) in but.as_object().unwrap() {
        match value {
            Json::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    json
}

#[test]
fn a_token_that_is_right_counts() {
    let signer = Signer::new(Some("one"));
    let keys = keys(&[&signer.public]);
    let read = judged(&signer.sign(&header(), &claims()), &keys).unwrap();
    assert_eq!((read.subject(), read.verified_email()), ("mei", Some("mei@example.com")));
    for fine in [
        json!({ "aud": ["yunwei"] }),
        json!({ "aud": ["yunwei", "other"], "azp": "yunwei" }),
        json!({ "azp": "yunwei" }),
        json!({ "exp": NOW - 30 }),
        json!({ "iat": NOW + 30 }),
        json!({ "nbf": NOW }),
        json!({ "exp": 1_780_000_300.5 }),
    ] {
        assert!(judged(&signer.sign(&header(), &with(claims(), fine.clone())), &keys).is_ok(), "{fine}");
    }
    // Without a name the only key that fits will do.
    assert!(judged(&signer.sign(&with(header(), json!({ "kid": null })), &claims()), &keys).is_ok());
}

#[test]
fn a_token_that_says_something_else_does_not() {
    let signer = Signer::new(Some("one"));
    let keys = keys(&[&signer.public]);
    for wrong in [
        json!({ "iss": "https://id.example.com/" }),
        json!({ "iss": null }),
        json!({ "iss": ["https://id.example.com"] }),
        json!({ "aud": "other" }),
        json!({ "aud": ["other"] }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "aud": ["yunwei", "other"] }),
        json!({ "aud": ["yunwei", "other"], "azp": "other" }),
        json!({ "azp": "other" }),
        json!({ "azp": 7 }),
        json!({ "exp": NOW - 61 }),
        json!({ "exp": null }),
        json!({ "exp": "never" }),
        json!({ "iat": NOW + 61 }),
        json!({ "iat": NOW - 601 }),
        json!({ "iat": null }),
        json!({ "nbf": NOW + 61 }),
        json!({ "nbf": "later" }),
        json!({ "nonce": "n-2" }),
        json!({ "nonce": null }),
        json!({ "nonce": "" }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": 7 }),
        json!({ "sub": "a\u{0}b" }),
        json!({ "sub": "x".repeat(256) }),
    ] {
        let error = judged(&signer.sign(&header(), &with(claims(), wrong.clone())), &keys).unwrap_err();
        assert_eq!(error.code(), "provider.token", "{wrong}");
    }
    assert!(judged(&signer.sign(&header(), &json!(["mei"])), &keys).is_err(), "claims are an object");
}

#[test]
fn a_token_that_is_signed_otherwise_does_not() {
    let (signer, stranger) = (Signer::new(Some("one")), Signer::new(Some("one")));
    let known = keys(&[&signer.public]);
    let good = signer.sign(&header(), &claims());
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
    let code = |token: &str| judged(token, &known).unwrap_err().code().to_owned();

    // No signature, one of ours that needs a secret, other algorithms, and a header that names them.
    for alg in ["none", "None", "nOnE", "HS256", "RS256", "PS256", "ES384", "ES512", "EdDSA", "es256", ""] {
        let head = b64(with(header(), json!({ "alg": alg })).to_string().as_bytes());
        for signature in ["", signature] {
            assert_eq!(
                code(&format!("{head}.{body}.{signature}")),
                if alg == "RS256" { KEY_UNKNOWN } else { "provider.token" },
                "{alg}"
            );
        }
    }
    // HS256 with what everybody knows as its secret.
    let hs = with(header(), json!({ "alg": "HS256" }));
    let signed = format!("{}.{body}", b64(hs.to_string().as_bytes()));
    let public = signer.public.to_string();
    let mac = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public.as_bytes()), signed.as_bytes());
    assert_eq!(code(&format!("{signed}.{}", b64(mac.as_ref()))), "provider.token");
    // Somebody else's key, under the provider's name; brought along; pointed to.
    assert_eq!(code(&stranger.sign(&header(), &claims())), "provider.token");
    let brings = with(header(), json!({ "jwk": stranger.public, "jku": "https://evil.example/keys", "x5c": ["AA"] }));
    assert_eq!(code(&stranger.sign(&brings, &claims())), "provider.token");
    // A key that is not among them is asked for anew, and then refused.
    assert_eq!(code(&signer.sign(&with(header(), json!({ "kid": "two" })), &claims())), KEY_UNKNOWN);
    // What must be understood and is not.
    for crit in [json!(["exp"]), json!([]), json!("b64")] {
        assert_eq!(code(&signer.sign(&with(header(), json!({ "crit": crit })), &claims())), "provider.token");
    }
    // Every part changed, cut, doubled, padded.
    let other = b64(with(claims(), json!({ "sub": "admin" })).to_string().as_bytes());
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[40] ^= 1;
    for bad in [
        format!("{head}.{other}.{signature}"),
        format!("{head}.{body}.{}", b64(&flipped)),
        format!("{head}.{body}.{}", b64(&[0; 64])),
        format!("{head}.{body}.{}", &signature[..40]),
        format!("{head}.{body}.{signature}="),
        format!("{head}.{body}.{signature}.{signature}"),
        format!("{head}.{body}"),
        format!("{head}..{signature}"),
        format!("{head}.{body}.{signature} "),
        format!(" {good}"),
        String::new(),
        "..".to_owned(),
        "é.é.é".to_owned(),
        format!("{head}.{}.{signature}", "A".repeat(64 << 10)),
    ] {
        assert_eq!(code(&bad), "provider.token", "{:.60}", bad);
    }
}

#[test]
fn a_key_is_used_for_what_it_is_for() {
    let signer = Signer::new(Some("one"));
    let good = signer.sign(&header(), &claims());
    for wrong in [
        json!({ "use": "enc" }),
        json!({ "alg": "ES384" }),
        json!({ "crv": "P-384" }),
        json!({ "kty": "RSA" }),
        json!({ "kty": "oct", "k": "AAAA" }),
        json!({ "kid": "two" }),
    ] {
        let public = with(signer.public.clone(), wrong.clone());
        assert_eq!(judged(&good, &keys(&[&public])).unwrap_err().code(), KEY_UNKNOWN, "{wrong}");
    }
    for wrong in [json!({ "x": "AA" }), json!({ "y": "" }), json!({ "x": "!" })] {
        let public = with(signer.public.clone(), wrong.clone());
        assert_eq!(judged(&good, &keys(&[&public])).unwrap_err().code(), "provider.token", "{wrong}");
    }
    // Which of two it was must be said.
    let other = Signer::new(Some("two"));
    let unnamed = signer.sign(&with(header(), json!({ "kid": null })), &claims());
    assert_eq!(judged(&unnamed, &keys(&[&signer.public, &other.public])).unwrap_err().code(), "provider.token");
    assert!(judged(&good, &keys(&[&other.public, &signer.public])).is_ok());
    assert!(judged(&good, &Keys::default()).is_err());
}

fn provider(domains: &[(&str, bool)], settings: Settings) -> Provider {
    let at = Timestamp::from_second(NOW).unwrap();
    let domains = domains
        .iter()
        .map(|(domain, confirmed)| Domain { domain: (*domain).to_owned(), confirmed_at: confirmed.then_some(at) });
    Provider {
        id: ProviderId(1),
        tenant: base::id::TenantId(2),
        name: "Firm".to_owned(),
        issuer: "https://id.example.com".to_owned(),
        client_id: "yunwei".to_owned(),
        redirect: String::new(),
        has_secret: true,
        settings,
        domains: domains.collect(),
        state: ProviderState::Active,
        revision: 1,
        created_at: at,
    }
}

#[test]
fn an_address_counts_where_it_is_verified_and_its_domain_is_named_or_confirmed() {
    let said = |email: &str, verified: Json| Claims::made(json!({ "email": email, "email_verified": verified }));
    let firm = provider(&[("example.com", true), ("example.org", false)], Settings::default());
    for (claims, inside, makes) in [
        (said("mei@example.com", json!(true)), true, true),
        (said("Mei@EXAMPLE.com", json!("true")), true, true),
        (said("mei@example.org", json!(true)), true, false),
        (said("mei@example.com", json!(false)), false, false),
        (said("mei@example.com", json!("yes")), false, false),
        (said("mei@example.com", json!(1)), false, false),
        (said("mei@evil.example", json!(true)), false, false),
        (said("mei@sub.example.com", json!(true)), false, false),
        (said("mei@example.com@evil.example", json!(true)), false, false),
        (said("mei@example.com\r\nBcc: x@y.example", json!(true)), false, false),
        (Claims::made(json!({ "email": "mei@example.com" })), false, false),
        (Claims::made(json!({})), false, false),
    ] {
        assert_eq!(rules::within_domains(&firm, &claims).is_ok(), inside, "{claims:?}");
        assert_eq!(rules::address_to_make(&firm, &claims).is_some(), makes, "{claims:?}");
    }
    // Where no domain is named anybody may come whom the provider knows; no account is made for them.
    let open = provider(&[], Settings::default());
    let stranger = said("mei@evil.example", json!(true));
    assert!(rules::within_domains(&open, &stranger).is_ok() && rules::address_to_make(&open, &stranger).is_none());
}

#[test]
fn groups_give_roles_and_words_of_two_factors_are_the_tenants_own() {
    let group = |group: &str, role: &str| GroupRole { group: group.to_owned(), role: role.to_owned() };
    let settings = Settings {
        default_roles: vec!["viewer".to_owned()],
        groups_claim: "groups".to_owned(),
        group_roles: vec![group("ops", "member"), group("heads", "owner")],
        two_factor_amr: vec!["mfa".to_owned()],
        two_factor_acr: vec!["urn:gold".to_owned()],
        ..Settings::default()
    };
    let roles = |json: Json| rules::roles_for(&settings, &Claims::made(json)).into_iter().collect::<Vec<_>>();
    assert_eq!(roles(json!({ "groups": ["ops", "others"] })), ["member", "viewer"]);
    assert_eq!(roles(json!({ "groups": "heads" })), ["owner", "viewer"]);
    assert_eq!(roles(json!({ "groups": { "heads": true } })), ["viewer"]);
    assert_eq!(roles(json!({})), ["viewer"]);
    let two = |json: Json| rules::says_two_factors(&settings, &Claims::made(json));
    assert!(two(json!({ "amr": ["pwd", "mfa"] })) && two(json!({ "acr": "urn:gold" })));
    assert!(!two(json!({ "amr": ["pwd", "otp"] })) && !two(json!({ "acr": "urn:silver" })) && !two(json!({})));
    assert!(!rules::says_two_factors(&Settings::default(), &Claims::made(json!({ "amr": ["mfa"], "acr": "" }))));
}

#[test]
fn domains_are_written_in_one_way() {
    let read = |text: &str| rules::domains(&[text.to_owned()]);
    assert_eq!(read(" @Example.COM ").unwrap(), ["example.com"]);
    for bad in ["localhost", "exa mple.com", "-x.com", "x..com", "例.com", "a@b.com", "x.com/evil", "*.com"] {
        assert_eq!(read(bad).unwrap_err().attribute(), Some("domains"), "{bad}");
    }
}
