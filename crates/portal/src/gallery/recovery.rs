//! Backups and restores, with made-up content.

use super::{Badge, Choice, Field, Lang, Notice, Page, Summary, Tone, before, page, show, steps};
use crate::backups::{
    BackupsPage, CopyView, DigitView, DoingView, OperatorBackups, PlaceRow, PointView, PolicyRow, RestorePage,
    RestoreRow, Shelter, Told,
};
use crate::files::{Bar, Fetched, FetchedPage, FilesPage, Row, Waiting};
use crate::places::RuleForm;
use crate::platform::{PlatformPage, PointRow};
use crate::policies::{PreviewRow, PreviewTable, RULES, numbers};
use crate::protection::{EscrowPage, ProtectionPage, RepositoriesPage, RepositoryRow, RetentionPage, VerdictRow};
use crate::restoring::PlanPage;

fn told(p: &Page) -> Vec<Told> {
    let b = &p.t.backups;
    let when = crate::fmt::date_time(before(430), p.lang);
    vec![
        Told::judged(b.can_i, Tone::Well, b.yes, p.with(b.yes_of, when)),
        Told::plain(b.how_much, p.with(b.last_span, p.span(25_800)), String::new()),
        Told::plain(b.how_fast, p.with(b.about, "95 s"), p.with2(b.about_of, "far", "10 GiB")),
        Told::judged(b.proven, Tone::Care, b.never, b.never_body.into()),
    ]
}

pub(super) fn shelter(p: &Page) -> Shelter {
    Shelter { told: told(p) }
}

fn points(p: &Page) -> Vec<PointView> {
    let b = &p.t.backups;
    let copy = |place: &str, tone, words: &str, why: &str| CopyView {
        place: place.into(),
        badge: Badge::new(tone, words),
        why: why.into(),
    };
    let point = |minutes, tone, words: &str, copies| PointView {
        id: "rpt_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        at: before(minutes),
        badge: Badge::new(tone, words),
        size: "10.2 GiB".into(),
        how: b.crash_consistent,
        copies,
        why: String::new(),
        usable: tone != Tone::Active,
    };
    vec![
        point(
            2,
            Tone::Active,
            b.taking,
            vec![copy("near", Tone::Info, b.copy_stored, ""), copy("far", Tone::Info, b.copy_pending, "")],
        ),
        point(
            430,
            Tone::Well,
            b.available,
            vec![copy("near", Tone::Well, b.copy_verified, ""), copy("far", Tone::Well, b.copy_verified, "")],
        ),
        point(
            1_870,
            Tone::Care,
            b.degraded,
            vec![
                copy("near", Tone::Well, b.copy_verified, ""),
                copy(
                    "far",
                    Tone::Danger,
                    b.copy_damaged,
                    "the repository is not whole: a pack is cut; use another copy",
                ),
            ],
        ),
    ]
}

