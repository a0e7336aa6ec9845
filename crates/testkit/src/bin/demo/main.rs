//! `yunwei-demo`: the main job, shown from outside. See `script/demo`.

mod back;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use back::{Places, Platform};
use clap::Parser;
use serde_json::{Value as Json, json};
use testkit::{Api, Customer, DoneStep, Installation, Machines, Options, Outcome};

/// Shows the main job on this machine: an order becomes a running machine and a bill.
#[derive(Parser)]
struct Args {
    /// End by itself when everything has happened.
    #[arg(long)]
    once: bool,
    /// Write what happened to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The portal's address.
    #[arg(long, default_value = "127.0.0.1:8420")]
    listen: String,
    /// How long the machine runs before it is billed, in seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// The steps so far, each with how long it took.
struct Script {
    steps: Vec<Json>,
    stop: Arc<AtomicBool>,
}

impl Script {
    /// Does a step, and says how long it took. None is begun after Ctrl-C.
    fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        if self.stop.load(Ordering::SeqCst) {
            return Err(format!("it was stopped before: {name}. Everything was removed.").into());
        }
        print!("  {name:<58}");
        let _ = std::io::stdout().flush();
        let began = Instant::now();
        let result = work();
        let seconds = began.elapsed().as_secs_f64();
        println!("{} {seconds:6.1} s", if result.is_ok() { "done  " } else { "FAILED" });
        self.steps.push(json!({ "name": name, "seconds": (seconds * 1000.0).round() / 1000.0 }));
        result
    }
}

/// Shows a step of a flow, and keeps it for the report.
fn tell(step: &DoneStep, kept: &mut Vec<Json>) {
    println!("      {:<54}{:>13.1} s", step.name, step.seconds);
    kept.push(json!({ "name": step.name, "seconds": step.seconds }));
}

