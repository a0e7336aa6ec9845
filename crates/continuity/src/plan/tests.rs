//! The plan on a real database, on both engines.

use std::time::Duration;

use base::Kind;
use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use commerce::testing::{OPERATOR, member};
use db::records::Scope;
use gate::{Actor, Cx, Gate};
use proptest::prelude::*;
use serde_json::json;

use super::contacts::{self, ChangePerson, Contact, ContactRef, Person};
use super::findings::{self, CloseFinding, ListFindings, NewFinding};
use super::links::{Link, Standing, What};
use super::reviews::{self, NewReview};
use super::steps::{self, ChangeStep, Plan, State};
use super::versions::{self, AskApproval, Decide, VersionRef};
use super::{Nothing, paper};
use crate::ContactId;
use crate::backups::tests::{CUSTOMER, House};
use crate::drills::plans::Scenario;
use crate::drills::tests as drills;
use crate::exercises::{self, Conclude, ExerciseRef, Mode, NewExercise, Terms};
use crate::runbooks::draft::{self, DraftOf};
use crate::runbooks::sharing::{self, ShareRunbook};
use crate::runbooks::{self, Begins, ChangeRunbook, Contents, RunbookRef, Step};
use crate::start;

fn each(test: impl Fn(&'static str, &House)) {
    for (engine, db, _keep) in db::testing::databases() {
        test(engine, &House::protected(db));
    }
}

/// Another account of the same tenant.
fn colleague() -> Cx {
    let scope = Scope::Tenants { own: vec![TenantId(CUSTOMER)], above: vec![] };
    Cx::new(Actor::Account(AccountId(77)), TenantId(CUSTOMER), scope, ["owner".to_owned()].into())
}

fn plan(gate: &Gate) -> Plan {
    gate.run(&member(CUSTOMER), &steps::GET, Nothing {}).unwrap()
}

fn link(plan: &Plan, what: What) -> Link {
    plan.steps.iter().flat_map(|step| &step.links).find(|link| link.what == what).unwrap().clone()
}

fn say(gate: &Gate, change: ChangeStep) -> base::Result<Plan> {
    gate.run(&member(CUSTOMER), &steps::UPDATE, change)?;
    Ok(plan(gate))
}

fn add(gate: &Gate, name: &str, called_by: Option<ContactId>) -> base::Result<Contact> {
    let person = Person { name: name.into(), phone: "0912 345 678".into(), called_by, ..Person::default() };
    gate.run(&member(CUSTOMER), &contacts::CREATE, person)
}

fn finding(text: &str, due_at: Timestamp) -> NewFinding {
    NewFinding { text: text.into(), owner: "Ops".into(), due_at, observed_by: None }
}

#[test]
fn the_nine_steps_are_nine_in_both_languages_and_name_clauses_by_number() {
    let all = steps::definitions().unwrap();
    assert_eq!(all.iter().map(|step| step.number).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    for step in all {
        for text in [&step.title.en, &step.title.zh, &step.text.en, &step.text.zh] {
            assert!(!text.trim().is_empty(), "step {}", step.number);
        }
        let number = |clause: &String| clause.split('.').all(|part| part.parse::<u8>().is_ok_and(|n| n <= 10));
        assert!(!step.clauses.is_empty() && step.clauses.iter().all(number), "step {}", step.number);
    }
}

#[test]
fn a_step_that_says_done_while_what_is_there_says_otherwise_is_shown_so() {
    each(|engine, house| {
        let gate = house.gate();
        let done = |number| ChangeStep {
            number,
            owner: Some("Ada".into()),
            state: Some(State::Done),
            ..ChangeStep::default()
        };
        let now = say(gate, done(1)).unwrap();
        assert!(now.steps[0].contradicted, "{engine}: nothing is written down");
        let text = Some("We sell shoes,\r\nand must go on.".to_owned());
        let now = say(gate, ChangeStep { number: 1, text, ..ChangeStep::default() }).unwrap();
        assert!(!now.steps[0].contradicted, "{engine}");
        assert_eq!(now.steps[0].own_text, "We sell shoes,\nand must go on.");
        let now = say(gate, done(6)).unwrap();
        assert!(now.steps[5].contradicted, "{engine}: one copy of three media was taken by nobody");
        assert_eq!(
            (link(&now, What::Protected).standing, link(&now, What::Copies).standing),
            (Standing::Met, Standing::NotMet)
        );
        assert_eq!(link(&now, What::Copies).names.len(), 1, "{engine}: it says which");
    });
}

#[test]
fn a_step_is_late_when_its_date_has_passed_and_it_is_not_done() {
    each(|engine, house| {
        let gate = house.gate();
        let due_at = Some(gate.now() + Duration::from_secs(60));
        let change = ChangeStep {
            number: 7,
            owner: Some("Ada".into()),
            due_at,
            state: Some(State::InProgress),
            ..ChangeStep::default()
        };
        assert!(!say(gate, change).unwrap().steps[6].overdue, "{engine}");
        gate.clock().advance(Duration::from_secs(61));
        assert!(plan(gate).steps[6].overdue, "{engine}");
        let done = ChangeStep { number: 7, state: Some(State::Done), ..ChangeStep::default() };
        assert!(!say(gate, done).unwrap().steps[6].overdue, "{engine}");
        let none = ChangeStep { number: 7, no_date: true, ..ChangeStep::default() };
        assert_eq!(say(gate, none).unwrap().steps[6].due_at, None, "{engine}");
    });
}

#[test]
fn what_cannot_be_of_a_step_is_refused_with_its_place() {
    each(|engine, house| {
        let gate = house.gate();
        let of = |change: ChangeStep| say(gate, change).unwrap_err();
        let nobody = of(ChangeStep { number: 2, state: Some(State::Done), ..ChangeStep::default() });
        assert_eq!((nobody.code(), nobody.attribute()), ("planStep.owner", Some("owner")), "{engine}");
        assert_eq!(of(ChangeStep { number: 10, ..ChangeStep::default() }).kind(), Kind::NotFound);
        let lines = of(ChangeStep { number: 2, owner: Some("a\nb".into()), ..ChangeStep::default() });
        assert_eq!(lines.code(), "text.control");
        say(gate, ChangeStep { number: 2, owner: Some("Ada".into()), ..ChangeStep::default() }).unwrap();
        let late = of(ChangeStep { number: 2, revision: Some(0), ..ChangeStep::default() });
        assert_eq!(late.code(), "planStep.stale", "{engine}: somebody was faster");
    });
}

#[test]
fn a_plan_is_approved_by_another_account_and_what_changes_afterwards_is_a_draft() {
    each(|engine, house| {
        let (gate, asks) = (house.gate(), member(CUSTOMER));
        assert!(plan(gate).is_draft);
        let first = gate.run(&asks, &versions::ASK, AskApproval::default()).unwrap();
        let yes = |number| Decide { number, approve: true, reason: String::new() };
        assert_eq!(gate.run(&asks, &versions::DECIDE, yes(1)).unwrap_err().code(), "planVersion.own", "{engine}");
        let approved = gate.run(&colleague(), &versions::DECIDE, yes(1)).unwrap();
        assert_eq!((approved.state, &approved.digest), (versions::State::Approved, &first.digest));
        assert!(!plan(gate).is_draft, "{engine}");
        assert_eq!(
            gate.run(&asks, &versions::ASK, AskApproval::default()).unwrap_err().code(),
            "planVersion.unchanged"
        );
        say(gate, ChangeStep { number: 3, owner: Some("Lin".into()), ..ChangeStep::default() }).unwrap();
        assert!(plan(gate).is_draft, "{engine}: somebody changed it");
        let second = gate.run(&asks, &versions::ASK, AskApproval { note: "owner".into() }).unwrap();
        let shown = gate.run(&asks, &versions::GET, VersionRef { number: second.number }).unwrap();
        let at: Vec<&str> = shown.differences.iter().map(|one| one.at.as_str()).collect();
        assert_eq!((shown.since, at), (Some(1), vec!["steps.3.owner"]), "{engine}");
        let no = Decide { number: 2, approve: false, reason: " ".into() };
        assert_eq!(gate.run(&colleague(), &versions::DECIDE, no).unwrap_err().code(), "text.empty", "a no says why");
        // Asking anew takes the place of what waits.
        gate.run(&asks, &versions::ASK, AskApproval::default()).unwrap();
        assert_eq!(gate.run(&colleague(), &versions::DECIDE, yes(2)).unwrap_err().code(), "planVersion.decided");
        assert_eq!(plan(gate).waiting.unwrap().number, 3, "{engine}");
    });
}

#[test]
fn a_frozen_version_holds_no_telephone_and_no_name_of_the_team() {
    each(|engine, house| {
        let gate = house.gate();
        add(gate, "Secret Person", None).unwrap();
        gate.run(&member(CUSTOMER), &versions::ASK, AskApproval::default()).unwrap();
        let shown = gate.run(&member(CUSTOMER), &versions::GET, VersionRef { number: 1 }).unwrap();
        let text = serde_json::to_string(&shown.plan).unwrap();
        assert!(text.contains("cont_") && !text.contains("0912") && !text.contains("Secret"), "{engine}: {text}");
    });
}

#[test]
fn who_calls_whom_is_a_tree_and_stays_one_when_somebody_leaves() {
    each(|engine, house| {
        let (gate, cx) = (house.gate(), member(CUSTOMER));
        let top = add(gate, "Top", None).unwrap();
        let middle = add(gate, "Middle", Some(top.id)).unwrap();
        let low = add(gate, "Low", Some(middle.id)).unwrap();
        let round = Person { name: "Top".into(), phone: "1".into(), called_by: Some(low.id), ..Person::default() };
        let round = ChangePerson { id: top.id, person: round };
        assert_eq!(gate.run(&cx, &contacts::UPDATE, round).unwrap_err().code(), "contact.circle", "{engine}");
        let team = gate.run(&cx, &contacts::LIST, Nothing {}).unwrap().items;
        let seen: Vec<_> = team.iter().map(|call| (call.depth, call.contact.name.as_str())).collect();
        assert_eq!(seen, [(0, "Top"), (1, "Middle"), (2, "Low")], "{engine}");
        gate.run(&cx, &contacts::REMOVE, ContactRef { id: middle.id }).unwrap();
        let team = gate.run(&cx, &contacts::LIST, Nothing {}).unwrap().items;
        let seen: Vec<_> = team.iter().map(|call| (call.depth, call.contact.name.as_str())).collect();
        assert_eq!(seen, [(0, "Top"), (1, "Low")], "{engine}: the caller of who left calls now");
        let mute = Person { name: "Mute".into(), ..Person::default() };
        assert_eq!(gate.run(&cx, &contacts::CREATE, mute).unwrap_err().code(), "contact.unreachable");
        let stranger = member(CUSTOMER + 1);
        assert!(gate.run(&stranger, &contacts::LIST, Nothing {}).unwrap().items.is_empty());
        let gone = gate.run(&stranger, &contacts::REMOVE, ContactRef { id: top.id }).unwrap_err();
        assert_eq!(gone.kind(), Kind::NotFound, "{engine}");
        assert_eq!(gate.run(&cx, &contacts::GET, ContactRef { id: top.id }).unwrap().name, "Top", "{engine}");
        let hidden = gate.run(&stranger, &contacts::GET, ContactRef { id: top.id }).unwrap_err();
        assert_eq!(hidden.code(), "contact.not_found", "{engine}");
    });
}

#[test]
fn a_review_finds_something_which_is_closed_with_what_was_done() {
    each(|engine, house| {
        let (gate, cx) = (house.gate(), member(CUSTOMER));
        let day = Duration::from_secs(86_400);
        assert_eq!(link(&plan(gate), What::Review).standing, Standing::NotProven, "{engine}");
        let review = NewReview {
            held_at: None,
            held_by: "Ada, Lin".into(),
            conclusion: "It fits.".into(),
            next_due: gate.now() + day * 90,
            findings: vec![finding("No deputy for Lin", gate.now() + day)],
        };
        gate.run(&cx, &reviews::RECORD, review).unwrap();
        assert_eq!(link(&plan(gate), What::Review).standing, Standing::Met, "{engine}");
        gate.clock().advance(day * 2);
        let late = link(&plan(gate), What::Findings);
        assert_eq!(
            (late.standing, late.found, late.names),
            (Standing::NotMet, 1, vec!["No deputy for Lin".to_owned()])
        );
        let open = gate.run(&cx, &findings::LIST, ListFindings::default()).unwrap().items;
        let close = CloseFinding { id: open[0].id, note: "Wu is".into() };
        assert!(!gate.run(&cx, &findings::CLOSE, close.clone()).unwrap().open, "{engine}");
        assert_eq!(gate.run(&cx, &findings::CLOSE, close).unwrap_err().code(), "finding.closed");
        assert_eq!(link(&plan(gate), What::Findings).standing, Standing::Met, "{engine}");
        gate.clock().advance(day * 90);
        assert_eq!(link(&plan(gate), What::Review).standing, Standing::NotMet, "{engine}: it is due again");
    });
}

#[test]
fn a_guided_start_makes_what_it_showed_and_a_second_one_doubles_nothing() {
    each(|engine, house| {
        let (gate, cx) = (house.gate(), member(CUSTOMER));
        let who = |name: &str| start::Who { name: name.into(), phone: "0912".into() };
        let urgent =
            start::Urgent { service: house.service.clone(), rto_seconds: 3_600, rpo_seconds: 86_400, policy: None };
        let answers = start::Answers {
            locale: "en".into(),
            purpose: "We sell shoes.".into(),
            lead: who("Ada"),
            deputy: who("Lin"),
            services: vec![urgent],
            policy: None,
        };
        let shown = gate.run(&cx, &start::PREVIEW, answers.clone()).unwrap();
        assert_eq!(shown.items.len(), 2 + 3 + 1 + 9, "{engine}: {:?}", shown.items);
        assert!(gate.run(&cx, &contacts::LIST, Nothing {}).unwrap().items.is_empty(), "{engine}: nothing was made");
        assert_eq!(gate.run(&cx, &start::MAKE, answers.clone()).unwrap(), shown, "{engine}");
        let team = gate.run(&cx, &contacts::LIST, Nothing {}).unwrap().items;
        let calls: Vec<_> =
            team.iter().map(|one| (one.depth, one.contact.name.as_str(), one.deputy_name.as_deref())).collect();
        assert_eq!(calls, [(0, "Ada", Some("Lin")), (1, "Lin", None)], "{engine}");
        let now = plan(gate);
        assert!(now.steps.iter().all(|step| step.owner == "Ada" && step.due_at.is_some()), "{engine}");
        assert_eq!(now.steps[0].own_text, "We sell shoes.");
        for what in [What::Activities, What::Assessed, What::Objectives, What::Needs, What::Runbooks] {
            assert_eq!(link(&now, what).standing, Standing::Met, "{engine}: {what:?}");
        }
        assert_eq!(link(&now, What::Drills).standing, Standing::NotMet, "{engine}: promised, and not drilled yet");
        assert!(gate.run(&cx, &start::MAKE, answers.clone()).unwrap().items.is_empty(), "{engine}");
        let unknown = start::Urgent {
            service: "svc_00000000000000000000000000".into(),
            rto_seconds: 1,
            rpo_seconds: 1,
            policy: None,
        };
        let wrong = start::Answers { lead: who("Wu"), services: vec![unknown], ..answers };
        assert_eq!(gate.run(&cx, &start::MAKE, wrong).unwrap_err().code(), "service.absent", "{engine}");
        assert_eq!(gate.run(&cx, &contacts::LIST, Nothing {}).unwrap().items.len(), 2, "{engine}: all or nothing");
    });
}

#[test]
fn a_guided_start_protects_by_what_is_offered_and_by_nothing_else() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (gate, owner) = (house.gate(), colleague());
        let offered = house.offered();
        let answers = |policy| start::Answers {
            locale: "en".into(),
            purpose: "We sell shoes.".into(),
            lead: start::Who { name: "Ada".into(), phone: "0912".into() },
            deputy: start::Who::default(),
            services: vec![start::Urgent {
                service: house.service.clone(),
                rto_seconds: 3_600,
                rpo_seconds: 86_400,
                policy: Some(policy),
            }],
            policy: None,
        };
        let own = house.policy(
            &[house.server("far").id, house.server("farther").id, house.server("farthest").id],
            Default::default(),
        );
        let refused = gate.run(&owner, &start::PREVIEW, answers(own.id)).unwrap_err();
        assert_eq!(refused.code(), "backupPolicy.absent", "{engine}: it is not offered");
        let made = gate.run(&owner, &start::MAKE, answers(offered.id)).unwrap();
        let by = |made: &start::Made| match made {
            start::Made::Protection { policy, .. } => Some(policy.clone()),
            _ => None,
        };
        assert!(made.items.iter().filter_map(by).eq([offered.name.clone()]), "{engine}: {:?}", made.items);
        let now = gate.run(&owner, &crate::backups::protections::GET, house.this()).unwrap();
        assert_eq!(now.policy.map(|policy| policy.id), Some(offered.id), "{engine}");
        assert!(
            gate.run(&owner, &start::MAKE, answers(offered.id)).unwrap().items.is_empty(),
            "{engine}: nothing twice"
        );
    }
}

