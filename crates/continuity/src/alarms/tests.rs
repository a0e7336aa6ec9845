//! Alarms on a real database, on both engines: what raises them, what clears them, who is told.

use std::time::Duration;

use base::id::TenantId;
use commerce::testing::{OPERATOR, manager, member};
use drivers::wire::{Outcome, Work};

use super::actions::{ACKNOWLEDGE, CLEAR, LIST, ListAlarms, SayOfAlarm};
use super::*;
use crate::backups::points::State;
use crate::backups::protections;
use crate::backups::tests::{Answer, Behaviour, CUSTOMER, House, each_house};

fn all(house: &House, cx: &gate::Cx) -> Vec<Alarm> {
    house.gate().run(cx, &LIST, ListAlarms::default()).unwrap().items
}

fn open(house: &House) -> Vec<Cause> {
    let mut causes: Vec<Cause> = all(house, &member(CUSTOMER)).iter().map(|alarm| alarm.probable_cause).collect();
    causes.sort_unstable();
    causes
}

/// Agents of which those steps fail.
fn failing(at: fn(&Work) -> bool) -> Behaviour {
    Behaviour::of(move |task, _, outcome| match at(&task.work) {
        true => Answer::Fail("repository.unreachable".to_owned()),
        false => Answer::Say(outcome),
    })
}

/// Takes a point of which so many bytes are new, and lets it end.
fn take(house: &House, added: u64) -> RecoveryPointState {
    house.gate().clock().advance(Duration::from_secs(3_600));
    let id = house.take().id;
    house.settle(&Behaviour::of(move |_, _, outcome| {
        Answer::Say(match outcome {
            Outcome::MachineBackedUp {
                snapshot,
                tree,
                taken_at,
                consistency,
                disks,
                bytes,
                stored_bytes,
                seconds,
                ..
            } => {
                let added_bytes = added;
                Outcome::MachineBackedUp {
                    snapshot,
                    tree,
                    taken_at,
                    consistency,
                    disks,
                    bytes,
                    added_bytes,
                    stored_bytes,
                    seconds,
                }
            }
            other => other,
        })
    }));
    RecoveryPointState(house.point(id).state)
}

#[derive(Debug, PartialEq)]
struct RecoveryPointState(State);

#[test]
fn what_fails_is_raised_once_counted_and_cleared_by_what_succeeds() {
    each_house(|engine, house| {
        assert_eq!(open(&house), [], "{engine}");
        for times in 1..=2 {
            let id = house.take().id;
            house.settle(&failing(|work| matches!(work, Work::BackUpMachine { .. })));
            for _ in 0..72 {
                if house.point(id).state != State::Taking {
                    break;
                }
                house.gate().clock().advance(Duration::from_secs(3_600));
                house.settle(&failing(|work| matches!(work, Work::BackUpMachine { .. })));
            }
            assert_eq!(open(&house), [Cause::BackupFailed], "{engine}");
            let alarm = all(&house, &member(CUSTOMER)).remove(0);
            assert_eq!((alarm.times, alarm.perceived_severity), (times, Severity::Major), "{engine}");
            assert_eq!(alarm.specific_problem.code, "repository.unreachable", "{engine}");
            assert_eq!(
                (alarm.alarmed_object.id.as_str(), alarm.alarmed_object.name.is_empty()),
                (house.service.as_str(), false)
            );
            house.gate().clock().advance(Duration::from_secs(60));
        }
        let id = house.take().id;
        house.settle(&failing(|work| matches!(work, Work::CopySnapshots { .. })));
        assert_eq!(house.point(id).state, State::Degraded);
        assert_eq!(open(&house), [Cause::BackupDegraded], "{engine}: something can be restored again");
        house.gate().clock().advance(Duration::from_secs(60));
        house.taken();
        assert_eq!(open(&house), [], "{engine}");
        let ended = ListAlarms { cleared: true, ..ListAlarms::default() };
        let ended = house.gate().run(&member(CUSTOMER), &LIST, ended).unwrap().items;
        assert!(
            ended.len() == 2 && ended.iter().all(|alarm| alarm.clear_user.as_deref() == Some("system")),
            "{engine}"
        );
    });
}

