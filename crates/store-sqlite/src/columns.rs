//! The columns of a run's row, named once, and the statements that follow from them.

macro_rules! mark {
    ($column:literal) => {
        "?, "
    };
}

/// Three groups: what never changes, what a write may change, with its place among those, and what only the end of a
/// run and its reopening change.
macro_rules! columns {
    (
        fixed { $($fixed:literal),* $(,)? }
        changing { $($changing:literal $place:literal),* $(,)? } checksum $checksum:literal key $key:literal
        ending { $($ending:literal),* $(,)? }
    ) => {
        /// The columns of a `SELECT` from `run AS r`: the groups, then the checksum.
        pub(crate) const COLUMNS: &str = concat!(
            $("r.", $fixed, ", ",)* $("r.", $changing, ", ",)* $("r.", $ending, ", ",)* "r.checksum"
        );

        /// The first column that a write may change.
        pub(crate) const CHANGING: usize = [$($fixed),*].len();

        /// The first of the columns that only the end of a run and its reopening change.
        pub(crate) const ENDING: usize = CHANGING + [$($changing),*].len();

        /// How many columns [`COLUMNS`] names.
        pub(crate) const WIDTH: usize = ENDING + [$($ending),*].len() + 1;

        /// Takes rows of all columns.
        pub(crate) const INSERT: &str = concat!(
            "INSERT INTO run (", $($fixed, ", ",)* $($changing, ", ",)* $($ending, ", ",)* "checksum) VALUES "
        );
        /// One row of them.
        pub(crate) const INSERT_ROW: &str =
            concat!("(", $(mark!($fixed),)* $(mark!($changing),)* $(mark!($ending),)* "?)");

        /// Rewrites what a write may change. The outcome, whose columns are in the conditions of two indexes, stays as
        /// it is, and with it the indexes. Takes rows of the changing columns, the checksum and the key.
        pub(crate) const UPDATE: &str = concat!(
            "UPDATE run SET ", $($changing, " = v.column", $place, ", ",)*
            "checksum = v.column", $checksum, " FROM (VALUES "
        );
        /// One row of them.
        pub(crate) const UPDATE_ROW: &str = concat!("(", $(mark!($changing),)* "?, ?)");
        /// What stands behind the rows.
        pub(crate) const UPDATE_END: &str = concat!(") AS v WHERE run.key = v.column", $key);

        /// Rewrites one row with its outcome. Takes the changing columns, the ending ones, the checksum and the key.
        pub(crate) const UPDATE_OUTCOME: &str = concat!(
            "UPDATE run SET ", $($changing, " = ?, ",)* $($ending, " = ?, ",)* "checksum = ? WHERE key = ?"
        );
    };
}

columns! {
    fixed { "key", "id", "incarnation", "origin" }
    changing {
        "epoch" 1, "token" 2, "version" 3, "cursor" 4, "first" 5, "draft" 6, "newest_snapshot" 7,
        "second_snapshot" 8, "owner" 9, "until" 10, "holder" 11, "due" 12, "wake_after" 13, "lapses" 14,
        "newest_message" 15, "note_done" 16, "note_total" 17, "note_text" 18, "updated" 19, "record_bytes" 20,
        "snapshot_bytes" 21, "blob_bytes" 22, "message_bytes" 23, "snapshots" 24, "blobs" 25, "messages" 26,
        "snapshot_cursors" 27, "blob_names" 28, "message_numbers" 29, "last_open" 30, "last_commit" 31,
    } checksum 32 key 33
    ending { "outcome", "delete_after", "output" }
}
