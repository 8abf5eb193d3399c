//! TLS, with a server whose certificate is for `localhost` and signed by nobody whom the machine knows.

use milepost_core::{ErrorKind, Store};
use milepost_servers::{Certificates, Redis, Server};

use crate::support::{Driver, World, record};

/// Of a port with TLS, by this name of the machine and with this root, if any.
fn url(host: &str, port: u16, root: Option<&Certificates>) -> String {
    let root = root.map(|root| format!("?sslrootcert={}", root.root().display())).unwrap_or_default();
    format!("rediss://{host}:{port}{root}")
}

#[tokio::test]
async fn a_server_that_is_trusted_is_spoken_to_in_secret() {
    let certificates = Certificates::make().unwrap();
    let server = Redis::options().tls(&certificates).start().unwrap();
    let world = World::on(&server.url());
    // Nothing else is spoken at this port.
    let port = server.tls().unwrap().port();
    let store = world.config_at(&url("localhost", port, Some(&certificates))).connect().await.unwrap();
    let mut driver = Driver::create(&store, "sealed").await;
    driver.commit(driver.next().record(record("x"))).await;
    // The connection that comes after one that was cut is no other.
    server.restart().unwrap();
    assert_eq!(driver.commit(driver.next().record(record("y"))).await.cursor, 2);
    assert_eq!(world.store().await.head(&driver.run).await.unwrap().unwrap().cursor, 2);
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused() {
    let (certificates, others) = (Certificates::make().unwrap(), Certificates::make().unwrap());
    let server = Redis::options().tls(&certificates).start().unwrap();
    let world = World::on(&server.url());
    let port = server.tls().unwrap().port();
    for url in [
        url("localhost", port, Some(&others)),
        url("localhost", port, None),
        // The right root, and another name than that of the certificate.
        url("127.0.0.1", port, Some(&certificates)),
    ] {
        let error = world.config_at(&url).connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}: {error:?}");
        assert!(error.to_string().contains("sslrootcert"), "{error}");
    }
    // A server that hears no TLS waits for the end of a line.
    let deaf = url("localhost", server.address().port(), Some(&certificates)) + "&timeout=300ms";
    let error = world.config_at(&deaf).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error:?}");
    let plain = world.config_at(&format!("redis://localhost:{port}")).connect().await.unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::Unavailable, "{plain:?}");
}

#[tokio::test]
async fn a_root_that_is_none_is_told() {
    let world = World::new();
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (file, told) in [("/nowhere/root.pem", "/nowhere/root.pem: cannot be read"), (here, "sslrootcert")] {
        let url = format!("rediss://localhost:1?sslrootcert={file}&timeout=1s");
        let error = world.config_at(&url).connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains(told), "{error}");
    }
}
