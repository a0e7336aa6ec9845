//! Every page with made-up content, for the tests only: that each renders in
//! both languages and keeps the rules of the house, and (with
//! `YUNWEI_GALLERY=DIR`) as files for a person to look at.

mod approvals;
mod back_office;
mod drills;
mod factors;
mod identity_providers;
mod inventory;
mod permissions;
mod plan;
mod recovery;
mod service_accounts;

use crate::account::*;
use crate::bills::*;
use crate::catalog::*;
use crate::door::*;
use crate::home::Home;
use crate::i18n::Lang;
use crate::operator::*;
use crate::orders::*;
use crate::page::{Page, Theme, Who};
use crate::services::*;
use crate::ui::*;
use askama::Template;
use back_office::{door_pages, operator_pages};
use base::money::{Currency, Money};
use base::time::Timestamp;

fn now() -> Timestamp {
    "2026-11-21T06:05:09Z".parse().unwrap()
}
fn before(minutes: i64) -> Timestamp {
    now() - jiff::SignedDuration::from_mins(minutes)
}
fn twd(minor: i64) -> Money {
    Money { minor, currency: Currency::Twd }
}

fn page(lang: Lang, who: &str, path: &str) -> Page {
    Page {
        lang,
        t: lang.messages(),
        theme: Theme::Auto,
        path: path.into(),
        csrf: "c".into(),
        request_id: "req_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        passkeys: true,
        now: now(),
        who: match who {
            "tenant" => Some(Who {
                name: "林怡君".into(),
                email: "yichun@brightwater.example".into(),
                tenant: "明水設計有限公司".into(),
                locale: "zh-TW".into(),
                roles: vec!["owner".into()],
                unread: vec![],
                to_decide: 2,
                operator: false,
                home: None,
                places: vec![],
            }),
            "operator" => Some(Who {
                name: "Chen Wei-Ting".into(),
                email: "weiting@operator.example".into(),
                tenant: "雲維維運".into(),
                locale: "en".into(),
                roles: vec!["administrator".into()],
                unread: vec![],
                to_decide: 2,
                operator: true,
                home: None,
                places: vec![("ten_1".into(), "明水設計有限公司".into())],
            }),
            _ => None,
        },
        notice: None,
        refresh: None,
    }
}

fn steps(p: &Page, at: usize, bad: bool) -> Steps {
    let s = &p.t.steps;
    let names = [s.reserve, s.reserve, s.address, s.address, s.machine, s.wait, s.activate];
    let steps = names
        .iter()
        .enumerate()
        .map(|(i, name)| Step {
            state: match i.cmp(&at) {
                std::cmp::Ordering::Less if bad => StepState::Undone,
                std::cmp::Ordering::Less => StepState::Done,
                std::cmp::Ordering::Equal if bad => StepState::Failed,
                std::cmp::Ordering::Equal => StepState::Running,
                std::cmp::Ordering::Greater => StepState::Waiting,
            },
            name: (*name).into(),
            why: if i == at && bad {
                "the host has 2 free cores, 4 are needed (capacity.exhausted)".into()
            } else {
                String::new()
            },
            took: if i < at { format!("0.{i} s") } else { String::new() },
        })
        .collect();
    Steps { steps, spoken: p.with2(p.t.ordering.progress_of, at + 1, names.len()), words: &p.t.state }
}

fn orders() -> Vec<OrderRow> {
    [
        ("ord_01jd8q2v7k3x5w9m0n4r6t8y2z", "官網", "inProgress", 3),
        ("ord_01jd8q2v7k3x5w9m0n4r6t8y2y", "測試機", "completed", 190),
        ("ord_01jd8q2v7k3x5w9m0n4r6t8y2x", "大型主機", "failed", 4_000),
    ]
    .into_iter()
    .map(|(n, w, s, m)| OrderRow {
        href: format!("/orders/{n}"),
        number: n.into(),
        what: format!("小型虛擬機 · {w}"),
        customer: "明水設計有限公司".into(),
        state: s.into(),
        placed: before(m),
    })
    .collect()
}

