use super::*;
use crate::number::E164;
use crate::pack::shipped;
use crate::register::{DoNotCall, RegisterKey, Source, Subject, Withdrawal};

const NUMBER: &str = "+33199001234";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-21T09:00:00Z")
}

/// A French line with an errand, or none.
fn policy(outbound: &str) -> Policy {
    let text = include_str!("../../../../../examples/policies/french-call-centre.toml");
    let text = text.replace("[lines.accueil]\n", &format!("[lines.accueil]\n{outbound}\n"));
    Policy::load(("policy.toml", &text), shipped()).unwrap()
}

fn said(subject: Subject, from: &str, until: Option<&str>) -> Entry {
    let number = E164::parse(NUMBER).unwrap();
    Entry::new(&RegisterKey::new([1; 32]), &number, subject, (at(from), until.map(at)), now())
}

fn yes_to(to: ConsentTo, from: &str) -> Entry {
    let consent = Consent { to, how: "paper".into(), text: None, evidence: None, line: None, campaign: None };
    said(Subject::Consent(consent), from, None)
}

fn yes(from: &str) -> Entry {
    yes_to(ConsentTo::Marketing, from)
}

fn no(source: Source, selling_only: bool) -> Entry {
    said(Subject::DoNotCall(DoNotCall { source, selling_only }), "2026-10-01T00:00:00Z", None)
}

fn list() -> Source {
    Source::List("bloctel".into())
}

fn ask(policy: &Policy, number: &str, at: Timestamp, entries: &[Entry]) -> Verdict {
    let line = policy.line("accueil").unwrap();
    judge(policy, &Asked { line, number, errand: None, campaign: None, at }, entries)
}

fn dial(outbound: &str, entries: &[Entry]) -> Dial {
    ask(&policy(outbound), NUMBER, now(), entries).dial
}

#[test]
fn selling_to_consumers_in_france_needs_a_prior_consent_since_august_2026() {
    let policy = policy("outbound = \"marketing\"");
    let before = at("2026-08-10T21:59:59Z");
    assert_eq!(ask(&policy, NUMBER, before, &[]).dial, Dial::May(Grant::NotNeeded));
    let first_instant = at("2026-08-10T22:00:00Z");
    let verdict = ask(&policy, NUMBER, first_instant, &[]);
    assert_eq!(verdict.dial, Dial::MustNot(Bar::NoConsent));
    let law = verdict.because.iter().find_map(|because| match because {
        Because::Law { rule, sources, .. } => Some((rule.as_str(), sources[0].as_str())),
        _ => None,
    });
    let (rule, source) = law.unwrap();
    assert!(rule == "fr/calling" && source.contains("L223-1"), "{verdict:?}");

    let consent = yes("2026-09-01T00:00:00Z");
    let verdict = ask(&policy, NUMBER, now(), std::slice::from_ref(&consent));
    assert_eq!((verdict.dial, verdict.consent), (Dial::May(Grant::Consented), Some(consent.id)));
    assert!(verdict.because.iter().any(|b| matches!(b, Because::Entry { id, .. } if *id == consent.id)));
    // As dialled at home, it is the same number.
    assert_eq!(ask(&policy, "01 99 00 12 34", now(), &[]).dial, Dial::MustNot(Bar::NoConsent));
}

#[test]
fn a_consent_counts_only_while_it_stands_and_for_what_it_was_given() {
    let outbound = "outbound = \"marketing\"";
    let refused = Dial::MustNot(Bar::NoConsent);
    assert_eq!(dial(outbound, &[yes("2026-11-21T09:00:01Z")]), refused, "given later");
    let mut withdrawn = yes("2026-09-01T00:00:00Z");
    withdrawn.withdraw(Withdrawal { at: now(), how: "call".into() });
    assert_eq!(dial(outbound, &[withdrawn]), refused);
    assert_eq!(dial(outbound, &[yes_to(ConsentTo::Recording(Scope::All), "2026-09-01T00:00:00Z")]), refused);
    let limited = |line: Option<&str>, campaign: Option<&str>| {
        let (line, campaign) = (line.map(str::to_owned), campaign.map(str::to_owned));
        let to = ConsentTo::Marketing;
        let consent = Consent { to, how: "paper".into(), text: None, evidence: None, line, campaign };
        said(Subject::Consent(consent), "2026-09-01T00:00:00Z", Some("2026-12-01T00:00:00Z"))
    };
    assert_eq!(dial(outbound, &[limited(Some("other"), None)]), refused);
    assert_eq!(dial(outbound, &[limited(Some("accueil"), None)]), Dial::May(Grant::Consented));
    let policy = policy(outbound);
    let line = policy.line("accueil").unwrap();
    let asked = |campaign, at| Asked { line, number: NUMBER, errand: None, campaign, at };
    let entries = [limited(None, Some("spring"))];
    let judged = |campaign, at| judge(&policy, &asked(campaign, at), &entries).dial;
    assert_eq!(judged(None, now()), refused);
    assert_eq!(judged(Some("autumn"), now()), refused);
    assert_eq!(judged(Some("spring"), now()), Dial::May(Grant::Consented));
    assert_eq!(judged(Some("spring"), at("2026-12-01T00:00:00Z")), refused, "its end is exclusive");
}

#[test]
fn what_is_not_selling_to_consumers_needs_none() {
    for errand in ["contract", "business", "service"] {
        assert_eq!(dial(&format!("outbound = \"{errand}\""), &[]), Dial::May(Grant::NotNeeded), "{errand}");
    }
    let verdict = ask(&policy(""), NUMBER, now(), &[]);
    assert_eq!((verdict.dial, verdict.because), (Dial::May(Grant::NotNeeded), vec![Because::LineSilent]));
}

