//! Pages of the continuity plan with made-up content.

use super::{before, now, page, show};
use crate::announcements::{AnnouncementsPage, ReceiptsPage};
use crate::i18n::Lang;
use crate::plan::exercises::{ExercisePage, ExerciseRow, ExercisesPage, mode};
use crate::plan::paper::{PaperPage, view};
use crate::plan::reviews::ReviewsPage;
use crate::plan::runbooks::{RunbookForm, RunbookPage, RunbooksPage};
use crate::plan::team::TeamPage;
use crate::plan::versions::{VersionPage, VersionsPage, steps_said};
use crate::plan::{PlanPage, StepPage, row, standing, tabs};
use crate::start::{PreviewPage, StartPage};
use crate::ui::{Choice, Field, Notice, Summary, Tone};
use continuity::exercises::Exercise;
use continuity::plan::contacts::Call;
use continuity::plan::findings::Finding;
use continuity::plan::paper::Paper;
use continuity::plan::steps::{Plan, definitions};
use continuity::plan::versions::{Difference, Frozen, FrozenStep, Version};
use continuity::runbooks::Runbook;
use serde_json::{Value as Json, json};

fn read<T: serde::de::DeserializeOwned>(json: Json) -> T {
    serde_json::from_value(json).unwrap()
}

fn link(what: &str, standing: &str, found: usize, of: Option<usize>, names: &[&str]) -> Json {
    json!({ "what": what, "standing": standing, "found": found, "of": of, "names": names, "at": null })
}

fn links(number: i64) -> Vec<Json> {
    match number {
        1 => vec![link("scope", "met", 1, None, &[])],
        2 => vec![
            link("people", "met", 4, None, &[]),
            link("telephones", "met", 4, Some(4), &[]),
            link("deputies", "notMet", 1, Some(2), &["陳冠宇"]),
        ],
        3 => vec![
            link("activities", "met", 2, None, &[]),
            link("services", "told", 3, None, &[]),
            link("singlePoints", "told", 4, None, &["台北機房", "第一主機"]),
        ],
        4 => vec![link("assessed", "met", 2, Some(2), &[]), link("objectives", "notMet", 2, Some(3), &["測試機"])],
        5 => vec![link("needs", "met", 2, Some(2), &[])],
        6 => vec![link("protected", "met", 3, Some(3), &[]), link("copies", "notMet", 1, Some(3), &["官網", "測試機"])],
        7 => vec![link("runbooks", "notMet", 1, Some(3), &["官網", "測試機"])],
        8 => vec![
            link("drills", "met", 2, Some(2), &[]),
            link("exercises", "notProven", 0, None, &[]),
            link("correctiveActions", "notMet", 2, None, &["the service was back after 62 minutes"]),
        ],
        9 => vec![link("review", "notProven", 0, None, &[]), link("version", "notMet", 0, None, &[])],
        _ => vec![],
    }
}

fn version(number: i64, state: &str) -> Version {
    let decided = state != "waiting";
    read(json!({
        "tenant": "ten_01jd8q2v7k3x5w9m0n4r6t8y2z", "number": number, "digest": "ab".repeat(32), "note": "新的電話",
        "state": state, "askedBy": "acc_01jd8q2v7k3x5w9m0n4r6t8y2z", "askedAt": before(600), "reason": "",
        "decidedBy": decided.then_some("acc_01jd8q2v7k3x5w9m0n4r6t8y2y"), "decidedAt": decided.then(|| before(300)),
    }))
}

fn plan(approved: bool) -> Plan {
    let step = |definition: &continuity::plan::steps::Definition| {
        let number = definition.number;
        let state = if number == 6 {
            "done"
        } else {
            ["done", "inProgress", "notStarted"][usize::try_from(number % 3).unwrap()]
        };
        let mut json = serde_json::to_value(definition).unwrap();
        let said = json!({
            "owner": if number < 8 { "維運組 林怡君" } else { "" }, "dueAt": (number < 8).then(|| before(-20_000)),
            "state": state,
            "ownText": if number == 1 { "我們賣鞋，並且必須能繼續賣。\n範圍：官網、訂單與倉儲。" } else { "" },
            "revision": 2, "overdue": number == 4, "contradicted": number == 6, "links": links(number),
        });
        json.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        json
    };
    let steps: Vec<Json> = definitions().unwrap().iter().map(step).collect();
    let (approved, waiting) = (approved.then(|| version(3, "approved")), approved.then(|| version(4, "waiting")));
    read(
        json!({ "tenant": "ten_01jd8q2v7k3x5w9m0n4r6t8y2z", "steps": steps, "approved": approved, "waiting": waiting, "isDraft": true }),
    )
}

