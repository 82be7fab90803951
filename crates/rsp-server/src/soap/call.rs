//! A received message: its caller, its function, and its reply.

use bytes::Bytes;
use certs::Certificate;
use http::{Method, Request, StatusCode, Uri, header};
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
    accepted::Accepted,
    decision::{Answer, Decision, Peer, Rejection},
    records::{ResponseMessage, Ticket},
};
use crate::outgoing::{AllowedAddresses, is_same};

/// Maximum length of a functionCallIdentifier in octets. It is part of a record key.
const MAX_IDENTIFIER: usize = 255;

/// A message received from a peer that TLS has authenticated.
#[derive(Clone, Debug)]
pub struct Call {
    /// OID of the caller. The certificate contains this OID, and From names it unless it is the
    /// only OID in the certificate.
    pub caller: Oid,
    /// Time of receipt.
    pub received: Timestamp,
    /// Its WS-Addressing headers.
    pub header: Header,
    /// Namespace of the message, which the response uses too.
    pub namespace: Namespace,
    /// Name of the message's element, as spelled in the schema.
    pub element: String,
    /// functionCallIdentifier and end of the validity period, if the message is a request.
    pub(super) request: Option<(String, Option<Timestamp>)>,
    pub(super) digest: String,
    /// Address for a later response; set once the caller is known.
    pub(super) reply_to: String,
    text: String,
    /// Deviations of the message that were accepted.
    pub(super) accepted: Accepted,
}

/// Reason why a request is not a valid call.
#[derive(Debug)]
pub(super) struct InvalidRequest {
    pub(super) status: StatusCode,
    pub(super) fault: SoapFault,
}

impl From<SoapFault> for InvalidRequest {
    fn from(fault: SoapFault) -> Self {
        Self { status: status_of(&fault), fault }
    }
}

impl From<xml::XmlError> for InvalidRequest {
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
    /// Reads a request to the party `own`.
    pub(super) fn read(own: &Oid, request: &Request<Bytes>, now: Timestamp) -> Result<Self, InvalidRequest> {
        let invalid = |status, reason: &str| InvalidRequest { status, fault: SoapFault::sender(reason) };
        if request.method() != Method::POST {
            return Err(invalid(StatusCode::METHOD_NOT_ALLOWED, "messages must be sent by POST"));
        }
        let accepted = Accepted::default();
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !accepted.collect(|| content_type.is_some_and(soap::is_content_type)) {
            let reason = "the Content-Type must be application/soap+xml";
            return Err(invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        let certificate = request.extensions().get::<PeerCertificate>();
        let certificate = certificate.and_then(|included| Certificate::from_der(included.0.clone()).ok());
        // req: SGP.02-B-Certificate
        let Some(certificate) = certificate else {
            return Err(invalid(StatusCode::FORBIDDEN, "TLS has no certificate for the caller"));
        };
        let text = soap::text(request.body())?;
        let document = xml::parse(text)?;
        let envelope = accepted.collect(|| Envelope::read(&document))?;
        let ids = certificate.registered_ids();
        let caller = match &envelope.header.from.entity_id {
            Some(named) if ids.contains(named) => named.clone(),
            // req: SGP.02-B-EntityId
            Some(named) => {
                let reason =
                    format!("the caller's certificate does not contain the EntityId {named} of From");
                return Err(invalid(StatusCode::FORBIDDEN, &reason));
            }
            None => match ids {
                [only] => only.clone(),
                _ => return Err(invalid(StatusCode::FORBIDDEN, "From has no EntityId")),
            },
        };
        // req: SGP.02-B-To
        if let Some(addressee) = envelope.header.to.entity_id.as_ref().filter(|addressee| *addressee != own) {
            return Err(SoapFault::sender(format!("the message is for {addressee}; this is {own}")).into());
        }
        let element = envelope.element().to_owned();
        let request = if element.ends_with("Request") {
            let base = envelope.base_request()?;
            let identifier = base.function_call_identifier.trim().to_owned();
            // req: SGP.02-5.1.1-CallIdentifier
            if identifier.is_empty() || identifier.len() > MAX_IDENTIFIER {
                let reason = format!("a functionCallIdentifier must have 1 to {MAX_IDENTIFIER} octets");
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
            accepted,
            header: envelope.header,
        })
    }

    /// Sets the address for a later response: ReplyTo, or the endpoint of the known peer.
    ///
    /// # Errors
    /// Refuses a ReplyTo with another host or port than those of the peer, unless `allowed` permits
    /// it.
    pub(super) fn with_peer(mut self, peer: &Peer, allowed: &AllowedAddresses) -> Result<Self, SoapFault> {
        let reply_to = self.header.reply_to.as_ref().map(|endpoint| endpoint.address.clone());
        self.reply_to = reply_to.unwrap_or_else(|| peer.endpoint.clone());
        if self.reply_to == peer.endpoint {
            return Ok(self);
        }
        let authority = |uri: &str| Some(uri.parse::<Uri>().ok()?.authority()?.to_string());
        match (authority(&self.reply_to), authority(&peer.endpoint)) {
            (Some(named), Some(own)) if is_same(&named, &own) => Ok(self),
            (Some(named), _) if allowed.permit(&named) => Ok(self),
            _ => Err(SoapFault::sender(
                "ReplyTo is not an address that is configured for this function requester",
            )),
        }
    }

    /// Returns true if it is a request for this function.
    pub fn is_call_of<F: Function>(&self) -> bool {
        self.element == F::Request::ELEMENT
    }

    /// Returns true if it is this notification.
    pub fn is_notification<N: Notification>(&self) -> bool {
        self.element == N::ELEMENT
    }

    /// Returns the message.
    ///
    /// # Errors
    /// Returns a SOAP fault if it is not a valid message of this type.
    pub fn message<M: Message>(&self) -> Result<M, SoapFault> {
        let document = xml::parse(&self.text)?;
        self.accepted.collect(|| Ok(Envelope::read(&document)?.message()?))
    }

    /// Returns the part that all responses have in common.
    pub(super) fn response(&self) -> Result<BaseResponse, SoapFault> {
        let document = xml::parse(&self.text)?;
        Ok(Envelope::read(&document)?.base_response()?)
    }

    /// Returns the canonical form of the message's element.
    pub(super) fn canonical(&self) -> String {
        let document = xml::parse(&self.text);
        let canonical = document.ok().and_then(|document| Some(Envelope::read(&document).ok()?.canonical()));
        canonical.unwrap_or_default()
    }

    /// Returns the length of the envelope in octets.
    pub(super) fn length(&self) -> usize {
        self.text.len()
    }

    /// Returns the end of the validity period, if the caller gave one.
    pub fn expires(&self) -> Option<Timestamp> {
        self.request.as_ref().and_then(|(_, expires)| *expires)
    }

    /// Returns the ticket with which the call can be answered later.
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

    /// Returns the name of the function or the notification, such as `ES3-CreateISDP`.
    pub fn function(&self) -> &str {
        let element = self.element.as_str();
        element.strip_suffix("Request").or_else(|| element.strip_suffix("Response")).unwrap_or(element)
    }

    /// Converts the result of a function to a reply for the shell.
    ///
    /// # Errors
    /// Returns the fault of the decision.
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
                    "report this bug: the party must answer it at once",
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
        let response =
            ResponseMessage { action: F::response_action(), message: response.to_xml(self.namespace) };
        Ok(Reply(match F::PATTERN {
            Pattern::Synchronous => Kind::Now(response, outcome),
            Pattern::Asynchronous => Kind::CallBack(response, outcome),
        }))
    }

    /// Returns the identifiers that relate a callback to the call that it answers.
    pub(super) fn answers(&self) -> impl Iterator<Item = &str> {
        let related = self.header.relates_to.as_deref().map(MessageId::key);
        let related = related.and_then(|uri| uri.rsplit('/').next());
        related.into_iter().chain(self.header.message_id.transaction_id.as_deref())
    }
}

/// Reply of a party to a call.
#[derive(Debug)]
pub struct Reply(pub(super) Kind);

#[derive(Debug)]
pub(super) enum Kind {
    /// The response is in the HTTP response.
    Now(ResponseMessage, Outcome),
    /// The response is sent as a callback from the outbox.
    CallBack(ResponseMessage, Outcome),
    /// The response is sent later with the ticket. Contains the Action of the response.
    Later(String),
    /// Accepted notification.
    Accepted(Outcome),
    /// SOAP fault: the message is not valid for this server.
    Fault(SoapFault),
}

impl Reply {
    /// Accepts a notification. A refusal appears in the event only, because a notification has no
    /// response.
    ///
    /// # Errors
    /// Returns the fault of the decision.
    pub fn taken(decision: Decision<()>) -> Result<Self, Fault> {
        match decision {
            Ok(()) => Ok(Self(Kind::Accepted(Outcome::Done))),
            Err(Rejection::Refusal(refusal)) => {
                Ok(Self(Kind::Accepted(Outcome::Refused(refusal.to_string()))))
            }
            Err(Rejection::Fault(fault)) => Err(fault),
        }
    }

