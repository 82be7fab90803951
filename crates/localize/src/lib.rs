//! Decides when a device has to move to a local profile, to which one, and why. No I/O.
//!
//! A device that uses a foreign subscription for months breaks the rules of some countries.
//! This crate has the rules as dated data ([`RuleBook`]), a device's record of its stays
//! ([`History`]), and one function, [`decide`], which turns these, the profiles on the card and the
//! available offers into a [`Decision`]:
//!
//! - **stay**, and the time of the next evaluation,
//! - **move** to a local profile, the deadline, and the profile to fall back to,
//! - **stuck**: a rule is or will be broken, and no local profile is known.
//!
//! A decision always contains its [`Reason`]s: the rule, the count, the limit, the day of the
//! breach, the source. A reason is printed as a sentence and serialised as data.
//!
//! # Counting
//!
//! A rule has six parts: the subject (the devices to which it applies), a count with a limit
//! ([`RuleKind`]), requirements that lift it ([`Requirement`], fulfilled by a [`Permit`]), a
//! [`Consequence`], dates, and a source. docs/localization-rules.md has examples of each.
//!
//! A *day* is a calendar day in UTC on which the device was attached, even for a short time,
//! with a subscription whose home is another country ([`Day`], [`Stay`]). A window of 365 days ends
//! with today and includes it. With a limit of 90 days, the rule is broken at the start of the 91st
//! day, at midnight. Days count for each device, or for each IMEI: changing one foreign subscription
//! for another does not restart the count. Days on a local subscription do not count. [`measure`]
//! returns the past or future day of the breach.
//!
//! # Many devices
//!
//! Some rules are about the fleet: a share of roaming devices, or a number of devices. [`Census`]
//! counts a fleet once, and each decision reads the counts from [`Policy::counts`]. The owner's
//! [`Strategy`] (local profile, multi-IMSI identity, roaming) reads the counts too; its rows are
//! chosen by country, number of devices and needs. Under a rule about the fleet, as many devices
//! leave as exceed the limit, beginning with those that have the longest stays.
//!
//! # Changing a rule
//!
//! Edit `data/countries.toml`, whose head describes the fields, or pass a text in the same form to
//! [`RuleBook::parse`]: the text replaces all rules. An invalid rule is refused with its line, its
//! field, and a remedy. [`RulesDiff`] compares two books, and [`RuleBook::alerts`] lists dates that
//! are near. `data/networks.toml` lists the countries of networks; [`RuleBook::place_network`] makes
//! an exception for a laboratory network that acts as a network of a country.
//!
//! # Example
//!
//! ```
//! use localize::{Decision, Device, Policy, RuleBook, decide};
//! let book = RuleBook::built_in()?;
//! let mut device = Device::default();
//! device.history.observe(book.locate("724-05".parse()?)?, "GB".parse()?, "2026-01-01T08:00:00Z".parse()?)?;
//! let decision = decide("2026-02-01T00:00:00Z".parse()?, &device, &[], &book, &Policy::default());
//! let Decision::Stay { next_check, .. } = decision else { panic!("{decision}") };
//! assert_eq!(next_check.unwrap().to_string(), "2026-03-25T00:00:00Z"); // a week before the 91st day
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alert;
mod book;
mod breach;
mod counts;
mod data;
mod day;
mod decide;
mod device;
mod diff;
mod entry;
mod history;
mod imei;
mod judge;
mod needs;
mod network;
mod network_table;
mod permit;
mod reason;
mod rules;
mod strategy;

pub use alert::{ALERT_DAYS, Alert, DateOfRule};
pub use book::{BUILT_IN_RULES, RuleBook, TEMPLATES};
pub use breach::{Breach, Measurement, measure};
pub use counts::{Census, FleetCounts, Share};
pub use data::{DataError, DataText};
pub use day::{Day, NotADay};
pub use decide::{Decision, decide};
pub use device::{
    Destination, Device, HeldProfile, HeldState, Identity, Offer, Orderable, Policy, ProfileType, Refused,
    Role,
};
pub use diff::{ChangedField, ChangedRule, RulesDiff};
pub use history::{History, HistoryError, Stay};
pub use imei::{Imei, NotAnImei};
pub use judge::findings;
pub use needs::{Bandwidth, Criticality, Latency, Needs};
pub use network::{Country, Home, NotACountry, NotANumberRange, NumberRange, Place};
pub use network_table::{BUILT_IN_NETWORKS, UnknownNetwork};
pub use permit::{NotAPermit, Permit, Requirement};
pub use reason::{Citation, Finding, NamedCountry, Reason, Status};
pub use rules::{
    Confidence, Consequence, Counted, CountedBy, DevicesIn, Document, Event, Limit, Rule, RuleId, RuleKind,
    Scope, Unit,
};
pub use strategy::{BUILT_IN_STRATEGY, Circumstances, Means, Strategy, StrategyId, StrategyRow, When};
