//! Impact: every single loss ranked, and what a loss that somebody chooses leads to.

use crate::assessments::amount;
use crate::i18n::Inventory as Words;
use crate::inventory::{kind_word, likelihood, seconds};
use crate::page::{Page, ok};
use crate::ui::{Badge, Choice, Control, Field, Notice, Tabs, Tone};
use crate::visit::{Answer, Signed};
use askama::Template;
use continuity::impact::Kind;
use continuity::inventory::actions::{LIST, ListInventory};
use continuity::studies::actions::{
    Again, By, Lost, Outcome, RANK, RankAsk, Ranking, STUDY, Single, Stopped, WhatIf, WhyNot,
};

/// How many single losses a page shows, and things a form offers.
const SHOWN: u32 = 100;
/// Bars of the picture.
const BARS: usize = 30;
/// Its width for the time, in its own units.
const WIDTH: u64 = 420;

/// A single loss.
#[derive(Clone, Debug)]
pub(crate) struct RankRow {
    pub id: String,
    pub name: String,
    pub kind: &'static str,
    pub harm: String,
    /// How likely it is, in words; none where nobody judged it.
    pub likelihood: Option<String>,
    pub stops: String,
    pub badge: Badge,
}

/// Every single loss, the worst first.
#[derive(Template)]
#[template(path = "impact/ranking.html")]
pub(crate) struct RankingPage<'a> {
    pub p: &'a Page,
    pub tried: String,
    pub tabs: Tabs,
    /// Of how many the likelihood was judged, where they are ranked by risk.
    pub judged: Option<String>,
    pub rows: Vec<RankRow>,
    pub choices: Field,
}

/// Something that stops.
#[derive(Clone, Debug)]
pub(crate) struct StopRow {
    pub id: String,
    pub name: String,
    pub kind: &'static str,
    pub back: String,
    pub lost: String,
    pub harm: String,
    pub badges: Vec<Badge>,
}

/// A machine that is restored elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct MoveRow {
    pub name: String,
    pub from: String,
    pub to: String,
    pub start: String,
    pub end: String,
    pub loses: String,
}

/// A bar of the picture: how long something stands still.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub name: String,
    pub y: usize,
    pub width: u64,
    pub never: bool,
    /// Where its objective is.
    pub tick: Option<u64>,
    /// Where in it a restore runs: (from, width).
    pub restore: Option<(u64, u64)>,
}

/// What a loss leads to.
#[derive(Template)]
#[template(path = "impact/outcome.html")]
pub(crate) struct OutcomePage<'a> {
    pub p: &'a Page,
    pub what: String,
    pub notice: Notice,
    pub react: String,
    pub measured: String,
    pub harm: String,
    pub activities: Vec<StopRow>,
    pub moves: Vec<MoveRow>,
    /// (id, name, kind, back, lost)
    pub still: Vec<(String, String, &'static str, String, String)>,
    pub bars: Vec<Bar>,
    /// (x, label)
    pub marks: Vec<(u64, String)>,
    pub height: usize,
    pub decide: Field,
    pub choices: Field,
    pub operator: bool,
}

