//! /admin/v1/orders: creates orders directly in the state that a test needs, without the ES2+ steps
//! that lead there.

use crypto::ConfirmationCodeHash;
use http::StatusCode;
use rsp::{
    ids::{Eid, Iccid, SmdpAddress},
    time::Timestamp,
};
use rsp_server::{
    Namespace,
    api::{self, Arguments, Listing, NoId, NoQuery, Page, Revised, Waiting},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Problem,
    ensured::Ensured,
    order_view::OrderView,
    schema::MatchingIdText,
    stock::{profile, profile_without_order},
    subscriber_view::SubscriberView,
};
use crate::{
    Config, ProfileState, Protection, Rebinding,
    es2plus::{self, confirm_order, retry},
    es9plus::authenticate_client::MAX_MATCHING_ID,
    outbox,
    profile_state::{OrderState, ProfileEvent},
    records::{
        INSTALLATIONS, Installation, MATCHING_IDS, ORDERS_BY_EID, Octets, Order, OrderSnapshot, PACKAGES,
        PROFILES, Profile, ProfileOrderId, ProfileStatus, eid_key, iccid_key,
    },
    template,
};

/// An order to place, for one profile or for any available profile of a type. If none is available,
/// a new profile is personalised from the template of the type.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewOrder {
    /// The profile to order. Give this, `profileType`, or neither for any available profile or, if
    /// there is none, a new one from the first template.
    iccid: Option<Iccid>,
    /// Orders any available profile of this type or, if there is none, a new one from its template.
    profile_type: Option<String>,
    /// functionRequesterIdentifier of the operator that owns the order. Default: "admin", which is
    /// not an operator.
    requester: Option<String>,
    /// The only eUICC that can use the order.
    eid: Option<Eid>,
    /// The MatchingID. If it is empty, the order is found by its EID alone. Default: generated.
    #[schemars(with = "Option<MatchingIdText>")]
    matching_id: Option<String>,
    /// The confirmation code that the user must enter.
    confirmation_code: Option<String>,
    /// The state of the profile. Default: Released.
    state: Option<ProfileState>,
    /// The end of the download period. A time in the past makes the order expired. Default: the
    /// configured order lifetime.
    expires: Option<Timestamp>,
    /// The number of downloads started.
    #[serde(default)]
    download_attempts: u32,
    /// Maximum number of downloads. Default: the limit of the server.
    max_download_attempts: Option<u32>,
    /// The number of wrong confirmation codes received.
    #[serde(default)]
    wrong_confirmation_codes: u32,
    /// True if any number of eUICCs can download the profile. Attempts are not counted and the
    /// state of the profile does not change.
    #[serde(default)]
    reusable: bool,
    /// The keys that protect the package. Default: as set for the profile.
    protection: Option<Protection>,
    /// Says if the package can be bound to other one-time keys. Default: as set for the profile.
    rebinding: Option<Rebinding>,
    /// The SM-DS that announces the order with an event when it is released.
    smds_address: Option<SmdpAddress>,
}

/// Selects orders. A field that is absent selects all.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OrderFilter {
    /// The state of the profile.
    state: Option<ProfileState>,
    /// The MatchingID.
    #[schemars(with = "Option<MatchingIdText>")]
    matching_id: Option<String>,
    /// The eUICC of the order: the only one that can use it, or the one that received the package.
    eid: Option<Eid>,
    /// The profile type.
    profile_type: Option<String>,
}

/// An order and its profile.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderedProfile {
    iccid: Iccid,
    /// The state of the profile.
    state: ProfileState,
    #[serde(flatten)]
    order: OrderView,
}

/// An order that was placed, with the subscriber of the profile.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlacedOrder {
    #[serde(flatten)]
    order: OrderedProfile,
    /// The subscriber, if the package has a USIM. Only this reply contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriber: Option<SubscriberView>,
}

/// GET /admin/v1/orders
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Listing<OrderFilter>>,
) -> Result<Page<OrderedProfile>, Problem> {
    let listing = &arguments.query;
    let (namespace, config) = (&context.decision.namespace, context.decision.config);
    let select = |_: &str, profile| listing.filter.select(namespace, config, &profile);
    Ok(listing.page(context.decision.tx, &PROFILES, select).await?)
}

