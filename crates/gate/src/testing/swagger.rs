//! Checks documents against TM Forum's own files.
//!
//! The files are not part of the project: they are looked for in
//! `$YUNWEI_SHARED/tmf`, by default `shared/tmf` beside the repository. A test
//! that does not find them says SKIPPED and checks nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value as Json, json};

use crate::shape::{Field, META, Shape, Type};

/// One of TM Forum's files.
#[derive(Debug, Clone)]
pub struct File {
    definitions: Json,
}

/// Opens the file of an API by its number, for example `620`; `None`, said aloud, where it is not there.
pub fn file(api: &str) -> Option<File> {
    let found = folder().and_then(|folder| {
        let start = format!("TMF{api}-");
        let files = std::fs::read_dir(folder).ok()?;
        files.filter_map(|f| Some(f.ok()?.path())).find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start)) && path.is_file()
        })
    });
    let Some(path) = found else {
        eprintln!("SKIPPED: no file of TMF{api} in $YUNWEI_SHARED/tmf or shared/tmf beside the repository");
        return None;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let file: Json = serde_json::from_str(&text).unwrap();
    Some(File { definitions: file["definitions"].clone() })
}

fn folder() -> Option<PathBuf> {
    if let Some(shared) = std::env::var_os("YUNWEI_SHARED") {
        return Some(PathBuf::from(shared).join("tmf"));
    }
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().map(|above| above.join("shared/tmf")).find(|folder| folder.is_dir())
}

impl File {
    /// What is wrong with `document` as a `definition`; empty where nothing is.
    pub fn faults(&self, definition: &str, document: &Json) -> Vec<String> {
        let mut faults = Vec::new();
        match self.definitions.get(definition) {
            Some(schema) => self.check(schema, document, definition, &mut faults),
            None => faults.push(format!("the file has no definition {definition}")),
        }
        faults
    }

    fn check(&self, schema: &Json, json: &Json, at: &str, faults: &mut Vec<String>) {
        if let Some(name) = schema.get("$ref").and_then(Json::as_str).and_then(|r| r.rsplit('/').next()) {
            return self.check(&self.definitions[name], json, at, faults);
        }
        let mut wrong = |what: &str| faults.push(format!("{at}: {what}, found {json}"));
        if let Some(words) = schema.get("enum").and_then(Json::as_array)
            && !words.contains(json)
        {
            return wrong("not one of the words allowed");
        }
        match schema.get("type").and_then(Json::as_str) {
            Some("string") => match (json.as_str(), schema.get("format").and_then(Json::as_str)) {
                (None, _) => wrong("not text"),
                (Some(text), Some("date-time")) if text.parse::<base::time::Timestamp>().is_err() => {
                    wrong("not a date-time")
                }
                (Some(text), Some("uri")) if text.is_empty() || text.contains(' ') => wrong("not a URI"),
                _ => {}
            },
            Some("number") if !json.is_number() => wrong("not a number"),
            Some("integer") if !json.is_i64() && !json.is_u64() => wrong("not a whole number"),
            Some("boolean") if !json.is_boolean() => wrong("not true or false"),
            Some("array") => match json.as_array() {
                None => wrong("not a list"),
                Some(entries) => entries
                    .iter()
                    .enumerate()
                    .for_each(|(n, entry)| self.check(&schema["items"], entry, &format!("{at}[{n}]"), faults)),
            },
            Some("object") if !json.is_object() && schema.get("properties").is_some() => wrong("not an object"),
            _ => self.check_object(schema, json, at, faults),
        }
    }

    fn check_object(&self, schema: &Json, json: &Json, at: &str, faults: &mut Vec<String>) {
        for name in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            if json.get(name).is_none() {
                faults.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, schema) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
            if let Some(json) = json.get(name) {
                self.check(schema, json, &format!("{at}.{name}"), faults);
            }
        }
    }

    /// The attributes of a definition.
    fn attributes(&self, definition: &str) -> Vec<&str> {
        let properties = self.definitions[definition]["properties"].as_object();
        properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }
}

