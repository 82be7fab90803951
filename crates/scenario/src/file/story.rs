//! What happens, and what goes wrong.

use std::fmt;
use std::time::Duration;

use localize::Country;
use network::EmmCause;
use rsp::ids::Plmn;
use serde::Deserialize;
use toml::Spanned;

use super::error::{NotAScenario, Text};
use super::words::{At, Devices, Length};
use crate::m2m;
use faults::FaultSpec;

/// Something that goes wrong, by its name in the catalogue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// What, where and when: `link/lose-answer@ES9+.GetBoundProfilePackage#1`.
    pub what: Spanned<FaultSpec>,
    /// From when on; from the beginning if that is not said.
    pub at: Option<Spanned<At>>,
    /// For how long; to the end if that is not said.
    pub lasts: Option<Spanned<Length>>,
    /// To which devices, each on its own; all if nothing is said. Nothing for what happens to a server.
    pub devices: Option<Spanned<Devices>>,
}

/// Something that somebody does.
#[derive(Clone, Debug)]
pub struct Step {
    /// When.
    pub at: Spanned<At>,
    /// What.
    pub action: Action,
}

/// What somebody does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Devices are taken elsewhere; their journeys go on from there.
    Travel {
        /// Which.
        devices: Spanned<Devices>,
        /// Where to.
        to: Place,
    },
    /// A network goes off the air.
    CoverageEnds {
        /// Which.
        network: Spanned<Plmn>,
        /// For how long; for good if that is not said.
        lasts: Option<Length>,
    },
    /// A network takes no roamers any more.
    RoamingEnds {
        /// Which.
        network: Spanned<Plmn>,
        /// Of this operator; of nobody if that is not said.
        of: Option<Spanned<Plmn>>,
    },
    /// A network takes roamers (again).
    RoamingBegins {
        /// Which.
        network: Spanned<Plmn>,
        /// Of this operator; everybody's if that is not said.
        of: Option<Spanned<Plmn>>,
    },
    /// A network gives notice that it will take no roamers: the owner knows from now on, and then it is so.
    Notice {
        /// Which.
        network: Spanned<Plmn>,
        /// How long after.
        ends: Length,
        /// Of this operator; of nobody if that is not said.
        of: Option<Spanned<Plmn>>,
    },
    /// A network refuses devices, by their IMEIs.
    Refuse {
        /// Which.
        network: Spanned<Plmn>,
        /// Whom.
        devices: Spanned<Devices>,
        /// With which cause.
        cause: u8,
        /// For how long; for good if that is not said.
        lasts: Option<Length>,
    },
    /// A network refuses devices no more.
    Accept {
        /// Which.
        network: Spanned<Plmn>,
        /// Whom.
        devices: Spanned<Devices>,
    },
    /// Operators stop serving the subscriptions of devices.
    Bar {
        /// Whose.
        devices: Spanned<Devices>,
        /// Only those of this operator.
        operator: Option<Spanned<Plmn>>,
        /// With which cause.
        cause: u8,
    },
    /// Operators serve them again.
    Unbar {
        /// Whose.
        devices: Spanned<Devices>,
        /// Only those of this operator.
        operator: Option<Spanned<Plmn>>,
    },
    /// Devices lose their power, whatever they are doing.
    CutPower {
        /// Which.
        devices: Spanned<Devices>,
        /// For how long.
        lasts: Length,
    },
    /// The operator of M2M devices asks for something on each.
    Ask {
        /// What.
        what: Asked,
        /// Which.
        devices: Spanned<Devices>,
        /// Whose profile, if it is about one.
        operator: Option<Spanned<Plmn>>,
        /// How long everybody has for it (ValidityPeriod).
        lasts: Length,
    },
    /// Another SM-SR is to manage the cards of M2M devices.
    ChangeSmSr {
        /// Whose.
        devices: Spanned<Devices>,
        /// Which.
        to: SmSr,
        /// How long everybody has for it (ValidityPeriod).
        lasts: Length,
    },
    /// Somebody deletes a profile of this operator on the devices.
    DeleteProfile {
        /// Which.
        devices: Spanned<Devices>,
        /// Whose profile.
        operator: Spanned<Plmn>,
    },
    /// Somebody enables a profile of this operator on the devices.
    EnableProfile {
        /// Which.
        devices: Spanned<Devices>,
        /// Whose profile.
        operator: Spanned<Plmn>,
    },
    /// A server's process ends.
    Restart {
        /// `platform`, or an SM-DP+ by its name.
        party: Spanned<String>,
        /// For how long it is not there.
        lasts: Length,
    },
    /// Somebody holds a campaign.
    Pause {
        /// Which.
        campaign: Spanned<String>,
    },
    /// Somebody lets a campaign go on.
    Resume {
        /// Which.
        campaign: Spanned<String>,
    },
    /// Somebody takes a campaign back: its devices get what they had.
    RollBack {
        /// Which.
        campaign: Spanned<String>,
    },
    /// The IMEIs of devices are registered in a country.
    RegisterImei {
        /// Whose.
        devices: Spanned<Devices>,
        /// Where.
        country: Spanned<Country>,
    },
    /// The cards of devices are put into somebody else's device.
    Steal {
        /// Of which.
        devices: Spanned<Devices>,
        /// Where that is.
        to: Place,
    },
    /// Devices are put out of service.
    Retire {
        /// Which.
        devices: Spanned<Devices>,
    },
}

