//! eIMs that violate the standard: the eIM of this project behind a link that changes its messages,
//! or with an operator that does something else. The messages are those of the ASN.1 binding.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use rsp::der::{Asn1, Null, Raw, tlv};
use rsp::ids::Eid;
use rsp::sgp32::esipa::{
    AuthenticateClientError, AuthenticateClientResponse, CancelSessionError, CancelSessionOk,
    CancelSessionResponse, EimPackageError, EmptyResponse, GetBoundProfilePackageError,
    GetBoundProfilePackageResponse, GetEimPackageResponse, InitiateAuthenticationError,
    InitiateAuthenticationResponse, MessageFromEim, ProvideEimPackageResultError,
    ProvideEimPackageResultResponse, TransferEimPackageResponse, asn1,
};
use rsp::sgp32::ipa_data::{ProfileDownloadData, ProfileDownloadTriggerRequest};
use rsp::sgp32::{EuiccPackageRequest, EuiccPackageSigned};
use sgp33::eim::{EimUnderTest, Operation, Operator};
use world::{BoxFuture, Fault, Link, LinkFault, LinkFaultKind};

use super::support::{signing_key, under_test};
use crate::coap_changes;
use crate::links::{answering, requesting, responding};
use crate::servers::Servers;

type Violation = crate::Violation<EimUnderTest>;

/// Creates a violation of CoAP.
macro_rules! of_coap {
    ($what:literal, $changes:expr, $fails:expr) => {
        Violation { what: $what, begin: Box::new(|| Box::pin(with_coap($changes))), fails: &$fails }
    };
}

macro_rules! violation {
    ($what:literal, $wrap:expr, $fails:expr) => {
        Violation { what: $what, begin: Box::new(|| Box::pin(under_test($wrap))), fails: &$fails }
    };
}

