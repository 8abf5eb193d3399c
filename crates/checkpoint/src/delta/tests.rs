use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::patch::Op;
use super::{Patch, PatchError, Replay, diff};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const NO_LIMIT: usize = usize::MAX;

/// Incompressible bytes, the same ones for a seed (splitmix64).
fn random(seed: u64, len: usize) -> Vec<u8> {
    let words = (1..=len.div_ceil(8) as u64).flat_map(|i| {
        let z = (seed << 32 | i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31).to_le_bytes()
    });
    words.take(len).collect()
}

/// Records as a state of JSON has them, alike but for a number and a few words, the first of them `first`.
fn json(first: usize, len: usize) -> Vec<u8> {
    let words = ["pending", "done", "failed", "retry", "the", "quick", "brown", "fox"];
    let word = |i: usize| words[random(i as u64, 1)[0] as usize % words.len()];
    let mut state = String::from("{\"items\":[");
    for i in first.. {
        if state.len() >= len {
            break;
        }
        let (status, a, b) = (word(3 * i), word(3 * i + 1), word(3 * i + 2));
        state += &format!("{{\"id\":{i:06},\"status\":\"{status}\",\"note\":\"{a} {b}\"}},");
    }
    state.truncate(len);
    state.into_bytes()
}

/// Changes `removed` bytes at each place into `inserted` ones, last place first.
fn edited(state: &[u8], edits: &[(usize, usize, &[u8])]) -> Vec<u8> {
    let mut state = state.to_vec();
    for (at, removed, inserted) in edits {
        state.splice(at..&(at + removed), inserted.iter().copied());
    }
    state
}

/// The stored form of the difference, once it is shown to lead from `old` to `new`.
fn stored(old: &[u8], new: &[u8]) -> Bytes {
    let patch = diff(old, &Bytes::copy_from_slice(new));
    let encoded = Bytes::from(patch.encode());
    assert_eq!(Patch::decode(encoded.clone(), new.len()), Ok(patch.clone()));
    let mut replay = Replay::new(Bytes::copy_from_slice(old));
    replay.apply(patch).unwrap();
    assert_eq!(replay.len(), new.len());
    assert!(replay.finish() == new, "the patch builds something else");
    encoded
}