/// What the operator of M2M devices asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A profile is downloaded and enabled (ES2.DownloadProfile).
    Download,
    /// It is disabled, so that the card falls back (ES4.DisableProfile).
    Disable,
    /// The card is asked what it has (ES4.AuditEIS).
    Audit,
}

/// An SM-SR of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum SmSr {
    /// Which has all cards at the beginning.
    #[serde(rename = "sm-sr")]
    First,
    /// Another one.
    #[serde(rename = "sm-sr-2")]
    Second,
}

impl fmt::Display for SmSr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => m2m::SM_SR_PLACE,
            Self::Second => m2m::SECOND_SM_SR_PLACE,
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasting = |lasts: &Option<Length>| {
            lasts.map_or_else(|| " for good".to_owned(), |lasts| format!(" for {lasts}"))
        };
        let of = |of: &Option<Spanned<Plmn>>| {
            of.as_ref().map_or_else(String::new, |of| format!(" of {}", of.get_ref()))
        };
        match self {
            Self::Travel { devices, to } => write!(f, "{} get to {to}", devices.get_ref()),
            Self::CoverageEnds { network, lasts } => {
                write!(f, "{} goes off the air{}", network.get_ref(), lasting(lasts))
            }
            Self::RoamingEnds { network, of: whose } => {
                write!(f, "{} takes no roamers{} any more", network.get_ref(), of(whose))
            }
            Self::RoamingBegins { network, of: whose } => {
                write!(f, "{} takes roamers{}", network.get_ref(), of(whose))
            }
            Self::Notice { network, ends, of: whose } => {
                write!(f, "{} gives notice: no roamers{} in {ends}", network.get_ref(), of(whose))
            }
            Self::Refuse { network, devices, cause, lasts } => {
                write!(
                    f,
                    "{} refuses {} with #{cause}{}",
                    network.get_ref(),
                    devices.get_ref(),
                    lasting(lasts)
                )
            }
            Self::Accept { network, devices } => {
                write!(f, "{} accepts {}", network.get_ref(), devices.get_ref())
            }
            Self::Bar { devices, operator, cause } => {
                write!(
                    f,
                    "the subscriptions{} of {} are barred with #{cause}",
                    of(operator),
                    devices.get_ref()
                )
            }
            Self::Unbar { devices, operator } => {
                write!(f, "the subscriptions{} of {} are served again", of(operator), devices.get_ref())
            }
            Self::CutPower { devices, lasts } => {
                write!(f, "{} lose their power for {lasts}", devices.get_ref())
            }
            Self::Ask { what, devices, operator, lasts } => {
                let what = match what {
                    Asked::Download => "a profile is downloaded and enabled",
                    Asked::Disable => "the profile is disabled",
                    Asked::Audit => "the card is audited",
                };
                write!(f, "{}: {what}{}, within {lasts}", devices.get_ref(), of(operator))
            }
            Self::ChangeSmSr { devices, to, lasts } => {
                write!(f, "{}: {to} is to manage the cards, within {lasts}", devices.get_ref())
            }
            Self::DeleteProfile { devices, operator } => {
                write!(f, "somebody deletes the profile of {} on {}", operator.get_ref(), devices.get_ref())
            }
            Self::EnableProfile { devices, operator } => {
                write!(f, "somebody enables the profile of {} on {}", operator.get_ref(), devices.get_ref())
            }
            Self::Restart { party, lasts } => write!(f, "{} ends, and is away for {lasts}", party.get_ref()),
            Self::Pause { campaign } => write!(f, "campaign {} is paused", campaign.get_ref()),
            Self::Resume { campaign } => write!(f, "campaign {} is resumed", campaign.get_ref()),
            Self::RollBack { campaign } => write!(f, "campaign {} is rolled back", campaign.get_ref()),
            Self::RegisterImei { devices, country } => {
                write!(f, "the IMEIs of {} are registered in {}", devices.get_ref(), country.get_ref())
            }
            Self::Steal { devices, to } => {
                write!(f, "the cards of {} are in somebody else's devices {to}", devices.get_ref())
            }
            Self::Retire { devices } => write!(f, "{} are put out of service", devices.get_ref()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(country) => write!(f, "{}", country.get_ref()),
            Self::Hears(networks) if networks.is_empty() => f.write_str("where nothing is heard"),
            Self::Hears(networks) => {
                let names: Vec<_> = networks.iter().map(|network| network.get_ref().to_string()).collect();
                write!(f, "where {} is heard", names.join(", "))
            }
        }
    }
}

