//! Prices of bearers, moves and site visits as dated data, and the money type.

use std::fmt;

use localize::{Country, DataError, DataText, Day};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// The built-in costs.
pub const BUILT_IN_COSTS: &str = include_str!("../data/costs.toml");

/// An amount in millionths of the currency unit, so that sums are exact. JSON has the decimal
/// number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Money(pub i64);

impl From<f64> for Money {
    fn from(amount: f64) -> Self {
        Self((amount * 1e6).round() as i64)
    }
}

impl Money {
    /// Returns the amount times `number` divided by `of`.
    #[must_use]
    pub fn times(self, number: u64, of: u64) -> Self {
        let product = i128::from(self.0) * i128::from(number) / i128::from(of.max(1));
        Self(i64::try_from(product).unwrap_or(i64::MAX))
    }

    /// The amount in currency units, with six decimals.
    pub fn units(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Returns the sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Money {
    /// Writes the amount with two decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = (i128::from(self.0) + 5000).div_euclid(10_000);
        write!(f, "{}.{:02}", cents / 100, cents % 100)
    }
}

impl From<Money> for f64 {
    fn from(money: Money) -> Self {
        money.units()
    }
}

/// Price of a bearer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// ID of the bearer.
    pub id: String,
    /// Price of 1,000,000 octets.
    pub per_mb: Money,
    /// Price of a short message.
    pub per_sms: Money,
    /// Source of the figures.
    pub source: String,
    /// Date of the last review.
    pub reviewed: Day,
    /// Free-text note.
    pub note: Option<String>,
}

/// Traffic and time that one device's move takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// ID of the move.
    pub id: String,
    /// Number of TLS connections.
    pub connections: u32,
    /// Number of HTTP requests.
    pub requests: u32,
    /// Octets of HTTP bodies to the device.
    pub octets_down: u64,
    /// Octets of HTTP bodies from the device.
    pub octets_up: u64,
    /// Overhead of a connection in octets.
    pub overhead_per_connection: u64,
    /// Overhead of a request in octets.
    pub overhead_per_request: u64,
    /// Number of short messages to the device.
    pub sms_down: u32,
    /// Number of short messages from the device.
    pub sms_up: u32,
    /// Number of APDUs between device and card.
    pub apdus: u32,
    /// Time that card and modem take in addition to the transmission, in seconds.
    pub switch_seconds: u32,
    /// Source of the figures.
    pub source: String,
    /// Date of the last review.
    pub reviewed: Day,
    /// Free-text note.
    pub note: Option<String>,
}

/// Cost of a site visit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    /// A country code, or `default`.
    pub id: String,
    /// Price of one visit.
    pub price: Money,
    /// Days until a technician is on site.
    pub days: u32,
    /// Source of the figures.
    pub source: String,
    /// Date of the last review.
    pub reviewed: Day,
    /// Free-text note.
    pub note: Option<String>,
}

/// All cost figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    /// Currency of all prices.
    pub currency: String,
    prices: Vec<Price>,
    moves: Vec<Move>,
    visits: Vec<Visit>,
    default_visit: Visit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    currency: String,
    #[serde(default)]
    price: Vec<Spanned<Price>>,
    #[serde(default)]
    r#move: Vec<Spanned<Move>>,
    #[serde(default)]
    visit: Vec<Spanned<Visit>>,
}

/// Highest plausible price. A higher one is probably a typing error. Sums of prices below the limit
/// are exact.
const HIGHEST_PRICE: Money = Money(1_000_000_000_000);
const MOST: u64 = 1_000_000_000;

impl Costs {
    /// Returns the built-in costs.
    ///
    /// # Errors
    /// The built-in table is invalid.
    pub fn built_in() -> Result<Self, DataError> {
        Self::parse(BUILT_IN_COSTS)
    }

    /// Parses costs in the format of `costs.toml`.
    ///
    /// # Errors
    /// An entry is invalid.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let source = DataText { file: "costs", text };
        let file: File = source.read()?;
        let prices = checked(&source, file.price, |price| (price.id.clone(), price.error()))?;
        let moves = checked(&source, file.r#move, |one| (one.id.clone(), one.error()))?;
        let visits = checked(&source, file.visit, |visit| (visit.id.clone(), visit.error()))?;
        let Some(default_visit) = visits.iter().find(|visit| visit.id == "default").cloned() else {
            let what = "no visit has the id \"default\"".to_owned();
            return Err(source.error_at(
                0,
                "visit",
                what,
                "add one for countries without a price of their own",
            ));
        };
        Ok(Self { currency: file.currency, prices, moves, visits, default_visit })
    }

    /// Returns the price of a bearer.
    pub fn price(&self, bearer: &str) -> Option<&Price> {
        self.prices.iter().find(|price| price.id == bearer)
    }

    /// Returns the move with this ID.
    pub fn r#move(&self, id: &str) -> Option<&Move> {
        self.moves.iter().find(|one| one.id == id)
    }

    /// Returns the cost of a visit in this country.
    pub fn visit(&self, country: Option<Country>) -> &Visit {
        let own =
            country.and_then(|country| self.visits.iter().find(|visit| visit.id == country.to_string()));
        own.unwrap_or(&self.default_visit)
    }

    /// IDs of all moves.
    pub fn moves(&self) -> Vec<&str> {
        self.moves.iter().map(|one| one.id.as_str()).collect()
    }
}

