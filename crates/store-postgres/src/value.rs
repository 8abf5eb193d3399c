//! What statements are given: bound to a prepared one, or written into the text of one that is not.

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;
use sqlx::{Arguments as _, postgres::PgArguments};

/// A value of a statement. There are no texts: names are bytes, so that nothing in them means anything.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Bytes(Option<Bytes>),
    Ints(Vec<i64>),
    Many(Vec<Option<Bytes>>),
}

impl Value {
    pub(crate) fn int(number: i64) -> Self {
        Self::Int(Some(number))
    }

    pub(crate) fn flag(flag: bool) -> Self {
        Self::int(flag.into())
    }

    /// A position or a number. What lies beyond 2^63 is never reached.
    pub(crate) fn position(number: u64) -> Self {
        Self::int(position(number))
    }

    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self::Bytes(Some(Bytes::copy_from_slice(bytes)))
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::bytes(text.as_bytes())
    }

    fn bind(&self, arguments: &mut PgArguments) -> Result<(), sqlx::error::BoxDynError> {
        match self {
            Self::Int(number) => arguments.add(*number),
            Self::Bytes(bytes) => arguments.add(bytes.as_deref()),
            Self::Ints(numbers) => arguments.add(&numbers[..]),
            Self::Many(many) => arguments.add(many.iter().map(Option::as_deref).collect::<Vec<_>>()),
        }
    }

    /// As a literal whose meaning depends on no setting of the server.
    fn write(&self, sql: &mut String) {
        // Writing to a string cannot fail.
        let _ = match self {
            Self::Int(Some(number)) => write!(sql, "({number})::bigint"),
            Self::Int(None) => write!(sql, "NULL::bigint"),
            Self::Bytes(Some(bytes)) => {
                sql.push_str("E'\\\\x");
                hex(sql, bytes);
                write!(sql, "'::bytea")
            }
            Self::Bytes(None) => write!(sql, "NULL::bytea"),
            Self::Ints(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
                write!(sql, "'{{{}}}'::bigint[]", numbers.join(","))
            }
            Self::Many(many) => {
                sql.push_str("E'{");
                for (place, bytes) in many.iter().enumerate() {
                    sql.push_str(if place > 0 { "," } else { "" });
                    match bytes {
                        Some(bytes) => {
                            sql.push_str("\"\\\\\\\\x");
                            hex(sql, bytes);
                            sql.push('"');
                        }
                        None => sql.push_str("NULL"),
                    }
                }
                write!(sql, "}}'::bytea[]")
            }
        };
    }

    /// About how many bytes it has as a literal.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Int(_) => 32,
            Self::Bytes(bytes) => 32 + 2 * bytes.as_ref().map_or(0, Bytes::len),
            Self::Ints(numbers) => 32 + 16 * numbers.len(),
            Self::Many(many) => 32 + many.iter().flatten().map(|bytes| 16 + 2 * bytes.len()).sum::<usize>(),
        }
    }
}

/// A position as SQL compares it.
pub(crate) fn position(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Writes bytes as hexadecimal digits, a run of them at a time: bodies may be large.
fn hex(sql: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 1024];
    for chunk in bytes.chunks(digits.len() / 2) {
        for (pair, byte) in digits.chunks_exact_mut(2).zip(chunk) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        sql.push_str(std::str::from_utf8(&digits[..2 * chunk.len()]).unwrap_or_default());
    }
}

/// The values as a prepared statement takes them.
pub(crate) fn bound(values: &[Value]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    values.iter().try_for_each(|value| value.bind(&mut arguments)).map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}

/// The text of a statement with the values in place of `$1`, `$2` and so on: what the simple protocol takes, in which
/// nothing is prepared and nothing stays in the session.
pub(crate) fn written(sql: &Arc<str>, values: &[Value]) -> String {
    let mut text = String::with_capacity(sql.len() + values.iter().map(Value::weight).sum::<usize>());
    let mut parts = sql.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(end);
        match number.parse::<usize>().ok().and_then(|number| values.get(number.checked_sub(1)?)) {
            Some(value) => value.write(&mut text),
            None => text.push_str(number),
        }
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_place_of_their_numbers() {
        let values = [
            Value::int(-7),
            Value::text("a'\\"),
            Value::Many(vec![Some(Bytes::from_static(b"\0x")), None]),
            Value::Ints(vec![1, i64::MIN]),
            Value::Int(None),
        ];
        let sql: Arc<str> = "f($1, $2, $3, $4, $5, $1)".into();
        assert_eq!(
            written(&sql, &values),
            "f((-7)::bigint, E'\\\\x61275c'::bytea, E'{\"\\\\\\\\x0078\",NULL}'::bytea[], \
             '{1,-9223372036854775808}'::bigint[], NULL::bigint, (-7)::bigint)"
        );
    }
}
