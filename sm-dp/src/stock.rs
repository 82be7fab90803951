//! Stock: profile packages that the operator of the bench has put into the server, and what is known of each.

use profile::{Capabilities, InstalledProfile, Package, Usim, element::Service};
use rsp::{
    der::BitString,
    ids::Iccid,
    sgp22::{
        IconType, NotificationConfigurationInformation, OperatorId, ProfileClass,
        es8plus::StoreMetadataRequest, notification_event, uicc_capability,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Fault, Tx, World};

use crate::{
    profile_state::ProfileState,
    records::{AVAILABLE, Octets, PACKAGES, PROFILE_TYPES, PROFILES, Profile, type_prefix},
};

/// How the segments of a profile package are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protection {
    /// Under the session keys of the key agreement.
    #[default]
    SessionKeys,
    /// Under profile protection keys, which ReplaceSessionKeys brings (section 2.5.4).
    ProfileProtectionKeys,
}

/// Whether a profile may be bound again to other one-time keys of the same eUICC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Rebinding {
    /// It may.
    #[default]
    Allowed,
    /// It may not: only the package that was bound first is handed out.
    Refused,
}

/// What the package does not say, or what shall be said instead.
#[derive(Clone, Debug, Default)]
pub struct ProfileOptions {
    /// What operators call its kind; the package's own profile type when absent.
    pub profile_type: Option<String>,
    /// serviceProviderName; EF.SPN when absent.
    pub service_provider_name: Option<String>,
    /// profileName; the profile type when absent.
    pub profile_name: Option<String>,
    /// Operational when absent.
    pub profile_class: Option<ProfileClass>,
    /// Policy rules.
    pub profile_policy_rules: Option<BitString>,
    /// What users see beside the name.
    pub icon: Option<Icon>,
    /// Who is told of what; this server, of everything, when absent.
    pub notifications: Option<Vec<NotificationConfigurationInformation>>,
    /// How the package is protected.
    pub protection: Protection,
    /// Whether it may be bound again.
    pub rebinding: Rebinding,
}

/// An icon of a profile: 64 by 64 pixels, JPEG or PNG (section 5.5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icon {
    kind: IconType,
    octets: Vec<u8>,
}

impl Icon {
    /// The largest icon.
    pub const MAX_OCTETS: usize = 1024;

    /// `None` for too many octets. Whether they are a picture is for who looks at it.
    pub fn new(kind: IconType, octets: Vec<u8>) -> Option<Self> {
        (octets.len() <= Self::MAX_OCTETS).then_some(Self { kind, octets })
    }
}

/// Puts a package into stock.
pub(crate) async fn add(
    tx: &mut Tx<'_>,
    own_address: &str,
    package: &[u8],
    options: &ProfileOptions,
) -> Result<Iccid, Fault> {
    let profile = describe(own_address, package, options)?;
    let key = profile.iccid.to_string();
    if tx.get(&PROFILES, &key).await?.is_some() {
        return Err(Fault::new(
            format!("cannot put profile {key} into stock"),
            "there is one with this ICCID already",
            "cancel its order and use it, or give a package with another ICCID",
        ));
    }
    put(tx, &profile, package).await?;
    Ok(profile.iccid)
}

/// Writes a profile and its package.
pub(crate) async fn put(tx: &mut Tx<'_>, profile: &Profile, package: &[u8]) -> Result<(), Fault> {
    profile.keep(tx)?;
    if tx.get(&PROFILE_TYPES, &profile.profile_type).await?.is_none() {
        tx.put(&PROFILE_TYPES, &profile.profile_type, &())?;
    }
    tx.put(&PACKAGES, &profile.iccid.to_string(), &Octets(package.to_vec()))
}

/// A profile of a type that is still to be had. Which ones there are is no part of the decision, so that orders that
/// come at the same time do not hinder each other as long as each takes another one; to that end every order begins
/// elsewhere.
pub(crate) async fn any_of_type(
    tx: &mut Tx<'_>,
    world: &World,
    wanted: &str,
) -> Result<Option<Profile>, Fault> {
    let mut available = tx.glance(&AVAILABLE, &type_prefix(wanted)).await?;
    let throw = u64::from_be_bytes(world.random());
    let first =
        throw.checked_rem(available.len() as u64).and_then(|first| first.try_into().ok()).unwrap_or(0);
    available.rotate_left(first);
    for (_, iccid) in available {
        let profile = tx.get(&PROFILES, &iccid.to_string()).await?;
        if let Some(profile) = profile.filter(|profile| profile.state == ProfileState::Available) {
            return Ok(Some(profile));
        }
    }
    Ok(None)
}

/// Every event of a profile's life.
pub(crate) fn every_event() -> BitString {
    BitString::of(&[
        notification_event::INSTALL,
        notification_event::ENABLE,
        notification_event::DISABLE,
        notification_event::DELETE,
    ])
}

