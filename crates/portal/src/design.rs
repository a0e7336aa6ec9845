//! The design system's own page: every component with its states.

use crate::fmt::number;
use crate::page::{Page, ok};
use crate::ui::{
    Choice, Confirm, Control, Empty, Field, Icon, Meter, Notice, Pager, Step, StepState, Steps, Summary, Tabs, Tone,
};
use crate::visit::Anybody;
use askama::Template;
use axum::response::Response;
use rust_decimal::Decimal;

/// The page.
#[derive(Template)]
#[template(path = "design.html")]
pub(crate) struct DesignPage<'a> {
    p: &'a Page,
    icons: [Icon; 12],
    swatches: Vec<(&'static str, &'static str, &'static str)>,
    fields: Vec<Field>,
    summary: Summary,
    notices: Vec<Notice>,
    running: Steps,
    failed: Steps,
    meters: Vec<Meter>,
    pager: Pager,
    tabs: Tabs,
    crumbs: &'a [(&'a str, &'a str)],
    empty: Empty,
    confirm: Confirm,
}

/// `GET /design`
pub(crate) async fn show(Anybody(visit): Anybody) -> Response {
    let p = &visit.page;
    let crumbs = [("#tabs", p.t.frame.home), ("#tabs", p.t.frame.orders)];
    ok(&DesignPage::new(p, &crumbs))
}

/// The sections, as a table of contents.
#[derive(Template)]
#[template(
    ext = "html",
    source = r##"<nav class="contents" aria-label="{{ label }}"><ul>{% for (id, text) in links %}<li><a href="#{{ id }}">{{ text }}</a></li>{% endfor %}</ul></nav>"##
)]
struct Contents {
    label: &'static str,
    links: [(&'static str, &'static str); 13],
}
impl askama::filters::HtmlSafe for Contents {}

impl<'a> DesignPage<'a> {
    /// Fills the page with one of everything.
    pub(crate) fn new(p: &'a Page, crumbs: &'a [(&'a str, &'a str)]) -> Self {
        let d = &p.t.design;
        let fields = sample_fields(p);
        let summary = Summary::gather(p.t.frame.form_wrong, &fields.iter().collect::<Vec<_>>(), "");
        let o = &p.t.ordering;
        Self {
            p,
            icons: [
                Icon::Home,
                Icon::Catalog,
                Icon::Orders,
                Icon::Services,
                Icon::Bills,
                Icon::People,
                Icon::Flows,
                Icon::Hosts,
                Icon::Sites,
                Icon::Images,
                Icon::Audit,
                Icon::Key,
            ],
            swatches: vec![
                (d.swatch_paper, "paper", d.use_ground),
                (d.swatch_surface, "surface", d.use_ground),
                (d.swatch_sunken, "sunken", d.use_ground),
                (d.swatch_ink, "ink", d.use_text),
                (d.swatch_ink_soft, "ink-soft", d.use_text),
                (d.swatch_line, "line", d.use_edge),
                (d.swatch_dai, "dai", d.use_act),
                (d.swatch_dai_soft, "dai-soft", d.use_act),
                (d.swatch_well, "well", d.use_well),
                (d.swatch_care, "care-fill", d.use_care),
                (d.swatch_danger, "danger", d.use_danger),
                (d.swatch_info, "info", d.use_info),
                (d.swatch_sun, "sun", d.use_mark),
            ],
            fields,
            summary,
            notices: vec![
                Notice::new(Tone::Well, o.order_ready_title, o.order_placed),
                Notice::new(Tone::Info, "", o.tax_added),
                Notice::new(Tone::Care, o.order_stuck_title, o.order_stuck_body),
                Notice::new(Tone::Danger, o.order_failed_title, o.order_failed_body),
            ],
            running: sample_steps(p, false),
            failed: sample_steps(p, true),
            meters: sample_meters(p),
            pager: p.pager("#table", 2, Some("k"), true),
            tabs: Tabs {
                label: d.nav.to_owned(),
                links: vec![
                    ("#tabs".into(), p.t.operator.tab_attention.into(), true),
                    ("#tabs".into(), p.t.operator.tab_running.into(), false),
                    ("#tabs".into(), p.t.operator.tab_all.into(), false),
                ],
            },
            crumbs,
            empty: Empty::new(o.services_empty, o.start_body).link("#empty", o.browse),
            confirm: Confirm {
                id: "sample",
                action: "/design".into(),
                csrf: String::new(),
                title: p.with(o.delete_title, d.sample_one),
                body: o.delete_body.into(),
                fields: vec![
                    Field::line("sample-name", o.delete_confirm, "").hint(p.with(o.delete_confirm_hint, d.sample_one)),
                ],
                hidden: vec![],
                button: o.delete_forever.into(),
                danger: true,
                cancel: p.t.frame.cancel,
                back: "#dialog".into(),
                page: false,
            },
        }
    }

