//! The actual state of the card, the SM-SR and the SM-DP, and the check that they agree.

use euicc_sim::m2m::{StoredIsdP, stored_isd_ps};
use rsp::ids::{Aid, Iccid};
use rsp::sgp02::eis::ProfileState as Eis;
use sm_dp::ProfileState;
use world::{Fault, Memory as _};

use super::M2m;

/// The state at one moment: in the memory of the card, in the EIS, and in the records of the SM-DP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedState {
    /// The ISD-Ps of the card.
    pub card: Vec<StoredIsdP>,
    /// The profiles in the EIS.
    pub eis: Vec<(Iccid, Aid, Eis)>,
    /// True if a network has registered the device with the enabled profile.
    pub is_registered: bool,
    /// State of the local profile at the SM-DP.
    pub state: ProfileState,
    /// Number of installations of the local profile that the SM-DP has recorded.
    pub installations: usize,
    /// True if the SM-DP has the keys of the ISD-P of the local profile.
    pub is_known: bool,
    /// True if the SM-DP reports that it cannot know whether the profile is on the card.
    pub is_remnant: bool,
    /// Number of functions that the SM-DP and the SM-SR have not finished.
    pub under_way: usize,
}

impl M2m {
    /// Reads the memory of the card, and queries the SM-SR and the SM-DP.
    ///
    /// # Errors
    /// One of them cannot be queried.
    pub async fn truth(&self) -> Result<ObservedState, Fault> {
        let away = || Fault::new("a server cannot be queried", "its process has ended", "wait");
        let (eid, local) = (self.start.eid, self.start.local);
        let card = stored_isd_ps(self.card.load()?, eid)?;
        let enabled = card.iter().find(|isd_p| isd_p.is_enabled).and_then(|isd_p| isd_p.iccid);
        let imsi = self.start.subscribers.iter().find(|(iccid, _)| Some(*iccid) == enabled);
        let (sm_dp, sm_sr) = (self.sm_dp.party().ok_or_else(away)?, self.sm_sr.party().ok_or_else(away)?);
        let eis = sm_sr.eis(eid).await?.map(|eis| eis.profile_info).unwrap_or_default();
        let order = self.stock.orders().await?.into_iter().find(|order| order.iccid == local);
        let state = order.map(|order| order.state);
        Ok(ObservedState {
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

const HALF: &str = "there is an ISD-P without a profile";
const UNDER_WAY: &str = "a function has not ended";
const EIS: &str = "card and EIS disagree";
const NOT_KNOWN: &str = "the SM-DP has no record of the installed profile";
const BELIEVED: &str = "the SM-DP has recorded a profile that is not on the card";
const OF_RECORDS: [&str; 5] = [HALF, UNDER_WAY, EIS, NOT_KNOWN, BELIEVED];

impl ObservedState {
    /// True if the profile is on the card.
    pub fn has(&self, iccid: Iccid) -> bool {
        self.card.iter().any(|isd_p| isd_p.iccid == Some(iccid))
    }

    /// The enabled profile.
    pub fn enabled(&self) -> Option<Iccid> {
        self.card.iter().find(|isd_p| isd_p.is_enabled).and_then(|isd_p| isd_p.iccid)
    }

    /// True if the inconsistency concerns only server records, and not the device.
    pub fn is_of_records(wrong: &str) -> bool {
        OF_RECORDS.iter().any(|what| wrong.starts_with(what))
    }

    /// Lists the inconsistencies that remain after all operations have ended: a profile that is
    /// lost, duplicated or without service, or a server whose records differ from the card. Empty
    /// if the state is consistent.
    ///
    /// An SM-DP that reports that it cannot know the outcome of a download is consistent with any
    /// state of the card.
    pub fn wrong(&self, bootstrap: Iccid, local: Iccid) -> Vec<String> {
        let mut wrong = Vec::new();
        let count = |iccid| self.card.iter().filter(|isd_p| isd_p.iccid == Some(iccid)).count();
        let mut say = |is_so: bool, what: &str| {
            if is_so {
                wrong.push(format!("{what}: {self:?}"));
            }
        };
        say(count(bootstrap) != 1, "the bootstrap profile is not on the card exactly once");
        say(count(local) > 1 || self.card.len() > 2, "there are too many profiles on the card");
        let is_half = self.card.iter().any(|isd_p| isd_p.iccid.is_none());
        say(is_half && !self.is_remnant, HALF);
        let falls_back = |isd_p: &StoredIsdP| isd_p.is_fallback && isd_p.iccid == Some(bootstrap);
        say(!self.card.iter().any(falls_back), "the bootstrap profile does not have the fall-back attribute");
        say(!self.is_registered, "the device is not registered on a network");
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
                // The SM-DP has not confirmed that the profile is complete, so the EIS does not
                // count it as a profile.
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
    fn every_inconsistency_is_reported() {
        let [bootstrap, local]: [Iccid; 2] =
            ["89234990000000000019", "89262420000000000028"].map(|iccid| iccid.parse().unwrap());
        let isd_p = |number, iccid, is_enabled| StoredIsdP {
            isd_p: Aid::isd_p(number),
            iccid,
            is_enabled,
            is_fallback: number == 0x10,
            connectivity: None,
        };
        let moved = ObservedState {
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
        let stayed = ObservedState {
            card: vec![isd_p(0x10, Some(bootstrap), true)],
            eis: vec![(bootstrap, Aid::isd_p(0x10), Eis::Enabled)],
            state: ProfileState::Available,
            installations: 0,
            is_known: false,
            ..moved.clone()
        };
        assert_eq!(stayed.wrong(bootstrap, local), [""; 0]);
        // An interrupted download whose outcome the SM-DP reports as unknown.
        let half = ObservedState {
            card: vec![isd_p(0x10, Some(bootstrap), true), isd_p(0x11, None, false)],
            eis: vec![(bootstrap, Aid::isd_p(0x10), Eis::Enabled), (local, Aid::isd_p(0x11), Eis::Created)],
            is_remnant: true,
            state: ProfileState::Downloaded,
            ..stayed.clone()
        };
        assert_eq!(half.wrong(bootstrap, local), [""; 0]);
        for (not_so, what, is_of_records) in [
            (
                ObservedState { is_registered: false, ..moved.clone() },
                "the device is not registered on a network",
                false,
            ),
            (ObservedState { under_way: 1, ..moved.clone() }, UNDER_WAY, true),
            (ObservedState { eis: stayed.eis.clone(), ..moved.clone() }, EIS, true),
            (ObservedState { installations: 2, ..moved.clone() }, NOT_KNOWN, true),
            (ObservedState { is_known: false, ..moved.clone() }, NOT_KNOWN, true),
            (ObservedState { state: ProfileState::Installed, ..stayed.clone() }, BELIEVED, true),
            (ObservedState { is_remnant: false, ..half.clone() }, HALF, true),
        ] {
            let wrong = not_so.wrong(bootstrap, local);
            assert!(wrong.first().is_some_and(|first| first.starts_with(what)), "{what}: {wrong:?}");
            assert_eq!(
                wrong.iter().all(|each| ObservedState::is_of_records(each)),
                is_of_records,
                "{wrong:?}"
            );
        }
        for card in [moved.card[1..].to_vec(), [&moved.card[..], &moved.card[1..]].concat()] {
            let wrong = ObservedState { card, ..moved.clone() }.wrong(bootstrap, local);
            assert!(!wrong.iter().all(|each| ObservedState::is_of_records(each)), "{wrong:?}");
        }
    }
}
