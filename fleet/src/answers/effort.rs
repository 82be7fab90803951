//! Report of the effort of moving devices: time, traffic and cost over a bearer.

use localize::{Decision, Destination};
use schemars::JsonSchema;
use serde::Serialize;
use world::Fault;

use super::markets::earliest_deadline;
use crate::{
    bearers::{Bearer, Packets},
    costs::{Costs, Money, Move},
    device::{Device, Selection},
    evaluated_fleet::EvaluatedFleet,
};

/// Rate at which devices are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Maximum number of moves that begin in a minute.
    pub per_minute: u32,
    /// Maximum number of moves under way at a time.
    pub parallel: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { per_minute: 60, parallel: 100 }
    }
}

/// The effort of moving a number of devices. Octets and messages are expected values that include
/// retransmissions.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Effort {
    /// Number of devices that move.
    pub devices: u32,
    /// Number of further devices that only change their identity. The applet on the card does that,
    /// without a download.
    pub by_identity: u32,
    /// ID of the bearer.
    pub bearer: String,
    /// ID of the move.
    #[serde(rename = "move")]
    pub one: String,
    /// Duration of one device's move, in seconds.
    pub seconds_each: f64,
    /// Duration of all moves at the given rate, in seconds.
    pub seconds: f64,
    /// Octets of one device's move, both directions.
    pub octets_each: u64,
    /// Octets of all moves.
    pub octets: u64,
    /// Short messages of one device's move, both directions.
    pub messages_each: f64,
    /// Short messages of all moves.
    pub messages: u64,
    /// APDUs between devices and cards, of all moves.
    pub apdus: u64,
    /// Cost of one device's move.
    pub money_each: Money,
    /// Cost of all moves.
    pub money: Money,
    /// Currency of the costs.
    pub currency: String,
}

/// Devices that must move.
#[derive(Clone, Debug, Default)]
pub struct Moving<'f> {
    /// Devices that need another profile, including those without a known destination.
    pub by_profile: Vec<&'f Device>,
    /// Devices that only change to another identity, which the applet on their card does.
    pub by_identity: Vec<&'f Device>,
}

/// Returns the selected devices that must move within this number of days because of a rule, even
/// if they have no destination, and those that the owner's strategy moves.
pub fn who_must_move<'f>(
    counted: &EvaluatedFleet<'f>,
    selection: &Selection,
    within: Option<u32>,
) -> Moving<'f> {
    let now = counted.conditions.now;
    let ahead = counted.ahead(within.unwrap_or(u32::MAX));
    let mut moving = Moving::default();
    for device in counted.fleet.in_service().filter(|device| selection.has(device, now)) {
        match ahead.decide(device) {
            Decision::Move { to, .. } if matches!(*to, Destination::Identity(_)) => {
                moving.by_identity.push(device);
            }
            Decision::Move { .. } => moving.by_profile.push(device),
            other if earliest_deadline(&other).is_some() => moving.by_profile.push(device),
            Decision::Stay { .. } | Decision::Stuck { .. } => {}
        }
    }
    moving
}

/// Computes the effort of moving this number of devices.
///
/// # Errors
/// The bearer has no price or lacks a transport that the move needs.
pub fn effort(devices: u32, costs: &Costs, bearer: &Bearer, one: &Move, pace: Pace) -> Result<Effort, Fault> {
    let each = Each::of(costs, bearer, one)?;
    let number = u64::from(devices);
    Ok(Effort {
        devices,
        by_identity: 0,
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
    })
}

/// Rounds to milliseconds. Smaller digits are not significant and would differ between machines.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Effort of one device's move.
struct Each {
    seconds: f64,
    octets: f64,
    messages: f64,
    money: Money,
}

