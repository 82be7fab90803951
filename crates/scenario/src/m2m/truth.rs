//! What the card has, what SM-SR and SM-DP have written down, and whether that is the same.

use euicc_sim::m2m::{Held, held};
use rsp::ids::{Aid, Iccid};
use rsp::sgp02::eis::ProfileState as Eis;
use sm_dp::ProfileState;
use world::{Fault, Memory as _};

use super::M2m;

/// What is so at one moment: by the card's memory, by the EIS, and by the records of the SM-DP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// The ISD-Ps of the card.
    pub card: Vec<Held>,
    /// The profiles in the EIS.
    pub eis: Vec<(Iccid, Aid, Eis)>,
    /// Whether a network has the device with the enabled profile.
    pub is_registered: bool,
    /// Where the SM-DP has the local profile.
    pub state: ProfileState,
    /// How often the SM-DP has the local profile on a card.
    pub installations: usize,
    /// Whether the SM-DP has the keys of its ISD-P.
    pub is_known: bool,
    /// Whether the SM-DP says that it cannot know whether the profile is on the card.
    pub is_remnant: bool,
    /// Functions that SM-DP and SM-SR are still at.
    pub under_way: usize,
}

impl M2m {
    /// Looks at the card, and asks SM-SR and SM-DP.
    ///
    /// # Errors
    /// One of them cannot be asked.
    pub async fn truth(&self) -> Result<Truth, Fault> {
        let away = || Fault::new("a server cannot be asked", "its process has ended", "wait");
        let (eid, local) = (self.start.eid, self.start.local);
        let card = held(self.card.load()?, eid)?;
        let enabled = card.iter().find(|isd_p| isd_p.is_enabled).and_then(|isd_p| isd_p.iccid);
        let imsi = self.start.subscribers.iter().find(|(iccid, _)| Some(*iccid) == enabled);
        let (sm_dp, sm_sr) = (self.sm_dp.party().ok_or_else(away)?, self.sm_sr.party().ok_or_else(away)?);
        let eis = sm_sr.eis(eid).await?.map(|eis| eis.profile_info).unwrap_or_default();
        let order = self.stock.orders().await?.into_iter().find(|order| order.iccid == local);
        let state = order.map(|order| order.state);
        Ok(Truth {
            eis: eis.into_iter().map(|it| (it.iccid, it.isd_p_aid, it.state)).collect(),
            is_registered: imsi.is_some_and(|(_, imsi)| self.networks.place_of(*imsi).is_some()),
            card,
            state: state.ok_or_else(|| super::unexpected("the local profile is not in stock"))?,
            installations: self.stock.installations(local).await?.len(),
            is_known: !sm_dp.isd_ps(eid).await?.is_empty(),
            is_remnant: !sm_dp.remnants(eid).await?.is_empty(),
            under_way: sm_dp.downloads().await?.len() + sm_sr.operations(eid).await?.len(),
        })
    }
}

const HALF: &str = "an ISD-P without a profile is left";
const UNDER_WAY: &str = "a function has not ended";
const EIS: &str = "card and EIS do not agree";
const NOT_KNOWN: &str = "the SM-DP does not know it";
const BELIEVED: &str = "the SM-DP believes it to be on the card";
const OF_RECORDS: [&str; 5] = [HALF, UNDER_WAY, EIS, NOT_KNOWN, BELIEVED];

impl Truth {
    /// Whether the profile is on the card.
    pub fn has(&self, iccid: Iccid) -> bool {
        self.card.iter().any(|isd_p| isd_p.iccid == Some(iccid))
    }

    /// The enabled profile.
    pub fn enabled(&self) -> Option<Iccid> {
        self.card.iter().find(|isd_p| isd_p.is_enabled).and_then(|isd_p| isd_p.iccid)
    }

    /// Whether that is about what servers have written down, and not about the device.
    pub fn is_of_records(wrong: &str) -> bool {
        OF_RECORDS.iter().any(|what| wrong.starts_with(what))
    }

