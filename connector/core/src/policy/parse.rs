//! Reading a site policy (`FORMAT.md`, section 2). Only form is checked here: what bars it from deciding anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Time;

use super::site::*;
use crate::document::{Document, Node, Table, is_language};
use crate::finding::Findings;
use crate::pack::{RateCap, Retention, Rule};
use crate::time::Zone;
use crate::words::*;

/// The policy of a file, or `None` with the reasons among the findings.
pub(crate) fn parse(document: &Document<'_>, findings: &Findings) -> Option<Site> {
    let faults_before = findings.count();
    let site = read_site(document.root(findings));
    if findings.count() == faults_before { site } else { None }
}

fn read_site(t: Table<'_>) -> Option<Site> {
    let name = t.required("site").and_then(|n| n.text()).map(str::to_owned);
    let zone = t.required("timezone").and_then(|n| n.zone());
    let controller = t.required("controller").and_then(|n| read_controller(n.table()?));
    let purposes = t.required("purposes").and_then(|n| n.filled_list(Node::purpose));
    let overlays = t.optional("overlays").and_then(|n| n.list(Node::pack_id)).unwrap_or_default();
    let defaults = LineDefaults {
        zone: zone.clone().or_else(|| Zone::named("UTC"))?,
        purposes: purposes.clone().unwrap_or_default(),
    };
    let lines = t.required("lines").map(|n| read_named(&n, |name, t| read_line(name, t, &defaults)));
    let campaigns = t.optional("campaigns").map(|n| read_named(&n, read_campaign));
    let prerequisites = t.optional("prerequisites").and_then(|n| Some(read_prerequisites(n.table()?)));
    let agents = t.optional("agents").map(|n| read_named(&n, |_, t| read_agent(t)));
    let exempt = t.optional("exempt").and_then(|n| Some(read_exempt(n.table()?)));
    let exceptions = t.optional("exceptions").map(|n| read_named(&n, read_exception));
    let roles = t.optional("roles").and_then(|n| Some(read_roles(n.table()?)));
    let tighten = t.optional("tighten").and_then(|n| Some(read_tighten(n.table()?)));
    t.finish();

    Some(Site {
        name: name?,
        zone: zone?,
        controller: controller?,
        purposes: purposes?,
        overlays,
        lines: lines?,
        campaigns: campaigns.unwrap_or_default(),
        prerequisites: prerequisites.unwrap_or_default(),
        agents: agents.unwrap_or_default(),
        exempt: exempt.unwrap_or_default(),
        exceptions: exceptions.unwrap_or_default(),
        roles: roles.unwrap_or_default(),
        tighten: tighten.unwrap_or_default(),
    })
}

/// What a line takes from the site where it says nothing.
struct LineDefaults {
    zone: Zone,
    purposes: Vec<Purpose>,
}

/// A table of named tables.
fn read_named<T>(node: &Node<'_>, read: impl Fn(Arc<str>, Table<'_>) -> Option<T>) -> BTreeMap<Arc<str>, T> {
    let entries = node.table().map(|table| table.entries()).unwrap_or_default();
    let named = |(name, node): (&str, Node<'_>)| {
        let name: Arc<str> = name.into();
        Some((name.clone(), read(name, node.table()?)?))
    };
    entries.into_iter().filter_map(named).collect()
}

fn owned(t: &Table<'_>, key: &'static str) -> Option<String> {
    t.optional(key).and_then(|n| n.text()).map(str::to_owned)
}

fn names(t: &Table<'_>, key: &'static str) -> Option<BTreeSet<Arc<str>>> {
    Some(t.optional(key)?.list(Node::name)?.into_iter().collect())
}

fn read_controller(t: Table<'_>) -> Option<Controller> {
    let name = t.required("name").and_then(|n| n.text());
    let contact = t.required("contact").and_then(|n| n.text());
    let dpo = owned(&t, "dpo");
    let authority = owned(&t, "authority");
    t.finish();
    Some(Controller { name: name?.to_owned(), contact: contact?.to_owned(), dpo, authority })
}

fn read_line(name: Arc<str>, t: Table<'_>, defaults: &LineDefaults) -> Option<Line> {
    let numbers = t.required("numbers").and_then(|n| n.filled_list(Node::number));
    let markets = t.required("markets").and_then(|n| n.filled_list(Node::territory));
    let sectors = t.optional("sectors").and_then(|n| n.list(Node::pack_id)).unwrap_or_default();
    let zone = t.optional("timezone").and_then(|n| n.zone()).unwrap_or_else(|| defaults.zone.clone());
    let outbound = t.optional("outbound").and_then(|n| n.word());
    let purposes = t.optional("purposes").and_then(|n| n.filled_list(Node::purpose));
    let keys = read_keys(&t);
    let prompts = t.required("prompts").and_then(|n| n.table()).map(|table| {
        let named = table.entries().into_iter();
        named.filter_map(|(language, node)| read_prompt(language, &node, &keys)).collect()
    });
    t.finish();
    Some(Line {
        name,
        numbers: numbers?,
        markets: markets?,
        sectors,
        zone,
        outbound,
        purposes: purposes.unwrap_or_else(|| defaults.purposes.clone()),
        keys,
        prompts: prompts?,
    })
}

