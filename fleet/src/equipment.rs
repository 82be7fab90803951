//! The equipment around cards: the stays of all cards with the same IMEI.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use localize::{CountedBy, History, Imei, Rule, RuleBook, Stay};
use rsp::{ids::Eid, time::Timestamp};

use crate::device::Device;

/// The stays of each IMEI that has been where a rule counts by IMEI, with the card of each stay.
/// Retired devices are included: the days of a replaced card still count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Equipment(BTreeMap<Imei, Vec<(Eid, Stay)>>);

impl Equipment {
    /// Collects the stays of all cards.
    pub(crate) fn of<'a>(cards: impl Iterator<Item = (Eid, &'a History)> + Clone, book: &RuleBook) -> Self {
        let by_imei = |rule: &&Rule| rule.counted_by == CountedBy::Imei;
        let rules: Vec<&Rule> = book.rules().iter().filter(by_imei).collect();
        if rules.is_empty() {
            return Self::default();
        }
        let stays = cards.flat_map(|(eid, history)| history.stays().iter().map(move |stay| (eid, stay)));
        let counts = |stay: &Stay| rules.iter().any(|rule| rule.covers(stay));
        let counted: BTreeSet<Imei> =
            stays.clone().filter(|(_, stay)| counts(stay)).filter_map(|(_, stay)| stay.imei).collect();
        let mut equipment: BTreeMap<Imei, Vec<(Eid, Stay)>> = BTreeMap::new();
        for (eid, stay) in stays {
            if let Some(imei) = stay.imei.filter(|imei| counted.contains(imei)) {
                equipment.entry(imei).or_default().push((eid, *stay));
            }
        }
        Self(equipment)
    }

    /// Returns the connection of a device with the stays of other cards in its present equipment.
    pub(crate) fn connection<'d>(&self, device: &'d Device, now: Timestamp) -> Cow<'d, localize::Device> {
        let own = &device.connection;
        let imei = own.history.present(now).and_then(|stay| stay.imei);
        let Some((imei, all)) = imei.and_then(|imei| Some((imei, self.0.get(&imei)?))) else {
            return Cow::Borrowed(own);
        };
        let others: Vec<(Eid, Stay)> = all.iter().copied().filter(|(eid, _)| *eid != device.eid).collect();
        if others.is_empty() {
            return Cow::Borrowed(own);
        }
        let own_starts = own.history.stays().iter().filter(|stay| stay.imei == Some(imei));
        let starts: Vec<(Eid, Timestamp)> = own_starts
            .map(|stay| (device.eid, stay.from))
            .chain(others.iter().map(|(eid, stay)| (*eid, stay.from)))
            .collect();
        // A card that was taken out of the equipment does not report the end of its stay. The stay
        // ends when the equipment is used with another card.
        let until = |eid: Eid, stay: &Stay| {
            let later = starts.iter().filter(|(other, from)| *other != eid && *from > stay.from);
            stay.until.or(later.map(|(_, from)| *from).min())
        };
        let other_cards = others.iter().map(|(eid, stay)| Stay { until: until(*eid, stay), ..*stay });
        Cow::Owned(localize::Device { other_cards: other_cards.collect(), ..own.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "004999010640000";

    fn stay(plmn: &str, country: &str, imei: &str, from: i64, until: Option<i64>) -> Stay {
        Stay {
            country: country.parse().unwrap(),
            plmn: plmn.parse().unwrap(),
            home: "DE".parse().unwrap(),
            home_network: None,
            imei: imei.parse().ok(),
            from: Timestamp(from),
            until: until.map(Timestamp),
        }
    }

    fn device(number: u32, stays: &[Stay]) -> Device {
        let mut device = Device::new(Eid::with_check_digits(&format!("89049032{number:022}")).unwrap());
        device.connection.history = History::from_stays(stays.iter().copied()).unwrap();
        device
    }

    #[test]
    fn the_stay_of_a_card_ends_when_its_equipment_is_used_with_another_card() {
        let book = RuleBook::built_in().unwrap();
        let first = device(1, &[stay("286-01", "TR", A, 100, None)]);
        let second = device(2, &[stay("234-15", "GB", A, 300, Some(400))]);
        let third = device(3, &[stay("286-01", "TR", A, 500, None)]);
        let elsewhere = device(4, &[stay("286-01", "TR", "004999010640018", 200, None)]);
        let all = [&first, &second, &third, &elsewhere];
        let equipment =
            Equipment::of(all.iter().map(|device| (device.eid, &device.connection.history)), &book);
        let others = |device| equipment.connection(device, Timestamp(1000)).other_cards.clone();
        assert_eq!(
            others(&third),
            [stay("286-01", "TR", A, 100, Some(300)), stay("234-15", "GB", A, 300, Some(400))]
        );
        assert_eq!(others(&second), [], "the device is not attached");
        assert!(matches!(equipment.connection(&elsewhere, Timestamp(1000)), Cow::Borrowed(_)));
        // A stay that began after the stays were collected ends the stay of the former card too.
        let newest = device(5, &[stay("286-02", "TR", A, 250, None)]);
        assert_eq!(others(&newest)[0].until, Some(Timestamp(250)));
        let simultaneous = device(6, &[stay("286-02", "TR", A, 100, None)]);
        assert_eq!(others(&simultaneous)[0].until, Some(Timestamp(300)));
        let uncounted = RuleBook::parse("").unwrap();
        let none = Equipment::of([(first.eid, &first.connection.history)].into_iter(), &uncounted);
        assert!(none.0.is_empty(), "no rule counts by IMEI");
    }
}
