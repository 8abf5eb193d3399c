//! Reading records and messages page by page: which entries are next, and when there are no more.

use futures_util::{StreamExt, TryStreamExt, stream};
use milepost_core::{BoxStream, Capabilities, Error, Message, Operation, Record, Result, Span};

use crate::Image;

/// How many entries or heads a page has when nobody asks for another size.
pub(crate) const PAGE: usize = 256;

/// The next part of what a [`Span`] asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Page<T> {
    /// These, at least one, in order. The span has been moved past them.
    Entries(Vec<T>),
    /// Nothing yet: the span follows, and the run may go on. Look again once it has changed.
    Wait,
    /// Nothing more, ever.
    End,
}

/// What is read in pages: a [`Record`] or a [`Message`].
pub trait Entry: sealed::Entry {
    /// For the context of errors.
    const OPERATION: Operation;

    /// Refuses a span that no store of these capabilities can stream: to be called once, before the first page.
    ///
    /// # Errors
    ///
    /// Those of [`Span::check_log`] or [`Span::check_inbox`].
    fn check(span: &Span, capabilities: &Capabilities) -> Result<()>;
}

mod sealed {
    use milepost_core::{Result, Span};

    use crate::Image;

    /// How a page is cut; this crate's own business.
    pub trait Entry: Sized + Send + 'static {
        /// At most `size` entries of the span.
        fn cut(image: &Image, span: &Span, size: usize) -> Result<Vec<Self>>;
        /// Where it stands.
        fn position(&self) -> u64;
        /// The newest position that the run has ever given.
        fn newest(image: &Image) -> u64;
    }
}

impl Entry for Record {
    const OPERATION: Operation = Operation::Stream;

    fn check(span: &Span, capabilities: &Capabilities) -> Result<()> {
        span.check_log(capabilities)
    }
}

impl sealed::Entry for Record {
    fn cut(image: &Image, span: &Span, size: usize) -> Result<Vec<Self>> {
        image.records(span, size)
    }

    fn position(&self) -> u64 {
        self.cursor
    }

    fn newest(image: &Image) -> u64 {
        image.head.cursor
    }
}

impl Entry for Message {
    const OPERATION: Operation = Operation::Inbox;

    fn check(span: &Span, capabilities: &Capabilities) -> Result<()> {
        span.check_inbox(capabilities)
    }
}

impl sealed::Entry for Message {
    fn cut(image: &Image, span: &Span, size: usize) -> Result<Vec<Self>> {
        image.inbox(span, size)
    }

    fn position(&self) -> u64 {
        self.number
    }

    fn newest(image: &Image) -> u64 {
        image.head.newest_message
    }
}

impl Image {
    /// The next page of `span`, which is moved past it: what is left of the span is what is still to come. From the
    /// first page on it is bound to this life of the run, because another one is not its continuation.
    ///
    /// ```
    /// use milepost_core::{Record, Result, Span};
    /// use milepost_store_memory::{Image, Page};
    ///
    /// /// Every record, from an image that does not change meanwhile.
    /// fn whole_log(image: &Image) -> Result<Vec<Record>> {
    ///     let (mut span, mut log) = (Span::all(), Vec::new());
    ///     while let Page::Entries(records) = image.page(&mut span)? {
    ///         log.extend(records);
    ///     }
    ///     Ok(log)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Image::records`] and [`Image::inbox`].
    pub fn page<T: Entry>(&self, span: &mut Span) -> Result<Page<T>> {
        let entries = T::cut(self, span, span.page.map_or(PAGE, |page| page.max(1) as usize))?;
        span.incarnation = Some(self.head.fence.incarnation);
        let Some(last) = entries.last() else {
            let bounded = span.until.is_some_and(|until| until <= T::newest(self).max(span.after));
            let over = bounded || span.limit == Some(0) || self.head.outcome.is_some();
            return Ok(if span.follow && !over { Page::Wait } else { Page::End });
        };
        span.limit = span.limit.map(|limit| limit - entries.len() as u64);
        if span.reverse {
            span.until = Some(last.position() - 1);
        } else {
            span.after = last.position();
        }
        Ok(Page::Entries(entries))
    }
}

/// The stream of what is on the pages that `next` gives, one after another: each with the state that the one after it
/// begins from, `None` when there are no more. Nothing is asked for before the stream is read, nor ahead of what is.
///
/// ```
/// use milepost_store_memory::paged;
///
/// # use futures_util::TryStreamExt;
/// let numbers = paged(0, |page| async move { Ok((page < 3).then(|| (vec![page * 2, page * 2 + 1], page + 1))) });
/// # futures_executor::block_on(async {
/// assert_eq!(numbers.try_collect::<Vec<_>>().await?, [0, 1, 2, 3, 4, 5]);
/// # Ok::<(), milepost_core::Error>(())
/// # }).unwrap();
/// ```
pub fn paged<S, T, F>(
    start: S,
    mut next: impl FnMut(S) -> F + Send + 'static,
) -> BoxStream<'static, Result<T>>
where
    S: Send + 'static,
    T: Send + 'static,
    F: Future<Output = Result<Option<(Vec<T>, S)>>> + Send + 'static,
{
    let pages = stream::try_unfold(start, move |state| {
        let page = next(state);
        async move {
            let page = page.await?;
            Ok::<_, Error>(page.map(|(page, state)| (stream::iter(page.into_iter().map(Ok)), state)))
        }
    });
    pages.try_flatten().boxed()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use milepost_core::{
        Commit, Kind, Manifest, MessageKey, NewMessage, Open, OperationId, RunId, RunInfo, Store,
    };

    use super::*;
    use crate::MemoryStore;

    #[tokio::test]
    async fn an_inbox_that_is_followed_ends_behind_messages_that_were_taken() {
        let (store, run) = (MemoryStore::new(), RunId::from_static("run"));
        let open = Open::create(OperationId(1), RunInfo::named("test"), Manifest::of(b"test"));
        let opened = store.open(&run, open).await.unwrap();
        for (number, key) in [(1, "one"), (2, "two")] {
            let key = MessageKey::new(key).unwrap();
            let message = NewMessage::new(OperationId(number), key, Kind::from_static("test"), "");
            store.send(&run, message).await.unwrap();
        }
        let commit = Commit::new(run.clone(), opened.fence, OperationId(2), opened.head.version);
        store.commit(commit.take(1).take(2)).await.unwrap();
        for (until, ended) in [(1, true), (2, true), (3, false)] {
            let next = store.inbox(&run, Span::all().until(until).follow()).next().now_or_never();
            assert_eq!(next.is_some_and(|next| next.is_none()), ended, "until {until}");
        }
    }
}
