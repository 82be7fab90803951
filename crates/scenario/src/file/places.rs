//! Places: who in a scenario is somebody else's, and where they are. TOML; docs/scenarios.md describes the form.

use std::collections::BTreeSet;

use euicc_sim::Quirk;
use rsp::activation_code::ActivationCode;
use rsp::ids::SmdpAddress;
use serde::Deserialize;
use toml::Spanned;

use super::error::Text;
use super::{NotAScenario, Part, Scenario, Which};

/// Who is somebody else's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// The folder of the PKI that everybody else in the scenario has; the scenario's own if there is none.
    pub pki: Option<String>,
    /// What the scenario's cards do that the standard refuses and somebody else's server wants.
    #[serde(default)]
    pub quirks: Vec<Quirk>,
    /// SM-DP+s.
    #[serde(default)]
    pub sm_dp: Vec<SmDpPlace>,
    /// Cards.
    #[serde(default)]
    pub card: Vec<CardPlace>,
}

/// An SM-DP+ of somebody else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmDpPlace {
    /// Which one of the scenario it is, as its operators name it.
    pub name: Spanned<String>,
    /// Where devices find it: its name, with `:port` where that is not 443.
    pub address: SmdpAddress,
    /// Where that is, if the name is in no DNS.
    pub connect_to: Option<String>,
    /// Where it takes orders (ES2+); at the same address if nothing is said.
    pub es2plus: Option<String>,
    /// A folder with the CI certificates that its TLS certificate leads to; those of the PKI if there is none.
    pub trusts: Option<String>,
    /// What it has in stock.
    #[serde(default)]
    pub profiles: Vec<ProfilePlace>,
}

/// A profile at an SM-DP+ of somebody else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfilePlace {
    /// The file of its package, from which its home network knows the subscriber.
    pub package: String,
    /// The MatchingID with which it is downloaded, if nothing can be ordered there.
    pub code: Option<Spanned<String>>,
}

/// A card of somebody else. One of `tcp`, `vpcd` and `at` is there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardPlace {
    /// In which device of the scenario it is.
    pub device: Spanned<Which>,
    /// A card that listens there, as `landfall euicc serve` does.
    pub tcp: Option<String>,
    /// A card that connects there, as to the virtual reader vpcd.
    pub vpcd: Option<String>,
    /// A modem with AT+CSIM: a serial port, or `host:port`.
    pub at: Option<String>,
    /// The files of the packages of the profiles on it, from which their home networks know the subscribers.
    #[serde(default)]
    pub profiles: Vec<String>,
}

/// By which door a card of somebody else is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardDoorAt<'a> {
    /// It listens there.
    Tcp(&'a str),
    /// It connects there.
    Vpcd(&'a str),
    /// In a modem.
    At(&'a str),
}

impl Places {
    /// Reads places for a scenario; `file` is what errors call it.
    ///
    /// # Errors
    /// It is not TOML, has what places have not, or names what is not in the scenario.
    pub fn parse(file: &str, text: &str, scenario: &Scenario) -> Result<Self, NotAScenario> {
        let source = Text { file, text };
        let places: Self = toml::from_str(text).map_err(|error| source.not_toml(&error))?;
        let first = places.sm_dp.first().map(|sm_dp| sm_dp.name.span());
        let first = first.or_else(|| places.card.first().map(|card| card.device.span()));
        if let Some(first) = first.filter(|_| scenario.is_m2m()) {
            let what = "nobody else takes part where devices are M2M ones";
            return Err(source.error(first, what, "leave it out, or play a scenario of consumer devices"));
        }
        let known: BTreeSet<&str> =
            scenario.operators.iter().map(|operator| operator.sm_dp.get_ref().as_str()).collect();
        let mut seen = BTreeSet::new();
        for SmDpPlace { name, address, profiles, .. } in &places.sm_dp {
            for code in profiles.iter().filter_map(|profile| profile.code.as_ref()) {
                is_code(address, code.get_ref()).map_err(|why| {
                    source.error(code.span(), why, "give the MatchingID of an activation code")
                })?;
            }
            if !known.contains(name.get_ref().as_str()) {
                let known: Vec<&str> = known.into_iter().collect();
                let what =
                    format!("no operator of the scenario has its profiles at an SM-DP+ {}", name.get_ref());
                return Err(source.error(name.span(), what, format!("name one of {}", known.join(", "))));
            }
            if !seen.insert(name.get_ref().clone()) {
                let what = format!("the SM-DP+ {} is there twice", name.get_ref());
                return Err(source.error(name.span(), what, "leave one out"));
            }
        }
        for card in &places.card {
            let at = card.device.span();
            let name = card.device.get_ref().to_string();
            if card.in_device().is_none_or(|(group, number)| !has(scenario, group, number)) {
                let what = format!("{name} is no device of the scenario");
                return Err(source.error(at, what, "name one, such as \"meters 1\""));
            }
            if !seen.insert(name.clone()) {
                return Err(source.error(at, format!("{name} has two cards"), "leave one out"));
            }
            if card.door().is_none() {
                let what = "it is not said where the card is, or in more than one way";
                return Err(source.error(at, what, "give one of tcp, vpcd and at"));
            }
        }
        Ok(places)
    }

    /// Whether anybody is somebody else.
    pub fn is_empty(&self) -> bool {
        self.sm_dp.is_empty() && self.card.is_empty()
    }
}

/// Whether devices can be told it.
fn is_code(address: &SmdpAddress, matching_id: &str) -> Result<(), String> {
    let code = ActivationCode {
        smdp_address: address.clone(),
        matching_id: matching_id.to_owned(),
        smdp_oid: None,
        confirmation_code_required: false,
    };
    code.to_string().parse::<ActivationCode>().map(drop).map_err(|why| why.to_string())
}

fn has(scenario: &Scenario, group: &str, number: u32) -> bool {
    let mut groups = scenario.groups.iter();
    groups.any(|known| known.name.get_ref() == group && number <= *known.count.get_ref())
}

impl CardPlace {
    /// The group and number of its device, if it is one.
    pub fn in_device(&self) -> Option<(&str, u32)> {
        let Which { group, part } = self.device.get_ref();
        match part {
            Part::Range(first, last) if first == last => Some((group, *first)),
            _ => None,
        }
    }

    /// Its door, if there is exactly one.
    pub fn door(&self) -> Option<CardDoorAt<'_>> {
        match (self.tcp.as_deref(), self.vpcd.as_deref(), self.at.as_deref()) {
            (Some(tcp), None, None) => Some(CardDoorAt::Tcp(tcp)),
            (None, Some(vpcd), None) => Some(CardDoorAt::Vpcd(vpcd)),
            (None, None, Some(at)) => Some(CardDoorAt::At(at)),
            _ => None,
        }
    }
}
