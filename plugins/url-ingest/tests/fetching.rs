//! What is fetched, what is refused, and that nothing is reached which may not be.

#![expect(
    clippy::unwrap_used,
    reason = "what can't be made or read fails its test by panicking"
)]

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use futures::{FutureExt as _, StreamExt as _};
use lucida_core::{Error, ErrorKind, Fetcher as _, Plugin, Result, Settings as _};
use lucida_plugin_url_ingest::{Lookup, UrlFetcher, UrlIngestConfig, UrlIngestPlugin};
use lucida_testkit::Fixture;

async fn fixture() -> Fixture<dyn Plugin> {
    Fixture::new(UrlIngestPlugin::new(&UrlIngestConfig::default()).unwrap())
}

lucida_testkit::plugin_contract!(fixture);

/// A server on the loopback interface, which counts who reaches it.
struct Far {
    port: u16,
    reached: Arc<AtomicUsize>,
}

impl Far {
    async fn start() -> Self {
        let reached = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reached);
        let picture = [("content-type", "image/jpeg")];
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new()
            .route("/photos/cat.jpg", get(async move || (picture, "pixels")))
            .route("/moved", get(async || Redirect::temporary("/photos/cat.jpg")))
            .route("/round", get(async || Redirect::temporary("/round")))
            .route(
                "/inward",
                get(async move || Redirect::temporary(&format!("http://127.0.0.1:{port}/photos/cat.jpg"))),
            )
            .route(
                "/elsewhere",
                get(async move || {
                    Redirect::permanent(&format!("http://inner.example:{port}/photos/cat.jpg"))
                }),
            )
            .route("/file", get(async || Redirect::to("file:///etc/passwd")))
            .route(
                "/page",
                get(async || ([("content-type", "text/html; charset=utf-8")], "<html>")),
            )
            .route("/untyped", get(async || Body::from("pixels").into_response()))
            .route("/missing", get(async || StatusCode::NOT_FOUND))
            .route(
                "/endless",
                get(async move || {
                    let pieces = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![7_u8; 4096]));
                    (picture, Body::from_stream(pieces))
                }),
            )
            .route(
                "/slow",
                get(async || tokio::time::sleep(Duration::from_secs(3600)).await),
            )
            .layer(axum::middleware::from_fn(
                move |request, next: axum::middleware::Next| {
                    count.fetch_add(1, Ordering::SeqCst);
                    next.run(request)
                },
            ));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { port, reached }
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }
}

/// This machine, its network and the metadata services of clouds, in the notations that URLs have for them, and names for them.
const INNER: [&str; 93] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.8.8.8",
    "127.0.0.1.",
    "127.0.0.0x1",
    "0x7f000001",
    "0x7F.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "0x7f.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "00000177.0.0.1",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "localhost.localdomain",
    "0",
    "0.0",
    "0.0.0.0",
    "00000000",
    "0x0",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:7F00:0001]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[febf::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fd12:3456:789a::1]",
    "[ff02::1]",
    "[100::1]",
    "[2001:db8::1]",
    "[5f00::1]",
    "10.0.0.1",
    "10.1",
    "10.255.255.255",
    "0x0a000001",
    "167772161",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "0xac100001",
    "2886729729",
    "192.168.0.1",
    "192.168.1",
    "192.168.255.255",
    "0xc0a80001",
    "3232235521",
    "0300.0250.0.1",
    "169.254.169.254",
    "169.254.43518",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "025177524776",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "１２７.０.０.１",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "photos.example",
    "127.0.0.1.nip.io",
    "metadata.google.internal",
];

/// Every name is on this machine.
fn local() -> Lookup {
    Arc::new(|_| async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) }.boxed())
}

fn fetcher(hosts: &[&str], lookup: Lookup) -> UrlFetcher {
    let config = UrlIngestConfig {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        max_bytes: 1 << 20,
        timeout_secs: 2,
        ..UrlIngestConfig::default()
    };
    config.validate().unwrap();
    UrlFetcher::with_lookup(&config, lookup).unwrap()
}

/// Fetches all of a file; returns its name and bytes.
async fn fetch(fetcher: &UrlFetcher, url: &str) -> Result<(Option<String>, Vec<u8>)> {
    let mut fetched = fetcher.fetch(url).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = fetched.bytes.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok((fetched.filename, bytes))
}

fn is_refused(error: &Error) -> bool {
    (error.kind(), error.code()) == (ErrorKind::InvalidInput, "url_refused")
}

