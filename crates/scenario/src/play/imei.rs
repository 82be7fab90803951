//! The IMEIs of simulated devices.

use rsp::ids::Eid;

/// The IMEI of a device.
pub(super) type Imei = u64;

/// Derives the IMEI of a device from the EID of its card.
pub(super) fn imei(eid: Eid) -> Imei {
    let digits = eid.to_string();
    digits.get(14..30).and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// The IMEI in the form for cards: fifteen digits.
pub(super) fn told_imei(imei: Imei) -> rsp::ota::cat::Imei {
    let digits = format!("{:015}", imei % 1_000_000_000_000_000);
    rsp::ota::cat::Imei::of_digits(&digits).unwrap_or(device::AlwaysOnSettings::default().imei)
}

/// The IMEI in the form for the platform and the rules.
pub(super) fn reported_imei(imei: Imei) -> Option<localize::Imei> {
    told_imei(imei).digits().parse().ok()
}

/// The IMEI of a thief's device, which no device of the fleet has.
pub(super) fn thief(eid: Eid) -> Imei {
    imei(eid) | (1 << 63)
}
