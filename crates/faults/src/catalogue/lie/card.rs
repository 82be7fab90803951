//! Lies of a card.

use super::{AUTHENTICATE, CANCEL, NOTIFY, PACKAGE, Test, lie};
use crate::catalogue::Entry;
use crate::{CardLie, LieAct};

const SESSION: Test = Test {
    peer: "SM-DP+",
    requirement: "What is signed is of the session in which it is said.",
    clause: "SGP.22 5.6.2, 5.6.3, 5.6.5",
};
const PROOF: Test = Test {
    peer: "SM-DP+",
    requirement: "euiccSignature1 is verified with the key of CERT.EUICC, and what is signed is what was asked for in this session.",
    clause: "SGP.22 5.6.3",
};
const FITS: Test = Test {
    peer: "SM-DP+",
    requirement: "A profile is not given to an eUICC that says that it cannot take it; the order stays usable.",
    clause: "SGP.22 5.6.3",
};
const KNOWN: Test = Test {
    peer: "SM-DP+",
    requirement: "There is a profile for a MatchingID of an order, and for no other.",
    clause: "SGP.22 5.6.3",
};
const PREPARED: Test = Test {
    peer: "SM-DP+",
    requirement: "euiccSignature2 is verified over euiccSigned2 and the smdpSignature2 that it gave, and the package is bound to a point of the curve.",
    clause: "SGP.22 5.6.2",
};
const OWN_KEY: Test = Test {
    peer: "eUICC",
    requirement: "A package that is bound to another one-time key than its own is not opened.",
    clause: "SGP.22 5.5.1",
};
const CANCELLED: Test = Test {
    peer: "SM-DP+",
    requirement: "A session ends, and with it perhaps an order, on the eUICC's signed word only, meant for this SM-DP+.",
    clause: "SGP.22 5.6.5",
};
const RESULT: Test = Test {
    peer: "SM-DP+",
    requirement: "A result that is not of the session, not for this SM-DP+, not of this profile or not signed changes nothing. It is answered with 204, and so the card forgets it: what the card signs of the profile next is taken for it.",
    clause: "SGP.22 5.6.4, 6.5.2.9",
};
const OUTCOME: Test = Test {
    peer: "owner",
    requirement: "The card's signed word is all that an SM-DP+ has: that it is not so, a comparison with the card finds out, or its next word.",
    clause: "SGP.22 3.5, 5.6.4",
};
const METADATA: Test = Test {
    peer: "SM-DP+",
    requirement: "A result is known by its session; number and address are for the LPA, and change nothing.",
    clause: "SGP.22 3.5, 5.6.4",
};
const NOTIFICATION: Test = Test {
    peer: "SM-DP+",
    requirement: "What is told of a profile is believed from the card that has it only, under its signature; otherwise it changes nothing, and is answered with 204.",
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
        "transactionId, which nobody signs, is another one.",
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
        "euiccInfo2 says that there are 16 octets of memory.",
        &FITS,
        "8.1/4.8",
    ),
    card(
        CardLie::Signed1NoUsim,
        "lie/euicc-signed1-no-usim",
        AUTHENTICATE,
        "euiccInfo2 says that the card can do nothing, not even USIM.",
        &FITS,
        "8.2.5/4.3",
    ),
    card(
        CardLie::Signed1MatchingId,
        "lie/euicc-signed1-matching-id",
        AUTHENTICATE,
        "The MatchingID that is signed is that of no order.",
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
        "euiccOtpk is no point of the curve.",
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
        "euiccOtpk is a key that the card does not have.",
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
    result(CardLie::ResultNoOid, "lie/result-no-oid", "The result names no SM-DP+.", "1.3.1/2.2"),
    result(CardLie::ResultIccid, "lie/result-iccid", "The result is of another profile.", "8.2.1/3.9"),
    result(
        CardLie::ResultNoIccid,
        "lie/result-no-iccid",
        "The result of a success names no profile.",
        "8.2.1/3.9",
    ),
    result(
        CardLie::ResultEvent,
        "lie/result-event",
        "The result is said to be a notification that a profile was enabled.",
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
        "The result is addressed to somebody else.",
        &METADATA,
        "",
    ),
    card(
        CardLie::ResultOutcome,
        "lie/result-outcome",
        NOTIFY,
        "Success is said to be failure, and failure success.",
        &OUTCOME,
        "",
    ),
    notification(
        CardLie::NotificationIccid,
        "lie/notification-iccid",
        "The notification is of a profile that the card never had.",
        "8.1.1/3.10",
    ),
    notification(
        CardLie::NotificationNoIccid,
        "lie/notification-no-iccid",
        "The notification names no profile.",
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
        "Another card says under its own key what happened on this one.",
        "8.1.1/3.10",
    ),
    card(
        CardLie::NotificationDeleted,
        "lie/notification-deleted",
        NOTIFY,
        "The profile is said to be deleted.",
        &OUTCOME,
        "",
    ),
];
