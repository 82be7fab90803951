//! Devices, as their owner commands them.

use localize::Needs;
use rsp::ids::Eid;
use serde::{Deserialize, Serialize};
use world::{Fault, Tx, transact};

use super::{MOVES, Platform, ending::impossible};
use crate::{
    campaign::{CAMPAIGNS, MemberState, Try},
    device::{Device, Fleet, Name, Selection},
    problem::Problem,
    state::Happening,
    store::{self, DEVICES, load},
};

/// What an owner says anew about a device; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edit {
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Box<str>>,
    /// What it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Name>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// By which account its subscriptions are paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Name>,
    /// What it needs of its connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
}

impl Edit {
    fn apply(&self, device: &mut Device) {
        fn set<T: Clone>(field: &mut T, said: &Option<T>) {
            if let Some(said) = said {
                field.clone_from(said);
            }
        }
        set(&mut device.label, &self.label);
        set(&mut device.group, &self.group);
        set(&mut device.model, &self.model);
        set(&mut device.account, &self.account);
        set(&mut device.connection.needs, &self.needs);
    }
}

/// What an edit changed, from what to what; none if nothing.
fn change(before: &Device, after: &Device) -> Option<Box<str>> {
    let said = |device: &Device| {
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
    let pairs = said(before).into_iter().zip(said(after)).filter(|(before, after)| before != after);
    let changes: Vec<String> =
        pairs.map(|((name, before), (_, after))| format!("{name} from {before} to {after}")).collect();
    (!changes.is_empty()).then(|| changes.join(", ").into())
}

impl Platform {
    /// The devices that are selected, in the order of their EIDs.
    ///
    /// # Errors
    /// The selection names what is not there, or the records fail.
    pub async fn devices(&self, selection: &Selection) -> Result<Vec<Device>, Problem> {
        let (fleet, now) = (self.fleet_of(selection).await?, self.now());
        Ok(fleet.devices().iter().filter(|device| selection.has(device, now)).cloned().collect())
    }

    /// All devices, if that selection of them means something.
    pub(crate) async fn fleet_of(&self, selection: &Selection) -> Result<Fleet, Problem> {
        let fleet = load(self.records()).await?;
        let meant = selection.means_something(&fleet, &self.0.setup.book);
        meant.map_err(|Fault { what, why, next, .. }| Problem::not_found(what, why, next))?;
        Ok(fleet)
    }

    /// A device.
    ///
    /// # Errors
    /// It is not one of the fleet.
    pub async fn device(&self, eid: Eid) -> Result<Device, Problem> {
        get(&mut Tx::begin(self.records()), eid).await?
    }

    /// Says something anew about a device, or adds one of which only that is known.
    ///
    /// # Errors
    /// The records fail.
    pub async fn edit(&self, eid: Eid, edit: &Edit) -> Result<Device, Problem> {
        let now = self.now();
        let edited = transact(self.records(), |tx| {
            Box::pin(async move {
                let known = tx.get(&DEVICES, &eid.to_string()).await?;
                let mut device = known.clone().unwrap_or_else(|| Device::new(eid));
                edit.apply(&mut device);
                let happening = match &known {
                    Some(before) => change(before, &device).map(|change| Happening::Edited { change }),
                    None => Some(Happening::Added),
                };
                if let Some(happening) = happening {
                    device.happened(now, happening).map_err(impossible)?;
                    store::put(tx, &device)?;
                }
                Ok(device)
            })
        });
        Ok(edited.await?)
    }

    /// A device goes out of service: it is moved no more, and what is ordered for it is cancelled.
    ///
    /// # Errors
    /// It is not one of the fleet, or has been out of service already.
    pub async fn retire(&self, eid: Eid) -> Result<Device, Problem> {
        transact(self.records(), |tx| Box::pin(self.retire_in(tx, eid))).await?
    }

    async fn retire_in(&self, tx: &mut Tx<'_>, eid: Eid) -> Result<Result<Device, Problem>, Fault> {
        let now = self.now();
        let mut device = match get(tx, eid).await? {
            Ok(device) => device,
            Err(problem) => return Ok(Err(problem)),
        };
        if !device.is_in_service() {
            let what = format!("cannot retire device {eid}");
            return Ok(Err(Problem::conflict(
                what,
                format!("it is {}", device.state),
                "there is nothing to do",
            )));
        }
        const WHY: &str = "it went out of service";
        if let Some(open) = tx.get(&MOVES, &eid.to_string()).await? {
            self.end(tx, &mut device, &open, (Try::NotInstalled, WHY)).await?;
        }
        for (_, campaign) in tx.glance(&CAMPAIGNS, "").await? {
            self.finish(tx, &campaign, eid, MemberState::Failed { at: now, why: WHY.into() }).await?;
        }
        device.happened(now, Happening::Retired).map_err(impossible)?;
        store::put(tx, &device)?;
        Ok(Ok(device))
    }
}

async fn get(tx: &mut Tx<'_>, eid: Eid) -> Result<Result<Device, Problem>, Fault> {
    Ok(tx.get(&DEVICES, &eid.to_string()).await?.ok_or_else(|| {
        let next = "`landfall fleet list` shows those that are";
        Problem::not_found(format!("there is no device {eid}"), "it is not one of the fleet", next)
    }))
}
