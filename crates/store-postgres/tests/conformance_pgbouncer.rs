//! The PostgreSQL store through PgBouncer in transaction mode, held to the contract by real servers: the PgBouncer of
//! `MILEPOST_TEST_PGBOUNCER_URL`, or one started for this with a PostgreSQL behind it.

mod kit;

fn main() -> std::process::ExitCode {
    let kit = || milepost_conformance::main(kit::backend("pgbouncer", kit::Way::Pooled));
    milepost_servers::for_all_processes(milepost_servers::Kind::PgBouncer, kit)
}
