//! Catalogue of lies of an SM-DP+ about the profile and its package.

use super::{AUTHENTICATE, PACKAGE, Test, false_statement};
use crate::catalogue::Entry;
use crate::{FalseElement, FalseMetadata, FalsePackage, FalseStatement};

const BOTH: &str = "ES9+.AuthenticateClient, ES9+.GetBoundProfilePackage";

const OFFER: Test = Test {
    peer: "LPA",
    requirement: "The installed profile must be the offered and confirmed one. Otherwise the session is cancelled.",
    clause: "SGP.22 3.1.3, 5.7.14",
};
const METADATA: Test = Test {
    peer: "eUICC, LPA",
    requirement: "Invalid metadata is refused, and nothing is left of the profile. If the lie is in only one of the functions, the offer and the package differ, and the LPA cancels the session (metadata-mismatch(4)).",
    clause: "SGP.22 4.4, 5.5.3, 3.1.3",
};
const RULES: Test = Test {
    peer: "LPA, eUICC",
    requirement: "The Rules Authorisation Table must allow the policy rules for the owner, and PPR1 requires that the profile is the only operational one. If the lie is in only one of the functions, the offer and the package differ (metadata-mismatch(4)).",
    clause: "SGP.22 2.9.2, 3.1.3, 5.5.3",
};
const MATCH: Test = Test {
    peer: "eUICC, LPA",
    requirement: "The profile must match its metadata. If the lie is in only one of the functions, the offer and the package differ, and the LPA cancels the session (metadata-mismatch(4)).",
    clause: "SGP.22 5.5.3, 5.5.5, 3.1.3",
};
const CHANNEL: Test = Test {
    peer: "eUICC",
    requirement: "Each element of InitialiseSecureChannel is checked. smdpSign, which covers all of them and the one-time key of the eUICC, is verified with the key of CERT.DPpb.",
    clause: "SGP.22 5.5.1",
};
const FORM: Test = Test {
    peer: "eUICC",
    requirement: "Each sequence of the package is present, in order, and contains the expected request.",
    clause: "SGP.22 2.5.4, 5.5.2, 5.5.4",
};
const BSP: Test = Test {
    peer: "eUICC",
    requirement: "The MAC of each segment, which chains all previous segments, is checked before the segment is used. The first invalid segment ends the installation, and nothing is left of the profile.",
    clause: "SGP.22 2.5.3, 2.6.4, 5.5.5",
};
const ELEMENTS: Test = Test {
    peer: "eUICC",
    requirement: "A profile is installed completely or not at all. It is refused if it needs a service that the eUICC does not have.",
    clause: "SGP.22 5.5.5; TCA PP 5, 8.2",
};

const fn metadata(act: FalseMetadata, name: &'static str) -> Entry {
    false_statement(FalseStatement::Metadata(act), name, BOTH)
}

