//! Finds what two states have in common.
//!
//! Most saves change little and in place, so the common prefix and suffix go first, at the speed of memory. Within what
//! is left, each mismatch is first taken for an overwrite: the same shift is tried a little ahead. Where that finds
//! nothing long enough to be believed, an index of the old blocks from there on is asked, and the best match within a
//! short look-ahead wins. The look-ahead matters: a queue of like records that lost its first one agrees at the old shift
//! in all but a few bytes of each record, and at the new shift in everything.
//!
//! Time is linear: the index is bounded and its probes are capped; looking ahead uses up a patience that only matched
//! bytes earn back; and the longer nothing matches, the thinner the search becomes, so that wholly different states
//! end as one insert soon. The price is that the smallest matches may be missed, and that a repetition of what lies in
//! the common suffix, or before the first place that the index was asked for, is stored again: neither is indexed. So
//! what is appended to a state costs no look at the rest of it.

use std::ops::Range;

use bytes::Bytes;

use super::patch::Patch;

/// Bytes that are hashed and compared as one to find a match at another shift.
const BLOCK: usize = 32;

/// How far apart indexed blocks start in small states.
const MIN_STRIDE: usize = 8;

/// How many blocks are indexed at most; larger states stretch the stride.
const MAX_BLOCKS: usize = 1 << 17;

/// How many slots a block may be found in.
const PROBES: usize = 8;

/// A match at the same shift that is worth an operation of its own.
const WORTHWHILE: usize = 16;

/// A match as long as this is no coincidence, and is taken without looking for a better one.
const TRUSTED: usize = 1024;

/// How far ahead to look for a better match than the one in hand.
const LOOKAHEAD: usize = 1024;

/// Positions and candidates that may be looked at in vain, before matches earn more.
const PATIENCE: usize = 1 << 14;

/// Matched bytes that earn one more.
const EARNING: usize = 64;

/// With each so many bytes without a match, one more stride is skipped for each one searched.
const THINNING: usize = 4096;

/// The difference that leads from `old` to `new`; what it inserts are slices of `new`.
pub(crate) fn diff(old: &[u8], new: &Bytes) -> Patch {
    let prefix = common_prefix(old, new);
    let suffix = common_suffix(&old[prefix..], &new[prefix..]);
    let end = new.len() - suffix;
    let mut search = Search::new(old, old.len() - suffix, &new[..end]);

    let mut patch = Patch::default();
    patch.copy(0, prefix);
    let (mut from, mut at) = (prefix, prefix);
    while let Some(found) = search.next(from, at) {
        patch.insert(new.slice(at..found.new));
        patch.copy(found.old, found.len);
        (from, at) = (found.old + found.len, found.end());
    }
    patch.insert(new.slice(at..end));
    patch.copy(old.len() - suffix, suffix);
    patch
}

/// `len` equal bytes at these offsets.
#[derive(Clone, Copy)]
struct Match {
    old: usize,
    new: usize,
    len: usize,
}

impl Match {
    /// Where the new bytes go on after it.
    fn end(&self) -> usize {
        self.new + self.len
    }

    /// What taking it saves: its bytes, less those that are inserted to get there from `at`.
    fn gain(&self, at: usize) -> isize {
        self.len as isize - (self.new - at) as isize
    }

    /// Whether to take it instead of `other`. Matches that lie one after the other are no rivals: the later one is still
    /// there once the earlier one is taken.
    fn beats(&self, other: &Self, at: usize) -> bool {
        self.new < other.end() && self.gain(at) > other.gain(at)
    }
}

/// The two states, of the new one only what lies before the common suffix.
#[derive(Clone, Copy)]
struct Pair<'a> {
    old: &'a [u8],
    new: &'a [u8],
}

impl Pair<'_> {
    /// Extends the equal bytes at these offsets both ways, back to `at` and on until the match is trusted at most.
    ///
    /// No further: of many candidates in a long run of like bytes only the one that is taken may cost its length.
    fn grow(&self, old: usize, new: usize, at: usize) -> Match {
        let back = common_suffix(&self.old[..old], &self.new[at..new]);
        let ahead = &self.new[new..self.new.len().min(new + TRUSTED)];
        Match { old: old - back, new: new - back, len: back + common_prefix(&self.old[old..], ahead) }
    }

    /// Extends a match that is taken to its end.
    fn finish(&self, found: Match) -> Match {
        let more = common_prefix(&self.old[found.old + found.len..], &self.new[found.end()..]);
        Match { len: found.len + more, ..found }
    }

    /// Whether there is no point in looking for a better match.
    fn trusts(&self, found: &Match) -> bool {
        found.len >= TRUSTED || found.len >= WORTHWHILE && found.end() == self.new.len()
    }
}

/// The search for matches, from front to back of the new bytes.
struct Search<'a> {
    pair: Pair<'a>,
    /// Where the common suffix of the old bytes begins.
    end: usize,
    index: Option<Index>,
    patience: usize,
}

impl<'a> Search<'a> {
    /// Looks for the bytes of `new` in `old`, of which what follows `end` is not worth indexing.
    fn new(old: &'a [u8], end: usize, new: &'a [u8]) -> Self {
        Self { pair: Pair { old, new }, end, index: None, patience: PATIENCE }
    }

