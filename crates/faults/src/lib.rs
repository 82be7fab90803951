//! Fault injection for a remote-provisioning system.
//!
//! This crate makes links, stored records, radio networks, power supplies and card memory fail on
//! purpose, so that a test can show how a party reacts. The parties themselves contain no test
//! code: every fault is injected by a wrapper around one of their interfaces.
//!
//! - [`catalogue`] lists all faults. Each entry names the requirement that the fault tests.
//! - [`FaultSpec`] is one fault with its place and its conditions, as a user writes it.
//! - [`FaultInjector`] holds the fault specs of a run and decides at every occasion which of them
//!   happens. Its random decisions follow from the seed of the run.
//! - The wrappers query the injector and carry out the fault: [`FaultInjector::link`] wraps an HTTP
//!   link, [`FaultInjector::datagrams`] an association of CoAP, [`FaultyRecords`] a store,
//!   [`FaultyRadio`] a radio, and [`FaultyMemory`] the memory of a card or a device. A wrapper passes
//!   everything on unchanged when no fault happens.
//! - The faults of the family `tls` replace the certificate of a server: [`FaultInjector::next_tls_fault`]
//!   decides at each handshake, and [`TlsSubstitute`] issues the certificates.
//! - [`ProcessHandle`] and [`Power`] represent a process that can crash and a power supply that can
//!   be cut.
//! - The faults of the family `tamper` are false statements under valid keys. They need a
//!   [`TamperingPeer`], which has the keys of the parties: see
//!   [`FaultInjector::with_tampering_peer`].
//!
//! # Notation
//!
//! ```text
//! link/lose-answer@ES9+.GetBoundProfilePackage#2
//!
//! fault  = family "/" name [ "=" value ] [ "@" place ] ( "#" when )*
//! value  = a duration (250ms, 30s, 5m, 2h, 1d) or a number, depending on the fault.
//!          Default: the value in the catalogue.
//! place  = where the fault happens. Default: everywhere that the injector is installed.
//!          link, tamper: an interface, or one function of it: ES9+, ES9+.GetBoundProfilePackage, ES3.CreateISDP
//!          coap:      the direction of a message: to-server, from-server
//!          tls:       a server: sm-dp, sm-ds
//!          records:   a party, or one collection of its records: sm-dp, sm-dp:profiles
//!          radio:     a network: 262-42; for short messages the direction: mt, mo
//!          power:     the owner of the memory, or a prefix of cell names in it: card, card:profile/, device:intention
//!          apdu:      an interface of the card, or one function of it: ES10b, ES10b.LoadBoundProfilePackage
//! when   = a condition on the occasions at that place, which are counted from 1.
//!          Default: every occasion. Several conditions must all hold.
//!          2         the second          2-4   the second to the fourth     2-    the second and all later ones
//!          30%       with this probability     10s..5m, 10s..   in this time since the fault was installed
//! ```

mod acts;
mod apdu;
mod card_function;
pub mod catalogue;
mod datagrams;
mod false_statement;
mod fault_spec;
mod function;
mod injector;
mod link;
pub mod page;
mod power;
mod radio;
mod records;
mod tampering_peer;
mod tls;
mod value;
mod when;

pub use acts::false_statement::{
    FalseCardStatement, FalseEimStatement, FalseElement, FalseIotStatement, FalseM2mStatement, FalseMetadata,
    FalsePackage, FalseServerStatement, FalseStatement,
};
pub use acts::{ApduAct, CoapAct, LinkAct, PowerAct, RadioAct, RecordsAct, TlsAct};
pub use apdu::FaultyCardInterface;
pub use catalogue::{Entry, Family, FaultId};
pub use fault_spec::{FaultSpec, InvalidFaultSpec};
pub use function::function_of;
pub use injector::{FaultInjector, InjectedFault};
pub use power::{FaultyMemory, Power, PoweredCard, SwitchedCard};
pub use radio::FaultyRadio;
pub use records::{FaultyRecords, ProcessHandle};
pub use tampering_peer::TamperingPeer;
pub use tls::TlsSubstitute;
pub use value::Value;
pub use when::When;
