//! Networks, operators and the owner.

use localize::{Bandwidth, Country, Criticality, Latency, NumberRange, Permit, Requirement};
use rsp::ids::Plmn;
use serde::Deserialize;
use toml::Spanned;

use super::values::{At, Length, Partners};

/// A network.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The network code.
    pub plmn: Spanned<Plmn>,
    /// The name. Default: the network code.
    pub name: Option<String>,
    /// The country. Default: derived from the network code.
    pub country: Option<Spanned<Country>>,
    /// The operators whose subscribers may roam here.
    #[serde(default)]
    pub partners: Partners,
    /// The bearer of the devices in this network.
    #[serde(default = "lte")]
    pub bearer: Spanned<String>,
    /// The times without coverage.
    #[serde(default)]
    pub away: Vec<Away>,
    /// The treatment of devices that roam for too long.
    pub roamers: Option<Roamers>,
}

/// A time during which something is unavailable.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Away {
    /// The start.
    pub from: Spanned<At>,
    /// The end. Default: never.
    pub until: Option<Spanned<At>>,
}

/// The treatment of devices that roam for too long: the network counts their days, and rejects or
/// throttles them after a limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roamers {
    /// The last day on which the network serves them fully.
    pub days: u32,
    /// The length of the sliding window in days. Default: consecutive days are counted.
    pub within: Option<u32>,
    /// The identity that the network counts.
    #[serde(default)]
    pub by: KnownBy,
    /// If not empty: counts only subscribers of these networks or numbering ranges.
    #[serde(default)]
    pub home_networks: Vec<NumberRange>,
    /// If not empty: a device that fulfils all of these requirements is not counted. Default: by
    /// IMEI, the registration of the IMEI, otherwise none.
    pub requires: Option<Vec<Requirement>>,
    /// The reject cause (TS 24.301 section 9.9.3.9).
    #[serde(default = "not_allowed")]
    pub cause: u8,
    /// The data rate in kilobits per second after the limit. If present, the devices are throttled
    /// and not rejected.
    pub throttle_kbps: Option<Spanned<u32>>,
}

impl Roamers {
    /// The requirements that lift the limit.
    pub fn requirements(&self) -> &[Requirement] {
        match (&self.requires, self.by) {
            (Some(requires), _) => requires,
            (None, KnownBy::Imei) => &[Requirement::ImeiRegistration],
            (None, KnownBy::Imsi) => &[],
        }
    }
}

/// The identity by which a network counts a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// The subscription. With another subscription, the count starts again.
    #[default]
    Imsi,
    /// The device itself, with any subscription.
    Imei,
}

/// An operator: its subscribers, and its profiles for further subscribers at an SM-DP+.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The home network of its subscribers.
    pub network: Spanned<Plmn>,
    /// The name. Default: the name of the network.
    pub name: Option<String>,
    /// The number of profiles that the owner can order.
    #[serde(default = "nothing")]
    pub stock: Spanned<u32>,
    /// The profile type in orders (ES2+ profileType).
    #[serde(rename = "type")]
    pub profile_type: Option<String>,
    /// The priority; 1 comes before 2.
    #[serde(default = "first")]
    pub priority: u32,
    /// The name of the SM-DP+ with the profiles. Operators can share an SM-DP+.
    #[serde(default = "the_sm_dp")]
    pub sm_dp: Spanned<String>,
    /// The further identities in its profiles. An applet on the card selects one by country.
    #[serde(default)]
    pub identities: Vec<Identity>,
    /// True if its subscribers may roam.
    #[serde(default = "yes")]
    pub roaming: bool,
    /// True if the operator serves a subscription only in the first device, by IMEI, that used the
    /// subscription.
    #[serde(default)]
    pub imei_lock: bool,
}

/// A further identity in the profiles of an operator: a subscription of another operator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The countries in which it is used.
    #[serde(rename = "in")]
    pub countries: Vec<Spanned<Country>>,
    /// The operator of the subscription.
    pub of: Spanned<Plmn>,
}

/// The owner of the devices.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Owner {
    /// The time before a rule breach at which a device moves; whole days.
    pub lead_time: Option<Spanned<Length>>,
    /// The time during which an operator that rejected a device is avoided; whole days.
    pub retry_after: Option<Spanned<Length>>,
    /// The countries in which the owner has a registered presence.
    pub registered_in: Vec<Spanned<Country>>,
    /// Facts that fulfil requirements of rules and networks for all devices of the owner.
    pub permits: Vec<Permit>,
    /// The strategy that applies after the rows of the file.
    pub strategy: Source,
    /// The rules that apply in addition to those of the file.
    pub rules: Option<Source>,
    /// The time without contact after which a device counts as unreachable.
    pub silent_after: Option<Length>,
}

/// Selects built-in data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The data that comes with Landfall.
    BuiltIn,
    /// Only the data of the file.
    #[default]
    None,
}

/// The requirements of devices, in the terms of `localize`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Needs {
    /// The consequence of losing service.
    pub criticality: Criticality,
    /// The data volume.
    pub bandwidth: Bandwidth,
    /// The tolerable delay.
    pub latency: Latency,
}

fn lte() -> Spanned<String> {
    Spanned::new(0..0, "lte".to_owned())
}

fn nothing() -> Spanned<u32> {
    Spanned::new(0..0, 0)
}

fn the_sm_dp() -> Spanned<String> {
    Spanned::new(0..0, "sm-dp".to_owned())
}

fn not_allowed() -> u8 {
    network::EmmCause::PLMN_NOT_ALLOWED.0
}

fn first() -> u32 {
    1
}

fn yes() -> bool {
    true
}
