//! The radio interface over an HTTP link, as JSON. The protocol is specific to Landfall. The API for
//! subscribers ([`super::subscriber_api`]) is at the same link.
//!
//! | Request | Response |
//! |---|---|
//! | `GET /radio/<plmn>` | 200 [`SystemInformation`]; 404 without coverage |
//! | `POST /radio/<plmn>/attach` [`AttachRequest`] | 200 [`NetworkAnswer`]; 404 without coverage |
//! | `POST /radio/<plmn>/authenticate` [`AuthenticationResponse`] | 200 [`NetworkAnswer`]; 404 without coverage |
//! | `POST /radio/<plmn>/detach` [`AttachId`] | 204 |
//! | `POST /radio/<plmn>/short-messages` [`MobileOriginated`] | 200 [`RpAnswer`]; 404 without coverage; 410 if not attached |
//! | `POST /radio/<plmn>/short-messages/next` [`AttachId`] | 200 [`MobileTerminated`]; 204 if no message arrived for a while; 404; 410 |
//! | `POST /radio/<plmn>/short-messages/report` [`RpReport`] | 204; 404; 410 |
//! | `/v1/...`, `GET /openapi.json` | the API for subscribers |
//!
//! Bodies need `Content-Type: application/json`. Requests that a web page could have caused are
//! refused with 403 or 415 ([`world::refuse_web_pages`]).

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use rsp::ids::Plmn;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tower::Service;
use world::{BoxFuture, Link, LinkFault};

use super::messages::{AttachId, AttachRequest, AuthenticationResponse, NetworkAnswer, SystemInformation};
use super::networks::Networks;
use super::short_messages::{MobileOriginated, MobileTerminated, RpAnswer, RpReport};
use super::subscriber_api::Subscribers;
use super::{Radio, RadioFault, RadioFuture};

/// Maximum time that a request for the next short message waits. It is below the timeout of common
/// HTTP clients.
const WAIT: Duration = Duration::from_secs(20);

/// The networks as an HTTP service.
#[derive(Clone)]
pub struct NetworksService {
    subscribers: Subscribers,
    radio: Arc<dyn Radio>,
    names: Arc<[String]>,
}

impl NetworksService {
    /// Creates the service for these networks.
    pub fn new(networks: Arc<Networks>) -> Self {
        Self {
            radio: Arc::clone(&networks) as Arc<dyn Radio>,
            subscribers: Subscribers::of_known_homes(networks),
            names: Arc::default(),
        }
    }

    /// Serves the API with this access to the subscribers.
    #[must_use]
    pub fn with_subscribers(self, subscribers: Subscribers) -> Self {
        Self { subscribers, ..self }
    }

    /// Accepts these host names in requests, besides IP addresses and `localhost`. See
    /// [`world::refuse_web_pages`].
    #[must_use]
    pub fn with_names(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), ..self }
    }

    /// Serves the devices over `radio` instead of the networks' own radio interface, for example
    /// over one that injects faults.
    #[must_use]
    pub fn with_radio(self, radio: impl Radio + 'static) -> Self {
        Self { radio: Arc::new(radio), ..self }
    }
}

impl Service<Request<Bytes>> for NetworksService {
    type Response = Response<Bytes>;
    type Error = LinkFault;
    type Future = BoxFuture<'static, Result<Response<Bytes>, LinkFault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LinkFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(route(&this, &request).await) })
    }
}

