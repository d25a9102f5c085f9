//! The audit of a campaign's draws: every lot is drawn again from the key and the call's name, every counter counted
//! again, and compared with what was written down. Whoever holds the key can repeat it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::id::CallId;
use crate::ports::{Counters, Drawn};
use crate::sampling::{Draw, share};

/// What the audit found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// The campaign.
    pub campaign: String,
    /// Calls that took part.
    pub calls: u64,
    /// Calls that were drawn.
    pub recorded: u64,
    /// Realised rate, per mille, rounded down.
    pub realised: u64,
    /// The rate in force at the last draw, per mille.
    pub rate: u16,
    /// What does not agree.
    pub faults: Vec<Fault>,
}

/// What can be wrong with a draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The call.
    pub call: CallId,
    /// What.
    pub what: &'static str,
}

/// Draws every lot again. `draws` are those of one campaign, in the order in which they were made.
pub fn audit(key: &[u8], campaign: &str, draws: &[Drawn]) -> Audit {
    let mut faults = Vec::new();
    let mut total = Counters::default();
    let mut strata: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for drawn in draws {
        let ballot = &drawn.ballot;
        let stratum = strata.entry(&ballot.stratum).or_default();
        let before = Counters { stratum_calls: stratum.0, stratum_recorded: stratum.1, ..total };
        let again = Draw::keyed(key, campaign, &ballot.call.0);
        let checks = [
            (ballot.campaign == campaign, "is of another campaign"),
            (ballot.draw == again, "has another draw than the key gives"),
            (drawn.before == before, "was counted otherwise"),
            (drawn.selected == ballot.settle(&before), "should have fallen the other way"),
        ];
        let wrong = checks.into_iter().filter(|(right, _)| !right);
        faults.extend(wrong.map(|(_, what)| Fault { call: ballot.call.clone(), what }));
        let one = u64::from(drawn.selected);
        *stratum = (stratum.0 + 1, stratum.1 + one);
        total.total_calls += 1;
        total.total_recorded += one;
        if u128::from(total.total_recorded) > share(ballot.rate, total.total_calls) {
            faults.push(Fault { call: ballot.call.clone(), what: "is one more than the rate allows" });
        }
    }
    Audit {
        campaign: campaign.to_owned(),
        calls: total.total_calls,
        recorded: total.total_recorded,
        realised: (1000 * total.total_recorded).checked_div(total.total_calls).unwrap_or(0),
        rate: draws.last().map_or(0, |drawn| drawn.ballot.rate),
        faults,
    }
}

impl Audit {
    /// Whether everything agrees.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { campaign, calls, recorded, realised, rate, faults } = self;
        write!(
            f,
            "campaign {campaign}: {recorded} of {calls} calls drawn, {realised} per mille at a rate of {rate}"
        )?;
        for fault in faults {
            write!(f, "\ncall {}: {}", fault.call, fault.what)?;
        }
        if faults.is_empty() { write!(f, "\nevery draw agrees") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Ballot;

    fn draws(key: &[u8]) -> Vec<Drawn> {
        let mut draws = Vec::<Drawn>::new();
        for n in 0..60 {
            let (call, stratum) = (CallId(format!("call-{n}")), format!("agent-{}", n % 3));
            let of = |wanted: Option<&str>| {
                let those =
                    draws.iter().filter(|drawn| wanted.is_none_or(|wanted| drawn.ballot.stratum == wanted));
                those.fold((0, 0), |(calls, drawn), one| (calls + 1, drawn + u64::from(one.selected)))
            };
            let ((total_calls, total_recorded), (stratum_calls, stratum_recorded)) =
                (of(None), of(Some(&stratum)));
            let before = Counters { total_calls, total_recorded, stratum_calls, stratum_recorded };
            let draw = Draw::keyed(key, "autumn", &call.0);
            let ballot = Ballot {
                campaign: "autumn".into(),
                call,
                stratum,
                rate: 200,
                draw,
                at: jiff::Timestamp::UNIX_EPOCH,
            };
            draws.push(Drawn { selected: ballot.settle(&before), ballot, before });
        }
        draws
    }

    #[test]
    fn honest_draws_agree() {
        let audit = audit(b"key", "autumn", &draws(b"key"));
        assert!(audit.is_clean(), "{audit}");
        assert_eq!(audit.calls, 60);
        assert!((1..=12).contains(&audit.recorded), "{audit}");
    }

    #[test]
    fn every_tampering_is_found() {
        let honest = draws(b"key");
        assert!(!audit(b"another", "autumn", &honest).is_clean());
        for at in 0..honest.len() {
            let mut flipped = honest.clone();
            flipped[at].selected = !flipped[at].selected;
            assert!(!audit(b"key", "autumn", &flipped).is_clean(), "flipped {at}");
        }
        for at in 0..honest.len() - 1 {
            let mut missing = honest.clone();
            missing.remove(at);
            assert!(!audit(b"key", "autumn", &missing).is_clean(), "removed {at}");
        }
    }
}
