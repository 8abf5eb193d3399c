//! Reading a [`Span`] page by page: what is asked for next, what a page has to hold, and when there is no more.

use crate::{Cursor, Error, ErrorKind, Incarnation, Refusal, Result, Span};

/// How many entries a page has when nothing else is asked for, and at most.
const PAGE: u32 = 256;
const LARGEST_PAGE: u32 = 4096;

/// For stores that read entries in pages: the span is what is still to come, and moves past each page.
impl Span {
    /// How many entries the next page has at most.
    pub fn next_page(&self) -> u64 {
        let asked = u64::from(self.page.unwrap_or(PAGE).clamp(1, LARGEST_PAGE));
        self.limit.map_or(asked, |limit| limit.min(asked))
    }

    /// Stays in one life of the run from the first page on: another one is not its continuation.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for a page of another life.
    pub fn stay_in(&mut self, incarnation: Incarnation) -> Result<()> {
        if *self.incarnation.get_or_insert(incarnation) == incarnation {
            Ok(())
        } else {
            Err(Refusal::NotFound.into())
        }
    }

    /// Where the entry at an index of the next page stands, in a sequence without gaps up to `newest`.
    pub fn place(&self, newest: u64, index: usize) -> u64 {
        let index = index as u64;
        if self.reverse {
            self.until.unwrap_or(u64::MAX).min(newest).wrapping_sub(index)
        } else {
            self.after.wrapping_add(1).wrapping_add(index)
        }
    }

    /// Compares a page of records with what the run's row says: they are gapless from `first` to `newest`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Trimmed`] when the span reaches below the first; [`ErrorKind::Corrupt`] when one is missing.
    pub fn check_records(
        &self,
        first: Cursor,
        newest: Cursor,
        cursors: impl ExactSizeIterator<Item = Cursor>,
    ) -> Result<()> {
        let until = self.until.unwrap_or(u64::MAX);
        if until <= self.after || self.limit == Some(0) {
            return Ok(());
        }
        if self.after.saturating_add(1) < first {
            return Err(Refusal::Trimmed { first }.into());
        }
        let missing = cursors.len() == 0 && self.after < until.min(newest);
        let mut each = cursors.enumerate();
        if missing || each.any(|(index, cursor)| cursor != self.place(newest, index)) {
            return Err(Error::new(ErrorKind::Corrupt, "a record is gone"));
        }
        Ok(())
    }

    /// Moves past a page of so many entries, the last of which stands at `last`, and says whether the stream ends with it: of
    /// a run whose newest entry stands at `newest`, and that has `finished` or not.
    pub fn pass(&mut self, count: usize, last: Option<u64>, newest: u64, finished: bool) -> bool {
        if let Some(last) = last {
            self.limit = self.limit.map(|limit| limit.saturating_sub(count as u64));
            if self.reverse {
                self.until = Some(last.saturating_sub(1));
            } else {
                self.after = last;
            }
        }
        let end = self.until.unwrap_or(u64::MAX);
        let nothing_left = last.is_none() || self.after >= end.min(newest);
        let no_more_to_come = !self.follow || finished || end <= newest.max(self.after);
        self.limit == Some(0) || nothing_left && no_more_to_come
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a log from `first` to `newest` gives to a span, in pages.
    fn walk(mut span: Span, first: u64, newest: u64, finished: bool) -> Result<(Vec<u64>, bool)> {
        let mut all = Vec::new();
        for _ in 0..100 {
            let end = span.until.unwrap_or(u64::MAX).min(newest);
            let within = span.after.max(first - 1) + 1..=end;
            let count = usize::try_from(span.next_page()).unwrap_or(usize::MAX);
            let page: Vec<u64> =
                if span.reverse { within.rev().take(count).collect() } else { within.take(count).collect() };
            span.check_records(first, newest, page.iter().copied())?;
            let ended = span.pass(page.len(), page.last().copied(), newest, finished);
            all.extend(&page);
            if ended || page.is_empty() {
                return Ok((all, ended));
            }
        }
        unreachable!("it never ends")
    }

    #[test]
    fn every_page_is_where_the_one_before_it_ends() {
        for page in [1, 2, 3, 7, 100] {
            let span = Span::all().page(page);
            let numbers = |range: std::ops::RangeInclusive<u64>| range.collect::<Vec<_>>();
            assert_eq!(walk(span, 1, 7, false).unwrap(), (numbers(1..=7), true));
            assert_eq!(
                walk(span.reverse(), 1, 7, false).unwrap().0,
                numbers(1..=7).into_iter().rev().collect::<Vec<_>>()
            );
            assert_eq!(
                walk(Span { after: 2, until: Some(5), ..span }, 3, 7, false).unwrap(),
                (numbers(3..=5), true)
            );
            assert_eq!(walk(span.limit(4), 1, 7, false).unwrap(), (numbers(1..=4), true));
            assert_eq!(walk(Span { follow: true, ..span }, 1, 7, false).unwrap(), (numbers(1..=7), false));
            assert_eq!(walk(Span { follow: true, ..span }, 1, 7, true).unwrap(), (numbers(1..=7), true));
        }
    }

    #[test]
    fn what_is_missing_is_told() {
        let all = Span::all();
        let kind = |checked: Result<()>| checked.err().map(|error| error.kind());
        assert_eq!(kind(all.check_records(1, 3, [1, 2, 3].into_iter())), None);
        assert_eq!(kind(all.check_records(1, 3, [1, 3].into_iter())), Some(ErrorKind::Corrupt));
        assert_eq!(kind(all.check_records(1, 3, [].into_iter())), Some(ErrorKind::Corrupt));
        assert_eq!(kind(all.reverse().check_records(1, 3, [2].into_iter())), Some(ErrorKind::Corrupt));
        assert_eq!(kind(all.check_records(2, 3, [2, 3].into_iter())), Some(ErrorKind::Trimmed));
        assert_eq!(kind(Span::after(3).check_records(2, 3, [].into_iter())), None);
    }

    #[test]
    fn a_stream_stays_in_the_life_that_it_began_in() {
        let mut span = Span::all();
        assert!(span.stay_in(Incarnation(1)).is_ok() && span.stay_in(Incarnation(1)).is_ok());
        assert_eq!(span.stay_in(Incarnation(2)).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
