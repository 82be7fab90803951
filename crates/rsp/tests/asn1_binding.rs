//! The ASN.1 binding of ES9+ (SGP.22 section 6.6), tested with messages that pycrate 0.8.1 (Python)
//! encoded from the ASN.1 module of SGP.22 v2, with AuthenticateClientOk as of v2.2. All values are
//! made up.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use rsp::{
    der::Asn1,
    finding::{self, Finding, FindingKind},
    ids::Version,
    sgp22::{
        asn1::{self, Answer, Exchange, InvalidResponse},
        es9plus::{
            AuthenticateClient, AuthenticateClientError, AuthenticateClientRequest, CancelSession,
            CancelSessionError, CancelSessionRequestEs9, GetBoundProfilePackage, GetBoundProfilePackageError,
            GetBoundProfilePackageRequest, HandleNotificationRequest, InitiateAuthentication,
            InitiateAuthenticationError, InitiateAuthenticationRequest,
        },
        json,
    },
    status::Status,
};

const VERSION: Version = Version([2, 5, 0]);

fn octets(hex_text: &str) -> Bytes {
    hex::decode(hex_text).unwrap().into()
}

fn ok(body: Bytes) -> Response<Bytes> {
    Response::builder().header("Content-Type", asn1::CONTENT_TYPE).body(body).unwrap()
}

#[test]
fn requests_equal_those_of_an_independent_encoder() {
    check_request::<InitiateAuthenticationRequest>(INITIATE_REQUEST);
    check_request::<AuthenticateClientRequest>(AUTHENTICATE_REQUEST);
    check_request::<GetBoundProfilePackageRequest>(GET_REQUEST);
    check_request::<HandleNotificationRequest>(NOTIFICATION);
}

fn check_request<T: Asn1>(text: &str) {
    assert_eq!(asn1::function_tag(&octets(text)).unwrap(), T::TAG);
    let request: T = asn1::read(&octets(text)).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(hex::encode(asn1::request(VERSION, &request).body()), text);
}

/// In the ASN.1 module the field has no tag of its own and its type is a tagged CHOICE. According
/// to X.680 the automatic tag replaces that of the CHOICE. Some compilers add it around the tag of
/// the CHOICE instead, so both encodings are accepted.
#[test]
fn a_cancellation_decodes_with_the_tag_of_the_choice_replaced_or_kept() {
    for (kept, replaced) in
        [(CANCEL_REQUEST, CANCEL_REQUEST_REPLACED), (CANCEL_ERROR_REQUEST, CANCEL_ERROR_REQUEST_REPLACED)]
    {
        let request: CancelSessionRequestEs9 = asn1::read(&octets(kept)).unwrap();
        assert_eq!(request, asn1::read(&octets(replaced)).unwrap());
        assert_eq!(hex::encode(asn1::request(VERSION, &request).body()), replaced);
    }
}

fn check_both_alternatives<F: Exchange<Reply: Clone + std::fmt::Debug + PartialEq>>(
    done: &str,
    refused: &str,
    because: Status,
    code: F::Error,
) {
    let Answer::Done(reply) = asn1::answer::<F>(&ok(octets(done))).unwrap() else {
        panic!("{done} is a refusal")
    };
    assert_eq!(hex::encode(asn1::response::<F>(VERSION, Ok(&reply)).body()), done);
    let Answer::Refused(read) = asn1::answer::<F>(&ok(octets(refused))).unwrap() else {
        panic!("{refused} is not a refusal")
    };
    assert_eq!(read, code);
    let written = asn1::response::<F>(VERSION, Err(&because.because("a test")));
    assert_eq!(hex::encode(written.body()), refused);
}

#[test]
fn every_response_has_both_alternatives() {
    check_both_alternatives::<InitiateAuthentication>(
        INITIATE_OK,
        INITIATE_ERROR,
        Status::CiForSigningUnsupported,
        InitiateAuthenticationError::CI_PK_NOT_SUPPORTED,
    );
    check_both_alternatives::<AuthenticateClient>(
        AUTHENTICATE_OK,
        AUTHENTICATE_ERROR,
        Status::MatchingIdRefused,
        AuthenticateClientError::MATCHING_ID_REFUSED,
    );
    check_both_alternatives::<GetBoundProfilePackage>(
        GET_OK,
        GET_ERROR,
        Status::OrderExpired,
        GetBoundProfilePackageError::UNDEFINED_ERROR,
    );
    check_both_alternatives::<CancelSession>(
        CANCEL_OK,
        CANCEL_ERROR,
        Status::EuiccVerificationFailed,
        CancelSessionError::EUICC_SIGNATURE_INVALID,
    );
}

#[test]
fn requests_and_responses_have_the_headers_of_the_binding() {
    let request: InitiateAuthenticationRequest = asn1::read(&octets(INITIATE_REQUEST)).unwrap();
    let request = asn1::request(VERSION, &request);
    assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/gsma/rsp2/asn1"));
    let response =
        asn1::response::<InitiateAuthentication>(VERSION, Err(&Status::SvnUnsupported.because("a test")));
    assert_eq!(response.status(), StatusCode::OK);
    for headers in [request.headers(), response.headers()] {
        assert_eq!(headers["content-type"], "application/x-gsma-rsp-asn1");
        assert_eq!(headers[json::X_ADMIN_PROTOCOL], "gsma/rsp/v2.5.0");
    }
}

