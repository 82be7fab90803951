//! Cases of the HTTP layer: SGP.22 section 6, SGP.23 section 4.3.17.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use rsp::der::tlv;
use rsp::sgp22::es9plus::{self, InitiateAuthentication};
use rsp::sgp22::json::{self, X_ADMIN_PROTOCOL};

use crate::binding::{ASN1_CONTENT_TYPE, ASN1_PATH, Answer, Binding};
use crate::case::{Case, Run, run};
use crate::testbed::Testbed;
use crate::verdict::{During, Stop, Verdict, ensure};

const FUNCTION: &str = "HTTP";

fn case(clause: &'static str, title: &str, run: Run) -> Case {
    Case::new(FUNCTION, clause, title, run)
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "6.2, 6.5.1",
            "the response has the binding's Content-Type and X-Admin-Protocol",
            answer_headers(),
        ),
        case("6.2", "parameters and case of the Content-Type may vary", content_types()),
        case("6.2", "a request with another Content-Type is not executed", other_content_type()),
        case("6.2", "a request without X-Admin-Protocol is not executed", no_protocol()),
        case("6.2", "a request of a version 1 client is not executed", version_1()),
        case("6.2", "the response to a version 3 client has a valid X-Admin-Protocol", version_3()),
        case("6.5.1", "an unknown path is not found", unknown_path()),
        case("6.5.1", "only POST requests are executed", other_methods()),
        case("6.5.1, 6.6.1", "a request with an invalid body is not executed", nonsense()),
        case(
            "2.6.6",
            "an LPA without a client certificate is accepted",
            run!(|testbed| testbed.initiate().await.map(|_| ())),
        ),
    ]
}

impl Testbed<'_> {
    fn post(&self) -> http::Request<Bytes> {
        self.binding.request::<InitiateAuthentication>(self.server.version, &self.initiation())
    }
}

/// Checks that a function was not executed: the response is an HTTP error or a refusal of the
/// function.
async fn not_executed(testbed: &Testbed<'_>, request: http::Request<Bytes>) -> Verdict {
    let response = testbed.send(request).await?;
    if is_http_refusal(response.status()) {
        return Ok(());
    }
    match testbed.binding.answer::<InitiateAuthentication>(&response)? {
        Answer::Refused(_) => Ok(()),
        Answer::Done(_) => Err(Stop::failed("the function was executed, expected a refusal")),
    }
}

/// True if the status says that the request is invalid. 404 and 405 do not, because a server
/// returns them without reading the headers and the body.
fn is_http_refusal(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::NOT_FOUND && status != StatusCode::METHOD_NOT_ALLOWED
}

fn answer_headers() -> Run {
    run!(|testbed| {
        let response = testbed.send(testbed.post()).await?;
        let text = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let expected = match testbed.binding {
            Binding::Json => "application/json",
            Binding::Asn1 => ASN1_CONTENT_TYPE,
        };
        let content_type = text("content-type");
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        ensure(media_type.eq_ignore_ascii_case(expected), || {
            format!("Content-Type is {content_type:?}, expected {expected}")
        })?;
        ensure(json::protocol_version(response.headers()).is_some(), || {
            format!(
                "X-Admin-Protocol is {:?}, expected gsma/rsp/v followed by a version",
                text(X_ADMIN_PROTOCOL)
            )
        })
    })
}

fn content_types() -> Run {
    run!(|testbed| {
        let types: &[&'static str] = match testbed.binding {
            Binding::Json => &["application/json", "Application/JSON; charset=utf-8"],
            Binding::Asn1 => &["application/x-gsma-rsp-asn1", "Application/X-GSMA-RSP-ASN1"],
        };
        for content_type in types {
            let mut request = testbed.post();
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            let response = testbed.send(request).await?;
            testbed.binding.answer::<InitiateAuthentication>(&response)?.done().during(content_type)?;
        }
        Ok(())
    })
}

fn other_content_type() -> Run {
    run!(|testbed| {
        for content_type in ["text/plain", "application/octet-stream"] {
            let mut request = testbed.post();
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            not_executed(testbed, request).await.during(content_type)?;
        }
        Ok(())
    })
}