pub(super) fn pages(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "tenant", "/services");
    let b = &p.t.backups;
    let digit = |wanted, name, tone, words, evidence: &str| DigitView {
        wanted,
        name,
        badge: Badge::new(tone, words),
        evidence: evidence.into(),
    };
    show(
        out,
        "backups",
        &BackupsPage {
            p,
            id: "svc_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
            name: "官網".into(),
            told: told(p),
            policy: Some("nightly".into()),
            next_due: Some(before(-700)),
            digits: vec![
                digit(3, b.digit_copies, Tone::Well, b.met, "original、near、far"),
                digit(2, b.digit_media, Tone::Well, b.met, ""),
                digit(1, b.digit_off_site, Tone::Well, b.met, "far"),
                digit(1, b.digit_immutable, Tone::Care, b.not_met, ""),
                digit(0, b.digit_errors, Tone::Info, b.not_proven, ""),
            ],
            points: points(p),
            doing: vec![DoingView {
                what: b.work_copy.to_owned(),
                how_far: p.with2(b.of_total, "1.2 GiB", "10.2 GiB"),
            }],
            restores: vec![RestoreRow {
                id: "rstr_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
                at: before(9_000),
                badge: Badge::new(Tone::Well, p.t.state.done),
                how: b.in_place,
                place: "far".into(),
            }],
            may_act: true,
            protected: true,
            ways: vec![
                ("/services/svc_1/retention".into(), p.t.rules.see_kept),
                ("/services/svc_1/repositories".into(), p.t.rules.repositories),
            ],
            live: true,
        },
    );
    for (name, possible) in [("restore-plan", true), ("restore-impossible", false)] {
        let choices = vec![
            Field::select("point", b.from_point, vec![Choice { chosen: true, ..Choice::new("", b.newest_point) }])
                .free(),
            Field::tiles(
                "how",
                b.how,
                vec![
                    Choice { chosen: true, ..Choice::new("place", b.in_place).note(b.in_place_note) },
                    Choice::new("beside", b.beside).note(b.beside_note),
                ],
            )
            .free(),
        ];
        let rows = [
            (b.from_point, crate::fmt::date_time(before(430), lang)),
            (b.loses, p.with(b.last_span, p.span(25_800))),
            (b.from_copy, "far".into()),
            (b.how_much_data, "10.2 GiB".into()),
            (b.takes, p.with(b.about, "95 s")),
            (b.onto, "taipei-2".into()),
            (b.removes, p.with(b.removes_body, 1)),
        ];
        show(
            out,
            name,
            &PlanPage {
                p,
                id: "svc_1".into(),
                name: "官網".into(),
                summary: Summary::default(),
                choices,
                trouble: (!possible).then(|| Notice::new(Tone::Danger, b.no_plan, "no copy will do: far is damaged")),
                alive: possible.then(|| Notice::new(Tone::Danger, b.alive_title, b.alive_body)),
                rows: if possible { rows.to_vec() } else { vec![] },
                hidden: vec![("point", "rpt_1".into())],
                confirm: possible.then(|| Field::check("alive", b.alive_label, b.alive_confirm, false)),
                button: b.start_restore,
                danger: true,
                possible,
            },
        );
    }
    show(
        out,
        "restore",
        &RestorePage {
            p,
            id: "rstr_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
            service: "svc_1".into(),
            name: "官網".into(),
            badge: Badge::new(Tone::Active, p.t.state.in_progress),
            outcome: None,
            steps: Some(steps(p, 4, false)),
            links: vec![],
            disks: vec![("system".into(), "10 GiB".into(), "81.2 s".into(), "12.9 s".into(), "ab".repeat(32))],
            under_way: vec![(
                Bar::bytes(p, "data", 3 << 30, 10 << 30),
                p.with2(b.speed_and_left, "120 MiB", p.span(61)),
            )],
            facts: vec![(b.how, b.in_place.into()), (b.from_copy, "far".into())],
            end: None,
            live: true,
        },
    );
    files(lang, out);
    let p = &page(lang, "operator", "/operator/backups");
    let b = &p.t.backups;
    let place = |name: &str, location: &str, site: &str, tone, words| PlaceRow {
        id: "bkpl_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        name: name.into(),
        location: location.into(),
        site: site.into(),
        badge: Badge::new(tone, words),
        has_credentials: tone == Tone::Well,
    };
    let places = vec![
        place("near", "/srv/backups", "Taipei", Tone::Neutral, b.immutable_none),
        place("far", "https://backup.example.com:8430", b.elsewhere, Tone::Well, b.immutable_append),
    ];
    let policies = vec![PolicyRow {
        id: "bkpo_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        name: "nightly".into(),
        when: "daily 02:00 (Asia/Taipei)".into(),
        keeps: p.with(b.daily, 7),
        places: "near、far".into(),
        offered: Some(Badge::new(Tone::Info, p.t.rules.offered_badge)),
    }];
    show(out, "operator-backups", &OperatorBackups { p, places, policies, may_change: true });
    rules(lang, out);
}