pub(super) static METADATA_ENTRIES: &[Entry] = &[
    false_statement(FalseStatement::Metadata(FalseMetadata::Name), "lie/metadata-name", AUTHENTICATE)
        .what("The offer has another profileName than the package.")
        .tests(&OFFER, "metadata-mismatch(4)"),
    metadata(FalseMetadata::Iccid, "lie/metadata-iccid")
        .what("The ICCID differs from that of the profile.")
        .tests(&MATCH, "install-failed-due-to-data-mismatch(13)"),
    metadata(FalseMetadata::Owner, "lie/metadata-owner")
        .what("The profileOwner is another operator than that of the IMSI.")
        .tests(&MATCH, "install-failed-due-to-data-mismatch(13)"),
    metadata(FalseMetadata::Group, "lie/metadata-group")
        .what("The profileOwner has a GID1 that the profile does not have.")
        .tests(&MATCH, "install-failed-due-to-data-mismatch(13)"),
    metadata(FalseMetadata::ProviderTooLong, "lie/metadata-provider-too-long")
        .what("serviceProviderName has 33 octets.")
        .tests(&METADATA, "incorrect-input-values(1)"),
    metadata(FalseMetadata::NameTooLong, "lie/metadata-name-too-long")
        .what("profileName has 65 octets.")
        .tests(&METADATA, "incorrect-input-values(1)"),
    metadata(FalseMetadata::NoIcon, "lie/metadata-no-icon")
        .what("There is an iconType but no icon.")
        .tests(&METADATA, "incorrect-input-values(1)"),
    metadata(FalseMetadata::NotAnIcon, "lie/metadata-not-an-icon")
        .what("The icon is not of its type.")
        .tests(&METADATA, "incorrect-input-values(1)"),
    metadata(FalseMetadata::Address, "lie/metadata-address")
        .what("A notificationAddress is not a valid name.")
        .tests(&METADATA, "incorrect-input-values(1)"),
    metadata(FalseMetadata::Test, "lie/metadata-test")
        .what("The profile class is test, but the keys of the profile are not test keys.")
        .tests(&METADATA, "test-profile-install-failed-due-to-invalid-naa-key(14)"),
    metadata(FalseMetadata::UnknownClass, "lie/metadata-unknown-class")
        .what("profileClass is 9, which is undefined.")
        .tests(&METADATA, "unsupported-profile-class(6)"),
    metadata(FalseMetadata::RuleWithoutOwner, "lie/metadata-rule-without-owner")
        .what("There is a policy rule (PPR2) but no profileOwner.")
        .tests(&RULES, "ppr-not-allowed(3)"),
    metadata(FalseMetadata::RuleNotAlone, "lie/metadata-rule-not-alone")
        .what("The profile has PPR1 (disabling is not allowed), but is not the only operational profile.")
        .tests(&RULES, "ppr-not-allowed(3)"),
];

const fn package(act: FalsePackage, name: &'static str) -> Entry {
    false_statement(FalseStatement::Package(act), name, PACKAGE)
}

const fn channel(act: FalsePackage, name: &'static str) -> Entry {
    package(act, name).tests(&CHANNEL, "")
}

const fn form(act: FalsePackage, name: &'static str) -> Entry {
    package(act, name).tests(&FORM, "")
}

const fn bsp(act: FalsePackage, name: &'static str) -> Entry {
    package(act, name).tests(&BSP, "")
}

const fn element(act: FalseElement, name: &'static str) -> Entry {
    false_statement(FalseStatement::Element(act), name, PACKAGE).tests(&ELEMENTS, "")
}

const INPUT: &str = "incorrect-input-values(1)";
const SIGNATURE: &str = "invalid-signature(2)";
const CRT: &str = "unsupported-crt-values(4)";
const STRUCTURE: &str = "scp03t-structure-error(7)";
const SECURITY: &str = "scp03t-security-error(8)";
const PROCESSING: &str = "install-failed-due-to-pe-processing-error(12)";
const MISMATCH: &str = "install-failed-due-to-data-mismatch(13)";

