//! The radio environment: device-specific decisions of networks, and what a device receives from
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use localize::{Country, Day, Permit, Requirement};
use network::{
    AttachAccept, AttachId, AttachReject, AttachRequest, AuthenticationResponse, EmmCause, MobileOriginated,
    MobileTerminated, NetworkAnswer, Networks, Radio, RadioFuture, RpAnswer, RpReport, SystemInformation,
};
use rsp::ids::{Imsi, Plmn};
use world::{Clock, TokioClock};

use super::imei::Imei;
use crate::file::{KnownBy, Roamers};
use faults::FaultyRadio;

/// Device-specific state of all networks: rejections, IMEI locks, and days of roaming.
pub(super) struct RadioEnvironment {
    clock: TokioClock,
    networks: BTreeMap<Plmn, (Country, Option<Roamers>)>,
    owner: OwnerFacts,
    state: Mutex<State>,
}

/// Facts about the owner that fulfil requirements of networks for all devices.
pub(super) struct OwnerFacts {
    pub(super) registered_in: BTreeSet<Country>,
    pub(super) permits: BTreeSet<Permit>,
}

/// First and last day of a stay. The last day is `None` while the stay lasts.
type Days = (i64, Option<i64>);

#[derive(Default)]
struct State {
    /// The reject cause by network and device.
    refused: BTreeMap<(Plmn, Imei), EmmCause>,
    /// The first device of each subscription, for operators with an IMEI lock.
    locks: BTreeMap<Imsi, Imei>,
    locking: BTreeSet<Plmn>,
    registered_imeis: BTreeSet<(Imei, Country)>,
    permits: BTreeSet<(Imei, Permit)>,
    /// The stays by network and counted identity.
    stays: BTreeMap<(Plmn, u64), Vec<Days>>,
}

impl RadioEnvironment {
    pub(super) fn new(
        clock: TokioClock,
        networks: BTreeMap<Plmn, (Country, Option<Roamers>)>,
        locking: BTreeSet<Plmn>,
        owner: OwnerFacts,
    ) -> Self {
        Self { clock, networks, owner, state: Mutex::new(State { locking, ..State::default() }) }
    }

    pub(super) fn refuse(&self, network: Plmn, imei: Imei, cause: EmmCause) {
        self.state().refused.insert((network, imei), cause);
    }

    pub(super) fn accept(&self, network: Plmn, imei: Imei) {
        self.state().refused.remove(&(network, imei));
    }

    pub(super) fn register_imei(&self, imei: Imei, country: Country) {
        self.state().registered_imeis.insert((imei, country));
    }

    pub(super) fn grant(&self, imei: Imei, permit: Permit) {
        self.state().permits.insert((imei, permit));
    }

    pub(super) fn withdraw(&self, imei: Imei, permit: Permit) {
        self.state().permits.remove(&(imei, permit));
    }

    /// The cause with which this network rejects this device with this subscription, if it does.
    pub(super) fn objection(
        &self,
        network: Plmn,
        imsi: Imsi,
        home: Option<Plmn>,
        imei: Imei,
    ) -> Option<EmmCause> {
        let state = self.state();
        if let Some(cause) = state.refused.get(&(network, imei)) {
            return Some(*cause);
        }
        if home.is_some_and(|home| state.locking.contains(&home))
            && state.locks.get(&imsi).is_some_and(|first| *first != imei)
        {
            return Some(EmmCause::ILLEGAL_ME);
        }
        let roamers = self.exceeded(&state, network, imsi, home, imei)?;
        roamers.throttle_kbps.is_none().then_some(EmmCause(roamers.cause))
    }

    /// The data rate in kilobits per second to which this network limits this device with this
    /// subscription, if it does.
    pub(super) fn throttle_kbps(
        &self,
        network: Plmn,
        imsi: Imsi,
        home: Option<Plmn>,
        imei: Imei,
    ) -> Option<u32> {
        let state = self.state();
        let roamers = self.exceeded(&state, network, imsi, home, imei)?;
        roamers.throttle_kbps.as_ref().map(|rate| *rate.get_ref())
    }

