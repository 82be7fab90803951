//! An SMSC client in the same process, which needs no SMPP.

use std::sync::Arc;

use world::{
    BoxFuture, DeliveryTicket, Fault, MessageCentre, MessageId, QueuedDelivery, ShortMessages, Submission,
    SubmitFault,
};

use super::Smsc;

/// A client in the same process as the SMSC.
#[derive(Clone)]
pub struct LocalClient {
    pub(super) smsc: Arc<Smsc>,
    pub(super) account: String,
}

impl LocalClient {
    /// Waits for the next delivery. Returns the same delivery until it is acknowledged with
    /// [`taken`](Self::taken).
    pub async fn next(&self) -> QueuedDelivery {
        self.smsc.next(&self.account).await
    }

    /// Acknowledges a delivery.
    ///
    /// # Errors
    /// The acknowledgement cannot be stored. The delivery will be repeated.
    pub fn taken(&self, ticket: &DeliveryTicket) -> Result<(), Fault> {
        self.smsc.taken(&self.account, ticket)
    }
}

impl ShortMessages for LocalClient {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        self.smsc.submit(&self.account, submission)
    }
}
