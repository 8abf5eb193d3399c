//! What layers have in common: a store behind them, and something that is done around each operation.

use milepost_core::{BoxStream, Operation, Result, RunId, Store};

/// A store that stands in front of another one.
///
/// Says what is done around the operations that the layer does not write out itself; [`forward_store!`](crate::forward_store)
/// makes the rest of its [`Store`] implementation.
pub trait Layer: Sync {
    /// The store behind this one.
    type Inner: Store;

    /// The store behind this one.
    fn inner(&self) -> &Self::Inner;

    /// Done around a forwarded operation. `work` is the inner call, not begun yet: a layer may do something before or
    /// after it, or never begin it. By default it is just awaited.
    fn around<T: Send>(
        &self,
        operation: Operation,
        run: Option<&RunId>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        let _ = (operation, run);
        work
    }

    /// Done around a forwarded stream. By default nothing.
    fn around_stream<T: Send + 'static>(
        &self,
        operation: Operation,
        run: Option<&RunId>,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let _ = (operation, run);
        stream
    }
}

/// Implements [`Store`] for a [`Layer`]: the methods that are named go to the inner store through [`Layer::around`], the
/// others are written out below.
///
/// The contract's methods have no default bodies, so one that is neither named nor written is a compile error, and so
/// is one that is both. `commit_many` is always written out: many runs and verdicts are no single operation that
/// something could be done around.
///
/// ```
/// use milepost_core::{Commit, Committed, ErrorKind, Error, Result, RunId, Store};
/// use milepost_layers::{Layer, forward_store};
///
/// /// A store that takes no commits.
/// #[derive(Debug)]
/// struct Frozen<S>(S);
///
/// impl<S: Store> Layer for Frozen<S> {
///     type Inner = S;
///
///     fn inner(&self) -> &S {
///         &self.0
///     }
/// }
///
/// forward_store! {
///     impl<S: Store> Store for Frozen<S>;
///     forward capabilities, open, renew, send, delete, head, snapshot, stream, inbox, blob, blobs, list, close;
///
///     async fn commit(&self, _: Commit) -> Result<Committed> {
///         Err(Error::new(ErrorKind::ReadOnly, "frozen"))
///     }
///
///     async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
///         commits.iter().map(|_| Err(Error::new(ErrorKind::ReadOnly, "frozen"))).collect()
///     }
/// }
/// ```
#[macro_export]
macro_rules! forward_store {
    (
        impl $(<$S:ident: $Bound:path>)? Store for $Layer:ty;
        forward $($method:ident),* $(,)?;
        $($own:tt)*
    ) => {
        $crate::__forward_store! {
            @method [impl $(<$S: $Bound>)? $crate::contract::Store for $Layer] {$($own)*} $($method)*
        }
    };
}

