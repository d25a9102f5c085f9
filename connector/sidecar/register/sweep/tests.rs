use jiff::Timestamp;
use temoin_core::desk::Desk;
use temoin_core::journal::What;
use temoin_core::number::E164;
use temoin_core::pack;
use temoin_core::policy::Policy;
use temoin_core::ports::Change;
use temoin_core::register::{Consent, ConsentTo, DoNotCall, Entry, RegisterKey, Source, Subject, Withdrawal};
use temoin_core::session::DrawKey;
use temoin_core::testing::{ManualClock, MemoryStore};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn entry(n: u8, subject: Subject, until: Option<&str>) -> Entry {
    let number = E164::parse(&format!("+331990000{n:02}")).expect("a number");
    let from = at("2026-01-01T00:00:00Z");
    Entry::new(&RegisterKey::new([3; 32]), &number, subject, (from, until.map(at)), from)
}

fn consent(n: u8, until: Option<&str>) -> Entry {
    let to = ConsentTo::Marketing;
    let consent = Consent { to, how: "paper".into(), text: None, evidence: None, line: None, campaign: None };
    entry(n, Subject::Consent(consent), until)
}

fn no_call(n: u8, source: Source, until: Option<&str>) -> Entry {
    entry(n, Subject::DoNotCall(DoNotCall { source, selling_only: true }), until)
}

#[tokio::test]
async fn what_has_had_its_time_goes_on_its_day_and_nothing_else_does() {
    let text = include_str!("../../../../examples/policies/french-call-centre.toml");
    let policy = Policy::load(("policy.toml", text), pack::shipped()).expect("the example");
    let rules = Arc::new(Rules { policy, desk: Desk::default(), key: DrawKey([7; 32]) });
    let store = Arc::new(MemoryStore::new("node-1", "site-1"));
    let clock = Arc::new(ManualClock::new(at("2026-11-22T03:00:00Z")));
    let list = || Source::List("bloctel".into());
    let entries = [
        consent(1, None),
        consent(2, Some("2026-06-01T00:00:00Z")),
        consent(3, None),
        no_call(4, Source::Request, None),
        no_call(5, Source::Own, Some("2026-06-01T00:00:00Z")),
        no_call(6, list(), Some("2026-06-01T00:00:00Z")),
        no_call(7, list(), None),
    ];
    let mut changes: Vec<_> =
        entries.iter().map(|entry| Change::Enter(Box::new(entry.clone()), None)).collect();
    let withdrawal = Withdrawal { at: at("2026-03-15T12:00:00Z"), how: "call".into() };
    changes.push(Change::Withdraw(entries[2].id, withdrawal));
    store.commit(changes).await.expect("entered");
    let (_swap, in_force) = watch::channel(rules);
    let purger = Purger::new(store.clone(), clock.clone(), in_force);
    let left = async || {
        let all = store.register(RegisterQuery::After(None, 100)).await.expect("the register");
        let mut left: Vec<usize> =
            (0..7).filter(|n| all.iter().any(|entry| entry.id == entries[*n].id)).collect();
        left.sort_unstable();
        left
    };
    // A list proves nothing, and ends when it ends.
    assert_eq!(purger.pass().await, Ok(1));
    assert_eq!(left().await, [0, 1, 2, 3, 4, 6]);
    // Five years after the withdrawal, and not a day earlier.
    clock.set(at("2031-03-15T12:00:00Z"));
    assert_eq!(purger.pass().await, Ok(0));
    clock.set(at("2031-03-17T12:00:00Z"));
    assert_eq!(purger.pass().await, Ok(1));
    assert_eq!(left().await, [0, 1, 3, 4, 6]);
    clock.set(at("2100-01-01T00:00:00Z"));
    assert_eq!(purger.pass().await, Ok(2));
    assert_eq!(left().await, [0, 3, 6]);
    assert_eq!(purger.pass().await, Ok(0));

    let links = store.chain(0, 100).await.expect("the journal");
    let notes: Vec<_> = links
        .iter()
        .filter_map(|link| match link.entry()?.what {
            What::Register(note) => Some((note.act, note.of, note.entries, note.ids)),
            _ => None,
        })
        .collect();
    let forgotten = RegisterAct::Forgotten;
    assert!(notes.contains(&(forgotten, "consent".into(), 1, vec![entries[2].id])), "{notes:?}");
    assert!(notes.contains(&(forgotten, "list:bloctel".into(), 1, vec![])), "{notes:?}");
}
