//! Catalogue of lies of an SM-DP+ about the session.

use super::{AUTHENTICATE, INITIATE, Test, false_statement};
use crate::catalogue::Entry;
use crate::{FalseServerStatement, FalseStatement};

const SESSION: Test = Test {
    peer: "LPA",
    requirement: "An answer with the transaction ID of another session is refused: the session is cancelled, and nothing is installed.",
    clause: "SGP.22 3.0.1, 3.1.3",
};
const ADDRESS: Test = Test {
    peer: "LPA",
    requirement: "The signed address must be the requested address.",
    clause: "SGP.22 3.0.1",
};
const CHALLENGE: Test = Test {
    peer: "LPA, eUICC",
    requirement: "The signed challenge must be the challenge of the eUICC for this session. An eUICC that gets another one answers euicc-challenge-mismatch(6).",
    clause: "SGP.22 3.0.1, 5.7.13",
};
const OWN_CHALLENGE: Test = Test {
    peer: "SM-DP+",
    requirement: "The signed challenge in the answer must be the challenge that the SM-DP+ sent.",
    clause: "SGP.22 5.6.3",
};
const SIGNED1: Test = Test {
    peer: "eUICC",
    requirement: "serverSignature1 is verified with the key of CERT.DPauth.",
    clause: "SGP.22 5.7.13",
};
const CI: Test = Test {
    peer: "eUICC",
    requirement: "The eUICC signs only if it has a certificate of the selected CI.",
    clause: "SGP.22 5.7.13",
};
const SIGNED2: Test = Test {
    peer: "eUICC",
    requirement: "smdpSignature2 is verified with the key of CERT.DPpb, over smdpSigned2 and the euiccSignature1 of this session.",
    clause: "SGP.22 5.7.5",
};
const CODE: Test = Test {
    peer: "LPA",
    requirement: "The LPA requests no package without the confirmation code that the SM-DP+ requires; the order stays usable.",
    clause: "SGP.22 3.1.3, 5.7.5",
};
const OTPK: Test = Test {
    peer: "eUICC, SM-DP+",
    requirement: "The eUICC reuses a one-time key only if it generated that key for this SM-DP+; otherwise it generates a new one. The SM-DP+, which did not send this bppEuiccOtpk, refuses a euiccSignature2 over it.",
    clause: "SGP.22 5.6.2, 5.7.5",
};

const fn server(act: FalseServerStatement, name: &'static str, told: &'static str) -> Entry {
    false_statement(FalseStatement::Server(act), name, told)
}

pub(super) static ENTRIES: &[Entry] = &[
    server(
        FalseServerStatement::Transaction,
        "lie/transaction",
        "ES9+.InitiateAuthentication, ES9+.AuthenticateClient, ES9+.GetBoundProfilePackage",
    )
    .what("The unsigned transactionId is another one.")
    .tests(&SESSION, "contains transaction ID"),
    server(FalseServerStatement::Signed1Transaction, "lie/server-signed1-transaction", INITIATE)
        .what("serverSigned1 names another transactionId.")
        .tests(&SESSION, "contains transaction ID"),
    server(FalseServerStatement::Signed1Challenge, "lie/server-signed1-challenge", INITIATE)
        .what("serverSigned1 has another euiccChallenge.")
        .tests(&CHALLENGE, "it signed an eUICC challenge other"),
    server(FalseServerStatement::Signed1Address, "lie/server-signed1-address", INITIATE)
        .what("serverSigned1 names another serverAddress.")
        .tests(&ADDRESS, "it signed for address"),
    server(FalseServerStatement::Signed1ServerChallenge, "lie/server-signed1-server-challenge", INITIATE)
        .what("serverSigned1 has another serverChallenge than the SM-DP+ sent.")
        .tests(&OWN_CHALLENGE, "8.1/6.1"),
    server(FalseServerStatement::Signature1, "lie/server-signature1", INITIATE)
        .what("serverSignature1 does not verify.")
        .tests(&SIGNED1, "invalid-signature(2)"),
    server(FalseServerStatement::CiToBeUsed, "lie/ci-to-be-used", INITIATE)
        .what("euiccCiPKIdToBeUsed names an unknown CI.")
        .tests(&CI, "ci-pk-unknown(7)"),
    server(FalseServerStatement::Signed2Transaction, "lie/smdp-signed2-transaction", AUTHENTICATE)
        .what("smdpSigned2 names another transactionId.")
        .tests(&SESSION, "contains transaction ID"),
    server(FalseServerStatement::Signed2Code, "lie/smdp-signed2-code", AUTHENTICATE)
        .what("ccRequiredFlag is inverted.")
        .tests(&CODE, "postponed(1)"),
    server(FalseServerStatement::Signed2Otpk, "lie/smdp-signed2-otpk", AUTHENTICATE)
        .what("bppEuiccOtpk is a key that the eUICC did not generate.")
        .tests(&OTPK, "8.1/6.1"),
    server(FalseServerStatement::Signature2, "lie/smdp-signature2", AUTHENTICATE)
        .what("smdpSignature2 does not verify.")
        .tests(&SIGNED2, "invalid-signature(2)"),
    server(FalseServerStatement::Signature2OverOther, "lie/smdp-signature2-over-other", AUTHENTICATE)
        .what("smdpSignature2 covers another euiccSignature1, as in another session.")
        .tests(&SIGNED2, "invalid-signature(2)"),
    server(FalseServerStatement::Signature2ByDpauth, "lie/smdp-signature2-by-dpauth", AUTHENTICATE)
        .what("smdpSignature2 is made with the key of CERT.DPauth.")
        .tests(&SIGNED2, "invalid-signature(2)"),
];
