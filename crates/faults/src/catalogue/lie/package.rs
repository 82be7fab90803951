//! Lies of an SM-DP+ about the profile and its package.

use super::{AUTHENTICATE, PACKAGE, Test, lie};
use crate::catalogue::Entry;
use crate::{ElementLie, LieAct, MetadataLie, PackageLie};

const BOTH: &str = "ES9+.AuthenticateClient, ES9+.GetBoundProfilePackage";

const OFFER: Test = Test {
    peer: "LPA",
    requirement: "What is installed is what was offered and agreed to: the session is cancelled otherwise.",
    clause: "SGP.22 3.1.3, 5.7.14",
};
const METADATA: Test = Test {
    peer: "eUICC, LPA",
    requirement: "Metadata that may not be so are refused, and nothing is left of the profile. Told in one of the functions alone, offer and package differ, and the LPA cancels the session (metadata-mismatch(4)).",
    clause: "SGP.22 4.4, 5.5.3, 3.1.3",
};
const RULES: Test = Test {
    peer: "LPA, eUICC",
    requirement: "Policy rules are for owners to which the Rules Authorisation Table allows them; PPR1 is for the only operational profile. Told in one of the functions alone, offer and package differ (metadata-mismatch(4)).",
    clause: "SGP.22 2.9.2, 3.1.3, 5.5.3",
};
const MATCH: Test = Test {
    peer: "eUICC, LPA",
    requirement: "The profile is the one that its metadata describe. Told in one of the functions alone, offer and package differ, and the LPA cancels the session (metadata-mismatch(4)).",
    clause: "SGP.22 5.5.3, 5.5.5, 3.1.3",
};
const CHANNEL: Test = Test {
    peer: "eUICC",
    requirement: "Each element of InitialiseSecureChannel is checked, and smdpSign over all of them with the key of CERT.DPpb and the eUICC's own one-time key.",
    clause: "SGP.22 5.5.1",
};
const FORM: Test = Test {
    peer: "eUICC",
    requirement: "Each sequence of the package is there, in order, and holds the request that belongs there.",
    clause: "SGP.22 2.5.4, 5.5.2, 5.5.4",
};
const BSP: Test = Test {
    peer: "eUICC",
    requirement: "Each segment is checked in the chain of all before it, before anything in it is used; the first that is wrong ends the installation, and nothing is left of the profile.",
    clause: "SGP.22 2.5.3, 2.6.4, 5.5.5",
};
const ELEMENTS: Test = Test {
    peer: "eUICC",
    requirement: "A profile is installed whole or not at all; what it needs and the eUICC does not have is a refusal.",
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
        "The ICCID is another than the profile's.",
        &MATCH,
        "install-failed-due-to-data-mismatch(13)",
    ),
    metadata(
        MetadataLie::Owner,
        "lie/metadata-owner",
        "The owner is another operator than that of the IMSI.",
        &MATCH,
        "install-failed-due-to-data-mismatch(13)",
    ),
    metadata(
        MetadataLie::Group,
        "lie/metadata-group",
        "The owner has a group (GID1) that the profile does not have.",
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
        "There is an iconType and no icon.",
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
        "A notificationAddress is no name.",
        &METADATA,
        "incorrect-input-values(1)",
    ),
    metadata(
        MetadataLie::Test,
        "lie/metadata-test",
        "The profile is said to be for tests, and its keys are not.",
        &METADATA,
        "test-profile-install-failed-due-to-invalid-naa-key(14)",
    ),
    metadata(
        MetadataLie::UnknownClass,
        "lie/metadata-unknown-class",
        "profileClass is 9, which is none.",
        &METADATA,
        "unsupported-profile-class(6)",
    ),
    metadata(
        MetadataLie::RuleWithoutOwner,
        "lie/metadata-rule-without-owner",
        "There is a policy rule (PPR2) and no owner.",
        &RULES,
        "ppr-not-allowed(3)",
    ),
    metadata(
        MetadataLie::RuleNotAlone,
        "lie/metadata-rule-not-alone",
        "The profile may not be disabled (PPR1), and is not the only operational one.",
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
    channel(PackageLie::KeyType, "lie/bpp-key-type", "keyType is that of DES.", CRT),
    channel(PackageLie::KeyLength, "lie/bpp-key-length", "keyLen is 32.", CRT),
    channel(PackageLie::NoHostId, "lie/bpp-no-host-id", "hostId has no octets.", CRT),
    channel(PackageLie::LongHostId, "lie/bpp-long-host-id", "hostId has 17 octets.", CRT),
    channel(PackageLie::NoPoint, "lie/bpp-no-point", "smdpOtpk is no point of the curve, and signed.", INPUT),
    channel(
        PackageLie::OtherOtpk,
        "lie/bpp-other-otpk",
        "smdpOtpk is signed, and not that of the key with which the package is protected.",
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
        "smdpSign is over another one-time key of the eUICC, as that of another download is.",
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
        "Another request stands where ConfigureISDP belongs.",
        INPUT,
    ),
    form(
        PackageLie::LongProprietaryData,
        "lie/bpp-long-proprietary-data",
        "dpProprietaryData have more than 128 octets.",
        INPUT,
    ),
    form(PackageLie::NoConfigure, "lie/bpp-no-configure", "The sequence of ConfigureISDP is empty.", INPUT),
    form(PackageLie::NoMetadata, "lie/bpp-no-metadata", "The sequence of StoreMetadata is empty.", INPUT),
    form(PackageLie::ShortKeys, "lie/bpp-short-keys", "ReplaceSessionKeys brings keys of 15 octets.", INPUT),
    bsp(
        PackageLie::OtherKeys,
        "lie/bpp-other-keys",
        "ReplaceSessionKeys brings other keys than those under which the profile is protected.",
        SECURITY,
    ),
    bsp(PackageLie::MetadataMac, "lie/bpp-metadata-mac", "The MAC of StoreMetadata is another.", SECURITY),
    bsp(PackageLie::Mac, "lie/bpp-mac", "The MAC of a segment of the profile is another.", SECURITY),
    bsp(PackageLie::Swapped, "lie/bpp-swapped", "Two segments stand in each other's place.", SECURITY),
    bsp(PackageLie::Doubled, "lie/bpp-doubled", "A segment is there twice.", SECURITY),
    bsp(PackageLie::Missing, "lie/bpp-missing", "A segment is missing.", SECURITY),
    bsp(PackageLie::Short, "lie/bpp-short", "The last segment is missing.", PROCESSING),
    bsp(
        PackageLie::NoPadding,
        "lie/bpp-no-padding",
        "A segment with a MAC that is right decrypts to no padding.",
        SECURITY,
    ),
    bsp(
        PackageLie::NoBlocks,
        "lie/bpp-no-blocks",
        "A segment with a MAC that is right is not made of whole blocks.",
        STRUCTURE,
    ),
    bsp(PackageLie::Empty, "lie/bpp-empty", "A segment has a MAC that is right and nothing else.", STRUCTURE),
    bsp(
        PackageLie::Long,
        "lie/bpp-long",
        "A segment with a MAC that is right has more than 1020 octets.",
        STRUCTURE,
    ),
    element(
        ElementLie::HeaderIccid,
        "lie/profile-header-iccid",
        "The header of the profile has another ICCID than the metadata.",
        MISMATCH,
    ),
    element(
        ElementLie::EfIccid,
        "lie/profile-ef-iccid",
        "EF.ICCID has another ICCID than header and metadata.",
        MISMATCH,
    ),
    element(ElementLie::NoHeader, "lie/profile-no-header", "The profile has no header.", PROCESSING),
    element(ElementLie::NoEnd, "lie/profile-no-end", "The profile has no end.", PROCESSING),
    element(ElementLie::AfterEnd, "lie/profile-after-end", "The profile goes on after its end.", PROCESSING),
    element(ElementLie::Version, "lie/profile-version", "The profile is of version 9.", PROCESSING),
    element(
        ElementLie::Service,
        "lie/profile-service",
        "The profile insists on a service that the eUICC does not have (MULTOS).",
        PROCESSING,
    ),
    element(
        ElementLie::Unknown,
        "lie/profile-unknown-element",
        "The profile insists on an element that nobody knows.",
        PROCESSING,
    ),
    element(ElementLie::Garbage, "lie/profile-garbage", "The package holds no profile elements.", PROCESSING),
];
