//! Catalogue of lies of an SM-DP+ about the profile and its package.

use super::{AUTHENTICATE, PACKAGE, Test, lie};
use crate::catalogue::Entry;
use crate::{ElementLie, LieAct, MetadataLie, PackageLie};

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

const fn metadata(
    act: MetadataLie,
    name: &'static str,
    what: &'static str,
    test: &Test,
    answer: &'static str,
) -> Entry {
    lie(LieAct::Metadata(act), name, BOTH, what, test, answer)
}

pub(super) static METADATA_ENTRIES: &[Entry] = &[
    lie(
        LieAct::Metadata(MetadataLie::Name),
        "lie/metadata-name",
        AUTHENTICATE,
        "The offer has another profileName than the package.",
        &OFFER,
        "metadata-mismatch(4)",
    ),
    metadata(
        MetadataLie::Iccid,
        "lie/metadata-iccid",
        "The ICCID differs from that of the profile.",
        &MATCH,
        "install-failed-due-to-data-mismatch(13)",
    ),
    metadata(
        MetadataLie::Owner,
        "lie/metadata-owner",
        "The profileOwner is another operator than that of the IMSI.",
        &MATCH,
        "install-failed-due-to-data-mismatch(13)",
    ),
    metadata(
        MetadataLie::Group,
        "lie/metadata-group",
        "The profileOwner has a GID1 that the profile does not have.",
        &MATCH,
        "install-failed-due-to-data-mismatch(13)",
    ),
    metadata(
        MetadataLie::ProviderTooLong,
        "lie/metadata-provider-too-long",
        "serviceProviderName has 33 octets.",
        &METADATA,
        "incorrect-input-values(1)",
    ),
    metadata(
        MetadataLie::NameTooLong,
        "lie/metadata-name-too-long",
        "profileName has 65 octets.",
        &METADATA,
        "incorrect-input-values(1)",
    ),
    metadata(
        MetadataLie::NoIcon,
        "lie/metadata-no-icon",
        "There is an iconType but no icon.",
        &METADATA,
        "incorrect-input-values(1)",
    ),
    metadata(
        MetadataLie::NotAnIcon,
        "lie/metadata-not-an-icon",
        "The icon is not of its type.",
        &METADATA,
        "incorrect-input-values(1)",
    ),
    metadata(
        MetadataLie::Address,
        "lie/metadata-address",
        "A notificationAddress is not a valid name.",
        &METADATA,
        "incorrect-input-values(1)",
    ),
    metadata(
        MetadataLie::Test,
        "lie/metadata-test",
        "The profile class is test, but the keys of the profile are not test keys.",
        &METADATA,
        "test-profile-install-failed-due-to-invalid-naa-key(14)",
    ),
    metadata(
        MetadataLie::UnknownClass,
        "lie/metadata-unknown-class",
        "profileClass is 9, which is undefined.",
        &METADATA,
        "unsupported-profile-class(6)",
    ),
    metadata(
        MetadataLie::RuleWithoutOwner,
        "lie/metadata-rule-without-owner",
        "There is a policy rule (PPR2) but no profileOwner.",
        &RULES,
        "ppr-not-allowed(3)",
    ),
    metadata(
        MetadataLie::RuleNotAlone,
        "lie/metadata-rule-not-alone",
        "The profile has PPR1 (disabling is not allowed), but is not the only operational profile.",
        &RULES,
        "ppr-not-allowed(3)",
    ),
];

const fn channel(act: PackageLie, name: &'static str, what: &'static str, answer: &'static str) -> Entry {
    lie(LieAct::Package(act), name, PACKAGE, what, &CHANNEL, answer)
}

const fn form(act: PackageLie, name: &'static str, what: &'static str, answer: &'static str) -> Entry {
    lie(LieAct::Package(act), name, PACKAGE, what, &FORM, answer)
}

const fn bsp(act: PackageLie, name: &'static str, what: &'static str, answer: &'static str) -> Entry {
    lie(LieAct::Package(act), name, PACKAGE, what, &BSP, answer)
}

const fn element(act: ElementLie, name: &'static str, what: &'static str, answer: &'static str) -> Entry {
    lie(LieAct::Element(act), name, PACKAGE, what, &ELEMENTS, answer)
}

const INPUT: &str = "incorrect-input-values(1)";
const SIGNATURE: &str = "invalid-signature(2)";
const CRT: &str = "unsupported-crt-values(4)";
const STRUCTURE: &str = "scp03t-structure-error(7)";
const SECURITY: &str = "scp03t-security-error(8)";
const PROCESSING: &str = "install-failed-due-to-pe-processing-error(12)";
const MISMATCH: &str = "install-failed-due-to-data-mismatch(13)";

