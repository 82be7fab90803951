//! Prices of bearers, moves and visits as dated data, and money.

use std::fmt;

use localize::{Country, DataError, DataText, Day};
use serde::{Deserialize, Serialize, Serializer};
use toml::Spanned;

/// The figures that come with Landfall.
pub const BUILT_IN_COSTS: &str = include_str!("../data/costs.toml");

/// An amount in millionths of the currency's unit, so that sums are exact. In JSON the decimal number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(from = "f64")]
pub struct Money(pub i64);

impl From<f64> for Money {
    fn from(amount: f64) -> Self {
        Self((amount * 1e6).round() as i64)
    }
}

impl Money {
    /// So many times the amount, where `number` counts parts of which one has `of`.
    #[must_use]
    pub fn times(self, number: u64, of: u64) -> Self {
        let product = i128::from(self.0) * i128::from(number) / i128::from(of.max(1));
        Self(i64::try_from(product).unwrap_or(i64::MAX))
    }

    /// In units of the currency, to the millionth.
    pub fn units(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Money {
    /// With two decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = (i128::from(self.0) + 5000).div_euclid(10_000);
        write!(f, "{}.{:02}", cents / 100, cents % 100)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.units())
    }
}

/// What a bearer costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The bearer's.
    pub id: String,
    /// Of 1,000,000 octets.
    pub per_mb: Money,
    /// Of a short message.
    pub per_sms: Money,
    /// Where the figures come from.
    pub source: String,
    /// When somebody last checked them.
    pub reviewed: Day,
    /// For people.
    pub note: Option<String>,
}

/// What one device's move consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// Its name.
    pub id: String,
    /// TLS connections.
    pub connections: u32,
    /// HTTP requests.
    pub requests: u32,
    /// Bodies of HTTP messages to the device.
    pub octets_down: u64,
    /// Bodies of HTTP messages from it.
    pub octets_up: u64,
    /// Octets of a connection beside them.
    pub overhead_per_connection: u64,
    /// Octets of a request beside them.
    pub overhead_per_request: u64,
    /// Short messages to the device.
    pub sms_down: u32,
    /// Short messages from it.
    pub sms_up: u32,
    /// Between device and card.
    pub apdus: u32,
    /// What card and modem take besides.
    pub switch_seconds: u32,
    /// Where the figures come from.
    pub source: String,
    /// When somebody last checked them.
    pub reviewed: Day,
    /// For people.
    pub note: Option<String>,
}

/// What it costs that somebody goes to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    /// A country's code, or `default`.
    pub id: String,
    /// Of one visit.
    pub price: Money,
    /// How long it takes until somebody is there.
    pub days: u32,
    /// Where the figures come from.
    pub source: String,
    /// When somebody last checked them.
    pub reviewed: Day,
    /// For people.
    pub note: Option<String>,
}

/// All figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    /// In which all prices are.
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

/// Higher is a slip of the keyboard, and sums stay exact below it.
const HIGHEST_PRICE: Money = Money(1_000_000_000_000);
const MOST: u64 = 1_000_000_000;

impl Costs {
    /// The figures that come with Landfall.
    ///
    /// # Errors
    /// They are damaged.
    pub fn built_in() -> Result<Self, DataError> {
        Self::parse(BUILT_IN_COSTS)
    }

    /// Figures in the form of `costs.toml`.
    ///
    /// # Errors
    /// An entry cannot be meant.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let source = DataText { file: "costs", text };
        let file: File = source.read()?;
        let prices = checked(&source, file.price, |price| (price.id.clone(), price.wrong()))?;
        let moves = checked(&source, file.r#move, |one| (one.id.clone(), one.wrong()))?;
        let visits = checked(&source, file.visit, |visit| (visit.id.clone(), visit.wrong()))?;
        let Some(default_visit) = visits.iter().find(|visit| visit.id == "default").cloned() else {
            let what = "there is no visit with the id \"default\"".to_owned();
            return Err(source.error_at(
                0,
                "visit",
                what,
                "add one, for countries without a price of their own",
            ));
        };
        Ok(Self { currency: file.currency, prices, moves, visits, default_visit })
    }

    /// What the bearer of that name costs.
    pub fn price(&self, bearer: &str) -> Option<&Price> {
        self.prices.iter().find(|price| price.id == bearer)
    }

    /// The move of that name.
    pub fn r#move(&self, id: &str) -> Option<&Move> {
        self.moves.iter().find(|one| one.id == id)
    }

    /// A visit in that country.
    pub fn visit(&self, country: Option<Country>) -> &Visit {
        let own =
            country.and_then(|country| self.visits.iter().find(|visit| visit.id == country.to_string()));
        own.unwrap_or(&self.default_visit)
    }

    /// The names of the moves.
    pub fn moves(&self) -> Vec<&str> {
        self.moves.iter().map(|one| one.id.as_str()).collect()
    }
}

/// The entries of one kind, each with an id of its own and nothing wrong.
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
        let twice =
            ids.contains(&id).then_some(("the id is there twice", "give each entry an id of its own"));
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
    fn wrong(&self) -> Option<(&'static str, &'static str)> {
        let sound = is_price(self.per_mb) && is_price(self.per_sms);
        (!sound).then_some(("a price is from 0 to 1,000,000", "correct the number"))
    }
}

impl Move {
    fn wrong(&self) -> Option<(&'static str, &'static str)> {
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
    fn wrong(&self) -> Option<(&'static str, &'static str)> {
        if self.id != "default" && self.id.parse::<Country>().is_err() {
            return Some(("it is for no country", "use a country's code, such as BR, or default"));
        }
        (!is_price(self.price)).then_some(("a price is from 0 to 1,000,000", "correct the number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearers::Bearers;

    #[test]
    fn the_figures_that_come_along_are_sound() {
        let costs = Costs::built_in().unwrap();
        assert_eq!(costs.moves(), ["consumer", "consumer-ts48", "m2m"]);
        for bearer in Bearers::built_in().unwrap().all() {
            assert!(costs.price(&bearer.id).is_some(), "{}", bearer.id);
        }
        assert_eq!(costs.visit("BR".parse().ok()).price.to_string(), "120.00");
        assert_eq!(costs.visit("FR".parse().ok()).id, "default");
        assert_eq!(costs.visit(None).id, "default");
    }

    #[test]
    fn money_is_exact_and_rounds_when_it_is_shown() {
        let price = Money::from(0.1);
        assert_eq!(price.times(3, 1), Money(300_000));
        assert_eq!(price.times(2_000_000, 1_000_000), Money(200_000));
        assert_eq!(Money(1_005_000).to_string(), "1.01");
        assert_eq!(serde_json::to_string(&Money(1_500_000)).unwrap(), "1.5");
    }

    #[test]
    fn bad_figures_are_refused_with_their_line_and_what_to_do() {
        let text = |from: &str, to: &str| BUILT_IN_COSTS.replacen(from, to, 1);
        for (text, words) in [
            (text("per_mb = 0.10", "per_mb = -1"), "a price is"),
            (text("per_mb = 0.10", "per_kb = 0.10"), "unknown field"),
            (text("id = \"nb-iot\"", "id = \"2g-sms\""), "twice"),
            (text("id = \"DE\"", "id = \"Germany\""), "no country"),
            (text("id = \"default\"", "id = \"FR\""), "no visit with the id"),
        ] {
            let error = Costs::parse(&text).unwrap_err();
            assert!(error.to_string().contains(words) && error.line.is_some(), "{error}");
            assert!(!error.next.is_empty());
        }
    }
}
