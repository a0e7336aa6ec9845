//! Hosts, pools, sites and images, for those who run them.

use crate::account::{ConfirmPage, FormPage, correctable, said};
use crate::fmt;
use crate::http::Form;
use crate::i18n::said_of;
use crate::operator::{Cell, Enrolled, HostCard, HostPage, Hosts, MachineRow, PoolCard, Row, TablePage};
use crate::page::{Page, ok, show};
use crate::ui::{Choice, Confirm, Empty, Field, Meter, Pager, Summary, told};
use crate::visit::{Answer, Signed, done};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::{Error, Kind, Result};
use resources::capacity::{self, Fill};
use resources::hosts::{self as actions, HostRef, Invite, State};
use resources::{images, places};
use std::collections::HashMap;

/// How full something is, one meter for each dimension.
pub(crate) fn meters(p: &Page, fill: &Fill) -> Vec<Meter> {
    let o = &p.t.operator;
    let mib = |n: i64| fmt::bytes(n.saturating_mul(1 << 20));
    let cpu = p.with2(o.cores, fill.used.vcpu + fill.held.vcpu, fill.total.vcpu);
    let memory = p.with2(o.used_of, mib(fill.used.memory_mib + fill.held.memory_mib), mib(fill.total.memory_mib));
    let disk = p.with2(o.used_of, mib(fill.used.disk_mib + fill.held.disk_mib), mib(fill.total.disk_mib));
    vec![
        Meter::new(o.cpu, cpu, fill.used.vcpu, fill.held.vcpu, fill.total.vcpu),
        Meter::new(o.memory, memory, fill.used.memory_mib, fill.held.memory_mib, fill.total.memory_mib),
        Meter::new(o.disk, disk, fill.used.disk_mib, fill.held.disk_mib, fill.total.disk_mib),
    ]
}

/// A host's state in one word: its silence says more than what it was set to.
fn word(state: State, reachable: bool) -> &'static str {
    match (state, reachable) {
        (State::Retired, _) => "hostRetired",
        (_, false) => "unreachable",
        (State::Active, true) => "connected",
        (State::Enrolled, true) => "enrolled",
        (State::Draining, true) => "draining",
    }
}

/// How many hosts there are and how many of them answer, and how full all pools are.
pub(crate) async fn overview(s: &Signed) -> Result<(usize, usize, Vec<Meter>)> {
    let all = s.call(&capacity::GET, capacity::GetCapacity::default()).await?;
    let up = all.hosts.iter().filter(|host| host.reachable).count();
    let meters = match all.pools.as_slice() {
        [] => Vec::new(),
        pools => {
            let mut sum = Fill::default();
            for pool in pools {
                for (into, from) in [
                    (&mut sum.total, pool.fill.total),
                    (&mut sum.used, pool.fill.used),
                    (&mut sum.held, pool.fill.held),
                    (&mut sum.free, pool.fill.free),
                ] {
                    into.vcpu += from.vcpu;
                    into.memory_mib += from.memory_mib;
                    into.disk_mib += from.disk_mib;
                }
            }
            meters(s.p(), &sum)
        }
    };
    Ok((up, all.hosts.len(), if all.hosts.is_empty() { Vec::new() } else { meters }))
}

/// `GET /operator/hosts`
pub(crate) async fn list(s: Signed) -> Answer {
    let p = s.p();
    let all = s.call(&capacity::GET, capacity::GetCapacity::default()).await?;
    let known = s.call(&actions::LIST, actions::ListHosts { limit: Some(200), ..Default::default() }).await?;
    let fills: HashMap<_, _> = all.hosts.iter().map(|h| (h.host, h.fill)).collect();
    let pools: HashMap<_, _> = all.pools.iter().map(|pool| (pool.pool, pool.name.clone())).collect();
    let hosts = known.items.iter().map(|host| HostCard {
        id: host.id.to_string(),
        name: host.name.clone(),
        pool: pools.get(&host.pool).cloned().unwrap_or_default(),
        state: word(host.state, host.reachable).to_owned(),
        seen: Some(host.seen_at),
        meters: fills.get(&host.id).map(|fill| meters(p, fill)).unwrap_or_default(),
    });
    let hosts = hosts.collect();
    let pools = all
        .pools
        .iter()
        .filter(|pool| pool.hosts > 0)
        .map(|pool| PoolCard { name: pool.name.clone(), meters: meters(p, &pool.fill) })
        .collect();
    Ok(ok(&Hosts { p, hosts, pools }))
}

