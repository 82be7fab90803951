//! Catalogue of lies.

mod card;
mod certificate;
mod m2m;
mod package;
mod server;

use super::{Entry, FaultId, Places};
use crate::FalseStatement;

pub(super) static ENTRIES: [&[Entry]; 6] = [
    server::ENTRIES,
    certificate::ENTRIES,
    package::METADATA_ENTRIES,
    package::BINDING_ENTRIES,
    card::ENTRIES,
    m2m::ENTRIES,
];

const INITIATE: &str = "ES9+.InitiateAuthentication";
const AUTHENTICATE: &str = "ES9+.AuthenticateClient";
const PACKAGE: &str = "ES9+.GetBoundProfilePackage";
const CANCEL: &str = "ES9+.CancelSession";
const NOTIFY: &str = "ES9+.HandleNotification";

/// The tested party and its requirement.
struct Test {
    peer: &'static str,
    requirement: &'static str,
    clause: &'static str,
}

const fn false_statement(act: FalseStatement, name: &'static str, told: &'static str) -> Entry {
    Entry::new(FaultId::Lie(act), name, Places::Told(told))
}

impl Entry {
    const fn tests(self, test: &Test, answer: &'static str) -> Self {
        self.peer(test.peer).requires(test.requirement, test.clause).answer(answer)
    }
}
