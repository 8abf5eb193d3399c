//! The store on Ceph's object gateway, which checks signatures, held to the contract.

mod bucket;
mod run;

use milepost_conformance::{Scope, harness};
use milepost_core::Result;
use milepost_servers::Kind;

/// One for all scopes.
fn url(_: &Scope) -> Result<String> {
    Kind::Radosgw.given().ok_or_else(|| {
        bucket::failed("no gateway could be started, and MILEPOST_TEST_RGW_URL names none: `cargo xtask up rgw` says why")
    })
}

fn main() -> std::process::ExitCode {
    let rgw = harness("rgw", |scope| async move {
        bucket::config(&scope, &url(&scope)?)?.clock(scope.clock()).connect().await
    });
    let rgw = bucket::hooked(rgw, url).with_secret("milepost-secret");
    milepost_servers::for_all_processes(Kind::Radosgw, || milepost_conformance::main(rgw))
}
