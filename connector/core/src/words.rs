//! The vocabulary of packs, policies, facts and decisions (`FORMAT.md`, section 1).
//!
//! Every closed list of words is an enum whose order is the order of strictness where the words have one, so that
//! "the strictest counts" is `max`. Open words (purposes, territories) are checked when they are parsed and are cheap
//! to clone. Nothing here decides anything.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

/// A closed list of words, each written in files as its `as_str`.
pub trait Word: Copy + 'static {
    /// All the words: weakest first where they have an order, else by name where they are listed.
    const ALL: &'static [Self];
    /// The word as files write it.
    fn as_str(self) -> &'static str;
    /// The word that is written so, if there is one.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.as_str() == text)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $(#[doc = concat!("`", $word, "`")] #[serde(rename = $word)] $variant),+ }

        impl Word for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    )+};
}

words! {
    /// Whose side a rule protects, or what it regulates.
    Facet { Customer = "customer", Employee = "employee", Sector = "sector" }

    /// Whether a rule allows, orders or bans a recording.
    Duty { May = "may", Must = "must", MustNot = "must-not" }

    /// What the rules together say: as [`Duty`], or a contradiction.
    CombinedDuty { May = "may", Must = "must", MustNot = "must-not", Conflict = "conflict" }

    /// The legal basis a rule rests on. Handed through, never decided upon.
    Basis {
        Consent = "consent", Contract = "contract", LegalObligation = "legal-obligation", Vital = "vital",
        PublicTask = "public-task", LegitimateInterest = "legitimate-interest",
    }

    /// What the people in the call must have been offered before audio exists, weakest first.
    Gate { Silent = "silent", Notice = "notice", OptOut = "opt-out", OptIn = "opt-in", Forbidden = "forbidden" }

    /// Who must consent under an opt-in gate.
    Parties { External = "external", All = "all" }

    /// What becomes of the service when there can be no recording, mildest first.
    Refusal {
        Continue = "continue", AlternativeChannel = "alternative-channel",
        RefuseRegulatedService = "refuse-regulated-service", TerminateCall = "terminate-call",
    }

    /// The part of a talk that a rule is about.
    Phase {
        WholeCall = "whole-call", ContractTalk = "contract-talk", RegulatedTalk = "regulated-talk",
        AgentTriggered = "agent-triggered",
    }

    /// What an announcement must say.
    Element {
        Accept = "accept", Complaint = "complaint", Controller = "controller", Copy = "copy", Info = "info",
        Listened = "listened", Object = "object", Purposes = "purposes", Recorded = "recorded",
        RefusalEffect = "refusal-effect", Retention = "retention", Rights = "rights",
    }

    /// What must be on file before anything is recorded.
    Prerequisite {
        Dpia = "dpia", EmployeeNotice = "employee-notice", NoOtherProofNote = "no-other-proof-note",
        RegisterEntry = "register-entry", TransferInstrument = "transfer-instrument",
        WorksCouncil = "works-council",
    }

    /// The event a period of retention counts from. The first two have always happened.
    Anchor {
        RecStart = "rec-start", RecEnd = "rec-end", ContractSigned = "contract-signed",
        DisputeClosed = "dispute-closed", RelationshipEnd = "relationship-end",
    }

    /// Who approves an exception from a cap.
    Approver { Controller = "controller", Dpo = "dpo", WorksCouncil = "works-council" }

    /// What the person recorded may have a copy of, least first.
    Copying { None = "none", Transcript = "transcript", Audio = "audio" }

    /// Whether people may object, as a rule writes it.
    Objection { Offered = "offered", NotOffered = "not-offered" }

    /// Whether a recording yields to a request to erase it, as a rule writes it.
    Erasure { Yield = "yield", Keep = "keep" }

    /// What a pack is.
    PackKind {
        Base = "base", Territory = "territory", Sector = "sector", Overlay = "overlay", Default = "default",
    }

    /// How far a pack has come. For lint only.
    Status { Current = "current", Draft = "draft", Legacy = "legacy", Disputed = "disputed" }

    /// What kind of text a rule rests on.
    SourceKind { Law = "law", Regulator = "regulator", Court = "court", Industry = "industry", Vendor = "vendor" }

    /// How sure the author of a pack is of a source.
    Confidence { Verified = "verified", Memory = "memory", Disputed = "disputed" }

    /// Which way a call goes.
    Direction { Inbound = "inbound", Outbound = "outbound", Internal = "internal" }

    /// What a line calls people for, as far as the law of calling matters: to sell to consumers, with an offer that
    /// goes with a contract they have, to sell to professionals as such, or not to sell (what they asked for, an
    /// appointment, a delivery).
    Errand { Marketing = "marketing", Contract = "contract", Business = "business", Service = "service" }

    /// Whether selling by telephone needs that the person agreed before, as a pack writes it.
    PriorConsent { NotNeeded = "not-needed", Prior = "prior" }

    /// What a campaign shares its draws out by.
    Stratify { Agent = "agent", Queue = "queue", None = "none" }

    /// What makes a transfer of data to an agent's country lawful. The last two are void and never satisfy.
    Instrument {
        Eea = "eea", Adequacy = "adequacy", Scc = "scc", Bcr = "bcr", Derogation = "derogation", Dpf = "dpf",
        SafeHarbor = "safe-harbor", PrivacyShield = "privacy-shield",
    }

    /// What a key can do: three functions of a caller, five of an agent. Of several on one key the first counts.
    Function {
        Object = "object", Accept = "accept", Info = "info", AgentStop = "agent_stop",
        AgentObject = "agent_object", AgentPrivate = "agent_private", AgentContract = "agent_contract",
        AgentTold = "agent_told",
    }

    /// What an agent's codes do beside the functions of the policy; the machine says which they are.
    AgentCode { Triggered = "triggered", Regulated = "regulated", Machine = "machine" }

    /// Whose phone a leg is.
    LegKind { Customer = "customer", Other = "other", Agent = "agent" }

    /// Where a belief about a person's country comes from. All but the last are strong.
    EvidenceSource {
        CrmAddress = "crm-address", Billing = "billing", Stated = "stated", NumberPrefix = "number-prefix",
        MobilePrefix = "mobile-prefix",
    }

    /// What is true of a call at a moment.
    Flag {
        Private = "private", PaymentActive = "payment-active", AnsweringMachine = "answering-machine",
        AgentStop = "agent-stop", ContractTalk = "contract-talk", RegulatedTalk = "regulated-talk",
        AgentTriggered = "agent-triggered", OtherProof = "other-proof",
    }

    /// Why a purpose is recorded or not, in the order in which they are asked (`FORMAT.md`, section 3.4).
    Reason {
        NoRule = "no-rule", DutyConflict = "duty-conflict", Forbidden = "forbidden",
        RetentionConflict = "retention-conflict", NoBound = "no-bound", ExemptLeg = "exempt-leg",
        PrivateCall = "private-call", PaymentActive = "payment-active", AnsweringMachine = "answering-machine",
        Objected = "objected", AgentStop = "agent-stop", PrerequisiteMissing = "prerequisite-missing",
        NoOpenCampaign = "no-open-campaign", OutOfPhase = "out-of-phase", OtherProofExists = "other-proof-exists",
        PurposeNotAnnounced = "purpose-not-announced", NotSampled = "not-sampled",
        AnnouncementPending = "announcement-pending", ConsentPending = "consent-pending", Ok = "ok",
    }
}