/// GET /admin/v1/orders/latest
pub(super) async fn latest(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, OrderFilter>,
) -> Result<Option<Revised<OrderedProfile>>, Problem> {
    let (namespace, config) = (&context.decision.namespace, context.decision.config);
    let select = |_: &str, profile| arguments.query.select(namespace, config, &profile);
    Ok(api::latest(context.decision.tx, &PROFILES, select).await?)
}

/// GET /admin/v1/orders/wait
pub(super) async fn wait(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Waiting<OrderFilter>>,
) -> Result<Option<Revised<OrderedProfile>>, Problem> {
    let Waiting { filter, after, .. } = &arguments.query;
    let (namespace, config) = (&context.decision.namespace, context.decision.config);
    let select = |_: &str, profile| filter.select(namespace, config, &profile);
    Ok(api::first_after(context.decision.tx, &PROFILES, *after, select).await?)
}

/// POST /admin/v1/orders
pub(super) async fn place(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, NoQuery, NewOrder>,
) -> Result<PlacedOrder, Problem> {
    let profile = arguments.body.place(context).await?;
    let order = ordered(context.decision.config, &profile)?;
    let package = context.decision.tx.get(&PACKAGES, &profile.iccid.to_string()).await?;
    let subscriber = package.and_then(|package| SubscriberView::of(&package.0));
    Ok(PlacedOrder { order, subscriber })
}

/// GET /admin/v1/orders/{iccid}
pub(super) async fn show(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<Iccid>,
) -> Result<OrderedProfile, Problem> {
    let profile = profile(context, arguments.id).await?;
    ordered(context.decision.config, &profile)
}

/// DELETE /admin/v1/orders/{iccid}
pub(super) async fn end(context: &mut Context<'_, '_>, arguments: &Arguments<Iccid>) -> Result<(), Problem> {
    let iccid = arguments.id;
    let mut profile = profile_without_order(context, iccid).await?;
    if context.decision.tx.get(&PACKAGES, &iccid.to_string()).await?.is_none() {
        return Err(Problem::conflict(
            format!("cannot make profile {iccid} available"),
            "its package was removed from the stock when the profile was installed",
            format!("DELETE /admin/v1/stock/{iccid}, and add the package again"),
        ));
    }
    profile.status = ProfileStatus::Available;
    profile.save(context.decision.tx)?;
    Ok(())
}

impl NewOrder {
    /// Places the order unless it was placed before. An order counts as placed before if its
    /// profile is no longer Available, or if its MatchingID belongs to an order.
    pub(super) async fn ensure(&self, context: &mut Context<'_, '_>) -> Result<Ensured<Profile>, Problem> {
        let tx = &mut *context.decision.tx;
        let named = self.matching_id.as_ref().filter(|matching_id| !matching_id.is_empty());
        let iccid = match (self.iccid, named) {
            (Some(iccid), _) => Some(iccid),
            (None, Some(matching_id)) => tx.get(&MATCHING_IDS, matching_id).await?,
            (None, None) => {
                return Err(Problem::bad_request(
                    "cannot place the order",
                    "without an ICCID or MatchingID the server cannot tell if the order exists and would place it again at every start",
                    "set iccid or matchingId",
                ));
            }
        };
        let kept = match iccid {
            Some(iccid) => tx.get(&PROFILES, &iccid.to_string()).await?,
            None => None,
        };
        let own = &context.decision.namespace;
        match kept.filter(|it| it.state() != ProfileState::Available && it.namespace == *own) {
            Some(kept) => Ok(Ensured::Existing(kept)),
            None => Ok(Ensured::Created(self.place(context).await?)),
        }
    }

    async fn place(&self, context: &mut Context<'_, '_>) -> Result<Profile, Problem> {
        let state = self.state.unwrap_or(ProfileState::Released);
        self.check(state)?;
        let mut profile = self.profile(context).await?;
        retry::forget_last(&mut context.decision, &mut profile);
        let before = OrderSnapshot::of(&profile);
        if let Ok(ended) = profile.order() {
            es2plus::forget(&mut context.decision, profile.iccid, ended).await?;
        }
        let order = self.order(context, &profile, state).await?;
        write_index_entries(context, profile.iccid, state, &order)?;
        profile.status = match OrderState::of(state) {
            Some(state) => ProfileStatus::Ordered { state, order },
            None => ProfileStatus::Unavailable { last_order: Some(order) },
        };
        if state == ProfileState::Released {
            outbox::register_event(&mut context.decision, &mut profile, before).await?;
        }
        profile.save(context.decision.tx)?;
        Ok(profile)
    }

