//! ES2+ server of an operator: prints the reports of ES2+.HandleDownloadProgressInfo (SGP.22
//! section 5.3.5).

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use rsp::sgp22::{
    es2plus::{self, HandleDownloadProgressInfoRequest},
    json,
};
use world::{Fault, Link, LinkFault, PeerCertificate, link_from};

use testbed::operator::PROTOCOL;

use crate::output::print;

/// Returns a server that prints each report on one line.
pub fn listener(json: bool) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| async move {
        let answer = match parse_report(&request) {
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
    if request.extensions().get::<PeerCertificate>().is_none() {
        return Err(StatusCode::FORBIDDEN);
    }
    serde_json::from_slice(request.body()).map_err(|_| StatusCode::BAD_REQUEST)
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
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    async fn ask(path: &str, certified: bool, body: &str) -> StatusCode {
        let mut request = json::request(path, PROTOCOL, &());
        *request.body_mut() = Bytes::copy_from_slice(body.as_bytes());
        if certified {
            request.extensions_mut().insert(PeerCertificate(vec![]));
        }
        world::send(&listener(true), request).await.unwrap().status()
    }

    #[tokio::test]
    async fn only_authenticated_progress_reports_are_accepted() {
        let path = es2plus::path("handleDownloadProgressInfo");
        let body = r#"{"header":{"functionRequesterIdentifier":"2.999.10","functionCallIdentifier":"1"},
            "iccid":"8949000000000000001","profileType":"test","timestamp":"2026-11-21T08:00:00Z",
            "notificationPointId":3,"notificationPointStatus":{"status":"Executed-Success"}}"#;
        assert_eq!(ask(&path, true, body).await, StatusCode::NO_CONTENT);
        assert_eq!(ask(&path, false, body).await, StatusCode::FORBIDDEN);
        assert_eq!(ask(&path, true, "{}").await, StatusCode::BAD_REQUEST);
        assert_eq!(ask(&es2plus::path("downloadOrder"), true, body).await, StatusCode::NOT_FOUND);
    }
}