pub(super) static BINDING_ENTRIES: &[Entry] = &[
    channel(FalsePackage::RemoteOperation, "lie/bpp-remote-operation")
        .what("remoteOpId is 2.")
        .answer("unsupported-remote-operation-type(5)"),
    channel(FalsePackage::Transaction, "lie/bpp-transaction")
        .what("The package is signed for another transactionId.")
        .answer("invalid-transaction-id(3)"),
    channel(FalsePackage::KeyType, "lie/bpp-key-type").what("keyType is DES.").answer(CRT),
    channel(FalsePackage::KeyLength, "lie/bpp-key-length").what("keyLen is 32.").answer(CRT),
    channel(FalsePackage::NoHostId, "lie/bpp-no-host-id").what("hostId has no octets.").answer(CRT),
    channel(FalsePackage::LongHostId, "lie/bpp-long-host-id").what("hostId has 17 octets.").answer(CRT),
    channel(FalsePackage::NoPoint, "lie/bpp-no-point")
        .what("smdpOtpk is signed, but is not a point on the curve.")
        .answer(INPUT),
    channel(FalsePackage::OtherOtpk, "lie/bpp-other-otpk")
        .what("smdpOtpk is signed, but does not belong to the key that protects the package.")
        .answer(SECURITY),
    channel(FalsePackage::Signature, "lie/bpp-signature").what("smdpSign does not verify.").answer(SIGNATURE),
    channel(FalsePackage::SignatureByDpauth, "lie/bpp-signature-by-dpauth")
        .what("smdpSign is made with the key of CERT.DPauth.")
        .answer(SIGNATURE),
    channel(FalsePackage::SignatureOverOther, "lie/bpp-signature-over-other")
        .what("smdpSign covers another one-time key of the eUICC, as in another download.")
        .answer(SIGNATURE),
    channel(FalsePackage::OtherCard, "lie/bpp-other-card")
        .what("The session keys are derived for another EID.")
        .answer(SECURITY),
    form(FalsePackage::Configure, "lie/bpp-configure")
        .what("Another request is in the place of ConfigureISDP.")
        .answer(INPUT),
    form(FalsePackage::LongProprietaryData, "lie/bpp-long-proprietary-data")
        .what("dpProprietaryData has more than 128 octets.")
        .answer(INPUT),
    form(FalsePackage::NoConfigure, "lie/bpp-no-configure")
        .what("The sequence of ConfigureISDP is empty.")
        .answer(INPUT),
    form(FalsePackage::NoMetadata, "lie/bpp-no-metadata")
        .what("The sequence of StoreMetadata is empty.")
        .answer(INPUT),
    form(FalsePackage::ShortKeys, "lie/bpp-short-keys")
        .what("ReplaceSessionKeys contains keys of 15 octets.")
        .answer(INPUT),
    bsp(FalsePackage::OtherKeys, "lie/bpp-other-keys")
        .what("ReplaceSessionKeys contains other keys than those that protect the profile.")
        .answer(SECURITY),
    bsp(FalsePackage::MetadataMac, "lie/bpp-metadata-mac")
        .what("The MAC of StoreMetadata is invalid.")
        .answer(SECURITY),
    bsp(FalsePackage::Mac, "lie/bpp-mac")
        .what("The MAC of a segment of the profile is invalid.")
        .answer(SECURITY),
    bsp(FalsePackage::Swapped, "lie/bpp-swapped").what("Two segments are swapped.").answer(SECURITY),
    bsp(FalsePackage::Doubled, "lie/bpp-doubled").what("A segment is repeated.").answer(SECURITY),
    bsp(FalsePackage::Missing, "lie/bpp-missing").what("A segment is missing.").answer(SECURITY),
    bsp(FalsePackage::Short, "lie/bpp-short").what("The last segment is missing.").answer(PROCESSING),
    bsp(FalsePackage::NoPadding, "lie/bpp-no-padding")
        .what("A segment with a valid MAC has no valid padding after decryption.")
        .answer(SECURITY),
    bsp(FalsePackage::NoBlocks, "lie/bpp-no-blocks")
        .what("The ciphertext of a segment with a valid MAC is not a multiple of the block length.")
        .answer(STRUCTURE),
    bsp(FalsePackage::Empty, "lie/bpp-empty")
        .what("A segment has a valid MAC but no contents.")
        .answer(STRUCTURE),
    bsp(FalsePackage::Long, "lie/bpp-long")
        .what("A segment with a valid MAC has more than 1020 octets.")
        .answer(STRUCTURE),
    element(FalseElement::HeaderIccid, "lie/profile-header-iccid")
        .what("The profile header has another ICCID than the metadata.")
        .answer(MISMATCH),
    element(FalseElement::EfIccid, "lie/profile-ef-iccid")
        .what("EF.ICCID has another ICCID than the header and the metadata.")
        .answer(MISMATCH),
    element(FalseElement::NoHeader, "lie/profile-no-header")
        .what("The profile has no header element.")
        .answer(PROCESSING),
    element(FalseElement::NoEnd, "lie/profile-no-end")
        .what("The profile has no end element.")
        .answer(PROCESSING),
    element(FalseElement::AfterEnd, "lie/profile-after-end")
        .what("An element follows the end element of the profile.")
        .answer(PROCESSING),
    element(FalseElement::Version, "lie/profile-version")
        .what("The profile has version 9.")
        .answer(PROCESSING),
    element(FalseElement::Service, "lie/profile-service")
        .what("The profile requires a service that the eUICC does not have (MULTOS).")
        .answer(PROCESSING),
    element(FalseElement::Unknown, "lie/profile-unknown-element")
        .what("The profile contains an unknown element that is mandated.")
        .answer(PROCESSING),
    element(FalseElement::Garbage, "lie/profile-garbage")
        .what("The package contains no profile elements.")
        .answer(PROCESSING),
];
