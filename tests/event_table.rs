//! The table of events in the crate's documentation is what the code writes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The levels and the fields of each event, without those that all have.
type Events = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>;

const ALWAYS: [&str; 2] = ["resource", "candidate"];

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> BTreeSet<String> {
    set(text.split('`').skip(1).step_by(2))
}

/// The rows of the table: event, level, fields, when, what to do.
fn documented() -> Events {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let lib = fs::read_to_string(root).unwrap();
    let rows = lib
        .lines()
        .filter(|line| line.starts_with("//! | `tenure."));
    let mut events = Events::new();
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert!(
            cells.len() == 7 && !cells[5].is_empty(),
            "what to do: {row}"
        );
        let name = cells[1].trim_matches('`').to_owned();
        let levels = set(cells[2].split(", "));
        let known = events.insert(name, (levels, quoted(cells[3])));
        assert!(known.is_none(), "twice: {row}");
    }
    events
}

/// The arguments of a macro, split at the commas that are not in parentheses or in text.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut in_text, mut start, mut found) = (0, false, 0, Vec::new());
    for (index, c) in text.char_indices() {
        match c {
            '"' => in_text = !in_text,
            _ if in_text => {}
            '(' => depth += 1,
            ')' if depth == 0 => {
                found.push(text[start..index].trim());
                return found;
            }
            ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    panic!("no end: {text}");
}

/// The values of an argument of a macro call at `at`. If it is a parameter of a macro that makes this call,
/// these are the values that the file's calls of that macro pass.
fn values<'a>(code: &'a str, at: usize, argument: &'a str) -> Vec<&'a str> {
    if !argument.starts_with('$') {
        return vec![argument];
    }
    let (before, _) = code[..at].rsplit_once("=> {").unwrap();
    let (_, definition) = before.rsplit_once("macro_rules! ").unwrap();
    let (name, pattern) = definition.split_once(" {").unwrap();
    let (_, parameters) = pattern.split_once('(').unwrap();
    let parameter = format!("{argument}:");
    let position = arguments(parameters)
        .iter()
        .position(|known| known.starts_with(&parameter));
    let call = format!("{name}!(");
    let calls = code.match_indices(&call);
    calls
        .map(|(at, _)| arguments(&code[at + call.len()..])[position.unwrap()])
        .collect()
}

fn read(folder: &Path, events: &mut Events) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, events);
            continue;
        }
        // The definitions of the macros.
        if path.ends_with("src/events.rs") {
            continue;
        }
        let code = fs::read_to_string(&path).unwrap();
        for level in ["error", "warn", "info", "debug", "trace"] {
            let written = code.contains(&format!("tracing::{level}!("));
            assert!(!written, "{} writes past the macro", path.display());
        }
        for (start, found) in code.match_indices("event!(") {
            let is_of_lock = code[..start].ends_with("lock_");
            if code[..start].ends_with([':', '_']) && !is_of_lock {
                continue;
            }
            let arguments = arguments(&code[start + found.len()..]);
            // The third argument of `lock_event!` is the configuration of the lock.
            let fields = &arguments[if is_of_lock { 3 } else { 2 }..];
            let fields = fields
                .iter()
                .take_while(|text| !text.starts_with(['"', '$']));
            let fields = fields.map(|field| field.split([' ', '=']).next().unwrap());
            let fields = set(fields.filter(|field| !ALWAYS.contains(field)));
            let levels = set(values(&code, start, arguments[0]));
            for name in values(&code, start, arguments[1]) {
                let event = events.entry(name.trim_matches('"').to_owned()).or_default();
                event.0.extend(levels.clone());
                event.1.extend(fields.clone());
            }
        }
    }
}

/// The names of events in a line of the readme.
fn named(line: &str) -> impl Iterator<Item = String> {
    let words = quoted(line).into_iter();
    words.filter(|word| word.starts_with("tenure."))
}

#[test]
fn every_event_that_the_readme_names_is_in_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(root).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| `tenure."));
    assert_ne!(rows.flat_map(named).count(), 0, "the readme has no table");
    let documented = documented();
    let unknown: Vec<_> = (readme.lines().flat_map(named))
        .filter(|name| !documented.contains_key(name))
        .collect();
    assert!(unknown.is_empty(), "not in the table: {unknown:?}");
}

#[test]
fn the_table_lists_every_event_with_its_levels_and_fields() {
    let mut written = Events::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    read(&root, &mut written);
    assert!(written.len() > 10, "{written:?}");
    assert_eq!(documented(), written);
}
