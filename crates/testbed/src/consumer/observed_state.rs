//! The actual state of card and server, and the check that they agree.

use rsp::ids::Iccid;
use sm_dp::ProfileState;
use world::Fault;

use super::Consumer;

/// The state at one moment, as the card reports it and as the records of the SM-DP+ show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedState {
    /// The profiles on the card.
    pub profiles: Vec<Iccid>,
    /// The enabled profile.
    pub enabled: Option<Iccid>,
    /// The profile with which the device is registered.
    pub registered: Option<Iccid>,
    /// Number of notifications that no server has acknowledged yet.
    pub notifications: usize,
    /// State of the local profile at the SM-DP+.
    pub state: ProfileState,
    /// Number of installations of the local profile that the SM-DP+ has recorded.
    pub installations: usize,
}

impl Consumer {
    /// Queries the card and the SM-DP+.
    ///
    /// # Errors
    /// One of them cannot be queried.
    pub async fn truth(&mut self) -> Result<ObservedState, Fault> {
        let card = |why| Fault::caused_by(why, "the card cannot be queried", "reset it");
        let local = self.start.local;
        let profiles = self.device.lpa.list().await.map_err(card)?;
        let enabled = self.device.lpa.enabled().await.map_err(card)?;
        let notifications = self.device.lpa.es10().list_notification().await.map_err(card)?.len();
        let server = self.sm_dp.party().ok_or_else(|| {
            Fault::new("the SM-DP+ cannot be queried", "its process has ended", "wait until it is restarted")
        })?;
        let order = server.orders().await?.into_iter().find(|order| order.iccid == local);
        let state = order.map(|order| order.state).ok_or_else(|| {
            Fault::new("the SM-DP+ cannot be queried", "the local profile is not in stock", "report this")
        })?;
        Ok(ObservedState {
            profiles: profiles.iter().filter_map(|profile| profile.iccid).collect(),
            enabled,
            registered: self.device.modem.registered().map(|registered| registered.iccid),
            notifications,
            state,
            installations: server.installations(local).await?.len(),
        })
    }
}

impl ObservedState {
    /// True if the local profile is on the card.
    pub fn has(&self, local: Iccid) -> bool {
        self.profiles.contains(&local)
    }

    /// Lists the inconsistencies that remain after all operations have ended: a profile that is
    /// lost or duplicated, a device that is registered with a profile that is not enabled, or a
    /// server whose records differ from the card. Empty if the state is consistent.
    pub fn wrong(&self, bootstrap: Iccid, local: Iccid) -> Vec<String> {
        let mut wrong = Vec::new();
        let count = |iccid| self.profiles.iter().filter(|each| **each == iccid).count();
        let mut say = |is_so: bool, what: &str| {
            if is_so {
                wrong.push(format!("{what}: {self:?}"));
            }
        };
        say(count(bootstrap) != 1, "the bootstrap profile is not on the card exactly once");
        say(count(local) > 1 || self.profiles.len() > 2, "there are too many profiles on the card");
        say(self.registered.is_none(), "the device is not registered");
        say(
            self.registered != self.enabled,
            "the device is registered with another profile than the enabled one",
        );
        say(self.notifications > 0, "notifications are not acknowledged");
        say(self.has(local) != (self.state == ProfileState::Installed), "card and server disagree");
        say(
            usize::from(self.has(local)) != self.installations,
            "the server has recorded another number of installations",
        );
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_inconsistency_is_reported() {
        let [bootstrap, local, other]: [Iccid; 3] =
            ["89000123456789012341", "89494200000000000012", "89234990000000000019"]
                .map(|iccid| iccid.parse().unwrap());
        let moved = ObservedState {
            profiles: vec![bootstrap, local],
            enabled: Some(local),
            registered: Some(local),
            notifications: 0,
            state: ProfileState::Installed,
            installations: 1,
        };
        assert_eq!(moved.wrong(bootstrap, local), [""; 0]);
        let stayed = ObservedState {
            profiles: vec![bootstrap],
            enabled: Some(bootstrap),
            registered: Some(bootstrap),
            state: ProfileState::Released,
            installations: 0,
            ..moved.clone()
        };
        assert_eq!(stayed.wrong(bootstrap, local), [""; 0]);
        for (not_so, what) in [
            (
                ObservedState { profiles: vec![local], ..moved.clone() },
                "the bootstrap profile is not on the card exactly once",
            ),
            (
                ObservedState { profiles: vec![bootstrap, local, local], ..moved.clone() },
                "there are too many profiles on the card",
            ),
            (
                ObservedState { profiles: vec![bootstrap, local, other], ..moved.clone() },
                "there are too many profiles on the card",
            ),
            (
                ObservedState { registered: None, enabled: None, ..moved.clone() },
                "the device is not registered",
            ),
            (ObservedState { enabled: Some(bootstrap), ..moved.clone() }, "registered with another profile"),
            (ObservedState { notifications: 1, ..moved.clone() }, "notifications are not acknowledged"),
            (ObservedState { state: ProfileState::Downloaded, ..moved.clone() }, "card and server disagree"),
            (ObservedState { state: ProfileState::Installed, ..stayed.clone() }, "card and server disagree"),
            (
                ObservedState { installations: 2, ..moved },
                "the server has recorded another number of installations",
            ),
        ] {
            let wrong = not_so.wrong(bootstrap, local);
            assert!(matches!(&wrong[..], [only] if only.contains(what)), "{wrong:?}");
        }
    }
}
