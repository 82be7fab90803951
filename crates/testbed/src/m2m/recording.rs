//! Records the messages between the parties of SGP.02, in plaintext and in their order, and lets a
//! test alter them.

use std::fmt;
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

/// Alters a message before it arrives. The variant of the message must stay the same.
pub type Alteration = Arc<dyn Fn(&mut Message) + Send + Sync>;

/// The messages of a run. Clones refer to the same messages.
#[derive(Clone, Default)]
pub struct Recording {
    messages: Arc<Mutex<Vec<Message>>>,
    alteration: Option<Alteration>,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("messages", &self.messages).finish_non_exhaustive()
    }
}

impl Recording {
    /// Creates a recording that alters the messages.
    pub fn altering(alteration: Alteration) -> Self {
        Self { alteration: Some(alteration), ..Self::default() }
    }

    /// Returns the messages, and removes them from the recording.
    pub fn take(&self) -> Vec<Message> {
        mem::take(&mut self.messages())
    }

    /// Alters a message, and records what arrives. Returns it.
    fn add(&self, mut message: Message) -> Message {
        if let Some(alteration) = &self.alteration {
            alteration(&mut message);
        }
        self.messages().push(message.clone());
        message
    }

    fn messages(&self) -> MutexGuard<'_, Vec<Message>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the messages on a link between two servers.
    pub(super) fn of_servers(&self, link: Link) -> Link {
        self.on_link(
            link,
            |own, mut request| {
                if let Message::Soap(text) = own.add(Message::Soap(text(request.body()))) {
                    *request.body_mut() = text.into();
                }
                request
            },
            |own, mut response| {
                if !response.body().is_empty()
                    && let Message::Soap(text) = own.add(Message::Soap(text(response.body())))
                {
                    *response.body_mut() = text.into();
                }
                response
            },
        )
    }

    /// Records the messages on the link between a card and its SM-SR.
    pub(super) fn of_card(&self, link: Link) -> Link {
        self.on_link(
            link,
            |own, request| match own.add(Message::Request(request.clone())) {
                Message::Request(altered) => altered,
                _ => request,
            },
            |own, response| match own.add(Message::Response(response.clone())) {
                Message::Response(altered) => altered,
                _ => response,
            },
        )
    }

    fn on_link(
        &self,
        link: Link,
        sent: fn(&Self, Request<Bytes>) -> Request<Bytes>,
        received: fn(&Self, Response<Bytes>) -> Response<Bytes>,
    ) -> Link {
        let own = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (own, link) = (own.clone(), link.clone());
            async move {
                let response = world::send(&link, sent(&own, request)).await?;
                Ok(received(&own, response))
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
        let mut delivery = self.account.next().await;
        if let (Some(recording), IncomingDelivery::Message(message) | IncomingDelivery::Report(_, message)) =
            (&self.recording, &mut delivery.arrived)
            && let Message::FromCard(altered) = recording.add(Message::FromCard(message.user_data.clone()))
        {
            message.user_data = altered;
        }
        delivery
    }
}

impl ShortMessages for SmsAccount {
    fn submit(&self, mut submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        if let Some(recording) = &self.recording
            && let Message::ToCard(altered) =
                recording.add(Message::ToCard(submission.message.user_data.clone()))
        {
            submission.message.user_data = altered;
        }
        self.account.submit(submission)
    }
}
