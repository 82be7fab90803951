//! Catalogue of lies of a card.

use super::{AUTHENTICATE, CANCEL, NOTIFY, PACKAGE, Test, lie};
use crate::catalogue::Entry;
use crate::{CardLie, LieAct};

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

const fn card(
    act: CardLie,
    name: &'static str,
    told: &'static str,
    what: &'static str,
    test: &Test,
    answer: &'static str,
) -> Entry {
    lie(LieAct::Card(act), name, told, what, test, answer)
}

const fn result(act: CardLie, name: &'static str, what: &'static str, answer: &'static str) -> Entry {
    lie(LieAct::Card(act), name, NOTIFY, what, &RESULT, answer)
}

const fn notification(act: CardLie, name: &'static str, what: &'static str, answer: &'static str) -> Entry {
    lie(LieAct::Card(act), name, NOTIFY, what, &NOTIFICATION, answer)
}

const TRANSACTION: &str = "8.10.1/3.9";
const VERIFICATION: &str = "8.1/6.1";
const OID: &str = "8.8/3.10";

pub(super) static ENTRIES: &[Entry] = &[
    card(
        CardLie::Transaction,
        "lie/card-transaction",
        "ES9+.AuthenticateClient, ES9+.GetBoundProfilePackage, ES9+.CancelSession",
        "The unsigned transactionId is another one.",
        &SESSION,
        TRANSACTION,
    ),
    card(
        CardLie::Signed1Transaction,
        "lie/euicc-signed1-transaction",
        AUTHENTICATE,
        "euiccSigned1 names another transactionId.",
        &PROOF,
        TRANSACTION,
    ),
    card(
        CardLie::Signed1Challenge,
        "lie/euicc-signed1-challenge",
        AUTHENTICATE,
        "euiccSigned1 has another serverChallenge.",
        &PROOF,
        VERIFICATION,
    ),
    card(
        CardLie::Signed1Address,
        "lie/euicc-signed1-address",
        AUTHENTICATE,
        "euiccSigned1 names another serverAddress.",
        &PROOF,
        VERIFICATION,
    ),
    card(
        CardLie::Signature1,
        "lie/euicc-signature1",
        AUTHENTICATE,
        "euiccSignature1 does not verify.",
        &PROOF,
        VERIFICATION,
    ),
    card(
        CardLie::Signed1NoMemory,
        "lie/euicc-signed1-no-memory",
        AUTHENTICATE,
        "euiccInfo2 declares 16 octets of free memory.",
        &FITS,
        "8.1/4.8",
    ),
    card(
        CardLie::Signed1NoUsim,
        "lie/euicc-signed1-no-usim",
        AUTHENTICATE,
        "euiccInfo2 declares no capability at all, not even USIM.",
        &FITS,
        "8.2.5/4.3",
    ),
    card(
        CardLie::Signed1MatchingId,
        "lie/euicc-signed1-matching-id",
        AUTHENTICATE,
        "The signed MatchingID belongs to no order.",
        &KNOWN,
        "8.2.6/3.8",
    ),
    card(
        CardLie::Signed2Transaction,
        "lie/euicc-signed2-transaction",
        PACKAGE,
        "euiccSigned2 names another transactionId.",
        &PREPARED,
        TRANSACTION,
    ),
    card(
        CardLie::Signed2NoPoint,
        "lie/euicc-signed2-no-point",
        PACKAGE,
        "euiccOtpk is not a point on the curve.",
        &PREPARED,
        VERIFICATION,
    ),
    card(
        CardLie::Signature2,
        "lie/euicc-signature2",
        PACKAGE,
        "euiccSignature2 does not verify.",
        &PREPARED,
        VERIFICATION,
    ),
    card(
        CardLie::Signature2Alone,
        "lie/euicc-signature2-alone",
        PACKAGE,
        "euiccSignature2 does not cover smdpSignature2.",
        &PREPARED,
        VERIFICATION,
    ),
    card(
        CardLie::Signed2Otpk,
        "lie/euicc-signed2-otpk",
        PACKAGE,
        "euiccOtpk is a key whose private key the card does not have.",
        &OWN_KEY,
        "invalid-signature(2)",
    ),
    card(
        CardLie::CancelTransaction,
        "lie/cancel-transaction",
        CANCEL,
        "euiccCancelSessionSigned names another transactionId.",
        &SESSION,
        TRANSACTION,
    ),
    card(
        CardLie::CancelOid,
        "lie/cancel-oid",
        CANCEL,
        "euiccCancelSessionSigned is for another SM-DP+.",
        &CANCELLED,
        OID,
    ),
    card(
        CardLie::CancelSignature,
        "lie/cancel-signature",
        CANCEL,
        "euiccCancelSessionSignature does not verify.",
        &CANCELLED,
        VERIFICATION,
    ),
    result(
        CardLie::ResultTransaction,
        "lie/result-transaction",
        "The result names another transactionId.",
        TRANSACTION,
    ),
    result(CardLie::ResultOid, "lie/result-oid", "The result is for another SM-DP+.", OID),
    result(CardLie::ResultNoOid, "lie/result-no-oid", "The result does not name an SM-DP+.", "1.3.1/2.2"),
    result(CardLie::ResultIccid, "lie/result-iccid", "The result is of another profile.", "8.2.1/3.9"),
    result(
        CardLie::ResultNoIccid,
        "lie/result-no-iccid",
        "A successful result does not name a profile.",
        "8.2.1/3.9",
    ),
    result(
        CardLie::ResultEvent,
        "lie/result-event",
        "The result declares itself a notification that a profile was enabled.",
        "1.3.1/2.1",
    ),
    result(CardLie::ResultSignature, "lie/result-signature", "euiccSignPIR does not verify.", VERIFICATION),
    card(
        CardLie::ResultNumber,
        "lie/result-number",
        NOTIFY,
        "The result has another seqNumber.",
        &METADATA,
        "",
    ),
    card(
        CardLie::ResultAddress,
        "lie/result-address",
        NOTIFY,
        "The result has the notification address of another server.",
        &METADATA,
        "",
    ),
    card(
        CardLie::ResultOutcome,
        "lie/result-outcome",
        NOTIFY,
        "The result reports a failure instead of a success, or the reverse.",
        &OUTCOME,
        "",
    ),
    notification(
        CardLie::NotificationIccid,
        "lie/notification-iccid",
        "The notification is about a profile that the card never had.",
        "8.1.1/3.10",
    ),
    notification(
        CardLie::NotificationNoIccid,
        "lie/notification-no-iccid",
        "The notification does not name a profile.",
        "8.2.1/3.9",
    ),
    notification(
        CardLie::NotificationSignature,
        "lie/notification-signature",
        "euiccNotificationSignature does not verify.",
        VERIFICATION,
    ),
    notification(
        CardLie::NotificationOtherCard,
        "lie/notification-other-card",
        "Another card signs the notification with its own key.",
        "8.1.1/3.10",
    ),
    card(
        CardLie::NotificationDeleted,
        "lie/notification-deleted",
        NOTIFY,
        "The notification reports a deletion of the profile that did not happen.",
        &OUTCOME,
        "",
    ),
];
