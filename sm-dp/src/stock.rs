//! The stock: profile packages that were added to the server, and their descriptions.

pub use profile::description::Icon;
pub(crate) use profile::description::every_event;
use profile::{
    Capabilities, InstalledProfile, Package,
    description::{MetadataOverrides, store_metadata},
    element::Service,
};
use rsp::{
    der::BitString,
    ids::Iccid,
    sgp22::{NotificationConfigurationInformation, ProfileClass, uicc_capability},
};
use rsp_server::Namespace;
use world::{Fault, Tx, World};

pub use crate::protection::{Protection, Rebinding};
use crate::{
    profile_state::ProfileState,
    records::{Octets, PACKAGES, PROFILE_TYPES, PROFILES, Profile, ProfileStatus, available_index},
};

/// Values that replace or complete those of the profile package.
#[derive(Clone, Debug, Default)]
pub struct ProfileOptions {
    /// The namespace that the profile belongs to.
    pub namespace: Namespace,
    /// The profile type under which operators order it. Default: the profile type of the package.
    pub profile_type: Option<String>,
    /// The serviceProviderName. Default: EF.SPN.
    pub service_provider_name: Option<String>,
    /// The profileName. Default: the profile type.
    pub profile_name: Option<String>,
    /// The profile class. Default: operational.
    pub profile_class: Option<ProfileClass>,
    /// The profile policy rules (PPRs).
    pub profile_policy_rules: Option<BitString>,
    /// fallbackAllowed of SGP.32: the profile can be the Fallback Profile of an IoT eUICC.
    pub fallback_allowed: bool,
    /// ecallIndication of SGP.32: the profile is the Emergency Profile of an IoT eUICC.
    pub ecall_indication: bool,
    /// The icon that the LPA shows beside the name.
    pub icon: Option<Icon>,
    /// The notification configuration. Default: all notifications go to this server.
    pub notifications: Option<Vec<NotificationConfigurationInformation>>,
    /// The keys that protect the package.
    pub protection: Protection,
    /// Says if the profile can be bound again.
    pub rebinding: Rebinding,
}

/// Adds a package to the stock.
pub(crate) async fn add(
    tx: &mut Tx<'_>,
    own_address: &str,
    package: &[u8],
    options: &ProfileOptions,
) -> Result<Iccid, Fault> {
    let profile = describe(own_address, package, options)?;
    let key = profile.iccid.to_string();
    if let Some(kept) = tx.get(&PROFILES, &key).await? {
        return Err(Fault::usage(
            format!("cannot put profile {key} into stock"),
            kept.already_in_stock(&options.namespace),
            "cancel its order and use it, or choose a package with another ICCID",
        ));
    }
    put(tx, &profile, package).await?;
    Ok(profile.iccid)
}

impl Profile {
    /// Returns the reason for which its ICCID cannot be added to the stock of a namespace again.
    pub(crate) fn already_in_stock(&self, namespace: &Namespace) -> String {
        match self.namespace == *namespace {
            true => "a profile with this ICCID is already in stock".to_owned(),
            false => {
                format!("a profile with this ICCID is already in stock, in namespace {}", self.namespace)
            }
        }
    }
}

/// Writes a profile and its package.
pub(crate) async fn put(tx: &mut Tx<'_>, profile: &Profile, package: &[u8]) -> Result<(), Fault> {
    profile.save(tx)?;
    if tx.get(&PROFILE_TYPES, &profile.profile_type).await?.is_none() {
        tx.put(&PROFILE_TYPES, &profile.profile_type, &())?;
    }
    tx.put(&PACKAGES, &profile.iccid.to_string(), &Octets(package.to_vec()))
}

/// Maximum number of available profiles from which an order chooses first. With this many
/// candidates, concurrent orders rarely choose the same one.
const CANDIDATES: usize = 256;

/// Returns an available profile of a namespace, of the requested type if there is one. The list of available profiles is not part of the
/// transaction's read set, so concurrent orders do not conflict if they take different profiles.
/// Each order therefore starts at a random position. It looks at the first [`CANDIDATES`]
/// candidates, and at all others only if those have been taken in the meantime.
pub(crate) async fn any_available(
    tx: &mut Tx<'_>,
    world: &World,
    namespace: &Namespace,
    requested: Option<&str>,
) -> Result<Option<Profile>, Fault> {
    let (index, prefix) = available_index(namespace, requested);
    let offset = u64::from_be_bytes(world.random());
    for most in [CANDIDATES, usize::MAX] {
        let mut available = tx.peek_first(&index, &prefix, most).await?;
        let seen = available.len();
        let first = offset.checked_rem(seen as u64).and_then(|first| first.try_into().ok()).unwrap_or(0);
        available.rotate_left(first);
        for (_, iccid) in available {
            let profile = tx.get(&PROFILES, &iccid?.to_string()).await?;
            if let Some(profile) = profile.filter(|profile| profile.state() == ProfileState::Available) {
                return Ok(Some(profile));
            }
        }
        if seen < most {
            break;
        }
    }
    Ok(None)
}

