//! Conditions for installing a profile: SGP.22 sections 2.9.2, 4.4 and 5.5.3.

use profile::element::AlgorithmId;
use profile::{Fid, FileIndex};
use rsp::finding::{self, FindingKind};
use rsp::ids::SmdpAddress;
use rsp::sgp22::es8plus::{ErrorReason, StoreMetadataRequest};
use rsp::sgp22::{IconType, NotificationConfigurationInformation, ProfileClass, ppr, rsp_capability};

use crate::consumer::ConsumerContext;

/// Maximum lengths of serviceProviderName, profileName and icon in octets: section 4.4.
const MAX_SERVICE_PROVIDER_NAME: usize = 32;
const MAX_PROFILE_NAME: usize = 64;
const MAX_ICON: usize = 1024;

/// ES8+.StoreMetadata: section 5.5.3.
pub(super) fn check_metadata(
    context: &ConsumerContext<'_>,
    metadata: &StoreMetadataRequest,
) -> Result<(), ErrorReason> {
    check_form(metadata, context.description.strict)?;
    // req: SGP.22-5.7.6-IccidExists
    if context.persistent.has_iccid(metadata.iccid) {
        return Err(ErrorReason::INSTALL_FAILED_DUE_TO_ICCID_ALREADY_EXISTS_ON_EUICC);
    }
    check_class(context, metadata)?;
    check_policy_rules(context, metadata)
}

// req: SGP.22-5.7.6-Metadata
fn check_form(metadata: &StoreMetadataRequest, is_strict: bool) -> Result<(), ErrorReason> {
    let is_icon_valid = match (metadata.icon_type, &metadata.icon) {
        (None, None) => true,
        (Some(icon_type), Some(icon)) => {
            let is_readable = match icon_type {
                IconType::JPG => icon.starts_with(&[0xFF, 0xD8]),
                IconType::PNG => icon.starts_with(b"\x89PNG"),
                _ => false,
            };
            if !is_readable {
                finding::report(FindingKind::IconUnreadable, || format!("iconType {icon_type}"));
            }
            (is_readable || !is_strict) && icon.len() <= MAX_ICON
        }
        _ => false,
    };
    let is_receiver_valid = |receiver: &NotificationConfigurationInformation| {
        receiver.notification_address.parse::<SmdpAddress>().is_ok()
    };
    let mut receivers = metadata.notification_configuration_info.iter().flatten();
    let is_valid = metadata.service_provider_name.len() <= MAX_SERVICE_PROVIDER_NAME
        && metadata.profile_name.len() <= MAX_PROFILE_NAME
        && is_icon_valid
        && receivers.all(is_receiver_valid);
    if is_valid { Ok(()) } else { Err(ErrorReason::INCORRECT_INPUT_VALUES) }
}

// req: SGP.22-5.7.6-ProfileClass
fn check_class(context: &ConsumerContext<'_>, metadata: &StoreMetadataRequest) -> Result<(), ErrorReason> {
    let supports_test_profiles =
        context.description.capabilities.rsp_capability.contains(&rsp_capability::TEST_PROFILE);
    match metadata.profile_class {
        None | Some(ProfileClass::OPERATIONAL | ProfileClass::PROVISIONING) => Ok(()),
        Some(ProfileClass::TEST) if supports_test_profiles => Ok(()),
        Some(_) => Err(ErrorReason::UNSUPPORTED_PROFILE_CLASS),
    }
}

/// Checks that the RAT allows the profile owner to use each policy rule: section 2.9.2.4.
// req: SGP.22-2.9-Installation
fn check_policy_rules(
    context: &ConsumerContext<'_>,
    metadata: &StoreMetadataRequest,
) -> Result<(), ErrorReason> {
    let rules = metadata.profile_policy_rules.as_ref().map(|rules| rules.ones()).unwrap_or_default();
    if rules.is_empty() {
        return Ok(());
    }
    let owner = metadata.profile_owner.as_ref().ok_or(ErrorReason::PPR_NOT_ALLOWED)?;
    let forbidden = &context.description.capabilities.forbidden_profile_policy_rules;
    let table = &context.description.rules_authorisation_table;
    let is_allowed = |rule: &usize| match *rule {
        // This bit restricts who may change the rules later, and needs no authorisation.
        ppr::UPDATE_CONTROL => true,
        rule => !forbidden.contains(&rule) && table.iter().any(|line| line.allows(rule, owner)),
    };
    if rules.iter().all(is_allowed) { Ok(()) } else { Err(ErrorReason::PPR_NOT_ALLOWED) }
}

/// True if the metadata match the profile: section 5.5.5. EF.ICCID must contain the ICCID. The
/// profile owner must be the home network of the IMSI, and its GIDs, if any, must match EF.GID1 and
/// EF.GID2.
pub(super) fn is_described_by(content: &profile::InstalledProfile, metadata: &StoreMetadataRequest) -> bool {
    let files = &content.files;
    let ef_iccid = files.child(FileIndex::MF, EF_ICCID).and_then(|file| files.content(file));
    if ef_iccid.is_some_and(|iccid| *iccid != metadata.iccid.0) {
        return false;
    }
    let (Some(owner), Some(usim)) = (&metadata.profile_owner, content.usim()) else { return true };
    let is_home = usim.home().is_none_or(|home| home.to_bytes() == owner.mcc_mnc);
    let has_group = |expected: &Option<Vec<u8>>, file: Option<&[u8]>| {
        expected.as_deref().is_none_or(|expected| {
            let rest = file.and_then(|file| file.strip_prefix(expected));
            rest.is_some_and(|rest| rest.iter().all(|octet| *octet == 0xFF))
        })
    };
    is_home && has_group(&owner.gid1, usim.gid1()) && has_group(&owner.gid2, usim.gid2())
}

const EF_ICCID: Fid = Fid(0x2FE2);

/// The well-known key of TS 34.108 section 8.2.
const TEST_KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// True if the profile can authenticate only in test networks: section 4.4 on test profiles.
pub(super) fn has_test_keys_only(content: &profile::InstalledProfile) -> bool {
    content
        .facts
        .aka
        .iter()
        .all(|aka| aka.algorithm == AlgorithmId::USIM_TEST_ALGORITHM || aka.key.expose() == TEST_KEY)
}
