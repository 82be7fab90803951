//! The stored form of a card: the memory cells and their contents.
//!
//! | cell | contents |
//! |---|---|
//! | `card` | numbers, addresses, the enabled profile |
//! | `one-time-keys` | otSK.EUICC.ECKA kept for retries |
//! | `revoked` | certificates revoked by the CIs |
//! | `m2m` | keys, ISD-Ps and addresses of an M2M eUICC |
//! | `iot` | eIMs and settings of an IoT eUICC |
//! | `result/<number>` | the result of a package of an eIM |
//! | `notification/<number>` | a notification |
//! | `profile/<ISD-P>` | metadata, nickname, memory; the state of the multi-IMSI applet |
//! | `profile/<ISD-P>/facts`, `/domains` | the data of the package other than its files |
//! | `profile/<ISD-P>/codes` | PINs with their counters |
//! | `profile/<ISD-P>/aka` | authentication keys with their sequence numbers |
//! | `profile/<ISD-P>/files`, `/contents` | the file table and all contents as they were installed |
//! | `profile/<ISD-P>/file/<n>` | a file that changed since the installation |
//! | `profile/<ISD-P>/content/<n>` | the contents of a file that changed since the installation |
//!
//! File contents are stored as octets, everything else as JSON. A change of a file's contents
//! writes one cell. The cell with the installed contents of all files is left unchanged.

use std::collections::BTreeMap;
use std::sync::Arc;

use profile::facts::{Aka, Facts, Pins, Puk};
use profile::{Changes, File, Image, ProfileFiles};
use rsp::ids::{Aid, Eid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use world::{Batch, Cells, Content, Fault};

use super::shared::Shared;
use super::state::iot::{IotState, StoredResult};
use super::state::{ConsumerState, InstalledProfile, Persistent, ProfileSwitch, StoredNotification, m2m};

const CARD: &str = "card";
const ONE_TIME_KEYS: &str = "one-time-keys";
const REVOKED: &str = "revoked";
const M2M: &str = "m2m";
const IOT: &str = "iot";
const NOTIFICATION: &str = "notification/";
const RESULT: &str = "result/";
const PROFILE: &str = "profile/";

/// PINs and the codes that unblock them.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Codes {
    pins: Vec<Pins>,
    puks: Vec<Puk>,
}

/// The file table, and the lengths of the contents that are concatenated in the cell of contents.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table<Files> {
    files: Files,
    lengths: Vec<usize>,
}

/// The version of the stored form that this program writes and reads.
pub(crate) const STORED_FORM: u32 = 3;

/// The cell `card`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CardCell {
    stored_form: u32,
    eid: Eid,
    next_isd_p: u16,
    next_sequence_number: i64,
    default_dp_address: Option<String>,
    enabled: Option<Aid>,
    #[serde(rename = "way_back")]
    previous_profile: Option<Aid>,
    switch: Option<ProfileSwitch>,
}

impl CardCell {
    fn of(persistent: &Persistent, consumer: &ConsumerState) -> Self {
        Self {
            stored_form: STORED_FORM,
            eid: persistent.eid,
            next_isd_p: consumer.next_isd_p,
            next_sequence_number: consumer.next_sequence_number,
            default_dp_address: consumer.default_dp_address.clone(),
            enabled: persistent.enabled.clone(),
            previous_profile: persistent.previous_profile.clone(),
            switch: persistent.switch.clone(),
        }
    }
}

/// The persistent state that only one kind of card has.
pub(crate) trait KindState: Clone + PartialEq {
    /// Adds the cells to write when `common` and this state replace `old`, except for the profiles.
    fn changes(
        &self,
        common: &Persistent,
        old: Option<(&Persistent, &Self)>,
        batch: &mut Batch,
    ) -> Result<(), Fault>;
}

impl KindState for ConsumerState {
    fn changes(
        &self,
        common: &Persistent,
        old: Option<(&Persistent, &Self)>,
        batch: &mut Batch,
    ) -> Result<(), Fault> {
        let cell = old.map(|(common, old)| CardCell::of(common, old));
        put_json(batch, CARD, cell.as_ref(), &CardCell::of(common, self))?;
        let old = old.map(|(_, old)| old);
        put_list(batch, ONE_TIME_KEYS, old.map(|old| &old.one_time_keys), &self.one_time_keys)?;
        put_list(batch, REVOKED, old.map(|old| &old.crls), &self.crls)?;
        let notifications = |state: &Self| numbered(&state.notifications, |each| each.sequence_number);
        put_numbered(batch, NOTIFICATION, old.map(notifications), notifications(self))?;
        if let Some(iot) = &self.iot {
            put_json(batch, IOT, old.and_then(|old| old.iot.as_deref()), &**iot)?;
            let results = |state: &Self| numbered(&state.iot().results, |each| each.sequence_number);
            put_numbered(batch, RESULT, old.map(results), results(self))?;
        }
        Ok(())
    }
}

