//! `yunwei backup browse` and `fetch`: into a recovery point, without restoring it.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Error, Result, hex};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ring::digest::{Context, SHA256};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

#[derive(Debug, Args)]
pub struct Browse {
    /// The recovery point's id.
    point: String,
    /// The directory; where the part begins unless said otherwise.
    #[arg(default_value = "")]
    path: String,
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
pub struct Fetch {
    /// The recovery point's id.
    point: String,
    /// The file or directory, as `browse` writes paths.
    path: String,
    /// Where to save it; what is there already is left alone.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    of: Of,
}

/// Which part of a point, and which copy.
#[derive(Debug, Args)]
struct Of {
    /// Which part of the point, where it has several: a machine's id, say.
    #[arg(long, value_name = "ID")]
    part: Option<String>,
    /// From the copy at this place; otherwise from the first that will do.
    #[arg(long, value_name = "ID")]
    place: Option<String>,
}

fn at(point: &str, verb: &str) -> Result<String> {
    Ok(format!("/api/v1/recovery-points/{}/{verb}", known(point)?))
}

/// Asks, and waits until it is there.
fn ask(client: &Client, path: &str, body: &Json, quiet: bool) -> Result<Json> {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    let mut now = client.post(path, body)?;
    while matches!(show::text(&now, "state").as_str(), "waiting" | "running") {
        let how_far = super::restore::how_far(&now["progress"]);
        bar.set_message(format!("asking host {} {how_far}", show::text(&now, "hostName")));
        bar.tick();
        std::thread::sleep(Duration::from_millis(250));
        now = client.get(&format!("/api/v1/readings/{}", known(&show::text(&now, "id"))?))?;
    }
    bar.finish_and_clear();
    match show::text(&now, "state").as_str() {
        "ready" => Ok(now),
        _ => {
            let code = now["problem"]["code"].as_str().unwrap_or("reading.over");
            let message = now["problem"]["message"].as_str().unwrap_or("it is over, and nothing came of it; ask again");
            Err(Error::conflict(code.to_owned(), message.to_owned()))
        }
    }
}

pub fn browse(client: &Client, what: &Browse, json: bool) -> Result<()> {
    let (mut after, mut items, mut path) = (String::new(), Vec::new(), String::new());
    loop {
        let body = json!({ "path": what.path, "part": what.of.part, "place": what.of.place, "after": after });
        let page = ask(client, &at(&what.point, "browse")?, &body, json)?;
        path = if path.is_empty() { show::text(&page, "path") } else { path };
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    if json {
        show::json(&json!({ "path": path, "items": items }));
        return Ok(());
    }
    println!("{path}/");
    let row = |item: &Json| {
        let kind = show::text(item, "kind");
        let told = |name: &str| item[name].as_str().map(|_| show::text(item, name));
        let about = match told("target") {
            Some(target) => format!("→ {target}"),
            None => [told("filesystem"), told("label")].into_iter().flatten().collect::<Vec<_>>().join(" "),
        };
        let mark = if item["opens"] == true { "/" } else { "" };
        let size = if kind == "directory" { String::new() } else { show::text(item, "size") };
        vec![format!("{}{mark}", show::text(item, "name")), kind, size, show::time(item, "modified"), about]
    };
    show::table(
        &["name", "kind", "bytes", "changed", "about"],
        items.iter().map(row).collect(),
        "There is nothing in it.",
    );
    Ok(())
}

/// A file that is not there unless all of it is.
struct Saved<'a> {
    file: fs::File,
    path: &'a Path,
    digest: Context,
}

impl std::io::Write for Saved<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

pub fn fetch(client: &Client, what: &Fetch, json: bool) -> Result<()> {
    let failed =
        |e: std::io::Error| Error::invalid("file.unwritable", format!("cannot write {}: {e}", what.output.display()));
    // What was kept of a machine may be for its owner's eyes alone.
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&what.output).map_err(failed)?;
    let mut saved = Saved { file, path: &what.output, digest: Context::new(&SHA256) };
    let fetched = fetched(client, what, &mut saved, json);
    if fetched.is_err() {
        let _ = fs::remove_file(saved.path);
    }
    fetched
}

fn fetched(client: &Client, what: &Fetch, saved: &mut Saved<'_>, json: bool) -> Result<()> {
    let body = json!({ "path": what.path, "part": what.of.part, "place": what.of.place });
    let ready = ask(client, &at(&what.point, "fetch")?, &body, json)?;
    let bytes = client.download(&format!("/api/v1/readings/{}/file", known(&show::text(&ready, "id"))?), saved)?;
    let sha256 = hex::encode(saved.digest.clone().finish().as_ref());
    if sha256 != show::text(&ready, "sha256") {
        return Err(Error::unavailable("download.differs", "what came is not what was fetched; try again"));
    }
    let synced = saved.file.sync_all();
    synced.map_err(|e| Error::invalid("file.unwritable", format!("cannot write {}: {e}", saved.path.display())))?;
    match json {
        true => show::json(&json!({ "file": saved.path, "bytes": bytes, "sha256": sha256 })),
        false => println!("{}  {bytes} bytes  {sha256}", saved.path.display()),
    }
    Ok(())
}
