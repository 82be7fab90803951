//! A call that has come: who calls, what is asked, and how it is answered.

use bytes::Bytes;
use certs::Certificate;
use http::{Method, Request, StatusCode, header};
use rsp::{
    ids::Oid,
    sgp02::{
        BaseResponse, Function, Message, Namespace, Notification, Pattern, Response as _,
        addressing::{Header, MessageId},
        soap::{self, Envelope, SoapFault},
        xml,
    },
    time::Timestamp,
};
use sha2::{Digest, Sha256};
use std::time::Duration;
use world::{Fault, Outcome, PeerCertificate};

use super::{
    party::{Answer, Decision, Peer, Rejection},
    records::{Said, Ticket},
};

/// The longest functionCallIdentifier, in octets: it is part of a key.
const MAX_IDENTIFIER: usize = 255;

/// A message of a peer that TLS knows.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who calls: the entity that its From names, which its certificate has.
    pub caller: Oid,
    /// When it came.
    pub received: Timestamp,
    /// Its WS-Addressing headers.
    pub header: Header,
    /// In which it is, and is answered.
    pub namespace: Namespace,
    /// The name of its element, as the schema spells it.
    pub element: String,
    /// The function call's identifier and its end, if it is a request.
    pub(super) request: Option<(String, Option<Timestamp>)>,
    pub(super) digest: String,
    /// Where an answer goes that comes later; known once the caller is.
    pub(super) reply_to: String,
    text: String,
}

/// Why a request is no call.
#[derive(Debug)]
pub(super) struct Turned {
    pub(super) status: StatusCode,
    pub(super) fault: SoapFault,
}

impl From<SoapFault> for Turned {
    fn from(fault: SoapFault) -> Self {
        Self { status: status_of(&fault), fault }
    }
}

impl From<xml::XmlError> for Turned {
    fn from(error: xml::XmlError) -> Self {
        SoapFault::from(error).into()
    }
}

