//! Pages of approvals with made-up content.

use super::{now, page, show};
use crate::approvals::{ApprovalPage, ApprovalsPage, AskPage, RulePage, reason};
use crate::i18n::Lang;
use crate::ui::{Choice, Field, Summary, Tabs};
use serde_json::{Value as Json, json};

fn read<T: serde::de::DeserializeOwned>(json: Json) -> T {
    serde_json::from_value(json).unwrap()
}

fn asked(state: &str) -> Json {
    json!({
        "id": "apr_01arz3ndektsv4rrffq69g5fav", "tenant": "ten_01arz3ndektsv4rrffq69g5fav",
        "action": "backupPolicy.update", "amountsTo": "backupPolicy.update", "summary": "Change a backup policy",
        "object": { "kind": "backupPolicy", "id": "bkpo_01arz3ndektsv4rrffq69g5fav", "tenant": null, "revision": 0 },
        "objectName": "每小時",
        "input": { "id": "bkpo_01arz3ndektsv4rrffq69g5fav", "retention": { "daily": 3 }, "pruneDelayHours": 49 },
        "seen": { "name": "每小時", "revision": 4, "retention": { "daily": 30 }, "pruneDelayHours": 72 },
        "digest": "0f1a5c2e9d8b7a6f5e4d3c2b1a09f8e7d6c5b4a3928170605f4e3d2c1b0a9988",
        "requester": "acc_01arz3ndektsv4rrffq69g5fav", "requesterName": "王大明", "reason": "空間快滿了（#4711）",
        "state": state, "createdAt": now().to_string(), "expiresAt": "2026-11-24T06:05:09Z",
        "decidedBy": null, "decidedByName": null, "decidedAt": null, "note": "", "problem": null, "result": null,
    })
}

pub(super) fn approval_pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let (p, t) = (&page(lang, "tenant", "/approvals"), &lang.messages().approvals);
    let tabs = Tabs {
        label: t.title.into(),
        links: vec![
            ("/approvals".into(), t.to_decide.into(), true),
            ("/approvals?which=mine".into(), t.mine.into(), false),
        ],
    };
    let items = vec![read(asked("waiting")), read(asked("declined"))];
    show(out, "approvals", &ApprovalsPage { p, tabs: tabs.clone(), items, may_rule: true });
    show(out, "approvals-none", &ApprovalsPage { p, tabs, items: vec![], may_rule: false });
    let note = || Field::line("note", t.note, "").optional(p.t.frame.optional);
    let mut detail = asked("waiting");
    detail["mayDecide"] = true.into();
    detail["whyNot"] = Json::Null;
    detail["differences"] = json!([
        { "attribute": "retention", "before": { "daily": 30 }, "after": { "daily": 3 } },
        { "attribute": "pruneDelayHours", "before": 72, "after": 49 },
    ]);
    show(
        out,
        "approval",
        &ApprovalPage { p, found: read(detail.clone()), summary: Summary::default(), note: note(), own: false },
    );
    detail["mayDecide"] = false.into();
    detail["whyNot"] = "approval.own".into();
    show(
        out,
        "approval-own",
        &ApprovalPage { p, found: read(detail.clone()), summary: Summary::default(), note: note(), own: true },
    );
    detail["state"] = "failed".into();
    detail["problem"] = json!({ "code": "approval.object_changed", "message": "changed since" });
    show(
        out,
        "approval-failed",
        &ApprovalPage { p, found: read(detail), summary: Summary::default(), note: note(), own: false },
    );
    let field = reason(p, "");
    let ask = AskPage {
        p,
        summary: Summary::gather(p.t.frame.form_wrong, &[&field], ""),
        words: crate::approvals::in_words(p, "service.terminate"),
        action: "service.terminate".into(),
        input: "{\"id\":\"svc_01arz3ndektsv4rrffq69g5fav\"}".into(),
        reason: field,
    };
    show(out, "approval-ask", &ask);
    let people = || vec![Choice::new("acc_1", "林怡君 <yichun@brightwater.example>"), Choice::new("acc_2", "王大明")];
    let choice = Choice { chosen: true, ..Choice::new("service.terminate", "終止服務").note("2") };
    let rule = RulePage {
        p,
        summary: Summary::default(),
        settling_hours: 24,
        boxes: Field::boxes("action", t.rule_actions, vec![choice, Choice::new("role.grant", "授予角色")]),
        persons: vec![read(json!({
            "account": "acc_01arz3ndektsv4rrffq69g5fav", "name": "林怡君", "other": "acc_01arz3ndektsv4rrffq69g5faw",
            "otherName": "Lin", "endedAt": null,
        }))],
        one: Field::select("account", t.one, people()),
        other: Field::select("other", t.other, people()),
    };
    show(out, "approval-rule", &rule);
}
