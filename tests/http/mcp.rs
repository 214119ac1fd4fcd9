//! An agent looks through the library over the Model Context Protocol, with what its key allows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lucida_core::Scope;
use lucida_plugin_mcp::{McpConfig, McpPlugin};
use lucida_plugin_thumbnail::{ThumbnailConfig, ThumbnailPlugin};
use lucida_testkit::{Fault, jpeg};
use reqwest::Method;
use reqwest::multipart::Part;
use serde_json::{Value, json};

use crate::server::{MAX_JSON_BYTES, Reply, Server, Setup, file_form, send};

const RED: [u8; 3] = [220, 30, 30];
const BLUE: [u8; 3] = [30, 50, 220];

fn setup(config: McpConfig) -> Setup {
    Setup::without_plugins()
        .plugin(McpPlugin::new(config))
        .plugin(ThumbnailPlugin::new(ThumbnailConfig::default()))
}

/// A server with two users; `alice` has a key that only reads, too.
async fn keyed() -> Server {
    setup(McpConfig::default())
        .key("alices-key", "alice", &Scope::ALL)
        .key("alices-looks", "alice", &[Scope::Read])
        .key("bobs-key", "bob", &Scope::ALL)
        .key("embed-only", "erin", &[Scope::Embed])
        .start()
        .await
}

async fn keyless() -> Server {
    setup(McpConfig::default()).start().await
}

/// Sends a request of the protocol, as its clients do.
async fn post(server: &Server, key: &str, body: &Value) -> Reply {
    let mut request = server
        .post("/mcp")
        .header("accept", "application/json, text/event-stream")
        .json(body);
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    send(request).await
}

/// Asks, and returns the result.
async fn ask(server: &Server, key: &str, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let answer = post(server, key, &body).await.json();
    assert_eq!(
        (&answer["jsonrpc"], &answer["id"]),
        (&json!("2.0"), &json!(7)),
        "{answer}"
    );
    assert!(answer["error"].is_null(), "{answer}");
    answer["result"].clone()
}

/// Calls a tool, whatever becomes of it.
async fn call(server: &Server, key: &str, tool: &str, arguments: Value) -> Value {
    ask(
        server,
        key,
        "tools/call",
        json!({ "name": tool, "arguments": arguments }),
    )
    .await
}

/// Calls a tool that must succeed, and returns what it answers.
async fn answer(server: &Server, key: &str, tool: &str, arguments: Value) -> Value {
    let result = call(server, key, tool, arguments).await;
    assert_eq!(result["isError"], false, "{result}");
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"], "both forms say the same");
    text
}

/// Calls a tool that must fail with a code, and returns what the agent reads.
async fn refusal(server: &Server, key: &str, tool: &str, arguments: Value, code: &str) -> String {
    let result = call(server, key, tool, arguments.clone()).await;
    assert_eq!(result["isError"], true, "{tool} {arguments}: {result}");
    assert_eq!(
        result["structuredContent"]["code"], code,
        "{tool} {arguments}: {result}"
    );
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(result["structuredContent"]["message"], text);
    text.to_owned()
}