    /// Checks that the state and the other fields of the order are consistent.
    fn check(&self, state: ProfileState) -> Result<(), Problem> {
        use ProfileState as Is;
        let invalid = |why: &str, next: &str| Err(Problem::bad_request("cannot place the order", why, next));
        let unconfirmed = matches!(state, Is::Allocated | Is::Linked);
        match state {
            Is::Available => {
                return invalid("a profile with an order cannot be Available", "leave state out");
            }
            Is::Allocated if self.eid.is_some() => {
                return invalid("an Allocated profile has no EID", "leave eid out, or set state Linked");
            }
            Is::Linked | Is::Downloaded | Is::Installed if self.eid.is_none() => {
                return invalid(&format!("state {state} requires an EID"), "set eid");
            }
            _ => {}
        }
        if unconfirmed && (self.matching_id.is_some() || self.confirmation_code.is_some()) {
            return invalid(
                &format!(
                    "an order in state {state} is not confirmed; only a confirmed order has these fields"
                ),
                "leave matchingId and confirmationCode out, or set state Confirmed",
            );
        }
        if self.smds_address.is_some() {
            if !matches!(state, Is::Confirmed | Is::Released) {
                return invalid(
                    &format!("an event announces a released order, and this one is {state}"),
                    "leave state or smdsAddress out",
                );
            }
            if self.eid.is_none() || self.matching_id.as_deref() == Some("") {
                return invalid(
                    "an event at an SM-DS requires an EID and a MatchingID",
                    "set eid, and do not set an empty matchingId",
                );
            }
        }
        if self.reusable && !matches!(state, Is::Confirmed | Is::Released) {
            return invalid("a reusable order must be Confirmed or Released", "leave state or reusable out");
        }
        match self.matching_id.as_deref() {
            Some("") if self.eid.is_none() => invalid(
                "without a MatchingID the order can only be found by its EID, and it has none",
                "set eid, or leave matchingId out to have one generated",
            ),
            Some(chosen) if !chosen.bytes().all(|octet| matches!(octet, b' '..=b'~')) => invalid(
                &format!("MatchingID {chosen:?} has characters other than printable ASCII"),
                "use printable ASCII; A-Z, 0-9 and - comply with section 4.1.1",
            ),
            Some(chosen) if chosen.len() > MAX_MATCHING_ID => invalid(
                &format!("the MatchingID has {} characters", chosen.len()),
                &format!("use at most {MAX_MATCHING_ID}, the most that ES9+.AuthenticateClient accepts"),
            ),
            _ => Ok(()),
        }
    }

    /// Returns the profile to order. It must be available.
    async fn profile(&self, context: &mut Context<'_, '_>) -> Result<Profile, Problem> {
        match (self.iccid, &self.profile_type) {
            (Some(iccid), None) => {
                let profile = profile(context, iccid).await?;
                if can_be_ordered(&profile) {
                    return Ok(profile);
                }
                Err(Problem::conflict(
                    format!("cannot order profile {iccid}"),
                    format!("it is {}", profile.state()),
                    format!("DELETE /admin/v1/orders/{iccid} makes it Available again"),
                ))
            }
            (None, requested) => {
                let decision = &mut context.decision;
                let found = template::available_or_personalised(decision, requested.as_deref()).await;
                let found = found.map_err(|fault| match template::is_unusable(&fault) {
                    true => Problem::because(StatusCode::CONFLICT, fault),
                    false => fault.into(),
                })?;
                found.ok_or_else(|| none_available(requested.as_deref()))
            }
            (Some(_), Some(_)) => Err(Problem::bad_request(
                "cannot place the order",
                "the order must name the profile in at most one way",
                "set either iccid or profileType, or neither",
            )),
        }
    }

