//! Networks, operators, the owner.

use localize::{Bandwidth, Country, Criticality, Latency};
use rsp::ids::Plmn;
use serde::Deserialize;
use toml::Spanned;

use super::words::{At, Length, Partners};

/// A network: what a device hears.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Which.
    pub plmn: Spanned<Plmn>,
    /// Its name; its number if there is none.
    pub name: Option<String>,
    /// Where it is; by its number if that is not said.
    pub country: Option<Spanned<Country>>,
    /// Whose subscribers it takes besides its own.
    #[serde(default)]
    pub partners: Partners,
    /// What devices send over.
    #[serde(default = "lte")]
    pub bearer: Spanned<String>,
    /// When it is not on the air.
    #[serde(default)]
    pub away: Vec<Away>,
    /// What it does about devices that roam in it for too long.
    pub roamers: Option<Roamers>,
}

/// A time in which something is not there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Away {
    /// From when.
    pub from: Spanned<At>,
    /// Until when; for good if that is not said.
    pub until: Option<Spanned<At>>,
}

/// A network's way with devices that roam in it for too long: it counts days itself and refuses them from then on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roamers {
    /// The last day that it lets pass.
    pub days: u32,
    /// Of how many; days in a row if that is not said.
    pub within: Option<u32>,
    /// What it knows them by.
    #[serde(default)]
    pub by: KnownBy,
    /// With which cause it refuses them (TS 24.301 section 9.9.3.9).
    #[serde(default = "not_allowed")]
    pub cause: u8,
}

/// What a network knows a device by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownBy {
    /// Its subscription: with another it is another.
    #[default]
    Imsi,
    /// The device itself, whatever subscription it has; unless its IMEI is registered in the country.
    Imei,
}

/// An operator: has subscribers, and profiles for more of them at an SM-DP+.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The home network of its subscribers.
    pub network: Spanned<Plmn>,
    /// Its name; that of the network if there is none.
    pub name: Option<String>,
    /// How many profiles it has for the owner to order.
    #[serde(default = "nothing")]
    pub stock: Spanned<u32>,
    /// What they are called in an order (ES2+ profileType).
    #[serde(rename = "type")]
    pub profile_type: Option<String>,
    /// 1 is tried before 2.
    #[serde(default = "first")]
    pub priority: u32,
    /// Which SM-DP+ has them; operators that name the same one share it.
    #[serde(default = "the_sm_dp")]
    pub sm_dp: Spanned<String>,
    /// Who else a device with one of its profiles can be: an applet on the card picks by country.
    #[serde(default)]
    pub identities: Vec<Identity>,
    /// Whether it lets its subscribers roam.
    #[serde(default = "yes")]
    pub roaming: bool,
    /// Whether it serves a subscription only in the device that had it first (by its IMEI).
    #[serde(default)]
    pub imei_lock: bool,
}

/// A further identity behind the profiles of an operator: a subscription of another one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Where it is used.
    #[serde(rename = "in")]
    pub countries: Vec<Spanned<Country>>,
    /// Whose subscriber the device is there.
    pub of: Spanned<Plmn>,
}

/// The owner of the devices.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Owner {
    /// How long before a rule is broken a device moves; whole days.
    pub lead_time: Option<Spanned<Length>>,
    /// How long an operator that refused a device is left alone; whole days.
    pub retry_after: Option<Spanned<Length>>,
    /// Where the owner is present and registered.
    pub registered_in: Vec<Spanned<Country>>,
    /// Which strategy's rows the owner goes by, before those of the file.
    pub strategy: Source,
    /// Which rules are known, besides those of the file.
    pub rules: Option<Source>,
    /// From when on a device that is not heard of counts as unreachable.
    pub silent_after: Option<Length>,
}

/// Data that comes with Landfall, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// What comes with Landfall.
    BuiltIn,
    /// Only what the file has.
    #[default]
    None,
}

/// What devices need; in the words of `localize`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Needs {
    /// What it means when one is out of reach.
    pub criticality: Criticality,
    /// How much they send.
    pub bandwidth: Bandwidth,
    /// How long they can wait.
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
