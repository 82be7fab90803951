//! /admin/v1/orders: orders in whatever state a test needs them, without the steps of ES2+ that lead there.

use crypto::ConfirmationCodeHash;
use http::StatusCode;
use rsp::{
    activation_code::ActivationCode,
    ids::{Eid, Iccid, SmdpAddress},
    time::Timestamp,
};
use rsp_server::Rejection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Problem,
    function::{Asked, Function, NoId, NoQuery, Verb},
    preset::Ensured,
    schema::{AddressText, EidText, IccidText, MatchingIdText, TimeText},
    stock::{NO_SUCH_PROFILE, profile},
};
use crate::{
    Config, ProfileState, Protection, Rebinding,
    es2plus::{self, confirm_order, download_order, retry},
    outbox,
    profile_state::ProfileEvent,
    records::{
        Before, INSTALLATIONS, Installation, MATCHING_IDS, ORDERS_BY_EID, Octets, Order, OrderId, PROFILES,
        Profile, eid_key, iccid_key,
    },
};

/// GET /admin/v1/orders
pub(super) struct List;
/// POST /admin/v1/orders
pub(super) struct Place;
/// GET /admin/v1/orders/{iccid}
pub(super) struct Show;
/// DELETE /admin/v1/orders/{iccid}
pub(super) struct End;

/// An order to place: for one profile, or for any that is left of a type.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewOrder {
    /// This profile; either this or `profileType`.
    #[schemars(with = "Option<IccidText>")]
    iccid: Option<Iccid>,
    /// Any profile of this type.
    profile_type: Option<String>,
    /// functionRequesterIdentifier of the operator whose order it is; "admin" when absent, which no operator is.
    requester: Option<String>,
    /// For this eUICC alone.
    #[schemars(with = "Option<EidText>")]
    eid: Option<Eid>,
    /// Under this MatchingID; empty: found by its EID alone. Generated when absent.
    #[schemars(with = "Option<MatchingIdText>")]
    matching_id: Option<String>,
    /// Asked of the user.
    confirmation_code: Option<String>,
    /// Where the profile stands; Released when absent.
    state: Option<ProfileState>,
    /// When it can no longer be downloaded, in the past if it has expired; by the server's own rule when absent.
    #[schemars(with = "Option<TimeText>")]
    expires: Option<Timestamp>,
    /// How often a download began.
    #[serde(default)]
    download_attempts: u32,
    /// How often it may; the server's own limit when absent.
    max_download_attempts: Option<u32>,
    /// How often a wrong confirmation code was given.
    #[serde(default)]
    wrong_confirmation_codes: u32,
    /// Never used up: any number of eUICCs may have the profile, nothing is counted, and the profile stays as it is.
    #[serde(default)]
    reusable: bool,
    /// How the package is protected; as the profile says when absent.
    protection: Option<Protection>,
    /// Whether the package may be bound to other one-time keys; as the profile says when absent.
    rebinding: Option<Rebinding>,
    /// The SM-DS at which an event tells of the order, as soon as it is released.
    #[schemars(with = "Option<AddressText>")]
    smds_address: Option<SmdpAddress>,
}

/// An order and the profile it is for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderedProfile {
    #[schemars(with = "IccidText")]
    iccid: Iccid,
    /// Where the profile stands.
    state: ProfileState,
    #[serde(flatten)]
    order: OrderView,
}

/// An order.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderView {
    /// Who placed it (functionRequesterIdentifier).
    requester: String,
    /// The eUICC it is for, if that is known.
    #[schemars(with = "Option<EidText>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    eid: Option<Eid>,
    /// Once confirmed; empty when the order is found by its EID alone.
    #[schemars(with = "Option<MatchingIdText>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    matching_id: Option<String>,
    /// What a user scans or types, where there is a MatchingID.
    #[serde(skip_serializing_if = "Option::is_none")]
    activation_code: Option<String>,
    confirmation_code_required: bool,
    wrong_confirmation_codes: u32,
    download_attempts: u32,
    /// The server's own limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_download_attempts: Option<u32>,
    /// When it can no longer be downloaded.
    #[schemars(with = "Option<TimeText>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    /// The eUICC to which the package was handed out.
    #[schemars(with = "Option<EidText>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    handed_to: Option<Eid>,
    reusable: bool,
    protection: Protection,
    rebinding: Rebinding,
    /// The SM-DS at which an event tells of the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    smds_address: Option<String>,
    /// Whether the event is there, or on its way there.
    event_registered: bool,
}

const NOT_ORDERED: &[(StatusCode, &str)] =
    &[(StatusCode::NOT_FOUND, "The profile is not in stock or not ordered")];

impl Function for List {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/admin/v1/orders";
    const SUMMARY: &'static str = "Every order, pending or ended";
    type Id = NoId;
    type Query = NoQuery;
    type Body = ();
    type Reply = Vec<OrderedProfile>;

    async fn execute(context: &mut Context<'_, '_>, _: &Asked<Self>) -> Result<Vec<OrderedProfile>, Problem> {
        let profiles = context.decision.tx.list(&PROFILES, "").await?;
        let config = context.decision.config;
        Ok(profiles.iter().filter_map(|(_, profile)| OrderedProfile::of(config, profile)).collect())
    }
}

