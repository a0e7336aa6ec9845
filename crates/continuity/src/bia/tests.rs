//! What people judge and what follows: rules as tables, actions on a real database, and a brute
//! force over random inventories.

use std::collections::BTreeMap;

use commerce::testing::{manager, member};
use proptest::prelude::*;

use super::types::*;
use super::*;
use crate::backups::tests::{CUSTOMER, House};
use crate::inventory::tests::{add, needs, new};
use crate::inventory::{Inventory, Kind, Needs, Said, Thing};

fn each(test: impl Fn(House)) {
    for (_, db, _keep) in db::testing::databases() {
        test(House::new(db));
    }
}

pub(crate) fn judged(id: &str, rto: u64) -> Assess {
    Assess {
        id: id.into(),
        tenant: None,
        revision: None,
        harm: vec![HarmAt { after_seconds: 0, level: 0 }, HarmAt { after_seconds: rto * 2, level: 3 }],
        rto_seconds: Some(rto),
        rpo_seconds: Some(rto / 2),
        minimum: "orders by telephone".into(),
        assessed_by: "王大明".into(),
        assessed_on: "2026-01-05".into(),
        review_by: "2027-01-05".into(),
    }
}

fn wrong(change: impl Fn(&mut Assess)) -> String {
    let mut one = judged("a", 3_600);
    change(&mut one);
    rules::check(&one, &HarmScale::to_begin_with()).unwrap_err().code().to_owned()
}

#[test]
fn what_contradicts_itself_is_refused_by_name() {
    rules::check(&judged("a", 3_600), &HarmScale::to_begin_with()).unwrap();
    assert_eq!(wrong(|one| one.rto_seconds = Some(7_200)), "assessment.rto_late");
    assert_eq!(wrong(|one| one.rto_seconds = Some(0)), "assessment.objective");
    assert_eq!(wrong(|one| one.harm[0].level = 3), "assessment.at_once");
    assert_eq!(wrong(|one| one.harm.clear()), "assessment.harm");
    assert_eq!(wrong(|one| one.harm[1].level = 9), "assessment.level");
    assert_eq!(wrong(|one| one.harm[1].after_seconds = 0), "assessment.order");
    assert_eq!(
        wrong(|one| one.harm = [(0, 2), (60, 1)].map(|(after_seconds, level)| HarmAt { after_seconds, level }).to_vec()),
        "assessment.heals"
    );
    assert_eq!(wrong(|one| one.assessed_by = " ".into()), "assessment.text");
    assert_eq!(wrong(|one| one.review_by = "next year".into()), "assessment.date");
    assert_eq!(wrong(|one| one.review_by = one.assessed_on.clone()), "assessment.review");
}

#[test]
fn scales_that_are_none_are_refused() {
    let begin = HarmScale::to_begin_with();
    let scale = |levels: Vec<Level>, intolerable| {
        let set = SetScale { tenant: None, revision: None, unit: "TWD".into(), levels, intolerable };
        rules::check_scale(&set).map_err(|e| e.code().to_owned())
    };
    assert_eq!(scale(begin.levels.clone(), 3), Ok(()));
    assert_eq!(scale(begin.levels.clone(), 4), Err("scale.intolerable".into()));
    assert_eq!(scale(begin.levels[..1].to_vec(), 0), Err("scale.levels".into()));
    assert_eq!(scale(begin.levels.iter().rev().cloned().collect(), 3), Err("scale.order".into()));
}

#[test]
fn a_service_inherits_the_least_of_all_activities_that_reach_it() {
    each(|house| {
        let cx = &member(CUSTOMER);
        let mut app = new(Kind::Outside, "App", "app");
        app.needs = vec![needs(1, &[&house.service])];
        add(&house, cx, app).unwrap();
        for (key, rto) in [("sales", 3_600), ("books", 86_400)] {
            let mut activity = new(Kind::Activity, key, key);
            activity.needs = vec![needs(1, &["app"])];
            add(&house, cx, activity).unwrap();
            let done = house.gate().run(cx, &ASSESS, judged(key, rto)).unwrap();
            assert_eq!(done.assessment.unwrap().mtpd_seconds, Some(rto * 2));
        }
        let service = house.service.clone();
        let found = house
            .within(move |tx| objectives_of(tx, base::id::TenantId(CUSTOMER), std::slice::from_ref(&service)))
            .unwrap();
        let objectives = &found[&house.service];
        assert_eq!((objectives.rto_seconds, objectives.rpo_seconds), (Some(3_600), Some(1_800)));
        let because: Vec<_> = objectives.because.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(because, ["sales", "books"]);
        // The host that its machine stands on inherits it too, and a stranger sees nothing of it.
        let host = house.machine().0.to_string();
        let look = |cx: &gate::Cx, id: &str| house.gate().run(cx, &GET, AssessmentRef { id: id.into(), tenant: None });
        assert_eq!(look(cx, &host).unwrap().objectives.rto_seconds, Some(3_600));
        assert_eq!(look(&member(3), "sales").unwrap_err().code(), "inventory.not_found");
        assert_eq!(look(&manager(), &house.service).unwrap().objectives, Inherited::default());
        let list = house.gate().run(cx, &OBJECTIVES, ListObjectives::default()).unwrap().items;
        assert_eq!((list.len(), list[0].objectives.rto_seconds), (1, Some(3_600)));
    });
}

