//! Faults of the radio.

use std::time::Duration;

use network::EmmCause;

use super::{Entry, FaultId, Parameter, Places};
use crate::radio::RadioAct;

const DEVICE: &str = "device";
const BARS: &str = "It does not ask again with this subscription, and the device goes back to the profile that it came from.";
const ELSEWHERE: &str =
    "It tries another network; when none takes it, the device goes back to the profile that it came from.";
const LATER: &str = "It tries again, and in the end the device is on a profile that carries it.";

const fn entry(
    act: RadioAct,
    name: &'static str,
    what: &'static str,
    requirement: &'static str,
    clause: &'static str,
    value: Option<Parameter>,
) -> Entry {
    let (id, places) = (FaultId::Radio(act), Places::Network);
    Entry { id, name, what, peer: DEVICE, requirement, clause, answer: "", places, value }
}

const fn refuse(
    cause: EmmCause,
    name: &'static str,
    what: &'static str,
    requirement: &'static str,
    clause: &'static str,
) -> Entry {
    entry(RadioAct::Refuse(cause), name, what, requirement, clause, None)
}

const fn message(
    act: RadioAct,
    name: &'static str,
    what: &'static str,
    requirement: &'static str,
    value: Option<Parameter>,
) -> Entry {
    let clause = "SGP.02 ES5; TS 23.040 3.2, TS 31.115 4";
    let entry = entry(act, name, what, requirement, clause, value);
    Entry { peer: "SM-SR, card", places: Places::Direction, ..entry }
}

pub(super) static ENTRIES: &[Entry] = &[
    entry(RadioAct::Outage, "radio/outage", "The network is not heard.", LATER, "TS 23.122 4.4.3", None),
    entry(
        RadioAct::Flapping,
        "radio/flapping",
        "The network is off the air for a time, on the air for as long, and so on.",
        LATER,
        "TS 23.122 4.4.3",
        Parameter::time("how long it is off, and then on", Duration::from_secs(60)),
    ),
    refuse(
        EmmCause::IMSI_UNKNOWN_IN_HSS,
        "radio/refuse-imsi-unknown-in-hss",
        "The network refuses the device: its home does not know the subscriber (#2).",
        BARS,
        "TS 24.301 5.5.1.2.5",
    ),
    refuse(
        EmmCause::ILLEGAL_UE,
        "radio/refuse-illegal-ue",
        "The network refuses the device: illegal UE (#3).",
        BARS,
        "TS 24.301 5.5.1.2.5",
    ),
    refuse(
        EmmCause::ILLEGAL_ME,
        "radio/refuse-illegal-me",
        "The network refuses the device: illegal ME (#6).",
        BARS,
        "TS 24.301 5.5.1.2.5",
    ),
    refuse(
        EmmCause::EPS_SERVICES_NOT_ALLOWED,
        "radio/refuse-eps-services-not-allowed",
        "The network refuses the device: EPS services not allowed (#7).",
        BARS,
        "TS 24.301 5.5.1.2.5",
    ),
    refuse(
        EmmCause::EPS_AND_NON_EPS_SERVICES_NOT_ALLOWED,
        "radio/refuse-eps-and-non-eps-services-not-allowed",
        "The network refuses the device: EPS services and non-EPS services not allowed (#8).",
        BARS,
        "TS 24.301 5.5.1.2.5",
    ),
    refuse(
        EmmCause::PLMN_NOT_ALLOWED,
        "radio/refuse-plmn-not-allowed",
        "The network refuses the device: PLMN not allowed (#11).",
        ELSEWHERE,
        "TS 24.301 5.5.1.2.5; TS 23.122 3.1",
    ),
    refuse(
        EmmCause::TRACKING_AREA_NOT_ALLOWED,
        "radio/refuse-tracking-area-not-allowed",
        "The network refuses the device: tracking area not allowed (#12).",
        ELSEWHERE,
        "TS 24.301 5.5.1.2.5",
    ),
    refuse(
        EmmCause::ROAMING_NOT_ALLOWED_IN_THIS_TRACKING_AREA,
        "radio/refuse-roaming-not-allowed",
        "The network refuses the device: roaming not allowed in this tracking area (#13).",
        ELSEWHERE,
        "TS 24.301 5.5.1.2.5",
    ),
    refuse(
        EmmCause::EPS_SERVICES_NOT_ALLOWED_IN_THIS_PLMN,
        "radio/refuse-eps-services-not-allowed-in-this-plmn",
        "The network refuses the device: EPS services not allowed in this PLMN (#14).",
        ELSEWHERE,
        "TS 24.301 5.5.1.2.5",
    ),
    refuse(
        EmmCause::NO_SUITABLE_CELLS_IN_TRACKING_AREA,
        "radio/refuse-no-suitable-cells",
        "The network refuses the device: no suitable cells in tracking area (#15).",
        ELSEWHERE,
        "TS 24.301 5.5.1.2.5",
    ),
    refuse(
        EmmCause::NETWORK_FAILURE,
        "radio/refuse-network-failure",
        "The network refuses the device: network failure (#17).",
        LATER,
        "TS 24.301 5.5.1.2.6",
    ),
    refuse(
        EmmCause::CONGESTION,
        "radio/refuse-congestion",
        "The network refuses the device: congestion (#22).",
        LATER,
        "TS 24.301 5.5.1.2.5",
    ),
    refuse(
        EmmCause::PROTOCOL_ERROR_UNSPECIFIED,
        "radio/refuse-protocol-error",
        "The network refuses the device: protocol error, unspecified (#111).",
        LATER,
        "TS 24.301 5.5.1.2.6",
    ),
    entry(
        RadioAct::NoData,
        "radio/no-data",
        "The network takes the device, and carries none of its packets: the APN is wrong, for one.",
        "When nothing is reached through the profile that it has just moved to, the device goes back to the one that it came from.",
        "TS 24.301 6.5.1.4; SGP.22 3.3.1",
        None,
    ),
    entry(
        RadioAct::HomeAuthenticationFailure,
        "radio/home-authentication-failure",
        "The home network's challenge is not made with the card's key.",
        "The card does not answer it (MAC failure), and the device does not stay on a network that cannot prove itself.",
        "TS 33.102 6.3.3; TS 24.301 5.4.2.6",
        None,
    ),
    entry(
        RadioAct::LoseAttachRequest,
        "radio/lose-attach-request",
        "The network does not hear the request to attach.",
        LATER,
        "TS 24.301 5.5.1.2.6",
        None,
    ),
    entry(
        RadioAct::LoseAttachAnswer,
        "radio/lose-attach-answer",
        "The network has let the device in, and the device does not hear of it.",
        "It attaches again; the network has it once.",
        "TS 24.301 5.5.1.2.6, 5.5.1.2.7",
        None,
    ),
    message(
        RadioAct::SmsLose,
        "radio/sms-lose",
        "A short message is taken, and nobody hears of it again.",
        "It is sent again; what cannot be known is looked at.",
        None,
    ),
    message(
        RadioAct::SmsDelay,
        "radio/sms-delay",
        "A short message comes later.",
        "A late one changes nothing that has been done meanwhile; counters see to that.",
        Parameter::time("how much later", Duration::from_secs(600)),
    ),
    message(
        RadioAct::SmsDouble,
        "radio/sms-double",
        "A short message comes twice.",
        "The second is known by its counter, and changes nothing.",
        None,
    ),
    message(
        RadioAct::SmsLoseAnswer,
        "radio/sms-lose-answer",
        "A short message towards a device comes, and that it did is not heard.",
        "It comes again, and the card knows it by its counter.",
        None,
    ),
];
