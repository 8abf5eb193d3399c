//! Every server starts, answers, dies, comes back with its data, and leaves nothing.

use milepost_servers::{Kind, Ministack, PgBouncer, Postgres, Redis, RedisCluster, Server, address_of};

use crate::talk::{refuses, sql, talk};

#[test]
fn postgres_keeps_what_it_acknowledged() {
    let postgres = Postgres::options().setting("work_mem", "5MB").start().unwrap();
    let address = postgres.address();
    assert_eq!(address_of(&postgres.url()).unwrap(), address);
    assert!(sql(address, "create table t as select 4711 as n").contains("SELECT 1"));
    assert!(sql(address, "show work_mem").contains("5MB"));
    assert!(sql(address, "show fsync").contains("on"));
    postgres.kill().unwrap();
    assert!(refuses(address));
    postgres.kill().unwrap();
    postgres.restart().unwrap();
    assert!(sql(address, "select n from t").contains("4711"));
    postgres.restart().unwrap();
    assert!(sql(address, "select n from t").contains("4711"));
    drop(postgres);
    assert!(refuses(address));
}

#[test]
fn postgres_asks_for_the_password_that_it_was_given() {
    let postgres = Postgres::options().password("secret").start().unwrap();
    assert!(postgres.url().starts_with("postgres://postgres:secret@127.0.0.1:"), "{}", postgres.url());
    assert!(sql(postgres.address(), "select 1").contains("SCRAM-SHA-256"));
}

#[test]
fn pgbouncer_shares_sessions_between_transactions() {
    let bouncer = PgBouncer::start().unwrap();
    let address = bouncer.address();
    assert_ne!(address, bouncer.behind().address());
    assert!(sql(address, "create table t as select 4711 as n").contains("SELECT 1"));
    assert!(sql(bouncer.behind().address(), "select n from t").contains("4711"));
    // What a client sets for its session is there for the next one: transaction mode resets nothing.
    sql(address, "set work_mem = '7MB'");
    assert!(sql(address, "show work_mem").contains("7MB"));
    bouncer.kill().unwrap();
    assert!(refuses(address));
    bouncer.restart().unwrap();
    assert!(sql(address, "select n from t").contains("4711"));
}

#[test]
fn redis_keeps_what_it_acknowledged() {
    let redis = Redis::start().unwrap();
    let address = redis.address();
    assert_eq!(address_of(&redis.url()).unwrap(), address);
    assert_eq!(talk(address, b"SET a 4711\r\n", "\r\n"), "+OK\r\n");
    redis.kill().unwrap();
    assert!(refuses(address));
    redis.restart().unwrap();
    assert_eq!(talk(address, b"GET a\r\n", "4711\r\n"), "$4\r\n4711\r\n");
    drop(redis);
    assert!(refuses(address));
}

#[test]
fn redis_takes_settings_and_a_password() {
    let redis = Redis::options()
        .setting("appendfsync", "everysec")
        .setting("maxmemory-policy", "allkeys-lru")
        .password("secret")
        .start()
        .unwrap();
    assert_eq!(redis.url(), format!("redis://:secret@{}", redis.address()));
    assert!(talk(redis.address(), b"PING\r\n", "\r\n").starts_with("-NOAUTH"));
    let said = talk(
        redis.address(),
        b"AUTH secret\r\nCONFIG GET appendfsync\r\nCONFIG GET maxmemory-policy\r\n",
        "allkeys-lru",
    );
    assert!(said.contains("everysec"), "{said}");
}

#[test]
fn redis_cluster_serves_every_slot_and_moves_clients_to_the_right_node() {
    let cluster = RedisCluster::start().unwrap();
    let nodes = cluster.addresses();
    assert_eq!(nodes.len(), 3);
    assert_eq!(cluster.address(), nodes[0]);
    // The slot of `foo` is 12182, of the third node.
    assert_eq!(talk(nodes[0], b"SET foo 4711\r\n", "\r\n"), format!("-MOVED 12182 {}\r\n", nodes[2]));
    assert_eq!(talk(nodes[2], b"SET foo 4711\r\n", "\r\n"), "+OK\r\n");
    cluster.kill_node(2).unwrap();
    assert!(refuses(nodes[2]) && !refuses(nodes[0]));
    cluster.restart_node(2).unwrap();
    assert_eq!(talk(nodes[2], b"GET foo\r\n", "4711\r\n"), "$4\r\n4711\r\n");
    assert!(cluster.kill_node(3).is_err());
}

#[test]
fn the_object_store_keeps_what_it_acknowledged_and_creates_once() {
    let s3 = Ministack::start().unwrap();
    let (address, bucket) = (s3.address(), s3.bucket());
    assert_eq!(address_of(&s3.url()).unwrap(), address);
    let create = |body: &str| {
        let request = format!(
            "PUT /{bucket}/a HTTP/1.1\r\nHost: {address}\r\nIf-None-Match: *\r\nContent-Length: 4\r\nConnection: close\r\n\r\n{body}"
        );
        talk(address, request.as_bytes(), "no end but that of the connection")
    };
    let get = || {
        let request = format!("GET /{bucket}/a HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        talk(address, request.as_bytes(), "no end but that of the connection")
    };
    assert!(create("4711").starts_with("HTTP/1.1 200"));
    assert!(create("4712").starts_with("HTTP/1.1 412"));
    s3.kill().unwrap();
    assert!(refuses(address));
    s3.restart().unwrap();
    assert!(get().ends_with("4711"), "{}", get());
    assert!(create("4712").starts_with("HTTP/1.1 412"));
}

#[test]
fn what_a_server_said_is_in_the_error_when_it_does_not_start() {
    let error = Redis::options().setting("appendfsync", "sometimes").start().unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("redis ended at once") && error.contains("appendfsync"), "{error}");
}

#[test]
fn a_server_that_is_given_is_not_started() {
    // The variables are those of this process: whoever runs the tests with one set gets that server everywhere.
    for kind in Kind::ALL {
        assert_eq!(kind.given(), std::env::var(kind.variable()).ok().filter(|url| !url.is_empty()));
    }
    let given = milepost_servers::redis().unwrap();
    assert_eq!(given.server().is_none(), Kind::Redis.given().is_some());
    assert!(!refuses(address_of(given.url()).unwrap()));
    assert_eq!(milepost_servers::redis().unwrap().url(), given.url());
}
