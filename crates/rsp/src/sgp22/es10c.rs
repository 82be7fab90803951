//! ES10c, local profile management: SGP.22 sections 5.7.15 to 5.7.21.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    DpProprietaryData, IconType, IotSpecificProfileInfo, NotificationConfigurationInformation, OperatorId,
    ProfileClass, ProfileIdentifier, ProfileState, ppr,
};
use crate::{
    bits, choice, codes,
    der::{Asn1, BitString, DecodeError, List, Problem, Reader, Shape, Tag, write_tlv},
    ids::{Aid, Eid, Iccid},
    sequence,
};

sequence! {
    /// ProfileInfoListRequest (GetProfilesInfo): section 5.7.15.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ProfileInfoListRequest = 0xBF2D {
        /// The profiles to list; all if absent.
        pub search_criteria: Option<ProfileSearch> = 0xA0,
        /// The tags to return for each profile; a default set if absent.
        pub tag_list: Option<Vec<u8>> = 0x5C usually 64,
    }
}

choice! {
    /// The search criteria of GetProfilesInfo.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum ProfileSearch = 0 {
        /// By the AID of the ISD-P.
        IsdpAid(Aid) = 0x4F,
        /// By ICCID.
        Iccid(Iccid) = 0x5A,
        /// By class.
        ProfileClass(ProfileClass) = 0x95,
    }
}

choice! {
    /// ProfileInfoListResponse: section 5.7.15.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum ProfileInfoListResponse = 0xBF2D {
        /// One entry for each profile; may be empty.
        ProfileInfoListOk(List<ProfileInfo>) = 0xA0,
        /// The request was refused.
        ProfileInfoListError(ProfileInfoListError) = 0x81 | 0x02,
    }
}

codes! {
    /// ProfileInfoListError.
    pub struct ProfileInfoListError {
        /// The request has invalid values.
        INCORRECT_INPUT_VALUES = 1
            next "correct the search criteria or the tag list",
        /// Another profile is being enabled or disabled (SGP.22 v3).
        PROFILE_CHANGE_ONGOING = 11
            next "repeat the command after the REFRESH",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "repeat the command after a reset of the card",
    }
}

sequence! {
    /// ProfileInfo: section 5.7.15.
    #[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
    pub struct ProfileInfo = 0xE3 {
        /// ICCID.
        pub iccid: Option<Iccid> = 0x5A,
        /// AID of the ISD-P.
        pub isdp_aid: Option<Aid> = 0x4F,
        /// State of the profile.
        pub profile_state: Option<ProfileState> = 0x9F70,
        /// Nickname given by the user.
        pub profile_nickname: Option<String> = 0x90 usually 64,
        /// Name of the service provider.
        pub service_provider_name: Option<String> = 0x91 usually 32,
        /// Name of the profile.
        pub profile_name: Option<String> = 0x92 usually 64,
        /// Type of the icon, JPEG or PNG.
        pub icon_type: Option<IconType> = 0x93,
        /// Icon of 64 by 64 pixels.
        pub icon: Option<Vec<u8>> = 0x94 usually 1024,
        /// Class of the profile: test, provisioning or operational.
        pub profile_class: Option<ProfileClass> = 0x95,
        /// Recipients and events of notifications.
        pub notification_configuration_info: Option<Vec<NotificationConfigurationInformation>> = 0xB6,
        /// Operator that owns the profile.
        pub profile_owner: Option<OperatorId> = 0xB7,
        /// SM-DP+ that created the profile.
        pub dp_proprietary_data: Option<DpProprietaryData> = 0xB8,
        /// Policy rules of the profile.
        pub profile_policy_rules: Option<BitString> = 0x99 known_bits ppr::NAMES,
        /// SGP.32: true if the profile is an Emergency Profile.
        pub ecall_indication: Option<bool> = 0x9F7B,
        /// SGP.32: true if the profile is the Fallback Profile.
        pub fallback_attribute: Option<bool> = 0x9F26,
        /// SGP.32: true if the profile owner allows the profile to be the Fallback Profile.
        pub fallback_allowed: Option<bool> = 0x9F67,
        /// SGP.32 v1.3: empty; its members are reserved.
        pub iot_specific_profile_info: Option<IotSpecificProfileInfo> = 0xBF64,
    }
}

/// refreshFlag of sections 5.7.16 and 5.7.17: a BOOLEAN decoded according to BER, where any octet
/// but 00 is true (X.690 section 8.2.2), and not according to DER, where true is FF. Deployed LPAs
/// send 01, deployed cards accept it, and no signature covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshFlag(pub bool);

