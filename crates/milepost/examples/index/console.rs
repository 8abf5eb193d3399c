//! Where words go: the report to standard output, everything about the job itself to standard error.

use std::io::{self, Write};

use ::console::{Term, colors_enabled, colors_enabled_stderr, style};

/// How wide a report is when nobody can say: it goes to a file or a pipe.
const FALLBACK_WIDTH: u16 = 100;

/// What the report is drawn for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Whether to use colours.
    pub(crate) colour: bool,
}

impl Look {
    /// What standard output is right now. Colours are for a terminal, and not if `NO_COLOR` is set.
    pub(crate) fn of_stdout() -> Self {
        let width = Term::stdout().size_checked().map_or(FALLBACK_WIDTH, |(_, columns)| columns);
        Self { width: width.into(), colour: colors_enabled() }
    }
}

/// Writes the report, or a part of it.
///
/// # Errors
///
/// Those of the system. A reader who has seen enough (`index | head`) is none.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Says a line about the job. That nobody listens does not stop it.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says what went wrong, and why, and why that.
pub(crate) fn error(error: &anyhow::Error) {
    let word = style("error").red().bold().for_stderr().force_styling(colors_enabled_stderr());
    note(&format!("{word}: {error}"));
    for cause in error.chain().skip(1) {
        note(&format!("  because: {cause}"));
    }
}
