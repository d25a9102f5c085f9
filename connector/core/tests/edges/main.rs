//! Where a rule of the decision begins and ends: two calls that differ in one thing, and what must differ with it.
//!
//! The acceptance cases say what is lawful, the properties what holds for all; these stand where a small change to the
//! code would have been noticed by neither.

mod fate;

use serde_json::{Value, json};
use temoin_core::decide::{announcement, decide, stakes};
use temoin_core::facts::Facts;
use temoin_core::policy::Policy;
use temoin_core::words::{Gate, Purpose, Reason, Refusal};

/// A French line for quality, sampled, with an agent in France and two in Germany.
const SITE: &str = r#"
site = "Edges"
timezone = "Europe/Paris"
controller = { name = "X", contact = "x@x.example" }
purposes = ["quality", "contract-proof"]
[lines.l]
numbers = ["+33199000100"]
markets = ["FR"]
sectors = ["trade"]
keys = { object = "1", accept = "2", info = "9" }
[lines.l.prompts.fr]
version = "1"
purposes = ["quality"]
[campaigns.autumn]
purpose = "quality"
from = 2026-09-01
until = 2026-11-30
rate = 200
STRATIFY
[prerequisites]
register_entry = "R"
works_council = { consulted = 2026-01-10, minutes = "M" }
no_other_proof = "N"
[agents]
amel = { country = "FR", notice = 2026-10-06, consent = 2026-10-06 }
anna = { country = "DE" }
dora = { country = "DE", notice = 2026-10-06 }
"#;

/// What is asked of customers, of employees, and by the trade: lines of a rule each, for one purpose each.
#[derive(Clone, Copy, Default)]
struct Law<'a> {
    customer: &'a str,
    employee: &'a str,
    german_employee: &'a str,
    trade: &'a str,
    /// A line of the campaign.
    stratify: &'a str,
}

impl Law<'_> {
    fn policy(self) -> Policy {
        let pack = |id: &str, head: &str, rules: &[(&str, &str, &str)]| {
            let dates = "valid_from = 2026-01-01\nreviewed_on = 2026-01-01\nreview_due = 2026-12-31";
            let source = "[sources.s]\ncite = \"invented\"\nkind = \"law\"\nconfidence = \"verified\"";
            let mut text = format!(
                "pack = \"{id}\"\nversion = \"1.0.0\"\nstatus = \"current\"\n{dates}\n{head}\n{source}\n"
            );
            for (facet, purpose, lines) in rules {
                text += &format!(
                    "[rules.{facet}]\nfacet = \"{facet}\"\npurposes = [\"{purpose}\"]\nsources = [\"s\"]\n{lines}\n"
                );
            }
            (format!("{id}.toml"), text)
        };
        let land = |code: &str| format!("kind = \"territory\"\nterritory = [\"{code}\"]");
        let customer = format!("retention = {{ max = \"30 days\" }}\n{}", self.customer);
        let packs = [
            pack("fr", &land("FR"), &[("customer", "*", &customer), ("employee", "*", self.employee)]),
            pack("de", &land("DE"), &[("customer", "*", &customer), ("employee", "*", self.german_employee)]),
            pack(
                "trade",
                "kind = \"sector\"\nterritory = [\"FR\"]",
                &[("sector", "contract-proof", self.trade)],
            ),
        ];
        let packs: Vec<_> = packs.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        Policy::load(("site.toml", &SITE.replace("STRATIFY", self.stratify)), &packs)
            .unwrap_or_else(|findings| panic!("{findings:?}"))
    }
}

/// A French customer who has heard of quality, with an agent, on the sixth of October, drawn.
fn call(agent: &str) -> Value {
    json!({
        "at": "2026-10-06T09:00:00Z", "line": "l", "direction": "inbound",
        "legs": [
            { "id": "c", "kind": "customer", "heard": ["quality"],
              "evidence": [{ "territory": "FR", "source": "crm-address" }] },
            { "id": "a", "kind": "agent", "agent": agent },
        ],
        "sampling": { "draw": 0.05 },
    })
}

/// The same before anybody has answered.
fn waiting() -> Value {
    let mut call = call("amel");
    call["legs"].as_array_mut().expect("legs").pop();
    call
}

fn facts(call: &Value) -> Facts {
    Facts::from_json(&call.to_string()).expect("facts")
}

fn quality() -> Purpose {
    Purpose::parse("quality").expect("a purpose")
}

fn reason(call: &Value, law: Law<'_>) -> Reason {
    decide(&facts(call), &law.policy()).purposes[&quality()].reason
}

fn service(call: &Value, law: Law<'_>) -> Refusal {
    decide(&facts(call), &law.policy()).purposes[&quality()].service
}

#[test]
fn the_call_that_the_edges_are_about_is_recorded() {
    assert_eq!(reason(&call("amel"), Law::default()), Reason::Ok);
}