/// A policy's form with what it would let go, a service's policy, what is kept, and the way out.
fn rules(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "operator", "/operator/backups");
    let (b, r) = (&p.t.backups, &p.t.rules);
    let row = |name: &str, goes: &str, held| PreviewRow {
        service: "svc_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        name: name.into(),
        stays: "7".into(),
        goes: goes.into(),
        held,
    };
    let rows = vec![
        row("官網", &p.with2(r.and_more, crate::fmt::date_time(before(9_000), lang), 12), true),
        row("mail", r.goes_none, false),
    ];
    let form = RuleForm {
        p,
        crumbs: p.crumbs(&[("/operator/backups", b.operator_title)]),
        title: p.with(r.policy_change, "nightly"),
        lead: p.with(r.revision, 3),
        summary: Summary::default(),
        action: "/operator/backups/policies/bkpo_1".into(),
        hidden: vec![("revision", "3".into())],
        groups: vec![
            ("", String::new(), vec![Field::line("name", p.t.frame.name, "nightly")]),
            (r.retention, r.retention_lead.to_owned(), numbers(p, |_| "7".into())),
        ],
        may_preview: true,
        preview: Some(PreviewTable { rows, more: Some(p.with(r.preview_more, 2)) }),
        back: "/operator/backups",
    };
    show(out, "policy-change", &form);
    let p = &page(lang, "tenant", "/services");
    let (b, r) = (&p.t.backups, &p.t.rules);
    let crumbs = || p.crumbs(&[("/services", p.t.frame.services), ("/services/svc_1/backups", b.backups)]);
    for (name, offered) in [("protection", true), ("protection-none-offered", false)] {
        let choices = vec![Choice { chosen: true, ..Choice::new("bkpo_1", "nightly").note("daily 02:00") }];
        let view = ProtectionPage {
            p,
            crumbs: crumbs(),
            id: "svc_1".into(),
            name: "官網".into(),
            summary: Summary::default(),
            notice: (!offered).then(|| Notice::new(Tone::Care, r.none_offered, r.none_offered_body)),
            field: offered.then(|| Field::tiles("policy", r.protection, choices)),
            facts: if offered { vec![(r.protection, "nightly".into())] } else { vec![] },
            end: None,
        };
        show(out, name, &view);
    }
    let verdict = |minutes, goes: bool| VerdictRow {
        id: "rpt_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        at: before(minutes),
        goes: goes.then(|| Badge::new(Tone::Care, r.would_go)),
        kept_by: r.rule_daily.into(),
    };
    let rows = vec![verdict(430, false), verdict(1_870, true)];
    let fields = numbers(p, |name| if name == RULES[2] { "7".into() } else { "0".into() });
    let (id, name) = ("svc_1".to_owned(), "官網".to_owned());
    let view = RetentionPage { p, crumbs: crumbs(), id, name, summary: Summary::default(), held: true, rows, fields };
    show(out, "retention", &view);
    let row = |made: bool| RepositoryRow {
        id: "repo_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        place: "far".into(),
        made: made.then(|| before(9_000)),
        revealed: made.then(|| before(100)),
        standing: if made { p.with(p.t.rules.being_read, p.exact(&before(60))) } else { String::new() },
        may_check: !made,
    };
    let rows = vec![row(true), row(false)];
    let (id, name) = ("svc_1".to_owned(), "官網".to_owned());
    show(out, "repositories", &RepositoriesPage { p, crumbs: crumbs(), id, name, rows, may_reveal: true });
    let escrow = EscrowPage {
        p,
        crumbs: crumbs(),
        id: "svc_1".into(),
        place: "far".into(),
        location: "https://backup.example.com:8430".into(),
        repository: "ten_01jd8q2v7k3x5w9m0n4r6t8y2z".into(),
        password: "correct-horse-battery-staple-and-more-of-it".into(),
        command: "RESTIC_PASSWORD=… restic --repo rest:https://backup.example.com:8430/ten_01jd8q2v7k3x5w9m0n4r6t8y2z/ snapshots".into(),
    };
    show(out, "escrow", &escrow);
}

