//! The cases, an area a file.
//!
//! To add a case: a row in a `cases!` (its sentence, its name, its needs) and the function of that name below. To add a
//! file: `use crate::areas::prelude::*;` and a `cases!` that names its area, its `mod`, and its line in `table.rs`.

pub(crate) mod blobs;
pub(crate) mod capabilities;
pub(crate) mod checkpointer;
pub(crate) mod commit;
pub(crate) mod concurrency;
pub(crate) mod corruption;
pub(crate) mod crash;
pub(crate) mod deletion;
pub(crate) mod differential;
pub(crate) mod errors;
pub(crate) mod fencing;
pub(crate) mod ids;
pub(crate) mod inbox;
pub(crate) mod leases;
pub(crate) mod listing;
pub(crate) mod lost_ack;
pub(crate) mod moves;
pub(crate) mod open;
pub(crate) mod schema;
pub(crate) mod snapshots;
pub(crate) mod streams;

/// What a case is written with.
pub(crate) mod prelude {
    pub(crate) use std::time::Duration;

    pub(crate) use milepost_core::*;

    pub(crate) use crate::{
        Context, Verdict,
        case::cases,
        context::{Driver, record},
        expect::{clashed, expect, expect_eq, one_winner, refused, refused_as},
        image::{Image, collect, image, next},
    };
}
