//! The store and the reference model side by side: random histories, until every answer of the contract has been seen.

use crate::{
    areas::prelude::*,
    oracle::{
        draw::{Deed, Focus},
        hunt,
    },
};

cases! { differential:
    /// Opens, renewals and deletions answer as the reference model does, whatever came before.
    opens_renewals_and_deletions_answer_as_the_model_does [],
    /// Commits with every part answer as the reference model does, alone and many at once, whatever came before.
    commits_answer_as_the_model_does [],
    /// Records, snapshots and blobs read as the reference model has them, whatever was committed, trimmed and dropped.
    reads_answer_as_the_model_does [],
    /// The inbox and the wakes answer as the reference model does, whatever came before.
    inboxes_answer_as_the_model_does [Inbox],
    /// Listings find what the reference model finds, by every filter.
    listings_answer_as_the_model_does [List],
    /// What a store does not declare is refused before any effect, in the midst of any history.
    what_is_undeclared_changes_nothing [],
    /// A write is done or not, and told or not: sent again it is answered as the reference model says.
    lost_answers_are_settled_as_the_model_says [],
    /// A write that stalls on its way and thaws after a takeover, or in another life of the run, is answered as if it had
    /// been sent then.
    stalled_writes_are_answered_by_what_they_meet [],
    /// A new handle between any two operations changes no answer.
    new_handles_answer_as_the_model_does [],
}

const OPENS: Focus = Focus {
    mix: &[
        (10, Deed::Open),
        (12, Deed::Commit),
        (5, Deed::Renew),
        (5, Deed::Delete),
        (5, Deed::Again),
        (3, Deed::Send),
        (4, Deed::Head),
        (4, Deed::Pass),
    ],
    lost: 0,
    stalled: 0,
    reopened: 0,
    wants: &["open:", "renew:", "delete:", "head:"],
};

const COMMITS: Focus = Focus {
    mix: &[
        (30, Deed::Commit),
        (5, Deed::Many),
        (5, Deed::Again),
        (4, Deed::Open),
        (2, Deed::Send),
        (1, Deed::Delete),
        (2, Deed::Pass),
    ],
    wants: &["commit:", "commit_many:"],
    ..OPENS
};

const READS: Focus = Focus {
    mix: &[
        (14, Deed::Commit),
        (8, Deed::Stream),
        (6, Deed::Snapshot),
        (5, Deed::Blob),
        (2, Deed::Open),
        (1, Deed::Delete),
    ],
    wants: &["stream:", "snapshot:", "blob:", "blobs:"],
    ..OPENS
};

const INBOXES: Focus = Focus {
    mix: &[
        (12, Deed::Send),
        (12, Deed::Commit),
        (8, Deed::Inbox),
        (3, Deed::Open),
        (3, Deed::Again),
        (1, Deed::Delete),
        (2, Deed::Pass),
    ],
    wants: &["send:", "inbox:"],
    ..OPENS
};

const LISTINGS: Focus = Focus {
    mix: &[
        (10, Deed::Commit),
        (8, Deed::List),
        (4, Deed::Open),
        (1, Deed::Delete),
        (2, Deed::Send),
        (3, Deed::Pass),
    ],
    wants: &["list:"],
    ..OPENS
};

const UNDECLARED: Focus = Focus {
    mix: &[
        (8, Deed::Commit),
        (2, Deed::Open),
        (2, Deed::Send),
        (2, Deed::Inbox),
        (2, Deed::Stream),
        (2, Deed::Snapshot),
        (2, Deed::Blob),
        (2, Deed::List),
    ],
    wants: &[
        "open: Unsupported",
        "commit: Unsupported",
        "send: Unsupported",
        "inbox: Unsupported",
        "stream: Unsupported",
        "snapshot: Unsupported",
        "blob: Unsupported",
        "blobs: Unsupported",
        "list: Unsupported",
    ],
    ..OPENS
};

const LOST: Focus = Focus {
    mix: &[
        (8, Deed::Commit),
        (12, Deed::Again),
        (4, Deed::Open),
        (2, Deed::Send),
        (2, Deed::Renew),
        (1, Deed::Delete),
        (1, Deed::Pass),
    ],
    lost: 30,
    wants: &["open: repeated", "commit: replayed", "commit: IdReused"],
    ..OPENS
};

const STALLED: Focus = Focus {
    mix: &[
        (8, Deed::Commit),
        (5, Deed::Open),
        (2, Deed::Renew),
        (2, Deed::Send),
        (3, Deed::Delete),
        (1, Deed::Again),
        (1, Deed::Pass),
    ],
    stalled: 25,
    wants: &["commit: Fenced", "commit: NotFound", "renew: Fenced", "renew: NotFound", "delete: NotFound"],
    ..OPENS
};

const REOPENED: Focus = Focus {
    mix: &[
        (8, Deed::Commit),
        (3, Deed::Open),
        (4, Deed::Again),
        (2, Deed::Send),
        (2, Deed::Stream),
        (1, Deed::Renew),
        (1, Deed::Delete),
        (1, Deed::Pass),
    ],
    lost: 10,
    reopened: 8,
    wants: &["open: repeated", "open: resumed", "commit: replayed"],
    ..OPENS
};

async fn opens_renewals_and_deletions_answer_as_the_model_does(ctx: &Context) -> Verdict {
    hunt(ctx, &OPENS).await
}

async fn commits_answer_as_the_model_does(ctx: &Context) -> Verdict {
    hunt(ctx, &COMMITS).await
}

async fn reads_answer_as_the_model_does(ctx: &Context) -> Verdict {
    hunt(ctx, &READS).await
}

async fn inboxes_answer_as_the_model_does(ctx: &Context) -> Verdict {
    hunt(ctx, &INBOXES).await
}

async fn listings_answer_as_the_model_does(ctx: &Context) -> Verdict {
    hunt(ctx, &LISTINGS).await
}

async fn what_is_undeclared_changes_nothing(ctx: &Context) -> Verdict {
    hunt(ctx, &UNDECLARED).await
}

async fn lost_answers_are_settled_as_the_model_says(ctx: &Context) -> Verdict {
    hunt(ctx, &LOST).await
}

async fn stalled_writes_are_answered_by_what_they_meet(ctx: &Context) -> Verdict {
    hunt(ctx, &STALLED).await
}

async fn new_handles_answer_as_the_model_does(ctx: &Context) -> Verdict {
    hunt(ctx, &REOPENED).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::cover::PAIRS;

    #[test]
    fn every_pair_is_wanted_by_a_case() {
        let focuses = [OPENS, COMMITS, READS, INBOXES, LISTINGS, UNDECLARED, LOST, STALLED, REOPENED];
        for (label, _) in PAIRS {
            let wanted = focuses.iter().any(|focus| focus.wants.iter().any(|want| label.starts_with(want)));
            assert!(wanted, "no case looks for {label}");
        }
    }
}