fn exercise(gate: &Gate, mode: Mode) -> exercises::Exercise {
    let terms = Terms {
        name: "Spring".into(),
        mode,
        scenario: "The site is dark.".into(),
        lead: "Ada".into(),
        participants: vec!["Lin".into()],
        observers: vec!["Wu".into()],
    };
    let new = NewExercise { planned_at: gate.now() + Duration::from_secs(60), terms };
    gate.run(&member(CUSTOMER), &exercises::CREATE, new).unwrap()
}

#[test]
fn a_technical_exercise_passes_only_with_drills_of_that_week_that_passed() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, mut world, _, _) = drills::one(db);
        let (gate, cx) = (house.gate(), member(CUSTOMER));
        let conclude = |id, drills: &[crate::DrillRunId]| Conclude {
            id,
            held_at: None,
            record: "We brought it back.".into(),
            passed: true,
            drills: drills.to_vec(),
            observers: None,
            findings: vec![finding("Too slow", gate.now())],
        };
        let technical = exercise(gate, Mode::Technical).id;
        let code = |input| gate.run(&cx, &exercises::CONCLUDE, input).unwrap_err().code().to_owned();
        assert_eq!(code(conclude(technical, &[])), "exercise.not_proven", "{engine}");
        let drill = drills::plan(&house, drills::terms(&house, Scenario::MachineLost));
        world.restoring = Duration::from_secs(3_601);
        let late = drills::drilled(&house, &world, &drill);
        assert_eq!(code(conclude(technical, &[late.id])), "exercise.drill_not_passed", "{engine}");
        world.restoring = Duration::from_secs(1);
        let good = drills::drilled(&house, &world, &drill);
        assert!(drills::passed(&good), "{engine}: {:?}", good.body.misses);
        let done = gate.run(&cx, &exercises::CONCLUDE, conclude(technical, &[good.id])).unwrap();
        assert_eq!((done.exercise.state, done.findings.len()), (exercises::State::Passed, 1), "{engine}");
        assert_eq!(code(conclude(technical, &[good.id])), "exercise.over", "{engine}");
        assert_eq!(link(&plan(gate), What::Exercises).standing, Standing::Met, "{engine}");
        assert_eq!(link(&plan(gate), What::Drills).standing, Standing::Met, "{engine}");
        // A drill of last month shows nothing of today; at a table none is wanted.
        gate.clock().advance(Duration::from_secs(8 * 86_400));
        let full = exercise(gate, Mode::Full).id;
        assert_eq!(code(conclude(full, &[good.id])), "exercise.drill_of_another_week", "{engine}");
        let table = exercise(gate, Mode::TableTop).id;
        gate.run(&cx, &exercises::CONCLUDE, conclude(table, &[])).unwrap();
        gate.run(&cx, &exercises::CANCEL, ExerciseRef { id: full }).unwrap();
        assert_eq!(code(conclude(full, &[])), "exercise.over", "{engine}");
    }
}

