//! The fleet owner's platform: device records, campaigns, check-in and reports. No sockets.
//!
//! A [`Device`] is a stored record: its card, its profiles, where it has been, its state
//! ([`State`]) and its audit trail ([`Trail`]). [`Fleet`] is a snapshot of all devices. Devices are
//! imported from CSV files and exported to them ([`files`]).
//!
//! An [`EvaluatedFleet`] is a fleet evaluated under a rule book, the owner's policy and offers at
//! one point in time. Each report is a pure function of it, with a result that serializes:
//!
//! - [`residents`](answers::residents): countries in which foreign subscriptions are in fact
//!   resident,
//! - [`breaches`](answers::breaches): devices that break a rule, and when,
//! - [`markets`](answers::markets): countries in which devices must move, by when, and the offers
//!   there,
//! - [`effort`](answers::effort): duration and cost of moves over a bearer,
//! - [`recovery`](answers::recovery): cost of failed moves,
//! - [`what_if`](answers::what_if): devices for which another rule book gives a different result,
//! - [`rules_update`](answers::rules_update): differences and effect of new rules.
//!
//! [`bearers`] is the table of speed, delay and loss of bearers; [`costs`] is the table of prices.
//!
//! [`Platform`] is the party that acts on these data. Devices check in ([`CheckIn`]) and receive an
//! [`Instruction`]. Campaigns ([`CampaignSpec`]) decide which devices move and at what rate. Profiles are
//! ordered at the SM-DP+ of an operator or supplied by the operator itself ([`Supplier`]).

pub mod answers;
mod api;
pub mod bearers;
mod campaign;
mod check_in;
mod client;
pub mod costs;
mod device;
mod eim_agent;
mod equipment;
mod evaluated_fleet;
pub mod files;
mod invariants;
mod moves;
mod owner;
mod plan;
mod platform;
mod profile_order;
mod reconcile;
mod state;
mod store;
mod supplier;
mod transaction;

pub use api::CHECK_IN;
pub use campaign::{
    AttemptCounts, CAMPAIGNS, Campaign, CampaignId, CampaignSpec, Canary, Destination, Devices, Direction,
    Forgiven, MEMBERS, Member, MemberState, MemberStatus, NotACampaignId, Pace, Progress, Retries, Share,
    State as CampaignState, Stop, Weekday, Window,
};
pub use check_in::{
    Action, CardProfile, CheckIn, Discrepancy, Ending, Instruction, MoveEnded, MoveId, RefusedBy,
    Registration, Target,
};
pub use client::{CheckInError, retry_delay, send_check_in};
pub use device::{Device, Fleet, Name, Selection, format_list};
pub use eim_agent::{EimAgent, EimAgentConfig};
pub use evaluated_fleet::{Conditions, EvaluatedFleet};
pub use invariants::violations;
pub use moves::{MOVES, Move, ProfileSource};
pub use owner::Owner;
pub use plan::Plan;
pub use platform::{
    CampaignDetails, CampaignDevice, Config, DeviceDecision, Edit, NewRules, PlannedMove, Platform,
    Processed, Setup, decisions,
};
pub use profile_order::{Code, DownloadProgress, ORDERS, OrderStep, ProfileOrder, ProfileOrderId};
pub use rsp_server::api::Problem;
pub use state::{DeviceEvent, NotPossible, State, Tally, Trail, TrailEntry};
pub use store::{ImportError, STORED_FORM, dry_run, get, import, load, put};
pub use supplier::{Es2Plus, Supplier};
