//! Second factors: one's own, a member's that are lost, and what the organisation asks for.
//!
//! Not here: the second step of signing in (`door`), showing anew who one is (`step_up`).

use crate::account::{ConfirmPage, FormPage, correctable, role_word, said};
use crate::page::{Page, ok, show};
use crate::ui::{Choice, Confirm, Crumbs, Field, Summary, told};
use crate::visit::{Answer, Signed, done};
use access::Secret;
use access::accounts::actions as accounts;
use access::factors::FactorKind;
use access::factors::actions as factors;
use access::factors::passkeys::actions as passkeys;
use access::roles::ROLES;
use access::roles::actions::Nothing;
use access::sign_in_rules::actions as rules;
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::time::Timestamp;
use base::{Error, Kind, limits};
use gate::Strength;

/// A factor of the list.
#[derive(Clone, Debug)]
pub(crate) struct FactorRow {
    pub id: String,
    pub name: String,
    /// What it is, in words.
    pub kind: &'static str,
    pub created: Timestamp,
    pub used: Option<Timestamp>,
}

/// One's own factors.
#[derive(Template)]
#[template(path = "factors/list.html")]
pub(crate) struct List<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    /// Nothing else is open until one is enrolled.
    pub required: bool,
    pub factors: Vec<FactorRow>,
    pub left: u32,
    pub name: Field,
}

/// A factor that waits for its first code.
#[derive(Template)]
#[template(path = "factors/enrol.html")]
pub(crate) struct Enrol<'a> {
    pub p: &'a Page,
    pub crumbs: Crumbs,
    pub summary: Summary,
    pub id: String,
    pub secret: String,
    pub uri: String,
    /// Modules along a side of the QR code, with its margin.
    pub side: usize,
    /// Its dark modules; empty where it could not be drawn.
    pub path: String,
    pub code: Field,
}

/// A passkey that the browser is to make.
#[derive(Template)]
#[template(path = "factors/passkey.html")]
pub(crate) struct NewPasskey<'a> {
    pub p: &'a Page,
    pub crumbs: Crumbs,
    pub summary: Summary,
    pub name: Field,
    /// What the browser needs for it, as JSON.
    pub creation: String,
}

/// Recovery codes, shown this once.
#[derive(Template)]
#[template(path = "factors/codes.html")]
pub(crate) struct Codes<'a> {
    pub p: &'a Page,
    pub codes: Vec<String>,
}

/// How a session has signed in, in words.
pub(crate) fn strength_words(p: &Page, strength: Strength) -> &'static str {
    let f = &p.t.factors;
    match strength {
        Strength::Password | Strength::Token => f.with_password,
        Strength::Code => f.with_code,
        Strength::Recovery => f.with_recovery,
        Strength::Key => f.with_key,
        Strength::Passkey => f.with_passkey,
        Strength::Provider => f.with_provider,
        Strength::ProviderFactor => f.with_provider_factor,
    }
}

/// A field for a code.
pub(crate) fn code_field(p: &Page, name: &'static str) -> Field {
    Field::line(name, p.t.factors.code, "").kind("text", "one-time-code")
}

// Handlers: one's own.

async fn list_page(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, f) = (s.p(), &s.t().factors);
    let found = s.call(&factors::LIST, Nothing {}).await?;
    let rows = found.factors.into_iter().map(|one| FactorRow {
        id: one.id.to_string(),
        name: one.name,
        kind: match one.kind {
            FactorKind::Totp => f.kind_app,
            FactorKind::Passkey => f.kind_passkey,
        },
        created: one.created_at,
        used: one.used_at,
    });
    let name = told(wrong, Field::line("name", f.name, s.visit.form.get("name")).hint(f.name_hint));
    let summary = Summary::gather(s.t().frame.form_wrong, &[&name], general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let required = s.cx.proof().is_some_and(|proof| proof.must_enrol);
    let view = List { p, summary, required, factors: rows.collect(), left: found.recovery_codes_left, name };
    Ok(show(status, &view))
}

/// `GET /account/factors`
pub(crate) async fn list(s: Signed) -> Answer {
    list_page(&s, &[], "").await
}

