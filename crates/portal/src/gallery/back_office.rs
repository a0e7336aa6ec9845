//! The operator's pages and those of the door, with made-up content.

use super::*;

pub(super) fn operator_pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let t = &lang.messages().operator;
    let p = &page(lang, "operator", "/");
    show(
        out,
        "overview",
        &Overview {
            p,
            dead_jobs: 2,
            stuck: flows("stuck"),
            hosts_up: 2,
            hosts_total: 3,
            open_orders: "4".into(),
            customers: "12".into(),
            meters: meters(p),
            orders: orders(),
        },
    );
    let p = &page(lang, "operator", "/operator/flows");
    let tabs = Tabs {
        label: p.t.frame.flows.into(),
        links: vec![
            ("/operator/flows".into(), t.tab_attention.into(), true),
            ("/operator/flows?show=running".into(), t.tab_running.into(), false),
            ("/operator/flows?show=all".into(), t.tab_all.into(), false),
        ],
    };
    show(out, "flows", &Flows { p, tabs, flows: flows("stuck"), pager: Pager::default() });
    show(
        out,
        "flow",
        &FlowPage {
            p,
            id: "run_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
            name: "fulfil-machine".into(),
            version: "fulfil-machine 3".into(),
            subject: "小型虛擬機 · 官網".into(),
            customer: "明水設計有限公司".into(),
            order: Some(("/orders/1".into(), "官網".into())),
            state: "stuck".into(),
            live: false,
            started: before(12),
            steps: steps(p, 1, true),
            refused: None,
            problem: Some("reserve: the host has 2 free cores, 4 are needed (capacity.exhausted)".into()),
            decisions: [
                ("retry", t.retry, t.retry_title, t.retry_body, false),
                ("skip", t.skip, t.skip_title, t.skip_body, false),
                ("giveUp", t.give_up, t.give_up_title, t.give_up_body, true),
            ]
            .into_iter()
            .map(|(id, b, ti, bo, d)| Confirm {
                id,
                action: format!("/operator/flows/1/{id}"),
                csrf: "c".into(),
                title: ti.into(),
                body: bo.into(),
                fields: decision_fields(p, id),
                hidden: vec![],
                button: b.into(),
                danger: d,
                cancel: p.t.frame.cancel,
                back: "/x".into(),
                page: false,
            })
            .collect(),
            journal: vec![
                JournalRow {
                    at: before(12),
                    step: "decompose".into(),
                    event: "started".into(),
                    detail: String::new(),
                    output: "{}".into(),
                },
                JournalRow {
                    at: before(11),
                    step: "reserve".into(),
                    event: "failed".into(),
                    detail: "capacity.none_fits: no host has room".into(),
                    output: String::new(),
                },
            ],
            input: "{\n  \"order\": \"ord_…\"\n}".into(),
        },
    );
    let p = &page(lang, "operator", "/operator/hosts");
    let host = |n: &str, s: &str| HostCard {
        id: "hst_1".into(),
        name: n.into(),
        pool: "一般運算".into(),
        state: s.into(),
        seen: Some(before(0)),
        meters: meters(p),
    };
    show(
        out,
        "hosts",
        &Hosts {
            p,
            hosts: vec![host("host-1", "connected"), host("host-2", "unreachable"), host("host-3", "draining")],
            pools: vec![PoolCard { name: "一般運算".into(), meters: meters(p) }],
        },
    );
    show(
        out,
        "host",
        &HostPage {
            p,
            id: "hst_01jd".into(),
            name: "host-1".into(),
            site: "台北一站".into(),
            state: "connected".into(),
            seen: Some(before(0)),
            meters: meters(p),
            machines: vec![MachineRow {
                id: "vm_01jd".into(),
                name: "官網".into(),
                href: Some("/services/svc_1".into()),
                customer: "明水設計有限公司".into(),
                state: "up".into(),
            }],
            facts: vec![(t.pool.into(), "一般運算".into()), (t.accelerator.into(), "TCG".into())],
            attention: vec!["Its clock differs from the server's by 4200 ms.".into()],
            changes: vec![ask(p, "drain", false)],
        },
    );
    show(
        out,
        "enrolled",
        &Enrolled {
            p,
            command: "yunwei-agent enrol --server https://cloud.example:8444 --token ywe_8sK2mQ".into(),
            expires: before(-60),
        },
    );
    let p = &page(lang, "operator", "/operator/customers");
    show(
        out,
        "customers",
        &TablePage {
            p,
            title: p.t.frame.customers,
            lead: t.customers_lead,
            heads: vec![t.customer, p.t.frame.state, p.t.frame.created],
            rows: vec![
                Row {
                    href: Some("/operator/customers/1".into()),
                    name: "明水設計有限公司".into(),
                    note: "ten_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
                    cells: vec![Cell::State(p.state("active")), Cell::Time(p.ago(&before(9_000)))],
                },
                Row {
                    href: None,
                    name: "<b>Bold & Co</b>".into(),
                    note: String::new(),
                    cells: vec![Cell::Text("<i>".into()), Cell::Text(String::new())],
                },
            ],
            empty: Empty::new(t.customers_empty, t.customers_empty_body),
            button: Some(("/operator/customers/new", t.customer_create)),
            pager: Pager::default(),
        },
    );
    show(
        out,
        "customer",
        &CustomerPage {
            p,
            id: "ten_01jd".into(),
            name: "明水設計有限公司".into(),
            created: before(90_000),
            facts: vec![(t.customer.into(), "12345675".into())],
            orders: orders(),
            services: cards(),
            bills: Some(bill_rows()),
            inside: true,
            may_invite: true,
            may_enter: true,
        },
    );
    show(
        out,
        "offering",
        &OfferingPage {
            p,
            name: "小型虛擬機".into(),
            state: "launched".into(),
            description: "幾秒鐘開通的 Linux 機器。".into(),
            prices: prices(p),
            characteristics: vec![("cpu".into(), "integer".into(), "1–16".into())],
            decomposition: vec![
                ("productSpecification".into(), "Virtual machine".into()),
                ("serviceSpecification (CFS)".into(), "Reachable machine".into()),
                ("serviceSpecification (RFS)".into(), "Machine on a host".into()),
                ("resourceSpecification".into(), "vCPU, memory, disk, address".into()),
            ],
        },
    );
    let p = &page(lang, "operator", "/operator/audit");
    show(
        out,
        "audit",
        &Audit {
            p,
            reports: ("/operator/audit?reports=1".into(), t.with_reports),
            verdict: Notice::new(Tone::Well, t.attention, t.audit_lead),
            checkpoint: Some(Checkpoint {
                size: 48_213,
                at: before(1),
                root: "0f1a5c2e9d8b7a6f5e4d3c2b1a09f8e7d6c5b4a3928170605f4e3d2c1b0a9988".into(),
                key: "yunwei+7f3a2c1b".into(),
            }),
            filters: vec![
                Field::line("who", p.t.account.who, "").optional(""),
                Field::line("action", p.t.account.action, ""),
            ],
            entries: entries(),
            pager: Pager::default(),
        },
    );
    show(
        out,
        "search",
        &Search {
            p,
            query: "官網".into(),
            groups: vec![
                (
                    p.t.search.order,
                    Icon::Orders,
                    vec![Hit {
                        href: "/orders/1".into(),
                        name: "小型虛擬機 · 官網".into(),
                        id: "ord_01jd".into(),
                        note: "明水設計有限公司".into(),
                        state: "completed".into(),
                    }],
                    false,
                ),
                (
                    p.t.search.service,
                    Icon::Services,
                    vec![Hit {
                        href: "/services/1".into(),
                        name: "官網".into(),
                        id: "svc_01jd".into(),
                        note: "明水設計有限公司".into(),
                        state: "active".into(),
                    }],
                    false,
                ),
            ],
        },
    );
    show(out, "search-none", &Search { p, query: "zzz".into(), groups: vec![] });
}

