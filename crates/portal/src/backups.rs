//! What can be brought back: recovery points of a service, and how a restore goes. The plan of a restore is
//! in `restoring`, places and policies in `places` and `policies`.

use crate::account::{ConfirmPage, correctable};
use crate::files::Bar;
use crate::i18n::{Lang, said_of};
use crate::live;
use crate::page::{Page, ok, show as show_page};
use crate::records::said;
use crate::ui::{Badge, Confirm, Notice, Steps, Summary, Tone};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::time::Timestamp;
use base::{Kind, Result};
use continuity::backups::digits::{Name, Standing};
use continuity::backups::points::{self, CopyState, RecoveryPoint, State};
use continuity::backups::protections::{self, Protected};
use continuity::restores::actions as restores;
use continuity::restores::{Ask, Plan, Restore, State as RestoreState};
use provisioning::services::SERVICE;

/// An answer to one of the questions that matter.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub question: &'static str,
    /// A judgement, with its sign and tone; nothing where the answer is a plain value.
    pub badge: Option<Badge>,
    pub plain: String,
    pub note: String,
}

impl Told {
    /// An answer that judges.
    pub(crate) fn judged(question: &'static str, tone: Tone, words: impl std::fmt::Display, note: String) -> Self {
        Told { question, badge: Some(Badge::new(tone, words)), plain: String::new(), note }
    }
    /// An answer that is a value.
    pub(crate) fn plain(question: &'static str, plain: String, note: String) -> Self {
        Told { question, badge: None, plain, note }
    }
}

/// A copy of a point: where it lies, how it stands, why.
#[derive(Clone, Debug)]
pub(crate) struct CopyView {
    pub place: String,
    pub badge: Badge,
    pub why: String,
}

/// A recovery point in the list.
#[derive(Clone, Debug)]
pub(crate) struct PointView {
    pub id: String,
    pub at: Timestamp,
    pub badge: Badge,
    pub size: String,
    pub how: &'static str,
    pub copies: Vec<CopyView>,
    pub why: String,
    pub usable: bool,
}

/// What hosts are at, in a line each.
#[derive(Clone, Debug)]
pub(crate) struct DoingView {
    pub what: String,
    pub how_far: String,
}

/// A digit of the rule.
#[derive(Clone, Debug)]
pub(crate) struct DigitView {
    pub wanted: u32,
    pub name: &'static str,
    pub badge: Badge,
    pub evidence: String,
}

/// A restore in the list.
#[derive(Clone, Debug)]
pub(crate) struct RestoreRow {
    pub id: String,
    pub at: Timestamp,
    pub badge: Badge,
    pub how: &'static str,
    pub place: String,
}

/// The card on a service's page.
#[derive(Clone, Debug)]
pub(crate) struct Shelter {
    pub told: Vec<Told>,
}

/// What renews itself: the points, and what is done for them.
#[derive(Template)]
#[template(path = "backups/points.html")]
pub(crate) struct Points<'a> {
    pub p: &'a Page,
    pub id: String,
    pub points: Vec<PointView>,
    pub doing: Vec<DoingView>,
    pub may_act: bool,
}

/// A service's backups.
#[derive(Template)]
#[template(path = "backups/show.html")]
pub(crate) struct BackupsPage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub told: Vec<Told>,
    pub policy: Option<String>,
    pub next_due: Option<Timestamp>,
    pub digits: Vec<DigitView>,
    pub points: Vec<PointView>,
    pub doing: Vec<DoingView>,
    pub restores: Vec<RestoreRow>,
    pub may_act: bool,
    pub protected: bool,
    /// Where else it leads: addresses and what they are called.
    pub ways: Vec<(String, &'static str)>,
    pub live: bool,
}

/// How a restore goes; the part that renews itself.
#[derive(Template)]
#[template(path = "backups/progress.html")]
pub(crate) struct RestoreProgress<'a> {
    pub p: &'a Page,
    pub badge: Badge,
    pub outcome: Option<Notice>,
    pub steps: Option<Steps>,
    pub links: Vec<String>,
    pub disks: Vec<(String, String, String, String, String)>,
    pub under_way: Vec<(Bar, String)>,
}

