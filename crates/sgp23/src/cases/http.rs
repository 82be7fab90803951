//! Cases of the HTTP layer: SGP.22 section 6, SGP.23 section 4.3.17.

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use rsp::der::tlv;
use rsp::sgp22::es9plus::InitiateAuthentication;
use rsp::sgp22::json::{self, X_ADMIN_PROTOCOL};

use crate::binding::Binding;
use crate::case::{Case, Run, run};
use crate::http_rules::{HttpRule, HttpServer, expect_refusal, with_header};
use crate::testbed::Testbed;
use crate::verdict::{During, Stop, Verdict, ensure};

const FUNCTION: &str = "HTTP";

fn case(clause: &'static str, title: &str, run: Run) -> Case {
    Case::new(FUNCTION, clause, title, run)
}

pub(super) fn cases() -> Vec<Case> {
    let rule = |clause, rule: HttpRule| case(clause, rule.title(), run!(|testbed| rule.check(testbed).await));
    vec![
        rule("6.2, 6.5.1", HttpRule::ResponseHeaders),
        rule("6.2", HttpRule::ContentTypes),
        rule("6.2", HttpRule::OtherContentType),
        case("6.2", "a request without X-Admin-Protocol is not executed", no_protocol()),
        case("6.2", "a request of a version 1 client is not executed", version_1()),
        case("6.2", "the response to a version 3 client has a valid X-Admin-Protocol", version_3()),
        rule("6.5.1", HttpRule::UnknownPath),
        rule("6.5.1", HttpRule::OtherMethods),
        rule("6.5.1, 6.6.1", HttpRule::InvalidBody),
        case(
            "2.6.6",
            "an LPA without a client certificate is accepted",
            run!(|testbed| testbed.initiate().await.map(|_| ())),
        ),
    ]
}

/// The function is InitiateAuthentication.
impl HttpServer for Testbed<'_> {
    fn binding(&self) -> Binding {
        self.binding
    }

    fn request(&self) -> Request<Bytes> {
        self.binding.request::<InitiateAuthentication>(self.server.version, &self.initiation())
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Stop> {
        Self::send(self, request).await
    }

    fn executed(&self, response: &Response<Bytes>) -> Verdict {
        self.binding.answer::<InitiateAuthentication>(response)?.done().map(|_| ())
    }

    fn is_refusal(&self, response: &Response<Bytes>) -> bool {
        let body = response.body();
        match self.binding {
            Binding::Json => serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|answer| {
                let status = answer.pointer("/header/functionExecutionStatus/status");
                status.is_some_and(|status| status == "Failed")
            }),
            Binding::Asn1 => tlv::split(body)
                .and_then(|(_, function)| tlv::split(function))
                .and_then(|(_, alternative)| tlv::split(alternative))
                .is_some_and(|(tag, _)| tag.0 == 0x81),
        }
    }

    fn unknown_paths(&self) -> [&'static str; 2] {
        match self.binding {
            Binding::Json => ["/gsma/rsp2/es9plus/unknownFunction", "/gsma/rsp2/es9plus"],
            Binding::Asn1 => ["/gsma/rsp2/asn1/initiateAuthentication", "/gsma/rsp2/asn"],
        }
    }

    fn invalid_bodies(&self) -> Vec<(&'static str, Bytes)> {
        vec![
            ("an empty object", Bytes::from_static(b"{}")),
            ("an empty RemoteProfileProvisioningRequest", Bytes::from_static(&[0xA2, 0])),
            ("a function of a later version", Bytes::from_static(&[0xA2, 5, 0xBF, 0x7E, 2, 0x80, 0])),
        ]
    }
}

const PROTOCOL: HeaderName = HeaderName::from_static(X_ADMIN_PROTOCOL);

fn no_protocol() -> Run {
    run!(|testbed| {
        testbed.initiate().await.during("with X-Admin-Protocol")?;
        let mut request = testbed.request();
        request.headers_mut().remove(PROTOCOL);
        expect_refusal(testbed, request).await
    })
}

fn version_1() -> Run {
    run!(|testbed| {
        testbed.initiate().await.during("with version 2")?;
        expect_refusal(testbed, with_header(testbed.request(), PROTOCOL, "gsma/rsp/v1.0.0")).await
    })
}

fn version_3() -> Run {
    run!(|testbed| {
        for version in ["gsma/rsp/v3.0.0", "gsma/rsp/v3.1.0"] {
            let response = testbed.send(with_header(testbed.request(), PROTOCOL, version)).await?;
            testbed.executed(&response).during(version)?;
            ensure(json::protocol_version(response.headers()).is_some(), || {
                format!("the response to {version} has no valid X-Admin-Protocol")
            })?;
        }
        Ok(())
    })
}
