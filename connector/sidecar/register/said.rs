//! What somebody said, from words: by flags, and the same words from the columns of a file.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use temoin_core::facts::Scope;
use temoin_core::number::E164;
use temoin_core::origin;
use temoin_core::register::{Consent, ConsentTo, DoNotCall, Entry, RegisterKey, Source, Subject};
use temoin_core::words::{Purpose, Territory};

use super::{Desk, unavailable, write, wrong_use};
use crate::cli::{self, Outcome};

/// What `temoin register add` is told.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("subject").required(true).args(["consent", "do_not_call"])))]
pub struct AddArgs {
    /// The number, with its country's code or as dialled in --country.
    number: String,
    /// A consent: `marketing` (to be called by somebody who sells), `recording`, or `recording:quality+training`.
    #[arg(long, value_name = "TO", requires = "how")]
    consent: Option<String>,
    /// Must not be called: `own` decision, or at the person's `request`.
    #[arg(long, value_name = "SOURCE")]
    do_not_call: Option<String>,
    /// With --do-not-call: only not by somebody who sells; otherwise for no reason at all.
    #[arg(long, requires = "do_not_call")]
    selling_only: bool,
    /// How the consent was obtained: web-form, paper, call, …
    #[arg(long)]
    how: Option<String>,
    /// The wording that was agreed to, or its version.
    #[arg(long)]
    text: Option<String>,
    /// Where the evidence lies: a reference; not the number again.
    #[arg(long)]
    evidence: Option<String>,
    /// Only on this line of the policy.
    #[arg(long)]
    line: Option<String>,
    /// Only for this sales campaign.
    #[arg(long)]
    campaign: Option<String>,
    /// When it was said: a day or an instant; now unless given.
    #[arg(long)]
    at: Option<String>,
    /// When it ends by itself: the end of a day, or an instant.
    #[arg(long)]
    until: Option<String>,
    #[command(flatten)]
    by: By,
}

/// Who enters, and how numbers are read.
#[derive(Debug, Args)]
pub(super) struct By {
    /// The country in which a number without a country's code is dialled; that of the lines' numbers unless given.
    #[arg(long)]
    pub(super) country: Option<String>,
    /// Who does this.
    #[arg(long, env = "USER", default_value = "unknown")]
    pub(super) who: String,
}

impl By {
    /// The country, as given or as the lines have it.
    pub(super) fn territory(&self, desk: &Desk) -> Result<Option<Territory>, cli::Failure> {
        match &self.country {
            None => Ok(desk.country()),
            Some(text) => Territory::parse(text)
                .map(Some)
                .ok_or_else(|| wrong_use(format!("--country {text}: write two letters, such as FR"))),
        }
    }
}

/// What somebody said, in words that were not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) number: String,
    pub(super) kind: String,
    pub(super) to: String,
    pub(super) source: String,
    pub(super) selling_only: String,
    pub(super) how: String,
    pub(super) text: String,
    pub(super) evidence: String,
    pub(super) line: String,
    pub(super) campaign: String,
    pub(super) at: String,
    pub(super) until: String,
}

impl Words {
    /// The entry that they mean; of a list where one is named.
    ///
    /// # Errors
    /// What is wrong, without any value that could be a person's.
    pub(super) fn entry(
        &self,
        desk: &Desk,
        key: &RegisterKey,
        country: Option<&Territory>,
        list: Option<&str>,
    ) -> Result<Entry, String> {
        let number = number(&self.number, country)?;
        let subject = match list {
            Some(name) => {
                Subject::DoNotCall(DoNotCall { source: Source::List(name.to_owned()), selling_only: true })
            }
            None => self.subject(desk)?,
        };
        let dates = self.dates(desk, list.is_some())?;
        Ok(Entry::new(key, &number, subject, dates, desk.now))
    }

    fn subject(&self, desk: &Desk) -> Result<Subject, String> {
        let unused = |columns: &[(&str, &String)]| match columns.iter().find(|(_, value)| !value.is_empty()) {
            Some((name, _)) => Err(format!("`{name}` does not go with {}", self.kind)),
            None => Ok(()),
        };
        match self.kind.as_str() {
            "consent" => {
                unused(&[("source", &self.source), ("selling_only", &self.selling_only)])?;
                self.consent(desk).map(Subject::Consent)
            }
            "do-not-call" => {
                let (to, how, text) = (("to", &self.to), ("how", &self.how), ("text", &self.text));
                let rest = [("evidence", &self.evidence), ("line", &self.line), ("campaign", &self.campaign)];
                unused(&[to, how, text])?;
                unused(&rest)?;
                self.do_not_call().map(Subject::DoNotCall)
            }
            _ => Err("`kind` is neither consent nor do-not-call".into()),
        }
    }

