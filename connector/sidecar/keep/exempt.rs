//! The proof for staff representatives: each call in which the journal saw somebody who must never be recorded, when he was
//! there, and what is kept of it. Holds no telephone number.
//!
//! He is seen where the decision was about him ([`proof::EXEMPT`]). Where something else went before him (somebody whom
//! nobody knows, a call of which nothing may be recorded at all) nothing could be stored either, and it is not told here.

use jiff::Timestamp;
use temoin_core::id::{CallId, SegmentId};
use temoin_core::journal::Link;
use temoin_core::ports::{SegmentQuery, Store};
use temoin_core::proof::{self, Judgement};
use temoin_core::segment::State;

use super::verify::{PAGE, Report, VerifyError, story};

/// A call in which somebody was who must never be recorded, with all that is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExemptCall {
    /// The call.
    pub call: CallId,
    /// When he was there: since when, and until when where the journal tells.
    pub there: Vec<(Timestamp, Option<Timestamp>)>,
    /// The recordings.
    pub kept: Vec<Beside>,
}

/// A recording of a call in which somebody was who must never be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The segment.
    pub segment: SegmentId,
    /// When what is kept of it was said; `None`: the journal does not tell.
    pub span: Option<proof::Span>,
    /// So much of it was said while he was there, ms; `None`: nobody can say.
    pub overlap: Option<u64>,
}

/// How many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exempt {
    /// Calls in which somebody was who must never be recorded, as the journal tells.
    pub calls: u64,
    /// Recordings that are kept of them.
    pub kept: u64,
    /// Of these, with something that was said while he was there.
    pub overlapping: u64,
    /// Of these, nobody can say.
    pub unseen: u64,
}

/// Tells each call in which the journal saw somebody who must never be recorded, in order of the journal, once, up to the
/// last row that `report` verified.
pub async fn exempt(
    store: &dyn Store,
    report: &Report,
    each: &mut (dyn FnMut(&ExemptCall) + Send),
) -> Result<Exempt, VerifyError> {
    let mut exempt = Exempt::default();
    let mut after = 0;
    loop {
        let links = store.chain(after, PAGE).await?;
        for link in links.iter().filter(|link| link.seq <= report.rows) {
            if let Some(found) = begins(store, link, report).await? {
                exempt.calls += 1;
                exempt.kept += found.kept.len() as u64;
                exempt.overlapping += found.kept.iter().filter(|kept| kept.overlap > Some(0)).count() as u64;
                exempt.unseen += found.kept.iter().filter(|kept| kept.overlap.is_none()).count() as u64;
                each(&found);
            }
        }
        match links.last() {
            Some(last) if last.seq < report.rows => after = last.seq,
            _ => return Ok(exempt),
        }
    }
}

/// The call in whose story this is the first line that tells of somebody who must never be recorded.
async fn begins(store: &dyn Store, link: &Link, report: &Report) -> Result<Option<ExemptCall>, VerifyError> {
    let Some((what, call)) = link.entry().and_then(|entry| Some((entry.what, entry.call?))) else {
        return Ok(None);
    };
    if !proof::is_exempt(&what) {
        return Ok(None);
    }
    let story = story(store, &call).await?;
    let presences = proof::presences(&story);
    if presences.first().is_none_or(|first| first.lines.0 != link.seq) {
        return Ok(None);
    }
    let mut kept = Vec::new();
    for row in store.segments(SegmentQuery::Call(call.clone())).await? {
        if row.state == State::Kept {
            let judgement = proof::judge(&story, row.segment.id, report.erased_until);
            let overlap = overlap(&presences, &judgement);
            kept.push(Beside { segment: row.segment.id, span: judgement.span, overlap });
        }
    }
    let there = presences.iter().map(|there| (there.from, there.until)).collect();
    Ok(Some(ExemptCall { call, there, kept }))
}

fn overlap(presences: &[proof::Presence], of: &Judgement) -> Option<u64> {
    presences.iter().map(|there| there.overlap(of)).sum()
}
