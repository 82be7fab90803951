//! Expectations.

use std::fmt;

use localize::Country;
use rsp::ids::Plmn;
use serde::Deserialize;
use toml::Spanned;

use super::error::{InvalidScenario, Text};
use super::values::{Amount, At, Devices, Length};
use testbed::fault_places::{EimPlace, SmSrPlace};

/// A condition that must hold at a moment.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The time of the check.
    pub at: At,
    /// The description by the author, if there is one.
    pub that: Option<String>,
    /// The condition.
    pub what: Expected,
    /// The limits of the counted number. If devices are counted and no limit is given, all of them
    /// must fulfil the condition.
    pub limit: Limit,
    /// The line in the file.
    pub line: usize,
}

/// The subject of an expectation.
#[derive(Clone, Debug)]
pub enum Expected {
    /// A number of devices fulfil all of these conditions.
    Devices {
        /// The devices that are considered. Default: all.
        devices: Option<Spanned<Devices>>,
        /// The conditions on each device.
        conditions: Vec<Condition>,
    },
    /// The number of events since the start of the run.
    Count {
        /// The kind of event.
        what: Counter,
        /// The devices that are considered. Default: all.
        devices: Option<Spanned<Devices>>,
        /// The campaign that is considered.
        campaign: Option<Spanned<String>>,
    },
    /// A campaign is in this state.
    Campaign {
        /// The name of the campaign.
        campaign: Spanned<String>,
        /// The state as the platform calls it: draft, canary, running, paused, stopped, done,
        /// rolling-back, rolled-back.
        is: String,
    },
    /// The number of times that a fault happened.
    Fault {
        /// The name of the fault.
        name: String,
    },
}

/// A condition on a device.
#[derive(Clone, Debug)]
pub enum Condition {
    /// The device is registered on this network.
    On(Plmn),
    /// A profile of this operator is enabled.
    With(Plmn),
    /// The device is registered as a subscriber of this operator, with a profile of any operator.
    As(Plmn),
    /// A profile of this operator is on its card.
    Holds(Plmn),
    /// The device is in coverage of the networks of this country.
    In(Country),
    /// The device is registered on a network, or not.
    Registered(bool),
    /// The platform reports this state: working, moving, unreachable, stuck, retired.
    State(String),
    /// The card, the platform and the SM-DP+ agree about the profiles of the device, or not.
    Agrees(bool),
    /// This SM-SR manages the card.
    ManagedBy(SmSrPlace),
    /// This eIM manages the card, and no other one.
    ManagedByEim(EimPlace),
    /// No period without service was longer than this, while the device had power and coverage.
    DarkAtMost(Length),
    /// The device breaks no rule (`true`), or breaks a rule (`false`). The rules are applied to the
    /// real stays of the device, not to those in the platform's records.
    WithinRules(bool),
    /// The network that serves the device limits its data rate (`true`), or does not (`false`).
    Throttled(bool),
    /// The device and the platform communicated within this time.
    HeardWithin(Length),
}

/// Counters for expectations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counter {
    /// Rule breaches. Each rule counts once per device and is applied to the real stays.
    Breaches,
    /// Moves that ended on the target profile.
    Moved,
    /// Moves that ended on the previous profile.
    CameBack,
    /// Moves for which nothing was installed.
    NotInstalled,
    /// Devices that need a visit: none of their profiles gets service at their location.
    Visits,
    /// Profiles that disappeared from a card without being deleted, and profiles that are on a card
    /// twice.
    ProfilesLost,
    /// Times that a device lost its registration and registered again by itself.
    Recoveries,
    /// Times that a device switched to another identity of the same profile.
    Identities,
    /// Times that a network rejected a device.
    Refusals,
    /// Check-ins of devices.
    CheckIns,
    /// Times that a device woke up. M2M devices stay on and never wake up.
    WakeUps,
    /// Differences between records and card that the platform found.
    Findings,
    /// Octets over bearers, in both directions.
    Octets,
    /// Cost of bearers and visits, in the currency of the price list.
    Cost,
    /// Faults that happened.
    Faults,
}

/// Limits of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limit {
    /// The minimum.
    pub at_least: Option<Amount>,
    /// The maximum.
    pub at_most: Option<Amount>,
}

impl Limit {
    /// True if `number`, out of `of` possible ones, is within the limits.
    pub fn holds(self, number: f64, of: u64) -> bool {
        self.at_least.is_none_or(|least| number >= least.of(of))
            && self.at_most.is_none_or(|most| number <= most.of(of))
    }
}