impl Phase {
    /// The flag that is set while the talk is in this phase; none for the whole call.
    pub fn flag(self) -> Option<Flag> {
        match self {
            Self::WholeCall => None,
            Self::ContractTalk => Some(Flag::ContractTalk),
            Self::RegulatedTalk => Some(Flag::RegulatedTalk),
            Self::AgentTriggered => Some(Flag::AgentTriggered),
        }
    }
}

impl AgentCode {
    /// Its name in the journal.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Triggered => "agent_triggered",
            Self::Regulated => "agent_regulated",
            Self::Machine => "agent_machine",
        }
    }
}

impl Instrument {
    /// Whether it is still in force: Safe Harbor (2015) and the Privacy Shield (2020) were struck down.
    pub fn stands(self) -> bool {
        !matches!(self, Self::SafeHarbor | Self::PrivacyShield)
    }
}

impl Function {
    /// Whether it is an agent's; the others are a caller's.
    pub fn is_agents(self) -> bool {
        self >= Self::AgentStop
    }
}

impl LegKind {
    /// Whether the leg is an outside person's.
    pub fn is_external(self) -> bool {
        self != Self::Agent
    }
}

macro_rules! checked_text {
    ($($(#[$doc:meta])* $name:ident, $expected:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as files write it.
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Debug::fmt(&self.0, f) }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str { &self.0 }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| {
                    serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &$expected)
                })
            }
        }
    )+};
}