impl KindState for m2m::State {
    fn changes(
        &self,
        common: &Persistent,
        old: Option<(&Persistent, &Self)>,
        batch: &mut Batch,
    ) -> Result<(), Fault> {
        // The cell of an M2M eUICC also has the fields of a consumer card, with the values of a new
        // card.
        let consumer = ConsumerState::new(None);
        let cell = old.map(|(common, _)| CardCell::of(common, &consumer));
        put_json(batch, CARD, cell.as_ref(), &CardCell::of(common, &consumer))?;
        put_json(batch, M2M, old.map(|(_, old)| old), self)
    }
}

/// The state of one kind of card as it was read from a memory.
#[derive(Debug)]
pub(crate) enum StoredKind {
    /// Of a consumer card or of an IoT card.
    Consumer(ConsumerState),
    M2m(Box<m2m::State>),
}

/// Returns the cells to write when `new` replaces `old`; all cells if nothing has been stored yet.
pub(super) fn changes<K: KindState>(
    old: Option<(&Persistent, &K)>,
    (new, kind): (&Persistent, &K),
    shared: &Shared,
) -> Result<Batch, Fault> {
    let mut batch = Batch::default();
    kind.changes(new, old, &mut batch)?;
    let old = old.map(|(old, _)| old);
    let known = |profile: &InstalledProfile| old.and_then(|old| old.profile(&profile.isd_p));
    for removed in old.iter().flat_map(|old| &old.profiles).filter(|old| new.profile(&old.isd_p).is_none()) {
        cells_of(removed).into_iter().for_each(|cell| batch.remove(cell));
    }
    for profile in &new.profiles {
        profile_changes(&mut batch, known(profile), profile, shared)?;
    }
    Ok(batch)
}

/// Entries that have a cell each, by their numbers.
type Numbered<T> = BTreeMap<i64, Arc<T>>;

fn numbered<T>(entries: &[Arc<T>], number: impl Fn(&T) -> i64) -> Numbered<T> {
    entries.iter().map(|each| (number(each), Arc::clone(each))).collect()
}

/// Writes the entries that are new or have changed, and removes the cells of the others.
fn put_numbered<T: Serialize + PartialEq>(
    batch: &mut Batch,
    cell: &str,
    old: Option<Numbered<T>>,
    new: Numbered<T>,
) -> Result<(), Fault> {
    let was = old.unwrap_or_default();
    for number in was.keys().filter(|number| !new.contains_key(number)) {
        batch.remove(format!("{cell}{number}"));
    }
    for (number, entry) in new {
        if was.get(&number) != Some(&entry) {
            batch.put(format!("{cell}{number}"), Content::json(&*entry)?);
        }
    }
    Ok(())
}

fn profile_changes(
    batch: &mut Batch,
    old: Option<&InstalledProfile>,
    new: &InstalledProfile,
    shared: &Shared,
) -> Result<(), Fault> {
    if old.is_some_and(|old| std::ptr::eq(old, new)) {
        return Ok(());
    }
    let name = name_of(new);
    put_json(batch, &name, old, new)?;
    let facts = &new.content.facts;
    let was = old.map(|old| &old.content.facts);
    if was != Some(facts) {
        put_json(
            batch,
            &format!("{name}/facts"),
            was.map(remaining_facts).as_ref(),
            &remaining_facts(facts),
        )?;
        put_json(batch, &format!("{name}/codes"), was.map(codes_of).as_ref(), &codes_of(facts))?;
        put_json(batch, &format!("{name}/aka"), was.map(|was| &was.aka), &facts.aka)?;
        let domains = domains_of(facts);
        if was.map(domains_of).as_ref() != Some(&domains) {
            batch.put(format!("{name}/domains"), shared.octets(Content::json(&domains)?.to_vec()));
        }
    }
    file_changes(batch, &name, old.map(|old| &old.content.files), &new.content.files, shared)
}

fn file_changes(
    batch: &mut Batch,
    name: &str,
    old: Option<&ProfileFiles>,
    new: &ProfileFiles,
    shared: &Shared,
) -> Result<(), Fault> {
    let image = new.image();
    if old.map(ProfileFiles::image) != Some(image) {
        let lengths = image.contents.iter().map(|content| content.len()).collect();
        let table = Content::json(&Table { files: &*image.files, lengths })?;
        batch.put(format!("{name}/files"), shared.octets(table.to_vec()));
        batch.put(format!("{name}/contents"), Arc::clone(&image.contents));
    }
    let (was, is) = (old.map(ProfileFiles::changes), new.changes());
    for (index, file) in &is.files {
        if was.and_then(|was| was.files.get(index)) != Some(file) {
            batch.put(format!("{name}/file/{}", index.number()), Content::json(&**file)?);
        }
    }
    for (index, content) in &is.contents {
        if was.and_then(|was| was.contents.get(index)) != Some(content) {
            batch.put(format!("{name}/content/{index}"), Arc::clone(content));
        }
    }
    Ok(())
}