/// Where a device is.
#[derive(Clone, Debug)]
pub enum Place {
    /// Where every network of the country is heard.
    In(Spanned<Country>),
    /// Where these are heard, strongest first.
    Hears(Vec<Spanned<Plmn>>),
}

/// What a step may have besides `at`; which of it, its `do` decides.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepEntry {
    at: Spanned<At>,
    #[serde(rename = "do")]
    what: Spanned<Do>,
    devices: Option<Spanned<Devices>>,
    network: Option<Spanned<Plmn>>,
    of: Option<Spanned<Plmn>>,
    operator: Option<Spanned<Plmn>>,
    #[serde(rename = "in")]
    country: Option<Spanned<Country>>,
    hears: Option<Spanned<Vec<Spanned<Plmn>>>>,
    cause: Option<Spanned<u8>>,
    lasts: Option<Spanned<Length>>,
    ends: Option<Spanned<Length>>,
    party: Option<Spanned<String>>,
    sm_sr: Option<Spanned<SmSr>>,
    campaign: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Do {
    Travel,
    CoverageEnds,
    RoamingEnds,
    RoamingBegins,
    Notice,
    Refuse,
    Accept,
    Bar,
    Unbar,
    CutPower,
    DownloadProfile,
    DisableProfile,
    Audit,
    ChangeSmSr,
    DeleteProfile,
    EnableProfile,
    Restart,
    Pause,
    Resume,
    RollBack,
    RegisterImei,
    Steal,
    Retire,
}

impl Do {
    /// What belongs to it besides `at`.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Travel | Self::Steal => &["devices", "in", "hears"],
            Self::CoverageEnds => &["network", "lasts"],
            Self::RoamingEnds | Self::RoamingBegins => &["network", "of"],
            Self::Notice => &["network", "ends", "of"],
            Self::Refuse => &["network", "devices", "cause", "lasts"],
            Self::Accept => &["network", "devices"],
            Self::Bar => &["devices", "operator", "cause"],
            Self::Unbar | Self::DeleteProfile | Self::EnableProfile => &["devices", "operator"],
            Self::CutPower | Self::Audit => &["devices", "lasts"],
            Self::DownloadProfile | Self::DisableProfile => &["devices", "operator", "lasts"],
            Self::ChangeSmSr => &["devices", "sm_sr", "lasts"],
            Self::Restart => &["party", "lasts"],
            Self::Pause | Self::Resume | Self::RollBack => &["campaign"],
            Self::RegisterImei => &["devices", "in"],
            Self::Retire => &["devices"],
        }
    }
}

impl StepEntry {
    pub(super) fn check(self, source: Text<'_>) -> Result<Step, NotAScenario> {
        let name = source.text.get(self.what.span()).unwrap_or_default().trim_matches(['"', '\'']).to_owned();
        let given = [
            ("devices", self.devices.as_ref().map(Spanned::span)),
            ("network", self.network.as_ref().map(Spanned::span)),
            ("of", self.of.as_ref().map(Spanned::span)),
            ("operator", self.operator.as_ref().map(Spanned::span)),
            ("in", self.country.as_ref().map(Spanned::span)),
            ("hears", self.hears.as_ref().map(Spanned::span)),
            ("cause", self.cause.as_ref().map(Spanned::span)),
            ("lasts", self.lasts.as_ref().map(Spanned::span)),
            ("ends", self.ends.as_ref().map(Spanned::span)),
            ("party", self.party.as_ref().map(Spanned::span)),
            ("sm_sr", self.sm_sr.as_ref().map(Spanned::span)),
            ("campaign", self.campaign.as_ref().map(Spanned::span)),
        ];
        let keys = self.what.get_ref().keys();
        for (key, span) in given {
            if let Some(span) = span.filter(|_| !keys.contains(&key)) {
                let what = format!("{key} means nothing to the step {name}");
                return Err(source.error(
                    span,
                    what,
                    format!("leave it out; {name} has at, {}", keys.join(", ")),
                ));
            }
        }
        let at = self.at.clone();
        Ok(Step { at, action: self.action(source, &name)? })
    }

