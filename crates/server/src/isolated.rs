//! A server that only answers: what a copy that was brought back says, seen by a real server on it.
//!
//! **What it does not do**: lasting work, agents, mails, webhooks, signing of the audit log. It listens
//! on the loopback interface alone and refuses every request that would change something. It prints its
//! address, and ends with its standard input: whoever started it and died leaves none of it behind.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use access::{Authenticator, Postman};
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use base::time::Clock;
use base::{Error, Result};
use portal::Portal;
use tokio::sync::watch;
use web::hub::HubSettings;
use web::{Refusal, Settings, Web};

use crate::app::{self, Folder, House};
use crate::cli::ServeArgs;
use crate::routes;

/// Answers until standard input ends.
///
/// # Errors
/// `Invalid` (`listen.isolated`) where the address can be reached from elsewhere; where the data cannot
/// be used.
pub fn run(args: &ServeArgs) -> Result<()> {
    if !args.listen.ip().is_loopback() {
        let message = "an isolated server answers this machine alone: --listen 127.0.0.1:0";
        return Err(Error::invalid("listen.isolated", message));
    }
    let folder = Folder::open(&args.data.data)?;
    let gate = app::open_gate(&args.data.location(), Clock::System)?;
    gate.operator()?;
    let (listener, address) = bind(args.listen)?;
    let site = format!("http://{address}");
    let outbox = drivers::mail::open(&format!("file://{}", folder.outbox().display()), &args.mail_from)?;
    let postman = Postman::new(outbox, &site);
    let house = app::assemble(gate, &folder, &args.data.location(), postman, &site, HubSettings::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::unavailable("server.runtime", "the server cannot start its threads").because(e))?;
    runtime.block_on(answer(&house, &site, &folder, listener))
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        Ok((listener, at))
    });
    bound.map_err(|e| Error::unavailable("listen.taken", format!("cannot listen on {address}: {e}")).because(e))
}

async fn answer(house: &House, site: &str, folder: &Folder, listener: TcpListener) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)
        .map_err(|e| Error::unavailable("listen.taken", format!("cannot listen on {site}: {e}")).because(e))?;
    let authenticator = Authenticator::new(house.gate.clone());
    let settings = Settings {
        site: site.to_owned(),
        trusted_proxies: Vec::new(),
        address_rate: 0,
        actor_rate: 0,
        uploads: portal::UPLOADS,
    };
    let web = Web::new(house.gate.clone(), authenticator.clone(), settings);
    let portal = Portal {
        gate: house.gate.clone(),
        authenticator,
        hub: house.hub.clone(),
        tls: false,
        agents: String::new(),
        images: folder.images(),
    };
    let router = routes::router(house, &web, portal).layer(from_fn(only_looking));
    let (stop, mut stopping) = watch::channel(false);
    std::thread::spawn(move || {
        let mut nothing = [0; 64];
        // An error ends it as the end does: nobody is there any more.
        while std::io::stdin().lock().read(&mut nothing).is_ok_and(|read| read > 0) {}
        let _ = stop.send(true);
    });
    println!("{site}");
    let told = std::io::stdout().flush();
    told.map_err(|e| Error::unavailable("server.stdout", format!("nobody can be told the address: {e}")))?;
    let stopped = async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    web::serve::serve(listener, None, &[], router, stopped).await;
    Ok(())
}

/// Lets nothing through that would change something.
async fn only_looking(request: Request, next: Next) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => next.run(request).await,
        _ => {
            let message = "this server shows what a copy holds: nothing is changed in it";
            Refusal::from(Error::conflict("server.isolated", message)).into_response()
        }
    }
}
