//! The report as one reads it in a terminal.

use console::Style;
use indicatif::{HumanBytes, HumanCount};

use crate::console::Look;
use crate::report::{Language, Report};
use crate::table::{Column, Last, Table};

/// How many rows a table has at most; the JSON report has them all.
const ROWS: usize = 20;

/// Groups of duplicates at most: each is a line for a whole group, and the first few are what matters.
const GROUPS: usize = 10;

/// Draws the report.
pub(crate) fn render(report: &Report, look: Look) -> String {
    let below = common_folder(report);
    let mut text = summary(report, below, look);
    if report.totals.files > 0 {
        text += &languages(report, look);
        text += &largest(report, below, look);
        text += &duplicates(report, below, look);
    }
    text + &problems(report, look)
}

fn summary(report: &Report, below: &str, look: Look) -> String {
    let totals = &report.totals;
    let mut text = if totals.files == 0 && report.problems.is_empty() {
        "No files: there is nothing in this folder to index.\n".to_owned()
    } else {
        let sums = format!(
            "{}, {}, {}, {}, {}",
            counted(totals.files, "file"),
            HumanBytes(totals.bytes),
            counted(totals.lines, "line"),
            counted(totals.words, "word"),
            counted(report.languages.len() as u64, "language"),
        );
        format!("{}\n", Style::new().bold().force_styling(look.colour).apply_to(sums))
    };
    if totals.skipped > 0 {
        text += &format!("{} not followed\n", counted(totals.skipped, "symbolic link or special file"));
    }
    if !below.is_empty() {
        text += &faint(look).apply_to(format!("paths are shown below {below}\n")).to_string();
    }
    text
}

fn languages(report: &Report, look: Look) -> String {
    use Column::{Left, Right};
    let columns =
        [Left("Language"), Right("Files"), Right("Lines"), Right("Words"), Right("Size"), Right("Share")];
    let mut table = Table::new(&columns, "");
    let longest = report.languages.first().map_or(0, |language| language.bytes).max(1) as f64;
    let mut row = |language: &Language| {
        let cells = vec![
            language.name.clone(),
            HumanCount(language.files).to_string(),
            HumanCount(language.lines).to_string(),
            HumanCount(language.words).to_string(),
            HumanBytes(language.bytes).to_string(),
            percent(language.bytes, report.totals.bytes),
        ];
        // The longest bar fills the column: the share says how much of the whole that is.
        table.row(cells, Last::Bar(language.bytes as f64 / longest));
    };
    // One more row is no longer than a line that says that one was left out.
    let shown = if report.languages.len() <= ROWS + 1 { ROWS + 1 } else { ROWS };
    report.languages.iter().take(shown).for_each(&mut row);
    let rest = report.languages.get(shown..).unwrap_or_default();
    if !rest.is_empty() {
        row(&Language {
            name: format!("{} more", rest.len()),
            files: rest.iter().map(|language| language.files).sum(),
            bytes: rest.iter().map(|language| language.bytes).sum(),
            lines: rest.iter().map(|language| language.lines).sum(),
            words: rest.iter().map(|language| language.words).sum(),
        });
    }
    section("Languages", &table, look)
}

fn largest(report: &Report, below: &str, look: Look) -> String {
    let mut table = Table::new(&[Column::Right("Size"), Column::Left("Language")], "File");
    for file in report.largest.iter().take(ROWS) {
        let path = shown(file.path.as_str(), below);
        table.row(vec![HumanBytes(file.bytes).to_string(), file.language.clone()], Last::Path(path));
    }
    section("Largest files", &table, look)
}

fn duplicates(report: &Report, below: &str, look: Look) -> String {
    let groups = report.duplicates.len();
    if groups == 0 {
        return format!("\n{}\n", heading("No duplicate files", look));
    }
    let mut table =
        Table::new(&[Column::Right("Wasted"), Column::Right("Copies"), Column::Right("Size")], "First copy");
    for group in report.duplicates.iter().take(GROUPS) {
        let cells = vec![
            HumanBytes(group.wasted).to_string(),
            HumanCount(group.paths.len() as u64).to_string(),
            HumanBytes(group.bytes).to_string(),
        ];
        table.row(cells, Last::Path(shown(group.paths[0].as_str(), below)));
    }
    let title = format!(
        "Duplicate files: {}, {} could be saved",
        counted(groups as u64, "group"),
        HumanBytes(report.totals.wasted)
    );
    section(&title, &table, look) + &more(groups, GROUPS, "group", look)
}

fn problems(report: &Report, look: Look) -> String {
    let count = report.problems.len();
    if count == 0 {
        return String::new();
    }
    let mut table = Table::new(&[Column::Left("Reason")], "Path");
    for problem in report.problems.iter().take(ROWS) {
        table.row(vec![problem.reason.clone()], Last::Path(problem.path.as_str().to_owned()));
    }
    let title = format!("{} could not be read", counted(count as u64, "path"));
    section(&title, &table, look) + &more(count, ROWS, "path", look)
}