#[test]
fn nobody_observes_what_they_carry_out_and_what_observers_found_is_known_as_theirs() {
    each(|engine, house| {
        let (gate, cx) = (house.gate(), member(CUSTOMER));
        let planned = exercise(gate, Mode::TableTop);
        assert_eq!(planned.terms.observers, ["Wu"], "{engine}");
        let terms = |observers: &[&str]| Terms {
            observers: observers.iter().map(|name| (*name).to_owned()).collect(),
            ..planned.terms.clone()
        };
        for taking_part in ["Ada", " lin "] {
            let new = NewExercise { planned_at: gate.now(), terms: terms(&["Chen", taking_part]) };
            let refused = gate.run(&cx, &exercises::CREATE, new).unwrap_err();
            assert_eq!(refused.code(), "exercise.observer_takes_part", "{engine}: {taking_part}");
        }
        let found = |by: Option<&str>| NewFinding {
            observed_by: by.map(str::to_owned),
            ..finding("The kit was not there", gate.now())
        };
        let conclude = |observers: Option<&[&str]>, findings| Conclude {
            id: planned.id,
            held_at: None,
            record: "We talked.".into(),
            passed: true,
            drills: vec![],
            observers: observers.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            findings,
        };
        let code = |input| gate.run(&cx, &exercises::CONCLUDE, input).unwrap_err().code().to_owned();
        assert_eq!(code(conclude(Some(&["Lin"]), vec![])), "exercise.observer_takes_part", "{engine}");
        assert_eq!(code(conclude(Some(&["Chen"]), vec![found(Some("Wu"))])), "finding.observer", "{engine}");
        let done = gate.run(&cx, &exercises::CONCLUDE, conclude(None, vec![found(Some("wu")), found(None)])).unwrap();
        assert_eq!(done.exercise.outcome.unwrap().observers, ["Wu"], "{engine}: those who were to");
        let by: Vec<_> = done.findings.iter().map(|one| one.observed_by.as_deref()).collect();
        assert_eq!(by, [Some("Wu"), None], "{engine}");

        // Also what is added later is an observer's only where they observed; a review has none.
        let add =
            |source: String, by| gate.run(&cx, &findings::ADD, findings::AddFinding { source, finding: found(by) });
        assert_eq!(add(planned.id.to_string(), Some("Lin")).unwrap_err().code(), "finding.observer", "{engine}");
        let later = add(planned.id.to_string(), Some("Wu")).unwrap();
        assert_eq!(later.observed_by.as_deref(), Some("Wu"), "{engine}");
    });
}

