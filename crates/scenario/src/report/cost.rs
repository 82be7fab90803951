//! The cost of a run.

use std::collections::BTreeMap;

use fleet::costs::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The traffic over bearers and its cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Costs {
    /// The currency of all amounts, as an ISO 4217 code.
    pub currency: String,
    /// Traffic and cost by bearer name.
    pub by_bearer: BTreeMap<String, Spent>,
    /// The number of devices that need a visit, because they cannot recover by themselves.
    pub visits: u64,
    /// The cost of these visits.
    #[schemars(with = "f64")]
    pub visits_money: Money,
}

/// The traffic over one bearer and its cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spent {
    /// Octets in both directions, including the overhead of lower protocols.
    pub octets: u64,
    /// Short messages in both directions.
    pub messages: u64,
    /// The cost in units of the currency.
    #[schemars(with = "f64")]
    pub money: Money,
}

impl Costs {
    /// The total cost.
    pub fn total(&self) -> Money {
        self.by_bearer.values().fold(self.visits_money, |sum, spent| sum.plus(spent.money))
    }
}