pub(crate) fn all() -> Vec<Violation> {
    vec![
        // Packages.
        violation!(
            "the signature of packages is invalid",
            |link| signed(link, |signed| signed, false),
            [
                "a profile is enabled, no profile was enabled",
                "a profile is enabled in place of another one",
                "a profile is disabled",
                "a profile is deleted",
                "with the permission to roll back",
                "the profiles are listed",
                "the Rules Authorisation Table is read",
                "the associated eIMs are listed",
            ]
        ),
        violation!(
            "packages are signed without the association token",
            |link| signed(link, |signed| signed, true),
            ["the signature covers the association token"]
        ),
        violation!(
            "packages are signed with the first key, although it was replaced",
            |link| signed(link, |signed| signed, true),
            ["the eIM replaces its key"]
        ),
        violation!(
            "packages have the EID of another eUICC",
            |link| signed(
                link,
                |signed| EuiccPackageSigned {
                    eid_value: certs::numbered_eid("89049032", 99).unwrap(),
                    ..signed
                },
                true
            ),
            ["eimId and eidValue are those"]
        ),
        violation!(
            "each package has the same counter",
            |link| signed(link, with_counter(|_| 1), true),
            ["the counter increases"]
        ),
        violation!("a repeated package has another counter", recounting, ["a package is repeated unchanged"]),
        Violation {
            what: "the eIM sends other operations than those ordered",
            begin: Box::new(|| Box::pin(with_other_operations())),
            fails: &[
                "ESep.Enable",
                "ESep.Disable",
                "ESep.Delete",
                "ESep.ListProfileInfo",
                "ESep.SetFallbackAttribute",
                "ESep.UnsetFallbackAttribute",
                "ESep.ConfigureImmediateEnable",
                "ESep.SetDefaultDpAddress",
                "ESep.AddEim",
                "ESep.UpdateEim",
                "ESep.DeleteEim",
                "ESep.ListEim",
                "two operations are in one package",
                "orders are delivered in sequence",
            ],
        },
        // GetEimPackage.
        violation!(
            "each error of GetEimPackage is undefinedError",
            |link| replying(link, POLL, |_, reply: GetEimPackageResponse| match reply {
                GetEimPackageResponse::EimPackageError(_) =>
                    GetEimPackageResponse::EimPackageError(EimPackageError::UNDEFINED_ERROR),
                other => other,
            }),
            ["GetEimPackage: an EID that is not", "invalidEid", "missingEid", "noEimPackageAvailable"]
        ),
        violation!(
            "a request with an optional element is refused",
            |link| refusing(link, |request| contains(request.body(), &[0x80, 0x00, 0x81])),
            ["a state change and the registered network can be reported"]
        ),
        violation!(
            "a request with an unknown element is refused",
            |link| refusing(link, |request| contains(request.body(), &[0x9F, 0x7F])),
            ["unknown elements of a later version are ignored"]
        ),
        // ProvideEimPackageResult.
        violation!(
            "no result is acknowledged",
            |link| replying(link, PROVIDE, |_, reply: ProvideEimPackageResultResponse| match reply {
                ProvideEimPackageResultResponse::EimAcknowledgements(_) => EMPTY,
                other => other,
            }),
            [
                "a result is acknowledged by",
                "a repeated result",
                "ProvideEimPackageResult: the notifications in a result",
                "CoAP: a package is delivered"
            ]
        ),
        violation!(
            "each result is accepted",
            |link| replying(link, PROVIDE, |_, reply: ProvideEimPackageResultResponse| match reply {
                ProvideEimPackageResultResponse::ProvideEimPackageResultError(_) => EMPTY,
                other => other,
            }),
            [
                "a result with an invalid signature",
                "a result of another eUICC",
                "a result with the counter of an earlier package",
                "a result for another eIM",
                "a result for an EID that is not registered"
            ]
        ),
        violation!(
            "the signed error of an eUICC is refused",
            |link| replying(link, PROVIDE, refuse_if(|request| contains(request, &REPLAY_ERROR))),
            ["the error that an eUICC signed"]
        ),
        violation!(
            "the report of the IPA is refused",
            |link| replying(link, PROVIDE, refuse_if(|request| contains(request, &[0x02, 0x01, 0x01]))),
            ["the report that the IPA cannot process"]
        ),
        violation!(
            "requested data are refused",
            |link| replying(link, PROVIDE, refuse_if(|request| contains(request, &[0xBF, 0x52]))),
            ["requested data of the device"]
        ),
        violation!(
            "a result ends the first order, whatever its eimTransactionId",
            without_transactions,
            ["with an unknown eimTransactionId does not end", "with an unknown eimTransactionId do not end"]
        ),
        // TransferEimPackage.
        Violation {
            what: "nothing is transferred",
            begin: Box::new(|| Box::pin(without_transfers())),
            fails: &["ESipa.TransferEimPackage"],
        },
        Violation {
            what: "the results of transferred packages are not acknowledged",
            begin: Box::new(|| Box::pin(without_transferred_acknowledgements())),
            fails: &[
                "a package is sent, and its result is acknowledged",
                "TransferEimPackage: the notifications in a result",
            ],
        },
        // HandleNotification.
        violation!(
            "HandleNotification is not implemented",
            |link| refusing(link, |request| request.body().starts_with(&NOTIFY)),
            [
                "a result is accepted with HTTP 204",
                "ESipa.HandleNotification: a notification is accepted",
                "a compact notification is accepted",
                "HandleNotification is answered with 2.04",
                "with compact forms"
            ]
        ),
        violation!(
            "each notification is accepted",
            |link| changing(link, |request, response| {
                if request.body().starts_with(&NOTIFY) {
                    *response.status_mut() = StatusCode::NO_CONTENT;
                }
            }),
            ["a notification with an invalid signature"]
        ),
        Violation {
            what: "notifications are not forwarded",
            begin: Box::new(|| Box::pin(without_forwarding())),
            fails: &[
                "a notification is forwarded",
                "a compact notification is forwarded",
                "the notifications in a result are forwarded",
            ],
        },
        // Downloads.
        violation!(
            "triggers have another activation code",
            |link| replying(link, POLL, |_, reply: GetEimPackageResponse| match reply {
                GetEimPackageResponse::ProfileDownloadTriggerRequest(mut trigger) => {
                    trigger.profile_download_data =
                        Some(ProfileDownloadData::ActivationCode("1$other.example$CODE".to_owned()));
                    GetEimPackageResponse::ProfileDownloadTriggerRequest(trigger)
                }
                other => other,
            }),
            ["a download is triggered with its activation code"]
        ),
        violation!(
            "triggers have no source",
            |link| with_source(link, |_| None),
            ["a download from the default SM-DP+", "the download of an event"]
        ),
        violation!(
            "triggers have an activation code that the eIM keeps",
            |link| with_source(link, |source| {
                source.or(Some(ProfileDownloadData::ActivationCode("1$other.example$CODE".to_owned())))
            }),
            [
                "a download whose activation code the eIM keeps",
                "the profile of an activation code that the eIM keeps"
            ]
        ),
        violation!(
            "the signature of the server is changed",
            |link| replying(link, INITIATE, |_, reply: InitiateAuthenticationResponse| match reply {
                InitiateAuthenticationResponse::Ok(mut ok) => {
                    ok.server_signature1[9] ^= 1;
                    InitiateAuthenticationResponse::Ok(ok)
                }
                other => other,
            }),
            ["the eUICC installs the profile, and its result", "with compact forms"]
        ),
        violation!(
            "the package is changed",
            |link| replying(link, PACKAGE, |_, reply: GetBoundProfilePackageResponse| match reply {
                GetBoundProfilePackageResponse::Ok(mut ok) => {
                    *ok.bound_profile_package.0.last_mut().unwrap() ^= 1;
                    GetBoundProfilePackageResponse::Ok(ok)
                }
                other => other,
            }),
            ["the eUICC installs the profile, and its result"]
        ),
        violation!(
            "each error of a download is undefinedError",
            undefined,
            [
                "invalidEimTransactionId",
                "ESipa.AuthenticateClient: an unknown TransactionID",
                "euiccSignature1",
                "ESipa.GetBoundProfilePackage: an unknown TransactionID",
                "euiccSignature2",
                "ESipa.CancelSession: an unknown TransactionID"
            ]
        ),
        violation!(
            "CancelSession has no effect",
            |link| answering(link, |request| request.body().starts_with(&CANCEL).then(|| {
                let done = CancelSessionResponse::Ok(CancelSessionOk {});
                Ok(asn1_response(&MessageFromEim::CancelSessionResponse(done)))
            })),
            ["a cancelled session is ended", "cancelled in the compact form"]
        ),
        violation!(
            "the event of an SM-DS becomes a trigger of another event",
            |link| with_event(link, |_| Some("1$other.example$EVENT".to_owned())),
            ["the event of an SM-DS becomes a trigger", "an SM-DS without an event"]
        ),
        // HTTP and TLS.
        violation!(
            "responses have no X-Admin-Protocol",
            |link| changing(link, |_, response| {
                response.headers_mut().remove("x-admin-protocol");
            }),
            ["the response has the binding's Content-Type"]
        ),
        violation!(
            "the Content-Type is compared octet for octet",
            |link| refusing(link, |request| {
                let content_type = request.headers().get(header::CONTENT_TYPE);
                content_type.is_none_or(|value| value != asn1::CONTENT_TYPE)
            }),
            ["parameters and case of the Content-Type"]
        ),
        violation!(
            "the Content-Type is ignored",
            |link| requesting(link, |request| {
                let correct = HeaderValue::from_static(asn1::CONTENT_TYPE);
                request.headers_mut().insert(header::CONTENT_TYPE, correct);
            }),
            ["a request with another Content-Type is not executed"]
        ),
        violation!(
            "only the IPA in the device is accepted",
            |link| refusing(link, |request| {
                !request.headers()[header::USER_AGENT].as_bytes().starts_with(b"gsma-rsp-ipad")
            }),
            ["a User-Agent of an IPA in the eUICC"]
        ),
        violation!(
            "each path is that of ESipa",
            |link| requesting(link, |request| {
                *request.uri_mut() = asn1::PATH.parse().unwrap();
            }),
            ["an unknown path is not found"]
        ),
        violation!(
            "each method is POST",
            |link| requesting(link, |request| {
                *request.method_mut() = Method::POST;
            }),
            ["only POST requests are executed"]
        ),
        violation!(
            "an invalid body leads to HTTP 500",
            |link| refusing_with(link, StatusCode::INTERNAL_SERVER_ERROR, |request| {
                tlv::split(request.body()).is_none()
            }),
            ["a request with an invalid body"]
        ),
        violation!(
            "a client certificate is required",
            |link| refusing(link, |_| true),
            ["an IPA without a client certificate"]
        ),
        Violation {
            what: "TLS 1.2 is refused",
            begin: Box::new(|| Box::pin(without_tls12())),
            fails: &["TLS 1.2 is accepted"],
        },
        // CoAP.
        of_coap!(
            "responses over CoAP have other codes",
            coap_changes::other_codes(),
            ["has the code 2.05", "is answered with 2.04", "is refused with 4.02", "is answered with 4.04"]
        ),
        of_coap!(
            "blocks have the largest size",
            coap_changes::without_block2(),
            ["are transferred in small blocks"]
        ),
        of_coap!("a repeated request is executed again", coap_changes::forgetful(), ["a repeated datagram"]),
    ]
}

