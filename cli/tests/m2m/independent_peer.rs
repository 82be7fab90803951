//! An independent SOAP 1.2 peer with WS-Addressing over mutual TLS, implemented without the
//! project's SOAP types. It receives callbacks, notifications and requests, and responds to
//! ES3.GetEIS with given EISs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use certs::{Credential, Pki};
use cli::parties::{Running, identity, tls_roots};
use http::{Request, Response};
use net::{Client, ClientAuth, ClientTls, OsClock, ServerTls};
use rsp::ids::Oid;
use tokio::{sync::Notify, time::timeout};
use world::{LinkFault, link_from};

use crate::testbed::Party;

/// Maximum time to wait. The slowest action is a card that tries another network and returns.
const PATIENCE: Duration = Duration::from_secs(20);

/// A peer with a certificate and a listener.
pub(crate) struct IndependentPeer {
    pub(crate) id: Oid,
    /// Address of the listener, `host:port`.
    pub(crate) at: String,
    tls: ClientTls,
    inbox: Arc<Inbox>,
    count: AtomicU32,
    _listening: Running,
}

#[derive(Default)]
struct Inbox {
    received: Mutex<Vec<String>>,
    came: Notify,
    /// EIS for responses to ES3.GetEIS, by EID.
    eis: Mutex<BTreeMap<String, String>>,
}

/// A request that waits for its response.
pub(crate) struct Pending {
    /// Message ID of the request, for the RelatesTo header of the response.
    message_id: String,
    /// Synchronous response, if there was one.
    now: Option<String>,
}

impl IndependentPeer {
    /// Creates a peer with the certificate and OID of this credential, listening at this
    /// address.
    pub(crate) async fn new(pki: &Pki, credential: &Credential, at: &str) -> Self {
        let own = identity(credential);
        let clock = Arc::new(OsClock);
        let tls = ClientTls::new(&tls_roots(pki), Some(&own), clock.clone()).unwrap();
        let server = ServerTls::new(&own, &ClientAuth::optional(tls_roots(pki)), clock).unwrap();
        let inbox = Arc::new(Inbox::default());
        let receive = Arc::clone(&inbox);
        let link = link_from(tower::service_fn(move |request: Request<Bytes>| {
            let response = receive.deliver(&String::from_utf8_lossy(request.body()));
            async move { Ok::<_, LinkFault>(response) }
        }));
        let listening = Running::serve(net::listen(at).await.unwrap(), Some(server), link).unwrap();
        Self {
            id: credential.certificate.registered_ids()[0].clone(),
            at: listening.address.to_string(),
            tls,
            inbox,
            count: AtomicU32::new(0),
            _listening: listening,
        }
    }

    /// Sets the EIS (its XML elements) for responses to ES3.GetEIS about this card.
    pub(crate) fn set_eis(&self, eid: &str, eis: &str) {
        self.inbox.eis.lock().unwrap().insert(eid.to_owned(), eis.to_owned());
    }

    /// Calls a function and waits for its synchronous or asynchronous response.
    pub(crate) async fn call_and_wait(
        &self,
        whom: &Party,
        function: &str,
        fields: &str,
    ) -> Result<String, String> {
        let pending = self.send_request(whom, function, fields).await;
        self.response(pending).await
    }

    /// Calls a function without waiting for an asynchronous response.
    pub(crate) async fn send_request(&self, whom: &Party, function: &str, fields: &str) -> Pending {
        let message_id = self.message_id();
        let body = with_base(function, fields, &message_id);
        let (status, text) = self.post(whom, &message_id, None, &body).await;
        let now = (status != 202).then_some(text);
        Pending { message_id, now }
    }

    pub(crate) async fn response(&self, pending: Pending) -> Result<String, String> {
        match pending.now {
            Some(text) => Ok(text),
            None => self.receive(|text| between(text, "RelatesTo").contains(&pending.message_id)).await,
        }
    }

    /// Waits for a request of a function, and sends a response with these elements.
    pub(crate) async fn reply(&self, whom: &Party, function: &str, fields: &str) -> Result<(), String> {
        let request = format!("{function}Request>");
        let send_request = self.receive(|text| text.contains(&request)).await?;
        let related = between(&send_request, "MessageID").to_owned();
        let body = format!("<rps:{function}Response>{fields}</rps:{function}Response>");
        let (status, text) = self.post(whom, &self.message_id(), Some(&related), &body).await;
        if status == 202 { Ok(()) } else { Err(text) }
    }

    /// Waits for a message for which `is_it` is true, and removes it from the received ones.
    pub(crate) async fn receive(&self, is_it: impl Fn(&str) -> bool) -> Result<String, String> {
        let found = self.received_copy(&is_it).await?;
        let mut received = self.inbox.received.lock().unwrap();
        if let Some(at) = received.iter().position(|text| *text == found) {
            received.remove(at);
        }
        Ok(found)
    }

    /// Waits for a message for which `is_it` is true, and returns it without removing it.
    pub(crate) async fn received_copy(&self, is_it: impl Fn(&str) -> bool) -> Result<String, String> {
        let found = async {
            loop {
                let came = self.inbox.came.notified();
                let found = self.inbox.received.lock().unwrap().iter().find(|text| is_it(text)).cloned();
                match found {
                    Some(text) => return text,
                    None => came.await,
                }
            }
        };
        timeout(PATIENCE, found).await.map_err(|_| {
            let received = self.inbox.received.lock().unwrap();
            format!(
                "the message did not arrive; received were: {}",
                received.iter().map(|text| body(text)).collect::<String>()
            )
        })
    }

