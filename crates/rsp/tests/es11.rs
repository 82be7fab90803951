//! The ASN.1 binding of ES11 (SGP.22 sections 5.8 and 6.6), tested with messages that asn1tools
//! 0.169 (Python) encoded from the ASN.1 module of SGP.22 v2.5. The outermost tag was corrected
//! manually: the encoder writes the tag of a response twice, while according to X.680 the outer tag
//! replaces the inner one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

use http::Response;
use rsp::{
    ids::Version,
    sgp22::{
        asn1::{self, Answer},
        es11::{AuthenticateClient, AuthenticateClientError, InitiateAuthentication},
    },
    status::Status,
};

const VERSION: Version = Version([2, 5, 0]);

const TWO_EVENTS: &str = "a240bf403da03b80100102030405060708090a0b0c0d0e0f10a1273018800445562d318110736d64702e6578616d706c\
                          652e636f6d300b800445562d328103647332";
const NO_EVENT: &str = "a219bf4016a01480100102030405060708090a0b0c0d0e0f10a100";
const EVENT_ID_UNKNOWN: &str = "a206bf4003810106";
const ADDRESS_REFUSED: &str = "a206bf3903810101";

#[test]
fn events_equal_those_of_an_independent_encoder() {
    let expected = [(TWO_EVENTS, vec![("EV-1", "smdp.example.com"), ("EV-2", "ds2")]), (NO_EVENT, vec![])];
    for (text, events) in expected {
        let response = Response::builder().header("Content-Type", asn1::CONTENT_TYPE);
        let response = response.body(hex::decode(text).unwrap().into()).unwrap();
        let Answer::Done(reply) = asn1::answer::<AuthenticateClient>(&response).unwrap() else {
            panic!("{text} is a refusal");
        };
        let read: Vec<_> = reply
            .event_entries
            .iter()
            .map(|event| (event.event_id.as_str(), event.rsp_server_address.as_str()))
            .collect();
        assert_eq!(read, events);
        let written = asn1::response::<AuthenticateClient>(VERSION, Ok(&reply));
        assert_eq!(hex::encode(written.body()), text);
    }
}

#[test]
fn a_refusal_is_the_error_integer_of_its_function() {
    let unknown = Status::EventUnknown.because("");
    let response = asn1::response::<AuthenticateClient>(VERSION, Err(&unknown));
    assert_eq!(hex::encode(response.body()), EVENT_ID_UNKNOWN);
    let answer = asn1::answer::<AuthenticateClient>(&response).unwrap();
    assert_eq!(answer, Answer::Refused(AuthenticateClientError::EVENT_ID_UNKNOWN));

    let other_address = Status::SmdsAddressRefused.because("");
    let response = asn1::response::<InitiateAuthentication>(VERSION, Err(&other_address));
    assert_eq!(hex::encode(response.body()), ADDRESS_REFUSED);
}
