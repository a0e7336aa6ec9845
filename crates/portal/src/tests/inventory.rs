//! An inventory is filled, judged and asked through its pages, as its owner would.

use super::*;

async fn owner(house: &House) -> Browser<'_> {
    customer(house, "Brightwater", "mei@example.com");
    join(house, "mei@example.com").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activity_is_added_judged_and_asked_about() {
    let house = House::new();
    let mut b = owner(&house).await;
    b.get("/inventory?lang=en").await.expect(StatusCode::OK, "Nothing here yet");
    b.get("/inventory/new").await;
    b.post("/inventory/new", &[("kind", "power"), ("name", "")]).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "Name");
    for (kind, name, key) in
        [("power", "Feed <A>", "feed-a"), ("power", "Feed B", "feed-b"), ("activity", "Orders", "orders")]
    {
        b.get("/inventory/new").await;
        b.post("/inventory/new", &[("kind", kind), ("name", name), ("key", key), ("repair", "8h")]).await;
        assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    }
    let orders = b.location.clone();
    b.get(&orders).await.expect(StatusCode::OK, "Not assessed yet");

    // It needs a feed; then one of two.
    b.get(&format!("{orders}/needs")).await.expect(StatusCode::OK, "Feed &#60;A&#62;");
    let id = |page: &str, name: &str| {
        let before = page.split(name).next().unwrap();
        before.rsplit("value=\"").next().unwrap().split('"').next().unwrap().to_owned()
    };
    let (a, second) = (id(&b.page, "Feed &#60;A&#62;"), id(&b.page, "Feed B"));
    b.post(&format!("{orders}/needs"), &[]).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "Add a need");
    b.post(&format!("{orders}/needs"), &[("of", &a)]).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    b.get("/impact").await.expect(StatusCode::OK, "Feed &#60;A&#62;");
    b.get(&format!("/impact/what-if?failed={a}")).await.expect(StatusCode::OK, "after 8 h 0 min");
    b.get("/impact?by=risk").await.expect(StatusCode::OK, "not judged");
    b.get(&format!("/inventory/{a}/edit")).await.expect(StatusCode::OK, "Likelihood of its loss");
    b.post(&format!("/inventory/{a}/edit"), &[("name", "Feed <A>"), ("repair", "8h"), ("likelihood", "4")]).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    b.get("/impact?by=risk").await.expect(StatusCode::OK, "4 · likely");
    b.get(&orders).await;
    b.post(&format!("{orders}/needs/0/remove"), &[]).await;
    b.get(&format!("{orders}/needs")).await;
    b.post(&format!("{orders}/needs"), &[("of", &a), ("of", &second), ("least", "1")]).await;
    b.get(&orders).await.expect(StatusCode::OK, "at least 1 of 2");
    b.get("/impact").await.expect(StatusCode::OK, "No single loss stops anything");
    b.get(&format!("/impact/what-if?failed={a}&failed={second}")).await.expect(StatusCode::OK, "Orders");

    // Judged: an objective beyond what can be borne is refused at its field.
    let harm = [("after0", "0"), ("level0", "0"), ("after1", "4h"), ("level1", "3"), ("assessedBy", "Mei")];
    let judge = |rto: &'static str| {
        let rest = [("rto", rto), ("rpo", "1h"), ("assessedOn", "2026-11-01"), ("reviewBy", "2027-11-01")];
        [harm.to_vec(), rest.to_vec()].concat()
    };
    b.get(&format!("{orders}/assessment")).await.expect(StatusCode::OK, "cannot be borne");
    b.post(&format!("{orders}/assessment"), &judge("4h")).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-rto-error");
    b.post(&format!("{orders}/assessment"), &judge("2h")).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
    b.get("/inventory/assessments").await.expect(StatusCode::OK, "2 h 0 min");
    b.get(&format!("/inventory/{a}")).await.expect(StatusCode::OK, "Orders");
    b.get(&format!("/impact/what-if?failed={a}&failed={second}")).await.expect(StatusCode::OK, "RTO missed");

    // What is needed cannot be removed under those who need it.
    b.get(&format!("/inventory/{a}/remove")).await.expect(StatusCode::OK, "Remove");
    b.post(&format!("/inventory/{a}/remove"), &[]).await.expect(StatusCode::OK, "change those first");
    b.get(&format!("{orders}/edit")).await.expect(StatusCode::OK, "value=\"orders\"");
    b.post(&format!("{orders}/edit"), &[("name", "Orders"), ("importance", "9")]).await;
    b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-importance-error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spreadsheet_is_looked_at_first_and_then_imported_whole() {
    let house = House::new();
    let mut b = owner(&house).await;
    b.get("/inventory/import?lang=en").await.expect(StatusCode::OK, "Import an inventory");
    let nodes = "ref,kind,name\nfeed,power,Feed\norders,activity,Orders\n";
    let wrong = [("nodes", "ref,kind,name\nx,colour,X\n"), ("do", "import")];
    b.post("/inventory/import", &wrong).await.expect(StatusCode::OK, "cannot be");
    let tables = [("nodes", nodes), ("dependencies", "node,needs\norders,feed\n"), ("do", "preview")];
    b.post("/inventory/import", &tables).await.expect(StatusCode::OK, "2 are added");
    let tables = [("nodes", nodes), ("dependencies", "node,needs\norders,feed\n"), ("do", "import")];
    b.post("/inventory/import", &tables).await;
    assert_eq!((b.status, b.location.as_str()), (StatusCode::SEE_OTHER, "/inventory"), "{}", b.page);
    b.get("/inventory/nodes.csv").await.expect(StatusCode::OK, "feed,power,Feed");
    b.get("/inventory/dependencies.csv").await.expect(StatusCode::OK, "orders,feed,,1");
    b.get("/inventory/scale").await.expect(StatusCode::OK, "Harm scale");
    let scale = [
        ("unit", "TWD"),
        ("level0", "little"),
        ("amount0", "1,000"),
        ("level1", "much"),
        ("amount1", "10"),
        ("intolerable", "1"),
    ];
    b.post("/inventory/scale", &scale).await.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-amount1-error");
    let scale = [
        ("unit", "TWD"),
        ("level0", "little"),
        ("amount0", "1,000"),
        ("level1", "much"),
        ("amount1", "90000"),
        ("intolerable", "1"),
    ];
    b.post("/inventory/scale", &scale).await;
    assert_eq!(b.status, StatusCode::SEE_OTHER, "{}", b.page);
}