fn cards() -> Vec<ServiceCard> {
    [
        ("官網", "active", Some("http://127.0.0.1:20080/")),
        ("測試機", "inactive", None),
        ("staging", "pendingActive", None),
    ]
    .into_iter()
    .map(|(n, s, u)| ServiceCard {
        id: "svc_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        name: n.into(),
        kind: "小型虛擬機 2 vCPU · 4 GiB".into(),
        state: s.into(),
        url: u.map(Into::into),
        since: Some(before(2_000)),
    })
    .collect()
}

fn meters(p: &Page) -> Vec<Meter> {
    vec![
        Meter::new(p.t.operator.cpu, p.with2(p.t.operator.cores, 5, 16), 5, 2, 16),
        Meter::new(p.t.operator.memory, p.with2(p.t.operator.used_of, "26 GiB", "32 GiB"), 26, 0, 32),
        Meter::new(p.t.operator.disk, p.with2(p.t.operator.used_of, "187 GiB", "200 GiB"), 187, 6, 200),
    ]
}

fn flows(state: &str) -> Vec<FlowRow> {
    vec![FlowRow {
        id: "run_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        name: "fulfil-machine".into(),
        subject: "官網".into(),
        customer: "明水設計有限公司".into(),
        state: state.into(),
        step: "reserve".into(),
        started: before(12),
    }]
}

fn bill_rows() -> Vec<BillRow> {
    vec![
        BillRow {
            id: "bil_1".into(),
            number: "2026-11-0007".into(),
            period: "2026年11月1日 – 11月30日".into(),
            customer: "明水設計有限公司".into(),
            state: "new".into(),
            issued: Some(before(60)),
            total: twd(12_345),
        },
        BillRow {
            id: "bil_2".into(),
            number: "2026-10-0005".into(),
            period: "2026年10月1日 – 10月31日".into(),
            customer: "明水設計有限公司".into(),
            state: "settled".into(),
            issued: Some(before(46_000)),
            total: twd(9_870),
        },
    ]
}

fn entries() -> Vec<Entry> {
    let entry = |m, who: &str, action: &str, words: &str, result: &str, reason: &str| Entry {
        at: before(m),
        who: who.into(),
        tenant: "明水設計有限公司".into(),
        action: action.into(),
        action_words: words.into(),
        object: "ord_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        object_href: Some("/orders/x".into()),
        result: result.into(),
        code: if result == "refused" { "policy.denied".into() } else { String::new() },
        why: "/why?id=4711".into(),
        reason: reason.into(),
    };
    vec![
        entry(2, "林怡君", "productOrder.create", "送出訂單", "allowed", ""),
        entry(9, "王大明", "service.delete", "刪除服務", "refused", ""),
        entry(50, "Chen Wei-Ting", "flow.retry", "重試流程步驟", "allowed", "主機已恢復連線"),
    ]
}

fn prices(p: &Page) -> Vec<PriceLine> {
    let o = &p.t.ordering;
    vec![
        PriceLine {
            name: "vCPU".into(),
            amount: "NT$0.6".into(),
            per: p.with(o.per, "vCPU·小時"),
            kind: o.usage.into(),
        },
        PriceLine {
            name: "記憶體".into(),
            amount: "NT$0.3".into(),
            per: p.with(o.per, "GiB·小時"),
            kind: o.usage.into(),
        },
        PriceLine {
            name: "開通費".into(), amount: "NT$100".into(), per: o.one_time.into(), kind: o.one_time.into()
        },
    ]
}

fn receipt() -> Receipt {
    Receipt {
        lines: vec![
            ReceiptLine { name: "vCPU".into(), how: "NT$0.6 / vCPU·小時 × 1,440".into(), amount: "NT$864".into() },
            ReceiptLine {
                name: "記憶體".into(), how: "NT$0.3 / GiB·小時 × 2,880".into(), amount: "NT$864".into()
            },
        ],
        once: Some("NT$100".into()),
        month: Some("NT$1,728".into()),
        hour: Some("NT$2.4".into()),
    }
}

fn sizes() -> Vec<(String, String)> {
    vec![("虛擬處理器".into(), "2 vCPU".into()), ("記憶體".into(), "4 GiB".into())]
}

