//! The contract's values: what they refuse, how they read, what stays the same for ever.

mod checks;
mod golden;
mod heads;
mod queries;
mod reads;
mod time;
