//! Lies of an SM-DP+ about the session.

use super::{AUTHENTICATE, INITIATE, Test, lie};
use crate::catalogue::Entry;
use crate::{LieAct, ServerLie};

const SESSION: Test = Test {
    peer: "LPA",
    requirement: "An answer of another session is none of this one: the session is cancelled, and nothing is installed.",
    clause: "SGP.22 3.0.1, 3.1.3",
};
const ADDRESS: Test = Test {
    peer: "LPA",
    requirement: "The address that was signed is the one that was asked for.",
    clause: "SGP.22 3.0.1",
};
const CHALLENGE: Test = Test {
    peer: "LPA, eUICC",
    requirement: "The challenge that was signed is the one that the eUICC gave for this session (euicc-challenge-mismatch(6) of an eUICC that is shown it).",
    clause: "SGP.22 3.0.1, 5.7.13",
};
const OWN_CHALLENGE: Test = Test {
    peer: "SM-DP+",
    requirement: "The challenge that comes back signed is the one that it gave.",
    clause: "SGP.22 5.6.3",
};
const SIGNED1: Test = Test {
    peer: "eUICC",
    requirement: "serverSignature1 is verified with the key of CERT.DPauth.",
    clause: "SGP.22 5.7.13",
};
const CI: Test = Test {
    peer: "eUICC",
    requirement: "It signs below a CI for which it has a certificate, or not at all.",
    clause: "SGP.22 5.7.13",
};
const SIGNED2: Test = Test {
    peer: "eUICC",
    requirement: "smdpSignature2 is verified with the key of CERT.DPpb, over smdpSigned2 and the euiccSignature1 that it gave in this session.",
    clause: "SGP.22 5.7.5",
};
const CODE: Test = Test {
    peer: "LPA",
    requirement: "No package is asked for without the confirmation code that is said to be needed; the order stays usable.",
    clause: "SGP.22 3.1.3, 5.7.5",
};
const OTPK: Test = Test {
    peer: "eUICC, SM-DP+",
    requirement: "A one-time key is used again only if it is the eUICC's own, made for this SM-DP+; otherwise it makes a new one. The SM-DP+, which has said nothing of the kind, does not take a euiccSignature2 over it.",
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
        "transactionId, which nobody signs, is another one.",
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
        "serverSigned1 has another serverChallenge than the SM-DP+ remembers.",
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
        "euiccCiPKIdToBeUsed names a CI that nobody has.",
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
        "ccRequiredFlag is the other one.",
        &CODE,
        "postponed(1)",
    ),
    server(
        ServerLie::Signed2Otpk,
        "lie/smdp-signed2-otpk",
        AUTHENTICATE,
        "bppEuiccOtpk is a key that the eUICC never had.",
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
        "smdpSignature2 is over another euiccSignature1, as one of another session is.",
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