/// What a decision asks for: skipping also asks for what the step would have given.
fn decision_fields(p: &Page, id: &str) -> Vec<Field> {
    let t = &p.t.operator;
    let mut fields = vec![Field::area(format!("{id}-reason"), p.t.frame.reason, "").hint(p.t.frame.reason_hint)];
    if id == "skip" {
        let hint = p.with(t.skip_output_hint, "placed (array)");
        fields.push(Field::area(format!("{id}-output"), t.skip_output, "").rows(6).hint(hint));
    }
    fields
}

pub(super) fn door_pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let d = &lang.messages().door;
    let p = &page(lang, "", "/sign-in");
    for (name, general) in [("sign-in", ""), ("sign-in-wrong", d.sign_in_wrong)] {
        let email = Field::line("email", d.email, "").kind("email", "username").focus();
        let password = Field::line("password", d.password, "").kind("password", "current-password");
        show(
            out,
            name,
            &SignIn {
                p,
                summary: Summary::gather(p.t.frame.form_wrong, &[&email, &password], general),
                email,
                password,
                next: "/".into(),
            },
        );
    }
    show(
        out,
        "invitation",
        &DoorForm {
            p,
            title: p.with(d.invite_title, "明水設計有限公司"),
            body: p.with2(d.invite_body, "林怡君", lang.messages().account.role_member),
            summary: Summary::default(),
            action: "/invitation".into(),
            hidden: vec![("token", "t".into())],
            fields: vec![
                Field::line("name", d.your_name, "").kind("text", "name"),
                Field::line("password", d.new_password, "").kind("password", "new-password").hint(d.password_hint),
            ],
            button: d.accept,
        },
    );
    show(
        out,
        "sent",
        &DoorMessage {
            p,
            title: d.sent_title.into(),
            body: d.sent_body.into(),
            links: vec![("/sign-in".into(), d.back_to_sign_in)],
        },
    );
    let crumbs = [("#tabs", p.t.frame.home), ("#tabs", p.t.frame.orders)];
    show(out, "design", &crate::design::DesignPage::new(p, &crumbs));
    let p = &page(lang, "tenant", "/orders/x");
    for (name, kind) in [
        ("error-404", base::Kind::NotFound),
        ("error-403", base::Kind::Forbidden),
        ("error-409", base::Kind::Conflict),
        ("error-429", base::Kind::Throttled),
        ("error-500", base::Kind::Bug),
    ] {
        let error = base::Error::new(kind, "order.already_cancelled", "the order has been cancelled already");
        out.push((name, crate::errors::render(p, &error)));
    }
}
