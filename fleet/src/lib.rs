//! The devices of a fleet's owner: their records, and the answers that the owner needs. No sockets.
//!
//! A [`Device`] is a durable record: who it is, what its card holds, where it has been, what it waits for ([`State`]) and what
//! was done with it ([`Trail`]). [`Fleet`] is all of them as read at one moment. Records come from CSV files ([`files`]) and go
//! back into them.
//!
//! [`Counted`] holds a fleet against a rule book, the owner's policy and offers at one time; each answer is a pure function of it,
//! and a value that serializes:
//!
//! - [`residents`](answers::residents): where foreign subscriptions are in fact resident,
//! - [`breaches`](answers::breaches): which devices break which rule, and when,
//! - [`markets`](answers::markets): which countries must move, by when, and whether there is an offer,
//! - [`effort`](answers::effort): how long moving takes and what it costs over a bearer,
//! - [`recovery`](answers::recovery): what it costs when moves fail,
//! - [`what_if`](answers::what_if): whom another rule book affects.
//!
//! How fast, late and lossy a bearer is stands in one table ([`bearers`]), what it and all else costs in another ([`costs`]).
//!
//! [`Platform`] is the party that acts on all that: devices check in ([`CheckIn`]) and are told what to do ([`Instruction`]),
//! campaigns ([`Spec`]) say who moves and how many at a time, and profiles are ordered at the SM-DP+ of an operator, or brought by
//! the operator itself ([`Supplier`]).

pub mod answers;
mod api;
pub mod bearers;
mod campaign;
mod check_in;
pub mod costs;
mod counted;
mod device;
pub mod files;
mod owner;
mod plan;
mod platform;
mod problem;
mod reconcile;
mod state;
mod store;
mod supplier;

pub use api::{CHECK_IN, DOCUMENT, ROUTES};
pub use campaign::{
    CAMPAIGNS, Campaign, CampaignId, Canary, Destination, Devices, Forgiven, MEMBERS, Member, MemberState,
    NotACampaignId, Pace, Progress, Retries, Share, Spec, State as CampaignState, Stop, Weekday, Window,
};
pub use check_in::{
    CheckIn, Discrepancy, Ending, Instruction, MoveEnded, OnCard, OrderId, RefusedBy, Registration, Target,
    What,
};
pub use counted::{Counted, Question};
pub use device::{Device, Fleet, Name, Selection, listed};
pub use owner::Owner;
pub use plan::Plan;
pub use platform::{
    By, Code, Config, Decided, Edit, Heard, InCampaign, MOVES, Move, ORDERS, Planned, Platform, ProfileOrder,
    Setup, Shown, Step, Told, decisions,
};
pub use problem::Problem;
pub use state::{Entry, Happening, NotPossible, State, Tally, Trail};
pub use store::{DEVICES, dry_run, import, load, put};
pub use supplier::{Es2Plus, Supplier};