checked_text! {
    /// What a recording is made for: one of the twelve known purposes, or a custom one that begins with `x-`.
    Purpose, "a known purpose, or one of your own that begins with x-";
    /// A territory: ISO 3166, a country (`FR`) or a part of one (`US-CA`).
    Territory, "a territory as ISO 3166 writes it, such as FR or US-CA";
}

impl Purpose {
    /// The purposes everybody knows; custom ones begin with `x-`.
    pub const KNOWN: [&'static str; 12] = [
        "quality",
        "training",
        "evaluation",
        "complaint",
        "evidence",
        "contract-proof",
        "regulated-order",
        "insurance-telesale",
        "compliance",
        "security",
        "process",
        "emergency",
    ];

    /// The purpose of that name, if it is known or custom.
    pub fn parse(text: &str) -> Option<Self> {
        let custom = text.strip_prefix("x-").is_some_and(is_plain_name);
        (custom || Self::KNOWN.contains(&text)).then(|| Self(text.into()))
    }
}

impl Territory {
    /// The territory of that code, if it has the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let (country, part) = text.split_once('-').map_or((text, None), |(c, p)| (c, Some(p)));
        let country_ok = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
        let part_ok = part.is_none_or(|p| {
            (1..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        });
        (country_ok && part_ok).then(|| Self(text.into()))
    }

    /// The territory of an agent of whom nothing is known (`ZZ`): no pack lists it.
    pub fn unknown() -> Self {
        Self("ZZ".into())
    }

    /// Its country: the first two letters.
    pub fn country(&self) -> &str {
        &self.0[..2]
    }

    /// Whether it is a country as a whole.
    pub fn is_country(&self) -> bool {
        self.0.len() == 2
    }
}

/// Which of `codes` cover `territory`: the territory itself and its country, as far as they are listed.
pub fn codes_covering<'c>(
    codes: &'c [Territory],
    territory: &'c Territory,
) -> impl Iterator<Item = &'c Territory> + use<'c> {
    codes.iter().filter(move |code| *code == territory || code.as_str() == territory.country())
}

/// Whether a name has only lower-case letters, digits and hyphens, and at least one of them.
pub(crate) fn is_plain_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether a telephone number is in E.164 form: `+` and 6 to 15 digits.
pub(crate) fn is_e164(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| (6..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// A number as dialled or displayed, without the signs people write between digits, a leading `00` read as `+`.
pub(crate) fn plain_number(number: &str) -> String {
    let plain: String =
        number.chars().filter(|c| !c.is_whitespace() && !matches!(c, '.' | '-' | '(' | ')')).collect();
    plain.strip_prefix("00").map(|rest| format!("+{rest}")).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strictness_is_order() {
        assert!(Gate::Silent < Gate::Notice && Gate::OptOut < Gate::OptIn && Gate::OptIn < Gate::Forbidden);
        assert!(Refusal::AlternativeChannel < Refusal::RefuseRegulatedService);
        assert!(Copying::None < Copying::Transcript && Copying::Transcript < Copying::Audio);
    }

    #[test]
    fn words_without_strictness_are_listed_by_name() {
        assert!(Element::ALL.is_sorted_by_key(|word| word.as_str()));
        assert!(Prerequisite::ALL.is_sorted_by_key(|word| word.as_str()));
    }

    #[test]
    fn a_custom_purpose_has_a_name() {
        assert!(Purpose::parse("x-survey").is_some());
        for bad in ["x-", "survey", "Quality", "x-Ü", ""] {
            assert!(Purpose::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_territory_has_a_country() {
        for good in ["FR", "US-CA", "CA-QC", "FR-974", "GB-1"] {
            assert_eq!(Territory::parse(good).map(|t| t.country().to_owned()).as_deref(), Some(&good[..2]));
        }
        for bad in ["", "F", "fr", "FRA", "FR-", "FR-ABCD", "éF", "US-ca"] {
            assert!(Territory::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_compared_without_their_decoration() {
        assert_eq!(plain_number("00 33 (1) 99.00-00\u{a0}01"), "+33199000001");
        assert!(
            is_e164("+33199000001") && !is_e164("0199000001") && !is_e164("+12345") && !is_e164("+1 2345678")
        );
    }
}
