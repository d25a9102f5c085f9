//! What is wrong with a pack, a policy or the machine they are used on: a stable code, the place, and how to mend it
//! (`FORMAT.md`, section 4). Every code that the program can tell of is listed here, and nowhere else.
//!
//! All faults of a file are found at once. A code that begins with `E` bars a policy from being used; one with `W` is
//! for a person to think about. Codes and paths are stable: other programs may rely on them. Lines, columns and hints
//! are for people.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// The stable name of a fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $code)] $name,)+ }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as reports print it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

codes! {
    /// The file is not TOML, or too large to be one.
    Parse = "E-PARSE",
    /// A key that the format does not define.
    UnknownKey = "E-UNKNOWN-KEY",
    /// A key that must be there.
    MissingKey = "E-MISSING-KEY",
    /// A value of the wrong type, form or kind.
    BadValue = "E-BAD-VALUE",
    /// A key that would switch on screen capture, which Témoin does not offer.
    ScreenCapture = "E-SCREEN-CAPTURE",
    /// A name that leads nowhere.
    UnknownRef = "E-UNKNOWN-REF",
    /// An instrument of transfer that was struck down.
    TransferInvalid = "E-TRANSFER-INVALID",
    /// Two loaded packs have one id.
    DuplicatePack = "E-DUPLICATE-PACK",
    /// A pack is its own ancestor.
    ParentCycle = "E-PARENT-CYCLE",
    /// A number that several lines claim.
    DuplicateNumber = "E-DUPLICATE-NUMBER",
    /// A rule without a source.
    NoSource = "E-NO-SOURCE",
    /// A duty that neither a law nor a regulator is cited for.
    MustWithoutLaw = "E-MUST-WITHOUT-LAW",
    /// A pack called current whose rule rests on memory alone.
    CurrentUnverified = "E-CURRENT-UNVERIFIED",
    /// A hard maximum shorter than a minimum.
    RetentionConflict = "E-RETENTION-CONFLICT",
    /// A pack outside its days of validity.
    PackNotValid = "E-PACK-NOT-VALID",
    /// A pack whose review is overdue.
    PackReviewDue = "W-PACK-REVIEW-DUE",
    /// A pack that is not current.
    PackStatus = "W-PACK-STATUS",
    /// A disputed source that a rule cites.
    SourceDisputed = "W-SOURCE-DISPUTED",
    /// A source from memory that a rule cites.
    SourceUnverified = "W-SOURCE-UNVERIFIED",
    /// A duty against a ban.
    DutyConflict = "E-DUTY-CONFLICT",
    /// A soft maximum that a minimum outlasts.
    SoftMaxOverridden = "W-SOFT-MAX-OVERRIDDEN",
    /// No rule of the market speaks of a purpose.
    NoRule = "W-NO-RULE",
    /// No rule limits how long a purpose is kept.
    NoBound = "E-NO-BOUND",
    /// Something that must be on file is not.
    Prerequisite = "E-PREREQUISITE",
    /// A purpose of a line that its prompt does not name.
    PurposeNotAnnounced = "E-PURPOSE-NOT-ANNOUNCED",
    /// Something the prompt must say and does not.
    ElementMissing = "E-ELEMENT-MISSING",
    /// A caller who must be able to press a key has none.
    KeyMissing = "E-KEY-MISSING",
    /// Two functions on one key.
    KeyClash = "E-KEY-CLASH",
    /// A market none of whose languages a prompt speaks.
    Language = "W-LANGUAGE",
    /// A value that was never filled in.
    Placeholder = "E-PLACEHOLDER",
    /// A campaign that does not say why it is needed.
    NoNecessity = "E-NO-NECESSITY",
    /// Training without an end.
    PermanentTraining = "E-PERMANENT-TRAINING",
    /// A campaign without an end.
    CampaignNoEnd = "E-CAMPAIGN-NO-END",
    /// A campaign longer than the packs allow.
    CampaignTooLong = "E-CAMPAIGN-TOO-LONG",
    /// Training for ever, in pieces.
    CampaignChainTraining = "E-CAMPAIGN-CHAIN",
    /// Recording for ever, in pieces.
    CampaignChain = "W-CAMPAIGN-CHAIN",
    /// A rate above what the packs allow.
    RateAboveCap = "E-RATE-ABOVE-CAP",
    /// An exception somebody has yet to approve.
    ExceptionNotApproved = "E-EXCEPTION-NOT-APPROVED",
    /// An exception longer than the packs allow.
    ExceptionTooLong = "E-EXCEPTION-TOO-LONG",
    /// A tightening that is looser than every pack.
    LoosensPack = "E-LOOSENS-PACK",
    /// An agent who has not acknowledged the notice.
    AgentNoNotice = "W-AGENT-NO-NOTICE",
    /// A file that is not there, or that this user may not read.
    Unreadable = "E-UNREADABLE",
    /// A key file that is none, or that others can read.
    Key = "E-KEY",
    /// A sound that is not there, or is none.
    Sound = "E-SOUND",
    /// A file with secrets that others can read.
    SecretOpen = "W-SECRET-OPEN",
    /// The PBX does not answer.
    PbxAway = "E-PBX-AWAY",
    /// The PBX does not take our name and secret.
    PbxLogin = "E-PBX-LOGIN",
    /// The PBX lets us in and not do what is needed.
    PbxPermission = "E-PBX-PERMISSION",
    /// A version of the PBX that was never tested.
    PbxVersion = "E-PBX-VERSION",
    /// A module that the PBX has not loaded.
    PbxModule = "E-PBX-MODULE",
    /// The clocks of the PBX and of this machine differ.
    PbxClock = "E-PBX-CLOCK",
    /// A folder or a sound that the PBX's user cannot use.
    PbxFile = "E-PBX-FILE",
    /// Contexts or codes that the PBX has not loaded.
    PbxDialplan = "E-PBX-DIALPLAN",
    /// The PBX records calls by itself.
    PbxRecords = "E-PBX-RECORDS",
    /// Somebody on the PBX can begin a recording that is not ours.
    PbxMayRecord = "W-PBX-MAY-RECORD",
    /// Something on the PBX that could not be looked at.
    PbxUnseen = "W-PBX-UNSEEN",
    /// A file system that is nearly full.
    Disk = "W-DISK",
    /// A file system that is not made for what lies on it.
    FileSystem = "W-FILE-SYSTEM",
}