/// A directory of a recovery point that is there, one that is waited for, and a file that was fetched.
fn files(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "tenant", "/services");
    let b = &p.t.backups;
    let row = |name: &str, kind: &str, opens: bool, note: &str| Row {
        name: name.into(),
        open: if opens { "/services/svc_1/points/rpt_1/files".into() } else { String::new() },
        fetch: "/machines/vm_1/root.raw/p1/etc".into(),
        kind: kind.into(),
        size: "1.2 KiB".into(),
        changed: crate::fmt::date_time(before(9_000), lang),
        note: note.into(),
    };
    let crumbs = || p.crumbs(&[("/services", p.t.frame.services), ("/services/svc_1/backups", b.backups)]);
    let waiting = || {
        let title = p.with(b.asking_host, "taipei-2");
        let bar = Some(Bar::bytes(p, &title, 12 << 20, 40 << 20));
        ("/services/svc_1/readings/rdng_1/events".to_owned(), Waiting { title, bar, how_far: String::new() })
    };
    let files = |ready: bool| FilesPage {
        p,
        title: "etc".into(),
        crumbs: crumbs(),
        id: "svc_1".into(),
        point: "rpt_1".into(),
        part: "vm_1".into(),
        from: "far".into(),
        waiting: (!ready).then(waiting),
        trouble: (!ready).then(|| Notice::new(Tone::Danger, b.not_read, "the host did not answer in time")),
        again: "/services/svc_1/points/rpt_1/files".into(),
        parts: vec![],
        rows: ready.then(|| {
            vec![
                row("ssh", b.kind_directory, true, ""),
                row("備份計畫與還原步驟.txt", b.kind_file, false, ""),
                row("mtab", b.kind_link, false, "→ ../proc/self/mounts"),
                row("p2", b.kind_partition, false, "LVM2_member"),
                row(&"long-name-".repeat(20), b.kind_file, false, ""),
            ]
        }),
        next: if ready { "/services/svc_1/points/rpt_1/files?after=x".into() } else { String::new() },
        fetched: vec![Fetched {
            path: "/machines/vm_1/root.raw/p1/etc/fstab".into(),
            open: "/services/svc_1/readings/rdng_1".into(),
            at: before(12),
            badge: Badge::new(Tone::Well, b.file_ready),
        }],
    };
    show(out, "files", &files(true));
    show(out, "files-waiting", &files(false));
    show(
        out,
        "file-fetched",
        &FetchedPage {
            p,
            title: "fstab".into(),
            crumbs: crumbs(),
            waiting: None,
            outcome: Some(Notice::new(Tone::Well, b.file_ready, b.file_ready_body)),
            save: Some("/services/svc_1/readings/rdng_1/file".into()),
            facts: vec![(b.size, "1.2 KiB".into()), (b.digest, "ab".repeat(32))],
        },
    );
}

/// How the platform itself is kept, and that it is not.
pub(super) fn platform(lang: Lang, out: &mut Vec<(&'static str, String)>) {
    let p = &page(lang, "operator", "/operator/platform");
    let b = &p.t.backups;
    let point = |minutes, tone, words: &str, far: Badge, why: &str| PointRow {
        of: Some(before(minutes)),
        state: Badge::new(tone, words),
        copies: vec![
            ("taichung".into(), Badge::new(Tone::Well, b.copy_verified), String::new()),
            ("object storage".into(), far, why.into()),
        ],
        problem: why.into(),
    };
    let away = Badge::new(Tone::Danger, b.copy_missing);
    let kept = PlatformPage {
        p,
        kept: true,
        policy: "platform".into(),
        places: "taichung · object storage".into(),
        age: Some(p.span(1_140)),
        next: Some(before(-41)),
        kit_made: Some(before(9_000)),
        kit_is_old: true,
        taking: false,
        points: vec![
            point(19, Tone::Well, b.available, Badge::new(Tone::Well, b.copy_verified), ""),
            point(79, Tone::Care, b.degraded, away, "object storage did not answer"),
        ],
        drills: vec![crate::drills::PlanRow {
            id: "drpl_1".into(),
            name: "每月還原平台".into(),
            scenario: p.t.drills.control_plane_lost,
            rto: "1 h 0 min".into(),
            rpo: "2 h 0 min".into(),
            last: Some(("passed".to_owned(), before(9_000))),
            next: Some(before(-600)),
        }],
        may_change: true,
        may_take: true,
        choose: None,
    };
    show(out, "platform", &kept);
    let choices = vec![Choice::new("bkpo_01jd8q2v7k3x5w9m0n4r6t8y2z", "platform")];
    let choose = Field::select("policy", p.t.platform.policy, choices).hint(p.t.platform.policy_hint);
    let bare = PlatformPage {
        kept: false,
        points: Vec::new(),
        drills: Vec::new(),
        age: None,
        choose: Some(choose),
        kit_made: None,
        ..kept
    };
    show(out, "platform-none", &bare);
}
