//! Causes with which networks, service centres and devices refuse a message.

use std::fmt;

use rsp::ota::sms::{FAILURE_BUSY, FAILURE_DATA_DOWNLOAD};
use serde::{Deserialize, Serialize};

/// Defines a cause of one octet with its named values.
macro_rules! causes {
    (
        $(#[$struct_meta:meta])*
        pub struct $cause:ident { $(
            $( #[doc = $meaning:literal] )+
            $name:ident = $number:literal $text:literal next $next:literal
        ),+ $(,)? }
    ) => {
        $(#[$struct_meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $cause(pub u8);

        impl $cause {
            $( $( #[doc = $meaning] )+ pub const $name: Self = Self($number); )+

            /// The values with a name, in ascending order.
            pub const ALL: &[Self] = &[ $( Self::$name, )+ ];

            /// The name of the cause in the standard.
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )+
                    _ => "unnamed cause",
                }
            }

            /// The meaning as a sentence, if the cause has a name.
            pub fn meaning(self) -> Option<&'static str> {
                match self {
                    $( Self::$name => Some(concat!($( $meaning ),+).trim_start()), )+
                    _ => None,
                }
            }

            /// Advice to the reader of the cause, if the cause has a name.
            pub fn next(self) -> Option<&'static str> {
                match self {
                    $( Self::$name => Some($next), )+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $cause {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "#{} {}", self.0, self.name())
            }
        }

        impl fmt::Debug for $cause {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

causes! {
    /// EMM cause: TS 24.301 section 9.9.3.9 and annex A.
    pub struct EmmCause {
        /// The home network does not know the subscriber, or the subscription is for packet services only.
        IMSI_UNKNOWN_IN_HSS = 2 "IMSI unknown in HSS"
            next "add the subscriber to the subscriber server of the home network, with the IMSI of the profile",
        /// The subscriber is refused or failed the authentication.
        ILLEGAL_UE = 3 "illegal UE"
            next "compare K and OP or OPc of the profile with those of the subscriber server",
        /// The network does not accept the IMEI for emergency services.
        IMEI_NOT_ACCEPTED = 5 "IMEI not accepted"
            next "check the IMEI of the device",
        /// The device is refused.
        ILLEGAL_ME = 6 "illegal ME"
            next "check whether the equipment register bars the IMEI",
        /// No EPS services.
        EPS_SERVICES_NOT_ALLOWED = 7 "EPS services not allowed"
            next "check that the subscription includes LTE; the device does not retry before the card or profile changes",
        /// No services at all.
        EPS_AND_NON_EPS_SERVICES_NOT_ALLOWED = 8 "EPS services and non-EPS services not allowed"
            next "check that the subscription is active; the device does not retry before the card or profile changes",
        /// The network does not know the temporary identity of the device.
        UE_IDENTITY_CANNOT_BE_DERIVED = 9 "UE identity cannot be derived by the network"
            next "attach again with the IMSI",
        /// The network has detached the device, for example because no update arrived in time.
        IMPLICITLY_DETACHED = 10 "implicitly detached"
            next "attach again",
        /// The subscriber is not allowed in this network.
        PLMN_NOT_ALLOWED = 11 "PLMN not allowed"
            next "check the roaming agreement; select another network, or switch to a profile that is allowed here",
        /// The subscriber is not allowed in this tracking area.
        TRACKING_AREA_NOT_ALLOWED = 12 "tracking area not allowed"
            next "check the area restrictions of the subscription",
        /// No roaming in this area.
        ROAMING_NOT_ALLOWED_IN_THIS_TRACKING_AREA = 13 "roaming not allowed in this tracking area"
            next "check the roaming permission of the subscription; select another network or a local profile",
        /// No EPS services in this network.
        EPS_SERVICES_NOT_ALLOWED_IN_THIS_PLMN = 14 "EPS services not allowed in this PLMN"
            next "check that roaming with LTE is permitted in this network; select another network",
        /// The subscriber is not allowed in this tracking area and should select another.
        NO_SUITABLE_CELLS_IN_TRACKING_AREA = 15 "no suitable cells in tracking area"
            next "wait for another tracking area, or use another radio technology",
        /// The circuit-switched core network is unreachable.
        MSC_TEMPORARILY_NOT_REACHABLE = 16 "MSC temporarily not reachable"
            next "retry later",
        /// An internal failure of the network.
        NETWORK_FAILURE = 17 "network failure"
            next "read the log of the core network, and retry later",
        /// No circuit-switched services.
        CS_DOMAIN_NOT_AVAILABLE = 18 "CS domain not available"
            next "use services of the packet-switched domain",
        /// The default bearer could not be activated.
        ESM_FAILURE = 19 "ESM failure"
            next "read the ESM cause in the same message; often the APN is wrong",
        /// From the device: the network's MAC is wrong.
        MAC_FAILURE = 20 "MAC failure"
            next "compare K and OP or OPc of the profile with those of the subscriber server",
        /// From the device: the network's sequence number is not fresh.
        SYNCH_FAILURE = 21 "synch failure"
            next "nothing: the subscriber server adopts the sequence number of the card in AUTS and the network retries",
        /// The network is congested.
        CONGESTION = 22 "congestion"
            next "retry after the time in T3346",
        /// From the device: the repeated security capabilities differ from those that it sent.
        UE_SECURITY_CAPABILITIES_MISMATCH = 23 "UE security capabilities mismatch"
            next "check that no intermediary changes the messages",
        /// From the device: the security mode command was refused.
        SECURITY_MODE_REJECTED = 24 "security mode rejected, unspecified"
            next "check the algorithms that the network selected",
        /// The subscriber is not a member of the closed subscriber group.
        NOT_AUTHORIZED_FOR_THIS_CSG = 25 "not authorized for this CSG"
            next "select another cell, or add the subscriber to the group",
        /// From the device: the separation bit of the AMF field is 0.
        NON_EPS_AUTHENTICATION_UNACCEPTABLE = 26 "non-EPS authentication unacceptable"
            next "set the separation bit (AMF 8000) in the authentication vectors",
        /// The device is to use the 5G core network.
        REDIRECTION_TO_5GCN_REQUIRED = 31 "redirection to 5GCN required"
            next "register in 5G",
        /// The requested service is not authorised here.
        REQUESTED_SERVICE_OPTION_NOT_AUTHORIZED = 35 "requested service option not authorized in this PLMN"
            next "select another network",
        /// The circuit-switched service is not possible at the moment.
        CS_SERVICE_TEMPORARILY_NOT_AVAILABLE = 39 "CS service temporarily not available"
            next "retry later",
        /// The network has no bearer of the device.
        NO_EPS_BEARER_CONTEXT_ACTIVATED = 40 "no EPS bearer context activated"
            next "attach again",
        /// A severe internal failure of the network.
        SEVERE_NETWORK_FAILURE = 42 "severe network failure"
            next "select another network, and retry later",
        /// The message contradicts itself.
        SEMANTICALLY_INCORRECT_MESSAGE = 95 "semantically incorrect message"
            next "compare the message with its definition",
        /// A mandatory element is missing or invalid.
        INVALID_MANDATORY_INFORMATION = 96 "invalid mandatory information"
            next "compare the message with its definition",
        /// The peer does not know the type of the message.
        MESSAGE_TYPE_NON_EXISTENT = 97 "message type non-existent or not implemented"
            next "check that both peers implement the same release",
        /// A message of this type is not expected in this state.
        MESSAGE_TYPE_NOT_COMPATIBLE_WITH_STATE = 98 "message type not compatible with the protocol state"
            next "check the order of the messages in a trace",
        /// The peer does not know an element of the message.
        INFORMATION_ELEMENT_NON_EXISTENT = 99 "information element non-existent or not implemented"
            next "check that both peers implement the same release",
        /// A conditional element is missing or invalid.
        CONDITIONAL_IE_ERROR = 100 "conditional IE error"
            next "compare the message with its definition",
        /// The content of the message is not expected in this state.
        MESSAGE_NOT_COMPATIBLE_WITH_STATE = 101 "message not compatible with the protocol state"
            next "check the order of the messages in a trace",
        /// The message could not be understood.
        PROTOCOL_ERROR_UNSPECIFIED = 111 "protocol error, unspecified"
            next "read the message and the log of the core network",
    }
}

impl EmmCause {
    /// True if the device must treat the subscription as invalid until the card is replaced or its
    /// profile is switched (section 5.5.1.2.5).
    ///
    /// Cause #2 is not among them. It does not affect EPS services (annex A.1). In a combined attach
    /// it invalidates the subscription for circuit-switched services only (section 5.5.1.3.4.3), and
    /// in an attach it is handled as an abnormal case, after which the device tries again (section
    /// 5.5.1.2.6 d).
    pub fn invalidates_usim(self) -> bool {
        matches!(
            self,
            Self::ILLEGAL_UE
                | Self::ILLEGAL_ME
                | Self::EPS_SERVICES_NOT_ALLOWED
                | Self::EPS_AND_NON_EPS_SERVICES_NOT_ALLOWED
        )
    }
}

causes! {
    /// 5GMM cause: TS 24.501 section 9.11.3.2 and annex A. The simulated networks do not send these.
    pub struct FivegmmCause {
        /// The subscriber is refused or failed the authentication.
        ILLEGAL_UE = 3 "illegal UE"
            next "compare K and OP or OPc of the profile with those of the subscriber server, and check the SUCI keys",
        /// The network does not accept the identity of the device for emergency services.
        PEI_NOT_ACCEPTED = 5 "PEI not accepted"
            next "check the IMEI of the device",
        /// The device is refused.
        ILLEGAL_ME = 6 "illegal ME"
            next "check whether the equipment register bars the IMEI",
        /// No 5GS services.
        SERVICES_5GS_NOT_ALLOWED = 7 "5GS services not allowed"
            next "check that the subscription includes 5G; the device does not retry before the card or profile changes",
        /// The network does not know the temporary identity of the device.
        UE_IDENTITY_CANNOT_BE_DERIVED = 9 "UE identity cannot be derived by the network"
            next "register again with the SUCI",
        /// The network has deregistered the device, for example because no update arrived in time.
        IMPLICITLY_DEREGISTERED = 10 "implicitly de-registered"
            next "register again",
        /// The subscriber is not allowed in this network.
        PLMN_NOT_ALLOWED = 11 "PLMN not allowed"
            next "check the roaming agreement; select another network, or switch to a profile that is allowed here",
        /// The subscriber is not allowed in this tracking area.
        TRACKING_AREA_NOT_ALLOWED = 12 "tracking area not allowed"
            next "check the area restrictions of the subscription",
        /// No roaming in this area.
        ROAMING_NOT_ALLOWED_IN_THIS_TRACKING_AREA = 13 "roaming not allowed in this tracking area"
            next "check the roaming permission of the subscription; select another network or a local profile",
        /// The subscriber is not allowed in this tracking area and should select another.
        NO_SUITABLE_CELLS_IN_TRACKING_AREA = 15 "no suitable cells in tracking area"
            next "wait for another tracking area, or use another radio technology",
        /// From the device: the network's MAC is wrong.
        MAC_FAILURE = 20 "MAC failure"
            next "compare K and OP or OPc of the profile with those of the subscriber server",
        /// From the device: the network's sequence number is not fresh.
        SYNCH_FAILURE = 21 "synch failure"
            next "nothing: the subscriber server adopts the sequence number of the card in AUTS and the network retries",
        /// The network is congested.
        CONGESTION = 22 "congestion"
            next "retry after the time in T3346",
        /// From the device: the repeated security capabilities differ from those that it sent.
        UE_SECURITY_CAPABILITIES_MISMATCH = 23 "UE security capabilities mismatch"
            next "check that no intermediary changes the messages",
        /// From the device: the security mode command was refused.
        SECURITY_MODE_REJECTED = 24 "security mode rejected, unspecified"
            next "check the algorithms that the network selected",
        /// From the device: the separation bit of the AMF field is 0.
        NON_5G_AUTHENTICATION_UNACCEPTABLE = 26 "non-5G authentication unacceptable"
            next "set the separation bit (AMF 8000) in the authentication vectors",
        /// The subscriber is not allowed to use 5G here.
        N1_MODE_NOT_ALLOWED = 27 "N1 mode not allowed"
            next "use LTE, or check the access restrictions of the subscription",
        /// The device is in an area without service for it.
        RESTRICTED_SERVICE_AREA = 28 "restricted service area"
            next "check the service area restrictions of the subscription",
        /// The device is to use LTE.
        REDIRECTION_TO_EPC_REQUIRED = 31 "redirection to EPC required"
            next "attach in LTE",
        /// The local data network is not available here.
        LADN_NOT_AVAILABLE = 43 "LADN not available"
            next "use another data network name",
        /// The subscriber has none of the requested slices.
        NO_NETWORK_SLICES_AVAILABLE = 62 "no network slices available"
            next "compare the requested S-NSSAIs with those of the subscription",
        /// No further PDU session is possible.
        MAXIMUM_NUMBER_OF_PDU_SESSIONS_REACHED = 65 "maximum number of PDU sessions reached"
            next "release another PDU session",
        /// The slice and the data network have no resources left.
        INSUFFICIENT_RESOURCES_FOR_SLICE_AND_DNN = 67 "insufficient resources for specific slice and DNN"
            next "retry after the back-off time in the message",
        /// The slice has no resources left.
        INSUFFICIENT_RESOURCES_FOR_SLICE = 69 "insufficient resources for specific slice"
            next "retry after the back-off time in the message",
        /// From the device: the key set identifier is already in use.
        NGKSI_ALREADY_IN_USE = 71 "ngKSI already in use"
            next "nothing: the network retries with another identifier",
        /// The subscriber is not allowed to use the 5G core network over an access such as WLAN.
        NON_3GPP_ACCESS_NOT_ALLOWED = 72 "non-3GPP access to 5GCN not allowed"
            next "register over 3GPP access, or check the access restrictions of the subscription",
        /// The home network does not authorise this network.
        SERVING_NETWORK_NOT_AUTHORIZED = 73 "serving network not authorized"
            next "check the roaming agreement and the name of the serving network",
        /// The subscriber is not allowed in this private network at the moment.
        TEMPORARILY_NOT_AUTHORIZED_FOR_SNPN = 74 "temporarily not authorized for this SNPN"
            next "retry later, or select another network",
        /// The subscriber is not allowed in this private network.
        PERMANENTLY_NOT_AUTHORIZED_FOR_SNPN = 75 "permanently not authorized for this SNPN"
            next "add the subscriber to the private network, or select another network",
        /// The cell is for a closed group without the subscriber, or the subscriber is allowed only in
        /// cells of such groups.
        NOT_AUTHORIZED_FOR_CAG = 76 "not authorized for this CAG or authorized for CAG cells only"
            next "select another cell, or add the subscriber to the closed access group",
        /// The subscriber is not allowed to use this wireline access.
        WIRELINE_ACCESS_AREA_NOT_ALLOWED = 77 "wireline access area not allowed"
            next "check the area restrictions of the subscription",
        /// The network could not forward the payload.
        PAYLOAD_WAS_NOT_FORWARDED = 90 "payload was not forwarded"
            next "retry later",
        /// The data network name is not available in the slice.
        DNN_NOT_SUPPORTED = 91 "DNN not supported or not subscribed in the slice"
            next "correct the data network name or the slice",
        /// The user plane has no resources for the PDU session.
        INSUFFICIENT_USER_PLANE_RESOURCES = 92 "insufficient user-plane resources for the PDU session"
            next "retry later",
        /// The message contradicts itself.
        SEMANTICALLY_INCORRECT_MESSAGE = 95 "semantically incorrect message"
            next "compare the message with its definition",
        /// A mandatory element is missing or invalid.
        INVALID_MANDATORY_INFORMATION = 96 "invalid mandatory information"
            next "compare the message with its definition",
        /// The peer does not know the type of the message.
        MESSAGE_TYPE_NON_EXISTENT = 97 "message type non-existent or not implemented"
            next "check that both peers implement the same release",
        /// A message of this type is not expected in this state.
        MESSAGE_TYPE_NOT_COMPATIBLE_WITH_STATE = 98 "message type not compatible with the protocol state"
            next "check the order of the messages in a trace",
        /// The peer does not know an element of the message.
        INFORMATION_ELEMENT_NON_EXISTENT = 99 "information element non-existent or not implemented"
            next "check that both peers implement the same release",
        /// A conditional element is missing or invalid.
        CONDITIONAL_IE_ERROR = 100 "conditional IE error"
            next "compare the message with its definition",
        /// The content of the message is not expected in this state.
        MESSAGE_NOT_COMPATIBLE_WITH_STATE = 101 "message not compatible with the protocol state"
            next "check the order of the messages in a trace",
        /// The message could not be understood.
        PROTOCOL_ERROR_UNSPECIFIED = 111 "protocol error, unspecified"
            next "read the message and the log of the core network",
    }
}

causes! {
    /// RP-Cause: TS 24.011 section 8.2.5.4.
    pub struct RpCause {
        /// The number is not assigned.
        UNASSIGNED_NUMBER = 1 "unassigned number"
            next "check the destination number",
        /// The operator bars short messages of this subscriber.
        OPERATOR_DETERMINED_BARRING = 8 "operator determined barring"
            next "check the subscription",
        /// Short messages are barred for this destination.
        CALL_BARRED = 10 "call barred"
            next "check the barring of the subscription",
        /// A reserved value.
        RESERVED = 11 "reserved"
            next "ask the operator of the SMSC for the meaning",
        /// The SMSC or the device rejected the message.
        TRANSFER_REJECTED = 21 "short message transfer rejected"
            next "read the TP-FCS in the same message",
        /// The device's memory is full.
        MEMORY_CAPACITY_EXCEEDED = 22 "memory capacity exceeded"
            next "delete messages on the device; the SMSC retries later",
        /// The destination cannot be reached because of a fault.
        DESTINATION_OUT_OF_ORDER = 27 "destination out of order"
            next "retry later",
        /// The network does not know the IMSI.
        UNIDENTIFIED_SUBSCRIBER = 28 "unidentified subscriber"
            next "register the device in the network",
        /// The facility is not provided.
        FACILITY_REJECTED = 29 "facility rejected"
            next "check the options of the message",
        /// The IMSI or the number belongs to no subscriber.
        UNKNOWN_SUBSCRIBER = 30 "unknown subscriber"
            next "add the subscriber with its number",
        /// The network has a long failure.
        NETWORK_OUT_OF_ORDER = 38 "network out of order"
            next "do not retry immediately",
        /// The network cannot accept the message at the moment.
        TEMPORARY_FAILURE = 41 "temporary failure"
            next "retry after a short time",
        /// The network is congested.
        CONGESTION = 42 "congestion"
            next "retry later",
        /// The network has no resources for the message.
        RESOURCES_UNAVAILABLE = 47 "resources unavailable, unspecified"
            next "retry later",
        /// The subscription does not include short messages.
        FACILITY_NOT_SUBSCRIBED = 50 "requested facility not subscribed"
            next "check the subscription",
        /// The network does not support the facility.
        FACILITY_NOT_IMPLEMENTED = 69 "requested facility not implemented"
            next "check the options of the message",
        /// The message reference is not in use.
        INVALID_REFERENCE = 81 "invalid short message transfer reference value"
            next "check the references in a trace",
        /// The message is malformed.
        INVALID_MESSAGE = 95 "semantically incorrect message"
            next "compare the TPDU with its definition",
        /// A mandatory element is missing or invalid.
        INVALID_MANDATORY_INFORMATION = 96 "invalid mandatory information"
            next "compare the RP message with its definition",
        /// The peer does not know the type of the message.
        MESSAGE_TYPE_NON_EXISTENT = 97 "message type non-existent or not implemented"
            next "check that both peers implement the same release",
        /// The message is not expected in this state.
        MESSAGE_NOT_COMPATIBLE_WITH_STATE = 98 "message not compatible with short message protocol state"
            next "check the order of the messages in a trace",
        /// The peer does not know an element of the message.
        INFORMATION_ELEMENT_NON_EXISTENT = 99 "information element non-existent or not implemented"
            next "check that both peers implement the same release",
        /// A protocol error that no other cause describes.
        PROTOCOL_ERROR = 111 "protocol error, unspecified"
            next "read the messages in a trace; a network of Landfall sends this if no SMSC serves it",
        /// Another network refused the message without a cause that can be translated.
        INTERWORKING = 127 "interworking, unspecified"
            next "ask the operator of the other network",
    }
}

causes! {
    /// TP-FCS: TS 23.040 section 9.2.3.22.
    pub struct TpFailureCause {
        /// The SMSC does not convert the message for this protocol.
        TELEMATIC_INTERWORKING_NOT_SUPPORTED = 0x80 "telematic interworking not supported"
            next "correct TP-PID",
        /// The device does not support type 0 messages.
        TYPE_0_NOT_SUPPORTED = 0x81 "short message type 0 not supported"
            next "correct TP-PID",
        /// There is no message to replace.
        CANNOT_REPLACE = 0x82 "cannot replace short message"
            next "send the message without a replace type in TP-PID",
        /// The protocol identifier is refused.
        UNSPECIFIED_PID_ERROR = 0x8F "unspecified TP-PID error"
            next "correct TP-PID",
        /// The alphabet is not supported.
        DCS_NOT_SUPPORTED = 0x90 "data coding scheme not supported"
            next "correct TP-DCS",
        /// The message class is not supported.
        MESSAGE_CLASS_NOT_SUPPORTED = 0x91 "message class not supported"
            next "correct TP-DCS",
        /// The data coding scheme is refused.
        UNSPECIFIED_DCS_ERROR = 0x9F "unspecified TP-DCS error"
            next "correct TP-DCS",
        /// The SMSC cannot execute the SMS-COMMAND.
        COMMAND_CANNOT_BE_ACTIONED = 0xA0 "command cannot be actioned"
            next "check the message to which the command refers",
        /// The SMSC does not support the SMS-COMMAND.
        COMMAND_UNSUPPORTED = 0xA1 "command unsupported"
            next "correct TP-CT",
        /// The SMS-COMMAND is refused.
        UNSPECIFIED_COMMAND_ERROR = 0xAF "unspecified TP-Command error"
            next "correct the command",
        /// The type of the TPDU is not supported.
        TPDU_NOT_SUPPORTED = 0xB0 "TPDU not supported"
            next "correct TP-MTI",
        /// The SMSC is busy.
        SC_BUSY = 0xC0 "SC busy"
            next "retry later",
        /// The subscriber has no subscription at the SMSC.
        NO_SC_SUBSCRIPTION = 0xC1 "no SC subscription"
            next "check the subscription, or the number of the SMSC",
        /// The SMSC has an internal failure.
        SC_SYSTEM_FAILURE = 0xC2 "SC system failure"
            next "read the log of the SMSC",
        /// The destination address is invalid.
        INVALID_SME_ADDRESS = 0xC3 "invalid SME address"
            next "correct the destination number",
        /// The destination is barred.
        DESTINATION_SME_BARRED = 0xC4 "destination SME barred"
            next "check the barring of the destination",
        /// The SMSC has the same message already.
        DUPLICATE_REJECTED = 0xC5 "SM rejected: duplicate SM"
            next "nothing: the earlier message is delivered",
        /// The format of the validity period is not supported.
        VPF_NOT_SUPPORTED = 0xC6 "TP-VPF not supported"
            next "use another format of the validity period",
        /// The validity period is not supported.
        VP_NOT_SUPPORTED = 0xC7 "TP-VP not supported"
            next "use another validity period",
        /// EF.SMS is full.
        SIM_SMS_STORAGE_FULL = 0xD0 "(U)SIM SMS storage full"
            next "delete messages on the card",
        /// The card cannot store messages.
        NO_SMS_STORAGE_ON_SIM = 0xD1 "no SMS storage capability in (U)SIM"
            next "send the message with a class that the device stores",
        /// The device has an internal error.
        ERROR_IN_MS = 0xD2 "error in MS"
            next "retry; restart the device",
        /// The memory of the device is full.
        MEMORY_CAPACITY_EXCEEDED = 0xD3 "memory capacity exceeded"
            next "delete messages on the device",
        /// The card executes a proactive command.
        SIM_TOOLKIT_BUSY = 0xD4 "(U)SIM application toolkit busy"
            next "retry after the proactive session has ended",
        /// The card refused the ENVELOPE: its response data have the reason.
        SIM_DATA_DOWNLOAD_ERROR = 0xD5 "(U)SIM data download error"
            next "check keys, counter and TAR of the secured packet",
        /// Any other error.
        UNSPECIFIED_ERROR = 0xFF "unspecified error cause"
            next "read the log of the sender",
    }
}

// The card's causes are constants of the TPDU codec, too.
const _: () = assert!(TpFailureCause::SIM_TOOLKIT_BUSY.0 == FAILURE_BUSY);
const _: () = assert!(TpFailureCause::SIM_DATA_DOWNLOAD_ERROR.0 == FAILURE_DATA_DOWNLOAD);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_causes_are_in_ascending_order() {
        assert!(EmmCause::ALL.is_sorted_by(|a, b| a < b));
        assert!(FivegmmCause::ALL.is_sorted_by(|a, b| a < b));
        assert!(RpCause::ALL.is_sorted_by(|a, b| a < b));
        assert!(TpFailureCause::ALL.is_sorted_by(|a, b| a < b));
    }
}
