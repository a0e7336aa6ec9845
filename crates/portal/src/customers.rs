//! Customers: the tenants below the operator, as the operator deals with them.
//!
//! The operator makes a customer and invites its first owner without seeing
//! inside it; what stands inside (orders, services, bills) is shown here only
//! to staff whose reach covers it.

use crate::account::{FormPage, correctable, said};
use crate::operator::{Cell, CustomerPage, Row, TablePage};
use crate::page::{Page, ok, show};
use crate::records::{Ask, ROWS};
use crate::ui::{Choice, Empty, Field, Summary, told};
use crate::visit::{Answer, Signed, done};
use access::accounts::NewPerson;
use access::invitations::actions as invitations;
use access::sessions::actions as sessions;
use access::tenants::Tenant;
use access::tenants::actions as tenants;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::Kind;
use base::id::TenantId;
use std::collections::{BTreeSet, HashMap};

/// The names of tenants, for pages that show several tenants' things; nothing
/// for a tenant whose entry the visitor may not read.
pub(crate) async fn names(s: &Signed, wanted: impl IntoIterator<Item = TenantId>) -> HashMap<TenantId, String> {
    let mut names = HashMap::new();
    if !s.p().operator() {
        return names;
    }
    for tenant in wanted.into_iter().collect::<BTreeSet<_>>() {
        if let Ok(found) = s.call(&tenants::GET, tenants::TenantRef { tenant }).await {
            names.insert(tenant, found.name);
        }
    }
    names
}

/// `GET /operator/customers`
pub(crate) async fn list(s: Signed) -> Answer {
    let (p, t) = (s.p(), s.t());
    let after = s.visit.query.get("after");
    let input = tenants::ListTenants {
        after: if after.is_empty() { None } else { Some(after.parse()?) },
        limit: Some(ROWS),
        ..Default::default()
    };
    let found = s.call(&tenants::LIST, input).await?;
    let rows: Vec<Row> = found
        .items
        .iter()
        .map(|tenant| Row {
            href: Some(format!("/operator/customers/{}", tenant.id)),
            name: tenant.name.clone(),
            note: tenant.id.to_string(),
            cells: vec![Cell::State(p.state(tenant.state.word())), Cell::Time(p.ago(&tenant.created_at))],
        })
        .collect();
    let pager = p.pager("/operator/customers", rows.len(), found.next.as_deref(), !after.is_empty());
    let o = &t.operator;
    let empty =
        Empty::new(o.customers_empty, o.customers_empty_body).link("/operator/customers/new", o.customer_create);
    let view = TablePage {
        p,
        title: t.frame.customers,
        lead: o.customers_lead,
        heads: vec![o.customer, t.frame.state, t.frame.created],
        rows,
        empty,
        button: Some(("/operator/customers/new", o.customer_create)),
        pager,
    };
    Ok(ok(&view))
}

fn owner_fields(s: &Signed, wrong: &[(&str, String)]) -> [Field; 2] {
    let (form, o) = (&s.visit.form, &s.t().operator);
    [
        told(wrong, Field::line("owner-name", o.owner_name, form.get("owner-name")).kind("text", "off")),
        told(wrong, Field::line("owner-email", o.owner_email, form.get("owner-email")).kind("email", "off")),
    ]
}

fn create_page(s: &Signed, wrong: &[(&str, String)], general: &str) -> Response {
    let (p, t) = (s.p(), s.t());
    let (form, o) = (&s.visit.form, &t.operator);
    let languages = [("zh-TW", "中文"), ("en", "English")].map(|(value, label)| {
        let mut choice = Choice::new(value, label);
        choice.chosen = form.get("locale") == value || (form.get("locale").is_empty() && value == "zh-TW");
        choice
    });
    let mut fields = vec![
        told(
            wrong,
            Field::line("name", o.customer_name, form.get("name"))
                .kind("text", "organization")
                .hint(o.customer_name_hint),
        ),
        told(wrong, Field::tiles("locale", t.frame.language, languages.to_vec())),
    ];
    fields.extend(owner_fields(s, wrong));
    form_page(
        s,
        p,
        o.customer_create,
        o.customer_create_lead,
        "/operator/customers/new".into(),
        fields,
        "/operator/customers".into(),
        general,
    )
}

#[expect(clippy::too_many_arguments, reason = "the parts of a form page, each said once")]
fn form_page(
    s: &Signed,
    p: &Page,
    title: &str,
    lead: &str,
    action: String,
    fields: Vec<Field>,
    back: String,
    general: &str,
) -> Response {
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = FormPage {
        p,
        crumbs: p.crumbs(&[("/operator/customers", s.t().frame.customers)]),
        title: title.to_owned(),
        lead: lead.to_owned(),
        summary,
        action,
        fields,
        button: title.to_owned(),
        back,
    };
    show(status, &view)
}

/// `GET /operator/customers/new`
pub(crate) async fn create_form(s: Signed) -> Answer {
    Ok(create_page(&s, &[], ""))
}

/// The fields that are needed and were left empty.
fn missing<'n>(s: &Signed, names: &[&'n str]) -> Vec<(&'n str, String)> {
    let empty = names.iter().filter(|name| s.visit.form.get(name).is_empty());
    empty.map(|name| (*name, s.t().errors.field_required.to_owned())).collect()
}

fn owner(s: &Signed) -> NewPerson {
    let form = &s.visit.form;
    let locale = Some(form.get("locale").to_owned()).filter(|l| !l.is_empty());
    NewPerson { email: form.get("owner-email").to_owned(), name: form.get("owner-name").to_owned(), locale }
}

