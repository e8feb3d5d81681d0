//! Text in the picture, in letters of five by eight pixels: enough for the first line of a compiler's error.

use demo_api::{Frame, WIDTH};

/// A letter and the gap behind it.
const ADVANCE: usize = 6;
/// A line and the gap below it.
const LEADING: usize = 10;
const MARGIN: usize = 4;
const COLUMNS: usize = (WIDTH - 2 * MARGIN) / ADVANCE;
/// More would hide the game.
const LINES: usize = 4;

const BAR: u32 = 0x0020_0810;
const LETTERS: u32 = 0x00ff_c0b0;

/// Draws a dark bar with a text over the top of the picture.
pub(crate) fn banner(picture: &mut Frame<'_>, text: &str) {
    let lines = wrap(text, COLUMNS, LINES);
    let height = lines.len() * LEADING + MARGIN;
    picture.fill(0.0, 0.0, WIDTH as f32, height as f32, BAR);
    for (row, line) in lines.iter().enumerate() {
        for (column, letter) in line.chars().enumerate() {
            let (x, y) = (MARGIN + column * ADVANCE, MARGIN + row * LEADING);
            draw(picture, x, y, letter);
        }
    }
}

fn draw(picture: &mut Frame<'_>, x: usize, y: usize, letter: char) {
    let [_, _, _, columns @ ..] = glyph(letter).to_be_bytes();
    for (right, column) in columns.into_iter().enumerate() {
        for down in (0..8).filter(|down| column >> down & 1 == 1) {
            picture.fill((x + right) as f32, (y + down) as f32, 1.0, 1.0, LETTERS);
        }
    }
}

/// Breaks a text between words, and a word that is longer than a line inside. What is too much ends in dots.
fn wrap(text: &str, columns: usize, lines: usize) -> Vec<String> {
    let mut wrapped = vec![String::new()];
    let mut room = columns;
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for part in letters.chunks(columns) {
            let gap = usize::from(room < columns);
            if gap + part.len() > room {
                wrapped.push(String::new());
                room = columns;
            } else if gap == 1 {
                wrapped.last_mut().expect("never empty").push(' ');
                room -= 1;
            }
            wrapped.last_mut().expect("never empty").extend(part);
            room -= part.len();
        }
    }
    if wrapped.len() > lines {
        wrapped.truncate(lines);
        let last = wrapped.last_mut().expect("some lines");
        *last = last
            .chars()
            .take(columns - 3)
            .chain("...".chars())
            .collect();
    }
    wrapped
}

/// Five columns from left to right, a byte each, the top in the lowest bit; a question mark for what is not ASCII.
fn glyph(letter: char) -> u64 {
    let index = |letter: char| (letter as usize).checked_sub(usize::from(b' '));
    let found = index(letter).and_then(|index| GLYPHS.get(index));
    found.copied().unwrap_or(GLYPHS[usize::from(b'?' - b' ')])
}

/// From the space to the tilde, eight to a line.
#[rustfmt::skip]
const GLYPHS: [u64; 95] = [
    0x0000000000, 0x00005f0000, 0x0007000700, 0x147f147f14, 0x242a7f2a12, 0x2313086462, 0x3649552250, 0x0005030000,
    0x001c224100, 0x0041221c00, 0x14083e0814, 0x08083e0808, 0x0050300000, 0x0808080808, 0x0060600000, 0x2010080402,
    0x3e5149453e, 0x00427f4000, 0x4261514946, 0x2141454b31, 0x1814127f10, 0x2745454539, 0x3c4a494930, 0x0171090503,
    0x3649494936, 0x064949291e, 0x0036360000, 0x0056360000, 0x0814224100, 0x1414141414, 0x0041221408, 0x0201510906,
    0x324979413e, 0x7e1111117e, 0x7f49494936, 0x3e41414122, 0x7f4141221c, 0x7f49494941, 0x7f09090901, 0x3e4149497a,
    0x7f0808087f, 0x00417f4100, 0x2040413f01, 0x7f08142241, 0x7f40404040, 0x7f020c027f, 0x7f0408107f, 0x3e4141413e,
    0x7f09090906, 0x3e4151215e, 0x7f09192946, 0x4649494931, 0x01017f0101, 0x3f4040403f, 0x1f2040201f, 0x3f4038403f,
    0x6314081463, 0x0708700807, 0x6151494543, 0x007f414100, 0x0204081020, 0x0041417f00, 0x0402010204, 0x4040404040,
    0x0001020400, 0x2054545478, 0x7f48444438, 0x3844444420, 0x384444487f, 0x3854545418, 0x087e090102, 0x18a4a4a47c,
    0x7f08040478, 0x00447d4000, 0x4080847d00, 0x7f10284400, 0x00417f4000, 0x7c04180478, 0x7c08040478, 0x3844444438,
    0xfc24242418, 0x18242418fc, 0x7c08040408, 0x4854545420, 0x043f444020, 0x3c4040207c, 0x1c2040201c, 0x3c4030403c,
    0x4428102844, 0x1ca0a0a07c, 0x4464544c44, 0x0008364100, 0x00007f0000, 0x0041360800, 0x1008081008,
];

#[cfg(test)]
mod tests {
    use demo_api::HEIGHT;

    use super::*;

    #[test]
    fn words_stay_whole_where_they_fit() {
        assert_eq!(wrap("one two three", 7, 9), ["one two", "three"]);
        assert_eq!(wrap("one  two\tthree", 8, 9), ["one two", "three"]);
        assert_eq!(wrap("a abcdefghij b", 4, 9), ["a", "abcd", "efgh", "ij b"]);
        assert_eq!(wrap("one two three", 5, 2), ["one", "tw..."]);
        assert_eq!(wrap("", 7, 9), [""]);
        let long = "word ".repeat(300);
        let lines = wrap(&long, COLUMNS, LINES);
        assert_eq!(lines.len(), LINES);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS));
    }

    #[test]
    fn a_banner_covers_the_top_and_nothing_else() {
        const GAME: u32 = 0x0012_3456;
        let mut pixels = vec![GAME; WIDTH * HEIGHT];
        let mut picture = Frame {
            pixels: &mut pixels,
        };
        banner(&mut picture, &"W\u{fc}~ ".repeat(200));
        let (top, rest) = pixels.split_at((LINES * LEADING + MARGIN) * WIDTH);
        assert!(rest.iter().all(|pixel| *pixel == GAME), "the game goes on");
        assert!(!top.contains(&GAME), "the game does not shine through");
        let frame =
            |pixel: (usize, &u32)| pixel.0 % WIDTH < MARGIN || pixel.0 % WIDTH >= WIDTH - MARGIN;
        assert!(
            top.iter()
                .enumerate()
                .filter(|pixel| frame(*pixel))
                .all(|(_, pixel)| *pixel == BAR)
        );
    }

    #[test]
    fn a_letter_looks_like_itself() {
        let mut pixels = vec![0; WIDTH * HEIGHT];
        let mut picture = Frame {
            pixels: &mut pixels,
        };
        draw(&mut picture, 0, 0, 'F');
        let rows = pixels.chunks(WIDTH).take(8).map(|row| {
            row[..ADVANCE]
                .iter()
                .map(|pixel| if *pixel == LETTERS { '#' } else { '.' })
                .collect()
        });
        let rows: Vec<String> = rows.collect();
        assert_eq!(
            rows,
            [
                "#####.", "#.....", "#.....", "####..", "#.....", "#.....", "#.....", "......"
            ]
        );
    }
}
