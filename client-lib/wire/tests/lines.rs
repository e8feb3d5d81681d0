//! Any bytes on a socket give an answer: lines of every kind, altered at random. The sequence is the same in every run;
//! `PLUGIND_FUZZ=1000000` makes it longer and prints how many were still messages.
#![forbid(unsafe_code)]

use plugind_wire::framing;
use plugind_wire::message::{ClientHello, EngineHello, ToClient, ToEngine};

const ROUNDS: usize = 20_000;

const LINES: [&str; 10] = [
    r#"{"protocol":5,"release":"0.1.0","pid":7,"program":"game","executable":"/t/debug/game","opens":true}"#,
    r#"{"protocol":5,"release":"0.1.0","pid":7,"mode":"daemon","folder":"/t","state":"ab"}"#,
    r#"{"type":"follow","plugin":"p","lane":"debug","running":{"state":"ab","number":3,"digest":"0000000000000000000000000000000000000000000000000000000000000000"},"requires":[{"description":"0200000003","rustc":"rustc 1","target":"x"}]}"#,
    r#"{"type":"require","plugin":"p","requires":{"description":"","rustc":"","target":""}}"#,
    r#"{"type":"follow_contract","contract":"Game","requires":{"description":"00ff","rustc":"","target":""}}"#,
    r#"{"type":"rejected","version":{"plugin":"p","number":2},"stage":"inspect","reason":"it does not fit","has_older":true,"misfit":true,"contracts":["Game"]}"#,
    r#"{"type":"following","plugin":"p","lane":"debug","reconsidering":4}"#,
    r#"{"type":"reply","request":1,"reply":{"result":"failed","failure":"rejected","reason":"no"}}"#,
    r#"{"type":"diff","request":2,"plugin":"p","expected":1,"found":2}"#,
    r#"{"type":"reply","request":2,"reply":{"result":"diff","diff":{"schema":1,"plugin":"p","expected":{"version":1,"digest":"0000000000000000000000000000000000000000000000000000000000000000","raw":false,"outcome":"live","contracts":["Game"]},"found":{"version":2,"digest":"0000000000000000000000000000000000000000000000000000000000000000","raw":false,"outcome":"rejected","stage":"inspect","contracts":["Game"]},"differences":[{"contract":"Game","part":"field","name":"b","of":"A","type":{"expected":{"bytes":4,"crate":"c 1.0.0"},"found":{"bytes":8}},"change":"changed","expected":{"text":"u32","offset":0},"found":{"text":"u64","offset":0},"what":"it differs"}]}}}"#,
];

/// Marsaglia's xorshift with 64 bits (2003).
fn xorshift(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state as usize
}

fn messages(line: &[u8]) -> usize {
    let is = [
        matches!(framing::read::<ClientHello>(line), Ok(Some(_))),
        matches!(framing::read::<EngineHello>(line), Ok(Some(_))),
        matches!(framing::read::<ToEngine>(line), Ok(Some(_))),
        matches!(framing::read::<ToClient>(line), Ok(Some(_))),
    ];
    is.into_iter().filter(|is| *is).count()
}

#[test]
fn lines_altered_at_random_give_an_answer() {
    let rounds = std::env::var("PLUGIND_FUZZ").ok();
    let rounds = rounds.and_then(|rounds| rounds.parse().ok());
    let rounds: usize = rounds.unwrap_or(ROUNDS);
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let mut understood = 0;
    for line in LINES {
        assert_eq!(messages(format!("{line}\n").as_bytes()), 1, "{line}");
        for _ in 0..rounds.div_ceil(LINES.len()) {
            let mut bytes = format!("{line}\n").into_bytes();
            for _ in 0..1 + xorshift(&mut seed) % 3 {
                let at = xorshift(&mut seed) % bytes.len();
                match xorshift(&mut seed) % 8 {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at] = xorshift(&mut seed) as u8,
                    2 => bytes[at] = br#"{}[]",:0-e\u"#[xorshift(&mut seed) % 12],
                    3..7 if bytes[at].is_ascii_alphanumeric() => {
                        bytes[at] = b"0123456789abcxyz"[xorshift(&mut seed) % 16];
                    }
                    3..7 => {}
                    _ => {
                        let from = xorshift(&mut seed) % bytes.len();
                        let piece = bytes[from..].iter().take(9).copied().collect::<Vec<_>>();
                        bytes.splice(at..at, piece);
                    }
                }
            }
            understood += messages(&bytes);
        }
    }
    println!("{understood} of {rounds} altered lines are messages");
    assert!(
        understood * 20 > rounds,
        "alterations break everything: {understood}"
    );
}
