//! `temoin register check`: may this number be called, and what did its owner agree to?

use clap::Args;
use serde_json::json;
use temoin_core::policy::Line;
use temoin_core::register::{Asked, Bar, Because, Dial, Grant, Verdict};
use temoin_core::words::{Errand, PriorConsent, Purpose, Word as _};

use super::{Desk, unavailable, wrong_use};
use crate::cli::{self, Failure, Outcome};

/// What `temoin register check` is told.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The number, with its country's code or as dialled in the country of the line's own numbers.
    number: String,
    /// The line that would call; needed where the policy has several.
    #[arg(long)]
    line: Option<String>,
    /// What for: marketing, contract, business or service; what the line is for unless given.
    #[arg(long = "for", value_name = "ERRAND")]
    errand: Option<String>,
    /// Whether the owner agreed to be recorded for this purpose, too; if not, exit code 1.
    #[arg(long)]
    purpose: Option<String>,
    /// The sales campaign, for consents that were given to one alone.
    #[arg(long)]
    campaign: Option<String>,
    /// At this instant, or on this day; now unless given.
    #[arg(long)]
    at: Option<String>,
}

/// `temoin register check`.
pub(super) async fn check(desk: &Desk, args: CheckArgs, json: bool) -> Outcome {
    let line = line(desk, args.line.as_deref())?;
    let errand = args.errand.as_deref().map(|word| {
        let all = Errand::ALL.iter().map(|errand| errand.as_str()).collect::<Vec<_>>().join(", ");
        Errand::parse(word).ok_or_else(|| wrong_use(format!("--for {word}: write one of {all}")))
    });
    let purpose = args.purpose.as_deref().map(|word| {
        Purpose::parse(word).ok_or_else(|| wrong_use(format!("--purpose {word}: no such purpose")))
    });
    let (errand, purpose) = (errand.transpose()?, purpose.transpose()?);
    let at = args.at.as_deref().map_or(Ok(desk.now), |text| desk.instant(text, false)).map_err(wrong_use)?;
    let book = desk.look().await?;
    let asked = Asked { line, number: &args.number, errand, campaign: args.campaign.as_deref(), at };
    let verdict = book.ask(&desk.policy, &asked).await.map_err(unavailable)?;
    let agreed =
        purpose.as_ref().map(|purpose| verdict.recording.as_ref().is_some_and(|scope| scope.covers(purpose)));
    if json {
        let mut told = json!(verdict);
        told["may_dial"] = json!(verdict.may_dial());
        told["line"] = json!(line.name);
        told["at"] = json!(at);
        if let (Some(purpose), Some(agreed)) = (&purpose, agreed) {
            told["purpose"] = json!(purpose);
            told["agreed"] = json!(agreed);
        }
        cli::print(&told)?;
    } else {
        cli::say(format_args!("{}", sentence(&verdict, line)))?;
        for because in &verdict.because {
            cli::say(format_args!("  because: {}", reason(because)))?;
        }
        if let (Some(purpose), Some(agreed)) = (&purpose, agreed) {
            let not = if agreed { "" } else { "not " };
            cli::say(format_args!("agreed before to be recorded for {purpose}: {not}on the register"))?;
        }
    }
    if verdict.may_dial() && agreed != Some(false) { Ok(()) } else { Err(Failure::Found) }
}

fn line<'d>(desk: &'d Desk, name: Option<&str>) -> Result<&'d Line, Failure> {
    let lines = &desk.policy.site().lines;
    let names = || lines.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
    match name {
        Some(name) => desk
            .policy
            .line(name)
            .ok_or_else(|| Failure::NotFound(format!("the policy has no line `{name}`; it has {}", names()))),
        None => match lines.values().next() {
            Some(only) if lines.len() == 1 => Ok(only),
            _ => Err(wrong_use(format!("say from which --line: {}", names()))),
        },
    }
}

fn sentence(verdict: &Verdict, line: &Line) -> String {
    let errand = verdict.errand.map_or_else(|| "no errand named".to_owned(), |errand| errand.to_string());
    let why = match verdict.dial {
        Dial::May(Grant::Consented) => "may be called: its owner agreed",
        Dial::May(Grant::NotNeeded) => "may be called: no consent is needed, and nobody said no",
        Dial::May(Grant::NoSubscriber) => "may be called: it is no subscriber's number",
        Dial::MustNot(Bar::DoNotCall) => "MUST NOT be called: it is among those not to be called",
        Dial::MustNot(Bar::NoConsent) => {
            "MUST NOT be called: the law asks for a prior consent, and none stands"
        }
        Dial::MustNot(Bar::Unreadable) => "MUST NOT be called: it cannot be read as a number",
    };
    format!("from {} ({errand}): {why}", line.name)
}

fn reason(because: &Because) -> String {
    match because {
        Because::Entry { id, what, from } => format!("{what} since {from} ({id})"),
        Because::Law { rule, consent: PriorConsent::Prior, sources } => {
            format!("{rule} asks for a prior consent ({})", sources.join("; "))
        }
        Because::Law { rule, consent: PriorConsent::NotNeeded, sources } => {
            format!("{rule} asks for none for this, or not yet ({})", sources.join("; "))
        }
        Because::NoPack { territory } => format!("no pack speaks of calls to {territory}: a consent is asked for"),
        Because::LineSilent => {
            "the line does not say what it calls for (`outbound` in the policy), so that no consent was asked for".into()
        }
    }
}
