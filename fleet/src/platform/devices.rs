//! Commands of the owner for devices.

use std::collections::BTreeMap;

use http::StatusCode;
use localize::Needs;
use rsp::ids::Eid;
use rsp_server::api::{Listing, Page, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Fault, Tx, transact};

use super::{Platform, campaigns::RETIRED};
use crate::{
    campaign::{AttemptResult, CAMPAIGNS, MEMBERS, MemberState, member_key},
    device::{Device, Fleet, Name, Selection},
    moves::{MOVES, Move},
    state::DeviceEvent,
    store::{self, DEVICES, StoredDevice, load},
    transaction::{Rejected, decide},
};

/// New values for a device. A field that is absent stays unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Edit {
    /// The owner's name for the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Box<str>>,
    /// The group of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Name>,
    /// The model of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// The account that pays for its subscriptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Name>,
    /// The device's connectivity needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
}

impl Edit {
    fn apply(&self, device: &mut Device) {
        fn set<T: Clone>(field: &mut T, given: &Option<T>) {
            if let Some(given) = given {
                field.clone_from(given);
            }
        }
        set(&mut device.label, &self.label);
        set(&mut device.group, &self.group);
        set(&mut device.model, &self.model);
        set(&mut device.account, &self.account);
        set(&mut device.connection.needs, &self.needs);
    }
}

/// Describes the changed fields with old and new values, or returns `None` if nothing changed.
fn change(before: &Device, after: &Device) -> Option<Box<str>> {
    let fields = |device: &Device| {
        let Needs { criticality, bandwidth, latency } = device.connection.needs;
        [
            ("label", format!("{:?}", device.label)),
            ("group", format!("{:?}", device.group.as_ref())),
            ("model", format!("{:?}", device.model.as_ref())),
            ("account", format!("{:?}", device.account.as_ref())),
            ("criticality", format!("{criticality:?}").to_lowercase()),
            ("bandwidth", format!("{bandwidth:?}").to_lowercase()),
            ("latency", format!("{latency:?}").to_lowercase()),
        ]
    };
    let pairs = fields(before).into_iter().zip(fields(after)).filter(|(before, after)| before != after);
    let changes: Vec<String> =
        pairs.map(|((name, before), (_, after))| format!("{name} from {before} to {after}")).collect();
    (!changes.is_empty()).then(|| changes.join(", ").into())
}

impl Platform {
    /// Returns a page of the selected devices, in the order of their EIDs.
    ///
    /// # Errors
    /// The selection is invalid, or the records fail.
    pub async fn devices(&self, listing: &Listing<Selection>) -> Result<Page<Device>, Problem> {
        let (tx, selection, now) = (Tx::begin(self.records()), &listing.filter, self.now());
        let open: BTreeMap<String, Move> = tx.peek_list(&MOVES, "").await?.into_iter().collect();
        let select = |key: &str, device: StoredDevice| {
            let device = device.with(open.get(key));
            selection.has(&device, now).then_some(device)
        };
        let page = listing.page(&tx, &DEVICES, select).await?;
        if page.elements.is_empty() {
            // A selected device shows that the group, model or account exists.
            self.fleet_of(selection).await?;
        }
        Ok(page)
    }

    /// Loads all devices after checking the selection.
    pub(crate) async fn fleet_of(&self, selection: &Selection) -> Result<Fleet, Problem> {
        let fleet = load(self.records()).await?;
        let checked = selection.check(&fleet, self.networks());
        checked.map_err(|fault| Problem::because(StatusCode::NOT_FOUND, fault))?;
        Ok(fleet)
    }

    /// Returns a device.
    ///
    /// # Errors
    /// The device is not part of the fleet.
    pub async fn device(&self, eid: Eid) -> Result<Device, Problem> {
        Ok(get(&mut Tx::begin(self.records()), eid).await?)
    }

    /// Edits a device, or adds it if it is unknown.
    ///
    /// # Errors
    /// The records fail.
    pub async fn edit(&self, eid: Eid, edit: &Edit) -> Result<Device, Problem> {
        let now = self.now();
        let edited = transact(self.records(), |tx| {
            Box::pin(async move {
                let known = store::get(tx, eid).await?;
                let mut device = known.clone().unwrap_or_else(|| Device::new(eid));
                edit.apply(&mut device);
                let event = match &known {
                    Some(before) => change(before, &device).map(|change| DeviceEvent::Edited { change }),
                    None => Some(DeviceEvent::Added),
                };
                if let Some(event) = event {
                    device.happened(now, event)?;
                    store::put(tx, &device)?;
                }
                Ok(device)
            })
        });
        Ok(edited.await?)
    }

    /// Takes a device out of service: it no longer moves, and its orders are cancelled.
    ///
    /// # Errors
    /// The device is not part of the fleet, or it has already been retired.
    pub async fn retire(&self, eid: Eid) -> Result<Device, Problem> {
        decide(self.records(), |tx| Box::pin(self.retire_in(tx, eid))).await
    }

    async fn retire_in(&self, tx: &mut Tx<'_>, eid: Eid) -> Result<Device, Rejected> {
        let now = self.now();
        let mut device = get(tx, eid).await?;
        if !device.is_in_service() {
            let what = format!("cannot retire device {eid}");
            return Err(
                Problem::conflict(what, format!("it is {}", device.state), "there is nothing to do").into()
            );
        }
        if let Some(open) = tx.get(&MOVES, &eid.to_string()).await? {
            self.end(tx, &mut device, &open, (AttemptResult::NotInstalled, RETIRED)).await?;
        }
        for (id, campaign) in tx.peek_list(&CAMPAIGNS, "").await? {
            let key = member_key(&campaign.spec.id, eid);
            if tx.get(&MEMBERS, &key).await?.is_none() {
                continue;
            }
            // A rollback at the same time must see that the device is retired. Such a rollback
            // conflicts with this transaction, because the campaign is read with conflict detection
            // and the member is written even if it does not change.
            let Some(campaign) = tx.get(&CAMPAIGNS, &id).await? else { continue };
            self.finish(tx, &campaign, eid, MemberState::Failed { at: now, why: RETIRED.into() }).await?;
            if let Some(member) = tx.get(&MEMBERS, &key).await? {
                tx.put(&MEMBERS, &key, &member)?;
            }
        }
        device.happened(now, DeviceEvent::Retired).map_err(Fault::from)?;
        store::put(tx, &device)?;
        Ok(device)
    }
}

async fn get(tx: &mut Tx<'_>, eid: Eid) -> Result<Device, Rejected> {
    let next = "list the devices with `landfall fleet list`";
    let unknown =
        || Problem::not_found(format!("there is no device {eid}"), "it is not part of the fleet", next);
    Ok(store::get(tx, eid).await?.ok_or_else(unknown)?)
}
