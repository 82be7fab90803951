//! A link in front of an eIM that records the calls of an IPA, and loses or replaces messages. Over
//! CoAP it also records the messages of the IPA, and loses replies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use coap::Datagrams;
use coap::message::Message;
use http::{HeaderMap, Request, Response, StatusCode};
use rsp::der::{Asn1, tlv, tlv_bytes};
use rsp::sgp32::esipa::{
    self, EimPackageResult, GetEimPackageRequest, HandleNotificationRequest, MessageFromIpa,
};
use world::{BoxFuture, Link, LinkFault, LinkFaultKind, link_from};

/// Maximum number of calls and of datagrams in the record. A device that repeats a call without end
/// must not fill the memory.
const MAX_CALLS: usize = 1000;

/// A tap. Clones share their state.
#[derive(Clone, Default)]
pub struct Tap(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    interventions: Vec<Intervention>,
    /// The datagrams of the IPA over CoAP.
    datagrams: Vec<Bytes>,
    /// The number of datagrams to the IPA that are lost.
    lost_replies: u32,
}

/// A call of an IPA.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function.
    pub function: Function,
    /// True if the call arrived over CoAP, which has no headers.
    pub is_coap: bool,
    /// The headers of the request.
    pub headers: HeaderMap,
    /// The body of the request.
    pub body: Bytes,
    /// The status of the response that the IPA received, or `None` if it was lost.
    pub status: Option<StatusCode>,
}

/// A function of ESipa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// GetEimPackage.
    GetEimPackage,
    /// ProvideEimPackageResult.
    ProvideEimPackageResult,
    /// HandleNotification.
    HandleNotification,
    /// InitiateAuthentication.
    InitiateAuthentication,
    /// Any other function.
    Other,
}

/// An intervention in the next calls of a function.
#[derive(Clone, Debug)]
pub(super) struct Intervention {
    pub(super) functions: &'static [Function],
    pub(super) act: Act,
    /// The number of calls.
    pub(super) times: u32,
}

/// The act of an intervention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The request does not reach the eIM.
    LoseRequest,
    /// The eIM executes the request, and its response is lost.
    LoseAnswer,
    /// The package in the response is replaced by octets that are no package.
    DamagePackage,
    /// The package in the response is replaced by one of a later version.
    ReplaceByUnknownPackage,
    /// The response gets an element that no version of SGP.32 defines.
    AddUnknownElement,
}

impl Function {
    fn of(request: &Request<Bytes>) -> Self {
        let name = request.uri().path().strip_prefix("/gsma/rsp2/esipa/");
        match (name, request.body().get(..2)) {
            (Some("getEimPackage"), _) | (None, Some([0xBF, 0x4F])) => Self::GetEimPackage,
            (Some("provideEimPackageResult"), _) | (None, Some([0xBF, 0x50])) => {
                Self::ProvideEimPackageResult
            }
            (Some("handleNotification"), _) | (None, Some([0xBF, 0x3D])) => Self::HandleNotification,
            (Some("initiateAuthentication"), _) | (None, Some([0xBF, 0x39])) => Self::InitiateAuthentication,
            _ => Self::Other,
        }
    }
}

impl Call {
    /// True if the call is in the JSON binding.
    pub(super) fn is_json(&self) -> bool {
        self.body.first() == Some(&b'{')
    }

    /// Returns the poll, if this is one.
    pub(super) fn poll(&self) -> Option<GetEimPackageRequest> {
        match self.is_json() {
            true if self.function == Function::GetEimPackage => esipa::json::read(&self.body).ok(),
            true => None,
            false => match MessageFromIpa::from_peer(&self.body).ok()? {
                MessageFromIpa::GetEimPackageRequest(request) => Some(request),
                _ => None,
            },
        }
    }

    /// Returns the result of a package that the call delivers.
    pub(super) fn result(&self) -> Option<EimPackageResult> {
        let request = match (self.function, self.is_json()) {
            (Function::ProvideEimPackageResult, true) => esipa::json::read(&self.body).ok()?,
            (Function::HandleNotification, true) => match esipa::json::read(&self.body).ok()? {
                HandleNotificationRequest::ProvideEimPackageResult(request) => request,
                _ => return None,
            },
            (_, true) => return None,
            (_, false) => match MessageFromIpa::from_peer(&self.body).ok()? {
                MessageFromIpa::ProvideEimPackageResult(request) => request,
                MessageFromIpa::HandleNotification(HandleNotificationRequest::ProvideEimPackageResult(
                    request,
                )) => request,
                _ => return None,
            },
        };
        Some(request.eim_package_result)
    }
}

impl Tap {
    /// Forgets all calls and interventions.
    pub(super) fn clear(&self) {
        *self.state() = State::default();
    }

    /// Adds an intervention.
    pub(super) fn intervene(&self, intervention: Intervention) {
        self.state().interventions.push(intervention);
    }

    /// Ends all interventions.
    pub(super) fn end_interventions(&self) {
        self.state().interventions.clear();
    }