fn unhex(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn the_stored_form_of_version_1_stands_for_ever() {
    let mut patch = Patch::default();
    patch.copy(0, 300);
    patch.insert(Bytes::from_static(b"hi"));
    patch.copy(310, 5);
    patch.copy(100, 7);
    let golden = unhex("01 ba02  d804 00  05 6869  0a 14  0e ad03");
    assert_eq!(patch.encode(), golden);
    assert_eq!(Patch::decode(golden, 314), Ok(patch));

    let nothing = unhex("01 00");
    assert_eq!(Patch::default().encode(), nothing);
    assert_eq!(Patch::decode(nothing, 0), Ok(Patch::default()));
}

#[test]
fn copies_that_continue_each_other_are_one() {
    let mut patch = Patch::default();
    patch.copy(2, 3);
    patch.copy(5, 4);
    patch.copy(8, 1);
    assert_eq!(patch.ops(), [Op::Copy { offset: 2, len: 7 }, Op::Copy { offset: 8, len: 1 }]);
    assert_eq!(patch.len(), 8);
}

#[test]
fn malformed_patches_are_refused() {
    let cases = [
        ("", PatchError::Truncated),
        ("00 00", PatchError::Version(0)),
        ("02 00", PatchError::Version(2)),
        ("01", PatchError::Truncated),
        ("01 80", PatchError::Truncated),
        ("01 8000", PatchError::Varint),
        ("01 ffffffffffffffffff02", PatchError::Varint),
        ("01 ffffffffffffffffffff01", PatchError::Varint),
        ("01 ffffffffffffffffff01", PatchError::TooLong { target: u64::MAX, limit: 100 }),
        ("01 65", PatchError::TooLong { target: 101, limit: 100 }),
        ("01 01", PatchError::Length),
        ("01 00 00 00", PatchError::Length),
        ("01 00 01", PatchError::Length),
        ("01 02 03 61", PatchError::Length),
        ("01 02 07 616161", PatchError::Length),
        ("01 02 04 00 02 00 04", PatchError::Length),
        ("01 02 05 61", PatchError::Truncated),
        ("01 02 04", PatchError::Truncated),
        ("01 02 04 01", PatchError::Offset),
    ];
    for (hex, error) in cases {
        assert_eq!(Patch::decode(unhex(hex), 100), Err(error), "{hex:?}");
    }
}

#[test]
fn every_error_is_one_line() {
    let errors = [
        PatchError::Version(2),
        PatchError::Truncated,
        PatchError::Varint,
        PatchError::Length,
        PatchError::Offset,
        PatchError::TooLong { target: 2, limit: 1 },
        PatchError::OutOfBounds { end: 2, len: 1 },
    ];
    for error in errors {
        let message = error.to_string();
        assert!(message.starts_with("patch ") && message.len() < 80 && !message.contains('\n'), "{message}");
    }
}

#[test]
fn decoded_inserts_are_slices_of_the_input() {
    let encoded = Bytes::from(diff(b"", &Bytes::from_static(b"some bytes")).encode());
    let patch = Patch::decode(encoded.clone(), NO_LIMIT).unwrap();
    let [Op::Insert(inserted)] = patch.ops() else { panic!("{patch:?}") };
    assert!(encoded.as_ptr_range().contains(&inserted.as_ptr()));
}

#[test]
fn small_differences_are_found_exactly() {
    let copy = |offset, len| Op::Copy { offset, len };
    let insert = |bytes: &'static str| Op::Insert(Bytes::from_static(bytes.as_bytes()));
    let cases = [
        ("", "", vec![]),
        ("", "abc", vec![insert("abc")]),
        ("abc", "", vec![]),
        ("abc", "abc", vec![copy(0, 3)]),
        ("abc", "abcd", vec![copy(0, 3), insert("d")]),
        ("abc", "xabc", vec![insert("x"), copy(0, 3)]),
        ("abcd", "abd", vec![copy(0, 2), copy(3, 1)]),
        ("aaaa", "aaaaaa", vec![copy(0, 4), insert("aa")]),
        ("abcdef", "abXdef", vec![copy(0, 2), insert("X"), copy(3, 3)]),
        (
            "{\"step\":1,\"note\":\"as it was before\",\"tries\":4}",
            "{\"step\":2,\"note\":\"as it was before\",\"tries\":5}",
            vec![copy(0, 8), insert("2"), copy(9, 35), insert("5"), copy(45, 1)],
        ),
    ];
    for (old, new, ops) in cases {
        let patch = diff(old.as_bytes(), &Bytes::from_static(new.as_bytes()));
        assert_eq!(patch.ops(), ops, "{old:?} to {new:?}");
        stored(old.as_bytes(), new.as_bytes());
    }
}

#[test]
fn an_append_costs_what_it_appends() {
    let appended = random(2, KIB);
    for state in [random(1, MIB), json(0, MIB), vec![0; MIB]] {
        let size = stored(&state, &[&state[..], &appended].concat()).len();
        assert!(size <= KIB + 16, "{size}");
    }
}

#[test]
fn scattered_edits_of_a_large_state_take_at_most_4_kib() {
    let (a, b, c) = (random(2, 340), random(3, 340), json(7, 340));
    for state in [random(1, 10 * MIB), json(0, 10 * MIB), vec![0; 10 * MIB]] {
        let edits = [(9 * MIB + 77, 340, &a[..]), (4 * MIB + 3, 340, &b), (2 * KIB + 1, 333, &c)];
        let size = stored(&state, &edited(&state, &edits)).len();
        assert!(size <= 4 * KIB, "{size}");
    }
}

#[test]
fn moved_and_shifted_content_is_not_stored_again() {
    let state = random(1, MIB);
    let fresh = random(2, 100 * KIB);
    let queue = json(0, MIB);
    let cases: [(&str, &[u8], Vec<u8>, usize); 5] = [
        ("halves swapped", &state, [&state[MIB / 2..], &state[..MIB / 2]].concat(), 32),
        (
            "block moved",
            &state,
            [&state[..5000], &state[6000..90_000], &state[5000..6000], &state[90_000..]].concat(),
            48,
        ),
        (
            "fresh block, then a shift",
            &state,
            [&state[5..9], &fresh, &state[100..], b"end"].concat(),
            100 * KIB + 64,
        ),
        ("first of a queue taken", &queue, [&json(1, MIB)[..], b"end"].concat(), 512),
        ("first 100 of a queue taken", &queue, [&json(100, MIB)[..], b"end"].concat(), 8 * KIB),
    ];
    for (name, old, new, budget) in cases {
        let size = stored(old, &new).len();
        assert!(size <= budget, "{name}: {size}");
    }
}

#[test]
fn wholly_different_content_is_one_insert() {
    for old in [random(1, MIB), json(0, MIB), vec![0; MIB]] {
        let new = Bytes::from([b"x", &random(2, MIB)[..]].concat());
        assert!(diff(&old, &new).ops() == [Op::Insert(new)]);
    }
}

#[test]
fn repetitive_states_stay_cheap() {
    let periodic: Vec<u8> = (0..MIB).map(|i| (i % 97) as u8).collect();
    for state in [vec![0; MIB], periodic] {
        let edits: Vec<_> = (1..100).rev().map(|i| (i * 10_000, i % 3, &b"edit"[..])).collect();
        let size = stored(&state, &edited(&state, &edits)).len();
        assert!(size <= 100 * 16, "{size}");
    }
}

#[test]
fn a_copy_from_beyond_the_base_is_refused_and_changes_nothing() {
    let mut replay = Replay::new(Bytes::from_static(b"base"));
    for (offset, len, end) in [(0, 5, 5), (4, 1, 5), (100, 1, 101)] {
        let mut patch = Patch::default();
        patch.insert(Bytes::from_static(b"x"));
        patch.copy(offset, len);
        assert_eq!(replay.apply(patch), Err(PatchError::OutOfBounds { end, len: 4 }));
    }
    assert_eq!(replay.finish(), "base");
}

#[test]
fn a_base_without_patches_is_handed_over_uncopied() {
    let base = Bytes::from(random(1, 100));
    assert_eq!(Replay::new(base.clone()).finish().as_ptr(), base.as_ptr());
    assert_eq!(Replay::new(Bytes::new()).finish(), "");
}

#[test]
fn pieces_stay_few_however_many_patches_come() {
    let mut state = random(1, MIB);
    let mut replay = Replay::new(Bytes::from(state.clone()));
    let mut flattened = 0;
    for (i, place) in random(2, 8000).as_chunks::<8>().0.iter().enumerate() {
        let (at, removed) = (u64::from_le_bytes(*place) as usize % (state.len() - 400), 330 + i % 20);
        let inserted = random(i as u64, 340);
        let mut patch = Patch::default();
        patch.copy(0, at);
        patch.insert(Bytes::from(inserted.clone()));
        patch.copy(at + removed, state.len() - at - removed);
        state.splice(at..at + removed, inserted);
        replay.apply(patch).unwrap();
        assert!(replay.pieces() <= KIB);
        flattened += usize::from(replay.pieces() == 1);
    }
    assert!((1..10).contains(&flattened), "{flattened}");
    assert!(replay.finish() == state);
}

#[test]
fn a_patch_that_multiplies_pieces_is_flattened() {
    let mut replay = Replay::new(Bytes::from(random(1, 10)));
    for _ in 0..12 {
        let mut patch = Patch::default();
        for _ in 0..3 {
            patch.copy(0, replay.len());
        }
        replay.apply(patch).unwrap();
        assert!(replay.pieces() <= KIB.min(1 + replay.len() / 256));
    }
    assert!(replay.finish() == random(1, 10).repeat(3usize.pow(12)));
}

/// One change of a state; places are relative, so that any edit fits any state.
#[derive(Clone, Debug)]
enum Edit {
    Append(Vec<u8>),
    Overwrite(Index, Vec<u8>),
    Insert(Index, Vec<u8>),
    Delete(Index, Index),
    Move(Index, Index, Index),
    Duplicate(Index, Index, Index),
    Replace(Vec<u8>),
}

impl Edit {
    fn run(&self, state: &mut Vec<u8>) {
        let place = |at: &Index| at.index(state.len() + 1);
        let range = |a: &Index, b: &Index| place(a).min(place(b))..place(a).max(place(b));
        match self {
            Self::Append(bytes) => state.extend(bytes),
            Self::Overwrite(at, bytes) => {
                let at = place(at);
                let end = state.len().min(at + bytes.len());
                state[at..end].copy_from_slice(&bytes[..end - at]);
            }
            Self::Insert(at, bytes) => {
                let at = place(at);
                state.splice(at..at, bytes.iter().copied());
            }
            Self::Delete(a, b) => drop(state.drain(range(a, b))),
            Self::Move(a, b, to) => {
                let block: Vec<u8> = state.drain(range(a, b)).collect();
                let to = to.index(state.len() + 1);
                state.splice(to..to, block);
            }
            Self::Duplicate(a, b, to) => {
                let (block, to) = (state[range(a, b)].to_vec(), place(to));
                state.splice(to..to, block);
            }
            Self::Replace(bytes) => state.clone_from(bytes),
        }
    }
}

fn states() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        vec(any::<u8>(), 0..3000),
        vec(0..2u8, 0..3000),
        (any::<u64>(), 0..20_000usize).prop_map(|(seed, len)| random(seed, len)),
        (0..1000usize, 0..20_000usize).prop_map(|(first, len)| json(first, len)),
        (vec(any::<u8>(), 1..100), 0..200usize).prop_map(|(pattern, times)| pattern.repeat(times)),
    ]
}

