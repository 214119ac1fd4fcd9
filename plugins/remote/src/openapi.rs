//! The protocol as an OpenAPI document of the program's calls, made from the messages' own types.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::protocol::{
    Call, Enrich, EnrichAnswer, EventCall, Inspect, InspectAnswer, PROTOCOL, QueryAnswer, QueryCall, Rerank,
    RerankAnswer,
};

/// Returns the OpenAPI 3.1 document that a program implements; `openapi.json` beside this crate's README.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    let mut add = |hook: &str, summary: &str, call: Schema, answer: Option<Schema>| {
        let operation = operation(hook, summary, &call, answer.as_ref());
        paths.insert(format!("/{hook}"), json!({ "post": operation }));
    };
    let call = call::<Inspect<'_>>(&mut schemas);
    add(
        "inspect",
        "An upload, before anything is stored",
        call,
        Some(schemas.subschema_for::<InspectAnswer>()),
    );
    let call = self::call::<Enrich<'_>>(&mut schemas);
    add(
        "enrich",
        "A photo that is being ingested",
        call,
        Some(schemas.subschema_for::<EnrichAnswer>()),
    );
    let call = self::call::<QueryCall<'_>>(&mut schemas);
    add(
        "query",
        "A search, before it runs",
        call,
        Some(schemas.subschema_for::<QueryAnswer>()),
    );
    let call = self::call::<Rerank<'_>>(&mut schemas);
    add(
        "rerank",
        "The hits of a search",
        call,
        Some(schemas.subschema_for::<RerankAnswer>()),
    );
    let call = self::call::<EventCall<'_>>(&mut schemas);
    add("event", "Something happened to a photo", call, None);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "A program behind Lucida's plugin `remote`",
            "description": "Lucida calls what the plugin's `hooks` name; the program need not have the others. Any status \
                but 2xx is a failure, and its `error` goes into Lucida's log.",
            "version": PROTOCOL.to_string(),
        },
        "paths": paths,
        "components": { "schemas": schemas.take_definitions(true) },
    })
}

fn call<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<Call<'_, T>>()
}

fn operation(hook: &str, summary: &str, call: &Schema, answer: Option<&Schema>) -> Value {
    let content = |schema: &Schema| json!({ "application/json": { "schema": schema } });
    let answered = answer.map_or_else(
        || json!({ "description": "Taken" }),
        |answer| {
            json!({
                "description": "What is to change; an empty body changes nothing",
                "content": content(answer),
            })
        },
    );
    json!({
        "operationId": hook,
        "summary": summary,
        "requestBody": { "required": true, "content": content(call) },
        "responses": {
            "200": answered,
            "429": { "description": "Too much at once; `Retry-After` says when to come back" },
            "default": {
                "description": "A failure",
                "content": { "application/json": { "schema": {
                    "type": "object",
                    "properties": { "error": { "type": "string" } },
                } } },
            },
        },
    })
}
