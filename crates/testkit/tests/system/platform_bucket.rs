//! The platform's own copies in object storage, on the bad days of that: objects are cut or gone, nobody is let in,
//! nothing answers, the bucket itself is gone. What is shown then is what there is, somebody is alarmed and told what
//! to do, and what was put right is good again.

use serde_json::{Value as Json, json};
use testkit::{Bucket, Installation, Options, Shelf};

use crate::Scratch;
use crate::backups::{id, yunwei};

/// An installation that keeps itself at a repository server and in a bucket.
struct Kept {
    house: Installation,
    bucket: Bucket,
    place: String,
    _shelf: Shelf,
}

fn kept(scratch: &Scratch) -> Kept {
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    let bucket = Bucket::start(&scratch.0.join("bucket.log")).unwrap();
    let shelf = Shelf::start(&scratch.0.join("shelf"), &["control-plane"]).unwrap();
    let server = house.place_at("server", &shelf, &["control-plane"]).unwrap();
    let place = house.place_in("bucket", &bucket).unwrap();
    // So many that none is let go while this lasts.
    let policy = ["backup", "policies", "add", "platform", "--calendar", "hourly :15", "--last", "90"];
    let policy = yunwei(&house.api, &[&policy[..], &["--place", &server, "--place", &place]].concat());
    yunwei(&house.api, &["control-plane", "protect", "--policy", id(&policy)]);
    Kept { house, bucket, place, _shelf: shelf }
}

/// The copy of a point at a place.
fn copy<'a>(point: &'a Json, place: &str) -> &'a Json {
    let copies = point["copies"].as_array().unwrap_or_else(|| panic!("{point:#}"));
    copies.iter().find(|copy| copy["placeName"] == place).unwrap_or_else(|| panic!("{point:#}"))
}

