//! The PostgreSQL store through PgBouncer in transaction mode, held to the contract by real servers: the PgBouncer of
//! `MILEPOST_TEST_PGBOUNCER_URL`, or one started for this with a PostgreSQL behind it.

mod kit;

fn main() -> std::process::ExitCode {
    milepost_conformance::main(kit::backend("pgbouncer", kit::Way::Pooled))
}