fn edits() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    let bytes = || prop_oneof![vec(any::<u8>(), 0..400), (0..400usize).prop_map(|len| vec![0; len])];
    prop_oneof![
        4 => bytes().prop_map(Edit::Append),
        4 => (index(), bytes()).prop_map(|(at, bytes)| Edit::Overwrite(at, bytes)),
        4 => (index(), bytes()).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (index(), index()).prop_map(|(a, b)| Edit::Delete(a, b)),
        2 => (index(), index(), index()).prop_map(|(a, b, to)| Edit::Move(a, b, to)),
        2 => (index(), index(), index()).prop_map(|(a, b, to)| Edit::Duplicate(a, b, to)),
        1 => states().prop_map(Edit::Replace),
    ]
}

fn patches() -> impl Strategy<Value = Patch> {
    let copy = (0..1usize << 40, 0..1usize << 20).prop_map(|(offset, len)| Op::Copy { offset, len });
    let insert = vec(any::<u8>(), 0..200).prop_map(|bytes| Op::Insert(bytes.into()));
    vec(prop_oneof![copy, insert], 0..30).prop_map(|ops| {
        let mut patch = Patch::default();
        for op in ops {
            match op {
                Op::Copy { offset, len } => patch.copy(offset, len),
                Op::Insert(bytes) => patch.insert(bytes),
            }
        }
        patch
    })
}

