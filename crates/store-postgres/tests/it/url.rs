//! URLs: what is known, and what is refused before anything is connected to.

use milepost_core::ErrorKind;
use milepost_store_postgres::PostgresConfig;

#[test]
fn what_is_known_is_taken() {
    for url in [
        "postgres://localhost",
        "postgresql://user:secret@localhost:6543/jobs",
        "postgres://user:secret@host/jobs?schema=a_b1&prepare=1&connections=3&timeout=500ms&pooler=transaction",
        "postgres://user:secret@host/jobs?sslmode=prefer&application_name=worker",
        "postgres:///jobs?host=/var/run/postgresql",
    ] {
        let config = PostgresConfig::from_url(url).unwrap();
        assert!(!format!("{config:?}").contains("secret"), "{config:?}");
    }
}

#[test]
fn what_is_not_known_is_refused_without_telling_a_secret() {
    for url in [
        "redis://localhost",
        "localhost:5432",
        "postgres:localhost",
        "postgres://u:secret@localhost:port",
        "postgres://u:secret@localhost?shcema=x",
        "postgres://localhost?schema=",
        "postgres://localhost?schema=A",
        "postgres://localhost?schema=1a",
        "postgres://localhost?schema=a\"b",
        "postgres://localhost?timeout=5",
        "postgres://localhost?connections=0",
        "postgres://localhost?pooler=maybe",
        "postgres://localhost?prepare=yes",
        "postgres://localhost?password=secret",
    ] {
        let error = PostgresConfig::from_url(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn encryption_that_is_not_there_names_its_feature() {
    let error = PostgresConfig::from_url("postgres://localhost?sslmode=require").unwrap_err();
    assert!(error.to_string().contains("feature \"tls\""), "{error}");
}