fn read_keys(t: &Table<'_>) -> Keys {
    let Some(table) = t.optional("keys").and_then(|n| n.table()) else {
        return Keys::default();
    };
    let mut keys = Keys::default();
    for function in Function::ALL {
        if let Some(key) = table.optional(function.as_str()).and_then(|n| read_key(&n, *function)) {
            keys.0.insert(*function, key);
        }
    }
    table.finish();
    keys
}

fn read_key(node: &Node<'_>, function: Function) -> Option<Key> {
    let text = node.any_text()?;
    let longest = if function.is_agents() { 4 } else { 1 };
    if let Some(key) = Key::parse(text, longest) {
        Some(key)
    } else if function.is_agents() {
        node.bad("write one to four of 0-9 * #, or \"off\"")
    } else {
        node.bad("write one of 0-9 * #, or \"off\"")
    }
}

fn read_prompt(language: &str, node: &Node<'_>, line_keys: &Keys) -> Option<Prompt> {
    if !is_language(language) {
        node.bad::<()>("name the prompt by its language, such as \"fr\" or \"fr-BE\"");
    }
    let t = node.table()?;
    let version = t.required("version").and_then(|n| n.name());
    let purposes = t.required("purposes").and_then(|n| n.filled_list(Node::purpose));
    let text = owned(&t, "text");
    let says = t.optional("says").and_then(|n| n.list(Node::word)).unwrap_or_default();
    let steps = t.optional("steps").and_then(|n| n.table()).map(|table| {
        let entries = table.entries().into_iter();
        let step =
            |(purpose, node): (&str, Node<'_>)| Some((purpose_key(purpose, &node)?, node.text()?.to_owned()));
        entries.filter_map(step).collect()
    });
    let own_keys = read_keys(&t);
    t.finish();
    Some(Prompt {
        language: language.into(),
        version: version?,
        purposes: purposes?.into_iter().collect(),
        text,
        says: says.into_iter().collect(),
        steps: steps.unwrap_or_default(),
        keys: line_keys.replaced_by(&own_keys),
        own_keys,
    })
}

/// A key that is the name of a purpose.
fn purpose_key(name: &str, node: &Node<'_>) -> Option<Purpose> {
    Purpose::parse(name).or_else(|| node.no_such_purpose(name))
}

fn read_campaign(name: Arc<str>, t: Table<'_>) -> Option<Campaign> {
    let purpose = t.required("purpose").and_then(|n| n.purpose());
    let from = t.required("from").and_then(|n| n.bound());
    let rate = t.required("rate").and_then(|n| n.whole(0..=1000));
    let until = t.optional("until").and_then(|n| n.bound());
    let names = |key| t.optional(key).and_then(|n| n.list(Node::name));
    let (lines, queues, agents) = (names("lines"), names("queues"), names("agents"));
    let direction = t.optional("direction").and_then(|n| n.word());
    let daily = t.optional("daily").and_then(|n| read_daily(&n));
    let necessity = t.optional("necessity").and_then(|n| n.any_text()).map(str::to_owned);
    let stratify = t.optional("stratify").and_then(|n| n.word()).unwrap_or(Stratify::Agent);
    t.finish();
    Some(Campaign {
        name,
        purpose: purpose?,
        from: from?,
        until,
        rate: rate?,
        lines,
        queues,
        agents,
        direction,
        daily,
        necessity,
        stratify,
    })
}

fn read_daily(node: &Node<'_>) -> Option<Daily> {
    let text = node.any_text()?;
    let window = text.split_once('-').and_then(|(from, until)| Some((clock(from)?, clock(until)?)));
    match window {
        Some((from, until)) if from != until => Some(Daily { from, until }),
        Some(_) => node.bad("the window is empty: write two different times"),
        None => node.bad("write two local times from 00:00 to 23:59, such as \"09:00-18:00\""),
    }
}

/// `HH:MM`
fn clock(text: &str) -> Option<Time> {
    let [h1, h2, b':', m1, m2] = text.as_bytes() else {
        return None;
    };
    let number = |tens: &u8, ones: &u8| {
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| ((tens - b'0') * 10 + (ones - b'0')) as i8)
    };
    Time::new(number(h1, h2)?, number(m1, m2)?, 0, 0).ok()
}