fn config(p: &Page, wrong: bool) -> Vec<Field> {
    let o = &p.t.ordering;
    let mut cpu = Field::number(
        "c.cpu",
        "vCPU",
        Control::Number {
            value: if wrong { "99" } else { "2" }.into(),
            min: Some("1".into()),
            max: Some("16".into()),
            step: "1".into(),
            unit: "vCPU".into(),
            slider: true,
        },
    )
    .hint(p.with2(o.range_between, 1, 16));
    if wrong {
        cpu = cpu.error(p.t.design.sample_wrong);
    }
    let mut choices = vec![
        Choice::new("1", "1 GiB"),
        Choice::new("2", "2 GiB").note(p.with(o.default_is, "2 GiB")),
        Choice::new("4", "4 GiB"),
        Choice::new("8", "8 GiB"),
    ];
    choices[1].chosen = true;
    vec![
        cpu,
        Field::tiles("c.memory", p.t.operator.memory, choices),
        Field::area("c.ssh", "SSH public key", "").optional(p.t.frame.optional).hint("ssh-ed25519 AAAA…"),
    ]
}

fn ask(p: &Page, id: &'static str, page: bool) -> Confirm {
    let o = &p.t.ordering;
    Confirm {
        id,
        action: "/services/x/delete".into(),
        csrf: "c".into(),
        title: p.with(o.delete_title, "官網"),
        body: o.delete_body.into(),
        fields: vec![
            Field::line(if page { "name" } else { id }, o.delete_confirm, "")
                .hint(p.with(o.delete_confirm_hint, "官網")),
        ],
        hidden: vec![],
        button: o.delete_forever.into(),
        danger: true,
        cancel: p.t.frame.cancel,
        back: "/services/x".into(),
        page,
    }
}

