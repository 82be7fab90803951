//! Catalogue of lies between servers of SGP.02.

use certs::Defect;
use certs::m2m::CardDefect;

use super::{Test, false_statement};
use crate::catalogue::Entry;
use crate::{FalseM2mStatement, FalseStatement};

const EIS: &str = "ES3.GetEIS";
const CREATE: &str = "ES3.CreateISDP";
const SEND: &str = "ES3.SendData";
const ENABLE: &str = "ES3.EnableProfile";

const BELIEVED: Test = Test {
    peer: "SM-DP",
    requirement: "An EIS is accepted only if the EUM has signed it for the requested card and a trusted CI has certified the EUM. Otherwise nothing is created on the card.",
    clause: "SGP.02 3.1, 5.1.1, 5.4.1",
};
const ELIGIBLE: Test = Test {
    peer: "SM-DP",
    requirement: "A profile is downloaded only to a card that this SM-SR manages and that has enough memory.",
    clause: "SGP.02 3.1, 5.4.1",
};
const ECASD: Test = Test {
    peer: "SM-DP",
    requirement: "Keys are established only with an ECASD whose certificate the EUM has signed for this card and that is valid now.",
    clause: "SGP.02 2.3.2, 3.1, 4.1.3.1",
};
const KEYS: Test = Test {
    peer: "SM-DP",
    requirement: "Keys are used only if the receipt proves that the card has the same keys. Otherwise the ISD-P is deleted again.",
    clause: "SGP.02 3.1.2, 4.1.3.1",
};
const FAILED: Test = Test {
    peer: "SM-DP",
    requirement: "A failure on the card fails the download: the ISD-P is deleted again, and the operator gets the error.",
    clause: "SGP.02 3.1, 5.4.4",
};
const TOLD: Test = Test {
    peer: "SM-DP, operator",
    requirement: "The SM-DP has no evidence other than the statement of the SM-SR over TLS. It forwards the statement unchanged and keeps the profile.",
    clause: "SGP.02 3.2, 5.4.5",
};
const CARD: Test = Test {
    peer: "ECASD, SM-SR",
    requirement: "An SM-DP gets a challenge only for a readable certificate that the CI has signed for an SM-DP. No key is generated for any other certificate.",
    clause: "SGP.02 2.3.2, 4.1.3.1",
};
const AGREED: Test = Test {
    peer: "ECASD",
    requirement: "The SM-DP's signature over the challenge and the one-time key is verified before a key is generated.",
    clause: "SGP.02 4.1.3.1",
};

const fn m2m(act: FalseM2mStatement, name: &'static str, told: &'static str) -> Entry {
    false_statement(FalseStatement::M2m(act), name, told)
}

const fn ecasd(defect: CardDefect, name: &'static str, answer: &'static str) -> Entry {
    m2m(FalseM2mStatement::Ecasd(defect), name, EIS).what(what(defect)).tests(&ECASD, answer)
}

const fn shown(defect: CardDefect, name: &'static str, answer: &'static str) -> Entry {
    m2m(FalseM2mStatement::Certificate(defect), name, SEND).what(what(defect)).tests(&CARD, answer)
}

const fn what(defect: CardDefect) -> &'static str {
    match defect {
        CardDefect::Expired => "The certificate has expired.",
        CardDefect::NotYetValid => "The certificate is not valid yet.",
        CardDefect::WrongOwner => "The certificate belongs to another owner.",
        CardDefect::ForgedSignature => "The certificate names its issuer, but another key signed it.",
        CardDefect::Stranger => "The certificate is signed by an untrusted issuer.",
        CardDefect::Tampered => "The certificate was changed after it was signed.",
        CardDefect::NotAPoint => "The public key of the certificate is not a point on its curve.",
        CardDefect::UnknownCurve => "The public key of the certificate is on an unknown curve.",
        CardDefect::ShortSignature => "The signature of the certificate is truncated to half its length.",
        CardDefect::Truncated => "The certificate is truncated.",
    }
}

const UNSIGNED: &str = "8.1.2/6.1";
const REFUSED: &str = "8.8.1/6.1";
const UNCERTIFIED: &str = "8.5.2/6.1";

