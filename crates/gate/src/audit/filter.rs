//! Which entries: the conditions that lists, searches and exports share.

use base::time::{Timestamp, micros};
use db::Value;
use db::records::Scope;
use serde_json::{Map, Value as Json};

/// Which entries; all by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this actor.
    pub actor: Option<String>,
    /// Only of this action, or with a trailing `.` of this noun: `productOrder.`.
    pub action: Option<String>,
    /// Only about this object.
    pub object: Option<String>,
    /// Only about objects of this tenant.
    pub tenant: Option<String>,
    /// Only with this outcome: `done`, `refused`, or `refused:` and a code.
    pub outcome: Option<String>,
    /// Only from this instant on.
    pub since: Option<Timestamp>,
    /// Only before this instant.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// What a reader must know of a part: that it is one.
    pub(super) fn describe(&self, log: &mut Map<String, Json>) {
        let texts = [
            ("actor", &self.actor),
            ("action", &self.action),
            ("object", &self.object),
            ("tenant", &self.tenant),
            ("outcome", &self.outcome),
        ];
        for (name, text) in texts {
            log.extend(text.as_ref().map(|text| (name.to_owned(), text.clone().into())));
        }
        for (name, bound) in [("since", self.since), ("until", self.until)] {
            log.extend(bound.map(|at| (name.to_owned(), at.to_string().into())));
        }
    }
}

/// Builds `WHERE` out of conditions with one parameter each.
pub(super) struct Conditions {
    pub sql: String,
    pub values: Vec<Value<'static>>,
}

impl Conditions {
    /// Entries that are in the tree.
    pub fn placed() -> Self {
        Conditions { sql: "e.leaf_index IS NOT NULL".to_owned(), values: vec![] }
    }

    pub fn and(&mut self, condition: &str, value: Value<'static>) {
        self.values.push(value);
        self.sql.push_str(&format!(" AND {condition} ${}", self.values.len()));
    }

    fn text(&mut self, condition: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.and(condition, Value::Text(value.clone().into()));
        }
    }

    /// Texts that begin with `prefix`, by comparison, so that an index and either engine can do it.
    fn prefix(&mut self, column: &str, prefix: &str) {
        self.and(&format!("{column} >="), Value::Text(prefix.to_owned().into()));
        self.and(&format!("{column} <"), Value::Text(format!("{prefix}\u{10ffff}").into()));
    }

    pub fn filter(&mut self, filter: &Filter) {
        self.text("e.actor =", filter.actor.as_ref());
        self.text("e.object_id =", filter.object.as_ref());
        self.text("e.object_tenant =", filter.tenant.as_ref());
        match filter.action.as_deref() {
            Some(noun) if noun.ends_with('.') => self.prefix("e.action", noun),
            Some(_) => self.text("e.action =", filter.action.as_ref()),
            None => {}
        }
        match filter.outcome.as_deref() {
            Some("refused") => self.prefix("e.outcome", "refused:"),
            Some(_) => self.text("e.outcome =", filter.outcome.as_ref()),
            None => {}
        }
        for (condition, at) in [("e.at >=", filter.since), ("e.at <", filter.until)] {
            if let Some(at) = at {
                self.and(condition, Value::Int(micros(at)));
            }
        }
    }

    pub fn scope(&mut self, scope: &Scope) {
        let Scope::Tenants { own, .. } = scope else { return };
        let first = self.values.len() + 1;
        self.values.extend(own.iter().map(|tenant| Value::Text(tenant.to_string().into())));
        let marks: Vec<String> = (first..=self.values.len()).map(|n| format!("${n}")).collect();
        self.sql.push_str(&if marks.is_empty() {
            " AND 1 = 0".to_owned()
        } else {
            format!(" AND e.object_tenant IN ({})", marks.join(", "))
        });
    }
}
