//! Assertions whose failures teach: what was looked at, what was expected, what came.

use std::{
    fmt::{self, Debug},
    panic::Location,
};

use milepost_core::{Applied, Clash, Error, ErrorKind, Head, Refusal, Result};

/// What a case, and every helper of it, returns.
pub type Verdict<T = ()> = std::result::Result<T, Failure>;

/// Why a case failed.
#[derive(Debug)]
pub struct Failure {
    what: String,
    expected: String,
    came: String,
    at: &'static Location<'static>,
}

impl Failure {
    /// `what` was expected to be one thing and was another.
    #[track_caller]
    pub(crate) fn new(what: impl Into<String>, expected: impl Into<String>, came: impl Into<String>) -> Self {
        Self { what: what.into(), expected: expected.into(), came: came.into(), at: Location::caller() }
    }
}

impl Failure {
    /// Tells the seed too.
    pub(crate) fn seeded(mut self, seed: u64) -> Self {
        self.what.push_str(&format!(" (seed {seed:#018x})"));
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "looked at:  {}", self.what)?;
        writeln!(f, "expected:   {}", self.expected)?;
        writeln!(f, "came:       {}", self.came)?;
        write!(f, "at:         {}", self.at)
    }
}

impl From<Error> for Failure {
    /// An operation that had to succeed and did not.
    #[track_caller]
    fn from(error: Error) -> Self {
        let operation = error.operation().map_or_else(|| "an operation".to_owned(), |name| name.to_string());
        let what = format!("{operation}, which had to succeed (the last of its steps below)");
        Self::new(what, "success", told(&error))
    }
}

/// An error with all that a caller could act on.
pub(crate) fn told(error: &Error) -> String {
    let applied = error.applied().map_or(String::new(), |applied| format!(", applied: {applied:?}"));
    let mut text = format!("{:?} ({error}{applied})", error.kind());
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(", because: {cause}"));
        source = cause.source();
    }
    text
}

/// `holds` must be; `came` is what it was judged by.
#[track_caller]
pub(crate) fn expect(what: &str, holds: bool, came: impl Debug) -> Verdict {
    if holds {
        return Ok(());
    }
    let came = match format!("{came:?}") {
        unit if unit == "()" => "it does not".to_owned(),
        came => came,
    };
    Err(Failure::new(what, "that it holds", came))
}

/// `got` must equal `want`.
#[track_caller]
pub(crate) fn expect_eq<T: PartialEq<U> + Debug, U: Debug>(what: &str, got: T, want: U) -> Verdict {
    if got == want {
        return Ok(());
    }
    let (mut came, expected) = (format!("{got:?}"), format!("{want:?}"));
    if came == expected {
        came.push_str(" (the difference is in the bytes of a body)");
    } else if let Some(part) = first_difference(&expected, &came) {
        came.push_str(&part);
    }
    Err(Failure::new(what, expected, came))
}

/// Where two long values begin to differ: nobody finds one number in two heads by eye.
fn first_difference(expected: &str, came: &str) -> Option<String> {
    const LONG: usize = 160;
    const SHOWN: usize = 90;
    if expected.len().min(came.len()) < LONG {
        return None;
    }
    let same = expected.bytes().zip(came.bytes()).take_while(|(one, other)| one == other).count();
    let field = expected.as_bytes()[..same].iter().rposition(|byte| matches!(byte, b',' | b'{' | b'('));
    let from = field.map_or(0, |separator| separator + 1);
    let part = |text: &str| {
        let to = text.floor_char_boundary(from + SHOWN);
        text[from..to].trim_start().to_owned()
    };
    Some(format!("\ndiffers at: {}\n      from: {}", part(came), part(expected)))
}

/// `result` must be a refusal of this kind: typed, and with nothing applied.
#[track_caller]
pub(crate) fn refused<T: Debug>(what: &str, result: Result<T>, kind: ErrorKind) -> Verdict<Error> {
    let expected = format!("refused with {kind:?}");
    let error = match result {
        Err(error) => error,
        Ok(value) => return Err(Failure::new(what, expected, format!("Ok({value:?})"))),
    };
    if error.kind() != kind {
        return Err(Failure::new(what, expected, told(&error)));
    }
    if error.applied() == Some(Applied::Maybe) {
        return Err(Failure::new(what, "a refusal has changed nothing: never Applied::Maybe", told(&error)));
    }
    let untyped = matches!(kind, ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Closed);
    if !untyped && error.refusal().map(Refusal::kind) != Some(kind) {
        return Err(Failure::new(
            what,
            format!("an error that carries Refusal::{kind:?}"),
            format!("{error:?}"),
        ));
    }
    Ok(error)
}

/// `result` must be exactly this refusal.
#[track_caller]
pub(crate) fn refused_as<T: Debug>(what: &str, result: Result<T>, want: Refusal) -> Verdict {
    let error = refused(what, result, want.kind())?;
    expect_eq(what, error.refusal(), Some(&want))
}

/// `result` must be a `Conflict` for this reason; gives the head that it carries.
#[track_caller]
pub(crate) fn clashed<T: Debug>(what: &str, result: Result<T>, want: Clash) -> Verdict<Head> {
    let error = refused(what, result, ErrorKind::Conflict)?;
    match error.refusal() {
        Some(Refusal::Conflict { head, clash }) if *clash == want => Ok((**head).clone()),
        other => Err(Failure::new(what, format!("a conflict about {want:?}"), format!("{other:?}"))),
    }
}

/// Of racing `results` exactly one must have succeeded, and every other be refused with `kind`.
#[track_caller]
pub(crate) fn one_winner<T: Debug>(what: &str, results: Vec<Result<T>>, kind: ErrorKind) -> Verdict<T> {
    let racers = results.len();
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    for loser in lost {
        refused(what, loser, kind)?;
    }
    let winners = won.len();
    let mut won = won.into_iter().flatten();
    match (won.next(), won.next()) {
        (Some(winner), None) => Ok(winner),
        _ => Err(Failure::new(what, format!("one winner of {racers}"), format!("{winners} winners"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_in_long_values_is_pointed_at() {
        let head =
            |version: u32| format!("Head {{ {}, version: {version}, due: None }}", "é: 1, ".repeat(40));
        let told = expect_eq("the head", head(8), head(7)).unwrap_err().to_string();
        assert!(told.contains("differs at: version: 8, due: None"), "{told}");
        assert!(told.contains("from: version: 7, due: None"), "{told}");
        assert!(first_difference("(1, 2)", "(1, 3)").is_none(), "short ones are read at a glance");
    }

    #[test]
    fn what_does_not_hold_is_said_in_words() {
        let told = expect("it may be deleted", false, ()).unwrap_err().to_string();
        assert!(told.contains("came:       it does not"), "{told}");
    }
}
