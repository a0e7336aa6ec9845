//! Decisions: Cedar policies, chosen by action first, each decision remembered.
//!
//! Everything that a policy can look at is part of the cache's key, so that a
//! remembered decision is the decision. A change of policies makes new
//! [`Policies`] with an empty cache.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::str::FromStr as _;
use std::sync::{Arc, RwLock};

use base::{Error, Result, limits};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request, Response,
    RestrictedExpression, Schema, ValidationMode, Validator,
};
use db::Class;

use crate::{Cx, Relation};

/// The policies in force, checked as a whole.
pub struct Policies {
    by_action: Arc<HashMap<String, PolicySet>>,
    cache: RwLock<HashMap<u64, bool>>,
}

/// A policy that forbids something, for those who ask why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidding {
    /// Its `@id`, or its place among all policies (`policy12`).
    pub id: String,
    /// What it says in words: its `@doc`; empty where it has none.
    pub words: String,
    /// The policy itself, in Cedar.
    pub text: String,
}

const SCHEMA: &str = r#"
entity Account, Agent, System, Nobody = { roles: Set<String> };
entity Object = { kind: String, class: String, relation: String };
"#;

fn refused(what: String) -> Error {
    Error::invalid("policy.invalid", what)
}

impl Policies {
    /// Reads policies written in Cedar and checks them against the names of all
    /// actions. Any error refuses the whole: a policy that is skipped could be
    /// the one that forbids.
    ///
    /// # Errors
    /// `Invalid` (`policy.invalid`) naming every fault.
    pub fn parse(text: &str, actions: &[String]) -> Result<Self> {
        #[cfg(not(any(test, feature = "testing")))]
        let by_action = Arc::new(read(text, actions)?);
        #[cfg(any(test, feature = "testing"))]
        let by_action = read_once(text, actions)?;
        Ok(Policies { by_action, cache: RwLock::default() })
    }

    /// Whether any policy speaks of the action.
    pub fn mentions(&self, action: &str) -> bool {
        self.by_action.contains_key(action)
    }

    /// Decides; default is to refuse. What the actor's token is limited to is no part of the policies and of
    /// what is remembered: it is looked at each time.
    ///
    /// # Errors
    /// `Unauthenticated` where nobody is signed in, else `Forbidden`.
    pub fn decide(&self, cx: &Cx, action: &str, kind: &str, class: Class, relation: Relation) -> Result<()> {
        if let Some(bounds) = cx.bounds() {
            bounds.check(action, cx.address())?;
        }
        let mut hasher = DefaultHasher::new();
        (cx.roles_key(), action, kind, class, relation).hash(&mut hasher);
        let key = hasher.finish();
        let cached = self.cache.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key).copied();
        let allowed = match cached {
            Some(allowed) => allowed,
            None => {
                let allowed = self.evaluate(cx, action, kind, class, relation)?;
                let mut cache = self.cache.write().unwrap_or_else(std::sync::PoisonError::into_inner);
                if cache.len() >= limits::DECISIONS_CACHED_MAX {
                    cache.clear();
                }
                cache.insert(key, allowed);
                allowed
            }
        };
        match (allowed, cx.actor()) {
            (true, _) => Ok(()),
            (false, crate::Actor::Nobody) => {
                Err(Error::unauthenticated("session.required", "sign in, or send an API token, to do this"))
            }
            (false, _) => Err(Error::forbidden(
                "action.forbidden",
                format!("your roles do not allow {action} here; ask an administrator of your organisation"),
            )),
        }
    }

    fn evaluate(&self, cx: &Cx, action: &str, kind: &str, class: Class, relation: Relation) -> Result<bool> {
        let Some(policies) = self.by_action.get(action) else { return Ok(false) };
        let answer = ask(policies, cx, action, (kind, class, relation))?;
        // A policy that fails to evaluate is skipped by Cedar; a skipped forbid must not let anybody in.
        Ok(answer.decision() == Decision::Allow && answer.diagnostics().errors().next().is_none())
    }

    /// The policies that forbid this to the actor. None where it is refused because none permits it.
    ///
    /// # Errors
    /// `Bug` where the decision cannot be asked for.
    pub fn forbidding(
        &self,
        cx: &Cx,
        action: &str,
        kind: &str,
        class: Class,
        relation: Relation,
    ) -> Result<Vec<Forbidding>> {
        let Some(policies) = self.by_action.get(action) else { return Ok(Vec::new()) };
        let answer = ask(policies, cx, action, (kind, class, relation))?;
        if answer.decision() == Decision::Allow {
            return Ok(Vec::new());
        }
        // What Cedar names as the reason of a refusal are the policies that forbid.
        let found = answer.diagnostics().reason().filter_map(|id| policies.policy(id));
        Ok(found
            .map(|policy| Forbidding {
                id: policy.annotation("id").map_or_else(|| policy.id().to_string(), ToOwned::to_owned),
                words: policy.annotation("doc").unwrap_or_default().to_owned(),
                text: policy.to_string(),
            })
            .collect())
    }
}

