//! Pages of drills with made-up content.

use super::{before, now, page, show};
use crate::drills::*;
use crate::i18n::Lang;
use crate::page::Page;
use crate::ui::{Choice, Confirm, Field, Summary};

fn figure(measured: Option<&str>, promised: &str, kept: bool) -> Figure {
    Figure { measured: measured.map(Into::into), promised: promised.into(), kept }
}

fn runs() -> Vec<RunRow> {
    let run = |state: &str, minutes, rto: Option<&str>, share| RunRow {
        id: "drun_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        plan: "每季主機毀損".into(),
        state: state.into(),
        incident: before(minutes),
        rto: figure(rto, "1 h 0 min", state == "passed"),
        rpo: figure(Some("10 min"), "1 d 0 h", true),
        share,
    };
    vec![
        run("running", 1, None, None),
        run("passed", 60, Some("4.2 s"), Some(7)),
        run("failed", 4_000, Some("2 h 3 min"), Some(200)),
        run("impossible", 9_000, None, None),
        run("stopped", 10_000, None, None),
    ]
}

fn actions(p: &Page) -> Vec<ActionRow> {
    let action = |overdue, times| ActionRow {
        what: p.t.drills.missed.into(),
        plan: "drpl_1".into(),
        plan_name: "每季主機毀損".into(),
        owner: "維運組".into(),
        due: before(600),
        overdue,
        times,
    };
    vec![action(true, 2), action(false, 1)]
}

fn view(p: &Page, state: &str) -> RunView {
    let d = &p.t.drills;
    let (running, passed, stopped) = (state == "running", state == "passed", state == "stopped");
    let detect = format!("{} ({})", d.detect, p.with(d.detect_configured, "1 min 30 s"));
    let phases = [&detect, d.decide, d.reserve, d.key, d.wait, d.restore, d.boot, d.verify];
    let took = |at: usize| (!running || at < 4).then(|| "0.4 s".to_owned());
    RunView {
        id: "drun_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        state: state.into(),
        impossible: state == "impossible",
        rto: figure((!running && !stopped).then_some("4.2 s"), "1 h 0 min", passed),
        rpo: figure((!running && !stopped).then_some("10 min 5 s"), "1 d 0 h", passed),
        services: vec![ServiceRows {
            name: "官網".into(),
            turn: Some(p.with2(d.wave_after, 2, "資料庫")),
            from: Some(p.with2(d.from_copy, "異地伺服器", p.exact(&before(700)))),
            phases: phases.iter().enumerate().map(|(at, phase)| ((*phase).to_owned(), took(at))).collect(),
            newest: (!running).then(|| before(700)),
            point: Some("rpt_01jd8q2v7k3x5w9m0n4r6t8y2z".into()),
            shown: vec![p.with2(d.audit_whole, "48,211", "48,200"), d.shares_not_shown.into()],
            disks: vec![
                ("system".into(), "10 GiB".into(), "ab".repeat(32)),
                ("data".into(), "1 GiB".into(), "cd".repeat(32)),
            ],
        }],
        circles: vec![p.with(d.circle, "目錄、官網")],
        control: p.with(d.control_found, "repository.damaged"),
        misses: if passed || running || stopped { vec![] } else { vec![d.missed.into()] },
        stopped: stopped.then(|| p.with2(d.stopped_by, "林怡君", "磁碟要先用來還原")),
        has_evidence: !running,
    }
}

pub(super) fn drill_pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "tenant", "/drills");
    let d = &p.t.drills;
    let plan = |last: Option<&str>, next: bool| PlanRow {
        id: "drpl_1".into(),
        name: "每季主機毀損".into(),
        scenario: d.host_lost,
        rto: "1 h 0 min".into(),
        rpo: "1 d 0 h".into(),
        last: last.map(|state| (state.to_owned(), before(60))),
        next: next.then(now),
    };
    let plans = vec![plan(Some("passed"), true), plan(None, false)];
    show(out, "drills", &DrillList { p, plans, runs: runs(), actions: actions(p), may_plan: true });
    show(out, "drills-none", &DrillList { p, plans: vec![], runs: vec![], actions: vec![], may_plan: false });
    let facts = vec![(d.scenario, d.host_lost.to_owned()), (d.owner, "維運組".to_owned())];
    let (id, name) = ("drpl_01jd8q2v7k3x5w9m0n4r6t8y2z", "每季主機毀損");
    let runs = runs();
    let view_of = PlanPage {
        p,
        id: id.into(),
        name: name.into(),
        facts,
        runs,
        actions: actions(p),
        may_run: true,
        summary: Summary::default(),
        asks: vec![
            Field::line("badAfter", p.t.rules.drill_bad_after, "")
                .hint(p.with(p.t.rules.drill_bad_after_hint, p.span(86_400)))
                .free(),
            Field::private("shares", d.shares).hint(d.shares_hint).rows(6).optional(p.t.frame.optional),
            Field::private("kit", d.kit).hint(d.kit_hint).rows(4).optional(p.t.frame.optional),
        ],
        end: None,
        ended: None,
    };
    show(out, "drill-plan", &view_of);
    let fields = vec![
        Field::line("name", d.name, "").error(p.t.errors.field_required),
        Field::boxes("services", d.services, vec![Choice::new("svc_1", "官網")]),
        Field::tiles("scope", d.scope, vec![Choice::new("site", d.scope_site).note(d.scope_site_note)]),
        Field::select("site", d.site, vec![Choice::new("site_1", "台南")]).hint(d.site_hint),
        Field::tiles("scenario", d.scenario, vec![Choice::new("hostLost", d.host_lost).note(d.host_lost_note)]),
    ];
    let summary = Summary::gather(p.t.frame.form_wrong, &fields.iter().collect::<Vec<_>>(), "");
    show(out, "drill-plan-new", &NewPlanPage { p, summary, fields });
    for (name, state) in [
        ("drill-running", "running"),
        ("drill-failed", "failed"),
        ("drill-impossible", "impossible"),
        ("drill-stopped", "stopped"),
    ] {
        let live = state == "running";
        let plan = "drpl_1".to_owned();
        let called = "每季主機毀損".to_owned();
        let stop = live.then(|| Confirm {
            id: "stop",
            action: "/drills/drun_1/stop".into(),
            csrf: p.csrf.clone(),
            title: d.stop_title.into(),
            body: d.stop_body.into(),
            fields: vec![Field::line("reason", p.t.frame.reason, "").hint(p.t.frame.reason_hint)],
            hidden: vec![],
            button: d.stop.into(),
            danger: true,
            cancel: p.t.frame.cancel,
            back: "/drills/drun_1".into(),
            page: false,
        });
        show(out, name, &RunPage { p, plan, name: called, incident: now(), live, stop, view: view(p, state) });
    }
    show(
        out,
        "drill-evidence",
        &EvidencePage {
            p,
            name: "每季主機毀損".into(),
            incident: before(60),
            ended: Some(now()),
            facts: vec![(d.started_by, "林怡君".into()), (d.owner, "維運組".into())],
            view: view(p, "passed"),
            key: "yunwei/audit/0123456789ab+01234567+AAAA".into(),
            signature: "— yunwei/audit/0123456789ab AAAA".into(),
        },
    );
}
