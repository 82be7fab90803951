//! Clients and servers that violate CoAP: the messages of a correct one are changed on their way to
//! and from the server.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use coap::message::{Code, Kind, Message, Options, option};
use coap::{Datagrams, DialDatagrams};
use world::{BoxFuture, LinkFault};

/// Changes of the messages to and from the server.
#[derive(Clone)]
pub(crate) struct Changes {
    pub(crate) sent: Arc<dyn Fn(Message) -> Message + Send + Sync>,
    pub(crate) received: Arc<dyn Fn(Message) -> Message + Send + Sync>,
}

/// Changes the messages of associations.
pub(crate) fn changed(inner: Arc<dyn DialDatagrams>, changes: Changes) -> Arc<dyn DialDatagrams> {
    Arc::new(Changed { inner, changes })
}

/// Other codes of the same class, or of an error.
pub(crate) fn other_codes() -> Changes {
    let received = |message: Message| {
        let code = match message.code {
            Code::CONTENT => Code::CHANGED,
            Code::CHANGED => Code::CONTENT,
            code if code.class() == 4 => Code::BAD_REQUEST,
            code => code,
        };
        Message { code, ..message }
    };
    Changes { sent: Arc::new(|message| message), received: Arc::new(received) }
}

/// Requests are not confirmable.
pub(crate) fn not_confirmable() -> Changes {
    let sent = |message: Message| match message.kind {
        Kind::Confirmable => Message { kind: Kind::NonConfirmable, ..message },
        _ => message,
    };
    Changes { sent: Arc::new(sent), received: Arc::new(|message| message) }
}

/// Requests have no Block2: a server cannot know the size that the client wants, or the next block.
pub(crate) fn without_block2() -> Changes {
    let sent = |message: Message| {
        let mut options = Options::default();
        for (number, value) in message.options.iter().filter(|(number, _)| *number != option::BLOCK2) {
            options.add(number, value.clone());
        }
        Message { options, ..message }
    };
    Changes { sent: Arc::new(sent), received: Arc::new(|message| message) }
}

/// A repeated request has another message ID, so that the server executes it again.
pub(crate) fn forgetful() -> Changes {
    const REPEATED: u16 = 0x4000;
    let seen = Mutex::new(BTreeSet::new());
    let repeated = Arc::new(Mutex::new(BTreeSet::new()));
    let known = Arc::clone(&repeated);
    let sent = move |mut message: Message| {
        if !seen.lock().unwrap().insert(message.id) {
            message.id ^= REPEATED;
            repeated.lock().unwrap().insert(message.id);
        }
        message
    };
    let received = move |mut message: Message| {
        if known.lock().unwrap().contains(&message.id) {
            message.id ^= REPEATED;
        }
        message
    };
    Changes { sent: Arc::new(sent), received: Arc::new(received) }
}

struct Changed<T: ?Sized> {
    inner: Arc<T>,
    changes: Changes,
}

impl DialDatagrams for Changed<dyn DialDatagrams> {
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Datagrams>, LinkFault>> {
        Box::pin(async {
            let inner = self.inner.dial().await?;
            Ok(Arc::new(Changed { inner, changes: self.changes.clone() }) as Arc<dyn Datagrams>)
        })
    }
}

impl Datagrams for Changed<dyn Datagrams> {
    fn send(&self, datagram: Bytes) -> BoxFuture<'_, Result<(), LinkFault>> {
        self.inner.send((self.changes.sent)(Message::decode(&datagram).unwrap()).encode())
    }

    fn receive(&self) -> BoxFuture<'_, Result<Bytes, LinkFault>> {
        Box::pin(async {
            let datagram = self.inner.receive().await?;
            Ok((self.changes.received)(Message::decode(&datagram).unwrap()).encode())
        })
    }
}