/// `GET /operator/hosts/{id}`
pub(crate) async fn page(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, o) = (s.p(), &s.t().operator);
    let found = s.call(&actions::GET, HostRef { id: id.parse()? }).await?;
    let held = s
        .call(
            &capacity::LIST_RESERVATIONS,
            capacity::ListReservations { host: Some(found.host.id), after: None, limit: Some(200) },
        )
        .await?;
    let names = crate::customers::names(&s, held.items.iter().map(|r| r.tenant)).await;
    // Staff that may look inside customers know their machines by name.
    let opens = s.cx.has_role(access::roles::SUPPORT);
    let wanted = held.items.iter().filter(|_| opens).map(|r| r.service.clone()).collect();
    let services = crate::records::called(&s, &provisioning::services::SERVICE, wanted).await;
    let machines = held.items.iter().map(|r| MachineRow {
        id: r.machine.clone(),
        name: services.get(&r.service).cloned().unwrap_or_else(|| r.service.clone()),
        href: services.contains_key(&r.service).then(|| format!("/services/{}", r.service)),
        customer: names.get(&r.tenant).cloned().unwrap_or_else(|| r.tenant.to_string()),
        state: if r.state == capacity::State::Held { "reserved" } else { "active" }.to_owned(),
    });
    let facts = &found.host.facts;
    let (pools, sites) = (
        s.call(&places::LIST_POOLS, Default::default()).await?,
        s.call(&places::LIST_SITES, Default::default()).await?,
    );
    let pool = pools.items.into_iter().find(|pool| pool.id == found.host.pool);
    let site = sites.items.into_iter().find(|site| pool.as_ref().is_some_and(|pool| pool.site == site.id));
    let mut told = vec![
        (o.pool.to_owned(), pool.map(|pool| pool.name).unwrap_or_default()),
        (o.agent_version.to_owned(), facts.agent_version.clone()),
        (o.hypervisor.to_owned(), facts.hypervisor.clone()),
        (o.accelerator.to_owned(), accelerator(&facts.accelerator)),
    ];
    if let Some(until) = found.certificate_expires_at {
        told.push((o.certificate.to_owned(), fmt::date_time(until, p.lang)));
    }
    let view = HostPage {
        p,
        id: id.clone(),
        name: found.host.name.clone(),
        site: site.map(|site| site.name).unwrap_or_default(),
        state: word(found.host.state, found.host.reachable).to_owned(),
        seen: Some(found.host.seen_at),
        meters: meters(p, &found.fill),
        machines: machines.collect(),
        facts: told,
        attention: found.attention.iter().map(|one| said_of(p.lang, one.code, &one.message)).collect(),
        changes: changes(p, &id, &found.host.name, found.host.state, false),
    };
    Ok(ok(&view))
}

fn accelerator(of: &impl serde::Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|v| v.as_str().map(str::to_uppercase)).unwrap_or_default()
}

/// What a host's state offers: into use or out of it, and out for good once it is out of use.
fn changes(p: &Page, id: &str, name: &str, state: State, page: bool) -> Vec<Confirm> {
    let o = &p.t.operator;
    let drain = ("drain", o.drain_title, o.drain_body, o.drain, false);
    let activate = ("activate", o.activate_title, o.activate_body, o.activate, false);
    let retire = ("retire", o.retire_title, o.retire_body, o.retire, true);
    let offered = match state {
        State::Active => vec![drain],
        State::Enrolled | State::Draining => vec![activate, retire],
        State::Retired => vec![],
    };
    let confirm = |(verb, title, body, button, danger): (&'static str, &str, &str, &str, bool)| Confirm {
        id: verb,
        action: format!("/operator/hosts/{id}/{verb}"),
        csrf: p.csrf.clone(),
        title: p.with(title, name),
        body: body.to_owned(),
        fields: if danger {
            vec![Field::check("gone", o.retire_gone, o.retire_gone_text, false).free()]
        } else {
            vec![]
        },
        hidden: vec![],
        button: button.to_owned(),
        danger,
        cancel: p.t.frame.cancel,
        back: format!("/operator/hosts/{id}"),
        page,
    };
    offered.into_iter().map(confirm).collect()
}