    /// The next match at or after `at`, given that the last one ended at `from` and `at`.
    fn next(&mut self, from: usize, at: usize) -> Option<Match> {
        let mut best = self.same_shift(from, at);
        if best.is_none_or(|best| self.patience > 0 && !self.pair.trusts(&best)) {
            best = self.any_shift(from, at, best);
        }
        let found = self.pair.finish(best?);
        self.patience += found.len / EARNING;
        Some(found)
    }

    /// Takes the mismatch for an overwrite, and finds where it ends.
    fn same_shift(&self, from: usize, at: usize) -> Option<Match> {
        let (old, _) = self.pair.old[from..].as_chunks::<8>();
        let (new, _) = self.pair.new[at..].as_chunks::<8>();
        let words = old.iter().zip(new).take(LOOKAHEAD / 8).enumerate();
        words
            .filter(|(_, (old, new))| old == new)
            .map(|(i, _)| self.pair.grow(from + i * 8, at + i * 8, at))
            .find(|found| found.len >= WORTHWHILE)
    }

    /// The best match within the look-ahead, `best` included, or else the first one after it.
    fn any_shift(&mut self, from: usize, at: usize, mut best: Option<Match>) -> Option<Match> {
        let Self { pair, end, index, patience } = self;
        let index = index.get_or_insert_with(|| Index::new(pair.old, from.min(*end)..*end));
        let mut position = at;
        while let Some(block) = pair.new.get(position..).and_then(<[u8]>::first_chunk) {
            for candidate in index.candidates(block) {
                let found = pair.grow(candidate, position, at);
                if found.len >= BLOCK && best.is_none_or(|best| found.beats(&best, at)) {
                    best = Some(found);
                }
                if pair.trusts(&found) {
                    return best;
                }
                *patience = patience.saturating_sub(1);
            }
            position += 1;
            let searched = position - at;
            if best.is_some() {
                *patience = patience.saturating_sub(1);
                if searched >= LOOKAHEAD || *patience == 0 {
                    break;
                }
            }
            if searched.is_multiple_of(index.stride) {
                position += searched / THINNING * index.stride;
            }
        }
        best
    }
}

/// Where blocks of the old bytes lie, by their hash.
///
/// Bounded however large the state is, by a wider stride; a block that occurs over and over fills its few slots and
/// is dropped from then on, so that a state full of zeros costs no more than another.
struct Index {
    /// Where the first block lies.
    start: usize,
    stride: usize,
    slots: Vec<Slot>,
}

/// The upper half of a block's hash, and one more than its number; zeros are an empty slot.
type Slot = (u32, u32);

impl Index {
    /// Enters a block of the range at each stride.
    fn new(old: &[u8], range: Range<usize>) -> Self {
        let (start, bytes) = (range.start, &old[range]);
        let stride = MIN_STRIDE.max(bytes.len() / MAX_BLOCKS);
        let blocks = bytes.windows(BLOCK).step_by(stride);
        let mut index = Self { start, stride, slots: vec![(0, 0); (2 * blocks.len()).next_power_of_two()] };
        for (block, number) in blocks.filter_map(<[u8]>::first_chunk).zip(1..) {
            let (home, tag) = index.place(block);
            if let Some(free) = index.probes(home).find(|&slot| index.slots[slot] == (0, 0)) {
                index.slots[free] = (tag, number);
            }
        }
        index
    }

    /// Where such a block may lie, by its hash alone.
    fn candidates(&self, block: &[u8; BLOCK]) -> impl Iterator<Item = usize> + '_ {
        let (home, tag) = self.place(block);
        let entries = self.probes(home).map(|slot| self.slots[slot]).take_while(|slot| *slot != (0, 0));
        entries.filter(move |slot| slot.0 == tag).map(|slot| self.start + (slot.1 as usize - 1) * self.stride)
    }

    /// The slot that a block would have to itself, and its tag.
    fn place(&self, block: &[u8; BLOCK]) -> (usize, u32) {
        let (words, _) = block.as_chunks::<8>();
        let hash = words.iter().fold(0, |hash: u64, word| {
            let mixed = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^ mixed >> 32
        });
        (hash as usize, (hash >> 32) as u32)
    }

    /// The slots in which a block with this home may lie.
    fn probes(&self, home: usize) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len() - 1;
        (0..PROBES).map(move |i| home.wrapping_add(i) & mask)
    }
}

/// How many bytes at the front of both are equal; by chunks that compile to vector instructions.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (chunks, others) = (a.as_chunks::<BLOCK>().0, b.as_chunks::<BLOCK>().0);
    let equal = BLOCK * chunks.iter().zip(others).take_while(|(x, y)| x == y).count();
    equal + a[equal..].iter().zip(&b[equal..]).take_while(|(x, y)| x == y).count()
}

/// How many bytes at the back of both are equal.
fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let (chunks, others) = (a.as_rchunks::<BLOCK>().1, b.as_rchunks::<BLOCK>().1);
    let equal = BLOCK * chunks.iter().rev().zip(others.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - equal], &b[..b.len() - equal]);
    equal + a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count()
}