fn calls() -> Vec<Call> {
    let one = |depth: u32, name: &str, duty: &str, deputy: Option<&str>| {
        json!({
            "depth": depth, "id": "cont_01jd8q2v7k3x5w9m0n4r6t8y2z", "tenant": "ten_01jd8q2v7k3x5w9m0n4r6t8y2z",
            "name": name, "duty": duty, "phone": "0912-345-678", "email": "x@brightwater.example",
            "deputy": null, "calledBy": null, "deputyName": deputy,
        })
    };
    vec![
        read(one(0, "林怡君", "總指揮", Some("陳冠宇"))),
        read(one(1, "陳冠宇", "技術", None)),
        read(one(2, "王小明", "還原與檢查資料", None)),
        read(one(1, "張美玲", "對外發言", Some("林怡君"))),
    ]
}

fn runbook() -> Runbook {
    let step = |text: &str, begins: Json| {
        let shows = "服務像平常一樣回應客戶。";
        json!({ "text": text, "who": "技術人員", "minutes": 30, "shows": shows, "begins": begins })
    };
    read(json!({
        "id": "rnbk_01jd8q2v7k3x5w9m0n4r6t8y2z", "tenant": "ten_01jd8q2v7k3x5w9m0n4r6t8y2z", "version": 2, "isNewest": true,
        "title": "恢復「官網」", "service": "svc_1", "purpose": "官網毀損或無法使用。", "note": "補上電話", "changedBy": "acc_1",
        "changedAt": before(4_000), "endedAt": null, "sharedFrom": 2, "tenantName": "和風設計",
        "steps": [
            step("依聯絡網由上而下通知團隊；沒有人接就打給代理人。", Json::Null),
            step("還原。入口網站：服務 → 官網 → 還原。", json!({ "type": "restore", "service": "svc_1" })),
        ],
    }))
}

fn exercise(state: &str) -> Exercise {
    let outcome =
        json!({ "heldAt": before(100), "record": "09:00 通知\n09:20 開始還原", "drills": [], "recordedBy": "acc_1" });
    read(json!({
        "id": "exer_01jd8q2v7k3x5w9m0n4r6t8y2z", "tenant": "ten_01jd8q2v7k3x5w9m0n4r6t8y2z", "state": state,
        "plannedAt": before(100), "overdue": state == "planned", "name": "春季演習", "mode": "technical",
        "scenario": "機房停電，主任在國外。", "lead": "林怡君", "participants": ["陳冠宇", "王小明"],
        "outcome": (state == "passed").then_some(outcome),
    }))
}

fn finding(open: bool) -> Finding {
    read(json!({
        "id": "find_01jd8q2v7k3x5w9m0n4r6t8y2z", "tenant": "ten_01jd8q2v7k3x5w9m0n4r6t8y2z", "source": "exercise", "sourceId": "x",
        "text": "沒有人知道機房的門禁密碼", "owner": "陳冠宇", "dueAt": before(60), "open": open, "overdue": open, "note": "已放進保險箱",
        "closedBy": null, "openedAt": before(600), "closedAt": null,
    }))
}

fn paper(approved: bool) -> Paper {
    let promise = json!({
        "name": "每季主機毀損", "services": ["資料庫", "官網"], "scenario": { "type": "hostLost" }, "owner": "維運組",
        "objectives": { "rtoSeconds": 3_600, "rpoSeconds": 86_400 }, "last": { "passed": false, "at": before(3_000) },
    });
    read(json!({
        "printedAt": now(), "plan": plan(approved), "people": { "acc_01jd8q2v7k3x5w9m0n4r6t8y2y": "張美玲" }, "calls": calls(),
        "promises": [promise], "runbooks": [runbook()], "exercises": [exercise("planned")], "findings": [finding(true)],
    }))
}

