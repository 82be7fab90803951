//! The owner's configuration: policy, offers and laboratory networks.

use std::collections::BTreeSet;

use localize::{Country, DataError, DataText, Offer, Orderable, Permit, Policy, ProfileType, RuleBook};
use rsp::ids::{Iccid, Plmn};
use serde::Deserialize;
use toml::Spanned;

/// Policy and offers from the owner's TOML file. docs/fleet.md describes its format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The policy for decisions.
    pub policy: Policy,
    /// Profiles that can be ordered.
    pub offers: Vec<Offer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    lead_time_days: Option<u32>,
    retry_after_days: Option<u32>,
    #[serde(default)]
    registered_in: Vec<Country>,
    #[serde(default)]
    permits: BTreeSet<Permit>,
    #[serde(default)]
    place: Vec<PlaceEntry>,
    #[serde(default)]
    offer: Vec<OfferEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceEntry {
    network: Spanned<String>,
    country: Country,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfferEntry {
    network: Spanned<String>,
    #[serde(rename = "type")]
    profile_type: Option<String>,
    iccid: Option<Iccid>,
    #[serde(default = "first")]
    priority: u32,
}

fn first() -> u32 {
    1
}

impl Owner {
    /// Parses the file, and adds its `[[place]]` entries to the rule book.
    ///
    /// # Errors
    /// An entry is invalid.
    pub fn parse(text: &str, book: &mut RuleBook) -> Result<Self, DataError> {
        let source = DataText { file: "owner", text };
        let fields = "docs/fleet.md describes the fields of an owner's file".to_owned();
        let file: File = source.read().map_err(|error| DataError { next: fields, ..error })?;
        let network = |id: &Spanned<String>| -> Result<Plmn, DataError> {
            id.get_ref().parse().map_err(|error| source.error(id, format!("{error}"), "correct the number"))
        };
        for entry in &file.place {
            if !book.knows(entry.country) {
                let next = "use an ISO 3166-1 alpha-2 code that networks.toml has";
                return Err(source.error(
                    &entry.network,
                    format!("{} is not a country", entry.country),
                    next,
                ));
            }
            book.place_network(network(&entry.network)?, entry.country);
        }
        let mut offers = Vec::new();
        for entry in &file.offer {
            let operator = book
                .locate(network(&entry.network)?)
                .map_err(|error| source.error(&entry.network, error.to_string(), "add a [[place]] for it"))?;
            let order = match (&entry.profile_type, entry.iccid) {
                (Some(name), None) => Orderable::ProfileType(ProfileType(name.clone())),
                (None, Some(iccid)) => Orderable::Iccid(iccid),
                _ => {
                    let what = "an offer needs either a profile type or an ICCID".to_owned();
                    return Err(source.error(&entry.network, what, "give either type or iccid"));
                }
            };
            offers.push(Offer { order, operator, priority: entry.priority });
        }
        let default = Policy::default();
        let policy = Policy {
            lead_time_days: file.lead_time_days.unwrap_or(default.lead_time_days),
            retry_after_days: file.retry_after_days.unwrap_or(default.retry_after_days),
            registered_in: file.registered_in.into_iter().collect(),
            permits: file.permits,
            ..default
        };
        Ok(Self { policy, offers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Owner, DataError> {
        Owner::parse(text, &mut RuleBook::parse("").unwrap())
    }

    #[test]
    fn an_offer_is_a_profile_type_or_an_iccid_of_a_located_network() {
        let offers = "[[place]]\nnetwork = \"001-01\"\ncountry = \"BR\"\n\
                      [[offer]]\nnetwork = \"001-01\"\ntype = \"iot\"\n\
                      [[offer]]\nnetwork = \"001-01\"\niccid = \"8949000000000000043\"\npriority = 2\n";
        let owner = parsed(offers).unwrap();
        let [by_type, by_iccid] = owner.offers.as_slice() else { panic!("{:?}", owner.offers) };
        assert_eq!(by_type.order, Orderable::ProfileType(ProfileType("iot".into())));
        assert_eq!(by_iccid.order, Orderable::Iccid("8949000000000000043".parse().unwrap()));
        assert_eq!((by_type.priority, by_iccid.priority), (1, 2));
        assert_eq!(by_iccid.operator.country, "BR".parse().unwrap());
    }

    #[test]
    fn an_invalid_entry_is_refused_with_advice() {
        let offer = "[[offer]]\nnetwork = \"724-05\"\n";
        for (text, words) in [
            ("[[place]]\nnetwork = \"001-01\"\ncountry = \"QQ\"\n".to_owned(), "QQ is not a country"),
            (offer.to_owned(), "either a profile type or an ICCID"),
            (format!("{offer}type = \"iot\"\niccid = \"8949000000000000043\"\n"), "either a profile type"),
        ] {
            let Err(error) = parsed(&text) else { panic!("accepted: {text}") };
            assert!(error.to_string().contains(words) && !error.next.is_empty(), "{error}");
        }
    }
}
