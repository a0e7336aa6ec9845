//! OpenAPI 3.1 documents, made from the table of routes and from the kinds.

use base::limits;
use gate::shape::{Field, META, REFERENCE, Shape, Type};
use gate::{AnyAction, Guard, Kind, Verb};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use super::input::Inputs;
use super::{BASE, Route};
use crate::second;
use crate::tmf::query;

/// The document of our own API.
///
/// `guard` says which actions can need a second person; nobody is asked where there is none.
pub fn own(version: &str, table: &[Route], guard: Option<&Guard>) -> Json {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    let request = table.iter().map(|route| route.action).find(|action| action.name() == second::REQUEST);
    for route in table {
        let mut operation = operation(route, &mut generator);
        let asks = guard.is_some_and(|guard| guard.can_ask(route.action.name()));
        if let (true, Some(request)) = (asks, request) {
            let approval = Json::from(request.output_schema(&mut generator));
            may_be_asked(&mut operation, &approval);
        }
        insert(&mut paths, &format!("{BASE}{}", route.path), &route.method.to_lowercase(), operation);
    }
    let mut schemas: Map<String, Json> = generator.take_definitions(true);
    schemas.insert("Error".to_owned(), error_schema());
    document(
        "Yunwei",
        version,
        "Administration, audit, flows and agents. TM Forum's APIs have documents of their own.",
        paths,
        schemas,
    )
}

/// The document of the TM Forum routes.
pub fn tmf(version: &str, kinds: &[&Kind], guard: Option<&Guard>) -> Json {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    schemas.insert("Approval".to_owned(), approval());
    schemas.insert("Error".to_owned(), error_schema());
    for kind in kinds {
        answered(&mut schemas, kind);
        schemas.insert(format!("{}_Create", kind.shape.name), request(kind));
        schemas.insert(format!("{}_Update", kind.shape.name), change(kind));
        for verb in kind.verbs {
            let (path, method) = match verb {
                Verb::Create => (kind.path.to_owned(), "post"),
                Verb::List => (kind.path.to_owned(), "get"),
                Verb::Get => (format!("{}/{{id}}", kind.path), "get"),
                Verb::Update => (format!("{}/{{id}}", kind.path), "patch"),
                Verb::Delete => (format!("{}/{{id}}", kind.path), "delete"),
            };
            let mut operation = record_operation(kind, *verb);
            if guard.is_some_and(|guard| guard.can_ask(&kind.action(*verb))) {
                may_be_asked(&mut operation, &json!({ "$ref": "#/components/schemas/Approval" }));
            }
            insert(&mut paths, &path, method, operation);
        }
        let api = crate::hub::api_of(kind);
        insert(&mut paths, &format!("{api}/hub"), "post", subscribing(api));
        insert(&mut paths, &format!("{api}/hub/{{id}}"), "delete", unsubscribing(api));
    }
    schemas.insert("EventSubscription".to_owned(), subscription());
    document("Yunwei: TM Forum APIs", version, "Records by TM Forum's Open APIs, version 4.", paths, schemas)
}

fn document(
    title: &str,
    version: &str,
    description: &str,
    paths: Map<String, Json>,
    schemas: Map<String, Json>,
) -> Json {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title, "version": version, "description": description,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "An API token." },
                "session": { "type": "apiKey", "in": "cookie", "name": "yunwei_session", "description": "A browser's session." },
            },
        },
    })
}

fn insert(paths: &mut Map<String, Json>, path: &str, method: &str, operation: Json) {
    let methods = paths.entry(path).or_insert_with(|| Json::Object(Map::new()));
    if let Json::Object(methods) = methods {
        methods.insert(method.to_owned(), operation);
    }
}

fn error_schema() -> Json {
    json!({
        "type": "object",
        "required": ["@type", "code", "reason", "message", "status"],
        "properties": {
            "@type": { "const": "Error" },
            "code": { "type": "string", "description": "Stable, `noun.reason`.", "examples": ["attribute.missing"] },
            "reason": { "type": "string", "examples": ["Bad Request"] },
            "message": { "type": "string", "description": "For people." },
            "status": { "type": "string", "examples": ["400"] },
            "attribute": { "type": "string", "description": "A dotted path to what the error is about." },
            "referenceError": {
                "type": "string",
                "format": "uri",
                "description": "Of a 403: where whoever was refused is told why, and what to do.",
                "examples": ["https://cloud.example/api/v1/refusals/req_01m80h6wrtet7rkwawzsgh6gss"],
            },
        },
    })
}

