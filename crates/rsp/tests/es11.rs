//! The ASN.1 binding of ES11 (SGP.22 sections 5.8 and 6.6) against messages encoded by asn1tools 0.169 (Python) from the
//! ASN.1 module of SGP.22 v2.5. The outermost tag is ours: the encoder puts the tag of a response twice where X.680 has
//! the outer one replace the inner.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says no by panicking")]

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
fn events_are_read_and_written_as_a_foreign_encoder_writes_them() {
    let expected = [(TWO_EVENTS, vec![("EV-1", "smdp.example.com"), ("EV-2", "ds2")]), (NO_EVENT, vec![])];
    for (text, events) in expected {
        let response = Response::builder().header("Content-Type", asn1::CONTENT_TYPE);
        let response = response.body(hex::decode(text).unwrap().into()).unwrap();
        let Answer::Done(reply) = asn1::answer::<AuthenticateClient>(&response).unwrap() else {
            panic!("{text} is no refusal");
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
fn a_refusal_is_the_integer_of_its_function() {
    let unknown = Status::EventUnknown.because("");
    let response = asn1::response::<AuthenticateClient>(VERSION, Err(&unknown));
    assert_eq!(hex::encode(response.body()), EVENT_ID_UNKNOWN);
    let answer = asn1::answer::<AuthenticateClient>(&response).unwrap();
    assert_eq!(answer, Answer::Refused(AuthenticateClientError::EVENT_ID_UNKNOWN));

    let elsewhere = Status::SmdsAddressRefused.because("");
    let response = asn1::response::<InitiateAuthentication>(VERSION, Err(&elsewhere));
    assert_eq!(hex::encode(response.body()), ADDRESS_REFUSED);
}
