//! Generated policies, packs and calls: small enough to meet every rule of the game often.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use temoin_core::decide::Decision;
use temoin_core::facts::{Evidence, Facts, Leg, Sampling, Scope};
use temoin_core::finding::Finding;
use temoin_core::policy::Policy;
use temoin_core::retention::LegalHold;
use temoin_core::talk::Event;
use temoin_core::words::{EvidenceSource, Flag, LegKind, Purpose, Reason, Territory, Word};

const TERRITORIES: [&str; 5] = ["FR", "DE", "US", "US-CA", "MA"];
/// A probability too small to be met; that of zero is refused.
const NEVER: f64 = 1e-9;
const PURPOSES: [&str; 3] = ["quality", "training", "regulated-order"];

/// A policy with its packs, and a call.
#[derive(Clone, Debug)]
pub struct World {
    pub packs: Vec<Pack>,
    overlays: Vec<String>,
    markets: Vec<&'static str>,
    sectors: Vec<&'static str>,
    with_dpia: bool,
    exempt_agents: Vec<String>,
    pub facts: Facts,
}

/// A pack as text, head and rules apart.
#[derive(Clone, Debug)]
pub struct Pack {
    id: String,
    head: String,
    rules: Vec<String>,
}

impl Pack {
    fn text(&self) -> String {
        let dates = "valid_from = 2026-01-01\nreviewed_on = 2026-01-01\nreview_due = 2026-12-31";
        let source = "[sources.s]\ncite = \"invented\"\nkind = \"law\"\nconfidence = \"verified\"";
        let numbered = self.rules.join("\n");
        format!(
            "pack = \"{}\"\nversion = \"1.0.0\"\nstatus = \"current\"\n{dates}\n{}\n{source}\n{numbered}\n",
            self.id, self.head
        )
    }
}

impl World {
    /// Reads the policy and the packs.
    pub fn load(&self) -> Result<Policy, Vec<Finding>> {
        let packs: Vec<_> =
            self.packs.iter().map(|pack| (format!("{}.toml", pack.id), pack.text())).collect();
        let packs: Vec<_> = packs.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        Policy::load(("site.toml", &self.site()), &packs)
    }

