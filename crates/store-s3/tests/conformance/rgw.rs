//! The store on Ceph's object gateway, which checks signatures, held to the contract.

mod bucket;
mod run;

use std::sync::OnceLock;

use milepost_conformance::{Scope, harness};
use milepost_core::Result;
use milepost_servers::{Kind, Radosgw, Server};

/// One for all scopes, started for this process unless the environment names one; it ends with it.
fn url(scope: &Scope) -> Result<String> {
    static GATEWAY: OnceLock<Result<(String, Option<Radosgw>), String>> = OnceLock::new();
    bucket::url(scope, || {
        let started = GATEWAY.get_or_init(|| match Kind::Radosgw.given() {
            Some(url) => Ok((url, None)),
            None => Radosgw::start()
                .map(|server| (server.url(), Some(server)))
                .map_err(|error| format!("{error:#}")),
        });
        started.as_ref().map(|(url, _)| url.clone()).map_err(bucket::failed)
    })
}

fn main() -> std::process::ExitCode {
    let rgw = harness("rgw", |scope| async move {
        bucket::config(&scope, &url(&scope)?)?.clock(scope.clock()).connect().await
    });
    milepost_conformance::main(bucket::hooked(rgw, url).with_secret("milepost-secret"))
}