/// Checks that the IDs of the entries of one kind are unique and that every entry is valid.
pub(crate) fn checked<T>(
    source: &DataText<'_>,
    entries: Vec<Spanned<T>>,
    look: impl Fn(&T) -> (String, Option<(&'static str, &'static str)>),
) -> Result<Vec<T>, DataError> {
    let mut ids: Vec<String> = Vec::new();
    let mut good = Vec::new();
    for entry in entries {
        let (offset, entry) = (entry.span().start, entry.into_inner());
        let (id, wrong) = look(&entry);
        let twice = ids.contains(&id).then_some(("the ID occurs twice", "give each entry a unique ID"));
        if let Some((what, next)) = wrong.or(twice) {
            return Err(source.error_at(offset, &id, what.into(), next));
        }
        ids.push(id);
        good.push(entry);
    }
    Ok(good)
}

fn is_price(money: Money) -> bool {
    (Money(0)..=HIGHEST_PRICE).contains(&money)
}

impl Price {
    fn error(&self) -> Option<(&'static str, &'static str)> {
        let sound = is_price(self.per_mb) && is_price(self.per_sms);
        (!sound).then_some(("a price must be from 0 to 1,000,000", "correct the number"))
    }
}

impl Move {
    fn error(&self) -> Option<(&'static str, &'static str)> {
        let octets =
            [self.octets_down, self.octets_up, self.overhead_per_connection, self.overhead_per_request];
        let counts = [self.connections, self.requests, self.sms_down, self.sms_up, self.switch_seconds];
        let fits =
            octets.iter().all(|octets| *octets <= MOST) && counts.iter().all(|count| *count <= 1_000_000);
        (!fits)
            .then_some(("a number is too large for one device's move", "correct it; octets are below 1 GB"))
    }
}

impl Visit {
    fn error(&self) -> Option<(&'static str, &'static str)> {
        if self.id != "default" && self.id.parse::<Country>().is_err() {
            return Some(("the ID is not a country code", "use a country code, such as BR, or default"));
        }
        (!is_price(self.price)).then_some(("a price must be from 0 to 1,000,000", "correct the number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearers::Bearers;

    #[test]
    fn the_built_in_costs_are_valid() {
        let costs = Costs::built_in().unwrap();
        assert_eq!(
            costs.moves(),
            ["consumer", "consumer-ts48", "m2m", "iot-json", "iot-asn1", "iot-coap", "iot-coap-compact"]
        );
        for bearer in Bearers::built_in().unwrap().all() {
            assert!(costs.price(&bearer.id).is_some(), "{}", bearer.id);
        }
        assert_eq!(costs.visit("BR".parse().ok()).price.to_string(), "120.00");
        assert_eq!(costs.visit("FR".parse().ok()).id, "default");
        assert_eq!(costs.visit(None).id, "default");
    }

    #[test]
    fn money_is_exact_and_is_rounded_for_display() {
        let price = Money::from(0.1);
        assert_eq!(price.times(3, 1), Money(300_000));
        assert_eq!(price.times(2_000_000, 1_000_000), Money(200_000));
        assert_eq!(Money(1_005_000).to_string(), "1.01");
        assert_eq!(serde_json::to_string(&Money(1_500_000)).unwrap(), "1.5");
    }

    #[test]
    fn invalid_figures_are_refused_with_line_and_advice() {
        let text = |from: &str, to: &str| BUILT_IN_COSTS.replacen(from, to, 1);
        let first = Costs::built_in().unwrap();
        let first = first.moves.first().unwrap();
        let octets = |now: u64| {
            text(&format!("octets_down = {}\n", first.octets_down), &format!("octets_down = {now}\n"))
        };
        let requests =
            |now: u64| text(&format!("requests = {}\n", first.requests), &format!("requests = {now}\n"));
        for largest in [text("per_mb = 0.10", "per_mb = 1000000"), octets(MOST), requests(1_000_000)] {
            Costs::parse(&largest).unwrap();
        }
        for (text, words) in [
            (text("per_mb = 0.10", "per_mb = -1"), "a price must be"),
            (text("per_mb = 0.10", "per_kb = 0.10"), "unknown field"),
            (text("id = \"nb-iot\"", "id = \"2g-sms\""), "twice"),
            (text("id = \"DE\"", "id = \"Germany\""), "not a country code"),
            (text("id = \"default\"", "id = \"FR\""), "no visit has the id"),
            (text("per_mb = 0.10", "per_mb = 1000000.1"), "a price must be"),
            (octets(MOST + 1), "a number is too large"),
            (requests(1_000_001), "a number is too large"),
        ] {
            let error = Costs::parse(&text).unwrap_err();
            assert!(error.to_string().contains(words) && error.line.is_some(), "{error}");
            assert!(!error.next.is_empty());
        }
    }
}
