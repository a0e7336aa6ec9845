//! Studies of a real inventory, on both engines, with what drills and restores left behind.

use commerce::testing::{manager, member};
use gate::Cx;

use super::actions::*;
use crate::backups::tests::{CUSTOMER, House};
use crate::bia::ASSESS;
use crate::bia::tests::judged;
use crate::impact::Kind;
use crate::inventory::Said;
use crate::inventory::actions::{PUT, PutThing};
use crate::inventory::tests::{add, needs, new};

/// A service with a copy on its own host and one far away, an activity with an hour, and a feed.
fn each(test: impl Fn(House)) {
    for (_, db, _keep) in db::testing::databases() {
        let (house, _, _) = House::sheltered(db);
        house.taken();
        let cx = &member(CUSTOMER);
        add(&house, cx, new(Kind::Power, "Feed", "feed")).unwrap();
        let mut sales = new(Kind::Activity, "Sales", "sales");
        sales.needs = vec![needs(1, &[&house.service]), needs(1, &["feed"])];
        add(&house, cx, sales).unwrap();
        house.gate().run(cx, &ASSESS, judged("sales", 3_600)).unwrap();
        test(house);
    }
}

fn what_if(house: &House, cx: &Cx, failed: &[&str]) -> base::Result<Outcome> {
    let failed = failed.iter().map(|one| (*one).to_owned()).collect();
    house.gate().run(cx, &STUDY, WhatIf { failed, ..WhatIf::default() })
}

/// A restore from the far place was seen to bring so many bytes in a second.
fn measured(house: &House, bytes: i64) {
    let service = house.service.clone();
    let sql = "INSERT INTO recoveries (id, tenant, service, point, place, repository, purpose, subject_kind, subject_id, opened_at, ended_at)
         SELECT 'rcvy_' || r.place, p.tenant, p.service, p.id, r.place, r.id, 'drill', 'drill', 'x', 1, 2 FROM recovery_points p
         JOIN recovery_copies c ON c.point = p.id JOIN backup_repositories r ON r.id = c.repository WHERE p.service = $1";
    let disks = "INSERT INTO recovery_disks (recovery, machine, disk, bytes, ms, verify_ms, digest)
         SELECT id, 'm', 'd', $1, 900, 100, 'x' FROM recoveries";
    house
        .gate()
        .db()
        .write(move |conn| {
            conn.execute(sql, db::args![service])?;
            conn.execute(disks, db::args![bytes])
        })
        .unwrap();
}

#[test]
fn what_was_never_measured_is_no_figure() {
    each(|house| {
        let (cx, host) = (&member(CUSTOMER), house.machine().0.to_string());
        let outcome = what_if(&house, cx, &[&host]).unwrap();
        let sales = &outcome.activities[0];
        assert_eq!((sales.what.name.as_str(), sales.back.after_seconds), ("Sales", None));
        assert!(sales.rto_missed && sales.mtpd_missed && outcome.measured_seconds.is_none());
        let cause = &sales.causes[0];
        assert_eq!(
            (sales.causes.len(), cause.what.id.as_str(), cause.why),
            (1, house.machine().1.as_str(), WhyNot::NeverMeasured)
        );
        let machine = outcome.stopped.iter().find(|one| one.what.id == house.machine().1).unwrap();
        assert_eq!(machine.back.never, Some(WhyNot::NeverMeasured));
        assert!(outcome.moves.is_empty());
        // What never comes back costs the worst there is.
        assert_eq!((outcome.harm, outcome.unit.as_str()), (1_000, "points"));
    });
}

#[test]
fn a_lost_host_is_counted_in_measured_seconds_and_real_bytes() {
    each(|house| {
        // The disks have a MiB; a hundredth of that in a second was seen.
        measured(&house, 10_486);
        house.gate().clock().advance(std::time::Duration::from_secs(600));
        let (cx, host) = (&member(CUSTOMER), house.machine().0.to_string());
        let outcome = what_if(&house, cx, &[&host]).unwrap();
        let moved = &outcome.moves[0];
        assert_eq!((moved.from.as_str(), moved.to.as_str()), ("far", "h2"), "the near copy went with its host");
        let noticed = u64::try_from(base::limits::HOST_SILENCE_SECONDS).unwrap();
        assert_eq!((moved.start_seconds, moved.end_seconds), (noticed, noticed + 100));
        assert!((600..700).contains(&moved.loses_seconds), "{}", moved.loses_seconds);
        let sales = &outcome.activities[0];
        assert!(sales.back.after_seconds.is_some_and(|after| after >= noticed + 100));
        assert!(!sales.rto_missed && !sales.mtpd_missed);
        assert_eq!(sales.loss.unwrap().seconds, Some(moved.loses_seconds));
        // Where people take two hours to decide, the objective is missed.
        let slow = WhatIf { failed: vec![host.clone()], decide_seconds: 7_200, ..WhatIf::default() };
        assert!(house.gate().run(cx, &STUDY, slow).unwrap().activities[0].rto_missed);
        // Where the other host is full, nothing comes back: N+1 by arithmetic.
        house.gate().db().write(|conn| conn.execute("UPDATE hosts SET state = 'draining'", &[])).unwrap();
        let full = what_if(&house, cx, &[&host]).unwrap();
        let machine = full.stopped.iter().find(|one| one.what.id == house.machine().1).unwrap();
        assert_eq!(machine.back.never, Some(WhyNot::NoRoom));
    });
}

