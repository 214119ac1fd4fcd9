//! Somebody looks at photos: originals in whole and in parts, and previews.

use bytes::Bytes;
use lucida_core::{EnrichInput, Enrichment, Hook, NewBlob, Plugin, Result};
use lucida_testkit::jpeg;
use reqwest::Method;
use serde_json::json;

use crate::server::{Reply, Server, Setup, file_form, send};

/// Makes previews of two sizes, with bytes that tell which is which.
struct Previews;

#[async_trait::async_trait]
impl Plugin for Previews {
    fn name(&self) -> &str {
        "thumbnail"
    }

    fn hooks(&self) -> &[Hook] {
        &[Hook::Enrich]
    }

    async fn enrich(&self, _: &EnrichInput) -> Result<Enrichment> {
        let blob = |size: u32| {
            let bytes = Bytes::from(format!("preview of {size} pixels"));
            (
                format!("{size}.jpg"),
                NewBlob {
                    content_type: "image/jpeg".to_owned(),
                    bytes,
                },
            )
        };
        Ok(Enrichment {
            blobs: [blob(1280), blob(320)].into(),
            ..Enrichment::default()
        })
    }
}

async fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = headers.iter().fold(server.get(path), |request, (name, value)| {
        request.header(*name, *value)
    });
    send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_comes_back_byte_by_byte() {
    let server = Server::start().await;
    let photo = jpeg(120, 80, [30, 180, 40]);
    let form = file_form(&photo, "Käse \"1\".jpg");
    let id = send(server.post("/v1/photos?wait=true").multipart(form))
        .await
        .json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/photos/{id}/content");

    let whole = get(&server, &path, &[]).await;
    assert_eq!((whole.status, &whole.body), (200, &photo));
    assert_eq!(whole.header("content-type"), "image/jpeg");
    assert_eq!(whole.header("content-length"), photo.len().to_string());
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert!(whole.header("content-security-policy").contains("sandbox"));
    assert!(whole.header("cache-control").contains("private"));
    assert_eq!(
        whole.header("content-disposition"),
        "inline; filename=\"K_se _1_.jpg\"; filename*=UTF-8''K%C3%A4se%20%221%22.jpg"
    );
    let etag = whole.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", blake3::hash(&photo).to_hex()));

    let head = send(server.request(Method::HEAD, &path)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), photo.len().to_string());

    let fresh = get(&server, &path, &[("if-none-match", &etag)]).await;
    assert_eq!((fresh.status, fresh.body.len()), (304, 0));
    assert_eq!(fresh.header("etag"), etag);
    assert_eq!(
        get(&server, &path, &[("if-none-match", "\"other\"")])
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_gives_its_bytes() {
    let server = Server::start().await;
    let photo = jpeg(120, 80, [30, 180, 40]);
    let size = photo.len();
    let id = server.add(&photo, json!({})).await;
    let path = format!("/v1/photos/{id}/content");
    for (range, start, end) in [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=10-99".to_owned(), 10, 100),
        (format!("bytes={}-", size - 5), size - 5, size),
        ("bytes=-7".to_owned(), size - 7, size),
        (format!("bytes=0-{}", size * 2), 0, size),
    ] {
        let reply = get(&server, &path, &[("range", &range)]).await;
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(reply.body, photo.slice(start..end), "{range}");
        assert_eq!(
            reply.header("content-range"),
            format!("bytes {start}-{}/{size}", end - 1)
        );
        assert_eq!(reply.header("content-length"), (end - start).to_string());
    }
    let behind = get(&server, &path, &[("range", &format!("bytes={size}-"))]).await;
    behind.problem_of(416, "range_not_satisfiable", "range");
    assert_eq!(behind.header("content-range"), format!("bytes */{size}"));

    let several = get(&server, &path, &[("range", "bytes=0-1,4-5")]).await;
    assert_eq!((several.status, several.body.len()), (200, size));
    let etag = several.header("etag").to_owned();
    let same = get(&server, &path, &[("range", "bytes=0-1"), ("if-range", &etag)]).await;
    assert_eq!((same.status, same.body.len()), (206, 2));
    let other = get(
        &server,
        &path,
        &[("range", "bytes=0-1"), ("if-range", "\"other\"")],
    )
    .await;
    assert_eq!((other.status, other.body.len()), (200, size));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_preview_that_is_large_enough_is_given() {
    let server = Setup::new().plugin(Previews).start().await;
    let id = server.add(&jpeg(120, 80, [30, 180, 40]), json!({})).await;
    for (query, expected) in [
        ("", "preview of 320 pixels"),
        ("?size=1", "preview of 320 pixels"),
        ("?size=320", "preview of 320 pixels"),
        ("?size=321", "preview of 1280 pixels"),
        ("?size=4000", "preview of 1280 pixels"),
    ] {
        let reply = get(&server, &format!("/v1/photos/{id}/thumbnail{query}"), &[]).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, expected), "{query}");
        assert_eq!(reply.header("content-type"), "image/jpeg");
        let again = get(
            &server,
            &format!("/v1/photos/{id}/thumbnail{query}"),
            &[("if-none-match", reply.header("etag"))],
        )
        .await;
        assert_eq!(again.status, 304);
    }
    let zero = get(&server, &format!("/v1/photos/{id}/thumbnail?size=0"), &[]).await;
    zero.problem_of(422, "invalid_field", "size");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_without_previews_says_so() {
    let server = Server::start().await;
    let id = server.add(&jpeg(120, 80, [30, 180, 40]), json!({})).await;
    get(&server, &format!("/v1/photos/{id}/thumbnail"), &[])
        .await
        .problem(404, "no_thumbnail");
}
