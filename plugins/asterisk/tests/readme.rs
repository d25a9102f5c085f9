//! Every test that `README.md` names as the holder of a quirk exists, and every quirk has one.

use std::path::Path;

#[test]
fn every_quirk_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (_, quirks) = readme.split_once("\n## Quirks\n").unwrap();
    let (quirks, _) = quirks.split_once("\n## ").unwrap();
    let mut number = 0;
    for quirk in quirks.lines().fold(Vec::<String>::new(), gather) {
        number += 1;
        assert!(quirk.starts_with(&format!("{number}. ")), "numbered in order: {quirk}");
        let mut holders = 0;
        for name in quirk.split('`').skip(1).step_by(2) {
            let file = match name.split_once("::") {
                _ if name.starts_with("scenario: ") => {
                    holders += 1;
                    continue;
                }
                Some((file, test)) if !test.contains(' ') => {
                    let text = std::fs::read_to_string(root.join(format!("tests/{file}.rs"))).unwrap();
                    assert!(text.contains(&format!("fn {test}(")), "{name}");
                    holders += 1;
                    continue;
                }
                _ => name,
            };
            if file.starts_with("stories/") || file.starts_with("replay/") {
                assert!(root.join(format!("tests/{file}.txt")).exists(), "{name}");
                holders += 1;
            }
        }
        assert!(holders > 0, "nothing holds {quirk}");
    }
    assert!(number > 50, "{number}");
}

/// The stories and expectations that no quirk names are there for nothing.
#[test]
fn every_story_belongs_to_a_quirk() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    for entry in std::fs::read_dir(root.join("tests/stories")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(readme.contains(&format!("`stories/{name}`")), "{name}");
    }
}

/// A quirk begins with its number and goes on in indented lines.
fn gather(mut quirks: Vec<String>, line: &str) -> Vec<String> {
    match line.chars().next() {
        Some(c) if c.is_ascii_digit() => quirks.push(line.into()),
        Some(' ') if !quirks.is_empty() => {
            let last = quirks.len() - 1;
            quirks[last] += line;
        }
        _ => {}
    }
    quirks
}
