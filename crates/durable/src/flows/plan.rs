//! Plans: a definition after it was checked against the registered steps.
//!
//! What is wrong with a definition is said when it is loaded, naming step and
//! path, and not in the middle of somebody's order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Error, Result, limits};
use serde_json::{Map, Value as Json, json};

use super::definition::{Definition, StepDefinition, wrong};
use super::schema::{View, check_keywords};
use crate::Registry;
use crate::expression::Expression;
use crate::registry::AnyStep;
use crate::step::Undo;

/// A definition that is ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub definition: Definition,
    pub steps: Vec<PlanStep>,
}

#[derive(Debug)]
pub(crate) struct PlanStep {
    pub id: String,
    /// The name of the registered step.
    pub step: &'static str,
    input: Template,
    pub when: Option<Expression>,
}

/// Where a step's input comes from.
#[derive(Debug)]
enum Template {
    Value(Json),
    Path(Path),
    List(Vec<Template>),
    Object(BTreeMap<String, Template>),
    Nothing,
}

#[derive(Debug)]
struct Path {
    text: String,
    root: Root,
    segments: Vec<Segment>,
}

#[derive(Debug)]
enum Root {
    Input,
    Run,
    Step(String),
}

#[derive(Debug)]
enum Segment {
    Name(String),
    Index(usize),
}

/// What paths and conditions see.
pub(crate) struct Values {
    pub input: Json,
    pub steps: Json,
    pub run: Json,
}

fn run_schema() -> Json {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": {
            "id": text, "tenant": text, "requestedBy": text,
            "subject": { "type": "object", "properties": { "kind": text, "id": text }, "required": ["kind", "id"] },
        },
        "required": ["id", "tenant", "requestedBy", "subject"],
    })
}

impl Plan {
    /// Checks a definition.
    pub fn new(definition: Definition, registry: &Registry) -> Result<Arc<Plan>> {
        let name_fits = |name: &str| {
            !name.is_empty()
                && name.len() <= 64
                && name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if !name_fits(&definition.name) || definition.version == 0 {
            return Err(wrong("needs a name (a-z, 0-9, - _ . and at most 64 characters) and a version from 1"));
        }
        if definition.steps.is_empty() || definition.steps.len() > limits::FLOW_STEPS_MAX {
            return Err(wrong(format!("needs between 1 and {} steps", limits::FLOW_STEPS_MAX)));
        }
        check_keywords(&definition.input, "input", 0).map_err(wrong)?;
        let mut steps: Vec<PlanStep> = Vec::new();
        let mut past_return = false;
        for (n, step) in definition.steps.iter().enumerate() {
            let complain = |why: String| {
                wrong(format!(
                    "{} version {}, step {} `{}`: {why}",
                    definition.name,
                    definition.version,
                    n + 1,
                    step.id
                ))
            };
            if !name_fits(&step.id) || step.id.contains(['.', '-']) {
                return Err(complain("its id must be a plain word (letters, digits and _)".into()));
            }
            if steps.iter().any(|other| other.id == step.id) {
                return Err(complain("another step has the same id".into()));
            }
            let known = registry
                .steps
                .get(step.step.as_str())
                .ok_or_else(|| complain(format!("there is no registered step `{}`", step.step)))?;
            check_return(step, known, past_return).map_err(complain)?;
            past_return |= step.point_of_no_return;
            steps.push(plan_step(&definition, &steps, step, known, registry).map_err(complain)?);
        }
        Ok(Arc::new(Plan { definition, steps }))
    }

    /// Sees to it that a run's input is what the flow needs.
    pub fn check_input(&self, input: &Json) -> Result<()> {
        View::new(&self.definition.input)
            .check(input, "input", 0)
            .map_err(|why| Error::invalid("flow.input", format!("flow {}: {why}", self.definition.name)))
    }

    /// Where later steps read what step number `n` gives. Nothing where it may be
    /// passed over by its own condition: those after it are ready for that.
    pub fn read_later(&self, n: usize) -> Vec<&str> {
        let Some(step) = self.steps.get(n).filter(|step| step.when.is_none()) else { return Vec::new() };
        let mut paths = Vec::new();
        for later in self.steps.iter().skip(n + 1) {
            later.input.paths(&mut |path| {
                if matches!(&path.root, Root::Step(id) if *id == step.id) {
                    paths.push(path.text.as_str());
                }
            });
            let conditions = later.when.iter().filter(|when| when.members("steps").contains(&step.id.as_str()));
            paths.extend(conditions.map(|_| "when"));
        }
        paths
    }

    /// The definition of step number `n`.
    pub fn step_definition(&self, n: usize) -> Option<&StepDefinition> {
        self.definition.steps.get(n)
    }
}

fn check_return(step: &StepDefinition, known: &AnyStep, past_return: bool) -> Result<(), String> {
    if known.undo == Undo::Impossible && !past_return && !step.point_of_no_return {
        return Err(format!(
            "`{}` cannot be undone, so it must be declared the point of no return (pointOfNoReturn: true)",
            known.name
        ));
    }
    if past_return && step.point_of_no_return {
        return Err("there is a point of no return before it already".into());
    }
    if !(1..=limits::FLOW_ATTEMPTS_MAX).contains(&step.retry.attempts) {
        return Err(format!("retry.attempts must be between 1 and {}", limits::FLOW_ATTEMPTS_MAX));
    }
    match step.timeout {
        Some(timeout) if timeout.0 == Duration::ZERO => Err("a timeout of nothing lets nothing happen".into()),
        _ => Ok(()),
    }
}

fn plan_step(
    definition: &Definition,
    before: &[PlanStep],
    step: &StepDefinition,
    known: &AnyStep,
    registry: &Registry,
) -> Result<PlanStep, String> {
    let target = View::new(&known.input);
    let input = if target.is_null() {
        if !step.with.is_empty() {
            return Err(format!("`{}` takes no input", known.name));
        }
        Template::Nothing
    } else {
        let with = Json::Object(step.with.clone().into_iter().collect());
        let template = Template::read(&with, "with")?;
        template.check(target, "with", &Scope { definition, before, registry, run: run_schema() })?;
        template
    };
    let when = step
        .when
        .as_ref()
        .map(|text| Expression::parse(text, &["input", "steps", "run"]))
        .transpose()
        .map_err(|e| format!("when: {}", e.message()))?;
    if let Some(unknown) = when
        .as_ref()
        .and_then(|when| when.members("steps").into_iter().find(|id| !before.iter().any(|step| step.id == *id)))
    {
        return Err(format!("when: there is no step `{unknown}` before it"));
    }
    Ok(PlanStep { id: step.id.clone(), step: known.name, input, when })
}

/// What a path may lead to, seen from one step.
struct Scope<'a> {
    definition: &'a Definition,
    before: &'a [PlanStep],
    registry: &'a Registry,
    run: Json,
}

