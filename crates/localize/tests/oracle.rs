//! Compares the day of the breach with a model that evaluates every day with a set of days.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only #[test] functions for tests, not the helpers beside them"
)]

use std::collections::HashSet;

use localize::{
    Counted, CountedBy, Day, Device, Event, History, Rule, RuleBook, RuleKind, Stay, Unit, measure,
};
use rsp::time::Timestamp;

const HISTORIES: u64 = 2000;
/// A country that is not the home of any subscription.
const HOME_NETWORK: &str = "234-15";
const DAY: i64 = 86_400_000;

/// SplitMix64: sufficient to vary histories, and the same on every machine.
struct Random(u64);

impl Random {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: i64) -> i64 {
        i64::try_from(self.roll() % u64::try_from(n).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let n = i64::try_from(from.len()).unwrap();
        &from[usize::try_from(self.below(n)).unwrap()]
    }
}

fn random_device(random: &mut Random, book: &RuleBook) -> (Device, Timestamp) {
    let mut stays = Vec::new();
    // A date between 2023 and 2028, so that leap days are included.
    let mut at = (19_400 + random.below(1800)) * DAY;
    for _ in 0..1 + random.below(12) {
        // `round` often moves the time to midnight, or to a millisecond after it.
        let later = random.below(60 * DAY);
        let from = round(random, at + later);
        let longest = *random.pick(&[2 * DAY, 40 * DAY, 150 * DAY]);
        let length = random.below(longest);
        let until = round(random, from + length).max(from);
        let place = book
            .locate(
                random
                    .pick(&["724-05", "724-02", "730-01", "505-01", "208-01", "262-01", "404-10"])
                    .parse()
                    .unwrap(),
            )
            .unwrap();
        let home = random.pick(&["GB", "GB", "GB", "CL", "BR", "DE", "FR"]).parse().unwrap();
        let (country, plmn) = (place.country, place.plmn);
        let home_network = random.pick(&[None, Some(HOME_NETWORK)]).map(|network| network.parse().unwrap());
        stays.push(Stay {
            country,
            plmn,
            home,
            home_network,
            imei: random
                .pick(&[None, Some("004999010640000"), Some("004999010640018")])
                .map(|imei| imei.parse().unwrap()),
            from: Timestamp(from),
            until: Some(Timestamp(until)),
        });
        at = until;
    }
    // The last stay has no end. The evaluation time is sometimes before its start.
    let last = stays.last_mut().unwrap();
    last.until = None;
    let now = if random.below(4) == 0 {
        last.from.0 - random.below(90 * DAY)
    } else {
        last.from.0 + random.below(200 * DAY)
    };
    let now = round(random, now);
    let mut day = || {
        let day = Day::of(Timestamp(now - random.below(300) * DAY));
        Some(day).filter(|_| random.below(3) > 0)
    };
    let (owner_since, swap_requested) = (day(), day());
    let history = History::from_stays(stays).unwrap();
    (Device { history, owner_since, swap_requested, ..Device::default() }, Timestamp(now))
}

fn round(random: &mut Random, at: i64) -> i64 {
    let midnight = at.div_euclid(DAY) * DAY + DAY;
    *random.pick(&[at, at, midnight, midnight + 1])
}

