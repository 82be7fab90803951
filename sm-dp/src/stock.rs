//! Stock: profile packages that the operator of the bench has put into the server, and what is known of each.

pub use profile::description::Icon;
pub(crate) use profile::description::every_event;
use profile::{
    Capabilities, InstalledProfile, Package,
    description::{Said, store_metadata},
    element::Service,
};
use rsp::{
    der::BitString,
    ids::Iccid,
    sgp22::{NotificationConfigurationInformation, ProfileClass, uicc_capability},
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

/// Orders that come at the same time each take one of so many: enough that they seldom meet, however much is in stock.
const LOOKED_AT: usize = 256;

/// A profile of a type that is still to be had. Which ones there are is no part of the decision, so that orders that
/// come at the same time do not hinder each other as long as each takes another one; to that end every order begins
/// elsewhere. An order looks at the first few, and at the others only if those have all gone meanwhile.
pub(crate) async fn any_of_type(
    tx: &mut Tx<'_>,
    world: &World,
    wanted: &str,
) -> Result<Option<Profile>, Fault> {
    let throw = u64::from_be_bytes(world.random());
    for most in [LOOKED_AT, usize::MAX] {
        let mut available = tx.glance_first(&AVAILABLE, &type_prefix(wanted), most).await?;
        let seen = available.len();
        let first = throw.checked_rem(seen as u64).and_then(|first| first.try_into().ok()).unwrap_or(0);
        available.rotate_left(first);
        for (_, iccid) in available {
            let profile = tx.get(&PROFILES, &iccid?.to_string()).await?;
            if let Some(profile) = profile.filter(|profile| profile.state == ProfileState::Available) {
                return Ok(Some(profile));
            }
        }
        if seen < most {
            break;
        }
    }
    Ok(None)
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
    let installed = InstalledProfile::of(&package, &Capabilities::default())
        .map_err(|e| fault(format!("no eUICC that this server knows could install it: {e}")))?;
    let profile_type = options
        .profile_type
        .clone()
        .or_else(|| header.profile_type.clone())
        .unwrap_or_else(|| "profile".to_owned());
    let said = Said {
        profile_type: Some(profile_type.clone()),
        service_provider_name: options.service_provider_name.clone(),
        profile_name: options.profile_name.clone(),
        profile_class: options.profile_class,
        icon: options.icon.clone(),
        notifications: options.notifications.clone(),
        profile_policy_rules: options.profile_policy_rules.clone(),
    };
    let metadata = store_metadata(&installed, &said, own_address)
        .ok_or_else(|| fault("its ICCID is not ten octets of digits".to_owned()))?;
    Ok(Profile {
        iccid: metadata.iccid,
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

#[cfg(test)]
mod tests {
    use profile::generic::{Subscription, generic};

    use rsp::sgp22::OperatorId;

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
