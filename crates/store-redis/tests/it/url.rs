//! URLs: what is known, and what is refused before anything is connected to.

use milepost_core::ErrorKind;
use milepost_store_redis::RedisConfig;

#[test]
fn what_is_known_is_taken() {
    for url in [
        "redis://localhost",
        "redis://localhost:7000/2",
        "redis://user:secret@localhost:7000/0?prefix=a.b-c_d&timeout=500ms&prepare=1",
        "redis://localhost?wait=1&wait_timeout=2s",
        "redis://localhost?waitaof=1,0",
        "redis://a:1,b:2,c:3?cluster=1",
        "redis+cluster://user:secret@a:1,b:2",
        "redis+unix:///tmp/redis.sock",
    ] {
        let config = RedisConfig::from_url(url).unwrap();
        assert!(!format!("{config:?}").contains("secret"), "{config:?}");
    }
}

#[test]
fn what_is_not_known_is_refused_without_telling_a_secret() {
    for url in [
        "postgres://localhost",
        "localhost:6379",
        "redis:localhost",
        "redis://secret@:x:y/z",
        "redis://u:secret@localhost:port",
        "redis://localhost/zero",
        "redis://a,b",
        "redis://localhost?perfix=x",
        "redis://localhost?prefix=",
        "redis://localhost?prefix=a{b}",
        "redis://localhost?prefix=a:b",
        "redis://localhost?timeout=5",
        "redis://localhost?wait=many",
        "redis://localhost?waitaof=1",
        "redis://localhost?waitaof=2,0",
        "redis://localhost?wait=1&waitaof=1,0",
        "redis://localhost?cluster=maybe",
        "redis://localhost?sslrootcert=/etc/ssl/cert.pem",
    ] {
        let error = RedisConfig::from_url(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_feature_that_is_off_is_named() {
    let error = RedisConfig::from_url("rediss://localhost").unwrap_err();
    assert!(error.to_string().contains("\"tls\""), "{error}");
}
