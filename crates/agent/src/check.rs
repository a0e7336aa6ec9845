//! Whether a machine does its work: an HTTP request, as a customer would make it.
//!
//! A machine that is coming up swallows connections rather than refusing them (QEMU's own network
//! accepts before the guest listens), so one attempt says little. A new one is begun before the last has failed, and
//! the first good answer counts: what is measured is the machine's time and not a retry's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use base::limits;
use drivers::hypervisor::Answer;
use drivers::wire::{Check, MachineSpec, NetworkSpec, Transport, address_of};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// Between the first two attempts; grows by half each time, up to [`MOST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(40);
/// So much later than it could, at most, a machine is seen to answer.
const MOST_PAUSE: Duration = Duration::from_millis(80);

/// Tries a machine's check for at most `patience`.
pub fn try_out(spec: &MachineSpec, patience: Duration) -> Answer {
    let Some(Check::Http { port, path, tell }) = &spec.check else {
        return no("this version does not know such a check");
    };
    let Some(address) = address(spec, *port) else {
        return no(&format!("port {port} of the machine cannot be reached from its host"));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            let answer = attempts(address, path, patience).await;
            match tell {
                Some(path) if answer.ok => Answer { body: told(address, path, patience).await, ..answer },
                _ => answer,
            }
        }),
        Err(e) => no(&format!("the check cannot run: {e}")),
    }
}

/// Where a port of the machine is reached from its host.
fn address(spec: &MachineSpec, port: u16) -> Option<SocketAddr> {
    spec.networks.iter().find_map(|network| match network {
        NetworkSpec::User { forwards, .. } => {
            let forward = forwards.iter().find(|f| f.guest_port == port && f.transport == Transport::Tcp)?;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), forward.host_port))
        }
        NetworkSpec::Bridge { addresses, .. } => {
            addresses.iter().find_map(|text| address_of(text)).map(|address| SocketAddr::new(address, port))
        }
        NetworkSpec::Unknown => None,
    })
}

async fn attempts(address: SocketAddr, path: &str, patience: Duration) -> Answer {
    let end = Instant::now() + patience;
    let mut under_way = JoinSet::new();
    let mut pause = FIRST_PAUSE;
    let mut last = "no answer in time".to_owned();
    let mut next = Instant::now();
    loop {
        if Instant::now() >= end {
            return no(&last);
        }
        tokio::select! {
            () = tokio::time::sleep_until(next.min(end)) => {
                if next < end {
                    under_way.spawn(attempt(address, path.to_owned(), end));
                    next += pause;
                    pause = pause.mul_f32(1.5).min(MOST_PAUSE);
                }
            }
            Some(Ok(answer)) = under_way.join_next() => {
                match answer {
                    Ok(status @ 200..300) => return Answer { ok: true, detail: status.to_string(), body: None },
                    Ok(status) => last = status.to_string(),
                    Err(detail) => last = detail,
                }
                sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// What a path answers with 2xx, the beginning of it.
async fn told(address: SocketAddr, path: &str, patience: Duration) -> Option<String> {
    const HEAD_BYTES_MAX: usize = 8 << 10;
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        // HTTP/1.0: the body comes as it is, and ends with the connection.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nUser-Agent: yunwei-agent\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        let most = (HEAD_BYTES_MAX + limits::CHECK_BODY_BYTES_MAX) as u64;
        stream.take(most).read_to_end(&mut answer).await.ok()?;
        Some(answer)
    };
    let answer = timeout_at(Instant::now() + patience, exchange).await.ok().flatten()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (answer.get(..end)?, answer.get(end + 4..)?);
    let is_good = head.starts_with(b"HTTP/1.") && head.get(9) == Some(&b'2');
    let body = body.get(..body.len().min(limits::CHECK_BODY_BYTES_MAX))?;
    is_good.then(|| String::from_utf8_lossy(body).into_owned())
}

/// One request. Answers the status.
async fn attempt(address: SocketAddr, path: String, end: Instant) -> Result<u16, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: yunwei-agent\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        let mut buffer = [0; 64];
        while head.len() < 12 {
            match stream.read(&mut buffer).await? {
                0 => break,
                read => head.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            }
        }
        Ok::<_, std::io::Error>(head)
    };
    let head = match timeout_at(end, exchange).await {
        Ok(Ok(head)) => head,
        Ok(Err(e)) => return Err(e.kind().to_string()),
        Err(_) => return Err("no answer in time".to_owned()),
    };
    let text = String::from_utf8_lossy(&head);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|digits| digits.parse().ok());
    status.ok_or_else(|| if head.is_empty() { "closed without an answer" } else { "not HTTP" }.to_owned())
}