pub(super) static ENTRIES: &[Entry] = &[
    m2m(FalseM2mStatement::EisEid, "lie/eis-eid", EIS)
        .what("The EIS belongs to another card and has a valid signature of the EUM.")
        .tests(&BELIEVED, "8.6/2.1"),
    m2m(FalseM2mStatement::EisSmsr, "lie/eis-smsr", EIS)
        .what("According to the EIS, another SM-SR manages the card.")
        .tests(&ELIGIBLE, "8.7/3.8"),
    m2m(FalseM2mStatement::EisMemory, "lie/eis-memory", EIS)
        .what("According to the EIS, the card has 16 octets of free memory.")
        .tests(&ELIGIBLE, "8.1/4.8"),
    m2m(FalseM2mStatement::EisChanged, "lie/eis-changed", EIS)
        .what("EumSignedInfo was changed after the EUM signed it.")
        .tests(&BELIEVED, UNSIGNED),
    m2m(FalseM2mStatement::EisSignature, "lie/eis-signature", EIS)
        .what("The EUM's signature does not verify.")
        .tests(&BELIEVED, UNSIGNED),
    m2m(FalseM2mStatement::EisByStranger, "lie/eis-by-stranger", EIS)
        .what("The EIS has the EUM's certificate but the signature of another key.")
        .tests(&BELIEVED, UNSIGNED),
    m2m(FalseM2mStatement::EisEum(Defect::Expired), "lie/eis-eum-expired", EIS)
        .what("The EUM's certificate has expired.")
        .tests(&BELIEVED, "8.1.2/6.3"),
    m2m(FalseM2mStatement::EisEum(Defect::StrangerCi), "lie/eis-eum-stranger-ci", EIS)
        .what("The EUM's certificate is issued by an untrusted CI with the name of a trusted one.")
        .tests(&BELIEVED, UNSIGNED),
    m2m(FalseM2mStatement::EisEum(Defect::NoEidRange), "lie/eis-eum-no-eid-range", EIS)
        .what("The EUM's certificate does not contain the range of its EIDs.")
        .tests(&BELIEVED, UNSIGNED),
    ecasd(CardDefect::Expired, "lie/ecasd-expired", "8.5.2/6.3"),
    ecasd(CardDefect::NotYetValid, "lie/ecasd-not-yet-valid", UNCERTIFIED),
    ecasd(CardDefect::WrongOwner, "lie/ecasd-wrong-owner", UNCERTIFIED),
    ecasd(CardDefect::ForgedSignature, "lie/ecasd-forged", UNCERTIFIED),
    ecasd(CardDefect::Stranger, "lie/ecasd-stranger", UNCERTIFIED),
    ecasd(CardDefect::Tampered, "lie/ecasd-tampered", UNCERTIFIED),
    ecasd(CardDefect::NotAPoint, "lie/ecasd-not-a-point", UNCERTIFIED),
    ecasd(CardDefect::UnknownCurve, "lie/ecasd-unknown-curve", UNCERTIFIED),
    ecasd(CardDefect::ShortSignature, "lie/ecasd-short-signature", UNCERTIFIED),
    ecasd(CardDefect::Truncated, "lie/ecasd-truncated", UNCERTIFIED),
    m2m(FalseM2mStatement::IsdpAid, "lie/isd-p-aid", CREATE)
        .what("The answer to CreateISDP names another ISD-P than the created one.")
        .tests(&FAILED, "8.3.1/1.2"),
    m2m(FalseM2mStatement::Challenge, "lie/ecasd-challenge", SEND)
        .what("The challenge of the ECASD is changed on its way to the SM-DP.")
        .tests(&AGREED, "8.5/4.2"),
    m2m(FalseM2mStatement::Receipt, "lie/ecasd-receipt", SEND)
        .what("The receipt is changed on its way to the SM-DP.")
        .tests(&KEYS, "8.1/4.2"),
    m2m(FalseM2mStatement::StatusWord, "lie/card-failed", SEND)
        .what("The last command of a script is reported as failed on the card.")
        .tests(&FAILED, "8.3/4.2"),
    m2m(FalseM2mStatement::NotEnabled, "lie/not-enabled", ENABLE)
        .what("The profile was enabled, but the SM-SR reports that it was not.")
        .tests(&TOLD, "8.2/4.2"),
    shown(CardDefect::Expired, "lie/smdp-card-expired", REFUSED),
    shown(CardDefect::NotYetValid, "lie/smdp-card-not-yet-valid", REFUSED),
    shown(CardDefect::WrongOwner, "lie/smdp-card-wrong-owner", REFUSED),
    shown(CardDefect::ForgedSignature, "lie/smdp-card-forged", REFUSED),
    shown(CardDefect::Stranger, "lie/smdp-card-stranger", REFUSED),
    shown(CardDefect::Tampered, "lie/smdp-card-tampered", REFUSED),
    shown(CardDefect::NotAPoint, "lie/smdp-card-not-a-point", "8.3/4.2"),
    shown(CardDefect::UnknownCurve, "lie/smdp-card-unknown-curve", "8.3/4.2"),
    shown(CardDefect::ShortSignature, "lie/smdp-card-short-signature", "8.3/4.2"),
    shown(CardDefect::Truncated, "lie/smdp-card-truncated", "8.3.1/1.2"),
    m2m(FalseM2mStatement::Signature, "lie/smdp-card-signature", SEND)
        .what("The SM-DP's signature over its one-time key does not verify.")
        .tests(&AGREED, "8.5/4.2"),
];
