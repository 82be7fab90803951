//! Device groups, their journeys, and campaigns.

use localize::{Country, Permit};
use rsp::ids::Plmn;
use serde::Deserialize;
use toml::Spanned;

use super::parties::Needs;
use super::values::{Amount, At, Devices, Length};

/// A group of devices of one kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The name by which the rest of the file refers to the group; a word.
    pub name: Spanned<String>,
    /// The standard for their profiles.
    #[serde(default)]
    pub kind: Kind,
    /// The way in which the SM-SR reaches the cards of M2M devices.
    #[serde(default = "by_messages")]
    pub reached_by: Spanned<ReachedBy>,
    /// The binding of ESipa, between IoT devices and their eIMs.
    #[serde(default = "asn1")]
    pub esipa: Spanned<Esipa>,
    /// The number of devices.
    #[serde(default = "one")]
    pub count: Spanned<u32>,
    /// The operator of the bootstrap profile, which is on the cards at first and enabled.
    pub bootstrap: Spanned<Plmn>,
    /// Operators of further profiles on their cards.
    #[serde(default)]
    pub holds: Vec<Spanned<Plmn>>,
    /// The operator of the Fallback Profile of IoT devices, which is one of the profiles on their
    /// cards.
    pub fallback: Option<Spanned<Plmn>>,
    /// The model of the devices.
    #[serde(default)]
    pub model: String,
    /// The billing account of their subscriptions.
    #[serde(default)]
    pub account: String,
    /// The requirements of the devices.
    #[serde(default)]
    pub needs: Needs,
    /// The countries in which the IMEIs of the devices are registered.
    #[serde(default)]
    pub imei_registered_in: Vec<Spanned<Country>>,
    /// Further facts that fulfil requirements of rules and networks.
    #[serde(default)]
    pub permits: Vec<Permit>,
    /// The check-in interval, unless the platform sets a shorter one. For an M2M device, its
    /// operator checks in. For an IoT device, the interval at which its IPA polls the eIM.
    #[serde(default = "daily")]
    pub check_in: Spanned<Length>,
    /// The operator of the preferred profile, to which a device returns when possible. Without it,
    /// a device stays with a profile that works.
    pub prefers: Option<Spanned<Plmn>>,
    /// The time after leaving the preferred profile before a device tries it again.
    #[serde(default = "hourly")]
    pub prefers_after: Spanned<Length>,
    /// The journey.
    pub journey: Vec<Stop>,
    /// The time after which the journey repeats.
    pub repeat: Option<Spanned<Length>>,
}

/// The standard for the profiles of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// SGP.22: the device checks in at the owner's platform, and its LPA downloads profiles from an
    /// SM-DP+.
    #[default]
    Consumer,
    /// SGP.02: the device starts nothing by itself. Its operator checks in at the platform for it,
    /// and has an SM-SR install profiles of an SM-DP on its card.
    M2m,
    /// SGP.32: the IPA of the device polls an eIM, at which the platform orders for it. The device
    /// downloads profiles from an SM-DP+.
    Iot,
}

/// The way in which an SM-SR reaches cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReachedBy {
    /// By short messages only.
    Sms,
    /// Long commands over HTTPS: a short message triggers a session that the card opens.
    Https,
}

/// A binding of ESipa.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Esipa {
    /// ASN.1 over HTTPS.
    Asn1,
    /// JSON over HTTPS.
    Json,
    /// ASN.1 over CoAP.
    Coap,
}

/// A stop of a journey.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The arrival time, from the start of the run, or from the start of the round if the journey
    /// repeats.
    pub at: Spanned<At>,
    /// The maximum random delay of each device.
    #[serde(default)]
    pub spread: Length,
    /// The country. Its networks are received in the order of the file.
    #[serde(rename = "in")]
    pub country: Option<Spanned<Country>>,
    /// The networks that are received, strongest first. An empty list is a place without coverage.
    pub hears: Option<Vec<Spanned<Plmn>>>,
}

/// A campaign of the platform, which moves devices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// Its name; a word.
    pub name: Spanned<String>,
    /// The start time.
    pub at: Spanned<At>,
    /// The target: `"decided"`, which follows the rules and the owner's strategy, or the network of
    /// an operator.
    #[serde(default = "decided")]
    pub target: Spanned<String>,
    /// The devices. Default: all.
    pub devices: Option<Spanned<Devices>>,
    /// Only devices that are in this country when their turn comes.
    pub country: Option<Spanned<Country>>,
    /// True for a campaign without end, which includes every device that becomes eligible. Default:
    /// true for a decided target without a canary.
    pub standing: Option<bool>,
    /// The maximum number of moves that start per hour.
    pub per_hour: Option<u32>,
    /// The maximum number of moves in progress.
    pub at_once: Option<u32>,
    /// The canary devices, which move first.
    pub canary: Option<Canary>,
    /// The conditions under which the campaign stops.
    pub stop: Option<Stops>,
    /// The time windows in which moves may start. Default: always.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// The retries of failed moves.
    #[serde(default)]
    pub retries: Retries,
}

/// The canary of a campaign.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// The number of canary devices, or their share.
    pub devices: Amount,
    /// The observation period between the last canary move and the first move of another device.
    #[serde(default = "day")]
    pub wait: Length,
}

/// The conditions under which a campaign stops.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stops {
    /// The share of failed moves among the ended ones.
    pub failed: Option<Amount>,
    /// The minimum number of ended moves before the share counts.
    pub after: u32,
    /// The number of lost devices.
    pub lost: Option<u32>,
}

/// Hours in which moves may start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The days: `"mon"` to `"sun"`. Default: every day.
    #[serde(default)]
    pub days: Vec<Weekday>,
    /// The first hour (UTC, 0 to 23).
    pub from: Spanned<u8>,
    /// The end hour (1 to 24).
    pub until: Spanned<u8>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are self-explanatory")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// The retries of failed moves.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retries {
    /// The number of retries.
    pub times: u32,
    /// The delay before the first retry. It doubles with each further retry.
    pub after: Length,
    /// The time after the last attempt before a standing campaign starts again with a device.
    pub rest: Length,
}

impl Default for Retries {
    fn default() -> Self {
        Self { times: 0, after: hours(24), rest: hours(7 * 24) }
    }
}

fn hours(hours: u64) -> Length {
    Length(std::time::Duration::from_secs(3600 * hours))
}

fn day() -> Length {
    hours(24)
}

fn daily() -> Spanned<Length> {
    Spanned::new(0..0, hours(24))
}

fn hourly() -> Spanned<Length> {
    Spanned::new(0..0, hours(1))
}

fn one() -> Spanned<u32> {
    Spanned::new(0..0, 1)
}

fn by_messages() -> Spanned<ReachedBy> {
    Spanned::new(0..0, ReachedBy::Sms)
}

fn asn1() -> Spanned<Esipa> {
    Spanned::new(0..0, Esipa::Asn1)
}

fn decided() -> Spanned<String> {
    Spanned::new(0..0, "decided".to_owned())
}
