//! Which actions can need a second person, what they are in words, and what is shown and held of the
//! object before they are done. Data.

use base::Result;
use gate::{Cx, Tx};
use serde_json::{Map, Value as Json, json};

/// The deed of making a tenant's rule weaker, or one person into two: needs a second person whenever there
/// is a rule to weaken.
pub const WEAKEN: &str = "approval.set_rule";

/// An action that can need a second person.
#[derive(Debug)]
pub struct Approvable {
    /// `noun.verb`.
    pub action: &'static str,
    /// What it does, in English.
    pub en: &'static str,
    /// The same in Traditional Chinese.
    pub zh: &'static str,
    /// Whether it is about the platform's own things, which no customer's rule is about.
    pub platform: bool,
    /// Whether it destroys or opens so much that a tenant should begin with it.
    pub usual: bool,
    /// How the object is read beforehand.
    pub look: Option<Look>,
}

/// How an object is read before something is done to it.
#[derive(Debug)]
pub struct Look {
    /// The action that reads it.
    action: &'static str,
    /// The member of the input that names it; it is sent under the same name.
    by: &'static str,
    /// What of the answer is held and shown. Nothing that changes by itself, such as when a host was heard of.
    keeps: &'static [&'static str],
}

const fn one(action: &'static str, usual: bool, en: &'static str, zh: &'static str) -> Approvable {
    Approvable { action, en, zh, usual, platform: false, look: None }
}

impl Approvable {
    const fn look(self, action: &'static str, by: &'static str, keeps: &'static [&'static str]) -> Approvable {
        Approvable { look: Some(Look { action, by, keeps }), ..self }
    }

    const fn platform(self) -> Approvable {
        Approvable { platform: true, ..self }
    }

    /// Whether a rule of the operator's, or of somebody else's, can name it.
    pub fn fits(&self, operator: bool) -> bool {
        operator || !self.platform
    }

    /// The one of that name.
    pub fn find(action: &str) -> Option<&'static Approvable> {
        APPROVABLE.iter().find(|one| one.action == action)
    }
}

const PERSON: &[&str] = &["name", "email", "state", "roles"];
const PROVIDER: &[&str] = &["name", "issuer", "state", "domains", "settings"];
const PROGRAM: &[&str] = &["name", "purpose", "responsible_name", "state", "roles", "sensitive"];
const POLICY: &[&str] = &["name", "revision", "what", "schedule", "retention", "places", "pruneDelayHours", "offered"];