#[test]
fn a_runbook_is_read_by_its_tenant_and_where_it_was_shared_by_the_operators_staff_and_nobody_else() {
    each(|engine, house| {
        let (gate, cx) = (house.gate(), member(CUSTOMER));
        // Staff who see into no customer's tenant.
        let alone = Scope::Tenants { own: vec![OPERATOR], above: vec![] };
        let staff = Cx::new(Actor::Account(AccountId(9)), OPERATOR, alone, ["operations".to_owned()].into());
        let says = |text: &str| Contents {
            title: "Power".into(),
            service: None,
            purpose: String::new(),
            steps: vec![Step {
                text: text.into(),
                who: "Lin".into(),
                minutes: None,
                shows: String::new(),
                begins: None,
            }],
        };
        let made = gate.run(&cx, &runbooks::CREATE, says("A secret of before.")).unwrap();
        let change = |text| ChangeRunbook { id: made.id, version: None, note: String::new(), contents: says(text) };
        gate.run(&cx, &runbooks::UPDATE, change("Call the operator.")).unwrap();
        let of = |version| RunbookRef { id: made.id, version };
        let get = |cx: &Cx, version| gate.run(cx, &runbooks::GET, of(version)).map(|one| one.version);
        let listed = |cx: &Cx| {
            let ask = runbooks::ListRunbooks { service: None, shared: true };
            gate.run(cx, &runbooks::LIST, ask).unwrap().items.len()
        };
        let share = |cx: &Cx, shared| gate.run(cx, &sharing::SHARE, ShareRunbook { id: made.id, shared });
        let hidden = |result: base::Result<i64>| result.unwrap_err().kind() == Kind::NotFound;
        assert!(hidden(get(&staff, None)) && listed(&staff) == 0, "{engine}: it is nobody else's");
        assert_eq!(share(&staff, true).unwrap_err().kind(), Kind::NotFound, "{engine}");

        assert_eq!(share(&cx, true).unwrap().shared_from, Some(2), "{engine}");
        gate.run(&cx, &runbooks::UPDATE, change("Call the operator twice.")).unwrap();
        assert_eq!(share(&cx, true).unwrap().shared_from, Some(2), "{engine}: since when stays");
        assert_eq!((get(&staff, None).unwrap(), get(&staff, Some(2)).unwrap(), listed(&staff)), (3, 2, 1), "{engine}");
        assert!(hidden(get(&staff, Some(1))), "{engine}: what it said before was not shared");
        let versions = |cx: &Cx| gate.run(cx, &runbooks::VERSIONS, of(None)).unwrap().items.len();
        assert_eq!((versions(&staff), versions(&cx)), (2, 3), "{engine}");
        let denied = gate.run(&staff, &runbooks::UPDATE, change("Ours now.")).unwrap_err();
        assert_eq!(denied.kind(), Kind::NotFound, "{engine}: to be read, and no more");
        assert_eq!(share(&staff, false).unwrap_err().kind(), Kind::NotFound, "{engine}");
        // Another customer sees nothing of it.
        let stranger = member(3);
        assert!(hidden(get(&stranger, None)) && listed(&stranger) == 0, "{engine}");
        // It is not one of the operator's own, and its tenant's audit log tells who shared it.
        assert!(gate.run(&staff, &runbooks::LIST, Default::default()).unwrap().items.is_empty(), "{engine}");
        let shared = "SELECT COUNT(*) FROM audit_entries WHERE action = 'runbook.share'";
        assert!(house.count(shared) >= 2, "{engine}");

        share(&cx, false).unwrap();
        assert!(hidden(get(&staff, None)) && listed(&staff) == 0, "{engine}: taken back");
        share(&cx, true).unwrap();
        gate.run(&cx, &runbooks::END, of(None)).unwrap();
        assert!(hidden(get(&staff, None)) && listed(&staff) == 0, "{engine}: it is used no more");

        let own = gate.run(&staff, &runbooks::CREATE, says("Ours.")).unwrap();
        let refused = gate.run(&staff, &sharing::SHARE, ShareRunbook { id: own.id, shared: true }).unwrap_err();
        assert_eq!(refused.code(), "runbook.own", "{engine}");
    });
}

