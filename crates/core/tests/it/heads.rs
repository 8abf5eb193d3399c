//! A head to start from.

use milepost_core::{Fence, Head, Incarnation, Manifest, RunId, RunInfo, Sizes, Timestamp, Token};

/// When [`head`] is read.
pub(crate) const NOW: Timestamp = Timestamp(1_000);

/// A run of which nothing is known: undriven, never due, not finished.
pub(crate) fn head() -> Head {
    Head {
        run: RunId::from_static("run"),
        info: RunInfo::named("name"),
        manifest: Manifest::of(b""),
        version: 1,
        cursor: 0,
        first: 1,
        snapshots: Vec::new(),
        fence: Fence { incarnation: Incarnation(1), epoch: 1, token: Token(1) },
        lease: None,
        due: None,
        lapses: 0,
        newest_message: 0,
        note: None,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        sizes: Sizes::default(),
        origin: None,
        draft: false,
        outcome: None,
        delete_after: None,
        at: NOW,
    }
}