impl Template {
    fn read(json: &Json, at: &str) -> Result<Self, String> {
        Ok(match json {
            Json::String(text) if text.starts_with("$$") => Template::Value(Json::String(text[1..].to_owned())),
            Json::String(text) if text.starts_with('$') => {
                Template::Path(Path::read(text).map_err(|why| format!("{at}: {why}"))?)
            }
            Json::Array(list) => Template::List(
                list.iter()
                    .enumerate()
                    .map(|(n, entry)| Template::read(entry, &format!("{at}[{n}]")))
                    .collect::<Result<_, _>>()?,
            ),
            Json::Object(body) => Template::Object(
                body.iter()
                    .map(|(name, value)| Ok((name.clone(), Template::read(value, &format!("{at}.{name}"))?)))
                    .collect::<Result<_, String>>()?,
            ),
            plain => Template::Value(plain.clone()),
        })
    }

    /// Checks what will be given against what is needed; says whether it may be absent.
    fn check(&self, target: View<'_>, at: &str, scope: &Scope<'_>) -> Result<bool, String> {
        match self {
            Template::Nothing => Ok(false),
            Template::Value(value) => target.check(value, at, 0).map(|()| false),
            Template::Path(path) => {
                let (source, optional) = path.look(scope).map_err(|why| format!("{at}: {}: {why}", path.text))?;
                source.fits(target, 0).map_err(|why| format!("{at}: {}: {why}", path.text))?;
                Ok(optional)
            }
            Template::List(entries) => {
                for (n, entry) in entries.iter().enumerate() {
                    let (target, _) = target.entry(n).map_err(|why| format!("{at}: {why}"))?;
                    entry.check(target, &format!("{at}[{n}]"), scope)?;
                }
                Ok(false)
            }
            Template::Object(members) => {
                let (target, _) = target.object();
                for (name, member) in members {
                    let at = format!("{at}.{name}");
                    let (inner, _) = target.member(name).map_err(|why| format!("{at}: {why}"))?;
                    if member.check(inner, &at, scope)? && target.requires(name) {
                        return Err(format!("{at} may be absent, but is needed"));
                    }
                }
                match target.missing(members.keys().map(String::as_str)) {
                    Some(missing) => Err(format!("{at}.{missing} is needed and not given")),
                    None => Ok(false),
                }
            }
        }
    }

