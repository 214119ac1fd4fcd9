//! The programs in `examples/remote-plugin`, run as a user runs them.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "what can't be made or read fails its test by panicking"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lucida_core::{EnrichInput, Event, Hit, IndexFilter, Plugin, SearchInput, SearchQuery};
use lucida_plugin_remote::RemotePlugin;
use lucida_testkit::{photo, picture, user};
use serde_json::json;

/// How long a busy machine may take to start a program.
const PATIENCE: Duration = Duration::from_secs(300);

/// A program that ends with the test.
struct Running {
    child: Child,
    url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts an example on a free port and waits until it listens; `None` where its language isn't installed.
fn start(language: &str, file: &str) -> Option<Running> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/remote-plugin")
        .join(file);
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = Command::new(language)
        .arg(path)
        .arg(port.to_string())
        .stdout(Stdio::null())
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("skipped: {language} can't be run: {error}");
            assert!(std::env::var_os("CI").is_none(), "CI must not skip this test");
            return None;
        }
    };
    let running = Running {
        child,
        url: format!("http://127.0.0.1:{port}"),
    };
    let end = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "{file} doesn't listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(running)
}

fn plugin(running: &Running, hooks: &[&str]) -> RemotePlugin {
    let config = json!({"name": "example", "url": running.url, "hooks": hooks, "timeout_secs": 60});
    RemotePlugin::new(serde_json::from_value(config).unwrap()).unwrap()
}

fn search(text: &str) -> SearchQuery {
    SearchQuery {
        user_id: user("alice"),
        input: SearchInput::Text(text.to_owned()),
        filter: IndexFilter::default(),
        limit: 7,
    }
}

#[tokio::test]
async fn the_program_in_python_tags_photos_and_translates_searches() {
    let Some(running) = start("python3", "orientation.py") else {
        return;
    };
    let plugin = plugin(&running, &["enrich", "query"]);
    let mut photo = photo(&user("alice"));
    (photo.width, photo.height) = (3000, 4000);
    let input = EnrichInput {
        photo,
        picture: picture(30, 40, [9, 9, 9]),
        original: bytes::Bytes::new(),
    };
    let enrichment = plugin.enrich(&input).await.unwrap();
    assert!(enrichment.tags.contains("portrait"), "{enrichment:?}");
    assert_eq!(enrichment.attributes, Some(json!({"aspect_ratio": 0.75})));
    let changed = plugin.query(search("ein Hund am Strand")).await.unwrap();
    assert_eq!(changed.input, SearchInput::Text("ein dog am beach".to_owned()));
}

#[tokio::test]
async fn the_program_in_javascript_shows_the_newest_first() {
    let Some(running) = start("node", "newest.mjs") else {
        return;
    };
    let plugin = plugin(&running, &["rerank", "event"]);
    let hits: Vec<_> = [
        "2020-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z",
        "2022-01-01T00:00:00Z",
    ]
    .into_iter()
    .map(|taken| {
        let mut photo = photo(&user("alice"));
        photo.taken_at = Some(taken.parse().unwrap());
        Hit { score: 0.5, photo }
    })
    .collect();
    let ranked = plugin.rerank(&search("dog"), hits.clone()).await.unwrap();
    let ids: Vec<_> = ranked.iter().map(|hit| hit.photo.id).collect();
    assert_eq!(ids, [hits[1].photo.id, hits[2].photo.id, hits[0].photo.id]);
    plugin.event(&Event::Ready(hits[0].photo.clone())).await.unwrap();
}