impl fmt::Display for RefreshFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Asn1 for RefreshFlag {
    const TAG: Tag = Tag::BOOLEAN;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = reader.error(Problem::BadValue("a BOOLEAN is one octet"));
        match reader.contents(tag)? {
            [octet] => Ok(Self(*octet != 0)),
            _ => Err(bad),
        }
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

sequence! {
    /// EnableProfileRequest: section 5.7.16.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EnableProfileRequest = 0xBF31 {
        /// The profile to enable.
        pub profile_identifier: ProfileIdentifier = 0xA0,
        /// True if the eUICC must issue REFRESH.
        pub refresh_flag: RefreshFlag = 0x81,
    }
}

codes! {
    /// enableResult.
    pub struct EnableResult {
        /// The profile was enabled.
        OK = 0
            next "nothing; after refreshFlag the terminal must execute REFRESH",
        /// The profile does not exist.
        ICCID_OR_AID_NOT_FOUND = 1
            next "list the profiles with ES10c.GetProfilesInfo, and use an ICCID or AID from the list",
        /// The profile is already enabled.
        PROFILE_NOT_IN_DISABLED_STATE = 2
            next "nothing: the profile is already enabled",
        /// PPR1 of the enabled profile does not allow it.
        DISALLOWED_BY_POLICY = 3
            next "the enabled profile cannot be disabled: ask its operator to remove PPR1",
        /// A test profile is enabled; only the profile that was enabled before it can be enabled.
        WRONG_PROFILE_REENABLING = 4
            next "disable the test profile first, or enable the profile that was enabled before it",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "end the proactive session (TERMINAL RESPONSE), and repeat the command",
        /// v3: an enterprise rule does not allow it.
        DISALLOWED_BY_ENTERPRISE_RULE = 6
            next "ask the owner of the enterprise profile to change its rules",
        /// v3: the request is malformed or not possible in this state.
        COMMAND_ERROR = 7
            next "compare the command with the definition; the port must be given on a card with several ports",
        /// v3: the profile cannot be enabled by remote profile management.
        DISALLOWED_FOR_RPM = 9
            next "enable the profile with the LPA instead",
        /// v3: all eSIM ports are in use.
        NO_ESIM_PORT_AVAILABLE = 10
            next "disable a profile on one of the ports first",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the state of the profiles, reset the card, and repeat the command",
    }
}

sequence! {
    /// EnableProfileResponse: section 5.7.16.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EnableProfileResponse = 0xBF31 {
        /// The result.
        pub enable_result: EnableResult = 0x80,
    }
}

sequence! {
    /// DisableProfileRequest: section 5.7.17.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct DisableProfileRequest = 0xBF32 {
        /// The profile to disable.
        pub profile_identifier: ProfileIdentifier = 0xA0,
        /// True if the eUICC must issue REFRESH.
        pub refresh_flag: RefreshFlag = 0x81,
    }
}

codes! {
    /// disableResult.
    pub struct DisableResult {
        /// The profile was disabled.
        OK = 0
            next "nothing; after refreshFlag the terminal must execute REFRESH",
        /// The profile does not exist.
        ICCID_OR_AID_NOT_FOUND = 1
            next "list the profiles with ES10c.GetProfilesInfo, and use an ICCID or AID from the list",
        /// The profile is not enabled.
        PROFILE_NOT_IN_ENABLED_STATE = 2
            next "nothing: the profile is already disabled",
        /// PPR1 does not allow it.
        DISALLOWED_BY_POLICY = 3
            next "the profile cannot be disabled: ask its operator to remove PPR1",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "end the proactive session (TERMINAL RESPONSE), and repeat the command",
        /// v3: an enterprise rule does not allow it.
        DISALLOWED_BY_ENTERPRISE_RULE = 6
            next "ask the owner of the enterprise profile to change its rules",
        /// v3: the request is malformed or not possible in this state.
        COMMAND_ERROR = 7
            next "compare the command with the definition",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the state of the profiles, reset the card, and repeat the command",
    }
}

sequence! {
    /// DisableProfileResponse: section 5.7.17.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct DisableProfileResponse = 0xBF32 {
        /// The result.
        pub disable_result: DisableResult = 0x80,
    }
}

