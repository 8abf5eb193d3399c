use milepost_conformance::harness;
use milepost_store_acme::AcmeStore;

fn main() -> std::process::ExitCode {
    milepost_conformance::main(harness("acme", |_scope| async { Ok(AcmeStore) }))
}
