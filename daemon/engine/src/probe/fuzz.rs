//! Any bytes on a probe's socket give a verdict: lines of `corpus/probe.said`, altered at random and cut into pieces
//! anywhere, after a good beginning or none, whatever became of the process. The sequence is the same in every run;
//! `PLUGIND_FUZZ=1000000` makes it longer, and prints how many lines were still understood and how many verdicts of each
//! kind there were.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use super::child::{Ending, Last, understood};
use super::failure::{Verdict, judge};
use super::message::{Generation, Said};
use super::output::Output;

const CORPUS: &str = include_str!("../../corpus/probe.said");
/// Endings in a usual run.
const ROUNDS: usize = 20_000;
/// No sentence has more characters: what the probe said of the plugin, what the plugin wrote, and our own words.
const LONGEST: usize = 4096 + 302 + 1024;

/// Marsaglia's xorshift with 64 bits (2003).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 as usize % bound.max(1)
    }

    fn alter(&mut self, line: &str) -> Vec<u8> {
        let mut bytes = line.as_bytes().to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = self.below(256) as u8,
                2 => bytes[at] = br#"{}[]",:0-e\u"#[self.below(12)],
                3..7 if bytes[at].is_ascii_alphanumeric() => {
                    bytes[at] = b"0123456789abcxyz"[self.below(16)];
                }
                3..7 => {}
                _ => {
                    let from = self.below(bytes.len());
                    let piece: Vec<_> = bytes[from..].iter().take(9).copied().collect();
                    // Long words, too.
                    let piece = piece.repeat(1 + self.below(3) * self.below(600));
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes.push(b'\n');
        bytes
    }
}

/// As they come in.
fn heard(bytes: &[u8], random: &mut Random) -> Vec<Said> {
    let (mut unread, mut said, mut rest) = (Vec::new(), Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(1 + random.below(rest.len().min(700)));
        unread.extend_from_slice(piece);
        said.extend(understood(&mut unread));
        rest = more;
    }
    said
}

#[test]
fn what_a_probe_says_altered_at_random_gives_a_verdict() {
    let rounds = std::env::var("PLUGIND_FUZZ").ok();
    let rounds = rounds.and_then(|rounds| rounds.parse().ok());
    let rounds: usize = rounds.unwrap_or(ROUNDS);
    let lines: Vec<_> = CORPUS.lines().collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for line in &lines {
        let said = understood(&mut format!("{line}\n").into_bytes());
        assert_eq!(said.len(), 1, "{line}");
        assert!(
            understood(&mut line.as_bytes().to_vec()).is_empty(),
            "it may go on"
        );
    }
    let hello = serde_json::to_string(&Said::Hello {
        release: "0.1.0".to_owned(),
        generation: Generation::THIS,
    });
    let hello = hello.expect("it is JSON");
    let (mut inputs, mut told, mut verdicts) = (0, 0, [0; 3]);
    for _ in 0..rounds {
        let mut bytes = match random.below(3) {
            0 => Vec::new(),
            _ => format!("{hello}\n").into_bytes(),
        };
        for _ in 0..1 + random.below(4) {
            let line = lines[random.below(lines.len())];
            bytes.extend(random.alter(line));
            inputs += 1;
        }
        let said = heard(&bytes, &mut random);
        assert_eq!(
            said,
            understood(&mut bytes.clone()),
            "pieces make no difference"
        );
        told += said.len();
        let last = [
            Last::Verdict,
            Last::Ended,
            Last::TimedOut,
            Last::SaidTooMuch,
            Last::Stopped,
        ][random.below(5)];
        let status =
            (random.below(2) == 0).then(|| ExitStatus::from_raw(random.below(1 << 16) as i32));
        let mut output = Output::default();
        output.add(&bytes[..random.below(bytes.len())]);
        let ending = Ending {
            said,
            last,
            status,
            output,
        };
        let (kind, words) = match judge(&ending, Duration::from_secs(10)) {
            Verdict::Passed(_) => {
                assert!(ending.said.contains(&Said::Passed));
                (0, String::new())
            }
            Verdict::Failed(failure) => (1, failure.reason),
            Verdict::NoProbe(why) => (2, why),
        };
        verdicts[kind] += 1;
        let length = words.chars().count();
        assert!(length < LONGEST, "{length} characters: {words}");
    }
    println!(
        "{told} of {inputs} lines and as many beginnings were understood; verdicts {verdicts:?}"
    );
    assert!(
        verdicts.iter().all(|count| count * 50 > rounds),
        "{verdicts:?}"
    );
}