    /// Returns the reply to a function that this server does not have.
    pub fn unknown(call: &Call) -> Self {
        Self(Kind::Fault(SoapFault::sender(format!("this server does not accept {}", call.element))))
    }

    /// Returns the reply to an invalid message.
    pub fn fault(fault: SoapFault) -> Self {
        Self(Kind::Fault(fault))
    }
}

/// Finds the function or the notification of a call and returns its reply: see
/// [`soap`](crate::soap#example). Without an `else`, a call is refused if the lists contain neither
/// its function nor its notification.
#[macro_export]
macro_rules! soap_dispatch {
    (
        $call:expr,
        { $( $function:ty => |$request:ident| $body:expr ),* $(,)? },
        { $( $notification:ty => |$received:ident| $handler:expr ),* $(,)? } $(,)?
    ) => {
        $crate::soap_dispatch!(
            $call,
            { $( $function => |$request| $body ),* },
            { $( $notification => |$received| $handler ),* },
            else Ok($crate::soap::Reply::unknown($call))
        )
    };
    (
        $call:expr,
        { $( $function:ty => |$request:ident| $body:expr ),* $(,)? },
        { $( $notification:ty => |$received:ident| $handler:expr ),* $(,)? },
        else $otherwise:expr
    ) => {{
        let call: &$crate::soap::Call = $call;
        'found: {
            $( if call.is_call_of::<$function>() {
                break 'found match call.message::<<$function as rsp::sgp02::Function>::Request>() {
                    Ok($request) => call.reply::<$function>($body),
                    Err(fault) => Ok($crate::soap::Reply::fault(fault)),
                };
            } )*
            $( if call.is_notification::<$notification>() {
                break 'found match call.message::<$notification>() {
                    Ok($received) => $crate::soap::Reply::taken($handler),
                    Err(fault) => Ok($crate::soap::Reply::fault(fault)),
                };
            } )*
            $otherwise
        }
    }};
}