#[test]
fn single_points_are_ranked_by_harm_and_what_has_a_second_is_none() {
    each(|house| {
        let cx = &member(CUSTOMER);
        let ranked = || house.gate().run(cx, &RANK, RankAsk { limit: Some(100), ..RankAsk::default() }).unwrap();
        let names = |ranking: &Ranking| ranking.items.iter().map(|one| one.what.name.clone()).collect::<Vec<_>>();
        let all = ranked();
        let of = |name: &str| all.items.iter().find(|one| one.what.name == name).unwrap();
        assert_eq!((of("h1").never, of("h1").unmeasured), (1, 1), "only because nothing was measured");
        assert_eq!((of("Feed").never, of("Feed").unmeasured), (1, 0), "nobody said how long its repair takes");
        assert!(names(&all).contains(&"Feed".to_owned()) && all.items.iter().all(|one| one.harm == 1_000));
        assert!(all.items.iter().all(|one| one.what.kind != Kind::Activity && one.what.kind != Kind::BackupPlace));
        assert_eq!((all.total, all.tried), (all.items.len(), 8));
        // A second feed, of which one suffices.
        add(&house, cx, new(Kind::Power, "Feed B", "feed-b")).unwrap();
        let both = vec![needs(1, &[&house.service]), needs(1, &["feed", "feed-b"])];
        let change = PutThing {
            id: "sales".into(),
            tenant: None,
            revision: None,
            name: None,
            key: None,
            within: None,
            needs: Some(both),
            said: Said::default(),
        };
        house.gate().run(cx, &PUT, change).unwrap();
        assert!(!names(&ranked()).iter().any(|name| name.starts_with("Feed")));
        let pair = what_if(&house, cx, &["feed", "feed-b"]).unwrap();
        assert_eq!(pair.activities[0].causes.len(), 2);
        assert_eq!(pair.activities[0].back.never, Some(WhyNot::Needs));
        assert_eq!(pair.failed.len(), 2);
    });
}

#[test]
fn risks_are_likelihood_times_harm_and_what_nobody_judged_stands_apart() {
    each(|house| {
        let cx = &member(CUSTOMER);
        let ranked = |by| house.gate().run(cx, &RANK, RankAsk { by, ..RankAsk::default() }).unwrap();
        let before = ranked(By::Risk);
        assert_eq!((before.judged, before.items[0].risk), (0, None), "nobody judged anything");
        let judge = |likelihood| PutThing {
            id: "feed".into(),
            tenant: None,
            revision: None,
            name: None,
            key: None,
            within: None,
            needs: None,
            said: Said { likelihood: Some(likelihood), ..Said::default() },
        };
        house.gate().run(cx, &PUT, judge(4)).unwrap();
        let after = ranked(By::Risk);
        let first = &after.items[0];
        let told = (first.what.name.as_str(), first.likelihood, first.risk, after.judged);
        assert_eq!(told, ("Feed", Some(4), Some(4_000), 1));
        assert!(after.items[1..].iter().all(|one| one.risk.is_none()) && after.total == before.total);
        assert_eq!(ranked(By::Harm).items.len(), after.items.len(), "nothing is left out for want of a judgement");
        assert_eq!(house.gate().run(cx, &PUT, judge(6)).unwrap_err().code(), "inventory.likelihood");
    });
}

#[test]
fn the_operator_sees_whose_services_stop_and_a_stranger_nothing() {
    each(|house| {
        let host = house.machine().0.to_string();
        let outcome = what_if(&house, &manager(), &[&host]).unwrap();
        let stopped = &outcome.activities[0];
        assert_eq!((stopped.what.kind, stopped.what.id.as_str()), (Kind::Service, house.service.as_str()));
        assert_eq!(stopped.what.tenant, base::id::TenantId(CUSTOMER));
        assert!(!outcome.stopped.iter().any(|one| one.what.kind == Kind::Activity), "what customers do is theirs");
        for cx in [member(3), member(4)] {
            assert_eq!(what_if(&house, &cx, &[&host]).unwrap_err().code(), "inventory.not_found");
            assert_eq!(house.gate().run(&cx, &RANK, RankAsk::default()).unwrap().total, 0);
        }
        for wrong in [vec![], vec!["x"; 11]] {
            assert_eq!(what_if(&house, &manager(), &wrong).unwrap_err().code(), "impact.failed");
        }
        let other = house.town.hosts.iter().map(ToString::to_string).find(|one| *one != host).unwrap();
        assert_eq!(what_if(&house, &member(CUSTOMER), &[&other]).unwrap_err().code(), "inventory.not_found");
    });
}

#[test]
fn a_machine_that_was_made_again_has_the_copies_of_the_one_before() {
    each(|house| {
        measured(&house, 10_486);
        let (_, machine) = house.machine();
        let write = move |conn: &mut db::Conn<'_>| {
            conn.execute(
                "INSERT INTO restores (id, tenant, service, beside, wish, state, requested_at)
                 SELECT 'rstr_x', tenant, service, 0, '{}', 'done', 1 FROM protections",
                &[],
            )?;
            conn.execute(
                "INSERT INTO restore_machines (restore, machine, made) VALUES ('rstr_x', 'vm_before', $1)",
                db::args![machine],
            )?;
            conn.execute("UPDATE recovery_copies SET part = 'vm_before'", &[])?;
            conn.execute("UPDATE recovery_parts SET part = 'vm_before'", &[])
        };
        house.gate().db().write(write).unwrap();
        let host = house.machine().0.to_string();
        assert_eq!(what_if(&house, &member(CUSTOMER), &[&host]).unwrap().moves[0].from, "far");
    });
}
