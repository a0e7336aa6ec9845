//! The platform itself: how it is kept, and what brings it back on an empty machine.

use crate::backups::{copy_badge, state_badge};
use crate::drills::{self, PlanRow};
use crate::i18n::said_of;
use crate::page::{Page, ok};
use crate::ui::{Badge, Choice, Field};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;
use base::Error;
use base::time::Timestamp;
use continuity::backups::points::{CopyState, State};
use continuity::backups::policies::{self, ListPolicies};
use continuity::control_plane::{self, ControlPlane, Nothing, Protect, kit, points};
use continuity::drills::platform;

/// A copy of the platform in the list.
#[derive(Clone, Debug)]
pub(crate) struct PointRow {
    pub of: Option<Timestamp>,
    pub state: Badge,
    /// Each place, how its copy stands, and why.
    pub copies: Vec<(String, Badge, String)>,
    pub problem: String,
}

/// How the platform is kept.
#[derive(Template)]
#[template(path = "operator/platform.html")]
pub(crate) struct PlatformPage<'a> {
    pub p: &'a Page,
    pub kept: bool,
    pub policy: String,
    pub places: String,
    /// What would be lost now.
    pub age: Option<String>,
    pub next: Option<Timestamp>,
    pub kit_made: Option<Timestamp>,
    pub kit_is_old: bool,
    pub taking: bool,
    pub points: Vec<PointRow>,
    /// Plans that bring the platform back to see that it could be.
    pub drills: Vec<PlanRow>,
    pub may_change: bool,
    pub may_take: bool,
    /// The policy to be chosen, where none is yet.
    pub choose: Option<Field>,
}

fn stands(p: &Page, state: points::CopyState) -> Badge {
    let same = match state {
        points::CopyState::Pending => CopyState::Pending,
        points::CopyState::Verified => CopyState::Verified,
        points::CopyState::Damaged => CopyState::Damaged,
        points::CopyState::Missing | points::CopyState::Failed => CopyState::Missing,
        points::CopyState::Gone => CopyState::Gone,
    };
    copy_badge(p, same)
}

fn row(p: &Page, point: &points::Point) -> PointRow {
    let why = |problem: &Option<drivers::wire::Problem>| {
        problem.as_ref().map(|problem| said_of(p.lang, &problem.code, &problem.message)).unwrap_or_default()
    };
    PointRow {
        of: point.taken_at,
        state: state_badge(p, point.state),
        copies: point
            .copies
            .iter()
            .map(|copy| (copy.place_name.clone(), stands(p, copy.state), why(&copy.problem)))
            .collect(),
        problem: why(&point.problem),
    }
}

async fn shown(s: &Signed, refused: String) -> Answer {
    let now: ControlPlane = s.call(&control_plane::GET, Nothing {}).await?;
    let mut page = s.p().clone();
    let taking = now.points.first().is_some_and(|point| point.state == State::Taking);
    page.refresh = taking.then_some(3);
    let p = &page;
    let may = |roles: &[&str]| roles.iter().any(|role| s.cx.has_role(role));
    let may_change = may(&["administrator"]);
    let choose = match (&now.policy, may_change) {
        (None, true) => {
            let all = s.call(&policies::LIST, ListPolicies::default()).await?.items;
            let choice = |policy: &policies::BackupPolicy| Choice::new(policy.id.to_string(), policy.name.clone());
            let field = Field::select("policy", p.t.platform.policy, all.iter().map(choice).collect());
            (!all.is_empty()).then(|| field.hint(p.t.platform.policy_hint).error(&refused))
        }
        _ => None,
    };
    let view = PlatformPage {
        p,
        kept: now.policy.is_some(),
        policy: now.policy.as_ref().map(|policy| policy.name.clone()).unwrap_or_default(),
        places: now.place_names.join(" · "),
        age: now.age_seconds.map(|age| p.span(age)),
        next: now.next_due,
        kit_made: now.kit_made_at,
        kit_is_old: now.kit_is_old,
        taking,
        points: now.points.iter().map(|point| row(p, point)).collect(),
        drills: drills::plans_of(s, platform::SERVICE).await?,
        may_change,
        may_take: may(&["administrator", "operations"]),
        choose,
    };
    Ok(ok(&view))
}

/// `GET /operator/platform`
pub(crate) async fn page(s: Signed) -> Answer {
    shown(&s, String::new()).await
}

/// `POST /operator/platform`: by which policy.
pub(crate) async fn protect(s: Signed) -> Answer {
    let Ok(policy) = s.visit.form.get("policy").parse() else {
        return shown(&s, s.t().errors.field_required.to_owned()).await;
    };
    match s.call(&control_plane::PROTECT, Protect { policy }).await {
        Ok(_) => Ok(done(&s.portal, "/operator/platform", "platform-kept")),
        Err(error) if crate::account::correctable(&error) => shown(&s, crate::account::said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

/// `POST /operator/platform/backup`
pub(crate) async fn take(s: Signed) -> Answer {
    match s.call(&points::TAKE, Nothing {}).await {
        Ok(_) => Ok(done(&s.portal, "/operator/platform", "platform-copy")),
        Err(error) if error.code() == "backup.running" => Ok(done(&s.portal, "/operator/platform", "platform-copy")),
        Err(error) => Err(error.into()),
    }
}

/// `POST /operator/platform/kit`: the recovery kit, as a file to be kept elsewhere.
pub(crate) async fn kit(s: Signed) -> Answer {
    let kit = s.call(&kit::MAKE, Nothing {}).await?;
    let text = serde_json::to_string_pretty(&kit)
        .map_err(|e| Error::bug("kit.text", "a recovery kit cannot be written").because(e))?;
    let plain = HeaderValue::from_static("application/json");
    let named = HeaderValue::from_static("attachment; filename=\"recovery-kit.json\"");
    Ok(([(header::CONTENT_TYPE, plain), (header::CONTENT_DISPOSITION, named)], text).into_response())
}