/// `POST /operator/customers/new`
pub(crate) async fn create(s: Signed) -> Answer {
    let wrong = missing(&s, &["name", "owner-name", "owner-email"]);
    if !wrong.is_empty() {
        return Ok(create_page(&s, &wrong, ""));
    }
    let form = &s.visit.form;
    let person = owner(&s);
    let input = tenants::CreateTenant {
        parent: None,
        name: form.get("name").to_owned(),
        locale: person.locale.clone(),
        time_zone: None,
        owner: Some(person),
    };
    match s.call(&tenants::CREATE, input).await {
        Ok(tenant) => Ok(done(&s.portal, &format!("/operator/customers/{}", tenant.id), "customer-created")),
        Err(error) if correctable(&error) => {
            let words = said(&s, &error);
            Ok(match error.attribute() {
                Some("email") => create_page(&s, &[("owner-email", words)], ""),
                Some("name") => create_page(&s, &[("name", words)], ""),
                _ => create_page(&s, &[], &words),
            })
        }
        Err(error) => Err(error.into()),
    }
}

async fn read(s: &Signed, id: &str) -> base::Result<Tenant> {
    s.call(&tenants::GET, tenants::TenantRef { tenant: id.parse()? }).await
}

/// `GET /operator/customers/{id}`
pub(crate) async fn page(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, t) = (s.p(), s.t());
    let tenant = read(&s, &id).await?;
    // Inside, only what is this customer's; nothing for those whose reach ends before it.
    let within = s.cx.only(tenant.id).filter(|_| s.cx.has_role(access::roles::SUPPORT));
    let inside = within.is_some();
    let (orders, services) = match within {
        Some(cx) => inside_of(&Signed { cx, ..s.clone() }).await?,
        None => Default::default(),
    };
    // Bills have two parties: the operator sees what it issued.
    let bills = if p.offers("/bills") { Some(bills_of(&s, tenant.id).await?) } else { None };
    let state = p.state(tenant.state.word()).text;
    let view = CustomerPage {
        p,
        id: id.clone(),
        name: tenant.name,
        created: tenant.created_at,
        facts: vec![(t.frame.state.to_owned(), state), (t.frame.language.to_owned(), tenant.locale)],
        orders,
        services,
        bills,
        inside,
        may_invite: s.cx.has_role(access::roles::ADMINISTRATOR),
        may_enter: inside,
    };
    Ok(ok(&view))
}

/// How many of each the page shows.
const NEWEST: u32 = 10;

/// The newest orders and services, as somebody who sees one customer only.
async fn inside_of(s: &Signed) -> base::Result<(Vec<crate::orders::OrderRow>, Vec<crate::services::ServiceCard>)> {
    let orders = s.list(&commerce::orders::PRODUCT_ORDER, Ask { limit: NEWEST, ..Ask::default() }).await?.records;
    let orders = orders.iter().map(|order| crate::orders::row(s, order, "")).collect();
    Ok((orders, crate::services::newest(s, NEWEST).await?))
}

async fn bills_of(s: &Signed, tenant: TenantId) -> base::Result<Vec<crate::bills::BillRow>> {
    let input = billing::bills::ListInput { tenant: Some(tenant), limit: Some(NEWEST), ..Default::default() };
    let found = s.call(&billing::bills::LIST, input).await?;
    Ok(found.bills.iter().map(|bill| crate::bills::row(s.p(), bill)).collect())
}

/// `GET /operator/customers/{id}/invite`
pub(crate) async fn invite_form(s: Signed, Path(id): Path<String>) -> Answer {
    let tenant = read(&s, &id).await?;
    Ok(invite_page(&s, &tenant, &[], ""))
}

fn invite_page(s: &Signed, tenant: &Tenant, wrong: &[(&str, String)], general: &str) -> Response {
    let o = &s.t().operator;
    let fields = owner_fields(s, wrong).to_vec();
    let back = format!("/operator/customers/{}", tenant.id);
    form_page(s, s.p(), o.invite_owner, &tenant.name, format!("{back}/invite"), fields, back.clone(), general)
}

/// `POST /operator/customers/{id}/invite`
pub(crate) async fn invite(s: Signed, Path(id): Path<String>) -> Answer {
    let tenant = read(&s, &id).await?;
    let wrong = missing(&s, &["owner-name", "owner-email"]);
    if !wrong.is_empty() {
        return Ok(invite_page(&s, &tenant, &wrong, ""));
    }
    let person = owner(&s);
    let input = invitations::InviteAccount {
        tenant: Some(tenant.id),
        email: person.email,
        name: person.name,
        locale: None,
        roles: vec![access::roles::OWNER.to_owned()],
    };
    match s.call(&invitations::INVITE, input).await {
        Ok(_) => Ok(done(&s.portal, &format!("/operator/customers/{id}"), "invited")),
        Err(error) if error.kind() == Kind::Invalid && error.attribute() == Some("email") => {
            Ok(invite_page(&s, &tenant, &[("owner-email", said(&s, &error))], ""))
        }
        Err(error) if correctable(&error) => Ok(invite_page(&s, &tenant, &[], &said(&s, &error))),
        Err(error) => Err(error.into()),
    }
}

/// `POST /operator/customers/{id}/enter`: from now on inside that tenant.
pub(crate) async fn enter(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&sessions::ACT_IN, tenants::TenantRef { tenant: id.parse()? }).await?;
    Ok(done(&s.portal, "/", ""))
}

/// `POST /account/act-in`: to another tenant in which one has a role.
pub(crate) async fn act_in(s: Signed) -> Answer {
    s.call(&sessions::ACT_IN, tenants::TenantRef { tenant: s.visit.form.get("tenant").parse()? }).await?;
    Ok(done(&s.portal, "/", ""))
}
