//! Passing over a step at which a run is stuck.

use super::*;

/// An order of a customer whose run has come to an end, there being no host.
pub(super) async fn ended_run(house: &House) -> String {
    customer(house, "Brightwater", "owner@example.com");
    let mut browser = join(house, "owner@example.com").await;
    browser.get("/catalog").await;
    let offering = browser.page.split("href=\"/catalog/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    browser.get(&format!("/catalog/{offering}")).await;
    let form = configured(&browser.page);
    let mut fields: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    fields.retain(|(name, _)| *name != "name" && *name != "csrf");
    fields.push(("name", "web site"));
    browser.post(&format!("/catalog/{offering}"), &fields).await;
    assert_eq!(browser.status, StatusCode::SEE_OTHER, "{}", browser.page);
    for _ in 0..200 {
        let found = house.gate.db().read(|conn| {
            conn.query_opt("SELECT id FROM flow_runs WHERE state = 'undone'", db::args![], |row| row.get::<String>(0))
        });
        if let Some(run) = found.unwrap() {
            return run;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the run has not ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_skips_a_step_is_asked_for_what_later_steps_read_of_it() {
    let house = House::new();
    let run = ended_run(&house).await;
    let stuck = "UPDATE flow_runs SET state = 'stuck', step = 1, backward = 0, phase = 'first', wait_key = NULL,
                 due_at = NULL WHERE id = $1";
    let id = run.clone();
    house.gate.db().write(move |conn| conn.execute(stuck, db::args![id])).unwrap();
    let mut browser = Browser::new(&house);
    browser.sign_in("admin@example.com").await;
    browser.get(&format!("/operator/flows/{run}")).await.expect(StatusCode::OK, "What the step gives");
    let skip = format!("/operator/flows/{run}/skip");
    browser.get(&skip).await.expect(StatusCode::OK, "Members: placed (array)");
    for (output, error) in [
        ("", "a later step reads what this one gives"),
        ("{", "This is not JSON"),
        ("{\"placed\": 7}", "output.placed"),
    ] {
        browser.get(&skip).await.post(&skip, &[("reason", "by hand"), ("output", output)]).await;
        browser.expect(StatusCode::UNPROCESSABLE_ENTITY, error);
        browser.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-skipoutput-error");
        browser.expect(StatusCode::UNPROCESSABLE_ENTITY, "by hand");
    }
    browser.get(&skip).await.post(&skip, &[("reason", ""), ("output", "{\"placed\": []}")]).await;
    browser.expect(StatusCode::UNPROCESSABLE_ENTITY, "f-skipreason-error");
    browser.post(&skip, &[("reason", "placed by hand"), ("output", "{\"placed\": []}")]).await;
    assert_eq!(browser.status, StatusCode::SEE_OTHER, "{}", browser.page);
    browser.get(&format!("/operator/flows/{run}")).await.expect(StatusCode::OK, "placed by hand");
}