pub(super) static BINDING_ENTRIES: &[Entry] = &[
    channel(
        PackageLie::RemoteOperation,
        "lie/bpp-remote-operation",
        "remoteOpId is 2.",
        "unsupported-remote-operation-type(5)",
    ),
    channel(
        PackageLie::Transaction,
        "lie/bpp-transaction",
        "The package is signed for another transactionId.",
        "invalid-transaction-id(3)",
    ),
    channel(PackageLie::KeyType, "lie/bpp-key-type", "keyType is DES.", CRT),
    channel(PackageLie::KeyLength, "lie/bpp-key-length", "keyLen is 32.", CRT),
    channel(PackageLie::NoHostId, "lie/bpp-no-host-id", "hostId has no octets.", CRT),
    channel(PackageLie::LongHostId, "lie/bpp-long-host-id", "hostId has 17 octets.", CRT),
    channel(
        PackageLie::NoPoint,
        "lie/bpp-no-point",
        "smdpOtpk is signed, but is not a point on the curve.",
        INPUT,
    ),
    channel(
        PackageLie::OtherOtpk,
        "lie/bpp-other-otpk",
        "smdpOtpk is signed, but does not belong to the key that protects the package.",
        SECURITY,
    ),
    channel(PackageLie::Signature, "lie/bpp-signature", "smdpSign does not verify.", SIGNATURE),
    channel(
        PackageLie::SignatureByDpauth,
        "lie/bpp-signature-by-dpauth",
        "smdpSign is made with the key of CERT.DPauth.",
        SIGNATURE,
    ),
    channel(
        PackageLie::SignatureOverOther,
        "lie/bpp-signature-over-other",
        "smdpSign covers another one-time key of the eUICC, as in another download.",
        SIGNATURE,
    ),
    channel(
        PackageLie::OtherCard,
        "lie/bpp-other-card",
        "The session keys are derived for another EID.",
        SECURITY,
    ),
    form(
        PackageLie::Configure,
        "lie/bpp-configure",
        "Another request is in the place of ConfigureISDP.",
        INPUT,
    ),
    form(
        PackageLie::LongProprietaryData,
        "lie/bpp-long-proprietary-data",
        "dpProprietaryData has more than 128 octets.",
        INPUT,
    ),
    form(PackageLie::NoConfigure, "lie/bpp-no-configure", "The sequence of ConfigureISDP is empty.", INPUT),
    form(PackageLie::NoMetadata, "lie/bpp-no-metadata", "The sequence of StoreMetadata is empty.", INPUT),
    form(
        PackageLie::ShortKeys,
        "lie/bpp-short-keys",
        "ReplaceSessionKeys contains keys of 15 octets.",
        INPUT,
    ),
    bsp(
        PackageLie::OtherKeys,
        "lie/bpp-other-keys",
        "ReplaceSessionKeys contains other keys than those that protect the profile.",
        SECURITY,
    ),
    bsp(PackageLie::MetadataMac, "lie/bpp-metadata-mac", "The MAC of StoreMetadata is invalid.", SECURITY),
    bsp(PackageLie::Mac, "lie/bpp-mac", "The MAC of a segment of the profile is invalid.", SECURITY),
    bsp(PackageLie::Swapped, "lie/bpp-swapped", "Two segments are swapped.", SECURITY),
    bsp(PackageLie::Doubled, "lie/bpp-doubled", "A segment is repeated.", SECURITY),
    bsp(PackageLie::Missing, "lie/bpp-missing", "A segment is missing.", SECURITY),
    bsp(PackageLie::Short, "lie/bpp-short", "The last segment is missing.", PROCESSING),
    bsp(
        PackageLie::NoPadding,
        "lie/bpp-no-padding",
        "A segment with a valid MAC has no valid padding after decryption.",
        SECURITY,
    ),
    bsp(
        PackageLie::NoBlocks,
        "lie/bpp-no-blocks",
        "The ciphertext of a segment with a valid MAC is not a multiple of the block length.",
        STRUCTURE,
    ),
    bsp(PackageLie::Empty, "lie/bpp-empty", "A segment has a valid MAC but no contents.", STRUCTURE),
    bsp(PackageLie::Long, "lie/bpp-long", "A segment with a valid MAC has more than 1020 octets.", STRUCTURE),
    element(
        ElementLie::HeaderIccid,
        "lie/profile-header-iccid",
        "The profile header has another ICCID than the metadata.",
        MISMATCH,
    ),
    element(
        ElementLie::EfIccid,
        "lie/profile-ef-iccid",
        "EF.ICCID has another ICCID than the header and the metadata.",
        MISMATCH,
    ),
    element(ElementLie::NoHeader, "lie/profile-no-header", "The profile has no header element.", PROCESSING),
    element(ElementLie::NoEnd, "lie/profile-no-end", "The profile has no end element.", PROCESSING),
    element(
        ElementLie::AfterEnd,
        "lie/profile-after-end",
        "An element follows the end element of the profile.",
        PROCESSING,
    ),
    element(ElementLie::Version, "lie/profile-version", "The profile has version 9.", PROCESSING),
    element(
        ElementLie::Service,
        "lie/profile-service",
        "The profile requires a service that the eUICC does not have (MULTOS).",
        PROCESSING,
    ),
    element(
        ElementLie::Unknown,
        "lie/profile-unknown-element",
        "The profile contains an unknown element that is mandated.",
        PROCESSING,
    ),
    element(
        ElementLie::Garbage,
        "lie/profile-garbage",
        "The package contains no profile elements.",
        PROCESSING,
    ),
];
