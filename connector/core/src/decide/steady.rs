//! How long a verdict stands if nothing but the time changes.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::campaign::window;
use crate::policy::{Line, Policy};
use crate::time::days_after;

/// The time around an instant in which, on a line, neither a local day nor any campaign, its daily window or any
/// exception begins or ends.
///
/// Two calls that begin in it, looked at in it, and are alike otherwise, have the same verdicts, draws and
/// announcement; only their dates of deletion are counted from their own instants. Whoever asks for thousands of calls
/// need ask once.
pub fn steady(line: &Line, policy: &Policy, at: Timestamp) -> Range<Timestamp> {
    let today = line.zone.day(at);
    let days: [Date; 4] =
        [today.yesterday().unwrap_or(today), today, days_after(today, 1), days_after(today, 2)];
    let midnights = days.map(|day| line.zone.first_instant(day));
    let site = policy.site();
    let campaigns = site.campaigns.values().flat_map(|campaign| {
        let daily =
            campaign.daily.into_iter().flat_map(|daily| days.map(|day| window(daily, day, &line.zone)));
        let whole = (campaign.from.start(&line.zone), campaign.until.map(|until| until.end(&line.zone)));
        daily.flat_map(|(opens, closes)| [opens, closes]).chain([whole.0]).chain(whole.1)
    });
    let exceptions =
        site.exceptions.values().flat_map(|e| [e.from.start(&line.zone), e.until.end(&line.zone)]);
    let (mut from, mut until) = (Timestamp::MIN, Timestamp::MAX);
    for change in midnights.into_iter().chain(campaigns).chain(exceptions) {
        if change <= at {
            from = from.max(change);
        } else {
            until = until.min(change);
        }
    }
    from..until
}
