//! `cargo xtask conformance URL`: the conformance kit against whatever a URL names.
//!
//! The kit and the stores are in a second program of this package, behind a feature, so that the automation itself stays
//! quick to build. It is a test program like any other of the kit: it prints each case as it ends.

use std::path::PathBuf;

use anyhow::Context;

use crate::command::Program;
use crate::console::Console;
use crate::workspace::Workspace;

/// What the second program is told by its environment. It has the same names.
const URL: &str = "MILEPOST_CONFORMANCE_URL";
const MARKDOWN: &str = "MILEPOST_CONFORMANCE_MARKDOWN";
const REPORT: &str = "MILEPOST_REPORT";

/// Arguments of `conformance`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to: any URL that `milepost::connect` takes. Each case works in a place of its own beside or below it,
    /// which is removed in the end
    url: String,
    /// Only cases whose id contains this; all of an area with `open/`
    #[arg(long, value_name = "FILTER")]
    case: Option<String>,
    /// Write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print the report as Markdown; the cases go to standard error as they end
    #[arg(long)]
    markdown: bool,
    /// More arguments for the kit's test program, after `--`: `--list`, `--test-threads=1`, `--skip …`
    #[arg(last = true)]
    more: Vec<String>,
}

/// Runs the kit; `true` if nothing failed.
pub(crate) fn run(console: &Console, args: &Args) -> anyhow::Result<bool> {
    let workspace = Workspace::load()?;
    let folder = workspace.fresh_folder("conformance")?;
    let markdown = folder.join("report.md");
    let report = args.json.clone().unwrap_or_else(|| folder.join("report.json"));
    let report = std::path::absolute(&report)?;
    let program = program(&workspace, args).env(REPORT, &report).secret(URL, &args.url);
    let program = if args.markdown { program.env(MARKDOWN, &markdown).aside() } else { program };
    let ok = program.run_visibly()?;
    if args.markdown {
        match std::fs::read_to_string(&markdown) {
            Ok(text) => console.line(text.trim_end()),
            // Why there is none, the program has said.
            Err(_) if !ok => {}
            Err(error) => return Err(error).context("the kit wrote no report"),
        }
    }
    Ok(ok)
}

/// Paths in a URL are those of the folder from which the command was given, so it runs there.
fn program(workspace: &Workspace, args: &Args) -> Program {
    let here = std::env::current_dir().unwrap_or_else(|_| workspace.root.clone());
    let manifest = workspace.root.join("Cargo.toml");
    Program::cargo(&here, ["run", "--quiet", "--package", "xtask", "--features", "conformance"])
        .args(["--bin", "conformance", "--manifest-path"])
        .arg(manifest)
        .arg("--")
        .args(&args.case)
        .args(&args.more)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_the_kit_itself_understands_stands_behind_two_dashes() {
        let line = ["x", "sqlite:a.db", "--case", "open/", "--", "--list", "--skip", "open/races"];
        let args = Line::parse_from(line).args;
        assert_eq!((args.url.as_str(), args.case.as_deref()), ("sqlite:a.db", Some("open/")));
        assert_eq!(args.more, ["--list", "--skip", "open/races"]);
        assert!(Line::try_parse_from(["x", "sqlite:a.db", "--list"]).is_err());
        assert!(Line::try_parse_from(["x"]).is_err());
    }
}
