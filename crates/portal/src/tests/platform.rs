//! The platform's own drill on its pages, as an operator would plan it.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_is_planned_to_be_drilled_by_the_operator_alone() {
    let house = House::new();
    let mut b = Browser::new(&house);
    b.sign_in("admin@example.com").await;
    b.get("/drills/plans/new").await.expect(StatusCode::OK, "The platform itself");
    let plan = [
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
    b.post("/drills/plans/new", &plan).await;
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
    theirs.post("/drills/plans/new", &plan).await;
    assert!(!theirs.status.is_redirection(), "{}", theirs.status);
    theirs.get(&made).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
}
