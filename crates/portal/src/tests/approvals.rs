//! Two owners: what one may not do alone, asked for and agreed to on pages.

use super::*;
use access::invitations::actions as invitations;

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_second_person_is_asked_for_where_it_was_refused_and_approved_in_two_taps() {
    let house = House::new();
    let tenant = customer(&house, "Brightwater", "owner@example.com");
    for (email, role) in [("second@example.com", "owner"), ("member@example.com", "member")] {
        let invite = invitations::InviteAccount {
            tenant: Some(tenant),
            email: email.into(),
            name: role.into(),
            locale: Some("en".into()),
            roles: vec![role.into()],
        };
        house.gate.run(&Cx::system("admin", tenant), &invitations::INVITE, invite).unwrap();
    }
    let mut owner = join(&house, "owner@example.com").await;
    let mut second = join(&house, "second@example.com").await;
    join(&house, "member@example.com").await;
    let age = "UPDATE role_grants SET granted_at = 0";
    house.gate.db().write(move |conn| conn.execute(age, &[]).map(drop)).unwrap();

    // Both owners, and the administrator of the provider, who has `support`.
    owner.get("/approvals/rule").await.expect(StatusCode::OK, "3 could do it now");
    // What only the provider's staff do to the customer's things is said to be theirs, and what is the
    // platform's own is not offered.
    owner.expect(StatusCode::OK, "done by your provider");
    let offered = |page: &str, action: &str| page.contains(&format!("value=\"{action}\""));
    assert!(offered(&owner.page, "service.terminate") && !offered(&owner.page, "host.retire"), "{}", owner.page);
    owner.post("/approvals/rule", &[("what", "rule"), ("action", "account.remove")]).await;
    assert_eq!((owner.status, owner.location.as_str()), (StatusCode::SEE_OTHER, "/approvals/rule"), "{}", owner.page);

    owner.get("/members").await;
    let after = owner.page.split("member@example.com").nth(1).unwrap().split("/members/").nth(1).unwrap();
    let path = format!("/members/{}", after.split('/').next().unwrap());
    owner.post(&format!("{path}/remove"), &[]).await;
    owner.expect(StatusCode::FORBIDDEN, "This needs a second person");
    owner.expect(StatusCode::FORBIDDEN, "part in the organisation");
    let input = format!("{{\"account\":\"{}\"}}", path.rsplit('/').next().unwrap());
    let ask = |why| [("action", "account.remove"), ("input", input.as_str()), ("reason", why)];
    owner.post("/approvals", &ask("")).await.expect(StatusCode::FORBIDDEN, "f-reason-error");
    owner.post("/approvals", &ask("left in May")).await;
    assert_eq!(owner.status, StatusCode::SEE_OTHER, "{}", owner.page);
    let asked = owner.location.clone();
    owner.get(&asked).await.expect(StatusCode::OK, "another person decides");
    assert!(!owner.page.contains("value=\"approve\""));

    // One tap from the list, which says how many wait; the second is the decision.
    second.get("/").await.expect(StatusCode::OK, "1 for you to decide");
    second.get("/approvals").await.expect(StatusCode::OK, &format!("href=\"{asked}\""));
    second.get(&asked).await.expect(StatusCode::OK, "left in May");
    let digest = second.page.split("name=\"digest\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let wrong = [("decision", "approve"), ("digest", "00")];
    second.post(&asked, &wrong).await.expect(StatusCode::CONFLICT, "look at it again");
    second.post(&asked, &[("decision", "approve"), ("digest", &digest)]).await;
    assert_eq!(second.location, asked, "{}", second.page);
    second.get(&asked).await.expect(StatusCode::OK, "Approved, and done");
    second.get("/").await;
    assert!(!second.page.contains("for you to decide"));
}
