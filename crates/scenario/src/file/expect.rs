//! What is expected.

use std::fmt;

use localize::Country;
use rsp::ids::Plmn;
use serde::Deserialize;
use toml::Spanned;

use super::error::{NotAScenario, Text};
use super::story::SmSr;
use super::words::{Amount, At, Devices, Length};

/// Something that is to be so at a moment.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// When.
    pub at: At,
    /// In the author's words, if there are any.
    pub that: Option<String>,
    /// What.
    pub what: Expected,
    /// How many of what is counted; of devices all if nothing is said.
    pub limit: Limit,
    /// Where it stands in the file.
    pub line: usize,
}

/// What is to be so.
#[derive(Clone, Debug)]
pub enum Expected {
    /// So many devices are as these conditions say, all of them.
    Devices {
        /// Of these.
        devices: Option<Spanned<Devices>>,
        /// What is so of each.
        conditions: Vec<Condition>,
    },
    /// So many of something since the beginning.
    Count {
        /// Of what.
        what: Counter,
        /// At these devices; at all.
        devices: Option<Spanned<Devices>>,
        /// In this campaign.
        campaign: Option<Spanned<String>>,
    },
    /// A campaign is in this state.
    Campaign {
        /// Which.
        campaign: Spanned<String>,
        /// In the platform's word: draft, canary, running, paused, stopped, done, rolling-back, rolled-back.
        is: String,
    },
    /// A fault happened so often.
    Fault {
        /// Its name.
        name: String,
    },
}

/// What is so of a device.
#[derive(Clone, Debug)]
pub enum Condition {
    /// It is registered on this network.
    On(Plmn),
    /// The profile of this operator is enabled.
    With(Plmn),
    /// It is registered as a subscriber of this operator, whosever the profile is.
    As(Plmn),
    /// A profile of this operator is on its card.
    Holds(Plmn),
    /// It is where this country's networks are heard.
    In(Country),
    /// It is registered somewhere, or is not.
    Registered(bool),
    /// The platform has it in this state: working, moving, unreachable, stuck, retired.
    State(String),
    /// Card, platform and SM-DP+ say the same of its profiles.
    Agrees(bool),
    /// This SM-SR manages its card.
    ManagedBy(SmSr),
    /// It was never without a network for longer, while it had power and one was heard.
    DarkAtMost(Length),
    /// It breaks no rule, as the days are that it really had.
    WithinRules(bool),
    /// It heard of the platform, or was heard, within so long.
    HeardWithin(Length),
}

/// What can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counter {
    /// Rules that devices broke, each once for a device, as the days are that it really had.
    Breaches,
    /// Moves that ended where they were to end.
    Moved,
    /// Moves that ended on the profile before.
    CameBack,
    /// Moves for which nothing was installed.
    NotInstalled,
    /// Devices that nothing but a visit helps: none of their profiles carries them where they are.
    Visits,
    /// Profiles that were on a card and are not, though nobody deleted them; and those that are there twice.
    ProfilesLost,
    /// Times that a device lost its registration and found one by itself.
    Recoveries,
    /// Times that a device went on as another identity of the same profile.
    Identities,
    /// Times that a network refused a device.
    Refusals,
    /// Times that a device asked the platform.
    CheckIns,
    /// Times that the platform found records and card to differ.
    Findings,
    /// Octets over bearers, both ways.
    Octets,
    /// Money for bearers and visits, in the currency of the costs.
    Cost,
    /// Times that any fault happened.
    Faults,
}

/// How many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limit {
    /// No fewer.
    pub at_least: Option<Amount>,
    /// No more.
    pub at_most: Option<Amount>,
}

impl Limit {
    /// Whether so many, of so many that it could have been, is within it.
    pub fn holds(self, number: f64, of: u64) -> bool {
        self.at_least.is_none_or(|least| number >= least.of(of))
            && self.at_most.is_none_or(|most| number <= most.of(of))
    }
}

