//! What the proxy does to real servers, and what it counts.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use milepost_servers::{Loss, Ministack, Postgres, Proxy, Redis, Server, address_of};

use crate::talk::{refuses, sql, talk};

/// A client with one connection, and replies of one line.
struct Client(BufReader<TcpStream>);

impl Client {
    fn of(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, command: &str) {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
    }

    /// The next line; an error for a connection that has ended.
    fn reply(&mut self) -> Result<String, ErrorKind> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => Err(ErrorKind::UnexpectedEof),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(error.kind()),
        }
    }

    fn ask(&mut self, command: &str) -> Result<String, ErrorKind> {
        self.send(command);
        self.reply()
    }
}

#[test]
fn a_reply_is_lost_and_what_was_asked_is_done() {
    let redis = Redis::start().unwrap();
    let proxy = Proxy::before(&redis.url()).unwrap();
    assert_eq!(address_of(&proxy.url()).unwrap(), proxy.address());
    // Every request of a run of fifty loses its reply once, and is sent again.
    for number in 1..=50 {
        proxy.lose(Loss::reply(1).to("INCR"));
        let mut client = Client::of(proxy.address());
        assert_eq!(client.ask("INCR a"), Err(ErrorKind::ConnectionReset));
        assert_eq!(proxy.lost(), number);
    }
    assert_eq!(Client::of(proxy.address()).ask("INCR a").unwrap(), ":51");
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.of("INCR"), counts.replies, counts.garbled), (51, 51, 51, 0));
}

#[test]
fn a_request_is_lost_and_not_done() {
    let redis = Redis::start().unwrap();
    let proxy = Proxy::before(&redis.url()).unwrap();
    proxy.lose(Loss::request(2));
    let mut client = Client::of(proxy.address());
    assert_eq!(client.ask("INCR a").unwrap(), ":1");
    assert_eq!(client.ask("INCR a"), Err(ErrorKind::ConnectionReset));
    assert_eq!(Client::of(redis.address()).ask("INCR a").unwrap(), ":2");
}

#[test]
fn requests_that_are_sent_together_are_one_trip() {
    let redis = Redis::start().unwrap();
    let proxy = Proxy::before(&redis.url()).unwrap();
    let mut client = Client::of(proxy.address());
    client.ask("PING").unwrap();
    let before = proxy.counts();
    client.send("SET a 1\r\nINCR a\r\nINCR a");
    assert_eq!([(); 3].map(|()| client.reply().unwrap()), ["+OK", ":2", ":3"]);
    let counts = proxy.counts().since(&before);
    assert_eq!((counts.requests, counts.trips, counts.replies), (3, 1, 3));
    assert_eq!(counts.messages().collect::<Vec<_>>(), [("INCR", 2), ("SET", 1)]);
}

#[test]
fn a_delay_is_that_of_a_line_and_silence_gives_no_error() {
    let redis = Redis::start().unwrap();
    let proxy = Proxy::before(&redis.url()).unwrap();
    let mut client = Client::of(proxy.address());
    proxy.delay(Duration::from_millis(100), Duration::from_millis(100));
    client.0.get_ref().set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    assert_eq!(client.ask("PING"), Err(ErrorKind::WouldBlock));
    client.0.get_ref().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(client.reply().unwrap(), "+PONG");

    proxy.delay(Duration::ZERO, Duration::ZERO);
    proxy.silence(true);
    client.0.get_ref().set_read_timeout(Some(Duration::from_millis(150))).unwrap();
    assert_eq!(client.ask("PING"), Err(ErrorKind::WouldBlock));
    proxy.silence(false);
    // The connection has lost bytes and stays dead; a new one is alive.
    assert_eq!(client.ask("PING"), Err(ErrorKind::WouldBlock));
    assert_eq!(Client::of(proxy.address()).ask("PING").unwrap(), "+PONG");
}

#[test]
fn connections_are_cut_and_new_ones_refused() {
    let redis = Redis::start().unwrap();
    let proxy = Proxy::before(&redis.url()).unwrap();
    let mut client = Client::of(proxy.address());
    client.ask("PING").unwrap();
    proxy.refuse(true).unwrap();
    assert!(refuses(proxy.address()));
    assert_eq!(client.ask("PING").unwrap(), "+PONG");
    proxy.cut().unwrap();
    assert_eq!(client.reply(), Err(ErrorKind::ConnectionReset));
    proxy.refuse(false).unwrap();
    assert_eq!(Client::of(proxy.address()).ask("PING").unwrap(), "+PONG");
    drop(proxy);
    assert_eq!(Client::of(redis.address()).ask("PING").unwrap(), "+PONG");
}

#[test]
fn a_server_that_is_down_is_a_reset_and_comes_back_behind_the_same_address() {
    let redis = Redis::start().unwrap();
    let proxy = Proxy::before(&redis.url()).unwrap();
    redis.kill().unwrap();
    let mut client = Client::of(proxy.address());
    assert!(client.reply().is_err());
    redis.restart().unwrap();
    assert_eq!(Client::of(proxy.address()).ask("PING").unwrap(), "+PONG");
}

#[test]
fn a_statement_of_postgres_is_done_and_its_reply_lost() {
    let postgres = Postgres::start().unwrap();
    let proxy = Proxy::before(&postgres.url()).unwrap();
    assert!(sql(proxy.address(), "create table t (n int)").contains("CREATE TABLE"));
    let counts = proxy.counts();
    assert_eq!((counts.requests, counts.trips, counts.replies), (2, 1, 2));
    assert_eq!((counts.of("Startup"), counts.of("Query"), counts.garbled), (1, 1, 0));

    proxy.lose(Loss::reply(1).to("Query"));
    let address = proxy.address();
    let lost = std::thread::spawn(move || sql(address, "insert into t values (4711)")).join();
    assert!(lost.is_err(), "the reading helper hears of a reset");
    assert!(sql(postgres.address(), "select n from t").contains("4711"));
    proxy.lose(Loss::request(1).to("Query"));
    let lost = std::thread::spawn(move || sql(address, "insert into t values (4712)")).join();
    assert!(lost.is_err(), "the reading helper hears of a reset");
    assert!(!sql(postgres.address(), "select n from t").contains("4712"));
}

#[test]
fn a_put_is_done_and_its_reply_lost() {
    let s3 = Ministack::start().unwrap();
    let proxy = Proxy::before(&s3.url()).unwrap();
    assert!(proxy.url().contains(&format!("endpoint=http://{}", proxy.address())), "{}", proxy.url());
    let put = format!(
        "PUT /{}/a HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\nContent-Length: 4\r\n\r\n4711",
        s3.bucket()
    );
    proxy.lose(Loss::reply(1).to("PUT"));
    let (sender, receiver) = mpsc::channel();
    let address = proxy.address();
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(put.as_bytes()).unwrap();
        sender.send(stream.read(&mut [0; 100]).map_err(|error| error.kind())).unwrap();
        talk(address, put.as_bytes(), "PreconditionFailed")
    });
    assert_eq!(receiver.recv().unwrap(), Err(ErrorKind::ConnectionReset));
    assert!(client.join().unwrap().starts_with("HTTP/1.1 412"));
    let counts = proxy.counts();
    assert_eq!((counts.of("PUT"), counts.requests, counts.replies, counts.garbled), (2, 2, 2, 0));
}