impl Each {
    fn of(costs: &Costs, bearer: &Bearer, one: &Move) -> Result<Self, Fault> {
        let cannot = |why, next| {
            Fault::usage(
                format!("cannot compute the effort of move {} over {}", one.id, bearer.id),
                why,
                next,
            )
        };
        let Some(price) = costs.price(&bearer.id) else {
            return Err(cannot(
                "the bearer has no price",
                "add a [[price]] with its ID to a file for --costs",
            ));
        };
        let own = u64::from(one.sms_down) + u64::from(one.sms_up);
        let (octets, messages, on_the_line) = match (bearer.packets, bearer.messages) {
            (Some(packets), _) => {
                let (octets, seconds) = by_packets(bearer, &packets, one);
                (octets, own, seconds)
            }
            (None, Some(form)) => (0, own + form.parts(one.octets_down) + form.parts(one.octets_up), 0.0),
            (None, None) => (0, own, 0.0),
        };
        let message_ms = match bearer.messages {
            Some(form) => form.message_ms,
            None if messages == 0 => 0,
            None => {
                return Err(cannot("the bearer carries no short messages", "use another bearer or move"));
            }
        };
        let by_message = messages as f64 * one_way_seconds(bearer, message_ms);
        let sent = |number: u64| number as f64 * (1.0 + bearer.losses());
        let (octets, messages) = (sent(octets), sent(messages));
        let money = price.per_mb.times(octets.round() as u64, 1_000_000);
        let money = money.plus(price.per_sms.times((messages * 1000.0).round() as u64, 1000));
        let seconds = on_the_line + by_message + f64::from(one.switch_seconds);
        Ok(Self { seconds, octets, messages, money })
    }
}

/// Returns the octets of the move's connections and requests, and their duration in seconds.
fn by_packets(bearer: &Bearer, packets: &Packets, one: &Move) -> (u64, f64) {
    let (connections, requests) = (u64::from(one.connections), u64::from(one.requests));
    let overhead = connections * one.overhead_per_connection + requests * one.overhead_per_request;
    let (down, up) = (one.octets_down + overhead / 2, one.octets_up + overhead.div_ceil(2));
    let line = (packets.down(down) + packets.up(up)).as_secs_f64();
    let handshakes = (connections * u64::from(packets.tls_round_trips) * 2 * bearer.delay_ms) as f64 / 1000.0;
    (down + up, line + handshakes + (requests * 2) as f64 * one_way_seconds(bearer, 0))
}

/// Returns the one-way duration in seconds of a message that occupies the channel for `message_ms`.
/// The duration includes the expected time until losses are noticed.
fn one_way_seconds(bearer: &Bearer, message_ms: u64) -> f64 {
    ((bearer.delay_ms + message_ms) as f64 + bearer.losses() * bearer.retransmit_ms as f64) / 1000.0
}

/// Returns the time until the last move ends, if each move takes `each` seconds. A move begins when
/// the rate allows it and fewer than the maximum number of moves are under way.
fn duration(devices: u32, each: f64, pace: Pace) -> f64 {
    let Some(last) = devices.checked_sub(1) else { return 0.0 };
    let gap = 60.0 / f64::from(pace.per_minute.max(1));
    let parallel = pace.parallel.max(1);
    let (wave, in_wave) = (last / parallel, last % parallel);
    // A full wave of parallel moves takes as long as one move, or as long as the rate needs to begin
    // all moves of the wave, whichever is longer.
    f64::from(wave) * each.max(gap * f64::from(parallel)) + f64::from(in_wave) * gap + each
}

impl Effort {
    /// Computes the effort of these devices, including those that only change their identity.
    ///
    /// # Errors
    /// The same as those of [`effort`].
    pub fn of(
        moving: &Moving<'_>,
        costs: &Costs,
        bearer: &Bearer,
        one: &Move,
        pace: Pace,
    ) -> Result<Self, Fault> {
        let count = |devices: &[&Device]| u32::try_from(devices.len()).unwrap_or(u32::MAX);
        let by_identity = count(&moving.by_identity);
        Ok(Self { by_identity, ..effort(count(&moving.by_profile), costs, bearer, one, pace)? })
    }
}

#[cfg(test)]
mod tests {
    use localize::{Identity, Policy, RuleBook, Strategy};
    use rsp::{ids::Eid, time::Timestamp};

    use super::*;
    use crate::{bearers::Bearers, device::Fleet, evaluated_fleet::Conditions};

