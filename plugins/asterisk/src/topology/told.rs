//! What is told of the truth, and when.
//!
//! Outside of any window every change is told at once. Inside of one:
//! - **transfer** (`BlindTransfer`, `AttendedTransfer`, `BridgeMerge`, and `Unhold`, which comes just before a transfer):
//!   who leaves, holds or joins a running talk is told at once; a talk that begins, or goes on after a hold, waits;
//! - **swap** (a Local pair is optimised away: the same people, other channels): who leaves waits too, since he comes
//!   back a moment later on another channel.
//!
//! So nothing told inside a window could let a recorder start, and an optimisation tells nothing at all.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use temoin_core::event::{CallEvent, Party, PbxEvent};
use temoin_core::id::CallId;

use super::Topology;
use crate::translate::Sign;

/// How long a transfer takes to settle; the spurious `Unhold` was measured 1-3 ms before it.
const TRANSFER: Duration = Duration::from_millis(20);
/// How long an optimisation may take whose end is not told.
const SWAP: Duration = Duration::from_millis(100);
/// How long one who transfers may stay in the bridge and not be counted.
pub(super) const LEAVING: Duration = Duration::from_millis(500);

/// What a followed customer's call was told last.
#[derive(Debug, Default)]
pub(super) struct Told {
    parties: Vec<Party>,
    transfer_until: Option<Duration>,
    swap_until: Option<Duration>,
}

impl Topology {
    /// When [`Topology::wake`] is due.
    pub fn wake_at(&self) -> Option<Duration> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Tells what had to wait and has settled.
    pub fn wake(&mut self, now: Duration, at: Timestamp) -> Vec<PbxEvent> {
        let later = self.alarms.split_off(&(now + Duration::from_nanos(1), String::new()));
        let due = std::mem::replace(&mut self.alarms, later);
        let seeds: Vec<String> = due.into_iter().map(|(_, id)| id).collect();
        let mut affected = BTreeSet::new();
        self.hood(&seeds, &mut affected);
        affected.iter().filter_map(|call| self.settle(call, now, at)).collect()
    }

    /// Tells the parties of this customer whatever was told before.
    pub fn restate(&mut self, call: &str, now: Duration, at: Timestamp) -> Option<PbxEvent> {
        let parties = self.parties(call, now);
        let told = self.followed.get_mut(call)?;
        *told = Told { parties: parties.clone(), ..Told::default() };
        Some(PbxEvent::Call(CallId(call.into()), CallEvent::Parties { parties, at }))
    }

    /// Restates every followed customer.
    pub fn restate_all(&mut self, now: Duration, at: Timestamp) -> Vec<PbxEvent> {
        let calls: Vec<String> = self.followed.keys().cloned().collect();
        calls.iter().filter_map(|call| self.restate(call, now, at)).collect()
    }

    /// Opens and closes the windows of those whom a sign concerns.
    pub(super) fn open_windows(&mut self, now: Duration, sign: &Sign, affected: &BTreeSet<String>) {
        if let Sign::Transfer { leaving, .. } = sign {
            let alarms = leaving.iter().map(|channel| (now + LEAVING, channel.id.clone()));
            self.alarms.extend(alarms);
        }
        for call in affected {
            let Some(told) = self.followed.get_mut(call) else {
                continue;
            };
            match sign {
                Sign::Transfer { .. } => {
                    told.transfer_until = Some(now + TRANSFER);
                    self.alarms.insert((now + TRANSFER, call.clone()));
                }
                Sign::Merged { .. } | Sign::Unhold(_) => {
                    told.transfer_until = Some(now + TRANSFER);
                    self.alarms.insert((now + TRANSFER, call.clone()));
                }
                Sign::OptimizationBegan { .. } => {
                    told.swap_until = Some(now + SWAP);
                    self.alarms.insert((now + SWAP, call.clone()));
                }
                Sign::OptimizationEnded { .. } => told.swap_until = None,
                _ => {}
            }
        }
    }

    /// Tells the parties of this customer, where they changed and nothing says wait.
    pub(super) fn settle(&mut self, call: &str, now: Duration, at: Timestamp) -> Option<PbxEvent> {
        let truth = self.parties(call, now);
        let told = self.followed.get_mut(call)?;
        if truth == told.parties {
            return None;
        }
        let open = |until: Option<Duration>| until.is_some_and(|until| now < until);
        let (transfer, swap) = (open(told.transfer_until), open(told.swap_until));
        if (transfer || swap) && !cannot_wait(&told.parties, &truth, swap && !transfer) {
            return None;
        }
        told.parties.clone_from(&truth);
        Some(PbxEvent::Call(CallId(call.into()), CallEvent::Parties { parties: truth, at }))
    }
}

/// Whether a running talk must be told of this change at once. Where nobody was there, nothing can be running.
fn cannot_wait(old: &[Party], new: &[Party], swap: bool) -> bool {
    // A party that differs from what was told in anything but an ended hold.
    let worse = |party: &Party| {
        let holding = Party { held: true, ..party.clone() };
        !old.contains(party) && !old.contains(&holding)
    };
    let left = |party: &Party| !new.iter().any(|other| other.leg == party.leg);
    !old.is_empty() && (new.iter().any(worse) || (!swap && old.iter().any(left)))
}
