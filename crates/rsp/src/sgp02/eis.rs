//! EIS, the eUICC information set: SGP.02 section 5.1.1.3 and Annex E.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::eum_signed_info::{
    EuiccCapabilities, EumSignedInfo, GpCertificate, Key, KeyComponent, Keyset, KeysetType, SdRole,
    SecurityDomain,
};
use super::{
    Namespace,
    common::{FunctionExecutionStatus, SubscriptionAddress},
    eum_signed_info::attribute,
    macros::{enumeration, structure},
    signature::{Canonical, EumSignature},
    xml::{Children, Element, Name, Octets, Prefix, Text, Writer, XmlError},
};
use crate::{
    ids::{Aid, Eid, Iccid, Oid},
    time::Timestamp,
};

structure! {
    /// The information set of one eUICC. A caller receives the part of it that it is entitled to.
    #[derive(JsonSchema)]
    pub struct Eis {
        /// The information signed by the EUM, with the signed text.
        eum_signed_info: Canonical<EumSignedInfo> = "eumSignedInfo" / "EumSignedInfo",
        eum_signature: EumSignature = "eumSignature" / "EumSignature",
        /// The memory for profiles in octets on an eUICC without profiles.
        remaining_memory: u32 = "remainingMemory" / "RemainingMemory",
        /// The memory that is currently available for profiles in octets.
        available_memory_for_profiles: u32 = "availableMemoryForProfiles" / "AvailableMemoryForProfiles",
        last_audit_date: Option<Timestamp> = "lastAuditDate" / "LastAuditDate",
        /// The SM-SR that manages the eUICC.
        smsr_id: Oid = "smsrId" / "Smsr-id",
        profile_info: Vec<ProfileInfo> = "profileInfo" / "ProfileInfo",
        /// Mandatory in the schema. This implementation accepts an EIS without it, and omits it if
        /// there is none.
        isd_r: Option<SecurityDomain> = "isdr" / "Isd-r",
        audit_trail: Option<AuditTrail> = "auditTrail" / "AuditTrail",
        additional_properties: Option<AdditionalProperties> = "additionalProperties" / "AdditionalProperties",
    }
}

structure! {
    /// One profile on the eUICC.
    #[derive(JsonSchema)]
    pub struct ProfileInfo {
        iccid: Iccid = "iccid" / "Iccid",
        isd_p_aid: Aid = "isdpAid" / "Isd-p-aid",
        /// The operator that owns the profile.
        mno_id: Oid = "mnoId" / "Mno-id",
        fallback_attribute: bool = "fallbackAttribute" / "FallbackAttribute",
        subscription_address: SubscriptionAddress = "subscriptionAddress" / "SubscriptionAddress",
        state: ProfileState = "state" / "State",
        /// The SM-DP that downloaded the profile; absent if the profile was installed by the
        /// manufacturer.
        smdp_id: Option<Oid> = "smdpId" / "Smdp-id",
        /// The profile type, at most 100 characters.
        profile_type: Option<String> = "profileType" / "ProfileType" usually 100,
        /// The allocated memory in octets.
        allocated_memory: u32 = "allocatedMemory" / "AllocatedMemory",
        /// The free memory in octets.
        free_memory: Option<FreeMemory> = "freeMemory" / "FreeMemory",
        pol2: Pol2 = "pol2" / "pol2",
    }
}

/// The free memory within a profile in octets. A value of 0 is omitted in namespace 1, whose schema
/// does not allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FreeMemory(pub u32);

impl Element for FreeMemory {
    fn write_as(&self, name: Name, out: &mut Writer) {
        if self.0 > 0 || out.namespace() != Namespace::V1 {
            self.0.write_as(name, out);
        }
    }

    fn read_as(name: Name, from: &mut Children<'_, '_>) -> Result<Self, XmlError> {
        u32::read_as(name, from).map(Self)
    }
}

enumeration! {
    /// The state of a profile. A deleted profile is no longer listed.
    #[derive(JsonSchema)]
    pub enum ProfileState {
        /// The ISD-P exists but contains no profile yet.
        Created = "Created",
        /// The profile can be enabled.
        Disabled = "Disabled",
        /// The profile is in use.
        Enabled = "Enabled",
    }
}

structure! {
    /// The policy rules that the SM-SR stores for a profile. Without rules, everything is allowed.
    #[derive(Default, JsonSchema)]
    pub struct Pol2 {
        rule: Vec<Pol2Rule> = "rule" / "Rule",
    }
}

impl Pol2 {
    /// True if there is a rule with this action and qualification.
    pub fn has(&self, action: Pol2Action, qualification: Pol2Qualification) -> bool {
        self.rule.iter().any(|rule| rule.action == action && rule.qualification == qualification)
    }
}

