//! Uses of the macros that must not compile, each compiled for real, and the sentences that the macros have for them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::source::sentences;
use crate::{Home, rust_files, workspace};

/// What is refused, a part of what is said then, and a neighbour that compiles.
pub type Refused = (&'static str, &'static str, &'static str);

/// A crate in which they are tried.
pub struct Refusals<'h> {
    home: &'h Home,
    project: PathBuf,
    /// All that was said.
    said: String,
}

impl<'h> Refusals<'h> {
    /// Writes the crate.
    pub fn new(home: &'h Home) -> Self {
        let project = home.work().join("contract");
        fs::create_dir_all(project.join("src")).expect("a folder");
        let mut manifest =
            "[package]\nname = \"contract\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n"
                .to_owned();
        for need in ["abi", "macros", "plugin"] {
            let path = workspace().join("client-lib").join(need);
            manifest += &format!("plugind-{need} = {{ path = {path:?} }}\n");
        }
        fs::write(project.join("Cargo.toml"), manifest).expect("the manifest");
        Self {
            home,
            project,
            said: String::new(),
        }
    }

    /// Tries every use alone, and all neighbours together. `CONTRACT`, `HOST` and `PLUGIN` stand for the beginnings of a
    /// contract `Game`, of what an `Engine` offers, and of an implementation of the contract `Act`, which has one `fn f()`.
    ///
    /// # Panics
    ///
    /// If one compiles, is refused without the hint or at another place than the user's line, or a neighbour is refused.
    pub fn check(&mut self, refused: &[Refused]) {
        for (item, hint, _) in refused {
            let said = self.compile(&source(item)).expect_err("it compiles");
            assert!(said.contains(hint), "no {hint:?} for {item}:\n{said}");
            assert!(
                said.contains("src/lib.rs:3:"),
                "not at the user's own line: {said}"
            );
            self.said += &said;
        }
        let neighbours = refused
            .iter()
            .enumerate()
            .map(|(nth, (_, _, good))| format!("mod n{nth} {{ {} }}\n", source(good)));
        let neighbours: String = neighbours.collect();
        self.compile(&neighbours).expect("the neighbours compile");
    }

    /// The sentences of the macros that were said of nothing that was tried.
    pub fn unsaid(&self) -> BTreeSet<String> {
        let all = refusals();
        assert!(all.len() > 20, "only {all:#?}");
        unsaid(all, &self.said)
    }

    /// What cargo says of a source that does not compile.
    fn compile(&self, source: &str) -> Result<(), String> {
        let lib = format!("#![allow(dead_code, unused)]\n{source}");
        fs::write(self.project.join("src/lib.rs"), lib).expect("the source");
        let output = self
            .home
            .command(env!("CARGO"))
            .args(["check", "--offline", "--quiet", "--target-dir"])
            .arg(self.home.work().join("target"))
            .current_dir(&self.project)
            .output()
            .expect("cargo starts");
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// One use, its own line being the third.
fn source(item: &str) -> String {
    let item = item.replace("CONTRACT", "#[contract] pub trait Game");
    let item = item.replace("HOST", "#[host] pub trait Engine");
    let item = item.replace("PLUGIN", "#[plugin] impl Act for Actor");
    let act = "#[contract] pub trait Act { fn f(); } pub struct Actor; ";
    let act = if item.contains("Act") { act } else { "" };
    format!("use plugind_macros::{{StableType, contract, host, plugin}};\n{act}{item}\n")
}

/// Everything that the macros may say: their texts in lower case that are no single words. What begins with a capital is
/// documentation that they write.
fn refusals() -> BTreeSet<String> {
    let macros = rust_files(&workspace().join("client-lib/macros/src"));
    let plugin = workspace().join("client-lib/plugin/src/macros.rs");
    let sources = macros.into_iter().chain([plugin]);
    sources
        .flat_map(|file| sentences(&fs::read_to_string(file).expect("a source")))
        .filter(|text| text.split_whitespace().count() > 2 && !text.starts_with(char::is_uppercase))
        .collect()
}

/// The sentences that no line says. One with gaps, `{..}`, is not said by a line that ends with a whole one.
fn unsaid(all: BTreeSet<String>, said: &str) -> BTreeSet<String> {
    let whole: Vec<_> = all.iter().filter(|text| !text.contains('{')).collect();
    let (ends_whole, others): (Vec<_>, Vec<_>) = said
        .lines()
        .partition(|line| whole.iter().any(|text| line.ends_with(&***text)));
    let is_said = |sentence: &String| {
        let mut lines = others.iter().chain(&ends_whole);
        match sentence.contains('{') {
            true => others.iter().any(|line| fits(sentence, line)),
            false => lines.any(|line| line.contains(sentence)),
        }
    };
    all.iter().filter(|text| !is_said(text)).cloned().collect()
}

/// Whether a line has a sentence, in which any text may stand where it has a gap.
fn fits(sentence: &str, line: &str) -> bool {
    let parts = sentence.split('{');
    let mut parts = parts.map(|part| part.rsplit_once('}').map_or(part, |(_, rest)| rest));
    let mut rest = line;
    parts.all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::unsaid;

    #[test]
    fn every_sentence_needs_a_line_of_its_own() {
        let all = [
            "{noun} has no name",
            "a trait has no name",
            "{} of {f} is plain",
            "a trait",
        ];
        let check = |said: &str, expected: &[&str]| {
            let found = unsaid(all.map(str::to_owned).into(), said);
            assert_eq!(
                found,
                expected.iter().map(|&text| text.to_owned()).collect()
            );
        };
        check("", &all);
        let whole = "error: a trait has no name\n";
        check(whole, &["{noun} has no name", "{} of {f} is plain"]);
        let gaps = "error: a function has no name\nerror: panicked: `a` of `f` is plain, no more\n";
        check(gaps, &["a trait has no name", "a trait"]);
        check(&(whole.to_owned() + gaps), &[]);
        check(
            &(whole.to_owned() + "error: plain is a of f\n"),
            &["{noun} has no name", "{} of {f} is plain"],
        );
    }
}
