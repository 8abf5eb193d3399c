//! The write phase: the statements of a batch, put together so that they take few trips.

use crate::{
    columns, image,
    sql::{Script, Value},
};

/// What one statement does. A batch's statements run in this order; each run has one request in a batch, so the order
/// matters within a request only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Step {
    InsertRun,
    InsertInfo,
    InsertRecord,
    InsertRecordId,
    DropBlob,
    InsertBlob,
    TakeMessage,
    PutSnapshot,
    TrimRecords,
    TrimSnapshots,
    InsertMessage,
    InsertMessageKey,
    UpdateRun,
    UpdateOutcome,
    EraseRun,
    EraseInfo,
    EraseRecords,
    EraseRecordIds,
    EraseSnapshots,
    EraseBlobs,
    EraseMessages,
    EraseMessageKeys,
}

impl Step {
    /// Everything that a run has.
    pub(crate) const ERASE: [Step; 8] = [
        Step::EraseRun,
        Step::EraseInfo,
        Step::EraseRecords,
        Step::EraseRecordIds,
        Step::EraseSnapshots,
        Step::EraseBlobs,
        Step::EraseMessages,
        Step::EraseMessageKeys,
    ];

    /// What stands before the rows of values, one such row, and what stands behind them; for a statement that takes one
    /// set of values only, all of it and nothing.
    fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Step::InsertRun => (columns::INSERT, columns::INSERT_ROW, ""),
            Step::InsertInfo => (image::INSERT_INFO, "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", ""),
            Step::InsertRecord => (
                "INSERT INTO record (run, cursor, at, kind, id, blobs, checksum, body) VALUES ",
                "(?, ?, ?, ?, ?, ?, ?, ?)",
                "",
            ),
            Step::InsertRecordId => {
                ("INSERT INTO record_id (run, id, cursor, checksum) VALUES ", "(?, ?, ?, ?)", "")
            }
            Step::InsertBlob => ("INSERT INTO blob (run, name, checksum, body) VALUES ", "(?, ?, ?, ?)", ""),
            Step::PutSnapshot => (
                "INSERT INTO snapshot (run, cursor, checksum, body) VALUES ",
                "(?, ?, ?, ?)",
                " ON CONFLICT (run, cursor) DO UPDATE SET checksum = excluded.checksum, body = excluded.body",
            ),
            Step::InsertMessage => (
                "INSERT INTO message (run, number, id, name, kind, at, checksum, body) VALUES ",
                "(?, ?, ?, ?, ?, ?, ?, ?)",
                "",
            ),
            Step::InsertMessageKey => (
                "INSERT INTO message_key (run, name, number, content, checksum) VALUES ",
                "(?, ?, ?, ?, ?)",
                "",
            ),
            Step::UpdateRun => (columns::UPDATE, columns::UPDATE_ROW, columns::UPDATE_END),
            Step::UpdateOutcome => (columns::UPDATE_OUTCOME, "", ""),
            Step::TakeMessage => ("DELETE FROM message WHERE run = ? AND number = ?", "", ""),
            Step::DropBlob => ("DELETE FROM blob WHERE run = ? AND name = ?", "", ""),
            Step::TrimRecords => ("DELETE FROM record WHERE run = ? AND cursor <= ?", "", ""),
            Step::TrimSnapshots => ("DELETE FROM snapshot WHERE run = ? AND cursor < ?", "", ""),
            Step::EraseRun => ("DELETE FROM run WHERE key = ?", "", ""),
            Step::EraseInfo => ("DELETE FROM info WHERE run = ?", "", ""),
            Step::EraseRecords => ("DELETE FROM record WHERE run = ?", "", ""),
            Step::EraseRecordIds => ("DELETE FROM record_id WHERE run = ?", "", ""),
            Step::EraseSnapshots => ("DELETE FROM snapshot WHERE run = ?", "", ""),
            Step::EraseBlobs => ("DELETE FROM blob WHERE run = ?", "", ""),
            Step::EraseMessages => ("DELETE FROM message WHERE run = ?", "", ""),
            Step::EraseMessageKeys => ("DELETE FROM message_key WHERE run = ?", "", ""),
        }
    }
}