fn show(out: &mut Vec<(&'static str, String)>, name: &'static str, page: &impl Template) {
    out.push((name, page.render().unwrap()));
}

fn tenant_pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let o = &lang.messages().ordering;
    let p = &page(lang, "tenant", "/");
    show(
        out,
        "home",
        &Home {
            p,
            name: "怡君".into(),
            running: 2,
            services_total: 3,
            open_orders: 1,
            so_far: Some(twd(1_284)),
            may_bills: true,
            last_bill: Some(("/bills/1".into(), twd(9_870), "settled".into())),
            orders: orders(),
            services: cards(),
        },
    );
    show(
        out,
        "home-empty",
        &Home {
            p,
            name: "怡君".into(),
            running: 0,
            services_total: 0,
            open_orders: 0,
            so_far: None,
            may_bills: true,
            last_bill: None,
            orders: vec![],
            services: vec![],
        },
    );
    let p = &page(lang, "tenant", "/catalog");
    let offer = |name: &str, text: &str| Offer {
        id: "pof_1".into(),
        name: name.into(),
        category: Some("虛擬機".into()),
        description: text.into(),
        sizes: sizes(),
        prices: prices(p),
    };
    show(
        out,
        "catalog",
        &Catalog {
            p,
            offers: vec![
                offer("小型虛擬機", "幾秒鐘開通的 Linux 機器，按小時計費，隨時可停。"),
                offer("靜態網站", "上傳就上線，附固定網址。"),
                offer("開發平台", "給團隊的開發環境，預裝常用工具。"),
            ],
        },
    );
    for (name, wrong) in [("order-form", false), ("order-form-wrong", true)] {
        let fields = config(p, wrong);
        let summary = Summary::gather(p.t.frame.form_wrong, &fields.iter().collect::<Vec<_>>(), "");
        show(
            out,
            name,
            &OrderForm {
                p,
                id: "pof_1".into(),
                name: "小型虛擬機".into(),
                description: "幾秒鐘開通的 Linux 機器，按小時計費，隨時可停。".into(),
                once: "o".into(),
                summary,
                service_name: Field::line("name", o.service_name, "官網").hint(o.service_name_hint),
                fields,
                sizes: sizes(),
                more: vec![Field::line("c.user", "登入帳號", "admin").optional(p.t.frame.optional)],
                more_open: wrong,
                receipt: receipt(),
            },
        );
    }
    let p = &page(lang, "tenant", "/orders");
    let tabs = || Tabs {
        label: p.t.frame.orders.into(),
        links: vec![
            ("/orders".into(), p.t.frame.all.into(), true),
            ("/orders?state=open".into(), p.t.state.in_progress.into(), false),
        ],
    };
    show(
        out,
        "orders",
        &OrderList { p, tabs: tabs(), orders: orders(), pager: p.pager("/orders", 3, Some("k"), false) },
    );
    show(out, "orders-empty", &OrderList { p, tabs: tabs(), orders: vec![], pager: Pager::default() });
    for (name, state, at, bad) in [
        ("order-running", "inProgress", 4, false),
        ("order-failed", "failed", 1, true),
        ("order-done", "completed", 7, false),
    ] {
        show(
            out,
            name,
            &OrderPage {
                p,
                crumbs: p.crumbs(&[("/orders", p.t.frame.orders)]),
                number: "ord_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
                what: "小型虛擬機 · 官網".into(),
                customer: String::new(),
                state: state.into(),
                live: at == 4,
                outcome: match name {
                    "order-failed" => Some(Notice::new(Tone::Danger, o.order_failed_title, o.order_failed_body)),
                    "order-done" => Some(Notice::new(Tone::Well, o.order_ready_title, "")),
                    _ => None,
                },
                steps: Some(steps(p, at, bad)),
                ready: (at == 7).then(|| ("/services/1".into(), o.open_service.into())),
                items: vec![OrderItem {
                    name: "小型虛擬機".into(),
                    characteristics: vec![("vCPU".into(), "2".into()), ("記憶體".into(), "4 GiB".into())],
                    prices: prices(p),
                }],
                placed: before(3),
                placed_by: "林怡君".into(),
                flow_href: None,
                cancel: (at == 4).then(|| ask(p, "cancel", false)),
            },
        );
    }
    let p = &page(lang, "tenant", "/services");
    show(out, "services", &ServiceList { p, tabs: tabs(), services: cards(), pager: Pager::default() });
    show(
        out,
        "service",
        &ServicePage {
            p,
            id: "svc_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
            name: "官網".into(),
            kind: "小型虛擬機".into(),
            state: "active".into(),
            trouble: None,
            url: Some("http://127.0.0.1:20080/".into()),
            observed: Some(before(1)),
            steps: None,
            live: false,
            since: Some(before(2_000)),
            characteristics: vec![
                ("vCPU".into(), "2".into()),
                ("記憶體".into(), "4 GiB".into()),
                ("磁碟".into(), "10 GiB".into()),
            ],
            usage: vec![
                UsageLine { name: "vCPU".into(), quantity: "66.67 vCPU·h".into(), amount: "NT$40".into() },
                UsageLine { name: "記憶體".into(), quantity: "133.33 GiB·h".into(), amount: "NT$40".into() },
            ],
            usage_unknown: Some(p.with(o.usage_unknown, "12 min")),
            verbs: vec![("restart", o.restart, Icon::Restart)],
            stop: Some(ask(p, "stop", false)),
            delete: Some(ask(p, "delete", false)),
            order: Some(("/orders/1".into(), "官網".into())),
            has_console: true,
            ended: false,
            shelter: Some(recovery::shelter(p)),
        },
    );
    show(out, "console", &Console { p, name: "官網", href: "/services/1", text: "[    0.000000] Linux version 6.1.0-cloud-amd64\n[    0.412331] virtio_blk virtio1: [vda] 20480 512-byte logical blocks\n[    1.204551] EXT4-fs (vda): mounted filesystem\nyunwei: serving HTTP on port 80\n".into() });
    let p = &page(lang, "tenant", "/bills");
    show(out, "bills", &BillList { p, bills: bill_rows(), pager: Pager::default() });
    let line = |n: &str, q: &str, u: &str, a| BillLine {
        href: Some("/bills/1/lines/1".into()),
        name: n.into(),
        note: "官網".into(),
        quantity: q.into(),
        unit_price: u.into(),
        amount: twd(a),
    };
    show(
        out,
        "bill",
        &BillPage {
            p,
            number: "2026-11-0007".into(),
            seal: Some(p.t.billing.seal_issued),
            buyer: "明水設計有限公司".into(),
            buyer_lines: vec!["統一編號 12345675".into()],
            seller: "雲維維運股份有限公司".into(),
            period: "2026年11月1日 – 2026年11月30日".into(),
            issued: Some(now()),
            due: Some(now()),
            lines: vec![
                line("vCPU", "1,440 vCPU·小時", "NT$0.6", 864),
                line("記憶體", "2,880 GiB·小時", "NT$0.3", 864),
                line("開通費", "1", "NT$100", 100),
            ],
            subtotal: twd(1_828),
            taxes: vec![("5".into(), twd(91))],
            unknown: None,
            total: twd(1_919),
        },
    );
    show(
        out,
        "usage",
        &UsagePage {
            p,
            bill_href: "/bills/1",
            bill_number: "2026-11-0007",
            line_name: "vCPU · 官網".into(),
            quantity: "1,440 vCPU·小時".into(),
            unit_price: "NT$0.6".into(),
            amount: twd(864),
            records: vec![
                UsageRow {
                    from: before(300),
                    until: before(240),
                    source: "host-1 · vm_01jd".into(),
                    quantity: "2 vCPU·小時".into(),
                },
                UsageRow {
                    from: before(240),
                    until: before(180),
                    source: "host-1 · vm_01jd".into(),
                    quantity: "2 vCPU·小時".into(),
                },
            ],
            pager: Pager::default(),
        },
    );
}

