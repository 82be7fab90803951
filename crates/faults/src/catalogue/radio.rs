//! Catalogue of radio faults.

use std::time::Duration;

use network::EmmCause;

use super::{Entry, FaultId, Parameter, Places};
use crate::acts::RadioAct;

const SMS: &str = "SGP.02 ES5; TS 23.040 3.2, TS 31.115 4";
const BARS: &str =
    "The device does not try again with this subscription. It goes back to the previous profile.";
const UNUSED_ADDRESS: &str =
    "The device tries another network. If none accepts it, it goes back to the previous profile.";
const LATER: &str = "The device tries again. It ends on a profile that gets service.";

const fn entry(act: RadioAct, name: &'static str) -> Entry {
    Entry::new(FaultId::Radio(act), name, Places::Network).peer("device")
}

const fn refuse(cause: EmmCause, name: &'static str) -> Entry {
    entry(RadioAct::Refuse(cause), name)
}

const fn message(act: RadioAct, name: &'static str) -> Entry {
    Entry::new(FaultId::Radio(act), name, Places::Direction).peer("SM-SR, card")
}

pub(super) static ENTRIES: &[Entry] = &[
    entry(RadioAct::Outage, "radio/outage")
        .what("The network has no coverage.")
        .requires(LATER, "TS 23.122 4.4.3"),
    entry(RadioAct::Flapping, "radio/flapping")
        .what("The coverage of the network disappears for a time, returns for the same time, and so on.")
        .requires(LATER, "TS 23.122 4.4.3")
        .value(Parameter::time("length of each phase without and with coverage", Duration::from_secs(60))),
    refuse(EmmCause::IMSI_UNKNOWN_IN_HSS, "radio/refuse-imsi-unknown-in-hss")
        .what("The network rejects the device: IMSI unknown in HSS (#2).")
        .requires(BARS, "TS 24.301 5.5.1.2.5"),
    refuse(EmmCause::ILLEGAL_UE, "radio/refuse-illegal-ue")
        .what("The network rejects the device: illegal UE (#3).")
        .requires(BARS, "TS 24.301 5.5.1.2.5"),
    refuse(EmmCause::ILLEGAL_ME, "radio/refuse-illegal-me")
        .what("The network rejects the device: illegal ME (#6).")
        .requires(BARS, "TS 24.301 5.5.1.2.5"),
    refuse(EmmCause::EPS_SERVICES_NOT_ALLOWED, "radio/refuse-eps-services-not-allowed")
        .what("The network rejects the device: EPS services not allowed (#7).")
        .requires(BARS, "TS 24.301 5.5.1.2.5"),
    refuse(
        EmmCause::EPS_AND_NON_EPS_SERVICES_NOT_ALLOWED,
        "radio/refuse-eps-and-non-eps-services-not-allowed",
    )
        .what("The network rejects the device: EPS services and non-EPS services not allowed (#8).")
        .requires(BARS, "TS 24.301 5.5.1.2.5"),
    refuse(EmmCause::PLMN_NOT_ALLOWED, "radio/refuse-plmn-not-allowed")
        .what("The network rejects the device: PLMN not allowed (#11).")
        .requires(UNUSED_ADDRESS, "TS 24.301 5.5.1.2.5; TS 23.122 3.1"),
    refuse(EmmCause::TRACKING_AREA_NOT_ALLOWED, "radio/refuse-tracking-area-not-allowed")
        .what("The network rejects the device: tracking area not allowed (#12).")
        .requires(UNUSED_ADDRESS, "TS 24.301 5.5.1.2.5"),
    refuse(EmmCause::ROAMING_NOT_ALLOWED_IN_THIS_TRACKING_AREA, "radio/refuse-roaming-not-allowed")
        .what("The network rejects the device: roaming not allowed in this tracking area (#13).")
        .requires(UNUSED_ADDRESS, "TS 24.301 5.5.1.2.5"),
    refuse(
        EmmCause::EPS_SERVICES_NOT_ALLOWED_IN_THIS_PLMN,
        "radio/refuse-eps-services-not-allowed-in-this-plmn",
    )
        .what("The network rejects the device: EPS services not allowed in this PLMN (#14).")
        .requires(UNUSED_ADDRESS, "TS 24.301 5.5.1.2.5"),
    refuse(EmmCause::NO_SUITABLE_CELLS_IN_TRACKING_AREA, "radio/refuse-no-suitable-cells")
        .what("The network rejects the device: no suitable cells in tracking area (#15).")
        .requires(UNUSED_ADDRESS, "TS 24.301 5.5.1.2.5"),
    refuse(EmmCause::NETWORK_FAILURE, "radio/refuse-network-failure")
        .what("The network rejects the device: network failure (#17).")
        .requires(LATER, "TS 24.301 5.5.1.2.6"),
    refuse(EmmCause::CONGESTION, "radio/refuse-congestion")
        .what("The network rejects the device: congestion (#22).")
        .requires(LATER, "TS 24.301 5.5.1.2.5"),
    refuse(EmmCause::PROTOCOL_ERROR_UNSPECIFIED, "radio/refuse-protocol-error")
        .what("The network rejects the device: protocol error, unspecified (#111).")
        .requires(LATER, "TS 24.301 5.5.1.2.6"),
    entry(RadioAct::NoData, "radio/no-data")
        .what("The network accepts the device but carries none of its packets, for example because the APN is wrong.")
        .requires(
            "If no server is reachable through the new profile, the device goes back to the previous one.",
            "TS 24.301 6.5.1.4; SGP.22 3.3.1",
        ),
    entry(RadioAct::HomeAuthenticationFailure, "radio/home-authentication-failure")
        .what("The challenge of the home network is not made with the key of the card.")
        .requires(
            "The card rejects the challenge (MAC failure), and the device leaves the network that failed to authenticate.",
            "TS 33.102 6.3.3; TS 24.301 5.4.2.6",
        ),
    entry(RadioAct::LoseAttachRequest, "radio/lose-attach-request")
        .what("The attach request is lost.")
        .requires(LATER, "TS 24.301 5.5.1.2.6"),
    entry(RadioAct::LoseAttachAnswer, "radio/lose-attach-answer")
        .what("The network accepts the device, but the attach accept is lost.")
        .requires(
            "The device attaches again, and the network registers it only once.",
            "TS 24.301 5.5.1.2.6, 5.5.1.2.7",
        ),
    message(RadioAct::SmsLose, "radio/sms-lose")
        .what("A short message is accepted for delivery and then lost.")
        .requires("The message is sent again. If its effect is unknown, the state of the card is read.", SMS),
    message(RadioAct::SmsDelay, "radio/sms-delay")
        .what("A short message is delayed.")
        .requires("A late message does not undo later changes; its counter prevents that.", SMS)
        .value(Parameter::time("delay", Duration::from_secs(600))),
    message(RadioAct::SmsDouble, "radio/sms-double")
        .what("A short message is delivered twice.")
        .requires("The receiver detects the second copy by its counter, and it changes nothing.", SMS),
    message(RadioAct::SmsLoseAnswer, "radio/sms-lose-answer")
        .what("A short message to a device is delivered, but its delivery report is lost.")
        .requires("The message is sent again, and the card detects the copy by its counter.", SMS),
];