#[test]
fn a_service_without_a_new_point_for_two_runs_is_overdue_until_there_is_one() {
    each_house(|engine, house| {
        house.taken();
        let day = Duration::from_secs(86_400);
        house.gate().clock().advance(day);
        watch::look(house.gate()).unwrap();
        assert_eq!(open(&house), [], "{engine}: one run may be late");
        house.gate().clock().advance(day);
        house.gate().clock().advance(Duration::from_secs(3_600));
        watch::look(house.gate()).unwrap();
        watch::look(house.gate()).unwrap();
        assert_eq!(open(&house), [Cause::BackupOverdue], "{engine}");
        assert_eq!(all(&house, &manager())[0].times, 1, "{engine}: what is known is not said again");
        house.taken();
        assert_eq!(open(&house), [], "{engine}");
        // What is not backed up any more cannot be late.
        house.gate().clock().advance(day * 4);
        watch::look(house.gate()).unwrap();
        house.gate().run(&manager(), &protections::END, house.this()).unwrap();
        assert_eq!(open(&house), [], "{engine}");
        watch::look(house.gate()).unwrap();
        assert_eq!(open(&house), [], "{engine}");
    });
}

#[test]
fn data_that_is_new_as_a_whole_is_unusual_and_holds_the_points_until_a_person_has_looked() {
    each_house(|engine, house| {
        for added in [9_000, 4_000, 5_000, 6_000, 4_000, 5_000] {
            take(&house, added);
        }
        assert_eq!(open(&house), [], "{engine}");
        assert_eq!(take(&house, 900_000), RecoveryPointState(State::Available), "{engine}: it can be restored from");
        assert_eq!(open(&house), [Cause::BackupUnusual], "{engine}");
        let hold = |house: &House| {
            let service = house.service.clone();
            house.gate().db().read(move |conn| holds_points(conn, &service)).unwrap()
        };
        assert!(hold(&house), "{engine}");
        take(&house, 5_000);
        assert_eq!(open(&house), [Cause::BackupUnusual], "{engine}: a usual one afterwards does not make it good");

        let alarm = all(&house, &member(CUSTOMER)).remove(0).id;
        let say = |note: &str| SayOfAlarm { id: alarm, note: note.into() };
        let code = |result: Result<Alarm>| result.unwrap_err().code().to_owned();
        assert_eq!(code(house.gate().run(&member(3), &CLEAR, say("mine"))), "alarm.not_found", "{engine}");
        assert_eq!(code(house.gate().run(&member(CUSTOMER), &CLEAR, say(" "))), "alarm.note", "{engine}");
        assert_eq!(code(house.gate().run(&member(CUSTOMER), &CLEAR, say("a\u{7}"))), "alarm.note", "{engine}");
        let cleared = house.gate().run(&member(CUSTOMER), &CLEAR, say("the yearly import")).unwrap();
        assert!(cleared.alarm_cleared_time.is_some() && cleared.note == "the yearly import", "{engine}");
        assert_eq!((open(&house), hold(&house)), (vec![], false), "{engine}");
        assert_eq!(code(house.gate().run(&member(CUSTOMER), &CLEAR, say("again"))), "alarm.cleared", "{engine}");
    });
}

#[test]
fn an_alarm_that_clears_itself_is_acknowledged_and_stays() {
    each_house(|engine, house| {
        house.gate().clock().advance(Duration::from_secs(4 * 86_400));
        watch::look(house.gate()).unwrap();
        let id = all(&house, &manager()).remove(0).id;
        let say = || SayOfAlarm { id, note: "on it".into() };
        let refused = house.gate().run(&manager(), &CLEAR, say()).unwrap_err();
        assert_eq!(refused.code(), "alarm.clears_itself", "{engine}");
        let seen = house.gate().run(&member(CUSTOMER), &ACKNOWLEDGE, say()).unwrap();
        assert!(seen.ack_user.is_some() && seen.alarm_cleared_time.is_none() && seen.note == "on it", "{engine}");
        assert_eq!(open(&house), [Cause::BackupOverdue], "{engine}");
        // Somebody else has none of it.
        assert!(all(&house, &member(3)).is_empty(), "{engine}");
    });
}

