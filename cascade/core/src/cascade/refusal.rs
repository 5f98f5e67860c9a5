//! Why a node does not serve another, as the other is told and as it is counted.

use std::time::Duration;

use super::counters::Counters;

/// What a refused subscriber is told to wait: a record may overtake the track it tells of by little more.
const RETRY_SOON: Duration = Duration::from_millis(250);
/// Where asking again changes nothing by itself.
const RETRY_LATE: Duration = Duration::from_secs(5);

/// A reason to refuse a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The track is not published here, or not yet.
    NoSuchTrack,
    /// The subscriber takes as much as one node may.
    TooMany,
    /// The room's media may not touch the subscriber, as the plan or the room's countries say.
    NotAllowed(String),
    /// Gossip does not know the subscriber or the origin.
    Stranger,
    /// The subscriber is the origin itself, or lies on the way from it.
    Loop,
    /// The way from the origin would be too long.
    TooLong,
    /// This node has lost its own parent and has no other.
    NoWay,
    /// This node is short of something, and feeds no more nodes with pictures of others. Sound it passes on, for there
    /// may be no other way.
    NotRelaying,
}

impl Refusal {
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::NoSuchTrack => "no such track here".to_owned(),
            Self::TooMany => "too many subscriptions".to_owned(),
            Self::NotAllowed(why) => why.clone(),
            Self::Stranger => "gossip does not know that node".to_owned(),
            Self::Loop => "you are on the way from the origin to here".to_owned(),
            Self::TooLong => "the way from the origin is too long".to_owned(),
            Self::NoWay => "no way to the origin".to_owned(),
            Self::NotRelaying => "this node is short of something and relays for nobody new".to_owned(),
        }
    }

    pub(super) fn retry(&self) -> Duration {
        match self {
            Self::TooMany | Self::NotAllowed(_) | Self::NotRelaying => RETRY_LATE,
            _ => RETRY_SOON,
        }
    }

    pub(super) fn count(&self, counters: &mut Counters) {
        let counter = match self {
            Self::NoSuchTrack | Self::TooMany | Self::NoWay => &mut counters.refused_subscription,
            Self::NotAllowed(_) => &mut counters.subscription_not_allowed,
            Self::Stranger => &mut counters.subscription_of_stranger,
            Self::Loop => &mut counters.subscription_in_loop,
            Self::TooLong => &mut counters.subscription_too_deep,
            Self::NotRelaying => &mut counters.subscription_not_relayed,
        };
        *counter += 1;
    }
}