    /// Returns all calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the act for the next call of a function, and counts it.
    fn take(&self, function: Function) -> Option<Act> {
        let mut state = self.state();
        let due = |it: &&mut Intervention| it.times > 0 && it.functions.contains(&function);
        let intervention = state.interventions.iter_mut().find(due)?;
        intervention.times -= 1;
        Some(intervention.act)
    }

    /// Returns the messages of the IPA over CoAP so far.
    pub(super) fn messages(&self) -> Vec<Message> {
        self.state().datagrams.iter().filter_map(|datagram| Message::decode(datagram).ok()).collect()
    }

    /// Loses the next datagram to the IPA.
    pub(super) fn lose_reply(&self) {
        self.state().lost_replies = 1;
    }

    /// Wraps an association of the eIM with an IPA.
    pub fn association(&self, inner: Arc<dyn Datagrams>) -> Arc<dyn Datagrams> {
        Arc::new(Association { inner, tap: self.clone() })
    }

    /// Wraps an eIM that IPAs call over HTTPS.
    pub fn over(&self, eim: Link) -> Link {
        self.wrap(eim, false)
    }

    /// Wraps an eIM that IPAs call over CoAP.
    pub fn over_coap(&self, eim: Link) -> Link {
        self.wrap(eim, true)
    }

    fn wrap(&self, eim: Link, is_coap: bool) -> Link {
        let tap = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (tap, eim) = (tap.clone(), eim.clone());
            async move {
                let function = Function::of(&request);
                let (headers, body) = (request.headers().clone(), request.body().clone());
                let is_json = request.uri().path().starts_with("/gsma/rsp2/esipa/");
                let lost = || LinkFault::new(LinkFaultKind::Reset, "eIM", "the tester lost the message");
                let answer = match tap.take(function) {
                    Some(Act::LoseRequest) => Err(lost()),
                    Some(Act::LoseAnswer) => world::send(&eim, request).await.and_then(|_| Err(lost())),
                    Some(act) => {
                        let answer = world::send(&eim, request).await;
                        answer.map(|answer| replaced(answer, act, is_json))
                    }
                    None => world::send(&eim, request).await,
                };
                let status = answer.as_ref().ok().map(Response::status);
                let mut state = tap.state();
                if state.calls.len() < MAX_CALLS {
                    state.calls.push(Call { function, is_coap, headers, body, status });
                }
                answer
            }
        }))
    }
}

/// Replaces the package in the response of GetEimPackage, or adds an element to any response.
fn replaced(answer: Response<Bytes>, act: Act, is_json: bool) -> Response<Bytes> {
    let body: &'static [u8] = match (act, is_json) {
        (Act::AddUnknownElement, _) => return answer.map(|body| with_unknown_element(&body, is_json)),
        // EuiccPackageRequest without elements.
        (Act::DamagePackage, false) => &[0xBF, 0x4F, 3, 0xBF, 0x51, 0],
        (Act::DamagePackage, true) => br#"{"euiccPackageRequest":"v1EA"}"#,
        // A package with a tag that SGP.32 does not define.
        (_, false) => &[0xBF, 0x4F, 6, 0xBF, 0x7E, 3, 0x80, 1, 0],
        (_, true) => br#"{"packageOfALaterVersion":"v34DgAEA"}"#,
    };
    answer.map(|_| Bytes::from_static(body))
}

/// Adds an element to the end of a response: of the chosen alternative, if the response is a CHOICE
/// of constructed elements. Codes are unchanged.
fn with_unknown_element(body: &Bytes, is_json: bool) -> Bytes {
    if is_json {
        let text = String::from_utf8_lossy(body);
        return text.replacen('{', r#"{"elementOfALaterVersion":[1,{"a":null}],"#, 1).into_bytes().into();
    }
    let added = || -> Option<Vec<u8>> {
        let (outer, alternative) = tlv::split(body)?;
        let (tag, contents) = tlv::split(alternative).filter(|(tag, _)| tag.is_constructed())?;
        let contents = [contents, &[0x9F, 0x7F, 0x01, 0x00]].concat();
        Some(tlv_bytes(outer, &tlv_bytes(tag, &contents)))
    };
    added().map_or_else(|| body.clone(), Bytes::from)
}

/// An association whose messages are recorded and lost.
struct Association {
    inner: Arc<dyn Datagrams>,
    tap: Tap,
}

impl Datagrams for Association {
    fn send(&self, datagram: Bytes) -> BoxFuture<'_, Result<(), LinkFault>> {
        let is_lost = {
            let mut state = self.tap.state();
            let is_lost = state.lost_replies > 0;
            state.lost_replies = state.lost_replies.saturating_sub(1);
            is_lost
        };
        if is_lost { Box::pin(std::future::ready(Ok(()))) } else { self.inner.send(datagram) }
    }

    fn receive(&self) -> BoxFuture<'_, Result<Bytes, LinkFault>> {
        Box::pin(async {
            let datagram = self.inner.receive().await?;
            let mut state = self.tap.state();
            if state.datagrams.len() < MAX_CALLS {
                state.datagrams.push(datagram.clone());
            }
            Ok(datagram)
        })
    }
}
