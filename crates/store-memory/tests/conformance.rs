//! The reference model, held to the contract that it is the model of.

use milepost_conformance::harness;
use milepost_store_memory::MemoryStore;

fn main() -> std::process::ExitCode {
    let memory = harness("memory", |scope| async move {
        Ok(scope.shared(|| MemoryStore::builder().clock(scope.clock()).build()).handle())
    });
    milepost_conformance::main(memory.with_clock().embedded())
}
