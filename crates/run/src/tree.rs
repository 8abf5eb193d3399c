//! Trees: runs that spawn runs.
//!
//! A child is an ordinary run. Its id is made of its parent and its key, its info names its parent, and whoever recovers
//! runs drives it; its parent only waits. What the parent's log has of it:
//!
//! | record | says |
//! |---|---|
//! | `child-began` | the intent: key, handler, what it is asked to do, the slice of the budget. Durable before the child exists |
//! | `child-restarted` | a failed child is about to be reopened |
//! | `child-settled` | how it ended, with a copy of its output, and what it used of its slice |
//!
//! A child that ends writes its outcome and then sends its parent a message. The message only saves time: a waiting parent
//! looks by itself, too, less often the longer it has waited, and what it believes is the child's head.

pub(crate) mod budget;
pub(crate) mod cascade;
pub(crate) mod child;
pub(crate) mod family;
pub(crate) mod kept;
pub(crate) mod spawned;
pub(crate) mod view;
pub(crate) mod watch;
