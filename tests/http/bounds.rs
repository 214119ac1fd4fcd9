//! The OpenAPI document states the bounds that the server enforces, under its own settings.

use lucida_testkit::jpeg;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::server::{Reply, Server, Setup, file_form, file_part, send};

async fn server() -> (Server, Value) {
    let mut setup = Setup::new();
    setup.options.max_embed_items = 3;
    setup.options.max_search_limit = 7;
    setup.options.default_search_limit = 5;
    let server = setup.start().await;
    let document = send(server.get("/openapi.json")).await.json();
    (server, document)
}

#[track_caller]
fn bound(document: &Value, pointer: &str) -> usize {
    let bound = document.pointer(pointer).and_then(Value::as_u64);
    let bound = bound.unwrap_or_else(|| panic!("{pointer} is not stated"));
    usize::try_from(bound).unwrap()
}

#[track_caller]
fn taken(reply: &Reply) {
    assert!(reply.status < 300, "{}", reply.text());
}

/// Where the document describes the inputs of OpenAI's clients.
const INPUT: &str =
    "/paths/~1v1~1embeddings/post/requestBody/content/application~1json/schema/properties/input";

fn texts(count: usize) -> Vec<String> {
    vec!["red".to_owned(); count]
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_inputs_are_taken_up_to_their_bound_and_no_further() {
    let (server, document) = server().await;
    let schema = "/components/schemas";
    for (path, field, most) in [
        (
            "/embed/text",
            "texts",
            bound(
                &document,
                &format!("{schema}/TextRequest/properties/texts/maxItems"),
            ),
        ),
        (
            "/v1/embeddings",
            "input",
            bound(&document, &format!("{INPUT}/oneOf/1/maxItems")),
        ),
    ] {
        taken(&server.post_json(path, json!({field: texts(most)})).await);
        server
            .post_json(path, json!({field: texts(most + 1)}))
            .await
            .problem_of(422, "invalid_field", field);
    }
    let most = bound(
        &document,
        &format!("{schema}/PictureForm/properties/file/maxItems"),
    );
    let files = |count: usize| {
        (0..count).fold(Form::new(), |form, _| {
            form.part("file", file_part(&jpeg(40, 40, [9, 9, 9]), "a.jpg"))
        })
    };
    taken(&send(server.post("/embed/image").multipart(files(most))).await);
    send(server.post("/embed/image").multipart(files(most + 1)))
        .await
        .problem_of(422, "invalid_field", "file");
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_taken_up_to_their_bound_and_no_further() {
    let (server, document) = server().await;
    for (path, field, pointer) in [
        (
            "/embed/text",
            "text",
            "/components/schemas/TextRequest/properties/text".to_owned(),
        ),
        (
            "/v1/search",
            "text",
            "/components/schemas/SearchRequest/properties/text".to_owned(),
        ),
        ("/v1/embeddings", "input", format!("{INPUT}/oneOf/0")),
    ] {
        let most = bound(&document, &format!("{pointer}/maxLength"));
        taken(&server.post_json(path, json!({field: "x".repeat(most)})).await);
        let reply = server.post_json(path, json!({field: "x".repeat(most + 1)})).await;
        reply.problem(422, "text_too_long");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_taken_up_to_their_bounds_and_no_further() {
    let (server, document) = server().await;
    let limit = "/components/schemas/SearchRequest/properties/limit";
    let (least, most) = (
        bound(&document, &format!("{limit}/minimum")),
        bound(&document, &format!("{limit}/maximum")),
    );
    assert_eq!((most, bound(&document, &format!("{limit}/default"))), (7, 5));
    let search = |limit: usize| server.post_json("/v1/search", json!({"text": "red", "limit": limit}));
    taken(&search(least).await);
    taken(&search(most).await);
    for wrong in [least - 1, most + 1] {
        let problem = search(wrong).await.problem_of(422, "invalid_field", "limit");
        assert!(
            problem["detail"].as_str().unwrap().contains("search.max_limit"),
            "{problem}"
        );
    }

    let parameter = |path: &str, name: &str| {
        let list = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        let found = list.iter().find(|parameter| parameter["name"] == name);
        found.unwrap()["schema"].clone()
    };
    let limit = parameter("/v1/photos", "limit");
    let list = |limit: usize| send(server.get(&format!("/v1/photos?limit={limit}")));
    taken(&list(bound(&limit, "/maximum")).await);
    list(bound(&limit, "/maximum") + 1)
        .await
        .problem_of(422, "invalid_field", "limit");
    list(bound(&limit, "/minimum") - 1)
        .await
        .problem_of(422, "invalid_field", "limit");

    let id = server.add(&jpeg(40, 40, [9, 9, 9]), json!({})).await;
    let size = parameter("/v1/photos/{id}/thumbnail", "size");
    let preview = |size: usize| send(server.get(&format!("/v1/photos/{id}/thumbnail?size={size}")));
    // There is no preview without the plugin, which is another answer than that of a wrong size.
    preview(bound(&size, "/maximum"))
        .await
        .problem(404, "no_thumbnail");
    preview(bound(&size, "/maximum") + 1)
        .await
        .problem_of(422, "invalid_field", "size");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_taken_up_to_their_bounds_and_no_further() {
    let (server, document) = server().await;
    let tags = "/components/schemas/UploadMetadata/properties/tags";
    let most = bound(&document, &format!("{tags}/maxItems"));
    let longest = bound(&document, &format!("{tags}/items/maxLength"));
    let numbered = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    let upload = |tags: Vec<String>| {
        let metadata = Part::text(json!({"tags": tags}).to_string());
        let form = file_form(&jpeg(40, 40, [9, 9, 9]), "a.jpg").part("metadata", metadata);
        send(server.post("/v1/photos").multipart(form))
    };
    let search =
        |tags: Vec<String>| server.post_json("/v1/search", json!({"text": "red", "filter": {"tags": tags}}));
    for good in [numbered(most), vec!["x".repeat(longest)]] {
        taken(&upload(good.clone()).await);
        taken(&search(good).await);
    }
    for wrong in [numbered(most + 1), vec!["x".repeat(longest + 1)]] {
        upload(wrong.clone())
            .await
            .problem_of(422, "invalid_field", "metadata.tags");
        search(wrong)
            .await
            .problem_of(422, "invalid_field", "filter.tags");
    }
    let id = server.add(&jpeg(40, 40, [90, 9, 9]), json!({})).await;
    for field in ["tags", "add_tags", "remove_tags"] {
        let most = bound(
            &document,
            &format!("/components/schemas/PhotoChanges/properties/{field}/maxItems"),
        );
        let path = format!("/v1/photos/{id}");
        let edit = |tags: Vec<String>| server.patch_json(&path, json!({field: tags}));
        taken(&edit(numbered(most)).await);
        edit(numbered(most + 1))
            .await
            .problem_of(422, "invalid_field", field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_body_says_how_large_it_may_be() {
    let (_server, document) = server().await;
    let mut bodies = 0;
    for calls in document["paths"].as_object().unwrap().values() {
        for call in calls.as_object().unwrap().values() {
            let Some(body) = call.get("requestBody") else {
                continue;
            };
            let description = body["description"].as_str().unwrap();
            assert!(description.contains("`server.max_"), "{description}");
            bodies += 1;
        }
    }
    assert!(bodies >= 5, "{bodies}");
}
