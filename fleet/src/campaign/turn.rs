//! Scheduling of a campaign's devices, and the effect of finished attempts. This module reads
//! neither clock nor records.

use std::time::Duration;

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Campaign, Direction, Member, MemberState, OpenMove, State,
    window::{HOUR, hour_of, is_open, next_open, start_of},
};

/// Number of moves that can follow one another in an hour: a move seldom takes longer than five
/// minutes.
const MOVES_PER_HOUR: u32 = 12;
/// Maximum number of devices that are scheduled for the same hour: one per second.
const MAX_APPOINTMENTS_PER_HOUR: u32 = 3600;
/// Number of failures that double the retry delay. Further failures do not increase it.
const MAX_DOUBLINGS: u32 = 6;

const AN_HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A count within one clock hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Hour {
    /// The clock hour, counted from 1970.
    number: i64,
    /// The count.
    count: u32,
}

/// The answer to a device that wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The device begins now.
    Now,
    /// The device checks in again at this time.
    At(Timestamp),
    /// The device waits for other devices and gets no appointment.
    Later,
}

/// Result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptResult {
    Moved,
    CameBack,
    NotInstalled,
    Lost,
}

impl Campaign {
    /// Decides whether a device begins now. A device that must wait for a place gets an
    /// appointment.
    pub(crate) fn turn(&mut self, member: &mut Member, now: Timestamp) -> Turn {
        self.settle(now);
        if !self.state.is_active() {
            return Turn::Later;
        }
        match member.state {
            MemberState::Again { after, .. } if after > now => return Turn::At(after),
            MemberState::PutOff { until } if until > now => return Turn::At(until),
            MemberState::Failed { at, .. } if self.rested_at(at) > now => {
                return Turn::At(self.rested_at(at));
            }
            _ => {}
        }
        if self.state == State::Canary && !member.started && self.progress.started >= self.canaries() {
            return Turn::Later;
        }
        let hour = hour_of(now);
        let begun = if self.hour.number == hour { self.hour.count } else { 0 };
        let free_from = if !is_open(&self.spec.windows, hour) {
            start_of(next_open(&self.spec.windows, hour))
        } else if self.spec.pace.per_hour.is_some_and(|most| begun >= most) {
            start_of(hour.saturating_add(1))
        } else if self.spec.pace.at_once.is_some_and(|most| self.progress.under_way >= most) {
            Timestamp(now.0.saturating_add(HOUR / i64::from(MOVES_PER_HOUR)))
        } else {
            return Turn::Now;
        };
        let until = self.place_from(free_from);
        if !matches!(member.state, MemberState::Again { .. }) {
            self.update(member, OpenMove::None, |member| member.state = MemberState::PutOff { until });
        }
        Turn::At(until)
    }

    /// Records that a device begins an attempt.
    pub(crate) fn begins(&mut self, member: &mut Member, now: Timestamp) {
        let is_canary = self.state == State::Canary && !member.started;
        self.update(member, OpenMove::Begins, |member| {
            member.canary |= is_canary;
            member.started = true;
            member.tries = member.tries.saturating_add(1);
            member.state = MemberState::Waiting;
        });
        let number = hour_of(now);
        if self.hour.number != number {
            self.hour = Hour { number, count: 0 };
        }
        self.hour.count = self.hour.count.saturating_add(1);
    }

    /// Records the end of an attempt. Returns the time of the retry, if there is one.
    pub(crate) fn ends(
        &mut self,
        member: &mut Member,
        direction: Direction,
        (result, why): (AttemptResult, Box<str>),
        now: Timestamp,
    ) -> Option<Timestamp> {
        let retry = match result {
            AttemptResult::Moved | AttemptResult::Lost => None,
            // During a rollback, a device that did not move is already where it should be.
            AttemptResult::CameBack | AttemptResult::NotInstalled
                if self.goes_back && direction == Direction::Forward =>
            {
                None
            }
            AttemptResult::CameBack | AttemptResult::NotInstalled => self.retry_after(member.tries, now),
        };
        self.update(member, OpenMove::Ends, |member| {
            member.ended.add(result, direction);
            member.last_ended = Some(now);
            member.state = match (retry, result, direction) {
                (Some(after), ..) => MemberState::Again { after, why },
                (None, AttemptResult::Moved, Direction::Back) => MemberState::RolledBack { at: now },
                (None, AttemptResult::Moved, Direction::Forward) => MemberState::Moved { at: now },
                (None, ..) => MemberState::Failed { at: now, why },
            };
            if retry.is_none() {
                member.tries = 0;
            }
        });
        if let Some(why) = self.must_stop(self.spec.stop.after).filter(|_| self.state.is_active()) {
            self.state = State::Stopped { why: why.into(), since: now };
        }
        retry
    }

