//! Computed characteristics: expressions over the parent's characteristics.
//!
//! What an expression may be, and why it always ends soon: [`durable::expression`].
//! Here they are kept by their text once they were read, so that an order does
//! not pay for reading them again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base::{Result, limits};
use durable::expression::Expression;
use serde_json::{Map, Value as Json};

/// What an expression may speak of.
const VARIABLES: [&str; 2] = ["parent", "order"];

/// Reads an expression over `parent` and `order`.
///
/// # Errors
/// `Invalid` (`expression.invalid`) saying what is wrong with it.
pub fn read(text: &str) -> Result<Arc<Expression>> {
    static READ: OnceLock<Mutex<HashMap<String, Arc<Expression>>>> = OnceLock::new();
    let known = READ.get_or_init(Mutex::default);
    if let Some(expression) = known.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
        return Ok(expression.clone());
    }
    let expression = Arc::new(Expression::parse(text, &VARIABLES)?);
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= limits::EXPRESSIONS_CACHED_MAX {
        known.clear();
    }
    known.insert(text.to_owned(), expression.clone());
    Ok(expression)
}

/// Works an expression out.
///
/// # Errors
/// As [`read`]; `Invalid` where a value is not there or not of the right type.
pub fn evaluate(text: &str, parent: &Map<String, Json>, order: &Map<String, Json>) -> Result<Json> {
    let (parent, order) = (Json::Object(parent.clone()), Json::Object(order.clone()));
    read(text)?.evaluate(&[("parent", &parent), ("order", &order)])
}