proptest! {
    #[test]
    fn every_cut_of_a_chain_replays(first in states(), scripts in vec(vec(edits(), 0..6), 1..6)) {
        let mut chain = vec![first];
        for script in scripts {
            let mut state = chain[chain.len() - 1].clone();
            script.iter().for_each(|edit| edit.run(&mut state));
            chain.push(state);
        }
        let encoded: Vec<Bytes> = chain.windows(2).map(|pair| stored(&pair[0], &pair[1])).collect();
        for start in 0..chain.len() {
            let mut replay = Replay::new(Bytes::from(chain[start].clone()));
            for (patch, state) in encoded[start..].iter().zip(&chain[start + 1..]) {
                replay.apply(Patch::decode(patch.clone(), state.len()).unwrap()).unwrap();
                prop_assert!(replay.clone().finish() == state);
            }
        }
    }

    #[test]
    fn a_patch_between_any_two_states_costs_little_more_than_the_new_one(old in states(), new in states()) {
        prop_assert!(stored(&old, &new).len() <= new.len() + 16);
    }

    #[test]
    fn what_was_encoded_decodes_to_the_same(patch in patches()) {
        let encoded = Bytes::from(patch.encode());
        prop_assert_eq!(Patch::decode(encoded.clone(), patch.len()), Ok(patch.clone()));
        for cut in 0..encoded.len() {
            prop_assert!(Patch::decode(encoded.slice(..cut), patch.len()).is_err());
        }
    }

    #[test]
    fn no_input_makes_decode_panic(mut input in vec(any::<u8>(), 0..300), versioned in any::<bool>(), limit in 0..1usize << 20) {
        if let (true, Some(version)) = (versioned, input.first_mut()) {
            *version = 1;
        }
        if let Ok(patch) = Patch::decode(input.into(), limit) {
            prop_assert!(patch.len() <= limit);
            let _ = Replay::new(Bytes::from_static(&[7; 1000])).apply(patch);
        }
    }

    #[test]
    fn a_damaged_patch_decodes_or_is_refused(patch in patches(), at in any::<Index>(), byte in any::<u8>()) {
        let mut damaged = patch.encode();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        if let Ok(patch) = Patch::decode(damaged.into(), 1 << 30) {
            prop_assert!(patch.len() <= 1 << 30);
        }
    }
}