impl fmt::Display for Expectation {
    /// Describes the expectation, for expectations without a description by the author.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |devices: &Option<Spanned<Devices>>| {
            devices.as_ref().map_or_else(|| "all devices".to_owned(), |devices| devices.get_ref().to_string())
        };
        match &self.what {
            Expected::Devices { devices, conditions } => {
                let conditions: Vec<_> = conditions.iter().map(Condition::to_string).collect();
                write!(f, "{}{}: {}", self.limit, of(devices), conditions.join(" and "))
            }
            Expected::Count { what, devices, campaign } => {
                let whose =
                    devices.as_ref().map_or_else(String::new, |devices| format!(" of {}", devices.get_ref()));
                let of = campaign
                    .as_ref()
                    .map_or_else(String::new, |campaign| format!(" in {}", campaign.get_ref()));
                write!(f, "{}{what}{whose}{of}", self.limit)
            }
            Expected::Campaign { campaign, is } => write!(f, "campaign {} is {is}", campaign.get_ref()),
            Expected::Fault { name } => write!(f, "{}{name} happened", self.limit),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.at_least, self.at_most) {
            (None, None) => Ok(()),
            (Some(least), Some(most)) if least == most => write!(f, "{least} "),
            (Some(least), Some(most)) => write!(f, "{least} to {most} "),
            (Some(least), None) => write!(f, "at least {least} "),
            (None, Some(most)) => write!(f, "at most {most} "),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |is: &bool| if *is { "" } else { "not " };
        match self {
            Self::On(plmn) => write!(f, "on {plmn}"),
            Self::With(plmn) => write!(f, "with a profile of {plmn}"),
            Self::As(plmn) => write!(f, "as a subscriber of {plmn}"),
            Self::Holds(plmn) => write!(f, "a profile of {plmn} on the card"),
            Self::In(country) => write!(f, "in {country}"),
            Self::Registered(is) => write!(f, "{}registered", not(is)),
            Self::State(state) => f.write_str(state),
            Self::Agrees(is) => write!(f, "card and records {}agree", if *is { "" } else { "do not " }),
            Self::ManagedBy(sm_sr) => write!(f, "managed by {sm_sr}"),
            Self::ManagedByEim(eim) => write!(f, "managed by {eim}"),
            Self::DarkAtMost(length) => write!(f, "never without service for more than {length}"),
            Self::WithinRules(is) => write!(f, "{}within the rules", not(is)),
            Self::Throttled(is) => write!(f, "{}throttled", not(is)),
            Self::HeardWithin(length) => write!(f, "in contact with the platform within {length}"),
        }
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Breaches => "breaches of rules",
            Self::Moved => "successful moves",
            Self::CameBack => "moves that ended on the previous profile",
            Self::NotInstalled => "moves for which nothing was installed",
            Self::Visits => "devices that need a visit",
            Self::ProfilesLost => "profiles lost or duplicated",
            Self::Recoveries => "recoveries",
            Self::Identities => "changes of identity",
            Self::Refusals => "refusals",
            Self::CheckIns => "check-ins",
            Self::WakeUps => "wake-ups",
            Self::Findings => "findings of the reconciler",
            Self::Octets => "octets",
            Self::Cost => "cost",
            Self::Faults => "faults that happened",
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectEntry {
    #[serde(default = "end")]
    at: At,
    that: Option<String>,
    devices: Option<Spanned<Devices>>,
    on: Option<Plmn>,
    with: Option<Plmn>,
    #[serde(rename = "as")]
    subscriber_of: Option<Plmn>,
    holds: Option<Plmn>,
    #[serde(rename = "in")]
    country: Option<Country>,
    registered: Option<bool>,
    state: Option<Spanned<String>>,
    agrees: Option<bool>,
    sm_sr: Option<SmSrPlace>,
    eim: Option<EimPlace>,
    dark_at_most: Option<Length>,
    within_rules: Option<bool>,
    throttled: Option<bool>,
    heard_within: Option<Length>,
    count: Option<Counter>,
    campaign: Option<Spanned<String>>,
    is: Option<Spanned<String>>,
    fault: Option<Spanned<String>>,
    exactly: Option<Amount>,
    at_least: Option<Amount>,
    at_most: Option<Amount>,
}

fn end() -> At {
    At::End
}

const STATES: [&str; 5] = ["working", "moving", "unreachable", "stuck", "retired"];
const CAMPAIGN_STATES: [&str; 8] =
    ["draft", "canary", "running", "paused", "stopped", "done", "rolling-back", "rolled-back"];

impl ExpectEntry {
    pub(super) fn check(entry: Spanned<Self>, source: Text<'_>) -> Result<Expectation, InvalidScenario> {
        let span = entry.span();
        let entry = entry.into_inner();
        let bad = |what: &str, next: &str| Err(source.error(span.clone(), what, next));
        let limit = match (entry.exactly, entry.at_least, entry.at_most) {
            (Some(exactly), None, None) => Limit { at_least: Some(exactly), at_most: Some(exactly) },
            (None, at_least, at_most) => Limit { at_least, at_most },
            _ => {
                return bad(
                    "exactly cannot be combined with at_least or at_most",
                    "use exactly alone, or at_least and at_most",
                );
            }
        };
        let known = |word: &Spanned<String>, words: &[&str]| match words.contains(&word.get_ref().as_str()) {
            true => Ok(()),
            false => {
                let what = format!("{:?} is not a known state", word.get_ref());
                Err(source.error(word.span(), what, format!("use one of {}", words.join(", "))))
            }
        };
        let conditions = entry.conditions();
        if let Some(state) = &entry.state {
            known(state, &STATES)?;
        }
        let has_limit = limit != Limit::default();
        let what = match (conditions.is_empty(), entry.count, entry.is, entry.fault) {
            (false, None, None, None) if entry.campaign.is_none() => {
                Expected::Devices { devices: entry.devices, conditions }
            }
            (true, Some(_), None, None) if !has_limit => {
                return bad("count needs a limit", "add exactly, at_least or at_most");
            }
            (true, Some(what), None, None) => {
                let counts_moves = matches!(what, Counter::Moved | Counter::CameBack | Counter::NotInstalled);
                if entry.campaign.is_some() && (!counts_moves || entry.devices.is_some()) {
                    let next = "remove campaign, or remove devices";
                    return bad(
                        "only moves can be counted for a campaign: moved, came-back, not-installed",
                        next,
                    );
                }
                Expected::Count { what, devices: entry.devices, campaign: entry.campaign }
            }
            (true, None, Some(is), None) if !has_limit && entry.devices.is_none() => {
                known(&is, &CAMPAIGN_STATES)?;
                let Some(campaign) = entry.campaign else {
                    return bad("is needs a campaign", "add campaign = \"its name\"");
                };
                Expected::Campaign { campaign, is: is.into_inner() }
            }
            (true, None, None, Some(fault)) if entry.devices.is_none() && entry.campaign.is_none() => {
                if faults::catalogue::named(fault.get_ref()).is_none() {
                    let what = format!("there is no fault named {:?}", fault.get_ref());
                    return Err(source.error(fault.span(), what, "`landfall faults` lists all faults"));
                }
                Expected::Fault { name: fault.into_inner() }
            }
            (true, None, None, None) => {
                let next = "add a condition on devices (on, with, as, holds, in, registered, state, agrees, sm_sr, eim, dark_at_most, within_rules, throttled, heard_within), or count, or campaign and is, or fault";
                return bad("this expectation is empty", next);
            }
            _ => {
                let next =
                    "write one [[expect]] each for conditions on devices, count, campaign with is, and fault";
                return bad("this expectation has several subjects", next);
            }
        };
        Ok(Expectation { at: entry.at, that: entry.that, what, limit, line: source.line(span.start) })
    }

    fn conditions(&self) -> Vec<Condition> {
        [
            self.on.map(Condition::On),
            self.with.map(Condition::With),
            self.subscriber_of.map(Condition::As),
            self.holds.map(Condition::Holds),
            self.country.map(Condition::In),
            self.registered.map(Condition::Registered),
            self.state.as_ref().map(|state| Condition::State(state.get_ref().clone())),
            self.agrees.map(Condition::Agrees),
            self.sm_sr.map(Condition::ManagedBy),
            self.eim.map(Condition::ManagedByEim),
            self.dark_at_most.map(Condition::DarkAtMost),
            self.within_rules.map(Condition::WithinRules),
            self.throttled.map(Condition::Throttled),
            self.heard_within.map(Condition::HeardWithin),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