    async fn order(
        &self,
        context: &mut Context<'_, '_>,
        profile: &Profile,
        state: ProfileState,
    ) -> Result<Order, Problem> {
        let requester = self.requester.clone().unwrap_or_else(|| "admin".to_owned());
        let begun = Order::new(ProfileOrderId::random(context.decision.world), requester, self.eid, profile);
        let begun = Order {
            protection: self.protection.unwrap_or(begun.protection),
            rebinding: self.rebinding.unwrap_or(begun.rebinding),
            download_attempts: self.download_attempts,
            max_download_attempts: self.max_download_attempts,
            wrong_confirmation_codes: self.wrong_confirmation_codes,
            expires: self.expires,
            ..begun
        };
        if matches!(state, ProfileState::Allocated | ProfileState::Linked) {
            return Ok(begun);
        }
        let matching_id =
            self.matching_id.clone().unwrap_or_else(|| confirm_order::generated(&context.decision));
        if !matching_id.is_empty()
            && let Some(taken) = context.decision.tx.get(&MATCHING_IDS, &matching_id).await?
        {
            let taken = context.decision.tx.get(&PROFILES, &taken.to_string()).await?;
            let own = &context.decision.namespace;
            let elsewhere = taken.filter(|profile| profile.namespace != *own);
            let elsewhere = elsewhere.map(|profile| format!(" in namespace {}", profile.namespace));
            return Err(Problem::conflict(
                "cannot place the order",
                format!("another order{} has MatchingID {matching_id}", elsewhere.unwrap_or_default()),
                "set another one, or leave matchingId out to have one generated",
            ));
        }
        let now = context.decision.now;
        let handed_out = matches!(state, ProfileState::Downloaded | ProfileState::Installed);
        Ok(Order {
            matching_id: Some(matching_id),
            confirmation_code_hash: self
                .confirmation_code
                .as_deref()
                .filter(|code| !code.is_empty())
                .map(|code| Octets(ConfirmationCodeHash::of(code).expose().to_vec())),
            expires: self.expires.or_else(|| Some(now.plus(context.decision.config.order_lifetime))),
            handed_to: self.eid.filter(|_| handed_out),
            reusable: self.reusable,
            smds_address: self.smds_address.as_ref().map(ToString::to_string),
            ..begun
        })
    }
}

fn none_available(requested: Option<&str>) -> Problem {
    let next = "POST /admin/v1/stock adds a profile; POST /admin/v1/templates adds a template";
    match requested {
        Some(requested) => Problem::conflict(
            format!("cannot order a profile of type {requested:?}"),
            "no profile of this type in stock is Available, and the type has no template",
            next,
        ),
        None => Problem::conflict(
            "cannot order a profile",
            "no profile in stock is Available, and there is no template",
            next,
        ),
    }
}

/// True if ES2+.DownloadOrder could reserve the profile: it is available, or its order has ended.
fn can_be_ordered(profile: &Profile) -> bool {
    profile.state().after(ProfileEvent::Reserved).is_some()
}

/// Writes the index entries by which an LPA or an eUICC finds the order.
fn write_index_entries(
    context: &mut Context<'_, '_>,
    iccid: Iccid,
    state: ProfileState,
    order: &Order,
) -> Result<(), Problem> {
    let tx = &mut *context.decision.tx;
    if let Some(matching_id) = order.matching_id.as_ref().filter(|matching_id| !matching_id.is_empty()) {
        tx.put(&MATCHING_IDS, matching_id, &iccid)?;
    }
    match order.eid {
        Some(eid) if state == ProfileState::Installed => {
            let installation = Installation { eid, at: context.decision.now };
            tx.put(&INSTALLATIONS, &iccid_key(iccid, eid), &installation)?;
        }
        Some(eid) => tx.put(&ORDERS_BY_EID, &eid_key(eid, iccid), &iccid)?,
        None => {}
    }
    Ok(())
}

fn ordered(config: &Config, profile: &Profile) -> Result<OrderedProfile, Problem> {
    OrderedProfile::of(config, profile).ok_or_else(|| {
        Problem::not_found(
            format!("profile {} has no order", profile.iccid),
            format!("the profile is {}", profile.state()),
            "POST /admin/v1/orders places an order",
        )
    })
}

impl OrderFilter {
    fn select(&self, namespace: &Namespace, config: &Config, profile: &Profile) -> Option<OrderedProfile> {
        let order = profile.status.order()?;
        let is_selected = profile.namespace == *namespace
            && self.state.is_none_or(|state| profile.state() == state)
            && self.matching_id.as_ref().is_none_or(|wanted| order.matching_id.as_ref() == Some(wanted))
            && self.eid.is_none_or(|eid| order.eid == Some(eid) || order.handed_to == Some(eid))
            && self.profile_type.as_ref().is_none_or(|wanted| profile.profile_type == *wanted);
        if is_selected { OrderedProfile::of(config, profile) } else { None }
    }
}

impl OrderedProfile {
    fn of(config: &Config, profile: &Profile) -> Option<Self> {
        let order = OrderView::of(config, profile.status.order()?);
        Some(Self { iccid: profile.iccid, state: profile.state(), order })
    }
}
