//! Steps and injected faults.

use std::fmt;
use std::time::Duration;

use localize::{Country, Permit};
use network::EmmCause;
use rsp::ids::Plmn;
use serde::Deserialize;
use toml::Spanned;

use super::error::{InvalidScenario, Text};
use super::values::{At, Devices, Length};
use faults::FaultSpec;
use testbed::fault_places::{EimPlace, SmSrPlace};

/// An injected fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultEntry {
    /// The fault spec, such as `link/lose-answer@ES9+.GetBoundProfilePackage#1`.
    pub what: Spanned<FaultSpec>,
    /// The start. Default: the start of the run.
    pub at: Option<Spanned<At>>,
    /// The duration. Default: until the end of the run.
    pub lasts: Option<Spanned<Length>>,
    /// The devices, each with its own injector. Default: all. A fault of a server has no devices.
    pub devices: Option<Spanned<Devices>>,
}

/// An action of a person or an organisation.
#[derive(Clone, Debug)]
pub struct Step {
    /// The time.
    pub at: Spanned<At>,
    /// The action.
    pub action: Action,
}

/// The action of a step.
#[derive(Clone, Debug)]
pub enum Action {
    /// Devices are moved to another place. Their journeys continue from there.
    Travel {
        /// The devices.
        devices: Spanned<Devices>,
        /// The destination.
        to: Place,
    },
    /// A network loses its coverage.
    CoverageEnds {
        /// The network.
        network: Spanned<Plmn>,
        /// The duration. Default: for good.
        lasts: Option<Length>,
    },
    /// A network stops accepting roamers.
    RoamingEnds {
        /// The network.
        network: Spanned<Plmn>,
        /// The operator whose subscribers are affected. Default: all.
        of: Option<Spanned<Plmn>>,
    },
    /// A network accepts roamers, or accepts them again.
    RoamingBegins {
        /// The network.
        network: Spanned<Plmn>,
        /// The operator whose subscribers are affected. Default: all.
        of: Option<Spanned<Plmn>>,
    },
    /// A network announces that it will stop accepting roamers. The owner knows at once, and the
    /// change follows later.
    Notice {
        /// The network.
        network: Spanned<Plmn>,
        /// The time until the change.
        ends: Length,
        /// The operator whose subscribers are affected. Default: all.
        of: Option<Spanned<Plmn>>,
    },
    /// A network rejects devices, by their IMEIs.
    Refuse {
        /// The network.
        network: Spanned<Plmn>,
        /// The devices.
        devices: Spanned<Devices>,
        /// The reject cause.
        cause: u8,
        /// The duration. Default: for good.
        lasts: Option<Length>,
    },
    /// A network accepts rejected devices again.
    Accept {
        /// The network.
        network: Spanned<Plmn>,
        /// The devices.
        devices: Spanned<Devices>,
    },
    /// Operators bar the subscriptions of devices.
    Bar {
        /// The devices.
        devices: Spanned<Devices>,
        /// The operator. Default: all.
        operator: Option<Spanned<Plmn>>,
        /// The reject cause.
        cause: u8,
    },
    /// Operators unbar the subscriptions of devices.
    Unbar {
        /// The devices.
        devices: Spanned<Devices>,
        /// The operator. Default: all.
        operator: Option<Spanned<Plmn>>,
    },
    /// Devices lose their power at once.
    CutPower {
        /// The devices.
        devices: Spanned<Devices>,
        /// The duration.
        lasts: Length,
    },
    /// The operator of M2M devices requests an operation on each of them.
    Ask {
        /// The operation.
        what: M2mOperation,
        /// The devices.
        devices: Spanned<Devices>,
        /// The operator of the profile, if the operation concerns one.
        operator: Option<Spanned<Plmn>>,
        /// The validity period (ValidityPeriod).
        lasts: Length,
    },
    /// The cards of M2M devices are handed over to another SM-SR.
    ChangeSmSr {
        /// The devices.
        devices: Spanned<Devices>,
        /// The new SM-SR.
        to: SmSrPlace,
        /// The validity period (ValidityPeriod).
        lasts: Length,
    },
    /// The cards of IoT devices are handed over to another eIM.
    ChangeEim {
        /// The devices.
        devices: Spanned<Devices>,
        /// The new eIM.
        to: EimPlace,
    },
    /// A person deletes a profile of this operator on the devices.
    DeleteProfile {
        /// The devices.
        devices: Spanned<Devices>,
        /// The operator of the profile.
        operator: Spanned<Plmn>,
    },
    /// A person enables a profile of this operator on the devices.
    EnableProfile {
        /// The devices.
        devices: Spanned<Devices>,
        /// The operator of the profile.
        operator: Spanned<Plmn>,
    },
    /// The process of a server ends and restarts.
    Restart {
        /// `platform`, or the name of an SM-DP+.
        party: Spanned<String>,
        /// The time until the restart.
        lasts: Length,
    },
    /// A campaign is paused.
    Pause {
        /// The campaign.
        campaign: Spanned<String>,
    },
    /// A campaign is resumed.
    Resume {
        /// The campaign.
        campaign: Spanned<String>,
    },
    /// A campaign is rolled back: its devices return to their previous profiles.
    RollBack {
        /// The campaign.
        campaign: Spanned<String>,
    },
    /// The IMEIs of devices are registered in a country.
    RegisterImei {
        /// The devices.
        devices: Spanned<Devices>,
        /// The country.
        country: Spanned<Country>,
    },
    /// Devices get a permit: an authority or an operator registers, certifies or approves them.
    Grant {
        /// The devices.
        devices: Spanned<Devices>,
        /// The permit.
        permit: Permit,
    },
    /// Devices lose a permit.
    Withdraw {
        /// The devices.
        devices: Spanned<Devices>,
        /// The permit.
        permit: Permit,
    },
    /// Devices are sold: their owner changes, and the new owner runs the platform.
    ChangeOwner {
        /// The devices.
        devices: Spanned<Devices>,
    },
    /// The cards of devices are stolen and put into other devices.
    Steal {
        /// The devices.
        devices: Spanned<Devices>,
        /// The place of the other devices.
        to: Place,
    },
    /// Devices are retired.
    Retire {
        /// The devices.
        devices: Spanned<Devices>,
    },
}

