//! Names in a policy that lead nowhere, and values that were never filled in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Lint;
use crate::document::Path;
use crate::finding::Code;
use crate::policy::{filled_in, real_number};
use crate::spelling;
use crate::words::*;

impl Lint<'_> {
    /// Reports names that lead nowhere or to the wrong thing, and lines without prompts; whether there are none.
    pub(super) fn names_resolve(&self) -> bool {
        let before = self.findings.count();
        let site = self.policy.site();
        self.check_packs(&Path::of("overlays"), &site.overlays, PackKind::Overlay);
        for line in self.lines() {
            let at = Path::of("lines") / &*line.name;
            self.check_packs(&(&at / "sectors"), &line.sectors, PackKind::Sector);
            self.check_purposes(&(&at / "purposes"), &line.purposes);
            if line.prompts.is_empty() {
                self.report(Code::MissingKey, &(&at / "prompts"), "add a prompt, named by its language");
            }
        }
        for campaign in site.campaigns.values() {
            let at = Path::of("campaigns") / &*campaign.name;
            self.check_purpose(&at / "purpose", &campaign.purpose);
            let lines = campaign.lines.as_deref().unwrap_or_default();
            self.check_names(&(&at / "lines"), lines, &site.lines, "no such line");
            let agents = campaign.agents.as_deref().unwrap_or_default();
            self.check_names(&(&at / "agents"), agents, &site.agents, "no such agent");
        }
        for exception in site.exceptions.values() {
            self.check_purpose(Path::of("exceptions") / &*exception.name / "purpose", &exception.purpose);
        }
        for (role, purposes) in &site.roles {
            self.check_purposes(&(Path::of("roles") / &**role), purposes);
        }
        for purpose in site.tighten.keys() {
            self.check_purpose(Path::of("tighten") / purpose.as_str(), purpose);
        }
        self.findings.count() == before
    }

    /// What callers are told and the papers say must be somebody's real name, address and number.
    pub(super) fn check_placeholders(&self) {
        let site = self.policy.site();
        let controller = Path::of("controller");
        let told = [
            (Path::of("site"), &site.name),
            (&controller / "name", &site.controller.name),
            (&controller / "contact", &site.controller.contact),
        ];
        for (at, _) in told.iter().filter(|(_, value)| filled_in(value).is_none()) {
            self.report(Code::Placeholder, at, "nobody filled this in");
        }
        for line in self.lines() {
            let at = Path::of("lines") / &*line.name / "numbers";
            let numbers = line.numbers.iter().enumerate().filter(|(_, number)| real_number(number).is_none());
            for (index, _) in numbers {
                self.report(Code::Placeholder, &(&at / index), "this is nobody's number");
            }
        }
    }

    fn check_packs(&self, at: &Path, ids: &[Arc<str>], kind: PackKind) {
        for (index, id) in ids.iter().enumerate() {
            match self.policy.packs().named(id) {
                None => {
                    let packs = self.policy.packs().iter().filter(|pack| pack.kind == kind);
                    let what = format!("the pack `{id}` is not loaded");
                    let hint = spelling::hint(&what, id, packs.map(|pack| &*pack.id));
                    self.report(Code::UnknownRef, &(at / index), hint);
                }
                Some(pack) if pack.kind != kind => {
                    self.report(
                        Code::BadValue,
                        &(at / index),
                        format!("`{id}` is a {} pack, not a {kind} one", pack.kind),
                    );
                }
                Some(_) => {}
            }
        }
    }

    fn check_purposes(&self, at: &Path, purposes: &[Purpose]) {
        for (index, purpose) in purposes.iter().enumerate() {
            self.check_purpose(at / index, purpose);
        }
    }

    fn check_purpose(&self, at: Path, purpose: &Purpose) {
        if !self.policy.site().purposes.contains(purpose) {
            self.report(Code::UnknownRef, &at, format!("add `{purpose}` to the purposes of the site"));
        }
    }

    fn check_names<T>(&self, at: &Path, names: &[Arc<str>], known: &BTreeMap<Arc<str>, T>, what: &str) {
        for (index, name) in names.iter().enumerate().filter(|(_, name)| !known.contains_key(*name)) {
            let known = known.keys().map(|name| &**name);
            self.report(Code::UnknownRef, &(at / index), spelling::hint(what, name, known));
        }
    }

    /// Reports instruments of transfer that were struck down.
    pub(super) fn check_transfers(&self) {
        let transfers = &self.policy.site().prerequisites.transfers;
        for (country, instrument) in transfers.iter().filter(|(_, instrument)| !instrument.stands()) {
            let path = Path::of("prerequisites") / "transfers" / country.as_str();
            self.report(
                Code::TransferInvalid,
                &path,
                format!("{instrument} is void: name another instrument"),
            );
        }
    }
}
