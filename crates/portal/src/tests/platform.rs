//! The platform's own drill on its pages, as an operator would plan it.

use super::*;

/// The form that plans a drill of the platform.
const PLAN: [(&str, &str); 11] = [
    ("name", "Platform"),
    ("scope", "controlPlane"),
    ("scenario", "hostLost"),
    ("unnoticed", "24"),
    ("rto", "60"),
    ("rpo", "120"),
    ("recordPath", "/status.json"),
    ("recordPointer", "/newest"),
    ("timeZone", "UTC"),
    ("negative", "3"),
    ("owner", "Ops"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_is_planned_to_be_drilled_by_the_operator_alone() {
    let house = House::new();
    let mut b = Browser::new(&house);
    b.sign_in("admin@example.com").await;
    b.get("/drills/plans/new").await.expect(StatusCode::OK, "The platform itself");
    b.post("/drills/plans/new", &PLAN).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    let made = b.location.clone();
    b.get(&made).await.expect(StatusCode::OK, "Control plane lost");
    b.get("/drills").await.expect(StatusCode::OK, "Control plane lost");

    // It begins, and says that nothing was kept yet.
    b.post(&format!("{made}/run"), &[]).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    let run = b.location.clone();
    b.get(&run).await.expect(StatusCode::OK, "Not shown: that the shares make the master key");

    customer(&house, "Brightwater", "owner@example.com");
    let mut theirs = join(&house, "owner@example.com").await;
    theirs.get("/drills/plans/new?lang=en").await;
    assert_eq!(theirs.status, StatusCode::OK, "{}", theirs.page);
    assert!(!theirs.page.contains("value=\"controlPlane\""), "{}", theirs.page);
    theirs.post("/drills/plans/new", &PLAN).await;
    assert!(!theirs.status.is_redirection(), "{}", theirs.status);
    theirs.get(&made).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
}

/// As many shares of a key as are needed, one a line.
fn shares_of(key: &[u8; 32]) -> String {
    let shares = continuity::shares::split(key, 2, 3).unwrap();
    shares[1..].iter().map(|share| share.print().unwrap()).collect::<Vec<_>>().join("\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_that_are_typed_are_compared_and_never_seen_again() {
    let mut house = House::new();
    house.workers.take();
    let mut b = Browser::new(&house);
    b.sign_in("admin@example.com").await;
    b.get("/drills/plans/new").await;
    b.post("/drills/plans/new", &PLAN).await;
    let made = b.location.clone();
    b.get(&made).await.expect(StatusCode::OK, "Shares of the master key");
    assert!(b.page.contains("autocomplete=\"off\"") && b.page.contains("spellcheck=\"false\""), "{}", b.page);

    let own = shares_of(&gate::keys::Keys::read(house._scratch.path()).unwrap());
    let other = shares_of(&[7; 32]);
    let mistyped = own.replacen(&own[10..11], if &own[10..11] == "A" { "B" } else { "A" }, 1);
    let run = format!("{made}/run");
    for (typed, words) in [
        ("no share at all", "that is not a share"),
        (own.lines().next().unwrap(), "not enough"),
        (mistyped.as_str(), ""),
        (other.as_str(), "another key"),
    ] {
        b.post(&run, &[("shares", typed), ("kit", "")]).await.expect(StatusCode::UNPROCESSABLE_ENTITY, words);
        assert!(typed.lines().all(|line| !b.page.contains(line)), "what was typed is not put back: {}", b.page);
    }
    b.post(&run, &[("shares", ""), ("kit", "{\"form\":\"a letter\"}")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "no recovery kit");
    assert!(!b.page.contains("a letter"), "{}", b.page);

    b.post(&run, &[("shares", &own), ("kit", "")]).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    let begun = b.location.clone();
    b.get(&begun).await.expect(StatusCode::OK, "The shares that people brought make the master key.");

    // What was typed is nowhere in what is kept of it.
    assert_eq!(own.lines().map(|line| stored(&house, line)).sum::<i64>(), 0);
    // And where a code is asked for again, the form is not carried on.
    assert!(crate::step_up::is_secret("shares") && crate::step_up::is_secret("kit"));
}

/// In how many drills a text is kept.
fn stored(house: &House, text: &str) -> i64 {
    let like = format!("%{text}%");
    let sql = "SELECT COUNT(*) FROM drill_runs WHERE body LIKE $1";
    house.gate.db().read(move |conn| conn.query_one(sql, db::args![like], |row| row.get::<i64>(0))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_is_stopped_by_who_may_run_it_and_says_who_and_why() {
    let mut house = House::new();
    house.workers.take();
    let mut b = Browser::new(&house);
    b.sign_in("admin@example.com").await;
    b.get("/drills/plans/new").await;
    b.post("/drills/plans/new", &PLAN).await;
    let made = b.location.clone();
    b.get(&made).await;
    b.post(&format!("{made}/run"), &[]).await;
    let run = b.location.clone();
    b.get(&run).await.expect(StatusCode::OK, "Stop the drill");
    let stop = format!("{run}/stop");
    b.get(&stop).await.expect(StatusCode::OK, "Stop this drill?");
    b.post(&stop, &[("reason", "  ")]).await;
    assert_eq!(b.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", b.page);
    b.post(&stop, &[("reason", "the disk is needed <now>")]).await;
    assert_eq!((b.status, &b.location), (StatusCode::SEE_OTHER, &run), "{}", b.page);
    b.get(&run).await.expect(StatusCode::OK, "stopped this drill: the disk is needed &#60;now&#62;");
    assert!(!b.page.contains(&format!("href=\"{stop}\"")), "once is enough: {}", b.page);
}