const REFUSALS: [(&str, &str); 12] = [
    ("400", "Something that was sent is missing, malformed or unknown; `attribute` names it."),
    ("401", "Nobody has shown who they are, or the credential is not valid."),
    ("403", "The actor may not."),
    ("404", "There is no such thing."),
    ("406", "Only JSON is given."),
    ("409", "The state of the object forbids it."),
    ("412", "If-Match names a revision that has moved on."),
    ("413", "The body is too large."),
    ("415", "The body is not of a media type that is taken."),
    ("422", "A reference leads nowhere, or an Idempotency-Key was used for another request."),
    ("429", "Too many requests; Retry-After says when to try again."),
    ("503", "Something needed is away for now; Retry-After says when to try again."),
];

fn responses(success: &str, content: Option<Json>, omit: &[&str]) -> Json {
    let mut all = Map::new();
    let mut done = json!({ "description": "Done." });
    if let Some(schema) = content {
        done["content"] = json!({ "application/json": { "schema": schema } });
    }
    all.insert(success.to_owned(), done);
    for (status, description) in REFUSALS.iter().filter(|(status, _)| !omit.contains(status)) {
        let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } });
        all.insert((*status).to_owned(), json!({ "description": description, "content": content }));
    }
    Json::Object(all)
}

/// Adds that a second person may be needed, and how they are asked.
fn may_be_asked(operation: &mut Json, approval: &Json) {
    if let Some(parameters) = operation["parameters"].as_array_mut() {
        parameters.push(json!({
            "name": "Approval-Reason", "in": "header", "required": false,
            "description": "Why, percent-encoded UTF-8: where this needs a second person, that person is asked.",
            "schema": { "type": "string", "minLength": 1 },
        }));
    }
    let location = json!({ "description": "Where the request is found.", "schema": { "type": "string" } });
    operation["responses"]["202"] = json!({
        "description": "Not done yet: with Approval-Reason, where this needs a second person, one was asked.",
        "headers": { "Location": location },
        "content": { "application/json": { "schema": approval } },
    });
}

/// What is answered for a request for approval, as far as it is of use here.
fn approval() -> Json {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "description": "A request that waits for a second person; `GET /api/v1/approvals/{id}` has all of it.",
        "required": ["id", "action", "state", "expiresAt"],
        "properties": { "id": text, "action": text, "state": text, "expiresAt": { "type": "string", "format": "date-time" } },
    })
}

