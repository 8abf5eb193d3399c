//! The names of objects.
//!
//! ```text
//! format                                      what made the place ready, and in which version
//! run/<run>/<life>-<slot>                     entry `slot` of life `life` of a run
//! run/<run>/<life>-<slot>-base                everything that the entries up to `slot` come to
//! run/<run>/<life>-p<epoch>-<token>           a large body that an entry names
//! due/<minute>/<run>-<life>-<slot>            the run may be due in this minute or later
//! probe/<token>                               for a moment, when a process connects first
//! ```
//!
//! A run stands as the hexadecimal digits of its id: any id is a good name, ids stand in the order of their bytes, and
//! none is a way out. Lives and slots count down from the largest number, so that the first page of a listing shows the
//! newest ones.

use std::fmt::Write;

use milepost_core::{RunId, Timestamp};

/// The object that makes a place a store.
pub(crate) const FORMAT: &str = "format";

/// What all runs stand below.
pub(crate) const RUNS: &str = "run/";

/// What all hints stand below.
pub(crate) const DUE: &str = "due/";

/// The lives of a run, counted from 1; 0 stands before the first.
pub(crate) type Life = u32;

/// The entries of a life, counted from 1.
pub(crate) type Slot = u64;

/// The digits of some bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// The run of some digits.
pub(crate) fn run_of(digits: &str) -> Option<RunId> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<Vec<u8>>>()?;
    RunId::new(String::from_utf8(bytes).ok()?).ok()
}

/// Where a run's objects stand.
pub(crate) fn folder(run: &RunId) -> String {
    format!("{RUNS}{}/", hex(run.as_str().as_bytes()))
}

fn down(life: Life, slot: Slot) -> String {
    format!("{:08x}-{:016x}", Life::MAX - life, Slot::MAX - slot)
}

/// An entry of a run.
pub(crate) fn entry(run: &RunId, life: Life, slot: Slot) -> String {
    format!("{}{}", folder(run), down(life, slot))
}

/// The base as of an entry.
pub(crate) fn base(run: &RunId, life: Life, slot: Slot) -> String {
    format!("{}{}-base", folder(run), down(life, slot))
}

/// A body that stands apart.
pub(crate) fn part(run: &RunId, life: Life, epoch: u64, token: u128) -> String {
    format!("{}{:08x}-p{epoch:016x}-{token:032x}", folder(run), Life::MAX - life)
}

/// What an object of a run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Object {
    Entry(Slot),
    Base(Slot),
    Part(u64, u128),
}

/// Reads the last part of a name below a run's folder; `None` for what is none of ours.
pub(crate) fn object(name: &str) -> Option<(Life, Object)> {
    let (life, rest) = name.rsplit('/').next()?.split_once('-')?;
    let life = Life::MAX - Life::from_str_radix(life, 16).ok()?;
    if let Some((epoch, token)) = rest.strip_prefix('p').and_then(|rest| rest.split_once('-')) {
        let (epoch, token) = (u64::from_str_radix(epoch, 16).ok()?, u128::from_str_radix(token, 16).ok()?);
        return Some((life, Object::Part(epoch, token)));
    }
    let (slot, is_base) = rest.strip_suffix("-base").map_or((rest, false), |slot| (slot, true));
    let slot = Slot::MAX - Slot::from_str_radix(slot, 16).ok()?;
    Some((life, if is_base { Object::Base(slot) } else { Object::Entry(slot) }))
}

/// The minute that an instant falls into. Every instant before 1970 is of the first one.
pub(crate) fn minute(at: Timestamp) -> u64 {
    u64::try_from(at.0 / 60_000_000).unwrap_or(0)
}

/// The hint that a run may be due from a minute on, filed for an entry of it.
pub(crate) fn hint(minute: u64, run: &RunId, life: Life, slot: Slot) -> String {
    format!("{DUE}{minute:012x}/{}-{life:08x}-{slot:016x}", hex(run.as_str().as_bytes()))
}

/// What sorts behind every hint up to a minute, and before those of the next.
pub(crate) fn behind_hints(minute: u64) -> String {
    format!("{DUE}{minute:012x}0")
}

/// A hint that was found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Hint {
    /// The digits of the run's id: they sort as ids do.
    pub(crate) digits: String,
    pub(crate) minute: u64,
    pub(crate) place: (Life, Slot),
    pub(crate) name: String,
}

/// Reads the name of a hint; `None` for what is none of ours.
pub(crate) fn hint_of(name: &str) -> Option<Hint> {
    let (minute, rest) = name.strip_prefix(DUE)?.split_once('/')?;
    let (rest, slot) = rest.rsplit_once('-')?;
    let (digits, life) = rest.rsplit_once('-')?;
    Some(Hint {
        digits: digits.to_owned(),
        minute: u64::from_str_radix(minute, 16).ok()?,
        place: (Life::from_str_radix(life, 16).ok()?, Slot::from_str_radix(slot, 16).ok()?),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str) -> RunId {
        RunId::new(id).unwrap()
    }

    #[test]
    fn names_are_read_as_they_were_made() {
        let run = run("../x*");
        for (name, expected) in [
            (entry(&run, 1, 7), (1, Object::Entry(7))),
            (base(&run, 2, 7), (2, Object::Base(7))),
            (part(&run, 3, 4, 5), (3, Object::Part(4, 5))),
        ] {
            assert_eq!(object(&name), Some(expected), "{name}");
            assert!(name.starts_with(&folder(&run)) && !name.contains(".."), "{name}");
        }
        assert_eq!(run_of(&hex(run.as_str().as_bytes())), Some(run.clone()));
        let found = hint_of(&hint(9, &run, 1, 2)).unwrap();
        assert_eq!((found.minute, found.place, run_of(&found.digits)), (9, (1, 2), Some(run)));
        assert_eq!((object("run/61/notes"), hint_of("due/x"), run_of("6")), (None, None, None));
    }

    #[test]
    fn the_newest_names_come_first_and_ids_keep_their_order() {
        let a = run("a");
        let mut names = [
            part(&a, 2, 1, 1),
            entry(&a, 1, 1),
            entry(&a, 2, 1),
            base(&a, 2, 10),
            entry(&a, 2, 11),
            entry(&a, 2, 10),
        ];
        names.sort();
        let read: Vec<_> = names.iter().map(|name| object(name).unwrap()).collect();
        use Object::{Base, Entry, Part};
        assert_eq!(
            read,
            [(2, Entry(11)), (2, Entry(10)), (2, Base(10)), (2, Entry(1)), (2, Part(1, 1)), (1, Entry(1))]
        );
        let mut folders = ["user10", "user1", "b", "a/", "a"].map(|id| folder(&run(id)));
        folders.sort();
        assert_eq!(folders, ["a", "a/", "b", "user1", "user10"].map(|id| folder(&run(id))));
    }

    #[test]
    fn hints_up_to_a_minute_sort_before_their_end() {
        let a = run("a");
        assert!(hint(5, &a, 1, 1) < behind_hints(5) && behind_hints(5) < hint(6, &a, 1, 1));
        assert_eq!(minute(Timestamp(i64::MIN)), 0);
    }
}
