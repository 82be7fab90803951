//! What the card has, what the server has written down, and whether that is the same.

use rsp::ids::Iccid;
use sm_dp::ProfileState;
use world::Fault;

use super::Consumer;

/// What is so at one moment, by the card's own word and by the records of the SM-DP+.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// The profiles on the card.
    pub profiles: Vec<Iccid>,
    /// The enabled one.
    pub enabled: Option<Iccid>,
    /// The profile with which the device is registered.
    pub registered: Option<Iccid>,
    /// Notifications that nobody has taken yet.
    pub notifications: usize,
    /// Where the SM-DP+ has the local profile.
    pub state: ProfileState,
    /// How often the SM-DP+ has the local profile installed on the card, and elsewhere.
    pub installations: usize,
}

impl Consumer {
    /// Asks the card and the SM-DP+.
    ///
    /// # Errors
    /// One of them cannot be asked.
    pub async fn truth(&mut self) -> Result<Truth, Fault> {
        let card = |why| Fault::caused_by(why, "the card cannot be asked", "reset it");
        let local = self.start.local;
        let profiles = self.device.lpa.list().await.map_err(card)?;
        let enabled = self.device.lpa.enabled().await.map_err(card)?;
        let notifications = self.device.lpa.es10().list_notification().await.map_err(card)?.len();
        let server = self.sm_dp.party().ok_or_else(|| {
            Fault::new(
                "the SM-DP+ cannot be asked",
                "its process has ended",
                "wait until it is started again",
            )
        })?;
        let order = server.orders().await?.into_iter().find(|order| order.iccid == local);
        let state = order.map(|order| order.state).ok_or_else(|| {
            Fault::new("the SM-DP+ cannot be asked", "the local profile is not in stock", "report this")
        })?;
        Ok(Truth {
            profiles: profiles.iter().filter_map(|profile| profile.iccid).collect(),
            enabled,
            registered: self.device.modem.registered().map(|registered| registered.iccid),
            notifications,
            state,
            installations: server.installations(local).await?.len(),
        })
    }
}

impl Truth {
    /// Whether the local profile is on the card.
    pub fn has(&self, local: Iccid) -> bool {
        self.profiles.contains(&local)
    }

    /// What is not as it has to be once all is quiet: a profile that is lost, or there twice, or not in use although it is
    /// registered with; a server that has another opinion than the card. Empty when all is well.
    pub fn wrong(&self, bootstrap: Iccid, local: Iccid) -> Vec<String> {
        let mut wrong = Vec::new();
        let count = |iccid| self.profiles.iter().filter(|each| **each == iccid).count();
        let mut say = |is_so: bool, what: &str| {
            if is_so {
                wrong.push(format!("{what}: {self:?}"));
            }
        };
        say(count(bootstrap) != 1, "the bootstrap profile is not there once");
        say(count(local) > 1 || self.profiles.len() > 2, "a profile is there too often");
        say(self.registered.is_none(), "the device is not registered");
        say(
            self.registered != self.enabled,
            "the device is registered with another profile than the enabled one",
        );
        say(self.notifications > 0, "notifications have not been taken");
        say(self.has(local) != (self.state == ProfileState::Installed), "card and server do not agree");
        say(usize::from(self.has(local)) != self.installations, "the server counts installations otherwise");
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_being_wrong_is_said() {
        let [bootstrap, local, other]: [Iccid; 3] =
            ["89000123456789012341", "89494200000000000012", "89234990000000000019"]
                .map(|iccid| iccid.parse().unwrap());
        let moved = Truth {
            profiles: vec![bootstrap, local],
            enabled: Some(local),
            registered: Some(local),
            notifications: 0,
            state: ProfileState::Installed,
            installations: 1,
        };
        assert_eq!(moved.wrong(bootstrap, local), [""; 0]);
        let stayed = Truth {
            profiles: vec![bootstrap],
            enabled: Some(bootstrap),
            registered: Some(bootstrap),
            state: ProfileState::Released,
            installations: 0,
            ..moved.clone()
        };
        assert_eq!(stayed.wrong(bootstrap, local), [""; 0]);
        for (not_so, what) in [
            (Truth { profiles: vec![local], ..moved.clone() }, "the bootstrap profile is not there once"),
            (
                Truth { profiles: vec![bootstrap, local, local], ..moved.clone() },
                "a profile is there too often",
            ),
            (
                Truth { profiles: vec![bootstrap, local, other], ..moved.clone() },
                "a profile is there too often",
            ),
            (Truth { registered: None, enabled: None, ..moved.clone() }, "the device is not registered"),
            (Truth { enabled: Some(bootstrap), ..moved.clone() }, "registered with another profile"),
            (Truth { notifications: 1, ..moved.clone() }, "notifications have not been taken"),
            (Truth { state: ProfileState::Downloaded, ..moved.clone() }, "card and server do not agree"),
            (Truth { state: ProfileState::Installed, ..stayed.clone() }, "card and server do not agree"),
            (Truth { installations: 2, ..moved }, "the server counts installations otherwise"),
        ] {
            let wrong = not_so.wrong(bootstrap, local);
            assert!(matches!(&wrong[..], [only] if only.contains(what)), "{wrong:?}");
        }
    }
}