const POLL: [u8; 2] = [0xBF, 0x4F];
const PROVIDE: [u8; 2] = [0xBF, 0x50];
const NOTIFY: [u8; 2] = [0xBF, 0x3D];
const INITIATE: [u8; 2] = [0xBF, 0x39];
const AUTHENTICATE: [u8; 2] = [0xBF, 0x3B];
const PACKAGE: [u8; 2] = [0xBF, 0x3A];
const CANCEL: [u8; 2] = [0xBF, 0x41];

/// euiccPackageErrorCode with replayError.
const REPLAY_ERROR: [u8; 3] = [0x02, 0x01, 0x04];

const EMPTY: ProvideEimPackageResultResponse =
    ProvideEimPackageResultResponse::EmptyResponse(EmptyResponse {});

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

fn asn1_response(message: &impl Asn1) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(message.to_der()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asn1::CONTENT_TYPE));
    headers.insert("x-admin-protocol", HeaderValue::from_static("gsma/rsp/v2.5.0"));
    response
}

fn refusing_with(link: Link, status: StatusCode, is_refused: fn(&Request<Bytes>) -> bool) -> Link {
    answering(link, move |request| {
        is_refused(request).then(|| {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = status;
            Ok(response)
        })
    })
}

fn refusing(link: Link, is_refused: fn(&Request<Bytes>) -> bool) -> Link {
    refusing_with(link, StatusCode::BAD_REQUEST, is_refused)
}