#[test]
fn its_people_and_the_operators_are_told_once_each_in_their_own_language() {
    each_house(|engine, house| {
        let account = |id: u128, tenant: u128, role: &'static str, locale: &'static str| {
            move |conn: &mut db::Conn<'_>| -> Result<()> {
                let (id, tenant) = (base::id::AccountId(id), TenantId(tenant));
                let sql = "INSERT INTO tenants (id, parent, path, kind) VALUES ($1, $2, $3, 'customer') ON CONFLICT (id) DO NOTHING";
                conn.execute(sql, db::args![tenant, OPERATOR, format!("o/{tenant}/")])?;
                conn.execute(
                    "INSERT INTO accounts (id, home, kind, email, email_key, name, locale, state, created_at) VALUES ($1, $2, 'person', $3, $3, 'Somebody', $4, 'active', 0)",
                    db::args![id, tenant, format!("{id}@example.com"), locale],
                )?;
                let sql = "INSERT INTO role_grants (account, tenant, role, granted_at, granted_by) VALUES ($1, $2, $3, 0, 'test')";
                conn.execute(sql, db::args![id, tenant, role]).map(drop)
            }
        };
        house.gate().db().write(account(101, CUSTOMER, "owner", "zh-TW")).unwrap();
        house.gate().db().write(account(102, CUSTOMER, "member", "zh-TW")).unwrap();
        house.gate().db().write(account(103, OPERATOR.0, "operations", "en")).unwrap();
        house.gate().clock().advance(Duration::from_secs(4 * 86_400));
        watch::look(house.gate()).unwrap();
        watch::look_for_untold(house.gate()).unwrap();
        let mails = "SELECT COUNT(*) FROM jobs WHERE kind = 'access.mail'";
        assert_eq!(house.count(mails), 0, "{engine}: it may pass by itself");
        house.gate().clock().advance(Duration::from_secs(61));
        watch::look_for_untold(house.gate()).unwrap();
        watch::look_for_untold(house.gate()).unwrap();
        assert_eq!(house.count(mails), 2, "{engine}: the owner and the operator's, not every member");
        let alarm = all(&house, &manager());
        let alarms: Vec<&Alarm> = alarm.iter().collect();
        let (subject, text) = words::letter(&alarms, false);
        assert!(
            subject.starts_with("There is no new backup: ") && text.contains("no new recovery point since"),
            "{subject} {text}"
        );
        let (subject, text) = words::letter(&alarms, true);
        assert!(
            subject.starts_with("備份逾期") && text.contains("backup.overdue") && !text.contains("recovery point"),
            "{subject} {text}"
        );
        let many: Vec<&Alarm> = std::iter::repeat_n(alarms[0], 25).collect();
        let (subject, text) = words::letter(&many, false);
        assert!(subject == "25 alarms" && text.ends_with("And 5 more."), "{subject}");
    });
}

#[test]
fn an_audit_log_that_does_not_leave_the_house_is_an_alarm_until_it_does() {
    each_house(|engine, house| {
        let sql = |sql: String| house.gate().db().write(move |conn| conn.execute(&sql, &[])).unwrap();
        let causes = || {
            watch::look_at_shipping(house.gate()).unwrap();
            all(&house, &manager()).iter().map(|alarm| alarm.probable_cause).collect::<Vec<_>>()
        };
        let now = base::time::micros(house.gate().now());
        sql(format!(
            "INSERT INTO audit_places (id, tenant, name, target, entries, every_seconds, behind_seconds, shipped, attempts, next_at, revision, created_at)
             VALUES ('{}', '{OPERATOR}', 'far', '{{\"type\":\"directory\",\"path\":\"/srv\"}}', 1, 60, 900, 0, 0, {now}, 1, {now})",
            guard::AuditPlaceId(7)
        ));
        sql(format!("INSERT INTO audit_checkpoints (size, at, note) VALUES (1000000, {now}, 'signed')"));
        house.gate().clock().advance(Duration::from_secs(900));
        assert_eq!(causes(), [], "{engine}");
        house.gate().clock().advance(Duration::from_secs(2));
        assert_eq!(causes(), [Cause::AuditShippingBehind], "{engine}");
        assert_eq!(causes(), [Cause::AuditShippingBehind], "{engine}: once");
        let alarm = all(&house, &manager()).remove(0);
        assert_eq!((alarm.times, alarm.alarmed_object.name.as_str()), (1, "far"), "{engine}");
        sql("UPDATE audit_places SET shipped = 1000000".into());
        assert_eq!(causes(), [], "{engine}");
        // A log that is shorter than what was shipped of it was cut.
        sql("UPDATE audit_places SET shipped = 1000001, shipped_at = 0".into());
        assert_eq!(causes(), [Cause::AuditShippingBehind], "{engine}");
        sql("DELETE FROM audit_places".into());
        assert_eq!(causes(), [], "{engine}: what is shipped to no more is not late");
    });
}
