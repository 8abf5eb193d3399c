//! The SQL of the tables and functions, with names in place of what depends on the schema and on the columns.
//!
//! | in the SQL | stands for |
//! |---|---|
//! | `{s}` | the schema, quoted |
//! | `{channel}` | what followers listen to |
//! | `{OK}`, `{FENCED}`, … | the code of an answer |
//! | `{seal:run r}` | the checksum over the columns of the row `r` of the table `run` |
//! | `{fixed:run r}` | those columns of `r` that a plain commit leaves alone |
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

/// The others.
const HOT: &[&str] = &[
    "hint",
    "version",
    "cursor",
    "until",
    "due",
    "lapses",
    "updated",
    "record_bytes",
    "last_version",
    "last_cursor",
    "last",
];

/// The first columns of a run never change.
const GIVEN: usize = 4;

fn columns(table: &str) -> Vec<&'static str> {
    match table {
        "run" => [FIXED, HOT].concat(),
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
            "seal" => format!("substr(sha256(record_send(ROW({}))), 1, 16)", of(row, &columns(table))),
            "fixed" => of(row, FIXED),
            "update" => {
                let changing = [&FIXED[GIVEN..], HOT, &["checksum"]].concat();
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