/// The HTTP status of a fault (SOAP 1.2 part 2, table 20).
pub(super) fn status_of(fault: &SoapFault) -> StatusCode {
    match fault.code {
        soap::FaultCode::Sender => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Call {
    /// Reads a request of `own`'s.
    pub(super) fn read(own: &Oid, request: &Request<Bytes>, now: Timestamp) -> Result<Self, Turned> {
        let turned = |status, reason: &str| Turned { status, fault: SoapFault::sender(reason) };
        if request.method() != Method::POST {
            return Err(turned(StatusCode::METHOD_NOT_ALLOWED, "messages are sent by POST"));
        }
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(soap::is_content_type) {
            let reason = "the Content-Type of a message is application/soap+xml";
            return Err(turned(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        let certificate = request.extensions().get::<PeerCertificate>();
        let certificate = certificate.and_then(|shown| Certificate::from_der(shown.0.clone()).ok());
        let Some(certificate) = certificate else {
            return Err(turned(StatusCode::FORBIDDEN, "TLS has no certificate of the caller"));
        };
        let text = soap::text(request.body())?;
        let document = xml::parse(text)?;
        let envelope = Envelope::read(&document)?;
        let ids = certificate.registered_ids();
        let caller = match &envelope.header.from.entity_id {
            Some(named) if ids.contains(named) => named.clone(),
            Some(named) => {
                let reason =
                    format!("the certificate of the caller is not that of the EntityId {named} in From");
                return Err(turned(StatusCode::FORBIDDEN, &reason));
            }
            None => match ids {
                [only] => only.clone(),
                _ => return Err(turned(StatusCode::FORBIDDEN, "From has no EntityId")),
            },
        };
        if let Some(meant) = envelope.header.to.entity_id.as_ref().filter(|meant| *meant != own) {
            return Err(SoapFault::sender(format!("the message is for {meant}; this is {own}")).into());
        }
        let element = envelope.element().to_owned();
        let request = if element.ends_with("Request") {
            let base = envelope.base_request()?;
            let identifier = base.function_call_identifier.trim().to_owned();
            if identifier.is_empty() || identifier.len() > MAX_IDENTIFIER {
                let reason = format!("a functionCallIdentifier has 1 to {MAX_IDENTIFIER} octets");
                return Err(SoapFault::sender(reason).into());
            }
            let expires = base.validity_period.map(|seconds| now.plus(Duration::from_secs(seconds)));
            Some((identifier, expires))
        } else {
            None
        };
        Ok(Self {
            caller,
            received: now,
            namespace: envelope.namespace,
            element,
            request,
            digest: hex::encode(Sha256::digest(envelope.canonical())),
            reply_to: String::new(),
            text: text.to_owned(),
            header: envelope.header,
        })
    }

    /// Learns who the caller is.
    pub(super) fn known(mut self, peer: &Peer) -> Self {
        let asked = self.header.reply_to.as_ref().map(|endpoint| endpoint.address.clone());
        self.reply_to = asked.unwrap_or_else(|| peer.endpoint.clone());
        self
    }

    /// Whether it asks for this function.
    pub fn asks<F: Function>(&self) -> bool {
        self.element == F::Request::ELEMENT
    }

    /// Whether it is this notification.
    pub fn tells<N: Notification>(&self) -> bool {
        self.element == N::ELEMENT
    }

    /// The message.
    ///
    /// # Errors
    /// It is none of this type.
    pub fn message<M: Message>(&self) -> Result<M, SoapFault> {
        let document = xml::parse(&self.text)?;
        Ok(Envelope::read(&document)?.message()?)
    }

    /// Only what every response has.
    pub(super) fn response(&self) -> Result<BaseResponse, SoapFault> {
        let document = xml::parse(&self.text)?;
        Ok(Envelope::read(&document)?.base_response()?)
    }

    /// The message's element by itself.
    pub(super) fn canonical(&self) -> String {
        let document = xml::parse(&self.text);
        let canonical = document.ok().and_then(|document| Some(Envelope::read(&document).ok()?.canonical()));
        canonical.unwrap_or_default()
    }

    /// Of the envelope, in octets.
    pub(super) fn length(&self) -> usize {
        self.text.len()
    }

    /// When its function is to have ended, if the caller has said so.
    pub fn expires(&self) -> Option<Timestamp> {
        self.request.as_ref().and_then(|(_, expires)| *expires)
    }

    /// By which it is answered later.
    pub fn ticket(&self) -> Ticket {
        let (function_call_identifier, expires) = self.request.clone().unwrap_or_default();
        Ticket {
            caller: self.caller.clone(),
            function: self.function().to_owned(),
            function_call_identifier,
            received: self.received,
            expires,
            namespace: self.namespace,
            response_action: String::new(),
            reply_to: self.reply_to.clone(),
            message_id: self.header.message_id.to_uri(),
            transaction_id: self.header.message_id.transaction_id.clone(),
        }
    }

    /// The function or the notification, such as `ES3-CreateISDP`.
    pub fn function(&self) -> &str {
        let element = self.element.as_str();
        element.strip_suffix("Request").or_else(|| element.strip_suffix("Response")).unwrap_or(element)
    }

    /// What the function comes to, as the shell wants it.
    ///
    /// # Errors
    /// The decision's own fault.
    pub fn reply<F: Function>(&self, decision: Decision<Answer<F::Response>>) -> Result<Reply, Fault> {
        let (mut response, outcome) = match decision {
            Ok(Answer::Now(response)) => (response, Outcome::Done),
            Ok(Answer::Later) if F::PATTERN == Pattern::Asynchronous => {
                return Ok(Reply(Kind::Later(F::response_action())));
            }
            Ok(Answer::Later) => {
                return Err(Fault::new(
                    format!("cannot answer {} later", F::NAME),
                    "it is a synchronous function",
                    "report this: the party has to answer it at once",
                ));
            }
            Err(Rejection::Refusal(refusal)) => {
                let outcome = Outcome::Refused(refusal.to_string());
                (F::Response::only(BaseResponse::failed(&refusal)), outcome)
            }
            Err(Rejection::Fault(fault)) => return Err(fault),
        };
        let base = response.base_mut();
        base.processing_start.get_or_insert(self.received);
        base.processing_end.get_or_insert(self.received);
        let said = Said { action: F::response_action(), message: response.to_xml(self.namespace) };
        Ok(Reply(match F::PATTERN {
            Pattern::Synchronous => Kind::Now(said, outcome),
            Pattern::Asynchronous => Kind::CallBack(said, outcome),
        }))
    }

    /// What relates a message to what it answers.
    pub(super) fn answers(&self) -> impl Iterator<Item = &str> {
        let related = self.header.relates_to.as_deref().map(MessageId::key);
        let related = related.and_then(|uri| uri.rsplit('/').next());
        related.into_iter().chain(self.header.message_id.transaction_id.as_deref())
    }
}

/// What a call comes to.
#[derive(Debug)]
pub struct Reply(pub(super) Kind);

#[derive(Debug)]
pub(super) enum Kind {
    /// In the answer to the HTTP request.
    Now(Said, Outcome),
    /// By a call in the other direction, from the outbox.
    CallBack(Said, Outcome),
    /// By the ticket; with the Action that the answer will have.
    Later(String),
    /// A notification was taken.
    Taken(Outcome),
    /// It is no message of ours.
    Fault(SoapFault),
}

impl Reply {
    /// A notification was taken; one that is refused is only said to the log, there is nobody to answer.
    ///
    /// # Errors
    /// The decision's own fault.
    pub fn taken(decision: Decision<()>) -> Result<Self, Fault> {
        match decision {
            Ok(()) => Ok(Self(Kind::Taken(Outcome::Done))),
            Err(Rejection::Refusal(refusal)) => Ok(Self(Kind::Taken(Outcome::Refused(refusal.to_string())))),
            Err(Rejection::Fault(fault)) => Err(fault),
        }
    }

    /// There is no such function here.
    pub fn unknown(call: &Call) -> Self {
        Self(Kind::Fault(SoapFault::sender(format!("{} is no message for this server", call.element))))
    }

    /// The message is not right.
    pub fn fault(fault: SoapFault) -> Self {
        Self(Kind::Fault(fault))
    }
}

/// Finds the function or the notification of a call and replies with what it comes to: see
/// [`soap`](crate::soap#in-ten-lines).
#[macro_export]
macro_rules! soap_dispatch {
    (
        $call:expr,
        { $( $function:ty => |$request:ident| $body:expr ),* $(,)? },
        { $( $notification:ty => |$told:ident| $heard:expr ),* $(,)? } $(,)?
    ) => {{
        let call: &$crate::soap::Call = $call;
        'found: {
            $( if call.asks::<$function>() {
                break 'found match call.message::<<$function as rsp::sgp02::Function>::Request>() {
                    Ok($request) => call.reply::<$function>($body),
                    Err(fault) => Ok($crate::soap::Reply::fault(fault)),
                };
            } )*
            $( if call.tells::<$notification>() {
                break 'found match call.message::<$notification>() {
                    Ok($told) => $crate::soap::Reply::taken($heard),
                    Err(fault) => Ok($crate::soap::Reply::fault(fault)),
                };
            } )*
            Ok($crate::soap::Reply::unknown(call))
        }
    }};
}