    #[test]
    fn the_duration_equals_that_of_a_simulated_queue() {
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
    fn the_effort_equals_a_manual_calculation() {
        let (costs, bearers) = (Costs::built_in().unwrap(), Bearers::built_in().unwrap());
        let (lte_m, sms) = (bearers.named("lte-m").unwrap(), bearers.named("2g-sms").unwrap());
        let (consumer, m2m) = (costs.r#move("consumer").unwrap(), costs.r#move("m2m").unwrap());
        // 20354 octets: 5050 + 6304 of bodies and 6000 + 6 x 500 of overhead. One message in a hundred
        // is lost and sent again.
        let all = effort(100, &costs, lte_m, consumer, Pace::default()).unwrap();
        assert_eq!(all.octets_each, 20_560); // 20354 / 0.99
        assert_eq!((all.octets, all.messages, all.apdus), (2_055_960, 0, 8100));
        // Transmission: 9550 octets to the device take 255 ms at 300 kbit/s, 10804 octets from it take 231
        // ms at 375 kbit/s. The handshake takes three round trips of 150 ms. There are twelve
        // one-way delays of 75 ms, each with an expected 1/99 s for losses, and 45 s for card and
        // modem.
        let seconds = 0.255 + 0.231 + 0.450 + 12.0 * (0.075 + 1.0 / 99.0) + 45.0;
        assert_eq!(all.seconds_each, rounded(seconds));
        assert_eq!(all.money_each, Money(6168)); // 20560 octets at 0.30 a megabyte
        assert_eq!(all.seconds, rounded(99.0 + seconds));
        // The move takes 29 short messages: 9 in one direction, and 20 with 2298 octets in the other.
        // One in fifty is lost, and the loss is noticed after a minute.
        let all = effort(1, &costs, sms, m2m, Pace::default()).unwrap();
        assert_eq!((all.octets, all.messages_each), (0, 29.592)); // 29 / 0.98
        assert_eq!(all.money_each, Money(1_183_680));
        assert_eq!(all.seconds_each, rounded(29.0 * (2.0 + 4.0 + 60.0 / 49.0) + 45.0));
        // The 5050 octets to the device take 43 short messages, and the 6304 octets from it take 53.
        let all = effort(1, &costs, sms, consumer, Pace::default()).unwrap();
        assert_eq!((all.octets, all.messages_each), (0, 97.959)); // 96 / 0.98
    }

    /// The built-in strategy uses identities from 50 devices on.
    #[test]
    fn a_change_of_identity_costs_nothing() {
        let book = RuleBook::parse("").unwrap();
        let policy = Policy { strategy: Strategy::built_in(&book).unwrap(), ..Policy::default() };
        let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let place = |plmn: &str| book.locate(plmn.parse().unwrap()).unwrap();
        let device = |number: usize| {
            let mut device = Device::new(Eid::with_check_digits(&format!("{:030}", 89 + number)).unwrap());
            let history = &mut device.connection.history;
            history.observe_with(place("530-01"), place("234-15").into(), Timestamp(now.0 - 60_000)).unwrap();
            if number < 10 {
                device.connection.identities.push(Identity { operator: place("530-24") });
            }
            device
        };
        let fleet = Fleet::new((0..60).map(device).collect());
        let counted =
            EvaluatedFleet::new(&fleet, Conditions { now, book: &book, policy: &policy, offers: &[] });
        let moving = who_must_move(&counted, &Selection::default(), None);
        assert_eq!((moving.by_profile.len(), moving.by_identity.len()), (0, 10));
        let markets = crate::answers::markets(&counted, None);
        let [market] = markets.as_slice() else { panic!("{markets:?}") };
        assert_eq!(
            (market.country.code.to_string().as_str(), market.devices, market.roaming),
            ("NZ", 60, 60)
        );
        assert_eq!((market.must_move, market.by_strategy, market.ready, market.first), (0, 10, 10, None));
        let (costs, bearers) = (Costs::built_in().unwrap(), Bearers::built_in().unwrap());
        let (bearer, one) = (bearers.named("lte-m").unwrap(), costs.r#move("consumer").unwrap());
        let effort = Effort::of(&moving, &costs, bearer, one, Pace::default()).unwrap();
        assert_eq!((effort.devices, effort.by_identity, effort.octets, effort.money), (0, 10, 0, Money(0)));
    }

    #[test]
    fn missing_prices_and_transports_are_reported() {
        let (costs, bearers) = (Costs::built_in().unwrap(), Bearers::built_in().unwrap());
        let refused = |bearer: &Bearer, one: &str| {
            effort(1, &costs, bearer, costs.r#move(one).unwrap(), Pace::default()).unwrap_err().to_string()
        };
        let lte = bearers.named("lte").unwrap();
        let own = Bearer { id: "own".into(), ..lte.clone() };
        assert!(refused(&own, "consumer").contains("the bearer has no price; add a [[price]]"));
        let silent = Bearer { messages: None, ..lte.clone() };
        assert!(refused(&silent, "m2m").contains("the bearer carries no short messages"));
        assert!(effort(1, &costs, &silent, costs.r#move("consumer").unwrap(), Pace::default()).is_ok());
    }
}