#[test]
fn every_edit_of_a_runbook_is_kept_and_an_edit_of_an_old_one_is_refused() {
    each(|engine, house| {
        let (gate, cx) = (house.gate(), member(CUSTOMER));
        let step = |text: &str| Step {
            text: text.into(),
            who: "Lin".into(),
            minutes: None,
            shows: String::new(),
            begins: None,
        };
        let says = |text: &str| Contents {
            title: "Power".into(),
            service: None,
            purpose: String::new(),
            steps: vec![step(text)],
        };
        let made = gate.run(&cx, &runbooks::CREATE, says("Call the landlord.")).unwrap();
        let change = |version, text| ChangeRunbook {
            id: made.id,
            version: Some(version),
            note: "who".into(),
            contents: says(text),
        };
        gate.run(&cx, &runbooks::UPDATE, change(1, "Call Wu.")).unwrap();
        assert_eq!(
            gate.run(&cx, &runbooks::UPDATE, change(1, "Call me.")).unwrap_err().code(),
            "runbook.stale",
            "{engine}"
        );
        let all = gate.run(&cx, &runbooks::VERSIONS, RunbookRef { id: made.id, version: None }).unwrap().items;
        let texts: Vec<_> =
            all.iter().map(|one| (one.version, one.is_newest, one.contents.steps[0].text.as_str())).collect();
        assert_eq!(texts, [(2, true, "Call Wu."), (1, false, "Call the landlord.")], "{engine}");
        let stranger = member(CUSTOMER + 1);
        let unseen = gate.run(&stranger, &runbooks::GET, RunbookRef { id: made.id, version: None }).unwrap_err();
        assert_eq!(unseen.kind(), Kind::NotFound, "{engine}");
        let mut foreign = says("Restore.");
        foreign.steps[0].begins = Some(Begins::Restore { service: house.service.clone() });
        assert_eq!(gate.run(&stranger, &runbooks::CREATE, foreign).unwrap_err().kind(), Kind::NotFound, "{engine}");
    });
}

