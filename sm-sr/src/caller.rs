//! Check of a caller's role.

use rsp::{ids::Oid, sgp02::status::Status};
use rsp_server::soap::Decision;

use crate::{context::Context, records::PeerRole};

/// Checks that the caller has the role that an interface requires.
pub(crate) async fn check_role(
    context: &mut Context<'_, '_>,
    caller: &Oid,
    is_allowed: impl Fn(&PeerRole) -> bool,
) -> Decision<()> {
    let peer = context.peer(caller).await?;
    match peer {
        Some(peer) if is_allowed(&peer.role) => Ok(()),
        // req: SGP.02-5.2-Requester
        Some(peer) => Err(Status::RequesterNotAllowed
            .because(format!("the caller is registered at this SM-SR as {}", peer.role.name()))
            .about(caller)
            .into()),
        None => Err(Status::RequesterUnknown
            .because("the caller is not registered at this SM-SR")
            .about(caller)
            .into()),
    }
}
