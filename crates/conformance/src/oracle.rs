//! The oracle: random histories, played step by step against a backend and the reference model at once.
//!
//! - A history is a list of [steps](step). They are relative, so every part of a history is one as well.
//! - A step [comes to](resolve) a [call](ask), which is [put](play) to the store and to the [model]; the answers must be
//!   [alike](alike()), and so must all that can be read afterwards.
//! - What was seen is counted in a [table](cover) of every operation with every outcome; of several steps that could
//!   be [drawn](draw) next one is taken that shows something new.
//! - A history that fails is [made short](shrink) before it is told.
//!
//! What concurrent clients do is no list of steps: it is [written down](history) while they do it, and then
//! [checked](checker) for an order in which the model answers as the store did.

mod ahead;
pub(crate) mod alike;
pub(crate) mod ask;
mod checker;
pub(crate) mod cover;
pub(crate) mod draw;
mod history;
mod hunt;
mod label;
pub(crate) mod model;
mod play;
mod portable;
mod random;
mod resolve;
mod shrink;
mod step;
mod tell;

pub use history::{Checked, History, Recorded};
pub(crate) use hunt::hunt;
pub use hunt::{ROUNDS_VARIABLE, SEED_VARIABLE};
