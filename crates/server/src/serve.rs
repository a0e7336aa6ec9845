//! `yunwei serve`: the server, from its first line to its graceful end.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::{Authenticator, Postman};
use base::time::Clock;
use base::{Error, Result};
use drivers::mail::Mail;
use gate::audit::{Key, Sequencer};
use gate::keys::Keys;
use guard::shipping::Shipper;
use portal::Portal;
use tokio::net::TcpListener;
use tokio::sync::watch;
use web::hub::HubSettings;
use web::{Network, Settings, Web};

use crate::app::{self, Folder, House};
use crate::cli::ServeArgs;
use crate::routes;

/// How long open requests may take once the server was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the server until SIGINT or SIGTERM.
///
/// # Errors
/// Where the configuration is wrong, the data cannot be used, or an address is taken.
pub fn run(args: ServeArgs) -> Result<()> {
    log_to_stderr(args.log_json);
    if args.isolated {
        return crate::isolated::run(&args);
    }
    check(&args)?;
    let folder = Folder::open(&args.data.data)?;
    let gate = app::open_gate(&args.data.location(), Clock::System)?;
    gate.operator()?;
    let site = site(&args);
    let postman = Postman::new(mail(&args, &folder)?, &site);
    let hub = HubSettings { private_targets: args.allow_private_webhooks, ..HubSettings::default() };
    let house = app::assemble(gate, &folder, &args.data.location(), postman, &site, hub)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::unavailable("server.runtime", "the server cannot start its threads").because(e))?;
    runtime.block_on(serve(&args, &house, &site, &folder))
}

fn log_to_stderr(json: bool) {
    // Colours are for people: what reads a log from a file or a journal would stumble over them.
    let colours = std::io::stderr().is_terminal();
    // Only where somebody has set one already.
    let _ = tracing::subscriber::set_global_default(logging(json, colours, std::io::stderr));
}

/// The log as it is written: `YUNWEI_LOG` says what of.
pub fn logging<W>(json: bool, colours: bool, writer: W) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("YUNWEI_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    match json {
        true => Box::new(log.json().finish()),
        false => Box::new(log.finish()),
    }
}

/// Plain HTTP stays on this machine, unless somebody says that a proxy does TLS.
fn check(args: &ServeArgs) -> Result<()> {
    if args.tls_cert.is_some() || args.listen.ip().is_loopback() || args.insecure_http {
        return Ok(());
    }
    Err(Error::invalid(
        "listen.plain",
        format!(
            "{} can be reached from other machines, and passwords must not cross a network in the clear: give --tls-cert and --tls-key, or --insecure-http if a proxy in front does TLS",
            args.listen
        ),
    ))
}

fn site(args: &ServeArgs) -> String {
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    args.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", args.listen)).trim_end_matches('/').to_owned()
}

/// Where agents are told to connect. An address that means "every interface" is
/// of no use to them: the name that people use is a better guess.
fn agents_url(args: &ServeArgs, site: &str) -> String {
    if let Some(url) = &args.agent_url {
        return url.trim_end_matches('/').to_owned();
    }
    let site: Option<axum::http::Uri> = site.parse().ok();
    match site.as_ref().and_then(axum::http::Uri::host) {
        Some(host) if args.agent_listen.ip().is_unspecified() => format!("https://{host}:{}", args.agent_listen.port()),
        _ => format!("https://{}", args.agent_listen),
    }
}

fn mail(args: &ServeArgs, folder: &Folder) -> Result<Box<dyn Mail>> {
    match &args.smtp {
        Some(url) => drivers::mail::open(url, &args.mail_from),
        None => drivers::mail::open(&format!("file://{}", folder.outbox().display()), &args.mail_from),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| Error::unavailable("listen.taken", format!("cannot listen on {address}: {e}")).because(e))
}

async fn serve(args: &ServeArgs, house: &House, site: &str, folder: &Folder) -> Result<()> {
    let listener = bind(args.listen).await?;
    let agents = bind(args.agent_listen).await?;
    let (stop, stopping) = watch::channel(false);
    let authenticator = Authenticator::new(house.gate.clone());
    let tls = args.tls_cert.is_some() || site.starts_with("https:");
    let (proxies, certificate) = (proxies(args)?, load_tls(args)?);
    let settings = Settings {
        site: site.to_owned(),
        trusted_proxies: proxies.clone(),
        address_rate: args.address_rate,
        actor_rate: args.actor_rate,
        uploads: portal::UPLOADS,
    };
    let agents_url = agents_url(args, site);
    let web = Web::new(house.gate.clone(), authenticator.clone(), settings);
    let images = folder.images();
    resources::images::sweep(&images);
    match house.alone {
        Some(_) => {
            let (data, location) = (folder.path().to_owned(), args.data.location());
            // It speaks to PostgreSQL, and waits for its answers.
            tokio::task::spawn_blocking(move || continuity::control_plane::sweep(&data, &location))
                .await
                .unwrap_or_else(|e| Err(Error::bug("task.panic", "a task stopped on a broken invariant").because(e)))?;
        }
        None => {
            tracing::warn!("another server works in this data directory: what earlier ones left stays until it ends")
        }
    }
    let portal =
        Portal { gate: house.gate.clone(), authenticator, hub: house.hub.clone(), tls, agents: agents_url, images };
    let router = routes::router(house, &web, portal);
    let key = Key::open_or_make(&folder.keys())?;
    let shipper = Shipper::start(&house.gate, house.hub.clone(), Keys::open(&folder.keys())?, key.public().clone())?;
    let log = Sequencer::start(&house.gate, key)?;
    let work = house.engine.start()?;
    if site.starts_with("https:") && args.tls_cert.is_none() && args.trusted_proxies.is_empty() {
        tracing::warn!(
            "a proxy does TLS in front, and --trusted-proxies names none: everybody shares the proxy's address, and so its limits of requests and of sign-ins"
        );
    }
    tracing::info!(address = %site, agents = %args.agent_listen, "ready");

    let door = house.door.clone();
    let entrance = tokio::spawn(resources::http::serve(agents, door.clone(), stopped(stopping.clone())));
    let front = tokio::spawn(async move {
        web::serve::serve(listener, certificate, &proxies, router, stopped(stopping)).await;
    });
    let (hub, gate) = (house.hub.clone(), house.gate.clone());
    let notices = tokio::spawn(async move { hub.deliver(gate).await });
    web::serve::tell_ready();
    asked_to_stop().await;
    tracing::info!("stopping");
    let _ = stop.send(true);
    door.close();
    for (name, task) in [("pages", front), ("agents", tokio::spawn(async move { drop(entrance.await) }))] {
        if tokio::time::timeout(GRACE, task).await.is_err() {
            tracing::warn!(listener = name, "did not end in time");
        }
    }
    notices.abort();
    let stopped = tokio::task::spawn_blocking(move || {
        work.stop();
        // Last, so that what was done while stopping is signed too, and then shipped.
        log.stop();
        shipper.stop();
    })
    .await;
    stopped.map_err(|e| Error::bug("server.task", "stopping stopped on a broken invariant").because(e))
}

fn load_tls(args: &ServeArgs) -> Result<Option<Arc<rustls::ServerConfig>>> {
    match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => web::serve::tls(certificate, key).map(Some),
        _ => Ok(None),
    }
}

fn proxies(args: &ServeArgs) -> Result<Vec<Network>> {
    args.trusted_proxies.iter().map(|text| text.parse()).collect()
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