fn account_pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let a = &lang.messages().account;
    let p = &page(lang, "tenant", "/members");
    show(
        out,
        "members",
        &Members {
            p,
            summary: Summary::default(),
            members: vec![
                Member {
                    id: "1".into(),
                    initial: "林".into(),
                    name: "林怡君".into(),
                    email: "yichun@brightwater.example".into(),
                    role: a.role_owner.into(),
                    last: Some(before(5)),
                    me: true,
                },
                Member {
                    id: "2".into(),
                    initial: "王".into(),
                    name: "王大明".into(),
                    email: "daming@brightwater.example".into(),
                    role: a.role_member.into(),
                    last: None,
                    me: false,
                },
            ],
            invitations: vec![Invitation {
                id: "i".into(),
                email: "new@brightwater.example".into(),
                role: a.role_viewer.into(),
                expires: before(-6_000),
            }],
            may_manage: true,
            invite: vec![
                Field::line("email", p.t.door.email, "").kind("email", "off"),
                Field::tiles(
                    "role",
                    a.role,
                    vec![
                        Choice::new("owner", a.role_owner).note(a.role_owner_note),
                        Choice::new("member", a.role_member).note(a.role_member_note),
                        Choice::new("billing-viewer", a.role_billing_viewer).note(a.role_billing_viewer_note),
                        Choice::new("viewer", a.role_viewer).note(a.role_viewer_note),
                    ],
                ),
            ],
            staff: Some(vec![("Chen Wei-Ting".into(), "weiting@operator.example".into())]),
        },
    );
    show(out, "activity", &Activity { p, entries: entries(), pager: Pager::default() });
    show(
        out,
        "tokens",
        &Tokens {
            p,
            summary: Summary::default(),
            secret: Some("ywt_01jd8q2v7k3x5w9m0n4r6t8y2z_8sK2mQ".into()),
            tokens: vec![TokenRow {
                id: "1".into(),
                name: "CI 部署".into(),
                prefix: "ywt_8sK2mQ".into(),
                created: before(6_000),
                last_used: Some(before(30)),
                expires: Some(before(-90_000)),
                sensitive: true,
            }],
            fields: vec![Field::line("name", a.token_name, "").hint(a.token_name_hint)],
        },
    );
    show(
        out,
        "sessions",
        &Sessions {
            p,
            sessions: vec![
                SessionRow {
                    id: "1".into(),
                    device: "Chrome · Linux".into(),
                    address: "203.0.113.7".into(),
                    started: before(90),
                    last: before(0),
                    strength: p.t.factors.with_code,
                    this: true,
                },
                SessionRow {
                    id: "2".into(),
                    device: "Safari · iPhone".into(),
                    address: "198.51.100.9".into(),
                    started: before(9_000),
                    last: before(400),
                    strength: p.t.factors.with_password,
                    this: false,
                },
            ],
        },
    );
    show(out, "confirm", &ConfirmPage { p, summary: Summary::default(), confirm: ask(p, "x", true) });
    show(
        out,
        "form",
        &FormPage {
            p,
            crumbs: p.crumbs(&[("/members", p.t.frame.members)]),
            title: a.change_role.into(),
            lead: String::new(),
            summary: Summary::default(),
            action: "/x".into(),
            fields: vec![Field::line("name", p.t.frame.name, "")],
            button: p.t.frame.save.into(),
            back: "/members".into(),
        },
    );
}