    fn message_id(&self) -> String {
        format!("//{}/call-{}", self.id, self.count.fetch_add(1, Ordering::Relaxed))
    }

    async fn post(&self, whom: &Party, message_id: &str, related: Option<&str>, body: &str) -> (u16, String) {
        let (id, at) = (&self.id, &self.at);
        let relates_to = related.map(|uri| format!("<a:RelatesTo>{uri}</a:RelatesTo>")).unwrap_or_default();
        // Receivers select the function by the element of the message. The action is unknown to
        // them on purpose.
        let envelope = format!(
            "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
                         xmlns:a=\"http://www.w3.org/2005/08/addressing\" \
                         xmlns:rps=\"http://namespaces.gsma.org/esim-messaging/3\"><e:Header>\
             <a:From><a:Address>https://{at}/in?EntityId={id}</a:Address></a:From>\
             <a:To>https://{to}/sgp02?EntityId={whom}</a:To><a:MessageID>{message_id}</a:MessageID>\
             <a:Action>http://gsma.com/landfall/stranger</a:Action>{relates_to}\
             <a:ReplyTo><a:Address>https://{at}/in</a:Address></a:ReplyTo>\
             </e:Header><e:Body>{body}</e:Body></e:Envelope>",
            to = whom.at,
            whom = whom.id,
        );
        let request = Request::post("/sgp02")
            .header(
                "Content-Type",
                "application/soap+xml; charset=utf-8; action=\"http://gsma.com/landfall/stranger\"",
            )
            .body(Bytes::from(envelope))
            .unwrap();
        let link = Client::default().link(&whom.at, Some(self.tls.clone())).unwrap();
        let response = world::send(&link, request).await.unwrap();
        (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
    }
}

impl Inbox {
    fn deliver(&self, text: &str) -> Response<Bytes> {
        if text.contains("ES3-GetEISRequest>") {
            let eid = between(text, "Eid");
            let eis = self.eis.lock().unwrap().get(eid).cloned().unwrap_or_default();
            let related = between(text, "MessageID");
            return Response::builder()
                .header("Content-Type", "application/soap+xml; charset=utf-8")
                .body(Bytes::from(get_eis_response(related, &eis)))
                .unwrap();
        }
        self.received.lock().unwrap().push(text.to_owned());
        self.came.notify_waiters();
        Response::builder().status(202).body(Bytes::new()).unwrap()
    }
}

fn get_eis_response(related: &str, eis: &str) -> String {
    format!(
        "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
                     xmlns:a=\"http://www.w3.org/2005/08/addressing\" \
                     xmlns:rps=\"http://namespaces.gsma.org/esim-messaging/3\"><e:Header>\
         <a:From><a:Address>https://stranger.example</a:Address></a:From><a:To>https://sm-dp.example</a:To>\
         <a:MessageID>//stranger.example/answer</a:MessageID>\
         <a:Action>http://gsma.com/ES3/ProfileManagement/ES3-GetEISResponse</a:Action>\
         <a:RelatesTo>{related}</a:RelatesTo></e:Header><e:Body><rps:ES3-GetEISResponse>\
         <rps:FunctionExecutionStatus><rps:Status>EXECUTED_SUCCESS</rps:Status></rps:FunctionExecutionStatus>\
         {eis}</rps:ES3-GetEISResponse></e:Body></e:Envelope>"
    )
}

/// Builds a request with the common elements, unless `fields` contains them.
fn with_base(function: &str, fields: &str, unique: &str) -> String {
    let identifier = match fields.contains("<rps:FunctionCallIdentifier>") {
        true => String::new(),
        false => format!("<rps:FunctionCallIdentifier>{unique}</rps:FunctionCallIdentifier>"),
    };
    let validity = match fields.contains("<rps:ValidityPeriod>") {
        true => "",
        false => "<rps:ValidityPeriod>60</rps:ValidityPeriod>",
    };
    format!("<rps:{function}Request>{identifier}{validity}{fields}</rps:{function}Request>")
}

/// Returns the text of the first element with this name and any prefix.
pub(crate) fn between<'t>(text: &'t str, element: &str) -> &'t str {
    let opens = |rest: &str| rest.starts_with([':', '<']);
    let mut from = 0;
    while let Some(at) = text[from..].find(element).map(|at| at + from) {
        let end = at + element.len();
        if at > 0 && opens(&text[at - 1..]) && text[end..].starts_with(['>', ' ']) {
            let contents = text[end..].split_once('>').map_or("", |(_, rest)| rest);
            return contents.split('<').next().unwrap_or_default();
        }
        from = end;
    }
    ""
}

/// Returns the contents of the envelope.
fn body(text: &str) -> &str {
    text.split_once("Body>").map_or(text, |(_, body)| body)
}

/// Returns the status of a response, such as `FAILED 8.2.1/3.9`, or the text of a fault.
pub(crate) fn ending(response: &str) -> String {
    let status = between(response, "Status");
    let (subject, reason) = (between(response, "Subject"), between(response, "Reason"));
    match (status, subject) {
        ("", _) => format!("fault: {}", between(response, "Text")),
        (status, "") => status.to_owned(),
        (status, subject) => format!("{status} {subject}/{reason}"),
    }
}
