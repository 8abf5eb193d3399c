//! The contract itself.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;

use crate::{
    At, BlobInfo, Capabilities, Commit, Committed, Delete, Digest, Head, Message, NewMessage, Open, Opened,
    Query, Record, Renew, Result, RunId, Sent, Snapshot, Span,
};

/// A backend that keeps runs.
///
/// # What every method holds to
///
/// - **Atomicity.** A write happens whole or not at all, and becomes visible at once, to every handle of every process.
///   Histories of one run are linearizable.
/// - **Names are bytes.** No character of a run id, a label or any other text means anything to a store.
/// - **Durability.** When a write returns `Ok`, it is durable to the level that [`Capabilities::durability`] declares.
/// - **Refusals** change nothing that can be read. They come in the documented order; the first that applies is given.
/// - **Errors of a write** say whether it may have happened ([`crate::Error::applied`]). After [`crate::Applied::Maybe`]
///   the same value sent again, under the same id, settles it.
/// - **Cancellation.** A dropped future leaves a write either done or not done, never half; which of them is found out
///   like a lost acknowledgement, by sending it again.
/// - **Time** is the store's. A worker whose clock is hours off changes nothing.
/// - **Streams** ask nothing of the store until they are read, and then a page at a time: what is refused, and a store that
///   was closed in between, is told by the next item.
/// - **Reads** see one state of the run each. Stored bytes are verified: what is not as it was written is
///   [`crate::ErrorKind::Corrupt`], never other data and never less.
///
/// Handles are cheap clones, and `Arc<S>` and `Box<S>` are stores too. Methods have no default bodies: a wrapper cannot
/// forget one.
///
/// # Which cases hold a store to it
///
/// Behind *Held by* each method, and each type with rules of its own, names the cases of `milepost-conformance` that
/// enforce it: `open/*` are all cases of an area, and `cargo test --test conformance -- open/` runs them. A test of the
/// kit compares these lines with its table.
///
/// Held by: `concurrency/*`, `differential/*`, `crash/*`, `corruption/*`, `schema/*`, `errors/*`, `ids/*`.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// What this store offers: pure, and constant for a handle.
    ///
    /// Held by: `capabilities/they-are-constant-over-handles-and-time`,
    /// `capabilities/a-run-can-be-resumed-from-it`.
    fn capabilities(&self) -> Capabilities;

    /// Creates, resumes or takes over a run and mints its new fence. Of racing openers exactly one succeeds; each
    /// success raises the epoch and the version. Opening another's lease that was never released counts as a lapse.
    ///
    /// The same [`Open::id`] again, with nothing opened or committed since (the run's version still is the one of that
    /// open), answers the same fence: `created` as the first time, the head as it is now. Nothing changes by it, the lease
    /// neither.
    ///
    /// A success forgets the wake that the run was released with. The remembered commit stays.
    ///
    /// # Errors
    ///
    /// In this order: what [`Open::check`] refuses · the repeated id is answered · `AlreadyExists` or `NotFound` by the
    /// mode · `ManifestMismatch` · `Finished` (a failed run is reopened when asked; its lapses are forgotten then) ·
    /// `LeaseHeld`.
    ///
    /// Held by: `open/*`, `leases/*`, `fencing/a-takeover-*`, `lost-ack/opens-and-messages-are-settled-too`,
    /// `lost-ack/an-open-dropped-is-settled`.
    async fn open(&self, run: &RunId, open: Open) -> Result<Opened>;

    /// The one atomic write of a run's owner. The cursors of its records are known beforehand: they follow the run's
    /// newest one.
    ///
    /// A run's newest commit is remembered by id, digest and answer, also across a takeover until the successor's first
    /// commit, and sending it again gives its first answer with `replayed` set. A lease that has run out does not matter
    /// while the fence is the newest.
    ///
    /// # Errors
    ///
    /// In this order: what [`Commit::check`] refuses · `NotFound` (also: another incarnation) · the replay is answered ·
    /// `IdReused` (the remembered id, another digest) · `Fenced` (also: released) · `Finished` · `Conflict` (first the
    /// version, then messages, blobs, the snapshot's cursor, the trim) · `Duplicate` (with the cursor of the first record
    /// of that id: ids that the run holds first, then those that the commit holds twice).
    ///
    /// Held by: `commit/*`, `fencing/*`, `lost-ack/*`, `snapshots/*`, `blobs/*`,
    /// `inbox/taken-exactly-when-the-commit-holds`.
    async fn commit(&self, commit: Commit) -> Result<Committed>;

    /// Commits of different runs, in one trip where the backend can. The answers are in the order of the commits, each
    /// with its own verdict; one failure spoils no other. A run that occurs twice is `Invalid`, for each of its commits.
    ///
    /// Atomic each, not together.
    ///
    /// Held by: `commit/a-batch-*`, `commit/one-failure-of-a-batch-spoils-no-other`,
    /// `commit/each-commit-of-a-batch-is-atomic`, `commit/each-kind-of-commit-does-in-a-batch-what-it-does-alone`,
    /// `commit/a-run-twice-in-a-batch-is-invalid-for-both`,
    /// `capabilities/a-batch-answers-each-in-order`.
    async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>>;

    /// Extends the owner's lease to at least [`Renew::ttl`] from now, and replaces the note if one is given. Raises no
    /// version and displaces no remembered commit; harmless twice.
    ///
    /// # Errors
    ///
    /// In this order: what [`Renew::check`] refuses · `NotFound` · `Fenced` (also: released) · `Finished`.
    ///
    /// Held by: `leases/a-renewal-*`, `leases/a-delayed-renewal-*`, `fencing/an-older-fences-renewal-is-refused`,
    /// `lost-ack/a-renewal-dropped-is-settled`.
    async fn renew(&self, run: &RunId, renew: Renew) -> Result<()>;

    /// Puts a message into a run's inbox: an outsider's only write. The first message of a key wins, also after it was
    /// taken and after the run has finished. A waiting run whose wake asks for it becomes due in the same step, now, unless
    /// it was due earlier. Raises no version.
    ///
    /// # Errors
    ///
    /// In this order: what [`NewMessage::check`] refuses · `NotFound` (also: another incarnation) · a known key is
    /// answered · `Finished`.
    ///
    /// Held by: `inbox/*`, `lost-ack/a-message-dropped-is-settled`.
    async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent>;

    /// Removes a run with everything that it has: `true` if it did, `false` if there was none. Idempotent. The guard is
    /// checked in the same atomic step; a writer of the deleted run gets `NotFound`.
    ///
    /// # Errors
    ///
    /// In this order: `NotFound` (the guard names another incarnation than the one that is there) · `Conflict` (it has
    /// not finished; somebody drives it).
    ///
    /// Held by: `deletion/*`, `fencing/a-deletion-racing-commits-leaves-nothing`.
    async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool>;

    /// A run's summary; `None` if there is no such run. Its [`Head::at`] is the store's now, by which its status is judged.
    ///
    /// Held by: `open/begun-but-empty-is-known`, `streams/every-read-of-an-unknown-run-is-not-found`,
    /// `deletion/nothing-is-left-to-read`.
    async fn head(&self, run: &RunId) -> Result<Option<Head>>;

    /// A kept snapshot of a run; `None` if it has none that fits.
    ///
    /// # Errors
    ///
    /// What [`At::check`] refuses · `NotFound` · `Corrupt`: also when one that the head lists is not there.
    ///
    /// Held by: `snapshots/*`.
    async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>>;

    /// A run's records in order. At the head or past it the stream is empty. Records that are committed while it is read
    /// may or may not come, but always as a gapless prefix.
    ///
    /// With [`Span::follow`] it waits at the end, survives release and takeover, and ends after the last record of a
    /// finished run. Dropping it leaves nothing behind. Memory is bounded by a page, not by the log.
    ///
    /// # Errors
    ///
    /// As the stream's last item: what [`Span::check_log`] refuses · `NotFound` (also: another incarnation than the
    /// span's, at any time) · `Trimmed` when records of the span were trimmed: when `after + 1` lies below
    /// [`Head::first`], unless the span asks for nothing (a limit of 0, or `until` not above `after`) · `Corrupt`: also
    /// for a hole.
    ///
    /// Held by: `streams/*`.
    fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>>;

    /// The messages that wait in a run's inbox, in order; positions are message numbers. Those that were taken are left
    /// out, and nothing is ever `Trimmed`. With [`Span::follow`] it waits and ends as [`Store::stream`] does.
    ///
    /// # Errors
    ///
    /// As the stream's last item: what [`Span::check_inbox`] refuses · `NotFound` · `Corrupt`.
    ///
    /// Held by: `inbox/every-span-gives-what-waits-in-it`, `inbox/a-thousand-messages-stream-in-order`,
    /// `inbox/a-follower-*`.
    fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>>;

    /// A blob of a run; `None` if it has none of this name.
    ///
    /// # Errors
    ///
    /// `Unsupported` · `NotFound` (the run) · `Corrupt`.
    ///
    /// Held by: `blobs/a-blob-is-read-by-its-name`, `blobs/the-blobs-of-no-run-are-not-found`.
    async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>>;

    /// The blobs of a run, by their names. Errors as for [`Store::blob`], as the stream's last item.
    ///
    /// Held by: `blobs/blobs-are-enumerated-by-name`, `blobs/many-blobs-are-enumerated-whole`.
    fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>>;

    /// The runs that match. Pages are cut at the first page's now: only runs that were created by then are given, and
    /// statuses are judged at it. A run that matches throughout comes exactly once. Memory is bounded by a page.
    ///
    /// # Errors
    ///
    /// As the stream's last item: what [`Query::check`] refuses · `Corrupt`.
    ///
    /// Held by: `listing/*`, `ids/odd-ids-are-listed-by-their-bytes`.
    fn list(&self, query: Query) -> BoxStream<'static, Result<Head>>;

    /// Waits for what is in flight and closes the backend; every later call, of every clone of the handle, is
    /// [`crate::ErrorKind::Closed`], and so is the next item of a stream that is being read or followed. Closing twice is
    /// harmless.
    ///
    /// Held by: `capabilities/a-closed-handle-*`, `capabilities/closing-*`,
    /// `capabilities/commits-racing-the-close-hold-or-are-refused`.
    async fn close(&self) -> Result<()>;
}

