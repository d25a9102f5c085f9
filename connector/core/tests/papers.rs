//! The papers of two sites, word for word: `papers/<site>/<language>/*.md`, and one of them as a page. Anew with
//! `UPDATE_PAPERS=1 cargo test -p temoin-core --test papers`: read the difference. And what no paper may do, whatever a
//! policy or a journal says.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::date;
use temoin_core::facts::Facts;
use temoin_core::id::{CallId, SegmentId};
use temoin_core::journal::{Entry, What};
use temoin_core::pack;
use temoin_core::papers::{Figures, Language, Material, Paper, draw_up};
use temoin_core::policy::Policy;
use temoin_core::ports::{Ballot, Counters, Drawn, RegisterCount, SegmentRecord};
use temoin_core::register::State as Standing;
use temoin_core::segment::{Closing, Deadlines, Ending, Segment, State};
use temoin_core::words::Direction;

/// No date of the release and no pack of the day in what is compared.
const VERSION: &str = "0.0.0";

fn example(name: &str) -> String {
    let file = format!("{}/../../examples/policies/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).expect("an example")
}

fn papers(site: &str, figures: Option<&Figures>, language: Language) -> Vec<Paper> {
    let policy = Policy::load(("policy.toml", site), pack::shipped()).expect("a readable policy");
    let (packs, on) = (pack::shipped(), date(2026, 11, 21));
    draw_up(&Material { policy: &policy, packs, figures, on, version: VERSION }, language)
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn entry(when: &str, segment: Option<SegmentId>, what: What) -> Entry {
    Entry { at: at(when), call: Some(CallId("1795282732.220".into())), segment, what }
}

fn segment(number: u8, state: State, delete_by: &str) -> SegmentRecord {
    let id = SegmentId::parse(&format!("0199a3c2-0000-7000-8000-0000000000{number:02}")).expect("an id");
    let retention = Deadlines { delete_by: Some(at(delete_by)), ..Deadlines::default() };
    let basis = serde_json::to_value(facts()).expect("JSON");
    let segment = Segment {
        id,
        call: CallId("1795282732.220".into()),
        opened: at("2026-10-05T08:30:00Z"),
        since: at("2026-10-05T08:30:00Z"),
        agents: vec!["amel".into()],
        purposes: vec!["quality".into()],
        mandatory: false,
        basis,
        retention,
    };
    let mut record = SegmentRecord::open(segment);
    let closing = Closing {
        from: Some(at("2026-10-05T08:30:01Z")),
        until: at("2026-10-05T08:35:00Z"),
        cut_tail: false,
        kept: if state == State::Disposed { Vec::new() } else { vec!["quality".into()] },
        ending: Ending::HungUp,
        flags: Vec::new(),
        retention,
    };
    record.close(closing);
    record.state = state;
    record.disposed = (state == State::Disposed).then(|| at("2026-11-02T03:00:00Z"));
    record
}

/// Facts with a customer's number in them, as an index has them.
fn facts() -> Facts {
    let text = r#"{"at": "2026-10-05T08:30:00Z", "line": "azur", "legs": [{"id": "c", "kind": "customer", "number": "+33199001234"}]}"#;
    serde_json::from_str(text).expect("facts")
}

/// An index with a little of everything, and a customer's number wherever one could be.
fn figures() -> Figures {
    let mut figures = Figures::default();
    let heard = segment(1, State::Kept, "2027-04-05T22:00:00Z");
    let arrived = || What::Arrived {
        line: "azur".into(),
        direction: Direction::Inbound,
        policy: "p".into(),
        config: "c".into(),
    };
    for when in ["2026-10-05T08:29:40Z", "2026-10-06T08:29:40Z", "2026-10-07T10:00:00Z"] {
        figures.entry(&entry(when, None, arrived()));
    }
    for (when, version) in [("2026-10-05T08:29:58Z", "fr-azur-1"), ("2026-10-06T08:29:58Z", "fr-azur-1")] {
        let (purposes, language) = (vec!["quality".into()], "fr".into());
        figures.entry(&entry(when, None, What::Announced { purposes, language, version: version.into() }));
    }
    figures.entry(&entry("2026-10-06T08:30:10Z", None, What::Objected { by: "customer".into() }));
    let reason = "réclamation du +33 1 99 00 12 34, suite".to_owned();
    figures.entry(&entry(
        "2026-10-12T14:00:00Z",
        Some(heard.segment.id),
        What::Listened { who: "castel".into(), reason },
    ));
    for record in [
        heard,
        segment(2, State::Disposed, "2027-04-05T22:00:00Z"),
        segment(3, State::Kept, "2026-11-01T00:00:00Z"),
    ] {
        figures.segment(at("2026-11-21T12:00:00Z"), &record);
    }
    let drawn = |call: u64| Drawn {
        ballot: Ballot {
            campaign: "azur-automne".into(),
            call: CallId(format!("call-{call}")),
            stratum: "amel".into(),
            rate: 200,
            draw: "0.5".parse().expect("a draw"),
            at: at("2026-10-05T08:30:00Z"),
        },
        before: Counters::default(),
        selected: call == 2,
    };
    figures.draws("azur-automne", &(0..8).map(drawn).collect::<Vec<_>>());
    figures.register(register());
    figures
}

/// Counts of a register, with a customer's number where staff could write one.
fn register() -> Vec<RegisterCount> {
    let count = |kind: &str, label: &str, how: Option<&str>, state, entries| RegisterCount {
        kind: kind.into(),
        label: label.into(),
        how: how.map(str::to_owned),
        line: how.map(|_| "pourpre".to_owned()),
        evidence: how == Some("web-form"),
        state,
        first: at("2026-08-20T09:00:00Z"),
        last: at("2026-11-12T16:00:00Z"),
        entries,
    };
    vec![
        count("consent", "marketing", Some("web-form"), Standing::Standing, 4021),
        count("consent", "marketing", Some("appel au 01 99 00 12 34"), Standing::Standing, 12),
        count("consent", "marketing", Some("web-form"), Standing::Withdrawn, 87),
        count("consent", "recording:quality", Some("paper"), Standing::Expired, 3),
        count("do-not-call", "request", None, Standing::Standing, 240),
        count("do-not-call", "list:bloctel", None, Standing::Expired, 90_000),
    ]
}

fn compare(file: &Path, text: &str) -> Option<String> {
    if std::env::var_os("UPDATE_PAPERS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a writable folder");
        std::fs::write(file, text).expect("a writable file");
        return None;
    }
    let known = std::fs::read_to_string(file).unwrap_or_default();
    let differs = known.lines().zip(text.lines()).position(|(known, new)| known != new);
    (known != text).then(|| format!("{}: line {}", file.display(), differs.map_or(0, |at| at + 1)))
}

#[test]
fn the_papers_of_two_sites_are_these() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/papers");
    let counted = figures();
    let mut differing = Vec::new();
    for (site, figures) in [("outsourcer", Some(&counted)), ("contract-proof", None)] {
        for language in Language::ALL {
            let folder = root.join(site).join(language.code());
            let papers = papers(&example(site), figures, language);
            let mut files: Vec<_> = papers.iter().map(|paper| format!("{}.md", paper.file)).collect();
            for paper in &papers {
                differing.extend(compare(&folder.join(format!("{}.md", paper.file)), &paper.markdown()));
                if paper.id == "D1" {
                    files.push(format!("{}.html", paper.file));
                    differing.extend(compare(&folder.join(format!("{}.html", paper.file)), &paper.html()));
                }
            }
            let there = std::fs::read_dir(&folder).expect("papers").flatten();
            let mut there: Vec<_> =
                there.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            there.sort();
            files.sort();
            assert_eq!(there, files, "{site}: papers that nobody draws up any more");
        }
    }
    assert!(differing.is_empty(), "differ, UPDATE_PAPERS=1 writes them anew: {differing:#?}");
}

