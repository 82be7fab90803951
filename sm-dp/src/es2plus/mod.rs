//! ES2+, called by the operator: SGP.22 section 5.3. There is one file for each function.

pub(crate) mod cancel_order;
pub(crate) mod confirm_order;
pub(crate) mod download_order;
pub(crate) mod release_profile;
pub(crate) mod retry;

use certs::{Certificate, Role};
use rsp::{
    ids::{Iccid, Oid},
    sgp22::json::RequestHeader,
    status::Status,
};
use rsp_server::{Decision, Rejection};
use world::PeerCertificate;

use crate::{
    config::Requesters,
    context::Context,
    operators::owners,
    outbox,
    records::{
        BINDINGS, InvalidTransition, MATCHING_IDS, OPERATORS, ORDERS_BY_EID, Order, OrderSnapshot, PROFILES,
        Profile, eid_key, iccid_key,
    },
};

/// The caller of ES2+, as authenticated by TLS.
pub(crate) struct Caller {
    /// The registered object identifiers of the client certificate.
    oids: Vec<Oid>,
    /// True if the certificate is for TLS clients only. That of an SM-SR is for servers too.
    is_client_only: bool,
}

impl Caller {
    /// Reads the caller from the verified client certificate. Returns `None` if the certificate
    /// has an RSP role, such as that of an SM-DP+, an SM-DS or an eUICC: an operator has none.
    // req: SGP.22-5.3.1-Role
    pub(crate) fn of(certificate: Option<&PeerCertificate>) -> Option<Self> {
        let certificate = Certificate::from_der(certificate?.0.clone()).ok()?;
        let is_client_only = match certificate.role_or_tls_use()? {
            Role::OperatorTls => true,
            Role::SmSrTls => false,
            _ => return None,
        };
        Some(Self { oids: certificate.registered_ids().to_vec(), is_client_only })
    }

    /// Checks that the functionRequesterIdentifier belongs to the caller. The call then belongs to
    /// the namespace of the operator.
    pub(crate) async fn check(&self, context: &mut Context<'_, '_>, header: &RequestHeader) -> Decision<()> {
        let requester = &header.function_requester_identifier;
        let operator = context.tx.get(&OPERATORS, requester).await?;
        // req: SGP.22-5.3.1-Requester
        let why = match (operator, context.config.requesters) {
            (Some(operator), _) if self.oids.contains(&operator.certificate_oid) => {
                context.namespace = operator.namespace;
                return Ok(());
            }
            (Some(_), _) => "the client certificate belongs to another operator",
            (None, Requesters::Listed) => {
                return Err(Status::RequesterUnknown
                    .because("no operator has this identifier")
                    .about(requester)
                    .into());
            }
            (None, Requesters::ByCertificate) if !self.is_client_only => {
                "the client certificate is for TLS servers too, and belongs to no registered operator"
            }
            (None, Requesters::ByCertificate) => {
                if self.oids.iter().any(|oid| oid.to_string() == *requester) {
                    return Ok(());
                }
                "functionRequesterIdentifier is not an object identifier of the client certificate"
            }
        };
        Err(Status::RequesterNotAllowed.because(why).about(requester).into())
    }
}

// req: SGP.22-5.3.2-Transition
impl From<InvalidTransition> for Rejection {
    fn from(error: InvalidTransition) -> Self {
        Status::IccidInvalidTransition.because(error.to_string()).about(error.iccid).into()
    }
}

/// Returns the profile with this ICCID, in any namespace. The call then belongs to the namespace of
/// the profile.
pub(crate) async fn profile(context: &mut Context<'_, '_>, iccid: Iccid) -> Decision<Profile> {
    match context.tx.get(&PROFILES, &iccid.to_string()).await? {
        Some(profile) => {
            context.namespace = profile.namespace.clone();
            Ok(profile)
        }
        // req: SGP.22-5.3.1-IccidUnknown, SGP.22-5.3.2-IccidUnknown, SGP.22-5.3.4-IccidUnknown
        None => Err(Status::IccidUnknown.because("no profile in stock has this ICCID").about(iccid).into()),
    }
}

/// Deletes the index entries of an order, its event and the packages bound for it. Its activation
/// code becomes invalid.
pub(crate) async fn forget(context: &mut Context<'_, '_>, iccid: Iccid, order: &Order) -> Decision<()> {
    if let Some(matching_id) = &order.matching_id {
        context.tx.delete(&MATCHING_IDS, matching_id);
    }
    if let Some(eid) = order.eid {
        context.tx.delete(&ORDERS_BY_EID, &eid_key(eid, iccid));
    }
    outbox::delete_event(context, order)?;
    if order.reusable {
        for (key, _) in context.tx.list(&BINDINGS, &format!("{iccid}/")).await? {
            context.tx.delete(&BINDINGS, &key);
        }
    } else if let Some(eid) = order.handed_to {
        context.tx.delete(&BINDINGS, &iccid_key(iccid, eid));
    }
    Ok(())
}

/// Returns the profile with this ICCID. Refuses if another operator has ordered it, or if it is in
/// the stock of another operator.
pub(crate) async fn own_profile(
    context: &mut Context<'_, '_>,
    iccid: Iccid,
    header: &RequestHeader,
) -> Decision<Profile> {
    let caller = context.namespace.clone();
    let profile = profile(context, iccid).await?;
    let is_foreign = profile.namespace != caller
        && (!caller.is_default() || !owners(context.tx, &profile.namespace).await?.is_empty());
    if is_foreign {
        return Err(Status::IccidNotAllowed
            .because("the profile is in the stock of another operator")
            .about(iccid)
            .into());
    }
    // req: SGP.22-5.3.1-OtherOperator, SGP.22-5.3.2-OtherOperator, SGP.22-5.3.3-OtherOperator
    // req: SGP.22-5.3.4-OtherOperator
    if profile.is_ordered_by_another(header) {
        return Err(Status::IccidNotAllowed
            .because("the profile is ordered by another operator")
            .about(iccid)
            .into());
    }
    Ok(profile)
}

/// Puts the registration of the event of a released order into the outbox, if the order names an
/// SM-DS. The caller gets its reply after the SM-DS has replied.
async fn register_event(
    context: &mut Context<'_, '_>,
    profile: &mut Profile,
    before: OrderSnapshot,
) -> Decision<()> {
    if let Some(event) = outbox::register_event(context, profile, before).await? {
        retry::CallId::keep_event(profile, event);
    }
    Ok(())
}

impl Profile {
    /// True if the profile has an order, pending or ended, that another operator placed.
    pub(crate) fn is_ordered_by_another(&self, header: &RequestHeader) -> bool {
        self.order().is_ok_and(|order| order.requester != header.function_requester_identifier)
    }
}
