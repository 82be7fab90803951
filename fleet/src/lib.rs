//! The fleet owner's platform: device records, campaigns, check-in and reports. No sockets.
//!
//! A [`Device`] is a stored record: its card, its profiles, where it has been, its state
//! ([`State`]) and its audit trail ([`Trail`]). [`Fleet`] is a snapshot of all devices. Devices are
//! imported from CSV files and exported to them ([`files`]).
//!
//! [`Counted`] evaluates a fleet under a rule book, the owner's policy and offers at one point in
//! time. Each report is a pure function of it, with a result that serializes:
//!
//! - [`residents`](answers::residents): countries in which foreign subscriptions are in fact
//!   resident,
//! - [`breaches`](answers::breaches): devices that break a rule, and when,
//! - [`markets`](answers::markets): countries in which devices must move, by when, and the offers
//!   there,
//! - [`effort`](answers::effort): duration and cost of moves over a bearer,
//! - [`recovery`](answers::recovery): cost of failed moves,
//! - [`what_if`](answers::what_if): devices that another rule book affects.
//!
//! [`bearers`] is the table of speed, delay and loss of bearers; [`costs`] is the table of prices.
//!
//! [`Platform`] is the party that acts on these data. Devices check in ([`CheckIn`]) and receive an
//! [`Instruction`]. Campaigns ([`Spec`]) decide which devices move and at what rate. Profiles are
//! ordered at the SM-DP+ of an operator or supplied by the operator itself ([`Supplier`]).

pub mod answers;
mod api;
pub mod bearers;
mod campaign;
mod check_in;
pub mod costs;
mod counted;
mod device;
pub mod files;
mod invariants;
mod moves;
mod owner;
mod plan;
mod platform;
mod problem;
mod profile_order;
mod reconcile;
mod state;
mod store;
mod supplier;

pub use api::{CHECK_IN, DOCUMENT, ROUTES};
pub use campaign::{
    AttemptCounts, CAMPAIGNS, Campaign, CampaignId, Canary, Destination, Devices, Forgiven, MEMBERS, Member,
    MemberState, MemberStatus, NotACampaignId, Pace, Progress, Retries, Share, Spec, State as CampaignState,
    Stop, Weekday, Window,
};
pub use check_in::{
    CardProfile, CheckIn, Discrepancy, Ending, Instruction, MoveEnded, MoveId, RefusedBy, Registration,
    Target, What,
};
pub use counted::{Counted, Question};
pub use device::{Device, Fleet, Name, Selection, listed};
pub use invariants::violations;
pub use moves::{Direction, MOVES, Move, ProfileSource};
pub use owner::Owner;
pub use plan::Plan;
pub use platform::{
    CampaignDevice, Config, Decided, Edit, Planned, Platform, Processed, Setup, Shown, decisions,
};
pub use problem::Problem;
pub use profile_order::{Code, DownloadProgress, ORDERS, ProfileOrder, ProfileOrderId, Step};
pub use state::{DeviceEvent, Entry, NotPossible, State, Tally, Trail};
pub use store::{ImportError, STORED_FORM, dry_run, get, import, load, put};
pub use supplier::{Es2Plus, Supplier};
