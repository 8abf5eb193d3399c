//! The store on an S3 server, held to the contract: that of `MILEPOST_TEST_S3_URL`, or one started for this.

mod bucket;
mod run;

use std::sync::{Arc, OnceLock};

use milepost_conformance::{Scope, harness};
use milepost_core::Result;
use milepost_servers::{Ministack, Server};

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

fn url(scope: &Scope) -> Result<String> {
    bucket::url(scope, || {
        let url = if scope.own_server() {
            own(scope)?.url()
        } else {
            milepost_servers::s3().map_err(|error| bucket::failed(format!("{error:#}")))?.url().to_owned()
        };
        Ok(url.replace("secret_access_key=test", &format!("secret_access_key={SECRET}")))
    })
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
    milepost_conformance::main(s3)
}