    fn action(self, source: Text<'_>, name: &str) -> Result<Action, NotAScenario> {
        let Self { what: said, devices, network, of, operator, country, hears, .. } = self;
        let missing = |key: &str, example: &str| {
            let what = format!("the step {name} does not say its {key}");
            source.error(said.span(), what, format!("add {key} = {example}"))
        };
        let devices = || devices.ok_or_else(|| missing("devices", "\"meters\""));
        let network = || network.ok_or_else(|| missing("network", "\"262-41\""));
        let whose = || operator.clone().ok_or_else(|| missing("operator", "\"724-05\""));
        let campaign = || self.campaign.ok_or_else(|| missing("campaign", "\"home\""));
        let lasts = self.lasts.map(Spanned::into_inner);
        let minutes = |minutes: u64| Length(Duration::from_secs(60 * minutes));
        let cause = |usual: EmmCause| self.cause.map_or(usual.0, Spanned::into_inner);
        Ok(match *said.get_ref() {
            does @ (Do::Travel | Do::Steal) => {
                let to = match (&country, &hears) {
                    (Some(country), None) => Place::In(country.clone()),
                    (None, Some(hears)) => Place::Hears(hears.get_ref().clone()),
                    _ => {
                        let what = format!("the step {name} does not say where");
                        let next = "give either in = \"BR\" or hears = [\"724-05\"]";
                        return Err(source.error(said.span(), what, next));
                    }
                };
                match does {
                    Do::Travel => Action::Travel { devices: devices()?, to },
                    _ => Action::Steal { devices: devices()?, to },
                }
            }
            Do::CoverageEnds => Action::CoverageEnds { network: network()?, lasts },
            Do::RoamingEnds => Action::RoamingEnds { network: network()?, of },
            Do::RoamingBegins => Action::RoamingBegins { network: network()?, of },
            Do::Notice => {
                let ends = self.ends.map(Spanned::into_inner).ok_or_else(|| missing("ends", "\"30d\""))?;
                Action::Notice { network: network()?, ends, of }
            }
            Do::Refuse => {
                let cause = cause(EmmCause::ILLEGAL_ME);
                Action::Refuse { network: network()?, devices: devices()?, cause, lasts }
            }
            Do::Accept => Action::Accept { network: network()?, devices: devices()? },
            Do::Bar => Action::Bar {
                devices: devices()?,
                operator: operator.clone(),
                cause: cause(EmmCause::ILLEGAL_UE),
            },
            Do::Unbar => Action::Unbar { devices: devices()?, operator: operator.clone() },
            Do::CutPower => Action::CutPower { devices: devices()?, lasts: lasts.unwrap_or(minutes(10)) },
            Do::DownloadProfile => {
                let (what, operator) = (Asked::Download, Some(whose()?));
                Action::Ask { what, devices: devices()?, operator, lasts: lasts.unwrap_or(minutes(1440)) }
            }
            Do::DisableProfile => {
                let (what, operator) = (Asked::Disable, Some(whose()?));
                Action::Ask { what, devices: devices()?, operator, lasts: lasts.unwrap_or(minutes(1440)) }
            }
            Do::Audit => {
                let lasts = lasts.unwrap_or(minutes(1440));
                Action::Ask { what: Asked::Audit, devices: devices()?, operator: None, lasts }
            }
            Do::ChangeSmSr => {
                let to = self.sm_sr.ok_or_else(|| missing("sm_sr", "\"sm-sr-2\""))?.into_inner();
                Action::ChangeSmSr { devices: devices()?, to, lasts: lasts.unwrap_or(minutes(1440)) }
            }
            Do::DeleteProfile => Action::DeleteProfile { devices: devices()?, operator: whose()? },
            Do::EnableProfile => Action::EnableProfile { devices: devices()?, operator: whose()? },
            Do::Restart => {
                let party = self.party.ok_or_else(|| missing("party", "\"platform\""))?;
                Action::Restart { party, lasts: lasts.unwrap_or(minutes(1)) }
            }
            Do::Pause => Action::Pause { campaign: campaign()? },
            Do::Resume => Action::Resume { campaign: campaign()? },
            Do::RollBack => Action::RollBack { campaign: campaign()? },
            Do::RegisterImei => {
                let country = country.ok_or_else(|| missing("in", "\"TR\""))?;
                Action::RegisterImei { devices: devices()?, country }
            }
            Do::Retire => Action::Retire { devices: devices()? },
        })
    }
}