/// Changes responses.
fn changing(
    link: Link,
    change: impl Fn(&Request<Bytes>, &mut Response<Bytes>) + Clone + Send + Sync + 'static,
) -> Link {
    responding(link, move |request, answer| {
        let mut response = answer?;
        change(request, &mut response);
        Ok(response)
    })
}

/// Changes the reply of a function.
fn replying<R: Asn1>(
    link: Link,
    function: [u8; 2],
    change: impl Fn(&[u8], R) -> R + Clone + Send + Sync + 'static,
) -> Link {
    changing(link, move |request, response| {
        if request.body().starts_with(&function)
            && let Ok(reply) = R::from_der(response.body())
        {
            *response.body_mut() = change(request.body(), reply).to_der().into();
        }
    })
}

/// Changes the sources of downloads.
fn with_source(link: Link, change: fn(Option<ProfileDownloadData>) -> Option<ProfileDownloadData>) -> Link {
    replying(link, POLL, move |_, reply: GetEimPackageResponse| match reply {
        GetEimPackageResponse::ProfileDownloadTriggerRequest(mut trigger) => {
            trigger.profile_download_data = change(trigger.profile_download_data);
            GetEimPackageResponse::ProfileDownloadTriggerRequest(trigger)
        }
        other => other,
    })
}