#[test]
fn a_drafted_runbook_names_the_service_its_copies_and_its_restore_and_is_printed() {
    each(|engine, house| {
        let (gate, cx) = (house.gate(), member(CUSTOMER));
        for locale in ["en", "zh-TW"] {
            let of = DraftOf { id: house.service.clone(), locale: locale.into() };
            let none = gate.run(&cx, &draft::DRAFT, of.clone()).unwrap();
            assert_eq!(none.steps.len(), 7);
            assert_eq!(none.steps[3].begins, Some(Begins::Restore { service: house.service.clone() }), "{engine}");
            house.taken();
            let with = gate.run(&cx, &draft::DRAFT, of).unwrap();
            assert!(
                with.steps[2].text.contains("first") && with.steps[2].text.contains("UTC"),
                "{}",
                with.steps[2].text
            );
            gate.run(&cx, &runbooks::CREATE, with).unwrap();
        }
        assert_eq!(link(&plan(gate), What::Runbooks).standing, Standing::Met, "{engine}");
        add(gate, "Ada", None).unwrap();
        let paper = gate.run(&cx, &paper::PRINT, Nothing {}).unwrap();
        assert_eq!((paper.runbooks.len(), paper.calls.len(), paper.plan.steps.len()), (2, 1, 9), "{engine}");
    });
}