pub(super) fn plan_pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "tenant", "/plan");
    let whole = plan(true);
    let view_of = PlanPage {
        p,
        tabs: tabs(p, "/plan"),
        steps: whole.steps.iter().map(|step| row(p, step)).collect(),
        standing: standing(p, &whole),
        waiting: Some(4),
        is_draft: true,
        may_edit: true,
        may_print: true,
    };
    show(out, "plan", &view_of);
    let sixth = &whole.steps[5];
    let fields = vec![Field::line("owner", p.t.plan.owner, "").error(p.t.errors.field_required)];
    let summary = Summary::gather(p.t.frame.form_wrong, &fields.iter().collect::<Vec<_>>(), "");
    let (lead, clauses) = (crate::plan::both(p, &sixth.definition.text), "8.3.2、8.3.3".to_owned());
    let step = StepPage {
        p,
        row: row(p, sixth),
        lead,
        clauses,
        text: String::new(),
        summary,
        fields,
        revision: 2,
        may_edit: true,
    };
    show(out, "plan-step", &step);
    show(out, "plan-team", &TeamPage { p, tabs: tabs(p, "/plan/team"), calls: calls(), may_edit: true });
    let paper_of = |approved| -> PaperPage<'_> { view(p, paper(approved)) };
    show(out, "plan-paper", &paper_of(true));
    show(out, "plan-paper-draft", &paper_of(false));
    announcements(p, out);
    alarms(p, out);
    guided(p, out);
    versions(p, out);
    runbooks(p, out);
    exercises(p, out);
}

