//! A site policy and the packs it names, ready to decide.
//!
//! [`Policy::load`] reads both and resolves every name once. It refuses only what cannot be read: a policy that *lint*
//! objects to still decides, on the safe side (a name that leads nowhere permits nothing). What a person should mend
//! before using a policy is told by [`lint`](crate::lint).

mod parse;
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub(crate) use parse::parse;
pub use site::*;

use crate::document::{Document, Path};
use crate::finding::{Code, Finding, Findings};
use crate::force::Places;
use crate::ground::{Ground, Grounds};
use crate::pack::{self, Pack};
use crate::words::*;

/// The name of a file and its text.
pub type File<'a> = (&'a str, &'a str);

/// A site policy with its packs.
#[derive(Clone, Debug)]
pub struct Policy {
    site: Site,
    packs: Packs,
    hash: [u8; 32],
    left_out: Vec<Finding>,
    grounds: Grounds,
}

impl Policy {
    /// Reads a site policy and packs. Packs that cannot be read are left out and [told of](Self::left_out); names
    /// that lead to them permit nothing. The same file twice is one file.
    ///
    /// # Errors
    /// All findings that bar the site policy from being read, or two packs with one id.
    pub fn load(site: File<'_>, packs: &[File<'_>]) -> Result<Self, Vec<Finding>> {
        let unread = Findings::default();
        let read = pack::read(packs, &unread);
        let left_out = unread.sorted();

        let findings = Findings::default();
        let loaded = Packs::of(&read, &findings);
        let no_duplicates = findings.count() == 0;
        let parsed = match Document::parse(site.0, site.1) {
            Ok(document) => parse(&document, &findings),
            Err(finding) => {
                findings.add(finding);
                None
            }
        };
        match parsed {
            Some(site_policy) if no_duplicates => {
                let hash = hash(site.1, packs);
                Ok(Self { site: site_policy, packs: loaded, hash, left_out, grounds: Grounds::default() })
            }
            _ => {
                left_out.into_iter().for_each(|finding| findings.add(finding));
                Err(findings.sorted())
            }
        }
    }

    /// Everything the site policy says.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The loaded packs.
    pub fn packs(&self) -> &Packs {
        &self.packs
    }

    /// Why packs could not be loaded; empty if all were.
    pub fn left_out(&self) -> &[Finding] {
        &self.left_out
    }

    /// A line by its name.
    pub fn line(&self, name: &str) -> Option<&Line> {
        self.site.lines.get(name)
    }

    /// The line that has a number. The number may be decorated, and begin with `00`.
    pub fn line_by_number(&self, number: &str) -> Option<&Line> {
        let number = plain_number(number);
        self.site.lines.values().find(|line| line.numbers.iter().any(|n| **n == number))
    }

    /// What holds on a line of this policy for people in certain places.
    pub(crate) fn ground(&self, line: &Line, places: Places) -> Arc<Ground> {
        self.grounds.of(self, line, places)
    }

    /// An agent by id.
    pub fn agent(&self, id: &str) -> Option<&Agent> {
        self.site.agents.get(id)
    }

    /// SHA-256 over the text of the site policy and those of the packs, whatever their order and their file names.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// [`Self::hash`] in hexadecimal.
    pub fn hash_hex(&self) -> String {
        self.hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn hash(site: &str, packs: &[File<'_>]) -> [u8; 32] {
    let texts: BTreeSet<&str> = packs.iter().map(|(_, text)| *text).collect();
    let mut hash = Sha256::new();
    for text in std::iter::once(site).chain(texts) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

/// The loaded packs, by id.
#[derive(Clone, Debug, Default)]
pub struct Packs(BTreeMap<Arc<str>, Arc<Pack>>);

impl Packs {
    /// Packs by their ids. That two have the same is a finding.
    pub(crate) fn of(read: &[(Document<'_>, Pack)], findings: &Findings) -> Self {
        let mut by_id = BTreeMap::new();
        for (document, pack) in read {
            if by_id.insert(pack.id.clone(), Arc::new(pack.clone())).is_some() {
                let hint = "another loaded pack has this id";
                findings.add(document.finding(Code::DuplicatePack, &Path::of("pack"), hint));
            }
        }
        Self(by_id)
    }

    /// Reads packs without a policy. Those that cannot be read are left out; the reasons come beside.
    pub fn load(files: &[File<'_>]) -> (Self, Vec<Finding>) {
        let findings = Findings::default();
        let read = pack::read(files, &findings);
        let loaded = Self::of(&read, &findings);
        (loaded, findings.sorted())
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Pack> {
        self.shared().map(|pack| &**pack)
    }

    /// The same, to be held on to.
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Arc<Pack>> {
        self.0.values()
    }

    /// A pack by id.
    pub fn named(&self, id: &str) -> Option<&Pack> {
        self.0.get(id).map(|pack| &**pack)
    }

    /// A pack by id, if it is of one of these kinds.
    pub(crate) fn of_kind(&self, id: &str, kinds: &[PackKind]) -> Option<&Arc<Pack>> {
        self.0.get(id).filter(|pack| kinds.contains(&pack.kind))
    }

    /// A pack and its ancestors, nearest first. Stops where a parent is not loaded, is of a kind that cannot be one,
    /// or has been met before.
    pub fn lineage<'p>(&'p self, pack: &'p Pack) -> Vec<&'p Pack> {
        std::iter::once(pack).chain(self.ancestors(pack).into_iter().map(|ancestor| &**ancestor)).collect()
    }

    /// The lineage without the pack itself.
    pub(crate) fn ancestors(&self, pack: &Pack) -> Vec<&Arc<Pack>> {
        let mut ancestors: Vec<&Arc<Pack>> = Vec::new();
        while let Some(parent) = self.parent(ancestors.last().map_or(pack, |last| last)) {
            if parent.id == pack.id || ancestors.iter().any(|met| met.id == parent.id) {
                break;
            }
            ancestors.push(parent);
        }
        ancestors
    }

    fn parent(&self, pack: &Pack) -> Option<&Arc<Pack>> {
        self.of_kind(pack.parent.as_deref()?, PARENTS)
    }

    /// Whether the pack or an ancestor names a parent that is not loaded or cannot be one.
    pub(crate) fn has_lost_parent(&self, pack: &Pack) -> bool {
        self.lineage(pack).iter().any(|p| p.parent.is_some() && self.parent(p).is_none())
    }
}

/// The kinds of pack that can be a parent.
pub(crate) const PARENTS: &[PackKind] = &[PackKind::Base, PackKind::Territory, PackKind::Default];
