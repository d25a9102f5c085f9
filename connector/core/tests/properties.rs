//! What must hold for every policy and every call, tried on generated ones.

mod world;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use temoin_core::decide::{announcement, decide, explain, stakes, steady};
use temoin_core::facts::{Facts, Scope};
use temoin_core::retention::{ErasureStatus, History, LegalHold, Recording, fate};
use temoin_core::sampling::{Draw, Tally};
use temoin_core::talk::{Event, segments};
use temoin_core::time::{Period, Zone};
use temoin_core::words::{Flag, Purpose, Reason};
use world::{Exclusion, World, exclusion, extra_overlay, world};

/// The generator reaches what the properties are about; without this they could all hold in vain.
#[test]
fn the_generated_worlds_are_worth_trying() {
    let mut runner = TestRunner::deterministic();
    let mut reasons: BTreeMap<Reason, u32> = BTreeMap::new();
    for _ in 0..600 {
        let world = world().new_tree(&mut runner).expect("a world").current();
        for verdict in decide(&world.facts, &world.policy()).purposes.values() {
            *reasons.entry(verdict.reason).or_default() += 1;
        }
    }
    let reached = |reason| reasons.get(&reason).copied().unwrap_or(0);
    assert!(reached(Reason::Ok) >= 60, "{reasons:?}");
    for reason in [
        Reason::NoRule,
        Reason::DutyConflict,
        Reason::Forbidden,
        Reason::RetentionConflict,
        Reason::NoBound,
        Reason::ExemptLeg,
        Reason::PrivateCall,
        Reason::Objected,
        Reason::PrerequisiteMissing,
        Reason::NoOpenCampaign,
        Reason::OutOfPhase,
        Reason::PurposeNotAnnounced,
        Reason::NotSampled,
        Reason::AnnouncementPending,
        Reason::ConsentPending,
    ] {
        assert!(reached(reason) >= 3, "{reason} is hardly reached: {reasons:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_order_of_packs_and_their_repetition_do_not_matter(world in world(), turn in 0..8_usize) {
        let mut other = world.clone();
        other.packs.extend(world.packs.clone());
        other.packs.reverse();
        let turn = turn % other.packs.len();
        other.packs.rotate_left(turn);
        other.reverse_rules();
        prop_assert_eq!(explain(&world.facts, &world.policy()), explain(&world.facts, &other.policy()));
        prop_assert_eq!(announcement(&world.facts, &world.policy()), announcement(&world.facts, &other.policy()));
    }

    #[test]
    fn one_more_permission_never_permits_more(world in world(), overlay in extra_overlay()) {
        let mut stricter = world.clone();
        stricter.add_overlay(overlay);
        let (before, after) = (decide(&world.facts, &world.policy()), decide(&world.facts, &stricter.policy()));
        for purpose in &after.recorded_purposes {
            // A period is what a purpose without a bound lacked (FORMAT.md, section 3.3).
            let reason = before.purposes[purpose].reason;
            prop_assert!(matches!(reason, Reason::Ok | Reason::NoBound), "{before:?}\n{after:?}");
        }
        for (purpose, verdict) in &after.purposes {
            let earlier = &before.purposes[purpose];
            prop_assert!(verdict.gate >= earlier.gate && verdict.refusal >= earlier.refusal);
            prop_assert!(verdict.missing.is_superset(&earlier.missing) && verdict.rules.is_superset(&earlier.rules));
            prop_assert!(verdict.rate.unwrap_or(0) <= earlier.rate.unwrap_or(0));
            if let (Some(dates), Some(earlier)) = (verdict.retention, earlier.retention) {
                prop_assert!(earlier.not_before.is_some() || dates.delete_by <= earlier.delete_by);
            }
        }
        prop_assert!(after.never.is_superset(&before.never));
    }

    #[test]
    fn one_more_exclusion_never_turns_a_no_into_a_yes(world in world(), exclusion in exclusion()) {
        let policy = world.policy();
        let before = decide(&world.facts, &policy);
        let mut excluded = world.clone();
        excluded.exclude(&exclusion);
        let after = decide(&excluded.facts, &excluded.policy());
        prop_assert!(after.recorded_purposes.is_subset(&before.recorded_purposes), "{exclusion:?}");
        let total = matches!(exclusion, Exclusion::Exempt(_) | Exclusion::Flag(Flag::Private | Flag::PaymentActive));
        prop_assert!(!total || !after.record, "{exclusion:?}");
    }

    #[test]
    fn what_is_recorded_has_an_end_and_explains_itself(world in world()) {
        let policy = world.policy();
        let decision = explain(&world.facts, &policy);
        prop_assert_eq!(decision.record, !decision.recorded_purposes.is_empty());
        prop_assert_eq!(decision.record, decision.retention.is_some());
        for verdict in decision.purposes.values() {
            prop_assert_eq!(verdict.record, verdict.reason == Reason::Ok);
            let because = verdict.because.as_ref().expect("explained");
            prop_assert!(!because.gate.is_empty());
            prop_assert_eq!(verdict.rate.is_some(), !because.rate.is_empty());
            if let Some(dates) = verdict.retention {
                prop_assert!(dates.scheduled.is_some() && dates.delete_by.is_some());
                prop_assert!(dates.scheduled <= dates.delete_by && dates.not_before <= dates.scheduled);
                prop_assert!(!because.dates.delete_by.is_empty());
            }
        }
        // Explaining adds reasons and changes nothing.
        let mut bare = decision.clone();
        bare.purposes.values_mut().for_each(|verdict| verdict.because = None);
        prop_assert_eq!(bare, decide(&world.facts, &policy));
    }

    #[test]
    fn a_draw_is_made_only_where_it_could_matter(world in world()) {
        let policy = world.policy();
        for stake in stakes(&world.facts, &policy) {
            let with = |drawn: bool| {
                let mut facts = world.facts.clone();
                facts.sampling.drawn.insert(stake.campaign.clone(), drawn);
                decide(&facts, &policy)
            };
            prop_assert_eq!(with(true).purposes[&stake.purpose].rate, Some(stake.rate));
            prop_assert!(!with(false).recorded_purposes.contains(&stake.purpose));
            prop_assert!(with(true).recorded_purposes.is_superset(&with(false).recorded_purposes));
        }
    }

    /// Between two changes of the calendar the time alone changes no verdict.
    #[test]
    fn a_verdict_stands_while_it_is_steady(world in world(), place in 0.0..1.0_f64) {
        let policy = world.policy();
        let mut facts = world.facts.clone();
        facts.at = facts.call_start();
        facts.call_start = None;
        let line = policy.line(&facts.line);
        prop_assume!(line.is_some());
        let span = steady(line.expect("assumed"), &policy, facts.at);
        prop_assert!(span.contains(&facts.at));
        let length = (span.end.as_second() - span.start.as_second()) as f64;
        let mut other = facts.clone();
        other.at = Timestamp::from_second(span.start.as_second() + (length * place) as i64).expect("an instant");
        let verdicts = |facts: &Facts| {
            let purposes = decide(facts, &policy).purposes.into_iter();
            purposes.map(|(purpose, v)| (purpose, v.reason, v.rate, v.missing)).collect::<Vec<_>>()
        };
        prop_assert_eq!(verdicts(&facts), verdicts(&other));
        prop_assert_eq!(stakes(&facts, &policy), stakes(&other, &policy));
        prop_assert_eq!(announcement(&facts, &policy), announcement(&other, &policy));
    }

    /// Whoever answers, the caller has heard of everything that can be recorded.
    #[test]
    fn the_announcement_at_the_hook_is_enough_for_every_agent(world in world()) {
        let policy = world.policy();
        let mut hook = world.facts.clone();
        hook.legs.retain(|leg| leg.kind.is_external());
        prop_assume!(!hook.legs.is_empty());
        let announced = announcement(&hook, &policy).map(|a| a.purposes).unwrap_or_default();
        for agent in policy.site().agents.keys() {
            let mut answered = world.facts.clone();
            answered.legs.retain(|leg| leg.kind.is_external());
            answered.legs.push(world::agent_leg(agent));
            answered.sampling.draw = Some(Draw::zero());
            let recorded = decide(&answered, &policy).recorded_purposes;
            prop_assert!(recorded.is_subset(&announced), "{recorded:?} {announced:?}");
        }
    }

    #[test]
    fn a_call_is_cut_into_segments_without_gaps(world in world(), events in world::events()) {
        let policy = world.policy();
        let end = events.iter().map(|(t, _)| *t).max().unwrap_or(0);
        let played = segments(&policy, world.facts.clone(), &events);
        let mut at = 0;
        for segment in &played {
            prop_assert_eq!(segment.from, at);
            prop_assert!(segment.to > segment.from);
            prop_assert_eq!(segment.retention.is_some(), !segment.kept.is_empty());
            prop_assert!(segment.kept.iter().all(|purpose| segment.reasons[purpose] == Reason::Ok));
            at = segment.to;
        }
        prop_assert_eq!(at, end);
    }

    /// An objection to everything leaves nothing that was recorded behind an opt-out or opt-in gate.
    #[test]
    fn an_objection_by_all_erases(world in world(), when in 1..100_u64) {
        let policy = world.policy();
        let gates = decide(&world.facts, &policy).purposes;
        let object = |leg: &temoin_core::facts::Leg| (when, Event::Object { leg: leg.id.clone(), purposes: None });
        let mut events: Vec<_> = world.facts.legs.iter().map(object).collect();
        events.push((when + 10, Event::Hangup));
        for segment in segments(&policy, world.facts.clone(), &events) {
            let must_go = |purpose: &Purpose| gates[purpose].gate > temoin_core::words::Gate::Notice;
            prop_assert!(!segment.kept.iter().any(must_go), "{segment:?}");
        }
    }

    #[test]
    fn a_later_start_never_ends_earlier(
        seconds in -10_000_000_000..10_000_000_000_i64,
        later in 0..100_000_000_i64,
        months in 1..1200_u16,
        zone in prop::sample::select(vec!["Europe/Paris", "America/New_York", "Pacific/Apia", "Africa/Casablanca"]),
    ) {
        let zone = Zone::named(zone).expect("a zone");
        let from = Timestamp::from_second(seconds).expect("an instant");
        let to = from + SignedDuration::from_secs(later);
        prop_assert!(Period::Months(months).end(from, &zone) <= Period::Months(months).end(to, &zone));
        prop_assert!(Period::Months(months).end(from, &zone) <= Period::Months(months + 1).end(from, &zone));
        prop_assert!(Period::Days(months).end(from, &zone) < Period::Days(months + 1).end(from, &zone));
        prop_assert!(from < Period::Days(1).end(from, &zone));
    }

    #[test]
    fn holds_and_requests_keep_what_they_must(world in world(), holds in world::holds(), request in world::later()) {
        let policy = world.policy();
        let purposes = world::keepable(&decide(&world.facts, &policy));
        prop_assume!(!purposes.is_empty());
        let (start, end) = (world.facts.at, world.facts.at);
        let recording = Recording { facts: &world.facts, policy: &policy, purposes: &purposes, start, end };
        let plain = fate(&recording, &History::default()).expect("recorded, so bounded").object;
        let held = fate(&recording, &History { holds: holds.clone(), ..History::default() }).expect("bounded").object;
        let never = |at: Option<Timestamp>| at.unwrap_or(Timestamp::MAX);
        prop_assert!(never(held.scheduled) >= never(plain.scheduled), "a hold deletes nothing earlier");
        for hold in holds.iter().filter(|hold| never(plain.scheduled) > hold.from) {
            prop_assert!(never(held.scheduled) >= never(hold.release), "nothing under a hold is deleted");
        }
        let history = History { erasure: Some(request), ..History::default() };
        let asked = fate(&recording, &history).expect("bounded");
        prop_assert!(never(asked.object.delete_by) <= never(plain.delete_by.max(Some(request + SignedDuration::from_hours(24)))));
        let answer = asked.erasure.expect("an answer");
        prop_assert_eq!(answer.status == ErasureStatus::Restricted, !answer.kept.is_empty());
        prop_assert!(answer.kept.is_disjoint(&answer.removed));
        if answer.status != ErasureStatus::AlreadyErased {
            prop_assert!(never(asked.object.scheduled) >= never(plain.not_before.min(plain.scheduled)).min(request));
        }
    }

    #[test]
    fn other_packs_never_keep_longer_than_the_first_maximum(world in world(), overlay in extra_overlay(), at in world::later()) {
        let policy = world.policy();
        let purposes = world::keepable(&decide(&world.facts, &policy));
        prop_assume!(!purposes.is_empty());
        let mut changed = world.clone();
        changed.add_overlay(overlay);
        let later = changed.policy();
        let (start, end) = (world.facts.at, world.facts.at);
        let recording = Recording { facts: &world.facts, policy: &policy, purposes: &purposes, start, end };
        let before = fate(&recording, &History::default()).expect("bounded");
        let history = History { later: vec![(at, &later)], ..History::default() };
        let after = fate(&recording, &history).expect("bounded");
        for (purpose, fate) in &after.purposes {
            let earlier = &before.purposes[purpose];
            // Where a minimum decides alone, a maximum after it gives time until then.
            prop_assert!(earlier.dates.not_before.is_some() || fate.dates.delete_by <= earlier.dates.delete_by);
            prop_assert!(fate.dates.not_before >= earlier.dates.not_before);
            if earlier.dates.scheduled <= Some(at) {
                prop_assert_eq!(fate.dates, earlier.dates, "what is due stays as it is");
            }
        }
    }

    #[test]
    fn draws_keep_their_bound_at_every_moment(
        rate in 0..=1000_u16,
        calls in prop::collection::vec((0..4_u8, 0..1_000_000_u32), 0..400),
    ) {
        let mut tally = Tally::default();
        for (stratum, draw) in calls {
            let draw: Draw = format!("0.{draw:06}").parse().expect("a draw");
            tally.count(rate, &stratum.to_string(), Some(&draw));
            prop_assert!(tally.total.within(rate));
            prop_assert!(tally.strata.values().all(|count| count.within(rate)));
        }
    }

    /// With one stratum every window has its recording, whatever is drawn.
    #[test]
    fn draws_reach_their_rate(rate in 1..=1000_u16, draws in prop::collection::vec(0..1_000_u32, 1..300)) {
        let mut tally = Tally::default();
        for draw in &draws {
            let draw: Draw = format!("0.{draw:03}").parse().expect("a draw");
            tally.count(rate, "", Some(&draw));
        }
        prop_assert!(tally.total.recorded >= u64::from(rate) * draws.len() as u64 / 1000);
    }

    #[test]
    fn scopes_and_facts_survive_being_written_down(world in world()) {
        let mut facts = world.facts;
        facts.legs[0].objected = Some(Scope::All);
        let text = serde_json::to_string(&facts).expect("JSON");
        prop_assert_eq!(Facts::from_json(&text).expect("facts"), facts);
    }

    #[test]
    fn a_hold_is_in_force_from_its_beginning_to_its_release(hold in world::hold(), at in world::later()) {
        let LegalHold { from, release } = hold;
        prop_assert_eq!(hold.is_in_force(at), from <= at && release.is_none_or(|release| at < release));
    }
}

impl World {
    fn policy(&self) -> temoin_core::policy::Policy {
        self.load().unwrap_or_else(|findings| panic!("{findings:?}\n{self:#?}"))
    }
}
