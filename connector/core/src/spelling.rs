//! What somebody meant who misspelt a name: the nearest of those that are known, where one is near.

/// Longer words are no misspelt names.
const LONGEST: usize = 64;
/// With more known names than this only so many are looked at.
const MOST: usize = 1000;

/// The known name that somebody probably meant: at most a third of its letters are put in, left out or others.
pub fn meant<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word: Vec<char> = word.chars().take(LONGEST + 1).collect();
    if word.len() > LONGEST {
        return None;
    }
    let near = |known: &'k str| {
        let letters: Vec<char> = known.chars().take(LONGEST + 1).collect();
        let allowed = letters.len().max(3) / 3;
        let may = letters.len() <= LONGEST && letters.len().abs_diff(word.len()) <= allowed;
        let away = may.then(|| distance(&word, &letters)).filter(|away| *away <= allowed)?;
        Some((away, known))
    };
    known.into_iter().take(MOST).filter_map(near).min().map(|(_, known)| known)
}

/// A hint that names what was probably meant, or what there is.
pub(crate) fn hint<'k>(what: &str, word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    /// A longer list helps nobody.
    const TOLD: usize = 30;
    let known: Vec<&str> = known.into_iter().collect();
    match meant(word, known.iter().copied()) {
        Some(meant) => format!("{what}; did you mean `{meant}`?"),
        None if known.is_empty() => format!("{what}; there is none"),
        None if known.len() > TOLD => format!("{what}; there are {} others", known.len()),
        None => format!("{what}; there are: {}", known.join(", ")),
    }
}

/// How many letters must be put in, taken away or changed to make one word of the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.iter().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_meant_where_one_is_near() {
        let keys = ["controller", "campaigns", "lines", "site", "timezone"];
        for (word, wanted) in [
            ("controler", Some("controller")),
            ("timezon", Some("timezone")),
            ("sites", Some("site")),
            ("lnes", Some("lines")),
            ("campagnes", Some("campaigns")),
            ("zone", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(meant(word, keys), wanted, "{word}");
        }
        assert_eq!(meant("qualité", ["quality"]), Some("quality"));
        assert_eq!(meant(&"x".repeat(1_000_000), keys), None);
        assert_eq!(meant("x", [""; 0]), None);
    }

    #[test]
    fn a_hint_tells_what_there_is() {
        assert_eq!(hint("no such line", "acueil", ["accueil"]), "no such line; did you mean `accueil`?");
        assert_eq!(
            hint("no such line", "x", ["accueil", "ventes"]),
            "no such line; there are: accueil, ventes"
        );
        assert_eq!(hint("no such line", "x", []), "no such line; there is none");
        let many: Vec<String> = (0..99).map(|n| format!("agent-{n}")).collect();
        assert_eq!(
            hint("no such agent", "x", many.iter().map(String::as_str)),
            "no such agent; there are 99 others"
        );
    }
}