    /// Records that a device needs no further attempt.
    pub(crate) fn finishes(&mut self, member: &mut Member, state: MemberState) {
        self.update(member, OpenMove::None, |member| member.state = state);
    }

    /// Starts the rollback: devices that have not moved stay where they are, and a device whose
    /// attempt failed keeps the reason. The flag of a member is true if the member has an open move.
    pub(crate) fn roll_back(&mut self, members: &mut [(Member, bool)], now: Timestamp) {
        self.goes_back = true;
        self.state = State::RollingBack;
        self.forgive();
        for (member, is_moving) in &mut *members {
            if !*is_moving
                && !self.is_finished(&member.state)
                && !matches!(member.state, MemberState::Moved { .. })
            {
                member.state = match &member.state {
                    MemberState::Again { why, .. } => {
                        MemberState::Failed { at: member.last_ended.unwrap_or(now), why: why.clone() }
                    }
                    _ => MemberState::NothingToDo,
                };
            }
        }
        self.recount(members.iter().map(|(member, is_moving)| (member, *is_moving)));
    }

    /// Returns the time of the retry after attempt number `tries` failed, or `None` if no retries
    /// are left.
    fn retry_after(&self, tries: u32, now: Timestamp) -> Option<Timestamp> {
        let retries = self.spec.retries;
        let factor = 2u32.saturating_pow(tries.saturating_sub(1).min(MAX_DOUBLINGS));
        let wait = AN_HOUR * retries.after_hours.saturating_mul(factor);
        (tries <= retries.times).then(|| now.plus(wait))
    }