/// One statement with its parameters.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) step: Step,
    pub(crate) values: Vec<Value>,
}

impl Write {
    pub(crate) fn new(step: Step, values: impl Into<Vec<Value>>) -> Self {
        Self { step, values: values.into() }
    }
}

/// Up to so many writes of any kinds go as one string with the COMMIT: most batches are one commit.
const SMALL: usize = 6;

/// The most rows of one statement.
const LONGEST: usize = 64;

/// A script, and how many statements it has.
pub(crate) type Trip = (Script, usize);

/// The trips of a write phase; the last one ends with COMMIT.
///
/// A string that SQLite has not seen costs more to compile than to run, so strings come from few shapes that the
/// driver's cache keeps: all of a small batch at once, behind what begins the transaction; otherwise equal writes by powers of two, as one statement with
/// many rows where there is such a one. The driver's thread reports every statement, and each report may wake somebody.
pub(crate) fn trips(first: Option<Trip>, mut writes: Vec<Write>) -> Vec<Trip> {
    writes.sort_by_key(|write| write.step);
    let mut trips: Vec<Trip> = Vec::new();
    if writes.len() <= SMALL {
        let mut small = first.unwrap_or_default();
        writes.into_iter().for_each(|write| add(&mut small, write.step, vec![write.values]));
        trips.push(small);
    } else {
        trips.extend(first);
        let mut rest = writes.into_iter().peekable();
        while let Some(first) = rest.next() {
            let step = first.step;
            let mut equal = vec![first.values];
            while let Some(next) = rest.next_if(|next| next.step == step) {
                equal.push(next.values);
            }
            while !equal.is_empty() {
                let behind = equal.split_off(LONGEST.min(1 << equal.len().ilog2()));
                let mut trip = Trip::default();
                add(&mut trip, step, std::mem::replace(&mut equal, behind));
                trips.push(trip);
            }
        }
        trips.push(Trip::default());
    }
    if let Some((script, statements)) = trips.last_mut() {
        script.add("COMMIT", []);
        *statements += 1;
    }
    trips
}

/// Adds equal writes: as rows of one statement, or each as its own.
fn add((script, statements): &mut Trip, step: Step, writes: Vec<Vec<Value>>) {
    let (before, row, behind) = step.parts();
    if row.is_empty() {
        *statements += writes.len();
        writes.into_iter().for_each(|values| {
            script.add(before, values);
        });
        return;
    }
    let rows = vec![row; writes.len()].join(", ");
    script.add(&format!("{before}{rows}{behind}"), writes.into_iter().flatten());
    *statements += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(counts: &[(Step, usize)]) -> Vec<usize> {
        let writes = counts.iter().flat_map(|(step, count)| (0..*count).map(|_| Write::new(*step, [])));
        trips(None, writes.collect()).into_iter().map(|(_, statements)| statements).collect()
    }

    #[test]
    fn a_small_batch_is_one_trip_and_a_large_one_few() {
        use Step::{InsertRecord, UpdateRun};
        assert_eq!(sizes(&[(InsertRecord, 1), (UpdateRun, 1)]), [3]);
        assert_eq!(sizes(&[(UpdateRun, 3), (InsertRecord, 3)]), [7]);
        assert_eq!(sizes(&[(InsertRecord, 64), (UpdateRun, 64)]), [1, 1, 1]);
        assert_eq!(sizes(&[(InsertRecord, 53), (UpdateRun, 7)]), [1; 8]);
        assert_eq!(sizes(&[(InsertRecord, 200)]), [1; 5]);
        assert_eq!(sizes(&[(Step::EraseRun, 9)]), [8, 1, 1]);
    }
}
