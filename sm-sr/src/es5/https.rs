//! HTTPS endpoint for cards: decodes their requests and encodes the replies. `sessions.rs` decides
//! on them.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use rsp::{
    finding::{self, Finding},
    ids::Aid,
    ota::{
        admin::{AgentId, Post, Reply, ScriptStatus},
        script::{Form, Script, ScriptResponse},
    },
    sgp02::keys,
};
use world::{Event, Outcome, PskIdentity};

use super::{
    Engine,
    engine::{EngineEvent, log_findings},
    sessions::{Call, Content, Offer, ScriptResult},
};

/// Reason why a request is not a valid request of a card.
#[derive(Debug)]
struct InvalidRequest {
    status: StatusCode,
    why: String,
}

impl Engine {
    /// Answers a request at the HTTPS endpoint for cards. The endpoint must have added a
    /// [`PskIdentity`] to it.
    pub async fn https(&self, request: Request<Bytes>) -> Response<Bytes> {
        let received = request.body().len();
        let (call, findings) = finding::collect(|| self.call(&request));
        let mut call = match call {
            Ok(call) => call,
            Err(invalid) => {
                let peer = request.extensions().get::<PskIdentity>().map(|identity| identity.0.clone());
                let (peer, outcome) = (peer.unwrap_or_default(), Outcome::Refused(invalid.why));
                self.report_call(peer, received, 0, outcome, findings);
                return answer(&Reply::Refused(invalid.status.as_u16()));
            }
        };
        let (eid, answers, began) = (call.eid, call.answers, self.0.world.now());
        loop {
            let generation = self.0.long_polls.generation();
            let offer = match self.handle(EngineEvent::Called(call)).await {
                Ok(offer) => offer.unwrap_or(Offer::End),
                Err(fault) => {
                    tracing::error!(%fault, "cannot answer a card because of an internal fault");
                    self.report_call(
                        eid.to_string(),
                        received,
                        0,
                        Outcome::Failed(fault.to_string()),
                        findings,
                    );
                    return answer(&Reply::Refused(StatusCode::INTERNAL_SERVER_ERROR.as_u16()));
                }
            };
            // The time of the next work may have changed.
            self.signal_work();
            match offer {
                Offer::Script { number, target, script } => {
                    let response = answer(&self.script_reply(number, target, script));
                    let sent = response.body().len();
                    self.report_call(eid.to_string(), received, sent, Outcome::Done, findings);
                    return response;
                }
                Offer::End => {
                    self.report_call(eid.to_string(), received, 0, Outcome::Done, findings);
                    return answer(&Reply::End);
                }
                Offer::Hold(until) => {
                    self.0.long_polls.wait(generation, until).await;
                    call = Call { eid, content: Content::Nothing, answers, waited: Some(began) };
                }
            }
        }
    }

    fn report_call(
        &self,
        peer: String,
        received: usize,
        sent: usize,
        outcome: Outcome,
        findings: Vec<Finding>,
    ) {
        let findings = log_findings(&peer, findings);
        let event =
            Event::new(self.0.world.now(), "SM-SR", "session").with_peer("ES5", peer).with_findings(findings);
        self.0.events.emit(event.with_bytes(sent, received).with_outcome(outcome));
    }

    fn call(&self, request: &Request<Bytes>) -> Result<Call, InvalidRequest> {
        let invalid = |status, why: &str| InvalidRequest { status, why: why.to_owned() };
        let identity = request.extensions().get::<PskIdentity>().and_then(|identity| identity.0.parse().ok());
        let keys::PskIdentity { eid, .. } =
            identity.ok_or_else(|| invalid(StatusCode::FORBIDDEN, "it has no PSK identity of a card"))?;
        if request.method() != http::Method::POST {
            return Err(invalid(StatusCode::METHOD_NOT_ALLOWED, "it is not a POST"));
        }
        let post = Post::of_http(request);
        let post =
            post.map_err(|error| InvalidRequest { status: StatusCode::BAD_REQUEST, why: error.to_string() })?;
        // req: SGP.02-2.4.4-Identity
        if post.agent.parse() != Ok(AgentId { eid }) {
            return Err(invalid(
                StatusCode::FORBIDDEN,
                "X-Admin-From does not name the card whose key was used",
            ));
        }
        let content = self.content(request.uri(), post)?;
        let answers = match content {
            Content::Response(number, _) => Some(number),
            Content::Nothing | Content::Notification(_) => None,
        };
        Ok(Call { eid, content, answers, waited: None })
    }

    fn content(&self, uri: &http::Uri, post: Post) -> Result<Content, InvalidRequest> {
        let bad = |why: String| InvalidRequest { status: StatusCode::BAD_REQUEST, why };
        let mut parameters = uri.query().unwrap_or_default().split('&');
        if let Some(message) = parameters.find_map(|each| each.strip_prefix("msg=")) {
            let octets = hex::decode(message).map_err(|_| bad("msg is not hexadecimal".into()))?;
            return Ok(Content::Notification(octets));
        }
        let number = self.number(uri.path());
        match (post.result, number) {
            // A request of a resumed session has no response if the response was lost. The card
            // then requests the script again.
            (None, _) => Ok(Content::Nothing),
            (Some((ScriptStatus::Ok, body)), Some(number)) => {
                let response = ScriptResponse::parse(&body);
                let response =
                    response.map_err(|error| bad(format!("its body is not a valid response: {error}")))?;
                Ok(Content::Response(number, ScriptResult::Answered(response)))
            }
            (Some((status, _)), Some(number)) => Ok(Content::Response(number, ScriptResult::Refused(status))),
            (Some(_), None) => Err(bad("its URI was not given with any script".into())),
        }
    }

    fn path(&self) -> &str {
        self.0.config.https.as_ref().map_or("", |endpoint| endpoint.path.as_str())
    }

    fn number(&self, path: &str) -> Option<u32> {
        path.strip_prefix(self.path())?.strip_prefix("/next/")?.parse().ok()
    }

    fn script_reply(&self, number: u32, target: Aid, script: Script) -> Reply {
        Reply::Commands {
            // An absent target means the ISD-R.
            target: Some(target).filter(|target| target.0 != Aid::ISD_R),
            next_uri: Some(format!("{}/next/{number}", self.path())),
            script: script.in_form(Form::Indefinite).to_bytes(),
        }
    }
}

/// Encodes a reply. Any reply without a script ends the session.
fn answer(reply: &Reply) -> Response<Bytes> {
    let mut response = reply.to_http().unwrap_or_else(|error| {
        tracing::error!(%error, "the path of the HTTPS endpoint is not valid in a header");
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    });
    if response.status() != StatusCode::OK {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
