//! The functions of the platform's API.

use http::StatusCode;
use rsp::ids::Eid;
use rsp_server::Namespace;
use rsp_server::api::{self, Api, Arguments, EventFilter, Listing, NoId, NoQuery, Route, Waiting, document};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{lists, reports};
use crate::{
    campaign::{CampaignId, CampaignSpec},
    check_in::CheckIn,
    device::Selection,
    platform::{Edit, NewRules, Platform},
};

/// The platform's API.
pub(super) struct PlatformApi;

/// Path at which devices check in.
pub const CHECK_IN: &str = "/v1/check-in";

/// A function of the platform, with the types of its arguments and of its reply.
type Function<Q, R> = api::Function<PlatformApi, Q, R>;
/// The query of a function.
type Query<Q> = Arguments<NoId, Q>;
/// The request body of a function.
type Body<B> = Arguments<NoId, NoQuery, B>;

/// The person who pauses a campaign.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PausedBy {
    /// The name of the person.
    by: Box<str>,
}

const NO_SUCH_DEVICE: (StatusCode, &str) = (StatusCode::NOT_FOUND, "No device of the fleet has this EID");
const NO_SUCH_CAMPAIGN: (StatusCode, &str) = (StatusCode::NOT_FOUND, "No campaign has this ID");
/// The error of a function with a selection of devices.
const NO_SUCH_SELECTION: (StatusCode, &str) = (
    StatusCode::NOT_FOUND,
    "No device has this group, model or account, or there is no such country or state",
);
/// The error of a function with the specification of a campaign.
const BAD_SPECIFICATION: (StatusCode, &str) =
    (StatusCode::BAD_REQUEST, "The specification is malformed or has an invalid value");

impl Api for PlatformApi {
    type Context<'c, 'r>
        = Platform
    where
        'r: 'c;

