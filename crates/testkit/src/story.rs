//! What people do with an installation: customers join, order, visit, pay.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base::time::Timestamp;
use serde_json::{Value as Json, json};

use crate::{Api, Installation, Machines, Outcome};

const ORDERS: &str = "/tmf-api/productOrderingManagement/v4/productOrder";
const OFFERINGS: &str = "/tmf-api/productCatalogManagement/v4/productOffering";
const SERVICES: &str = "/tmf-api/serviceInventory/v4/service";
const BILLS: &str = "/tmf-api/customerBillManagement/v4/customerBill";

/// A customer of the operator, and its first owner.
pub struct Customer {
    /// The customer's name.
    pub name: String,
    /// The tenant.
    pub tenant: String,
    /// The owner's mail address.
    pub email: String,
    /// The API as the owner.
    pub api: Api,
}

/// An order that was placed.
pub struct Order {
    /// Its id.
    pub id: String,
    /// What was ordered.
    pub offering: String,
}

/// A step of an order's run.
pub struct DoneStep {
    /// Its title.
    pub name: String,
    /// From its beginning to its end.
    pub seconds: f64,
}

/// A machine that answered, with what was ordered.
pub struct Guest {
    /// Where.
    pub url: String,
    /// From its start to its first answer.
    pub boot_seconds: f64,
}

fn word(json: &Json, path: &str) -> Outcome<String> {
    let found = json.pointer(path).and_then(Json::as_str);
    found.map(str::to_owned).ok_or_else(|| format!("{path} is missing in {json}").into())
}

