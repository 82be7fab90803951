//! The record of a device, and the fleet as a snapshot of all records.

use std::{collections::BTreeSet, fmt, sync::Arc};

use localize::{Country, RuleBook};
use rsp::{
    ids::{Eid, Imsi},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use world::{Fault, FaultKind};

use crate::state::{DeviceEvent, NotPossible, State, Tally, Trail, follow};

/// The name of a group, model or account. Devices that are loaded together share the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(inline)]
pub struct Name(#[schemars(with = "String")] Arc<str>);

impl Default for Name {
    fn default() -> Self {
        Self("".into())
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// A device of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// EID of its eUICC, which is its key in the records.
    pub eid: Eid,
    /// The owner's name for the device.
    pub label: Box<str>,
    /// The group of the device.
    pub group: Name,
    /// The model of the device.
    pub model: Name,
    /// The account that pays for its subscriptions.
    pub account: Name,
    /// Input of decisions: history, profiles, needs.
    pub connection: localize::Device,
    /// The IMSI at the last check-in, if it was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imsi: Option<Imsi>,
    /// Kilobytes used in the last 30 days, if known.
    pub usage_kb: Option<u32>,
    /// Time of the last check-in.
    pub last_seen: Option<Timestamp>,
    /// The state of the device.
    pub state: State,
    /// Results of its moves.
    pub tally: Tally,
    /// Audit trail.
    pub trail: Trail,
}

impl Device {
    /// Returns a device of which only the EID is known.
    pub fn new(eid: Eid) -> Self {
        Self {
            eid,
            label: "".into(),
            group: Name::default(),
            model: Name::default(),
            account: Name::default(),
            connection: localize::Device::default(),
            imsi: None,
            usage_kb: None,
            last_seen: None,
            state: State::default(),
            tally: Tally::default(),
            trail: Trail::default(),
        }
    }

    /// Records an event in state, tally and trail.
    ///
    /// # Errors
    /// The event is impossible in the device's state. Nothing is changed.
    pub fn happened(&mut self, at: Timestamp, event: DeviceEvent) -> Result<(), NotPossible> {
        let mut tally = self.tally;
        let state = follow(&self.state, &mut tally, at, &event)?;
        if matches!(event, DeviceEvent::Heard | DeviceEvent::Moved | DeviceEvent::CameBack { .. }) {
            self.last_seen = self.last_seen.max(Some(at));
        }
        (self.state, self.tally) = (state, tally);
        self.trail.push(at, event);
        Ok(())
    }

    /// True unless the device is retired. Only devices in service are part of reports.
    pub fn is_in_service(&self) -> bool {
        !matches!(self.state, State::Retired { .. })
    }

    /// The present country according to the history.
    pub fn country(&self, now: Timestamp) -> Option<Country> {
        self.connection.history.present(now).map(|stay| stay.country)
    }
}

/// A snapshot of all devices, in the order of their EIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    devices: Vec<Device>,
}

impl Fleet {
    /// Returns a fleet of these devices. Equal names share their text, and spare memory is
    /// released.
    pub fn new(mut devices: Vec<Device>) -> Self {
        let mut names = BTreeSet::new();
        for device in &mut devices {
            for name in [&mut device.group, &mut device.model, &mut device.account] {
                match names.get(&*name) {
                    Some(known) => *name = Name::clone(known),
                    None => drop(names.insert(name.clone())),
                }
            }
            device.connection.held.shrink_to_fit();
            device.connection.history.shrink_to_fit();
            device.trail.shrink_to_fit();
        }
        devices.sort_by_key(|device| device.eid);
        devices.shrink_to_fit();
        Self { devices }
    }

    /// All devices, in the order of their EIDs.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The devices in service.
    pub fn in_service(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|device| device.is_in_service())
    }

    /// The device with this EID.
    pub fn device(&self, eid: Eid) -> Option<&Device> {
        let found = self.devices.binary_search_by_key(&eid, |device| device.eid);
        found.ok().and_then(|place| self.devices.get(place))
    }
}

/// A selection of devices. A field that is absent selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Devices in this country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// Devices of this group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Name>,
    /// Devices of this model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// Devices of this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Name>,
    /// Devices in this state, by its keyword.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Name>,
}

impl Selection {
    /// True if the device is selected.
    pub fn has(&self, device: &Device, now: Timestamp) -> bool {
        let is =
            |wanted: &Option<Name>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted.as_ref() == name);
        self.country.is_none_or(|country| device.country(now) == Some(country))
            && is(&self.group, device.group.as_ref())
            && is(&self.model, device.model.as_ref())
            && is(&self.account, device.account.as_ref())
            && is(&self.state, device.state.word())
    }

    /// Checks that the selection names existing things, so that a typing error does not look like
    /// an empty result. A country or state without devices is valid.
    ///
    /// # Errors
    /// The group, model or account has no devices, or the country or state does not exist.
    pub fn check(&self, fleet: &Fleet, book: &RuleBook) -> Result<(), Fault> {
        let names = |of: fn(&Device) -> &str| fleet.devices().iter().map(of).collect::<BTreeSet<&str>>();
        for (what, wanted, of) in [
            ("group", &self.group, (|device| device.group.as_ref()) as fn(&Device) -> &str),
            ("model", &self.model, |device| device.model.as_ref()),
            ("account", &self.account, |device| device.account.as_ref()),
        ] {
            let Some(wanted) = wanted.as_ref().map(Name::as_ref) else { continue };
            let known = names(of);
            if !known.contains(wanted) {
                return Err(Fault::new(
                    format!("no device has {what} {wanted:?}"),
                    match format_list(known.into_iter().filter(|name| !name.is_empty())) {
                        Some(known) => format!("there are {known}"),
                        None => format!("no device has a {what}"),
                    },
                    format!("correct the {what}"),
                )
                .of_kind(FaultKind::NotFound));
            }
        }
        if let Some(state) = self.state.as_ref().filter(|state| !State::WORDS.contains(&state.as_ref())) {
            return Err(Fault::usage(
                format!("there is no state {:?}", state.as_ref()),
                format!("there are {}", State::WORDS.join(", ")),
                "correct the state",
            ));
        }
        match self.country.filter(|country| !book.knows(*country)) {
            Some(country) => Err(Fault::usage(
                format!("there is no country {country}"),
                "it is not in crates/localize/data/networks.toml",
                "use an ISO 3166-1 alpha-2 code, such as BR",
            )),
            None => Ok(()),
        }
    }
}

/// Formats the first items, and the number of the remaining ones. Returns `None` if there are no
/// items.
pub fn format_list(all: impl IntoIterator<Item: fmt::Display>) -> Option<String> {
    const MOST: usize = 20;
    let mut all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    let more = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_ends_with_the_number_of_further_items() {
        assert_eq!(format_list([0; 0]), None);
        assert_eq!(format_list([1, 2]).unwrap(), "1, 2");
        let list = |count: u32| format_list(0..count).unwrap();
        assert!(list(20).ends_with("18, 19"), "{}", list(20));
        assert!(list(21).ends_with("18, 19, and 1 more"), "{}", list(21));
    }
}
