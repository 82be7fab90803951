//! How long moving devices takes, and what it costs over a bearer.

use std::time::Duration;

use localize::Decision;
use serde::Serialize;

use super::markets::pressing;
use crate::{
    costs::{Bearer, Costs, Money, Move},
    counted::Counted,
    device::{Device, Selection},
};

/// How fast devices are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// So many moves begin in a minute at most.
    pub per_minute: u32,
    /// So many are under way at a time at most.
    pub parallel: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { per_minute: 60, parallel: 100 }
    }
}

/// What moving so many devices takes. Octets and messages are expected values: what is lost is sent again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effort {
    /// How many are moved.
    pub devices: u32,
    /// Over which bearer.
    pub bearer: String,
    /// By which move.
    #[serde(rename = "move")]
    pub one: String,
    /// What one device takes.
    pub seconds_each: f64,
    /// What all of them take at the pace.
    pub seconds: f64,
    /// Octets of one device's move, both directions.
    pub octets_each: u64,
    /// Of all.
    pub octets: u64,
    /// Short messages of one device's move, both directions.
    pub messages_each: f64,
    /// Of all.
    pub messages: u64,
    /// Between devices and cards, of all.
    pub apdus: u64,
    /// What one device's move costs.
    pub money_each: Money,
    /// What all cost.
    pub money: Money,
    /// In which currency.
    pub currency: String,
}

/// The selected devices that move within so many days: by a rule, wherever to, or by the owner's strategy.
pub fn who_must_move<'f>(
    counted: &Counted<'f>,
    selection: &Selection,
    within: Option<u32>,
) -> Vec<&'f Device> {
    let now = counted.question.now;
    let ahead = counted.ahead(within.unwrap_or(u32::MAX));
    let moves = |device: &&Device| {
        let decision = ahead.decide(device);
        pressing(&decision).is_some() || matches!(decision, Decision::Move { .. })
    };
    counted.fleet.in_service().filter(|device| selection.has(device, now)).filter(moves).collect()
}

/// What it takes to move so many devices.
pub fn effort(devices: u32, costs: &Costs, bearer: &Bearer, one: &Move, pace: Pace) -> Effort {
    let each = Each::of(bearer, one);
    let number = u64::from(devices);
    Effort {
        devices,
        bearer: bearer.id.clone(),
        one: one.id.clone(),
        seconds_each: rounded(each.seconds),
        seconds: rounded(duration(devices, each.seconds, pace)),
        octets_each: each.octets.round() as u64,
        octets: (each.octets * f64::from(devices)).round() as u64,
        messages_each: rounded(each.messages),
        messages: (each.messages * f64::from(devices)).round() as u64,
        apdus: u64::from(one.apdus) * number,
        money_each: each.money,
        money: each.money.times(number, 1),
        currency: costs.currency.clone(),
    }
}

/// To the millisecond: what is below says nothing, and would differ from machine to machine.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// What one device's move takes.
struct Each {
    seconds: f64,
    octets: f64,
    messages: f64,
    money: Money,
}

impl Each {
    fn of(bearer: &Bearer, one: &Move) -> Self {
        // Each thing that is lost with a chance of p is sent 1/(1-p) times.
        let tries = 1.0 / (1.0 - bearer.loss_percent / 100.0);
        let overhead = u64::from(one.connections) * one.overhead_per_connection
            + u64::from(one.requests) * one.overhead_per_request;
        let messages = f64::from(one.sms_down + one.sms_up);
        let (octets, messages, seconds) = match bearer.octets_per_sms {
            Some(size) => {
                let parts = |octets: u64| octets.div_ceil(u64::from(size)) as f64;
                let messages = messages + parts(one.octets_down) + parts(one.octets_up);
                (0.0, messages * tries, 0.0)
            }
            None => {
                let half = overhead as f64 / 2.0;
                let (down, up) = (one.octets_down as f64 + half, one.octets_up as f64 + half);
                let line = down * 8.0 / (bearer.down_kbit * 1000.0) + up * 8.0 / (bearer.up_kbit * 1000.0);
                // TCP and TLS take three journeys there and back before the first request.
                let journeys = f64::from(one.connections * 3 + one.requests);
                let waiting = journeys * 2.0 * f64::from(bearer.delay_ms) / 1000.0;
                ((down + up) * tries, messages * tries, (line + waiting) * tries)
            }
        };
        let seconds = seconds + messages * f64::from(bearer.sms_seconds) + f64::from(one.switch_seconds);
        let by_octet = bearer.price_per_mb.times(octets.round() as u64, 1_000_000);
        let by_message = bearer.price_per_sms.times((messages * 1000.0).round() as u64, 1000);
        Self { seconds, octets, messages, money: by_octet.plus(by_message) }
    }
}