macro_rules! forward {
    ($Pointer:ident) => {
        #[async_trait]
        impl<S: Store + ?Sized> Store for $Pointer<S> {
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            async fn open(&self, run: &RunId, open: Open) -> Result<Opened> {
                (**self).open(run, open).await
            }

            async fn commit(&self, commit: Commit) -> Result<Committed> {
                (**self).commit(commit).await
            }

            async fn commit_many(&self, commits: Vec<Commit>) -> Vec<Result<Committed>> {
                (**self).commit_many(commits).await
            }

            async fn renew(&self, run: &RunId, renew: Renew) -> Result<()> {
                (**self).renew(run, renew).await
            }

            async fn send(&self, run: &RunId, message: NewMessage) -> Result<Sent> {
                (**self).send(run, message).await
            }

            async fn delete(&self, run: &RunId, guard: Delete) -> Result<bool> {
                (**self).delete(run, guard).await
            }

            async fn head(&self, run: &RunId) -> Result<Option<Head>> {
                (**self).head(run).await
            }

            async fn snapshot(&self, run: &RunId, at: At) -> Result<Option<Snapshot>> {
                (**self).snapshot(run, at).await
            }

            fn stream(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Record>> {
                (**self).stream(run, span)
            }

            fn inbox(&self, run: &RunId, span: Span) -> BoxStream<'static, Result<Message>> {
                (**self).inbox(run, span)
            }

            async fn blob(&self, run: &RunId, name: &Digest) -> Result<Option<Bytes>> {
                (**self).blob(run, name).await
            }

            fn blobs(&self, run: &RunId) -> BoxStream<'static, Result<BlobInfo>> {
                (**self).blobs(run)
            }

            fn list(&self, query: Query) -> BoxStream<'static, Result<Head>> {
                (**self).list(query)
            }

            async fn close(&self) -> Result<()> {
                (**self).close().await
            }
        }
    };
}

forward!(Arc);
forward!(Box);
