//! The template over a map in memory, held to the contract.

use std::sync::Arc;

use milepost_conformance::harness;
use milepost_store_template::{MapKv, TemplateConfig};

fn main() -> std::process::ExitCode {
    let template = harness("template", |scope| async move {
        let map = scope.shared(|| Arc::new(MapKv::default()));
        TemplateConfig::new(map).clock(scope.clock()).connect().await
    });
    milepost_conformance::main(template.with_clock().embedded())
}
