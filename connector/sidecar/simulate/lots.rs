//! The lots of a campaign: drawn with the key of the draws and counted as the index would count them, in memory.

use std::collections::BTreeMap;

use temoin_core::decide::Stake;
use temoin_core::sampling::{Draw, Tally};

/// The lots of one campaign.
#[derive(Debug, Default)]
pub struct Lots {
    /// How they fell.
    pub tally: Tally,
    /// Sums of the rates they were drawn at, per mille.
    pub rates: Sums,
    /// Calls with a lot that were recorded for the campaign's purpose.
    pub recorded: Sums,
}

/// A sum over all, and one for each stratum.
#[derive(Debug, Default)]
pub struct Sums {
    /// Over all.
    pub all: u64,
    by_stratum: BTreeMap<String, u64>,
}

impl Lots {
    /// Draws a call's lot.
    pub fn draw(&mut self, stake: &Stake, key: &[u8], call: &str) -> bool {
        self.rates.add(&stake.stratum, u64::from(stake.rate));
        let draw = Draw::keyed(key, &stake.campaign, call);
        self.tally.count(stake.rate, &stake.stratum, Some(&draw))
    }

    /// A call with this lot was recorded.
    pub fn was_recorded(&mut self, stake: &Stake) {
        self.recorded.add(&stake.stratum, 1);
    }
}

impl Sums {
    fn add(&mut self, stratum: &str, number: u64) {
        self.all += number;
        match self.by_stratum.get_mut(stratum) {
            Some(sum) => *sum += number,
            None => drop(self.by_stratum.insert(stratum.to_owned(), number)),
        }
    }

    /// That of a stratum.
    pub fn of(&self, stratum: &str) -> u64 {
        self.by_stratum.get(stratum).copied().unwrap_or(0)
    }
}
