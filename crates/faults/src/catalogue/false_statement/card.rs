//! Catalogue of lies of a card.

use super::{AUTHENTICATE, CANCEL, NOTIFY, PACKAGE, Test, false_statement};
use crate::catalogue::Entry;
use crate::{FalseCardStatement, FalseStatement};

const SESSION: Test = Test {
    peer: "SM-DP+",
    requirement: "Signed data must belong to the session in which it is sent.",
    clause: "SGP.22 5.6.2, 5.6.3, 5.6.5",
};
const PROOF: Test = Test {
    peer: "SM-DP+",
    requirement: "euiccSignature1 is verified with the key of CERT.EUICC, and the signed data must match the request of this session.",
    clause: "SGP.22 5.6.3",
};
const FITS: Test = Test {
    peer: "SM-DP+",
    requirement: "A profile is not delivered to an eUICC that declares that it cannot install it; the order stays usable.",
    clause: "SGP.22 5.6.3",
};
const KNOWN: Test = Test {
    peer: "SM-DP+",
    requirement: "A profile is delivered only for the MatchingID of an order.",
    clause: "SGP.22 5.6.3",
};
const PREPARED: Test = Test {
    peer: "SM-DP+",
    requirement: "euiccSignature2 is verified over euiccSigned2 and the smdpSignature2 of the session, and the package is bound only to a point on the curve.",
    clause: "SGP.22 5.6.2",
};
const OWN_KEY: Test = Test {
    peer: "eUICC",
    requirement: "A package that is bound to a one-time key of another eUICC is refused.",
    clause: "SGP.22 5.5.1",
};
const CANCELLED: Test = Test {
    peer: "SM-DP+",
    requirement: "A session, and possibly its order, is cancelled only by a message that the eUICC signed for this SM-DP+.",
    clause: "SGP.22 5.6.5",
};
const RESULT: Test = Test {
    peer: "SM-DP+",
    requirement: "A result of another session, for another SM-DP+, of another profile or without a valid signature changes nothing. It is answered with 204, so the card deletes it. The next notification that the card signs for the profile takes its place.",
    clause: "SGP.22 5.6.4, 6.5.2.9",
};
const OUTCOME: Test = Test {
    peer: "owner",
    requirement: "The SM-DP+ has no evidence other than the signed statement of the card. Only a comparison with the card or its next notification shows that it is false.",
    clause: "SGP.22 3.5, 5.6.4",
};
const METADATA: Test = Test {
    peer: "SM-DP+",
    requirement: "A result is identified by its session. Sequence number and address are for the LPA and change nothing.",
    clause: "SGP.22 3.5, 5.6.4",
};
const NOTIFICATION: Test = Test {
    peer: "SM-DP+",
    requirement: "A notification about a profile is accepted only from the card that has the profile, with its signature. Any other notification changes nothing and is answered with 204.",
    clause: "SGP.22 3.5, 5.6.4, 6.5.2.9",
};

const fn card(act: FalseCardStatement, name: &'static str, told: &'static str) -> Entry {
    false_statement(FalseStatement::Card(act), name, told)
}

const fn result(act: FalseCardStatement, name: &'static str) -> Entry {
    card(act, name, NOTIFY).tests(&RESULT, "")
}

const fn notification(act: FalseCardStatement, name: &'static str) -> Entry {
    card(act, name, NOTIFY).tests(&NOTIFICATION, "")
}

const TRANSACTION: &str = "8.10.1/3.9";
const VERIFICATION: &str = "8.1/6.1";
const OID: &str = "8.8/3.10";

