//! Looks under one lock and writes under another, with nothing in between.

use super::flaws;

flaws! { DUELS:
    /// A creation looks whether the run is there, and then takes the lock to write it.
    CreationLooksFirst => "concurrency/of-two-creators-that-meet-one-wins",
    /// A takeover looks whether the run is due, and then takes the lock.
    TakeoverLooksFirst => "concurrency/of-two-takeovers-that-meet-one-wins",
    /// A takeover of a live lease looks at its fence, and then takes the lock.
    OverLooksFirst => "concurrency/of-two-overs-that-meet-one-wins",
    /// A reopening looks at the outcome, and then takes the lock.
    ReopeningLooksFirst => "concurrency/of-two-reopenings-that-meet-one-wins",
    /// An open looks whether its id is the last one, and then takes the lock.
    OpenIdIsLookedUpFirst => "concurrency/of-one-open-that-meets-itself-one-fence-comes",
    /// A commit looks at version and fence, and then takes the lock.
    CommitLooksFirst => "concurrency/of-two-commits-that-meet-one-holds",
    /// A commit looks whether its id is the last one, and then takes the lock.
    ReplayIsLookedUpFirst => "concurrency/of-one-commit-that-meets-itself-one-is-stored",
    /// A commit looks at the fence, and then takes the lock, under which it looks at the version alone.
    FenceIsLookedUpFirst => "concurrency/a-commit-that-meets-a-takeover-is-before-it-or-refused",
    /// An outcome looks at the fence, and then takes the lock to end the run.
    OutcomeLooksFirst => "concurrency/an-outcome-that-meets-a-takeover-is-before-it-or-refused",
    /// A renewal looks at the fence, and then takes the lock to write the lease.
    RenewalLooksFirst => "concurrency/a-renewal-that-meets-a-takeover-keeps-its-lease",
    /// A renewal reads the row, and then takes the lock to put it back with another lease.
    RenewalPutsBackWhatItRead => "concurrency/a-renewal-that-meets-a-commit-undoes-nothing",
    /// A message reads the newest number, and then takes the lock.
    NumberIsReadFirst => "concurrency/messages-that-meet-are-both-kept",
    /// A message looks for its key, and then takes the lock.
    KeyIsLookedUpFirst => "concurrency/of-two-messages-of-one-key-that-meet-one-is-first",
    /// A commit reads the inbox, and then takes the lock, under which it writes back what it does not take.
    InboxIsReadFirst => "concurrency/a-message-that-meets-a-commit-is-kept",
    /// An outcome reads the run, and then takes the lock to put it back with its end.
    OutcomePutsBackWhatItRead => "concurrency/a-message-that-meets-the-outcome-is-kept-or-told",
    /// A release looks whether its message is there, and then takes the lock.
    ReleaseLooksForTheMessageFirst => "concurrency/a-message-that-meets-the-release-wakes",
    /// A message looks whether a wake asks for it, and then takes the lock.
    SendLooksForTheWakeFirst => "concurrency/a-message-that-meets-the-release-wakes",
    /// A deletion looks whether the run is there, and then takes the lock.
    DeletionLooksFirst => "concurrency/of-two-deletions-that-meet-one-removes",
    /// A commit looks whether the run is there, and then takes the lock, under which it writes the run anew.
    CommitBringsTheRunBack => "concurrency/a-deletion-that-meets-a-commit-leaves-nothing",
    /// A message looks whether the run is there, and then takes the lock, under which it writes the run anew.
    SendBringsTheRunBack => "concurrency/a-deletion-that-meets-a-message-leaves-nothing",
    /// A deletion looks whether somebody drives the run, and then takes the lock.
    DriverIsLookedUpFirst => "concurrency/of-a-deletion-and-a-takeover-that-meet-one-holds",
    /// A deletion looks whether the run has finished, and then takes the lock.
    OutcomeIsLookedUpFirst => "concurrency/of-a-deletion-and-a-reopening-that-meet-one-holds",
}
