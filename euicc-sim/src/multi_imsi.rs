//! The multi-IMSI applet, which selects an identity by country ([`profile::identities`]). It
//! behaves like a toolkit application.
//!
//! The applet subscribes to location status events (TS 102 223 sections 6.4.16 and 7.5.4) and
//! requests the location if an event does not include it (6.4.15). [`decide`] selects the identity
//! for the location. A change needs a reset, which the applet requests with REFRESH "UICC Reset"
//! (section 6.4.7; TS 31.111 section 6.4.7.1 allows this mode for a change of EF.IMSI). At the
//! reset, the files of the identity, its keys and the network data of the previous subscriber
//! change in one batch, before the terminal has read any file. Sequence numbers stay with their
//! keys.

mod decide;

use std::mem;

use super::context::Context;
use super::state::InstalledProfile;
use super::state::cat::facilities::reports_event;
use super::state::cat::queue::{LIMITED_SERVICE, Owner, is_done};
use super::state::multi_imsi::{State, StoredKeys};
use decide::{LocationReport, MAX_STATUS_WITHOUT_SERVICE, STATUS_PER_DAY, decide};
use profile::facts::{Aka, Counts, CountsOf};
use profile::identities::{Identities, Identity, is_applet};
use profile::{Fid, FileIndex, ProfileFiles};
use rsp::ids::{Imsi, Mcc, Plmn};
use rsp::ota::cat::{
    Command, Duration, Envelope, Event, EventDownload, LocalInformation, LocationInformation, LocationStatus,
    Response, TerminalResponse,
};

/// True if the enabled profile has the applet.
pub(crate) fn is_installed(context: &Context<'_>) -> bool {
    context.profile().is_ok_and(|profile| profile.facts.applications.iter().any(is_applet))
}

/// Starts the applet after TERMINAL PROFILE on a card without other toolkit applications.
pub(crate) fn begin(context: &mut Context<'_>) {
    if !is_installed(context) {
        return;
    }
    let cat = &mut context.volatile.cat;
    cat.restart();
    cat.queue_command(Owner::Identities, Command::PollInterval(Duration::Seconds(30)));
    if reports_event(&cat.terminal, Event::LOCATION_STATUS) {
        cat.queue_command(Owner::Identities, Command::SetUpEventList(vec![Event::LOCATION_STATUS]));
    }
    request_location(context);
}

/// Requests the location after TERMINAL PROFILE. On an M2M eUICC, the toolkit application has
/// already requested polling and events.
pub(crate) fn request_location(context: &mut Context<'_>) {
    if is_installed(context) {
        let location = Command::ProvideLocalInformation(LocalInformation::Location);
        context.volatile.cat.queue_command(Owner::Identities, location);
    }
}

/// Processes an ENVELOPE on a card without other toolkit applications. Returns `false` if it is not
/// for the applet.
pub(crate) fn envelope(context: &mut Context<'_>, data: &[u8]) -> bool {
    let Ok(Some(Envelope::EventDownload(EventDownload::LocationStatus { status, location }))) =
        Envelope::parse(data)
    else {
        return false;
    };
    location_reported(context, status, location.as_ref());
    true
}

/// Processes a location status report of the terminal.
pub(crate) fn location_reported(
    context: &mut Context<'_>,
    service: LocationStatus,
    location: Option<&LocationInformation>,
) {
    if !is_installed(context) {
        return;
    }
    let country = location.and_then(country);
    let tracking = &mut context.volatile.cat.identities;
    tracking.without_service = (service == LocationStatus::None).then(|| {
        // A repeated report does not restart the count.
        tracking.without_service.unwrap_or_default()
    });
    match service {
        LocationStatus::None => {}
        // The event includes the location only in normal service.
        LocationStatus::Limited => {
            let location = Command::ProvideLocalInformation(LocalInformation::Location);
            let cat = &mut context.volatile.cat;
            if !cat.queue.has(Owner::Identities) && !cat.queue_command(Owner::Identities, location) {
                process_report(context, LocationReport { service, country });
            }
        }
        LocationStatus::Normal => process_report(context, LocationReport { service, country }),
    }
}

