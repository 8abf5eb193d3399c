//! What a URL may say.

use std::path::Path;

use milepost_core::ErrorKind;
use milepost_store_sqlite::SqliteConfig;

#[test]
fn a_url_names_a_file_and_settings() {
    for (url, path) in [
        ("sqlite:runs.db", "runs.db"),
        ("sqlite://runs.db", "runs.db"),
        ("sqlite:/var/lib/runs.db", "/var/lib/runs.db"),
        ("sqlite:///var/lib/runs.db", "/var/lib/runs.db"),
        ("sqlite:a%20b%3F.db", "a b?.db"),
        ("sqlite:a+b.db", "a+b.db"),
        ("sqlite:%C3%A9.db", "é.db"),
        ("sqlite:file:runs.db", "file:runs.db"),
        ("sqlite:runs.db?", "runs.db"),
        (
            "sqlite:runs.db?synchronous=full&busy_timeout=500ms&readers=8&create=false&max_size=512MiB",
            "runs.db",
        ),
    ] {
        let config = SqliteConfig::from_url(url).unwrap();
        assert_eq!(config.path(), Path::new(path), "{url}");
    }
}

#[test]
fn a_wrong_url_says_what_is_wrong() {
    for (url, told) in [
        ("postgres://host/db", "begins with sqlite:"),
        ("sqlite:", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite::memory:", "use memory:"),
        ("sqlite://:memory:", "use memory:"),
        ("sqlite:runs.db?sinchronous=full", "synchronous, busy_timeout, readers, create, max_size"),
        ("sqlite:runs.db?mode=memory", "unknown parameter \"mode\""),
        ("sqlite:runs.db?synchronous=off", "full, normal or extra"),
        ("sqlite:runs.db?busy_timeout=5", "a duration such as"),
        ("sqlite:runs.db?busy_timeout=-5s", "a duration such as"),
        ("sqlite:runs.db?readers=0", "from 1 to 64"),
        ("sqlite:runs.db?create", "true or false"),
        ("sqlite:runs.db?max_size=1GB", "number of bytes"),
        ("sqlite:runs%2.db", "percent-encoded"),
        ("sqlite:runs%ff.db", "percent-encoded"),
        ("sqlite:runs%00.db", "percent-encoded"),
    ] {
        let error = SqliteConfig::from_url(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(error.to_string().contains(told), "{url}: {error}");
    }
}
