//! Faults on request: what SDKs ask for to test how an application bears them. Each harms only who asks.

use std::time::Duration;

use livekit_protocol as proto;
use origo_auth::Identity;
use proto::leave_request::Action;
use proto::simulate_scenario::Scenario;
use proto::{CandidateProtocol, DisconnectReason};

use super::context::Context;
use super::room::Room;
use super::{Output, info};
use crate::media::Command;

/// What happens to a socket with which a session is taken up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CutOnResume {
    /// It is closed after everything was said.
    AfterMessages,
    /// It is closed at once.
    BeforeMessages,
}

impl Room {
    /// A client asks for a fault.
    pub fn simulate(&mut self, cx: &mut Context, identity: &Identity, request: &proto::SimulateScenario) {
        match request.scenario {
            Some(Scenario::SpeakerUpdate(seconds)) => {
                self.pretend_to_speak(cx, identity, Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
            }
            Some(Scenario::NodeFailure(_) | Scenario::LeaveRequestFullReconnect(_)) => {
                self.remove(cx, identity, DisconnectReason::StateMismatch, Some(Action::Reconnect));
            }
            Some(Scenario::ServerLeave(_)) => {
                self.remove(cx, identity, DisconnectReason::ServerShutdown, Some(Action::Disconnect));
            }
            Some(Scenario::Migration(_)) => self.cut(cx, identity, true),
            Some(Scenario::DisconnectSignalOnResume(_)) => self.cut_later(identity, CutOnResume::AfterMessages),
            Some(Scenario::DisconnectSignalOnResumeNoMessages(_)) => {
                self.cut_later(identity, CutOnResume::BeforeMessages);
            }
            Some(Scenario::SubscriberBandwidth(bps)) => self.cap_bandwidth(cx, identity, bps),
            // The client comes back by itself. There is no TLS of our own to offer: TCP stands for it.
            Some(Scenario::SwitchCandidateProtocol(protocol)) if protocol != CandidateProtocol::Udp as i32 => {
                cx.switch_to_tcp(&self.key, identity);
            }
            Some(Scenario::SwitchCandidateProtocol(_)) => drop(cx.take_switch(&self.key, identity)),
            None => cx.stats.drop("simulate", "unknown"),
        }
    }

    /// Closes a client's socket as if the network had. With a word, the client does not wait before it comes back.
    pub fn cut(&mut self, cx: &mut Context, identity: &Identity, with_word: bool) {
        let Some(socket) = self.locals.get(identity).map(|local| local.session.socket) else { return };
        if with_word {
            self.tell(cx, identity, info::leave(DisconnectReason::Migration, Action::Resume));
        }
        cx.output(Output::Close(socket));
        self.lose_socket(cx, identity);
    }

    /// Has a client's way carry no more than this; nothing or less ends that.
    fn cap_bandwidth(&self, cx: &mut Context, identity: &Identity, bps: i64) {
        let Some(local) = self.locals.get(identity) else { return };
        let bps = u64::try_from(bps).ok().filter(|&bps| bps > 0);
        cx.media(&self.key, Command::CapBandwidth { session: local.session.id, bps });
    }

    fn cut_later(&mut self, identity: &Identity, cut: CutOnResume) {
        if let Some(local) = self.locals.get_mut(identity) {
            local.session.cut_on_resume = Some(cut);
        }
    }
}