/// A profile as it comes into stock, from its package.
pub(crate) fn describe(own_address: &str, bytes: &[u8], options: &ProfileOptions) -> Result<Profile, Fault> {
    let fault = |why: String| {
        Fault::new(
            "cannot put the package into stock",
            why,
            "give a TCA profile package in DER; `landfall profile show` explains one",
        )
    };
    let package = Package::decode(bytes).map_err(|e| fault(format!("it is not a profile package: {e}")))?;
    let header = package.header().ok_or_else(|| fault("it has no header".to_owned()))?;
    let swapped: [u8; 10] = header
        .iccid
        .0
        .clone()
        .try_into()
        .map_err(|_| fault("its ICCID does not have ten octets".to_owned()))?;
    let iccid = Iccid::from_profile_header(&swapped).map_err(|e| fault(e.to_string()))?;
    let installed = InstalledProfile::of(&package, &Capabilities::default())
        .map_err(|e| fault(format!("no eUICC that this server knows could install it: {e}")))?;
    let usim = installed.usim();

    let profile_type = options
        .profile_type
        .clone()
        .or_else(|| header.profile_type.clone())
        .unwrap_or_else(|| "profile".to_owned());
    let everything = NotificationConfigurationInformation {
        profile_management_operation: every_event(),
        notification_address: own_address.to_owned(),
    };
    let metadata = StoreMetadataRequest {
        iccid,
        service_provider_name: shortened(
            options
                .service_provider_name
                .clone()
                .or_else(|| usim?.service_provider_name())
                .unwrap_or_else(|| profile_type.clone()),
            32,
        ),
        profile_name: shortened(options.profile_name.clone().unwrap_or_else(|| profile_type.clone()), 64),
        icon_type: options.icon.as_ref().map(|icon| icon.kind),
        icon: options.icon.as_ref().map(|icon| icon.octets.clone()),
        profile_class: Some(options.profile_class.unwrap_or(ProfileClass::OPERATIONAL)),
        notification_configuration_info: Some(
            options.notifications.clone().unwrap_or_else(|| vec![everything]),
        ),
        profile_owner: usim.and_then(owner),
        profile_policy_rules: options.profile_policy_rules.clone(),
    };
    Ok(Profile {
        iccid,
        profile_type,
        state: ProfileState::Available,
        metadata,
        protection: options.protection,
        rebinding: options.rebinding,
        needs: header.mandatory_services.services.iter().filter_map(|service| needed_bit(*service)).collect(),
        // An eUICC needs at the least what the package carries: keys and applications are not files.
        memory: u32::try_from(installed.files.memory().max(bytes.len())).unwrap_or(u32::MAX),
        order: None,
        last_call: None,
    })
}

/// The bit of UICCCapability for a service of the profile header. The two lists name the same things in another order;
/// what has no bit is the eUICC's own business to refuse.
fn needed_bit(service: Service) -> Option<usize> {
    Some(match service {
        Service::USIM => uicc_capability::USIM,
        Service::ISIM => uicc_capability::ISIM,
        Service::CSIM => uicc_capability::CSIM,
        Service::MILENAGE => uicc_capability::AKA_MILENAGE,
        Service::TUAK128 => uicc_capability::AKA_TUAK128,
        Service::TUAK256 => uicc_capability::AKA_TUAK256,
        Service::USIM_TEST_ALGORITHM => uicc_capability::USIM_TEST_ALGORITHM,
        Service::JAVACARD => uicc_capability::JAVACARD,
        Service::BER_TLV => uicc_capability::BER_TLV,
        Service::DF_LINK => uicc_capability::DF_LINK,
        Service::CAT_TP => uicc_capability::CAT_TP,
        Service::GET_IDENTITY => uicc_capability::GET_IDENTITY,
        Service::PROFILE_A_X25519 => uicc_capability::PROFILE_A_X25519,
        Service::PROFILE_B_P256 => uicc_capability::PROFILE_B_P256,
        _ => return None,
    })
}

/// profileOwner, as the files of the USIM have it: section 5.5.3.
fn owner(usim: Usim<'_>) -> Option<OperatorId> {
    let group = |octets: Option<&[u8]>| octets.map(<[u8]>::to_vec);
    let mcc_mnc = usim.home()?.to_bytes();
    Some(OperatorId { mcc_mnc, gid1: group(usim.gid1()), gid2: group(usim.gid2()) })
}

/// At most `octets` octets of UTF-8, whole characters.
fn shortened(mut text: String, octets: usize) -> String {
    while text.len() > octets {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use profile::generic::{Subscription, generic};

    use super::*;

    #[test]
    fn the_metadata_come_from_the_files_of_the_usim() {
        let subscription = Subscription {
            iccid: "89000123456789012341".parse::<Iccid>().unwrap().to_profile_header(),
            imsi: "310410123456789".to_owned(),
            mnc_digits: 3,
            ..Subscription::default()
        };
        let package = generic(&subscription).encode();
        let metadata = describe("smdp.example.com", &package, &ProfileOptions::default()).unwrap().metadata;
        let owner = OperatorId { mcc_mnc: [0x13, 0x00, 0x14], gid1: None, gid2: None };
        assert_eq!(metadata.profile_owner, Some(owner));
        assert_eq!(metadata.service_provider_name, "Landfall");
    }
}
