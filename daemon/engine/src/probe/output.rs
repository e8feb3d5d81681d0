//! What a probe wrote: the beginning, where a panic says what it was, and the end, where anything else does.

use std::collections::VecDeque;

/// Bytes of the beginning.
const FIRST: usize = 2 << 10;
/// Bytes of the end.
const LAST: usize = 8 << 10;
/// Characters of it in a sentence.
const WORDS: usize = 300;

/// Written bytes, the middle left out where they are many.
#[derive(Debug, Default)]
pub(crate) struct Output {
    first: Vec<u8>,
    last: VecDeque<u8>,
    left_out: bool,
}

impl Output {
    /// Takes in some more.
    pub(crate) fn add(&mut self, written: &[u8]) {
        let room = FIRST.saturating_sub(self.first.len()).min(written.len());
        let (first, rest) = written.split_at(room);
        self.first.extend_from_slice(first);
        self.last.extend(rest);
        let too_many = self.last.len().saturating_sub(LAST);
        self.last.drain(..too_many);
        self.left_out |= too_many > 0;
    }

    /// All of it as text; nothing if there is none.
    pub(crate) fn text(&self) -> Option<String> {
        let mut text = String::from_utf8_lossy(&self.first).into_owned();
        if self.left_out {
            text.push_str("\n[..]\n");
        }
        let last: Vec<_> = self.last.iter().copied().collect();
        text.push_str(&String::from_utf8_lossy(&last));
        (!text.trim().is_empty()).then_some(text)
    }

    /// What explains its end best, in one line: its first panic, or else its last lines.
    pub(crate) fn words(&self) -> Option<String> {
        let text = self.text()?;
        let lines: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let panic = lines.iter().position(|line| line.contains(" panicked at "));
        let chosen = match panic {
            Some(first) => &lines[first..lines.len().min(first + 2)],
            None => &lines[lines.len().saturating_sub(3)..],
        };
        let words = chosen.join(" / ");
        let cut: String = words.chars().take(WORDS).collect();
        Some(if cut.len() < words.len() {
            format!("{cut}..")
        } else {
            cut
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str) -> Output {
        let mut output = Output::default();
        text.as_bytes()
            .chunks(100)
            .for_each(|chunk| output.add(chunk));
        output
    }

    #[test]
    fn beginning_and_end_are_kept_and_no_more() {
        let long = format!("begin{}end", "x".repeat(1 << 20));
        let output = output(&long);
        let text = output.text().unwrap();
        assert!(text.starts_with("begin") && text.ends_with("end") && text.contains("[..]"));
        assert_eq!(text.len(), FIRST + LAST + "\n[..]\n".len());
        assert!(output.words().unwrap().chars().count() <= WORDS + 2);
    }

    #[test]
    fn a_panic_says_more_than_the_end() {
        let text = "warming up\nthread 'main' (7) panicked at src/lib.rs:3:5:\nno luck\nnote: ..\n\nstack\n";
        let words = output(text).words().unwrap();
        assert_eq!(
            words,
            "thread 'main' (7) panicked at src/lib.rs:3:5: / no luck"
        );
        assert_eq!(output("a\nb\n\nc\nd\n").words().unwrap(), "b / c / d");
        assert_eq!(output(" \n").words(), None);
    }
}