/// Processes the response to a proactive command of the applet.
pub(crate) fn response_received(
    context: &mut Context<'_>,
    command: &Command,
    response: Option<&TerminalResponse>,
) {
    let (Command::ProvideLocalInformation(_), Some(response)) = (command, response) else { return };
    let Response::Location(location) = &response.response else { return };
    if is_done(response.result) && is_installed(context) {
        let service = match response.result {
            LIMITED_SERVICE => LocationStatus::Limited,
            _ => LocationStatus::Normal,
        };
        process_report(context, LocationReport { service, country: country(location) });
    }
}

/// Processes STATUS. It arrives every 30 seconds or as the terminal decides, and is the only clock
/// of the applet.
pub(crate) fn status_received(context: &mut Context<'_>) {
    let tracking = &mut context.volatile.cat.identities;
    tracking.polls = tracking.polls.saturating_add(1);
    if tracking.polls >= STATUS_PER_DAY {
        tracking.polls = 0;
        change(context, |state| state.record.start_day());
    }
    let without_service = &mut context.volatile.cat.identities.without_service;
    if let Some(polls) = without_service {
        *polls = polls.saturating_add(1);
        if *polls == MAX_STATUS_WITHOUT_SERVICE {
            process_report(context, LocationReport { service: LocationStatus::None, country: None });
        }
    }
}

fn country(location: &LocationInformation) -> Option<Mcc> {
    Plmn::from_bytes(location.plmn).ok().map(Plmn::mcc)
}

/// Selects the identity for a location report.
fn process_report(context: &mut Context<'_>, report: LocationReport) {
    let Some((identities, active, mut state)) = load_state(context) else { return };
    // A change has already been decided and announced, so the report is ignored.
    if state.due.is_some() {
        return;
    }
    state.due = decide(&identities, active, &mut state.record, report);
    let is_selected = state.due.is_some();
    change(context, |own| *own = state);
    if is_selected && !context.volatile.cat.is_busy() {
        context.volatile.cat.announce_reset();
    }
}

/// The identities, the IMSI in use, and the state of the applet; `None` if the identities file is
/// unusable.
fn load_state(context: &Context<'_>) -> Option<(Identities, Imsi, State)> {
    let profile = context.persistent.enabled_profile()?;
    let identities = Identities::of(&profile.content.files)?.ok()?;
    let active = profile.content.usim()?.imsi()?;
    Some((identities, active, profile.identities.clone()))
}

fn change(context: &mut Context<'_>, change: impl FnOnce(&mut State)) {
    let Some(profile) = context.persistent.enabled_profile() else { return };
    let mut changed = profile.identities.clone();
    change(&mut changed);
    if changed != profile.identities
        && let Some(profile) = context.persistent.to_mut().enabled_profile_mut()
    {
        profile.identities = changed;
    }
}

/// Applies the pending change after a reset.
pub(crate) fn apply_pending(context: &mut Context<'_>) {
    let due = context.persistent.enabled_profile().and_then(|profile| profile.identities.due);
    let (Some(due), Some((identities, ..))) = (due, load_state(context)) else { return };
    let Some(profile) = context.persistent.to_mut().enabled_profile_mut() else { return };
    profile.identities.due = None;
    // The identities file may have been overwritten in the meantime.
    if let Some(identity) = identities.with_imsi(due) {
        switch_keys(profile, identity);
        write_files(&mut profile.content, identity);
    }
}

