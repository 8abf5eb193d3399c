//! A name for one wait of one life of a run, to be handed to whoever is to answer it.

use std::{fmt, str::FromStr};

use milepost_core::{Error, ErrorKind, Incarnation, RunId};

/// Names the wait for a signal of one life of a run: in a link, a mail, a ticket. Nothing is stored for it; the handler
/// makes the same one again after a crash ([`Run::token`](crate::Run::token)), and
/// [`Runner::wake`](crate::Runner::wake) answers it once.
///
/// It names, it does not protect: who can guess a run's id and incarnation can make it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SignalToken {
    run: RunId,
    incarnation: Incarnation,
    signal: String,
}

impl SignalToken {
    pub(crate) fn new(run: RunId, incarnation: Incarnation, signal: &str) -> Self {
        Self { run, incarnation, signal: signal.into() }
    }

    /// The run that waits.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Which life of it.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The signal that it waits for.
    pub fn signal(&self) -> &str {
        &self.signal
    }
}

impl fmt::Display for SignalToken {
    /// Visible ASCII that needs no escaping in a URL: `mp1.<incarnation>.<signal>.<run>`, the names in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mp1.{}.{}.{}", self.incarnation, hex(&self.signal), hex(self.run.as_str()))
    }
}

impl FromStr for SignalToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let mut parts = text.strip_prefix("mp1.")?.split('.');
            let incarnation = u128::from_str_radix(parts.next()?, 16).ok()?;
            let (signal, run) = (unhex(parts.next()?)?, unhex(parts.next()?)?);
            let run = RunId::new(run).ok()?;
            parts.next().is_none().then_some(Self { run, incarnation: Incarnation(incarnation), signal })
        };
        read().ok_or_else(|| Error::new(ErrorKind::Invalid, "this is no token of a wait; copy it whole"))
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(hex: &str) -> Option<String> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_what_it_writes() {
        let token = SignalToken::new(RunId::new("orders/7 é").unwrap(), Incarnation(0xfe), "boss.approval");
        assert_eq!(token.to_string().parse::<SignalToken>().unwrap(), token);
        for wrong in ["", "mp1.0", "mp2.0.61.61", "mp1.0.61.61.61", "mp1.0.6.zz", "mp1.0.61."] {
            assert!(wrong.parse::<SignalToken>().is_err(), "{wrong}");
        }
    }
}
