//! What a restore is asked for on its page.

use super::*;

/// A service of a customer, and its owner's browser.
async fn service(house: &House) -> (String, Browser<'_>) {
    skipping::ended_run(house).await;
    let sql = "SELECT id FROM records WHERE kind = 'service' ORDER BY id";
    let id: String = house.gate.db().read(move |conn| conn.query_one(sql, &[], |row| row.get(0))).unwrap();
    let mut browser = Browser::new(house);
    browser.sign_in("owner@example.com").await;
    (id, browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn for_how_long_a_machine_beside_is_kept_is_asked_in_hours_and_what_is_none_is_said_at_its_field() {
    let house = House::new();
    let (id, mut b) = service(&house).await;
    let restore = format!("/services/{id}/restore");
    b.get(&format!("{restore}?lang=en")).await;
    let field = b.page.split("name=\"keepHours\"").nth(1).and_then(|rest| rest.split('>').next()).unwrap().to_owned();
    for bound in ["type=\"number\"", "min=\"1\"", "max=\"720\"", "value=\"\""] {
        assert!(field.contains(bound), "{bound}: {field}");
    }

    // What was asked for stays in the form.
    b.get(&format!("{restore}?how=beside&keepHours=48")).await;
    assert!(b.page.contains("value=\"48\"") && !b.page.contains("f-keepHours-error"), "{}", b.page);

    // What is no number of hours is said at the field, in the address and in the form, and kept.
    for asked in ["soon", "-1", "1.5"] {
        b.get(&format!("{restore}?how=beside&keepHours={asked}")).await;
        b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-keepHours-error");
        b.expect(StatusCode::UNPROCESSABLE_ENTITY, &format!("value=\"{asked}\""));
        b.post(&restore, &[("how", "beside"), ("keepHours", asked)]).await;
        b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-keepHours-error");
    }
    // As many hours as nobody keeps one for are refused, whatever else there would be to say.
    for asked in ["0", "721"] {
        b.get(&restore).await.post(&restore, &[("how", "beside"), ("keepHours", asked)]).await;
        b.expect(StatusCode::UNPROCESSABLE_ENTITY, "kept from 1 to 720 hours");
        b.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-keepHours-error");
    }
}
