//! What the kit cannot know: round trips, lost replies, errors of the server, what is stored and what it costs.

#![expect(missing_docs, reason = "tests")]

mod cost;
mod crash;
mod errors;
mod golden;
mod ids;
mod lost;
mod prepare;
mod support;
mod trips;
mod url;
