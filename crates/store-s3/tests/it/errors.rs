//! What goes wrong outside, told by its kind, with what to do, and without a secret.

use std::time::Duration;

use milepost_core::{Applied, Error, ErrorKind, Store};
use milepost_servers::{Ministack, Server};
use milepost_store_s3::{S3Config, S3Store};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{Bucket, Driver, record};

const SECRET: &str = "sesame-open-thyself";

/// A service that gives every request the same answer.
async fn service(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 1 << 16];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"e\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n{body}"
                    );
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    format!(
        "s3://bucket?endpoint=http://{address}&allow_http=1&region=us-east-1&access_key_id=someone&secret_access_key={SECRET}"
    )
}

async fn refused(url: &str) -> Error {
    let error = S3Store::connect(url).await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains(SECRET), "{error:?}");
    error
}

#[tokio::test]
async fn what_a_service_answers_is_told_by_its_code() {
    // The service shows what it was sent, as S3 does for a signature that is wrong.
    let shown =
        "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>sesame-open-thyself</StringToSign></Error>";
    for (status, kind, says) in [
        ("403 Forbidden", ErrorKind::Denied, "check those of the URL"),
        ("401 Unauthorized", ErrorKind::Denied, "check the credentials"),
        ("501 Not Implemented", ErrorKind::Config, "does not know a request"),
        ("503 Slow Down", ErrorKind::Busy, "try again"),
        ("500 Internal Server Error", ErrorKind::Unavailable, "try again"),
        ("507 Insufficient Storage", ErrorKind::Full, "no room"),
    ] {
        let error = refused(&service(status, shown).await).await;
        assert_eq!(error.kind(), kind, "{status}: {error:?}");
        assert!(error.to_string().contains(says), "{status}: {error}");
    }
}

#[tokio::test]
async fn settings_and_handles_show_no_secret() {
    let url = service("403 Forbidden", "").await;
    assert!(!format!("{:?}", S3Config::from_url(&url).unwrap()).contains(SECRET));
    let bucket = Bucket::new();
    let url = bucket.url.replace("secret_access_key=test", &format!("secret_access_key={SECRET}"));
    let store = bucket.config_at(&url).connect().await.unwrap();
    assert!(!format!("{store:?}").contains(SECRET));
}

#[tokio::test]
async fn a_bucket_that_is_not_there_and_a_place_that_is_not_prepared_are_told_apart() {
    let bucket = Bucket::new();
    let missing = bucket.url.replace("s3://milepost?", "s3://nowhere?");
    for url in [missing.clone(), format!("{missing}&prepare=1")] {
        let error = refused(&url).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains("no such bucket"), "{error}");
    }
    let fresh = bucket.url.replace("s3://milepost?", &format!("s3://milepost/{}?", bucket.prefix));
    let error = refused(&fresh).await;
    assert_eq!(error.kind(), ErrorKind::NotPrepared, "{error:?}");
    assert!(error.to_string().contains("prepare=1"), "{error}");
    S3Store::prepare(&fresh).await.unwrap();
    S3Store::prepare(&fresh).await.unwrap();
    S3Store::connect(&fresh).await.unwrap();
}

#[tokio::test]
async fn urls_that_are_wrong_are_told_without_their_secrets() {
    for (url, says) in [
        ("s3://bucket?secret_access_key=sesame-open-thyself", "go together"),
        ("s3://key:sesame-open-thyself@bucket", "endpoint and keys are parameters"),
        ("s3://bucket?endpoint=http://localhost:1", "allow_http=1"),
        ("s3://bucket?acces_key_id=x", "unknown parameter"),
        ("s3://bucket/a//b", "a prefix has"),
    ] {
        let error = S3Config::from_url(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(error.to_string().contains(says), "{url}: {error}");
        assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable_and_comes_back() {
    let server = Ministack::start().unwrap();
    let url = format!("{}&prepare=1&timeout=2s", server.url());
    let store = S3Store::connect(&url).await.unwrap();
    let mut driver = Driver::create(&store, "left").await;
    driver.commit(driver.next().record(record("x"))).await;
    server.kill().unwrap();
    let error = refused(&url).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let reading = store.head(&driver.run).await.unwrap_err();
    assert_eq!(reading.kind(), ErrorKind::Unavailable, "{reading:?}");
    let mut told = None;
    for _ in 0..3 {
        let writing = store.commit(driver.next()).await.unwrap_err();
        assert!(writing.kind().is_transient(), "{writing:?}");
        told = writing.applied();
    }
    assert_eq!(told, Some(Applied::No), "nothing can be sent");
    server.restart().unwrap();
    assert_eq!(driver.commit(driver.next()).await.version, 3);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_timed_out() {
    let bucket = Bucket::new();
    let (proxy, url) = bucket.proxy();
    let store = bucket.config_at(&format!("{url}&timeout=2s")).connect().await.unwrap();
    let driver = Driver::create(&store, "silent").await;
    let commit = driver.next().record(record("x"));
    proxy.silence(true);
    let error = store.commit(commit.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::TimedOut, Some(Applied::Maybe)), "{error:?}");
    proxy.silence(false);
    proxy.cut().unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(store.commit(commit).await.unwrap().version, 2);
}
