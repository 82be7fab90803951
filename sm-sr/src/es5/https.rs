//! Sessions that cards open: GlobalPlatform Amendment B section 3, as used by SGP.02 sections 2.4.4
//! and 4.1.
//!
//! A card sends a POST without a body and gets the first script. It sends the response in a POST to
//! the URI that came with the script and gets the next script, until there is none: then it gets
//! 204 and the connection ends. The URI has a number that was never used for this card before, so a
//! response that arrives twice, or after a restart, is recognised.
//!
//! A repeated request with a response to a script means that the card did not get the server's
//! answer, and it gets the same answer again. The first request of a session contains no response,
//! so it is never a repetition, not even with X-Admin-Resume. That header says that the session was
//! begun before. It does not say that no script was executed. A card sends it after it has executed
//! a script, has given the session up because the server was unreachable, and tries to begin
//! another one twice; so does a card that lost power during a script. Amendment B lets the server
//! choose whether a dialogue continues or begins again. A script that can be executed twice is sent
//! again and verified afterwards (`audit.rs`). Any other script is not: if its second execution
//! were refused, the refusal would be taken for the result of the first one, and a key set that the
//! card has created for one that it has not. Such a job ends as unknown, and the procedure that
//! created it resolves the state.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use rsp::{
    ids::{Aid, Eid},
    ota::{
        admin::{AgentId, Post, Reply, ScriptStatus},
        script::{Form, Script, ScriptResponse},
    },
    sgp02::keys,
    time::Timestamp,
};
use world::{Event, Fault, Outcome, PskIdentity};

use super::{
    Bearer, CardRefusal, Engine, JobId, JobOutcome,
    engine::{Context, EngineEvent},
    queue::{delete_message_references, first},
    records::{Awaits, Pending, Sent, TransmissionRef, What},
};

/// A request of a card in its session.
#[derive(Debug)]
pub(super) struct Call {
    eid: Eid,
    content: Content,
    /// Number in its URI, if it contains the response to the script with this number.
    answers: Option<u32>,
    /// Time of arrival, if the request has waited for a script.
    waited: Option<Timestamp>,
}

#[derive(Debug)]
enum Content {
    /// Nothing: the card requests a script.
    Nothing,
    /// The response to the script with this number.
    Response(u32, ScriptResult),
    /// A default notification.
    Notification(Vec<u8>),
}

#[derive(Clone, Debug)]
enum ScriptResult {
    Answered(ScriptResponse),
    Refused(ScriptStatus),
}

