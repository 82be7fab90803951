//! One device as a record, and all of them as read at one moment.

use std::{collections::BTreeSet, fmt, sync::Arc};

use localize::{Country, RuleBook};
use rsp::{
    ids::{Eid, Imsi},
    time::Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use world::Fault;

use crate::state::{Happening, NotPossible, State, Tally, Trail, follow};

/// A name that many devices have: of a group, a model, an account. All that are read together share its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The identity of its eUICC, and its key in the records.
    pub eid: Eid,
    /// What its owner calls it.
    pub label: Box<str>,
    /// What it belongs to.
    pub group: Name,
    /// What it is.
    pub model: Name,
    /// By which account its subscriptions are paid.
    pub account: Name,
    /// What a decision needs to know: history, profiles, needs.
    pub connection: localize::Device,
    /// As whom it was registered when it checked in last, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imsi: Option<Imsi>,
    /// How much it used in the last 30 days, if that is known.
    pub usage_kb: Option<u32>,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// What it waits for.
    pub state: State,
    /// How its moves have ended.
    pub tally: Tally,
    /// What was done with it.
    pub trail: Trail,
}

impl Device {
    /// A device of which nothing is known but its card.
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

    /// Writes down what has happened, in state, tally and trail.
    ///
    /// # Errors
    /// It cannot have happened to a device in this state; nothing is changed.
    pub fn happened(&mut self, at: Timestamp, happening: Happening) -> Result<(), NotPossible> {
        let mut tally = self.tally;
        let state = follow(&self.state, &mut tally, at, &happening)?;
        if matches!(happening, Happening::Heard | Happening::Moved | Happening::CameBack { .. }) {
            self.last_seen = self.last_seen.max(Some(at));
        }
        (self.state, self.tally) = (state, tally);
        self.trail.push(at, happening);
        Ok(())
    }

    /// Whether it is part of the answers.
    pub fn is_in_service(&self) -> bool {
        !matches!(self.state, State::Retired { .. })
    }

    /// Where it is, as far as its history tells.
    pub fn country(&self, now: Timestamp) -> Option<Country> {
        self.connection.history.present(now).map(|stay| stay.country)
    }
}

/// The devices as read at one moment, in the order of their EIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    devices: Vec<Device>,
}

impl Fleet {
    /// A fleet of these devices. Equal names are held once, and no more memory than is used.
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

    /// The devices that are part of the answers.
    pub fn in_service(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|device| device.is_in_service())
    }

    /// The device with that card.
    pub fn device(&self, eid: Eid) -> Option<&Device> {
        let found = self.devices.binary_search_by_key(&eid, |device| device.eid);
        found.ok().and_then(|place| self.devices.get(place))
    }
}

/// Some of the devices; what is not said leaves none out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// Those that are in this country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// Those of this group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Name>,
    /// Those of this model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// Those of this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Name>,
    /// Those in this state, by its word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Name>,
}

impl Selection {
    /// Whether the device is one of them.
    pub fn has(&self, device: &Device, now: Timestamp) -> bool {
        let is =
            |wanted: &Option<Name>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted.as_ref() == name);
        self.country.is_none_or(|country| device.country(now) == Some(country))
            && is(&self.group, device.group.as_ref())
            && is(&self.model, device.model.as_ref())
            && is(&self.account, device.account.as_ref())
            && is(&self.state, device.state.word())
    }

    /// Whether something is named that can be meant: an answer about none would be good news. That no device is in a country,
    /// or in a state, may well be.
    ///
    /// # Errors
    /// No device is of that group, model or account, or there is no such country or state.
    pub fn means_something(&self, fleet: &Fleet, book: &RuleBook) -> Result<(), Fault> {
        let names = |of: fn(&Device) -> &str| fleet.devices().iter().map(of).collect::<BTreeSet<&str>>();
        for (what, asked, of) in [
            ("group", &self.group, (|device| device.group.as_ref()) as fn(&Device) -> &str),
            ("model", &self.model, |device| device.model.as_ref()),
            ("account", &self.account, |device| device.account.as_ref()),
        ] {
            let Some(asked) = asked.as_ref().map(Name::as_ref) else { continue };
            let known = names(of);
            if !known.contains(asked) {
                return Err(Fault::new(
                    format!("no device is of {what} {asked:?}"),
                    match listed(known.into_iter().filter(|name| !name.is_empty())) {
                        Some(known) => format!("there are {known}"),
                        None => format!("no device has a {what}"),
                    },
                    format!("correct the {what}"),
                ));
            }
        }
        if let Some(state) = self.state.as_ref().filter(|state| !State::WORDS.contains(&state.as_ref())) {
            return Err(Fault::new(
                format!("there is no state {:?}", state.as_ref()),
                format!("there are {}", State::WORDS.join(", ")),
                "correct the state",
            ));
        }
        match self.country.filter(|country| !book.knows(*country)) {
            Some(country) => Err(Fault::new(
                format!("there is no country {country}"),
                "it is not in crates/localize/data/networks.toml",
                "use a code after ISO 3166-1 alpha-2, such as BR",
            )),
            None => Ok(()),
        }
    }
}

/// The first of them, and how many more there are; none if there are none.
pub fn listed(all: impl IntoIterator<Item: fmt::Display>) -> Option<String> {
    const MOST: usize = 20;
    let mut all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    let more = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    (!all.is_empty()).then(|| all.join(", "))
}