    /// The treatment of roamers by this network, if the device has roamed there for too long.
    fn exceeded(
        &self,
        state: &State,
        network: Plmn,
        imsi: Imsi,
        home: Option<Plmn>,
        imei: Imei,
    ) -> Option<&Roamers> {
        let today = Day::of(self.clock.now()).number();
        let until = self.last_day(state, network, imsi, home, imei)?;
        self.networks.get(&network)?.1.as_ref().filter(|_| until < today)
    }

    /// Records a registration. Returns the first day on which the device will be rejected or
    /// throttled if it stays.
    pub(super) fn attached(&self, network: Plmn, imsi: Imsi, home: Option<Plmn>, imei: Imei) -> Option<Day> {
        let today = Day::of(self.clock.now());
        let mut state = self.state();
        if home.is_some_and(|home| state.locking.contains(&home)) {
            state.locks.entry(imsi).or_insert(imei);
        }
        let key = self.key(&state, network, imsi, home, imei)?;
        let stays = state.stays.entry((network, key)).or_default();
        match stays.last_mut() {
            Some((_, last)) if last.is_none_or(|last| last >= today.number()) => *last = None,
            _ => stays.push((today.number(), None)),
        }
        let last = self.last_day(&state, network, imsi, home, imei)?;
        let days = u32::try_from(last + 1 - today.number()).unwrap_or_default();
        Some(today.plus(days))
    }

    /// Records the end of a registration.
    pub(super) fn left(&self, network: Plmn, imsi: Imsi, home: Option<Plmn>, imei: Imei) {
        let today = Day::of(self.clock.now()).number();
        let mut state = self.state();
        if let Some(key) = self.key(&state, network, imsi, home, imei)
            && let Some(stays) = state.stays.get_mut(&(network, key))
            && let Some((_, last)) = stays.last_mut()
        {
            last.get_or_insert(today);
        }
    }

    /// The identity that the network counts, or `None` if it does not count this device.
    fn key(&self, state: &State, network: Plmn, imsi: Imsi, home: Option<Plmn>, imei: Imei) -> Option<u64> {
        let (country, roamers) = self.networks.get(&network)?;
        let roamers = roamers.as_ref().filter(|_| home != Some(network))?;
        let is_of = |home: Plmn| roamers.home_networks.iter().any(|range| range.has(home));
        if !roamers.home_networks.is_empty() && !home.is_some_and(is_of) {
            return None;
        }
        let requires = roamers.requirements();
        let is_met = |one: &Requirement| self.is_met(state, *one, imei, (*country, network));
        if !requires.is_empty() && requires.iter().all(is_met) {
            return None;
        }
        match roamers.by {
            KnownBy::Imsi => imsi.to_string().parse().ok(),
            KnownBy::Imei => Some(imei),
        }
    }

    fn is_met(
        &self,
        state: &State,
        requirement: Requirement,
        imei: Imei,
        (country, network): (Country, Plmn),
    ) -> bool {
        match requirement {
            Requirement::ImeiRegistration => state.registered_imeis.contains(&(imei, country)),
            Requirement::LocalPresence => self.owner.registered_in.contains(&country),
            other => other.permit(country, network).is_some_and(|permit| {
                self.owner.permits.contains(&permit) || state.permits.contains(&(imei, permit))
            }),
        }
    }

