//! Pages of service accounts with made-up content.

use super::{now, page, show};
use crate::i18n::Lang;
use crate::service_accounts::{KeyRow, List, Row, ShowPage};
use crate::ui::{Choice, Field, Summary};
use access::service_accounts::ServiceAccount;
use access::tokens::Token;
use serde_json::json;

fn program(name: &str, without_owner: bool) -> ServiceAccount {
    let json = json!({
        "id": "acc_01arz3ndektsv4rrffq69g5fav", "home": "ten_01arz3ndektsv4rrffq69g5fav", "kind": "service",
        "email": "", "name": name, "locale": "zh-TW", "state": "active", "created_at": now().to_string(),
        "signed_in_at": null, "purpose": "每晚把新版本推到店面的機器上。", "responsible": "acc_01arz3ndektsv4rrffq69g5faw",
        "responsible_name": "王大明", "without_owner": without_owner, "sensitive": without_owner,
        "roles": ["member"], "used_at": now().to_string(),
    });
    serde_json::from_value(json).unwrap()
}

fn key(name: &str, scopes: &str, networks: &str, (replaced, in_force): (bool, bool)) -> KeyRow {
    let json = json!({
        "id": "tok_01arz3ndektsv4rrffq69g5fav", "prefix": "ywt_8fK2qa", "account": "acc_01arz3ndektsv4rrffq69g5fav",
        "tenant": "ten_01arz3ndektsv4rrffq69g5fav", "name": name, "roles": null, "scopes": [scopes],
        "networks": [], "sensitive": replaced, "made_by": "acc_01arz3ndektsv4rrffq69g5faw",
        "created_at": now().to_string(), "expires_at": now().to_string(), "revoked_at": null,
        "used_at": replaced.then(|| now().to_string()), "used_from": replaced.then_some("192.0.2.7"),
        "replaced_by": null,
    });
    let key: Token = serde_json::from_value(json).unwrap();
    KeyRow { key, scopes: scopes.into(), networks: networks.into(), replaced, in_force }
}

pub(super) fn pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "tenant", "/members");
    let t = &lang.messages().service_accounts;
    let row = |one: ServiceAccount| Row { roles: "member".into(), one };
    let rows = vec![row(program("部署流程", false)), row(program("舊的監控 <b>腳本</b>", true))];
    show(out, "service-accounts", &List { p, rows, may_manage: true });
    show(out, "service-accounts-none", &List { p, rows: vec![], may_manage: false });
    let fields = vec![
        Field::line("name", t.key_name, "").hint(t.key_name_hint),
        Field::tiles("reach", t.reach, vec![Choice::new("some", t.reach_some).note(t.reach_some_note)]),
        Field::area("scopes", t.scopes, "").hint(t.scopes_hint).optional(p.t.frame.optional),
    ];
    let view = |one: ServiceAccount, secret: Option<String>| ShowPage {
        p,
        summary: Summary::default(),
        roles: "member".into(),
        state: "active",
        suspended: false,
        keys: vec![
            key("CI 伺服器", "service:read, service.reboot", "192.0.2.0/24", (false, true)),
            key("舊的 CI 伺服器", "*:read", "", (true, true)),
            key("試用", "*:read", "", (false, false)),
        ],
        secret,
        may_manage: true,
        fields: fields.clone(),
        one,
    };
    show(out, "service-account", &view(program("部署流程", false), None));
    show(out, "service-account-key", &view(program("部署流程", true), Some(format!("ywt_{}", "A".repeat(43)))));
}
