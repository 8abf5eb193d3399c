//! Files and circumstances that the store refuses, each by name, and leaves as they were.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use milepost_core::{Applied, Error, ErrorKind, Store};
use milepost_store_sqlite::SqliteConfig;
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{Driver, World, record, run};

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

async fn execute(path: &Path, sql: &'static str) {
    let mut connection = raw(path).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn refused(path: &Path) -> Error {
    SqliteConfig::new(path).busy_timeout(Duration::from_millis(200)).connect().await.unwrap_err()
}

fn assert_told(error: &Error, kind: ErrorKind, told: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(told), "{error}");
    assert!(error.to_string().starts_with("sqlite connect: "), "{error}");
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_named() {
    let world = World::new();
    let missing = world.folder.path().join("no/such/runs.db");
    assert_told(&refused(&missing).await, ErrorKind::Config, "does not exist; create it first");
    assert_told(&refused(world.folder.path()).await, ErrorKind::Config, "is a folder");
    let error = world.config().create(false).connect().await.unwrap_err();
    assert_told(&error, ErrorKind::Config, "create=false");
    assert!(!world.path().exists());
}

#[tokio::test]
async fn a_database_of_another_program_is_left_as_it_is() {
    for sql in [
        "CREATE TABLE t (a); INSERT INTO t VALUES (1)",
        "PRAGMA application_id = 1196444487; CREATE TABLE t (a)",
        "PRAGMA user_version = 7",
    ] {
        let world = World::new();
        execute(&world.path(), sql).await;
        let before = fs::read(world.path()).unwrap();
        assert_told(&refused(&world.path()).await, ErrorKind::Config, "of another program");
        assert_eq!(fs::read(world.path()).unwrap(), before, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_by_its_version() {
    let world = World::new();
    world.store().await.close().await.unwrap();
    execute(&world.path(), "PRAGMA user_version = 2").await;
    assert_told(&refused(&world.path()).await, ErrorKind::Newer, "schema version 2");
}

#[tokio::test]
async fn what_is_no_database_is_corrupt() {
    let world = World::new();
    fs::write(world.path(), "This is a text that somebody wrote, long enough for a header.".repeat(100))
        .unwrap();
    assert_told(&refused(&world.path()).await, ErrorKind::Corrupt, "not a SQLite database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_database_is_corrupt() {
    let world = World::new();
    let store = world.store().await;
    let mut driver = Driver::create(&store, "a").await;
    for _ in 0..20 {
        driver.append(vec![7; 3000]).await;
    }
    store.close().await.unwrap();
    let whole = fs::read(world.path()).unwrap();
    for keep in [100, 512, 4096, whole.len() / 2, whole.len() - 4096] {
        fs::write(world.path(), &whole[..keep]).unwrap();
        let error = match world.config().connect().await {
            Err(error) => error,
            Ok(store) => {
                let error = store.head(&run("a")).await.unwrap_err();
                store.close().await.unwrap();
                error
            }
        };
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{keep}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_busy_after_the_configured_time_and_works_again() {
    let world = World::new();
    let store = world.config().busy_timeout(Duration::from_millis(300)).connect().await.unwrap();
    let mut driver = Driver::create(&store, "a").await;
    let mut other = raw(&world.path()).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let commit = driver.next().record(record("x"));
    #[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
    let start = Instant::now();
    let error = store.commit(commit.clone()).await.unwrap_err();
    let waited = start.elapsed();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Busy, Some(Applied::No)));
    assert!(waited >= Duration::from_millis(300) && waited < Duration::from_secs(5), "{waited:?}");
    assert_eq!(store.head(&run("a")).await.unwrap().unwrap().cursor, 0, "who reads is not locked out");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(driver.commit(commit).await.cursor, 1);
}

/// Opens the database that the test below names, and says how it went.
#[tokio::test]
async fn child_without_rights() {
    let Ok(path) = std::env::var("MILEPOST_READ_ONLY") else { return };
    let error = refused(Path::new(&path)).await;
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error:?}");
    assert!(error.to_string().contains("cannot be written"), "{error}");
}

/// Root may write everything, so another user tries.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_be_written_is_read_only() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};
    let world = World::new();
    world.store().await.close().await.unwrap();
    let copy = world.folder.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(world.folder.path(), 0o555);
    allow(&world.path(), 0o444);
    allow(&copy, 0o555);
    let mut child = Command::new(&copy);
    child.args(["--exact", "refusing::child_without_rights"]).env("MILEPOST_READ_ONLY", world.path());
    if fs::File::options().write(true).open(world.path()).is_ok() {
        child.uid(65534).gid(65534);
    }
    let ended = child.output().unwrap();
    allow(world.folder.path(), 0o755);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
}