    /// Updates the state of the campaign after time has passed or attempts have ended.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        let watched = self.progress.last_ended.is_none_or(|ended| now >= self.watched_until(ended));
        if self.state == State::Canary && self.canaries_are_through() {
            match self.canaries_failed() {
                Some(why) => self.state = State::Stopped { why: why.into(), since: now },
                None if watched => (self.state, self.past_canary) = (State::Running, true),
                None => {}
            }
        }
        let progress = &self.progress;
        let all = progress.finished >= progress.devices && progress.under_way == 0;
        match self.state {
            State::Canary | State::Running if all && !self.spec.standing => self.state = State::Done,
            State::RollingBack if progress.to_roll_back == 0 && progress.under_way == 0 => {
                self.state = State::RolledBack;
            }
            _ => {}
        }
    }

    /// The next time at which the campaign's state changes without a check-in.
    pub(crate) fn next_step(&self) -> Option<Timestamp> {
        let waits = self.state == State::Canary && self.canaries_are_through();
        let ended = self.progress.last_ended.filter(|_| waits)?;
        Some(self.watched_until(ended))
    }

    fn watched_until(&self, ended: Timestamp) -> Timestamp {
        let hours = self.spec.canary.map_or(0, |canary| canary.wait_hours);
        ended.plus(AN_HOUR * hours)
    }

    fn canaries(&self) -> u32 {
        self.spec.canary.map_or(0, |canary| canary.devices.of(self.progress.devices))
    }

    /// True if all canaries have begun and need no further attempt.
    pub(crate) fn canaries_are_through(&self) -> bool {
        self.progress.started >= self.canaries() && self.progress.settled >= self.progress.started
    }

    /// Returns the reason if the canary phase failed. There are few canaries, so the failure limit
    /// applies to any number of attempts. The phase also fails if no canary moved.
    fn canaries_failed(&self) -> Option<String> {
        let none = || (self.progress.moved == 0).then(|| "none of the canaries moved".to_owned());
        self.must_stop(0).or_else(none)
    }

    fn rested_at(&self, since: Timestamp) -> Timestamp {
        since.plus(DAY * self.spec.retries.rest_days)
    }

    fn must_stop(&self, after: u32) -> Option<String> {
        let (progress, stop) = (&self.progress, self.spec.stop);
        let ended = progress.ended().saturating_sub(progress.forgiven.ended);
        let failed = progress.failed().saturating_sub(progress.forgiven.failed);
        let lost = progress.lost.saturating_sub(progress.forgiven.lost);
        if stop.lost.is_some_and(|most| lost >= most) {
            return Some(format!("{lost} devices were lost"));
        }
        let share = u64::from(failed) * 100;
        let too_many = |percent: u32| failed > 0 && share >= u64::from(percent) * u64::from(ended);
        (ended >= after && stop.failed_percent.is_some_and(too_many))
            .then(|| format!("{failed} of {ended} attempts failed"))
    }

    /// Returns an appointment for a device that is put off. No other device has the same time. In
    /// the hour of the appointment, moves can begin and a place is free.
    fn place_from(&mut self, from: Timestamp) -> Timestamp {
        let pace = self.spec.pace;
        let places = pace.at_once.map(|most| most.saturating_mul(MOVES_PER_HOUR));
        let places = [pace.per_hour, places, Some(MAX_APPOINTMENTS_PER_HOUR)].into_iter().flatten().min();
        let places = places.unwrap_or(MAX_APPOINTMENTS_PER_HOUR).max(1);
        let apart = HOUR / i64::from(places);
        let Hour { mut number, mut count } = self.put_off;
        let first = hour_of(from);
        if number <= first {
            // Places before `from` cannot be assigned any more.
            let passed = from.0.saturating_sub(start_of(first).0).saturating_add(apart - 1) / apart;
            let passed = u32::try_from(passed).unwrap_or(u32::MAX);
            (number, count) = (first, if number < first { passed } else { count.max(passed) });
        }
        if count >= places {
            (number, count) = (number.saturating_add(1), 0);
        }
        let open = next_open(&self.spec.windows, number);
        if open > number {
            (number, count) = (open, 0);
        }
        let place = start_of(number).0.saturating_add(apart.saturating_mul(i64::from(count)));
        self.put_off = Hour { number, count: count.saturating_add(1) };
        Timestamp(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::{CampaignSpec, Canary, Pace, Progress, Retries, Share, Stop, Window};

    const NOW: Timestamp = Timestamp(1000 * HOUR);

    fn running(change: impl FnOnce(&mut CampaignSpec)) -> Campaign {
        let mut spec = CampaignSpec::decided("c".parse().unwrap());
        change(&mut spec);
        Campaign { state: State::Running, ..Campaign::new(spec, NOW) }
    }

    fn after(hours: i64) -> Timestamp {
        Timestamp(NOW.0 + hours * HOUR)
    }

    #[test]
    fn a_campaign_stops_when_a_limit_is_reached() {
        let stop = Stop { failed_percent: Some(50), after: 4, lost: Some(3) };
        for (moved, came_back, lost, stops) in [
            (2, 2, 0, true),
            (3, 2, 0, false),
            (1, 2, 0, false),
            (4, 0, 0, false),
            (90, 0, 2, false),
            (90, 0, 3, true),
        ] {
            let mut campaign = running(|spec| spec.stop = stop);
            campaign.progress = Progress { moved, came_back, lost, ..Progress::default() };
            let why = campaign.must_stop(stop.after);
            assert_eq!(why.is_some(), stops, "{moved} {came_back} {lost}: {why:?}");
        }
        let mut campaign = running(|spec| spec.stop = Stop { failed_percent: Some(0), after: 0, lost: None });
        assert_eq!(campaign.must_stop(0), None, "nothing has failed");
        campaign.progress = Progress { moved: 9, came_back: 1, ..Progress::default() };
        assert!(campaign.must_stop(0).is_some());
        campaign.forgive();
        assert_eq!(campaign.must_stop(0), None, "the attempts before a resumption do not count");
    }

    #[test]
    fn retries_are_delayed_twice_as_long_each_time_up_to_a_limit() {
        let campaign = running(|spec| spec.retries = Retries { times: 9, after_hours: 3, rest_days: 2 });
        let hours = (1..=10).map(|tries| campaign.retry_after(tries, NOW).map(|at| (at.0 - NOW.0) / HOUR));
        let expected = [3, 6, 12, 24, 48, 96, 192, 192, 192].map(Some).into_iter().chain([None]);
        assert_eq!(hours.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_rollback_ends_the_attempts_of_devices_that_have_not_begun() {
        let failed = |why: &str| MemberState::Failed { at: NOW, why: why.into() };
        let again = || MemberState::Again { after: after(3), why: "no network".into() };
        for (before, is_moving, expected) in [
            (MemberState::Waiting, false, MemberState::NothingToDo),
            (MemberState::PutOff { until: after(2) }, false, MemberState::NothingToDo),
            (again(), false, failed("no network")),
            // A move that has begun, a failure and an arrival stay as they are.
            (MemberState::Waiting, true, MemberState::Waiting),
            (again(), true, again()),
            (failed("no offer"), false, failed("no offer")),
            (MemberState::Moved { at: NOW }, false, MemberState::Moved { at: NOW }),
        ] {
            let member = Member { state: before.clone(), ..Member::default() };
            let mut members = [(member, is_moving)];
            running(|_| {}).roll_back(&mut members, NOW);
            assert_eq!(members[0].0.state, expected, "{before}, moving: {is_moving}");
        }
    }

    #[test]
    fn a_rollback_ignores_the_failures_before_it() {
        let stop = Stop { failed_percent: Some(50), after: 1, lost: None };
        let (mut campaign, mut member) = (running(|spec| spec.stop = stop), Member::default());
        campaign.begins(&mut member, NOW);
        let failed = (AttemptResult::CameBack, "no network".into());
        campaign.ends(&mut member, Direction::Forward, failed, NOW);
        assert!(campaign.must_stop(1).is_some());
        campaign.roll_back(&mut [(member, false)], NOW);
        assert_eq!(campaign.must_stop(1), None);
    }

    #[test]
    fn a_failed_attempt_is_repeated_unless_the_campaign_is_rolled_back_meanwhile() {
        for (direction, goes_back, retried) in [
            (Direction::Forward, false, true),
            (Direction::Forward, true, false),
            (Direction::Back, true, true),
        ] {
            for result in [AttemptResult::CameBack, AttemptResult::NotInstalled] {
                let (mut campaign, mut member) = (running(|_| {}), Member::default());
                campaign.goes_back = goes_back;
                campaign.recount([(&member, false)]);
                campaign.begins(&mut member, NOW);
                let retry = campaign.ends(&mut member, direction, (result, "no network".into()), NOW);
                assert_eq!(retry, retried.then(|| after(1)), "{direction:?} {goes_back} {result:?}");
            }
        }
    }

    #[test]
    fn a_device_begins_as_soon_as_its_delay_has_passed() {
        let states = [
            MemberState::Again { after: after(48), why: "".into() },
            MemberState::PutOff { until: after(48) },
            MemberState::Failed { at: NOW, why: "".into() },
        ];
        for state in states {
            let mut campaign = running(|spec| spec.retries = Retries { rest_days: 2, ..spec.retries });
            let mut member = Member { state: state.clone(), ..Member::default() };
            let early = Timestamp(after(48).0 - 1);
            assert_eq!(campaign.turn(&mut member, early), Turn::At(after(48)), "{state}");
            assert_eq!(campaign.turn(&mut member, after(48)), Turn::Now, "{state}");
        }
    }

    #[test]
    fn a_device_without_a_place_gets_the_next_free_one() {
        // 12 moves follow one another in an hour.
        let mut campaign = running(|spec| spec.pace = Pace { per_hour: None, at_once: Some(2) });
        for _ in 0..2 {
            assert_eq!(campaign.turn(&mut Member::default(), NOW), Turn::Now);
            campaign.begins(&mut Member::default(), NOW);
        }
        for place in [2, 3, 4] {
            let at = Timestamp(NOW.0 + place * HOUR / 24);
            assert_eq!(campaign.turn(&mut Member::default(), NOW), Turn::At(at));
        }
        let mut campaign = running(|spec| spec.pace = Pace { per_hour: Some(2), at_once: None });
        for _ in 0..2 {
            assert_eq!(campaign.turn(&mut Member::default(), NOW), Turn::Now);
            campaign.begins(&mut Member::default(), NOW);
        }
        for half_hours in [2, 3, 4, 5] {
            let at = Timestamp(NOW.0 + half_hours * HOUR / 2);
            assert_eq!(campaign.turn(&mut Member::default(), NOW), Turn::At(at));
        }
        assert_eq!(campaign.turn(&mut Member::default(), after(1)), Turn::Now);
    }

    #[test]
    fn the_places_of_a_closed_hour_are_in_the_next_window() {
        let window = Window { days: Vec::new(), from_hour: 17, until_hour: 18 };
        let mut campaign = running(|spec| {
            (spec.windows, spec.pace) = (vec![window], Pace { per_hour: Some(2), at_once: None });
        });
        // NOW is at 16:00.
        for half_hours in [2, 3, 50, 51, 98] {
            let at = Timestamp(NOW.0 + half_hours * HOUR / 2);
            assert_eq!(campaign.turn(&mut Member::default(), NOW), Turn::At(at));
        }
    }

    #[test]
    fn other_devices_wait_until_the_canaries_have_been_watched() {
        let canary = Canary { devices: Share::Count(1), wait_hours: 2 };
        let mut campaign = running(|spec| spec.canary = Some(canary));
        campaign.state = State::Canary;
        let (mut first, mut second) = (Member::default(), Member::default());
        assert_eq!(campaign.turn(&mut first, NOW), Turn::Now);
        campaign.begins(&mut first, NOW);
        assert!(first.canary);
        assert_eq!(campaign.turn(&mut second, NOW), Turn::Later);
        assert_eq!(campaign.next_step(), None);
        let moved = (AttemptResult::Moved, "".into());
        assert_eq!(campaign.ends(&mut first, Direction::Forward, moved, NOW), None);
        assert_eq!(campaign.next_step(), Some(after(2)));
        assert_eq!(campaign.turn(&mut second, Timestamp(after(2).0 - 1)), Turn::Later);
        assert_eq!(campaign.turn(&mut second, after(2)), Turn::Now);
        assert_eq!((campaign.state.clone(), campaign.next_step()), (State::Running, None));
        campaign.begins(&mut second, after(2));
        assert!(!second.canary);
    }
}
