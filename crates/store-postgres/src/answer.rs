//! What the functions of the writes say.

use bytes::Bytes;
use milepost_core::{Clash, Error, ErrorKind, Refusal, Result, RunId, Timestamp};
use sqlx::postgres::PgRow;

use crate::{
    columns::Columns,
    error::{corrupt, damaged},
    row::{Found, Parts, Row},
};

macro_rules! codes {
    ($($name:ident $code:literal),* $(,)?) => {
        $(pub(crate) const $name: i64 = $code;)*
        /// The codes by the names that the SQL has for them.
        pub(crate) const CODES: &[(&str, i64)] = &[$((stringify!($name), $code)),*];
    };
}

codes! {
    OK 0, NOT_FOUND 1, REPLAYED 2, ID_REUSED 3, FENCED 4, FINISHED 5, VERSION 6, NOT_WAITING 7, MISSING_BLOB 8,
    SNAPSHOT_CURSOR 9, TRIM 10, DUPLICATE 11, ALREADY_EXISTS 12, MANIFEST 13, LEASE_HELD 14, CORRUPT 15,
    NOT_FINISHED 16, DRIVEN 17, CONFLICTING 18,
}

/// An answer, refusals that need nothing else left out.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i64,
    pub(crate) a: i64,
    pub(crate) b: i64,
    parts: Parts,
}

impl Answer {
    /// Reads the one row of an answer.
    ///
    /// # Errors
    ///
    /// `NotFound` · `Corrupt`.
    pub(crate) fn read(rows: &[PgRow]) -> Result<Self> {
        let mut columns = Columns::new(rows.first().ok_or_else(nonsense)?);
        let (code, a, b) = (columns.int()?, columns.int()?, columns.int()?);
        match code {
            NOT_FOUND => return Err(Refusal::NotFound.into()),
            CORRUPT => return Err(damaged()),
            _ => {}
        }
        let mut next = || columns.option_bytes();
        let (run, cold, info, outcome): (_, Option<Bytes>, _, _) = (next()?, next()?, next()?, next()?);
        let parts = Parts { run, cold, info, outcome, at: Timestamp(columns.int()?) };
        Ok(Self { code, a, b, parts })
    }

    pub(crate) fn number(&self) -> Result<u64> {
        u64::try_from(self.a).map_err(|_| nonsense())
    }

    /// The run's row; `None` if the answer is about no run.
    pub(crate) fn row(&self, run: &RunId) -> Result<Option<Row>> {
        self.parts.run.as_ref().map(|raw| Row::read(raw, run)).transpose()
    }

    /// The run as it is, where the answer carries all of it.
    pub(crate) fn found(self, run: &RunId) -> Result<Found> {
        Found::read(run, self.parts)
    }

    /// The refusals that carry the run and nothing of what was asked.
    pub(crate) fn refusal(self, run: &RunId) -> Result<Error> {
        let code = self.code;
        let Found { row, head } = self.found(run)?;
        let clash = match code {
            FENCED => return Ok(Refusal::Fenced { current: row.fence }.into()),
            FINISHED => {
                let outcome = head.outcome.ok_or_else(|| corrupt("the outcome is gone"))?;
                return Ok(Refusal::Finished { outcome }.into());
            }
            ALREADY_EXISTS => return Ok(Refusal::AlreadyExists.into()),
            LEASE_HELD => {
                let owner = head.lease.map(|lease| lease.owner);
                let expires_in = head.due.map(|due| due.since(head.at));
                return Ok(Refusal::LeaseHeld { owner, expires_in }.into());
            }
            VERSION => Clash::Version,
            NOT_FINISHED => Clash::NotFinished,
            DRIVEN => Clash::Driven,
            _ => return Err(nonsense()),
        };
        Ok(Refusal::Conflict { head: Box::new(head), clash }.into())
    }
}

/// An answer that no function of this version gives.
pub(crate) fn nonsense() -> Error {
    Error::new(ErrorKind::Other, "the server's functions are not those of this version of the library")
}