/// Signs in with [`Installation::PASSWORD`] and makes an API token.
///
/// # Errors
/// Where the server refuses.
pub fn sign_in(nobody: &Api, email: &str) -> Outcome<Api> {
    let session = nobody.post(
        "/api/v1/sessions",
        &json!({ "email": email, "password": Installation::PASSWORD, "user_agent": "yunwei-demo" }),
    )?;
    let cookie = format!("yunwei_session={}", word(&session, "/secret")?);
    let csrf = word(&session, "/csrf")?;
    let body = serde_json::to_vec(&json!({ "name": "demo", "sensitive": true }))?;
    let headers = [("content-type", "application/json"), ("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())];
    let made = nobody.send("POST", "/api/v1/tokens", &headers, Some(&body))?;
    if made.status != 201 {
        return Err(format!("no token for {email}: {}", made.text).into());
    }
    Ok(nobody.as_token(&word(&made.json, "/secret")?))
}

/// A line of a bill, in short.
fn line(rate: &Json) -> Json {
    let characteristics = rate["characteristic"].as_array().into_iter().flatten();
    let said: HashMap<&str, &Json> =
        characteristics.filter_map(|it| Some((it["name"].as_str()?, &it["value"]))).collect();
    json!({
        "name": rate["name"],
        "quantity": said.get("quantity"),
        "unit": said.get("unit"),
        "rate": said.get("rate"),
        "amount": rate.pointer("/taxExcludedAmount/value"),
    })
}

/// The token of the invitation that was mailed to that address.
///
/// # Errors
/// Where none comes.
pub fn mailed_token(outbox: &std::path::Path, email: &str) -> Outcome<String> {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        for entry in std::fs::read_dir(outbox)?.flatten() {
            let text = std::fs::read_to_string(entry.path())
                .unwrap_or_default()
                .replace("=\r\n", "")
                .replace("=\n", "")
                .replace("=3D", "=");
            let addressed = [" ", "<"].iter().any(|before| text.contains(&format!("{before}{email}")));
            if addressed && let Some((_, rest)) = text.split_once("invitation?token=") {
                return Ok(rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect());
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("no mail to {email} came within 20 s").into())
}

impl Installation {
    /// The password of everybody in a demo.
    pub const PASSWORD: &'static str = "lantern-walnut-river-quilt";
    /// The first administrator.
    pub const ADMINISTRATOR: &'static str = "admin@yunwei.example";

    /// Registers the small guest image and puts the starter catalog on sale.
    ///
    /// # Errors
    /// Where the image was not built or the server refuses.
    pub fn seed(&self) -> Outcome<()> {
        let cache = self.binaries.checkout.join(".cache/guest");
        let manifest: Json = serde_json::from_slice(&std::fs::read(cache.join("tiny.json"))?)?;
        let (name, file, format) = (word(&manifest, "/name")?, word(&manifest, "/file")?, word(&manifest, "/format")?);
        let file = cache.join(file);
        let mut command = self.binaries.yunwei();
        command.env("YUNWEI_URL", &self.api.url).env("YUNWEI_TOKEN", &self.api.token);
        command.args(["admin", "add-image", "--name", &name, "--format", &format, "--json"]);
        command.arg("--data").arg(self.data()).arg(file);
        let output = command.output()?;
        if !output.status.success() {
            return Err(format!("`yunwei admin add-image` failed: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        self.api.post("/api/v1/catalog/seed", &json!({}))?;
        Ok(())
    }

    /// A new customer whose owner has accepted the invitation from the mail.
    ///
    /// # Errors
    /// Where no mail comes or the server refuses.
    pub fn customer(&self, name: &str, email: &str) -> Outcome<Customer> {
        let tenant =
            self.api.post("/api/v1/tenants", &json!({ "name": name, "owner": { "email": email, "name": name } }))?;
        let token = mailed_token(&self.data().join("outbox"), email)?;
        let nobody = self.api.as_token("");
        nobody
            .post("/api/v1/invitations/accept", &json!({ "token": token, "name": name, "password": Self::PASSWORD }))?;
        let api = sign_in(&nobody, email)?;
        Ok(Customer { name: name.to_owned(), tenant: word(&tenant, "/id")?, email: email.to_owned(), api })
    }

    /// Bills what the customer has used until now.
    ///
    /// # Errors
    /// Where there is nothing to bill, or the server refuses.
    pub fn bill(&self, customer: &Customer) -> Outcome<Json> {
        self.api.post("/api/v1/bills/run", &json!({}))?;
        let bills = customer.api.get(BILLS)?;
        let bill = bills.get(0).ok_or("no bill was made")?;
        let lines = customer.api.get(&format!(
            "/tmf-api/customerBillManagement/v4/appliedCustomerBillingRate?bill.id={}&limit=1000",
            word(bill, "/id")?
        ))?;
        Ok(json!({
            "id": bill["id"],
            "number": bill["billNo"],
            "currency": bill.pointer("/taxIncludedAmount/unit"),
            "lines": lines.as_array().into_iter().flatten().map(line).collect::<Vec<_>>(),
            "net": bill.pointer("/taxExcludedAmount/value"),
            "tax": bill.pointer("/taxItem/0/taxAmount/value"),
            "total": bill.pointer("/taxIncludedAmount/value"),
        }))
    }
}

impl Customer {
    /// Orders the smallest machine on sale.
    ///
    /// # Errors
    /// Where nothing is on sale or the server refuses.
    pub fn order(&self, machine: &str) -> Outcome<Order> {
        let offerings = self.api.get(&format!("{OFFERINGS}?lifecycleStatus=Active,Launched"))?;
        let offering = offerings.get(0).ok_or("nothing is on sale")?;
        let item = json!({
            "id": "1", "action": "add", "quantity": 1,
            "productOffering": { "id": offering["id"] },
            "product": { "name": machine, "productCharacteristic": [{ "name": "greeting", "value": format!("{machine} of {}", self.name) }] },
        });
        let order = self.api.post(ORDERS, &json!({ "productOrderItem": [item] }))?;
        Ok(Order { id: word(&order, "/id")?, offering: word(offering, "/name")? })
    }
}

impl Customer {
    /// Ends every active service.
    ///
    /// # Errors
    /// Where the server refuses.
    pub fn terminate_all(&self) -> Outcome<()> {
        let services = self.api.get(&format!("{SERVICES}?category=CustomerFacingService&state=active,inactive"))?;
        for service in services.as_array().into_iter().flatten() {
            self.api.post(&format!("/api/v1/services/{}/terminate", word(service, "/id")?), &json!({}))?;
        }
        Ok(())
    }
}

impl Installation {
    /// Waits until nothing is left of any machine: no domain, no disk, no address, no reservation.
    ///
    /// # Errors
    /// With what is left after `most`.
    pub fn wait_until_free(&self, host: &Machines, most: Duration) -> Outcome<()> {
        let until = Instant::now() + most;
        loop {
            let left = json!({
                "domains": host.domains()?,
                "disks": host.directories(),
                "claims": self.api.get("/api/v1/claims")?["items"],
                "reservations": self.api.get(&format!("/api/v1/reservations?host={}", host.id))?["items"],
            });
            let reserved = left["reservations"].as_array().into_iter().flatten().any(|r| r["state"] != "released");
            let empty = |name: &str| left[name].as_array().is_some_and(Vec::is_empty);
            if empty("domains") && empty("disks") && empty("claims") && !reserved {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("something is left: {left:#}").into());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Order {
    /// Waits until the order has come to its end.
    ///
    /// # Errors
    /// Where it does not complete within three minutes.
    pub fn watch(&self, api: &Api) -> Outcome<Json> {
        self.watch_steps(api, |_| {})
    }

    /// [`Order::watch`], telling of each step of the runs that carry it out as soon as it is done.
    ///
    /// # Errors
    /// As [`Order::watch`].
    pub fn watch_steps(&self, api: &Api, mut tell: impl FnMut(&DoneStep)) -> Outcome<Json> {
        let until = Instant::now() + Duration::from_secs(180);
        let mut told = 0;
        loop {
            // The order first: whatever its end shows, its steps show then too.
            let order = api.get(&format!("{ORDERS}/{}", self.id))?;
            let done = self.steps(api)?;
            done.iter().skip(told).for_each(&mut tell);
            told = told.max(done.len());
            match order["state"].as_str() {
                Some("completed") => return Ok(order),
                Some("failed" | "partial" | "cancelled" | "rejected") => {
                    return Err(format!("the order ended: {order:#}").into());
                }
                _ if Instant::now() > until => {
                    return Err(format!("the order is not done after three minutes: {order:#}").into());
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// The steps that are done, in order.
    fn steps(&self, api: &Api) -> Outcome<Vec<DoneStep>> {
        let runs = api.get(&format!("/api/v1/flows?subject={}", self.id))?;
        let mut done = Vec::new();
        for run in runs["items"].as_array().into_iter().flatten().rev() {
            let run = api.get(&format!("/api/v1/flows/{}", word(run, "/id")?))?;
            let steps = run["steps"].as_array().into_iter().flatten();
            for step in steps.filter(|step| step["state"] == "done") {
                let (began, ended): (Timestamp, Timestamp) =
                    (word(step, "/started")?.parse()?, word(step, "/finished")?.parse()?);
                done.push(DoneStep {
                    name: word(step, "/title/en")?,
                    seconds: ended.duration_since(began).as_secs_f64(),
                });
            }
        }
        Ok(done)
    }

    /// The service that the order has brought.
    ///
    /// # Errors
    /// Where there is none.
    pub fn service(&self, api: &Api) -> Outcome<String> {
        let services = api.get(&format!("{SERVICES}?state=active&category=CustomerFacingService&limit=100"))?;
        word(services.get(0).ok_or("there is no active service")?, "/id")
    }

    /// Visits the machine's own page.
    ///
    /// # Errors
    /// Where there is no address or no answer, or another machine's.
    pub fn visit(&self, api: &Api) -> Outcome<Guest> {
        let services = api.get(&format!("{SERVICES}?state=active&category=CustomerFacingService&limit=100"))?;
        let service = services.get(0).ok_or("there is no active service")?;
        let characteristics = service["serviceCharacteristic"].as_array().cloned().unwrap_or_default();
        let url = characteristics
            .iter()
            .find(|c| c["name"] == "address")
            .ok_or_else(|| format!("the service has no address: {service:#}"))?;
        let url = word(url, "/value")?;
        let seen = api.get(&format!("/api/v1/services/{}/status", word(service, "/id")?))?;
        let boot =
            seen.pointer("/machines/0/bootMilliseconds").or_else(|| seen.pointer("/machines/0/boot_milliseconds"));
        let boot_seconds = boot.and_then(Json::as_f64).unwrap_or_default() / 1000.0;
        let guest = Api::new(&url, "");
        let (page, status) = (guest.send("GET", "/", &[], None)?, guest.get("/status.json")?);
        if page.status != 200 || !status.to_string().contains("web-01 of ") {
            return Err(format!("{url} answers {} and tells {status} of itself", page.status).into());
        }
        Ok(Guest { url, boot_seconds })
    }
}