impl Kept {
    /// Takes a copy of the platform, whatever comes of it.
    fn taken(&self) -> Json {
        let mut command = self.house.binaries.yunwei();
        command.env("YUNWEI_URL", &self.house.api.url).env("YUNWEI_TOKEN", &self.house.api.token);
        let output = command.args(["control-plane", "backup", "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
    }

    /// Takes one that is whole at both places, so that nobody has anything to do any more.
    fn good(&self, why: &str) -> Json {
        let point = self.taken();
        assert_eq!(point["state"], "available", "{why}: {point:#}");
        assert_eq!(self.alarms(), Vec::<Json>::new(), "{why}");
        point
    }

    fn seen(&self, point: &Json) -> Json {
        self.house.api.get(&format!("/api/v1/control-plane/points/{}", id(point))).unwrap()
    }

    fn alarms(&self) -> Vec<Json> {
        self.house.api.get("/api/v1/alarms").unwrap()["items"].as_array().unwrap().clone()
    }

    /// One alarm about the platform's copies, which says what is wrong where, and what to do.
    fn alarmed(&self, code: &str) {
        let all = self.alarms();
        let [alarm] = &all[..] else { panic!("{code}: {all:#?}") };
        assert_eq!(
            (&alarm["probableCause"], &alarm["specificProblem"]["code"]),
            (&json!("controlPlaneDegraded"), &json!(code)),
            "{alarm:#}"
        );
        assert!(alarm["proposedRepairedAction"].as_str().is_some_and(|what| what.contains("control-plane show")));
    }

    /// Takes a copy on a bad day: it lacks the bucket for that reason, an older one is there as `older`, and both are
    /// whole at the other place.
    fn bad(&self, code: &str, before: &Json, older: &str) -> Json {
        let point = self.taken();
        let here = copy(&point, "bucket");
        assert_eq!((&point["state"], &here["state"]), (&json!("degraded"), &json!("failed")), "{code}: {point:#}");
        assert_eq!(here["problem"]["code"], code, "{point:#}");
        let before = self.seen(before);
        assert_eq!(copy(&before, "bucket")["state"], older, "{code}: {before:#}");
        let state = if older == "verified" { "available" } else { "degraded" };
        assert_eq!(before["state"], state, "{code}: {before:#}");
        for point in [&point, &before] {
            assert_eq!(copy(point, "server")["state"], "verified", "{code}: {point:#}");
        }
        self.alarmed(code);
        point
    }

    /// The largest object of the kind.
    fn largest(&self, kind: &str) -> String {
        let all = self.bucket.objects(&format!("control-plane/{kind}/")).unwrap();
        all.into_iter().max_by_key(|(_, size)| *size).unwrap_or_else(|| panic!("there is no {kind}")).0
    }
}

#[test]
fn what_befalls_the_platforms_copies_in_a_bucket_is_shown_alarmed_and_put_right() {
    let scratch = Scratch::new("platform-bucket");
    let mut kept = kept(&scratch);
    let first = kept.good("on a good day");

    // A pack is cut, and one is gone: every copy there may need it.
    let pack = kept.largest("data");
    kept.bucket.cut(&pack).unwrap();
    kept.bad("repository.damaged", &first, "damaged");
    kept.bucket.mend(&pack).unwrap();
    kept.good("the pack is whole again");
    assert_eq!(kept.seen(&first)["state"], "available", "everything there was read");
    kept.bucket.lose(&pack).unwrap();
    kept.bad("repository.damaged", &first, "damaged");
    kept.bucket.mend(&pack).unwrap();
    let second = kept.good("the pack is there again");

    // A snapshot is gone: that one copy is missing, and no other.
    let snapshot = format!("control-plane/snapshots/{}", copy(&second, "bucket")["snapshot"].as_str().unwrap());
    kept.bucket.lose(&snapshot).unwrap();
    let third = kept.taken();
    assert_eq!(third["state"], "available", "{third:#}");
    let (gone, other) = (kept.seen(&second), kept.seen(&first));
    assert_eq!((&gone["state"], &copy(&gone, "bucket")["state"]), (&json!("degraded"), &json!("missing")), "{gone:#}");
    assert_eq!(copy(&gone, "bucket")["problem"]["code"], "snapshot.missing", "{gone:#}");
    assert_eq!(other["state"], "available", "{other:#}");
    kept.alarmed("snapshot.missing");
    kept.bucket.mend(&snapshot).unwrap();
    kept.good("the snapshot is there again");
    assert_eq!(kept.seen(&second)["state"], "available");

    // The key does not let anybody in any more: that says nothing of what lies there.
    kept.bucket.refuse(true).unwrap();
    kept.bad("repository.refused", &second, "verified");
    kept.bucket.refuse(false).unwrap();
    kept.good("the key is good again");

    // Nothing answers: nor does that.
    kept.bucket.stop().unwrap();
    kept.bad("repository.unreachable", &second, "verified");

    // It answers again, and the bucket is gone with all that was in it.
    kept.bucket.serve().unwrap();
    let bad = kept.bad("repository.missing", &second, "missing");
    let why = copy(&bad, "bucket")["problem"]["message"].as_str().unwrap();
    assert!(why.contains("there is no bucket"), "{why}");
    let plan = ["drill", "plans", "create", "from the bucket", "--control-plane", "--rto", "10m", "--rpo", "1h"];
    let plan = yunwei(&kept.house.api, &[&plan[..], &["--place", &kept.place, "--owner", "Operations"]].concat());
    let begun = yunwei(&kept.house.api, &["drill", "run", id(&plan), "--no-wait"]);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let run = loop {
        let now = yunwei(&kept.house.api, &["drill", "show", id(&begun)]);
        if now["state"] != "running" {
            break now;
        }
        assert!(std::time::Instant::now() < until, "{now:#}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    assert_eq!(
        (&run["state"], &run["misses"][0]["code"]),
        (&json!("impossible"), &json!("recovery.no_copy")),
        "{run:#}"
    );

    // Somebody makes the bucket: the next copy is whole there; what was lost with the old one stays lost, and said so.
    kept.bucket.make().unwrap();
    let fourth = kept.taken();
    assert_eq!(fourth["state"], "available", "{fourth:#}");
    let lost = kept.seen(&second);
    assert_eq!((&lost["state"], &copy(&lost, "bucket")["state"]), (&json!("degraded"), &json!("missing")), "{lost:#}");
    let causes: Vec<Json> = kept.alarms().iter().map(|alarm| alarm["probableCause"].clone()).collect();
    assert!(
        causes.contains(&json!("controlPlaneDegraded")),
        "{causes:?}: the older ones are there once, and not twice"
    );
}