/// A restore.
#[derive(Template)]
#[template(path = "backups/restore.html")]
pub(crate) struct RestorePage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub service: String,
    pub name: String,
    pub badge: Badge,
    pub outcome: Option<Notice>,
    pub steps: Option<Steps>,
    pub links: Vec<String>,
    pub disks: Vec<(String, String, String, String, String)>,
    pub under_way: Vec<(Bar, String)>,
    pub facts: Vec<(&'static str, String)>,
    pub end: Option<Confirm>,
    pub live: bool,
}

/// A place in the operator's list.
#[derive(Clone, Debug)]
pub(crate) struct PlaceRow {
    pub id: String,
    pub name: String,
    pub location: String,
    pub site: String,
    pub badge: Badge,
    /// Whether one is let in by credentials.
    pub has_credentials: bool,
}

/// A policy in the operator's list.
#[derive(Clone, Debug)]
pub(crate) struct PolicyRow {
    pub id: String,
    pub name: String,
    pub when: String,
    pub keeps: String,
    pub places: String,
    pub offered: Option<Badge>,
}

/// Places and policies.
#[derive(Template)]
#[template(path = "backups/operator.html")]
pub(crate) struct OperatorBackups<'a> {
    pub p: &'a Page,
    pub places: Vec<PlaceRow>,
    pub policies: Vec<PolicyRow>,
    pub may_change: bool,
}

/// The addresses of a service's page and of its backups, for the way back up.
macro_rules! ways_up {
    ($($page:ident.$id:ident),*) => {$(
        impl $page<'_> {
            fn here(&self) -> String {
                format!("/services/{}", self.$id)
            }
            #[allow(dead_code, reason = "one of the pages is that page")]
            fn up(&self) -> String {
                format!("/services/{}/backups", self.$id)
            }
        }
    )*};
}
ways_up!(BackupsPage.id, RestorePage.service);

// Words.

pub(crate) fn state_badge(p: &Page, state: State) -> Badge {
    let b = &p.t.backups;
    match state {
        State::Taking => Badge::new(Tone::Active, b.taking),
        State::Available => Badge::new(Tone::Well, b.available),
        State::Degraded => Badge::new(Tone::Care, b.degraded),
        State::Lost => Badge::new(Tone::Danger, b.lost),
        State::Failed => Badge::new(Tone::Danger, b.failed),
        State::Expired => Badge::new(Tone::Neutral, b.expired),
    }
}

pub(crate) fn copy_badge(p: &Page, state: CopyState) -> Badge {
    let b = &p.t.backups;
    match state {
        CopyState::Pending => Badge::new(Tone::Info, b.copy_pending),
        CopyState::Stored => Badge::new(Tone::Info, b.copy_stored),
        CopyState::Verified => Badge::new(Tone::Well, b.copy_verified),
        CopyState::Damaged => Badge::new(Tone::Danger, b.copy_damaged),
        CopyState::Missing => Badge::new(Tone::Danger, b.copy_missing),
        CopyState::Gone => Badge::new(Tone::Neutral, b.copy_gone),
    }
}

