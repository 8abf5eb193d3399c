//! The PostgreSQL store, held to the contract by a real server: that of `MILEPOST_TEST_POSTGRES_URL`, or one started for this.

mod kit;

fn main() -> std::process::ExitCode {
    let kit = || milepost_conformance::main(kit::backend("postgres", kit::Way::Direct));
    milepost_servers::for_all_processes(milepost_servers::Kind::Postgres, kit)
}