/// Refusing ends the service where a law demands the recording; where it only permits it, nothing else does.
#[test]
fn what_is_only_permitted_ends_no_service() {
    let permitted = Law { customer: "refusal = \"terminate-call\"", ..Law::default() };
    let mandatory = Law { customer: "refusal = \"terminate-call\"\nduty = \"must\"", ..Law::default() };
    let mut stopped = call("amel");
    stopped["flags"] = json!(["agent-stop"]);
    let mut unheard = call("amel");
    unheard["legs"][0].as_object_mut().expect("a leg").remove("heard");
    let mut private = call("amel");
    private["flags"] = json!(["private"]);
    for (call, because, mandatory_service) in [
        (&stopped, Reason::AgentStop, Refusal::TerminateCall),
        (&unheard, Reason::AnnouncementPending, Refusal::RefuseRegulatedService),
        (&private, Reason::PrivateCall, Refusal::RefuseRegulatedService),
    ] {
        assert_eq!(reason(call, permitted), because);
        assert_eq!(service(call, permitted), Refusal::Continue, "{because}");
        assert_eq!(reason(call, mandatory), because);
        assert_eq!(service(call, mandatory), mandatory_service, "{because}");
    }
}

/// An agent is no outside person: his no counts where everybody must say yes, and nowhere else.
#[test]
fn an_agents_no_counts_only_where_everybody_must_say_yes() {
    let mut objected = call("amel");
    objected["legs"][0]["consented"] = json!(true);
    objected["legs"][1]["objected"] = json!(true);
    for (asked, expected) in [
        ("gate = \"notice\"", Reason::Ok),
        ("gate = \"opt-out\"\nparties = \"all\"", Reason::Ok),
        ("gate = \"opt-in\"", Reason::Ok),
        ("gate = \"opt-in\"\nparties = \"all\"", Reason::Objected),
    ] {
        assert_eq!(reason(&objected, Law { customer: asked, ..Law::default() }), expected, "{asked}");
    }
}

mod told_before_anybody_answers {
    use super::*;

    fn gate(facts: &Facts, law: Law<'_>) -> Option<Gate> {
        announcement(facts, &law.policy()).map(|announce| announce.gate)
    }

    /// Who cannot come in any more asks for nothing: once an agent is there the caller is told for this one.
    #[test]
    fn an_agent_who_is_there_is_the_only_one() {
        let law = Law { german_employee: "gate = \"opt-in\"", ..Law::default() };
        let waiting = waiting();
        assert_eq!(gate(&facts(&waiting), law), Some(Gate::OptIn), "Dora may answer");
        assert_eq!(gate(&facts(&call("amel")), law), Some(Gate::Notice), "Amel has");
    }

    /// Agents of one land differ by what they have signed: the first of them does not stand for the others.
    #[test]
    fn an_agent_who_has_signed_is_heard_of_beside_one_who_has_not() {
        let law = Law {
            german_employee: "gate = \"opt-in\"\nprerequisites = [\"employee-notice\"]",
            ..Law::default()
        };
        for (at, expected) in [
            ("2026-10-05T09:00:00Z", Gate::Notice),
            ("2026-10-06T09:00:00Z", Gate::OptIn),
            ("2026-10-07T09:00:00Z", Gate::OptIn),
        ] {
            let mut waiting = waiting();
            waiting["at"] = json!(at);
            assert_eq!(gate(&facts(&waiting), law), Some(expected), "{at}");
        }
    }
}

mod draws {
    use super::*;

    fn drawn_for(call: &Value, law: Law<'_>) -> Vec<(String, String)> {
        let stakes = stakes(&facts(call), &law.policy());
        stakes.iter().map(|stake| (stake.campaign.to_string(), stake.stratum.to_string())).collect()
    }

    #[test]
    fn no_lot_is_drawn_for_what_the_law_forbids_whatever_the_lot() {
        assert_eq!(drawn_for(&call("amel"), Law::default()).len(), 1);
        for hopeless in ["gate = \"forbidden\"", "duty = \"must-not\""] {
            assert_eq!(
                drawn_for(&call("amel"), Law { employee: hopeless, ..Law::default() }),
                [],
                "{hopeless}"
            );
        }
    }

    /// The share of an agent cannot be drawn from before there is one; any other can.
    #[test]
    fn only_a_share_by_agent_waits_for_the_agent() {
        let mut waiting = waiting();
        waiting["queue"] = json!("sav");
        let mut answered = call("amel");
        answered["queue"] = json!("sav");
        for (stratify, before, after) in [
            ("stratify = \"agent\"", None, "amel"),
            ("stratify = \"queue\"", Some("sav"), "sav"),
            ("stratify = \"none\"", Some(""), ""),
        ] {
            let law = Law { stratify, ..Law::default() };
            let stake = |stratum: &str| ("autumn".to_owned(), stratum.to_owned());
            assert_eq!(
                drawn_for(&waiting, law),
                before.map(stake).into_iter().collect::<Vec<_>>(),
                "{stratify}"
            );
            assert_eq!(drawn_for(&answered, law), [stake(after)], "{stratify}");
        }
    }
}
