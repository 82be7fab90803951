//! Rules, strategy and places of networks: what comes along, and what the file adds.

use localize::{BUILT_IN_RULES, BUILT_IN_STRATEGY, Country, RuleBook, Strategy};
use toml::Spanned;

use super::error::{NotAScenario, Text};
use super::{File, Network, Operator, Source};

/// The rules that come along, if the owner wants them, and those of the file.
pub(super) fn rules(source: Text<'_>, file: &File) -> Result<RuleBook, NotAScenario> {
    let base = match file.owner.rules {
        Some(Source::None) => "",
        Some(Source::BuiltIn) | None => BUILT_IN_RULES,
    };
    tables(base, "rule", &file.rule, source, RuleBook::parse)
}

/// The rows of the file, then those that come along if the owner wants them.
pub(super) fn strategy(source: Text<'_>, file: &File, book: &RuleBook) -> Result<Strategy, NotAScenario> {
    let base = match file.owner.strategy {
        Source::None => "",
        Source::BuiltIn => BUILT_IN_STRATEGY,
    };
    tables(base, "row", &file.strategy, source, |text| Strategy::parse(text, book))
}

/// Data with the tables of the file behind it; if that cannot be, the first table because of which.
fn tables<T>(
    base: &str,
    name: &str,
    added: &[Spanned<toml::Table>],
    source: Text<'_>,
    parse: impl Fn(&str) -> Result<T, localize::DataError>,
) -> Result<T, NotAScenario> {
    let mut text = base.to_owned();
    let mut parsed = None;
    for table in added {
        let list = toml::Value::Array(vec![toml::Value::Table(table.get_ref().clone())]);
        let one = toml::to_string(&toml::Table::from_iter([(name.to_owned(), list)]));
        let one = one.map_err(|why| source.error(table.span(), why.to_string(), "write it more simply"))?;
        text = format!("{text}\n{one}");
        let read = parse(&text).map_err(|why| source.error(table.span(), why.what, why.next))?;
        parsed = Some(read);
    }
    match parsed {
        Some(parsed) => Ok(parsed),
        None => parse(&text).map_err(|why| source.error(0..0, why.to_string(), "report this")),
    }
}

/// That a code is some country's.
pub(super) fn is_country(
    source: Text<'_>,
    country: &Spanned<Country>,
    book: &RuleBook,
) -> Result<(), NotAScenario> {
    if book.knows(*country.get_ref()) {
        return Ok(());
    }
    let what = format!("{} is no country", country.get_ref());
    Err(source.error(country.span(), what, "use a code after ISO 3166-1, such as BR"))
}

/// Puts the networks of the file where they say they are.
pub(super) fn place_networks(
    source: Text<'_>,
    networks: &[Network],
    operators: &[Operator],
    book: &mut RuleBook,
) -> Result<(), NotAScenario> {
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
            let what = format!("it is not known in which country network {} is", plmn.get_ref());
            let next = "give its [[network]] a country = \"BR\" or the like, or take another number";
            return Err(source.error(plmn.span(), what, next));
        }
    }
    Ok(())
}