/// Changes the activation codes of the events that SM-DSs return, and those of missing events.
fn with_event(link: Link, change: fn(Option<String>) -> Option<String>) -> Link {
    replying(link, AUTHENTICATE, move |_, reply: AuthenticateClientResponse| match reply {
        AuthenticateClientResponse::OkDs(mut ok) => {
            let trigger = ok.profile_download_trigger.take().unwrap_or_default();
            let code = match trigger.profile_download_data {
                Some(ProfileDownloadData::ActivationCode(code)) => Some(code),
                _ => None,
            };
            let profile_download_data = change(code).map(ProfileDownloadData::ActivationCode);
            ok.profile_download_trigger =
                Some(ProfileDownloadTriggerRequest { profile_download_data, ..trigger });
            AuthenticateClientResponse::OkDs(ok)
        }
        other => other,
    })
}

/// Returns no further package after a result with the unknown identifier of the tester.
fn without_transactions(link: Link) -> Link {
    let is_over = Arc::new(AtomicBool::default());
    changing(link, move |request, response| {
        let request = request.body();
        if request.starts_with(&PROVIDE) && contains(request, &[0xA5; 16]) {
            is_over.store(true, Ordering::Relaxed);
        }
        if request.starts_with(&POLL) && is_over.load(Ordering::Relaxed) {
            let none = GetEimPackageResponse::EimPackageError(EimPackageError::NO_EIM_PACKAGE_AVAILABLE);
            *response.body_mut() = none.to_der().into();
        }
    })
}

/// The messages over CoAP are changed.
async fn with_coap(changes: coap_changes::Changes) -> EimUnderTest {
    let mut eim = under_test(|link| link).await;
    eim.coap = eim.coap.map(|dial| coap_changes::changed(dial, changes));
    eim
}

/// The tester looks at another SM-DP+.
async fn without_forwarding() -> EimUnderTest {
    let mut eim = under_test(|link| link).await;
    eim.inbox = Some(Arc::new(Servers::new().inbox()));
    eim
}

async fn without_transfers() -> EimUnderTest {
    let mut eim = under_test(|link| link).await;
    eim.transfer = Some(Arc::new(|_, _| Box::pin(std::future::ready(Ok(())))));
    eim
}

/// The IPA gets no acknowledgements.
async fn without_transferred_acknowledgements() -> EimUnderTest {
    let mut eim = under_test(|link| link).await;
    let transfer = eim.transfer.take().unwrap();
    eim.transfer = Some(Arc::new(move |eid, ipa| {
        let ipa = answering(ipa, |request| {
            contains(request.body(), &[0xBF, 0x53]).then(|| {
                let received = TransferEimPackageResponse::EimPackageReceived(Null);
                Ok(Response::new(received.to_der().into()))
            })
        });
        transfer(eid, ipa)
    }));
    eim
}

/// Refuses some results.
fn refuse_if(
    is_refused: fn(&[u8]) -> bool,
) -> impl Fn(&[u8], ProvideEimPackageResultResponse) -> ProvideEimPackageResultResponse + Clone + Send + Sync
{
    move |request, reply| match is_refused(request) {
        true => ProvideEimPackageResultResponse::ProvideEimPackageResultError(
            ProvideEimPackageResultError::UNDEFINED_ERROR,
        ),
        false => reply,
    }
}