/// An operation that the operator of M2M devices requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum M2mOperation {
    /// Download and enable a profile (ES2.DownloadProfile).
    Download,
    /// Disable a profile, so that the card falls back (ES4.DisableProfile).
    Disable,
    /// Read the state of the card (ES4.AuditEIS).
    Audit,
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
            Self::Travel { devices, to } => write!(f, "{} arrive in {to}", devices.get_ref()),
            Self::CoverageEnds { network, lasts } => {
                write!(f, "{} loses its coverage{}", network.get_ref(), lasting(lasts))
            }
            Self::RoamingEnds { network, of: whose } => {
                write!(f, "{} stops accepting roamers{}", network.get_ref(), of(whose))
            }
            Self::RoamingBegins { network, of: whose } => {
                write!(f, "{} accepts roamers{}", network.get_ref(), of(whose))
            }
            Self::Notice { network, ends, of: whose } => {
                write!(
                    f,
                    "{} announces that it stops accepting roamers{} in {ends}",
                    network.get_ref(),
                    of(whose)
                )
            }
            Self::Refuse { network, devices, cause, lasts } => {
                write!(
                    f,
                    "{} rejects {} with #{cause}{}",
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
                write!(f, "the subscriptions{} of {} are unbarred", of(operator), devices.get_ref())
            }
            Self::CutPower { devices, lasts } => {
                write!(f, "{} lose their power for {lasts}", devices.get_ref())
            }
            Self::Ask { what, devices, operator, lasts } => {
                let what = match what {
                    M2mOperation::Download => "a profile is downloaded and enabled",
                    M2mOperation::Disable => "the profile is disabled",
                    M2mOperation::Audit => "the card is audited",
                };
                write!(f, "{}: {what}{} within {lasts}", devices.get_ref(), of(operator))
            }
            Self::ChangeSmSr { devices, to, lasts } => {
                write!(f, "{}: the cards are handed over to {to} within {lasts}", devices.get_ref())
            }
            Self::ChangeEim { devices, to } => {
                write!(f, "{}: the cards are handed over to {to}", devices.get_ref())
            }
            Self::DeleteProfile { devices, operator } => {
                write!(f, "a user deletes the profile of {} on {}", operator.get_ref(), devices.get_ref())
            }
            Self::EnableProfile { devices, operator } => {
                write!(f, "a user enables the profile of {} on {}", operator.get_ref(), devices.get_ref())
            }
            Self::Restart { party, lasts } => {
                write!(f, "{} ends and restarts after {lasts}", party.get_ref())
            }
            Self::Pause { campaign } => write!(f, "campaign {} is paused", campaign.get_ref()),
            Self::Resume { campaign } => write!(f, "campaign {} is resumed", campaign.get_ref()),
            Self::RollBack { campaign } => write!(f, "campaign {} is rolled back", campaign.get_ref()),
            Self::RegisterImei { devices, country } => {
                write!(f, "the IMEIs of {} are registered in {}", devices.get_ref(), country.get_ref())
            }
            Self::Grant { devices, permit } => write!(f, "{} get {permit}", devices.get_ref()),
            Self::Withdraw { devices, permit } => write!(f, "{} lose {permit}", devices.get_ref()),
            Self::ChangeOwner { devices } => write!(f, "{} get another owner", devices.get_ref()),
            Self::Steal { devices, to } => {
                write!(f, "the cards of {} are stolen and put into other devices in {to}", devices.get_ref())
            }
            Self::Retire { devices } => write!(f, "{} are retired", devices.get_ref()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(country) => write!(f, "{}", country.get_ref()),
            Self::Hears(networks) if networks.is_empty() => f.write_str("a place without coverage"),
            Self::Hears(networks) => {
                let names: Vec<_> = networks.iter().map(|network| network.get_ref().to_string()).collect();
                write!(f, "a place with coverage of {}", names.join(", "))
            }
        }
    }
}