#[test]
fn who_is_not_to_be_called_is_not_called_by_those_it_is_about() {
    let barred = Dial::MustNot(Bar::DoNotCall);
    let (old, new) = (yes("2026-09-01T00:00:00Z"), yes("2026-11-01T00:00:00Z"));
    for (outbound, entry, wanted) in [
        ("marketing", no(Source::Request, true), barred),
        ("contract", no(Source::Request, true), barred),
        ("business", no(Source::Own, true), barred),
        ("service", no(Source::Request, true), Dial::May(Grant::NotNeeded)),
        ("service", no(Source::Request, false), barred),
        ("marketing", no(list(), true), barred),
        ("contract", no(list(), true), Dial::May(Grant::NotNeeded)),
        ("business", no(list(), true), Dial::May(Grant::NotNeeded)),
        ("service", no(list(), true), Dial::May(Grant::NotNeeded)),
    ] {
        let outbound = format!("outbound = \"{outbound}\"");
        assert_eq!(dial(&outbound, std::slice::from_ref(&entry)), wanted, "{outbound} {entry:?}");
    }
    // Who asked not to be called goes before what he said earlier, not before what he says later.
    let marketing = "outbound = \"marketing\"";
    assert_eq!(dial(marketing, &[old.clone(), no(Source::Request, true)]), barred);
    assert_eq!(dial(marketing, &[new, no(Source::Request, true)]), Dial::May(Grant::Consented));
    // What was said to one trader goes before a list that is for all.
    assert_eq!(dial(marketing, &[old, no(list(), true)]), Dial::May(Grant::Consented));
    // Where nobody says what for, everything counts.
    for entry in [no(list(), true), no(Source::Request, true), no(Source::Own, false)] {
        assert_eq!(dial("", &[entry]), barred);
    }
}

#[test]
fn what_is_nobodys_number_may_be_dialled_and_what_cannot_be_read_may_not() {
    let policy = policy("outbound = \"marketing\"");
    for short in ["112", "15", "3949", "*98", "2001"] {
        assert_eq!(ask(&policy, short, now(), &[]).dial, Dial::May(Grant::NoSubscriber), "{short}");
    }
    for odd in ["+331", "", "019900", "+33", "anonymous", "0199001234567890", "٠١٩٩٠٠١٢٣٤", "\0"] {
        let dial = ask(&policy, odd, now(), &[]).dial;
        assert!(matches!(dial, Dial::MustNot(_) | Dial::May(Grant::NoSubscriber)), "{odd:?}");
        assert!(odd.len() < 7 || dial == Dial::MustNot(Bar::Unreadable), "{odd:?} {dial:?}");
    }
}

#[test]
fn where_no_pack_speaks_of_calls_a_consent_is_asked_for() {
    let policy = policy("outbound = \"business\"");
    // Germany's pack does not speak of calls, and no pack is Australia's: the default's does.
    for number in ["+493023125123", "+61270100123"] {
        let verdict = ask(&policy, number, now(), &[]);
        assert_eq!(verdict.dial, Dial::MustNot(Bar::NoConsent), "{verdict:?}");
        let strict = |b: &Because| matches!(b, Because::Law { rule, .. } if rule == "default-strict/calling");
        assert!(verdict.because.iter().any(strict), "{verdict:?}");
    }
    let text = include_str!("../../../../../examples/policies/french-call-centre.toml");
    let none: Vec<_> = shipped().iter().filter(|(name, _)| name.contains("eu-base")).copied().collect();
    let bare = Policy::load(("policy.toml", text), &none).unwrap();
    let line = bare.line("accueil").unwrap();
    let errand = Some(Errand::Marketing);
    let verdict = judge(&bare, &Asked { line, number: NUMBER, errand, campaign: None, at: now() }, &[]);
    assert_eq!(verdict.dial, Dial::MustNot(Bar::NoConsent));
    assert!(matches!(verdict.because[0], Because::NoPack { .. }), "{verdict:?}");
}

#[test]
fn what_somebody_agreed_to_be_recorded_for_comes_beside() {
    let only = |purpose: &str| {
        let purposes = [Purpose::parse(purpose).unwrap()];
        yes_to(ConsentTo::Recording(Scope::Only(purposes.into())), "2026-09-01T00:00:00Z")
    };
    let recording = |entries: &[Entry]| ask(&policy(""), NUMBER, now(), entries).recording;
    assert_eq!(recording(&[yes("2026-09-01T00:00:00Z")]), None);
    let both = recording(&[only("quality"), only("training")]).unwrap();
    assert!(
        both.covers(&Purpose::parse("quality").unwrap()) && both.covers(&Purpose::parse("training").unwrap())
    );
    assert!(!both.covers(&Purpose::parse("complaint").unwrap()));
    let all = yes_to(ConsentTo::Recording(Scope::All), "2026-09-01T00:00:00Z");
    assert_eq!(recording(&[only("quality"), all]), Some(Scope::All));
}

#[test]
fn proof_is_kept_for_its_whole_period() {
    let policy = policy("");
    assert_eq!(proof_period(&policy), Period::Months(60));
    let zone = &policy.site().zone;
    let mut ended = at("2026-02-27T23:30:00Z");
    for _ in 0..800 {
        for period in [Period::Months(1), Period::Months(60), Period::Days(30)] {
            // Not before the period is over, and at the latest a few days after.
            let over = period.end(ended, zone);
            assert!(
                ended > proof_ended_by(period, over - jiff::SignedDuration::from_secs(1), zone),
                "{ended}"
            );
            let late = over + jiff::SignedDuration::from_hours(24 * 5);
            assert!(ended <= proof_ended_by(period, late, zone), "{ended} {period}");
        }
        ended += jiff::SignedDuration::from_hours(25);
    }
}