    /// The last day on which the network accepts the device, if it stays from now on.
    fn last_day(
        &self,
        state: &State,
        network: Plmn,
        imsi: Imsi,
        home: Option<Plmn>,
        imei: Imei,
    ) -> Option<i64> {
        let key = self.key(state, network, imsi, home, imei)?;
        let roamers = self.networks.get(&network)?.1.as_ref()?;
        let today = Day::of(self.clock.now()).number();
        let stays = state.stays.get(&(network, key)).map_or(&[][..], Vec::as_slice);
        let limit = i64::from(roamers.days);
        let counted = |day: i64| match roamers.within {
            Some(window) => {
                let first = day - i64::from(window) + 1;
                let within =
                    stays.iter().map(|(from, until)| (*from).max(first)..=until.unwrap_or(day).min(day));
                let before: i64 = within.map(|days| (days.end() - days.start() + 1).max(0)).sum();
                // Unless a recorded stay already includes today, the device's stay is assumed to
                // begin today.
                let open = stays.last().is_some_and(|(_, until)| until.is_none_or(|until| until >= today));
                before + if open { 0 } else { day - today + 1 }
            }
            None => {
                let run = stays.last().filter(|(_, until)| until.is_none_or(|until| until >= today - 1));
                day - run.map_or(today, |(from, _)| *from) + 1
            }
        };
        let longest = limit + i64::from(roamers.within.unwrap_or(0)) + 1;
        (today..=today + longest).take_while(|day| counted(*day) <= limit).last().or(Some(today - 1))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages that a device received from networks while it was awake.
#[derive(Default)]
pub(super) struct RadioState {
    /// The network that serves the device.
    pub(super) attached: Option<Plmn>,
    /// The rejects, with network, subscription and cause.
    pub(super) refusals: Vec<(Plmn, Imsi, EmmCause)>,
    pub(super) asking: Option<Imsi>,
    /// The data rate in kilobits per second to which the serving network limits the device, if it
    /// does.
    pub(super) throttle_kbps: Option<u32>,
}

/// The radio of one device.
pub(super) struct DeviceRadio {
    pub(super) radio_environment: Arc<RadioEnvironment>,
    pub(super) networks: Arc<Networks>,
    pub(super) radio: FaultyRadio<Arc<Networks>>,
    pub(super) imei: Imei,
    pub(super) radio_state: Arc<Mutex<RadioState>>,
}

impl DeviceRadio {
    fn radio_state(&self) -> MutexGuard<'_, RadioState> {
        self.radio_state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, network: Plmn, answer: &NetworkAnswer) {
        let mut radio_state = self.radio_state();
        match answer {
            NetworkAnswer::AttachAccept(AttachAccept { plmn, .. }) => {
                radio_state.attached = Some(*plmn);
                radio_state.throttle_kbps = radio_state.asking.and_then(|imsi| {
                    let home = self.networks.home_of(imsi).map(|home| home.plmn());
                    self.radio_environment.throttle_kbps(*plmn, imsi, home, self.imei)
                });
            }
            NetworkAnswer::AttachReject(AttachReject { cause }) => {
                if let Some(imsi) = radio_state.asking {
                    radio_state.refusals.push((network, imsi, *cause));
                }
            }
            NetworkAnswer::AuthenticationRequest(_) => {}
        }
    }
}

impl Radio for DeviceRadio {
    fn system_information(&self, plmn: Plmn) -> RadioFuture<'_, Option<SystemInformation>> {
        self.radio.system_information(plmn)
    }

    fn attach(&self, plmn: Plmn, request: AttachRequest) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(async move {
            {
                let mut radio_state = self.radio_state();
                (radio_state.attached, radio_state.asking) = (None, Some(request.imsi));
            }
            let home = self.networks.home_of(request.imsi).map(|home| home.plmn());
            let objection = self.radio_environment.objection(plmn, request.imsi, home, self.imei);
            let is_heard = self.radio.system_information(plmn).await?.is_some();
            let answer = match objection.filter(|_| is_heard) {
                Some(cause) => NetworkAnswer::AttachReject(AttachReject { cause }),
                None => self.radio.attach(plmn, request).await?,
            };
            self.note(plmn, &answer);
            Ok(answer)
        })
    }

    fn authenticate(&self, plmn: Plmn, response: AuthenticationResponse) -> RadioFuture<'_, NetworkAnswer> {
        Box::pin(async move {
            let answer = self.radio.authenticate(plmn, response).await?;
            self.note(plmn, &answer);
            Ok(answer)
        })
    }

    fn detach(&self, plmn: Plmn, attach: AttachId) -> RadioFuture<'_, ()> {
        self.radio_state().attached = None;
        self.radio.detach(plmn, attach)
    }

    fn submit_short_message(&self, plmn: Plmn, message: MobileOriginated) -> RadioFuture<'_, RpAnswer> {
        self.radio.submit_short_message(plmn, message)
    }

    fn next_short_message(&self, plmn: Plmn, attach: AttachId) -> RadioFuture<'_, MobileTerminated> {
        self.radio.next_short_message(plmn, attach)
    }

    fn report_short_message(&self, plmn: Plmn, report: RpReport) -> RadioFuture<'_, ()> {
        self.radio.report_short_message(plmn, report)
    }
}
