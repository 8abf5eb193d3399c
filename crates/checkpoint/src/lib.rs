//! Checkpointers over any Milepost store.
//!
//! A program says where it has got to; this crate writes the *difference* to what is stored, at most as often as the
//! program wants, and reads it back after a crash. The state is any serde type:
//!
//! - [`Checkpoints::begin_state`] gives a [`Stateful`] handle that owns the state: `run.update(|state| …).await?`.
//! - [`Checkpoints::begin_saver`] gives a [`Saver`] for programs that keep it: `run.save(&state).await?`.
//! - [`Checkpoints`] is a [`milepost_core::CheckpointerFactory`] whose checkpointers take bytes.
//!
//! # What is written
//!
//! Each save that the throttle lets through is one commit: the program's own pending records, then one record with the
//! state. That record is a patch where it is smaller than the state, so a run whose state grows to S bytes by D bytes of
//! changes writes O(S + D) in all. Snapshots only shorten a resume; [`SnapshotPolicy::Amortized`] writes one when a
//! resume would read more than twice the state.
//!
//! # What is guaranteed
//!
//! - A run that was asked to be durable is durable or fails; [`Checkpoints::off`] is the only way to another one.
//! - What could not be written stays pending and goes with the next call. A commit whose fate is unknown, because its
//!   acknowledgement was lost or its future dropped, is settled before anything else is written: exactly once.
//! - A worker that was replaced is refused by its fence, and told so by [`StoreCheckpointer::lost`].
//!
//! A tokio runtime is needed for background renewals ([`Settings::renew`], on by default) and for [`SaveMode::Async`].

mod appender;
mod background;
mod chain;
mod checkpointer;
mod codec;
mod delta;
mod engine;
mod envelope;
mod factory;
mod history;
mod keeper;
mod policy;
mod restore;
mod settings;
mod throttle;
mod typed;
mod vitals;

pub use appender::Appender;
pub use checkpointer::StoreCheckpointer;
pub use codec::{Codec, Compact, Json};
pub use factory::Checkpoints;
pub use history::{state_at, verify};
pub use policy::SnapshotPolicy;
pub use settings::{Availability, Keep, SaveMode, Settings};
pub use typed::{Saver, Started, Stateful};
