//! A server for agents, as small as can be: TLS with certificates on both sides, and a memory.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use drivers::wire::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

/// The server.
pub struct Server {
    pub port: u16,
    pub token: EnrolToken,
    ca: CertifiedIssuer<'static, KeyPair>,
    pub memory: Mutex<Memory>,
    changed: Condvar,
    reachable: AtomicBool,
    /// How long certificates are good for.
    pub certificate_seconds: Mutex<i64>,
}

/// What it knows.
#[derive(Default)]
pub struct Memory {
    cursor: u64,
    intents: BTreeMap<IntentId, (u64, Intent)>,
    pub states: HashMap<IntentId, Observation>,
    pub lives: HashMap<IntentId, BTreeMap<u64, Life>>,
    pub orphans: Vec<Orphan>,
    pub host: Option<HostReport>,
    pub images: HashMap<String, PathBuf>,
    pub image_requests: u32,
    pub consoles: HashMap<String, ConsoleTail>,
    console_requests: Vec<ConsoleRequest>,
    token_used_by: Option<String>,
    pub renewals: u32,
    pub tasks: Vec<HostTask>,
    /// What opens the repositories of tasks and recoveries, by name.
    pub access: HashMap<String, Value>,
    pub told: Vec<TaskReport>,
    /// What tasks handed over, by their name.
    pub files: HashMap<String, Vec<u8>>,
}

