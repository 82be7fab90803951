//! Devices, where they go, and campaigns that move them.

use localize::Country;
use rsp::ids::Plmn;
use serde::Deserialize;
use toml::Spanned;

use super::parties::Needs;
use super::words::{Amount, At, Devices, Length};

/// Devices of one kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// By which the rest of the file names them; a word.
    pub name: Spanned<String>,
    /// By which standard their profiles come.
    #[serde(default)]
    pub kind: Kind,
    /// How the SM-SR reaches their cards, if they are M2M ones.
    #[serde(default = "by_messages")]
    pub reached_by: Spanned<ReachedBy>,
    /// How many.
    #[serde(default = "one")]
    pub count: Spanned<u32>,
    /// The operator of the profile that is on their cards from the beginning, and enabled.
    pub bootstrap: Spanned<Plmn>,
    /// Operators of further profiles on their cards.
    #[serde(default)]
    pub holds: Vec<Spanned<Plmn>>,
    /// What they are.
    #[serde(default)]
    pub model: String,
    /// By which account their subscriptions are paid.
    #[serde(default)]
    pub account: String,
    /// What they need.
    #[serde(default)]
    pub needs: Needs,
    /// Where their IMEIs are registered.
    #[serde(default)]
    pub imei_registered_in: Vec<Spanned<Country>>,
    /// How often one asks the platform, or its operator does for an M2M one, if it is not told otherwise.
    #[serde(default = "daily")]
    pub check_in: Spanned<Length>,
    /// The operator whose profile a device goes back to when it can; with none it stays with what works.
    pub prefers: Option<Spanned<Plmn>>,
    /// How long after it left its preferred profile a device tries it again.
    #[serde(default = "hourly")]
    pub prefers_after: Spanned<Length>,
    /// Where they go.
    pub journey: Vec<Stop>,
    /// After so long the journey begins again.
    pub repeat: Option<Spanned<Length>>,
}

/// By which standard the profiles of devices come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// SGP.22: the device asks the owner's platform, and its LPA fetches profiles from an SM-DP+.
    #[default]
    Consumer,
    /// SGP.02: the device asks nobody; its operator asks the platform for it, and has an SM-SR bring profiles of an SM-DP to its card.
    M2m,
}

/// How an SM-SR reaches cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReachedBy {
    /// By short messages, whatever it is.
    Sms,
    /// What is long it has them fetch over HTTPS: a short message wakes the card, and the card comes.
    Https,
}

/// A place on the way.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// When a device gets there; from the beginning of the run, or of the round if the journey repeats.
    pub at: Spanned<At>,
    /// Every device so much later as its dice say, at most.
    #[serde(default)]
    pub spread: Length,
    /// Which country; its networks are heard in the order of the file.
    #[serde(rename = "in")]
    pub country: Option<Spanned<Country>>,
    /// Which networks are heard, strongest first; none is a place without coverage.
    pub hears: Option<Vec<Spanned<Plmn>>>,
}

/// A campaign: the platform moves devices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// Its name; a word.
    pub name: Spanned<String>,
    /// When it begins.
    pub at: Spanned<At>,
    /// Where to: `"decided"`, as the rules and the owner's strategy say; or an operator's network.
    #[serde(default = "decided")]
    pub target: Spanned<String>,
    /// Which devices.
    pub devices: Option<Spanned<Devices>>,
    /// Only those that are here when their turn comes.
    pub country: Option<Spanned<Country>>,
    /// Without end: a device is one of them whenever it is selected; by itself if the target is decided and there is no canary.
    pub standing: Option<bool>,
    /// How many begin in an hour, at most.
    pub per_hour: Option<u32>,
    /// How many are under way at once, at most.
    pub at_once: Option<u32>,
    /// Who goes first.
    pub canary: Option<Canary>,
    /// When it stops by itself.
    pub stop: Option<Stops>,
    /// When moves may begin; always if nothing is said.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// How a failed move is tried again.
    #[serde(default)]
    pub retries: Retries,
}

/// A few that go first.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// How many: a number or a share.
    pub devices: Amount,
    /// How long after the last of them the others follow.
    #[serde(default = "day")]
    pub wait: Length,
}

/// When a campaign stops by itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stops {
    /// When so many of those that ended have failed: a share.
    pub failed: Option<Amount>,
    /// But not before so many have ended.
    pub after: u32,
    /// When so many devices are lost.
    pub lost: Option<u32>,
}

/// Hours in which moves may begin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// On which days: `"mon"` to `"sun"`; on each if nothing is said.
    #[serde(default)]
    pub days: Vec<Weekday>,
    /// From this hour (UTC, 0 to 23).
    pub from: Spanned<u8>,
    /// Until this hour (1 to 24).
    pub until: Spanned<u8>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// How a failed move is tried again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retries {
    /// How often.
    pub times: u32,
    /// How long after; twice as long after each further one.
    pub after: Length,
    /// A standing campaign begins anew with a device so long after its last try.
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

fn decided() -> Spanned<String> {
    Spanned::new(0..0, "decided".to_owned())
}
