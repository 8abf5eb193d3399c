//! The connections that read: few, opened when they are needed, and held for one read each, so that nobody who reads
//! slowly keeps the write-ahead log from being reset.

use std::{
    ops::ControlFlow,
    sync::{Mutex, MutexGuard},
};

use milepost_core::{Error, Result};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteRow};
use tokio::sync::Semaphore;

use crate::{
    SqliteConfig,
    connection::{self, Patience},
    error::{closed, from_driver},
    sql::Script,
};

/// The reading connections of a handle and its clones.
#[derive(Debug)]
pub(crate) struct Readers {
    config: SqliteConfig,
    permits: Semaphore,
    idle: Mutex<Vec<SqliteConnection>>,
}

impl Readers {
    pub(crate) fn new(config: SqliteConfig) -> Self {
        Self { permits: Semaphore::new(config.readers), idle: Mutex::new(Vec::new()), config }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs a script in one read transaction: all of its statements see one state of the database. Each statement's
    /// rows go to `each`, under the statement's number from 0; it may end the reading, which costs the connection.
    ///
    /// A future that is dropped meanwhile takes its connection along: its state is unknown.
    pub(crate) async fn read<T>(
        &self,
        script: Script,
        mut each: impl FnMut(&mut T, usize, SqliteRow) -> ControlFlow<()> + Send,
    ) -> Result<T>
    where
        T: Default + Send,
    {
        let _permit = self.permits.acquire().await.map_err(|_| closed())?;
        let script = Script::new("BEGIN").then(script).with("COMMIT", []);
        let mut patience = Patience::new(self.config.busy_timeout);
        loop {
            let attempt = self.attempt(script.clone(), &mut each).await;
            match attempt {
                Ok(result) => return Ok(result),
                Err(error) => patience.wait(error).await?,
            }
        }
    }

    async fn attempt<T>(
        &self,
        script: Script,
        each: &mut (impl FnMut(&mut T, usize, SqliteRow) -> ControlFlow<()> + Send),
    ) -> Result<T, Error>
    where
        T: Default + Send,
    {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connection::reader(&self.config).await?,
        };
        let mut result = T::default();
        let mut whole = true;
        let (_, ended) = script
            .run(&mut connection, |statement, row| {
                let flow = each(&mut result, statement - 1, row);
                whole = flow.is_continue();
                flow
            })
            .await;
        ended.map_err(from_driver)?;
        if whole {
            self.idle().push(connection);
        }
        Ok(result)
    }

    /// Waits for the reads that are under way, and ends.
    pub(crate) async fn close(&self) {
        let all = u32::try_from(self.config.readers).unwrap_or(u32::MAX);
        // An error means that it is closed already.
        let Ok(_every) = self.permits.acquire_many(all).await else { return };
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            let _ = connection.close().await;
        }
    }
}