/// Takes the named methods one by one (`@method`), puts each behind the body so far in one of two shapes (`@async`,
/// `@stream`), and writes the implementation when none is left.
#[doc(hidden)]
#[macro_export]
macro_rules! __forward_store {
    (@method [$($head:tt)*] {$($body:tt)*}) => {
        #[$crate::contract::async_trait]
        $($head)* {
            $($body)*
        }
    };
    (@method $head:tt $body:tt open $($rest:ident)*) => {
        $crate::__forward_store! {
            @async $head $body Open open(run; open: $crate::contract::Open) -> $crate::contract::Opened; $($rest)*
        }
    };
    (@method $head:tt $body:tt renew $($rest:ident)*) => {
        $crate::__forward_store! {
            @async $head $body Renew renew(run; renew: $crate::contract::Renew) -> (); $($rest)*
        }
    };
    (@method $head:tt $body:tt send $($rest:ident)*) => {
        $crate::__forward_store! {
            @async $head $body Send send(run; message: $crate::contract::NewMessage) -> $crate::contract::Sent; $($rest)*
        }
    };
    (@method $head:tt $body:tt delete $($rest:ident)*) => {
        $crate::__forward_store! {
            @async $head $body Delete delete(run; guard: $crate::contract::Delete) -> bool; $($rest)*
        }
    };
    (@method $head:tt $body:tt head $($rest:ident)*) => {
        $crate::__forward_store! {
            @async $head $body Head head(run;) -> Option<$crate::contract::Head>; $($rest)*
        }
    };
    (@method $head:tt $body:tt snapshot $($rest:ident)*) => {
        $crate::__forward_store! {
            @async $head $body Snapshot snapshot(run; at: $crate::contract::At) -> Option<$crate::contract::Snapshot>; $($rest)*
        }
    };
    (@method $head:tt $body:tt stream $($rest:ident)*) => {
        $crate::__forward_store! {
            @stream $head $body Stream stream(run; span: $crate::contract::Span) -> $crate::contract::Record; $($rest)*
        }
    };
    (@method $head:tt $body:tt inbox $($rest:ident)*) => {
        $crate::__forward_store! {
            @stream $head $body Inbox inbox(run; span: $crate::contract::Span) -> $crate::contract::Message; $($rest)*
        }
    };
    (@method $head:tt $body:tt blob $($rest:ident)*) => {
        $crate::__forward_store! {
            @async $head $body Blob blob(run; name: &$crate::contract::Digest) -> Option<$crate::contract::Bytes>; $($rest)*
        }
    };
    (@method $head:tt $body:tt blobs $($rest:ident)*) => {
        $crate::__forward_store! {
            @stream $head $body Blobs blobs(run;) -> $crate::contract::BlobInfo; $($rest)*
        }
    };
    (@method $head:tt $body:tt list $($rest:ident)*) => {
        $crate::__forward_store! {
            @stream $head $body List list(; query: $crate::contract::Query) -> $crate::contract::Head; $($rest)*
        }
    };
    (@method $head:tt $body:tt close $($rest:ident)*) => {
        $crate::__forward_store! {
            @async $head $body Close close(;) -> (); $($rest)*
        }
    };
    (@method [$($head:tt)*] {$($body:tt)*} capabilities $($rest:ident)*) => {
        $crate::__forward_store! {
            @method [$($head)*] {
                $($body)*

                fn capabilities(&self) -> $crate::contract::Capabilities {
                    $crate::contract::Store::capabilities($crate::Layer::inner(self))
                }
            } $($rest)*
        }
    };
    (@method [$($head:tt)*] {$($body:tt)*} commit $($rest:ident)*) => {
        $crate::__forward_store! {
            @method [$($head)*] {
                $($body)*

                async fn commit(
                    &self,
                    commit: $crate::contract::Commit,
                ) -> $crate::contract::Result<$crate::contract::Committed> {
                    let run = commit.run.clone();
                    let work = $crate::contract::Store::commit($crate::Layer::inner(self), commit);
                    $crate::Layer::around(self, $crate::contract::Operation::Commit, Some(&run), work).await
                }
            } $($rest)*
        }
    };
    (@async [$($head:tt)*] {$($body:tt)*} $Operation:ident
        $method:ident($($run:ident)?; $($arg:ident: $Arg:ty)?) -> $Answer:ty; $($rest:ident)*
    ) => {
        $crate::__forward_store! {
            @method [$($head)*] {
                $($body)*

                async fn $method(
                    &self, $($run: &$crate::contract::RunId,)? $($arg: $Arg)?
                ) -> $crate::contract::Result<$Answer> {
                    let work = $crate::contract::Store::$method($crate::Layer::inner(self), $($run,)? $($arg)?);
                    let run = $crate::__forward_store!(@run $($run)?);
                    $crate::Layer::around(self, $crate::contract::Operation::$Operation, run, work).await
                }
            } $($rest)*
        }
    };
    (@stream [$($head:tt)*] {$($body:tt)*} $Operation:ident
        $method:ident($($run:ident)?; $($arg:ident: $Arg:ty)?) -> $Item:ty; $($rest:ident)*
    ) => {
        $crate::__forward_store! {
            @method [$($head)*] {
                $($body)*

                fn $method(
                    &self, $($run: &$crate::contract::RunId,)? $($arg: $Arg)?
                ) -> $crate::contract::BoxStream<'static, $crate::contract::Result<$Item>> {
                    let stream = $crate::contract::Store::$method($crate::Layer::inner(self), $($run,)? $($arg)?);
                    let run = $crate::__forward_store!(@run $($run)?);
                    $crate::Layer::around_stream(self, $crate::contract::Operation::$Operation, run, stream)
                }
            } $($rest)*
        }
    };
    (@run $run:ident) => { Some($run) };
    (@run) => { None };
}
