//! What every index must do, sentence by sentence of [`Store`].

use std::sync::Arc;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::event::Direction;
use crate::id::{CallId, SegmentId};
use crate::journal::{Entry, Link, Verifier, What};
use crate::ports::{
    Ballot, CallQuery, CallRecord, Change, Counters, RegisterQuery, SegmentQuery, SegmentRecord, Store,
    StoreError,
};
use crate::segment::{Closing, Deadlines, Ending, Flag, Kept, Sealed, Segment, State};

mod calls;
mod draws;
mod journal;
mod register;
mod segments;

type Index = Arc<dyn Store>;

/// Runs every case on an index of its own; `make` gives an empty one of node `node-1`, site `site-1`. Panics at the
/// first sentence that does not hold.
pub async fn suite(make: impl AsyncFn() -> Index) {
    journal::journal_is_chained_in_the_order_given(make().await).await;
    journal::commit_is_all_or_nothing(make().await).await;
    journal::a_refused_commit_does_not_fail_its_neighbours(make().await).await;
    calls::calls_are_new_or_changed(make().await).await;
    calls::calls_are_found(make().await).await;
    calls::numbers_are_found_by_their_end(make().await).await;
    segments::segment_goes_its_way(make().await).await;
    segments::late_words_change_nothing(make().await).await;
    segments::purposes_are_only_taken(make().await).await;
    segments::closing_without_a_purpose_dooms(make().await).await;
    segments::no_purpose_dooms_any_state_but_disposed(make().await).await;
    segments::segments_are_found(make().await).await;
    draws::lots_are_drawn_once(make().await).await;
    draws::lots_follow_the_counters(make().await).await;
    journal::story_and_chain_are_in_order(make().await).await;
    register::entries_are_entered_once_and_found(make().await).await;
    register::an_entry_is_withdrawn_once_and_stays(make().await).await;
    register::entries_whose_time_is_over_are_found_and_erased(make().await).await;
    register::the_register_is_counted(make().await).await;
}

async fn one(store: &Index, n: u8) -> Option<SegmentRecord> {
    let mut found = store.segments(SegmentQuery::Id(id(n))).await.expect("segments");
    assert!(found.len() <= 1);
    found.pop()
}

fn verify(links: &[Link]) {
    let mut verifier = Verifier::default();
    for link in links {
        verifier.next(link).expect("the chain verifies");
    }
    assert_eq!(verifier.state().0, links.len() as u64);
}

fn entry_of(link: &Link) -> Entry {
    let content = link.content.as_ref().expect("not erased");
    serde_json::from_slice(&content.payload).expect("an entry as JSON")
}

fn at(seconds: i64) -> Timestamp {
    "2026-11-02T08:00:00.250001Z".parse::<Timestamp>().expect("instant") + SignedDuration::from_secs(seconds)
}

fn id(n: u8) -> SegmentId {
    SegmentId::new(at(n.into()), [n; 10])
}

fn pressed(call: &str, n: i64) -> Entry {
    Entry {
        at: at(n),
        call: Some(CallId(call.into())),
        segment: None,
        what: What::Pressed { by: "agent".into(), meaning: format!("meaning-{n}") },
    }
}

fn call(id: &str, n: i64) -> CallRecord {
    CallRecord {
        id: CallId(id.into()),
        line: "sales".into(),
        direction: Direction::Inbound,
        number: Some("+33199001234".into()),
        queue: None,
        agents: vec!["amel".into()],
        started: at(n),
        talked: None,
        ended: None,
        outcome: "talking".into(),
        private: false,
    }
}

fn segment(n: u8, call: &str) -> Segment {
    Segment {
        id: id(n),
        call: CallId(call.into()),
        opened: at(n.into()),
        since: at(n.into()),
        agents: vec!["amel".into(), "bo".into()],
        purposes: vec!["proof".into(), "training".into()],
        mandatory: n % 2 == 1,
        basis: serde_json::json!({ "facts": { "line": "sales" }, "because": ["FR-1", null, 1.5] }),
        retention: Deadlines { not_before: Some(at(10)), scheduled: Some(at(20)), delete_by: None },
    }
}

fn closing(kept: &[&str]) -> Closing {
    Closing {
        from: Some(at(1)),
        until: at(9),
        cut_tail: true,
        kept: kept.iter().map(|purpose| (*purpose).to_owned()).collect(),
        ending: Ending::PartiesChanged,
        flags: vec![Flag::Unwatched],
        retention: Deadlines { not_before: None, scheduled: Some(at(400)), delete_by: Some(at(600)) },
    }
}

fn kept(n: u8) -> Kept {
    Kept {
        millis: 8_000 + u64::from(n),
        sha256: "ab".repeat(32),
        sealed: Sealed {
            wrapped_key: vec![n; 60],
            key_id: "key-1".into(),
            plain_len: 128_044,
            cipher_len: 128_100,
            cipher_sha256: "cd".repeat(32),
        },
        flags: vec![Flag::Short, Flag::AgentSilent],
    }
}

/// A ballot whose draw has these 20 digits after the point.
fn ballot(campaign: &str, call: &str, stratum: &str, rate: u16, draw: u64) -> Ballot {
    Ballot {
        campaign: campaign.into(),
        call: CallId(call.into()),
        stratum: stratum.into(),
        rate,
        draw: format!("0.{draw:020}").parse().expect("a draw"),
        at: at(30),
    }
}
