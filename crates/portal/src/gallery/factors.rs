//! Pages of second factors with made-up content.

use super::{before, page, show};
use crate::door::DoorForm;
use crate::factors::*;
use crate::i18n::Lang;
use crate::step_up::{FIELD, Question};
use crate::ui::{Field, Summary};

const URI: &str = "otpauth://totp/Yunwei:mei%40brightwater.example?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Yunwei&algorithm=SHA1&digits=6&period=30";

pub(super) fn pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let f = &lang.messages().factors;
    let p = &page(lang, "tenant", "/account/factors");
    let phone = FactorRow {
        id: "1".into(),
        name: "我的手機".into(),
        kind: f.kind_app,
        created: before(9_000),
        used: Some(before(12)),
    };
    for (name, factors) in [("factors", vec![phone]), ("factors-none", vec![])] {
        let required = factors.is_empty();
        let name_field = Field::line("name", f.name, "").hint(f.name_hint);
        show(out, name, &List { p, summary: Summary::default(), required, factors, left: 9, name: name_field });
    }
    let view = NewPasskey {
        p,
        crumbs: p.crumbs(&[("/account/factors", f.title)]),
        summary: Summary::default(),
        name: Field::line("name", f.name, "").hint(f.passkey_name_hint),
        creation: "{}".into(),
    };
    show(out, "passkey-new", &view);
    let (side, path) = drawn(URI);
    let view = Enrol {
        p,
        crumbs: p.crumbs(&[("/account/factors", f.title)]),
        summary: Summary::default(),
        id: "1".into(),
        secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".into(),
        uri: URI.into(),
        side,
        path,
        code: code_field(p, "code").hint(f.code_hint),
    };
    show(out, "factor-enrol", &view);
    let codes = (0..10).map(|n| format!("{n}abc-defg-hjkm-npqr")).collect();
    show(out, "recovery-codes", &Codes { p, codes });
    let view = Question {
        p,
        body: f.step_body_code,
        again: false,
        summary: Summary::default(),
        action: "/account/tokens".into(),
        hidden: vec![("name".into(), "CI".into())],
        field: code_field(p, FIELD),
        providers: vec![],
        next: "/account".into(),
        back: "/".into(),
    };
    show(out, "step-up", &view);
    let password = Field::line(FIELD, p.t.door.password, "").kind("password", "current-password");
    let providers = vec![("idp_01arz3ndektsv4rrffq69g5fav".into(), "清川實業".into())];
    let view = Question { body: f.step_body_password, hidden: vec![], field: password, providers, ..view };
    show(out, "step-up-provider", &view);
    let p = &page(lang, "", "/sign-in/code");
    let form = DoorForm {
        p,
        title: f.sign_in_title.into(),
        body: f.sign_in_body.into(),
        summary: Summary::default(),
        action: "/sign-in/code".into(),
        hidden: vec![("next", "/".into())],
        fields: vec![code_field(p, "code")],
        button: f.sign_in_go,
    };
    show(out, "sign-in-code", &form);
}
