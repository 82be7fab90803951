//! Cases of the HTTP layer and of TLS: SGP.32 sections 6.1, 6.3 and 6.4.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use rsp::sgp22::json::{self, X_ADMIN_PROTOCOL};
use rsp::sgp32::esipa::{self, GetEimPackageResponse, MessageFromIpa, USER_AGENT_IPAE, asn1};
use sgp23::{Binding, During, Scope, Stop, Verdict, ensure};

use crate::eim::case::{Case, Need, Run, run};
use crate::eim::testbed::Testbed;

fn case(clause: &'static str, title: &str, run: Run) -> Case {
    Case::new("HTTP", clause, title, run).scope(Scope::Bindings)
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("6.3, 6.4", "the response has the binding's Content-Type and X-Admin-Protocol", headers()),
        case("6.3, 6.4", "parameters and case of the Content-Type may vary", content_types()),
        case("6.3, 6.4", "a request with another Content-Type is not executed", other_content_type()),
        case("6.1", "a User-Agent of an IPA in the eUICC is accepted", user_agent()),
        case("6.3, 6.4", "an unknown path is not found", unknown_path()),
        case("6.3, 6.4", "only POST requests are executed", other_methods()),
        case("6.3, 6.4", "a request with an invalid body is not executed", nonsense()),
        case("6.1", "an IPA without a client certificate is accepted", without_certificate()),
        case("6.1", "TLS 1.2 is accepted", tls12()).need(Need::Tls12),
    ]
}

/// A poll with an EID that is not registered. Every eIM answers it with an error of the function.
fn request(testbed: &Testbed<'_>) -> Request<Bytes> {
    let poll = Testbed::poll_of(testbed.other_eid);
    testbed.http::<esipa::GetEimPackage>(&poll, MessageFromIpa::GetEimPackageRequest)
}

/// Checks that the function was executed: its response is an error of the function.
async fn executed(testbed: &Testbed<'_>, request: Request<Bytes>) -> Verdict {
    let response = testbed.send(request).await?;
    match testbed.reply::<GetEimPackageResponse>(&response)? {
        GetEimPackageResponse::EimPackageError(_) => Ok(()),
        other => Err(Stop::failed(format!("the reply is {other:?}, expected an error of the function"))),
    }
}

/// Checks that a function was not executed: the response is an HTTP error or, in the JSON binding,
/// a refusal in the header.
async fn not_executed(testbed: &Testbed<'_>, request: Request<Bytes>) -> Verdict {
    let response = testbed.send(request).await?;
    let status = response.status();
    ensure(!status.is_server_error(), || format!("HTTP status {status}, expected a refusal"))?;
    if status.is_client_error() {
        return Ok(());
    }
    let is_refusal = match testbed.binding {
        Binding::Json => serde_json::from_slice::<serde_json::Value>(response.body()).is_ok_and(|body| {
            body.pointer("/header/functionExecutionStatus/status").is_some_and(|status| status == "Failed")
                || body.get("eimPackageError").is_some_and(|code| code != ESIPA_EID_NOT_FOUND)
        }),
        Binding::Asn1 => testbed.reply::<GetEimPackageResponse>(&response).is_ok_and(|reply| {
            use esipa::EimPackageError as Code;
            matches!(reply, GetEimPackageResponse::EimPackageError(code) if code != Code::EID_NOT_FOUND)
        }),
    };
    ensure(is_refusal, || "the function was executed, expected a refusal".to_owned())
}

/// The code of the reply to [`request`], if it is executed.
const ESIPA_EID_NOT_FOUND: i64 = 2;

fn headers() -> Run {
    run!(|testbed| {
        let response = testbed.send(request(testbed)).await?;
        let text = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let expected = match testbed.binding {
            Binding::Json => "application/json",
            Binding::Asn1 => asn1::CONTENT_TYPE,
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

fn with_header(mut request: Request<Bytes>, name: HeaderName, value: &'static str) -> Request<Bytes> {
    request.headers_mut().insert(name, HeaderValue::from_static(value));
    request
}

fn content_types() -> Run {
    run!(|testbed| {
        let types: &[&'static str] = match testbed.binding {
            Binding::Json => &["application/json", "Application/JSON; charset=utf-8"],
            Binding::Asn1 => &["application/x-gsma-rsp-asn1", "Application/X-GSMA-RSP-ASN1"],
        };
        for content_type in types {
            let request = with_header(request(testbed), header::CONTENT_TYPE, content_type);
            executed(testbed, request).await.during(content_type)?;
        }
        Ok(())
    })
}

fn other_content_type() -> Run {
    run!(|testbed| {
        executed(testbed, request(testbed)).await.during("with the correct one")?;
        for content_type in ["text/plain", "application/octet-stream"] {
            let request = with_header(request(testbed), header::CONTENT_TYPE, content_type);
            not_executed(testbed, request).await.during(content_type)?;
        }
        Ok(())
    })
}

fn user_agent() -> Run {
    run!(|testbed| {
        executed(testbed, with_header(request(testbed), header::USER_AGENT, USER_AGENT_IPAE)).await?;
        let with_text = with_header(request(testbed), header::USER_AGENT, "gsma-rsp-ipae;vendor/1.0");
        executed(testbed, with_text).await.during("with further text")
    })
}

fn unknown_path() -> Run {
    run!(|testbed| {
        executed(testbed, request(testbed)).await.during("with the correct path")?;
        let paths: &[&str] = match testbed.binding {
            Binding::Json => &["/gsma/rsp2/esipa/unknownFunction", "/gsma/rsp2/esipa"],
            Binding::Asn1 => &["/gsma/rsp2/asn1/getEimPackage", "/gsma/rsp2/asn"],
        };
        for path in paths {
            let mut request = request(testbed);
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
        executed(testbed, request(testbed)).await.during("with POST")?;
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let mut request = request(testbed);
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
        let whole = request(testbed).into_body();
        let half = whole.get(..whole.len() / 2).unwrap_or_default();
        let bodies: [(&str, Bytes); 4] = [
            ("an empty body", Bytes::new()),
            ("half a request", Bytes::copy_from_slice(half)),
            ("an unknown function", Bytes::from_static(&[0xBF, 0x7E, 2, 0x80, 0])),
            ("a length beyond the end", Bytes::from_static(&[0xBF, 0x4F, 0x82, 0xFF, 0xFF, 0x5A, 0x10])),
        ];
        for (what, body) in bodies {
            let mut request = request(testbed);
            *request.body_mut() = body;
            not_executed(testbed, request).await.during(what)?;
        }
        // The eIM must still be working.
        executed(testbed, request(testbed)).await.during("afterwards")
    })
}

fn without_certificate() -> Run {
    run!(|testbed| executed(testbed, request(testbed)).await)
}

fn tls12() -> Run {
    run!(|testbed| {
        let link = testbed.eim.esipa_tls12.as_ref().ok_or_else(|| Stop::needs("TLS 1.2"))?;
        let response = world::send(link, request(testbed)).await?;
        testbed.reply::<GetEimPackageResponse>(&response).map(|_| ())
    })
}
