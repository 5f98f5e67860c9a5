//! WHIP and WHEP sessions as HTTP resources: each has an unguessable name, and takes PATCH and DELETE of its owner.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use livekit_protocol as proto;
use livekit_protocol::signal_request::Message;
use livekit_protocol::signal_response::Message as Say;
use origo_auth::{Identity, RoomKey};
use tokio::sync::{mpsc, oneshot};

use super::exchange::Exchange;
use super::sdpfrag::{self, Fragment};
use super::watch::Watch;
use crate::http::{Counted, Problem};

/// Requests that may wait for one session.
const ASKS_MAX: usize = 8;

/// Which front-end a resource belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Publishes.
    Whip,
    /// Watches.
    Whep,
}

impl Kind {
    /// Its endpoint.
    pub fn path(self) -> &'static str {
        match self {
            Self::Whip => "/whip/v1",
            Self::Whep => "/whep/v1",
        }
    }
}

/// Whose a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub kind: Kind,
    pub room: RoomKey,
    pub identity: Identity,
}

/// What `If-Match` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// `*`: ICE restarts.
    Any,
    /// The ICE session that is meant.
    Tag(String),
}

/// What a PATCH did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Patched {
    /// The candidates are taken.
    Trickled,
    /// ICE begins anew: the new tag, and our part.
    Restarted { tag: String, fragment: String },
}

enum Ask {
    Patch(Condition, Fragment, oneshot::Sender<Result<Patched, Problem>>),
    Delete(oneshot::Sender<()>),
}

/// All open resources of a node.
#[derive(Clone, Default)]
pub struct Resources(Arc<Mutex<Open>>);

/// By name.
type Open = HashMap<String, (Owner, mpsc::Sender<Ask>)>;

/// A session that has just been answered.
pub(super) struct Opened {
    pub exchange: Exchange,
    /// The client's offer.
    pub offer: String,
    /// The name in it.
    pub ufrag: String,
    pub owner: Owner,
    /// What it watches, if it watches.
    pub watch: Option<Watch>,
    /// Its place among its address's sessions.
    pub counted: Counted,
}

impl Resources {
    /// Gives a session a name, and keeps it until its client or the rooms end it. Gives the name and the tag of its ICE
    /// session.
    pub(super) fn insert(&self, opened: Opened) -> (String, String) {
        let (id, tag) = (random_name(), random_name());
        let (asks, queue) = mpsc::channel(ASKS_MAX);
        self.lock().insert(id.clone(), (opened.owner.clone(), asks));
        let (all, name) = (self.clone(), id.clone());
        let Opened { exchange, offer, ufrag, owner, watch, counted } = opened;
        let session = Session { exchange, offer, ufrag, watch, tag: tag.clone() };
        tokio::spawn(async move {
            session.run(queue).await;
            all.lock().remove(&name);
            tracing::info!(kind = ?owner.kind, room = %owner.room, identity = %owner.identity, "session over HTTP closed");
            drop(counted);
        });
        (id, tag)
    }

    /// Trickles candidates or restarts ICE.
    pub(super) async fn patch(
        &self,
        id: &str,
        owner: &Owner,
        condition: Condition,
        fragment: Fragment,
    ) -> Result<Patched, Problem> {
        let asks = self.find(id, owner)?;
        let (reply, replied) = oneshot::channel();
        asks.send(Ask::Patch(condition, fragment, reply)).await.map_err(|_| gone())?;
        replied.await.map_err(|_| gone())?
    }

    /// Ends a session.
    pub(super) async fn delete(&self, id: &str, owner: &Owner) -> Result<(), Problem> {
        let asks = self.find(id, owner)?;
        let (reply, replied) = oneshot::channel();
        asks.send(Ask::Delete(reply)).await.map_err(|_| gone())?;
        replied.await.map_err(|_| gone())
    }

    fn find(&self, id: &str, owner: &Owner) -> Result<mpsc::Sender<Ask>, Problem> {
        let open = self.lock();
        let (of, asks) = open.get(id).filter(|(of, _)| of.kind == owner.kind).ok_or_else(gone)?;
        if of != owner {
            return Err(Problem::forbidden("the token is for another room or identity than this session"));
        }
        Ok(asks.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Session {
    exchange: Exchange,
    offer: String,
    ufrag: String,
    watch: Option<Watch>,
    tag: String,
}

impl Session {
    /// Serves requests until the client ends the session or the rooms do: a client that vanishes is found by its
    /// silent connection.
    async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        loop {
            let ask = tokio::select! {
                said = self.exchange.next() => match said {
                    Some(said) => {
                        self.hear(&said).await;
                        continue;
                    }
                    None => return,
                },
                ask = asks.recv() => ask,
            };
            // A client that did not wait for the reply needs none.
            match ask {
                Some(Ask::Patch(condition, fragment, reply)) => drop(reply.send(self.patch(condition, fragment).await)),
                Some(Ask::Delete(reply)) => {
                    self.exchange.leave().await;
                    let _ = reply.send(());
                    return;
                }
                None => return,
            }
        }
    }

    /// Who watches takes what begins later, as far as the offer has room for it.
    async fn hear(&mut self, said: &Say) {
        let track_sids = self.watch.as_mut().map(|watch| watch.hear(said)).unwrap_or_default();
        if !track_sids.is_empty() {
            let subscription = proto::UpdateSubscription { track_sids, subscribe: true, ..Default::default() };
            self.exchange.ask(Message::Subscription(subscription)).await;
        }
    }

    async fn patch(&mut self, condition: Condition, fragment: Fragment) -> Result<Patched, Problem> {
        if matches!(&condition, Condition::Tag(tag) if *tag != self.tag) {
            return Err(Problem::precondition("the ICE session of this `If-Match` is over, ICE was restarted since"));
        }
        match (&fragment.credentials, condition) {
            (Some(credentials), Condition::Any) if credentials.0 != self.ufrag => {
                let offer = sdpfrag::restarted(&self.offer, credentials, &fragment.candidates);
                self.restart(offer, credentials.0.clone()).await
            }
            (Some((ufrag, _)), _) if *ufrag != self.ufrag => {
                Err(Problem::conflict("this `a=ice-ufrag` is not the session's: an ICE restart needs `If-Match: *`"))
            }
            _ => {
                self.trickle(fragment).await;
                Ok(Patched::Trickled)
            }
        }
    }

    async fn restart(&mut self, offer: String, ufrag: String) -> Result<Patched, Problem> {
        let answer = self.exchange.offer(offer.clone()).await?;
        (self.offer, self.ufrag, self.tag) = (offer, ufrag, random_name());
        Ok(Patched::Restarted { tag: self.tag.clone(), fragment: sdpfrag::of_answer(&answer) })
    }

    async fn trickle(&self, fragment: Fragment) {
        for (mid, candidate) in fragment.candidates {
            let init = serde_json::json!({ "candidate": candidate, "sdpMid": mid, "sdpMLineIndex": 0 });
            let target = proto::SignalTarget::Publisher.into();
            let trickle = proto::TrickleRequest { candidate_init: init.to_string(), target, r#final: fragment.is_last };
            self.exchange.ask(Message::Trickle(trickle)).await;
        }
    }
}

fn gone() -> Problem {
    Problem::not_found("there is no such session, or it is over")
}

fn random_name() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}
