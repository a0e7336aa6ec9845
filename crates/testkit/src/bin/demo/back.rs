//! The second half of the demo: what was sold is kept at three places, lost on purpose, and
//! brought back; and so is the platform itself.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use testkit::{Api, Bucket, Customer, Installation, Machines, Outcome, Shelf, settled};

/// Three places for copies: a directory of the first host, a repository server on the second, and
/// object storage.
pub struct Places {
    near: std::path::PathBuf,
    shelf: Shelf,
    bucket: Bucket,
    ids: [String; 3],
}

/// The platform's own repository at each place.
const PLATFORM: &str = "control-plane";

impl Places {
    pub fn set_up(
        house: &Installation,
        first: &Machines,
        second: &Machines,
        customers: &[&Customer],
    ) -> Outcome<Places> {
        let near = house.folder.join("near");
        std::fs::create_dir_all(&near)?;
        // The agent is an unprivileged user of its own.
        std::fs::set_permissions(&near, std::fs::Permissions::from_mode(0o777))?;
        let location = json!({ "type": "folder", "host": first.id, "path": near });
        let tenants = customers.iter().map(|customer| customer.tenant.as_str());
        let repositories: Vec<&str> = tenants.chain([PLATFORM]).collect();
        let shelf = Shelf::start(&house.folder.join("shelf"), &repositories)?;
        let bucket = Bucket::start(&house.folder.join("log/bucket.log"))?;
        let ids = [
            house.place("first host", &location, "none")?,
            house.place_at("second host", &shelf, &repositories)?,
            house.place_in("object storage", &bucket)?,
        ];
        // Its server stands on the second host and is lost with it: only object storage is elsewhere.
        house.api.patch(&format!("/api/v1/backup-places/{}", ids[1]), &json!({ "host": second.id }))?;
        Ok(Places { near, shelf, bucket, ids })
    }

    /// Has a customer's service backed up to all of them, and offers a policy for its other services: to
    /// the two that every host reaches.
    pub fn protect(&self, house: &Installation, service: &str) -> Outcome<()> {
        house.offered_policy("off site, every night", "daily 03:00", &self.ids[1..])?;
        let policy = house.backup_policy("every night", "daily 02:00", &self.ids)?;
        let path = format!("/api/v1/services/{service}/protection");
        house.api.post(&path, &json!({ "policy": policy })).map(drop)
    }

