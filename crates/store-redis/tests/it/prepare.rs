//! Making a place ready.

use milepost_core::ErrorKind;
use milepost_store_redis::RedisConfig;

use crate::support::World;

#[tokio::test]
async fn what_was_not_made_ready_is_told_with_the_way_to_it() {
    let world = World::new();
    let config = RedisConfig::from_url(&world.url).unwrap().prefix(&world.prefix).unwrap();
    let error = config.clone().connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPrepared, "{error:?}");
    assert!(
        error.to_string().contains("milepost::prepare") && error.to_string().contains("prepare=1"),
        "{error}"
    );
    config.prepare().await.unwrap();
    config.prepare().await.unwrap();
    config.connect().await.unwrap();
}

#[tokio::test]
async fn many_make_it_ready_at_once() {
    let world = World::new();
    let all = (0..8).map(|_| {
        let config = world.config();
        tokio::spawn(async move { config.prepare().await })
    });
    for one in futures_util::future::join_all(all).await {
        one.unwrap().unwrap();
    }
    assert_eq!(world.raw().await.keys().await.len(), 1);
}

#[tokio::test]
async fn a_newer_format_and_a_foreign_key_are_refused() {
    for (value, kind) in [("2", ErrorKind::Newer), ("pickles", ErrorKind::Corrupt)] {
        let world = World::new();
        let key = format!("{}:format", world.prefix);
        let () = world.raw().await.ask(&[b"SET", key.as_bytes(), value.as_bytes()]).await;
        let error = world.config().connect().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        let kept: String = world.raw().await.ask(&[b"GET", key.as_bytes()]).await;
        assert_eq!(kept, value);
    }
}