impl Server {
    pub fn start() -> Arc<Self> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test CA");
        let ca = CertifiedIssuer::self_signed(params, key).unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, ca.der());
        let token = EnrolToken {
            secret: "testtesttesttesttesttest".into(),
            ca_sha256: base::hex::encode(digest.as_ref()).parse().unwrap(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            token,
            ca,
            memory: Mutex::default(),
            changed: Condvar::new(),
            reachable: AtomicBool::new(true),
            certificate_seconds: Mutex::new(86_400),
        });
        let config = Arc::new(server.tls());
        let shared = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, config) = (shared.clone(), config.clone());
                std::thread::spawn(move || shared.serve(stream, config));
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    fn tls(&self) -> rustls::ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.ca).unwrap();
        let chain = vec![leaf.der().clone(), self.ca.der().clone()];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap()
    }

    /// Wants something; a change makes the next generation.
    pub fn want(&self, id: &IntentId, desired: Desired) {
        let mut memory = self.memory.lock().unwrap();
        memory.cursor += 1;
        let cursor = memory.cursor;
        let generation = memory.intents.get(id).map_or(1, |(_, intent)| intent.generation + 1);
        memory.intents.insert(id.clone(), (cursor, Intent { id: id.clone(), generation, desired, lives_known: 0 }));
        self.changed.notify_all();
    }

    /// Forgets an intent, as a server does that was restored from an old copy.
    pub fn forget(&self, id: &IntentId) {
        let mut memory = self.memory.lock().unwrap();
        memory.cursor += 1_000;
        memory.intents.remove(id);
    }

    pub fn ask_console(&self, id: &IntentId, request: &str) {
        let mut memory = self.memory.lock().unwrap();
        memory.cursor += 1;
        memory.console_requests.push(ConsoleRequest { id: id.clone(), request: request.into(), bytes_max: 4096 });
        self.changed.notify_all();
    }

    /// Asks for a piece of work.
    pub fn ask(&self, id: &str, work: Work, access: Value) {
        let mut memory = self.memory.lock().unwrap();
        memory.cursor += 1;
        memory.access.insert(id.to_owned(), access);
        memory.tasks.push(HostTask { id: id.parse().unwrap(), work });
        self.changed.notify_all();
    }

    /// Asks for it no more.
    pub fn drop_task(&self, id: &str) {
        let mut memory = self.memory.lock().unwrap();
        memory.cursor += 1;
        memory.tasks.retain(|task| task.id.as_str() != id);
        self.changed.notify_all();
    }

    pub fn set_reachable(&self, reachable: bool) {
        self.reachable.store(reachable, Ordering::SeqCst);
    }

    /// Waits until the server knows it.
    pub fn wait<T>(&self, what: &str, patience: Duration, mut done: impl FnMut(&Memory) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            {
                let memory = self.memory.lock().unwrap();
                if let Some(value) = done(&memory) {
                    return value;
                }
                if start.elapsed() > patience {
                    panic!("waited for {what} in vain: {:#?}", memory.states);
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn serve(&self, stream: TcpStream, config: Arc<rustls::ServerConfig>) -> Option<()> {
        let connection = rustls::ServerConnection::new(config).ok()?;
        let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream));
        loop {
            let mut first = String::new();
            if stream.read_line(&mut first).ok()? == 0 {
                return None;
            }
            let (mut length, mut range) = (0, 0);
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).ok()?;
                let (name, value) = match line.trim().split_once(':') {
                    Some((name, value)) => (name.to_lowercase(), value.trim().to_owned()),
                    None => break,
                };
                match name.as_str() {
                    "content-length" => length = value.parse().ok()?,
                    "range" => range = value.trim_start_matches("bytes=").trim_end_matches('-').parse().ok()?,
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).ok()?;
            if !self.reachable.load(Ordering::SeqCst) {
                return None;
            }
            let known = stream.get_ref().conn.peer_certificates().is_some_and(|chain| self.is_ours(chain));
            let mut words = first.split_whitespace();
            let (verb, target) = (words.next()?.to_owned(), words.next()?.to_owned());
            let (status, answer) = self.answer(&verb, &target, &body, known, range);
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", answer.len());
            let out = stream.get_mut();
            out.write_all(head.as_bytes()).ok()?;
            out.write_all(&answer).ok()?;
            out.flush().ok()?;
        }
    }

    fn is_ours(&self, chain: &[CertificateDer<'_>]) -> bool {
        !chain.is_empty()
    }

    fn answer(&self, verb: &str, target: &str, body: &[u8], known: bool, range: usize) -> (u16, Vec<u8>) {
        let (route, query) = target.split_once('?').unwrap_or((target, ""));
        if !known && route != path::ENROL {
            return (401, json!({ "code": "host.unknown", "message": "no certificate" }).to_string().into_bytes());
        }
        if let Some(digest) = route.strip_prefix(path::IMAGES).and_then(|rest| rest.strip_prefix('/')) {
            let mut memory = self.memory.lock().unwrap();
            memory.image_requests += 1;
            return match memory.images.get(digest) {
                Some(file) => (if range > 0 { 206 } else { 200 }, std::fs::read(file).unwrap().split_off(range)),
                None => (404, Vec::new()),
            };
        }
        if let ("PUT", Some(name)) = (verb, route.strip_prefix(path::TASKS)) {
            let name = name.trim_matches('/').trim_end_matches("/file").to_owned();
            let sha256 = base::hex::encode(ring::digest::digest(&ring::digest::SHA256, body).as_ref());
            self.memory.lock().unwrap().files.insert(name, body.to_vec());
            return (200, json!(FileTaken { bytes: body.len() as u64, sha256 }).to_string().into_bytes());
        }
        if route.starts_with(path::TASKS) || route.starts_with(path::RECOVERIES) {
            let memory = self.memory.lock().unwrap();
            let disk = query.split('&').find_map(|pair| pair.strip_prefix("disk="));
            let name = route.split('/').nth(4).unwrap();
            let name = disk.map_or(name.to_owned(), |disk| format!("{name}/{disk}"));
            return match memory.access.get(&name) {
                Some(access) => (200, access.to_string().into_bytes()),
                None => (404, json!({ "code": "task.not_found", "message": "none" }).to_string().into_bytes()),
            };
        }
        let value = match (verb, route) {
            ("POST", path::ENROL) => return self.enrol(body),
            ("POST", path::RENEW) => {
                self.memory.lock().unwrap().renewals += 1;
                let request: RenewRequest = serde_json::from_slice(body).unwrap();
                let (certificate_pem, ca_pem, expires_at) = self.sign(&request.csr_pem);
                json!(RenewAnswer { certificate_pem, ca_pem, expires_at })
            }
            ("GET", path::INTENTS) => self.intents(query),
            ("POST", path::OBSERVATIONS) => self.observe(serde_json::from_slice(body).unwrap()),
            ("POST", path::CONSOLE) => {
                let tail: ConsoleTail = serde_json::from_slice(body).unwrap();
                let mut memory = self.memory.lock().unwrap();
                memory.console_requests.retain(|request| request.request != tail.request);
                memory.consoles.insert(tail.request.clone(), tail);
                return (204, Vec::new());
            }
            _ => return (404, Vec::new()),
        };
        (200, value.to_string().into_bytes())
    }

    fn enrol(&self, body: &[u8]) -> (u16, Vec<u8>) {
        let request: EnrolRequest = serde_json::from_slice(body).unwrap();
        let mut memory = self.memory.lock().unwrap();
        let again = memory.token_used_by.as_ref().is_some_and(|csr| *csr != request.csr_pem);
        if request.secret != self.token.secret || again {
            return (403, json!({ "code": "host.token_invalid", "message": "wrong or used" }).to_string().into_bytes());
        }
        memory.token_used_by = Some(request.csr_pem.clone());
        memory.host = Some(request.host);
        drop(memory);
        let (certificate_pem, ca_pem, expires_at) = self.sign(&request.csr_pem);
        let answer = EnrolAnswer { host_id: "hst_1".into(), certificate_pem, ca_pem, expires_at };
        (200, json!(answer).to_string().into_bytes())
    }

    fn sign(&self, csr_pem: &str) -> (String, String, base::time::Timestamp) {
        let request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        let certificate = request.signed_by(&self.ca).unwrap();
        let seconds = *self.certificate_seconds.lock().unwrap();
        let now = base::time::Clock::System.now().as_second();
        let expires = base::time::Timestamp::from_second(now + seconds).unwrap();
        (certificate.pem(), self.ca.pem(), expires)
    }

    fn intents(&self, query: &str) -> Value {
        let field = |name: &str| -> u64 {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        let (after, wait) = (field("after"), Duration::from_secs(field("wait").min(2)));
        let memory = self.memory.lock().unwrap();
        let quiet = |memory: &mut Memory| memory.cursor <= after && memory.console_requests.is_empty();
        let (memory, _) = self.changed.wait_timeout_while(memory, wait, quiet).unwrap();
        let full = after == 0 || after + 500 < memory.cursor;
        let lives = |id: &IntentId| memory.lives.get(id).and_then(|lives| lives.keys().max().copied()).unwrap_or(0);
        let fresh = |intent: &Intent| Intent { lives_known: lives(&intent.id), ..intent.clone() };
        let news = memory.intents.values().filter(|(cursor, _)| full || *cursor > after);
        json!(Intents {
            protocol: PROTOCOL,
            cursor: memory.cursor,
            full,
            intents: news.map(|(_, intent)| fresh(intent)).collect(),
            console_requests: memory.console_requests.clone(),
            tasks: memory.tasks.clone(),
        })
    }

    fn observe(&self, report: Report) -> Value {
        let mut memory = self.memory.lock().unwrap();
        let mut unknown = Vec::new();
        for seen in report.observations {
            if !memory.intents.contains_key(&seen.id) {
                unknown.push(seen.id.clone());
                continue;
            }
            // What is not newer is not read.
            if memory.states.get(&seen.id).is_some_and(|old| old.revision >= seen.revision) {
                continue;
            }
            let lives = memory.lives.entry(seen.id.clone()).or_default();
            for life in &seen.lives {
                lives.entry(life.seq).and_modify(|mine| mine.absorb(life)).or_insert_with(|| life.clone());
            }
            memory.states.insert(seen.id.clone(), seen);
        }
        for told in report.tasks {
            if told.state != TaskState::Running {
                memory.tasks.retain(|task| task.id != told.id);
                memory.cursor += 1;
            }
            memory.told.push(told);
        }
        if let Some(orphans) = report.orphans {
            memory.orphans = orphans;
        }
        if report.host.is_some() {
            memory.host = report.host;
        }
        json!(ReportAnswer { unknown })
    }
}
