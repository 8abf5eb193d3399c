//! The store on an S3 server, held to the contract: that of `MILEPOST_TEST_S3_URL`, or one started for this.

mod bucket;
mod run;

use std::sync::{Arc, OnceLock};

use milepost_conformance::{Scope, harness};
use milepost_core::Result;
use milepost_servers::{Kind, Ministack, Server};

/// The server takes any.
const SECRET: &str = "sesame-open-thyself";

/// The server of a scope whose case kills it.
fn own(scope: &Scope) -> Result<Arc<Ministack>> {
    let slot = scope.shared(Arc::<OnceLock<Arc<Ministack>>>::default);
    if let Some(server) = slot.get() {
        return Ok(server.clone());
    }
    let server = Ministack::start().map_err(|error| bucket::failed(format!("{error:#}")))?;
    Ok(slot.get_or_init(|| Arc::new(server)).clone())
}

/// The URL of the scope's own server. Whoever connects first writes it down, so that a second process finds the same one.
fn own_url(scope: &Scope) -> Result<String> {
    let file = scope.dir()?.join("server");
    if let Ok(url) = std::fs::read_to_string(&file) {
        return Ok(url);
    }
    let url = own(scope)?.url();
    std::fs::write(&file, &url).map_err(bucket::failed)?;
    Ok(url)
}

fn url(scope: &Scope) -> Result<String> {
    let url = if scope.own_server() {
        own_url(scope)?
    } else {
        milepost_servers::s3().map_err(|error| bucket::failed(format!("{error:#}")))?.url().to_owned()
    };
    Ok(url.replace("secret_access_key=test", &format!("secret_access_key={SECRET}")))
}

fn main() -> std::process::ExitCode {
    let s3 = harness("s3", |scope| async move {
        bucket::config(&scope, &url(&scope)?)?.clock(scope.clock()).connect().await
    });
    let s3 = bucket::hooked(s3, url)
        .with_server(
            |scope| async move { own(&scope)?.kill().map_err(bucket::failed) },
            |scope| async move { own(&scope)?.restart().map_err(bucket::failed) },
        )
        .with_secret(SECRET);
    milepost_servers::for_all_processes(Kind::S3, || milepost_conformance::main(s3))
}