fn why(w: &'static Words, why: WhyNot) -> &'static str {
    match why {
        WhyNot::NoRepair => w.no_repair,
        WhyNot::NoCopy => w.no_copy,
        WhyNot::NoRoom => w.no_room,
        WhyNot::NeverMeasured => w.never_measured,
        WhyNot::Needs => w.needs_missing,
        WhyNot::Circular => w.circular,
    }
}

fn back(p: &Page, back: Again) -> String {
    let w = &p.t.inventory;
    match (back.after_seconds, back.never) {
        (Some(after), _) => p.with(w.after_span, seconds(p, after)),
        (None, Some(reason)) => format!("{} · {}", w.never, why(w, reason)),
        (None, None) => w.never.to_owned(),
    }
}

/// When something is back; where never, what keeps it from it at the root.
fn back_of(p: &Page, one: &Stopped) -> String {
    let w = &p.t.inventory;
    let roots: Vec<String> =
        one.causes.iter().take(3).map(|cause| format!("{}: {}", cause.what.name, why(w, cause.why))).collect();
    match roots.is_empty() {
        true => back(p, one.back),
        false => format!("{} · {}", w.never, roots.join("；")),
    }
}

fn lost(p: &Page, loss: Option<Lost>) -> String {
    let w = &p.t.inventory;
    match loss {
        None => w.lost_none.to_owned(),
        Some(Lost { everything: true, .. }) => w.lost_all.to_owned(),
        Some(Lost { seconds: last, .. }) => p.with(w.lost_last, seconds(p, last.unwrap_or(0))),
    }
}

fn badges(p: &Page, one: &Stopped) -> Vec<Badge> {
    let w = &p.t.inventory;
    let said = [(one.mtpd_missed, w.mtpd_missed), (one.rto_missed, w.rto_missed), (one.rpo_missed, w.rpo_missed)];
    let mut badges: Vec<Badge> =
        said.iter().filter(|(missed, _)| *missed).map(|(_, word)| Badge::new(Tone::Danger, word)).collect();
    if badges.is_empty() {
        let promised = one.rto_seconds.is_some() || one.rpo_seconds.is_some();
        badges.push(match promised {
            true => Badge::new(Tone::Well, w.within_goals),
            false => Badge::new(Tone::Neutral, w.no_goals),
        });
    }
    badges
}

fn rank_row(p: &Page, one: &Single, unit: &str) -> RankRow {
    let w = &p.t.inventory;
    let badge = match (one.never, one.missed) {
        (0, 0) => Badge::new(Tone::Well, w.kept),
        (0, missed) => Badge::new(Tone::Care, p.with(w.missed_count, missed)),
        (never, _) if never == one.unmeasured => Badge::new(Tone::Care, w.never_measured),
        (never, _) => Badge::new(Tone::Danger, p.with(w.never_back, never)),
    };
    RankRow {
        id: one.what.id.clone(),
        name: one.what.name.clone(),
        kind: kind_word(w, one.what.kind),
        harm: amount(p, one.harm, unit),
        likelihood: one.likelihood.map(|judged| likelihood(p, judged)),
        stops: p.with(w.stops_count, one.activities),
        badge,
    }
}

/// Things that somebody may choose to lose: what is above activities stays out.
async fn choices(s: &Signed, chosen: &[String]) -> base::Result<Field> {
    let w = &s.t().inventory;
    let ask = ListInventory { limit: Some(base::limits::PAGE_MAX), ..ListInventory::default() };
    let mut found = s.call(&LIST, ask).await?.items;
    found.retain(|one| one.kind != Kind::Activity);
    let order = |kind: Kind| Kind::ALL.iter().rev().position(|known| *known == kind);
    found.sort_by_key(|one| (!chosen.contains(&one.id), order(one.kind), one.name.clone()));
    found.truncate(SHOWN as usize);
    let choice = |one: &continuity::inventory::Thing| {
        let mut choice = Choice::new(&one.id, &one.name).note(kind_word(w, one.kind));
        choice.chosen = chosen.contains(&one.id);
        choice
    };
    Ok(Field::boxes("failed", w.choose_more, found.iter().map(choice).collect()).hint(w.choose_more_hint).free())
}

/// `GET /impact`
pub(crate) async fn ranking(s: Signed) -> Answer {
    let p = s.p();
    let w = &p.t.inventory;
    let by = if s.visit.query.get("by") == "risk" { By::Risk } else { By::Harm };
    let found: Ranking = s.call(&RANK, RankAsk { tenant: None, limit: Some(SHOWN), by }).await?;
    let links = [("/impact", w.by_harm, By::Harm), ("/impact?by=risk", w.by_risk, By::Risk)];
    let links = links.map(|(href, label, which)| (href.to_owned(), label.to_owned(), which == by));
    let view = RankingPage {
        p,
        tried: p.with2(w.impact_tried, found.tried, found.total),
        tabs: Tabs { label: w.ranked.to_owned(), links: links.to_vec() },
        judged: (by == By::Risk).then(|| p.with(w.judged_count, found.judged)),
        rows: found.items.iter().map(|one| rank_row(p, one, &found.unit)).collect(),
        choices: choices(&s, &[]).await?,
    };
    Ok(ok(&view))
}

/// The picture: from the incident to the last return, bars of those that stop.
fn picture(p: &Page, found: &Outcome) -> (Vec<Bar>, Vec<(u64, String)>) {
    let ends = found.stopped.iter().filter_map(|one| one.back.after_seconds);
    let goals = found.activities.iter().filter_map(|one| one.rto_seconds);
    let last = ends.chain(goals).max().unwrap_or(0).max(60);
    let at = |seconds: u64| (u128::from(seconds.min(last)) * u128::from(WIDTH) / u128::from(last)) as u64;
    let bar = |y: usize, name: &str, back: Again, goal: Option<u64>, restore: Option<(u64, u64)>| Bar {
        name: name.chars().take(24).collect(),
        y: 24 + y * 22,
        width: back.after_seconds.map_or(WIDTH, |after| at(after).max(2)),
        never: back.after_seconds.is_none(),
        tick: goal.map(at),
        restore: restore.map(|(from, to)| (at(from), (at(to) - at(from)).max(2))),
    };
    let moved = |id: &str| found.moves.iter().find(|one| one.what.id == id);
    let machines = found.stopped.iter().filter(|one| moved(&one.what.id).is_some());
    let rows = found.activities.iter().map(|one| (&one.what, one.back, one.rto_seconds));
    let rows = rows.chain(machines.map(|one| (&one.what, one.back, None))).take(BARS).enumerate();
    let bars = rows
        .map(|(y, (what, back, goal))| {
            bar(y, &what.name, back, goal, moved(&what.id).map(|one| (one.start_seconds, one.end_seconds)))
        })
        .collect();
    let marks = (0..=4).map(|n| (at(last * n / 4), seconds(p, last * n / 4))).collect();
    (bars, marks)
}

fn stop_row(p: &Page, one: &Stopped, unit: &str) -> StopRow {
    StopRow {
        id: one.what.id.clone(),
        name: one.what.name.clone(),
        kind: kind_word(&p.t.inventory, one.what.kind),
        back: back_of(p, one),
        lost: lost(p, one.loss),
        harm: amount(p, one.harm, unit),
        badges: badges(p, one),
    }
}

/// `GET /impact/what-if?failed=…`
pub(crate) async fn what_if(s: Signed) -> Answer {
    let (p, w, query) = (s.p(), &s.t().inventory, &s.visit.query);
    let failed: Vec<String> = query.all("failed").into_iter().map(str::to_owned).collect();
    let minutes: u64 = query.get("decide").parse().unwrap_or(0);
    let asked = WhatIf { tenant: None, failed: failed.clone(), decide_seconds: minutes.saturating_mul(60) };
    let found = s.call(&STUDY, asked).await?;
    let (bars, marks) = picture(p, &found);
    let names: Vec<&str> = found.failed.iter().map(|one| one.name.as_str()).collect();
    let what = names.join("、");
    let notice = match found.activities.is_empty() {
        true => Notice::new(Tone::Well, w.nothing_stops, w.nothing_stops_body),
        false => Notice::new(Tone::Info, "", w.outcome_note),
    };
    let moves = found.moves.iter().map(|one| MoveRow {
        name: one.what.name.clone(),
        from: one.from.clone(),
        to: one.to.clone(),
        start: seconds(p, one.start_seconds),
        end: seconds(p, one.end_seconds),
        loses: p.with(w.lost_last, seconds(p, one.loses_seconds)),
    });
    let still = found.stopped.iter().map(|one| {
        let kind = kind_word(w, one.what.kind);
        (one.what.id.clone(), one.what.name.clone(), kind, back(p, one.back), lost(p, one.loss))
    });
    let decide = Control::Number {
        value: minutes.to_string(),
        min: Some("0".into()),
        max: None,
        step: "1".into(),
        unit: w.minutes.to_owned(),
        slider: false,
    };
    let view = OutcomePage {
        p,
        what,
        notice,
        react: p.with(w.react, seconds(p, found.react_seconds)),
        measured: match found.measured_seconds {
            Some(measured) => p.with(w.react_measured, seconds(p, measured)),
            None => w.react_unmeasured.to_owned(),
        },
        harm: amount(p, found.harm, &found.unit),
        activities: found.activities.iter().map(|one| stop_row(p, one, &found.unit)).collect(),
        moves: moves.collect(),
        still: still.collect(),
        height: 32 + bars.len() * 22,
        bars,
        marks,
        decide: Field::number("decide", w.decide, decide).free(),
        choices: choices(&s, &failed).await?,
        operator: p.operator(),
    };
    Ok(ok(&view))
}
