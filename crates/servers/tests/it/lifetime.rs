//! No server outlives its process, unless it is asked to.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use milepost_servers::{Postgres, Redis, Server, address_of};

/// Set for the process that is going to be killed.
const ROLE: &str = "MILEPOST_SERVERS_TEST_ROLE";

fn within_seconds(what: &str, mut look: impl FnMut() -> bool) {
    for _ in 0..200 {
        if look() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not after ten seconds");
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}

#[test]
#[expect(clippy::print_stdout, reason = "the other process hears of the server so")]
fn a_process_that_is_killed_takes_its_servers_along() {
    if std::env::var_os(ROLE).is_some() {
        let servers: [Box<dyn Server>; 2] =
            [Box::new(Postgres::start().unwrap()), Box::new(Redis::start().unwrap())];
        println!("\nserver {} {}", servers[0].url(), servers[1].url());
        loop {
            std::thread::park();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    // A server under another account has to reach its own folder inside.
    #[cfg(unix)]
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lifetime::a_process_that_is_killed_takes_its_servers_along", "--nocapture"])
        .env(ROLE, "killed")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let said = lines.map(Result::unwrap).find(|line| line.starts_with("server ")).unwrap();
    let addresses: Vec<_> = said.split(' ').skip(1).map(|url| address_of(url).unwrap()).collect();
    assert!(addresses.iter().all(|address| TcpStream::connect(address).is_ok()));
    assert!(!is_empty(folder.path()));

    process.kill().unwrap();
    process.wait().unwrap();
    for address in addresses {
        within_seconds("the server ends", || TcpStream::connect(address).is_err());
    }
    within_seconds("its folder goes", || is_empty(folder.path()));
}

#[test]
fn a_panic_stops_the_server() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let redis = Redis::start().unwrap();
        sender.send(redis.address()).unwrap();
        panic!("on purpose");
    })
    .join();
    assert!(panicked.is_err());
    assert!(TcpStream::connect(receiver.recv().unwrap()).is_err());
}

#[test]
fn a_server_that_is_left_goes_on_until_it_is_stopped_by_hand() {
    let redis = Redis::start().unwrap();
    let address = redis.address();
    let left = redis.leave();
    drop(redis);
    assert!(TcpStream::connect(address).is_ok() && left.folders[0].is_dir());
    assert!(Command::new("sh").args(["-c", &left.stop_command()]).status().unwrap().success());
    within_seconds("the server ends", || TcpStream::connect(address).is_err());
    assert!(!left.folders[0].exists());
}
