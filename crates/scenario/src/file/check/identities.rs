//! Checks of profiles with several identities.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::{Identity, Operator};
use super::{Check, Checked};
use testbed::subscription::OwnIdentities;

impl Check<'_> {
    pub(super) fn identities(&self, operator: &Operator) -> Checked {
        let Some(first) = operator.identities.first() else { return Ok(()) };
        let no = |span: Range<usize>, what: String, next: &str| Err(self.source.error(span, what, next));
        if self.scenario.is_m2m() {
            let next = "remove identities; an SM-SR addresses a card by the MSISDN of one subscription";
            return no(first.of.span(), "M2M devices have only one identity".to_owned(), next);
        }
        if self.scenario.identities_of(operator).series > OwnIdentities::MOST_SERIES {
            let what =
                format!("at most {} operators can have profiles with identities", OwnIdentities::MOST_SERIES);
            return no(first.of.span(), what, "use fewer operators with identities");
        }
        let (mut countries, mut homes) = (BTreeSet::new(), BTreeSet::from([*operator.network.get_ref()]));
        for Identity { countries: used, of } in &operator.identities {
            self.operator(of)?;
            if !homes.insert(*of.get_ref()) {
                let next = "list each network once, with all its countries; the operator's own identity is used in all other countries";
                return no(of.span(), format!("{} is listed already", of.get_ref()), next);
            }
            if used.is_empty() {
                let next = "write in = [\"BR\"] or the like";
                return no(of.span(), "this identity has no country".to_owned(), next);
            }
            for country in used {
                let name = *country.get_ref();
                if self.scenario.book.codes_of(name).is_empty() {
                    let next = "the applet detects a country by the mobile country code of its networks; use another country";
                    return no(country.span(), format!("{name} has no mobile country code"), next);
                }
                if !countries.insert(name) {
                    let next = "assign it to only one of them";
                    return no(country.span(), format!("{name} has an identity already"), next);
                }
            }
        }
        Ok(())
    }
}
