//! Why and who, with made-up content.

use super::{now, page, show};
use crate::i18n::Lang;
use crate::permissions::{HolderRow, Told, WhoPage, WhyPage};
use crate::ui::{Badge, Choice, Field, Notice, Tone};
use access::permissions::refusals::ForbiddingPolicy;

pub(super) fn pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "tenant", "/why");
    let w = &lang.messages().permissions;
    let field = Field::line("id", w.id, "req_01m80h6wrtet7rkwawzsgh6gss").hint("req_…");
    let gates = vec![
        (w.sign_in, Badge::new(Tone::Well, w.passed)),
        (w.policy, Badge::new(Tone::Danger, w.refused)),
        (w.proof, Badge::new(Tone::Neutral, w.not_reached)),
    ];
    let told = |policies: Vec<ForbiddingPolicy>| Told {
        title: p.with(w.refused_by, w.policy),
        says: "<b>角色</b>不包含這個動作。".into(),
        next: w.next_role,
        who: "林怡君".into(),
        action: "account.list".into(),
        action_words: "列出成員".into(),
        object: "account acc_01arz3ndektsv4rrffq69g5fav".into(),
        tenant: "明水設計有限公司".into(),
        at: now(),
        code: "action.forbidden".into(),
        gates: gates.clone(),
        roles: if policies.is_empty() { vec![("擁有者".into(), "管理組織".into())] } else { vec![] },
        grantors: vec!["王大明".into()],
        policies,
        today: Some(Notice::new(Tone::Well, w.today, w.today_allowed)),
        holders: Some("/who?action=account.list".into()),
    };
    let policy =
        ForbiddingPolicy { id: "no-exports".into(), words: "No exports.".into(), text: "forbid (…);".into() };
    show(out, "why", &WhyPage { p, field: field.clone(), told: vec![told(vec![]), told(vec![policy])] });
    let wrong = field.error("找不到");
    show(out, "why-none", &WhyPage { p, field: wrong, told: vec![] });
    let p = &page(lang, "tenant", "/who");
    let fields = || {
        let choice = Choice::new("service.reboot", "service.reboot").note("重新啟動服務");
        vec![Field::select("action", w.action, vec![choice]), Field::line("on", w.on, "").hint(w.on_hint)]
    };
    let row = |name: &str, program: bool| HolderRow {
        name: name.into(),
        program,
        through: if program { vec![] } else { vec![("擁有者".into(), w.above), ("成員".into(), w.by_provider)] },
        asks: if program { vec![] } else { vec![w.factor, w.second_yes] },
        tokens: if program { vec!["CI · 192.0.2.0/24".into()] } else { vec![] },
    };
    let view = |rows: Vec<HolderRow>, title: &str| WhoPage {
        p,
        fields: fields(),
        title: title.into(),
        everybody: false,
        more: false,
        pager: p.pager("/who?action=service.reboot&on=", rows.len(), Some("acc_1"), true),
        rows,
    };
    show(out, "who", &view(vec![row("王大明", false), row("部署 <i>流程</i>", true)], "重新啟動服務"));
    show(out, "who-nobody", &view(vec![], "重新啟動服務"));
    show(out, "who-asked", &view(vec![], ""));
}
