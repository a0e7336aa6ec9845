//! Stopping a drill that is on its way: who may run one, may stop one, and says why.

use axum::extract::Path;
use axum::http::StatusCode;
use base::{Error, Result};
use continuity::drills::runs::{DrillRun, STOP, State, StopDrill};

use super::{find, may};
use crate::account::{ConfirmPage, correctable, said};
use crate::page::{ok, show};
use crate::ui::{Confirm, Field, Summary};
use crate::visit::{Answer, Signed, done};

fn question(s: &Signed, id: &str, wrong: &str, page: bool) -> Confirm {
    let (p, d) = (s.p(), &s.t().drills);
    let (label, hint) = (p.t.frame.reason, p.t.frame.reason_hint);
    Confirm {
        id: "stop",
        action: format!("/drills/{id}/stop"),
        csrf: p.csrf.clone(),
        title: d.stop_title.to_owned(),
        body: d.stop_body.to_owned(),
        fields: vec![Field::line("reason", label, s.visit.form.get("reason")).hint(hint).error(wrong)],
        hidden: vec![],
        button: d.stop.to_owned(),
        danger: true,
        cancel: p.t.frame.cancel,
        back: format!("/drills/{id}"),
        page,
    }
}

/// The question beside a run; none where it is over, was stopped, or is not theirs to stop.
pub(super) fn beside(s: &Signed, run: &DrillRun) -> Option<Confirm> {
    let open = run.state == State::Running && run.body.stopped.is_none() && may(s, true);
    open.then(|| question(s, &run.id.to_string(), "", false))
}

/// `GET /drills/{id}/stop`
pub(crate) async fn ask(s: Signed, Path(id): Path<String>) -> Answer {
    find(&s, &id).await?;
    Ok(ok(&ConfirmPage { p: s.p(), summary: Summary::default(), confirm: question(&s, &id, "", true) }))
}

/// `POST /drills/{id}/stop`
pub(crate) async fn stop(s: Signed, Path(id): Path<String>) -> Answer {
    let stopped: Result<DrillRun, Error> =
        s.call(&STOP, StopDrill { id: id.parse()?, reason: s.visit.form.get("reason").to_owned() }).await;
    match stopped {
        Ok(run) => Ok(done(&s.portal, &format!("/drills/{}", run.id), "drill-stopping")),
        Err(error) if error.attribute() == Some("reason") && correctable(&error) => {
            let confirm = question(&s, &id, &said(&s, &error), true);
            let summary = Summary::gather(s.t().frame.form_wrong, &confirm.fields.iter().collect::<Vec<_>>(), "");
            Ok(show(StatusCode::UNPROCESSABLE_ENTITY, &ConfirmPage { p: s.p(), summary, confirm }))
        }
        Err(error) => Err(error.into()),
    }
}
