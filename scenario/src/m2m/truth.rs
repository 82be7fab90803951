//! What the card has, what SM-SR and SM-DP have written down, and whether that is the same.

use euicc_sim::card::m2m::{Held, held};
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

impl Truth {
    /// Whether the profile is on the card.
    pub fn has(&self, iccid: Iccid) -> bool {
        self.card.iter().any(|isd_p| isd_p.iccid == Some(iccid))
    }

    /// The enabled profile.
    pub fn enabled(&self) -> Option<Iccid> {
        self.card.iter().find(|isd_p| isd_p.is_enabled).and_then(|isd_p| isd_p.iccid)
    }

    /// Whether the device is on a profile that carries it.
    pub fn is_working(&self) -> bool {
        self.is_registered
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
        say(is_half && !self.is_remnant, "an ISD-P without a profile is left");
        let falls_back = |isd_p: &Held| isd_p.is_fallback && isd_p.iccid == Some(bootstrap);
        say(!self.card.iter().any(falls_back), "the bootstrap profile is not the one to fall back to");
        say(!self.is_registered, "the device is on no network");
        say(self.under_way > 0, "a function has not ended");
        say(!self.eis_is_the_cards(), "card and EIS do not agree");
        if !self.is_remnant {
            let is_there = self.has(local);
            let in_stock = self.state == ProfileState::Available;
            let is_known = self.is_known && self.installations == 1;
            say(
                is_there && !(is_known && self.state == ProfileState::Installed),
                "the SM-DP does not know it",
            );
            say(
                !is_there && (self.is_known || self.installations > 0 || !in_stock),
                "the SM-DP believes it to be on the card",
            );
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
