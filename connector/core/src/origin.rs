//! Where somebody may be, by the telephone number: evidence for the facts of a call (`FORMAT.md`, section 3.2).
//!
//! A fixed line's prefix is strong evidence of its country; that of a mobile, and of any number that is not tied to a
//! place, is weak: phones travel. A number that is hidden, that is none, or that the plans do not know tells nothing,
//! and then the laws of all markets of the line apply together, the strictest of them. A number without a country's
//! code (`0199001234`) is read as one of the country of the line's own numbers. The numbering plans are those of
//! `rlibphonenumber`; nothing is asked of anybody.

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region,
};

use crate::facts::{Evidence, Facts};
use crate::number::E164;
use crate::policy::{Line, Policy};
use crate::words::{EvidenceSource, Territory, is_e164, plain_number};

/// The most digits that are looked at: E.164 has 15, and prefixes come on top.
const LONGEST: usize = 20;

/// Adds what the numbers of outside people tell, where nothing else is known of where they are.
pub fn locate(facts: &mut Facts, policy: &Policy) {
    let Some(line) = policy.line(&facts.line) else { return };
    let unknown = facts
        .legs
        .iter_mut()
        .filter(|leg| leg.kind.is_external() && leg.market.is_none() && leg.evidence.is_empty());
    for leg in unknown {
        leg.evidence.extend(leg.number.as_deref().and_then(|number| evidence(number, line)));
    }
}

/// What a number tells of where somebody is who calls on a line, or is called.
pub fn evidence(number: &str, line: &Line) -> Option<Evidence> {
    let number = read(number, home(line))?;
    let territory = Territory::parse(&number.get_region_code()?.as_region_str())?;
    let source = match number.get_type() {
        PhoneNumberType::FixedLine => EvidenceSource::NumberPrefix,
        _ => EvidenceSource::MobilePrefix,
    };
    Some(Evidence { territory, source })
}

/// The number of a subscriber in full, from a number as dialled: with its country's code, or as dialled within the
/// country of the line's own numbers. `None` for extensions, short codes and what no plan knows.
pub fn subscriber(number: &str, line: &Line) -> Option<E164> {
    in_full(&read(number, home(line))?)
}

/// The same, as dialled within a country; without one only numbers with their country's code are read.
pub fn subscriber_in(number: &str, country: Option<&Territory>) -> Option<E164> {
    let region = country.and_then(|country| Region::from_code(country.country()).ok());
    in_full(&read(number, region)?)
}

/// The country of a number in full, as its plan says.
pub fn country(number: &str) -> Option<Territory> {
    Territory::parse(&region_of(number)?.as_region_str())
}

/// The country's code of a number, without the plus.
pub(crate) fn country_code(number: &E164) -> Option<i32> {
    Some(PHONE_NUMBER_UTIL.parse(number.as_str(), None).ok()?.country_code)
}

/// Only lengths that the plan has: a number that lacks a digit is nobody's.
fn in_full(number: &PhoneNumber) -> Option<E164> {
    let possible = matches!(number.is_possible_with_reason(), Ok(NumberLengthType::IsPossible));
    E164::parse(&number.format_as(PhoneNumberFormat::E164)).filter(|_| possible)
}

/// A number in any form a PBX has it. Everything but digits, decoration and a plus is nobody's number.
fn read(number: &str, home: Option<Region>) -> Option<PhoneNumber> {
    let plain = plain_number(number);
    let digits = plain.strip_prefix('+').unwrap_or(&plain);
    if digits.len() > LONGEST || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if plain.starts_with('+') {
        return PHONE_NUMBER_UTIL.parse(&plain, None).ok();
    }
    // Without a country's code it may be an extension as well: only what the plan knows counts.
    PHONE_NUMBER_UTIL.parse(&plain, Some(home?)).ok().filter(PhoneNumber::is_valid)
}

/// The country whose plan the line's own numbers follow.
fn home(line: &Line) -> Option<Region> {
    line.numbers.iter().find_map(|own| region_of(own))
}

