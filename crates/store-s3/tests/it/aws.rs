//! Amazon's SDK beside the driver: where credentials come from, and buckets that are made.

use std::{fs, process::Command};

use milepost_core::{ErrorKind, Ids, Store, SystemIds};
use milepost_store_s3::S3Store;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Names the endpoint to the process that has the profile.
const ENDPOINT: &str = "MILEPOST_TEST_AWS_ENDPOINT";

fn fresh_bucket() -> (String, String) {
    let name = format!("made-{:x}", SystemIds.bits() as u64);
    let url = milepost_servers::s3().unwrap().url().replace("s3://milepost?", &format!("s3://{name}?"));
    (name, url)
}

#[tokio::test]
async fn a_bucket_is_made_only_where_that_is_asked_for() {
    let (_, url) = fresh_bucket();
    let error = S3Store::connect(&format!("{url}&prepare=1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    let makes = format!("{url}&prepare=1&create_bucket=1");
    // It is there for who comes second, and for who does not ask.
    for url in [&makes, &makes, &url] {
        let store = S3Store::connect(url).await.unwrap();
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn many_make_one_bucket_at_once() {
    let (_, url) = fresh_bucket();
    let url = format!("{url}&prepare=1&create_bucket=1");
    let connects = (0..8).map(|_| S3Store::connect(&url));
    for store in futures_util::future::join_all(connects).await {
        store.unwrap().close().await.unwrap();
    }
}

#[tokio::test]
async fn a_name_that_is_none_and_a_service_that_is_not_there_are_told_apart() {
    let (name, url) = fresh_bucket();
    let none = url.replace(&name, "No_Bucket");
    let error = S3Store::connect(&format!("{none}&prepare=1&create_bucket=1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    let closed = "s3://bucket?endpoint=http://127.0.0.1:1&allow_http=1&region=us-east-1&access_key_id=someone&\
                  secret_access_key=sesame-open-thyself&create_bucket=1";
    let error = S3Store::connect(closed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(!format!("{error:?}").contains("sesame"), "{error:?}");
}

/// A service that refuses everybody, and hands on the heads of the requests.
async fn listener() -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (heads, received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 1 << 16];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let _ = heads.send(String::from_utf8_lossy(&request[..read]).into_owned());
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    (endpoint, received)
}

/// The profile names a program that gives the credentials: nothing but the SDK's chain asks it.
#[tokio::test]
async fn a_profile_gives_credentials_and_a_region() {
    if let Ok(endpoint) = std::env::var(ENDPOINT) {
        let url = format!("s3://bucket?endpoint={endpoint}&allow_http=1");
        let error = S3Store::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let (given, profiles) = (home.path().join("given.json"), home.path().join("config"));
    let credentials = r#"{"Version": 1, "AccessKeyId": "KEYOFTHEPROFILE", "SecretAccessKey": "sesame", "SessionToken": "of-today"}"#;
    fs::write(&given, credentials).unwrap();
    let profile =
        format!("[profile milepost]\nregion = eu-north-1\ncredential_process = cat {}\n", given.display());
    fs::write(&profiles, profile).unwrap();
    let (endpoint, mut heads) = listener().await;
    let this = std::env::current_exe().unwrap();
    let child = tokio::task::spawn_blocking(move || {
        let name = "aws::a_profile_gives_credentials_and_a_region";
        let mut command = Command::new(this);
        command.args(["--exact", name]).env(ENDPOINT, endpoint).env("AWS_PROFILE", "milepost");
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"] {
            command.env_remove(name);
        }
        command.env("AWS_CONFIG_FILE", profiles).output().unwrap()
    });
    let child = child.await.unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let head = heads.recv().await.unwrap();
    let signed = head.lines().find(|line| line.to_lowercase().starts_with("authorization:")).unwrap();
    assert!(signed.contains("Credential=KEYOFTHEPROFILE/"), "{signed}");
    assert!(signed.contains("/eu-north-1/s3/"), "{signed}");
    assert!(head.to_lowercase().contains("x-amz-security-token: of-today"), "{head}");
}