#[test]
fn differences_say_where_what_was_and_what_is() {
    let was =
        json!({ "steps": [{ "number": 1, "owner": "Ada", "dueAt": null }], "team": [{ "id": "a", "duty": "x" }] });
    let is = json!({ "steps": [{ "number": 1, "owner": "Lin", "dueAt": "2026" }], "team": [] });
    let told: Vec<_> = versions::differences(&was, &is).into_iter().map(|one| (one.at, one.was, one.is)).collect();
    let some = |text: &str| Some(text.to_owned());
    let wanted = [
        ("steps.1.dueAt".to_owned(), None, some("2026")),
        ("steps.1.owner".to_owned(), some("Ada"), some("Lin")),
        ("team.a.duty".to_owned(), some("x"), None),
        ("team.a.id".to_owned(), some("a"), None),
    ];
    assert_eq!(told, wanted);
}

fn crowd(callers: &[Option<usize>]) -> Vec<Contact> {
    let id = |n: usize| ContactId(n as u128);
    let one = |(n, by): (usize, &Option<usize>)| Contact {
        id: id(n),
        tenant: TenantId(1),
        name: n.to_string(),
        duty: String::new(),
        phone: String::new(),
        email: String::new(),
        deputy: None,
        called_by: by.map(id),
    };
    callers.iter().enumerate().map(one).collect()
}