impl fmt::Display for Expectation {
    /// As a sentence, where its author gave none.
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
            Expected::Fault { name } => write!(f, "{}{name} struck", self.limit),
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
            Self::DarkAtMost(length) => write!(f, "never without a network for more than {length}"),
            Self::WithinRules(is) => write!(f, "{}within the rules", not(is)),
            Self::HeardWithin(length) => write!(f, "heard of within {length}"),
        }
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Breaches => "breaches of rules",
            Self::Moved => "moves that ended well",
            Self::CameBack => "moves that ended on the former profile",
            Self::NotInstalled => "moves for which nothing was installed",
            Self::Visits => "devices that must be visited",
            Self::ProfilesLost => "profiles lost or doubled",
            Self::Recoveries => "recoveries",
            Self::Identities => "changes of identity",
            Self::Refusals => "refusals",
            Self::CheckIns => "check-ins",
            Self::Findings => "findings of the reconciler",
            Self::Octets => "octets",
            Self::Cost => "of the currency spent",
            Self::Faults => "faults that struck",
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
    sm_sr: Option<SmSr>,
    dark_at_most: Option<Length>,
    within_rules: Option<bool>,
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
    pub(super) fn check(entry: Spanned<Self>, source: Text<'_>) -> Result<Expectation, NotAScenario> {
        let span = entry.span();
        let entry = entry.into_inner();
        let bad = |what: &str, next: &str| Err(source.error(span.clone(), what, next));
        let limit = match (entry.exactly, entry.at_least, entry.at_most) {
            (Some(exactly), None, None) => Limit { at_least: Some(exactly), at_most: Some(exactly) },
            (None, at_least, at_most) => Limit { at_least, at_most },
            _ => {
                return bad(
                    "exactly stands beside at_least or at_most",
                    "give one of them, or the latter two",
                );
            }
        };
        let known = |word: &Spanned<String>, words: &[&str]| match words.contains(&word.get_ref().as_str()) {
            true => Ok(()),
            false => {
                let what = format!("{:?} is no state here", word.get_ref());
                Err(source.error(word.span(), what, format!("write one of {}", words.join(", "))))
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
                return bad("count does not say how many", "add exactly, at_least or at_most");
            }
            (true, Some(what), None, None) => {
                let counts_moves = matches!(what, Counter::Moved | Counter::CameBack | Counter::NotInstalled);
                if entry.campaign.is_some() && (!counts_moves || entry.devices.is_some()) {
                    let next = "leave campaign out, or devices";
                    return bad(
                        "of a campaign its own moves are counted: moved, came-back, not-installed",
                        next,
                    );
                }
                Expected::Count { what, devices: entry.devices, campaign: entry.campaign }
            }
            (true, None, Some(is), None) if !has_limit && entry.devices.is_none() => {
                known(&is, &CAMPAIGN_STATES)?;
                let Some(campaign) = entry.campaign else {
                    return bad("is does not say whose state", "add campaign = \"its name\"");
                };
                Expected::Campaign { campaign, is: is.into_inner() }
            }
            (true, None, None, Some(fault)) if entry.devices.is_none() && entry.campaign.is_none() => {
                if faults::catalogue::named(fault.get_ref()).is_none() {
                    let what = format!("nothing is called {:?}", fault.get_ref());
                    return Err(source.error(fault.span(), what, "`landfall faults` lists what there is"));
                }
                Expected::Fault { name: fault.into_inner() }
            }
            (true, None, None, None) => {
                let next = "say what devices are (on, with, as, holds, in, registered, state, agrees, sm_sr, dark_at_most, within_rules, heard_within), or count, or campaign and is, or fault";
                return bad("nothing is expected here", next);
            }
            _ => {
                let next =
                    "make one [[expect]] of each: conditions of devices; count; campaign and is; fault";
                return bad("several things are expected at once", next);
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
            self.dark_at_most.map(Condition::DarkAtMost),
            self.within_rules.map(Condition::WithinRules),
            self.heard_within.map(Condition::HeardWithin),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