async fn tools(server: &Server, key: &str) -> Vec<String> {
    let listed = ask(server, key, "tools/list", json!({})).await;
    let tools = listed["tools"].as_array().unwrap();
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Uploads a photo of a key's user and waits until it is ready; returns its id.
async fn add(server: &Server, key: &str, photo: &Bytes, metadata: Value) -> String {
    let form = file_form(photo, "photo.jpg").part("metadata", Part::text(metadata.to_string()));
    let request = server.post("/v1/photos?wait=true").header("x-api-key", key);
    let reply = send(request.multipart(form)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

fn ids(found: &Value) -> Vec<String> {
    let hits = found["hits"].as_array().unwrap();
    hits.iter()
        .map(|hit| hit["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_introduces_itself_and_is_told_what_there_is() {
    let server = keyed().await;
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let params = json!({
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let hello = ask(&server, "alices-looks", "initialize", params).await;
        assert_eq!(hello["protocolVersion"], version);
        assert_eq!(hello["serverInfo"]["name"], "lucida");
        assert!(hello["capabilities"]["tools"].is_object(), "{hello}");
        assert!(
            hello["instructions"].as_str().unwrap().contains("search_photos"),
            "{hello}"
        );
    }
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(post(&server, "alices-looks", &ready).await.status, 202);
    let looks = [
        "search_photos",
        "similar_photos",
        "get_photo",
        "list_tags",
        "library_stats",
    ];
    assert_eq!(tools(&server, "alices-looks").await, looks);
    assert_eq!(
        tools(&server, "alices-key").await,
        [&looks[..], &["tag_photo"]].concat()
    );
    let listed = ask(&server, "alices-looks", "tools/list", json!({})).await;
    let limit = &listed["tools"][0]["inputSchema"]["properties"]["limit"];
    assert_eq!((&limit["maximum"], &limit["default"]), (&json!(100), &json!(20)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_finds_photos_by_words_and_by_a_photo_and_sees_them() {
    let server = keyed().await;
    let taken = json!({ "tags": ["holiday"], "taken_at": "2024-08-17T18:04:05+02:00" });
    let red = add(&server, "alices-key", &jpeg(640, 480, RED), taken).await;
    let reddish = add(&server, "alices-key", &jpeg(64, 64, [200, 40, 40]), json!({})).await;
    let blue = add(&server, "alices-key", &jpeg(64, 64, BLUE), json!({})).await;

    let found = answer(
        &server,
        "alices-looks",
        "search_photos",
        json!({ "text": "red", "limit": 2 }),
    )
    .await;
    assert_eq!(found["model"], "hash");
    assert_eq!(ids(&found).len(), 2);
    let hits = found["hits"].as_array().unwrap();
    let hit = hits.iter().find(|hit| hit["id"] == red.as_str()).unwrap();
    // Digits that say nothing cost an agent tokens.
    assert!(hit["score"].to_string().len() <= "-0.1234".len(), "{hit}");
    assert_eq!(
        (&hit["filename"], &hit["taken"], &hit["tags"], &hit["width"]),
        (
            &json!("photo.jpg"),
            &json!("2024-08-17T18:04:05"),
            &json!(["holiday"]),
            &json!(640)
        )
    );
    let similar = answer(
        &server,
        "alices-looks",
        "similar_photos",
        json!({ "photo_id": red }),
    )
    .await;
    assert_eq!(ids(&similar), [reddish, blue], "the photo itself is left out");

    let photo = call(&server, "alices-looks", "get_photo", json!({ "photo_id": red })).await;
    let described = &photo["structuredContent"];
    assert_eq!(
        (&described["state"], &described["height"], &described["tags"]),
        (&json!("ready"), &json!(480), &json!(["holiday"]))
    );
    let picture = &photo["content"][1];
    assert_eq!(
        (&picture["type"], &picture["mimeType"]),
        (&json!("image"), &json!("image/jpeg"))
    );
    let file = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
    let picture = image::load_from_memory(&file).unwrap();
    assert_eq!((picture.width(), picture.height()), (640, 480));
    let small = json!({ "photo_id": red, "preview_pixels": 100 });
    let small = call(&server, "alices-looks", "get_photo", small).await;
    let file = STANDARD
        .decode(small["content"][1]["data"].as_str().unwrap())
        .unwrap();
    assert_eq!(image::load_from_memory(&file).unwrap().width(), 320);
    let none = json!({ "photo_id": red, "preview_pixels": 0 });
    let none = call(&server, "alices-looks", "get_photo", none).await;
    assert_eq!(none["content"].as_array().unwrap().len(), 1, "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_hold_and_photos_seen_before_can_be_left_out() {
    let server = keyless().await;
    let old = json!({ "tags": ["a", "b"], "taken_at": "2020-05-01T23:30:00-04:00" });
    let old = server.add(&jpeg(64, 64, RED), old).await;
    let new = json!({ "tags": ["a"], "taken_at": "2024-05-01T00:00:00Z" });
    let new = server.add(&jpeg(64, 64, BLUE), new).await;
    let untold = server.add(&jpeg(64, 64, [30, 180, 40]), json!({})).await;
    for (filter, expected) in [
        (json!(null), vec![&old, &new, &untold]),
        (json!({ "tags": ["a"] }), vec![&old, &new]),
        (json!({ "tags": ["a", "b"] }), vec![&old]),
        // The day of the photo's own clock, which is another one in UTC.
        (
            json!({ "taken_from": "2020-05-01", "taken_to": "2020-05-01" }),
            vec![&old],
        ),
        (json!({ "taken_from": "2022-01-01T00:00:00Z" }), vec![&new]),
        (
            json!({ "exclude": [new, "no-id"], "tags": null }),
            vec![&old, &untold],
        ),
    ] {
        let arguments = json!({ "text": "red", "filter": filter });
        let mut found = ids(&answer(&server, "", "search_photos", arguments).await);
        found.sort();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter}");
    }
    let arguments = json!({ "photo_id": old, "filter": { "exclude": [new] } });
    let similar = answer(&server, "", "similar_photos", arguments).await;
    assert_eq!(ids(&similar), [untold]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_come_with_their_counts_and_the_library_with_its_own() {
    let server = keyed().await;
    for (shade, tags) in [
        (10, json!(["sea", "sun"])),
        (60, json!(["sea"])),
        (110, json!([])),
    ] {
        add(
            &server,
            "alices-key",
            &jpeg(40, 40, [shade, 0, 0]),
            json!({ "tags": tags }),
        )
        .await;
    }
    add(
        &server,
        "bobs-key",
        &jpeg(40, 40, BLUE),
        json!({ "tags": ["secret"] }),
    )
    .await;
    let all = json!({
        "tags": [{ "tag": "sea", "photos": 2 }, { "tag": "sun", "photos": 1 }],
        "has_more": false,
    });
    assert_eq!(answer(&server, "alices-looks", "list_tags", json!({})).await, all);
    let first = json!({ "tags": [{ "tag": "sea", "photos": 2 }], "has_more": true });
    assert_eq!(
        answer(&server, "alices-looks", "list_tags", json!({ "limit": 1 })).await,
        first
    );
    let over_http = |query: &str| {
        let request = server.get(&format!("/v1/tags{query}"));
        send(request.header("x-api-key", "alices-looks"))
    };
    assert_eq!(over_http("").await.json(), all);
    assert_eq!(over_http("?limit=1").await.json(), first);
    over_http("?limit=0")
        .await
        .problem_of(422, "invalid_field", "limit");
    over_http("?limit=1001")
        .await
        .problem_of(422, "invalid_field", "limit");
    assert_eq!(
        answer(&server, "alices-looks", "library_stats", json!({})).await,
        json!({ "photos": { "ready": 3, "pending": 0, "failed": 0 }, "model": "hash" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_writes_changes_tags_and_one_that_reads_does_not() {
    let server = keyed().await;
    let id = add(
        &server,
        "alices-key",
        &jpeg(40, 40, RED),
        json!({ "tags": ["old"] }),
    )
    .await;
    let change = json!({ "photo_id": id, "add": [" cafe\u{301} "], "remove": ["old"] });
    let refused = refusal(
        &server,
        "alices-looks",
        "tag_photo",
        change.clone(),
        "missing_scope",
    )
    .await;
    assert!(refused.contains("scope `write`"), "{refused}");
    assert_eq!(
        answer(
            &server,
            "alices-key",
            "get_photo",
            json!({ "photo_id": id, "preview_pixels": 0 })
        )
        .await["tags"],
        json!(["old"])
    );
    let changed = answer(&server, "alices-key", "tag_photo", change).await;
    assert_eq!(changed["tags"], json!(["caf\u{e9}"]));
    let found = json!({ "text": "red", "filter": { "tags": ["caf\u{e9}"] } });
    assert_eq!(
        ids(&answer(&server, "alices-looks", "search_photos", found).await),
        std::slice::from_ref(&id)
    );

    let nothing = refusal(
        &server,
        "alices-key",
        "tag_photo",
        json!({ "photo_id": id }),
        "missing_field",
    )
    .await;
    assert!(nothing.contains("`add`"), "{nothing}");
    let hidden = json!({ "photo_id": id, "add": ["a\u{202E}b"] });
    refusal(&server, "alices-key", "tag_photo", hidden, "invalid_field").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_a_read_only_server_only_look() {
    let server = setup(McpConfig { read_only: true })
        .key("alices-key", "alice", &Scope::ALL)
        .start()
        .await;
    let id = add(&server, "alices-key", &jpeg(40, 40, RED), json!({})).await;
    assert!(
        !tools(&server, "alices-key")
            .await
            .contains(&"tag_photo".to_owned())
    );
    let change = json!({ "photo_id": id, "add": ["new"] });
    let refused = refusal(&server, "alices-key", "tag_photo", change, "missing_scope").await;
    assert!(refused.contains("read_only"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_photo_is_not_found_by_any_tool() {
    let server = keyed().await;
    let hers = add(
        &server,
        "alices-key",
        &jpeg(40, 40, RED),
        json!({ "tags": ["hers"] }),
    )
    .await;
    let missing = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (tool, extra) in [
        ("get_photo", json!({})),
        ("similar_photos", json!({})),
        ("tag_photo", json!({ "add": ["mine"] })),
    ] {
        let mut sentences = Vec::new();
        for id in [hers.as_str(), missing, "no id"] {
            let mut arguments = extra.clone();
            arguments["photo_id"] = id.into();
            let refused = refusal(&server, "bobs-key", tool, arguments, "photo_not_found").await;
            sentences.push(refused.replace(id, "it"));
        }
        // Nothing tells a photo of somebody else from one that doesn't exist.
        assert!(
            sentences.iter().all(|sentence| *sentence == sentences[0]),
            "{sentences:?}"
        );
    }
    let found = answer(&server, "bobs-key", "search_photos", json!({ "text": "red" })).await;
    assert_eq!(found["hits"], json!([]));
    let tags = answer(&server, "bobs-key", "list_tags", json!({})).await;
    assert_eq!(tags["tags"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_argument_is_explained_to_the_agent_by_its_name() {
    let server = keyless().await;
    let id = server.add(&jpeg(40, 40, RED), json!({})).await;
    for (tool, arguments, code, named) in [
        ("search_photos", json!({}), "missing_field", "`text`"),
        (
            "search_photos",
            json!({ "text": "" }),
            "empty_text",
            "1 to 8192 bytes",
        ),
        (
            "search_photos",
            json!({ "text": "x".repeat(9000) }),
            "text_too_long",
            "9000 bytes",
        ),
        (
            "search_photos",
            json!({ "text": "red", "limits": 5 }),
            "unknown_field",
            "`limits`",
        ),
        (
            "search_photos",
            json!({ "text": "red", "limit": 101 }),
            "invalid_field",
            "search.max_limit",
        ),
        (
            "search_photos",
            json!({ "text": "red", "limit": "5" }),
            "invalid_field",
            "`limit`",
        ),
        (
            "search_photos",
            json!({ "text": "red", "filter": { "taken_from": "june" } }),
            "invalid_field",
            "2024-06-30",
        ),
        (
            "similar_photos",
            json!({ "photo_id": id, "filter": { "taken_from": "2024-02-01", "taken_to": "2024-01-01" } }),
            "invalid_field",
            "filter.taken_to",
        ),
        (
            "search_photos",
            json!({ "text": "red", "filter": { "exclude": vec![id.as_str(); 1001] } }),
            "invalid_field",
            "at most 1000",
        ),
        (
            "get_photo",
            json!({ "photo_id": id, "preview_pixels": 9000 }),
            "invalid_field",
            "0 to 8192",
        ),
        ("list_tags", json!({ "limit": 0 }), "invalid_field", "1 to 1000"),
        ("library_stats", json!({ "all": true }), "unknown_field", "`all`"),
    ] {
        let refused = refusal(&server, "", tool, arguments.clone(), code).await;
        assert!(refused.contains(named), "{tool} {arguments}: {refused}");
    }
    let unknown = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "delete_photo", "arguments": { "photo_id": id } },
    });
    let unknown = post(&server, "", &unknown).await.json();
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    assert!(
        unknown["error"]["message"]
            .as_str()
            .unwrap()
            .contains("`delete_photo`"),
        "{unknown}"
    );
    assert_eq!(
        server.photo(&id).await["state"],
        "ready",
        "nothing can be deleted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_server_is_an_answer_that_tells_no_secret() {
    let server = keyless().await;
    server.add(&jpeg(40, 40, RED), json!({})).await;
    server.model.fault_on_text("cursed", Fault::Panic);
    let result = call(&server, "", "search_photos", json!({ "text": "cursed" })).await;
    assert_eq!(result["isError"], true, "{result}");
    let again = answer(&server, "", "search_photos", json!({ "text": "red" })).await;
    assert_eq!(ids(&again).len(), 1);
    let metrics = send(server.get("/metrics")).await.text();
    for outcome in ["ok", result["structuredContent"]["code"].as_str().unwrap()] {
        let labels = format!(r#"plugin="mcp",hook="search_photos",outcome="{outcome}""#);
        assert!(metrics.contains(&labels), "{labels}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_without_a_preview_is_described_with_the_reason() {
    let server = Setup::without_plugins()
        .plugin(McpPlugin::new(McpConfig::default()))
        .start()
        .await;
    let id = server.add(&jpeg(40, 40, RED), json!({})).await;
    let photo = call(&server, "", "get_photo", json!({ "photo_id": id })).await;
    assert_eq!(
        (&photo["isError"], &photo["structuredContent"]["id"]),
        (&json!(false), &json!(id))
    );
    assert!(
        photo["content"][1]["text"]
            .as_str()
            .unwrap()
            .contains("`thumbnail`"),
        "{photo}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_before_a_tool_is_a_json_rpc_error_with_its_status() {
    let server = keyed().await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let refused = |reply: Reply, status: u16, code: &str| {
        assert_eq!(reply.status, status, "{}", reply.text());
        assert_eq!(reply.header("content-type"), "application/json");
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["jsonrpc"], "2.0", "{body}");
        assert!(body.get("id").is_some_and(Value::is_null), "{body}");
        assert_eq!(body["error"]["data"]["code"], code, "{body}");
        assert!(body["error"]["message"].is_string(), "{body}");
        reply.header("www-authenticate").to_owned()
    };
    let asked = refused(post(&server, "", &list).await, 401, "unauthorized");
    assert!(asked.starts_with("Bearer"), "{asked}");
    refused(post(&server, "wrong-key", &list).await, 401, "unauthorized");
    refused(post(&server, "embed-only", &list).await, 403, "missing_scope");
    let large = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "search_photos", "arguments": { "text": "x".repeat(usize::try_from(MAX_JSON_BYTES).unwrap()) } },
    });
    refused(
        post(&server, "alices-looks", &large).await,
        413,
        "payload_too_large",
    );
    let request = || server.post("/mcp").header("x-api-key", "alices-looks");
    let form = request().header("content-type", "text/plain").body("{}");
    refused(send(form).await, 415, "unsupported_media_type");
    // The protocol wants clients to take both kinds of answers.
    let picky = send(request().header("accept", "application/json").json(&list)).await;
    assert_eq!(picky.status, 406, "{}", picky.text());
    // Without sessions there is nothing to listen to and nothing to end.
    for method in [Method::GET, Method::DELETE] {
        let reply = send(
            server
                .request(method.clone(), "/mcp")
                .header("x-api-key", "alices-looks"),
        )
        .await;
        assert_eq!((reply.status, reply.header("allow")), (405, "POST"), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_no_other_web_page_speaks_the_protocol() {
    let server = keyless().await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    for (name, value) in [("host", "evil.example:8080"), ("origin", "https://evil.example")] {
        let request = server
            .post("/mcp")
            .header("accept", "application/json, text/event-stream")
            .header(name, value)
            .json(&list);
        let reply = send(request).await;
        assert_eq!(reply.status, 403, "{name}: {}", reply.text());
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["error"]["data"]["code"], "cross_origin", "{body}");
    }
    assert!(
        tools(&server, "").await.contains(&"tag_photo".to_owned()),
        "its user may write"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_of_an_allowed_origin_may_be_a_client() {
    let mut setup = setup(McpConfig::default());
    setup.options.cors_origins = vec!["https://app.example".to_owned()];
    let server = setup.start().await;
    let preflight = server
        .request(Method::OPTIONS, "/mcp")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "content-type,mcp-method,mcp-name,mcp-protocol-version,x-api-key",
        );
    let reply = send(preflight).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let allowed = reply.header("access-control-allow-headers");
    for header in ["mcp-method", "mcp-name", "mcp-protocol-version", "x-api-key"] {
        assert!(allowed.contains(header), "{header} is not among {allowed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_plugin_names_it() {
    let server = Setup::without_plugins().start().await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let problem = post(&server, "", &list).await.problem(404, "not_found");
    assert!(problem["detail"].as_str().unwrap().contains("`mcp`"), "{problem}");
}