structure! {
    /// A policy rule: the subject, the action and the qualification.
    #[derive(Copy, JsonSchema)]
    pub struct Pol2Rule {
        subject: Pol2Subject = "subject" / "Subject",
        action: Pol2Action = "action" / "Action",
        qualification: Pol2Qualification = "qualification" / "Qualification",
    }
}

enumeration! {
    /// The subject of a policy rule.
    #[derive(JsonSchema)]
    pub enum Pol2Subject {
        /// The profile to which the rule belongs.
        Profile = "PROFILE",
    }
}

enumeration! {
    /// The action of a policy rule.
    #[derive(JsonSchema)]
    pub enum Pol2Action {
        /// Present in the schema, although no rule for it is described.
        Enable = "ENABLE",
        /// The profile is disabled.
        Disable = "DISABLE",
        /// The profile is deleted.
        Delete = "DELETE",
    }
}

enumeration! {
    /// The qualification of a policy rule.
    #[derive(JsonSchema)]
    pub enum Pol2Qualification {
        /// The action is not allowed.
        NotAllowed = "Not-Allowed",
        /// The profile is deleted afterwards.
        AutoDelete = "Auto-Delete",
    }
}

structure! {
    /// The operations on the eUICC and the notifications from it.
    #[derive(Default, JsonSchema)]
    pub struct AuditTrail {
        record: Vec<AuditTrailRecord> = "record" / "Record",
    }
}

structure! {
    /// One operation or one notification.
    #[derive(JsonSchema)]
    pub struct AuditTrailRecord {
        eid: Eid = "eid" / "Eid",
        smsr_id: Oid = "smsrId" / "Smsr-id",
        operation_date: Timestamp = "operationDate" / "OperationDate",
        operation_type: OperationType = "operationType" / "OperationType",
        requester_id: Option<Oid> = "requesterId" / "RequesterId",
        operation_execution_status: Option<FunctionExecutionStatus>
            = "operationExecutionStatus" / "OperationExecutionStatus",
        isd_p_aid: Option<Aid> = "isdpAid" / "Isd-p-aid",
        iccid: Option<Iccid> = "iccid" / "Iccid",
        imei: Option<Octets> = "imei" / "Imei" usually 8,
        meid: Option<Octets> = "meId" / "Meid" usually 8,
    }
}

/// The type of an audit trail record: two octets. The second octet is the type of a notification.
///
/// The values come from one open implementation, which cites section 5.1.1.3.12. They are not
/// verified against the text of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
pub struct OperationType(pub u16);

impl OperationType {
    /// An ISD-P was created.
    pub const CREATE_ISDP: Self = Self(0x0100);
    /// A profile was enabled.
    pub const ENABLE_PROFILE: Self = Self(0x0200);
    /// A profile was disabled.
    pub const DISABLE_PROFILE: Self = Self(0x0300);
    /// A profile was deleted.
    pub const DELETE_PROFILE: Self = Self(0x0400);
    /// The capabilities of the eUICC were audited.
    pub const CAPABILITY_AUDIT: Self = Self(0x0500);
    /// A profile was deleted with a token.
    pub const MASTER_DELETE: Self = Self(0x0600);
    /// The fall-back attribute was set.
    pub const SET_FALLBACK_ATTRIBUTE: Self = Self(0x0700);
    /// A key set of the ISD-R was established.
    pub const ESTABLISH_ISDR_KEYSET: Self = Self(0x0800);
    /// The keys of the former SM-SR were deleted.
    pub const FINALISE_ISDR_HANDOVER: Self = Self(0x0900);

    /// Returns the type for a received notification of this kind.
    pub const fn notification(kind: u8) -> Self {
        Self(kind as u16)
    }
}

impl Text for OperationType {
    fn to_text(&self) -> String {
        format!("{:04X}", self.0)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let octets = Octets::from_text(text)?;
        let two: [u8; 2] =
            octets.0.try_into().map_err(|_| "an operation type must be two octets".to_owned())?;
        Ok(Self(u16::from_be_bytes(two)))
    }
}

structure! {
    /// Additional properties of an eUICC.
    #[derive(Default, JsonSchema)]
    pub struct AdditionalProperties {
        property: Vec<Property> = "property" / "Property",
    }
}

/// An additional property: a name and a value.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Property {
    /// The name; not empty.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Element for Property {
    fn write_as(&self, name: Name, out: &mut Writer) {
        let local = name.within(out.namespace());
        let attributes = [("key", self.key.as_str()), ("value", self.value.as_str())];
        out.element(Prefix::Rps, local, &attributes, |_| {});
    }

    fn read_as(name: Name, from: &mut Children<'_, '_>) -> Result<Self, XmlError> {
        let node = from.take(name)?;
        let read = || Ok(Self { key: attribute(node, "key")?, value: attribute(node, "value")? });
        read().map_err(|e: XmlError| e.within(node.tag_name().name()))
    }
}