/// Returns the count now and the day of the breach, found by testing each day. Returns `None` if
/// the rule does not cover the present stay, or ends before the breach.
fn model(device: &Device, rule: &Rule, now: Timestamp) -> Option<(u32, Day)> {
    let history = &device.history;
    let covered = |stay: &Stay| {
        stay.country != stay.home
            && (rule.homes.is_empty() || rule.homes.contains(&stay.home))
            && !rule.except_homes.contains(&stay.home)
            && if rule.networks.is_empty() {
                rule.countries.contains(&stay.country)
            } else {
                rule.networks.contains(&stay.plmn)
            }
            && (rule.home_networks.is_empty()
                || stay
                    .home_network
                    .is_some_and(|home| rule.home_networks.iter().any(|range| range.has(home))))
    };
    let limit = rule.kind.limit().filter(|_| !rule.kind.is_of_fleet())?;
    let present = history
        .stays()
        .iter()
        .find(|stay| stay.from <= now && stay.until.is_none_or(|until| now < until))
        .filter(|stay| covered(stay))?;
    let counts = |stay: &&Stay| {
        let place = match rule.counted {
            Counted::Each => stay.country == present.country,
            Counted::EachNetwork => stay.plmn == present.plmn,
            Counted::Together => true,
        };
        let other_imei = stay.imei.is_some() && present.imei.is_some() && stay.imei != present.imei;
        covered(stay) && place && !(rule.counted_by == CountedBy::Imei && other_imei)
    };

    let today = now.0.div_euclid(DAY);
    let mut attended = HashSet::new();
    for stay in history.stays().iter().filter(counts) {
        for day in stay.from.0.div_euclid(DAY)..=today {
            let (start, end) = (day * DAY, (day + 1) * DAY);
            let until = stay.until.map_or(i64::MAX, |until| until.0);
            // A stay of zero length counts as attachment on its day. Stays after `now` are not
            // counted.
            let moment = stay.from.0 == until && (start..end).contains(&until);
            let overlap = stay.from.0 < end && until > start && stay.from.0 < until;
            if (moment || overlap) && stay.from <= now {
                attended.insert(day);
            }
        }
    }
    if let RuleKind::DaysSince { event, limit_days } = rule.kind {
        let arrival = *attended.iter().min().unwrap();
        let day = match event {
            Event::Arrival => arrival,
            Event::ChangeOfOwner => device.owner_since?.number(),
            Event::SwapRequest => device.swap_requested?.number(),
        };
        if day < arrival || day > today {
            return None;
        }
        let measured = u32::try_from(today - day + 1).unwrap();
        let day = Day::of(Timestamp((day + i64::from(limit_days)) * DAY));
        let day = rule.effective.map_or(day, |effective| day.max(effective));
        return rule.ends.is_none_or(|ends| day < ends).then_some((measured, day));
    }
    let month = |day: i64| -> i64 {
        let text = Day::of(Timestamp(day * DAY)).to_string();
        let mut parts = text.split('-').map(|part| part.parse::<i64>().unwrap());
        parts.next().unwrap() * 12 + parts.next().unwrap()
    };
    let count = |attended: &HashSet<i64>, day: i64| -> u32 {
        let found = match (limit.unit, limit.window) {
            (Unit::Days, None) => (0..).take_while(|back| attended.contains(&(day - back))).count(),
            (Unit::Days, Some(window)) => {
                (0..i64::from(window)).filter(|back| attended.contains(&(day - back))).count()
            }
            (Unit::Percent | Unit::Devices, _) => panic!("such a rule is not about one device"),
            (Unit::Months, window) => {
                let oldest = month(day) - i64::from(window.unwrap());
                let months: HashSet<i64> =
                    attended.iter().filter(|d| **d <= day).map(|d| month(*d)).collect();
                months.iter().filter(|m| **m > oldest).count()
            }
        };
        u32::try_from(found).unwrap()
    };
    let measured = count(&attended, today);
    let mut day = today;
    if measured > limit.limit {
        // Goes back to the first day of the period in which the count exceeds the limit. A month
        // counts as a whole, from its first day with an attachment.
        let over = |day: i64| match limit.unit {
            Unit::Days | Unit::Percent | Unit::Devices => count(&attended, day) > limit.limit,
            Unit::Months => (day..=day + 31)
                .filter(|d| month(*d) == month(day))
                .max()
                .is_some_and(|end| count(&attended, end.min(today)) > limit.limit),
        };
        while over(day - 1) {
            day -= 1;
        }
        while !attended.contains(&day) && limit.unit == Unit::Months {
            day += 1;
        }
    } else {
        while count(&attended, day) <= limit.limit {
            day += 1;
            attended.insert(day);
        }
    }
    let day = Day::of(Timestamp(day * DAY));
    let day = rule.effective.map_or(day, |effective| day.max(effective));
    rule.ends.is_none_or(|ends| day < ends).then_some((measured, day))
}

#[test]
fn the_breach_day_equals_that_of_a_day_by_day_model() {
    let seed = match std::env::var("LANDFALL_SEED") {
        Ok(text) => text.parse().expect("LANDFALL_SEED is a whole number"),
        Err(_) => 20_261_121,
    };
    println!("seed {seed}; LANDFALL_SEED=n runs another");
    let book = RuleBook::built_in().unwrap();
    let mut random = Random(seed);
    let (mut compared, mut past, mut future) = (0, 0, 0);
    for n in 0..HISTORIES {
        let (device, now) = random_device(&mut random, &book);
        for rule in book.rules() {
            let mut rule = rule.clone();
            // The limits vary as well. With a short window, many days have already left the window.
            match &mut rule.kind {
                RuleKind::DaysInPeriod { limit_days, window_days } if random.below(2) == 0 => {
                    *window_days = u32::try_from(2 + random.below(100)).unwrap();
                    *limit_days = u32::try_from(random.below(i64::from(*window_days))).unwrap();
                }
                RuleKind::RoamingMonthsInPeriod { limit_months, window_months } if random.below(2) == 0 => {
                    *window_months = u32::try_from(2 + random.below(12)).unwrap();
                    *limit_months = u32::try_from(random.below(i64::from(*window_months))).unwrap();
                }
                _ => {}
            }
            if random.below(4) == 0 {
                rule.networks = vec!["724-05".parse().unwrap(), "505-01".parse().unwrap()];
            }
            if random.below(4) == 0 {
                rule.home_networks = vec![random.pick(&[HOME_NETWORK, "234", "901"]).parse().unwrap()];
            }
            rule.counted = *random.pick(&[rule.counted, Counted::Each, Counted::EachNetwork]);
            rule.counted_by = *random.pick(&[CountedBy::Device, CountedBy::Imei]);
            if random.below(4) == 0 {
                rule.effective = Some(Day::of(Timestamp(now.0 + (random.below(200) - 100) * DAY)));
                let ends = Day::of(Timestamp(now.0 + random.below(300) * DAY));
                rule.ends = Some(ends).filter(|ends| rule.effective.is_some_and(|from| from < *ends));
            }
            let ours = measure(&device, &rule, now).map(|found| (found.measured, found.breach.day));
            let expected = model(&device, &rule, now);
            assert_eq!(ours, expected, "seed {seed}, history {n}, rule {rule:?}, now {now}: {device:#?}");
            if let Some((_, day)) = ours {
                compared += 1;
                if day <= Day::of(now) { past += 1 } else { future += 1 }
            }
        }
    }
    println!("{compared} breaches compared: {past} past, {future} to come");
    assert!(past > 500 && future > 500, "the random histories contain too few breaches");
}
