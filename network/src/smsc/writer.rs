//! A writer that is in the same process as its centre, and needs no SMPP.

use std::sync::Arc;

use world::{
    BoxFuture, DeliveryTicket, Fault, MessageCentre, MessageId, QueuedDelivery, ShortMessages, Submission,
    SubmitFault,
};

use super::Smsc;

/// A writer in the process of the centre.
#[derive(Clone)]
pub struct LocalWriter {
    pub(super) smsc: Arc<Smsc>,
    pub(super) account: String,
}

impl LocalWriter {
    /// Waits for what is brought to the writer. The same again until it is taken.
    pub async fn next(&self) -> QueuedDelivery {
        self.smsc.next(&self.account).await
    }

    /// The writer has it.
    ///
    /// # Errors
    /// It cannot be written down; it will be brought again.
    pub fn taken(&self, ticket: &DeliveryTicket) -> Result<(), Fault> {
        self.smsc.taken(&self.account, ticket)
    }
}

impl ShortMessages for LocalWriter {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        self.smsc.submit(&self.account, submission)
    }
}
