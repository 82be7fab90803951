//! Metadata of a profile: StoreMetadata (SGP.22 section 5.5.3), derived from the package.

use rsp::der::BitString;
use rsp::ids::Iccid;
use rsp::sgp22::es8plus::StoreMetadataRequest;
use rsp::sgp22::{
    IconType, NotificationConfigurationInformation, OperatorId, ProfileClass, notification_event,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{InstalledProfile, Octets, Usim};

/// Values that a package does not contain, or that override it. The ICCID and the owner always come
/// from the package.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Metadata {
    /// serviceProviderName, at most 32 bytes; default: EF.SPN.
    pub service_provider_name: Option<String>,
    /// profileName, at most 64 bytes; default: the profile type.
    pub profile_name: Option<String>,
    /// The profile class; default operational.
    pub class: Option<ProfileClassName>,
    /// 64 by 64 pixels, PNG or JPEG, at most 1024 bytes.
    pub icon: Option<Octets>,
    /// Receivers of notifications; default: the server itself, for every event.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Notification>,
    /// Profile policy rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy_rules: Vec<PolicyRule>,
    /// fallbackAllowed of SGP.32: the profile can be the Fallback Profile of an IoT eUICC.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fallback_allowed: bool,
    /// ecallIndication of SGP.32: the profile is the Emergency Profile of an IoT eUICC.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ecall_indication: bool,
}

/// ProfileClass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileClassName {
    /// Test.
    Test,
    /// Provisioning.
    Provisioning,
    /// Operational.
    Operational,
}

/// A receiver of notifications.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Notification {
    /// Its address, a host name.
    pub address: String,
    /// The events; default: every event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
}

/// An event in a profile's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is the event of that name")]
pub enum Event {
    Install,
    Enable,
    Disable,
    Delete,
}

/// A profile policy rule (SGP.22 section 2.9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyRule {
    /// PPR1.
    DisableNotAllowed,
    /// PPR2.
    DeleteNotAllowed,
}

/// An icon of a profile: 64 by 64 pixels, JPEG or PNG (section 5.5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icon {
    kind: IconType,
    octets: Vec<u8>,
}

impl Icon {
    /// Maximum size of an icon.
    pub const MAX_OCTETS: usize = 1024;

    /// An icon of this type, or `None` if it is too long. The content is not checked.
    pub fn new(kind: IconType, octets: Vec<u8>) -> Option<Self> {
        (octets.len() <= Self::MAX_OCTETS).then_some(Self { kind, octets })
    }

    /// Recognises the image type by its first bytes; `None` for another type, or too many bytes.
    pub fn of(octets: &[u8]) -> Option<Self> {
        let kind = match octets {
            [0x89, b'P', b'N', b'G', ..] => IconType::PNG,
            [0xFF, 0xD8, ..] => IconType::JPG,
            _ => return None,
        };
        Self::new(kind, octets.to_vec())
    }
}

/// Metadata that take precedence over the values in the package. An absent value is taken from the
/// package or is a default.
#[derive(Clone, Debug, Default)]
pub struct MetadataOverrides {
    /// The name that the operator uses for the profile type.
    pub profile_type: Option<String>,
    /// serviceProviderName.
    pub service_provider_name: Option<String>,
    /// profileName.
    pub profile_name: Option<String>,
    /// ProfileClass; default operational.
    pub profile_class: Option<ProfileClass>,
    /// The icon.
    pub icon: Option<Icon>,
    /// Receivers of notifications.
    pub notifications: Option<Vec<NotificationConfigurationInformation>>,
    /// PprIds.
    pub profile_policy_rules: Option<BitString>,
    /// fallbackAllowed of SGP.32.
    pub fallback_allowed: bool,
    /// ecallIndication of SGP.32.
    pub ecall_indication: bool,
}

impl Metadata {
    pub(super) fn checked(&self, say: &mut impl FnMut(&str, String, &str)) {
        for (place, name, octets) in [
            ("metadata.service-provider-name", &self.service_provider_name, 32),
            ("metadata.profile-name", &self.profile_name, 64),
        ] {
            if name.as_ref().is_some_and(|name| name.len() > octets) {
                say(place, format!("it takes more than {octets} octets"), "shorten it");
            }
        }
        if self.icon.as_ref().is_some_and(|icon| Icon::of(icon).is_none()) {
            say(
                "metadata.icon",
                "it is neither PNG nor JPEG, or longer than 1024 octets".to_owned(),
                "give a smaller picture, 64 by 64 pixels",
            );
        }
    }

