//! Expressions: conditions of steps, characteristics of products, in CEL.
//!
//! Every expression ends, and soon: its length, nesting and size are limited
//! when it is read, its cost is reckoned from its loops before it runs, and
//! loops have known bounds because lists are limited.

use std::sync::{Arc, OnceLock};

use base::{Error, Result, limits};
use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr};
use cel::objects::{Key, Map};
use cel::{Context, Env, IdedExpr, Program, Value};
use serde_json::Value as Json;

/// An expression that was read and found harmless.
pub struct Expression {
    text: String,
    program: Program,
    cost: u64,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expression({})", self.text)
    }
}

fn refused(text: &str, why: impl std::fmt::Display) -> Error {
    let shown: String = text.chars().take(60).collect();
    Error::invalid("expression.invalid", format!("the expression `{shown}` {why}"))
}

impl Expression {
    /// Reads an expression that may speak of the variables called `names`.
    ///
    /// # Errors
    /// `Invalid` (`expression.invalid`) where it does not parse, is too large,
    /// nested too deep, could run too long, or names a variable that is not there.
    pub fn parse(text: &str, names: &[&str]) -> Result<Self> {
        if text.len() > limits::EXPRESSION_BYTES_MAX {
            return Err(refused(text, format!("is longer than {} bytes", limits::EXPRESSION_BYTES_MAX)));
        }
        check_brackets(text)?;
        let program = Program::compile(text).map_err(|e| refused(text, format!("does not parse: {e}")))?;
        let mut nodes = 0;
        let cost = cost(program.expression(), 0, &mut nodes).map_err(|why| refused(text, why))?;
        if cost > limits::EXPRESSION_COST_MAX {
            return Err(refused(text, "could run too long: loops inside loops are not allowed"));
        }
        if let Some(name) = unknown(program.expression(), &mut names.to_vec()) {
            return Err(refused(text, format!("speaks of `{name}`; there is only {}", names.join(", "))));
        }
        Ok(Expression { text: text.to_owned(), program, cost })
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The members of the variable `name` that it mentions: `steps.reserve.host` mentions `reserve`.
    pub(crate) fn members(&self, name: &str) -> Vec<&str> {
        let mut found = Vec::new();
        members(self.program.expression(), name, &mut found);
        found
    }

    /// Works it out.
    ///
    /// # Errors
    /// `Invalid` where a value is not there or not of the right type, or where
    /// a list or text is too large.
    pub fn evaluate(&self, variables: &[(&str, &Json)]) -> Result<Json> {
        static ENV: OnceLock<Arc<Env>> = OnceLock::new();
        let mut context = Context::with_env(ENV.get_or_init(|| Arc::new(Env::stdlib())).clone());
        let mut longest = 1;
        for (name, value) in variables {
            let value = import(value, &mut longest).map_err(|why| refused(&self.text, why))?;
            context.add_variable_from_value(*name, value);
        }
        if self.cost.saturating_mul(longest) > limits::EXPRESSION_WORK_MAX {
            return Err(refused(&self.text, "is given too long a text"));
        }
        let value =
            self.program.execute(&context).map_err(|e| refused(&self.text, format!("cannot be worked out: {e}")))?;
        export(&value).ok_or_else(|| refused(&self.text, "gives something that is no plain value"))
    }

    /// Works out a condition.
    ///
    /// # Errors
    /// As [`Expression::evaluate`]; `Invalid` where it gives neither true nor false.
    pub fn holds(&self, variables: &[(&str, &Json)]) -> Result<bool> {
        self.evaluate(variables)?.as_bool().ok_or_else(|| refused(&self.text, "gives neither true nor false"))
    }
}

/// Counts brackets and chains of operators before the parser sees them.
fn check_brackets(text: &str) -> Result<()> {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let mut prefix = 0usize;
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        prefix = if matches!(c, '!' | '-') { prefix + 1 } else { 0 };
        deepest = deepest.max(depth + prefix);
    }
    if deepest > limits::EXPRESSION_DEPTH_MAX {
        return Err(refused(text, format!("is nested more than {} deep", limits::EXPRESSION_DEPTH_MAX)));
    }
    Ok(())
}

/// The first variable that is neither given nor made by a loop around it.
fn unknown<'e>(node: &'e IdedExpr, names: &mut Vec<&'e str>) -> Option<&'e str> {
    match &node.expr {
        Expr::Ident(name) => (!names.contains(&name.as_str())).then_some(name),
        Expr::Comprehension(loops) => {
            let outside = unknown(&loops.iter_range, names).or_else(|| unknown(&loops.accu_init, names));
            let known = names.len();
            names.extend(loops.iter_var2.iter().chain([&loops.iter_var, &loops.accu_var]).map(String::as_str));
            let inside =
                [&loops.loop_cond, &loops.loop_step, &loops.result].into_iter().find_map(|part| unknown(part, names));
            names.truncate(known);
            outside.or(inside)
        }
        _ => parts(node).into_iter().find_map(|part| unknown(part, names)),
    }
}

fn members<'e>(node: &'e IdedExpr, name: &str, found: &mut Vec<&'e str>) {
    if let Expr::Select(select) = &node.expr
        && matches!(&select.operand.expr, Expr::Ident(ident) if ident == name)
    {
        found.push(&select.field);
    }
    parts(node).into_iter().for_each(|part| members(part, name, found));
}

