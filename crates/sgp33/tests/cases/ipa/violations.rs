//! IPAs that violate the standard: the IPA of this project, whose messages are changed on their
//! way. It uses the ASN.1 binding.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use rsp::der::{Asn1, Raw};
use rsp::sgp32::EuiccPackageResult;
use rsp::sgp32::esipa::{
    EimAcknowledgements, EimPackageResult, MessageFromEim, MessageFromIpa, ProvideEimPackageResultRequest,
    ProvideEimPackageResultResponse, SequenceNumber, asn1,
};
use rsp::sgp32::ipa_data::{IpaEuiccDataResponse, ProfileDownloadTriggerResultData};
use sgp33::ipa::IpaUnderTest;
use world::{BoxFuture, Link};

use super::support::{Changes, under_test};
use crate::coap_changes;
use crate::links::{answering, lost, requesting, responding, with_header};

type Violation = crate::Violation<IpaUnderTest>;

fn of_device(what: &'static str, changes: Changes, fails: &'static [&'static str]) -> Violation {
    let begin =
        Box::new(move || -> BoxFuture<'static, _> { Box::pin(std::future::ready(under_test(changes))) });
    Violation { what, begin, fails }
}

fn of_eim(what: &'static str, eim: fn(Link) -> Link, fails: &'static [&'static str]) -> Violation {
    of_device(what, Changes { eim, ..Changes::default() }, fails)
}

pub(crate) fn all() -> Vec<Violation> {
    vec![
        of_eim(
            "User-Agent is that of an LPA",
            |link| with_header(link, "user-agent", Some("gsma-rsp-lpad")),
            &["User-Agent"],
        ),
        of_eim(
            "X-Admin-Protocol is missing",
            |link| with_header(link, "x-admin-protocol", None),
            &["X-Admin-Protocol"],
        ),
        of_eim(
            "Content-Type is text",
            |link| with_header(link, "content-type", Some("text/plain")),
            &["Content-Type"],
        ),
        of_device(
            "any TLS key is accepted",
            Changes { checks_key: false, ..Changes::default() },
            &["another TLS key"],
        ),
        of_eim(
            "after a loss nothing is sent again",
            silent_after_a_loss,
            &[
                "the IPA polls again",
                "a package whose delivery was lost",
                "a result whose acknowledgement was lost",
                "a result that did not arrive",
                "the result of a download is delivered again",
            ],
        ),
        of_eim("data lack euiccInfo2", without_info2, &["a request for data"]),
        of_eim(
            "results are changed",
            with_changed_results,
            &[
                "the result arrives as the eUICC signed it",
                "a profile is enabled",
                "a profile is disabled",
                "a profile is deleted",
            ],
        ),
        of_eim(
            "the IPA polls only until the first package",
            one_package,
            &["packages are executed in sequence"],
        ),
        of_eim(
            "a result is delivered once, even if it is not acknowledged",
            once,
            &["a result whose acknowledgement was lost"],
        ),
        of_eim(
            "a lost result is treated as acknowledged",
            forgetful,
            &["a result that did not arrive", "ES10b.ProfileRollback"],
        ),
        of_eim(
            "acknowledgements are ignored",
            without_acknowledgements,
            &["an acknowledged result is removed"],
        ),
        of_eim(
            "packages that cannot be decoded are ignored",
            without_reports,
            &["a package that cannot be decoded", "a package of an unknown kind"],
        ),
        of_eim(
            "responses with an unknown element are refused",
            strict,
            &["unknown elements of a later version"],
        ),
        of_eim(
            "failed downloads are not reported",
            without_failures,
            &["a profile whose metadata the eIM refuses"],
        ),
        of_device(
            "only the first eIM is polled",
            Changes { other: silent, ..Changes::default() },
            &["an added eIM is polled", "each of two eIMs"],
        ),
        of_device(
            "each eIM gets all messages, whatever the associations of the eUICC",
            Changes { is_mirrored: true, ..Changes::default() },
            &["a deleted eIM is not polled", "each of two eIMs"],
        ),
        of_eim("the cause of a change is not reported", without_causes, &["ES10b.ExecuteFallbackMechanism"]),
        of_device(
            "requests over CoAP are not confirmable",
            Changes::of_coap(Some(coap_changes::not_confirmable)),
            &["each request is a confirmable POST"],
        ),
        of_device(
            "a request that is repeated over CoAP has another message ID",
            Changes::of_coap(Some(coap_changes::forgetful)),
            &["a request whose reply was lost is repeated"],
        ),
        of_device(
            "only the first block of a response is fetched",
            Changes::of_coap(Some(coap_changes::without_block2)),
            &["a response with several blocks"],
        ),
        of_eim(
            "nothing is downloaded through the eIM",
            without_indirect_download,
            &["a profile is downloaded through the eIM"],
        ),
        of_device(
            "the SM-DP+ gets no notification",
            Changes { sm_dp: without_notifications, ..Changes::default() },
            &["a profile is downloaded from the SM-DP+", "the notification of a change"],
        ),
    ]
}

fn acknowledgement(numbers: Vec<i64>) -> Response<Bytes> {
    let numbers = EimAcknowledgements(numbers.into_iter().map(SequenceNumber).collect());
    let message = MessageFromEim::ProvideEimPackageResultResponse(
        ProvideEimPackageResultResponse::EimAcknowledgements(numbers),
    );
    let mut response = Response::new(Bytes::from(message.to_der()));
    let content_type = HeaderValue::from_static(asn1::CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Returns the result in a request, if it has one.
fn result_in(request: &Request<Bytes>) -> Option<ProvideEimPackageResultRequest> {
    match MessageFromIpa::from_der(request.body()).ok()? {
        MessageFromIpa::ProvideEimPackageResult(request) => Some(request),
        _ => None,
    }
}

/// Returns the sequence number of the result in a request.
fn number_in(request: &Request<Bytes>) -> Option<i64> {
    match result_in(request)?.eim_package_result {
        EimPackageResult::EuiccPackageResult(result) => result.seq_number(),
        EimPackageResult::EprAndNotifications(both) => both.euicc_package_result.seq_number(),
        _ => None,
    }
}

fn silent_after_a_loss(link: Link) -> Link {
    let is_silent = Arc::new(AtomicBool::default());
    let lossy = Arc::clone(&is_silent);
    let link = responding(link, move |_, answer| {
        lossy.fetch_or(answer.is_err(), Ordering::Relaxed);
        answer
    });
    answering(link, move |_| is_silent.load(Ordering::Relaxed).then(|| Err(lost("the IPA is silent"))))
}

/// Changes the results that are delivered.
fn with_result(link: Link, change: fn(EimPackageResult) -> EimPackageResult) -> Link {
    requesting(link, move |request| {
        if let Some(mut provided) = result_in(request) {
            provided.eim_package_result = change(provided.eim_package_result);
            *request.body_mut() = MessageFromIpa::ProvideEimPackageResult(provided).to_der().into();
        }
    })
}

fn without_info2(link: Link) -> Link {
    with_result(link, |result| match result {
        EimPackageResult::IpaEuiccDataResponse(mut response) => {
            if let IpaEuiccDataResponse::IpaEuiccData(data) = &mut *response {
                data.euicc_info2 = None;
            }
            EimPackageResult::IpaEuiccDataResponse(response)
        }
        other => other,
    })
}

fn changed(result: Raw<EuiccPackageResult>) -> Raw<EuiccPackageResult> {
    match result.into_value() {
        EuiccPackageResult::EuiccPackageResultSigned(mut signed) => {
            signed.euicc_sign_epr[7] ^= 1;
            Raw::new(EuiccPackageResult::EuiccPackageResultSigned(signed))
        }
        other => Raw::new(other),
    }
}

fn with_changed_results(link: Link) -> Link {
    with_result(link, |result| match result {
        EimPackageResult::EuiccPackageResult(result) => {
            EimPackageResult::EuiccPackageResult(Box::new(changed(*result)))
        }
        EimPackageResult::EprAndNotifications(mut both) => {
            both.euicc_package_result = changed(both.euicc_package_result);
            EimPackageResult::EprAndNotifications(both)
        }
        other => other,
    })
}

/// Answers the poll after a delivered result in place of the eIM: there is no further package.
fn one_package(link: Link) -> Link {
    let has_delivered = Arc::new(Mutex::new(false));
    answering(link, move |request| {
        let mut has_delivered = has_delivered.lock().unwrap();
        match request.body().get(..2) {
            Some([0xBF, 0x50]) => {
                *has_delivered = true;
                None
            }
            Some([0xBF, 0x4F]) if *has_delivered => {
                *has_delivered = false;
                let mut response = acknowledgement(vec![]);
                *response.body_mut() = Bytes::from_static(&[0xBF, 0x4F, 3, 2, 1, 1]);
                Some(Ok(response))
            }
            _ => None,
        }
    })
}

fn once(link: Link) -> Link {
    let delivered = Arc::new(Mutex::new(Vec::new()));
    answering(link, move |request| {
        let number = number_in(request)?;
        let mut delivered = delivered.lock().unwrap();
        if delivered.contains(&number) {
            return Some(Ok(acknowledgement(vec![number])));
        }
        delivered.push(number);
        None
    })
}

fn forgetful(link: Link) -> Link {
    responding(link, |request, answer| match (answer, number_in(request)) {
        (Err(_), Some(number)) => Ok(acknowledgement(vec![number])),
        (answer, _) => answer,
    })
}

fn without_acknowledgements(link: Link) -> Link {
    responding(link, |request, answer| {
        let mut response = answer?;
        if number_in(request).is_some() {
            *response.body_mut() = Bytes::from_static(&[0xBF, 0x50, 2, 0x30, 0]);
        }
        Ok(response)
    })
}

fn without_reports(link: Link) -> Link {
    answering(link, |request| match result_in(request)?.eim_package_result {
        EimPackageResult::EimPackageResultResponseError(_) | EimPackageResult::EimPackageError(_) => {
            Some(Ok(acknowledgement(vec![])))
        }
        _ => None,
    })
}

fn strict(link: Link) -> Link {
    responding(link, |_, answer| {
        let response = answer?;
        let is_unknown = response.body().windows(4).any(|octets| octets == [0x9F, 0x7F, 0x01, 0x00]);
        if is_unknown { Err(lost("the IPA does not understand the response")) } else { Ok(response) }
    })
}

fn without_failures(link: Link) -> Link {
    answering(link, |request| match result_in(request)?.eim_package_result {
        EimPackageResult::ProfileDownloadTriggerResult(result) => {
            use ProfileDownloadTriggerResultData::ProfileDownloadError;
            let is_failure = matches!(result.profile_download_trigger_result_data, ProfileDownloadError(_));
            is_failure.then(|| Err(lost("no report")))
        }
        _ => None,
    })
}

fn silent(link: Link) -> Link {
    answering(link, |_| Some(Err(lost("the IPA does not poll this eIM"))))
}

fn without_causes(link: Link) -> Link {
    requesting(link, |request| {
        if let Ok(MessageFromIpa::GetEimPackageRequest(mut poll)) = MessageFromIpa::from_der(request.body()) {
            (poll.notify_state_change, poll.state_change_cause) = (None, None);
            *request.body_mut() = MessageFromIpa::GetEimPackageRequest(poll).to_der().into();
        }
    })
}

fn without_indirect_download(link: Link) -> Link {
    answering(link, |request| {
        request.body().starts_with(&[0xBF, 0x39]).then(|| Err(lost("the IPA has no indirect download")))
    })
}

fn without_notifications(link: Link) -> Link {
    answering(link, |request| {
        request.uri().path().ends_with("handleNotification").then(|| Err(lost("no notification")))
    })
}
