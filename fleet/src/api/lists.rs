//! Lists of open moves and campaigns, with their filters.

use localize::{Country, Place};
use rsp::{
    ids::{Eid, Plmn},
    time::Timestamp,
};
use rsp_server::api::{self, Listing, Page, Problem, Revised, Waiting};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::Tx;

use crate::{
    campaign::{CAMPAIGNS, Campaign, CampaignId, State},
    check_in::MoveId,
    moves::{MOVES, Move},
    platform::Platform,
};

/// Selects open moves. A field that is absent selects all.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveFilter {
    /// The device.
    eid: Option<Eid>,
    /// The country of the new profile's network.
    country: Option<Country>,
    /// The network of the new profile.
    carrier: Option<Plmn>,
    /// The campaign that started the move.
    campaign: Option<CampaignId>,
}

/// An open move.
#[derive(Serialize, JsonSchema)]
pub(super) struct OpenMove {
    /// The device.
    #[schemars(with = "Eid")]
    eid: String,
    /// The ID of the move.
    id: MoveId,
    /// The campaign that started it.
    campaign: CampaignId,
    /// The network of the new profile.
    to: Place,
    /// Start of the move.
    begun: Timestamp,
}

/// Selects campaigns. A field that is absent selects all.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CampaignFilter {
    /// The state.
    state: Option<StateName>,
}

/// The name of a campaign's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CampaignStateName")]
enum StateName {
    Draft,
    Canary,
    Running,
    Paused,
    Stopped,
    Done,
    RollingBack,
    RolledBack,
}

/// GET /v1/moves
pub(super) async fn moves(
    platform: &Platform,
    listing: &Listing<MoveFilter>,
) -> Result<Page<OpenMove>, Problem> {
    let select = |key: &str, open| listing.filter.select(key, open);
    Ok(listing.page(&Tx::begin(platform.records()), &MOVES, select).await?)
}

/// GET /v1/moves/latest
pub(super) async fn latest_move(
    platform: &Platform,
    filter: &MoveFilter,
) -> Result<Option<Revised<OpenMove>>, Problem> {
    let select = |key: &str, open| filter.select(key, open);
    Ok(api::latest(&Tx::begin(platform.records()), &MOVES, select).await?)
}

/// GET /v1/moves/wait
pub(super) async fn awaited_move(
    platform: &Platform,
    waiting: &Waiting<MoveFilter>,
) -> Result<Option<Revised<OpenMove>>, Problem> {
    let select = |key: &str, open| waiting.filter.select(key, open);
    Ok(api::first_after(&Tx::begin(platform.records()), &MOVES, waiting.after, select).await?)
}

/// GET /v1/campaigns
pub(super) async fn campaigns(
    platform: &Platform,
    listing: &Listing<CampaignFilter>,
) -> Result<Page<Campaign>, Problem> {
    let wanted = listing.filter.state;
    let select = |_: &str, campaign: Campaign| {
        wanted.is_none_or(|wanted| StateName::of(&campaign.state) == wanted).then_some(campaign)
    };
    Ok(listing.page(&Tx::begin(platform.records()), &CAMPAIGNS, select).await?)
}

impl MoveFilter {
    fn select(&self, eid: &str, open: Move) -> Option<OpenMove> {
        let is_selected = self.eid.is_none_or(|wanted| wanted.to_string() == eid)
            && self.country.is_none_or(|wanted| open.to.country == wanted)
            && self.carrier.is_none_or(|wanted| open.to.plmn == wanted)
            && self.campaign.as_ref().is_none_or(|wanted| open.campaign == *wanted);
        let Move { id, campaign, to, begun, .. } = open;
        is_selected.then(|| OpenMove { eid: eid.to_owned(), id, campaign, to, begun })
    }
}

impl StateName {
    fn of(state: &State) -> Self {
        match state {
            State::Draft => Self::Draft,
            State::Canary => Self::Canary,
            State::Running => Self::Running,
            State::Paused { .. } => Self::Paused,
            State::Stopped { .. } => Self::Stopped,
            State::Done => Self::Done,
            State::RollingBack => Self::RollingBack,
            State::RolledBack => Self::RolledBack,
        }
    }
}