impl Function for Place {
    const VERB: Verb = Verb::Post;
    const PATH: &'static str = "/admin/v1/orders";
    const SUMMARY: &'static str = "Orders a profile and puts the order into any state";
    const PROBLEMS: &'static [(StatusCode, &'static str)] = &[
        (StatusCode::BAD_REQUEST, "The body is malformed or contradicts itself"),
        (StatusCode::NOT_FOUND, "There is no such profile in stock"),
        (StatusCode::CONFLICT, "The profile or the MatchingID is taken, or no profile of the type is left"),
        (StatusCode::BAD_GATEWAY, "The SM-DS did not take the event; the profile stands as before"),
    ];
    type Id = NoId;
    type Query = NoQuery;
    type Body = NewOrder;
    type Reply = OrderedProfile;

    async fn execute(context: &mut Context<'_, '_>, asked: &Asked<Self>) -> Result<OrderedProfile, Problem> {
        let profile = asked.body.place(context).await?;
        ordered(context.decision.config, &profile)
    }
}

impl Function for Show {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/admin/v1/orders/{iccid}";
    const SUMMARY: &'static str = "The pending or last order of a profile";
    const PROBLEMS: &'static [(StatusCode, &'static str)] = NOT_ORDERED;
    type Id = Iccid;
    type Query = NoQuery;
    type Body = ();
    type Reply = OrderedProfile;

    async fn execute(context: &mut Context<'_, '_>, asked: &Asked<Self>) -> Result<OrderedProfile, Problem> {
        let profile = profile(context, asked.id).await?;
        ordered(context.decision.config, &profile)
    }
}

impl Function for End {
    const VERB: Verb = Verb::Delete;
    const PATH: &'static str = "/admin/v1/orders/{iccid}";
    const SUMMARY: &'static str = "Ends an order, however far it has come; the profile is Available again";
    const PROBLEMS: &'static [(StatusCode, &'static str)] = NO_SUCH_PROFILE;
    type Id = Iccid;
    type Query = NoQuery;
    type Body = ();
    type Reply = ();

    async fn execute(context: &mut Context<'_, '_>, asked: &Asked<Self>) -> Result<(), Problem> {
        let mut profile = profile(context, asked.id).await?;
        if let Some(order) = profile.order.take() {
            es2plus::forget(&mut context.decision, profile.iccid, &order).await?;
        }
        retry::forget_last(&mut context.decision, &mut profile);
        profile.state = ProfileState::Available;
        profile.keep(context.decision.tx)?;
        Ok(())
    }
}

impl NewOrder {
    /// Places the order unless it is there, or was: the profile is no longer Available, or the MatchingID leads to one.
    pub(super) async fn ensure(&self, context: &mut Context<'_, '_>) -> Result<Ensured<Profile>, Problem> {
        let tx = &mut *context.decision.tx;
        let named = self.matching_id.as_ref().filter(|matching_id| !matching_id.is_empty());
        let iccid = match (self.iccid, named) {
            (Some(iccid), _) => Some(iccid),
            (None, Some(matching_id)) => tx.get(&MATCHING_IDS, matching_id).await?,
            (None, None) => {
                return Err(Problem::bad_request(
                    "cannot place the order",
                    "it would be placed again at every start, because nothing in it tells whether it is there",
                    "give iccid or matchingId",
                ));
            }
        };
        let kept = match iccid {
            Some(iccid) => tx.get(&PROFILES, &iccid.to_string()).await?,
            None => None,
        };
        match kept.filter(|profile| profile.state != ProfileState::Available) {
            Some(kept) => Ok(Ensured::Kept(kept)),
            None => Ok(Ensured::Made(self.place(context).await?)),
        }
    }

    async fn place(&self, context: &mut Context<'_, '_>) -> Result<Profile, Problem> {
        let state = self.state.unwrap_or(ProfileState::Released);
        self.check(state)?;
        let mut profile = self.profile(context).await?;
        retry::forget_last(&mut context.decision, &mut profile);
        let before = Before::of(&profile);
        if let Some(ended) = profile.order.take() {
            es2plus::forget(&mut context.decision, profile.iccid, &ended).await?;
        }
        let order = self.order(context, &profile, state).await?;
        write_what_finds(context, profile.iccid, state, &order)?;
        profile.state = state;
        profile.order = Some(order);
        if state == ProfileState::Released {
            outbox::register_event(&mut context.decision, &mut profile, before).await?;
        }
        profile.keep(context.decision.tx)?;
        Ok(profile)
    }