    /// What is not as it has to be once all is quiet: a profile that is lost, or there twice, or that does not carry the
    /// device; a server that has another opinion than the card. Empty when all is well.
    ///
    /// An SM-DP that says that it cannot know what has become of a download is right, whatever the card has.
    pub fn wrong(&self, bootstrap: Iccid, local: Iccid) -> Vec<String> {
        let mut wrong = Vec::new();
        let count = |iccid| self.card.iter().filter(|isd_p| isd_p.iccid == Some(iccid)).count();
        let mut say = |is_so: bool, what: &str| {
            if is_so {
                wrong.push(format!("{what}: {self:?}"));
            }
        };
        say(count(bootstrap) != 1, "the bootstrap profile is not there once");
        say(count(local) > 1 || self.card.len() > 2, "a profile is there too often");
        let is_half = self.card.iter().any(|isd_p| isd_p.iccid.is_none());
        say(is_half && !self.is_remnant, HALF);
        let falls_back = |isd_p: &Held| isd_p.is_fallback && isd_p.iccid == Some(bootstrap);
        say(!self.card.iter().any(falls_back), "the bootstrap profile is not the one to fall back to");
        say(!self.is_registered, "the device is on no network");
        say(self.under_way > 0, UNDER_WAY);
        say(!self.eis_is_the_cards(), EIS);
        if !self.is_remnant {
            let is_there = self.has(local);
            let in_stock = self.state == ProfileState::Available;
            let is_known = self.is_known && self.installations == 1;
            say(is_there && !(is_known && self.state == ProfileState::Installed), NOT_KNOWN);
            say(!is_there && (self.is_known || self.installations > 0 || !in_stock), BELIEVED);
        }
        wrong
    }

    fn eis_is_the_cards(&self) -> bool {
        let is_same = |(iccid, aid, state): &(Iccid, Aid, Eis)| {
            self.card.iter().find(|isd_p| isd_p.isd_p == *aid).is_some_and(|isd_p| match state {
                Eis::Enabled => isd_p.is_enabled && isd_p.iccid == Some(*iccid),
                Eis::Disabled => !isd_p.is_enabled && isd_p.iccid == Some(*iccid),
                // Its SM-DP has not said that it is complete: it is as good as none.
                Eis::Created => self.is_remnant,
            })
        };
        self.eis.len() == self.card.len() && self.eis.iter().all(is_same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_being_wrong_is_said() {
        let [bootstrap, local]: [Iccid; 2] =
            ["89234990000000000019", "89262420000000000028"].map(|iccid| iccid.parse().unwrap());
        let isd_p = |number, iccid, is_enabled| Held {
            isd_p: Aid::isd_p(number),
            iccid,
            is_enabled,
            is_fallback: number == 0x10,
            connectivity: None,
        };
        let moved = Truth {
            card: vec![isd_p(0x10, Some(bootstrap), false), isd_p(0x11, Some(local), true)],
            eis: vec![(bootstrap, Aid::isd_p(0x10), Eis::Disabled), (local, Aid::isd_p(0x11), Eis::Enabled)],
            is_registered: true,
            state: ProfileState::Installed,
            installations: 1,
            is_known: true,
            is_remnant: false,
            under_way: 0,
        };
        assert_eq!(moved.wrong(bootstrap, local), [""; 0]);
        let stayed = Truth {
            card: vec![isd_p(0x10, Some(bootstrap), true)],
            eis: vec![(bootstrap, Aid::isd_p(0x10), Eis::Enabled)],
            state: ProfileState::Available,
            installations: 0,
            is_known: false,
            ..moved.clone()
        };
        assert_eq!(stayed.wrong(bootstrap, local), [""; 0]);
        // Half a download, of which the SM-DP says that it cannot know.
        let half = Truth {
            card: vec![isd_p(0x10, Some(bootstrap), true), isd_p(0x11, None, false)],
            eis: vec![(bootstrap, Aid::isd_p(0x10), Eis::Enabled), (local, Aid::isd_p(0x11), Eis::Created)],
            is_remnant: true,
            state: ProfileState::Downloaded,
            ..stayed.clone()
        };
        assert_eq!(half.wrong(bootstrap, local), [""; 0]);
        for (not_so, what, is_of_records) in [
            (Truth { is_registered: false, ..moved.clone() }, "the device is on no network", false),
            (Truth { under_way: 1, ..moved.clone() }, UNDER_WAY, true),
            (Truth { eis: stayed.eis.clone(), ..moved.clone() }, EIS, true),
            (Truth { installations: 2, ..moved.clone() }, NOT_KNOWN, true),
            (Truth { is_known: false, ..moved.clone() }, NOT_KNOWN, true),
            (Truth { state: ProfileState::Installed, ..stayed.clone() }, BELIEVED, true),
            (Truth { is_remnant: false, ..half.clone() }, HALF, true),
        ] {
            let wrong = not_so.wrong(bootstrap, local);
            assert!(wrong.first().is_some_and(|first| first.starts_with(what)), "{what}: {wrong:?}");
            assert_eq!(wrong.iter().all(|each| Truth::is_of_records(each)), is_of_records, "{wrong:?}");
        }
        for card in [moved.card[1..].to_vec(), [&moved.card[..], &moved.card[1..]].concat()] {
            let wrong = Truth { card, ..moved.clone() }.wrong(bootstrap, local);
            assert!(!wrong.iter().all(|each| Truth::is_of_records(each)), "{wrong:?}");
        }
    }
}
