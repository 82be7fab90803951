//! Cases of the HTTP layer and of TLS: SGP.32 sections 6.1, 6.3 and 6.4.

use bytes::Bytes;
use http::{Request, Response, header};
use rsp::sgp32::esipa::{self, EimPackageError, GetEimPackageResponse, MessageFromIpa, USER_AGENT_IPAE};
use sgp23::{Binding, During, HttpRule, HttpServer, Scope, Stop, Verdict, with_header};

use crate::eim::case::{Case, Need, Run, run};
use crate::eim::testbed::Testbed;

fn case(clause: &'static str, title: &str, run: Run) -> Case {
    Case::new("HTTP", clause, title, run).scope(Scope::Bindings)
}

pub(super) fn cases() -> Vec<Case> {
    let rule = |rule: HttpRule| case("6.3, 6.4", rule.title(), run!(|testbed| rule.check(&*testbed).await));
    vec![
        rule(HttpRule::ResponseHeaders),
        rule(HttpRule::ContentTypes),
        rule(HttpRule::OtherContentType),
        case("6.1", "a User-Agent of an IPA in the eUICC is accepted", user_agent()),
        rule(HttpRule::UnknownPath),
        rule(HttpRule::OtherMethods),
        rule(HttpRule::InvalidBody),
        case("6.1", "an IPA without a client certificate is accepted", without_certificate()),
        case("6.1", "TLS 1.2 is accepted", tls12()).need(Need::Tls12),
    ]
}

/// The function is a poll with an EID that is not registered. Every eIM answers it with an error of
/// the function.
impl HttpServer for Testbed<'_> {
    fn binding(&self) -> Binding {
        self.binding
    }

    fn request(&self) -> Request<Bytes> {
        let poll = Self::poll_of(self.other_eid);
        self.http::<esipa::GetEimPackage>(&poll, MessageFromIpa::GetEimPackageRequest)
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Stop> {
        Self::send(self, request).await
    }

    fn executed(&self, response: &Response<Bytes>) -> Verdict {
        match self.reply::<GetEimPackageResponse>(response)? {
            GetEimPackageResponse::EimPackageError(_) => Ok(()),
            other => Err(Stop::failed(format!("the reply is {other:?}, expected an error of the function"))),
        }
    }

    fn is_refusal(&self, response: &Response<Bytes>) -> bool {
        match self.binding {
            Binding::Json => serde_json::from_slice::<serde_json::Value>(response.body()).is_ok_and(|body| {
                let status = body.pointer("/header/functionExecutionStatus/status");
                status.is_some_and(|status| status == "Failed")
                    || body
                        .get("eimPackageError")
                        .is_some_and(|code| *code != EimPackageError::EID_NOT_FOUND.0)
            }),
            Binding::Asn1 => self.reply::<GetEimPackageResponse>(response).is_ok_and(|reply| {
                use GetEimPackageResponse::EimPackageError as Refused;
                matches!(reply, Refused(code) if code != EimPackageError::EID_NOT_FOUND)
            }),
        }
    }

    fn unknown_paths(&self) -> [&'static str; 2] {
        match self.binding {
            Binding::Json => ["/gsma/rsp2/esipa/unknownFunction", "/gsma/rsp2/esipa"],
            Binding::Asn1 => ["/gsma/rsp2/asn1/getEimPackage", "/gsma/rsp2/asn"],
        }
    }

    fn invalid_bodies(&self) -> Vec<(&'static str, Bytes)> {
        vec![
            ("an unknown function", Bytes::from_static(&[0xBF, 0x7E, 2, 0x80, 0])),
            ("a length beyond the end", Bytes::from_static(&[0xBF, 0x4F, 0x82, 0xFF, 0xFF, 0x5A, 0x10])),
        ]
    }
}

/// Sends a request, which must be executed.
async fn execute(testbed: &Testbed<'_>, request: Request<Bytes>) -> Verdict {
    testbed.executed(&testbed.send(request).await?)
}

fn user_agent() -> Run {
    run!(|testbed| {
        for agent in [USER_AGENT_IPAE, "gsma-rsp-ipae;vendor/1.0"] {
            let request = with_header(testbed.request(), header::USER_AGENT, agent);
            execute(testbed, request).await.during(agent)?;
        }
        Ok(())
    })
}

fn without_certificate() -> Run {
    run!(|testbed| execute(testbed, testbed.request()).await)
}

fn tls12() -> Run {
    run!(|testbed| {
        let link = testbed.eim.esipa_tls12.as_ref().ok_or_else(|| Stop::needs("TLS 1.2"))?;
        testbed.executed(&world::send(link, testbed.request()).await?)
    })
}
