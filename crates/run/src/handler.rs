//! Handlers of any type, behind one.

use std::{fmt, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use milepost_core::Result;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{BoxError, Run, canonical::to_json, value::decode};

/// What a handler's future gives: the output as JSON.
pub(crate) type Returned = std::result::Result<Box<RawValue>, BoxError>;

type Call = dyn Fn(Run, &RawValue) -> Result<BoxFuture<'static, Returned>> + Send + Sync;

/// A function that drives runs of one name.
#[derive(Clone)]
pub(crate) struct Handler(Arc<Call>);

impl Handler {
    pub(crate) fn new<I, O, E, F>(handler: impl Fn(Run, I) -> F + Send + Sync + 'static) -> Self
    where
        I: DeserializeOwned,
        O: Serialize,
        E: Into<BoxError>,
        F: Future<Output = std::result::Result<O, E>> + Send + 'static,
    {
        Self(Arc::new(move |run, input| {
            let work = handler(run, decode(input.get().as_bytes())?);
            let json = async {
                let output = work.await.map_err(Into::into)?;
                Ok(to_json(&output)?)
            };
            Ok(json.boxed())
        }))
    }

    /// Stands in for one that is not known, where it is not called.
    pub(crate) fn absent() -> Self {
        Self(Arc::new(|_, _| {
            Err(milepost_core::Error::new(milepost_core::ErrorKind::Invalid, "its handler is not known here"))
        }))
    }

    /// Calls it.
    ///
    /// # Errors
    ///
    /// [`milepost_core::ErrorKind::Undecodable`]: the input is not what it takes.
    pub(crate) fn call(&self, run: Run, input: &RawValue) -> Result<BoxFuture<'static, Returned>> {
        (self.0)(run, input)
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}
