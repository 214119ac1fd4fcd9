//! What both object stores have in common: their keys, their bucket and how to ask them.

pub(crate) mod minio;
pub(crate) mod seaweedfs;

use anyhow::{Result, bail};
use jiff::Timestamp;

use crate::http::{self, Answer};
use crate::signature::{Keys, Request};
use crate::variable;

/// The access key of the test servers.
pub const ACCESS_KEY_ID: &str = "lucida-test";

/// The secret key of the test servers.
pub const SECRET_ACCESS_KEY: &str = "lucida-test-secret";

/// The bucket that the test servers have.
pub const BUCKET: &str = "lucida-test";

/// Makes the bucket, puts an object into it and takes it away: a store that has an open port may still lack what it
/// writes to.
pub(crate) fn ask(port: u16) -> Result<()> {
    let bucket = format!("/{BUCKET}");
    let object = format!("{bucket}/lucida-is-it-ready");
    expect(&send(port, "PUT", &bucket, b"")?, &[200, 409])?;
    expect(&send(port, "PUT", &object, b"ready?")?, &[200])?;
    expect(&send(port, "DELETE", &object, b"")?, &[204])
}

/// Where clients find the store at a port.
pub(crate) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The environment variables by which tests find the store at a URL.
pub(crate) fn variables(url: String) -> Vec<(&'static str, String)> {
    vec![
        (variable::S3_ENDPOINT, url),
        (variable::S3_ACCESS_KEY_ID, ACCESS_KEY_ID.to_owned()),
        (variable::S3_SECRET_ACCESS_KEY, SECRET_ACCESS_KEY.to_owned()),
        (variable::S3_BUCKET, BUCKET.to_owned()),
    ]
}

/// Sends a signed request.
fn send(port: u16, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
    let host = format!("127.0.0.1:{port}");
    let request = Request {
        method,
        host: &host,
        path,
        body,
    };
    let keys = Keys {
        id: ACCESS_KEY_ID,
        secret: SECRET_ACCESS_KEY,
    };
    let headers = request.headers(&keys, Timestamp::now());
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    http::send(port, method, path, &headers, body)
}

fn expect(answer: &Answer, statuses: &[u16]) -> Result<()> {
    if !statuses.contains(&answer.status) {
        bail!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Programs, Server};

    /// Puts an object, kills the store, starts it again and gets the object.
    fn keeps_its_objects(kind: Kind) {
        let Some(programs) = Programs::or_skip(&[kind]) else {
            return;
        };
        let mut server = Server::start(kind, &programs).unwrap();
        let url = server.url();
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        let path = format!("/{BUCKET}/photo");
        let put = send(port, "PUT", &path, b"pixels").unwrap();
        assert_eq!(put.status, 200, "{put:?}");

        server.kill().unwrap();
        assert!(send(port, "GET", &path, b"").is_err());
        server.start_again().unwrap();
        assert_eq!(server.url(), url);
        let got = send(port, "GET", &path, b"").unwrap();
        assert_eq!((got.status, got.body.as_slice()), (200, b"pixels".as_slice()));
    }

    #[test]
    fn minio_keeps_its_objects_when_it_is_killed() {
        keeps_its_objects(Kind::Minio);
    }

    #[test]
    fn seaweedfs_keeps_its_objects_when_it_is_killed() {
        keeps_its_objects(Kind::Seaweedfs);
    }
}