pub(super) static ENTRIES: &[Entry] = &[
    card(
        FalseCardStatement::Transaction,
        "lie/card-transaction",
        "ES9+.AuthenticateClient, ES9+.GetBoundProfilePackage, ES9+.CancelSession",
    )
    .what("The unsigned transactionId is another one.")
    .tests(&SESSION, TRANSACTION),
    card(FalseCardStatement::Signed1Transaction, "lie/euicc-signed1-transaction", AUTHENTICATE)
        .what("euiccSigned1 names another transactionId.")
        .tests(&PROOF, TRANSACTION),
    card(FalseCardStatement::Signed1Challenge, "lie/euicc-signed1-challenge", AUTHENTICATE)
        .what("euiccSigned1 has another serverChallenge.")
        .tests(&PROOF, VERIFICATION),
    card(FalseCardStatement::Signed1Address, "lie/euicc-signed1-address", AUTHENTICATE)
        .what("euiccSigned1 names another serverAddress.")
        .tests(&PROOF, VERIFICATION),
    card(FalseCardStatement::Signature1, "lie/euicc-signature1", AUTHENTICATE)
        .what("euiccSignature1 does not verify.")
        .tests(&PROOF, VERIFICATION),
    card(FalseCardStatement::Signed1NoMemory, "lie/euicc-signed1-no-memory", AUTHENTICATE)
        .what("euiccInfo2 declares 16 octets of free memory.")
        .tests(&FITS, "8.1/4.8"),
    card(FalseCardStatement::Signed1NoUsim, "lie/euicc-signed1-no-usim", AUTHENTICATE)
        .what("euiccInfo2 declares no capability at all, not even USIM.")
        .tests(&FITS, "8.2.5/4.3"),
    card(FalseCardStatement::Signed1MatchingId, "lie/euicc-signed1-matching-id", AUTHENTICATE)
        .what("The signed MatchingID belongs to no order.")
        .tests(&KNOWN, "8.2.6/3.8"),
    card(FalseCardStatement::Signed2Transaction, "lie/euicc-signed2-transaction", PACKAGE)
        .what("euiccSigned2 names another transactionId.")
        .tests(&PREPARED, TRANSACTION),
    card(FalseCardStatement::Signed2NoPoint, "lie/euicc-signed2-no-point", PACKAGE)
        .what("euiccOtpk is not a point on the curve.")
        .tests(&PREPARED, VERIFICATION),
    card(FalseCardStatement::Signature2, "lie/euicc-signature2", PACKAGE)
        .what("euiccSignature2 does not verify.")
        .tests(&PREPARED, VERIFICATION),
    card(FalseCardStatement::Signature2Alone, "lie/euicc-signature2-alone", PACKAGE)
        .what("euiccSignature2 does not cover smdpSignature2.")
        .tests(&PREPARED, VERIFICATION),
    card(FalseCardStatement::Signed2Otpk, "lie/euicc-signed2-otpk", PACKAGE)
        .what("euiccOtpk is a key whose private key the card does not have.")
        .tests(&OWN_KEY, "invalid-signature(2)"),
    card(FalseCardStatement::CancelTransaction, "lie/cancel-transaction", CANCEL)
        .what("euiccCancelSessionSigned names another transactionId.")
        .tests(&SESSION, TRANSACTION),
    card(FalseCardStatement::CancelOid, "lie/cancel-oid", CANCEL)
        .what("euiccCancelSessionSigned is for another SM-DP+.")
        .tests(&CANCELLED, OID),
    card(FalseCardStatement::CancelSignature, "lie/cancel-signature", CANCEL)
        .what("euiccCancelSessionSignature does not verify.")
        .tests(&CANCELLED, VERIFICATION),
    result(FalseCardStatement::ResultTransaction, "lie/result-transaction")
        .what("The result names another transactionId.")
        .answer(TRANSACTION),
    result(FalseCardStatement::ResultOid, "lie/result-oid")
        .what("The result is for another SM-DP+.")
        .answer(OID),
    result(FalseCardStatement::ResultNoOid, "lie/result-no-oid")
        .what("The result does not name an SM-DP+.")
        .answer("1.3.1/2.2"),
    result(FalseCardStatement::ResultIccid, "lie/result-iccid")
        .what("The result is of another profile.")
        .answer("8.2.1/3.9"),
    result(FalseCardStatement::ResultNoIccid, "lie/result-no-iccid")
        .what("A successful result does not name a profile.")
        .answer("8.2.1/3.9"),
    result(FalseCardStatement::ResultEvent, "lie/result-event")
        .what("The result declares itself a notification that a profile was enabled.")
        .answer("1.3.1/2.1"),
    result(FalseCardStatement::ResultSignature, "lie/result-signature")
        .what("euiccSignPIR does not verify.")
        .answer(VERIFICATION),
    card(FalseCardStatement::ResultNumber, "lie/result-number", NOTIFY)
        .what("The result has another seqNumber.")
        .tests(&METADATA, ""),
    card(FalseCardStatement::ResultAddress, "lie/result-address", NOTIFY)
        .what("The result has the notification address of another server.")
        .tests(&METADATA, ""),
    card(FalseCardStatement::ResultOutcome, "lie/result-outcome", NOTIFY)
        .what("The result reports a failure instead of a success, or the reverse.")
        .tests(&OUTCOME, ""),
    notification(FalseCardStatement::NotificationIccid, "lie/notification-iccid")
        .what("The notification is about a profile that the card never had.")
        .answer("8.1.1/3.10"),
    notification(FalseCardStatement::NotificationNoIccid, "lie/notification-no-iccid")
        .what("The notification does not name a profile.")
        .answer("8.2.1/3.9"),
    notification(FalseCardStatement::NotificationSignature, "lie/notification-signature")
        .what("euiccNotificationSignature does not verify.")
        .answer(VERIFICATION),
    notification(FalseCardStatement::NotificationOtherCard, "lie/notification-other-card")
        .what("Another card signs the notification with its own key.")
        .answer("8.1.1/3.10"),
    card(FalseCardStatement::NotificationDeleted, "lie/notification-deleted", NOTIFY)
        .what("The notification reports a deletion of the profile that did not happen.")
        .tests(&OUTCOME, ""),
];
