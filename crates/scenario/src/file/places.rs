//! Places files: the third-party parties of a scenario and their addresses. TOML; docs/scenarios.md
//! describes the format.

use std::collections::BTreeSet;

use rsp::activation_code::ActivationCode;
use rsp::ids::SmdpAddress;
use serde::Deserialize;
use toml::Spanned;

use super::error::Text;
use super::{InvalidScenario, Part, Scenario, Which};

/// The third-party parties of a scenario.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// The folder of the PKI that all other parties use. Without it, the PKI of the scenario is
    /// used.
    pub pki: Option<String>,
    /// True if the scenario's cards refuse deviations of third-party servers that they otherwise
    /// accept with a finding.
    #[serde(default)]
    pub strict: bool,
    /// Third-party SM-DP+s.
    #[serde(default)]
    pub sm_dp: Vec<SmDpPlace>,
    /// Third-party cards.
    #[serde(default)]
    pub card: Vec<CardPlace>,
}

/// A third-party SM-DP+.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmDpPlace {
    /// The name by which operators of the scenario refer to it.
    pub name: Spanned<String>,
    /// The address that devices use, with `:port` if the port is not 443.
    pub address: SmdpAddress,
    /// The address to connect to, if the name is not in the DNS.
    pub connect_to: Option<String>,
    /// The ES2+ address. Default: the same address.
    pub es2plus: Option<String>,
    /// A folder with the CI certificates for its TLS certificate. Default: those of the PKI.
    pub trusts: Option<String>,
    /// The profiles in its stock.
    #[serde(default)]
    pub profiles: Vec<ProfilePlace>,
}

/// A profile at a third-party SM-DP+.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfilePlace {
    /// The file of the profile package. The home network reads its subscriber from this file.
    pub package: String,
    /// The MatchingID for the download, if the SM-DP+ takes no orders.
    pub code: Option<Spanned<String>>,
}

/// A third-party card. Exactly one of `tcp`, `vpcd` and `at` is set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardPlace {
    /// The device of the scenario that contains it.
    pub device: Spanned<Which>,
    /// The address at which the card listens, as `landfall euicc serve` does.
    pub tcp: Option<String>,
    /// The address to which the card connects, as to the virtual reader vpcd.
    pub vpcd: Option<String>,
    /// A modem with AT+CSIM: a serial port, or `host:port`.
    pub at: Option<String>,
    /// The files of the profile packages on the card, from which the home networks get the
    /// subscribers.
    #[serde(default)]
    pub profiles: Vec<String>,
}

/// The interface of a third-party card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardInterfaceAt<'a> {
    /// The card listens at this address.
    Tcp(&'a str),
    /// The card connects to this address.
    Vpcd(&'a str),
    /// The card is in this modem.
    At(&'a str),
}

impl Places {
    /// Parses a places file for a scenario. `file` is its name in errors.
    ///
    /// # Errors
    /// The text is not TOML, has an unknown key or an invalid value, or refers to something that is
    /// not in the scenario.
    pub fn parse(file: &str, text: &str, scenario: &Scenario) -> Result<Self, InvalidScenario> {
        let source = Text { file, text };
        let places: Self = toml::from_str(text).map_err(|error| source.not_toml(&error))?;
        let first = places.sm_dp.first().map(|sm_dp| sm_dp.name.span());
        let first = first.or_else(|| places.card.first().map(|card| card.device.span()));
        if let Some(first) = first.filter(|_| scenario.is_m2m()) {
            let what = "M2M scenarios do not support third-party parties";
            return Err(source.error(first, what, "remove it, or play a scenario of consumer devices"));
        }
        let known: BTreeSet<&str> =
            scenario.operators.iter().map(|operator| operator.sm_dp.get_ref().as_str()).collect();
        let mut seen = BTreeSet::new();
        for SmDpPlace { name, address, profiles, .. } in &places.sm_dp {
            for code in profiles.iter().filter_map(|profile| profile.code.as_ref()) {
                is_code(address, code.get_ref()).map_err(|why| {
                    source.error(code.span(), why, "use the MatchingID of an activation code")
                })?;
            }
            if !known.contains(name.get_ref().as_str()) {
                let known: Vec<&str> = known.into_iter().collect();
                let what = format!("no operator of the scenario uses an SM-DP+ named {}", name.get_ref());
                return Err(source.error(name.span(), what, format!("use one of {}", known.join(", "))));
            }
            if !seen.insert(name.get_ref().clone()) {
                let what = format!("the SM-DP+ {} is listed twice", name.get_ref());
                return Err(source.error(name.span(), what, "remove one"));
            }
        }
        for card in &places.card {
            let at = card.device.span();
            let name = card.device.get_ref().to_string();
            if card.in_device().is_none_or(|(group, number)| !has(scenario, group, number)) {
                let what = format!("{name} is not a device of the scenario");
                return Err(source.error(at, what, "use a device such as \"meters 1\""));
            }
            if !seen.insert(name.clone()) {
                return Err(source.error(at, format!("{name} has two cards"), "remove one"));
            }
            if card.card_interface().is_none() {
                let what = "the card needs exactly one interface";
                return Err(source.error(at, what, "set one of tcp, vpcd and at"));
            }
        }
        Ok(places)
    }

    /// True if there are no third-party parties.
    pub fn is_empty(&self) -> bool {
        self.sm_dp.is_empty() && self.card.is_empty()
    }
}

/// Checks that the MatchingID can be part of an activation code.
fn is_code(address: &SmdpAddress, matching_id: &str) -> Result<(), String> {
    let code = ActivationCode {
        smdp_address: address.clone(),
        matching_id: matching_id.to_owned(),
        smdp_oid: None,
        confirmation_code_required: false,
        findings: Vec::new(),
    };
    code.to_string().parse::<ActivationCode>().map(drop).map_err(|why| why.to_string())
}

fn has(scenario: &Scenario, group: &str, number: u32) -> bool {
    let mut groups = scenario.groups.iter();
    groups.any(|known| known.name.get_ref() == group && number <= *known.count.get_ref())
}

impl CardPlace {
    /// The group and the number of its device, if the entry names a single device.
    pub fn in_device(&self) -> Option<(&str, u32)> {
        let Which { group, part } = self.device.get_ref();
        match part {
            Part::Range(first, last) if first == last => Some((group, *first)),
            _ => None,
        }
    }

    /// Its interface, if exactly one is set.
    pub fn card_interface(&self) -> Option<CardInterfaceAt<'_>> {
        match (self.tcp.as_deref(), self.vpcd.as_deref(), self.at.as_deref()) {
            (Some(tcp), None, None) => Some(CardInterfaceAt::Tcp(tcp)),
            (None, Some(vpcd), None) => Some(CardInterfaceAt::Vpcd(vpcd)),
            (None, None, Some(at)) => Some(CardInterfaceAt::At(at)),
            _ => None,
        }
    }
}
