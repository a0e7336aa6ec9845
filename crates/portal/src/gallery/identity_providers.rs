//! Pages of identity providers with made-up content.

use super::{now, page, show};
use crate::going::{Going, With};
use crate::i18n::Lang;
use crate::identity_providers::{List, Own, ShowPage};
use crate::ui::{Field, Summary};
use access::providers::Provider;
use access::providers::sign_in::Connection;
use serde_json::json;

fn provider(name: &str, state: &str) -> Provider {
    let json = json!({
        "id": "idp_01arz3ndektsv4rrffq69g5fav", "tenant": "ten_01arz3ndektsv4rrffq69g5fav", "name": name,
        "issuer": "https://id.brightwater.example/realms/staff", "client_id": "yunwei",
        "redirect": "https://cloud.example.com/sign-in/provider/idp_01arz3ndektsv4rrffq69g5fav", "has_secret": state == "active",
        "settings": {}, "state": state, "revision": 1, "created_at": now().to_string(),
        "domains": [
            { "domain": "brightwater.example", "confirmed_at": now().to_string() },
            { "domain": "brightwater.tw.example", "confirmed_at": null },
        ],
    });
    serde_json::from_value(json).unwrap()
}

pub(super) fn pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "tenant", "/members");
    let t = &lang.messages().identity_providers;
    let items = vec![provider("清川實業", "active"), provider("<b>Bold</b>", "off")];
    show(out, "identity-providers", &List { p, items, may_manage: true });
    show(out, "identity-providers-none", &List { p, items: vec![], may_manage: false });
    let view = ShowPage {
        p,
        summary: Summary::default(),
        one: provider("清川實業", "off"),
        on: false,
        button: "/sign-in/with/idp_01arz3ndektsv4rrffq69g5fav".into(),
        may_manage: true,
        may_confirm: true,
        fields: vec![Field::line("name", t.name, "清川實業").hint(t.name_hint)],
        revision: "1".into(),
    };
    show(out, "identity-provider", &view);
    let connection = |at: Option<_>| Connection {
        provider: "idp_01arz3ndektsv4rrffq69g5fav".parse().unwrap(),
        name: "清川實業".into(),
        bound_at: at,
        used_at: at,
    };
    let items = vec![connection(Some(now())), connection(None)];
    show(out, "own-providers", &Own { p, summary: Summary::default(), items });
    let to = "https://id.brightwater.example/auth?client_id=yunwei&state=x".to_owned();
    show(out, "going", &Going { p, title: p.with(t.going, "清川實業"), body: t.going_body, to, label: t.going_link });
    let id = "idp_01arz3ndektsv4rrffq69g5fav".into();
    show(out, "sign-in-with", &With { p, title: p.with(t.with_one, "清川實業"), id, next: "/".into() });
}