/// All of them. What shows a secret to whoever does it (a repository's password, the recovery kit) and what
/// takes one is not here: what a second person reads, and what waits in the database, holds none.
pub static APPROVABLE: &[Approvable] = &[
    // What is gone afterwards.
    one("service.terminate", true, "End a service; its disks are removed", "終止服務，並移除其磁碟").look(
        "service.get",
        "id",
        &["name", "state"],
    ),
    one(
        "orphan.remove",
        true,
        "Remove a machine that nothing explains, its disks included",
        "移除來源不明的機器與其磁碟",
    )
    .platform(),
    one(
        "restore.end",
        false,
        "Let go of machines that a restore made, their disks included",
        "釋放還原所建立的機器與其磁碟",
    ),
    one("audit.erase", true, "Erase personal data from the audit log", "從稽核紀錄抹除個人資料"),
    // What is kept, where, and for how long.
    one("backupPolicy.update", true, "Change a backup policy", "變更備份政策")
        .look("backupPolicy.get", "id", POLICY)
        .platform(),
    one("protection.set", true, "Back a service up by another policy", "改用另一備份政策保護服務").look(
        "protection.get",
        "id",
        &["service", "policy"],
    ),
    one("protection.end", true, "Back a service up no more", "停止備份服務").look(
        "protection.get",
        "id",
        &["service", "policy"],
    ),
    one("dataSet.end", true, "Back a data set up no more", "停止備份資料集").look("dataSet.get", "id", &["name"]),
    one(
        "backupPlace.update",
        false,
        "Change a place for copies, or what protects copies there",
        "變更備份存放處或其保護",
    )
    .look("backupPlace.get", "id", &["name", "revision", "site", "host", "immutability"])
    .platform(),
    one("controlPlane.protect", true, "Back the platform itself up by another policy", "改用另一備份政策保護平台本身")
        .platform(),
    one("service.restore", false, "Bring a service back from a recovery point", "從還原點還原服務"),
    // Who may what.
    one("account.invite", true, "Invite somebody, with these roles", "邀請某人並給予角色"),
    one("role.grant", true, "Grant a role", "授予角色").look("account.get", "account", PERSON),
    one("role.revoke", true, "Take a role away", "撤銷角色").look("account.get", "account", PERSON),
    one("account.remove", true, "End somebody's part in the organisation", "將某人移出組織").look(
        "account.get",
        "account",
        PERSON,
    ),
    one("account.suspend", false, "Keep somebody out", "停用帳號").look("account.get", "account", PERSON),
    one("account.resume", true, "Let somebody in again", "恢復帳號").look("account.get", "account", PERSON),
    one(
        "identityProvider.update",
        true,
        "Change an identity provider: who comes in by it, and as what",
        "變更身分提供者：誰可以登入，以及得到什麼角色",
    )
    .look("identityProvider.get", "provider", PROVIDER),
    one("serviceAccount.create", true, "Make a service account, with these roles", "建立服務帳號並給予角色"),
    one(
        "serviceAccount.update",
        true,
        "Change a service account: who answers for it, and whether its keys may do what is sensitive",
        "變更服務帳號：負責人，以及金鑰可否用於敏感操作",
    )
    .look("serviceAccount.get", "account", PROGRAM),
    one("tenant.suspend", true, "Keep a whole organisation's people out", "停用整個組織的人員").look(
        "tenant.get",
        "tenant",
        &["name", "state"],
    ),
    // What reaches far.
    one("host.retire", true, "Take a host out for good", "永久除役主機")
        .look("host.get", "id", &["name", "state"])
        .platform(),
    one("flowDefinition.import", false, "Change how the platform does its work: a flow's definition", "變更流程定義")
        .platform(),
    one("productOffering.update", false, "Change what is on sale", "變更銷售中的產品")
        .look("productOffering.get", "id", &["name", "lifecycleStatus", "productOfferingPrice"])
        .platform(),
    one("productOffering.delete", false, "Remove what is on sale", "移除銷售中的產品")
        .look("productOffering.get", "id", &["name", "lifecycleStatus"])
        .platform(),
    one("productOfferingPrice.update", false, "Change a price", "變更價格")
        .look("productOfferingPrice.get", "id", &["name", "lifecycleStatus", "price"])
        .platform(),
    one("productOfferingPrice.delete", false, "Remove a price", "移除價格")
        .look("productOfferingPrice.get", "id", &["name", "lifecycleStatus", "price"])
        .platform(),
    one("contact.remove", false, "Remove somebody from the continuity plan's team", "將某人移出持續計畫的聯絡名單")
        .look("contact.get", "id", &["name", "duty"]),
    one("bill.adjust", false, "Put a credit or a debit on a customer's next bill", "在客戶下期帳單加上折讓或加收")
        .platform(),
];

/// What an approval is called in words: its action's, or what it amounts to.
pub fn words(amounts_to: &str) -> (&'static str, &'static str) {
    match Approvable::find(amounts_to) {
        Some(known) => (known.en, known.zh),
        None if amounts_to == WEAKEN => ("Need a second person for less than before", "放寬雙人規則"),
        None => ("", ""),
    }
}

/// The object as it is now, as far as it is held and shown: an empty object where nothing is.
///
/// # Errors
/// Those of the action that reads it, as `cx` may.
pub(super) fn look(tx: &mut Tx<'_>, cx: &Cx, action: &str, input: &Json) -> Result<Json> {
    let Some(look) = Approvable::find(action).and_then(|one| one.look.as_ref()) else { return Ok(json!({})) };
    let ask = json!({ look.by: input.get(look.by) });
    let found = tx.run_as(cx, look.action, &ask)?.output;
    let kept = look.keeps.iter().filter_map(|name| Some(((*name).to_owned(), found.get(*name)?.clone())));
    Ok(Json::Object(kept.collect::<Map<_, _>>()))
}
