use base::Kind;
use base::id::AccountId;

use super::actions::{AnnouncementRef, CREATE, END, INBOX, Inbox, InboxAsk, LIST, NewAnnouncement, READ, RECEIPTS};
use super::{Announcement, Audience};
use crate::roles::actions::Nothing;
use crate::testing::House;

fn says(audience: Audience) -> NewAnnouncement {
    NewAnnouncement { audience, title: "Exercise".into(), text: "On Friday.\r\nBe there.".into(), mail: true }
}

fn inbox(house: &House, account: AccountId, unread: bool) -> Inbox {
    house.gate.run(&house.cx(account, None).unwrap(), &INBOX, InboxAsk { unread }).unwrap()
}

fn each(test: impl Fn(&'static str, House)) {
    for (engine, db, _keep) in db::testing::databases() {
        test(engine, House::new(db));
    }
}

#[test]
fn everyone_of_the_tenant_is_told_until_they_have_read_and_nobody_else() {
    each(|engine, house| {
        let owner = house.with_role("owner", house.first);
        let mei = house.person("mei@example.com", house.first, &["viewer"]);
        let below = house.person("below@example.com", house.department, &["member"]);
        let elsewhere = house.person("other@example.com", house.second, &["owner"]);
        let made: Announcement = house.gate.run(&owner, &CREATE, says(Audience::Own)).unwrap();
        assert_eq!((made.told, made.read, made.text.as_str()), (3, 0, "On Friday.\nBe there."), "{engine}");
        assert_eq!(inbox(&house, below, true).items.len(), 1, "{engine}: departments too");
        assert!(inbox(&house, elsewhere, true).items.is_empty(), "{engine}");
        let this = AnnouncementRef { id: made.id };
        let none = house.gate.run(&house.cx(elsewhere, None).unwrap(), &READ, this.clone()).unwrap_err();
        assert_eq!(none.kind(), Kind::NotFound, "{engine}: it is not addressed to them");
        let left = house.gate.run(&house.cx(mei, None).unwrap(), &READ, this.clone()).unwrap();
        assert!(left.items.is_empty(), "{engine}");
        assert!(inbox(&house, mei, false).items[0].read_at.is_some(), "{engine}: it can be read again");
        let seen = house.gate.run(&owner, &RECEIPTS, this.clone()).unwrap();
        let names: Vec<_> = seen.people.iter().map(|one| (one.name.as_str(), one.read_at.is_some())).collect();
        assert_eq!((names.len(), names[2]), (3, ("mei@example.com", true)), "{engine}: those first who have not");
        house.gate.run(&owner, &END, this).unwrap();
        assert!(inbox(&house, below, true).items.is_empty(), "{engine}");
        assert_eq!(house.gate.run(&owner, &LIST, Nothing {}).unwrap().items[0].read, 1, "{engine}");
    });
}

#[test]
fn the_operator_tells_its_customers_and_sees_how_many_have_read() {
    each(|engine, house| {
        let staff = house.with_role("administrator", house.first);
        let mei = house.person("mei@example.com", house.first, &["viewer"]);
        house.person("other@example.com", house.second, &["owner"]);
        let made = house.gate.run(&staff, &CREATE, says(Audience::Customers)).unwrap();
        assert_eq!(made.told, 2, "{engine}: customers, not the staff");
        house.gate.run(&house.cx(mei, None).unwrap(), &READ, AnnouncementRef { id: made.id }).unwrap();
        let seen = house.gate.run(&staff, &RECEIPTS, AnnouncementRef { id: made.id }).unwrap();
        let tenants: Vec<_> = seen.tenants.iter().map(|one| (one.name.as_str(), one.told, one.read)).collect();
        assert!(seen.people.is_empty(), "{engine}: names are the customers' own");
        assert_eq!(tenants, [("tenant 2", 1, 1), ("tenant 4", 1, 0)], "{engine}");
        let own = house.gate.run(&staff, &CREATE, says(Audience::Own)).unwrap();
        assert_eq!(own.told, 1, "{engine}: the staff alone");
    });
}

#[test]
fn a_customer_tells_its_own_people_alone_and_not_everybody_may() {
    each(|engine, house| {
        let owner = house.with_role("owner", house.first);
        let wide = house.gate.run(&owner, &CREATE, says(Audience::Customers)).unwrap_err();
        assert_eq!(wide.code(), "announcement.audience", "{engine}");
        for role in ["member", "viewer", "billing-viewer"] {
            let cx = house.with_role(role, house.first);
            assert_eq!(
                house.gate.run(&cx, &CREATE, says(Audience::Own)).unwrap_err().kind(),
                Kind::Forbidden,
                "{role}"
            );
        }
        let made = house.gate.run(&owner, &CREATE, says(Audience::Own)).unwrap();
        let other = house.with_role("owner", house.second);
        let unseen = house.gate.run(&other, &RECEIPTS, AnnouncementRef { id: made.id }).unwrap_err();
        assert_eq!(unseen.kind(), Kind::NotFound, "{engine}");
        let empty = NewAnnouncement { text: " ".into(), ..says(Audience::Own) };
        assert_eq!(house.gate.run(&owner, &CREATE, empty).unwrap_err().code(), "announcement.text", "{engine}");
    });
}
