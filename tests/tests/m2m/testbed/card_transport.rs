//! Transport between the SM-SR and its cards, both recorded: short messages, and the HTTPS
//! listener.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use crypto::Secret;
use http::Request;
use net::{PskKeys, PskServer};
use network::smsc::LocalClient;
use sm_sr::es5::Engine;
use tokio::task::JoinSet;
use world::{
    BoxFuture, Fault, IncomingDelivery, LinkFault, MemoryListener, MessageId, ShortMessageSink as _,
    ShortMessages, Submission, SubmitFault, link_from,
};

use super::wires::{Recorded, Recording, again};

/// Connection of the SM-SR to the SMSC.
pub(super) struct Writer {
    pub(super) inner: LocalClient,
    pub(super) recording: Recording,
}

impl ShortMessages for Writer {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        self.recording.lock().unwrap().push(Recorded::ToCard(submission.message.user_data.clone()));
        self.inner.submit(submission)
    }
}

/// Delivers all messages of the SMSC to the engine. Never returns.
pub(super) async fn deliver_messages(writer: Arc<Writer>, engine: Engine) {
    loop {
        let delivery = writer.inner.next().await;
        if let IncomingDelivery::Message(message) | IncomingDelivery::Report(_, message) = &delivery.arrived {
            writer.recording.lock().unwrap().push(Recorded::FromCard(message.user_data.clone()));
        }
        // A message that is not accepted is delivered again, to this process or the next
        // one.
        if engine.take(delivery.arrived).await.is_ok() {
            writer.inner.taken(&delivery.ticket).unwrap();
        } else {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Serves the cards' HTTPS sessions. Never returns.
pub(super) async fn serve_cards(mut listener: MemoryListener, engine: Engine, recording: Recording) {
    let server = PskServer::new(Arc::new(Keys(engine.clone()))).unwrap();
    let service = link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (engine, recording) = (engine.clone(), Arc::clone(&recording));
        async move {
            recording.lock().unwrap().push(Recorded::Request(again(&request)));
            let response = engine.https(request).await;
            let headers = response.headers().iter();
            let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            let recorded = Recorded::Response {
                status: response.status().as_u16(),
                headers: headers.collect(),
                body: response.body().clone(),
            };
            recording.lock().unwrap().push(recorded);
            Ok::<_, LinkFault>(response)
        }
    }));
    let mut connections = JoinSet::new();
    while let Some(stream) = listener.accept().await {
        let (server, service) = (server.clone(), service.clone());
        connections.spawn(async move {
            // Errors of a connection are visible to the card or the engine.
            let _ended = server.serve(stream, service).await;
        });
    }
}

struct Keys(Engine);

impl PskKeys for Keys {
    fn key<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, Fault>> {
        Box::pin(self.0.psk(identity))
    }
}
