//! ES2+ server of an operator: prints the reports of ES2+.HandleDownloadProgressInfo (SGP.22
//! section 5.3.5).

use bytes::Bytes;
use certs::{Certificate, Role};
use http::{Method, Request, Response, StatusCode};
use rsp::finding;
use rsp::sgp22::{
    es2plus::{self, HandleDownloadProgressInfoRequest},
    json,
};
use world::{Fault, Link, LinkFault, PeerCertificate, link_from};

use testbed::operator::PROTOCOL;

use crate::output::{print, remark};

/// Returns a server that prints each report on one line.
pub fn listener(json: bool) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| async move {
        let (report, findings) = finding::collect(|| parse_report(&request));
        for finding in findings {
            remark(&format!("accepted a deviation: {finding}"));
        }
        let answer = match report {
            Ok(report) => match print_report(&report, json) {
                Ok(()) => json::no_content(PROTOCOL),
                // The report could not be printed, so it is not acknowledged.
                Err(_) => status(StatusCode::SERVICE_UNAVAILABLE),
            },
            Err(no) => status(no),
        };
        Ok::<_, LinkFault>(answer)
    }))
}

fn parse_report(request: &Request<Bytes>) -> Result<HandleDownloadProgressInfoRequest, StatusCode> {
    if request.uri().path() != es2plus::path("handleDownloadProgressInfo") {
        return Err(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let sender = request.extensions().get::<PeerCertificate>().and_then(sm_dp_oid);
    let sender = sender.ok_or(StatusCode::FORBIDDEN)?;
    let report: HandleDownloadProgressInfoRequest =
        json::read(request.body()).map_err(|_| StatusCode::BAD_REQUEST)?;
    if report.header.function_requester_identifier != sender {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(report)
}

/// Returns the OID in a verified CERT.DP.TLS, or `None` for any other certificate.
fn sm_dp_oid(certificate: &PeerCertificate) -> Option<String> {
    let certificate = Certificate::from_der(certificate.0.clone()).ok()?;
    match (certificate.role(), certificate.registered_ids()) {
        (Some(Role::DpTls), [oid]) => Some(oid.to_string()),
        _ => None,
    }
}

fn print_report(report: &HandleDownloadProgressInfoRequest, json: bool) -> Result<(), Fault> {
    if json {
        let line = serde_json::to_string(report).map_err(|e| {
            Fault::caused_by(e, "cannot write the report as JSON", "report this: it was read from JSON")
        })?;
        return print(&format!("{line}\n"));
    }
    let eid = report.eid.map(|eid| format!(" on {eid}")).unwrap_or_default();
    let status = &report.notification_point_status;
    let how = match &status.status_code_data {
        Some(why) => format!("failed: {why}"),
        None => "done".to_owned(),
    };
    print(&format!("{} {}{eid} {}: {how}\n", report.timestamp, report.iccid, report.notification_point_id))
}

fn status(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

    use certs::{Credential, Pki, PkiOptions};
    use crypto::Curve;

    use super::*;

    async fn ask(path: &str, certificate: Option<&Credential>, body: &str) -> StatusCode {
        let mut request = json::request(path, PROTOCOL, &());
        *request.body_mut() = Bytes::copy_from_slice(body.as_bytes());
        if let Some(shown) = certificate {
            request.extensions_mut().insert(PeerCertificate(shown.certificate.der().to_vec()));
        }
        world::send(&listener(true), request).await.unwrap().status()
    }

    #[tokio::test]
    async fn progress_is_accepted_only_from_the_sm_dp_plus_that_the_report_names() {
        let path = es2plus::path("handleDownloadProgressInfo");
        let pki = Pki::from_seed(b"listener", &PkiOptions::default()).unwrap();
        let sm_dp = pki.credential(Role::DpTls, Curve::P256).unwrap();
        let body = |requester: &str| {
            serde_json::json!({
                "header": { "functionRequesterIdentifier": requester, "functionCallIdentifier": "1" },
                "iccid": "8949000000000000001", "profileType": "test", "timestamp": "2026-11-21T08:00:00Z",
                "notificationPointId": 3, "notificationPointStatus": { "status": "Executed-Success" },
            })
            .to_string()
        };
        let own = body(&sm_dp.certificate.registered_ids()[0].to_string());
        assert_eq!(ask(&path, Some(&sm_dp), &own).await, StatusCode::NO_CONTENT);
        let later = own.replacen("{", "{\"later\":{\"a\":1},", 1);
        assert_eq!(ask(&path, Some(&sm_dp), &later).await, StatusCode::NO_CONTENT);
        assert_eq!(ask(&path, None, &own).await, StatusCode::FORBIDDEN);
        for other in [Role::DsTls, Role::SmSrTls, Role::OperatorTls] {
            let other = pki.credential(other, Curve::P256).unwrap();
            assert_eq!(ask(&path, Some(&other), &own).await, StatusCode::FORBIDDEN);
        }
        assert_eq!(ask(&path, Some(&sm_dp), &body("2.999.99")).await, StatusCode::FORBIDDEN);
        assert_eq!(ask(&path, Some(&sm_dp), "{}").await, StatusCode::BAD_REQUEST);
        assert_eq!(ask(&es2plus::path("downloadOrder"), Some(&sm_dp), &own).await, StatusCode::NOT_FOUND);
    }
}
