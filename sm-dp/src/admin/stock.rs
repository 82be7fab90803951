//! /admin/v1/stock: profiles in stock, with and without orders.

use http::StatusCode;
use rsp::{
    der::BitString,
    ids::{Eid, Iccid},
    sgp22::{IconType, NotificationConfigurationInformation, ProfileClass, ppr},
};
use rsp_server::{
    Namespace,
    api::{Arguments, Listing, NoId, NoQuery, Page},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Problem, ensured::Ensured, order_view::OrderView, schema::Base64Text};
use crate::{
    ProfileOptions, ProfileState, Protection, Rebinding,
    es2plus::{self, retry},
    records::{INSTALLATIONS, Octets, PROFILES, Profile},
    stock::{self, Icon},
};

/// A profile to add to the stock.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewProfile {
    /// The TCA profile package in DER.
    #[schemars(with = "Base64Text")]
    package: Octets,
    /// The profile type under which operators order it. Default: the profile type of the package.
    profile_type: Option<String>,
    /// The serviceProviderName. Default: EF.SPN of the package.
    service_provider_name: Option<String>,
    /// The profileName. Default: the profile type.
    profile_name: Option<String>,
    /// The profile class. Default: operational.
    profile_class: Option<Class>,
    /// The profile policy rules. Default: none.
    profile_policy_rules: Option<Vec<Rule>>,
    /// fallbackAllowed of SGP.32: the profile can be the Fallback Profile of an IoT eUICC. Default: false.
    #[serde(default)]
    fallback_allowed: bool,
    /// ecallIndication of SGP.32: the profile is the Emergency Profile of an IoT eUICC. Default: false.
    #[serde(default)]
    ecall_indication: bool,
    /// The icon, 64 by 64 pixels and at most 1024 octets.
    #[schemars(with = "Option<Base64Text>")]
    icon: Option<Octets>,
    /// The format of the icon. Give both or neither.
    icon_type: Option<Picture>,
    /// The addresses that are notified of every event of the profile. Default: this server.
    notification_address: Option<Vec<String>>,
    /// The keys that protect the package, unless the order sets another protection.
    #[serde(default)]
    protection: Protection,
    /// Says if the profile can be bound to other one-time keys of the same eUICC.
    #[serde(default)]
    rebinding: Rebinding,
}

/// ProfileClass.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Class {
    Test,
    Provisioning,
    Operational,
}

/// A profile policy rule.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Rule {
    /// The profile must not be disabled.
    Ppr1,
    /// The profile must not be deleted.
    Ppr2,
}

/// IconType.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Picture {
    Jpg,
    Png,
}

/// Selects profiles. A field that is absent selects all.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StockFilter {
    /// The state.
    state: Option<ProfileState>,
    /// The profile type.
    profile_type: Option<String>,
}

/// A profile in stock, and its order if it has one.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProfileView {
    iccid: Iccid,
    profile_type: String,
    state: ProfileState,
    service_provider_name: String,
    profile_name: String,
    protection: Protection,
    rebinding: Rebinding,
    /// The eUICCs on which the profile is installed.
    installed_on: Vec<Eid>,
    /// The pending or last order.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<OrderView>,
}

/// GET /admin/v1/stock
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Listing<StockFilter>>,
) -> Result<Page<ProfileView>, Problem> {
    let StockFilter { state, profile_type } = &arguments.query.filter;
    let namespace = &context.decision.namespace;
    let select = |_: &str, profile: Profile| {
        let is_selected = profile.namespace == *namespace
            && state.is_none_or(|state| profile.state() == state)
            && profile_type.as_ref().is_none_or(|wanted| profile.profile_type == *wanted);
        is_selected.then_some(profile)
    };
    let profiles = arguments.query.page(context.decision.tx, &PROFILES, select).await?;
    let mut elements = Vec::new();
    for profile in profiles.elements {
        elements.push(ProfileView::of(context, profile).await?);
    }
    Ok(Page { elements, next: profiles.next })
}

/// POST /admin/v1/stock
pub(super) async fn add(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, NoQuery, NewProfile>,
) -> Result<ProfileView, Problem> {
    match arguments.body.ensure(context).await? {
        Ensured::Created(profile) => ProfileView::of(context, profile).await,
        Ensured::Existing(kept) => Err(already_in_stock(context, &kept)),
    }
}

/// GET /admin/v1/stock/{iccid}
pub(super) async fn show(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<Iccid>,
) -> Result<ProfileView, Problem> {
    let profile = profile(context, arguments.id).await?;
    ProfileView::of(context, profile).await
}

/// DELETE /admin/v1/stock/{iccid}
pub(super) async fn remove(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<Iccid>,
) -> Result<(), Problem> {
    let profile = profile_without_order(context, arguments.id).await?;
    Ok(profile.discard(context.decision.tx).await?)
}

fn already_in_stock(context: &Context<'_, '_>, kept: &Profile) -> Problem {
    let Profile { iccid, namespace, .. } = kept;
    let next = match *namespace == context.decision.namespace {
        true => format!("use that profile, or DELETE /admin/v1/stock/{iccid} first"),
        false => "choose a package with another ICCID; ICCIDs are unique in the server".to_owned(),
    };
    Problem::conflict(
        format!("cannot put profile {iccid} into stock"),
        kept.already_in_stock(&context.decision.namespace),
        next,
    )
}

