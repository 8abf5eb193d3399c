//! The layers over the reference model.

mod faults;
mod group_commit;
mod world;
