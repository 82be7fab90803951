//! Open moves. Only the record of an open move states that a device is moving.

use localize::{Orderable, Place};
use rsp::{
    ids::{Iccid, Plmn},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::Collection;

use crate::{
    campaign::{CampaignId, Direction},
    check_in::MoveId,
    profile_order::ProfileOrderId,
    state::State,
};

/// Open moves by EID. A device has at most one, and the end of a move deletes its record.
pub const MOVES: Collection<Move> = Collection::new("moves");

/// An open move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// The ID of the move.
    pub id: MoveId,
    /// The campaign that started it.
    pub campaign: CampaignId,
    /// The direction: the campaign or its rollback.
    pub direction: Direction,
    /// The network of the new profile.
    pub to: Place,
    /// The source of the new profile.
    pub source: ProfileSource,
    /// The profile to enable again if the move fails.
    pub fall_back_to: Option<Iccid>,
    /// Start of the move.
    pub begun: Timestamp,
}

/// Source of the profile to which a device moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProfileSource {
    /// The profile is on the card.
    Card(Iccid),
    /// The profile is ordered at an SM-DP+.
    Order {
        /// The key of the order in [`ORDERS`](crate::profile_order::ORDERS).
        id: ProfileOrderId,
        /// Operators that have refused an order for this move.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refused_by: Vec<Plmn>,
    },
    /// The operator supplies the profile with this ICCID, or of this type, on request.
    Operator(Orderable),
}

impl Move {
    /// The order of the profile, if the profile is ordered at an SM-DP+.
    pub fn order(&self) -> Option<&ProfileOrderId> {
        match &self.source {
            ProfileSource::Order { id, .. } => Some(id),
            ProfileSource::Card(_) | ProfileSource::Operator(_) => None,
        }
    }

    /// The state of a device with this open move.
    pub(crate) fn device_state(&self) -> State {
        State::Moving { to: self.to.plmn, since: self.begun }
    }
}