    const TITLE: &'static str = "Landfall fleet platform";
    const DESCRIPTION: &'static str = "API of the platform of a fleet's owner. The owner's port has no \
         authentication: bind it to the loopback address only. The port for devices offers only \
         POST /v1/check-in. There each device authenticates itself with the header \
         \"Authorization: Bearer TOKEN\".";
    const SERVER: &'static str = "http://127.0.0.1:8491";
    const ROUTES: &'static [&'static dyn Route<Self>] = &[
        &document(),
        &Function::<Body<CheckIn>, _>::post(
            CHECK_IN,
            "Processes the check-in of a device and returns its next instruction",
            |input| Box::pin(input.context.check_in(&input.arguments.body)),
        )
        .problems(&[
            (StatusCode::UNAUTHORIZED, "The token is not the token of this device (on the port for devices)"),
            NO_SUCH_DEVICE,
        ]),
        &Function::<Query<Listing<Selection>>, _>::list(
            "/v1/devices",
            "Lists the selected devices in the order of their EIDs",
            |input| Box::pin(input.context.devices(&input.arguments.query)),
        )
        .problems(&[NO_SUCH_SELECTION]),
        &Function::<Arguments<Eid>, _>::get("/v1/devices/{eid}", "Returns a device", |input| {
            Box::pin(input.context.device(input.arguments.id))
        })
        .problems(&[NO_SUCH_DEVICE]),
        &Function::<Arguments<Eid, NoQuery, Edit>, _>::put(
            "/v1/devices/{eid}",
            "Edits a device, or adds it if it is unknown",
            |input| Box::pin(input.context.edit(input.arguments.id, &input.arguments.body)),
        ),
        &Function::<Arguments<Eid>, _>::delete(
            "/v1/devices/{eid}",
            "Takes a device out of service: it no longer moves, and its profile orders are cancelled",
            |input| Box::pin(input.context.retire(input.arguments.id)),
        )
        .problems(&[NO_SUCH_DEVICE, (StatusCode::CONFLICT, "The device has already been retired")]),
        &Function::<Query<Listing<Selection>>, _>::list(
            "/v1/decisions",
            "Returns the decision about each selected device in service, with its reasons; changes nothing",
            |input| Box::pin(input.context.decisions(&input.arguments.query)),
        )
        .problems(&[NO_SUCH_SELECTION]),
        &Function::<Query<_>, _>::get(
            "/v1/answers/residents",
            "Lists the countries in which foreign subscriptions are in fact resident",
            |input| Box::pin(reports::residents(input.context, &input.arguments.query)),
        ),
        &Function::<Query<_>, _>::get(
            "/v1/answers/breaches",
            "Lists the rules that the selected devices break, earliest breach first",
            |input| Box::pin(reports::breaches(input.context, &input.arguments.query)),
        )
        .problems(&[NO_SUCH_SELECTION]),
        &Function::<Query<_>, _>::get(
            "/v1/answers/markets",
            "Lists the countries in which devices must move, and the offers there",
            |input| Box::pin(reports::markets(input.context, &input.arguments.query)),
        ),
        &Function::<Query<_>, _>::get(
            "/v1/answers/effort",
            "Returns the duration and cost of moving the selected devices that must move",
            |input| Box::pin(reports::effort(input.context, &input.arguments.query)),
        )
        .problems(&[NO_SUCH_SELECTION]),
        &Function::<Query<_>, _>::get(
            "/v1/answers/recovery",
            "Returns the cost of failed moves and of devices that need a visit",
            |input| Box::pin(reports::recovery(input.context, &input.arguments.query)),
        )
        .problems(&[NO_SUCH_SELECTION]),
        &Function::<Arguments<NoId, _, _>, _>::post(
            "/v1/answers/what-if",
            "Lists the selected devices that other rules would affect; changes nothing",
            |input| Box::pin(reports::what_if(input.context, &input.arguments.query, &input.arguments.body)),
        )
        .problems(&[
            (StatusCode::BAD_REQUEST, "There are no rules in the request, or they are malformed"),
            NO_SUCH_SELECTION,
        ]),
        &Function::<Arguments<NoId>, _>::get("/v1/rules", "Lists the rules in use", |input| {
            Box::pin(async { Ok(input.context.book().rules().to_vec()) })
        }),
        &Function::<Body<NewRules>, _>::put(
            "/v1/rules",
            "Replaces the rules, from the next check-in on; returns the differences and the effect on the \
             fleet",
            |input| Box::pin(input.context.update_rules(&input.arguments.body)),
        )
        .problems(&[
            (StatusCode::BAD_REQUEST, "The rules are malformed; the present rules remain"),
            (StatusCode::CONFLICT, "The platform uses rules that it cannot replace"),
        ]),
        &Function::<Query<Listing<_>>, _>::list("/v1/moves", "Lists open moves, by EID", |input| {
            Box::pin(lists::moves(input.context, &input.arguments.query))
        }),
        &Function::<Query<_>, Option<_>>::search(
            "/v1/moves/latest",
            "Returns the open move that began last",
            |input| Box::pin(lists::latest_move(input.context, &input.arguments.query)),
        ),
        &Function::<Query<Waiting<_>>, Option<_>>::wait(
            "/v1/moves/wait",
            "Waits for a move; returns the open one that began first after a revision",
            |input| Box::pin(lists::awaited_move(input.context, &input.arguments.query)),
        ),
        &Function::<Query<Listing<EventFilter, u64>>, _>::list(
            "/v1/events",
            "Lists events of the platform with their numbers: CheckIn, MoveBegan, MoveEnded and others, \
             with the EID as the peer; the last 4096 are kept",
            |input| {
                Box::pin(async {
                    Ok(input.context.log().list(&Namespace::default(), &input.arguments.query))
                })
            },
        ),
        &Function::<Query<EventFilter>, Option<_>>::search(
            "/v1/events/latest",
            "Returns the newest event",
            |input| {
                Box::pin(async {
                    Ok(input.context.log().latest(&Namespace::default(), &input.arguments.query))
                })
            },
        ),
        &Function::<Query<Waiting<EventFilter>>, Option<_>>::wait(
            "/v1/events/wait",
            "Waits for an event; returns the first one after a number",
            |input| {
                Box::pin(async {
                    Ok(input.context.log().awaited(&Namespace::default(), &input.arguments.query))
                })
            },
        ),
        &Function::<Query<Listing<_>>, _>::list(
            "/v1/campaigns",
            "Lists campaigns in the order of their IDs",
            |input| Box::pin(lists::campaigns(input.context, &input.arguments.query)),
        ),
        &Function::<Body<CampaignSpec>, _>::create(
            "/v1/campaigns",
            "Creates a campaign, which does nothing until it is started",
            |input| Box::pin(input.context.create_campaign(&input.arguments.body)),
        )
        .problems(&[
            BAD_SPECIFICATION,
            (StatusCode::CONFLICT, "A campaign with this ID exists, or there are too many campaigns"),
        ]),
        &Function::<Body<CampaignSpec>, _>::post(
            "/v1/dry-run",
            "Returns what a campaign would do with each of its devices now; changes nothing",
            |input| Box::pin(input.context.dry_run(&input.arguments.body)),
        )
        .problems(&[BAD_SPECIFICATION]),
        &Function::<Arguments<CampaignId>, _>::get(
            "/v1/campaigns/{id}",
            "Returns a campaign and the state of its devices",
            |input| Box::pin(input.context.campaign(&input.arguments.id)),
        )
        .problems(&[NO_SUCH_CAMPAIGN]),
        &Function::<Arguments<CampaignId>, _>::delete(
            "/v1/campaigns/{id}",
            "Deletes a campaign that has ended, and the state of its devices",
            |input| Box::pin(input.context.remove_campaign(&input.arguments.id)),
        )
        .problems(&[
            NO_SUCH_CAMPAIGN,
            (StatusCode::CONFLICT, "The campaign is active, or moves are under way"),
        ]),
        &Function::<Arguments<CampaignId>, _>::post(
            "/v1/campaigns/{id}/start",
            "Starts a campaign",
            |input| Box::pin(input.context.start_campaign(&input.arguments.id)),
        )
        .problems(&[NO_SUCH_CAMPAIGN, (StatusCode::CONFLICT, "The campaign has already started")]),
        &Function::<Arguments<CampaignId, NoQuery, PausedBy>, _>::post(
            "/v1/campaigns/{id}/pause",
            "Pauses a campaign: no move begins, and moves under way continue",
            |input| Box::pin(input.context.pause_campaign(&input.arguments.id, &input.arguments.body.by)),
        )
        .problems(&[NO_SUCH_CAMPAIGN, (StatusCode::CONFLICT, "The campaign is not active")]),
        &Function::<Arguments<CampaignId>, _>::post(
            "/v1/campaigns/{id}/resume",
            "Resumes a campaign that is paused or stopped",
            |input| Box::pin(input.context.resume_campaign(&input.arguments.id)),
        )
        .problems(&[NO_SUCH_CAMPAIGN, (StatusCode::CONFLICT, "The campaign is neither paused nor stopped")]),
        &Function::<Arguments<CampaignId>, _>::post(
            "/v1/campaigns/{id}/roll-back",
            "Rolls a campaign back: its devices return to the profiles that they had before it",
            |input| Box::pin(input.context.roll_back_campaign(&input.arguments.id)),
        )
        .problems(&[
            NO_SUCH_CAMPAIGN,
            (StatusCode::CONFLICT, "The campaign has not started, or is already rolled back"),
        ]),
    ];
}
