//! The register: entered once, withdrawn once, found by its number, erased.

use super::*;
use crate::facts::Scope;
use crate::number::E164;
use crate::register::{
    Consent, ConsentTo, DoNotCall, Entry as Said, EntryId, RegisterKey, Source, State as Standing, Subject,
    Withdrawal,
};

const KEY: [u8; 32] = [5; 32];

fn key() -> RegisterKey {
    RegisterKey::new(KEY)
}

/// An invented number; the index is its end.
fn number(n: u32) -> E164 {
    E164::parse(&format!("+3319900{n:04}")).expect("a number")
}

fn consent(n: u32, to: ConsentTo, evidence: Option<&str>) -> Said {
    let evidence = evidence.map(str::to_owned);
    let consent = Consent {
        to,
        how: "web-form".into(),
        text: Some("v3".into()),
        evidence,
        line: Some("sales".into()),
        campaign: None,
    };
    Said::new(&key(), &number(n), Subject::Consent(consent), (at(n.into()), Some(at(1000))), at(2))
}

fn no_call(n: u32, source: Source, until: Option<Timestamp>) -> Said {
    let subject = Subject::DoNotCall(DoNotCall { source, selling_only: true });
    Said::new(&key(), &number(n), subject, (at(n.into()), until), at(2))
}

fn listed(n: u32) -> Said {
    no_call(n, Source::List("national".into()), Some(at(50)))
}

fn enter(said: &Said, batch: Option<&str>) -> Change {
    Change::Enter(Box::new(said.clone()), batch.map(str::to_owned))
}

async fn all(store: &Index) -> Vec<Said> {
    store.register(RegisterQuery::After(None, 1000)).await.expect("the register")
}

fn ids(entries: &[Said]) -> Vec<EntryId> {
    entries.iter().map(|entry| entry.id).collect()
}

fn sorted(mut entries: Vec<Said>) -> Vec<Said> {
    entries.sort_by_key(|entry| entry.id);
    entries
}

pub async fn entries_are_entered_once_and_found(store: Index) {
    assert_eq!(all(&store).await, []);
    let scope =
        Scope::Only(["quality"].iter().filter_map(|name| crate::words::Purpose::parse(name)).collect());
    let entries = [
        consent(7, ConsentTo::Marketing, Some("form 12")),
        no_call(7, Source::Request, None),
        consent(7, ConsentTo::Recording(scope), None),
        consent(8, ConsentTo::Recording(Scope::All), None),
        listed(8),
    ];
    store.commit(entries.iter().map(|entry| enter(entry, None)).collect()).await.expect("entered");
    assert_eq!(all(&store).await, sorted(entries.to_vec()), "all of it comes back as it went in");

    let found = store.register(RegisterQuery::Number(key().tag(&number(7)))).await.expect("found");
    let wanted: std::collections::BTreeSet<_> = ids(&entries[..3]).into_iter().collect();
    assert_eq!(found.iter().map(|entry| entry.id).collect::<std::collections::BTreeSet<_>>(), wanted);
    assert_eq!(store.register(RegisterQuery::Number(key().tag(&number(9)))).await, Ok(vec![]));
    let other = RegisterKey::new([6; 32]);
    assert_eq!(
        store.register(RegisterQuery::Number(other.tag(&number(7)))).await,
        Ok(vec![]),
        "under another key"
    );

    // The same again is the same, whenever it is entered.
    let again =
        entries.iter().map(|entry| enter(&Said { entered: at(500), ..entry.clone() }, Some("b"))).collect();
    store.commit(again).await.expect("entered again");
    assert_eq!(all(&store).await, sorted(entries.to_vec()));

    let mut asked = ids(&entries[1..3]);
    asked.push(EntryId([9; 16]));
    let found = store.register(RegisterQuery::Ids(asked)).await.expect("found");
    assert_eq!(found, sorted(entries[1..3].to_vec()));
    assert_eq!(store.register(RegisterQuery::Ids(vec![])).await, Ok(vec![]));

    // In pages.
    let (mut after, mut walked) = (None, Vec::new());
    loop {
        let page = store.register(RegisterQuery::After(after, 2)).await.expect("a page");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.id);
        walked.extend(page);
    }
    assert_eq!(walked, sorted(entries.to_vec()));
}

