//! What a run cost.

use std::collections::BTreeMap;

use fleet::costs::Money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What went over the bearers, and what that costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Costs {
    /// The currency of every amount, by its ISO 4217 code.
    pub currency: String,
    /// By the name of the bearer.
    pub by_bearer: BTreeMap<String, Spent>,
    /// How many devices somebody has to go to, because they do not come back by themselves.
    pub visits: u64,
    /// What these visits cost.
    #[schemars(with = "f64")]
    pub visits_money: Money,
}

/// What went over one bearer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spent {
    /// Octets in both directions, with what the protocols below add.
    pub octets: u64,
    /// Short messages in both directions.
    pub messages: u64,
    /// What they cost, in units of the currency.
    #[schemars(with = "f64")]
    pub money: Money,
}

impl Costs {
    /// All of it.
    pub fn total(&self) -> Money {
        self.by_bearer.values().fold(self.visits_money, |sum, spent| sum.plus(spent.money))
    }
}