/// Reply to a request of a card.
#[derive(Debug)]
pub(super) enum Offer {
    Script {
        number: u32,
        target: Aid,
        script: Script,
    },
    /// A script will come. The request waits for it until this time.
    Hold(Timestamp),
    End,
}

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
        let mut call = match self.call(&request) {
            Ok(call) => call,
            Err(invalid) => {
                let peer = request.extensions().get::<PskIdentity>().map(|identity| identity.0.clone());
                self.report_call(peer.unwrap_or_default(), received, 0, Outcome::Refused(invalid.why));
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
                    self.report_call(eid.to_string(), received, 0, Outcome::Failed(fault.to_string()));
                    return answer(&Reply::Refused(StatusCode::INTERNAL_SERVER_ERROR.as_u16()));
                }
            };
            // The time of the next work may have changed.
            self.signal_work();
            match offer {
                Offer::Script { number, target, script } => {
                    let response = answer(&self.script_reply(number, target, script));
                    self.report_call(eid.to_string(), received, response.body().len(), Outcome::Done);
                    return response;
                }
                Offer::End => {
                    self.report_call(eid.to_string(), received, 0, Outcome::Done);
                    return answer(&Reply::End);
                }
                Offer::Hold(until) => {
                    self.0.long_polls.wait(generation, until).await;
                    call = Call { eid, content: Content::Nothing, answers, waited: Some(began) };
                }
            }
        }
    }

    fn report_call(&self, peer: String, received: usize, sent: usize, outcome: Outcome) {
        let event = Event::new(self.0.world.now(), "SM-SR", "session").with_peer("ES5", peer);
        self.0.events.tell(event.with_bytes(sent, received).with_outcome(outcome));
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
            // In a resumed session the last response may be lost; then the script is requested
            // again.
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
        self.0.config.https.as_ref().map_or("", |door| door.path.as_str())
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

impl Context<'_, '_> {
    /// Handles a request of a card and returns the reply.
    pub(super) async fn handle_call(&mut self, call: &Call) -> Result<Offer, Fault> {
        let eid = call.eid;
        if self.procedures.card(self.tx, eid).await?.is_none() {
            self.ignore(eid, "this SM-SR does not manage the card any more");
            return Ok(Offer::End);
        }
        self.card_responded(eid).await?;
        let mut announced = call.waited.is_some();
        match &call.content {
            Content::Nothing => {}
            Content::Notification(octets) => self.notification(eid, octets, Bearer::Https, None).await?,
            Content::Response(number, script_result) => {
                announced |= self.script_result(eid, *number, script_result).await?
            }
        }
        self.offer(call, announced).await
    }

    /// Handles the response to a script. Returns true if another script was announced with it.
    async fn script_result(
        &mut self,
        eid: Eid,
        number: u32,
        script_result: &ScriptResult,
    ) -> Result<bool, Fault> {
        let found = self.jobs(eid).await?.into_iter().find_map(|(id, pending)| {
            let is_it = |sent: &Sent| matches!(sent.by, TransmissionRef::Session { number: given, .. } if given == number);
            let at = pending.sent.iter().position(is_it)?;
            Some((id, pending, at))
        });
        let Some((id, pending, at)) = found else {
            self.ignore(eid, "the job that it answers has ended");
            // The answer to it may have been on its way to the card.
            let until = self.card(eid).await?.session_until;
            return Ok(until.is_some_and(|until| until > self.now));
        };
        let more = pending.job.more_to_do;
        match (script_result, pending.doubt.clone()) {
            (ScriptResult::Answered(response), _) => {
                self.answered(&id, pending, at, response.clone()).await?
            }
            (ScriptResult::Refused(_), Some(doubt)) => {
                self.end(&id, &pending, JobOutcome::Answered(doubt)).await?
            }
            (ScriptResult::Refused(status), None) => {
                let refusal = CardRefusal::Script(*status);
                self.end(&id, &pending, JobOutcome::Refused(refusal)).await?;
            }
        }
        Ok(more)
    }

    /// Offers the first job of the card, if it can be given to a session. The order is kept: a job
    /// in progress over short messages delays those behind it.
    async fn offer(&mut self, call: &Call, announced: bool) -> Result<Offer, Fault> {
        let eid = call.eid;
        loop {
            let jobs = self.jobs(eid).await?;
            let Some((id, pending)) = jobs.iter().find(|(_, pending)| pending.job.valid_until <= self.now)
            else {
                break;
            };
            self.end(id, pending, JobOutcome::Expired).await?;
        }
        let first = first(&self.jobs(eid).await?).cloned();
        let mut card = self.card(eid).await?;
        let until = call.waited.unwrap_or(self.now).plus(self.config.hold);
        let offer = match first {
            Some((id, pending))
                if self.is_for_session(&pending) || pending.given_after(call.answers).is_some() =>
            {
                card.session_until = None;
                self.give_script(&id, pending, &mut card.last_number, call.answers)?
            }
            None if announced && until > self.now => {
                card.session_until = Some(until);
                Offer::Hold(until)
            }
            _ => {
                card.session_until = None;
                Offer::End
            }
        };
        self.put_card(eid, &card)?;
        // Jobs that the session cannot be given are sent by short messages.
        self.step(eid).await?;
        Ok(offer)
    }

    fn give_script(
        &mut self,
        id: &JobId,
        mut pending: Pending,
        last_number: &mut u32,
        after: Option<u32>,
    ) -> Result<Offer, Fault> {
        let what = Self::what(&pending);
        let (script, target) = pending.script_now();
        let number = match pending.given_after(after) {
            // A repeated request gets the same answer.
            Some(given) => given,
            None => {
                *last_number = last_number.wrapping_add(1);
                let number = *last_number;
                let sent = Sent { at: self.now, what, by: TransmissionRef::Session { number, after } };
                delete_message_references(self.tx, pending.remember(sent).as_ref());
                number
            }
        };
        pending.awaits = Awaits::Response { until: self.now.plus(self.config.script_within) };
        pending.tries = pending.tries.saturating_add(1);
        self.put(id, &pending)?;
        let name = match what {
            What::Audit => super::Effect::Audit.name(),
            _ => pending.job.effect.name(),
        };
        self.tell(
            Event::new(self.now, "SM-SR", name)
                .with_peer("ES5", id.eid().to_string())
                .with_bytes(script.to_bytes().len(), 0)
                .with_note(format!("HTTPS, number {number}, for {target}")),
        );
        Ok(Offer::Script { number, target, script })
    }
}