fn versions(p: &crate::page::Page, out: &mut Vec<(&'static str, String)>) {
    let all = vec![version(4, "waiting"), version(3, "approved"), version(2, "declined")];
    let ask = Some(Field::area("note", p.t.plan.note, ""));
    let list = VersionsPage { p, tabs: tabs(p, "/plan/versions"), versions: all, summary: Summary::default(), ask };
    show(out, "plan-versions", &list);
    let difference = Difference { at: "steps.3.owner".into(), was: Some("維運組".into()), is: None };
    let decide = Some(Field::area("reason", p.t.plan.reason, "").hint(p.t.plan.reason_hint));
    let step = |number| FrozenStep {
        number,
        owner: "王小姐".into(),
        due_at: None,
        state: continuity::plan::steps::State::InProgress,
        text: "核心服務三小時內恢復。".into(),
    };
    let says = Frozen { steps: (1..=9).map(step).collect(), team: vec![], drill_plans: vec![], runbooks: vec![] };
    let one = VersionPage {
        p,
        version: version(4, "waiting"),
        steps: steps_said(p, &says).unwrap(),
        says,
        since: Some(3),
        differences: vec![difference],
        summary: Summary::default(),
        decide,
        own: false,
    };
    show(out, "plan-version", &one);
}

fn runbooks(p: &crate::page::Page, out: &mut Vec<(&'static str, String)>) {
    let undescribed = vec![("svc_2".to_owned(), "測試機".to_owned())];
    let list = RunbooksPage {
        p,
        tabs: tabs(p, "/plan/runbooks"),
        runbooks: vec![runbook()],
        shared: vec![runbook()],
        undescribed,
        may_write: true,
    };
    show(out, "runbooks", &list);
    let one = RunbookPage {
        p,
        runbook: runbook(),
        versions: vec![runbook()],
        may_write: true,
        may_end: true,
        theirs: false,
        may_share: true,
    };
    show(out, "runbook", &one);
    let form = RunbookForm {
        p,
        title: p.t.plan.new_runbook.to_owned(),
        action: "/plan/runbooks/new".into(),
        back: "/plan/runbooks".into(),
        version: 0,
        summary: Summary::default(),
        head: vec![Field::line("title", p.t.plan.title, "")],
        steps: vec![vec![Field::area("text-0", p.with(p.t.plan.step_of, 1), "")]],
    };
    show(out, "runbook-form", &form);
}

fn exercises(p: &crate::page::Page, out: &mut Vec<(&'static str, String)>) {
    let row = |state: &str| {
        let exercise = exercise(state);
        ExerciseRow { mode: mode(&p.t.plan, exercise.terms.mode), exercise }
    };
    let all = ["planned", "passed", "notPassed", "cancelled"].map(row).to_vec();
    show(out, "exercises", &ExercisesPage { p, tabs: tabs(p, "/plan/exercises"), exercises: all, may_edit: true });
    for (name, state) in [("exercise-planned", "planned"), ("exercise-passed", "passed")] {
        let conclude = vec![Field::area("record", p.t.plan.record, "").hint(p.t.plan.record_hint)];
        let (may_edit, may_close) = (state == "planned", true);
        let conclude = if may_edit { conclude } else { vec![] };
        let findings = vec![finding(true), finding(false)];
        let one =
            ExercisePage { p, row: row(state), findings, summary: Summary::default(), conclude, may_edit, may_close };
        show(out, name, &one);
    }
    let review = json!({
        "id": "prev_01jd8q2v7k3x5w9m0n4r6t8y2z", "tenant": "ten_01jd8q2v7k3x5w9m0n4r6t8y2z", "heldAt": before(600),
        "heldBy": "林怡君、陳冠宇", "conclusion": "仍然適用。", "nextDue": before(-90_000), "recordedBy": "acc_1",
    });
    let (reviews, findings) = (vec![read(review)], vec![finding(true), finding(false)]);
    let view_of = ReviewsPage { p, tabs: tabs(p, "/plan/reviews"), reviews, findings, may_edit: true, may_close: true };
    show(out, "plan-reviews", &view_of);
}

fn alarms(p: &crate::page::Page, out: &mut Vec<(&'static str, String)>) {
    use crate::alarms::{AlarmRow, AlarmsPage};
    use crate::ui::{Badge, Tone};
    let t = &p.t.alarms;
    let row = |severity, what, next_step, open: bool| AlarmRow {
        id: "alrm_1".into(),
        severity,
        what,
        next_step,
        problem: "存放處 backup-b 無法連線".into(),
        name: "官網".into(),
        href: Some("/services/svc_1".into()),
        since: before(300),
        times: 3,
        acknowledged: (!open).then(|| before(60)),
        note: if open { String::new() } else { "正在更換磁碟".into() },
        cleared: None,
        judged: true,
    };
    let open = vec![
        row(Badge::new(Tone::Danger, t.critical), t.backup_overdue, t.backup_overdue_do, true),
        row(Badge::new(Tone::Care, t.minor), t.backup_degraded, t.backup_degraded_do, false),
    ];
    let cleared = vec![AlarmRow {
        cleared: Some(before(5)),
        ..row(Badge::new(Tone::Danger, t.major), t.drill_failed, "", false)
    }];
    show(out, "alarms", &AlarmsPage { p, open, cleared, may_act: true });
    show(out, "alarms-empty", &AlarmsPage { p, open: vec![], cleared: vec![], may_act: false });
}

fn announcements(p: &crate::page::Page, out: &mut Vec<(&'static str, String)>) {
    let received = |read: bool| {
        json!({
            "id": "annc_01jd8q2v7k3x5w9m0n4r6t8y2z", "from": "雲維維運", "title": "星期五上午演習", "madeAt": before(90),
            "text": "九點到十點。\n請保持電話暢通。", "readAt": read.then(|| before(10)),
        })
    };
    let told = json!({
        "id": "annc_01jd8q2v7k3x5w9m0n4r6t8y2z", "tenant": "ten_01jd8q2v7k3x5w9m0n4r6t8y2z", "audience": "own", "title": "星期五上午演習",
        "text": "九點到十點。", "madeBy": "acc_1", "madeAt": before(90), "endedAt": null, "told": 12, "read": 5,
    });
    let inbox = vec![read(received(false)), read(received(true))];
    show(out, "announcements", &AnnouncementsPage { p, inbox, told: vec![read(told.clone())], may_tell: true });
    let people = [json!({ "name": "王小明", "readAt": null }), json!({ "name": "陳冠宇", "readAt": before(10) })];
    let tenants = [json!({ "name": "明水設計有限公司", "told": 12, "read": 5 })];
    let receipts = read(json!({ "announcement": told, "people": people, "tenants": tenants }));
    show(out, "announcement", &ReceiptsPage { p, receipts, may_tell: true });
    let mut page = p.clone();
    page.who.as_mut().unwrap().unread = vec![read(received(false)), read(received(false))];
    show(
        out,
        "announcement-banner",
        &TeamPage { p: &page, tabs: tabs(&page, "/plan/team"), calls: calls(), may_edit: true },
    );
}

fn guided(p: &crate::page::Page, out: &mut Vec<(&'static str, String)>) {
    let fields = vec![Field::area("purpose", p.t.plan.start_purpose, "").error(p.t.errors.field_required)];
    let summary = Summary::gather(p.t.frame.form_wrong, &fields.iter().collect::<Vec<_>>(), "");
    let away = vec![Choice::new("1h", "1 小時"), Choice::new("-", p.t.plan.start_leave_out)];
    let services = vec![("官網".to_owned(), vec![Field::select("rto-svc_1", p.t.plan.start_away, away)])];
    let r = &p.t.rules;
    let no_offer = Some(Notice::new(Tone::Care, r.none_offered, r.none_offered_body));
    show(out, "plan-start", &StartPage { p, summary, fields, services, no_offer });
    let items = vec![p.with(p.t.plan.start_contact, "林怡君"), p.with(p.t.plan.start_activity, "官網")];
    let answers = vec![("lead".to_owned(), "林怡君".to_owned())];
    show(out, "plan-start-preview", &PreviewPage { p, items, answers });
    show(out, "plan-start-nothing", &PreviewPage { p, items: vec![], answers: vec![] });
}