/// `POST /account/factors`: the answer shows the secret, this once.
pub(crate) async fn enrol(s: Signed) -> Answer {
    let name = s.visit.form.get("name");
    if name.is_empty() {
        return list_page(&s, &[("name", s.t().errors.field_required.to_owned())], "").await;
    }
    match s.call(&factors::ENROL, factors::EnrolFactor { name: Some(name.to_owned()) }).await {
        Ok(made) => Ok(enrol_page(&s, made.factor.id.to_string(), made.secret, made.uri, "")),
        Err(error) if correctable(&error) => match error.attribute() {
            Some("name") => list_page(&s, &[("name", said(&s, &error))], "").await,
            _ => list_page(&s, &[], &said(&s, &error)).await,
        },
        Err(error) => Err(error.into()),
    }
}

fn enrol_page(s: &Signed, id: String, secret: String, uri: String, wrong: &str) -> Response {
    let (p, f) = (s.p(), &s.t().factors);
    let code = code_field(p, "code").hint(f.code_hint).error(wrong).focus();
    let summary = Summary::gather(s.t().frame.form_wrong, &[&code], "");
    let (side, path) = drawn(&uri);
    let crumbs = p.crumbs(&[("/account/factors", f.title)]);
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    show(status, &Enrol { p, crumbs, summary, id, secret, uri, side, path, code })
}

/// A text as a QR code: modules along a side, and the dark ones as a path of SVG.
pub(crate) fn drawn(text: &str) -> (usize, String) {
    /// The standard asks for a margin of four modules.
    const MARGIN: usize = 4;
    let Ok(code) = qrcode::QrCode::with_error_correction_level(text, qrcode::EcLevel::M) else {
        return (1, String::new());
    };
    let width = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == qrcode::Color::Dark);
    let path = dark.fold(String::new(), |mut path, (place, _)| {
        path.push_str(&format!("M{} {}h1v1h-1z", place % width + MARGIN, place / width + MARGIN));
        path
    });
    (width + 2 * MARGIN, path)
}

