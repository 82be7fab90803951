//! Catalogue of lies of an SM-DP+ about the session.

use super::{AUTHENTICATE, INITIATE, Test, lie};
use crate::catalogue::Entry;
use crate::{LieAct, ServerLie};

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

const fn server(
    act: ServerLie,
    name: &'static str,
    told: &'static str,
    what: &'static str,
    test: &Test,
    answer: &'static str,
) -> Entry {
    lie(LieAct::Server(act), name, told, what, test, answer)
}

pub(super) static ENTRIES: &[Entry] = &[
    server(
        ServerLie::Transaction,
        "lie/transaction",
        "ES9+.InitiateAuthentication, ES9+.AuthenticateClient, ES9+.GetBoundProfilePackage",
        "The unsigned transactionId is another one.",
        &SESSION,
        "contains transaction ID",
    ),
    server(
        ServerLie::Signed1Transaction,
        "lie/server-signed1-transaction",
        INITIATE,
        "serverSigned1 names another transactionId.",
        &SESSION,
        "contains transaction ID",
    ),
    server(
        ServerLie::Signed1Challenge,
        "lie/server-signed1-challenge",
        INITIATE,
        "serverSigned1 has another euiccChallenge.",
        &CHALLENGE,
        "it signed an eUICC challenge other",
    ),
    server(
        ServerLie::Signed1Address,
        "lie/server-signed1-address",
        INITIATE,
        "serverSigned1 names another serverAddress.",
        &ADDRESS,
        "it signed for address",
    ),
    server(
        ServerLie::Signed1ServerChallenge,
        "lie/server-signed1-server-challenge",
        INITIATE,
        "serverSigned1 has another serverChallenge than the SM-DP+ sent.",
        &OWN_CHALLENGE,
        "8.1/6.1",
    ),
    server(
        ServerLie::Signature1,
        "lie/server-signature1",
        INITIATE,
        "serverSignature1 does not verify.",
        &SIGNED1,
        "invalid-signature(2)",
    ),
    server(
        ServerLie::CiToBeUsed,
        "lie/ci-to-be-used",
        INITIATE,
        "euiccCiPKIdToBeUsed names an unknown CI.",
        &CI,
        "ci-pk-unknown(7)",
    ),
    server(
        ServerLie::Signed2Transaction,
        "lie/smdp-signed2-transaction",
        AUTHENTICATE,
        "smdpSigned2 names another transactionId.",
        &SESSION,
        "contains transaction ID",
    ),
    server(
        ServerLie::Signed2Code,
        "lie/smdp-signed2-code",
        AUTHENTICATE,
        "ccRequiredFlag is inverted.",
        &CODE,
        "postponed(1)",
    ),
    server(
        ServerLie::Signed2Otpk,
        "lie/smdp-signed2-otpk",
        AUTHENTICATE,
        "bppEuiccOtpk is a key that the eUICC did not generate.",
        &OTPK,
        "8.1/6.1",
    ),
    server(
        ServerLie::Signature2,
        "lie/smdp-signature2",
        AUTHENTICATE,
        "smdpSignature2 does not verify.",
        &SIGNED2,
        "invalid-signature(2)",
    ),
    server(
        ServerLie::Signature2OverOther,
        "lie/smdp-signature2-over-other",
        AUTHENTICATE,
        "smdpSignature2 covers another euiccSignature1, as in another session.",
        &SIGNED2,
        "invalid-signature(2)",
    ),
    server(
        ServerLie::Signature2ByDpauth,
        "lie/smdp-signature2-by-dpauth",
        AUTHENTICATE,
        "smdpSignature2 is made with the key of CERT.DPauth.",
        &SIGNED2,
        "invalid-signature(2)",
    ),
];