fn no(detail: &str) -> Answer {
    Answer { ok: false, detail: detail.to_owned(), body: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drivers::wire::{CloudInit, Forward, Power};
    use std::io::{Read as _, Write as _};

    fn machine(host_port: u16) -> MachineSpec {
        MachineSpec {
            name: "web".into(),
            vcpus: 1,
            memory_mib: 64,
            disks: vec![],
            networks: vec![NetworkSpec::User {
                mac: None,
                forwards: vec![Forward { host_port, guest_port: 80, transport: Transport::Tcp }],
                outbound: false,
            }],
            cloud_init: CloudInit::default(),
            power: Power::Running,
            reboot_token: None,
            check: Some(Check::Http { port: 80, path: "/".into(), tell: None }),
        }
    }

    /// Accepts and says nothing to the first connections, like a guest that is coming up.
    fn serve(silent: usize, answer: &'static str) -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for (at, stream) in listener.incoming().flatten().enumerate() {
                let mut stream = stream;
                if at < silent {
                    held.push(stream);
                    continue;
                }
                let _ = stream.read(&mut [0; 512]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        port
    }

    #[test]
    fn a_swallowed_connection_does_not_hide_a_machine_that_answers() {
        let port = serve(3, "HTTP/1.1 200 OK\r\n\r\n");
        let start = std::time::Instant::now();
        let answer = try_out(&machine(port), Duration::from_secs(5));
        assert!(answer.ok, "{answer:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[test]
    fn an_error_page_is_not_an_answer_as_it_should_be() {
        let port = serve(0, "HTTP/1.1 503 Busy\r\n\r\n");
        let answer = try_out(&machine(port), Duration::from_millis(300));
        assert_eq!((answer.ok, answer.detail.as_str()), (false, "503"));
        let port = serve(0, "SSH-2.0-OpenSSH\r\n");
        assert_eq!(try_out(&machine(port), Duration::from_millis(300)).detail, "not HTTP");
    }

    #[test]
    fn what_a_second_path_answers_is_told_along_as_far_as_it_may() {
        let asked = |answer: String| {
            let mut spec = machine(serve(0, Box::leak(answer.into_boxed_str())));
            spec.check = Some(Check::Http { port: 80, path: "/".into(), tell: Some("/status.json".into()) });
            try_out(&spec, Duration::from_millis(500))
        };
        let told = asked("HTTP/1.1 200 OK\r\nServer: x\r\n\r\n{\"newest\":5}".into());
        assert_eq!((told.ok, told.body.as_deref()), (true, Some("{\"newest\":5}")));
        let long = asked(format!("HTTP/1.1 200 OK\r\n\r\n{}", "雲".repeat(5_000)));
        assert!(long.ok && long.body.unwrap().len() <= limits::CHECK_BODY_BYTES_MAX + 3);
        assert_eq!(try_out(&machine(serve(0, "HTTP/1.1 200 OK\r\n\r\nx")), Duration::from_millis(500)).body, None);
        let busy = asked("HTTP/1.1 503 Busy\r\n\r\nno".into());
        assert_eq!((busy.ok, busy.body), (false, None));
    }

    #[test]
    fn a_port_that_nothing_leads_to_says_so_at_once() {
        let mut spec = machine(1);
        spec.networks.clear();
        assert!(try_out(&spec, Duration::from_secs(5)).detail.contains("cannot be reached"));
    }
}