#[tokio::test]
async fn a_photo_is_fetched_from_a_named_host_also_after_a_redirect() {
    let far = Far::start().await;
    let fetcher = fetcher(&["photos.example"], local());
    for path in ["/photos/cat.jpg", "/moved"] {
        let fetched = fetch(&fetcher, &far.url("photos.example", path)).await.unwrap();
        assert_eq!(
            fetched,
            (Some("cat.jpg".to_owned()), b"pixels".to_vec()),
            "{path}"
        );
    }
    assert!(
        fetch(&fetcher, &far.url("photos.example", "/untyped"))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn no_address_of_this_network_is_reached_in_any_notation_or_under_any_name() {
    let far = Far::start().await;
    let fetcher = fetcher(&[], local());
    for host in INNER {
        let error = fetch(&fetcher, &far.url(host, "/photos/cat.jpg"))
            .await
            .unwrap_err();
        assert!(is_refused(&error), "{host}: {error}");
        assert!(
            !error.to_string().contains("127.0.0.1:"),
            "the address of a name is revealed: {error}"
        );
    }
    assert_eq!(far.reached(), 0);
}

#[tokio::test]
async fn a_redirect_leads_nowhere_that_could_not_be_named_at_once() {
    let far = Far::start().await;
    let fetcher = fetcher(&["photos.example"], local());
    for path in ["/inward", "/elsewhere", "/round"] {
        let before = far.reached();
        let error = fetch(&fetcher, &far.url("photos.example", path))
            .await
            .unwrap_err();
        assert!(is_refused(&error), "{path}: {error}");
        let asked = if path == "/round" { 4 } else { 1 };
        assert_eq!(far.reached() - before, asked, "{path}");
    }
    // What is not HTTP is not even followed.
    let error = fetch(&fetcher, &far.url("photos.example", "/file"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "url_failed", "{error}");
}

#[tokio::test]
async fn a_name_that_resolves_differently_the_second_time_gains_nothing() {
    let far = Far::start().await;
    let lookups = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lookups);
    // Public once, then this machine.
    let lookup: Lookup = Arc::new(move |_| {
        let address = match count.fetch_add(1, Ordering::SeqCst) {
            0 => [203, 0, 114, 1],
            _ => [127, 0, 0, 1],
        };
        async move { Ok(vec![IpAddr::from(address)]) }.boxed()
    });
    let fetcher = fetcher(&[], lookup);
    let url = far.url("rebinding.example", "/photos/cat.jpg");
    let error = fetch(&fetcher, &url).await.unwrap_err();
    assert!(!is_refused(&error), "nobody answers there: {error}");
    assert_eq!(
        lookups.load(Ordering::SeqCst),
        1,
        "the address that was checked is the one connected to"
    );
    let error = fetch(&fetcher, &url).await.unwrap_err();
    assert!(is_refused(&error), "{error}");
    assert_eq!(far.reached(), 0);
}

#[tokio::test]
async fn what_is_no_picture_too_large_or_too_slow_says_so() {
    let far = Far::start().await;
    let fetcher = fetcher(&["photos.example"], local());
    for (path, code, words) in [
        ("/page", "url_failed", "`text/html`"),
        ("/missing", "url_failed", "404"),
        ("/endless", "payload_too_large", "`max_bytes`"),
        ("/slow", "url_timeout", "`timeout_secs`"),
    ] {
        let error = fetch(&fetcher, &far.url("photos.example", path))
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
    let error = fetch(&fetcher, "photos.example/cat.jpg").await.unwrap_err();
    assert!(
        is_refused(&error) && error.message().contains("https://host/photo.jpg"),
        "{error}"
    );
}

#[test]
fn settings_that_can_not_work_are_refused_by_name() {
    let right = UrlIngestConfig::default();
    right.validate().unwrap();
    for (config, field) in [
        (
            UrlIngestConfig {
                hosts: vec!["example.org".to_owned(), "http://example.org".to_owned()],
                ..right.clone()
            },
            "hosts[1]",
        ),
        (
            UrlIngestConfig {
                max_bytes: 0,
                ..right.clone()
            },
            "max_bytes",
        ),
        (
            UrlIngestConfig {
                timeout_secs: 0,
                ..right.clone()
            },
            "timeout_secs",
        ),
        (
            UrlIngestConfig {
                max_redirects: 11,
                ..right.clone()
            },
            "max_redirects",
        ),
    ] {
        assert_eq!(config.validate().unwrap_err().field(), Some(field));
    }
}
