//! Where in a handler something is asked for: a scope and a position in it.
//!
//! A scope is a line of code that runs one thing after another. The handler itself is the outermost one; each branch of
//! parallel work is a scope of its own under its key, so that the order in which branches take turns does not matter.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, de::Error as _};

/// A position of a scope. Written `3` in the outermost scope, `3.left/0` in a branch `left` that began at `3`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Place {
    pub(crate) scope: Arc<str>,
    pub(crate) position: u32,
}

impl Place {
    pub(crate) fn new(scope: Arc<str>, position: u32) -> Self {
        Self { scope, position }
    }

    /// The scope of the branch `key` that begins here.
    pub(crate) fn branch(&self, key: &str) -> Arc<str> {
        format!("{self}.{}", Escaped(key)).into()
    }

    /// The round of the phase that began here in which something of `scope` happens, if it does in one.
    pub(crate) fn round_of(&self, scope: &str) -> Option<u32> {
        let inside = scope.strip_prefix(&*self.inside())?;
        inside.split('/').next()?.parse().ok()
    }

    /// What the scopes of everything that begins here start with.
    pub(crate) fn inside(&self) -> String {
        format!("{self}.")
    }

    /// The branches that lie between the outermost scope and this one: where each began, and its key.
    pub(crate) fn branches(&self) -> Vec<(Place, String)> {
        let mut branches = Vec::new();
        let mut scope = &*self.scope;
        while let Some((began, key)) = scope.rsplit_once('.') {
            let Some(began) = Self::read(began) else { break };
            let outer = began.scope.len();
            branches.push((began, unescape(key)));
            scope = &scope[..outer];
        }
        branches
    }

    fn read(text: &str) -> Option<Self> {
        let (scope, position) = text.rsplit_once('/').unwrap_or(("", text));
        Some(Self { scope: scope.into(), position: position.parse().ok()? })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.scope {
            "" => write!(f, "{}", self.position),
            scope => write!(f, "{scope}/{}", self.position),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| D::Error::custom("no place of a handler"))
    }
}

/// A key without the characters that separate scopes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '%' => f.write_str("%25"),
            '.' => f.write_str("%2E"),
            '/' => f.write_str("%2F"),
            other => fmt::Write::write_char(f, other),
        })
    }
}

fn unescape(key: &str) -> String {
    key.replace("%2F", "/").replace("%2E", ".").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_what_it_writes() {
        let root = Place::new("".into(), 3);
        let inner = Place::new(root.branch("a.b/c%2F"), 0);
        let deep = Place::new(inner.branch(""), 7);
        for place in [&root, &inner, &deep] {
            let text = serde_json::to_string(place).unwrap();
            assert_eq!(&serde_json::from_str::<Place>(&text).unwrap(), place, "{text}");
        }
        assert_eq!(deep.branches(), [(inner.clone(), String::new()), (root.clone(), "a.b/c%2F".into())]);
        assert_eq!(root.branches(), []);
        assert_eq!(inner.to_string(), "3.a%2Eb%2Fc%252F/0");
    }

    #[test]
    fn a_place_knows_the_rounds_inside_of_it() {
        let phase = Place::new("1.x".into(), 3);
        let step = Place::new(phase.branch("12"), 0);
        assert_eq!(phase.round_of(&step.scope), Some(12));
        assert_eq!(phase.round_of(&step.branch("7")), Some(12));
        assert_eq!(phase.round_of("1.x"), None);
        assert_eq!(Place::new("1.x".into(), 31).round_of(&step.scope), None);
    }
}