    /// That the state and the rest of the order go together.
    fn check(&self, state: ProfileState) -> Result<(), Problem> {
        use ProfileState as Is;
        let no = |why: &str, next: &str| Err(Problem::bad_request("cannot place the order", why, next));
        let unconfirmed = matches!(state, Is::Allocated | Is::Linked);
        match state {
            Is::Available => return no("no profile with an order is Available", "leave state out"),
            Is::Allocated if self.eid.is_some() => {
                return no("Allocated is for no eUICC in particular", "leave eid out, or give state Linked");
            }
            Is::Linked | Is::Downloaded | Is::Installed if self.eid.is_none() => {
                return no(&format!("state {state} is about one eUICC"), "give its eid");
            }
            _ => {}
        }
        if unconfirmed && (self.matching_id.is_some() || self.confirmation_code.is_some()) {
            return no(
                &format!(
                    "an order that is {state} is not confirmed, and ES2+.ConfirmOrder says the rest of it"
                ),
                "leave matchingId and confirmationCode out, or give state Confirmed",
            );
        }
        if self.smds_address.is_some() {
            if !matches!(state, Is::Confirmed | Is::Released) {
                return no(
                    &format!("an event tells of what is released, and this is {state}"),
                    "leave state or smdsAddress out",
                );
            }
            if self.eid.is_none() || self.matching_id.as_deref() == Some("") {
                return no(
                    "an event at an SM-DS is for an EID and names a MatchingID",
                    "give eid, and no empty matchingId",
                );
            }
        }
        if self.reusable && !matches!(state, Is::Confirmed | Is::Released) {
            return no("what is never used up is Confirmed or Released", "leave state or reusable out");
        }
        match self.matching_id.as_deref() {
            Some("") if self.eid.is_none() => no(
                "without MatchingID an order can only be found by its EID, and it has none",
                "give eid, or leave matchingId out to have one generated",
            ),
            Some(chosen)
                if !chosen.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-') =>
            {
                no(&format!("{chosen:?} is no MatchingID"), "write one of A-Z, 0-9 and - (section 4.1.1)")
            }
            _ => Ok(()),
        }
    }

    /// The profile to order, which must be there to be had.
    async fn profile(&self, context: &mut Context<'_, '_>) -> Result<Profile, Problem> {
        match (self.iccid, &self.profile_type) {
            (Some(iccid), None) => {
                let profile = profile(context, iccid).await?;
                if may_be_had(&profile) {
                    return Ok(profile);
                }
                Err(Problem::conflict(
                    format!("cannot order profile {iccid}"),
                    format!("it is {}", profile.state),
                    format!("DELETE /admin/v1/orders/{iccid} makes it Available again"),
                ))
            }
            (None, Some(wanted)) => match download_order::any_of_type(&mut context.decision, wanted).await {
                Ok(profile) => Ok(profile),
                Err(Rejection::Fault(fault)) => Err(fault.into()),
                Err(Rejection::Refusal(_)) => Err(Problem::conflict(
                    format!("cannot order a profile of type {wanted:?}"),
                    "none of this type is in stock and Available",
                    "POST /admin/v1/stock adds one; GET there lists what there is",
                )),
            },
            _ => Err(Problem::bad_request(
                "cannot place the order",
                "it must say for which profile, in one way",
                "give either iccid or profileType",
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
        let begun = Order::new(OrderId::drawn(context.decision.world), requester, self.eid, profile);
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
        if !matching_id.is_empty() && context.decision.tx.get(&MATCHING_IDS, &matching_id).await?.is_some() {
            return Err(Problem::conflict(
                "cannot place the order",
                format!("another order has MatchingID {matching_id}"),
                "give another one, or leave matchingId out to have one generated",
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

/// Whether ES2+.DownloadOrder could have it: in stock, or its order ended.
fn may_be_had(profile: &Profile) -> bool {
    profile.state.after(ProfileEvent::Reserved).is_some()
}

/// The records by which an LPA and an eUICC find the order.
fn write_what_finds(
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
            format!("there is no order for profile {}", profile.iccid),
            format!("it is {}", profile.state),
            "POST /admin/v1/orders places one",
        )
    })
}

impl OrderedProfile {
    fn of(config: &Config, profile: &Profile) -> Option<Self> {
        let order = OrderView::of(config, profile.order.as_ref()?);
        Some(Self { iccid: profile.iccid, state: profile.state, order })
    }
}

impl OrderView {
    pub(super) fn of(config: &Config, order: &Order) -> Self {
        let confirmation_code_required = order.confirmation_code_hash.is_some();
        let named = order.matching_id.clone().filter(|matching_id| !matching_id.is_empty());
        let activation_code = named.map(|matching_id| {
            let code = ActivationCode {
                smdp_address: config.address.clone(),
                matching_id,
                smdp_oid: None,
                confirmation_code_required,
            };
            format!("LPA:{code}")
        });
        Self {
            requester: order.requester.clone(),
            eid: order.eid,
            matching_id: order.matching_id.clone(),
            activation_code,
            confirmation_code_required,
            wrong_confirmation_codes: order.wrong_confirmation_codes,
            download_attempts: order.download_attempts,
            max_download_attempts: order.max_download_attempts,
            expires: order.expires,
            handed_to: order.handed_to,
            reusable: order.reusable,
            protection: order.protection,
            rebinding: order.rebinding,
            smds_address: order.smds_address.clone(),
            event_registered: order.event_registered,
        }
    }
}