/// When the last of so many moves ends that take as long each: a move begins when its turn has come and one of the places is
/// free.
fn duration(devices: u32, each: f64, pace: Pace) -> f64 {
    let Some(last) = devices.checked_sub(1) else { return 0.0 };
    let gap = 60.0 / f64::from(pace.per_minute.max(1));
    let parallel = pace.parallel.max(1);
    let (wave, in_wave) = (last / parallel, last % parallel);
    // A full wave takes as long as a move, or as the rate takes to begin it, whichever is longer.
    f64::from(wave) * each.max(gap * f64::from(parallel)) + f64::from(in_wave) * gap + each
}

impl Effort {
    /// What all of it takes.
    pub fn duration(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_duration_is_what_a_queue_played_through_takes() {
        for (devices, each, per_minute, parallel) in [
            (0, 5.0, 60, 1),
            (1, 5.0, 60, 1),
            (10, 5.0, 60, 1),
            (10, 5.0, 60, 3),
            (250, 47.5, 60, 100),
            (250, 47.5, 600, 10),
            (1000, 0.5, 7, 4),
        ] {
            let pace = Pace { per_minute, parallel };
            let mut free = vec![0.0_f64; parallel as usize];
            let mut end = 0.0_f64;
            for n in 0..devices {
                let place = free.iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
                let begin = place.max(f64::from(n) * 60.0 / f64::from(per_minute));
                *place = begin + each;
                end = end.max(*place);
            }
            assert!((duration(devices, each, pace) - end).abs() < 1e-6, "{devices} {each} {pace:?}: {end}");
        }
    }

    #[test]
    fn a_move_is_reckoned_as_by_hand() {
        let costs = Costs::built_in().unwrap();
        let (lte_m, sms) = (costs.bearer("lte-m").unwrap(), costs.bearer("2g-sms").unwrap());
        // 5050 + 6304 in bodies, 6000 + 6 x 500 beside them, a hundredth of it again.
        let all = effort(100, &costs, lte_m, costs.r#move("consumer").unwrap(), Pace::default());
        assert_eq!(all.octets_each, 20_560); // 20354 / 0.99
        assert_eq!((all.octets, all.messages, all.apdus), (2_055_960, 0, 8100));
        // Line: 9550 octets down at 300 kbit/s, 10804 up at 375; 9 journeys of 0.15 s; 45 s besides.
        let line = 9550.0 * 8.0 / 300_000.0 + 10_804.0 * 8.0 / 375_000.0 + 9.0 * 0.15;
        assert!((all.seconds_each - (line / 0.99 + 45.0)).abs() < 0.001, "{}", all.seconds_each);
        assert_eq!(all.money_each, Money(6168)); // 20560 octets at 0.30 a megabyte
        assert_eq!(all.seconds, rounded(99.0 + all.seconds_each));
        // By short messages alone: 9, and 20 with 2298 octets in them; a twentieth is lost.
        let all = effort(1, &costs, sms, costs.r#move("m2m").unwrap(), Pace::default());
        assert_eq!((all.octets, all.messages_each), (0, 30.526));
        assert_eq!(all.money_each, Money(1_221_040));
    }
}
