//! What the mesh loop knows of one peer: its connections, and which of two is the better.

use std::net::SocketAddr;
use std::sync::Arc;

use origo_auth::NodeId;
use quinn::Connection;

use crate::control::ControlSender;
use crate::data::DataSender;
use crate::kind::Close;
use crate::news::{Connected, ConnectionNumber};
use crate::stats::Shared;

/// Which of two control connections between the same nodes is the better: that of the newer life of the peer, then the
/// one that the smaller node id dialled, then the later dial. Both sides come to the same result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) peer_session: u64,
    pub(crate) dialled_by_smaller: bool,
    pub(crate) dial: u64,
}

/// A control connection in use.
pub(crate) struct Control {
    pub(crate) number: ConnectionNumber,
    pub(crate) rank: Rank,
    pub(crate) connection: Connection,
    pub(crate) sender: ControlSender,
}

/// A data connection in use.
struct Data {
    number: ConnectionNumber,
    dialled_by_smaller: bool,
    connection: Connection,
}

/// A peer.
pub(crate) struct Peer {
    /// Its newest life that has greeted us; 0 before.
    pub(crate) session: u64,
    /// Where it says that it can be dialled.
    pub(crate) told_address: Option<SocketAddr>,
    pub(crate) control: Option<Control>,
    pub(crate) has_media: bool,
    pub(crate) data: DataSender,
    data_connection: Option<Data>,
}

impl Peer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let data = DataSender::start(shared);
        Self { session: 0, told_address: None, control: None, has_media: false, data, data_connection: None }
    }

    pub(crate) fn has_data(&self) -> bool {
        self.data_connection.is_some()
    }

    /// Takes a data connection into use unless the present one is better.
    pub(crate) fn take_data_connection(&mut self, me: NodeId, connected: &Connected) -> bool {
        let dialled_by_smaller = connected.dial.is_some() == (me < connected.peer);
        let current = self.data_connection.as_ref();
        if current.is_some_and(|current| current.dialled_by_smaller && !dialled_by_smaller) {
            Close::Duplicate.end(&connected.connection);
            return false;
        }
        self.drop_data_connection(Close::Duplicate);
        let connection = connected.connection.clone();
        self.data.set_connection(Some(connection.clone()));
        self.data_connection = Some(Data { number: connected.number, dialled_by_smaller, connection });
        true
    }

    /// A data connection is gone.
    pub(crate) fn data_connection_is_down(&mut self, number: ConnectionNumber) {
        if self.data_connection.as_ref().is_some_and(|data| data.number == number) {
            self.data_connection = None;
            self.data.set_connection(None);
        }
    }

    /// Ends the data connection.
    pub(crate) fn drop_data_connection(&mut self, why: Close) {
        if let Some(data) = self.data_connection.take() {
            why.end(&data.connection);
            self.data.set_connection(None);
        }
    }
}