fn main() -> ExitCode {
    let args = Args::parse();
    match show(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("\nThe demo did not come to its end: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn show(args: &Args) -> Outcome<()> {
    let stop = listen_for_stop()?;
    let scratch = Scratch::new()?;
    let mut script = Script { steps: Vec::new(), stop: stop.clone() };
    println!("\nYunwei 雲維: an order becomes a running machine and a bill\n");
    let listen = if args.once { None } else { Some(args.listen.clone()) };
    let mut house = script
        .step("operator and server", || Installation::start(&scratch.0, Options { listen, ..Options::default() }))?;
    // The second host is let in when it is wanted; its agent looks about meanwhile.
    let (mut host, mut other) = script.step("hypervisors, and the agent that makes one a host", || {
        let mut both = (Machines::begin(&house, "host1")?, Machines::begin(&house, "host2")?);
        both.0.let_in(&house)?;
        Ok(both)
    })?;
    script.step("images and catalog", || house.seed())?;
    let (first, second) = script.step("two customers", || {
        Ok((
            house.customer("晴川設計", "owner@qingchuan.example")?,
            house.customer("Harbour Books", "owner@harbour.example")?,
        ))
    })?;
    let order = script.step("an order by the first customer", || first.order("web-01"))?;
    println!("      {} {}", order.offering, order.id);
    let mut flow = Vec::new();
    let done = script.step("fulfilment", || {
        println!();
        let done = order.watch_steps(&first.api, |step| tell(step, &mut flow));
        print!("  {:<58}", "fulfilled");
        done
    })?;
    let guest = script.step("the machine's own page", || order.visit(&first.api))?;
    println!("      {}", guest.url);
    println!("\n  What was sold is kept while it is used\n");
    let in_use = Instant::now();
    // It is used, and metered, since it runs; its page came later.
    let already = Duration::from_secs_f64(guest.boot_seconds);
    let service = order.service(&first.api)?;
    script.step("a second host", || other.let_in(&house))?;
    let places = script.step("three places for copies, and a policy", || {
        let places = Places::set_up(&house, &host, &other, &[&first, &second])?;
        places.protect(&house, &service).map(|()| places)
    })?;
    script.step("a recovery point, looked at in three places", || back::take(&first, &service))?;
    let point = script.step("another one", || back::take(&first, &service))?;
    script.step("restic reads every byte of every copy", || places.judged_by_restic(&first))?;
    // A drill disturbs nobody: it is made while the machine serves, before anything was lost.
    let drill =
        script.step("a drill on the second host, and one on a damaged copy", || back::drill(&first, &service))?;
    let (rto, rpo) = told(&drill);
    let proven = script.step("its evidence, verified without a server", || back::evidence(&house, &first, &drill))?;
    let platform = script.step("the platform is kept, its key in three shares", || Platform::keep(&house, &places))?;
    let platform_drill = script.step("a drill of the platform, beside it", || platform.drill(&house))?;
    println!("      a server answered on its copy after {platform_drill:.1} s");
    let seconds_of_use = Duration::from_secs(args.seconds);
    script.step(&format!("the rest of {} seconds of use", args.seconds), || {
        wait(&stop, seconds_of_use.saturating_sub(already + in_use.elapsed()));
        Ok(())
    })?;
    let bill = script.step("the bill", || house.bill(&first))?;
    script.step("the other customer sees none of it", || unseen(&second.api, &order.id, &bill))?;
    print_bill(&bill);

    println!("  It is lost on purpose, and brought back\n");
    script.step("the first host dies, and its disks with it", || host.lose_disks())?;
    script.step("the service itself is brought back", || back::restore(&first, &service))?;
    let again = script.step("the machine's own page", || order.visit(&first.api))?;
    println!("      {}", again.url);
    script.step("somebody answers for the first host being gone", || back::retire(&house, &host))?;
    script.step("the platform is kept as it is by now", || Platform::copy(&house))?;
    let platform_rto = script.step("the platform is lost, and recovered with two of them", || {
        platform.lose_and_recover(&mut house, &other)
    })?;
    let audit = script.step("the audit log, recomputed", || house.run_json(&["audit", "verify"]))?;

    let copies = point["parts"][0]["copies"].as_array().map_or(0, Vec::len);
    let control = drill["control"]["state"] == "damageFound";
    let report = json!({
        "steps": script.steps,
        "order": { "id": order.id, "state": done["state"], "steps": flow },
        "guest": { "url_ok": true, "url": guest.url, "boot_seconds": guest.boot_seconds, "accelerator": host.accelerator },
        "bill": bill,
        "backup": { "copies": copies, "restic_verified": true },
        "drill": { "rto_seconds": rto, "rpo_seconds": rpo, "objectives_met": drill["state"] == "passed", "negative_control_failed": control },
        "evidence": { "verified": proven },
        "restore": { "url_ok": true, "url": again.url },
        "control_plane": { "recovered": true, "rto_seconds": platform_rto, "drilled": true, "drill_rto_seconds": platform_drill },
        "audit": { "entries": audit["entries"], "verified": audit["ok"] },
        "portal_url": house.api.url,
    });
    if let Some(file) = &args.json {
        std::fs::write(file, format!("{report:#}\n"))?;
    }
    let sold = done["state"] == "completed" && !flow.is_empty() && audit["ok"] == true && adds_up(&bill);
    let kept = copies == 3 && control && proven;
    let truly = sold && kept;
    if !truly {
        return Err(format!("not everything happened: {report:#}").into());
    }
    if !args.once {
        stay(&house, &[&first, &second], &stop);
    }
    println!("\nremoving everything …");
    drop(places);
    drop(other);
    drop(host);
    drop(house);
    Ok(())
}

/// Where everything lies; removed at the end. Short, as it holds sockets.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Outcome<Scratch> {
        let path = std::env::temp_dir().join(format!("yunwei-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Ctrl-C and SIGTERM end the demo in good order.
fn listen_for_stop() -> Outcome<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            loop {
                tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
                told.store(true, Ordering::SeqCst);
            }
        });
    });
    Ok(stop)
}