    /// Converts the values to those of StoreMetadata.
    pub fn overrides(&self) -> MetadataOverrides {
        MetadataOverrides {
            profile_type: None,
            service_provider_name: self.service_provider_name.clone(),
            profile_name: self.profile_name.clone(),
            profile_class: self.profile_class(),
            icon: self.icon.as_ref().and_then(|icon| Icon::of(icon)),
            notifications: self.notification_receivers(),
            profile_policy_rules: self.rules(),
            fallback_allowed: self.fallback_allowed,
            ecall_indication: self.ecall_indication,
        }
    }

    fn notification_receivers(&self) -> Option<Vec<NotificationConfigurationInformation>> {
        let receiver = |receiver: &Notification| NotificationConfigurationInformation {
            profile_management_operation: match receiver.events.as_slice() {
                [] => every_event(),
                events => BitString::of(&events.iter().map(|event| event.bit()).collect::<Vec<_>>()),
            },
            notification_address: receiver.address.clone(),
        };
        (!self.notifications.is_empty()).then(|| self.notifications.iter().map(receiver).collect())
    }

    fn rules(&self) -> Option<BitString> {
        let bit = |rule: &PolicyRule| match rule {
            PolicyRule::DisableNotAllowed => 1,
            PolicyRule::DeleteNotAllowed => 2,
        };
        (!self.policy_rules.is_empty())
            .then(|| BitString::of(&self.policy_rules.iter().map(bit).collect::<Vec<_>>()))
    }

    fn profile_class(&self) -> Option<ProfileClass> {
        Some(match self.class? {
            ProfileClassName::Test => ProfileClass::TEST,
            ProfileClassName::Provisioning => ProfileClass::PROVISIONING,
            ProfileClassName::Operational => ProfileClass::OPERATIONAL,
        })
    }
}

impl Event {
    fn bit(self) -> usize {
        match self {
            Self::Install => notification_event::INSTALL,
            Self::Enable => notification_event::ENABLE,
            Self::Disable => notification_event::DISABLE,
            Self::Delete => notification_event::DELETE,
        }
    }
}

/// Every notification event of a profile.
pub fn every_event() -> BitString {
    use notification_event::{DELETE, DISABLE, ENABLE, INSTALL};
    BitString::of(&[INSTALL, ENABLE, DISABLE, DELETE])
}

/// StoreMetadata of a profile according to its files. `server` receives every event if no other
/// receiver is named. `None` if the profile header has no ICCID.
pub fn store_metadata(
    installed: &InstalledProfile,
    overrides: &MetadataOverrides,
    server: &str,
) -> Option<StoreMetadataRequest> {
    let iccid = installed.facts.iccid.0.clone().try_into().ok()?;
    let usim = installed.usim();
    let profile_type = overrides.profile_type.clone().or_else(|| installed.facts.profile_type.clone());
    let profile_type = profile_type.unwrap_or_else(|| "profile".to_owned());
    let everything = || {
        vec![NotificationConfigurationInformation {
            profile_management_operation: every_event(),
            notification_address: server.to_owned(),
        }]
    };
    let name = overrides.service_provider_name.clone().or_else(|| usim?.service_provider_name());
    Some(StoreMetadataRequest {
        iccid: Iccid::from_profile_header(&iccid).ok()?,
        service_provider_name: shortened(name.unwrap_or_else(|| profile_type.clone()), 32),
        profile_name: shortened(overrides.profile_name.clone().unwrap_or(profile_type), 64),
        icon_type: overrides.icon.as_ref().map(|icon| icon.kind),
        icon: overrides.icon.as_ref().map(|icon| icon.octets.clone()),
        profile_class: Some(overrides.profile_class.unwrap_or(ProfileClass::OPERATIONAL)),
        notification_configuration_info: Some(overrides.notifications.clone().unwrap_or_else(everything)),
        profile_owner: usim.and_then(owner),
        profile_policy_rules: overrides.profile_policy_rules.clone(),
        ecall_indication: overrides.ecall_indication.then_some(true),
        fallback_allowed: overrides.fallback_allowed.then_some(true),
    })
}

/// profileOwner, from the files of the USIM.
fn owner(usim: Usim<'_>) -> Option<OperatorId> {
    let group = |octets: Option<&[u8]>| octets.map(<[u8]>::to_vec);
    Some(OperatorId { mcc_mnc: usim.home()?.to_bytes(), gid1: group(usim.gid1()), gid2: group(usim.gid2()) })
}

/// The text truncated to at most `octets` bytes of UTF-8, at the end of a character.
fn shortened(mut text: String, octets: usize) -> String {
    while text.len() > octets {
        text.pop();
    }
    text
}