    /// The site policy.
    pub fn site(&self) -> String {
        let quoted =
            |names: &[String]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let words = |names: &[&str]| quoted(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let dpia = if self.with_dpia { "dpia = \"D\"" } else { "" };
        format!(
            r#"
site = "Invented"
timezone = "Europe/Paris"
controller = {{ name = "X", contact = "x@x.example" }}
purposes = [{}]
overlays = [{}]
[lines.l]
numbers = ["+33199000100"]
markets = [{}]
sectors = [{}]
keys = {{ object = "1", accept = "2", info = "9", agent_stop = "*9", agent_object = "*8", agent_private = "*7", agent_contract = "*6", agent_told = "*5" }}
[lines.l.prompts.fr]
version = "1"
purposes = ["quality", "training"]
[campaigns.autumn]
purpose = "quality"
from = 2026-09-01
until = 2026-11-30
rate = 500
[campaigns.mornings]
purpose = "training"
from = 2026-10-01
until = 2026-10-31
daily = "08:00-12:00"
rate = 900
agents = ["amel", "dora"]
[prerequisites]
register_entry = "R"
{dpia}
works_council = {{ consulted = 2026-01-10, minutes = "M" }}
no_other_proof = "N"
transfers = {{ MA = "scc" }}
[agents]
amel = {{ country = "FR", notice = 2026-01-11, consent = 2026-01-11 }}
dora = {{ country = "DE", notice = 2026-01-11 }}
salma = {{ country = "MA" }}
[exempt]
agents = [{}]
"#,
            words(&PURPOSES),
            quoted(&self.overlays),
            words(&self.markets),
            words(&self.sectors),
            quoted(&self.exempt_agents),
        )
    }

    /// Writes the rules of every pack in the opposite order.
    pub fn reverse_rules(&mut self) {
        self.packs.iter_mut().for_each(|pack| pack.rules.reverse());
    }

    /// One more overlay for every line.
    pub fn add_overlay(&mut self, overlay: Pack) {
        self.overlays.push(overlay.id.clone());
        self.packs.push(overlay);
    }

    /// One more reason not to record.
    pub fn exclude(&mut self, exclusion: &Exclusion) {
        let count = self.facts.legs.len();
        let leg = |index: usize| index % count.max(1);
        match exclusion {
            Exclusion::Flag(flag) => {
                self.facts.flags.insert(*flag);
            }
            Exclusion::Exempt(index) => self.facts.legs[leg(*index)].exempt = true,
            Exclusion::Objection(index) => self.facts.legs[leg(*index)].objected = Some(Scope::All),
            Exclusion::NoConsent(index) => self.facts.legs[leg(*index)].consented = None,
            Exclusion::Unheard(index) => self.facts.legs[leg(*index)].heard = None,
            Exclusion::NoDraw => self.facts.sampling = Sampling::default(),
            Exclusion::NoDpia => self.with_dpia = false,
            Exclusion::ExemptAgents => {
                self.exempt_agents = ["amel", "dora", "salma"].map(str::to_owned).into()
            }
        }
    }
}

/// Something that can only forbid.
#[derive(Clone, Debug)]
pub enum Exclusion {
    Flag(Flag),
    Exempt(usize),
    Objection(usize),
    NoConsent(usize),
    Unheard(usize),
    NoDraw,
    NoDpia,
    ExemptAgents,
}

pub fn exclusion() -> impl Strategy<Value = Exclusion> {
    let flags =
        vec![Flag::Private, Flag::PaymentActive, Flag::AnsweringMachine, Flag::AgentStop, Flag::OtherProof];
    prop_oneof![
        select(flags).prop_map(Exclusion::Flag),
        (0..3_usize).prop_map(Exclusion::Exempt),
        (0..3_usize).prop_map(Exclusion::Objection),
        (0..3_usize).prop_map(Exclusion::NoConsent),
        (0..3_usize).prop_map(Exclusion::Unheard),
        Just(Exclusion::NoDraw),
        Just(Exclusion::NoDpia),
        Just(Exclusion::ExemptAgents),
    ]
}

/// What a rule asks for besides its facet and purposes, as lines of TOML. A permission without a minimum, a duty or a
/// phase, unless `any`.
fn demands(any: bool) -> impl Strategy<Value = Vec<String>> {
    let often_silent = prop_oneof![
        20 => Just("silent"), 20 => Just("notice"), 24 => Just("opt-out"), 6 => Just("opt-in"), 1 => Just("forbidden"),
    ];
    let days = prop_oneof![Just("3 days"), Just("30 days"), Just("6 months"), Just("1 year")];
    let least = if any { 0.05 } else { NEVER };
    let some = move |share: f64, lines: BoxedStrategy<String>| option::weighted(share, lines);
    let text = |lines: &'static [&'static str]| select(lines).prop_map(str::to_owned).boxed();
    (
        often_silent.prop_map(|gate| format!("gate = \"{gate}\"")),
        some(0.2, text(&["parties = \"all\""])),
        some(0.2, text(&["refusal = \"terminate-call\"", "refusal = \"alternative-channel\""])),
        some(0.4, (0..=1000_u16).prop_map(|max| format!("rate = {{ max = {max} }}")).boxed()),
        some(0.6, days.prop_map(|max| format!("retention = {{ max = {max:?} }}")).boxed()),
        some(
            least,
            text(&["duty = \"must\"", "duty = \"must\"\nobjection = \"not-offered\"", "duty = \"must-not\""]),
        ),
        some(least / 2.0, text(&["phase = \"contract-talk\""])),
        some(
            0.2,
            text(&[
                "prerequisites = [\"dpia\"]",
                "prerequisites = [\"employee-notice\"]",
                "prerequisites = [\"transfer-instrument\"]",
            ]),
        ),
        some(0.2, text(&["announce = [\"controller\", \"accept\"]", "announce = [\"copy\"]"])),
        some(0.3, text(&["campaign_max_days = 30", "campaign_max_days = 92"])),
    )
        .prop_map(|(gate, a, b, c, d, e, f, g, h, i)| {
            std::iter::once(gate).chain([a, b, c, d, e, f, g, h, i].into_iter().flatten()).collect()
        })
}

fn with_minimum(lines: Vec<String>, minimum: Option<&str>) -> Vec<String> {
    let Some(minimum) = minimum else { return lines };
    let mut lines: Vec<_> = lines.into_iter().filter(|line| !line.starts_with("retention")).collect();
    lines.push(format!("retention = {minimum}"));
    lines
}