#[test]
fn which_papers_there_are_depends_on_the_policy() {
    let ids = |site: &str| -> Vec<String> {
        papers(&example(site), None, Language::Fr).into_iter().map(|paper| paper.id).collect()
    };
    let all = ["D0", "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11", "D18", "D21", "D22"];
    let without = |left_out: &[&str]| all.into_iter().filter(|id| !left_out.contains(id)).collect::<Vec<_>>();
    assert_eq!(ids("french-call-centre"), without(&["D4", "D21"]));
    assert_eq!(ids("outsourcer"), without(&["D4"]), "it calls out, too");
    assert_eq!(ids("contract-proof"), without(&["D3", "D11", "D21"]));
    assert_eq!(ids("german-line"), without(&["D3", "D4", "D21", "D22"]), "in Germany people consent");
    assert_eq!(ids("canadian-office"), without(&["D3", "D4", "D6", "D21", "D22"]));
}

#[test]
fn what_nobody_told_is_open_marked_and_listed() {
    let site = example("french-call-centre");
    let told = site
        .replace(r#", authority = "CNIL""#, "")
        .replace(r#"register_entry = "RT-014""#, "")
        .replace(r#"quality-team = ["quality"]"#, "");
    for language in Language::ALL {
        let before = papers(&site, None, language);
        let after = papers(&told, None, language);
        let words = match language {
            Language::Fr => {
                ["autorité de contrôle compétente", "numéro de la fiche au registre", "habilitées à écouter"]
            }
            Language::En => {
                ["competent supervisory authority", "number of the entry in the register", "that may listen"]
            }
        };
        let register = |papers: &[Paper]| papers.iter().find(|paper| paper.id == "D1").expect("D1").clone();
        let (before, after) = (register(&before), register(&after));
        for word in words {
            assert!(!before.open.iter().any(|label| label.contains(word)), "{word}");
            assert!(after.open.iter().any(|label| label.contains(word)), "{word}: {:#?}", after.open);
            // At the top and in its place.
            assert_eq!(after.markdown().matches(word).count(), 2, "{word}");
            assert!(after.html().contains("<mark>") && after.html().matches(word).count() == 2, "{word}");
        }
        let (top, _) = after
            .markdown()
            .split_once("\n## ")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .expect("sections");
        assert_eq!(top.matches("\n- ").count(), after.open.len());
        // Nothing is named that no text knows.
        for paper in papers(&told, None, language) {
            assert!(
                !paper.open.iter().any(|label| label.starts_with('?') || label.is_empty()),
                "{:#?}",
                paper.open
            );
        }
    }
}

#[test]
fn what_nobody_filled_in_is_open_too() {
    let site = example("french-call-centre");
    let changes = [
        ("site = \"Durand, relation clients\"", "site = \"TODO\""),
        ("name = \"Durand SA\", contact = \"dpo@durand.example\"", "name = \" TODO \", contact = \"TODO\""),
        ("+33199000100", "+0000001"),
    ];
    let site = changes.iter().fold(site, |site, (from, to)| {
        assert!(site.contains(from), "the example has no {from}");
        site.replace(from, to)
    });
    for (language, fields) in [
        (
            Language::En,
            ["name of the site", "legal name of the controller", "address for the exercise of rights"],
        ),
        (
            Language::Fr,
            [
                "nom du site",
                "dénomination du responsable du traitement",
                "adresse pour l'exercice des droits",
            ],
        ),
    ] {
        let papers = papers(&site, None, language);
        for paper in &papers {
            for text in [paper.markdown(), paper.html()] {
                assert!(!text.contains("TODO") && !text.contains("+0000001"), "{}: {text}", paper.id);
            }
        }
        let register = papers.iter().find(|paper| paper.id == "D1").expect("D1");
        for field in fields {
            assert!(register.open.iter().any(|open| open == field), "{field}: {:#?}", register.open);
        }
        assert!(register.open.iter().any(|open| open.contains("accueil")), "{:#?}", register.open);
    }
}

#[test]
fn every_paper_says_what_it_comes_from() {
    let site = example("french-call-centre");
    let policy = Policy::load(("policy.toml", &site), pack::shipped()).expect("a policy");
    for language in Language::ALL {
        for paper in papers(&site, None, language) {
            for text in [paper.markdown(), paper.html()] {
                assert!(text.contains(&policy.hash_hex()), "{}: the policy", paper.id);
                assert!(text.contains("Témoin 0.0.0"), "{}: the program", paper.id);
                assert!(text.contains("2026"), "{}: the day", paper.id);
                for pack in ["fr 1.0.0 (SHA-256 ", "eu-base 1.0.0 (SHA-256 "] {
                    assert!(text.contains(pack), "{}: {pack}", paper.id);
                }
                assert!(!text.contains("uk 1.0.0"), "{}: a pack that counts for nothing here", paper.id);
            }
        }
    }
}

/// What somebody may write into a policy to make a paper say, load or hide something.
const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>",
    "a\n\n# heading\n- item\n| cell |",
    "![x](http://evil.example/x.png)",
    "[click](javascript:alert(1)) http://evil.example www.evil.example",
    "| a | b |",
    "**bold** _it_ `code` ~~gone~~ <!-- hidden --> &lt;",
    "1. one\u{2028}2. two\u{202e}reversed\u{0}\u{7}",
    "{controller} {?x: y} {if duty} {end}",
    "\" onmouseover=\"alert(1)\" 'x'",
];

#[test]
fn hostile_words_stay_words() {
    for hostile in HOSTILE {
        let mut site: toml::Table = example("outsourcer").parse().expect("TOML");
        let word = toml::Value::from(hostile);
        site["site"] = word.clone();
        for (table, key) in
            [("controller", "name"), ("controller", "dpo"), ("prerequisites", "register_entry")]
        {
            site[table][key] = word.clone();
        }
        site["campaigns"]["azur-automne"]["necessity"] = word.clone();
        site["lines"]["azur"]["prompts"]["fr"]["text"] = word.clone();
        let clean = papers(&example("outsourcer"), None, Language::Fr);
        let hostile_papers = papers(&site.to_string(), None, Language::Fr);
        for (clean, paper) in clean.iter().zip(&hostile_papers) {
            let (html, markdown) = (paper.html(), paper.markdown());
            let tags = |html: &str| html.matches('<').count();
            assert_eq!(tags(&html), tags(&clean.html()), "{}: {hostile:?} makes HTML", paper.id);
            for bad in ["<script", "<img", "href", "src=", "\u{202e}", "\u{0}", "\u{2028}"] {
                assert!(
                    !html.contains(bad) && !markdown.contains(bad),
                    "{}: {bad:?} of {hostile:?}",
                    paper.id
                );
            }
            assert_eq!(
                bones(&markdown),
                bones(&clean.markdown()),
                "{}: {hostile:?} makes Markdown",
                paper.id
            );
        }
    }
}

/// What makes the form of a Markdown file: for each line its mark, and its unescaped signs of form.
fn bones(markdown: &str) -> Vec<String> {
    let form = |line: &str| {
        let mut signs = String::new();
        let mut escaped = false;
        for sign in line.chars() {
            if !escaped && matches!(sign, '|' | '*' | '`' | '[' | ']' | '<' | '>' | '~' | '!' | '_') {
                signs.push(sign);
            }
            escaped = sign == '\\' && !escaped;
        }
        let mark: String = line.chars().take_while(|c| matches!(c, '#' | '-' | '|' | '>' | ' ')).collect();
        mark + &signs + if line.contains("://") || line.contains("www.") { "link" } else { "" }
    };
    markdown.lines().map(form).collect()
}

#[test]
fn no_paper_has_a_customer_s_number_an_exempt_one_or_an_agent_s_name() {
    let site = example("outsourcer")
        .replace("extensions = [\"4100\"]", "extensions = [\"4100\"]\nnumbers = [\"+33199005678\"]");
    let counted = figures();
    for language in Language::ALL {
        for paper in papers(&site, Some(&counted), language) {
            for text in [paper.markdown(), paper.html()] {
                let digits: String = text.chars().filter(char::is_ascii_digit).collect();
                for number in ["99001234", "99005678"] {
                    assert!(!digits.contains(number), "{}: a number ending in {number}", paper.id);
                }
                for agent in ["hicham", "imane", "bruno", "amel"] {
                    assert!(!text.contains(agent), "{}: {agent}", paper.id);
                }
            }
        }
    }
}