/// Sees to it that whatever passes a shape is a document by the file: many
/// made-up documents are checked, and no attribute of the file is unknown to
/// the shape.
pub fn expect_fit(api: &str, shapes: &[&'static Shape]) {
    let Some(file) = file(api) else { return };
    for shape in shapes {
        for name in file.attributes(shape.name) {
            assert!(META.contains(&name) || shape.field(name).is_some(), "{}: the shape lacks {name}", shape.name);
        }
        let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
        let run = runner.run(&document(shape, 4), |body| {
            let mut body = body;
            shape.prune(&mut body);
            shape.check(&body, &mut Vec::new()).unwrap();
            body.insert("id".into(), "x".into());
            body.insert("href".into(), "/x".into());
            let faults = file.faults(shape.name, &Json::Object(body));
            prop_assert!(faults.is_empty(), "{}: {faults:#?}", shape.name);
            Ok(())
        });
        run.unwrap();
    }
}

/// Documents that the shape lets through.
pub fn document(shape: &'static Shape, depth: u32) -> BoxedStrategy<Map<String, Json>> {
    let fields: Vec<BoxedStrategy<Option<Json>>> = shape.fields.iter().map(|field| attribute(field, depth)).collect();
    fields
        .prop_map(|values| {
            let named = shape.fields.iter().map(|field| field.name.to_owned()).zip(values);
            named.filter_map(|(name, value)| Some((name, value?))).collect::<BTreeMap<_, _>>().into_iter().collect()
        })
        .boxed()
}

fn attribute(field: &'static Field, depth: u32) -> BoxedStrategy<Option<Json>> {
    if depth == 0 && !field.required {
        return Just(None).boxed();
    }
    let one = value(field.of, depth.saturating_sub(1));
    let value = if field.many { prop::collection::vec(one, 1..3).prop_map(Json::Array).boxed() } else { one };
    if field.required { value.prop_map(Some).boxed() } else { prop::option::of(value).boxed() }
}

fn value(of: Type, depth: u32) -> BoxedStrategy<Json> {
    match of {
        Type::Text | Type::Id(_) => "[a-z]{1,6}".prop_map(Json::from).boxed(),
        Type::Word(words) => prop::sample::select(words).prop_map(Json::from).boxed(),
        Type::Number => prop_oneof![any::<i32>().prop_map(Json::from), (-1e9..1e9f64).prop_map(Json::from)].boxed(),
        Type::Integer => any::<i32>().prop_map(Json::from).boxed(),
        Type::Flag => any::<bool>().prop_map(Json::from).boxed(),
        Type::Time => (0i64..2_000_000_000)
            .prop_map(|s| base::time::Timestamp::from_second(s).unwrap().to_string().into())
            .boxed(),
        Type::Any => prop_oneof![Just(json!("x")), Just(json!(7)), Just(json!({"a": [1, true]}))].boxed(),
        Type::Part(shape) => document(shape, depth).prop_map(Json::Object).boxed(),
        Type::Ref(_) => Just(json!({"id": "x", "href": "/x", "name": "n", "@referredType": "T"})).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_found() {
        let Some(file) = file("622") else { return };
        let fine = json!({"productOrderItem": [{"id": "1", "action": "add"}], "orderDate": "2026-01-01T00:00:00Z"});
        assert_eq!(file.faults("ProductOrder", &fine), Vec::<String>::new());
        for wrong in [
            json!({}),
            json!([]),
            json!({"productOrderItem": {}}),
            json!({"productOrderItem": [{"id": "1"}]}),
            json!({"productOrderItem": [{"id": 1, "action": "add"}]}),
            json!({"productOrderItem": [{"id": "1", "action": "explode"}]}),
            json!({"productOrderItem": [], "orderDate": "yesterday"}),
            json!({"productOrderItem": [], "note": [{"text": null}]}),
        ] {
            assert!(!file.faults("ProductOrder", &wrong).is_empty(), "{wrong}");
        }
    }
}