/// Writes the cell if it is new or if its contents differ.
fn put_json<T: Serialize>(batch: &mut Batch, cell: &str, old: Option<&T>, new: &T) -> Result<(), Fault> {
    let content = Content::json(new)?;
    if old.map(Content::json).transpose()?.as_ref() != Some(&content) {
        batch.put(cell, content);
    }
    Ok(())
}

/// Writes a list that has changed. A list that was always empty is not written.
fn put_list<T: Serialize + PartialEq>(
    batch: &mut Batch,
    cell: &str,
    old: Option<&Vec<T>>,
    new: &Vec<T>,
) -> Result<(), Fault> {
    if old.map_or(!new.is_empty(), |old| old != new) {
        batch.put(cell, Content::json(new)?);
    }
    Ok(())
}

fn name_of(profile: &InstalledProfile) -> String {
    format!("{PROFILE}{}", profile.isd_p)
}

fn cells_of(profile: &InstalledProfile) -> Vec<String> {
    let name = name_of(profile);
    let changes = profile.content.files.changes();
    let parts = ["/facts", "/domains", "/codes", "/aka", "/files", "/contents"].map(str::to_owned);
    let files = changes.files.keys().map(|index| format!("/file/{}", index.number()));
    let contents = changes.contents.keys().map(|index| format!("/content/{index}"));
    let parts = parts.into_iter().chain(files).chain(contents).map(|part| format!("{name}{part}"));
    std::iter::once(name.clone()).chain(parts).collect()
}

/// The facts that have no cell of their own.
fn remaining_facts(facts: &Facts) -> Facts {
    Facts {
        pins: Vec::new(),
        puks: Vec::new(),
        aka: Vec::new(),
        security_domains: Arc::default(),
        rfm: Arc::default(),
        applications: Arc::default(),
        ..facts.clone()
    }
}

fn codes_of(facts: &Facts) -> Codes {
    Codes { pins: facts.pins.clone(), puks: facts.puks.clone() }
}

/// The facts that are often equal on many cards.
fn domains_of(facts: &Facts) -> Facts {
    Facts {
        security_domains: Arc::clone(&facts.security_domains),
        rfm: Arc::clone(&facts.rfm),
        applications: Arc::clone(&facts.applications),
        ..Facts::default()
    }
}

/// Reads the cells; returns `None` for a memory without cells.
///
/// # Errors
/// Fails if the cells are not those of a card, belong to another card, or are incomplete.
pub(super) fn load(
    cells: Cells,
    eid: Eid,
    shared: &Shared,
) -> Result<Option<(Persistent, StoredKind)>, Fault> {
    if cells.is_empty() {
        return Ok(None);
    }
    let mut cells = Stored { cells, eid };
    let card = cells.form_checked()?;
    let kind = if cells.cells.contains_key(M2M) {
        StoredKind::M2m(cells.json(M2M)?)
    } else {
        let one_time_keys = cells.list(ONE_TIME_KEYS)?;
        let crls = cells.list(REVOKED)?;
        let notifications =
            cells.numbered(NOTIFICATION, |notification: &StoredNotification| notification.sequence_number)?;
        let iot = match cells.cells.contains_key(IOT) {
            true => {
                let results = cells.numbered(RESULT, |result: &StoredResult| result.sequence_number)?;
                Some(Box::new(IotState { results, ..cells.json(IOT)? }))
            }
            false => None,
        };
        StoredKind::Consumer(ConsumerState {
            next_isd_p: card.next_isd_p,
            next_sequence_number: card.next_sequence_number,
            default_dp_address: card.default_dp_address,
            notifications,
            one_time_keys,
            crls,
            iot,
        })
    };
    let mut persistent = Persistent {
        eid,
        profiles: Vec::new(),
        enabled: card.enabled,
        previous_profile: card.previous_profile,
        switch: card.switch,
    };
    for cell in cells.names(PROFILE).into_iter().filter(|name| name.matches('/').count() == 1) {
        let profile = cells.profile(&cell)?;
        persistent.profiles.push(Arc::new(profile));
    }
    if let Some(unknown) = cells.cells.keys().next() {
        return Err(cells.fault(format!("its cell {unknown} is unknown")));
    }
    shared.share(&mut persistent, &Persistent::new(eid));
    Ok(Some((persistent, kind)))
}

