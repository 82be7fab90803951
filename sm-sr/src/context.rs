//! Input of a function besides its request.

use rsp::{
    ids::{Eid, Oid},
    time::Timestamp,
};
use rsp_server::soap::Sender;
use world::{Fault, Tx, World};

use crate::{
    config::Config,
    credentials::Credentials,
    records::{CARDS, Card, DEADLINES, Deadline, PEERS, Peer, deadline_key},
};

/// Context of a decision: the transaction to read and write, and values that do not change during
/// it.
pub(crate) struct Context<'a, 'r> {
    pub(crate) tx: &'a mut Tx<'r>,
    pub(crate) config: &'a Config,
    pub(crate) credentials: &'a Credentials,
    pub(crate) sender: &'a Sender,
    pub(crate) world: &'a World,
    pub(crate) now: Timestamp,
}

impl Context<'_, '_> {
    pub(crate) async fn card(&mut self, eid: Eid) -> Result<Option<Card>, Fault> {
        self.tx.get(&CARDS, &eid.to_string()).await
    }

    pub(crate) async fn peer(&mut self, id: &Oid) -> Result<Option<Peer>, Fault> {
        self.tx.get(&PEERS, &id.to_string()).await
    }

    pub(crate) fn set_deadline(&mut self, at: Timestamp, deadline: &Deadline) -> Result<(), Fault> {
        self.tx.put(&DEADLINES, &deadline_key(at, deadline), deadline)
    }

    pub(crate) fn clear_deadline(&mut self, at: Timestamp, deadline: &Deadline) {
        self.tx.delete(&DEADLINES, &deadline_key(at, deadline));
    }
}