async fn route(service: &NetworksService, request: &Request<Bytes>) -> Response<Bytes> {
    let NetworksService { subscribers, radio, names } = service;
    let is_own_name = |name: &str| names.iter().any(|own| own.eq_ignore_ascii_case(name));
    let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    if let ["v1", ..] | ["openapi.json"] = path.as_slice() {
        return subscribers.answer(request, is_own_name).await;
    }
    if let Err(refusal) = world::refuse_web_pages(request, is_own_name) {
        let next = "send JSON from a program, with Content-Type: application/json, to an IP address, \
                    localhost or a name of the server";
        return text_response(refusal.status(), &format!("{refusal}; {next}"));
    }
    match (request.method(), path.as_slice()) {
        (&Method::GET, ["radio", plmn]) => match plmn.parse() {
            Ok(plmn) => match radio.system_information(plmn).await {
                Ok(Some(information)) => json(&information),
                Ok(None) => text_response(StatusCode::NOT_FOUND, "no coverage"),
                Err(fault) => text_response(StatusCode::NOT_FOUND, &fault.to_string()),
            },
            Err(error) => text_response(StatusCode::BAD_REQUEST, &rsp_error(&error)),
        },
        (&Method::POST, ["radio", plmn, "attach"]) => match read(plmn, request.body()) {
            Ok((plmn, message)) => attach_response(radio.attach(plmn, message).await),
            Err(why) => text_response(StatusCode::BAD_REQUEST, &why),
        },
        (&Method::POST, ["radio", plmn, "authenticate"]) => match read(plmn, request.body()) {
            Ok((plmn, message)) => attach_response(radio.authenticate(plmn, message).await),
            Err(why) => text_response(StatusCode::BAD_REQUEST, &why),
        },
        (&Method::POST, ["radio", plmn, "detach"]) => match read(plmn, request.body()) {
            Ok((plmn, attach)) => empty_response(radio.detach(plmn, attach).await),
            Err(why) => text_response(StatusCode::BAD_REQUEST, &why),
        },
        (&Method::POST, ["radio", plmn, "short-messages"]) => match read(plmn, request.body()) {
            Ok((plmn, message)) => short_message_response(radio.submit_short_message(plmn, message).await),
            Err(why) => text_response(StatusCode::BAD_REQUEST, &why),
        },
        (&Method::POST, ["radio", plmn, "short-messages", "next"]) => match read(plmn, request.body()) {
            Ok((plmn, attach)) => match timeout(WAIT, radio.next_short_message(plmn, attach)).await {
                Ok(message) => short_message_response(message),
                Err(_) => text_response(StatusCode::NO_CONTENT, ""),
            },
            Err(why) => text_response(StatusCode::BAD_REQUEST, &why),
        },
        (&Method::POST, ["radio", plmn, "short-messages", "report"]) => match read(plmn, request.body()) {
            Ok((plmn, report)) => empty_response(radio.report_short_message(plmn, report).await),
            Err(why) => text_response(StatusCode::BAD_REQUEST, &why),
        },
        (
            _,
            ["radio", _]
            | ["radio", _, "attach" | "authenticate" | "detach" | "short-messages"]
            | ["radio", _, "short-messages", "next" | "report"],
        ) => text_response(StatusCode::METHOD_NOT_ALLOWED, "method not allowed for this path"),
        _ => text_response(
            StatusCode::NOT_FOUND,
            "unknown path; the paths are /radio/<plmn> and those of GET /openapi.json",
        ),
    }
}

fn read<Message: DeserializeOwned>(plmn: &str, body: &Bytes) -> Result<(Plmn, Message), String> {
    let plmn = plmn.parse().map_err(|error| rsp_error(&error))?;
    Ok((plmn, serde_json::from_slice(body).map_err(|error| error.to_string())?))
}

fn rsp_error(error: &rsp::ids::InvalidId) -> String {
    error.to_string()
}

fn attach_response(result: Result<NetworkAnswer, RadioFault>) -> Response<Bytes> {
    match result {
        Ok(body) => json(&body),
        Err(fault) => text_response(StatusCode::NOT_FOUND, &fault.to_string()),
    }
}

fn short_message_response(result: Result<impl Serialize, RadioFault>) -> Response<Bytes> {
    match result {
        Ok(body) => json(&body),
        Err(RadioFault::Detached) => text_response(StatusCode::GONE, "not attached"),
        Err(fault) => text_response(StatusCode::NOT_FOUND, &fault.to_string()),
    }
}

fn empty_response(result: Result<(), RadioFault>) -> Response<Bytes> {
    match result {
        Ok(()) => text_response(StatusCode::NO_CONTENT, ""),
        fault => short_message_response(fault),
    }
}

fn json(body: &impl Serialize) -> Response<Bytes> {
    let mut response = Response::new(serde_json::to_vec(body).unwrap_or_default().into());
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn text_response(status: StatusCode, why: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(why.as_bytes()));
    *response.status_mut() = status;
    response
}

/// Networks on another host.
#[derive(Clone)]
pub struct RemoteNetworks(Link);

impl RemoteNetworks {
    /// Creates a client for the networks that answer over `link`.
    pub fn new(link: Link) -> Self {
        Self(link)
    }

    async fn send(&self, method: Method, path: String, body: Vec<u8>) -> Result<Response<Bytes>, RadioFault> {
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
        let request = request.body(Bytes::from(body));
        let request = request.map_err(|error| RadioFault::Lost(error.to_string()))?;
        world::send(&self.0, request).await.map_err(|fault| RadioFault::Lost(fault.to_string()))
    }

    async fn post<Message: Serialize, Answer: DeserializeOwned>(
        &self,
        plmn: Plmn,
        function: &str,
        message: Message,
    ) -> Result<Answer, RadioFault> {
        let body = serde_json::to_vec(&message).map_err(|error| RadioFault::Lost(error.to_string()))?;
        let response = self.send(Method::POST, format!("/radio/{plmn}/{function}"), body).await?;
        decode(&response)?.ok_or(RadioFault::NoCoverage(plmn))
    }