/// Returns the profile of the namespace with this ICCID.
pub(super) async fn profile(context: &mut Context<'_, '_>, iccid: Iccid) -> Result<Profile, Problem> {
    let (what, own) = (format!("there is no profile {iccid}"), &context.decision.namespace);
    match context.decision.tx.get(&PROFILES, &iccid.to_string()).await? {
        Some(profile) if profile.namespace == *own => Ok(profile),
        Some(Profile { namespace, .. }) => Err(Problem::not_found(
            what,
            format!("the profile is in namespace {namespace}, and the request is for namespace {own}"),
            format!("use another ICCID, or send {}: {namespace}", Namespace::HEADER),
        )),
        None => Err(Problem::not_found(
            what,
            "no profile with this ICCID is in stock",
            "GET /admin/v1/stock lists all profiles; POST /admin/v1/stock adds one",
        )),
    }
}

/// Returns the profile with this ICCID after its order, in any state, has been deleted from all other
/// records. The caller changes the record of the profile.
pub(super) async fn profile_without_order(
    context: &mut Context<'_, '_>,
    iccid: Iccid,
) -> Result<Profile, Problem> {
    let mut profile = profile(context, iccid).await?;
    if let Ok(order) = profile.order() {
        es2plus::forget(&mut context.decision, profile.iccid, order).await?;
    }
    retry::forget_last(&mut context.decision, &mut profile);
    Ok(profile)
}

impl ProfileView {
    async fn of(context: &mut Context<'_, '_>, profile: Profile) -> Result<Self, Problem> {
        let order = profile.status.order().map(|order| OrderView::of(context.decision.config, order));
        let prefix = format!("{}/", profile.iccid);
        let installations = context.decision.tx.list(&INSTALLATIONS, &prefix).await?;
        let state = profile.state();
        Ok(Self {
            iccid: profile.iccid,
            profile_type: profile.profile_type,
            state,
            service_provider_name: profile.metadata.service_provider_name,
            profile_name: profile.metadata.profile_name,
            protection: profile.protection,
            rebinding: profile.rebinding,
            installed_on: installations.into_iter().map(|(_, installation)| installation.eid).collect(),
            order,
        })
    }
}

impl NewProfile {
    /// A package with default values for everything else.
    pub fn of(package: Vec<u8>) -> Self {
        Self {
            package: Octets(package),
            profile_type: None,
            service_provider_name: None,
            profile_name: None,
            profile_class: None,
            profile_policy_rules: None,
            fallback_allowed: false,
            ecall_indication: false,
            icon: None,
            icon_type: None,
            notification_address: None,
            protection: Protection::default(),
            rebinding: Rebinding::default(),
        }
    }

    /// Adds the profile to the stock unless its ICCID is already there.
    pub(super) async fn ensure(&self, context: &mut Context<'_, '_>) -> Result<Ensured<Profile>, Problem> {
        let address = context.decision.config.server.address.as_str();
        let namespace = context.decision.namespace.clone();
        let options = ProfileOptions { namespace, ..self.options()? };
        let profile = stock::describe(address, &self.package.0, &options)
            .map_err(|fault| Problem::because(StatusCode::BAD_REQUEST, fault))?;
        let tx = &mut *context.decision.tx;
        if let Some(kept) = tx.get(&PROFILES, &profile.iccid.to_string()).await? {
            return match kept.namespace == profile.namespace {
                true => Ok(Ensured::Existing(kept)),
                false => Err(already_in_stock(context, &kept)),
            };
        }
        stock::put(tx, &profile, &self.package.0).await?;
        Ok(Ensured::Created(profile))
    }

    fn options(&self) -> Result<ProfileOptions, Problem> {
        Ok(ProfileOptions {
            namespace: Namespace::default(),
            profile_type: self.profile_type.clone(),
            service_provider_name: self.service_provider_name.clone(),
            profile_name: self.profile_name.clone(),
            profile_class: self.profile_class.map(|class| match class {
                Class::Test => ProfileClass::TEST,
                Class::Provisioning => ProfileClass::PROVISIONING,
                Class::Operational => ProfileClass::OPERATIONAL,
            }),
            profile_policy_rules: self.profile_policy_rules.as_ref().map(|rules| {
                let bits = rules.iter().map(|rule| match rule {
                    Rule::Ppr1 => ppr::PPR1,
                    Rule::Ppr2 => ppr::PPR2,
                });
                BitString::of(&bits.collect::<Vec<_>>())
            }),
            fallback_allowed: self.fallback_allowed,
            ecall_indication: self.ecall_indication,
            icon: self.icon()?,
            notifications: self.notification_address.as_ref().map(|addresses| {
                let configuration = |address: &String| NotificationConfigurationInformation {
                    profile_management_operation: stock::every_event(),
                    notification_address: address.clone(),
                };
                addresses.iter().map(configuration).collect()
            }),
            protection: self.protection,
            rebinding: self.rebinding,
        })
    }

    fn icon(&self) -> Result<Option<Icon>, Problem> {
        let (octets, kind) = match (&self.icon, self.icon_type) {
            (None, None) => return Ok(None),
            (Some(octets), Some(Picture::Jpg)) => (octets, IconType::JPG),
            (Some(octets), Some(Picture::Png)) => (octets, IconType::PNG),
            _ => {
                return Err(Problem::bad_request(
                    "cannot accept the icon",
                    "one of icon and iconType is missing",
                    "set both or neither",
                ));
            }
        };
        Icon::new(kind, octets.0.clone()).map(Some).ok_or_else(|| {
            Problem::bad_request(
                "cannot accept the icon",
                format!("the icon has {} octets", octets.0.len()),
                format!("use an icon of at most {} octets", Icon::MAX_OCTETS),
            )
        })
    }
}
