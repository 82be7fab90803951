//! /admin/v1/devices: the devices with which the eIM is associated.

use rsp::{
    ids::{Eid, TransactionId},
    sgp32::{
        StateChangeCause,
        ipa_data::{ipa_features, protocols},
    },
    time::Timestamp,
};
use rsp_server::api::{Arguments, Listing, NoId, NoQuery, Page};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, Problem};
use crate::{
    devices::{self, NewDevice},
    records::{DEVICES, Device, FORWARDED_RESULTS, ORDERS, Octets, order_key},
};

/// A device with which the eIM is associated.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceView {
    /// The eUICC.
    eid: Eid,
    /// The counter of the last package.
    counter: i64,
    /// The association token, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    association_token: Option<i64>,
    /// The number of the signing key that the eUICC knows. The first is 0.
    signing_key: usize,
    /// True if the certificates of the eUICC are known, so that its results can be verified.
    certificates_known: bool,
    /// The functions of the IPA, if it reported them.
    #[serde(skip_serializing_if = "Option::is_none")]
    ipa_features: Option<Vec<String>>,
    /// The protocols of the IPA, if it reported them.
    #[serde(skip_serializing_if = "Option::is_none")]
    ipa_protocols: Option<Vec<String>>,
    /// The default SM-DP+ of the eUICC.
    #[serde(skip_serializing_if = "Option::is_none")]
    default_smdp_address: Option<String>,
    /// The root SM-DS of the eUICC.
    #[serde(skip_serializing_if = "Option::is_none")]
    root_smds_address: Option<String>,
    /// EUICCInfo2, DER.
    #[serde(skip_serializing_if = "Option::is_none")]
    euicc_info2: Option<Octets>,
    /// The orders that wait, first to last.
    open_orders: Vec<TransactionId>,
    /// The time of the registration.
    registered: Timestamp,
    /// The time of the last request for a package.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_poll: Option<Timestamp>,
    /// The last change that was made without this eIM.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_change: Option<StateChangeView>,
    /// MCC and MNC of the last registered network in hexadecimal, as in TS 24.008.
    #[serde(skip_serializing_if = "Option::is_none")]
    r_plmn: Option<Octets>,
}

/// A change that was made without this eIM.
#[derive(Serialize, JsonSchema)]
struct StateChangeView {
    /// The code of the cause, if the IPA reported one.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<StateChangeCause>,
    /// The meaning of the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<String>,
    /// The time at which the eIM was notified.
    at: Timestamp,
}

impl From<Device> for DeviceView {
    fn from(device: Device) -> Self {
        let data = device.data.unwrap_or_default();
        Self {
            eid: device.eid,
            counter: device.association.counter,
            association_token: device.association.token,
            signing_key: device.association.key,
            certificates_known: device.certificates.is_some(),
            ipa_features: data.ipa_features.map(|bits| names(&bits, ipa_features::NAMES)),
            ipa_protocols: data.ipa_protocols.map(|bits| names(&bits, protocols::NAMES)),
            default_smdp_address: data.default_smdp_address,
            root_smds_address: data.root_smds_address,
            euicc_info2: data.euicc_info2,
            open_orders: device.open.into_iter().collect(),
            registered: device.registered,
            last_poll: device.last_poll,
            state_change: device.state_change.map(|change| StateChangeView {
                code: change.cause,
                meaning: change.cause.and_then(StateChangeCause::meaning).map(str::to_owned),
                at: change.at,
            }),
            r_plmn: device.r_plmn,
        }
    }
}

/// Returns the names of bits. A bit without a name has its number.
fn names(bits: &[usize], all: &[(&str, usize)]) -> Vec<String> {
    let name = |bit: &usize| all.iter().find(|(_, known)| known == bit).map(|(name, _)| (*name).to_owned());
    bits.iter().map(|bit| name(bit).unwrap_or_else(|| bit.to_string())).collect()
}

/// GET /admin/v1/devices
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Listing<NoQuery>>,
) -> Result<Page<DeviceView>, Problem> {
    let select = |_: &str, device| Some(DeviceView::from(device));
    Ok(arguments.query.page(context.decision.tx, &DEVICES, select).await?)
}

/// POST /admin/v1/devices
pub(super) async fn register(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, NoQuery, NewDevice>,
) -> Result<DeviceView, Problem> {
    let registered = devices::register(&mut context.decision, &arguments.body).await?;
    let registered = registered.map_err(|fault| Problem::because(http::StatusCode::BAD_REQUEST, fault))?;
    Ok(registered.into())
}

/// GET /admin/v1/devices/{eid}
pub(super) async fn show(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<Eid>,
) -> Result<DeviceView, Problem> {
    device(context, arguments.id).await.map(DeviceView::from)
}

/// DELETE /admin/v1/devices/{eid}
pub(super) async fn remove(context: &mut Context<'_, '_>, arguments: &Arguments<Eid>) -> Result<(), Problem> {
    let device = device(context, arguments.id).await?;
    for id in device.open.iter().chain(&device.ended) {
        context.decision.tx.delete(&ORDERS, &order_key(id));
    }
    for id in &device.forwarded_results {
        context.decision.tx.delete(&FORWARDED_RESULTS, &id.to_string());
    }
    context.decision.tx.delete(&DEVICES, &device.eid.to_string());
    Ok(())
}

async fn device(context: &mut Context<'_, '_>, eid: Eid) -> Result<Device, Problem> {
    context.decision.tx.get(&DEVICES, &eid.to_string()).await?.ok_or_else(|| {
        Problem::not_found(
            format!("there is no device {eid}"),
            "no device with this EID is registered",
            "GET /admin/v1/devices lists the devices; POST registers one",
        )
    })
}