/// `POST /account/factors/{id}/activate`
pub(crate) async fn activate(s: Signed, Path(id): Path<String>) -> Answer {
    let form = &s.visit.form;
    let input = factors::ActivateFactor { factor: id.parse()?, code: Secret::new(form.get("code")) };
    match s.call(&factors::ACTIVATE, input).await {
        Ok(made) if made.recovery_codes.is_empty() => Ok(done(&s.portal, "/account/factors", "factor-activated")),
        Ok(made) => Ok(ok(&Codes { p: s.p(), codes: made.recovery_codes })),
        // The secret is known to the page alone; what it says of it is shown to nobody else.
        Err(error) if error.code() == "factor.code_wrong" && form.get("uri").starts_with("otpauth://") => {
            let words = s.t().factors.wrong;
            Ok(enrol_page(&s, id, form.get("secret").to_owned(), form.get("uri").to_owned(), words))
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/passkeys/new`: the answer has what the browser needs to make one.
pub(crate) async fn new_passkey(s: Signed) -> Answer {
    passkey_page(&s, "", "").await
}

/// Each time with a challenge of its own: the last one was answered.
async fn passkey_page(s: &Signed, at_name: &str, general: &str) -> Answer {
    let (p, f) = (s.p(), &s.t().factors);
    let creation = match s.call(&passkeys::ENROL, passkeys::EnrolPasskey {}).await {
        Ok(creation) => creation,
        Err(error) if correctable(&error) => return list_page(s, &[], &said(s, &error)).await,
        Err(error) => return Err(error.into()),
    };
    let creation = serde_json::to_string(&creation)
        .map_err(|e| Error::bug("passkey.creation", "what a browser needs cannot be written").because(e))?;
    let name = Field::line("name", f.name, s.visit.form.get("name")).hint(f.passkey_name_hint).error(at_name).focus();
    let summary = Summary::gather(s.t().frame.form_wrong, &[&name], general);
    let crumbs = p.crumbs(&[("/account/factors", f.title)]);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(show(status, &NewPasskey { p, crumbs, summary, name, creation }))
}

/// `POST /account/passkeys`: what the browser made; the answer shows the first recovery codes, this once.
pub(crate) async fn register(s: Signed) -> Answer {
    let form = &s.visit.form;
    let (name, credential) = (form.get("name").to_owned(), form.raw("credential").to_owned());
    if name.is_empty() {
        return passkey_page(&s, s.t().errors.field_required, "").await;
    }
    match s.call(&passkeys::REGISTER, passkeys::RegisterPasskey { name: Some(name), credential }).await {
        Ok(made) if made.recovery_codes.is_empty() => Ok(done(&s.portal, "/account/factors", "factor-activated")),
        Ok(made) => Ok(ok(&Codes { p: s.p(), codes: made.recovery_codes })),
        Err(error) if error.attribute() == Some("name") => passkey_page(&s, &said(&s, &error), "").await,
        Err(error) if error.code().starts_with("passkey.") => passkey_page(&s, "", &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

/// `GET /account/factors/{id}/remove`
pub(crate) async fn ask_remove(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, f) = (s.p(), &s.t().factors);
    let found = s.call(&factors::LIST, Nothing {}).await?;
    let factor = found.factors.into_iter().find(|one| one.id.to_string() == id);
    let factor = factor.ok_or_else(|| Error::not_found("factor.not_found", "there is no such second factor"))?;
    let confirm = Confirm {
        id: "remove",
        action: format!("/account/factors/{id}/remove"),
        csrf: p.csrf.clone(),
        title: p.with(f.remove_title, &factor.name),
        body: f.remove_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: f.remove.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: "/account/factors".to_owned(),
        page: true,
    };
    Ok(ok(&ConfirmPage { p, summary: Summary::default(), confirm }))
}

/// `POST /account/factors/{id}/remove`
pub(crate) async fn remove(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&factors::REMOVE, factors::FactorRef { factor: id.parse()? }).await?;
    Ok(done(&s.portal, "/account/factors", "factor-removed"))
}

/// `POST /account/factors/recovery-codes`: the answer shows the new set, this once.
pub(crate) async fn renew(s: Signed) -> Answer {
    let made = s.call(&factors::RENEW, Nothing {}).await?;
    Ok(ok(&Codes { p: s.p(), codes: made.recovery_codes }))
}

// Handlers: somebody who has lost theirs.

async fn reset_page(s: &Signed, id: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, f) = (s.p(), &s.t().factors);
    let member = s.call(&accounts::GET, accounts::AccountRef { account: id.parse()? }).await?;
    let reason = Field::line("reason", f.reset_reason, s.visit.form.get("reason")).hint(f.reset_reason_hint);
    let reason = told(wrong, reason);
    let summary = Summary::gather(s.t().frame.form_wrong, &[&reason], general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let confirm = Confirm {
        id: "reset",
        action: format!("/members/{id}/factors"),
        csrf: p.csrf.clone(),
        title: p.with(f.reset_title, &member.account.name),
        body: f.reset_body.to_owned(),
        fields: vec![reason],
        hidden: vec![],
        button: f.reset.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: "/members".to_owned(),
        page: true,
    };
    Ok(show(status, &ConfirmPage { p, summary, confirm }))
}

/// `GET /members/{id}/factors`
pub(crate) async fn ask_reset(s: Signed, Path(id): Path<String>) -> Answer {
    reset_page(&s, &id, &[], "").await
}

/// `POST /members/{id}/factors`
pub(crate) async fn reset(s: Signed, Path(id): Path<String>) -> Answer {
    let reason = s.visit.form.get("reason").to_owned();
    if reason.is_empty() {
        return reset_page(&s, &id, &[("reason", s.t().errors.field_required.to_owned())], "").await;
    }
    let s = Signed { cx: s.cx.because(&reason), ..s };
    match s.call(&factors::RESET, factors::ResetFactors { account: id.parse()?, reason }).await {
        Ok(_) => Ok(done(&s.portal, "/members", "factors-reset")),
        Err(error) if correctable(&error) => match error.attribute() {
            Some("reason") => reset_page(&s, &id, &[("reason", said(&s, &error))], "").await,
            _ => reset_page(&s, &id, &[], &said(&s, &error)).await,
        },
        Err(error) => Err(error.into()),
    }
}

// Handlers: what the organisation asks for.

const IDLE_MINUTES: &[i64] = &[5, 10, 15, 30, 60];
const SESSION_HOURS: &[i64] = &[1, 2, 4, 8, 12];
const HISTORIES: &[i64] = &[0, 1, 3, 5, 10, 12];
const TOKEN_DAYS: &[i64] = &[7, 30, 90, 180, 366];

/// Choices of numbers; what is set is among them, whoever set it.
fn choices(known: &[i64], unit: i64, set: i64, word: impl Fn(i64) -> String) -> Vec<Choice> {
    let mut values: Vec<i64> = known.iter().map(|one| one * unit).chain([set]).collect();
    values.sort_unstable();
    values.dedup();
    let one = |value: i64| {
        let mut choice = Choice::new(value.to_string(), word(value));
        choice.chosen = value == set;
        choice
    };
    values.into_iter().map(one).collect()
}

async fn rules_page(s: &Signed, general: &str) -> Answer {
    let (p, t, f) = (s.p(), s.t(), &s.t().factors);
    let found = s.call(&rules::GET, rules::RulesOf::default()).await?;
    let operator = p.operator();
    // The operator may ask it of its customers' people, too.
    let roles = ROLES.iter().filter(|role| operator || !role.operator).map(|role| {
        let (word, note) = role_word(t, role.name);
        let mut choice = Choice::new(role.name, word).note(note);
        choice.chosen = found.own.factor_roles.iter().any(|one| one == role.name);
        choice
    });
    let span = |seconds: i64| p.span(seconds);
    let many = |n: i64| if n == 0 { f.rules_history_none.to_owned() } else { n.to_string() };
    let idle = found.own.idle_seconds.unwrap_or(limits::SESSION_IDLE_SECONDS);
    let session = found.own.session_seconds.unwrap_or(limits::SESSION_SECONDS_MAX);
    let tokens = i64::from(found.own.token_days.unwrap_or(limits::TOKEN_DAYS_MAX));
    let days = |n: i64| p.with(t.account.days, n);
    let counts = found.own.provider_factors == Some(true);
    let fields = vec![
        Field::boxes("role", f.rules_factor, roles.collect()).hint(f.rules_factor_hint),
        Field::select("idle", f.rules_idle, choices(IDLE_MINUTES, 60, idle, span)),
        Field::select("session", f.rules_session, choices(SESSION_HOURS, 3_600, session, span)),
        Field::select("history", f.rules_history, choices(HISTORIES, 1, i64::from(found.own.password_history), many)),
        Field::select("tokens", f.rules_tokens, choices(TOKEN_DAYS, 1, tokens, days)),
        Field::check("provider_factors", f.rules_provider, f.rules_provider_text, counts).free(),
    ];
    let held = &found.in_force;
    let in_force = p.with2(f.rules_in_force, p.span(held.idle_seconds), p.span(held.session_seconds));
    let summary = Summary::gather(t.frame.form_wrong, &[], general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = FormPage {
        p,
        crumbs: p.crumbs(&[("/members", t.frame.members)]),
        title: f.rules.to_owned(),
        lead: format!("{} {in_force}", f.rules_lead),
        summary,
        action: "/sign-in-rules".to_owned(),
        fields,
        button: t.frame.save.to_owned(),
        back: "/members".to_owned(),
    };
    Ok(show(status, &view))
}

/// `GET /sign-in-rules`
pub(crate) async fn rules_form(s: Signed) -> Answer {
    rules_page(&s, "").await
}

/// `POST /sign-in-rules`
pub(crate) async fn set_rules(s: Signed) -> Answer {
    let form = &s.visit.form;
    // Not ticked says nothing where nothing was said: what is said above holds.
    let now = s.call(&rules::GET, rules::RulesOf::default()).await?.own.provider_factors;
    let ticked = form.has("provider_factors");
    let provider_factors = (ticked || now.is_some()).then_some(ticked);
    let input = rules::UpdateRules {
        tenant: None,
        factor_roles: Some(form.all("role").into_iter().map(ToOwned::to_owned).collect()),
        idle_seconds: form.get("idle").parse().ok(),
        session_seconds: form.get("session").parse().ok(),
        password_history: form.get("history").parse().ok(),
        token_days: form.get("tokens").parse().ok(),
        provider_factors,
    };
    match s.call(&rules::UPDATE, input).await {
        Ok(_) => Ok(done(&s.portal, "/sign-in-rules", "saved")),
        Err(error) if error.kind() == Kind::Invalid => rules_page(&s, &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_drawn_with_its_margin() {
        let (side, path) = drawn("otpauth://totp/Yunwei:mei%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=Yunwei");
        // Versions of QR codes have 17 modules a side and four more for each.
        assert!(side > 29 && (side - 8 - 17) % 4 == 0, "{side}");
        // The first dark module is the corner of the first finder pattern.
        assert!(path.starts_with("M4 4h1v1h-1z"));
        assert_eq!(drawn(&"x".repeat(5_000)).1, "");
    }

    #[test]
    fn what_is_set_is_among_the_choices() {
        let found = choices(IDLE_MINUTES, 60, 700, |n| n.to_string());
        assert_eq!(found.len(), 6);
        assert_eq!(
            found.iter().filter(|choice| choice.chosen).map(|choice| choice.value.as_str()).collect::<Vec<_>>(),
            ["700"]
        );
    }
}