/// The cells that have not been read yet.
struct Stored {
    cells: Cells,
    eid: Eid,
}

/// The fields of `card` that are checked before the rest is read.
#[derive(Deserialize)]
struct Form {
    stored_form: u32,
    eid: Eid,
}

impl Stored {
    fn form_checked(&mut self) -> Result<CardCell, Fault> {
        let Form { stored_form, eid } = match self.cells.get(CARD) {
            Some(cell) => cell.from_json().map_err(|why| self.unreadable(CARD, &why))?,
            None => return Err(self.fault(format!("its cell {CARD} is missing"))),
        };
        if stored_form != STORED_FORM {
            let why = format!("it has stored form {stored_form}, and this program reads form {STORED_FORM}");
            return Err(Fault::new(self.what(), why, "use the program that wrote the memory"));
        }
        if eid != self.eid {
            let why = format!("it belongs to card {eid}");
            return Err(Fault::new(self.what(), why, "give each card a memory of its own"));
        }
        self.json(CARD)
    }

    fn profile(&mut self, name: &str) -> Result<InstalledProfile, Fault> {
        let mut profile: InstalledProfile = self.json(name)?;
        let Codes { pins, puks } = self.json(&format!("{name}/codes"))?;
        let aka: Vec<Aka> = self.json(&format!("{name}/aka"))?;
        let domains: Facts = self.json(&format!("{name}/domains"))?;
        let facts: Facts = self.json(&format!("{name}/facts"))?;
        let Facts { security_domains, rfm, applications, .. } = domains;
        profile.content.facts = Facts { pins, puks, aka, security_domains, rfm, applications, ..facts };
        let Table::<Vec<File>> { files, lengths } = self.json(&format!("{name}/files"))?;
        let cell = format!("{name}/contents");
        let contents = self.take(&cell)?.cut(&lengths);
        let contents = contents.ok_or_else(|| self.fault(format!("its cell {cell} has the wrong length")))?;
        let mut changes = Changes::default();
        for cell in self.names(&format!("{name}/file/")) {
            changes.files.insert(self.number(&cell)?, Arc::new(self.json(&cell)?));
        }
        for cell in self.names(&format!("{name}/content/")) {
            changes.contents.insert(self.number(&cell)?, self.take(&cell)?.whole());
        }
        profile.content.files = ProfileFiles::new(Image { files: Arc::new(files), contents }, changes);
        Ok(profile)
    }

    /// The names of the cells that start with `start`.
    fn names(&self, start: &str) -> Vec<String> {
        self.cells.keys().filter(|name| name.starts_with(start)).cloned().collect()
    }

    /// The number at the end of a cell name.
    fn number<T: DeserializeOwned>(&self, cell: &str) -> Result<T, Fault> {
        let number = cell.rsplit('/').next().unwrap_or_default();
        serde_json::from_str(number).map_err(|why| self.unreadable(cell, &why))
    }

    fn json<T: DeserializeOwned>(&mut self, cell: &str) -> Result<T, Fault> {
        let content = self.take(cell)?;
        content.from_json().map_err(|why| self.unreadable(cell, &why))
    }

    /// Reads entries that have a cell each, in ascending order of their numbers.
    fn numbered<T: DeserializeOwned>(
        &mut self,
        cell: &str,
        number: impl Fn(&T) -> i64,
    ) -> Result<Vec<Arc<T>>, Fault> {
        let mut entries = Vec::new();
        for cell in self.names(cell) {
            entries.push(Arc::new(self.json::<T>(&cell)?));
        }
        entries.sort_by_key(|entry| number(entry));
        Ok(entries)
    }

    /// Reads a list; empty if the cell was never written.
    fn list<T: DeserializeOwned>(&mut self, cell: &str) -> Result<Vec<T>, Fault> {
        if self.cells.contains_key(cell) { self.json(cell) } else { Ok(Vec::new()) }
    }

    fn take(&mut self, cell: &str) -> Result<Content, Fault> {
        self.cells.remove(cell).ok_or_else(|| self.fault(format!("its cell {cell} is missing")))
    }

    fn unreadable(&self, cell: &str, why: &serde_json::Error) -> Fault {
        self.fault(format!("its cell {cell} cannot be read: {why}"))
    }

    fn fault(&self, why: String) -> Fault {
        let remedy = "restore the memory from a backup, or remove it to start with a new card";
        Fault::new(self.what(), why, remedy)
    }

    fn what(&self) -> String {
        format!("cannot use the memory of card {}", self.eid)
    }
}