/// Asks these policies.
fn ask(
    policies: &PolicySet,
    cx: &Cx,
    action: &str,
    (kind, class, relation): (&str, Class, Relation),
) -> Result<Response> {
    let fault =
        |e: &dyn std::fmt::Display| Error::bug("policy.request", format!("a decision could not be asked for: {e}"));
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let principal = uid(cx.actor().kind(), "principal")?;
    let resource = uid("Object", "object")?;
    let roles = RestrictedExpression::new_set(cx.roles().iter().map(|role| text(role)));
    let entities = [
        Entity::new(principal.clone(), HashMap::from([("roles".to_owned(), roles)]), HashSet::new())
            .map_err(|e| fault(&e))?,
        Entity::new(
            resource.clone(),
            HashMap::from([
                ("kind".to_owned(), text(kind)),
                ("class".to_owned(), text(class.word())),
                ("relation".to_owned(), text(relation.word())),
            ]),
            HashSet::new(),
        )
        .map_err(|e| fault(&e))?,
    ];
    let entities = Entities::from_entities(entities, None).map_err(|e| fault(&e))?;
    let request =
        Request::new(principal, uid("Action", action)?, resource, Context::empty(), None).map_err(|e| fault(&e))?;
    Ok(Authorizer::new().is_authorized(&request, policies, &entities))
}

/// The policies by the actions that they name, all of them checked.
fn read(text: &str, actions: &[String]) -> Result<HashMap<String, PolicySet>> {
    let mut schema = SCHEMA.to_owned();
    for action in actions {
        schema.push_str(&format!("action {action:?} appliesTo {{ principal: [Account, Agent, System, Nobody], resource: [Object], context: {{}} }};\n"));
    }
    let (schema, _) =
        Schema::from_cedarschema_str(&schema).map_err(|e| refused(format!("the actions do not make a schema: {e}")))?;
    let all = PolicySet::from_str(text).map_err(|e| refused(format!("the policies do not parse: {e}")))?;
    let report = Validator::new(schema).validate(&all, ValidationMode::Strict);
    if !report.validation_passed() {
        let faults: Vec<String> = report.validation_errors().map(ToString::to_string).collect();
        return Err(refused(format!("the policies do not fit the actions: {}", faults.join("; "))));
    }
    let known: HashSet<&str> = actions.iter().map(String::as_str).collect();
    let mut by_action: HashMap<String, PolicySet> = HashMap::new();
    for policy in all.policies() {
        for action in named_actions(policy)? {
            if !known.contains(action.as_str()) {
                return Err(refused(format!("policy {} names the action {action}, which does not exist", policy.id())));
            }
            by_action.entry(action).or_default().add(policy.clone()).map_err(|e| refused(e.to_string()))?;
        }
    }
    Ok(by_action)
}

/// [`read`], once for all the houses that the tests of a process furnish: each would take longer to read its policies
/// than for all that it is furnished for.
#[cfg(any(test, feature = "testing"))]
fn read_once(text: &str, actions: &[String]) -> Result<Arc<HashMap<String, PolicySet>>> {
    type Known = HashMap<(String, Vec<String>), Arc<HashMap<String, PolicySet>>>;
    static KNOWN: std::sync::Mutex<Option<Known>> = std::sync::Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let key = (text.to_owned(), actions.to_vec());
    if !known.contains_key(&key) {
        known.insert(key.clone(), Arc::new(read(text, actions)?));
    }
    Ok(known[&key].clone())
}

fn uid(kind: &str, id: &str) -> Result<EntityUid> {
    let kind = EntityTypeName::from_str(kind).map_err(|e| Error::bug("policy.entity", e.to_string()))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// The actions that a policy names in its head; one that names none would be looked at for all.
fn named_actions(policy: &cedar_policy::Policy) -> Result<Vec<String>> {
    use cedar_policy::ActionConstraint;
    let plain = |uid: EntityUid| -> String { uid.id().unescaped().to_owned() };
    match policy.action_constraint() {
        ActionConstraint::Eq(one) => Ok(vec![plain(one)]),
        ActionConstraint::In(many) => Ok(many.into_iter().map(plain).collect()),
        ActionConstraint::Any => Err(refused(format!(
            "policy {} names no action; every policy must say which actions it is about",
            policy.id()
        ))),
    }
}