fn section(title: &str, table: &Table, look: Look) -> String {
    format!("\n{}\n{}", heading(title, look), table.render(look))
}

fn heading(title: &str, look: Look) -> String {
    Style::new().green().bold().force_styling(look.colour).apply_to(title).to_string()
}

fn faint(look: Look) -> Style {
    Style::new().dim().force_styling(look.colour)
}

/// Says what a table leaves out.
fn more(count: usize, shown: usize, what: &str, look: Look) -> String {
    match count.saturating_sub(shown) {
        0 => String::new(),
        left => {
            let left = counted(left as u64, &format!("more {what}"));
            format!(
                "  {}\n",
                faint(look).apply_to(format!("and {left}: `--report FILE.json` lists them all"))
            )
        }
    }
}

/// To a tenth; what is less than that and not nothing is said to be so.
fn percent(part: u64, whole: u64) -> String {
    match 100.0 * part as f64 / whole.max(1) as f64 {
        0.0 => "0%".to_owned(),
        ..0.1 => "<0.1%".to_owned(),
        share => format!("{share:.1}%"),
    }
}

fn counted(count: u64, what: &str) -> String {
    match (count, what.split_once(" or ")) {
        (1, _) => format!("1 {what}"),
        (_, Some((this, that))) => format!("{} {this}s or {that}s", HumanCount(count)),
        (_, None) => format!("{} {what}s", HumanCount(count)),
    }
}

/// The deepest folder that holds all files of the tables, with a slash at its end: said once, not in every row.
fn common_folder(report: &Report) -> &str {
    let largest = report.largest.iter().take(ROWS).map(|file| file.path.as_str());
    let duplicates = report.duplicates.iter().take(GROUPS).map(|group| group.paths[0].as_str());
    let mut paths = largest.chain(duplicates);
    let Some(first) = paths.next() else { return "" };
    let folder = |text: &str| text.rfind('/').map_or(0, |slash| slash + 1);
    let common = paths.fold(folder(first), |common, path| {
        let same = first.bytes().zip(path.bytes()).take(common).take_while(|(a, b)| a == b).count();
        // A slash is never inside a character, so what ends with one can be cut off.
        first.as_bytes()[..same].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1)
    });
    &first[..common]
}

fn shown(path: &str, below: &str) -> String {
    path.strip_prefix(below).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::small_tree;

    const PLAIN: Look = Look { width: 72, colour: false };

    #[test]
    fn the_report_reads_as_aligned_tables() {
        let expected = "\
6 files, 69 B, 4 lines, 12 words, 4 languages
1 symbolic link or special file not followed

Languages
  Language  Files  Lines  Words  Size  Share
  Rust          3      3      9  39 B  56.5%  ██████████████████████████
  Markdown      1      1      3  16 B  23.2%  ██████████▋
  Binary        1      0      0  14 B  20.3%  █████████▍
  Text          1      0      0   0 B     0%

Largest files
  Size  Language  File
  16 B  Markdown  README.md
  14 B  Binary    data.json
  13 B  Rust      src/a.rs
  13 B  Rust      src/b.rs
  13 B  Rust      src/c.rs
   0 B  Text      empty.txt

Duplicate files: 1 group, 26 B could be saved
  Wasted  Copies  Size  First copy
    26 B       3  13 B  src/a.rs

1 path could not be read
  Reason                      Path
  vanished while the job ran  gone.rs
";
        assert_eq!(render(&small_tree(), PLAIN), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [60, 80, 200] {
            let text = render(&small_tree(), Look { width, colour: false });
            assert!(text.lines().all(|line| console::measure_text_width(line) <= width), "{text}");
        }
    }

    #[test]
    fn colours_add_nothing_but_colours() {
        let coloured = render(&small_tree(), Look { colour: true, ..PLAIN });
        assert!(coloured.contains("\u{1b}["));
        assert_eq!(console::strip_ansi_codes(&coloured), render(&small_tree(), PLAIN));
    }

    #[test]
    fn an_empty_folder_is_said_to_be_empty() {
        let state = crate::state::State::default();
        let text = render(&Report::of(&state), PLAIN);
        assert_eq!(text, "No files: there is nothing in this folder to index.\n");
    }

    #[test]
    fn small_shares_are_not_rounded_to_nothing() {
        let shares = [(0, 0), (0, 9), (1, 100_000), (1, 3), (9, 9)].map(|(part, whole)| percent(part, whole));
        assert_eq!(shares, ["0%", "0%", "<0.1%", "33.3%", "100.0%"]);
    }

    #[test]
    fn numbers_agree_with_their_nouns() {
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(1234567, "file"), "1,234,567 files");
        assert_eq!(counted(0, "group"), "0 groups");
    }
}
