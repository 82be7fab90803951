//! Requirements of rules, and the permits that fulfil them.

use std::{fmt, str::FromStr};

use rsp::ids::Plmn;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::Country;

/// A requirement. A rule does not apply to a device that fulfils all requirements of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// The IMEI is registered in the country.
    ImeiRegistration,
    /// The SIM is registered in the country.
    SimRegistration,
    /// The owner is present and registered in the country.
    LocalPresence,
    /// Local operators can program the eSIM.
    LocalProgramming,
    /// The platform and the data of the device are in the country.
    DataInCountry,
    /// The device is certified in the country.
    Certification,
    /// The regulator of the country approved the use.
    Approval,
    /// The operator of the visited network approved the device.
    CarrierApproval,
}

impl Requirement {
    /// The permit that fulfils the requirement on a network of a country. `None` for facts that are
    /// recorded otherwise: the registration of the IMEI, and the presence of the owner.
    pub fn permit(self, country: Country, network: Plmn) -> Option<Permit> {
        match self {
            Self::ImeiRegistration | Self::LocalPresence => None,
            Self::SimRegistration => Some(Permit::SimRegistration(country)),
            Self::LocalProgramming => Some(Permit::LocalProgramming(country)),
            Self::DataInCountry => Some(Permit::DataInCountry(country)),
            Self::Certification => Some(Permit::Certification(country)),
            Self::Approval => Some(Permit::Approval(country)),
            Self::CarrierApproval => Some(Permit::CarrierApproval(network)),
        }
    }
}

impl fmt::Display for Requirement {
    /// The fulfilled requirement, as a clause.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ImeiRegistration => "the IMEI is registered",
            Self::SimRegistration => "the SIM is registered there",
            Self::LocalPresence => "the owner is registered there",
            Self::LocalProgramming => "local operators can program the eSIM",
            Self::DataInCountry => "platform and data are there",
            Self::Certification => "the device is certified there",
            Self::Approval => "the regulator approved it",
            Self::CarrierApproval => "the network's operator approved the device",
        })
    }
}

/// A fact about a device, or about all devices of an owner, that fulfils a requirement in one
/// place. As text, it is the requirement and the place: `sim_registration SA`,
/// `carrier_approval 505-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Permit {
    /// The SIM is registered in the country.
    SimRegistration(Country),
    /// Operators of the country can program the eSIM.
    LocalProgramming(Country),
    /// The platform and the data of the device are in the country.
    DataInCountry(Country),
    /// The device is certified in the country.
    Certification(Country),
    /// The regulator of the country approved the use.
    Approval(Country),
    /// The operator of the network approved the device.
    CarrierApproval(Plmn),
}

rsp::text_schemas! {
    Permit: pattern = "^[a-z_]+ ([A-Z]{2}|[0-9]{3}-[0-9]{2,3})$";
}

impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SimRegistration(country) => write!(f, "sim_registration {country}"),
            Self::LocalProgramming(country) => write!(f, "local_programming {country}"),
            Self::DataInCountry(country) => write!(f, "data_in_country {country}"),
            Self::Certification(country) => write!(f, "certification {country}"),
            Self::Approval(country) => write!(f, "approval {country}"),
            Self::CarrierApproval(network) => write!(f, "carrier_approval {network}"),
        }
    }
}

/// The text is not a permit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a permit; write sim_registration, local_programming, data_in_country, certification or approval \
     and a country, such as \"sim_registration SA\", or carrier_approval and a network, such as \
     \"carrier_approval 505-01\""
)]
pub struct NotAPermit(String);

impl FromStr for Permit {
    type Err = NotAPermit;

    fn from_str(text: &str) -> Result<Self, NotAPermit> {
        let parse = || {
            let (requirement, place) = text.split_once(' ')?;
            let in_country = match requirement {
                "carrier_approval" => return place.parse().ok().map(Self::CarrierApproval),
                "sim_registration" => Self::SimRegistration,
                "local_programming" => Self::LocalProgramming,
                "data_in_country" => Self::DataInCountry,
                "certification" => Self::Certification,
                "approval" => Self::Approval,
                _ => return None,
            };
            place.parse().ok().map(in_country)
        };
        parse().ok_or_else(|| NotAPermit(text.to_owned()))
    }
}

impl TryFrom<String> for Permit {
    type Error = NotAPermit;

    fn try_from(text: String) -> Result<Self, NotAPermit> {
        text.parse()
    }
}

impl From<Permit> for String {
    fn from(permit: Permit) -> Self {
        permit.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_a_requirement_and_a_place() {
        for text in [
            "sim_registration SA",
            "local_programming TR",
            "data_in_country TR",
            "certification BR",
            "approval EG",
            "carrier_approval 505-01",
        ] {
            assert_eq!(text.parse::<Permit>().unwrap().to_string(), text);
        }
        for text in ["", "approval", "approval XYZ", "approval 505-01", "carrier_approval EG", "visa EG"] {
            assert!(text.parse::<Permit>().is_err(), "{text}");
        }
    }
}
