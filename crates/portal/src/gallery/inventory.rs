//! Pages of inventory, assessment and impact with made-up content.

use super::{page, show};
use crate::assessments::*;
use crate::i18n::Lang;
use crate::impact::*;
use crate::inventory::*;
use crate::ui::{Badge, Choice, Control, Field, Notice, Pager, Summary, Tabs, Tone};

fn row(name: &str, kind: &'static str, known: bool) -> ThingRow {
    ThingRow {
        id: "inv_1".into(),
        name: name.into(),
        kind,
        owner: if known { String::new() } else { "業務部".into() },
        importance: if known { String::new() } else { "5".into() },
        within: known.then(|| "臺北一".to_owned()),
        needs: 2,
        known,
    }
}

fn harm() -> Vec<(String, String, String, bool)> {
    let step = |after: &str, level: &str, much: &str, bad| (after.to_owned(), level.to_owned(), much.to_owned(), bad);
    vec![step("0 s", "輕微", "10,000 TWD", false), step("4 h 0 min", "毀滅性", "2,000,000 TWD", true)]
}

fn boxes(p: &crate::page::Page) -> Field {
    let choices = vec![
        Choice::new("1", "市電 A").note(p.t.inventory.power),
        Choice::new("2", "市電 B").note(p.t.inventory.power),
        Choice::new("3", "臺北一").note(p.t.inventory.site),
    ];
    Field::boxes("failed", p.t.inventory.choose_more, choices).hint(p.t.inventory.choose_more_hint).free()
}

fn seen(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "tenant", "/inventory");
    let w = &p.t.inventory;
    let rows = vec![row("接單", w.activity, false), row("官網", w.service, true), row("市電 A", w.power, false)];
    let tabs = || Tabs {
        label: w.kind.into(),
        links: vec![
            ("/inventory".into(), format!("{} 3", w.all), true),
            ("/inventory?kind=power".into(), format!("{} 1", w.power), false),
        ],
    };
    let search = || Field::line("q", w.search, "").free();
    let listed = |rows| InventoryList {
        p,
        tabs: tabs(),
        search: search(),
        kind: "",
        rows,
        pager: Pager::default(),
        may_edit: true,
    };
    show(out, "inventory", &listed(rows));
    show(out, "inventory-none", &listed(vec![]));
    let named = |id: &str, name: &str| (id.to_owned(), name.to_owned());
    let thing = ThingPage {
        p,
        id: "inv_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        name: "接單".into(),
        kind: w.activity,
        known: false,
        note: "旺季是十一月。".into(),
        facts: vec![(w.owner, "業務部".into()), (w.repair, w.never_said.into()), (w.importance, "5".into())],
        needs: vec![
            NeedRow { of: vec![named("svc_1", "官網")], least: None, said: None },
            NeedRow {
                of: vec![named("inv_2", "市電 A"), named("inv_3", "市電 B")],
                least: Some(p.with2(w.n_of, 1, 2)),
                said: Some(0),
            },
        ],
        needed_by: vec![],
        goals: Goals {
            rto: Some("1 h 0 min".into()),
            rpo: Some("30 min 0 s".into()),
            because: vec![("inv_1".into(), "接單".into(), "RTO 1 h 0 min".into())],
        },
        activity: true,
        judged: Some(Judged {
            harm: harm(),
            facts: vec![(w.mtpd, "4 h 0 min".into()), (w.rto, "1 h 0 min".into()), (w.review_by, "2026-01-05".into())],
            overdue: true,
        }),
        may_edit: true,
    };
    show(out, "inventory-thing", &thing);
    let fields =
        vec![boxes(p), Field::line("least", w.at_least, "1").hint(w.at_least_hint).optional(p.t.frame.optional)];
    let (id, name, summary) = ("inv_1".to_owned(), "接單".to_owned(), Summary::default());
    show(out, "inventory-needs", &NeedsPage { p, id, name, summary, search: search(), fields });
    let line = |tone, word, problem: &str| LineRow {
        file: w.nodes,
        line: 2,
        about: "feed-a".into(),
        badge: Badge::new(tone, word),
        problem: problem.into(),
    };
    let import = |sound, lines| ImportPage {
        p,
        summary: Summary::default(),
        fields: vec![
            Field::area("nodes", w.nodes, "ref,kind,name").hint(w.nodes_hint),
            Field::area("dependencies", w.dependencies, "").hint(w.dependencies_hint),
        ],
        lines,
        sum: Some(if sound { p.with2(w.preview_sum, 1, 0) } else { p.with(w.preview_wrong, 1) }),
        sound,
    };
    show(out, "inventory-import", &import(true, vec![line(Tone::Well, w.change_add, "")]));
    show(out, "inventory-import-wrong", &import(false, vec![line(Tone::Danger, w.change_wrong, w.importance_hint)]));
}

