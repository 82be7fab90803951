//! /v1/campaigns and /v1/dry-run.

use http::StatusCode;
use rsp_server::api::{Arguments, Function, NoId, NoQuery, Problem, Problems, Verb};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Input, PlatformApi};
use crate::{
    campaign::{Campaign, CampaignId, CampaignSpec},
    platform::{CampaignDetails, PlannedMove},
};

/// GET /v1/campaigns
pub(super) struct List;
/// POST /v1/campaigns
pub(super) struct Create;
/// POST /v1/dry-run
pub(super) struct DryRun;
/// GET /v1/campaigns/{id}
pub(super) struct Show;
/// DELETE /v1/campaigns/{id}
pub(super) struct Remove;
/// POST /v1/campaigns/{id}/start
pub(super) struct Start;
/// POST /v1/campaigns/{id}/pause
pub(super) struct Pause;
/// POST /v1/campaigns/{id}/resume
pub(super) struct Resume;
/// POST /v1/campaigns/{id}/roll-back
pub(super) struct RollBack;

/// The person who pauses a campaign.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PausedBy {
    /// The name of the person.
    by: Box<str>,
}

/// The error of a function that names a campaign which does not exist.
const NO_SUCH_CAMPAIGN: (StatusCode, &str) = (StatusCode::NOT_FOUND, "No campaign has this ID");

impl Function<PlatformApi> for List {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/v1/campaigns";
    const SUMMARY: &'static str = "Lists all campaigns in the order of their IDs";
    type Arguments = Arguments;
    type Reply = Vec<Campaign>;

    async fn execute(Input { context, .. }: Input<'_, '_, '_, Self>) -> Result<Vec<Campaign>, Problem> {
        context.campaigns().await
    }
}

impl Function<PlatformApi> for Create {
    const VERB: Verb = Verb::Post;
    const PATH: &'static str = "/v1/campaigns";
    const SUMMARY: &'static str = "Creates a campaign, which does nothing until it is started";
    const SUCCESS: StatusCode = StatusCode::CREATED;
    const PROBLEMS: Problems = &[
        (StatusCode::BAD_REQUEST, "The specification is malformed or has an invalid value"),
        (StatusCode::CONFLICT, "A campaign with this ID exists, or there are too many campaigns"),
    ];
    type Arguments = Arguments<NoId, NoQuery, CampaignSpec>;
    type Reply = Campaign;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Campaign, Problem> {
        context.create_campaign(&arguments.body).await
    }
}

impl Function<PlatformApi> for DryRun {
    const VERB: Verb = Verb::Post;
    const PATH: &'static str = "/v1/dry-run";
    const SUMMARY: &'static str =
        "Returns what a campaign would do with each of its devices now; changes nothing";
    const PROBLEMS: Problems =
        &[(StatusCode::BAD_REQUEST, "The specification is malformed or has an invalid value")];
    type Arguments = Arguments<NoId, NoQuery, CampaignSpec>;
    type Reply = Vec<PlannedMove>;

    async fn execute(
        Input { context, arguments }: Input<'_, '_, '_, Self>,
    ) -> Result<Vec<PlannedMove>, Problem> {
        context.dry_run(&arguments.body).await
    }
}

impl Function<PlatformApi> for Show {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/v1/campaigns/{id}";
    const SUMMARY: &'static str = "Returns a campaign and the state of its devices";
    const PROBLEMS: Problems = &[NO_SUCH_CAMPAIGN];
    type Arguments = Arguments<CampaignId>;
    type Reply = CampaignDetails;

    async fn execute(
        Input { context, arguments }: Input<'_, '_, '_, Self>,
    ) -> Result<CampaignDetails, Problem> {
        context.campaign(&arguments.id).await
    }
}

impl Function<PlatformApi> for Remove {
    const VERB: Verb = Verb::Delete;
    const PATH: &'static str = "/v1/campaigns/{id}";
    const SUMMARY: &'static str = "Deletes a campaign that has ended, and the state of its devices";
    const PROBLEMS: Problems =
        &[NO_SUCH_CAMPAIGN, (StatusCode::CONFLICT, "The campaign is active, or moves are under way")];
    type Arguments = Arguments<CampaignId>;
    type Reply = ();

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<(), Problem> {
        context.remove_campaign(&arguments.id).await
    }
}

impl Function<PlatformApi> for Start {
    const VERB: Verb = Verb::Post;
    const PATH: &'static str = "/v1/campaigns/{id}/start";
    const SUMMARY: &'static str = "Starts a campaign";
    const PROBLEMS: Problems =
        &[NO_SUCH_CAMPAIGN, (StatusCode::CONFLICT, "The campaign has already started")];
    type Arguments = Arguments<CampaignId>;
    type Reply = Campaign;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Campaign, Problem> {
        context.start_campaign(&arguments.id).await
    }
}

impl Function<PlatformApi> for Pause {
    const VERB: Verb = Verb::Post;
    const PATH: &'static str = "/v1/campaigns/{id}/pause";
    const SUMMARY: &'static str = "Pauses a campaign: no move begins, and moves under way continue";
    const PROBLEMS: Problems = &[NO_SUCH_CAMPAIGN, (StatusCode::CONFLICT, "The campaign is not active")];
    type Arguments = Arguments<CampaignId, NoQuery, PausedBy>;
    type Reply = Campaign;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Campaign, Problem> {
        context.pause_campaign(&arguments.id, &arguments.body.by).await
    }
}

impl Function<PlatformApi> for Resume {
    const VERB: Verb = Verb::Post;
    const PATH: &'static str = "/v1/campaigns/{id}/resume";
    const SUMMARY: &'static str = "Resumes a campaign that is paused or stopped";
    const PROBLEMS: Problems =
        &[NO_SUCH_CAMPAIGN, (StatusCode::CONFLICT, "The campaign is neither paused nor stopped")];
    type Arguments = Arguments<CampaignId>;
    type Reply = Campaign;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Campaign, Problem> {
        context.resume_campaign(&arguments.id).await
    }
}

impl Function<PlatformApi> for RollBack {
    const VERB: Verb = Verb::Post;
    const PATH: &'static str = "/v1/campaigns/{id}/roll-back";
    const SUMMARY: &'static str =
        "Rolls a campaign back: its devices return to the profiles that they had before it";
    const PROBLEMS: Problems = &[
        NO_SUCH_CAMPAIGN,
        (StatusCode::CONFLICT, "The campaign has not started, or is already rolled back"),
    ];
    type Arguments = Arguments<CampaignId>;
    type Reply = Campaign;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Campaign, Problem> {
        context.roll_back_campaign(&arguments.id).await
    }
}
