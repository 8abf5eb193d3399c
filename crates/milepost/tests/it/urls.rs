//! `connect` and its errors, as a user meets them.

use milepost::{ErrorKind, RunId, connect, prepare};

#[tokio::test]
async fn a_wrong_url_says_what_to_do() {
    for (url, says) in [
        ("", "one of memory:, sqlite:"),
        ("runs.db", "one of memory:, sqlite:"),
        ("mysql://localhost", "unknown scheme \"mysql\"; the known ones are memory:, sqlite:"),
        ("sqlite:", "names no file"),
        ("sqlite:runs.db?sync=full", "unknown parameter \"sync\""),
        ("sqlite:runs.db?synchronous=maybe", "full, normal or extra"),
        ("sqlite:runs.db?group_commit=maybe", "on or off"),
        ("sqlite::memory:", "memory:"),
    ] {
        let error = connect(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error}");
        assert!(error.to_string().contains(says), "{url}: {error}");
    }
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn each_memory_store_is_its_own() {
    use milepost::{Ids, Manifest, Open, RunInfo, SystemIds};
    let (one, other) = (connect("memory:").await.unwrap(), connect("memory:").await.unwrap());
    let run = RunId::from_static("run");
    let open = Open::create(SystemIds.operation(), RunInfo::named("test"), Manifest::of(b"test"));
    one.open(&run, open).await.unwrap();
    assert!(one.head(&run).await.unwrap().is_some());
    assert!(other.head(&run).await.unwrap().is_none());
    assert_eq!(connect("memory:?x=1").await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn preparing_twice_is_harmless_and_what_is_prepared_connects() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/runs.db", folder.path().display());
    prepare(&url).await.unwrap();
    prepare(&url).await.unwrap();
    for parameter in ["", "?group_commit=off", "?group_commit=on&synchronous=full"] {
        let store = connect(&format!("{url}{parameter}")).await.unwrap();
        assert!(store.head(&RunId::from_static("nobody")).await.unwrap().is_none());
        store.close().await.unwrap();
    }
}

#[test]
fn the_readme_shows_the_example_import() {
    let example = include_str!("../../examples/import.rs");
    let readme = include_str!("../../../../README.md");
    let (_, code) = example.split_once("\n\nuse ").unwrap();
    assert!(
        readme.contains(&format!("```rust,no_run\nuse {code}```")),
        "the README's first block is not examples/import.rs"
    );
}