/// The question before a change, with why it was refused.
async fn asked(s: &Signed, id: &str, verb: &str, refused: &str) -> Answer {
    let found = s.call(&actions::GET, HostRef { id: id.parse()? }).await?;
    let offered = changes(s.p(), id, &found.host.name, found.host.state, true);
    let Some(confirm) = offered.into_iter().find(|confirm| confirm.id == verb) else {
        return Err(Error::conflict("host.illegal_move", "the host's state does not allow this").into());
    };
    let summary = Summary::gather(s.t().errors.conflict_title, &[], refused);
    let status = if refused.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok(show(status, &ConfirmPage { p: s.p(), summary, confirm }))
}

/// `GET /operator/hosts/{id}/{verb}`
pub(crate) async fn ask(s: Signed, Path((id, verb)): Path<(String, String)>) -> Answer {
    asked(&s, &id, &verb, "").await
}

/// `POST /operator/hosts/{id}/{verb}`
pub(crate) async fn set(s: Signed, Path((id, verb)): Path<(String, String)>) -> Answer {
    let host = || -> Result<HostRef> { Ok(HostRef { id: id.parse()? }) };
    let changed = match verb.as_str() {
        "drain" => s.call(&actions::DRAIN, host()?).await.map(drop),
        "activate" => s.call(&actions::ACTIVATE, host()?).await.map(drop),
        "retire" => {
            let gone = s.visit.form.get("gone") == "true";
            let input = actions::RetireHost { id: host()?.id, machines_are_gone: gone };
            s.call(&actions::RETIRE, input).await.map(drop)
        }
        _ => Err(Error::not_found("page.not_found", "there is no such page")),
    };
    match changed {
        Ok(_) => Ok(done(&s.portal, &format!("/operator/hosts/{id}"), "host-changed")),
        Err(error) if error.kind() == Kind::Conflict => asked(&s, &id, &verb, &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

async fn enrol_page(s: &Signed, general: &str) -> Answer {
    let (p, o, form) = (s.p(), &s.t().operator, &s.visit.form);
    let pools = s.call(&places::LIST_POOLS, places::ListSites {}).await?.items;
    if pools.is_empty() {
        let view = TablePage {
            p,
            title: o.enrol,
            lead: o.enrol_lead,
            heads: vec![],
            rows: vec![],
            empty: Empty::new(o.pools_empty, o.pools_empty_body).link("/operator/sites", s.t().frame.sites),
            button: None,
            pager: Pager::default(),
        };
        return Ok(ok(&view));
    }
    let choices = pools.iter().enumerate().map(|(n, pool)| {
        let mut choice = Choice::new(pool.id.to_string(), pool.name.clone());
        choice.chosen = form.get("pool") == choice.value || (form.get("pool").is_empty() && n == 0);
        choice
    });
    let fields = vec![
        Field::tiles("pool", o.pool, choices.collect()),
        Field::line("note", o.enrol_note, form.get("note")).hint(o.enrol_note_hint).optional(s.t().frame.optional),
    ];
    let view = FormPage {
        p,
        crumbs: p.crumbs(&[("/operator/hosts", s.t().frame.hosts)]),
        title: o.enrol.to_owned(),
        lead: o.enrol_lead.to_owned(),
        summary: Summary::gather(s.t().frame.form_wrong, &[], general),
        action: "/operator/hosts/enrol".to_owned(),
        fields,
        button: o.enrol_make.to_owned(),
        back: "/operator/hosts".to_owned(),
    };
    Ok(show(if general.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }, &view))
}

/// `GET /operator/hosts/enrol`
pub(crate) async fn enrol_form(s: Signed) -> Answer {
    enrol_page(&s, "").await
}

/// `POST /operator/hosts/enrol`: the answer shows the token, this once.
pub(crate) async fn enrol(s: Signed) -> Answer {
    let form = &s.visit.form;
    let input = Invite { pool: form.get("pool").parse()?, hours: None, note: form.get("note").to_owned() };
    match s.call(&actions::INVITE, input).await {
        Ok(made) => {
            let server = if s.portal.agents.is_empty() { "https://…".to_owned() } else { s.portal.agents.clone() };
            let command = format!("yunwei-agent enrol --server {server} --token {}", made.token);
            Ok(ok(&Enrolled { p: s.p(), command, expires: made.expires_at }))
        }
        Err(error) if correctable(&error) || error.kind() == Kind::Unavailable => {
            enrol_page(&s, &said(&s, &error)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /operator/sites`
pub(crate) async fn sites(s: Signed) -> Answer {
    sites_page(&s, &[], "").await
}

async fn sites_page(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, t) = (s.p(), s.t());
    let o = &t.operator;
    let sites = s.call(&places::LIST_SITES, places::ListSites {}).await?.items;
    let pools = s.call(&places::LIST_POOLS, places::ListSites {}).await?.items;
    let form = &s.visit.form;
    let site_fields = vec![
        told(wrong, Field::line("name", o.site_name, form.get("name"))),
        told(wrong, Field::line("place", o.site_location, form.get("place")).optional(t.frame.optional)),
    ];
    let choices: Vec<Choice> = sites.iter().map(|site| Choice::new(site.id.to_string(), site.name.clone())).collect();
    let pool_fields = vec![
        told(wrong, Field::line("pool-name", o.pool_name, form.get("pool-name"))),
        told(wrong, Field::select("site", o.site, choices)),
    ];
    let all: Vec<&Field> = site_fields.iter().chain(&pool_fields).collect();
    let summary = Summary::gather(t.frame.form_wrong, &all, general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let shown = sites
        .iter()
        .map(|site| crate::operator::SiteCard {
            id: site.id.to_string(),
            name: site.name.clone(),
            place: site.place.clone(),
            pools: pools
                .iter()
                .filter(|pool| pool.site == site.id)
                .map(|pool| (pool.name.clone(), format!("{}/{}", pool.factors.vcpu.over, pool.factors.vcpu.under)))
                .collect(),
        })
        .collect();
    let view = crate::operator::Sites { p, summary, sites: shown, site_fields, pool_fields };
    Ok(show(status, &view))
}

/// `POST /operator/sites`
pub(crate) async fn create_site(s: Signed) -> Answer {
    let form = &s.visit.form;
    if form.get("name").is_empty() {
        return sites_page(&s, &[("name", s.t().errors.field_required.to_owned())], "").await;
    }
    let input = places::NewSite { name: form.get("name").to_owned(), place: form.get("place").to_owned() };
    match s.call(&places::CREATE_SITE, input).await {
        Ok(_) => Ok(done(&s.portal, "/operator/sites", "saved")),
        Err(error) if correctable(&error) => sites_page(&s, &[("name", said(&s, &error))], "").await,
        Err(error) => Err(error.into()),
    }
}

/// `POST /operator/pools`
pub(crate) async fn create_pool(s: Signed) -> Answer {
    let form = &s.visit.form;
    if form.get("pool-name").is_empty() {
        return sites_page(&s, &[("pool-name", s.t().errors.field_required.to_owned())], "").await;
    }
    let input = serde_json::json!({ "site": form.get("site"), "name": form.get("pool-name") });
    match s.named::<serde_json::Value>("pool.create", input).await {
        Ok(_) => Ok(done(&s.portal, "/operator/sites", "saved")),
        Err(error) if correctable(&error) => sites_page(&s, &[("pool-name", said(&s, &error))], "").await,
        Err(error) => Err(error.into()),
    }
}

/// `GET /operator/images`
pub(crate) async fn image_list(s: Signed) -> Answer {
    let (p, t) = (s.p(), s.t());
    let o = &t.operator;
    let found = s.call(&images::LIST, images::ListImages {}).await?.items;
    let rows = found.iter().map(|image| Row {
        href: None,
        name: image.name.clone(),
        note: image.sha256.to_string(),
        cells: vec![
            Cell::Text(fmt::bytes(i64::try_from(image.bytes).unwrap_or(i64::MAX))),
            Cell::Text(accelerator(&image.format).to_lowercase()),
            Cell::Time(p.ago(&image.created_at)),
        ],
    });
    let view = TablePage {
        p,
        title: t.frame.images,
        lead: o.images_lead,
        heads: vec![o.image, o.size, o.format, t.frame.created],
        rows: rows.collect(),
        empty: Empty::new(o.images_empty, o.images_empty_body),
        button: Some((crate::uploads::IMAGES, o.image_upload)),
        pager: Pager::default(),
    };
    Ok(ok(&view))
}

/// The formats in which an image can be registered.
const FORMATS: [&str; 3] = ["qcow2", "raw", "directBoot"];

/// The choice of a format, the first unless the form says otherwise.
pub(crate) fn formats(form: &Form) -> Vec<Choice> {
    let choice = |(n, format): (usize, &&'static str)| {
        let mut choice = Choice::new(*format, *format);
        choice.chosen = form.get("format") == *format || (!form.has("format") && n == 0);
        choice
    };
    FORMATS.iter().enumerate().map(choice).collect()
}

fn image_page(s: &Signed, wrong: &[(&str, String)], general: &str) -> Response {
    let (p, o, form) = (s.p(), &s.t().operator, &s.visit.form);
    let fields = vec![
        told(wrong, Field::line("name", s.t().frame.name, form.get("name"))),
        told(wrong, Field::line("sha256", o.image_digest, form.get("sha256")).hint(o.image_digest_hint)),
        told(wrong, Field::line("bytes", o.image_bytes, form.get("bytes")).hint(o.image_bytes_hint)),
        told(wrong, Field::tiles("format", o.format, formats(form))),
        told(
            wrong,
            Field::line("url", o.image_url, form.get("url")).hint(o.image_url_hint).optional(s.t().frame.optional),
        ),
    ];
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = FormPage {
        p,
        crumbs: p.crumbs(&[("/operator/images", s.t().frame.images)]),
        title: o.image_register.to_owned(),
        lead: o.image_register_lead.to_owned(),
        summary,
        action: "/operator/images/new".to_owned(),
        fields,
        button: o.image_register.to_owned(),
        back: "/operator/images".to_owned(),
    };
    show(status, &view)
}

/// `GET /operator/images/new`
pub(crate) async fn image_form(s: Signed) -> Answer {
    Ok(image_page(&s, &[], ""))
}

/// `POST /operator/images/new`: makes an image known by its digest.
pub(crate) async fn image_register(s: Signed) -> Answer {
    let form = &s.visit.form;
    let mut wrong: Vec<(&str, String)> = Vec::new();
    for name in ["name", "sha256", "bytes"] {
        if form.get(name).is_empty() {
            wrong.push((name, s.t().errors.field_required.to_owned()));
        }
    }
    let bytes = form.get("bytes").parse::<u64>();
    if wrong.is_empty() && bytes.is_err() {
        wrong.push(("bytes", s.t().ordering.not_a_number.to_owned()));
    }
    let digest = form.get("sha256").parse();
    if wrong.is_empty() && digest.is_err() {
        wrong.push(("sha256", said_of(s.p().lang, "image.digest", s.t().operator.image_digest_hint)));
    }
    let format = serde_json::from_value(form.get("format").into());
    let (Ok(bytes), Ok(sha256), Ok(format)) = (bytes, digest, format) else {
        return Ok(image_page(&s, &wrong, ""));
    };
    let url = Some(form.get("url").to_owned()).filter(|url| !url.is_empty());
    let input = images::NewImage { name: form.get("name").to_owned(), sha256, bytes, format, url };
    match s.call(&images::REGISTER, input).await {
        Ok(_) => Ok(done(&s.portal, "/operator/images", "saved")),
        Err(error) if correctable(&error) => match error.attribute() {
            Some("name") => Ok(image_page(&s, &[("name", said(&s, &error))], "")),
            Some("url") => Ok(image_page(&s, &[("url", said(&s, &error))], "")),
            Some("bytes") => Ok(image_page(&s, &[("bytes", said(&s, &error))], "")),
            _ => Ok(image_page(&s, &[], &said(&s, &error))),
        },
        Err(error) => Err(error.into()),
    }
}