#[test]
fn harm_is_judged_of_activities_and_the_scale_changes_under_none_of_it() {
    each(|house| {
        let cx = &member(CUSTOMER);
        add(&house, cx, new(Kind::Activity, "Sales", "sales")).unwrap();
        let assess = |one: Assess| house.gate().run(cx, &ASSESS, one);
        assert_eq!(assess(judged(&house.service, 60)).unwrap_err().code(), "assessment.no_activity");
        assess(judged("sales", 3_600)).unwrap();
        let stale = Assess { revision: Some(0), ..judged("sales", 3_600) };
        assert_eq!(assess(stale).unwrap_err().code(), "assessment.stale");
        let levels = |names: &[(&str, u64)]| {
            names.iter().map(|(name, amount)| Level { name: (*name).into(), amount: *amount }).collect::<Vec<_>>()
        };
        let set = |levels: Vec<Level>, intolerable| {
            let set = SetScale { tenant: None, revision: None, unit: "TWD".into(), levels, intolerable };
            house.gate().run(cx, &SET_SCALE, set)
        };
        // Its fourth level is in use.
        let short = set(levels(&[("little", 1), ("much", 9)]), 1).unwrap_err();
        assert_eq!(short.code(), "scale.in_use");
        assert!(short.message().starts_with("Sales: "), "{short}");
        let scale = set(levels(&[("a", 0), ("b", 10_000), ("c", 100_000), ("d", 1_000_000)]), 2).unwrap();
        assert_eq!((scale.revision, scale.unit.as_str()), (1, "TWD"));
        // Removed, it is forgotten.
        let gone = crate::inventory::actions::ThingRef { id: "sales".into(), tenant: None };
        house.gate().run(cx, &crate::inventory::actions::REMOVE, gone).unwrap();
        assert_eq!(house.count("SELECT COUNT(*) FROM impact_assessments"), 0);
    });
}

fn thing(id: usize, needs: Vec<Needs>) -> Thing {
    Thing {
        id: id.to_string(),
        key: id.to_string(),
        kind: Kind::Resource,
        name: id.to_string(),
        tenant: base::id::TenantId(1),
        known: false,
        within: None,
        stands_in: None,
        needs,
        said: Said::default(),
        revision: 1,
    }
}

proptest! {
    #[test]
    fn what_is_inherited_agrees_with_looking_again_and_again(
        edges in proptest::collection::vec((0usize..9, 0usize..9), 0..20),
        rtos in proptest::collection::btree_map(0usize..9, 1u64..50, 0..5),
    ) {
        let of = |id: usize| edges.iter().filter(|(from, _)| *from == id).map(|(_, to)| Needs::one(to.to_string())).collect();
        let there = Inventory::new((0..9).map(|id| thing(id, of(id))).collect());
        let assessed: BTreeMap<String, Assessment> = rtos
            .iter()
            .map(|(id, rto)| {
                let one = Assessment {
                    activity: id.to_string(), harm: vec![], mtpd_seconds: None, rto_seconds: Some(*rto), rpo_seconds: None,
                    minimum: String::new(), assessed_by: String::new(), assessed_on: String::new(), review_by: String::new(),
                    review_overdue: false, revision: 1,
                };
                (id.to_string(), one)
            })
            .collect();
        let mut least: Vec<Option<u64>> = (0..9).map(|id| rtos.get(&id).copied()).collect();
        for _ in 0..9 {
            for (from, to) in &edges {
                least[*to] = least[*from].into_iter().chain(least[*to]).min();
            }
        }
        let rolled = rules::roll(&there, &assessed);
        for (id, least) in least.iter().enumerate() {
            prop_assert_eq!(rolled.get(&id.to_string()).and_then(|one| one.rto_seconds), *least);
        }
    }
}
