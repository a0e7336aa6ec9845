//! Computed values: CEL expressions over characteristics, small and bounded.
//!
//! **Invariants.** An expression has no loops (the macros `all`, `exists`,
//! `map`, `filter` are refused when it is read), at most
//! [`BYTES_MAX`] bytes and [`NODES_MAX`]
//! nodes, and sees nothing but the values that it is given. Its cost is
//! therefore bounded by its length, and the same values give the same result.
//!
//! **Not here.** What is done with the result (`mapping`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base::{Error, Result, limits};
use cel::common::ast::{EntryExpr, Expr};
use cel::{Context, Env, IdedExpr, Program, Value};
use serde_json::{Map, Value as Json};

fn environment() -> &'static Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| Arc::new(Env::stdlib()))
}

const BYTES_MAX: usize = 1 << 10;
const NODES_MAX: usize = 200;
/// What an expression may speak of.
const VARIABLES: [&str; 2] = ["parent", "order"];

fn wrong(text: &str, why: impl std::fmt::Display) -> Error {
    let shown: String = text.chars().take(80).collect();
    Error::invalid("expression.invalid", format!("the expression `{shown}` cannot be used: {why}"))
}

/// Reads an expression and checks its bounds. Programs are remembered by their
/// text, so that an order does not pay for reading them again.
///
/// # Errors
/// `Invalid` (`expression.invalid`) saying what is wrong with it.
pub fn compile(text: &str) -> Result<Arc<Program>> {
    static READ: OnceLock<Mutex<HashMap<String, Arc<Program>>>> = OnceLock::new();
    let known = READ.get_or_init(Mutex::default);
    if let Some(program) = known.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
        return Ok(program.clone());
    }
    if text.len() > BYTES_MAX {
        return Err(wrong(text, format_args!("it is longer than {} bytes", BYTES_MAX)));
    }
    let program = environment().compile(text).map_err(|e| wrong(text, e))?;
    if let Some(name) = program.references().variables().into_iter().find(|name| !VARIABLES.contains(name)) {
        return Err(wrong(text, format_args!("it speaks of `{name}`; there is only {}", VARIABLES.join(" and "))));
    }
    let nodes = count(program.expression()).map_err(|why| wrong(text, why))?;
    if nodes > NODES_MAX {
        return Err(wrong(text, format_args!("it has more than {} parts", NODES_MAX)));
    }
    let program = Arc::new(program);
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= limits::EXPRESSIONS_CACHED_MAX {
        known.clear();
    }
    known.insert(text.to_owned(), program.clone());
    Ok(program)
}

/// Evaluates an expression over named groups of values, such as `product`.
///
/// # Errors
/// `Invalid` where it does not compile, meets a value of the wrong type, or
/// gives something that is not plain JSON.
pub fn evaluate(text: &str, variables: &[(&str, &Map<String, Json>)]) -> Result<Json> {
    let program = compile(text)?;
    let mut context = Context::with_env(environment().clone());
    for (name, values) in variables {
        let values: HashMap<String, Value> = values.iter().map(|(name, value)| (name.clone(), to_cel(value))).collect();
        context.add_variable_from_value(*name, values);
    }
    let value = program.execute(&context).map_err(|e| wrong(text, e))?;
    from_cel(&value).ok_or_else(|| wrong(text, "its result is not plain data"))
}

/// Counts nodes; says what is not allowed.
fn count(at: &IdedExpr) -> std::result::Result<usize, &'static str> {
    let sum = |parts: &mut dyn Iterator<Item = &IdedExpr>| {
        let mut total = 1;
        for part in parts {
            total += count(part)?;
        }
        Ok(total)
    };
    match &at.expr {
        Expr::Comprehension(_) => Err("loops (all, exists, map, filter) are not allowed"),
        Expr::Struct(_) => Err("objects of a named type are not known here"),
        Expr::Unspecified => Err("it is empty"),
        Expr::Ident(_) | Expr::Literal(_) => Ok(1),
        Expr::Call(call) => sum(&mut call.target.iter().map(|target| &**target).chain(call.args.iter())),
        Expr::List(list) => sum(&mut list.elements.iter()),
        Expr::Select(select) => count(&select.operand).map(|n| n + 1),
        Expr::Map(map) => map.entries.iter().try_fold(1, |total, entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => Ok(total + count(&entry.key)? + count(&entry.value)?),
            EntryExpr::StructField(field) => Ok(total + count(&field.value)?),
        }),
    }
}

/// Whole numbers become CEL's `int`, whatever their sign, so that they can be
/// multiplied with literals.
fn to_cel(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(entries) => Value::List(Arc::new(entries.iter().map(to_cel).collect())),
        Json::Object(body) => {
            body.iter().map(|(name, value)| (name.clone(), to_cel(value))).collect::<HashMap<String, Value>>().into()
        }
    }
}

fn from_cel(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::UInt(number) => (*number).into(),
        Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        Value::String(text) => text.as_str().into(),
        Value::List(entries) => entries.iter().map(from_cel).collect::<Option<Vec<Json>>>()?.into(),
        Value::Map(map) => map
            .map
            .iter()
            .map(|(key, value)| Some((key.to_string(), from_cel(value)?)))
            .collect::<Option<Map<String, Json>>>()?
            .into(),
        _ => return None,
    })
}