/// Replaces the keys in use by those of an identity, and stores the previous keys with their
/// counters.
fn switch_keys(profile: &mut InstalledProfile, identity: &Identity) {
    let InstalledProfile { content, identities: state, .. } = profile;
    let next = identity.keys.as_ref().map(|_| identity.imsi);
    if next != state.keys_of {
        let before = content.facts.aka.clone();
        match state.kept.iter().position(|kept| kept.of == next) {
            Some(place) => content.facts.aka = state.kept.remove(place).aka,
            None => content.facts.aka.iter_mut().for_each(reset_counters),
        }
        state.kept.push(StoredKeys { of: mem::replace(&mut state.keys_of, next), aka: before });
    }
    // The identities file may contain new keys now. The counters of new keys start at zero.
    let Some((key, opc)) = &identity.keys else { return };
    for aka in &mut content.facts.aka {
        if (&aka.key, &aka.opc) != (key, opc) {
            (aka.key, aka.opc) = (key.clone(), opc.clone());
            reset_counters(aka);
        }
    }
}

fn reset_counters(aka: &mut Aka) {
    if let CountsOf::Own(Counts { sqn, authentications }) = &mut aka.counts {
        sqn.iter_mut().for_each(|number| *number = 0);
        *authentications = 0;
    }
}

/// EFs in ADF.USIM with data that networks assigned to a subscriber (TS 31.102 section 4.2):
/// EF.LOCI, EF.PSLOCI, EF.EPSLOCI, EF.EPSNSC, EF.Keys, EF.KeysPS, EF.START-HFN, EF.NETPAR,
/// EF.FPLMN.
const CLEARED_EFS: [u16; 9] = [0x6F7E, 0x6F73, 0x6FE3, 0x6FE4, 0x6F08, 0x6F09, 0x6F5B, 0x6FC4, 0x6F7B];
/// The EFs in subdirectories of the ADF that are also cleared: EF.Kc and EF.KcGPRS in
/// DF.GSM-ACCESS; the EFs with locations, security contexts and keys in DF.5GS.
const CLEARED_EFS_BELOW: [(u16, u16); 7] = [
    (0x5F3B, 0x4F20),
    (0x5F3B, 0x4F52),
    (0x5FC0, 0x4F01),
    (0x5FC0, 0x4F02),
    (0x5FC0, 0x4F03),
    (0x5FC0, 0x4F04),
    (0x5FC0, 0x4F05),
];

fn write_files(profile: &mut profile::InstalledProfile, identity: &Identity) {
    const EF_IMSI: Fid = Fid(0x6F07);
    let Some(usim) = profile.usim().map(profile::Usim::adf) else { return };
    let files = &mut profile.files;
    if let Some(file) = files.child(usim, EF_IMSI) {
        write(files, file, &identity.imsi.to_ef());
    }
    for own in &identity.files {
        if let Some(file) = files.by_path(&own.path) {
            write(files, file, &own.contents);
        }
    }
    let below = CLEARED_EFS_BELOW.iter().filter_map(|(directory, fid)| {
        let directory = files.child(usim, Fid(*directory))?;
        files.child(directory, Fid(*fid))
    });
    let cleared: Vec<FileIndex> =
        CLEARED_EFS.iter().filter_map(|fid| files.child(usim, Fid(*fid))).chain(below).collect();
    for file in cleared {
        let as_installed = files.as_installed(file).map(<[u8]>::to_vec);
        if let Some(contents) = as_installed {
            set(files, file, contents);
        }
    }
}

/// Writes a file or its first record. Contents that do not fit are not written.
fn write(files: &mut ProfileFiles, file: FileIndex, contents: &[u8]) {
    let Some(mut all) = files.content(file).map(<[u8]>::to_vec) else { return };
    let record = files.file(file).and_then(|file| file.kind.record_length());
    let length = record.unwrap_or(all.len());
    let Some(room) = all.get_mut(..length).filter(|room| room.len() >= contents.len()) else { return };
    room.fill(0xFF);
    room.iter_mut().zip(contents).for_each(|(octet, new)| *octet = *new);
    set(files, file, all);
}

fn set(files: &mut ProfileFiles, file: FileIndex, contents: Vec<u8>) {
    if files.content(file) != Some(&contents)
        && let Some(place) = files.content_mut(file)
    {
        *place = contents;
    }
}
