//! Which language a file is counted under: decided by its name, and by nothing else.

/// What files are counted under whose first 8 KiB hold a NUL byte, whatever their name says.
pub(crate) const BINARY: &str = "Binary";

/// What text files are counted under whose name says nothing.
const OTHER: &str = "Other";

/// Names that say more than their extension does, or have none.
#[rustfmt::skip]
const NAMES: &[(&str, &[&str])] = &[
    ("CMake", &["cmakelists.txt"]),
    ("Dockerfile", &["dockerfile"]),
    ("Git settings", &[".gitattributes", ".gitignore", ".gitmodules", ".git-blame-ignore-revs"]),
    ("JSON", &[".cargo_vcs_info.json", ".cargo-ok"]),
    ("Just", &["justfile"]),
    ("Make", &["makefile", "gnumakefile"]),
    ("Text", &["authors", "changelog", "contributing", "copying", "copyright", "license", "licence", "notice", "readme", "unlicense"]),
    ("TOML", &["cargo.lock", "cargo.toml.orig"]),
];

/// Extensions, in lower case.
#[rustfmt::skip]
const EXTENSIONS: &[(&str, &[&str])] = &[
    ("Ada", &["adb", "ads"]),
    ("Assembly", &["asm", "s"]),
    ("Batch", &["bat", "cmd"]),
    ("C", &["c"]),
    ("C header", &["h"]),
    ("C#", &["cs"]),
    ("C++", &["cc", "cpp", "cxx"]),
    ("C++ header", &["hh", "hpp", "hxx"]),
    ("Clojure", &["clj", "cljs"]),
    ("CMake", &["cmake"]),
    ("CSS", &["css"]),
    ("CSV", &["csv", "tsv"]),
    ("Dart", &["dart"]),
    ("Dockerfile", &["dockerfile"]),
    ("Elixir", &["ex", "exs"]),
    ("Erlang", &["erl", "hrl"]),
    ("Fortran", &["f", "f90", "f95"]),
    ("Go", &["go"]),
    ("GraphQL", &["gql", "graphql"]),
    ("Haskell", &["hs"]),
    ("HTML", &["htm", "html"]),
    ("INI", &["cfg", "cnf", "conf", "ini"]),
    ("Java", &["java"]),
    ("JavaScript", &["cjs", "js", "jsx", "mjs"]),
    ("JSON", &["json", "jsonc", "jsonl"]),
    ("Julia", &["jl"]),
    ("Just", &["just"]),
    ("Kotlin", &["kt", "kts"]),
    ("Lua", &["lua"]),
    ("Make", &["mak", "mk"]),
    ("Markdown", &["markdown", "md"]),
    ("Nix", &["nix"]),
    ("Objective-C", &["m", "mm"]),
    ("OCaml", &["ml", "mli"]),
    ("Perl", &["pl", "pm"]),
    ("PHP", &["php"]),
    ("PowerShell", &["ps1", "psm1"]),
    ("Protobuf", &["proto"]),
    ("Python", &["py", "pyi"]),
    ("R", &["r"]),
    ("Ruby", &["rb"]),
    ("Rust", &["rs"]),
    ("Sass", &["sass", "scss"]),
    ("Scala", &["scala"]),
    ("Shell", &["bash", "fish", "sh", "zsh"]),
    ("SQL", &["sql"]),
    ("SVG", &["svg"]),
    ("Swift", &["swift"]),
    ("TeX", &["sty", "tex"]),
    ("Text", &["adoc", "log", "org", "rst", "stderr", "stdout", "txt"]),
    ("TOML", &["toml"]),
    ("TypeScript", &["cts", "mts", "ts", "tsx"]),
    ("Vue", &["vue"]),
    ("WebAssembly", &["wat", "wast"]),
    ("XML", &["xml", "xsd", "xsl"]),
    ("YAML", &["yaml", "yml"]),
    ("Zig", &["zig"]),
];

/// The language of a text file by its path: a name of [`NAMES`], else its extension, else such a name before the
/// extension or a hyphen (`LICENSE-MIT`, `README.in`), else `Other`. Case never matters.
pub(crate) fn of(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let extension =
        name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, extension)| extension);
    let stem = name.split(['.', '-', '_']).next().unwrap_or_default();
    find(NAMES, &name).or_else(|| find(EXTENSIONS, extension?)).or_else(|| find(NAMES, stem)).unwrap_or(OTHER)
}

fn find(table: &[(&'static str, &[&str])], word: &str) -> Option<&'static str> {
    table.iter().find(|(_, words)| words.contains(&word)).map(|(language, _)| *language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_decides() {
        let table = [
            ("src/lib.rs", "Rust"),
            ("Cargo.toml", "TOML"),
            ("a/Cargo.toml.orig", "TOML"),
            ("a/Cargo.lock", "TOML"),
            ("yarn.lock", "Other"),
            ("README.md", "Markdown"),
            ("README", "Text"),
            ("README.in", "Text"),
            ("LICENSE-APACHE", "Text"),
            ("COPYING.LESSER", "Text"),
            ("sqlite3.h", "C header"),
            ("memcpy.S", "Assembly"),
            ("Makefile", "Make"),
            ("CMakeLists.txt", "CMake"),
            ("notes.txt", "Text"),
            (".gitignore", "Git settings"),
            (".rs", "Other"),
            ("rs", "Other"),
            ("a.rs/b", "Other"),
            ("x.unheard-of", "Other"),
            ("", "Other"),
        ];
        for (path, language) in table {
            assert_eq!(of(path), language, "{path}");
        }
    }

    #[test]
    fn no_extension_is_listed_twice() {
        let mut all: Vec<_> = EXTENSIONS.iter().flat_map(|(_, words)| *words).collect();
        let listed = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), listed);
    }
}