fn no_protocol() -> Run {
    run!(|testbed| {
        let mut request = testbed.post();
        request.headers_mut().remove(X_ADMIN_PROTOCOL);
        not_executed(testbed, request).await
    })
}

fn version_1() -> Run {
    run!(|testbed| {
        let mut request = testbed.post();
        let name = HeaderName::from_static(X_ADMIN_PROTOCOL);
        request.headers_mut().insert(name, HeaderValue::from_static("gsma/rsp/v1.0.0"));
        not_executed(testbed, request).await
    })
}

fn version_3() -> Run {
    run!(|testbed| {
        for version in ["gsma/rsp/v3.0.0", "gsma/rsp/v3.1.0"] {
            let mut request = testbed.post();
            let name = HeaderName::from_static(X_ADMIN_PROTOCOL);
            request.headers_mut().insert(name, HeaderValue::from_static(version));
            let response = testbed.send(request).await?;
            testbed.binding.answer::<InitiateAuthentication>(&response)?.done().during(version)?;
            ensure(json::protocol_version(response.headers()).is_some(), || {
                format!("the response to {version} has no valid X-Admin-Protocol")
            })?;
        }
        Ok(())
    })
}

fn unknown_path() -> Run {
    run!(|testbed| {
        let paths: &[&str] = match testbed.binding {
            Binding::Json => &["/gsma/rsp2/es9plus/unknownFunction", "/gsma/rsp2/es9plus"],
            Binding::Asn1 => &["/gsma/rsp2/asn1/initiateAuthentication", "/gsma/rsp2/asn"],
        };
        testbed.initiate().await.during("with the correct path")?;
        for path in paths {
            let mut request = testbed.post();
            *request.uri_mut() = path.parse().unwrap_or_default();
            let status = testbed.send(request).await?.status();
            ensure(status == StatusCode::NOT_FOUND, || {
                format!("{path}: HTTP status {status}, expected 404")
            })?;
        }
        Ok(())
    })
}

fn other_methods() -> Run {
    run!(|testbed| {
        testbed.initiate().await.during("with POST")?;
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let mut request = testbed.post();
            *request.method_mut() = method.clone();
            let status = testbed.send(request).await?.status();
            let is_refused = status == StatusCode::METHOD_NOT_ALLOWED || status == StatusCode::NOT_FOUND;
            ensure(is_refused, || format!("{method}: HTTP status {status}, expected 405"))?;
        }
        Ok(())
    })
}

fn nonsense() -> Run {
    run!(|testbed| {
        let path = match testbed.binding {
            Binding::Json => es9plus::path("initiateAuthentication"),
            Binding::Asn1 => ASN1_PATH.to_owned(),
        };
        let half = |octets: &[u8]| Bytes::copy_from_slice(octets.get(..octets.len() / 2).unwrap_or_default());
        let whole = testbed.post().into_body();
        let bodies = [
            ("an empty body", Bytes::new()),
            ("half a request", half(&whole)),
            ("an empty object", Bytes::from_static(b"{}")),
            ("an empty RemoteProfileProvisioningRequest", Bytes::from_static(&[0xA2, 0])),
            ("a function of a later version", Bytes::from_static(&[0xA2, 5, 0xBF, 0x7E, 2, 0x80, 0])),
        ];
        for (what, body) in bodies {
            let request = testbed.binding.post(&path, testbed.server.version, body);
            let response = testbed.send(request).await.during(what)?;
            ensure(!response.status().is_server_error(), || {
                format!("{what}: HTTP status {}, expected a refusal", response.status())
            })?;
            let refused = is_http_refusal(response.status()) || is_refusal(testbed.binding, response.body());
            ensure(refused, || format!("{what} was executed"))?;
        }
        // The server must still be working.
        testbed.initiate().await.during("afterwards").map(|_| ())
    })
}

/// True if the body is a refusal of any function.
fn is_refusal(binding: Binding, body: &[u8]) -> bool {
    match binding {
        Binding::Json => serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|answer| {
            answer.pointer("/header/functionExecutionStatus/status").is_some_and(|status| status == "Failed")
        }),
        Binding::Asn1 => tlv::split(body)
            .and_then(|(_, function)| tlv::split(function))
            .and_then(|(_, alternative)| tlv::split(alternative))
            .is_some_and(|(tag, _)| tag.0 == 0x81),
    }
}
