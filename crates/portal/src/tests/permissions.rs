//! From a refusal to its explanation, and who can, on pages.

use super::*;
use access::invitations::actions as invitations;

fn invited(house: &House, tenant: TenantId, email: &str, role: &str) {
    let invite = invitations::InviteAccount {
        tenant: Some(tenant),
        email: email.into(),
        name: "Vera".into(),
        locale: Some("en".into()),
        roles: vec![role.into()],
    };
    house.gate.run(&Cx::system("admin", tenant), &invitations::INVITE, invite).unwrap();
}

/// Asks until the refusal, which is written behind the answer, is there.
async fn explained(browser: &mut Browser<'_>, path: &str) {
    for _ in 0..200 {
        browser.get(path).await;
        if browser.status != StatusCode::NOT_FOUND {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn between<'p>(page: &'p str, mark: &str) -> &'p str {
    page.split(mark).nth(1).unwrap_or_else(|| panic!("no {mark}: {page}")).split(['"', '<']).next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leads_to_its_explanation_in_both_languages() {
    let house = House::new();
    let tenant = customer(&house, "Brightwater", "owner@example.com");
    invited(&house, tenant, "viewer@example.com", "viewer");
    let mut viewer = join(&house, "viewer@example.com").await;
    viewer.get("/service-accounts").await.expect(StatusCode::FORBIDDEN, "Why was I refused?");
    let why = between(&viewer.page, "href=\"/why").replace("&#38;", "&");
    let why = format!("/why{why}");
    explained(&mut viewer, &why).await;
    viewer.expect(StatusCode::OK, "Refused at: Roles and policies");
    viewer.expect(StatusCode::OK, "Manages members, orders and bills");
    viewer.expect(StatusCode::OK, "<code>serviceAccount.list</code>");
    viewer.get(&format!("{why}&lang=zh")).await.expect(StatusCode::OK, "允許這個動作的角色");
    viewer.get(&format!("{why}&lang=en")).await.expect(StatusCode::OK, "refused by the same gate");

    // The owner finds it in what was done; a neighbour does not.
    let mut owner = join(&house, "owner@example.com").await;
    owner.get(&why).await.expect(StatusCode::OK, "Refused at: Roles and policies");
    assert!(!owner.page.contains("· you"), "it is another's");
    owner.expect(StatusCode::OK, "href=\"/who?action=serviceAccount.list\"");
    customer(&house, "Neighbour", "other@example.com");
    let mut other = join(&house, "other@example.com").await;
    other.get(&why).await.expect(StatusCode::NOT_FOUND, "f-id-error");
    other.get("/why?id=%3Cb%3E&lang=zh").await.expect(StatusCode::BAD_REQUEST, "請輸入請求編號");
    assert!(other.page.contains("value=\"&#60;b&#62;\""), "what was typed is shown, never run: {}", other.page);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_offers_no_explanation() {
    let house = House::new();
    customer(&house, "Brightwater", "owner@example.com");
    let mut owner = join(&house, "owner@example.com").await;
    owner.get("/service-accounts/acc_00000000000000000000000000").await.expect(StatusCode::NOT_FOUND, "request-id");
    assert!(!owner.page.contains("href=\"/why?id="), "{}", owner.page);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_is_shown_to_those_who_may_read_roles() {
    let house = House::new();
    let tenant = customer(&house, "Brightwater", "owner@example.com");
    invited(&house, tenant, "viewer@example.com", "viewer");
    let mut viewer = join(&house, "viewer@example.com").await;
    viewer.get("/who").await;
    assert_eq!(viewer.status, StatusCode::FORBIDDEN);
    let mut owner = join(&house, "owner@example.com").await;
    owner.get("/members").await.expect(StatusCode::OK, "href=\"/who\"");
    owner.get("/who").await.expect(StatusCode::OK, "<option value=\"service.reboot\"");
    owner.get("/who?action=account.suspend&on=").await.expect(StatusCode::OK, ">Mei<");
    owner.expect(StatusCode::OK, "given here");
    assert!(!owner.page.contains(">Vera<"), "{}", owner.page);
    owner.get("/who?action=service.reboot&on=svc_00000000000000000000000000").await;
    owner.expect(StatusCode::NOT_FOUND, "f-on-error");
    owner.get("/who?action=nothing.such").await.expect(StatusCode::BAD_REQUEST, "f-action-error");
    owner.get("/who?action=session.list&lang=zh").await.expect(StatusCode::OK, "在這個組織有任何角色的人都可以做");
}