    /// Shows each path in it.
    fn paths<'t>(&'t self, show: &mut dyn FnMut(&'t Path)) {
        match self {
            Template::Nothing | Template::Value(_) => {}
            Template::Path(path) => show(path),
            Template::List(entries) => entries.iter().for_each(|entry| entry.paths(show)),
            Template::Object(members) => members.values().for_each(|member| member.paths(show)),
        }
    }

    fn fill(&self, values: &Values) -> Option<Json> {
        match self {
            Template::Nothing => Some(Json::Null),
            Template::Value(value) => Some(value.clone()),
            Template::Path(path) => path.find(values).cloned(),
            Template::List(entries) => {
                Some(Json::Array(entries.iter().filter_map(|entry| entry.fill(values)).collect()))
            }
            Template::Object(members) => {
                let filled: Map<String, Json> =
                    members.iter().filter_map(|(name, member)| Some((name.clone(), member.fill(values)?))).collect();
                Some(Json::Object(filled))
            }
        }
    }
}

impl PlanStep {
    /// The step's input, from what is known by now.
    pub fn input(&self, values: &Values) -> Json {
        self.input.fill(values).unwrap_or(Json::Null)
    }

    pub fn registered<'r>(&self, registry: &'r Registry) -> Result<&'r AnyStep> {
        registry
            .steps
            .get(self.step)
            .ok_or_else(|| Error::bug("flow.step_unknown", format!("there is no registered step `{}`", self.step)))
    }
}

impl Path {
    fn read(text: &str) -> Result<Self, String> {
        let shape = || {
            format!(
                "`{text}` is not a path such as $.input.name, $.steps.reserve.host or $.run.subject.id (write $$ for a plain $)"
            )
        };
        let mut rest = text.strip_prefix('$').ok_or_else(shape)?;
        let mut segments = Vec::new();
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (index, after) = inner.split_once(']').ok_or_else(shape)?;
                segments.push(Segment::Index(index.parse().map_err(|_| shape())?));
                rest = after;
            } else {
                let inner = rest.strip_prefix('.').ok_or_else(shape)?;
                let end = inner.find(['.', '[']).unwrap_or(inner.len());
                let (name, after) = inner.split_at(end);
                if name.is_empty() {
                    return Err(shape());
                }
                segments.push(Segment::Name(name.to_owned()));
                rest = after;
            }
        }
        let mut segments = segments.into_iter();
        let root = match (segments.next(), text) {
            (Some(Segment::Name(name)), _) if name == "input" => Root::Input,
            (Some(Segment::Name(name)), _) if name == "run" => Root::Run,
            (Some(Segment::Name(name)), _) if name == "steps" => match segments.next() {
                Some(Segment::Name(id)) => Root::Step(id),
                _ => return Err(shape()),
            },
            _ => return Err(shape()),
        };
        Ok(Path { text: text.to_owned(), root, segments: segments.collect() })
    }

    fn look<'s>(&self, scope: &'s Scope<'_>) -> Result<(View<'s>, bool), String> {
        let (mut view, mut optional) = match &self.root {
            Root::Input => (View::new(&scope.definition.input), false),
            Root::Run => (View::new(&scope.run), false),
            Root::Step(id) => {
                let step = scope.before.iter().find(|step| step.id == *id).ok_or_else(|| {
                    let known: Vec<&str> = scope.before.iter().map(|step| step.id.as_str()).collect();
                    format!(
                        "there is no step `{id}` before it{}",
                        if known.is_empty() { String::new() } else { format!(", only {}", known.join(", ")) }
                    )
                })?;
                let known = scope.registry.steps.get(step.step).ok_or("its step is not registered")?;
                (View::new(&known.output), step.when.is_some())
            }
        };
        for segment in &self.segments {
            let (next, absent) = match segment {
                Segment::Name(name) => view.member(name)?,
                Segment::Index(index) => view.entry(*index)?,
            };
            (view, optional) = (next, optional || absent);
        }
        Ok((view, optional))
    }

    fn find<'v>(&self, values: &'v Values) -> Option<&'v Json> {
        let mut value = match &self.root {
            Root::Input => &values.input,
            Root::Run => &values.run,
            Root::Step(id) => values.steps.get(id)?,
        };
        for segment in &self.segments {
            value = match segment {
                Segment::Name(name) => value.get(name)?,
                Segment::Index(index) => value.get(*index)?,
            };
        }
        Some(value)
    }
}
