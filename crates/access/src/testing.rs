//! A small house for tests: an operator, two customers, a department, and people
//! in every role; the policies that come with the product.

#![expect(clippy::unwrap_used, reason = "only tests use it")]

use base::Result;
use base::id::{AccountId, Ids, TenantId};
use base::time::{Clock, Timestamp};
use db::{Db, args};
use gate::keys::Keys;
use gate::{Catalogue, Cx, Gate, Proof, Strength};

use crate::accounts::{self, Account, AccountKind, AccountState};
use crate::reach;
use crate::roles::{self, ROLES};
use crate::secret::{self, Of};
use crate::tenants::{self, Tenant, TenantKind, TenantState};
use crate::{POLICIES, text};

/// The product's policies, as far as they speak of this room's own actions: the
/// actions of the other rooms are not in this catalogue.
pub fn policies() -> String {
    policies_of(&crate::actions())
}

/// The product's policies, as far as they speak of these actions.
pub fn policies_of(actions: &[&'static dyn gate::AnyAction]) -> String {
    let ours: Vec<String> = actions.iter().map(|action| format!("Action::{:?}", action.name())).collect();
    let mut out = String::new();
    for policy in POLICIES.split_inclusive(";\n") {
        let (head, tail) = policy.split_once("action in [").unwrap_or((policy, "]"));
        let (named, tail) = tail.split_once(']').unwrap();
        let kept: Vec<&str> =
            named.split(',').map(str::trim).filter(|name| ours.iter().any(|own| own == name)).collect();
        if !kept.is_empty() {
            out.push_str(&format!("{head}action in [{}]{tail}", kept.join(", ")));
        }
    }
    out
}

/// The house: tenants and people, by name.
pub struct House {
    /// The gate.
    pub gate: Gate,
    /// The operator.
    pub operator: TenantId,
    /// A customer.
    pub first: TenantId,
    /// A department of it.
    pub department: TenantId,
    /// Another customer.
    pub second: TenantId,
}

/// The password of everybody in the house.
pub const PASSWORD: &str = "seven lamps over the harbour";

impl House {
    /// Furnishes an empty database, with this room's actions alone.
    pub fn new(db: Db) -> House {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let catalogue = crate::guarded(Catalogue::default().actions(&crate::actions()));
        House::over(Gate::new(db, Clock::fixed(start), Ids::seeded(5), &policies(), catalogue).unwrap())
    }

    /// Furnishes an empty database, with this room's actions and those that read the audit log.
    pub fn with_log(db: Db) -> House {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let actions = [&crate::actions()[..], gate::audit::actions::ACTIONS].concat();
        let catalogue = crate::guarded(Catalogue::default().actions(&actions));
        House::over(Gate::new(db, Clock::fixed(start), Ids::seeded(5), &policies_of(&actions), catalogue).unwrap())
    }

    /// Furnishes an empty database behind a gate that was made elsewhere.
    pub fn over(gate: Gate) -> House {
        let [operator, first, department, second] = [1, 2, 3, 4].map(TenantId);
        gate.install(std::sync::Arc::new(Keys::of(&[7; 32]).unwrap()));
        crate::providers::install(&gate, "http://localhost", web::Outgoing::default());
        let house = House { gate, operator, first, department, second };
        let plan = [
            (operator, None, TenantKind::Operator, vec![operator]),
            (first, Some(operator), TenantKind::Customer, vec![operator, first]),
            (department, Some(first), TenantKind::Department, vec![operator, first, department]),
            (second, Some(operator), TenantKind::Customer, vec![operator, second]),
        ];
        let now = house.gate.now();
        house
            .gate
            .db()
            .write(move |conn| {
                for (id, parent, kind, path) in plan.clone() {
                    let (name, locale, time_zone) =
                        (format!("tenant {}", id.0), "en".to_owned(), "Asia/Taipei".to_owned());
                    tenants::store::insert(
                        conn,
                        &Tenant {
                            id,
                            parent,
                            kind,
                            name,
                            locale,
                            time_zone,
                            state: TenantState::Active,
                            created_at: now,
                            path,
                        },
                    )?;
                }
                Ok(())
            })
            .unwrap();
        house
    }

    /// Somebody new with these roles in `tenant`, without a password.
    pub fn person(&self, email: &str, tenant: TenantId, granted: &[&str]) -> AccountId {
        let now = self.gate.now();
        let id = AccountId::fresh(self.gate.ids(), now);
        let (email, granted) =
            (text::email(email).unwrap(), granted.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>());
        self.gate
            .db()
            .write(move |conn| {
                let account = Account {
                    id,
                    home: tenant,
                    kind: AccountKind::Person,
                    email: email.shown.clone(),
                    name: email.key.clone(),
                    locale: "en".to_owned(),
                    state: AccountState::Active,
                    created_at: now,
                    signed_in_at: None,
                };
                accounts::store::insert(conn, &account, &email)?;
                for role in &granted {
                    roles::store::insert(conn, id, tenant, role, "test", now)?;
                }
                Ok(())
            })
            .unwrap();
        id
    }

    /// Gives somebody [`PASSWORD`].
    pub fn set_password(&self, account: AccountId) {
        let (phc, now) = (crate::passwords::hashing::hash(PASSWORD).unwrap(), self.gate.now());
        self.gate.db().write(move |conn| accounts::store::set_password(conn, account, &phc, now)).unwrap();
    }

    /// The context in which somebody acts, in `wanted` or where they belong, who has just shown a password.
    ///
    /// # Errors
    /// As [`reach::standing`].
    pub fn cx(&self, account: AccountId, wanted: Option<TenantId>) -> Result<Cx> {
        let proof = Proof {
            strength: Strength::Password,
            at: self.gate.now(),
            has_factor: false,
            must_enrol: false,
            for_sensitive: false,
        };
        self.gate.db().read(move |conn| {
            let standing = reach::standing(conn, account, wanted, None)?;
            Ok(Cx::new(gate::Actor::Account(account), standing.tenant, standing.scope, standing.roles).proven(proof))
        })
    }

    /// Somebody new with that one role, where it is held: in the operator, or in `customer`.
    pub fn with_role(&self, role: &str, customer: TenantId) -> Cx {
        let place = if ROLES.iter().any(|r| r.name == role && r.operator) { self.operator } else { customer };
        let email = format!("{role}-{}@example.com", self.gate.ids().next(self.gate.now()));
        let account = self.person(&email, place, &[role]);
        self.cx(account, None).unwrap()
    }

    /// A link as a mail would carry it, for an invitation or a reset of `subject`.
    pub fn link(&self, purpose: &'static str, subject: String) -> crate::Secret {
        let (secret, hash) = secret::mint(Of::Link).unwrap();
        let until = self.gate.now() + std::time::Duration::from_secs(3_600);
        self.gate.db().write(move |conn| crate::mail::links::insert(conn, &hash, purpose, &subject, until)).unwrap();
        crate::Secret::new(secret)
    }

    /// What the audit log says, oldest first: action, acting tenant, outcome.
    pub fn audit(&self) -> Vec<(String, TenantId, String)> {
        // A write of our own comes after all refusals that are still on their way.
        self.gate.db().write(|conn| conn.execute("DELETE FROM attempts WHERE number < $1", args![0i64])).unwrap();
        self.gate
            .db()
            .read(|conn| {
                conn.query("SELECT action, tenant, outcome FROM audit_entries ORDER BY seq", &[], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
            })
            .unwrap()
    }
}