#[test]
fn invalid_responses_are_refused() {
    let answer = |body: &str| asn1::answer::<InitiateAuthentication>(&ok(octets(body)));
    for body in [
        AUTHENTICATE_OK,
        GET_ERROR,
        "",
        "a203bf3900",
        "a206bf3903820103",
        "a207bf390381010300",
        "a208bf390581010381",
    ] {
        assert!(matches!(answer(body), Err(InvalidResponse::Asn1(_))), "{body}: {:?}", answer(body));
    }
    let mut failed = ok(octets(INITIATE_ERROR));
    *failed.status_mut() = StatusCode::BAD_REQUEST;
    let answer = asn1::answer::<InitiateAuthentication>(&failed);
    assert!(matches!(answer, Err(InvalidResponse::HttpStatus(StatusCode::BAD_REQUEST))));
    for other in ["", "text/html", "application/json"] {
        let mut page = ok(octets(INITIATE_ERROR));
        page.headers_mut().insert("Content-Type", other.parse().unwrap());
        // A valid body shows that the response is not one of an intermediary.
        let (answer, findings) = finding::collect(|| asn1::answer::<InitiateAuthentication>(&page));
        assert!(matches!(answer, Ok(Answer::Refused(_))), "{other}");
        assert_eq!(findings, [Finding::new(FindingKind::ContentType, other)]);
        *page.body_mut() = "<html>".into();
        let answer = asn1::answer::<InitiateAuthentication>(&page);
        assert!(matches!(answer, Err(InvalidResponse::ContentType(_))), "{other}");
    }
}

const INITIATE_REQUEST: &str = concat!(
    "a25fbf395c8110030303030303030303030303030303038310736d64702e6578616d706c652e636f6dbf203582030202",
    "02a91604141111111111111111111111111111111111111111aa16041411111111111111111111111111111111111111",
    "11",
);
const AUTHENTICATE_REQUEST: &str = concat!(
    "a22fbf3b2c80100102030405060708090a0b0c0d0e0f10bf3817a11580100102030405060708090a0b0c0d0e0f100201",
    "02",
);
const GET_REQUEST: &str = concat!(
    "a281b8bf3a81b480100102030405060708090a0b0c0d0e0f10bf21819ea0819b305680100102030405060708090a0b0c",
    "0d0e0f105f49410405050505050505050505050505050505050505050505050505050505050505050505050505050505",
    "0505050505050505050505050505050505050505050505055f3740090909090909090909090909090909090909090909",
    "09090909090909090909090909090909090909090909090909090909090909090909090909090909090909",
);
const NOTIFICATION: &str = concat!(
    "a27dbf3d7aa0783076bf2f2680020082810206400c10736d64702e6578616d706c652e636f6d5a0a9800103254769810",
    "32145f374009090909090909090909090909090909090909090909090909090909090909090909090909090909090909",
    "09090909090909090909090909090909090909090930038001053003800105",
);
const CANCEL_REQUEST: &str = concat!(
    "a27bbf417880100102030405060708090a0b0c0d0e0f10a164bf4161a05f301a80100102030405060708090a0b0c0d0e",
    "0f10810388370a8201015f37400909090909090909090909090909090909090909090909090909090909090909090909",
    "0909090909090909090909090909090909090909090909090909090909",
);
const CANCEL_REQUEST_REPLACED: &str = concat!(
    "a278bf417580100102030405060708090a0b0c0d0e0f10a161a05f301a80100102030405060708090a0b0c0d0e0f1081",
    "0388370a8201015f37400909090909090909090909090909090909090909090909090909090909090909090909090909",
    "0909090909090909090909090909090909090909090909090909",
);
const CANCEL_ERROR_REQUEST: &str = "a21dbf411a80100102030405060708090a0b0c0d0e0f10a106bf4103810105";
const CANCEL_ERROR_REQUEST_REPLACED: &str = "a21abf411780100102030405060708090a0b0c0d0e0f10a103810105";
const INITIATE_OK: &str = concat!(
    "a281c1bf3981bda081ba80100102030405060708090a0b0c0d0e0f10304880100102030405060708090a0b0c0d0e0f10",
    "8110030303030303030303030303030303038310736d64702e6578616d706c652e636f6d841004040404040404040404",
    "0404040404045f3740090909090909090909090909090909090909090909090909090909090909090909090909090909",
    "090909090909090909090909090909090909090909090909090414111111111111111111111111111111111111111130",
    "03800105",
);
const INITIATE_ERROR: &str = "a206bf3903810103";
const AUTHENTICATE_OK: &str = concat!(
    "a2818ebf3b818aa0818780100102030405060708090a0b0c0d0e0f10bf25135a0a980010325476981032149102737092",
    "016e301580100102030405060708090a0b0c0d0e0f100101ff5f37400909090909090909090909090909090909090909",
    "090909090909090909090909090909090909090909090909090909090909090909090909090909090909090930038001",
    "05",
);
const AUTHENTICATE_ERROR: &str = "a206bf3b03810106";
const GET_OK: &str = concat!(
    "a281debf3a81daa081d780100102030405060708090a0b0c0d0e0f10bf3681c1bf2381ae820101801001020304050607",
    "08090a0b0c0d0e0f10a610800188810110840807070707070707075f4941040505050505050505050505050505050505",
    "05050505050505050505050505050505050505050505050505050505050505050505050505050505050505050505055f",
    "374009090909090909090909090909090909090909090909090909090909090909090909090909090909090909090909",
    "090909090909090909090909090909090909a003870101a103880102a303860104",
);
const GET_ERROR: &str = "a206bf3a0381017f";
const CANCEL_OK: &str = "a205bf4102a000";
const CANCEL_ERROR: &str = "a206bf4103810102";
