//! What the policy itself says, for the papers. Names of agents and exempt numbers stay in the policy: papers are handed
//! on, and a count is enough.

use std::collections::BTreeMap;

use super::Phrases;
use super::fill::{Context, Row, Rows, Value};
use super::law::Case;
use crate::policy::{Agent, Campaign, Exception, Line, Policy, Prompt, filled_in, real_number, telling};
use crate::words::*;

/// The European Economic Area, by ISO 3166.
const EEA: [&str; 30] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT",
    "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// Puts down what the policy says.
pub(super) fn put(context: &mut Context, policy: &Policy, cases: &[Case<'_>], phrases: &Phrases) {
    let site = policy.site();
    let file = &site.prerequisites;
    let open = |what: &'static str| phrases.say("open", what);
    let agents = site.agents.values();
    let informed = agents.clone().filter(|agent| agent.notice.is_some()).count();
    let exempt = &site.exempt;
    context.values.extend([
        ("site", Value::of(Some(&site.name), open("site"))),
        ("zone", site.zone.name().into()),
        ("controller", Value::of(Some(&site.controller.name), open("controller"))),
        ("contact", Value::of(Some(&site.controller.contact), open("contact"))),
        ("dpo", Value::of(site.controller.dpo.as_deref(), open("dpo"))),
        ("authority", Value::of(site.controller.authority.as_deref(), open("authority"))),
        ("register_entry", Value::of(file.register_entry.as_deref(), open("register_entry"))),
        ("dpia", Value::of(file.dpia.as_deref(), open("dpia"))),
        ("no_other_proof", Value::of(file.no_other_proof.as_deref(), open("no_other_proof"))),
        ("council", council(policy, phrases)),
        ("agents", site.agents.len().into()),
        ("informed", informed.into()),
        ("exempt", (exempt.extensions.len() + exempt.agents.len() + exempt.numbers.len()).into()),
    ]);
    let markets = || site.lines.values().flat_map(|line| &line.markets);
    let countries =
        || markets().map(Territory::country).chain(site.agents.values().map(|a| a.country.country()));
    let gdpr = countries().any(|country| EEA.contains(&country) || country == "GB");
    context.flags.extend([
        ("france", countries().any(|country| country == "FR")),
        ("gdpr", gdpr),
        ("campaigns", !site.campaigns.is_empty()),
        ("exceptions", !site.exceptions.is_empty()),
    ]);
    let named: Vec<_> = site.agents.values().collect();
    context.tables.extend([
        ("line", Rows::Known(site.lines.values().map(|line| line_row(line, phrases)).collect())),
        ("prompt", Rows::Known(prompts(policy, cases, phrases))),
        ("step", Rows::Known(steps(policy, phrases))),
        ("caller_key", Rows::Known(keys(policy, false, phrases))),
        ("agent_key", Rows::Known(keys(policy, true, phrases))),
        ("campaign", Rows::Known(site.campaigns.values().map(|c| campaign_row(c, phrases)).collect())),
        ("exception", Rows::Known(site.exceptions.values().map(|e| exception_row(e, phrases)).collect())),
        ("country", Rows::Known(by_country(&named, phrases))),
        ("transfer", Rows::Known(transfers(policy, cases, gdpr, phrases))),
        ("role", roles(policy, phrases)),
    ]);
}

fn council(policy: &Policy, phrases: &Phrases) -> Value {
    let council = &policy.site().prerequisites.works_council;
    match (telling(&council.none), council.consulted, telling(&council.minutes)) {
        (Some(reason), None, None) => phrases.with("phrase", "no-council", &[reason]).into(),
        (None, Some(day), Some(minutes)) => {
            phrases.with("phrase", "consulted", &[&phrases.date(day), minutes]).into()
        }
        _ => Value::Open(phrases.say("open", "council").to_owned()),
    }
}

fn line_row(line: &Line, phrases: &Phrases) -> Row {
    let real: Option<Vec<&str>> = line.numbers.iter().map(|number| real_number(number)).collect();
    let open = || Value::Open(phrases.with("open", "numbers", &[&line.name]));
    let numbers = real.map_or_else(open, |numbers| phrases.list(numbers).into());
    Row::from([
        ("name", (&*line.name).into()),
        ("numbers", numbers),
        ("markets", phrases.list(line.markets.iter().map(|market| phrases.territory(market))).into()),
        ("purposes", phrases.list(line.purposes.iter().map(|p| phrases.say("purpose", p.as_str()))).into()),
        ("zone", line.zone.name().into()),
        (
            "sectors",
            if line.sectors.is_empty() { "–".to_owned() } else { phrases.list(&line.sectors) }.into(),
        ),
    ])
}

fn prompts(policy: &Policy, cases: &[Case<'_>], phrases: &Phrases) -> Vec<Row> {
    let lines = policy.site().lines.values();
    let prompts = lines.flat_map(|line| line.prompts.iter().map(move |prompt| (line, prompt)));
    let row = |(line, prompt): (&Line, &Prompt)| {
        let text = match &prompt.text {
            Some(text) => spoken(text, policy, line, prompt, cases).into(),
            None if prompt.says.is_empty() => Value::Open(phrases.with("open", "text", &[&prompt.version])),
            None => {
                let says = phrases.list(prompt.says.iter().map(|says| phrases.say("element", says.as_str())));
                phrases.with("phrase", "audio-says", &[&says]).into()
            }
        };
        Row::from([
            ("line", (&*line.name).into()),
            ("language", language(&prompt.language, phrases).into()),
            ("version", (&*prompt.version).into()),
            (
                "purposes",
                phrases.list(prompt.purposes.iter().map(|p| phrases.say("purpose", p.as_str()))).into(),
            ),
            ("text", text),
        ])
    };
    prompts.map(row).collect()
}

fn language(code: &str, phrases: &Phrases) -> String {
    match code.get(..2).map(|two| phrases.say("language", two)) {
        Some(name) if name != code => format!("{name} ({code})"),
        _ => code.to_owned(),
    }
}

/// An announcement as callers hear it: its placeholders filled in, in its own language where we speak it.
fn spoken(text: &str, policy: &Policy, line: &Line, prompt: &Prompt, cases: &[Case<'_>]) -> String {
    let controller = &policy.site().controller;
    let digits = |function| prompt.keys.digits(function).map(ToString::to_string);
    let ours =
        super::Language::ALL.into_iter().find(|language| prompt.language.get(..2) == Some(language.code()));
    let words = ours.map(Phrases::of);
    let purposes = words.map(|w| w.list(prompt.purposes.iter().map(|p| w.say("purpose", p.as_str()))));
    let kept = words.and_then(|w| {
        let of_line =
            cases.iter().filter(|case| case.line.name == line.name && prompt.purposes.contains(case.purpose));
        let periods: std::collections::BTreeSet<String> =
            of_line.map(|case| case.kept(w)).collect::<Option<_>>()?;
        Some(w.list(periods))
    });
    let known = [
        ("{controller}", filled_in(&controller.name).map(str::to_owned)),
        ("{contact}", filled_in(&controller.contact).map(str::to_owned)),
        ("{authority}", controller.authority.clone()),
        ("{object}", digits(Function::Object)),
        ("{accept}", digits(Function::Accept)),
        ("{info}", digits(Function::Info)),
        ("{purposes}", purposes),
        ("{retention}", kept),
    ];
    // One pass, so that nothing that is put in is looked at again.
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (plain, hole) = rest.split_at(at);
        out.push_str(plain);
        let found = known
            .iter()
            .find_map(|(name, value)| Some((*name, value.as_ref()?)).filter(|_| hole.starts_with(name)));
        let (name, value) = found.map_or(("{", "{"), |(name, value)| (name, value.as_str()));
        out.push_str(value);
        rest = &hole[name.len()..];
    }
    out + rest
}

fn steps(policy: &Policy, phrases: &Phrases) -> Vec<Row> {
    let lines = policy.site().lines.values();
    let prompts = lines.flat_map(|line| line.prompts.iter().map(move |prompt| (line, prompt)));
    let rows = prompts.flat_map(|(line, prompt)| {
        prompt.steps.iter().map(move |(purpose, text)| {
            Row::from([
                ("line", (&*line.name).into()),
                ("language", language(&prompt.language, phrases).into()),
                ("purpose", phrases.say("purpose", purpose.as_str()).into()),
                ("text", text.as_str().into()),
            ])
        })
    });
    rows.collect()
}

/// What keys of agents, or of callers, do: each function and key once, with its lines.
fn keys(policy: &Policy, agents: bool, phrases: &Phrases) -> Vec<Row> {
    let mut lines: BTreeMap<(Function, &str), Vec<&str>> = BTreeMap::new();
    for line in policy.site().lines.values() {
        for function in Function::ALL.iter().filter(|function| function.is_agents() == agents) {
            if let Some(digits) = line.keys.digits(*function) {
                lines.entry((*function, digits)).or_default().push(&line.name);
            }
        }
    }
    let row = |((function, digits), lines): ((Function, &str), Vec<&str>)| {
        Row::from([
            ("function", phrases.say("function", function.as_str()).into()),
            ("digits", digits.into()),
            ("lines", phrases.list(lines).into()),
        ])
    };
    lines.into_iter().map(row).collect()
}

fn campaign_row(campaign: &Campaign, phrases: &Phrases) -> Row {
    let named =
        |word: &str, names: &[std::sync::Arc<str>]| phrases.with("phrase", word, &[&phrases.list(names)]);
    let targets: Vec<String> = [
        campaign.lines.as_deref().map(|lines| named("lines", lines)),
        campaign.queues.as_deref().map(|queues| named("queues", queues)),
        // Who is a matter of the policy; a paper that is handed on does not single anybody out.
        campaign.agents.as_ref().map(|agents| phrases.with("phrase", "agents", &[&agents.len().to_string()])),
        campaign.direction.map(|direction| phrases.say("direction", direction.as_str()).to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let daily = campaign.daily.map(|daily| {
        let clock = |time: jiff::civil::Time| format!("{:02}:{:02}", time.hour(), time.minute());
        phrases.with("phrase", "daily", &[&clock(daily.from), &clock(daily.until)])
    });
    let until = campaign.until.map(|until| phrases.bound(until));
    Row::from([
        ("name", (&*campaign.name).into()),
        ("purpose", phrases.say("purpose", campaign.purpose.as_str()).into()),
        ("from", phrases.bound(campaign.from).into()),
        ("until", Value::of(until.as_deref(), &phrases.with("open", "until", &[&campaign.name]))),
        ("rate", phrases.rate(campaign.rate.into()).into()),
        (
            "targets",
            if targets.is_empty() {
                phrases.say("phrase", "all-lines").to_owned()
            } else {
                targets.join(" ; ")
            }
            .into(),
        ),
        ("daily", daily.unwrap_or_else(|| "–".to_owned()).into()),
        ("stratify", phrases.say("stratify", campaign.stratify.as_str()).into()),
        (
            "necessity",
            Value::of(campaign.necessity.as_deref(), &phrases.with("open", "necessity", &[&campaign.name])),
        ),
    ])
}

fn exception_row(exception: &Exception, phrases: &Phrases) -> Row {
    let approved = exception.approved.iter().filter(|(who, _)| exception.approved_by(**who));
    let approved: Vec<String> = approved
        .map(|(who, text)| {
            phrases.with("phrase", "approved-by", &[phrases.say("approver", who.as_str()), text])
        })
        .collect();
    let open = |what: &str| phrases.with("open", what, &[&exception.name]);
    Row::from([
        ("name", (&*exception.name).into()),
        ("purpose", phrases.say("purpose", exception.purpose.as_str()).into()),
        ("from", phrases.bound(exception.from).into()),
        ("until", phrases.bound(exception.until).into()),
        ("rate", phrases.rate(exception.rate.into()).into()),
        ("reason", exception.reason.as_str().into()),
        ("requested_by", Value::of(exception.requested_by.as_deref(), &open("requested_by"))),
        ("approved", Value::of(Some(&approved.join(" ; ")), &open("approved"))),
    ])
}

fn by_country(agents: &[&Agent], phrases: &Phrases) -> Vec<Row> {
    let mut countries: BTreeMap<&Territory, (usize, usize, usize)> = BTreeMap::new();
    for agent in agents {
        let (all, informed, consented) = countries.entry(&agent.country).or_default();
        *all += 1;
        *informed += usize::from(agent.notice.is_some());
        *consented += usize::from(agent.consent.is_some());
    }
    let row = |(country, (all, informed, consented)): (&Territory, (usize, usize, usize))| {
        Row::from([
            ("name", phrases.territory(country).into()),
            ("agents", all.into()),
            ("informed", informed.into()),
            ("missing", (all - informed).into()),
            ("consented", consented.into()),
        ])
    };
    countries.into_iter().map(row).collect()
}

/// Every country outside the Area in which agents work, or for which the policy names an instrument.
fn transfers(policy: &Policy, cases: &[Case<'_>], gdpr: bool, phrases: &Phrases) -> Vec<Row> {
    let site = policy.site();
    let working = site.agents.values().map(|agent| agent.country.country());
    let outside = working.filter(|country| gdpr && !EEA.contains(country) && *country != "ZZ");
    let asked = cases.iter().flat_map(|case| case.transfers()).map(Territory::country);
    let named = site.prerequisites.transfers.keys().map(Territory::country);
    let countries: std::collections::BTreeSet<&str> = outside.chain(asked).chain(named).collect();
    let row = |country: &str| {
        let territory = Territory::parse(country).unwrap_or_else(Territory::unknown);
        let name = phrases.territory(&territory);
        let instrument = site.prerequisites.transfers.get(country);
        let said = instrument.map(|instrument| phrases.say("instrument", instrument.as_str()));
        Row::from([
            ("instrument", Value::of(said, &phrases.with("open", "instrument", &[&name]))),
            (
                "stands",
                phrases
                    .say("paper", if instrument.is_some_and(|i| i.stands()) { "yes" } else { "no" })
                    .into(),
            ),
            ("country", name.into()),
        ])
    };
    countries.into_iter().map(row).collect()
}

fn roles(policy: &Policy, phrases: &Phrases) -> Rows {
    let roles = &policy.site().roles;
    if roles.is_empty() {
        return Rows::Open(phrases.say("open", "roles").to_owned());
    }
    let row = |(name, purposes): (&std::sync::Arc<str>, &Vec<Purpose>)| {
        Row::from([
            ("name", (&**name).into()),
            ("purposes", phrases.list(purposes.iter().map(|p| phrases.say("purpose", p.as_str()))).into()),
        ])
    };
    Rows::Known(roles.iter().map(row).collect())
}
