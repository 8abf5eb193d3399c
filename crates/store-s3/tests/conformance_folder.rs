//! The store over a local folder, held to the contract.

use milepost_conformance::harness;
use milepost_store_s3::S3Config;

fn main() -> std::process::ExitCode {
    let folder = harness("folder", |scope| async move {
        S3Config::folder(scope.dir()?.join("runs")).clock(scope.clock()).base_after(8).connect().await
    });
    milepost_conformance::main(folder.with_clock().with_processes().embedded())
}
