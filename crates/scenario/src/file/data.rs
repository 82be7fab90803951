//! Combines the built-in rules, strategy and countries of networks with those of the file.

use localize::{BUILT_IN_RULES, BUILT_IN_STRATEGY, Country, RuleBook, Strategy};
use toml::Spanned;

use super::error::{InvalidScenario, Text};
use super::{File, Network, Operator, Source};

/// The rules of the file and, if the owner uses them, the built-in ones.
pub(super) fn rules(source: Text<'_>, file: &File) -> Result<RuleBook, InvalidScenario> {
    let base = match file.owner.rules {
        Some(Source::None) => "",
        Some(Source::BuiltIn) | None => BUILT_IN_RULES,
    };
    tables(base, "rule", &file.rule, source, RuleBook::parse)
}

/// The rows of the file, followed by the built-in ones if the owner uses them.
pub(super) fn strategy(source: Text<'_>, file: &File, book: &RuleBook) -> Result<Strategy, InvalidScenario> {
    let base = match file.owner.strategy {
        Source::None => "",
        Source::BuiltIn => BUILT_IN_STRATEGY,
    };
    tables(base, "row", &file.strategy, source, |text| Strategy::parse(text, book))
}

/// Parses the built-in data together with the tables of the file. An error names the first table
/// that is invalid.
fn tables<T>(
    base: &str,
    name: &str,
    added: &[Spanned<toml::Table>],
    source: Text<'_>,
    parse: impl Fn(&str) -> Result<T, localize::DataError>,
) -> Result<T, InvalidScenario> {
    let mut text = base.to_owned();
    let mut parsed = None;
    for table in added {
        let list = toml::Value::Array(vec![toml::Value::Table(table.get_ref().clone())]);
        let one = toml::to_string(&toml::Table::from_iter([(name.to_owned(), list)]));
        let one = one.map_err(|why| source.error(table.span(), why.to_string(), "simplify the table"))?;
        text = format!("{text}\n{one}");
        let read = parse(&text).map_err(|why| source.error(table.span(), why.what, why.next))?;
        parsed = Some(read);
    }
    match parsed {
        Some(parsed) => Ok(parsed),
        None => parse(&text).map_err(|why| source.error(0..0, why.to_string(), "report this")),
    }
}

/// Checks that a country code exists.
pub(super) fn is_country(
    source: Text<'_>,
    country: &Spanned<Country>,
    book: &RuleBook,
) -> Result<(), InvalidScenario> {
    if book.knows(*country.get_ref()) {
        return Ok(());
    }
    let what = format!("{} is not a country", country.get_ref());
    Err(source.error(country.span(), what, "use an ISO 3166-1 code such as BR"))
}

/// Enters the countries of the networks of the file into the rule book.
pub(super) fn place_networks(
    source: Text<'_>,
    networks: &[Network],
    operators: &[Operator],
    book: &mut RuleBook,
) -> Result<(), InvalidScenario> {
    for network in networks {
        if let Some(country) = &network.country {
            is_country(source, country, book)?;
            book.place_network(*network.plmn.get_ref(), *country.get_ref());
        }
    }
    let all = networks
        .iter()
        .map(|network| &network.plmn)
        .chain(operators.iter().map(|operator| &operator.network));
    for plmn in all {
        if book.locate(*plmn.get_ref()).is_err() {
            let what = format!("the country of network {} is unknown", plmn.get_ref());
            let next = "add country = \"BR\" or the like to its [[network]], or use another network code";
            return Err(source.error(plmn.span(), what, next));
        }
    }
    Ok(())
}