pub async fn an_entry_is_withdrawn_once_and_stays(store: Index) {
    let (yes, list) = (consent(7, ConsentTo::Marketing, None), listed(7));
    store.commit(vec![enter(&yes, None), enter(&list, Some("b"))]).await.expect("entered");
    let withdrawal = |seconds| Withdrawal { at: at(seconds), how: "call".into() };
    store.commit(vec![Change::Withdraw(yes.id, withdrawal(60))]).await.expect("withdrawn");
    store.commit(vec![Change::Withdraw(yes.id, withdrawal(90))]).await.expect("withdrawn again");
    store.commit(vec![Change::Withdraw(list.id, withdrawal(60))]).await.expect("a list is not ours");
    store.commit(vec![Change::Withdraw(EntryId([9; 16]), withdrawal(60))]).await.expect("nothing there");
    // Nor does entering it again bring it back.
    store.commit(vec![enter(&yes, None)]).await.expect("entered again");
    let gone = Said { withdrawn: Some(withdrawal(60)), ..yes.clone() };
    assert_eq!(all(&store).await, sorted(vec![gone.clone(), list]));
    assert_eq!(gone.state(at(59)), Standing::Standing);
    assert_eq!(gone.state(at(60)), Standing::Withdrawn);

    // And what is withdrawn in the future still stands.
    let counts = store.register_counts(at(59)).await.expect("counts");
    assert!(counts.iter().all(|count| count.state != Standing::Withdrawn), "{counts:?}");
}

pub async fn entries_whose_time_is_over_are_found_and_erased(store: Index) {
    let mut withdrawn = consent(1, ConsentTo::Marketing, None);
    withdrawn.until = None;
    let (expired, standing) = (no_call(2, Source::Own, Some(at(80))), no_call(3, Source::Own, None));
    let entries = [withdrawn.clone(), expired.clone(), standing.clone(), listed(4), listed(5)];
    let mut changes: Vec<_> = entries.iter().map(|entry| enter(entry, Some("first"))).collect();
    changes.push(Change::Withdraw(withdrawn.id, Withdrawal { at: at(70), how: "call".into() }));
    store.commit(changes).await.expect("entered");
    let over = async |list, proof, most| {
        let query = RegisterQuery::Over { list: at(list), proof: at(proof), most };
        ids(&store.register(query).await.expect("what is over"))
    };
    let of = |entries: &[&Said]| {
        let mut ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(over(49, 69, 10).await, []);
    assert_eq!(over(50, 69, 10).await, of(&[&entries[3], &entries[4]]));
    assert_eq!(over(49, 70, 10).await, of(&[&withdrawn]));
    assert_eq!(over(49, 80, 10).await, of(&[&withdrawn, &expired]));
    assert_eq!(over(9000, 9000, 10).await.len(), 4, "what has no end is never over");
    assert_eq!(over(9000, 9000, 3).await.len(), 3);

    // Whoever is not on the list any more.
    let unseen = async |batch: &str| {
        let query = RegisterQuery::NotSeen { list: "national".into(), batch: batch.into(), most: 10 };
        ids(&store.register(query).await.expect("the list"))
    };
    assert_eq!(unseen("first").await, []);
    store.commit(vec![enter(&entries[4], Some("second"))]).await.expect("read again");
    assert_eq!(unseen("second").await, of(&[&entries[3]]));
    let other = RegisterQuery::NotSeen { list: "other".into(), batch: "x".into(), most: 10 };
    assert_eq!(store.register(other).await, Ok(vec![]));

    store
        .commit(vec![Change::Forget(entries[3].id), Change::Forget(EntryId([9; 16]))])
        .await
        .expect("erased");
    assert_eq!(all(&store).await.len(), 4);
    assert_eq!(store.register(RegisterQuery::Number(key().tag(&number(4)))).await, Ok(vec![]));
}

pub async fn the_register_is_counted(store: Index) {
    let mut entries: Vec<_> = (1..=3).map(|n| consent(n, ConsentTo::Marketing, Some("form"))).collect();
    entries.push(consent(4, ConsentTo::Marketing, None));
    entries.push(consent(200, ConsentTo::Marketing, None));
    entries.extend([no_call(5, Source::Request, None), listed(6)]);
    let mut changes: Vec<_> = entries.iter().map(|entry| enter(entry, None)).collect();
    changes.push(Change::Withdraw(entries[1].id, Withdrawal { at: at(90), how: "call".into() }));
    store.commit(changes).await.expect("entered");

    let counts = store.register_counts(at(100)).await.expect("counts");
    let told: Vec<_> = counts
        .iter()
        .map(|count| (count.label.as_str(), count.evidence, count.state, count.entries))
        .collect();
    assert_eq!(
        told,
        [
            ("marketing", false, Standing::Later, 1),
            ("marketing", false, Standing::Standing, 1),
            ("marketing", true, Standing::Standing, 2),
            ("marketing", true, Standing::Withdrawn, 1),
            ("list:national", false, Standing::Expired, 1),
            ("request", false, Standing::Standing, 1),
        ]
    );
    let proved = &counts[2];
    assert_eq!((proved.first, proved.last), (at(1), at(3)));
    assert_eq!((proved.how.as_deref(), proved.line.as_deref()), (Some("web-form"), Some("sales")));
    let later = store.register_counts(at(2000)).await.expect("counts");
    assert!(
        later.iter().all(|count| count.kind != "consent" || count.state != Standing::Standing),
        "{later:?}"
    );
}
