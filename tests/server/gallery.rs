//! The gallery in a real browser: Chromium opens it by way of a page that looks at it and writes what it saw.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::camera::with_time;
use super::process::{Server, upload};

/// The names that Chromium goes by.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

const KEY: &str = "all-that-there-is";
const READ_ONLY_KEY: &str = "looking-only";

const CONFIG: &str = r#"
    [[auth.keys]]
    name = "all"
    key = "all-that-there-is"
    user = "alice"
    scopes = ["read", "write"]

    [[auth.keys]]
    name = "looks"
    key = "looking-only"
    user = "alice"
    scopes = ["read"]
"#;

fn browser() -> Option<&'static str> {
    BROWSERS.into_iter().find(|name| {
        let version = Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        version.is_ok_and(|status| status.success())
    })
}

/// The page that looks at the gallery, in front of the server so that it may look into it.
struct Harness {
    client: reqwest::Client,
    url: String,
    page: String,
}

async fn harness(State(harness): State<Arc<Harness>>) -> Html<String> {
    Html(harness.page.clone())
}

/// Hands a request on, and the answer back without what keeps other pages from framing it.
async fn hand_on(State(harness): State<Arc<Harness>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path_and_query().unwrap();
    let mut headers = parts.headers;
    for name in ["host", "origin"] {
        headers.remove(name);
    }
    let answer = harness
        .client
        .request(parts.method, format!("{}{path}", harness.url))
        .headers(headers)
        .body(body)
        .send()
        .await
        .unwrap();
    let mut response = answer.status().into_response();
    *response.headers_mut() = answer.headers().clone();
    response.headers_mut().remove("content-security-policy");
    response.headers_mut().remove("transfer-encoding");
    *response.body_mut() = Body::from(answer.bytes().await.unwrap());
    response
}

/// Opens the page in the browser and returns what it saw.
async fn look(browser: &str, server: &Server, given: &Value, profile: &Path) -> Value {
    let page = format!(
        "<!doctype html><title>harness</title><script id=given type='application/json'>{given}</script>\
         <pre id=seen></pre><main id=stage></main><script type=module>{}</script>",
        include_str!("gallery.js")
    );
    let state = Arc::new(Harness {
        client: server.client.clone(),
        url: server.url.clone(),
        page,
    });
    let routes = Router::new()
        .route("/harness", get(harness))
        .fallback(hand_on)
        .with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update"])
        .args([
            "--lang=en-US",
            "--window-size=1700,1000",
            "--virtual-time-budget=120000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("http://{address}/harness"))
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let seen = dom
        .split_once("<pre id=\"seen\">")
        .and_then(|(_, rest)| rest.split_once('<'));
    let Some((seen, _)) = seen.filter(|(seen, _)| !seen.is_empty()) else {
        panic!(
            "the browser saw nothing: {dom}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    serde_json::from_slice(&STANDARD.decode(seen).unwrap()).unwrap()
}

fn jpeg(shade: u8) -> Vec<u8> {
    let picture = RgbImage::from_fn(120 + u32::from(shade), 90, |x, y| {
        Rgb([
            200,
            u8::try_from(x % 256).unwrap(),
            u8::try_from(y).unwrap().wrapping_add(shade),
        ])
    });
    let mut bytes = Vec::new();
    JpegEncoder::new(&mut bytes).encode_image(&picture).unwrap();
    bytes
}

/// A TIFF of 40 by 30 pixels whose structure is whole and whose compressed pixels are not.
fn undecodable_tiff() -> Vec<u8> {
    const LONG: u16 = 4;
    let strip = [0x55; 200];
    let entries: [(u16, u32); 9] = [
        (256, 40),
        (257, 30),
        (258, 8),
        // Deflate.
        (259, 8),
        // Black is zero.
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 30),
        (279, 200),
    ];
    let mut bytes = b"II*\0".to_vec();
    let directory = u32::try_from(8 + strip.len()).unwrap();
    bytes.extend(directory.to_le_bytes());
    bytes.extend(strip);
    bytes.extend(u16::try_from(entries.len()).unwrap().to_le_bytes());
    for (tag, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(LONG.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gallery_looks_right_in_a_browser() {
    let Some(browser) = browser() else {
        eprintln!("skipped: needs one of the programs {}", BROWSERS.join(", "));
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lucida.toml"), CONFIG).unwrap();
    let mut server = Server::start(dir.path(), &[("config", "lucida.toml")]).await;
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_static(KEY));
    server.client = reqwest::Client::builder()
        .default_headers(headers)
        .build()
        .unwrap();
    let mut photos = Vec::new();
    for shade in 0..5 {
        let name = format!("{shade}.jpg");
        let mut bytes = jpeg(shade * 20);
        if shade == 0 {
            // By UTC this was the next day.
            bytes = with_time(&bytes, "2024:09:30 23:45:00", "-04:00");
        }
        let answer = upload(&server.client, &server.url, bytes, &name, true)
            .await
            .unwrap();
        assert_eq!(answer.status(), 201);
        photos.push(answer.json::<Value>().await.unwrap()["id"].clone());
    }
    let tiff = upload(&server.client, &server.url, undecodable_tiff(), "scan.tif", true)
        .await
        .unwrap();
    assert_eq!(tiff.status(), 422, "{}", tiff.text().await.unwrap());
    // What the browser sends has its own keys.
    server.client = reqwest::Client::new();

    // The newest comes first, after the scan that failed.
    let given = json!({ "photo": photos[2], "key": KEY, "readOnlyKey": READ_ONLY_KEY });
    let seen = look(browser, &server, &given, &dir.path().join("browser")).await;
    assert_eq!(seen["error"], Value::Null, "{seen}");
    assert_eq!(seen["layout"], json!([]));
    let link = &seen["deepLink"];
    assert_eq!((&link["place"], &link["next"]), (&json!("4 of 6"), &json!(true)));
    assert_eq!(link["details"], json!(["Size", "File", "Added"]));
    assert_eq!(link["technical"], json!(["Technical", false]));
    assert_eq!(
        (&link["mayAdd"], &link["mayDelete"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(seen["reversed"], "The first day is after the last one");
    assert_eq!(seen["days"], json!([["Sep 30, 2024"], []]));
    assert_eq!(seen["badges"], 0);
    assert_eq!(
        seen["failed"],
        "There is no preview, since this photo could not be read. Download the original to see it."
    );
    let refused = "the file is not an image: send JPEG, PNG, WebP, HEIC, GIF, BMP or TIFF";
    assert_eq!(
        seen["added"],
        json!({
            "tray": [format!("IMG_1.NEF: {refused}"), format!("noextension: {refused}")],
            "notes": ["2 files skipped: not photos"],
        })
    );
    assert_eq!(seen["readOnly"], json!({ "mayAdd": false, "mayDelete": false }));
}