    fn consent(&self, desk: &Desk) -> Result<Consent, String> {
        if self.how.is_empty() {
            return Err("`how` is empty: say how the consent was obtained".into());
        }
        if !self.line.is_empty() && desk.policy.line(&self.line).is_none() {
            return Err("`line`: the policy has no such line".into());
        }
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Ok(Consent {
            to: consent_to(&self.to)?,
            how: self.how.clone(),
            text: given(&self.text),
            evidence: given(&self.evidence),
            line: given(&self.line),
            campaign: given(&self.campaign),
        })
    }

    fn do_not_call(&self) -> Result<DoNotCall, String> {
        let source = match self.source.as_str() {
            "own" => Source::Own,
            "request" => Source::Request,
            _ => return Err("the source of a do-not-call is neither own nor request".into()),
        };
        let selling_only = match self.selling_only.as_str() {
            "" | "no" => false,
            "yes" => true,
            _ => return Err("`selling_only` is neither yes nor no".into()),
        };
        Ok(DoNotCall { source, selling_only })
    }

    fn dates(&self, desk: &Desk, of_list: bool) -> Result<(Timestamp, Option<Timestamp>), String> {
        let read = |name: &str, text: &str, end| match text {
            "" => Ok(None),
            text => desk.instant(text, end).map(Some).map_err(|why| format!("`{name}`: {why}")),
        };
        let from = match read("at", &self.at, false)? {
            Some(from) => from,
            None if of_list => desk.now,
            None => return Err("`at` is empty: say when it was said".into()),
        };
        let until = read("until", &self.until, true)?;
        if from > desk.now {
            return Err("`at` lies in the future".into());
        }
        if until.is_some_and(|until| until <= from) {
            return Err("`until` is not after `at`".into());
        }
        Ok((from, until))
    }
}

/// A number in full.
pub(super) fn number(text: &str, country: Option<&Territory>) -> Result<E164, String> {
    origin::subscriber_in(text, country).ok_or_else(|| {
        "this is no subscriber's number; write it with its country's code (+33…), or name the --country"
            .to_owned()
    })
}

/// `marketing`, `recording` or `recording:quality+training`.
fn consent_to(text: &str) -> Result<ConsentTo, String> {
    let wrong = || {
        "a consent is to `marketing`, to `recording`, or to `recording:` and purposes with + between them"
            .to_owned()
    };
    match text.split_once(':') {
        None if text == "marketing" => Ok(ConsentTo::Marketing),
        None if text == "recording" => Ok(ConsentTo::Recording(Scope::All)),
        Some(("recording", purposes)) => {
            let purposes: Option<_> = purposes.split('+').map(Purpose::parse).collect();
            purposes.map(|purposes| ConsentTo::Recording(Scope::Only(purposes))).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// `temoin register add`.
pub(super) async fn add(desk: &Desk, args: AddArgs, json: bool) -> Outcome {
    let country = args.by.territory(desk)?;
    let now = desk.now.to_string();
    let kind = if args.consent.is_some() { "consent" } else { "do-not-call" };
    let words = Words {
        number: args.number,
        kind: kind.to_owned(),
        to: args.consent.unwrap_or_default(),
        source: args.do_not_call.unwrap_or_default(),
        selling_only: if args.selling_only { "yes" } else { "" }.to_owned(),
        how: args.how.unwrap_or_default(),
        text: args.text.unwrap_or_default(),
        evidence: args.evidence.unwrap_or_default(),
        line: args.line.unwrap_or_default(),
        campaign: args.campaign.unwrap_or_default(),
        at: args.at.unwrap_or(now),
        until: args.until.unwrap_or_default(),
    };
    let book = desk.book().await?;
    let entry = words.entry(desk, book.key(), country.as_ref(), None).map_err(wrong_use)?;
    let (id, shown, label) = (entry.id, entry.shown.clone(), entry.subject.label());
    let entered = write::enter(&book, vec![entry], &write::Origin::by(&args.by.who), desk.now).await;
    let entered = entered.map_err(unavailable)? == 1;
    if json {
        return cli::print(&json!({ "id": id, "entered": entered }));
    }
    let already = if entered { "" } else { " (was there already)" };
    cli::say(format_args!("{id}  {kind} {label}  {shown}{already}"))
}