fn rule(name: String, facet: &'static str, any: bool) -> impl Strategy<Value = String> {
    let purposes = prop_oneof![
        9 => Just("\"*\""), 1 => Just("\"quality\""), 1 => Just("\"regulated-order\""), 1 => Just("\"training\""),
    ];
    let minima =
        vec!["{ min = \"1 year\" }", "{ exact = \"30 days\" }", "{ max = \"10 days\", hard_max = true }"];
    let minimum = option::weighted(if any { 0.1 } else { NEVER }, select(minima));
    (purposes, demands(any), minimum).prop_map(move |(purposes, demands, minimum)| {
        let demands = with_minimum(demands, minimum).join("\n");
        format!(
            "[rules.{name}]\nfacet = \"{facet}\"\npurposes = [{purposes}]\nsources = [\"s\"]\n{demands}\n"
        )
    })
}

fn pack(id: &'static str, head: String, facets: &'static [&'static str]) -> impl Strategy<Value = Pack> {
    let rules: Vec<_> = facets
        .iter()
        .enumerate()
        .map(|(index, facet)| rule(format!("r{index}"), facet, true).boxed())
        .collect();
    rules.prop_map(move |rules| Pack { id: id.to_owned(), head: head.clone(), rules })
}

/// One more overlay that only permits: no duty, no phase, no minimum.
pub fn extra_overlay() -> impl Strategy<Value = Pack> {
    rule("extra".to_owned(), "sector", false).prop_map(|rule| Pack {
        id: "extra".to_owned(),
        head: "kind = \"overlay\"\nnever = [\"voiceprint\"]".to_owned(),
        rules: vec![rule],
    })
}

fn packs() -> impl Strategy<Value = Vec<Pack>> {
    const BOTH: &[&str] = &["customer", "customer", "employee"];
    let territory = |codes: &str, more: &str| format!("kind = \"territory\"\nterritory = [{codes}]\n{more}");
    (
        pack("base", "kind = \"base\"".to_owned(), &["customer", "employee"]),
        pack("strict", "kind = \"default\"".to_owned(), BOTH),
        pack("fr", territory("\"FR\"", "parent = \"base\"\ntimezone = \"Europe/Paris\""), BOTH),
        pack("de", territory("\"DE\"", "parent = \"base\""), BOTH),
        pack("us", territory("\"US\"", "timezone = \"America/New_York\""), BOTH),
        option::weighted(0.5, pack("ca", territory("\"US-CA\"", ""), &["customer"])),
        pack("trade", "kind = \"sector\"\nterritory = [\"FR\", \"DE\"]".to_owned(), &["sector"]),
        pack("card", "kind = \"overlay\"".to_owned(), &["sector"]),
    )
        .prop_map(|(base, strict, fr, de, us, ca, trade, card)| {
            [base, strict, fr, de, us, trade, card].into_iter().chain(ca).collect()
        })
}

fn purposes() -> impl Strategy<Value = BTreeSet<Purpose>> {
    let all = subsequence(PURPOSES.to_vec(), 0..=3);
    prop_oneof![1 => all, 3 => Just(PURPOSES.to_vec())]
        .prop_map(|names| names.into_iter().filter_map(Purpose::parse).collect())
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![Just(Scope::All), purposes().prop_map(Scope::Only)]
}

prop_compose! {
    fn outside_leg(id: &'static str)(
        territory in option::weighted(0.8, select(TERRITORIES.as_slice())),
        source in prop_oneof![4 => Just(EvidenceSource::CrmAddress), 1 => Just(EvidenceSource::MobilePrefix)],
        heard in option::weighted(0.85, purposes()),
        objected in option::weighted(0.1, scope()),
        consented in option::weighted(0.6, scope()),
    ) -> Leg {
        let evidence = territory.and_then(Territory::parse).map(|territory| Evidence { territory, source });
        Leg { evidence: evidence.into_iter().collect(), heard, objected, consented, ..Leg::new(id, LegKind::Customer) }
    }
}

/// The leg of an agent of the policy.
pub fn agent_leg(agent: &str) -> Leg {
    Leg { agent: Some(agent.into()), ..Leg::new("a1", LegKind::Agent) }
}

fn legs() -> impl Strategy<Value = Vec<Leg>> {
    let agents = select(["amel", "amel", "dora", "salma", "nobody"].as_slice());
    let agent = (agents, option::weighted(0.7, scope()), option::of(purposes()))
        .prop_map(|(agent, consented, heard)| Leg { consented, heard, ..agent_leg(agent) });
    let outside = (outside_leg("c1"), option::weighted(0.15, outside_leg("x1")));
    (option::weighted(0.9, outside), agent).prop_map(|(outside, agent)| {
        outside
            .into_iter()
            .flat_map(|(first, second)| std::iter::once(first).chain(second))
            .chain([agent])
            .collect()
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    let flags = prop_oneof![9 => Just(Vec::new()), 1 => subsequence(Flag::ALL.to_vec(), 1..=2)];
    let draw = (0..1000_u32).prop_map(|draw| format!("0.{draw:03}").parse().ok());
    let day = 0..60_i64;
    (legs(), flags, draw, day, 0..86_400_i64, option::of(select(["sav", "ventes"].as_slice()))).prop_map(
        |(legs, flags, draw, day, second, queue)| Facts {
            at: "2026-09-20T00:00:00Z".parse::<Timestamp>().unwrap_or_default()
                + SignedDuration::from_secs(day * 86_400 + second),
            call_start: None,
            line: "l".into(),
            direction: None,
            queue: queue.map(Arc::from),
            language: None,
            legs,
            flags: flags.into_iter().collect(),
            sampling: Sampling { draw, ..Sampling::default() },
        },
    )
}

pub fn world() -> impl Strategy<Value = World> {
    let overlays = option::weighted(0.3, Just("card".to_owned()));
    let markets = subsequence(TERRITORIES.to_vec(), 1..=2);
    let sectors = subsequence(vec!["trade"], 0..=1);
    (packs(), overlays, markets, sectors, prop::bool::weighted(0.85), prop::bool::weighted(0.05), facts())
        .prop_map(|(packs, overlays, markets, sectors, with_dpia, exempt, facts)| World {
            packs,
            overlays: overlays.into_iter().collect(),
            markets,
            sectors,
            with_dpia,
            exempt_agents: exempt.then(|| "amel".to_owned()).into_iter().collect(),
            facts,
        })
}

/// Things that happen in a call of the generated world.
pub fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let leg = || select(["c1", "x1", "a1", "a2"].as_slice()).prop_map(Arc::<str>::from);
    let keys =
        select(["1", "2", "9", "*9", "*8", "*7", "*6", "*5", "#"].as_slice()).prop_map(Arc::<str>::from);
    let some = || option::of(purposes());
    let event = prop_oneof![
        3 => (leg(), purposes()).prop_map(|(leg, purposes)| Event::Announced { leg, purposes }),
        4 => (leg(), keys).prop_map(|(leg, key)| Event::Key { leg, key }),
        1 => (leg(), some()).prop_map(|(leg, purposes)| Event::Object { leg, purposes }),
        1 => (leg(), some()).prop_map(|(leg, purposes)| Event::Withdraw { leg, purposes }),
        2 => (leg(), some()).prop_map(|(leg, purposes)| Event::Consent { leg, purposes }),
        2 => outside_leg("x1").prop_map(|leg| Event::Join { leg }),
        2 => Just(Event::Join { leg: Leg { id: "a2".into(), ..agent_leg("dora") } }),
        2 => leg().prop_map(|leg| Event::Leave { leg }),
        1 => select(Flag::ALL).prop_map(|flag| Event::FlagOn { flag }),
        1 => select(Flag::ALL).prop_map(|flag| Event::FlagOff { flag }),
        1 => Just(Event::PrivateOn),
        1 => Just(Event::PrivateOff),
    ];
    vec((0..20_000_u64, event), 1..12)
}

/// The purposes of a call whose recordings would have dates.
pub fn keepable(decision: &Decision) -> BTreeSet<Purpose> {
    let unkeepable = [Reason::RetentionConflict, Reason::NoBound];
    let dated = decision
        .purposes
        .iter()
        .filter(|(_, verdict)| verdict.reason > Reason::Forbidden && !unkeepable.contains(&verdict.reason));
    dated.map(|(purpose, _)| purpose.clone()).collect()
}

/// An instant within three years after the calls of the generated world.
pub fn later() -> impl Strategy<Value = Timestamp> {
    let begin: Timestamp = "2026-09-20T00:00:00Z".parse().unwrap_or_default();
    (0..95_000_000_i64).prop_map(move |seconds| begin + SignedDuration::from_secs(seconds))
}

pub fn hold() -> impl Strategy<Value = LegalHold> {
    (later(), option::weighted(0.8, 1..20_000_000_i64)).prop_map(|(from, length)| LegalHold {
        from,
        release: length.map(|length| from + SignedDuration::from_secs(length)),
    })
}

pub fn holds() -> impl Strategy<Value = Vec<LegalHold>> {
    vec(hold(), 0..4)
}