/// Changes packages for the eUICC. The signature is made again, without an association token, or is
/// made invalid.
fn signed(
    link: Link,
    change: impl Fn(EuiccPackageSigned) -> EuiccPackageSigned + Clone + Send + Sync + 'static,
    is_valid: bool,
) -> Link {
    replying(link, POLL, move |_, reply: GetEimPackageResponse| match reply {
        GetEimPackageResponse::EuiccPackageRequest(package) => {
            let signed = Raw::new(change(package.into_value().euicc_package_signed.into_value()));
            let octets = rsp::sgp32::signature::signed_octets(signed.bytes(), None);
            let mut signature = signing_key().sign(&octets).as_bytes().to_vec();
            if !is_valid {
                signature[5] ^= 1;
            }
            GetEimPackageResponse::EuiccPackageRequest(Raw::new(EuiccPackageRequest {
                euicc_package_signed: signed,
                eim_signature: signature,
            }))
        }
        other => other,
    })
}

fn with_counter(
    count: impl Fn(i64) -> i64 + Clone + Send + Sync + 'static,
) -> impl Fn(EuiccPackageSigned) -> EuiccPackageSigned + Clone + Send + Sync {
    move |signed| EuiccPackageSigned { counter_value: count(signed.counter_value), ..signed }
}

/// Takes a new counter for each delivery of a package.
fn recounting(link: Link) -> Link {
    let deliveries = Arc::new(AtomicI64::new(0));
    signed(link, with_counter(move |_| deliveries.fetch_add(1, Ordering::Relaxed) + 1), true)
}

/// Replaces the codes of errors of downloads.
fn undefined(link: Link) -> Link {
    let link = replying(link, INITIATE, |_, reply: InitiateAuthenticationResponse| match reply {
        InitiateAuthenticationResponse::Error(_) => {
            InitiateAuthenticationResponse::Error(InitiateAuthenticationError::UNDEFINED_ERROR)
        }
        other => other,
    });
    let link = replying(link, AUTHENTICATE, |_, reply: AuthenticateClientResponse| match reply {
        AuthenticateClientResponse::Error(_) => {
            AuthenticateClientResponse::Error(AuthenticateClientError::UNDEFINED_ERROR)
        }
        other => other,
    });
    let link = replying(link, PACKAGE, |_, reply: GetBoundProfilePackageResponse| match reply {
        GetBoundProfilePackageResponse::Error(_) => {
            GetBoundProfilePackageResponse::Error(GetBoundProfilePackageError::UNDEFINED_ERROR)
        }
        other => other,
    });
    replying(link, CANCEL, |_, reply: CancelSessionResponse| match reply {
        CancelSessionResponse::Error(_) => CancelSessionResponse::Error(CancelSessionError::UNDEFINED_ERROR),
        other => other,
    })
}

/// An operator that orders the Rules Authorisation Table whatever it is asked for.
struct OtherOperations(Arc<dyn Operator>);

impl Operator for OtherOperations {
    fn register(&self, eid: Eid) -> BoxFuture<'_, Result<(), Fault>> {
        self.0.register(eid)
    }

    fn order<'a>(&'a self, eid: Eid, _: &'a [Operation]) -> BoxFuture<'a, Result<(), Fault>> {
        self.0.order(eid, &[Operation::Rat])
    }
}

async fn with_other_operations() -> EimUnderTest {
    let mut eim = under_test(|link| link).await;
    eim.operator = eim.operator.map(|operator| Arc::new(OtherOperations(operator)) as Arc<dyn Operator>);
    eim
}

async fn without_tls12() -> EimUnderTest {
    let mut eim = under_test(|link| link).await;
    let fault = || LinkFault::new(LinkFaultKind::Tls, "eIM", "protocol version");
    eim.esipa_tls12 = Some(answering(eim.esipa.clone(), move |_| Some(Err(fault()))));
    eim
}