fn all(lang: Lang) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    door_pages(lang, &mut out);
    tenant_pages(lang, &mut out);
    drills::drill_pages(lang, &mut out);
    inventory::pages(lang, &mut out);
    plan::plan_pages(lang, &mut out);
    approvals::approval_pages(lang, &mut out);
    account_pages(lang, &mut out);
    factors::pages(lang, &mut out);
    service_accounts::pages(lang, &mut out);
    permissions::pages(lang, &mut out);
    identity_providers::pages(lang, &mut out);
    operator_pages(lang, &mut out);
    recovery::pages(lang, &mut out);
    recovery::platform(lang, &mut out);
    out
}

#[test]
fn every_page_renders_in_both_languages() {
    for lang in [Lang::Zh, Lang::En] {
        let pages = all(lang);
        assert!(pages.len() > 40);
        if let Ok(dir) = std::env::var("YUNWEI_GALLERY") {
            let assets = format!("{dir}/assets");
            std::fs::create_dir_all(&assets).unwrap();
            for (path, bytes) in crate::assets::all() {
                std::fs::write(format!("{dir}{path}"), bytes).unwrap();
            }
            for (name, html) in &pages {
                std::fs::write(format!("{dir}/{name}.{}.html", lang.code()), html).unwrap();
            }
        }
    }
}

#[test]
fn pages_keep_to_the_content_security_policy() {
    for (name, html) in all(Lang::En) {
        for forbidden in [" style=\"", "<style", " onclick=", " onload=", "javascript:", "<script>"] {
            assert!(!html.contains(forbidden), "{name} contains {forbidden}");
        }
        assert_eq!(html.matches("<script").count(), 1, "{name} has another script than the portal's");
    }
}

#[test]
fn pages_have_one_heading_one_main_and_a_language() {
    for lang in [Lang::Zh, Lang::En] {
        for (name, html) in all(lang) {
            assert_eq!(html.matches("<h1").count(), 1, "{name}");
            assert_eq!(html.matches("<main").count(), 1, "{name}");
            assert!(html.contains(&format!("<html lang=\"{}\"", lang.tag())), "{name}");
            let title = html.split("<title>").nth(1).unwrap_or_default();
            assert!(!title.starts_with(" ·"), "{name} has no title");
        }
    }
}

#[test]
fn every_post_form_carries_the_token_against_forgery() {
    for (name, html) in all(Lang::Zh) {
        for form in html.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap_or_default();
            if form.split('>').next().unwrap_or_default().contains("method=\"post\"") {
                assert!(form.contains("name=\"csrf\""), "{name}: a form without token: {form:.80}");
            }
        }
    }
}

#[test]
fn ids_are_unique_on_each_page() {
    for (name, html) in all(Lang::Zh) {
        let mut seen = std::collections::HashSet::new();
        for id in html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(seen.insert(id), "{name}: id {id} twice");
        }
    }
}

#[test]
fn what_people_type_is_shown_and_never_run() {
    let (_, html) = all(Lang::Zh).into_iter().find(|(name, _)| *name == "customers").unwrap();
    assert!(html.contains("&#60;b&#62;Bold &#38; Co") || html.contains("&lt;b&gt;Bold &amp; Co"));
    assert!(!html.contains("<i>"));
}