    /// Debian's restic reads every byte of every copy, with the password that a customer leaves
    /// with.
    pub fn judged_by_restic(&self, customer: &Customer) -> Outcome<()> {
        let tenant = &customer.tenant;
        let all = customer.api.get("/api/v1/backup-repositories")?;
        for one in all["items"].as_array().into_iter().flatten() {
            let path = format!("/api/v1/backup-repositories/{}/reveal-escrow", id(one));
            let told = customer.api.post(&path, &json!({ "reason": "restic looks at our copies" }))?;
            let repository = match one["placeName"].as_str() {
                Some("first host") => self.near.join(tenant).display().to_string(),
                Some("second host") => self.shelf.for_restic(tenant)?,
                _ => format!("s3:{}/{}/{tenant}", self.bucket.url, Bucket::NAME),
            };
            let mut restic = Command::new("restic");
            restic.args(["--no-cache", "--no-lock", "-r", &repository, "check", "--read-data"]);
            restic.env("RESTIC_PASSWORD", told["password"].as_str().unwrap_or_default());
            restic.envs([("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
            let output = restic.output().map_err(|e| format!("restic does not start: {e}"))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(format!("restic does not find {} whole: {said}", one["placeName"]).into());
            }
        }
        Ok(())
    }
}

/// Takes a recovery point of a service now.
pub fn take(customer: &Customer, service: &str) -> Outcome<Json> {
    let begun = customer.api.post(&format!("/api/v1/services/{service}/backup"), &json!({}))?;
    settled(&customer.api, &format!("/api/v1/recovery-points/{}", id(&begun)))
}

/// The platform itself, with what brings it back.
pub struct Platform {
    kit: std::path::PathBuf,
    shares: [std::path::PathBuf; 2],
}

impl Platform {
    /// Keeps the platform at the two places that need no host, and its key in three shares.
    pub fn keep(house: &Installation, places: &Places) -> Outcome<Platform> {
        let policy = house.backup_policy("the platform", "hourly :15", &places.ids[1..])?;
        house.api.post("/api/v1/control-plane/protect", &json!({ "policy": policy }))?;
        Platform::copy(house)?;
        let kit = house.folder.join("recovery-kit.json");
        std::fs::write(&kit, house.api.post("/api/v1/control-plane/kit", &json!({}))?.to_string())?;
        let folder = house.folder.join("shares");
        let words = ["admin", "key-shares", "--shares", "3", "--threshold", "2", "--out"];
        house.run_json(&[&words[..], &[&folder.display().to_string()]].concat())?;
        Ok(Platform { kit, shares: [folder.join("share-1.txt"), folder.join("share-3.txt")] })
    }

    /// Takes a copy of the platform to all its places.
    pub fn copy(house: &Installation) -> Outcome<()> {
        let begun = house.api.post("/api/v1/control-plane/backup", &json!({}))?;
        settled(&house.api, &format!("/api/v1/control-plane/points/{}", id(&begun))).map(drop)
    }

    /// The platform is brought back beside itself, with the people who keep its key and its kit; and from a
    /// damaged copy, which must fail. How long it took until a server answered, in seconds.
    pub fn drill(&self, house: &Installation) -> Outcome<f64> {
        let plan = json!({
            "name": "the platform is lost", "scope": { "type": "controlPlane" }, "scenario": { "type": "controlPlaneLost" },
            "objectives": { "rtoSeconds": 300, "rpoSeconds": 3600 }, "owner": "Operations", "negativeEvery": 1,
        });
        let plan = house.api.post("/api/v1/drill-plans", &plan)?;
        let path = |path: &Path| path.display().to_string();
        let mut command = house.binaries.yunwei();
        command.env("YUNWEI_URL", &house.api.url).env("YUNWEI_TOKEN", &house.api.token);
        command.args(["drill", "run", id(&plan), "--json", "--kit", &path(&self.kit)]);
        let output = command.args(self.shares.iter().flat_map(|share| ["--share".to_owned(), path(share)])).output()?;
        let run: Json = serde_json::from_slice(&output.stdout)?;
        let brought = &run["services"][0]["platform"]["witnessed"];
        let shown = brought["shares"] == true && brought["kitMadeAt"].is_string();
        if run["state"] != "passed" || run["control"]["state"] != "damageFound" || !shown {
            return Err(format!("the platform's drill was not passed: {run:#}").into());
        }
        Ok(run["services"][0]["rtoMilliseconds"].as_f64().unwrap_or(0.0) / 1_000.0)
    }

    /// The server dies and its data directory with it; how long it takes until it serves again and
    /// its host is known, in seconds.
    pub fn lose_and_recover(&self, house: &mut Installation, host: &Machines) -> Outcome<f64> {
        house.kill_server()?;
        std::fs::remove_dir_all(house.data())?;
        let began = Instant::now();
        let path = |path: &Path| path.display().to_string();
        let (kit, [one, two]) = (path(&self.kit), [path(&self.shares[0]), path(&self.shares[1])]);
        let back = house.run_json(&["recover", "--kit", &kit, "--share", &one, "--share", &two])?;
        if back["audit"]["verified"] != true {
            return Err(format!("the audit log did not come back whole: {back:#}").into());
        }
        house.start_server()?;
        let until = Instant::now() + Duration::from_secs(60);
        while house.api.get(&format!("/api/v1/hosts/{}", host.id))?["reachable"] != true {
            if Instant::now() > until {
                return Err("the second host does not find the server again".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(began.elapsed().as_secs_f64())
    }
}

/// A drill: the service is really brought back on another host, measured, and taken away again.
pub fn drill(customer: &Customer, service: &str) -> Outcome<Json> {
    let plan = json!({
        "name": "the first host is lost", "scope": { "type": "services", "services": [service] }, "scenario": { "type": "hostLost" },
        "objectives": { "rtoSeconds": 300, "rpoSeconds": 3600 }, "owner": "Operations", "negativeEvery": 1,
    });
    let plan = customer.api.post("/api/v1/drill-plans", &plan)?;
    let begun = customer.api.post(&format!("/api/v1/drill-plans/{}/run", id(&plan)), &json!({}))?;
    let path = format!("/api/v1/drills/{}", id(&begun));
    let run = followed(&customer.api, &path, "running")?;
    if run["state"] != "passed" {
        return Err(format!("the drill was not passed: {run:#}").into());
    }
    Ok(run)
}

/// The drill's evidence, verified by a program that asks nobody.
pub fn evidence(house: &Installation, customer: &Customer, run: &Json) -> Outcome<bool> {
    let file = house.folder.join("evidence.json");
    let told = customer.api.get(&format!("/api/v1/drills/{}/evidence", id(run)))?;
    std::fs::write(&file, told.to_string())?;
    let mut command = house.binaries.yunwei();
    command.env_clear().args(["evidence", "verify", "--json", "--key"]);
    let output = command.arg(house.data().join("keys/audit.pub")).arg(&file).output()?;
    let report: Json = serde_json::from_slice(&output.stdout)?;
    Ok(output.status.success() && report["ok"] == true)
}

/// The service itself is brought back, on whatever host is left.
pub fn restore(customer: &Customer, service: &str) -> Outcome<Json> {
    // Its host is gone; that it has fallen silent is not known yet.
    let begun = customer.api.post(&format!("/api/v1/services/{service}/restore"), &json!({ "evenIfAlive": true }))?;
    let done = followed(&customer.api, &format!("/api/v1/restores/{}", id(&begun)), "running")?;
    if done["state"] != "done" {
        return Err(format!("the service did not come back: {done:#}").into());
    }
    Ok(done)
}

/// The operator says that a host will not come back: what it held is free, and nothing is put there.
pub fn retire(house: &Installation, host: &Machines) -> Outcome<()> {
    let path = format!("/api/v1/hosts/{}/retire", host.id);
    house.api.post(&path, &json!({ "machinesAreGone": true })).map(drop)
}

/// Waits until something is in another state than `while_in`.
fn followed(api: &Api, path: &str, while_in: &str) -> Outcome<Json> {
    let until = Instant::now() + Duration::from_secs(300);
    loop {
        let now = api.get(path)?;
        if now["state"] != while_in {
            return Ok(now);
        }
        if Instant::now() > until {
            return Err(format!("it takes too long: {now:#}").into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn id(of: &Json) -> &str {
    of["id"].as_str().unwrap_or_default()
}
