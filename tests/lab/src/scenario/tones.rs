//! Who speaks which tone. Two tones of one scenario are the same or far apart: a voice whose phase breaks, as it does
//! where a packet came too late, is heard for a moment on all sides of its own frequency.

use std::collections::{BTreeMap, BTreeSet};

use super::file::Scenario;
use super::step::{Act, Does};

/// Who waits for a phone that rings hears this tone, of the PBX itself.
const RINGING: u32 = 440;

/// Tones of those who have none of their own: customers, then the house.
const CUSTOMERS: [u32; 3] = [700, 950, 2250];
const HOUSE: [u32; 3] = [1200, 1450, 1700];

/// How far apart two tones are at least, in Hz; see [`temoin_phone::PRESENT`].
const APART: u32 = 250;

/// The tone of each phone, in Hz.
///
/// # Errors
/// No tone is left for a phone that names none, or two tones of the scenario are less than [`APART`] from each other.
pub(super) fn tones(scenario: &Scenario) -> Result<BTreeMap<&str, u32>, String> {
    let (mut customers, mut house) = (CUSTOMERS.iter(), HOUSE.iter());
    let mut tones = BTreeMap::new();
    for (name, cast) in &scenario.phones {
        let others = if cast.extension.is_some() { &mut house } else { &mut customers };
        let tone = cast.tone.or_else(|| others.next().copied());
        tones.insert(name.as_str(), tone.ok_or_else(|| format!("no tone left for {name}: give it one"))?);
    }
    let spoken = scenario.script.iter().filter_map(|step| match step.act {
        Act::Phone(_, Does::Speak(hz)) => hz.filter(|hz| *hz > 0),
        _ => None,
    });
    let never = scenario.never_recorded.iter().copied();
    let all: BTreeSet<u32> = tones.values().copied().chain(spoken).chain(never).chain([RINGING]).collect();
    match all.iter().zip(all.iter().skip(1)).find(|(one, next)| *next - *one < APART) {
        Some((one, next)) => Err(format!("tones of {one} and {next} Hz: less than {APART} Hz apart")),
        None => Ok(tones),
    }
}
