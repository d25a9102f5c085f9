//! Law 7: the chain verifies, after erasures too, and every single change is found.

use futures::executor::block_on;
use proptest::prelude::*;
use temoin_core::id::CallId;
use temoin_core::journal::{Broken, Entry, Link, Verifier, What};
use temoin_core::ports::{Change, Store};
use temoin_core::testing::MemoryStore;

/// What somebody does to a journal.
#[derive(Clone, Debug)]
enum Tampering {
    Text(prop::sample::Index, u8),
    Salt(prop::sample::Index, u8),
    Digest(prop::sample::Index, u8),
    Hash(prop::sample::Index, u8),
    Node(prop::sample::Index),
    Drop(prop::sample::Index),
    Double(prop::sample::Index),
    Swap(prop::sample::Index),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let index = any::<prop::sample::Index>;
    let bit = || 0..8_u8;
    prop_oneof![
        (index(), bit()).prop_map(|(i, bit)| Tampering::Text(i, bit)),
        (index(), bit()).prop_map(|(i, bit)| Tampering::Salt(i, bit)),
        (index(), bit()).prop_map(|(i, bit)| Tampering::Digest(i, bit)),
        (index(), bit()).prop_map(|(i, bit)| Tampering::Hash(i, bit)),
        index().prop_map(Tampering::Node),
        index().prop_map(Tampering::Drop),
        index().prop_map(Tampering::Double),
        index().prop_map(Tampering::Swap),
    ]
}

/// A journal of so many rows, as an index writes it.
fn journal(meanings: &[String]) -> Vec<Link> {
    let store = MemoryStore::new("node-1", "site-1");
    for (n, meaning) in (0_i64..).zip(meanings) {
        let entry = Entry {
            at: crate::start() + jiff::SignedDuration::from_secs(n),
            call: Some(CallId(format!("call-{}", n % 3))),
            segment: None,
            what: What::Pressed { by: "agent".into(), meaning: meaning.clone() },
        };
        block_on(store.commit(vec![Change::Journal(entry)])).expect("a commit");
    }
    block_on(store.chain(0, u32::MAX)).expect("the chain")
}

/// Rows and erased rows, and the last hash, or what is wrong.
fn verify(links: &[Link]) -> Result<(u64, u64, [u8; 32]), Broken> {
    let mut verifier = Verifier::default();
    links.iter().try_for_each(|link| verifier.next(link))?;
    Ok(verifier.state())
}

impl Tampering {
    /// Does it; false where there is nothing to be done.
    fn harm(&self, links: &mut Vec<Link>) -> bool {
        let len = links.len();
        let at = |index: &prop::sample::Index| index.index(len);
        match self {
            Self::Text(i, bit) => match &mut links[at(i)].content {
                Some(content) => content.payload[0] ^= 1 << bit,
                None => return false,
            },
            Self::Salt(i, bit) => match &mut links[at(i)].content {
                Some(content) => content.salt[15] ^= 1 << bit,
                None => return false,
            },
            Self::Digest(i, bit) => links[at(i)].digest[31] ^= 1 << bit,
            Self::Hash(i, bit) => links[at(i)].hash[0] ^= 1 << bit,
            Self::Node(i) => links[at(i)].node.push('2'),
            Self::Drop(i) => drop(links.remove(at(i))),
            Self::Double(i) => links.insert(at(i), links[at(i)].clone()),
            Self::Swap(i) => {
                let i = at(i);
                let other = (i + 1) % len;
                if i == other {
                    return false;
                }
                links.swap(i, other);
            }
        }
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_verifies_and_every_change_is_found(
        meanings in prop::collection::vec("[a-z]{0,12}", 1..24),
        erased in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        tampering in tampering(),
    ) {
        let mut links = journal(&meanings);
        let whole = verify(&links).expect("as written, it verifies");
        prop_assert_eq!((whole.0, whole.1), (links.len() as u64, 0));
        for index in &erased {
            links[index.index(meanings.len())].content = None;
        }
        let gone = links.iter().filter(|link| link.content.is_none()).count() as u64;
        prop_assert_eq!(verify(&links), Ok((whole.0, gone, whole.2)), "erased is not broken");

        let mut harmed = links.clone();
        if tampering.harm(&mut harmed) {
            // A journal that lost its end is consistent in itself; who wrote down its last hash sees it.
            let found = verify(&harmed) != verify(&links);
            prop_assert!(found, "{:?} is not found", tampering);
            let at_end = matches!(&tampering, Tampering::Drop(i) if i.index(links.len()) + 1 == links.len());
            prop_assert!(at_end || verify(&harmed).is_err(), "{:?} is not found", tampering);
        }
    }
}