/// The nodes right below a node.
fn parts(node: &IdedExpr) -> Vec<&IdedExpr> {
    fn of_entries(entries: &[IdedEntryExpr]) -> Vec<&IdedExpr> {
        let mut all = Vec::new();
        for entry in entries {
            match &entry.expr {
                EntryExpr::StructField(field) => all.push(&field.value),
                EntryExpr::MapEntry(entry) => all.extend([&entry.key, &entry.value]),
            }
        }
        all
    }
    match &node.expr {
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).collect(),
        Expr::Comprehension(loops) => {
            vec![&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => of_entries(&map.entries),
        Expr::Struct(body) => of_entries(&body.entries),
        Expr::Select(select) => vec![&select.operand],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => vec![],
    }
}

/// An upper bound of the evaluation steps.
fn cost(node: &IdedExpr, depth: usize, nodes: &mut usize) -> Result<u64, String> {
    *nodes += 1;
    if *nodes > limits::EXPRESSION_NODES_MAX {
        return Err(format!("has more than {} parts", limits::EXPRESSION_NODES_MAX));
    }
    if depth > 4 * limits::EXPRESSION_DEPTH_MAX {
        return Err("is nested too deep".to_owned());
    }
    if matches!(&node.expr, Expr::Call(call) if call.func_name == "matches") {
        return Err("uses `matches`, which is not offered".to_owned());
    }
    let mut of = |inner: &IdedExpr| cost(inner, depth + 1, nodes);
    if let Expr::Comprehension(loops) = &node.expr {
        let rounds = match &loops.iter_range.expr {
            Expr::List(list) => list.elements.len() as u64,
            _ => limits::EXPRESSION_ENTRIES_MAX as u64,
        };
        let once = of(&loops.loop_cond)?.saturating_add(of(&loops.loop_step)?);
        let around = of(&loops.iter_range)?.saturating_add(of(&loops.accu_init)?).saturating_add(of(&loops.result)?);
        return Ok(around.saturating_add(rounds.saturating_mul(once)));
    }
    parts(node).into_iter().try_fold(1u64, |total, part| Ok(total.saturating_add(of(part)?)))
}

fn import(json: &Json, longest: &mut u64) -> Result<Value, String> {
    let bounded = |len: usize| match len {
        len if len > limits::EXPRESSION_ENTRIES_MAX => {
            Err(format!("is given a list of {len} entries; {} is the most", limits::EXPRESSION_ENTRIES_MAX))
        }
        _ => Ok(()),
    };
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => {
            *longest = (*longest).max(text.len() as u64);
            Value::String(Arc::new(text.clone()))
        }
        Json::Array(list) => {
            bounded(list.len())?;
            Value::List(Arc::new(list.iter().map(|entry| import(entry, longest)).collect::<Result<_, _>>()?))
        }
        Json::Object(body) => {
            bounded(body.len())?;
            let mut map = std::collections::HashMap::with_capacity(body.len());
            for (name, value) in body {
                map.insert(Key::String(Arc::new(name.clone())), import(value, longest)?);
            }
            Value::Map(Map { map: Arc::new(map) })
        }
    })
}

fn export(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(number) => (*number).into(),
        Value::UInt(number) => (*number).into(),
        Value::Float(number) => serde_json::Number::from_f64(*number).map(Json::Number)?,
        Value::String(text) => Json::String(text.to_string()),
        Value::List(list) => Json::Array(list.iter().map(export).collect::<Option<_>>()?),
        Value::Map(map) => {
            let mut body = serde_json::Map::new();
            for (key, value) in map.map.iter() {
                body.insert(key.to_string(), export(value)?);
            }
            Json::Object(body)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_and_characteristics_are_worked_out() {
        let input = json!({"cpu": 2, "memory": 1.5, "tags": ["a", "b"], "size": {"disk": 10}});
        for (text, expected) in [
            ("input.cpu > 1", json!(true)),
            ("input.cpu * 1024 + 1", json!(2049)),
            ("input.size.disk == 10 && input.tags.exists(t, t == 'b')", json!(true)),
            ("has(input.gpu) ? 1 : 0", json!(0)),
            ("input.tags.map(t, t + '!')", json!(["a!", "b!"])),
            ("input.tags.size() == 2 ? 'two' : 'other'", json!("two")),
        ] {
            assert_eq!(
                Expression::parse(text, &["input"]).unwrap().evaluate(&[("input", &input)]).unwrap(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_could_run_long_is_refused_before_it_runs() {
        let deep = "(".repeat(400) + "1" + &")".repeat(400);
        let long = "1+".repeat(600) + "1";
        let bangs = "!".repeat(500) + "true";
        for text in [
            deep.as_str(),
            long.as_str(),
            bangs.as_str(),
            "input.a.map(x, input.a.map(y, input.a.map(z, x + y + z)))",
            "input.a.all(x, input.a.all(y, x == y))",
            "other > 1",
            "1 +",
            "input.a.matches('(a+)+')",
        ] {
            assert_eq!(Expression::parse(text, &["input"]).unwrap_err().code(), "expression.invalid", "{text}");
        }
        let many = json!({"a": vec![1; 1_001]});
        let fine = Expression::parse("input.a.all(x, x == 1)", &["input"]).unwrap();
        assert!(fine.evaluate(&[("input", &many)]).unwrap_err().message().contains("1001 entries"));
        let text = json!({"a": vec!["x".repeat(100_000); 1_000]});
        assert!(fine.evaluate(&[("input", &text)]).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9.()\\[\\]{}!<>=&|+*/%'\", ?:-]{0,80}") {
            if let Ok(expression) = Expression::parse(&text, &["input"]) {
                let _ = expression.evaluate(&[("input", &json!({"a": 1}))]);
            }
        }
    }
}
