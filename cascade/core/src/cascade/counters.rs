//! What the cascade dropped, and why.

use super::rescues::Rescues;

/// Counters since the start; each grows where its thing happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Control messages of a type that this version does not know.
    pub unknown_message: u64,
    /// Control messages whose body says what cannot be.
    pub malformed_message: u64,
    /// Control messages that are not the cascade's or come out of turn.
    pub unexpected_message: u64,
    /// Records and rooms beyond a bound.
    pub over_limit: u64,
    /// Data packets of rooms that do not live here.
    pub data_without_room: u64,
    /// Reliable data packets that came after one that is missing, or before their publisher's record: they are sent again.
    pub data_out_of_turn: u64,
    /// Reliable data packets that came before.
    pub data_again: u64,
    /// Reliable data packets from a node that does not serve their publisher.
    pub data_of_others: u64,
    /// Times that reliable packets of another node were lost for good.
    pub data_lost: u64,
    /// What the node's rooms asked for rooms that they have not entered.
    pub ask_without_room: u64,
    /// Subscriptions that were refused: no such track, too many, or no way to it.
    pub refused_subscription: u64,
    /// Subscriptions of nodes that the room's media may not touch.
    pub subscription_not_allowed: u64,
    /// Subscriptions of nodes, or to tracks of nodes, that gossip does not know.
    pub subscription_of_stranger: u64,
    /// Subscriptions of nodes that lie on the way from the origin to here.
    pub subscription_in_loop: u64,
    /// Subscriptions that would make the way from the origin too long.
    pub subscription_too_deep: u64,
    /// Subscriptions to pictures of others, while this node relays for nobody new.
    pub subscription_not_relayed: u64,
    /// Subscriptions that asked for what was missing again too soon.
    pub refill_over_limit: u64,
    /// Subscriptions of this node that another one refused.
    pub subscription_refused_by_peer: u64,
    /// ATTACH that names this node, a stranger or a path that cannot be.
    pub refused_attach: u64,
    /// ATTACH older than one that has come, ATTACHED to what was never planned.
    pub old_epoch: u64,
    /// ATTACHED of a node that takes nothing here.
    pub attached_of_stranger: u64,
    /// Parents that this node has left because they did not pass on what their origin sent.
    pub gray_parents: u64,
    /// Complaints of children about such parents.
    pub complaints: u64,
    /// Nodes that trees do without because two children have complained about them.
    pub held_off: u64,
    /// Parents that were left.
    pub rescues: Rescues,
    /// PATH of a node that is not the parent.
    pub path_of_stranger: u64,
    /// Paths of a parent that this node is part of: it leaves that parent.
    pub path_in_loop: u64,
}

impl Counters {
    /// As (what, reason, count).
    pub fn list(&self) -> [(&'static str, &'static str, u64); 26] {
        [
            ("control message", "unknown type", self.unknown_message),
            ("control message", "malformed", self.malformed_message),
            ("control message", "unexpected", self.unexpected_message),
            ("record", "over limit", self.over_limit),
            ("data packet", "room not here", self.data_without_room),
            ("data packet", "out of turn", self.data_out_of_turn),
            ("data packet", "came before", self.data_again),
            ("data packet", "not its publisher's node", self.data_of_others),
            ("data packet", "lost between nodes", self.data_lost),
            ("ask", "room not entered", self.ask_without_room),
            ("subscription", "refused", self.refused_subscription),
            ("subscription", "not allowed", self.subscription_not_allowed),
            ("subscription", "stranger", self.subscription_of_stranger),
            ("subscription", "loop", self.subscription_in_loop),
            ("subscription", "path too long", self.subscription_too_deep),
            ("subscription", "not relayed", self.subscription_not_relayed),
            ("subscription", "refused by the other node", self.subscription_refused_by_peer),
            ("subscription", "refilled too often", self.refill_over_limit),
            ("attach", "refused", self.refused_attach),
            ("attach", "old epoch", self.old_epoch),
            ("attached", "not a member", self.attached_of_stranger),
            ("parent", "does not pass on", self.gray_parents),
            ("attached", "complaint", self.complaints),
            ("attached", "complaints of two", self.held_off),
            ("path", "not the parent", self.path_of_stranger),
            ("path", "loop", self.path_in_loop),
        ]
    }
}