    fn contents(&self) -> Contents {
        let d = &self.p.t.design;
        Contents {
            label: self.p.t.frame.design,
            links: [
                ("identity", d.identity),
                ("colour", d.colour),
                ("type", d.type_),
                ("button", d.button),
                ("field", d.field),
                ("badge", d.badge),
                ("notice", d.notice),
                ("steps", d.steps),
                ("meter", d.meter),
                ("table", d.table),
                ("tabs", d.nav),
                ("empty", d.empty),
                ("dialog", d.dialog),
            ],
        }
    }
}

fn sample_fields(p: &Page) -> Vec<Field> {
    let (d, o) = (&p.t.design, &p.t.ordering);
    let mut sizes = vec![
        Choice::new("1", "1 GiB"),
        Choice::new("2", "2 GiB").note(p.with(o.default_is, "2 GiB")),
        Choice::new("4", "4 GiB"),
    ];
    if let Some(second) = sizes.get_mut(1) {
        second.chosen = true;
    }
    vec![
        Field::line("design-name", o.service_name, d.sample_one).hint(o.service_name_hint).optional(p.t.frame.optional),
        Field::number(
            "design-cpu",
            p.t.operator.cpu,
            Control::Number {
                value: "64".into(),
                min: Some("1".into()),
                max: Some("16".into()),
                step: "1".into(),
                unit: "vCPU".into(),
                slider: true,
            },
        )
        .hint(p.with2(o.range_between, 1, 16))
        .error(d.sample_wrong),
        Field::tiles("design-memory", p.t.operator.memory, sizes),
        Field::select(
            "design-role",
            p.t.account.role,
            vec![Choice::new("owner", p.t.account.role_owner), Choice::new("viewer", p.t.account.role_viewer)],
        ),
        Field::area("design-reason", p.t.frame.reason, "").hint(p.t.frame.reason_hint).optional(p.t.frame.optional),
    ]
}

fn sample_steps(p: &Page, failed: bool) -> Steps {
    use StepState::{Done, Failed, Running, Undone, Waiting};
    let s = &p.t.steps;
    let states =
        if failed { [Undone, Undone, Failed, Waiting, Waiting] } else { [Done, Done, Running, Waiting, Waiting] };
    let names = [s.reserve, s.address, s.machine, s.wait, s.activate];
    let took = ["0.1", "0.1", "1.8", "", ""];
    let steps = states
        .into_iter()
        .zip(names)
        .zip(took)
        .map(|((state, name), took)| Step {
            state,
            name: name.into(),
            why: match state {
                Failed => p.t.operator.hosts_empty_body.into(),
                Running => p.with(p.t.operator.attempt_n, 1),
                _ => String::new(),
            },
            took: if took.is_empty() { String::new() } else { p.with(p.t.frame.seconds_long, took) },
        })
        .collect();
    Steps { steps, spoken: p.with2(p.t.ordering.progress_of, 3, 5), words: &p.t.state }
}

fn sample_meters(p: &Page) -> Vec<Meter> {
    let o = &p.t.operator;
    [(o.cpu, 5, 2, 16), (o.memory, 26, 0, 32), (o.disk, 187, 6, 200)]
        .into_iter()
        .map(|(label, used, held, total)| {
            Meter::new(
                label,
                p.with2(o.used_of, number(Decimal::from(used + held)), number(Decimal::from(total))),
                used,
                held,
                total,
            )
        })
        .collect()
}