impl Code {
    /// The code that is written so, if there is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// Whether it must be mended; the others are for a person to think about.
    pub fn is_error(self) -> bool {
        self.as_str().starts_with('E')
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One fault of one file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The name of the file, as it was given.
    pub file: String,
    /// The key at fault, such as `lines.sales.keys.info` or `campaigns.q.agents[0]`; for a missing key the one that
    /// should be there; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub code: Code,
    /// The line, from 1: of the key, or of the nearest table around a missing one.
    pub line: Option<u32>,
    /// The column, from 1, in characters.
    pub column: Option<u32>,
    /// How to mend it, in one sentence.
    pub hint: String,
    /// The rules that ask for what is missing or broken, as decisions cite them: `fr/quality`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub because: BTreeSet<Arc<str>>,
}

impl fmt::Display for Finding {
    /// `file:line:column: CODE path: hint`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.code)?;
        if !self.path.is_empty() {
            write!(f, " {}", self.path)?;
        }
        write!(f, ": {}", self.hint)
    }
}

/// The faults found so far. Shared by all who look at the same files.
#[derive(Default)]
pub(crate) struct Findings(RefCell<Vec<Finding>>);

impl Findings {
    pub(crate) fn add(&self, finding: Finding) {
        self.0.borrow_mut().push(finding);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// In the order of file, path and code, each fault of a key once, with the rules of all that told it.
    pub(crate) fn sorted(self) -> Vec<Finding> {
        let mut all = self.0.into_inner();
        all.sort_by(|a, b| (&a.file, &a.path, a.code.as_str()).cmp(&(&b.file, &b.path, b.code.as_str())));
        all.dedup_by(|again, first| {
            let same = (&again.file, &again.path, again.code) == (&first.file, &first.path, first.code);
            if same {
                first.because.append(&mut again.because);
            }
            same
        });
        all
    }
}