fn region_of(number: &str) -> Option<Region> {
    PHONE_NUMBER_UTIL.parse(Some(number).filter(|number| is_e164(number))?, None).ok()?.get_region_code()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decide;
    use crate::facts::{Leg, Scope};
    use crate::pack::shipped;
    use crate::words::{LegKind, Purpose};

    fn policy(markets: &str) -> Policy {
        let text = include_str!("../../../examples/policies/french-call-centre.toml");
        let text = text.replace("markets = [\"FR\"]", &format!("markets = [{markets}]"));
        Policy::load(("policy.toml", &text), shipped()).unwrap()
    }

    fn told(number: &str) -> Option<(String, EvidenceSource)> {
        let policy = policy("\"FR\"");
        let found = evidence(number, policy.line("accueil").unwrap())?;
        Some((found.territory.to_string(), found.source))
    }

    #[test]
    fn a_fixed_line_is_strong_evidence_of_its_country_and_a_mobile_is_weak() {
        use EvidenceSource::{MobilePrefix, NumberPrefix};
        for (number, territory, source) in [
            ("+33199001234", "FR", NumberPrefix),
            ("0033 1 99 00 12 34", "FR", NumberPrefix),
            ("01 99 00 12 34", "FR", NumberPrefix),
            ("+33639981234", "FR", MobilePrefix),
            ("+49 30 23125 123", "DE", NumberPrefix),
            // The plan of North America does not tell mobiles from fixed lines, but the countries.
            ("+1 212 555 0123", "US", MobilePrefix),
            ("+1 514 555 0123", "CA", MobilePrefix),
        ] {
            assert_eq!(told(number), Some((territory.to_owned(), source)), "{number}");
        }
    }

    #[test]
    fn what_is_hidden_or_no_number_tells_nothing() {
        for number in [
            "",
            "anonymous",
            "Anonymous",
            "unknown",
            "restricted",
            "+",
            "00",
            "2001",
            "112",
            "+331",
            "+999123456",
            "+80012345678",
            "+331990012345678901234567890",
            "٠١٩٩٠٠١٢٣٤",
            "\0\0",
            "alice@192.0.2.1",
            "+33+33199001234",
        ] {
            assert_eq!(told(number), None, "{number:?}");
        }
    }

    #[test]
    fn who_hides_his_number_has_the_laws_of_all_markets_and_a_country_without_a_pack_the_default() {
        let rules = |markets: &str, number: Option<&str>| {
            let policy = policy(markets);
            let caller = Leg {
                number: number.map(Into::into),
                heard: Some([Purpose::parse("quality").unwrap()].into()),
                consented: Some(Scope::All),
                ..Leg::new("c1", LegKind::Customer)
            };
            let agent = Leg { agent: Some("amel".into()), ..Leg::new("a1", LegKind::Agent) };
            let mut facts = Facts::from_json(
                r#"{"at":"2026-10-06T09:00:00Z","line":"accueil","direction":"inbound","legs":[]}"#,
            )
            .unwrap();
            facts.legs = vec![caller, agent];
            locate(&mut facts, &policy);
            let decision = decide(&facts, &policy);
            decision
                .purposes
                .values()
                .next()
                .unwrap()
                .rules
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let has = |rules: &[String], pack: &str| {
            rules.iter().any(|rule| {
                rule.starts_with(&format!("{pack}/customer")) || rule.starts_with(&format!("{pack}/quality"))
            })
        };

        let hidden = rules("\"FR\", \"DE\"", None);
        assert!(has(&hidden, "fr") && has(&hidden, "de"), "{hidden:?}");
        let french = rules("\"FR\", \"DE\"", Some("+33199001234"));
        assert!(has(&french, "fr") && !has(&french, "de"), "{french:?}");
        // A mobile may be anywhere.
        let mobile = rules("\"FR\", \"DE\"", Some("+33639981234"));
        assert!(has(&mobile, "fr") && has(&mobile, "de"), "{mobile:?}");
        // A German who calls the French line is under both laws.
        let german = rules("\"FR\"", Some("+49 3023125123"));
        assert!(has(&german, "fr") && has(&german, "de"), "{german:?}");
        // Nobody wrote a pack for Australia.
        let australian = rules("\"FR\"", Some("+61270100123"));
        assert!(has(&australian, "fr") && has(&australian, "default-strict"), "{australian:?}");
        assert!(!has(&french, "default-strict"), "{french:?}");
    }

    #[test]
    fn what_is_known_already_goes_before_the_number() {
        let policy = policy("\"FR\"");
        let text = r#"{"at":"2026-10-06T09:00:00Z","line":"accueil","legs":[
            {"id":"c1","kind":"customer","number":"+49 3023125123","market":"FR"},
            {"id":"c2","kind":"other","number":"+49 3023125123","evidence":[{"territory":"BE","source":"stated"}]},
            {"id":"a1","kind":"agent","number":"+49 3023125123"}]}"#;
        let mut facts = Facts::from_json(text).unwrap();
        let before = facts.clone();
        locate(&mut facts, &policy);
        assert_eq!(facts, before);
    }
}
