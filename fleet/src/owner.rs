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
