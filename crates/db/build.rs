//! Collects `/migrations/NNNN_name.sql`, so that adding one needs no second edit.

use std::fmt::Write as _;
use std::{env, fs, path::Path};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../migrations").canonicalize()?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<String> = fs::read_dir(&folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".sql"))
        .collect();
    names.sort();
    let mut out = String::from("&[\n");
    for name in names {
        let number: i64 = name.split('_').next().unwrap_or_default().parse()?;
        let path = folder.join(&name);
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(out, "    Migration {{ number: {number}, name: {name:?}, sql: include_str!({path:?}) }},")?;
    }
    out.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("migrations.rs"), out)?;
    Ok(())
}
