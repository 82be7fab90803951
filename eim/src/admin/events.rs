//! /admin/v1/events: the latest events of the server.

use rsp_server::api::{Arguments, EventFilter, EventPage, Listing, NoId, NumberedEvent, Waiting};

use super::{Context, Problem, namespace};

/// GET /admin/v1/events
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Listing<EventFilter, u64>>,
) -> Result<EventPage, Problem> {
    Ok(context.log.list(&namespace(), &arguments.query))
}

/// GET /admin/v1/events/latest
pub(super) async fn latest(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, EventFilter>,
) -> Result<Option<NumberedEvent>, Problem> {
    Ok(context.log.latest(&namespace(), &arguments.query))
}

/// GET /admin/v1/events/wait
pub(super) async fn wait(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Waiting<EventFilter>>,
) -> Result<Option<NumberedEvent>, Problem> {
    Ok(context.log.awaited(&namespace(), &arguments.query))
}
