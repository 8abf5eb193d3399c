//! Names: what a store must not see in them.

use super::flaws;

flaws! { NAMES:
    /// Run ids that differ by case alone are one.
    RunIdsIgnoreCase => "ids/ids-that-look-alike-stay-apart",
    /// Run ids that differ by spaces alone are one.
    RunIdsAreTrimmed => "ids/ids-that-look-alike-stay-apart",
    /// Run ids end after 64 bytes.
    RunIdsAreCut => "ids/ids-of-every-length",
    /// Control characters of run ids are left out.
    RunIdsLoseControlCharacters => "ids/odd-ids-are-ordinary-ids",
    /// Slashes and colons of run ids become underscores.
    RunIdsAreFileNames => "ids/deleting-a-pattern-deletes-that-run-only",
    /// Two slashes of a run id are one.
    RunIdsArePaths => "ids/odd-ids-are-ordinary-ids",
    /// Record ids are cut at 191 bytes.
    RecordIdsAreCut => "commit/record-ids-are-bytes-of-one-run",
}