/// Builds the record of a profile from its package.
pub(crate) fn describe(own_address: &str, bytes: &[u8], options: &ProfileOptions) -> Result<Profile, Fault> {
    let fault = |why: String| {
        Fault::usage(
            "cannot put the package into stock",
            why,
            "provide a TCA profile package in DER; `landfall profile show` prints the contents of a package",
        )
    };
    let package = Package::decode(bytes).map_err(|e| fault(format!("this is not a profile package: {e}")))?;
    let header = package.header().ok_or_else(|| fault("the package has no header".to_owned()))?;
    let installed = InstalledProfile::of(&package, &Capabilities::default())
        .map_err(|e| fault(format!("no known eUICC can install the package: {e}")))?;
    let profile_type = options
        .profile_type
        .clone()
        .or_else(|| header.profile_type.clone())
        .unwrap_or_else(|| "profile".to_owned());
    let overrides = MetadataOverrides {
        profile_type: Some(profile_type.clone()),
        service_provider_name: options.service_provider_name.clone(),
        profile_name: options.profile_name.clone(),
        profile_class: options.profile_class,
        icon: options.icon.clone(),
        notifications: options.notifications.clone(),
        profile_policy_rules: options.profile_policy_rules.clone(),
        fallback_allowed: options.fallback_allowed,
        ecall_indication: options.ecall_indication,
    };
    let metadata = store_metadata(&installed, &overrides, own_address)
        .ok_or_else(|| fault("the ICCID of the package is not ten octets of BCD digits".to_owned()))?;
    Ok(Profile {
        iccid: metadata.iccid,
        namespace: options.namespace.clone(),
        profile_type,
        status: ProfileStatus::Available,
        metadata,
        protection: options.protection,
        rebinding: options.rebinding,
        needs: header.mandatory_services.services.iter().filter_map(|service| needed_bit(*service)).collect(),
        // At minimum, an eUICC needs the size of the package, because keys and applications are not
        // counted as files.
        memory: u32::try_from(installed.files.memory().max(bytes.len())).unwrap_or(u32::MAX),
        last_call: None,
    })
}

/// Returns the bit of UICCCapability for a service of the profile header. The two lists name the
/// same capabilities in a different order. For a service without a bit, the eUICC itself decides
/// during installation.
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
    use rsp::{sgp22::OperatorId, time::Timestamp};
    use world::{Committed, ManualClock, MemoryRecords, SeededRandom};

    use super::*;

    /// The numbers are those of UICCCapability in SGP.22 and of ServicesList in the package format.
    #[test]
    fn each_mandatory_service_needs_its_capability_of_the_euicc() {
        for (service, bit) in [
            (Service::USIM, 1),
            (Service::ISIM, 2),
            (Service::CSIM, 3),
            (Service::MILENAGE, 4),
            (Service::TUAK128, 6),
            (Service::TUAK256, 7),
            (Service::USIM_TEST_ALGORITHM, 8),
            (Service::JAVACARD, 14),
            (Service::BER_TLV, 19),
            (Service::DF_LINK, 20),
            (Service::CAT_TP, 21),
            (Service::GET_IDENTITY, 22),
            (Service::PROFILE_A_X25519, 23),
            (Service::PROFILE_B_P256, 24),
        ] {
            assert_eq!(needed_bit(service), Some(bit), "{service}");
        }
        for service in [Service::CAVE, Service::EAP, Service::MULTOS, Service::GBA_USIM] {
            assert_eq!(needed_bit(service), None, "{service}");
        }
    }

    #[test]
    fn metadata_is_read_from_the_files_of_the_usim() {
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

    /// The list of available profiles can be older than their records.
    #[tokio::test]
    async fn an_available_profile_is_found_behind_many_that_were_taken_in_the_meantime() {
        let records = MemoryRecords::default();
        let world = World::new(ManualClock::at(Timestamp(0)), SeededRandom::from_text("stock"));
        let mut tx = Tx::begin(&records);
        let namespace = Namespace::default();
        let (index, prefix) = available_index(&namespace, Some("test"));
        let iccid = |number: usize| Iccid::with_luhn(&format!("894900000000001{number:04}")).unwrap();
        for taken in (0..CANDIDATES).map(iccid) {
            tx.put(&index, &format!("{prefix}{taken}"), &taken).unwrap();
        }
        let subscription = Subscription { iccid: iccid(9999).to_profile_header(), ..Subscription::default() };
        let options = ProfileOptions { profile_type: Some("test".to_owned()), ..ProfileOptions::default() };
        let added =
            add(&mut tx, "smdp.example.com", &generic(&subscription).encode(), &options).await.unwrap();
        assert_eq!(tx.commit().await.unwrap(), Committed::Yes);
        let found = any_available(&mut Tx::begin(&records), &world, &namespace, Some("test")).await.unwrap();
        assert_eq!(found.map(|profile| profile.iccid), Some(added));
    }
}
