//! The table of cases. Later cases use the profiles that earlier ones have downloaded.

mod coap;
mod connection;
mod downloads;
mod fallback;
mod packages;
mod profiles;
mod several_eims;

use sgp23::Scope;

use super::case::{Case, Run};

/// Returns all cases.
pub fn table() -> Vec<Case> {
    [
        connection::cases(),
        coap::cases(),
        packages::cases(),
        downloads::cases(),
        several_eims::cases(),
        fallback::cases(),
        profiles::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A case that is run once: the IPA chooses the binding, and has its own card.
fn case(function: &'static str, clause: &'static str, title: &str, run: Run) -> Case {
    Case::new(function, clause, title, run).scope(Scope::Once)
}