proptest! {
    #[test]
    fn whoever_is_added_below_somebody_is_called_once_after_their_caller(picks in prop::collection::vec(any::<Option<prop::sample::Index>>(), 1..40)) {
        let callers: Vec<Option<usize>> = picks.iter().enumerate().map(|(n, pick)| pick.filter(|_| n > 0).map(|pick| pick.index(n))).collect();
        let people = crowd(&callers);
        let calls = contacts::tree(&people);
        prop_assert_eq!(calls.len(), people.len());
        for (at, call) in calls.iter().enumerate() {
            let caller = call.contact.called_by.map(|by| calls.iter().position(|one| one.contact.id == by).unwrap());
            prop_assert!(caller.is_none_or(|caller| caller < at && calls[caller].depth + 1 == call.depth));
        }
    }

    #[test]
    fn a_circle_is_found_exactly_where_following_the_callers_comes_back(picks in prop::collection::vec(any::<Option<prop::sample::Index>>(), 2..20), who in any::<prop::sample::Index>(), by in any::<prop::sample::Index>()) {
        let callers: Vec<Option<usize>> = picks.iter().enumerate().map(|(n, pick)| pick.filter(|_| n > 0).map(|pick| pick.index(n))).collect();
        let (who, by) = (who.index(callers.len()), by.index(callers.len()));
        let mut at = Some(by);
        let mut comes_back = false;
        while let Some(now) = at {
            comes_back |= now == who;
            at = callers[now].filter(|_| now != who);
        }
        let found = contacts::circles(&crowd(&callers), ContactId(who as u128), Some(ContactId(by as u128)));
        prop_assert_eq!(found, comes_back);
    }
}
