//! The template over a folder, held to the contract: as a function, where the other target is a program.

use std::sync::Arc;

use milepost_conformance::{check, harness};
use milepost_store_template::{FolderKv, TemplateConfig};

#[test]
fn it_keeps_the_contract_over_a_folder() {
    let folder = harness("template over a folder", |scope| async move {
        let kv = FolderKv::new(scope.dir()?.join("runs"))?;
        TemplateConfig::new(Arc::new(kv)).clock(scope.clock()).connect().await
    });
    let report = check(&folder.with_clock(), "");
    assert!(report.is_passed(), "{}", report.to_markdown());
}