fn reading() -> &'static [&'static str] {
    &["409", "412", "413", "415", "422"]
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Json {
    let action: &dyn AnyAction = route.action;
    let input = action.input_schema(generator);
    let output = action.output_schema(generator);
    let definitions = Json::Object(generator.definitions().clone());
    let input = flat(&definitions, input.as_value());
    let in_path: Vec<&str> = route.parameters().collect();
    let with_body = matches!(route.method, "POST" | "PUT" | "PATCH");
    let required: Vec<&str> = input["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let (mut parameters, mut properties) = (Vec::new(), Map::new());
    for (name, schema) in input["properties"].as_object().into_iter().flatten() {
        if in_path.contains(&name.as_str()) {
            continue;
        }
        if with_body {
            properties.insert(name.clone(), schema.clone());
        } else {
            parameters.push(
                json!({ "name": name, "in": "query", "required": required.contains(&name.as_str()), "schema": schema }),
            );
        }
    }
    for name in &in_path {
        let schema = input["properties"].get(*name).cloned().unwrap_or_else(|| json!({ "type": "string" }));
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    if route.takes_key() {
        parameters.push(idempotency_key());
    }
    let conditional = Inputs::of(route).is_conditional();
    if conditional {
        parameters.push(if_match());
    }
    let content = (route.status != 204).then(|| Json::from(output));
    let omit = match route.method {
        _ if conditional => &[][..],
        // What is to be given may not be there yet.
        _ if route.file => &["412", "413", "415", "422"],
        "DELETE" => &["412", "413", "415", "422"],
        _ if with_body => &["412"],
        _ => reading(),
    };
    let mut operation = json!({
        "operationId": if route.file { format!("{}@file", action.name()) } else { action.name().to_owned() },
        "summary": action.summary(),
        "tags": [action.name().split('.').next().unwrap_or_default()],
        "parameters": parameters,
        "responses": responses(&route.status.to_string(), content, omit),
    });
    if route.file {
        let bytes = json!({ "schema": { "type": "string", "contentMediaType": "application/octet-stream" } });
        operation["responses"]["200"]["content"] = json!({ "application/octet-stream": bytes });
    }
    if route.open {
        operation["security"] = json!([]);
    }
    if with_body && !properties.is_empty() {
        let required: Vec<&str> = required.into_iter().filter(|name| !in_path.contains(name)).collect();
        let needed = !required.is_empty();
        let schema =
            json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
        operation["requestBody"] =
            json!({ "required": needed, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

/// The schema behind a reference.
fn flat(definitions: &Json, schema: &Json) -> Json {
    let named = schema.get("$ref").and_then(Json::as_str).and_then(|r| r.rsplit('/').next());
    named.and_then(|name| definitions.get(name)).unwrap_or(schema).clone()
}

fn if_match() -> Json {
    json!({
        "name": "If-Match", "in": "header", "required": false, "schema": { "type": "string" },
        "description": "The revision that the change is made on, as an entity tag; a GET gives it.",
    })
}

fn idempotency_key() -> Json {
    json!({
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "A request repeated under its key is answered as the first time, and done once.",
        "schema": { "type": "string", "minLength": 1, "maxLength": limits::IDEMPOTENCY_KEY_MAX, "pattern": "^[!-~]+$" },
    })
}

fn record_operation(kind: &Kind, verb: Verb) -> Json {
    let reference = json!({ "$ref": format!("#/components/schemas/{}", kind.shape.name) });
    let text = json!({ "type": "string" });
    let id = json!({ "name": "id", "in": "path", "required": true, "schema": text });
    let fields = json!({ "name": "fields", "in": "query", "schema": text, "description": "Attributes wanted, dotted, by commas." });
    let (parameters, body, status, content) = match verb {
        Verb::Create => (vec![idempotency_key()], Some(("application/json", "_Create")), "201", Some(reference)),
        Verb::Get => (vec![id, fields], None, "200", Some(reference)),
        Verb::List => {
            (list_parameters(kind, fields), None, "200", Some(json!({ "type": "array", "items": reference })))
        }
        Verb::Update => {
            (vec![id, fields, if_match()], Some(("application/merge-patch+json", "_Update")), "200", Some(reference))
        }
        Verb::Delete => (vec![id, if_match()], None, "204", None),
    };
    let omit: &[&str] = if matches!(verb, Verb::Get | Verb::List) { reading() } else { &[] };
    let mut operation = json!({
        "operationId": kind.action(verb),
        "tags": [kind.name],
        "parameters": parameters,
        "responses": responses(status, content, omit),
    });
    if let Some((media, suffix)) = body {
        let schema = json!({ "$ref": format!("#/components/schemas/{}{suffix}", kind.shape.name) });
        operation["requestBody"] = json!({ "required": true, "content": { media: { "schema": schema } } });
    }
    operation
}

/// The name of an operation at an API's hub; there is a hub at each, and names are unique.
fn at_hub(action: &str, api: &str) -> String {
    format!("{action}@{}", api.split('/').nth(2).unwrap_or_default())
}

fn subscribing(api: &str) -> Json {
    let callback = json!({ "type": "string", "format": "uri", "maxLength": limits::CALLBACK_BYTES_MAX, "description": "Where notifications go." });
    let query = json!({ "type": ["string", "null"], "description": "`eventType=A,B&event.kind.path=value`; everything where it is left out." });
    let schema =
        json!({ "type": "object", "required": ["callback"], "properties": { "callback": callback, "query": query } });
    json!({
        "operationId": at_hub("hub.subscribe", api),
        "summary": "Be told, at an address of yours, what happens to records of this API.",
        "tags": ["hub"],
        "parameters": [idempotency_key()],
        "requestBody": { "required": true, "content": { "application/json": { "schema": schema } } },
        "responses": responses("201", Some(json!({ "$ref": "#/components/schemas/EventSubscription" })), &["412"]),
    })
}

fn unsubscribing(api: &str) -> Json {
    json!({
        "operationId": at_hub("hub.unsubscribe", api),
        "summary": "End a subscription.",
        "tags": ["hub"],
        "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
        "responses": responses("204", None, &["412"]),
    })
}

fn subscription() -> Json {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["id", "callback", "secret"],
        "properties": {
            "@type": text, "id": text, "callback": text, "query": text,
            "secret": { "type": "string", "description": "What notifications are signed with; shown this once." },
        },
    })
}

fn list_parameters(kind: &Kind, fields: Json) -> Vec<Json> {
    let whole = |most: u64| json!({ "type": "integer", "minimum": 0, "maximum": most });
    let sortable = kind.keys.iter().map(|key| key.path).filter(|path| !query::crosses_list(kind.shape, path));
    let orders: Vec<String> =
        ["id"].into_iter().chain(sortable).flat_map(|path| [path.to_owned(), format!("-{path}")]).collect();
    let most = format!("{} unless said; never more than {}.", limits::PAGE_DEFAULT, limits::PAGE_MAX);
    let mut parameters = vec![
        fields,
        json!({ "name": "offset", "in": "query", "schema": whole(limits::OFFSET_MAX) }),
        json!({ "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 0 }, "description": most }),
        json!({ "name": "sort", "in": "query", "schema": { "type": "string", "enum": orders }, "description": "`-` before it for largest first." }),
        json!({ "name": "cursor", "in": "query", "schema": { "type": "string" }, "description": "From the next link." }),
    ];
    for key in kind.keys {
        parameters.push(json!({ "name": key.path, "in": "query", "schema": { "type": "string" }, "description": "Values by commas; also `.gt .gte .lt .lte .regex`." }));
    }
    parameters
}

/// Adds what is answered: whole, or with `fields` only what was asked for.
fn answered(schemas: &mut Map<String, Json>, kind: &Kind) {
    let mut schema = object(schemas, kind.shape.fields.iter(), false);
    schema["required"] = json!(["id", "href", "@type"]);
    schemas.insert(kind.shape.name.to_owned(), schema);
}

/// Adds a shape and all that it is made of.
fn component(schemas: &mut Map<String, Json>, shape: &'static Shape) {
    if schemas.contains_key(shape.name) {
        return;
    }
    schemas.insert(shape.name.to_owned(), Json::Null);
    let schema = object(schemas, shape.fields.iter(), true);
    schemas.insert(shape.name.to_owned(), schema);
}

fn object(schemas: &mut Map<String, Json>, fields: impl Iterator<Item = &'static Field>, strict: bool) -> Json {
    let mut properties: Map<String, Json> =
        META.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    properties.insert("@type".to_owned(), json!({ "type": "string", "minLength": 1 }));
    let mut required = Vec::new();
    for field in fields {
        let one = value(schemas, field.of);
        let schema = if field.many { json!({ "type": "array", "items": one }) } else { one };
        properties.insert(field.name.to_owned(), schema);
        if strict && field.required {
            required.push(field.name);
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn value(schemas: &mut Map<String, Json>, of: Type) -> Json {
    match of {
        Type::Text | Type::Id(_) => json!({ "type": "string" }),
        Type::Word(words) => json!({ "type": "string", "enum": words }),
        Type::Number => json!({ "type": "number" }),
        Type::Integer => json!({ "type": "integer" }),
        Type::Flag => json!({ "type": "boolean" }),
        Type::Time => json!({ "type": "string", "format": "date-time" }),
        Type::Any => json!({}),
        Type::Part(shape) => {
            component(schemas, shape);
            json!({ "$ref": format!("#/components/schemas/{}", shape.name) })
        }
        Type::Ref(_) => {
            let names = META.iter().chain(REFERENCE.iter());
            let mut properties: Map<String, Json> =
                names.map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
            properties.insert("@type".to_owned(), json!({ "type": "string", "minLength": 1 }));
            json!({ "type": "object", "required": ["id"], "properties": properties })
        }
    }
}

fn request(kind: &Kind) -> Json {
    let fields = kind.shape.fields.iter().filter(|field| !field.not_at_first());
    with_states(kind, object(&mut Map::new(), fields, true))
}

fn change(kind: &Kind) -> Json {
    let fields = kind.shape.fields.iter().filter(|field| !field.read_only && !field.fixed);
    with_states(kind, object(&mut Map::new(), fields, false))
}

/// Says which states there are, where the record has one and it may be said.
fn with_states(kind: &Kind, mut schema: Json) -> Json {
    if let Some(states) = kind.states
        && let Some(property) = schema["properties"].get_mut(states.attribute)
    {
        property["enum"] = states.moves.iter().map(|(state, _)| *state).collect();
    }
    schema
}
