//! Names that somebody may have meant.

/// The candidates that differ from `name` in at most half of their letters, the nearest first.
pub fn near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near: Vec<_> = candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 2 <= name.len().max(candidate.len()))
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The Levenshtein distance of two names, one row at a time (Wagner and Fischer, 1974).
fn distance(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, near};

    #[test]
    fn near_names_have_small_distances() {
        assert_eq!(distance("answer", "answer"), 0);
        assert_eq!(distance("anwser", "answer"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(
            near("anwser", ["other", "answers", "answer"]),
            ["answer", "answers"]
        );
    }
}