choice! {
    /// DeleteProfileRequest: section 5.7.18.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum DeleteProfileRequest = 0xBF33 {
        /// The AID of the ISD-P.
        IsdpAid(Aid) = 0x4F,
        /// The ICCID.
        Iccid(Iccid) = 0x5A,
    }
}

codes! {
    /// deleteResult.
    pub struct DeleteResult {
        /// The profile was deleted.
        OK = 0
            next "deliver the notification of the deletion",
        /// The profile does not exist.
        ICCID_OR_AID_NOT_FOUND = 1
            next "list the profiles with ES10c.GetProfilesInfo, and use an ICCID or AID from the list",
        /// The profile is enabled.
        PROFILE_NOT_IN_DISABLED_STATE = 2
            next "disable the profile first",
        /// PPR2 does not allow it.
        DISALLOWED_BY_POLICY = 3
            next "the profile cannot be deleted: ask its operator to remove PPR2",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the state of the profiles, reset the card, and repeat the command",
    }
}

sequence! {
    /// DeleteProfileResponse: section 5.7.18.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct DeleteProfileResponse = 0xBF33 {
        /// The result.
        pub delete_result: DeleteResult = 0x80,
    }
}

bits! {
    /// Bits of resetOptions.
    pub mod reset_options {
        /// Delete the operational profiles.
        DELETE_OPERATIONAL_PROFILES = 0 "deleteOperationalProfiles",
        /// Delete the test profiles that were loaded in the field.
        DELETE_FIELD_LOADED_TEST_PROFILES = 1 "deleteFieldLoadedTestProfiles",
        /// Reset the default SM-DP+ address.
        RESET_DEFAULT_SMDP_ADDRESS = 2 "resetDefaultSmdpAddress",
    }
}

sequence! {
    /// EuiccMemoryResetRequest: section 5.7.19.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccMemoryResetRequest = 0xBF34 {
        /// The data to reset ([`reset_options`]).
        pub reset_options: BitString = 0x82 known_bits reset_options::NAMES,
    }
}

codes! {
    /// resetResult.
    pub struct ResetResult {
        /// The data were reset.
        OK = 0
            next "nothing",
        /// There is nothing to reset.
        NOTHING_TO_DELETE = 1
            next "nothing: there are no such data",
        /// The device is executing a proactive command.
        CAT_BUSY = 5
            next "end the proactive session (TERMINAL RESPONSE), and repeat the command",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "read the state of the profiles, reset the card, and repeat the command",
    }
}

sequence! {
    /// EuiccMemoryResetResponse: section 5.7.19.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EuiccMemoryResetResponse = 0xBF34 {
        /// The result.
        pub reset_result: ResetResult = 0x80,
    }
}

sequence! {
    /// GetEuiccDataRequest (GetEID): section 5.7.20.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct GetEuiccDataRequest = 0xBF3E {
        /// The tag of the requested element.
        pub tag_list: EidTag = 0x5C,
    }
}

/// The tag list of GetEuiccDataRequest. Section 5.7.20 fixes it to 5A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EidTag;

impl Asn1 for EidTag {
    const TAG: Tag = Tag::OCTET_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, &[0x5A], out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = reader.error(Problem::BadValue("the tag list of GetEID must be 5A"));
        if reader.contents(tag)? == [0x5A] { Ok(Self) } else { Err(bad) }
    }
}

sequence! {
    /// GetEuiccDataResponse (GetEID): section 5.7.20.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct GetEuiccDataResponse = 0xBF3E {
        /// The EID.
        pub eid_value: Eid = 0x5A,
    }
}

sequence! {
    /// SetNicknameRequest: section 5.7.21.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetNicknameRequest = 0xBF29 {
        /// The profile.
        pub iccid: Iccid = 0x5A,
        /// The nickname of at most 64 octets; an empty nickname removes the current one.
        pub profile_nickname: String = 0x90 usually 64,
    }
}

codes! {
    /// setNicknameResult.
    pub struct SetNicknameResult {
        /// The nickname was set or removed.
        OK = 0
            next "nothing",
        /// The profile does not exist.
        ICCID_NOT_FOUND = 1
            next "list the profiles with ES10c.GetProfilesInfo, and use an ICCID from the list",
        /// Any other error.
        UNDEFINED_ERROR = 127
            next "check that the nickname has at most 64 octets of UTF-8",
    }
}

sequence! {
    /// SetNicknameResponse: section 5.7.21.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetNicknameResponse = 0xBF29 {
        /// The result.
        pub set_nickname_result: SetNicknameResult = 0x80,
    }
}
