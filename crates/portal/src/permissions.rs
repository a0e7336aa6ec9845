//! Why somebody was refused, and who can do something: what the gate says, in words.
//!
//! Not here: what is said of whom (`access::permissions`).

use crate::account::role_word;
use crate::i18n::{self, Lang, Permissions as Words};
use crate::page::{Page, show};
use crate::ui::{Badge, Choice, Field, Notice, Pager, Tone};
use crate::visit::{Answer, Signed};
use access::accounts::AccountKind;
use access::permissions::holders::{AskHolders, Given, Holder, SecondPerson, SignIn};
use access::permissions::refusals::{ExplainRefusal, Explanation, ForbiddingPolicy, Today};
use access::permissions::{EXPLAIN, HOLDERS, Passage, Stage};
use askama::Template;
use axum::http::StatusCode;
use base::time::Timestamp;
use base::{Error, Kind};

/// A refusal as the page tells it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub title: String,
    pub says: String,
    pub next: &'static str,
    pub who: String,
    pub action: String,
    pub action_words: String,
    pub object: String,
    pub tenant: String,
    pub at: Timestamp,
    pub code: String,
    pub gates: Vec<(&'static str, Badge)>,
    pub roles: Vec<(String, String)>,
    pub grantors: Vec<String>,
    pub policies: Vec<ForbiddingPolicy>,
    pub today: Option<Notice>,
    /// Where one sees who can, for those who may.
    pub holders: Option<String>,
}

/// Why was I refused?
#[derive(Template)]
#[template(path = "permissions/why.html")]
pub(crate) struct WhyPage<'a> {
    pub p: &'a Page,
    pub field: Field,
    pub told: Vec<Told>,
}