pub(crate) fn bytes(number: u64) -> String {
    crate::fmt::bytes(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Measured seconds as people read them.
#[expect(clippy::cast_possible_truncation, reason = "whole milliseconds of an estimate")]
pub(crate) fn seconds(p: &Page, seconds: f64) -> String {
    crate::fmt::took((seconds.clamp(0.0, 1e12) * 1_000.0) as i64, p.t)
}

/// A list of names as the language writes it.
pub(crate) fn listed(p: &Page, names: &[String]) -> String {
    names.join(if p.lang == Lang::Zh { "、" } else { ", " })
}

fn point_view(p: &Page, point: &RecoveryPoint) -> PointView {
    let taken: Vec<_> = point.parts.iter().filter_map(|part| part.taken.as_ref()).collect();
    let how = taken.first().map_or("", |taken| crate::data_sets::instant(p, taken.consistency));
    let why = |problem: &drivers::wire::Problem| said_of(p.lang, &problem.code, &problem.message);
    // Where there is more than one part, each copy says of which it is.
    let place = |part: &points::Part, place: &String| match &part.data_set {
        Some(set) => p.with2(p.t.backups.copy_of, &set.name, place),
        None if point.parts.len() > 1 => p.with2(p.t.backups.copy_of, p.t.backups.disks_of, place),
        None => place.clone(),
    };
    let all = point.parts.iter().flat_map(|part| part.copies.iter().map(move |copy| (part, copy)));
    let copies = all.map(|(part, copy)| CopyView {
        place: place(part, &copy.place_name),
        badge: copy_badge(p, copy.state),
        why: copy.problem.as_ref().map(why).unwrap_or_default(),
    });
    let copies: Vec<CopyView> = copies.collect();
    PointView {
        id: point.id.to_string(),
        at: point.taken_at.unwrap_or(point.requested_at),
        badge: state_badge(p, point.state),
        size: if taken.is_empty() { String::new() } else { bytes(taken.iter().map(|taken| taken.bytes).sum()) },
        how,
        why: point
            .problem
            .as_ref()
            .filter(|_| copies.iter().all(|copy| copy.why.is_empty()))
            .map(why)
            .unwrap_or_default(),
        copies,
        usable: point.state.is_restorable(),
    }
}

fn doing_view(p: &Page, doing: &points::Doing) -> DoingView {
    let b = &p.t.backups;
    let what = match doing.what.as_str() {
        "backUp" => b.work_back_up.to_owned(),
        "copy" => b.work_copy.to_owned(),
        "check" => b.work_check.to_owned(),
        "read" => p.with(b.work_read, p.exact(&doing.since)),
        _ => b.work_other.to_owned(),
    };
    let how_far = match doing.progress.as_ref().filter(|progress| progress.bytes) {
        Some(progress) => match progress.total {
            Some(total) => p.with2(b.of_total, bytes(progress.done), bytes(total)),
            None => bytes(progress.done),
        },
        None => String::new(),
    };
    DoingView { what, how_far }
}

fn digit_views(p: &Page, protected: &Protected) -> Vec<DigitView> {
    let b = &p.t.backups;
    let each = protected.digits.iter().map(|digit| {
        let name = match digit.name {
            Name::Copies => b.digit_copies,
            Name::Media => b.digit_media,
            Name::OffSite => b.digit_off_site,
            Name::Immutable => b.digit_immutable,
            Name::Errors => b.digit_errors,
        };
        let badge = match digit.standing {
            Standing::Met => Badge::new(Tone::Well, b.met),
            Standing::NotMet => Badge::new(Tone::Care, b.not_met),
            Standing::NotProven => Badge::new(Tone::Info, b.not_proven),
        };
        let original = |one: &String| if one == "original" { b.original.to_owned() } else { one.clone() };
        let evidence: Vec<String> = digit.evidence.iter().map(original).collect();
        let evidence = if digit.name == Name::Media { String::new() } else { listed(p, &evidence) };
        DigitView { wanted: digit.wanted, name, badge, evidence }
    });
    each.collect()
}

fn restore_badge(p: &Page, one: &Restore) -> Badge {
    let (b, s) = (&p.t.backups, &p.t.state);
    match one.state {
        RestoreState::Running => Badge::new(Tone::Active, s.in_progress),
        RestoreState::Done => Badge::new(Tone::Well, s.done),
        RestoreState::Failed => Badge::new(Tone::Danger, b.failed),
        RestoreState::Ended => Badge::new(Tone::Neutral, s.terminated),
    }
}

pub(crate) fn way(p: &Page, beside: bool) -> &'static str {
    if beside { p.t.backups.beside } else { p.t.backups.in_place }
}

/// Whether there is anything to bring back, by the newest point.
fn whether(p: &Page, protected: &Protected) -> Told {
    let b = &p.t.backups;
    let when = |at: Timestamp| crate::fmt::date_time(at, p.lang);
    match protected.newest.as_ref() {
        Some(point) => {
            let note = point.taken_at.map(|at| p.with(b.yes_of, when(at))).unwrap_or_default();
            match point.state {
                State::Degraded => Told::judged(b.can_i, Tone::Care, b.partly, note),
                _ => Told::judged(b.can_i, Tone::Well, b.yes, note),
            }
        }
        None if protected.policy.is_some() => Told::judged(b.can_i, Tone::Care, b.not_yet, String::new()),
        None => Told::judged(b.can_i, Tone::Danger, b.not_at_all, b.not_at_all_body.to_owned()),
    }
}

/// The four answers, of what is known.
fn answers(p: &Page, protected: &Protected, planned: Option<&Planned>) -> Vec<Told> {
    let plan = planned.and_then(|planned| planned.as_ref().ok());
    // Whoever may not plan a restore is told what the point says.
    let none = |error: &&base::Error| NOT_NOW.contains(&error.code());
    let refused = planned.and_then(|planned| planned.as_ref().err()).filter(none);
    let b = &p.t.backups;
    let when = |at: Timestamp| crate::fmt::date_time(at, p.lang);
    let can = match refused {
        Some(why) => Told::judged(b.can_i, Tone::Danger, b.not_now, said_of(p.lang, why.code(), why.message())),
        None => whether(p, protected),
    };
    let lost = match protected.age_seconds {
        Some(age) => Told::plain(b.how_much, p.with(b.last_span, p.span(age)), String::new()),
        None => Told::judged(b.how_much, Tone::Danger, b.everything, String::new()),
    };
    let fast = match plan.map(|plan| (plan, plan.estimated_seconds)) {
        Some((plan, Some(estimate))) => {
            let note = p.with2(b.about_of, &plan.place_name, bytes(plan.bytes));
            Told::plain(b.how_fast, p.with(b.about, seconds(p, estimate)), note)
        }
        Some((_, None)) => Told::plain(b.how_fast, b.unknown_speed.to_owned(), b.unknown_speed_body.to_owned()),
        None => Told::plain(b.how_fast, b.unknown_speed.to_owned(), String::new()),
    };
    let proven = match protected.proven_at {
        Some(at) => Told::judged(b.proven, Tone::Well, when(at), b.proven_body.to_owned()),
        None => Told::judged(b.proven, Tone::Care, b.never, b.never_body.to_owned()),
    };
    vec![can, lost, fast, proven]
}

// Handlers.

fn this(id: &str) -> points::ServiceRef {
    points::ServiceRef { id: id.to_owned() }
}

/// How a service would be brought back as things stand, or why not.
pub(crate) type Planned = std::result::Result<Plan, base::Error>;

/// Why nothing can be brought back just now, whoever asks.
const NOT_NOW: [&str; 4] = ["recovery.no_point", "recovery.no_copy", "recovery.incomplete", "restore.nowhere"];

/// The plan as things stand.
pub(crate) async fn plan_of(s: &Signed, ask: Ask) -> Result<Planned> {
    match s.call(&restores::PLAN, ask).await {
        Ok(plan) => Ok(Ok(plan)),
        Err(error)
            if matches!(
                error.kind(),
                Kind::Conflict | Kind::Exhausted | Kind::Forbidden | Kind::NotFound | Kind::Invalid
            ) =>
        {
            Ok(Err(error))
        }
        Err(error) => Err(error),
    }
}

/// The four answers on a service's own page; nothing for those who may not see its protection.
pub(crate) async fn shelter(s: &Signed, id: &str) -> Result<Option<Shelter>> {
    let protected = match s.call(&protections::GET, this(id)).await {
        Ok(protected) => protected,
        Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let plan = match protected.newest {
        Some(_) => Some(plan_of(s, Ask { id: id.to_owned(), ..Ask::default() }).await?),
        None => None,
    };
    Ok(Some(Shelter { told: answers(s.p(), &protected, plan.as_ref()) }))
}

pub(crate) fn may_act(s: &Signed) -> bool {
    ["owner", "member", "administrator", "operations"].iter().any(|role| s.cx.has_role(role))
}

/// The points of a service, and what hosts are at.
async fn list(s: &Signed, id: &str) -> Result<(Vec<PointView>, Vec<DoingView>)> {
    let ask = points::ListPoints { id: id.to_owned(), expired: false, after: None, limit: Some(30) };
    let page = s.call(&points::LIST, ask).await?;
    let mut doing = Vec::new();
    for point in page.items.iter().filter(|point| point.state == State::Taking) {
        let detail = s.call(&points::GET, points::PointRef { id: point.id }).await?;
        let open = detail
            .work
            .iter()
            .filter(|work| matches!(work.state, resources::tasks::State::Waiting | resources::tasks::State::Running));
        doing.extend(open.map(|work| doing_view(s.p(), work)));
    }
    let points = page.items.iter().map(|point| point_view(s.p(), point)).collect();
    Ok((points, doing))
}

/// `GET /services/{id}/backups`
pub(crate) async fn show(s: Signed, Path(id): Path<String>) -> Answer {
    let record = s.get(&SERVICE, &id).await?;
    let protected = s.call(&protections::GET, this(&id)).await?;
    let (points, doing) = list(&s, &id).await?;
    let plan = match protected.newest {
        Some(_) => Some(plan_of(&s, Ask { id: id.clone(), ..Ask::default() }).await?),
        None => None,
    };
    let mut page = s.p().clone();
    page.refresh = protected.taking.is_some().then_some(3);
    let p = &page;
    let made = s.call(&restores::LIST, restores::ListRestores { id: id.clone(), limit: Some(10) }).await?.items;
    let restores = made.iter().map(|one| RestoreRow {
        id: one.id.to_string(),
        at: one.requested_at,
        badge: restore_badge(p, one),
        how: way(p, one.beside),
        place: one.place_name.clone().unwrap_or_default(),
    });
    let view = BackupsPage {
        p,
        name: said(p.lang, &record.body, "name"),
        told: answers(p, &protected, plan.as_ref()),
        policy: protected.policy.as_ref().map(|policy| policy.name.clone()),
        next_due: protected.next_due,
        digits: if protected.newest.is_some() { digit_views(p, &protected) } else { Vec::new() },
        points,
        doing,
        restores: restores.collect(),
        may_act: may_act(&s),
        protected: protected.policy.is_some(),
        ways: crate::protection::ways(&s, &id, protected.policy.is_some()),
        live: protected.taking.is_some(),
        id,
    };
    Ok(ok(&view))
}

/// `GET /services/{id}/backups/events`
pub(crate) async fn events(s: Signed, Path(id): Path<String>) -> Answer {
    s.get(&SERVICE, &id).await?;
    Ok(live::stream(s, move |s| {
        let id = id.clone();
        async move {
            let taking = s.call(&protections::GET, this(&id)).await?.taking.is_some();
            let (points, doing) = list(&s, &id).await?;
            let view = Points { p: s.p(), id, points, doing, may_act: may_act(&s) };
            Ok((live::fragment(&view)?, !taking))
        }
    }))
}

/// `POST /services/{id}/backups`
pub(crate) async fn take(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&points::TAKE, this(&id)).await?;
    Ok(done(&s.portal, &format!("/services/{id}/backups"), "backing-up"))
}

/// What the page and its live part both show.
struct Seen {
    detail: restores::RestoreDetail,
    badge: Badge,
    outcome: Option<Notice>,
    steps: Option<Steps>,
    links: Vec<String>,
    disks: Vec<(String, String, String, String, String)>,
    under_way: Vec<(Bar, String)>,
    live: bool,
}

async fn see(s: &Signed, id: &str) -> Result<Seen> {
    let (p, b) = (s.p(), &s.t().backups);
    let detail = s.call(&restores::GET, restores::RestoreRef { id: id.parse()? }).await?;
    let one = &detail.restore;
    let outcome = match one.state {
        RestoreState::Running => None,
        RestoreState::Done if one.beside => Some(Notice::new(Tone::Well, b.beside_done, "")),
        RestoreState::Done => Some(Notice::new(Tone::Well, b.restore_done, "")),
        RestoreState::Ended => Some(Notice::new(Tone::Info, b.restore_ended, "")),
        RestoreState::Failed => {
            let why = one.problem.as_ref().map(|problem| said_of(p.lang, &problem.code, &problem.message));
            Some(Notice::new(Tone::Danger, b.restore_failed, why.unwrap_or_default()))
        }
    };
    let links = one.machines.iter().filter(|_| one.state == RestoreState::Done).map(|machine| machine.url.clone());
    let links = links.filter(|url| url.starts_with("http://") || url.starts_with("https://")).collect();
    let disks = detail.disks.iter().map(|disk| {
        let (read, verified) = (seconds(p, disk.seconds), seconds(p, disk.verify_seconds));
        (disk.disk.clone(), bytes(disk.bytes), read, verified, disk.digest.clone())
    });
    Ok(Seen {
        badge: restore_badge(p, one),
        outcome,
        steps: detail.run.as_ref().map(|run| crate::flows::progress(p, run)),
        links,
        disks: disks.collect(),
        under_way: detail.under_way.iter().map(|disk| crate::files::under_way(p, disk)).collect(),
        live: one.state == RestoreState::Running,
        detail,
    })
}

fn end_question(p: &Page, service: &str, id: &str, page: bool) -> Confirm {
    let b = &p.t.backups;
    Confirm {
        id: "end",
        action: format!("/services/{service}/restores/{id}/end"),
        csrf: p.csrf.clone(),
        title: b.end_title.to_owned(),
        body: b.end_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: b.end_beside.to_owned(),
        danger: true,
        cancel: p.t.frame.cancel,
        back: format!("/services/{service}/restores/{id}"),
        page,
    }
}

/// `GET /services/{id}/restores/{restore}`
pub(crate) async fn show_restore(s: Signed, Path((service, id)): Path<(String, String)>) -> Answer {
    let seen = see(&s, &id).await?;
    let record = s.get(&SERVICE, &service).await?;
    let mut page = s.p().clone();
    page.refresh = seen.live.then_some(3);
    let (p, b) = (&page, &s.t().backups);
    let one = &seen.detail.restore;
    let at = |at: Timestamp| crate::fmt::date_time(at, p.lang);
    let mut facts = vec![(b.how, way(p, one.beside).to_owned()), (b.asked, at(one.requested_at))];
    facts.extend(one.taken_at.map(|taken| (b.from_point, at(taken))));
    facts.extend(one.place_name.clone().map(|place| (b.from_copy, place)));
    let stands = one.state == RestoreState::Done;
    facts.extend(one.keep_until.filter(|_| stands).map(|until| (b.kept_until, at(until))));
    let end = (one.beside && stands && may_act(&s)).then(|| end_question(p, &service, &id, false));
    let view = RestorePage {
        p,
        name: said(p.lang, &record.body, "name"),
        badge: seen.badge,
        outcome: seen.outcome,
        steps: seen.steps,
        links: seen.links,
        disks: seen.disks,
        under_way: seen.under_way,
        facts,
        end,
        live: seen.live,
        service,
        id,
    };
    Ok(ok(&view))
}

/// `GET /services/{id}/restores/{restore}/events`
pub(crate) async fn restore_events(s: Signed, Path((_, id)): Path<(String, String)>) -> Answer {
    see(&s, &id).await?;
    Ok(live::stream(s, move |s| {
        let id = id.clone();
        async move {
            let seen = see(&s, &id).await?;
            let live = seen.live;
            let Seen { badge, outcome, steps, links, disks, under_way, .. } = seen;
            let view = RestoreProgress { p: s.p(), badge, outcome, steps, links, disks, under_way };
            Ok((live::fragment(&view)?, !live))
        }
    }))
}

/// `GET /services/{id}/restores/{restore}/end`
pub(crate) async fn ask_end(s: Signed, Path((service, id)): Path<(String, String)>) -> Answer {
    see(&s, &id).await?;
    let confirm = end_question(s.p(), &service, &id, true);
    Ok(ok(&ConfirmPage { p: s.p(), summary: Summary::default(), confirm }))
}

/// How much longer what stands beside is kept where somebody asks for it.
const WEEK_HOURS: u32 = 7 * 24;

/// `POST /services/{id}/restores/{restore}/keep`
pub(crate) async fn keep(s: Signed, Path((service, id)): Path<(String, String)>) -> Answer {
    s.call(&restores::KEEP, restores::Keep { id: id.parse()?, hours: WEEK_HOURS }).await?;
    Ok(done(&s.portal, &format!("/services/{service}/restores/{id}"), "saved"))
}

/// `POST /services/{id}/restores/{restore}/end`
pub(crate) async fn end(s: Signed, Path((service, id)): Path<(String, String)>) -> Answer {
    match s.call(&restores::END, restores::RestoreRef { id: id.parse()? }).await {
        Ok(_) => Ok(done(&s.portal, &format!("/services/{service}/backups"), "letting-go")),
        Err(error) if correctable(&error) => {
            let summary = Summary::gather(s.t().errors.conflict_title, &[], &s.p().error(&error));
            let view = ConfirmPage { p: s.p(), summary, confirm: end_question(s.p(), &service, &id, true) };
            Ok(show_page(StatusCode::CONFLICT, &view))
        }
        Err(error) => Err(error.into()),
    }
}
