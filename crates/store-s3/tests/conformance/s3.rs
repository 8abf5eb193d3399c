//! The store on an S3 server, held to the contract: that of `MILEPOST_TEST_S3_URL`, or one started for this.

mod bucket;
mod run;

use std::sync::Arc;

use milepost_conformance::{Scope, harness};
use milepost_core::Result;
use milepost_servers::{Kind, Own, Server};

/// The server takes any.
const SECRET: &str = "sesame-open-thyself";

/// The server of a scope whose case kills it.
fn own(scope: &Scope) -> Arc<Own> {
    scope.shared(Arc::default)
}

fn url(scope: &Scope) -> Result<String> {
    let url = if scope.own_server() {
        own(scope)
            .url(Kind::S3, &scope.dir()?.join("server"))
            .map_err(|error| bucket::failed(format!("{error:#}")))?
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
            |scope| async move { own(&scope).with(Server::kill).map_err(bucket::failed) },
            |scope| async move { own(&scope).with(Server::restart).map_err(bucket::failed) },
        )
        .with_secret(SECRET);
    milepost_servers::for_all_processes(Kind::S3, || milepost_conformance::main(s3))
}
