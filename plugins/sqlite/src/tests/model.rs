//! Whatever is committed, in whatever order and company: the index says what the fake says.

use futures::future::join_all;
use temoin_core::testing::MemoryStore;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn it_agrees_with_the_fake() {
    let dir = TempDir::new().expect("dir");
    let mut refused = 0;
    for seed in 0..12 {
        let store = open(&dir.path().join(format!("{seed}.db"))).await;
        let fake = MemoryStore::new("node-1", "site-1");
        let mut chance = Chance(seed);
        for _ in 0..12 {
            // Asked for together, so that they share transactions; the queue keeps their order.
            let commits: Vec<_> = (0..12).map(|_| chance.commit()).collect();
            let answers = join_all(commits.iter().map(|changes| store.commit(changes.clone()))).await;
            for (changes, answer) in commits.into_iter().zip(answers) {
                let expected = fake.commit(changes).await;
                assert_eq!(answer.is_ok(), expected.is_ok(), "seed {seed}: {answer:?}, {expected:?}");
                refused += usize::from(answer.is_err());
            }
            let ballots = chance.ballots();
            assert_eq!(store.draw(ballots.clone()).await, fake.draw(ballots).await, "seed {seed}");
            assert_same(&store, &fake).await;
        }
        verify(&store).await;
    }
    assert!(refused > 50, "the case reaches refusals: {refused}");
}

async fn assert_same(store: &SqliteStore, fake: &MemoryStore) {
    use temoin_core::segment::State::{Closed, Disposed, Doomed, Kept, Open};
    let states = [Open, Closed, Kept, Doomed, Disposed].into_iter();
    let mut queries: Vec<_> = states
        .flat_map(|state| [SegmentQuery::In(state, 3), SegmentQuery::After(state, Some(id(3)), 9)])
        .collect();
    queries.push(SegmentQuery::Call(CallId("c1".into())));
    queries.push(SegmentQuery::Due(at(500), 9));
    for query in queries {
        assert_eq!(store.segments(query.clone()).await, fake.segments(query.clone()).await, "{query:?}");
    }
    let (all, typed) = (CallQuery::default(), Some("9000".to_owned()));
    for query in [
        all.clone(),
        CallQuery { number: typed, ..all.clone() },
        CallQuery { agent: Some("a1".into()), ..all },
    ] {
        assert_eq!(store.calls(&query).await, fake.calls(&query).await, "{query:?}");
    }
    assert_eq!(store.draws("quality").await, fake.draws("quality").await);
    let payloads = |links: Vec<Link>| -> Vec<_> {
        links.into_iter().map(|link| (link.seq, link.content.map(|content| content.payload))).collect()
    };
    let (ours, theirs) = (store.chain(0, 9_999).await, fake.chain(0, 9_999).await);
    assert_eq!(payloads(ours.expect("chain")), payloads(theirs.expect("chain")));
}

/// The same chances at every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn commit(&mut self) -> Vec<Change> {
        (0..=self.below(3)).map(|_| self.change()).collect()
    }

    fn change(&mut self) -> Change {
        let id = id(self.below(8) as u8);
        let some = |chance: &mut Self| -> Vec<String> {
            ["proof", "training"].into_iter().filter(|_| chance.below(3) > 0).map(str::to_owned).collect()
        };
        match self.below(10) {
            0 => line(&format!("c{}", self.below(4)), "x"),
            1 => {
                let n = self.below(6);
                let agents = (0..self.below(3)).map(|n| format!("a{n}")).collect();
                let number = (n > 0).then(|| format!("+3319900{n}000"));
                Change::Call(CallRecord { agents, number, ..call(&format!("c{n}"), self.below(99) as i64) })
            }
            2 | 3 => Change::Open(Segment {
                purposes: some(self),
                opened: at(self.below(50) as i64),
                call: CallId(format!("c{}", self.below(3))),
                ..segment(id)
            }),
            4 | 5 => {
                let scheduled = Some(at(self.below(1_000) as i64)).filter(|_| self.below(4) > 0);
                let retention = Deadlines { scheduled, ..Deadlines::default() };
                Change::Close(id, Closing { kept: some(self), retention, ..closing() })
            }
            6 => Change::Amend(id, some(self), Deadlines::default()),
            7 | 8 => {
                let sealed = Sealed {
                    wrapped_key: vec![self.below(256) as u8; 4],
                    key_id: "k".into(),
                    plain_len: self.below(999),
                    cipher_len: 2,
                    cipher_sha256: "00".into(),
                };
                Change::Keep(id, Kept { millis: self.below(999), sha256: "11".into(), sealed, flags: vec![] })
            }
            _ => Change::Dispose(id, at(self.below(99) as i64)),
        }
    }

    fn ballots(&mut self) -> Vec<Ballot> {
        let ballot = |chance: &mut Self| Ballot {
            campaign: "quality".into(),
            call: CallId(format!("c{}", chance.below(40))),
            stratum: format!("a{}", chance.below(3)),
            rate: 300,
            draw: format!("0.{:010}", chance.below(1 << 31)).parse().expect("a draw"),
            at: at(0),
        };
        (0..=self.below(3)).map(|_| ballot(self)).collect()
    }
}

fn id(n: u8) -> SegmentId {
    SegmentId::new(at(0), [n; 10])
}
