//! Listings: filters, order, pages.

use super::flaws;

flaws! { LISTING:
    /// The status is no filter.
    StatusIsIgnored => "listing/each-run-is-listed-under-its-status-alone",
    /// The name is no filter.
    NameFilterIsIgnored => "listing/by-name",
    /// A name matches every longer one.
    NamesMatchByPrefix => "listing/by-name",
    /// Names match whatever their case.
    NamesIgnoreCase => "listing/by-name",
    /// Of several labels one is enough.
    AnyLabelIsEnough => "listing/one-difference-is-enough",
    /// Of several labels the first counts.
    OnlyTheFirstLabelCounts => "listing/by-labels",
    /// A label matches by its key.
    LabelKeysAreEnough => "listing/by-labels",
    /// A label matches every longer value.
    LabelValuesMatchByPrefix => "listing/by-labels",
    /// The parent is no filter.
    ParentFilterIsIgnored => "listing/by-parent",
    /// A run without a parent matches every parent.
    OrphansMatchEveryParent => "listing/by-parent",
    /// An id prefix matches anywhere.
    PrefixIsASubstring => "listing/by-prefix-as-bytes",
    /// An id prefix is a pattern of LIKE.
    PrefixIsAPattern => "listing/by-prefix-as-bytes",
    /// An id prefix matches whatever the case.
    PrefixIgnoresCase => "listing/by-prefix-as-bytes",
    /// A kind of failure matches every failed run.
    EveryFailureMatches => "listing/by-kind-of-failure",
    /// `idle_since` leaves out its own instant.
    IdleIsStrict => "listing/by-age",
    /// `idle_since` looks at the creation.
    IdleLooksAtCreation => "listing/by-age",
    /// `idle_since` gives the runs that were busy since.
    IdleIsTheOtherWayRound => "listing/by-age",
    /// `due_by` leaves out its own instant.
    DueByIsStrict => "listing/due-by-an-instant",
    /// `due_by` is judged at the listing's now.
    DueByIsNow => "listing/due-by-an-instant",
    /// `due_by` leaves out released runs.
    DueByLooksAtLeases => "listing/due-by-an-instant",
    /// A run is not expired at its very instant.
    ExpiredIsStrict => "listing/a-run-expires-at-its-instant",
    /// A run is expired before its instant.
    ExpiredIgnoresTheTime => "listing/a-run-expires-at-its-instant",
    /// Every finished run is expired, also one that is kept.
    ExpiredTakesEveryFinishedRun => "listing/a-run-expires-at-its-instant",
    /// Expiry is no filter.
    ExpiredIsIgnored => "listing/a-run-expires-at-its-instant",
    /// Of several filters one is enough.
    OneFilterIsEnough => "listing/one-difference-is-enough",
    /// Finished runs are not listed.
    FinishedRunsAreNotListed => "listing/finished-runs-are-not-interrupted",
    /// Drafts are not listed.
    DraftsAreNotListed => "listing/a-draft-is-never-interrupted",
    /// Runs that wait are listed as interrupted.
    WaitingRunsAreInterrupted => "listing/a-message-makes-its-run-interrupted",
    /// Released runs are not listed as interrupted.
    InterruptedMeansExpired => "listing/recoverers-share-released-runs",
    /// A run whose lease ran out is listed as running.
    RunningMeansALease => "listing/a-run-is-interrupted-from-its-due-on",
    /// The limit of a listing is ignored.
    ListLimitIsIgnored => "listing/a-limit-cuts-the-listing",
    /// The limit of a listing counts for each page anew.
    ListLimitIsPerPage => "listing/a-limit-cuts-the-listing",
    /// A listing ends after its first page.
    ListEndsAfterAPage => "listing/a-listing-is-cut-at-its-first-page",
    /// A listing is always by id.
    ListOrderIsIgnored => "listing/newest-first-is-by-creation",
    /// A listing is always newest first.
    ListIsNewestFirstAlways => "listing/by-age",
    /// Newest first gives the oldest first.
    OldestFirstForNewest => "listing/newest-first-is-by-creation",
    /// Newest first looks at the last update.
    NewestFirstIsByUpdate => "listing/newest-first-is-by-creation",
    /// Runs of one instant come in reverse.
    EqualTimesAreInReverse => "listing/complete-while-runs-come-and-go",
    /// Runs are listed in the order of a collation that ignores case.
    RunIdsAreListedIgnoringCase => "listing/the-page-never-changes-the-result",
    /// Pages are counted from the start: runs that come and go are doubled or lost.
    PagesCountFromTheirStart => "listing/complete-while-runs-come-and-go",
    /// A page goes on after the last one's instant, and loses runs of that instant.
    PagesSkipEqualTimes => "listing/the-page-never-changes-the-result",
    /// A page begins at the last one's instant, and doubles runs of that instant.
    PagesRepeatEqualTimes => "listing/the-page-never-changes-the-result",
    /// Each page is judged by its own now.
    PagesAreJudgedByTheirOwnNow => "listing/a-listing-is-cut-at-its-first-page",
    /// Runs that were created after the first page are listed.
    RunsThatComeLaterAreListed => "listing/what-comes-later-is-not-listed",
    /// Deleted runs are listed.
    DeletedRunsAreListed => "listing/expired-gives-what-may-be-deleted",
    /// A listing leaves out the note.
    ListsLeaveOutNotes => "listing/what-is-listed-is-the-head",
    /// A listing leaves out the labels.
    ListsLeaveOutLabels => "listing/by-labels",
    /// A listing leaves out the opaque part of the info.
    ListsLeaveOutMeta => "listing/what-is-listed-is-enough-to-dispatch",
    /// A listing leaves out the sizes.
    ListsLeaveOutSizes => "listing/what-is-listed-is-the-head",
    /// A run expires by its first end, also when it was reopened and ended otherwise.
    FirstRetentionStands => "listing/a-second-end-has-its-own-retention",
    /// A listing is cut when it is asked for, not at its first page.
    ListsAreCutAtTheCall => "listing/a-listing-is-cut-at-its-first-page",
}
