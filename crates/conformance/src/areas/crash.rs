//! What is left when a process, or the server, dies at the worst moment, and what two processes see of each other.

pub(crate) mod killed;
pub(crate) mod server;
pub(crate) mod stopped;
pub(crate) mod together;