/// The location of a device.
#[derive(Clone, Debug)]
pub enum Place {
    /// A place with coverage of every network of the country.
    In(Spanned<Country>),
    /// A place with coverage of these networks, strongest first.
    Hears(Vec<Spanned<Plmn>>),
}

/// All keys of a step besides `at`. The value of `do` determines which of them are allowed.
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
    sm_sr: Option<Spanned<SmSrPlace>>,
    eim: Option<Spanned<EimPlace>>,
    campaign: Option<Spanned<String>>,
    permit: Option<Spanned<Permit>>,
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
    ChangeEim,
    DeleteProfile,
    EnableProfile,
    Restart,
    Pause,
    Resume,
    RollBack,
    RegisterImei,
    Grant,
    Withdraw,
    ChangeOwner,
    Steal,
    Retire,
}

impl Do {
    /// The keys of the step besides `at`.
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
            Self::ChangeEim => &["devices", "eim"],
            Self::Restart => &["party", "lasts"],
            Self::Pause | Self::Resume | Self::RollBack => &["campaign"],
            Self::RegisterImei => &["devices", "in"],
            Self::Grant | Self::Withdraw => &["devices", "permit"],
            Self::Retire | Self::ChangeOwner => &["devices"],
        }
    }
}

impl StepEntry {
    pub(super) fn check(self, source: Text<'_>) -> Result<Step, InvalidScenario> {
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
            ("eim", self.eim.as_ref().map(Spanned::span)),
            ("campaign", self.campaign.as_ref().map(Spanned::span)),
            ("permit", self.permit.as_ref().map(Spanned::span)),
        ];
        let keys = self.what.get_ref().keys();
        for (key, span) in given {
            if let Some(span) = span.filter(|_| !keys.contains(&key)) {
                let what = format!("the step {name} has no key {key}");
                return Err(source.error(
                    span,
                    what,
                    format!("remove it; {name} has the keys at, {}", keys.join(", ")),
                ));
            }
        }
        let at = self.at.clone();
        Ok(Step { at, action: self.action(source, &name)? })
    }

    fn action(self, source: Text<'_>, name: &str) -> Result<Action, InvalidScenario> {
        let Self { what: step, devices, network, of, operator, country, hears, .. } = self;
        let missing = |key: &str, example: &str| {
            let what = format!("the step {name} needs {key}");
            source.error(step.span(), what, format!("add {key} = {example}"))
        };
        let devices = || devices.ok_or_else(|| missing("devices", "\"meters\""));
        let network = || network.ok_or_else(|| missing("network", "\"262-41\""));
        let whose = || operator.clone().ok_or_else(|| missing("operator", "\"724-05\""));
        let permit =
            || self.permit.map(Spanned::into_inner).ok_or_else(|| missing("permit", "\"approval EG\""));
        let campaign = || self.campaign.ok_or_else(|| missing("campaign", "\"home\""));
        let lasts = self.lasts.map(Spanned::into_inner);
        let minutes = |minutes: u64| Length(Duration::from_secs(60 * minutes));
        let cause = |usual: EmmCause| self.cause.map_or(usual.0, Spanned::into_inner);
        Ok(match *step.get_ref() {
            does @ (Do::Travel | Do::Steal) => {
                let to = match (&country, &hears) {
                    (Some(country), None) => Place::In(country.clone()),
                    (None, Some(hears)) => Place::Hears(hears.get_ref().clone()),
                    _ => {
                        let what = format!("the step {name} needs a place");
                        let next = "write either in = \"BR\" or hears = [\"724-05\"]";
                        return Err(source.error(step.span(), what, next));
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
                let (what, operator) = (M2mOperation::Download, Some(whose()?));
                Action::Ask { what, devices: devices()?, operator, lasts: lasts.unwrap_or(minutes(1440)) }
            }
            Do::DisableProfile => {
                let (what, operator) = (M2mOperation::Disable, Some(whose()?));
                Action::Ask { what, devices: devices()?, operator, lasts: lasts.unwrap_or(minutes(1440)) }
            }
            Do::Audit => {
                let lasts = lasts.unwrap_or(minutes(1440));
                Action::Ask { what: M2mOperation::Audit, devices: devices()?, operator: None, lasts }
            }
            Do::ChangeSmSr => {
                let to = self.sm_sr.ok_or_else(|| missing("sm_sr", "\"sm-sr-2\""))?.into_inner();
                Action::ChangeSmSr { devices: devices()?, to, lasts: lasts.unwrap_or(minutes(1440)) }
            }
            Do::ChangeEim => {
                let to = self.eim.ok_or_else(|| missing("eim", "\"eim-2\""))?.into_inner();
                Action::ChangeEim { devices: devices()?, to }
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
            Do::Grant => Action::Grant { devices: devices()?, permit: permit()? },
            Do::Withdraw => Action::Withdraw { devices: devices()?, permit: permit()? },
            Do::ChangeOwner => Action::ChangeOwner { devices: devices()? },
            Do::Retire => Action::Retire { devices: devices()? },
        })
    }
}
