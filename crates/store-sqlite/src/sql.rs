//! Statements, bound and sent so that a batch of them costs few trips to the driver's thread.

use std::{fmt::Write as _, ops::ControlFlow};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::{
    AssertSqlSafe, Either, Executor, Row as _, SqliteConnection,
    sqlite::{SqliteArguments, SqliteRow},
};

/// A value bound to a parameter, or a column of a row that is checked as a whole.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Blob(Bytes),
}

impl Value {
    /// Unsigned numbers are stored bit for bit: columns that SQL compares never reach 2^63, the others are compared
    /// after they were read.
    pub(crate) fn unsigned(number: u64) -> Self {
        Self::Int(number as i64)
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn blob(bytes: &[u8]) -> Self {
        Self::Blob(Bytes::copy_from_slice(bytes))
    }

    pub(crate) fn option<T>(value: Option<T>, make: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Null, make)
    }

    /// Appends a form in which no two different lists of values are equal.
    pub(crate) fn feed(&self, bytes: &mut Vec<u8>) {
        let mut sized = |tag: u8, part: &[u8]| {
            bytes.push(tag);
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        };
        match self {
            Value::Null => bytes.push(0),
            Value::Int(number) => {
                bytes.push(1);
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            Value::Text(text) => sized(2, text.as_bytes()),
            Value::Blob(blob) => sized(3, blob),
        }
    }
}

/// One or several statements with their parameters, in one trip: the driver runs a string of statements one after
/// another, each taking its share of the arguments, and stops at the first error.
#[derive(Clone, Default)]
pub(crate) struct Script {
    sql: String,
    arguments: SqliteArguments,
}

impl Script {
    pub(crate) fn new(sql: &str) -> Self {
        let mut this = Self::default();
        this.add(sql, []);
        this
    }

    /// Adds one statement, without its semicolon. Its text comes from this crate alone; whatever a user chose is bound.
    pub(crate) fn add(&mut self, sql: &str, values: impl IntoIterator<Item = Value>) -> &mut Self {
        // Writing into a string does not fail.
        let _ = write!(self.sql, "{sql};");
        values.into_iter().for_each(|value| self.bind(value));
        self
    }

    pub(crate) fn with(mut self, sql: &str, values: impl IntoIterator<Item = Value>) -> Self {
        self.add(sql, values);
        self
    }

    /// This script, which binds nothing, and then `other`.
    pub(crate) fn then(mut self, other: Script) -> Self {
        self.sql.push_str(&other.sql);
        Self { sql: self.sql, arguments: other.arguments }
    }

    fn bind(&mut self, value: Value) {
        use sqlx::Arguments;
        let bound = match value {
            Value::Null => self.arguments.add(None::<i64>),
            Value::Int(number) => self.arguments.add(number),
            Value::Text(text) => self.arguments.add(text),
            Value::Blob(bytes) => self.arguments.add(Vec::from(bytes)),
        };
        bound.expect("numbers, texts and bytes are bound as they are");
    }

    /// Runs it, handing each row to `each` with the number of statements that had ended before it; `each` may end the
    /// reading. Answers how many statements ended, also when one failed.
    pub(crate) async fn run(
        self,
        connection: &mut SqliteConnection,
        mut each: impl FnMut(usize, SqliteRow) -> ControlFlow<()> + Send,
    ) -> (usize, Result<(), sqlx::Error>) {
        let mut ended = 0;
        let query = sqlx::query_with(AssertSqlSafe(self.sql), self.arguments);
        let mut results = connection.fetch_many(query);
        while let Some(result) = results.next().await {
            match result {
                Ok(Either::Left(_)) => ended += 1,
                Ok(Either::Right(row)) => {
                    if each(ended, row).is_break() {
                        break;
                    }
                }
                Err(error) => return (ended, Err(error)),
            }
        }
        (ended, Ok(()))
    }

    /// Runs it for its rows, whatever statements they are of.
    pub(crate) async fn rows(self, connection: &mut SqliteConnection) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let query = sqlx::query_with(AssertSqlSafe(self.sql), self.arguments);
        connection.fetch(query).try_collect().await
    }

    /// Runs it for its effect.
    pub(crate) async fn execute(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        self.run(connection, |_, _| ControlFlow::Continue(())).await.1
    }
}

/// Reads a row's columns one after another. The tables are STRICT and the rows carry checksums, so types are not
/// checked a second time.
pub(crate) struct Columns<'a> {
    row: &'a SqliteRow,
    next: usize,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(row: &'a SqliteRow) -> Self {
        Self::from(row, 0)
    }

    pub(crate) fn from(row: &'a SqliteRow, next: usize) -> Self {
        Self { row, next }
    }

    pub(crate) fn get<T>(&mut self) -> Result<T, sqlx::Error>
    where
        T: sqlx::Decode<'a, sqlx::Sqlite>,
    {
        let index = self.next;
        self.next += 1;
        self.row.try_get_unchecked(index)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, sqlx::Error> {
        self.get::<i64>().map(|number| number as u64)
    }

    pub(crate) fn unsigned_option(&mut self) -> Result<Option<u64>, sqlx::Error> {
        self.get::<Option<i64>>().map(|number| number.map(|number| number as u64))
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, sqlx::Error> {
        self.get::<Vec<u8>>().map(Bytes::from)
    }

    /// Bytes of a fixed length.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], sqlx::Error> {
        let bytes: &[u8] = self.get()?;
        bytes
            .try_into()
            .map_err(|_| sqlx::Error::Decode("a column has another length than it was written with".into()))
    }
}
