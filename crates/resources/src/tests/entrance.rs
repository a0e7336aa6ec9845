//! The entrance over real TLS.

use std::io::Write as _;
use std::time::Duration;

use drivers::wire::{EnrolAnswer, ImageFormat, Intents, SERVER_NAME, path};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::images::{self, NewImage, REGISTER};
use crate::{hosts, http};

use super::*;

struct Open {
    house: House,
    address: std::net::SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<Result<()>>,
}

async fn open() -> Open {
    let (engine, db, scratch) = db::testing::sqlite();
    let house = tokio::task::spawn_blocking(move || House::new(engine, db, scratch, Clock::System)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let door = house.door.clone();
    let serving = tokio::spawn(http::serve(listener, door, async move { drop(stopped.await) }));
    Open { house, address, stop: Some(stop), serving }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(certificate_pem: &str, key: &rcgen::KeyPair) -> Identity {
    let chain = CertificateDer::pem_slice_iter(certificate_pem.as_bytes()).map(Result::unwrap).collect();
    (chain, PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap())
}

impl Open {
    /// One request on a connection of its own; gives the head and the body.
    async fn ask(&self, who: Option<&Identity>, request: &str, body: &[u8]) -> std::io::Result<(String, Vec<u8>)> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.house.door.ca().certificate().clone()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match who {
            None => config.with_no_client_auth(),
            Some((chain, key)) => config.with_client_auth_cert(chain.clone(), key.clone_key()).unwrap(),
        };
        let stream = TcpStream::connect(self.address).await?;
        let mut tls = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(SERVER_NAME).unwrap(), stream)
            .await?;
        let head = format!(
            "{request}\r\nHost: {SERVER_NAME}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        tls.write_all(head.as_bytes()).await?;
        tls.write_all(body).await?;
        tls.flush().await?;
        let mut answer = Vec::new();
        let _ = tls.read_to_end(&mut answer).await;
        let end =
            answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| std::io::Error::other("no answer"))?;
        Ok((String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec()))
    }

    async fn get(&self, who: Option<&Identity>, target: &str, more: &str) -> (u16, String, Vec<u8>) {
        let (head, body) = self.ask(who, &format!("GET {target} HTTP/1.1{more}"), b"").await.unwrap();
        (status(&head), head, body)
    }

    async fn post(&self, who: Option<&Identity>, target: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let (head, answer) = self.ask(who, &format!("POST {target} HTTP/1.1"), body).await.unwrap();
        (status(&head), answer)
    }

    async fn enrol(&self, name: &str) -> (HostId, Identity) {
        let (request, key) = enrol_request(&self.house.token(), name);
        let (status, body) = self.post(None, path::ENROL, &serde_json::to_vec(&request).unwrap()).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let answer: EnrolAnswer = serde_json::from_slice(&body).unwrap();
        (answer.host_id.parse().unwrap(), identity(&answer.certificate_pem, &key))
    }
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

fn code(body: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(body).unwrap()["code"].as_str().unwrap().to_owned()
}

#[test]
fn nobody_comes_in_without_a_good_certificate() {
    wait(async {
        let open = open().await;
        for target in [path::INTENTS.to_owned(), format!("{}/{}", path::IMAGES, "ab".repeat(32))] {
            let (status, _, body) = open.get(None, &target, "").await;
            assert_eq!((status, code(&body).as_str()), (401, "agent.certificate"), "{target}");
        }
        for target in [path::OBSERVATIONS, path::RENEW, path::CONSOLE] {
            let (status, _) = open.post(None, target, b"{}").await;
            assert_eq!(status, 401, "{target}");
        }
        let (host, who) = open.enrol("h1").await;
        let (status, _, body) = open.get(Some(&who), path::INTENTS, "").await;
        assert_eq!((status, serde_json::from_slice::<Intents>(&body).unwrap().full), (200, true));
        open.house
            .gate
            .run(&staff(), &hosts::RETIRE, hosts::RetireHost { id: host, machines_are_gone: false })
            .unwrap();
        assert_eq!(open.get(Some(&who), path::INTENTS, "").await.0, 401, "refused from the moment it is retired");
        // A certificate of another authority does not get past the handshake.
        let other = Ca::open(&open.house.scratch.path().join("other"), open.house.gate.now()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let now = open.house.gate.now();
        let certified = hosts::Certified {
            host,
            serial: "01".repeat(16),
            not_before: now,
            not_after: now + Duration::from_secs(900),
        };
        let forged = other.sign_host(&Ca::read_request(&csr(&key)).unwrap(), &certified).unwrap();
        assert!(
            open.ask(Some(&identity(&forged, &key)), &format!("GET {} HTTP/1.1", path::INTENTS), b"").await.is_err()
        );
        // One of ours whose serial number nobody knows gets past it and is refused.
        let unknown = open.house.door.ca().sign_host(&Ca::read_request(&csr(&key)).unwrap(), &certified).unwrap();
        assert_eq!(open.get(Some(&identity(&unknown, &key)), path::INTENTS, "").await.0, 401);
    });
}

#[test]
fn an_image_is_streamed_and_taken_up_again_where_it_was_cut_off() {
    wait(async {
        let open = open().await;
        let (_, who) = open.enrol("h1").await;
        let folder = open.house.scratch.path().join("images");
        let file = open.house.scratch.path().join("disk.raw");
        let content: Vec<u8> = (0..700_001u32).map(|n| (n % 251) as u8).collect();
        std::fs::File::create(&file).unwrap().write_all(&content).unwrap();
        let (sha256, bytes) = images::store(&folder, &file).unwrap();
        let image =
            NewImage { name: "tiny".into(), sha256: sha256.clone(), bytes, format: ImageFormat::Raw, url: None };
        open.house.gate.run(&staff(), &REGISTER, image).unwrap();
        let target = format!("{}/{sha256}", path::IMAGES);
        let (status, _, body) = open.get(Some(&who), &target, "").await;
        assert!(status == 200 && body == content);
        let (status, head, body) = open.get(Some(&who), &target, "\r\nRange: bytes=600000-").await;
        assert!(status == 206 && body == content[600_000..], "{head}");
        assert_eq!(open.get(Some(&who), &target, "\r\nRange: bytes=700001-").await.0, 416);
        assert_eq!(open.get(Some(&who), &format!("{}/{}", path::IMAGES, "0".repeat(64)), "").await.0, 404);
        assert_eq!(open.get(Some(&who), &format!("{}/..%2Fyunwei.db", path::IMAGES), "").await.0, 400);
        std::fs::write(folder.join(sha256.as_str()), b"short").unwrap();
        assert_eq!(open.get(Some(&who), &target, "").await.0, 503, "a damaged file is not served");
    });
}

#[test]
fn rubbish_is_refused_with_a_reason_and_silence_holds_nobody_up() {
    wait(async {
        let mut open = open().await;
        let (_, who) = open.enrol("h1").await;
        // A client that says nothing, before and within the handshake.
        let _silent = TcpStream::connect(open.address).await.unwrap();
        let (status, body) = open.post(Some(&who), path::OBSERVATIONS, b"{\"protocol\": 1").await;
        assert_eq!((status, code(&body).as_str()), (400, "body.malformed"));
        let large = vec![b' '; base::limits::BODY_BYTES_MAX + 1];
        let refused = open.ask(None, &format!("POST {} HTTP/1.1", path::ENROL), &large).await;
        assert!(refused.is_err() || refused.is_ok_and(|(head, _)| head.contains(" 400 ") || head.contains(" 413 ")));
        let (status, _, _) = open.get(Some(&who), &format!("{}?after=x", path::INTENTS), "").await;
        assert_eq!(status, 400);
        // Closing sends a waiting poll home.
        let began = std::time::Instant::now();
        let target = format!("{}?after={}&wait=30", path::INTENTS, {
            let (_, _, body) = open.get(Some(&who), path::INTENTS, "").await;
            serde_json::from_slice::<Intents>(&body).unwrap().cursor
        });
        let stop = open.stop.take();
        let (answer, ()) = tokio::join!(open.get(Some(&who), &target, ""), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(stop);
        });
        assert_eq!(answer.0, 200);
        assert!(began.elapsed() < Duration::from_secs(10));
        open.serving.await.unwrap().unwrap();
    });
}
