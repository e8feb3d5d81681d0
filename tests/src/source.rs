//! As much of Rust's syntax as the rules about the sources need: files, tokens, and which file is whose module.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The Rust files below `dir`, without what builds leave there.
///
/// # Panics
///
/// If a directory cannot be read.
pub fn rust_files(dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path);
        }
    }
    found
}

/// The words and signs of a source, without comments, and without what stands in strings and characters.
pub fn tokens(source: &str) -> Vec<String> {
    let tokens = parts(source).filter(|(part, _)| *part == Part::Token);
    tokens.map(|(_, text)| text.to_owned()).collect()
}

/// What stands in the strings of a source that are not raw ones.
pub(crate) fn sentences(source: &str) -> Vec<String> {
    let strings = parts(source).filter(|(part, _)| *part == Part::String);
    strings.map(|(_, text)| unescaped(text)).collect()
}

#[derive(PartialEq, Eq)]
enum Part {
    Token,
    /// With its quotes.
    String,
    Other,
}

fn parts(source: &str) -> impl Iterator<Item = (Part, &str)> {
    let mut rest = source;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let (part, len) = if rest.starts_with("//") {
            (Part::Other, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Part::Other, block_comment(rest))
        } else if let Some(len) = raw_string(rest) {
            (Part::Other, len)
        } else if let Some(len) = string(rest) {
            (Part::String, len)
        } else if first == '\'' {
            (Part::Other, character_or_lifetime(rest))
        } else if is_word(first) {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            (Part::Token, len)
        } else if first.is_whitespace() {
            (Part::Other, first.len_utf8())
        } else {
            (Part::Token, first.len_utf8())
        };
        let (text, after) = rest.split_at(len);
        rest = after;
        Some((part, text))
    })
}

/// Without quotes; a line that goes on is one line.
fn unescaped(string: &str) -> String {
    let inside = string.trim_start_matches(|c| c != '"').trim_matches('"');
    let mut lines = inside.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let joined = lines.fold(first, |all, line| all + line.trim_start());
    joined.replace("\\\"", "\"")
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// `r"..."`, `r#"..."#`, with `b` or `c` before.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        let after = text.strip_prefix(prefix);
        after.is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = text[prefix.len()..].find('"')?;
    let start = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    let len = text[start..].find(&end).map(|at| start + at + end.len());
    Some(len.unwrap_or(text.len()))
}

/// `"..."`, with `b` or `c` before.
fn string(text: &str) -> Option<usize> {
    let start = ["\"", "b\"", "c\""]
        .into_iter()
        .find(|start| text.starts_with(start))?;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(start.len()) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// `'x'` and `'\n'` as a whole, of `'lifetime` the quote.
fn character_or_lifetime(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let from = at + escaped.len_utf8();
            text[from..]
                .find('\'')
                .map_or(text.len(), |end| from + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// The files that belong to a crate: its root, and what `mod` declares from there.
///
/// # Panics
///
/// If a declared file cannot be read, which no crate that compiles has.
pub fn modules(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut queue = vec![(
        root.to_owned(),
        root.parent().expect("a file in a folder").to_owned(),
    )];
    while let Some((file, children)) = queue.pop() {
        let source =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for declared in tokens(&source).windows(3) {
            if let [word, name, end] = declared
                && word == "mod"
                && end == ";"
            {
                let beside = children.join(format!("{name}.rs"));
                let inside = children.join(name).join("mod.rs");
                let child = if beside.is_file() { beside } else { inside };
                queue.push((child, children.join(name)));
            }
        }
        found.insert(file);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{sentences, tokens};

    #[test]
    fn strings_are_read_as_they_are_said() {
        let source = "f(\"say \\\"it\\\" \\\n    at once\", b\"so\", 'x', r#\"raw\"#); // \"no\"";
        assert_eq!(sentences(source), ["say \"it\" at once", "so"]);
    }

    #[test]
    fn comments_strings_and_characters_are_no_tokens() {
        let source = r##"
            // unsafe
            /* unsafe /* unsafe */ unsafe */
            /// unsafe
            const A: (&str, char) = ("unsafe \" unsafe", '"');
            const B: &[u8] = b"unsafe"; const C: &str = r#"unsafe " unsafe"#; const D: char = '\'';
            fn f<'unsafe_>(a: &'a str) {} #![forbid(unsafe_code)]
        "##;
        let found = tokens(source);
        assert!(!found.iter().any(|token| token == "unsafe"), "{found:?}");
        assert!(found.iter().any(|token| token == "unsafe_code"));
        for source in [
            "unsafe { f() }",
            "'\"'; unsafe fn f()",
            "/**/unsafe impl",
            "m!{unsafe}",
            "r#unsafe",
        ] {
            let found = tokens(source);
            assert!(
                found.iter().any(|token| token == "unsafe"),
                "{source}: {found:?}"
            );
        }
    }
}
