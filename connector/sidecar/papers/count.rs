//! The index, counted for the papers: the journal once from its first row, every segment by its state, the draws of the
//! policy's campaigns, and the register; in pages where there are rows to be read, so that a large index needs no more memory than a small one.

use jiff::Timestamp;
use temoin_core::papers::Figures;
use temoin_core::policy::Policy;
use temoin_core::ports::{SegmentQuery, Store, StoreError};
use temoin_core::segment::State;

/// Rows at a time.
const PAGE: u32 = 1000;

/// Counts an index.
///
/// # Errors
/// The index is not available.
pub async fn count(store: &dyn Store, policy: &Policy, now: Timestamp) -> Result<Figures, StoreError> {
    let mut figures = Figures::default();
    let mut row = 0;
    loop {
        let links = store.chain(row, PAGE).await?;
        let Some(last) = links.last() else { break };
        row = last.seq;
        for entry in links.iter().filter_map(|link| link.entry()) {
            figures.entry(&entry);
        }
    }
    for state in [State::Open, State::Closed, State::Kept, State::Doomed, State::Disposed] {
        let mut after = None;
        loop {
            let records = store.segments(SegmentQuery::After(state, after, PAGE)).await?;
            let Some(last) = records.last() else { break };
            after = Some(last.segment.id);
            for record in &records {
                figures.segment(now, record);
            }
        }
    }
    for campaign in policy.site().campaigns.keys() {
        figures.draws(campaign, &store.draws(campaign).await?);
    }
    figures.register(store.register_counts(now).await?);
    Ok(figures)
}
