//! Customers who are called: the leg that dials waits for a briefing, and the dialplan asks whoever answers.

use std::sync::Arc;
use std::time::Duration;

use temoin_core::command::{Briefing, DriverError, Release, Reply};
use temoin_core::desk::Text;
use temoin_core::event::{CallEvent, Dialling, PbxEvent, Playback};
use temoin_core::id::{CallId, LegId};
use temoin_core::words::Direction;
use tokio::sync::Notify;

use super::channel::NUMBER;
use super::{Channel, Pbx, State};
use crate::truth::Line;

/// A leg that waits to dial.
#[derive(Default)]
pub struct Dials {
    briefed: Option<Briefing>,
    moved: Arc<Notify>,
}

impl Pbx {
    /// Somebody is about to dial a customer; what he is told. The dialplan waits four seconds.
    pub async fn dial(&self, leg: &CallId, line: Line) -> Option<Briefing> {
        let moved = {
            let mut state = self.lock();
            let dials = Dials::default();
            let moved = Arc::clone(&dials.moved);
            state.dialling.insert(leg.clone(), dials);
            if state.listens() {
                self.send(
                    &state,
                    PbxEvent::Dials(Dialling {
                        leg: LegId(leg.0.clone()),
                        extension: Some("2001".into()),
                        line: line.name.into(),
                        number: Some(NUMBER.into()),
                        queue: None,
                        language: Some("fr".into()),
                        at: self.at(),
                    }),
                );
            }
            moved
        };
        let _ = tokio::time::timeout(Duration::from_secs(4), moved.notified()).await;
        self.lock().dialling.remove(leg)?.briefed
    }

    pub(super) fn brief(
        &self,
        state: &mut State,
        leg: &CallId,
        briefing: Briefing,
    ) -> Result<Reply, DriverError> {
        let dials = state.dialling.get_mut(leg).ok_or(DriverError::Gone)?;
        dials.briefed = Some(briefing);
        dials.moved.notify_one();
        Ok(Reply::default())
    }

    /// The customer answers, and the dialplan begins to ask him.
    pub fn answer(&self, call: &CallId, line: Line, briefing: &Briefing) {
        let channel = Channel {
            asking: true,
            step: briefing.step.as_ref().map(|step| step.length),
            ..Channel::default()
        };
        let ticket = Some(briefing.ticket.clone());
        self.appear(&mut self.lock(), call, line, channel, Direction::Outbound, ticket);
    }

    /// He has heard a text.
    pub fn said(&self, call: &CallId, text: Text, played: Duration, outcome: Playback) {
        let now = self.clock.ms();
        let mut state = self.lock();
        let Some(truth) = state.truths.get_mut(call) else { return };
        if outcome == Playback::Heard {
            truth.heard.get_or_insert(now);
        }
        let at = self.at();
        self.tell(&mut state, call, CallEvent::Said { text, outcome, played, at });
    }

    /// He has been asked; he goes on.
    pub fn asked(&self, call: &CallId) {
        let mut state = self.lock();
        let listens = state.listens();
        let Some(channel) = state.channels.get_mut(call) else { return };
        channel.asking = false;
        if let Some(truth) = state.truths.get_mut(call) {
            truth.admitted = true;
            if !listens {
                truth.trouble(0, i64::MAX);
            }
        }
        let (how, at) = (Release::Admitted, self.at());
        self.tell(&mut state, call, CallEvent::Asked { how, at });
    }
}
