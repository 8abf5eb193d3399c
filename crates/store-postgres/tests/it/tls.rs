//! TLS, with a server whose certificate is for `localhost` and signed by nobody whom the machine knows.

use milepost_core::{ErrorKind, Store};
use milepost_servers::{Certificates, Postgres, Server};
use milepost_store_postgres::PostgresConfig;

use crate::support::{Driver, World, record};

/// A server that speaks TLS, and what it takes to trust it.
struct Sealed {
    server: Postgres,
    certificates: Certificates,
}

impl Sealed {
    fn start() -> Self {
        let certificates = Certificates::make().unwrap();
        Self { server: Postgres::options().tls(&certificates).start().unwrap(), certificates }
    }

    /// By this name of the machine, with this root, if any.
    fn url(&self, host: &str, mode: &str, root: Option<&Certificates>) -> String {
        let port = self.server.address().port();
        let root = root.map(|root| format!("&sslrootcert={}", root.root().display())).unwrap_or_default();
        format!("postgres://postgres@{host}:{port}/postgres?application_name=sealed&sslmode={mode}{root}")
    }
}

#[tokio::test]
async fn a_server_that_is_trusted_is_spoken_to_in_secret() {
    let sealed = Sealed::start();
    let (own, world) = (Some(&sealed.certificates), World::on(&sealed.server.url()));
    let mut raw = world.raw().await;
    for (host, mode, root) in [
        ("localhost", "verify-full", own),
        ("127.0.0.1", "verify-ca", own),
        ("127.0.0.1", "require", None),
        ("127.0.0.1", "prefer", None),
    ] {
        let store = world.config_at(&sealed.url(host, mode, root)).connect().await.unwrap();
        let mut driver = Driver::create(&store, &format!("{host} {mode}")).await;
        driver.commit(driver.next().record(record("x"))).await;
        let open =
            "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'sealed'";
        let sealed: Vec<bool> = raw.ask(open).await;
        assert!(!sealed.is_empty() && sealed.iter().all(|sealed| *sealed), "{host} {mode}: {sealed:?}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused() {
    let (sealed, others) = (Sealed::start(), Certificates::make().unwrap());
    let world = World::on(&sealed.server.url());
    for (host, mode, root) in [
        ("localhost", "verify-full", Some(&others)),
        ("localhost", "verify-ca", Some(&others)),
        ("localhost", "verify-full", None),
        // The right root, and another name than that of the certificate.
        ("127.0.0.1", "verify-full", Some(&sealed.certificates)),
    ] {
        let error = world.config_at(&sealed.url(host, mode, root)).connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{host} {mode}: {error:?}");
        assert!(error.to_string().contains("sslrootcert"), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_it_and_a_root_that_is_not_there_are_told() {
    let world = World::new();
    let error = world.config_at(&format!("{}?sslmode=require", world.url)).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("sslmode"), "{error}");
    let missing = format!("{}?sslmode=verify-full&sslrootcert=/nowhere/root.pem", world.url);
    let error = PostgresConfig::from_url(&missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("/nowhere/root.pem"), "{error}");
}