fn read_prerequisites(t: Table<'_>) -> Prerequisites {
    let text = |key| t.optional(key).and_then(|n| n.any_text()).map(str::to_owned);
    let prerequisites = Prerequisites {
        register_entry: text("register_entry"),
        dpia: text("dpia"),
        no_other_proof: text("no_other_proof"),
        works_council: t
            .optional("works_council")
            .and_then(|n| Some(read_works_council(n.table()?)))
            .unwrap_or_default(),
        transfers: t.optional("transfers").and_then(|n| Some(read_transfers(n.table()?))).unwrap_or_default(),
    };
    t.finish();
    prerequisites
}

fn read_works_council(t: Table<'_>) -> WorksCouncil {
    let council = WorksCouncil {
        consulted: t.optional("consulted").and_then(|n| n.date()),
        minutes: t.optional("minutes").and_then(|n| n.any_text()).map(str::to_owned),
        none: t.optional("none").and_then(|n| n.telling_text()).map(str::to_owned),
    };
    t.finish();
    council
}

fn read_transfers(t: Table<'_>) -> BTreeMap<Territory, Instrument> {
    let transfer = |(country, node): (&str, Node<'_>)| {
        let country = Territory::parse(country)
            .filter(Territory::is_country)
            .or_else(|| node.bad("name a country by its two letters"));
        Some((country?, node.word()?))
    };
    t.entries().into_iter().filter_map(transfer).collect()
}

fn read_agent(t: Table<'_>) -> Option<Agent> {
    let country = t.required("country").and_then(|n| n.territory());
    let notice = t.optional("notice").and_then(|n| n.date());
    let consent = t.optional("consent").and_then(|n| n.date());
    t.finish();
    Some(Agent { country: country?, notice, consent })
}

fn read_exempt(t: Table<'_>) -> Exempt {
    let exempt = Exempt {
        extensions: names(&t, "extensions").unwrap_or_default(),
        agents: names(&t, "agents").unwrap_or_default(),
        numbers: t
            .optional("numbers")
            .and_then(|n| n.list(Node::number))
            .map(|numbers| numbers.into_iter().collect())
            .unwrap_or_default(),
    };
    t.finish();
    exempt
}

fn read_exception(name: Arc<str>, t: Table<'_>) -> Option<Exception> {
    let purpose = t.required("purpose").and_then(|n| n.purpose());
    let rate = t.required("rate").and_then(|n| n.whole(0..=1000));
    let from = t.required("from").and_then(|n| n.bound());
    let until = t.required("until").and_then(|n| n.bound());
    let reason = t.required("reason").and_then(|n| n.text()).map(str::to_owned);
    let requested_by = owned(&t, "requested_by");
    let approved = t.optional("approved").and_then(|n| n.table()).map(|table| {
        let approvals = Approver::ALL.iter().filter_map(|who| Some((*who, owned(&table, who.as_str())?)));
        let approvals: BTreeMap<_, _> = approvals.collect();
        table.finish();
        approvals
    });
    t.finish();
    Some(Exception {
        name,
        purpose: purpose?,
        rate: rate?,
        from: from?,
        until: until?,
        reason: reason?,
        requested_by,
        approved: approved.unwrap_or_default(),
    })
}

/// The roles that mean something by themselves, and cannot be given another meaning.
const BUILT_IN_ROLES: [&str; 3] = ["legal", "subject", "regulator"];

fn read_roles(t: Table<'_>) -> BTreeMap<Arc<str>, Vec<Purpose>> {
    let role = |(name, node): (&str, Node<'_>)| {
        if BUILT_IN_ROLES.contains(&name) {
            return node.bad("this role is built in: choose another name");
        }
        Some((Arc::from(name), node.list(Node::purpose)?))
    };
    t.entries().into_iter().filter_map(role).collect()
}

/// What the site asks of itself, as rules beside those of the packs. Its maximum is hard.
fn read_tighten(t: Table<'_>) -> BTreeMap<Purpose, Rule> {
    let rule = |(name, node): (&str, Node<'_>)| {
        let purpose = purpose_key(name, &node);
        let t = node.table()?;
        let gate = t.optional("gate").and_then(|n| n.word());
        let rate_max: Option<u16> = t.optional("rate_max").and_then(|n| n.whole(0..=1000));
        let max = t.optional("max").and_then(|n| n.period());
        t.finish();
        let purpose = purpose?;
        let plain = Rule::neutral(name, format!("site/tighten.{purpose}"), Facet::Sector);
        let rule = Rule {
            purposes: BTreeSet::from([purpose.clone()]),
            gate: gate.unwrap_or(plain.gate),
            rate: rate_max.map(|max| RateCap {
                max,
                exception_max: None,
                exception_days: None,
                exception_needs: BTreeSet::new(),
            }),
            retention: Retention { max, hard_max: max.map(|_| true), ..Retention::default() },
            ..plain
        };
        Some((purpose, rule))
    };
    t.entries().into_iter().filter_map(rule).collect()
}
