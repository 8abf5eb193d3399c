//! The statements of a schema, made once a handle.

use std::sync::Arc;

use crate::template::Place;

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        /// The statements of a schema.
        pub(crate) struct Statements { $($(#[$doc])* pub(crate) $name: Arc<str>),* }

        impl Statements {
            pub(crate) fn new(place: &Place) -> Self {
                Self { $($name: place.expand($sql).into()),* }
            }
        }
    };
}

/// A page of what stands in a sequence of a run: first the run's row, with a tally of the sequence where there may be gaps
/// in it, then the entries. A page ends early once its bodies have a MiB, so that memory does not depend on their size;
/// `octet_length` of a body that is stored apart does not read it.
macro_rules! page {
    ($table:literal, $place:literal, $columns:literal, $count:literal, $sum:literal, $direction:literal) => {
        concat!(
            "SELECT ",
            $count,
            "::bigint, ",
            $sum,
            "::bigint, record_send(r), NULL::bytea, NULL::bytea, NULL::bytea, ",
            "NULL::bytea FROM {s}.run r WHERE r.id = $1 UNION ALL SELECT ",
            $columns,
            " FROM (SELECT near.*, ",
            "sum(octet_length(near.body)) OVER (ORDER BY near.",
            $place,
            $direction,
            " ROWS UNBOUNDED PRECEDING) ",
            "- octet_length(near.body) AS before FROM (SELECT t.* FROM {s}.",
            $table,
            " t WHERE t.run = ",
            "(SELECT key FROM {s}.run WHERE id = $1) AND t.",
            $place,
            " > $2 AND t.",
            $place,
            " <= $3 ORDER BY t.",
            $place,
            $direction,
            " LIMIT $4) near) p WHERE p.before < 1048576"
        )
    };
}

macro_rules! records {
    ($direction:literal) => {
        page!(
            "record",
            "cursor",
            "p.cursor, p.at, p.kind, p.id, p.blobs, p.checksum, p.body",
            "0",
            "0",
            $direction
        )
    };
}

macro_rules! messages {
    ($direction:literal) => {
        page!(
            "message",
            "number",
            "p.number, p.at, p.id, p.name, p.kind, p.checksum, p.body",
            "(SELECT count(*) FROM {s}.message m WHERE m.run = r.key)",
            "(SELECT coalesce(bit_xor(m.number), 0) FROM {s}.message m WHERE m.run = r.key)",
            $direction
        )
    };
}

statements! {
    append = "SELECT * FROM {s}.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    append_one = "SELECT {s}.append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    commit = "SELECT * FROM {s}.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
        $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35)";
    open = "SELECT * FROM {s}.open($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    renew = "SELECT * FROM {s}.renew($1, $2, $3, $4, $5, $6)";
    send = "SELECT * FROM {s}.send($1, $2, $3, $4, $5, $6, $7, $8)";
    delete = "SELECT * FROM {s}.delete($1, $2, $3)";
    follow = "SELECT * FROM {s}.follow($1, $2)";
    clock = "SELECT {s}.clock()";
    head = "SELECT record_send(r), (SELECT record_send(c) FROM {s}.cold c WHERE c.run = r.key), \
        (SELECT record_send(i) FROM {s}.info i WHERE i.run = r.key), \
        (SELECT record_send(o) FROM {s}.outcome o WHERE o.run = r.key), {s}.clock() FROM {s}.run r WHERE r.id = $1";
    /// The newest snapshot that is not newer than a cursor, and a tally of all.
    snapshot = "SELECT record_send(r), (SELECT count(*) FROM {s}.snapshot t WHERE t.run = r.key), \
        (SELECT coalesce(bit_xor(t.cursor), 0) FROM {s}.snapshot t WHERE t.run = r.key), s.cursor, s.checksum, s.body \
        FROM {s}.run r LEFT JOIN LATERAL (SELECT * FROM {s}.snapshot t WHERE t.run = r.key AND t.cursor <= $2 \
        ORDER BY t.cursor DESC LIMIT 1) s ON true WHERE r.id = $1";
    /// A blob; a tally of all if it is not there, so that a lost one is not taken for one that never was.
    blob = "SELECT record_send(r), b.checksum, b.body, \
        CASE WHEN b.name IS NULL THEN (SELECT count(*) FROM {s}.blob t WHERE t.run = r.key) END, \
        CASE WHEN b.name IS NULL THEN \
            (SELECT coalesce(bit_xor({s}.word(t.name)), 0) FROM {s}.blob t WHERE t.run = r.key) END \
        FROM {s}.run r LEFT JOIN {s}.blob b ON b.run = r.key AND b.name = $2 WHERE r.id = $1";
    blobs = "SELECT record_send(r), NULL::bytea, NULL::bigint FROM {s}.run r WHERE r.id = $1 UNION ALL \
        (SELECT NULL::bytea, b.name, octet_length(b.body)::bigint FROM {s}.blob b WHERE b.run = \
        (SELECT key FROM {s}.run WHERE id = $1) AND b.name > $2 ORDER BY b.name LIMIT 256)";
    records = records!("");
    records_reverse = records!(" DESC");
    messages = messages!("");
    messages_reverse = messages!(" DESC");
}