/// What a gate is called.
fn gate_word(w: &'static Words, stage: Stage) -> &'static str {
    match stage {
        Stage::SignIn => w.sign_in,
        Stage::Tenant => w.reach,
        Stage::Token => w.token,
        Stage::Policy => w.policy,
        Stage::Proof => w.proof,
        Stage::Object => w.thing,
        Stage::Rule => w.rule,
        Stage::SecondPerson => w.second,
    }
}

/// What to do about a refusal.
fn next(w: &'static Words, one: &Explanation) -> &'static str {
    match (one.gate, one.code.as_str()) {
        _ if one.hidden => w.next_hidden,
        (_, "account.left" | "account.suspended") => w.next_account,
        (_, "session.csrf") => w.next_csrf,
        (_, "tenant.suspended") => w.next_suspended,
        (_, "token.network") => w.next_network,
        (_, "token.not_sensitive") => w.next_not_sensitive,
        (_, "factor.required") => w.next_enrol,
        (Stage::Policy | Stage::Object, _) if !one.policies.is_empty() => w.next_policy,
        (Stage::SignIn, _) => w.next_sign_in,
        (Stage::Tenant, _) => w.next_tenant,
        (Stage::Token, _) => w.next_scope,
        (Stage::Policy | Stage::Object, _) => w.next_role,
        (Stage::Proof, _) => w.next_step_up,
        (Stage::Rule, _) => w.next_rule,
        (Stage::SecondPerson, _) => w.next_second,
    }
}

fn today(p: &Page, today: &Today) -> Notice {
    let w = &p.t.permissions;
    let (tone, said) = match today.gate {
        _ if today.allowed => (Tone::Well, w.today_allowed.to_owned()),
        Some(gate) if today.differs => (Tone::Info, p.with(w.today_other, gate_word(w, gate))),
        _ => (Tone::Neutral, w.today_same.to_owned()),
    };
    Notice::new(tone, w.today, said)
}

/// What an action is called: as where a second person is asked for it, else by its noun and verb.
fn action_words(lang: Lang, name: &str, title: &str) -> String {
    let (en, zh) = access::approvals::approvable::words(name);
    let known = if lang == Lang::Zh { zh } else { en };
    match (known, i18n::action(lang, name)) {
        ("", words) if words.is_empty() && lang == Lang::En => title.to_owned(),
        ("", words) => words,
        (known, _) => known.to_owned(),
    }
}

fn told(s: &Signed, one: Explanation) -> Told {
    let (p, w) = (s.p(), &s.t().permissions);
    let badge = |passage: Passage| match passage {
        Passage::Passed => Badge::new(Tone::Well, w.passed),
        Passage::Refused => Badge::new(Tone::Danger, w.refused),
        Passage::NotReached => Badge::new(Tone::Neutral, w.not_reached),
    };
    let name = one.actor_name.clone().unwrap_or_else(|| one.actor.clone());
    Told {
        title: p.with(w.refused_by, gate_word(w, one.gate)),
        says: if one.hidden { w.says_hidden.to_owned() } else { i18n::said_of(p.lang, &one.code, &one.says) },
        next: next(w, &one),
        who: if one.own { format!("{name} · {}", w.you) } else { name },
        action_words: action_words(p.lang, &one.action, &one.title),
        holders: p.offers("/who").then(|| format!("/who?action={}", crate::http::encode(&one.action))),
        object: one.object.map(|thing| format!("{} {}", thing.kind, thing.id)).unwrap_or_default(),
        tenant: one.tenant_name.unwrap_or(one.tenant),
        at: one.at,
        gates: one.gates.iter().map(|seen| (gate_word(w, seen.gate), badge(seen.passage))).collect(),
        roles: one
            .roles
            .iter()
            .map(|role| role_word(s.t(), &role.role))
            .map(|(word, note)| (word.to_owned(), note.to_owned()))
            .collect(),
        grantors: one.grantors.into_iter().map(|one| one.name).collect(),
        policies: one.policies,
        today: one.today.as_ref().map(|said| today(p, said)),
        action: one.action,
        code: one.code,
    }
}

/// Whether an error is about what was typed, and is said beside it.
fn beside(error: &Error) -> bool {
    matches!(error.kind(), Kind::Invalid | Kind::NotFound)
}

/// `GET /why`
pub(crate) async fn why(s: Signed) -> Answer {
    let (p, w) = (s.p(), &s.t().permissions);
    let id = s.visit.query.get("id").trim();
    let field = Field::line("id", w.id, id).hint("req_…");
    if id.is_empty() {
        return Ok(show(StatusCode::OK, &WhyPage { p, field, told: vec![] }));
    }
    match s.call(&EXPLAIN, ExplainRefusal { id: id.to_owned() }).await {
        Ok(found) => {
            let told = found.refusals.into_iter().map(|one| told(&s, one)).collect();
            Ok(show(StatusCode::OK, &WhyPage { p, field, told }))
        }
        Err(error) if beside(&error) => {
            let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::NOT_FOUND);
            Ok(show(status, &WhyPage { p, field: field.error(p.error(&error)), told: vec![] }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Somebody who can, as the page shows them.
#[derive(Clone, Debug)]
pub(crate) struct HolderRow {
    pub name: String,
    pub program: bool,
    pub through: Vec<(String, &'static str)>,
    pub asks: Vec<&'static str>,
    pub tokens: Vec<String>,
}

/// Who can do this?
#[derive(Template)]
#[template(path = "permissions/who.html")]
pub(crate) struct WhoPage<'a> {
    pub p: &'a Page,
    pub fields: Vec<Field>,
    /// The title of the answer; empty before anything was asked.
    pub title: String,
    pub everybody: bool,
    pub rows: Vec<HolderRow>,
    pub more: bool,
    pub pager: Pager,
}

fn row(s: &Signed, one: Holder) -> HolderRow {
    let (p, w) = (s.p(), &s.t().permissions);
    let program = one.kind == AccountKind::Service;
    let given = |given: Given, by_provider: bool| match given {
        _ if by_provider => w.by_provider,
        Given::Direct => w.direct,
        Given::Above => w.above,
        Given::Support => w.support,
    };
    let through = one.through.iter();
    let through = through.map(|by| (role_word(s.t(), &by.role).0.to_owned(), given(by.given, by.by_provider)));
    let sign_in = match one.sign_in {
        SignIn::Enrol => w.enrol,
        SignIn::Factor => w.factor,
        SignIn::Again => w.again,
        SignIn::Any => "",
    };
    let second = match one.second_person {
        SecondPerson::Yes => w.second_yes,
        SecondPerson::Depends => w.second_depends,
        SecondPerson::No => "",
    };
    let no_key = if program && one.tokens.is_empty() { w.no_key } else { "" };
    let asks = [if program { "" } else { sign_in }, second, no_key].into_iter().filter(|word| !word.is_empty());
    let token = |token: access::permissions::holders::TokenHolder| {
        let name = token.name.unwrap_or_else(|| w.a_token.to_owned());
        if token.networks.is_empty() {
            name
        } else {
            format!("{name} · {}", p.with(w.from, token.networks.join(", ")))
        }
    };
    HolderRow {
        name: one.name,
        program,
        through: through.collect(),
        asks: asks.collect(),
        tokens: one.tokens.into_iter().map(token).collect(),
    }
}

/// Every action by name, with what it is called.
fn actions(s: &Signed, chosen: &str) -> Vec<Choice> {
    let mut names = s.portal.gate.catalogue().names();
    names.sort();
    let choice = |name: String| {
        let mut choice = Choice::new(&*name, &*name).note(action_words(s.p().lang, &name, ""));
        choice.chosen = name == chosen;
        choice
    };
    names.into_iter().map(choice).collect()
}

/// `GET /who`
pub(crate) async fn who(s: Signed) -> Answer {
    let (p, w, query) = (s.p(), &s.t().permissions, &s.visit.query);
    let (action, on, after) = (query.get("action").trim(), query.get("on").trim(), query.get("after"));
    let fields = [
        Field::select("action", w.action, actions(&s, action)),
        Field::line("on", w.on, on).hint(w.on_hint).optional(s.t().frame.optional),
    ];
    let page = |fields: [Field; 2]| WhoPage {
        p,
        fields: fields.into(),
        title: String::new(),
        everybody: false,
        rows: vec![],
        more: false,
        pager: p.pager("/who", 0, None, false),
    };
    if action.is_empty() {
        // Whoever may not ask is told so before they choose.
        let ask = AskHolders { action: HOLDERS.name.to_owned(), limit: Some(1), ..AskHolders::default() };
        s.call(&HOLDERS, ask).await?;
        return Ok(show(StatusCode::OK, &page(fields)));
    }
    let ask = AskHolders {
        action: action.to_owned(),
        object: Some(on.to_owned()).filter(|on| !on.is_empty()),
        after: after.parse().ok(),
        ..AskHolders::default()
    };
    match s.call(&HOLDERS, ask).await {
        Ok(found) => {
            let next = found.next.map(|id| id.to_string());
            let base = format!("/who?action={}&on={}", crate::http::encode(action), crate::http::encode(on));
            let rows: Vec<HolderRow> = found.items.into_iter().map(|one| row(&s, one)).collect();
            let words = action_words(p.lang, &found.action, &found.title);
            let view = WhoPage {
                title: if words.is_empty() { found.action } else { words },
                everybody: found.everybody,
                more: next.is_some(),
                pager: p.pager(&base, rows.len(), next.as_deref(), !after.is_empty()),
                rows,
                ..page(fields)
            };
            Ok(show(StatusCode::OK, &view))
        }
        Err(error) if beside(&error) => {
            let [first, second] = fields;
            let at_action = error.attribute() == Some("action");
            let said = p.error(&error);
            let fields = if at_action { [first.error(said), second] } else { [first, second.error(said)] };
            let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::NOT_FOUND);
            Ok(show(status, &page(fields)))
        }
        Err(error) => Err(error.into()),
    }
}
