//! Records the messages between the parties of SGP.02, in plaintext and in their order.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use network::smsc::LocalClient;
use world::{
    BoxFuture, IncomingDelivery, Link, MessageId, QueuedDelivery, ShortMessages, Submission, SubmitFault,
    link_from,
};

/// A message that has arrived at its receiver.
#[derive(Clone, Debug)]
pub enum Message {
    /// A SOAP message, or the response to one.
    Soap(String),
    /// The user data of a short message to the card.
    ToCard(Vec<u8>),
    /// The user data of a short message from the card.
    FromCard(Vec<u8>),
    /// An HTTPS request of the card.
    Request(Request<Bytes>),
    /// The HTTPS response of the SM-SR to the card.
    Response(Response<Bytes>),
}

/// The messages of a run. Clones refer to the same messages.
#[derive(Clone, Debug, Default)]
pub struct Recording(Arc<Mutex<Vec<Message>>>);

impl Recording {
    /// Returns the messages, and removes them from the recording.
    pub fn take(&self) -> Vec<Message> {
        mem::take(&mut self.messages())
    }

    fn add(&self, message: Message) {
        self.messages().push(message);
    }

    fn messages(&self) -> MutexGuard<'_, Vec<Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the messages on a link between two servers.
    pub(super) fn of_servers(&self, link: Link) -> Link {
        self.on_link(
            link,
            |request| Some(Message::Soap(text(request.body()))),
            |response| (!response.body().is_empty()).then(|| Message::Soap(text(response.body()))),
        )
    }

    /// Records the messages on the link between a card and its SM-SR.
    pub(super) fn of_card(&self, link: Link) -> Link {
        self.on_link(
            link,
            |request| Some(Message::Request(request.clone())),
            |response| Some(Message::Response(response.clone())),
        )
    }

    fn on_link(
        &self,
        link: Link,
        sent: fn(&Request<Bytes>) -> Option<Message>,
        received: fn(&Response<Bytes>) -> Option<Message>,
    ) -> Link {
        let own = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (own, link) = (own.clone(), link.clone());
            async move {
                sent(&request).into_iter().for_each(|message| own.add(message));
                let response = world::send(&link, request).await?;
                received(&response).into_iter().for_each(|message| own.add(message));
                Ok(response)
            }
        }))
    }
}

fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// The account of an SM-SR at the SMSC. Its short messages are recorded if there is a recording.
pub(super) struct SmsAccount {
    pub(super) account: LocalClient,
    pub(super) recording: Option<Recording>,
}

impl SmsAccount {
    /// Waits for the next delivery of the SMSC.
    pub(super) async fn next(&self) -> QueuedDelivery {
        let delivery = self.account.next().await;
        if let (Some(recording), IncomingDelivery::Message(message) | IncomingDelivery::Report(_, message)) =
            (&self.recording, &delivery.arrived)
        {
            recording.add(Message::FromCard(message.user_data.clone()));
        }
        delivery
    }
}

impl ShortMessages for SmsAccount {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        if let Some(recording) = &self.recording {
            recording.add(Message::ToCard(submission.message.user_data.clone()));
        }
        self.account.submit(submission)
    }
}