    async fn post_without_answer(
        &self,
        plmn: Plmn,
        function: &str,
        message: impl Serialize,
    ) -> Result<(), RadioFault> {
        let body = serde_json::to_vec(&message).map_err(|error| RadioFault::Lost(error.to_string()))?;
        let response = self.send(Method::POST, format!("/radio/{plmn}/{function}"), body).await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(()),
            StatusCode::NOT_FOUND => Err(RadioFault::NoCoverage(plmn)),
            StatusCode::GONE => Err(RadioFault::Detached),
            _ => Err(unexpected(&response)),
        }
    }
}

fn decode<T: DeserializeOwned>(response: &Response<Bytes>) -> Result<Option<T>, RadioFault> {
    match response.status() {
        StatusCode::OK => serde_json::from_slice(response.body())
            .map(Some)
            .map_err(|error| RadioFault::Lost(error.to_string())),
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::GONE => Err(RadioFault::Detached),
        _ => Err(unexpected(response)),
    }
}

fn unexpected(response: &Response<Bytes>) -> RadioFault {
    RadioFault::Lost(format!("{}: {}", response.status(), String::from_utf8_lossy(response.body())))
}

impl Radio for RemoteNetworks {
    fn system_information(&self, plmn: Plmn) -> RadioFuture<'_, Option<SystemInformation>> {
        Box::pin(async move { decode(&self.send(Method::GET, format!("/radio/{plmn}"), Vec::new()).await?) })
    }

    fn attach(&self, plmn: Plmn, request: AttachRequest) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(self.post(plmn, "attach", request))
    }

    fn authenticate(&self, plmn: Plmn, response: AuthenticationResponse) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(self.post(plmn, "authenticate", response))
    }

    fn detach(&self, plmn: Plmn, attach: AttachId) -> RadioFuture<'_, ()> {
        Box::pin(self.post_without_answer(plmn, "detach", attach))
    }

    fn submit_short_message(&self, plmn: Plmn, message: MobileOriginated) -> RadioFuture<'_, RpAnswer> {
        Box::pin(self.post(plmn, "short-messages", message))
    }

    fn next_short_message(&self, plmn: Plmn, attach: AttachId) -> RadioFuture<'_, MobileTerminated> {
        Box::pin(async move {
            let body = serde_json::to_vec(&attach).map_err(|error| RadioFault::Lost(error.to_string()))?;
            loop {
                let path = format!("/radio/{plmn}/short-messages/next");
                let response = self.send(Method::POST, path, body.clone()).await?;
                if response.status() != StatusCode::NO_CONTENT {
                    return decode(&response)?.ok_or(RadioFault::NoCoverage(plmn));
                }
            }
        })
    }

    fn report_short_message(&self, plmn: Plmn, report: RpReport) -> RadioFuture<'_, ()> {
        Box::pin(self.post_without_answer(plmn, "short-messages/report", report))
    }
}

#[cfg(test)]
mod tests {
    use http::header::{HOST, ORIGIN};
    use rsp::time::Timestamp;
    use world::{ManualClock, SeededRandom, World};

    use super::*;

    fn service() -> NetworksService {
        let world = World::new(ManualClock::at(Timestamp(0)), SeededRandom::new([1; 32]));
        NetworksService::new(Arc::new(Networks::new(world))).with_names(["testbed".to_owned()])
    }

    #[tokio::test]
    async fn a_web_page_reaches_neither_the_radio_nor_the_subscribers() {
        let service = service();
        let ask =
            async |method: &str, path: &str, headers: Vec<(http::HeaderName, &str)>, body: &'static str| {
                let mut request = Request::builder().method(method).uri(path);
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                route(&service, &request.body(Bytes::from_static(body.as_bytes())).unwrap()).await.status()
            };
        let json = (CONTENT_TYPE, "application/json");
        let evil = (HOST, "evil.example");
        for (method, path, body) in [
            ("GET", "/radio/001-01", ""),
            ("POST", "/radio/001-01/attach", "{}"),
            ("POST", "/radio/001-01/authenticate", "{}"),
            ("PUT", "/v1/subscribers/001010000000001", "{}"),
            ("DELETE", "/v1/subscribers/001010000000001", ""),
        ] {
            let asked = |headers| ask(method, path, headers, body);
            assert_eq!(asked(vec![evil.clone(), json.clone()]).await, StatusCode::FORBIDDEN, "{path}");
            let page = (ORIGIN, "http://127.0.0.1:1");
            assert_eq!(asked(vec![page, json.clone()]).await, StatusCode::FORBIDDEN, "{path}");
            if !body.is_empty() {
                let form = (CONTENT_TYPE, "text/plain");
                assert_eq!(asked(vec![form]).await, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
            }
            for host in ["127.0.0.1:8450", "TESTBED:8450"] {
                let status = asked(vec![(HOST, host), json.clone()]).await;
                assert!(
                    [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST].contains(&status),
                    "{path}: {status}"
                );
            }
        }
    }
}