fn wait(stop: &AtomicBool, span: Duration) {
    let until = Instant::now() + span;
    while Instant::now() < until && !stop.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The neighbour asks for the order and the bill, and is told that there is no such thing.
fn unseen(api: &Api, order: &str, bill: &Json) -> Outcome<()> {
    let bill = bill["id"].as_str().unwrap_or_default();
    for path in [
        format!("/tmf-api/productOrderingManagement/v4/productOrder/{order}"),
        format!("/tmf-api/customerBillManagement/v4/customerBill/{bill}"),
    ] {
        let status = api.send("GET", &path, &[], None)?.status;
        if status != 404 {
            return Err(format!("GET {path} by another customer was answered {status}").into());
        }
    }
    Ok(())
}

/// Says what a drill measured, and what of it the platform is set to; gives RTO and RPO in seconds.
fn told(drill: &Json) -> (f64, f64) {
    let service = &drill["services"][0];
    let (rto, rpo) = (seconds(&service["rtoMilliseconds"]), seconds(&service["rpoMilliseconds"]));
    let set = |of: &str| drill["detection"][of].as_f64().unwrap_or(0.0);
    let unseen = set("silentSeconds") + set("lookSeconds");
    let promised = &drill["terms"]["objectives"];
    println!("      RTO {rto:.1} s of {}: {unseen:.0} until a silent host counts as lost,", promised["rtoSeconds"]);
    println!("      {:.1} until the machine answered · RPO {rpo:.1} s of {}", rto - unseen, promised["rpoSeconds"]);
    (rto, rpo)
}

/// Milliseconds as seconds.
fn seconds(milliseconds: &Json) -> f64 {
    milliseconds.as_f64().unwrap_or(f64::NAN) / 1000.0
}

/// Whether there are lines, and they and the tax make the total.
fn adds_up(bill: &Json) -> bool {
    let number = |of: &Json| of.as_f64().unwrap_or(f64::NAN);
    let lines = bill["lines"].as_array().map_or(&[][..], Vec::as_slice);
    let sum: f64 = lines.iter().map(|line| number(&line["amount"])).sum();
    let (net, tax, total) = (number(&bill["net"]), number(&bill["tax"]), number(&bill["total"]));
    !lines.is_empty() && (sum - net).abs() < 0.001 && (net + tax - total).abs() < 0.001
}

fn print_bill(bill: &Json) {
    let word = |of: &Json| of.as_str().map_or_else(|| of.to_string(), str::to_owned);
    println!("\n  Bill {}, {}\n", word(&bill["number"]), word(&bill["currency"]));
    for line in bill["lines"].as_array().into_iter().flatten() {
        let quantity = line["quantity"].as_f64().unwrap_or_default();
        let measured = format!("{quantity} {} at {}", word(&line["unit"]), line["rate"]);
        println!("    {:<28} {measured:<36} {:>8}", word(&line["name"]), line["amount"].to_string());
    }
    for (name, sum) in [("Before tax", &bill["net"]), ("Tax", &bill["tax"]), ("To pay", &bill["total"])] {
        println!("    {name:<65} {:>8}", sum.to_string());
    }
    println!();
}

fn stay(house: &Installation, customers: &[&Customer], stop: &AtomicBool) {
    println!("\n  Portal      {}", house.api.url);
    println!("  Operator    {}  {}", Installation::ADMINISTRATOR, Installation::PASSWORD);
    for customer in customers {
        println!("  Customer    {}  {}   ({})", customer.email, Installation::PASSWORD, customer.name);
    }
    println!(
        "  Command line: YUNWEI_URL={} YUNWEI_TOKEN={} {} order ls",
        house.api.url,
        customers[0].api.token,
        show_path(&house.binaries.folder.join("yunwei"))
    );
    println!("\n  Ctrl-C ends it and removes everything.");
    while !stop.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn show_path(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