fn judged(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "tenant", "/inventory");
    let w = &p.t.inventory;
    let step = |n: usize| StepFields {
        after: Field::line(format!("after{n}"), format!("{} · {}", p.with(w.step, n + 1), w.after), "4h").free(),
        level: Field::select(format!("level{n}"), w.level, vec![Choice::new("0", "輕微"), Choice::new("3", "毀滅性")]),
    };
    let fields = vec![
        Field::line("rto", w.rto, "5h").hint(w.rto_hint).error(p.t.errors.field_required),
        Field::line("reviewBy", w.review_by, "2027-01-05").kind("date", ""),
    ];
    let view = AssessPage {
        p,
        id: "inv_1".into(),
        name: "接單".into(),
        summary: Summary::gather(p.t.frame.form_wrong, &fields.iter().collect::<Vec<_>>(), ""),
        steps: (0..4).map(step).collect(),
        fields,
        levels: vec![("輕微".into(), "10,000 TWD".into(), false), ("毀滅性".into(), "2,000,000 TWD".into(), true)],
    };
    show(out, "inventory-assess", &view);
    let of = |name: &str, judged| AssessmentRow { id: "inv_1".into(), name: name.into(), judged };
    let known = ("4 h 0 min".to_owned(), "1 h 0 min".to_owned(), "–".to_owned(), "2026-01-05".to_owned(), true);
    let rows = vec![of("接單", Some(known)), of("出貨", None)];
    show(out, "inventory-assessments", &AssessmentsPage { p, rows, may_edit: true });
}

fn asked(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "operator", "/impact");
    let w = &p.t.inventory;
    let rank = |name: &str, kind, badge| RankRow {
        id: "inv_1".into(),
        name: name.into(),
        kind,
        harm: "2,000,000 TWD".into(),
        likelihood: (kind == w.power).then(|| crate::inventory::likelihood(p, 4)),
        stops: "2".into(),
        badge,
    };
    let rows = vec![
        rank("臺北一", w.site, Badge::new(Tone::Danger, p.with(w.never_back, 1))),
        rank("h1", w.host, Badge::new(Tone::Care, p.with(w.missed_count, 1))),
        rank("市電 A", w.power, Badge::new(Tone::Well, w.kept)),
    ];
    let tried = p.with2(w.impact_tried, 42, 3);
    let tabs = || Tabs {
        label: w.ranked.into(),
        links: vec![("/impact".into(), w.by_harm.into(), false), ("/impact?by=risk".into(), w.by_risk.into(), true)],
    };
    let judged = Some(p.with(w.judged_count, 1));
    show(out, "impact", &RankingPage { p, tried: tried.clone(), tabs: tabs(), judged, rows, choices: boxes(p) });
    show(out, "impact-none", &RankingPage { p, tried, tabs: tabs(), judged: None, rows: vec![], choices: boxes(p) });
    let stop = |name: &str, back: String, badges| StopRow {
        id: "inv_1".into(),
        name: name.into(),
        kind: w.activity,
        back,
        lost: p.with(w.lost_last, "10 min 0 s"),
        harm: "2,000,000 TWD".into(),
        badges,
    };
    let never = format!("{} · {}", w.never, w.never_measured);
    let bar = |y: usize, name: &str, width, never, restore| Bar {
        name: name.into(),
        y: 24 + y * 22,
        width,
        never,
        tick: Some(300),
        restore,
    };
    let decide = Control::Number {
        value: "30".into(),
        min: Some("0".into()),
        max: None,
        step: "1".into(),
        unit: w.minutes.into(),
        slider: false,
    };
    let activities = vec![
        stop(
            "接單",
            never.clone(),
            vec![Badge::new(Tone::Danger, w.mtpd_missed), Badge::new(Tone::Danger, w.rto_missed)],
        ),
        stop("出貨", p.with(w.after_span, "12 min 0 s"), vec![Badge::new(Tone::Well, w.within_goals)]),
    ];
    let restored = MoveRow {
        name: "官網".into(),
        from: "異地伺服器".into(),
        to: "h2".into(),
        start: "1 min 30 s".into(),
        end: "12 min 0 s".into(),
        loses: p.with(w.lost_last, "10 min 0 s"),
    };
    let bars = vec![
        bar(0, "接單", 420, true, None),
        bar(1, "出貨", 200, false, None),
        bar(2, "官網", 180, false, Some((40, 140))),
    ];
    let outcome = OutcomePage {
        p,
        what: "臺北一".into(),
        notice: Notice::new(Tone::Info, "", w.outcome_note),
        react: p.with(w.react, "1 min 30 s"),
        measured: w.react_unmeasured.into(),
        harm: "4,000,000 TWD".into(),
        activities,
        moves: vec![restored],
        still: vec![("vm_1".into(), "官網".into(), w.resource, never, w.lost_none.into())],
        height: 32 + bars.len() * 22,
        bars,
        marks: vec![(0, "0 s".into()), (210, "30 min".into()), (420, "1 h 0 min".into())],
        decide: Field::number("decide", w.decide, decide).free(),
        choices: boxes(p),
        operator: true,
    };
    show(out, "impact-what-if", &outcome);
}

pub(super) fn pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    seen(lang, out);
    judged(lang, out);
    asked(lang, out);
}
