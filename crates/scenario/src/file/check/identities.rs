//! Profiles with several identities.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::{Identity, Operator};
use super::{Check, Checked};
use crate::subscription::OwnIdentities;

impl Check<'_> {
    pub(super) fn identities(&self, operator: &Operator) -> Checked {
        let Some(first) = operator.identities.first() else { return Ok(()) };
        let no = |span: Range<usize>, what: String, next: &str| Err(self.source.error(span, what, next));
        if self.scenario.is_m2m() {
            let next = "leave identities out: an SM-SR reaches a card by the number of one subscriber";
            return no(first.of.span(), "M2M devices have one identity here".to_owned(), next);
        }
        if self.scenario.identities_of(operator).series > OwnIdentities::MOST_SERIES {
            let what = format!("more than {} operators have profiles like this", OwnIdentities::MOST_SERIES);
            return no(first.of.span(), what, "give their devices profiles of fewer operators");
        }
        let (mut countries, mut homes) = (BTreeSet::new(), BTreeSet::from([*operator.network.get_ref()]));
        for Identity { countries: used, of } in &operator.identities {
            self.operator(of)?;
            if !homes.insert(*of.get_ref()) {
                let next = "name each network once, with all the countries where it is used; its own is used wherever no other is";
                return no(of.span(), format!("{} is there already", of.get_ref()), next);
            }
            if used.is_empty() {
                let next = "write in = [\"BR\"] or the like";
                return no(of.span(), "this identity is used nowhere".to_owned(), next);
            }
            for country in used {
                let name = *country.get_ref();
                if self.scenario.book.codes_of(name).is_empty() {
                    let next =
                        "an applet knows a country by the first three digits of its networks; take another";
                    return no(country.span(), format!("no network's number says {name}"), next);
                }
                if !countries.insert(name) {
                    let next = "leave it with one of them";
                    return no(country.span(), format!("{name} has an identity already"), next);
                }
            }
        }
        Ok(())
    }
}
