//! A case: its id, what it needs, the sentence that it enforces, and the function that tries it.

use std::fmt;

use futures_util::future::BoxFuture;
use milepost_core::{Capabilities, Capability};

use crate::{Context, Harness, Hook, Verdict};

/// Something that must be so for a case to apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Need {
    /// The store declares this capability.
    Offers(Capability),
    /// The store does not declare this capability: the law is tested both ways.
    Lacks(Capability),
    /// The harness supplies this hook.
    Hook(Hook),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Offers(capability) => write!(f, "{capability}"),
            Need::Lacks(capability) => write!(f, "not {capability}"),
            Need::Hook(hook) => write!(f, "{hook}"),
        }
    }
}

impl Need {
    /// Why a case with this need does not apply; `None` if it does.
    fn unmet(self, harness: &Harness, offered: &Capabilities) -> Option<String> {
        match self {
            Need::Offers(capability) if !offered.set.contains(capability) => {
                Some(format!("needs {capability}, which this store does not declare"))
            }
            Need::Lacks(capability) if offered.set.contains(capability) => {
                Some(format!("is for stores without {capability}, which this store declares"))
            }
            Need::Hook(hook) => {
                let pointless = harness.hooks().pointless(hook, offered).map(str::to_owned);
                let missing = || {
                    format!(
                        "needs the hook {hook} ({}), which this harness does not supply; without it nobody knows {}",
                        hook.supplied_by(),
                        hook.proves()
                    )
                };
                pointless.or_else(|| (!harness.supplies(hook)).then(missing))
            }
            _ => None,
        }
    }

    /// The hook that somebody could supply and nobody did.
    fn missing(self, harness: &Harness, offered: &Capabilities) -> Option<Hook> {
        match self {
            Need::Hook(hook) => {
                let pointless = harness.hooks().pointless(hook, offered).is_some();
                (!pointless && !harness.supplies(hook)).then_some(hook)
            }
            _ => None,
        }
    }
}

/// One thing that every store must do.
#[derive(Clone, Copy)]
pub struct Case {
    pub(crate) id: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) doc: &'static str,
    pub(crate) once: Option<&'static str>,
    pub(crate) run: for<'a> fn(&'a Context) -> BoxFuture<'a, Verdict>,
}

impl Case {
    /// Its stable name, `area/what-is-claimed`.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// The part of the contract that it belongs to.
    pub fn area(&self) -> &'static str {
        self.id.split_once('/').map_or(self.id, |(area, _)| area)
    }

    /// What must be so for it to apply.
    pub fn needs(&self) -> &'static [Need] {
        self.needs
    }

    /// The sentence of the contract that it enforces.
    pub fn doc(&self) -> &'static str {
        self.doc
    }

    /// Why it is not tried a second time with a re-open between any two operations; `None` if it is.
    pub fn not_reopened(&self) -> Option<&'static str> {
        self.once
    }

    /// The hooks that would make it apply to a store that offers this; empty if no hook would.
    pub(crate) fn missing(&self, harness: &Harness, offered: &Capabilities) -> Vec<Hook> {
        let unmet = self.needs.iter().filter(|need| need.unmet(harness, offered).is_some());
        unmet.map(|need| need.missing(harness, offered)).collect::<Option<_>>().unwrap_or_default()
    }

    /// Whether it kills its server.
    pub(crate) fn wants_own_server(&self) -> bool {
        self.needs.contains(&Need::Hook(Hook::Server))
    }

    /// The first of its needs that is not met, for a list that has little room.
    pub(crate) fn unmet(&self, harness: &Harness, offered: &Capabilities) -> Option<Need> {
        self.needs.iter().copied().find(|need| need.unmet(harness, offered).is_some())
    }

    /// Why it does not apply to a store that offers this; `None` if it does.
    pub fn not_applicable(&self, harness: &Harness, offered: &Capabilities) -> Option<String> {
        self.needs.iter().find_map(|need| need.unmet(harness, offered))
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("id", &self.id).field("needs", &self.needs).finish_non_exhaustive()
    }
}

/// The bytes of `name` with hyphens for underscores: a function's name becomes its case's id.
pub(crate) const fn kebab<const N: usize>(name: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let mut i = 0;
    while i < N {
        bytes[i] = if name.as_bytes()[i] == b'_' { b'-' } else { name.as_bytes()[i] };
        i += 1;
    }
    bytes
}

/// The rows of an area: a sentence of the contract, the function of that name, and what it needs.
///
/// ```text
/// cases! { leases:
///     /// A lease is gone at its end.
///     is_gone_at_its_end [clock],
///     /// Without `History` only the newest two snapshots are kept.
///     keeps_two [Snapshots, not History],
///     /// A stopped writer is refused when it goes on.
///     is_refused_when_it_thaws [clock, processes] once "the handle is in another process",
/// }
///
/// async fn is_gone_at_its_end(ctx: &Context) -> Verdict { … }      // its id: leases/is-gone-at-its-end
/// ```
///
/// The functions stand below the rows and outside of the macro, so that rustfmt sees them; one without a row is dead
/// code, and the compiler says so.
macro_rules! cases {
    ($area:ident: $($(#[doc = $doc:literal])+ $name:ident [$($($need:ident)+),* $(,)?] $(once $once:literal)?,)+) => {
        pub(crate) const CASES: &[$crate::case::Case] = &[$(
            $crate::case::Case {
                id: {
                    const NAME: &str = concat!(stringify!($area), "/", stringify!($name));
                    const ID: [u8; NAME.len()] = $crate::case::kebab(NAME);
                    match std::str::from_utf8(&ID) {
                        Ok(id) => id,
                        Err(_) => panic!("a function's name is UTF-8"),
                    }
                },
                needs: &[$($crate::case::need!($($need)+)),*],
                doc: concat!($($doc),+).trim_ascii_start(),
                once: $crate::case::once!($($once)?),
                run: |ctx| Box::pin($name(ctx)),
            },
        )+];
    };
}
pub(crate) use cases;

macro_rules! once {
    () => {
        None
    };
    ($reason:literal) => {
        Some($reason)
    };
}
pub(crate) use once;

macro_rules! need {
    (clock) => {
        $crate::case::Need::Hook($crate::Hook::Clock)
    };
    (processes) => {
        $crate::case::Need::Hook($crate::Hook::Processes)
    };
    (parts) => {
        $crate::case::Need::Hook($crate::Hook::Parts)
    };
    (flip) => {
        $crate::case::Need::Hook($crate::Hook::Flip)
    };
    (removal) => {
        $crate::case::Need::Hook($crate::Hook::Removal)
    };
    (secret) => {
        $crate::case::Need::Hook($crate::Hook::Secret)
    };
    (server) => {
        $crate::case::Need::Hook($crate::Hook::Server)
    };
    (not $capability:ident) => {
        $crate::case::Need::Lacks(milepost_core::Capability::$capability)
    };
    ($capability:ident) => {
        $crate::case::Need::Offers(milepost_core::Capability::$capability)
    };
}
pub(crate) use need;
