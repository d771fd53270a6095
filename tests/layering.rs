//! The arrows between the modules point one way. This test reads the sources and fails on a path that
//! points the other way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each module and what it may name. The order is that of the layers.
const ARROWS: [(&str, &[&str]); 21] = [
    ("events", &[]),
    ("mutants", &[]),
    ("lease", &["duration"]),
    ("clock", &[]),
    ("duration", &[]),
    ("timing", &["duration"]),
    ("runtime", &[]),
    ("sync", &[]),
    ("leadership", &["clock", "duration", "lease", "sync"]),
    (
        "election",
        &["clock", "duration", "leadership", "lease", "timing"],
    ),
    ("store", &["clock", "duration", "lease", "runtime"]),
    (
        "driver",
        &[
            "clock",
            "duration",
            "election",
            "leadership",
            "lease",
            "runtime",
            "store",
            "timing",
        ],
    ),
    ("operator", &["duration", "lease", "runtime", "store"]),
    ("testing", &["clock", "leadership", "store"]),
    ("conformance", &["lease", "store", "testing"]),
    (
        "actor",
        &[
            "clock",
            "driver",
            "duration",
            "election",
            "leadership",
            "lease",
            "operator",
            "runtime",
            "store",
            "timing",
        ],
    ),
    (
        "mutex",
        &[
            "clock",
            "driver",
            "duration",
            "election",
            "leadership",
            "lease",
            "runtime",
            "store",
            "timing",
        ],
    ),
    (
        "follow",
        &["actor", "driver", "leadership", "lease", "runtime", "store"],
    ),
    (
        "once",
        &[
            "clock",
            "driver",
            "duration",
            "election",
            "leadership",
            "lease",
            "mutex",
            "store",
            "timing",
        ],
    ),
    ("shards", &["clock", "lease", "timing"]),
    // Only in tests: it sees everything.
    (
        "simulation",
        &[
            "actor",
            "clock",
            "driver",
            "election",
            "leadership",
            "lease",
            "mutants",
            "runtime",
            "store",
            "testing",
            "timing",
        ],
    ),
];

/// What a module must not touch, whatever else it names.
const FORBIDDEN: [(&str, &[&str]); 5] = [
    ("lease", &["actix", "tokio", "SystemTime::now", "Instant"]),
    ("timing", &["actix", "tokio", "SystemTime", "Instant"]),
    ("leadership", &["actix", "tokio", "SystemTime", "Instant"]),
    (
        "election",
        &[
            "actix",
            "tokio",
            "SystemTime",
            "Instant",
            "rand::rng(",
            "SysRng",
            "AttemptId::generate",
            "clock.now()",
        ],
    ),
    ("store", &["actix"]),
];

fn sources(module: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_str().unwrap();
            if entry.is_dir() && !["tests", "broken"].contains(&name) {
                walk(&entry, found);
            } else if name.ends_with(".rs") && !["tests.rs", "broken.rs"].contains(&name) {
                found.push(entry);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = vec![root.join(format!("{module}.rs"))];
    walk(&root.join(module), &mut found);
    found
}

/// The code of a file without its comments and its unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The first name of each path that begins with `crate::`.
fn named(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut names = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            let name = word(rest);
            // A macro is no module.
            if !code[..start].ends_with('$') && !rest[name.len()..].starts_with('!') {
                names.insert(name);
            }
            continue;
        };
        // The names at the first level of the braces.
        let (mut depth, mut at_start) = (0, true);
        for (index, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_start = true,
                c if c.is_whitespace() => {}
                _ if at_start && depth == 0 => {
                    names.insert(word(&group[index..]));
                    at_start = false;
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn arrows_point_one_way() {
    let mut wrong = Vec::new();
    for (module, allowed) in ARROWS {
        for path in sources(module) {
            for name in named(&code(&path)) {
                if name != module && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{}: crate::{name}", path.display()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that point the wrong way:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_core_touches_no_runtime_and_no_clock() {
    let mut wrong = Vec::new();
    for (module, forbidden) in FORBIDDEN {
        for path in sources(module) {
            let code = code(&path);
            let found = forbidden.iter().filter(|word| code.contains(**word));
            wrong.extend(found.map(|word| format!("{}: {word}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_is_in_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let lib = fs::read_to_string(root).unwrap();
    let modules = lib.lines().filter_map(|line| {
        line.trim_start_matches("pub ")
            .strip_prefix("mod ")?
            .strip_suffix(';')
    });
    let modules: BTreeSet<_> = modules.collect();
    assert_eq!(modules, ARROWS.iter().map(|(module, _)| *module).collect());
}

#[test]
fn the_parser_finds_every_form_of_path() {
    let names = named(
        "use crate::{\n    a::{b, c},\n    d::E,\n    f,\n};\ncrate::g::h(); crate::I; crate::m!(); $crate::n();",
    );
    let expected = ["I", "a", "d", "f", "g"].map(str::to_owned);
    assert_eq!(names, expected.into());
}
