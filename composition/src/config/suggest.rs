//! What a misspelt word was meant to be.

/// The word that is meant, if one is close enough.
pub(super) fn closest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let best = words.iter().map(|w| (distance(&word, w), *w)).min()?;
    let prefix = words.iter().find(|w| word.len() >= 4 && w.starts_with(&*word));
    let pasword = super::secrets::almost_password(&word)
        .then(|| words.iter().find(|w| w.starts_with("password")))
        .flatten();
    match best {
        (d, close) if d <= 2.min(word.len() / 3) => Some(close),
        _ => prefix.or(pasword).copied(),
    }
}

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut edits = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                edits = edits.min(before[j - 1] + 1);
            }
            row.push(edits);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
