//! The lots of a campaign: drawn with the key of the draws and counted as the index would count them, in memory.

use std::collections::BTreeMap;

use temoin_core::decide::Stake;
use temoin_core::sampling::{Count, Draw, Tally};
use temoin_core::words::Stratify;

/// The lots of one campaign.
#[derive(Debug, Default)]
pub struct Lots {
    /// How they fell.
    pub tally: Tally,
    /// Sums of the rates they were drawn at, per mille.
    pub rates: Sums,
    /// Calls with a lot that were recorded for the campaign's purpose.
    pub recorded: Sums,
    /// How they came to agents, where these are not what they are shared out by.
    pub agents: Option<BTreeMap<String, Came>>,
}

/// The lots that came to one agent.
#[derive(Debug, Default)]
pub struct Came {
    /// All, and those that were drawn.
    pub count: Count,
    /// Sum of the rates they were drawn at, per mille.
    pub rates: u64,
    /// Calls with a lot that were recorded for the campaign's purpose.
    pub recorded: u64,
}

/// A sum over all, and one for each stratum.
#[derive(Debug, Default)]
pub struct Sums {
    /// Over all.
    pub all: u64,
    by_stratum: BTreeMap<String, u64>,
}

impl Lots {
    /// None yet, of a campaign that shares them out so.
    pub fn shared_by(stratify: Stratify) -> Self {
        let agents = (stratify != Stratify::Agent).then(BTreeMap::new);
        Self { agents, ..Self::default() }
    }

    /// Draws the lot of a call with an agent.
    pub fn draw(&mut self, stake: &Stake, key: &[u8], call: &str, agent: Option<&str>) -> bool {
        self.rates.add(&stake.stratum, u64::from(stake.rate));
        let draw = Draw::keyed(key, &stake.campaign, call);
        let drawn = self.tally.count(stake.rate, &stake.stratum, Some(&draw));
        self.came_to(agent, |came| {
            came.count.calls += 1;
            came.count.recorded += u64::from(drawn);
            came.rates += u64::from(stake.rate);
        });
        drawn
    }

    /// A call with this lot, and with an agent, was recorded.
    pub fn was_recorded(&mut self, stake: &Stake, agent: Option<&str>) {
        self.recorded.add(&stake.stratum, 1);
        self.came_to(agent, |came| came.recorded += 1);
    }

    fn came_to(&mut self, agent: Option<&str>, what: impl FnOnce(&mut Came)) {
        let (Some(agents), Some(agent)) = (&mut self.agents, agent) else { return };
        match agents.get_mut(agent) {
            Some(came) => what(came),
            None => what(agents.entry(agent.to_owned()).or_default()),
        }
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
