//! An agent with the official client of the Model Context Protocol: it finds and sees photos of its key's user, and no others.

use lucida_testkit::jpeg;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use super::clients::{Clients, Runtime};
use super::process::Server;

const KEYS: &str = r#"[
    {name = "writer", key = "alices-writing-key", user = "alice", scopes = ["embed", "read", "write"]},
    {name = "reader", key = "alices-reading-key", user = "alice", scopes = ["read"]},
    {name = "other", key = "bobs-writing-key", user = "bob", scopes = ["read", "write"]},
]"#;

/// Uploads a photo for a key's user and returns its id.
async fn add(server: &Server, key: &str, colour: [u8; 3]) -> String {
    let file = Part::bytes(jpeg(400, 300, colour).to_vec()).file_name("square.jpg");
    let answer = server
        .client
        .post(format!("{}/v1/photos?wait=true", server.url))
        .header("x-api-key", key)
        .multipart(Form::new().part("file", file))
        .send()
        .await
        .unwrap();
    let photo: Value = answer.json().await.unwrap();
    assert_eq!(photo["state"], "ready", "{photo}");
    photo["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_mcp_client_sees_the_photos_of_its_user_and_no_others() {
    let Some(clients) = Clients::or_skip() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let plugins = r#"[{type = "exif"}, {type = "thumbnail"}, {type = "mcp"}]"#;
    let server = Server::start(dir.path(), &[("plugins", plugins), ("auth.keys", KEYS)]).await;
    let red = add(&server, "alices-writing-key", [220, 30, 30]).await;
    add(&server, "alices-writing-key", [30, 180, 40]).await;
    let bobs = add(&server, "bobs-writing-key", [220, 40, 30]).await;

    let mut command = clients.command("mcp_client.py", Runtime::Python);
    command.args([
        &server.url,
        "alices-writing-key",
        "alices-reading-key",
        &red,
        &bobs,
    ]);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{stdout}");
    assert!(
        output.status.success() && stdout.contains("wrong key"),
        "{}: {stdout}{stderr}",
        output.status
    );
    let log = std::fs::read_to_string(dir.path().join("server.log")).unwrap();
    for secret in ["alices-writing-key", "alices-reading-key", "rmcp::"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
