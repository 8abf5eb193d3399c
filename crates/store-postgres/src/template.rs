//! The SQL of the tables and functions, with names in place of what depends on the schema and on the columns.
//!
//! | in the SQL | stands for |
//! |---|---|
//! | `{s}` | the schema, quoted |
//! | `{channel}` | what followers listen to |
//! | `{OK}`, `{FENCED}`, … | the code of an answer |
//! | `{seal:run r}` | the checksum over the columns of the row `r` of the table `run` |
//! | `{holds:p_}` | whether the plain commit in the variables `p_…` holds for the row of `run` that is updated |
//! | `{advance:p_}` | what it makes of that row: columns and values of an UPDATE |
//! | `{update:run r}` | the statement that stores `r` |

use std::sync::Arc;

use crate::answer::CODES;

/// The columns of a run that a plain commit leaves alone.
const FIXED: &[&str] = &[
    "key",
    "id",
    "incarnation",
    "origin",
    "epoch",
    "token",
    "first",
    "state",
    "draft",
    "wake",
    "newest_message",
    "newest",
    "second",
    "delete_after",
    "snapshot_bytes",
    "blob_bytes",
    "message_bytes",
    "snapshots",
    "blobs",
    "messages",
    "snapshot_sum",
    "blob_sum",
    "message_sum",
    "followed",
];

/// The others, and what a plain commit in the variables `@…` makes of them. Where the lease stays, `@until` is NULL, which
/// `greatest` leaves out. The hint stays until it has passed: it is never later than the due, which moves only onwards here.
const HOT: &[(&str, &str)] = &[
    (
        "hint",
        "CASE WHEN run.hint > v_now THEN run.hint WHEN run.draft = 0 THEN greatest(run.until, @until) END",
    ),
    ("version", "run.version + 1"),
    ("cursor", "run.cursor + @count"),
    ("until", "greatest(run.until, @until)"),
    ("due", "CASE WHEN run.draft = 0 THEN greatest(run.until, @until) END"),
    ("lapses", "CASE WHEN @advances = 0 THEN run.lapses ELSE 0 END"),
    ("updated", "v_now"),
    ("record_bytes", "run.record_bytes + @bytes"),
    ("last_version", "run.version + 1"),
    ("last_cursor", "run.cursor + @count"),
    ("last", "@op || run.token"),
];

/// The row is this life's, driven by this fence and at the expected version, the commit is none that is repeated, and the
/// row is undamaged. `IS TRUE` keeps the index of states out of it: the row is found by what names it.
const HOLDS: &str = "run.incarnation = @incarnation AND run.epoch = @epoch AND run.token = @token \
    AND run.version = @expect AND (run.state = 0) IS TRUE AND run.until IS NOT NULL \
    AND substr(run.last, 1, 16) <> substr(@op, 1, 16) AND run.checksum = ";

/// The first columns of a run never change.
const GIVEN: usize = 4;

fn columns(table: &str) -> Vec<&'static str> {
    match table {
        "run" => FIXED.iter().copied().chain(HOT.iter().map(|(column, _)| *column)).collect(),
        "cold" => vec!["run", "owner", "note", "open_id", "open_version", "open_created"],
        "info" => {
            vec!["run", "id", "created", "name", "parent", "labels", "tags", "manifest", "lineage", "meta"]
        }
        "record_id" => vec!["run", "id", "cursor"],
        "message_key" => vec!["run", "name", "number", "content"],
        _ => unreachable!("no table {table} is sealed"),
    }
}

fn of(row: &str, columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| format!("{row}.{column}")).collect();
    columns.join(", ")
}

/// The checksum of a row of these columns.
fn seal(columns: &str) -> String {
    format!("substr(sha256(record_send(ROW({columns}))), 1, 16)")
}

/// What a plain commit makes of the columns that it changes, and of the checksum.
fn advance(prefix: &str) -> String {
    let (columns, values): (Vec<_>, Vec<_>) =
        HOT.iter().map(|(column, value)| (*column, value.replace('@', prefix))).unzip();
    let (columns, values) = (columns.join(", "), values.join(", "));
    let seal = seal(&format!("{}, {values}", of("run", FIXED)));
    format!("({columns}, checksum) = ROW({values}, {seal})")
}

/// Where the tables are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// As it was given: letters, digits and underscores.
    pub(crate) schema: Arc<str>,
}

impl Place {
    /// What followers listen to.
    pub(crate) fn channel(&self) -> String {
        format!("milepost_{}", self.schema)
    }

    /// Puts in what the names in braces stand for.
    pub(crate) fn expand(&self, sql: &str) -> String {
        let mut expanded = String::with_capacity(2 * sql.len());
        let mut parts = sql.split('{');
        expanded.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap_or((part, ""));
            expanded.push_str(&self.name(name));
            expanded.push_str(rest);
        }
        expanded
    }

    fn name(&self, name: &str) -> String {
        if let Some(code) = CODES.iter().find(|(known, _)| *known == name) {
            return code.1.to_string();
        }
        let (what, of_what) = name.split_once(':').unwrap_or((name, ""));
        let (table, row) = of_what.split_once(' ').unwrap_or_default();
        match what {
            "s" => format!("\"{}\"", self.schema),
            "channel" => self.channel(),
            "seal" => seal(&of(row, &columns(table))),
            "holds" => HOLDS.replace('@', of_what) + &seal(&of("run", &columns("run"))),
            "advance" => advance(of_what),
            "update" => {
                let changing = [&columns("run")[GIVEN..], &["checksum"]].concat();
                format!(
                    "UPDATE {}.run SET ({}) = ROW({}) WHERE run.key = {row}.key",
                    self.name("s"),
                    changing.join(", "),
                    of(row, &changing)
                )
            }
            _ => unreachable!("nothing is called {name}"),
        }
    }
}
