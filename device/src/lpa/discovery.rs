//! Profiles that nobody gave an activation code for: what waits at the default SM-DP+, and event retrieval from the
//! root SM-DS, SGP.22 section 3.6.2.
//!
//! An event names a server and what to ask for there. That server may be another SM-DS, which is asked in turn; whether
//! it is one shows only in its answer.

use std::collections::{HashSet, VecDeque};

use rsp::activation_code::ActivationCode;
use rsp::ids::SmdpAddress;
use rsp::sgp22::es11::EventEntries;
use world::{CardDoor, Fault, Outcome};

use super::Lpa;
use super::authenticate::{ServerFlaw, SessionError};
use super::download::{DownloadError, DownloadOptions, Fetched, Installed};

/// How many events one discovery follows, all servers together: an SM-DS that names more is not helping.
pub const MAX_EVENTS: usize = 100;

/// An event, and what became of it.
#[derive(Debug)]
pub struct Discovered {
    /// As the SM-DS named it.
    pub event: EventEntries,
    /// The profile that waited there, or why none was installed: an event beyond [`MAX_EVENTS`] was not even followed.
    /// Its SM-DP+ takes the event away once it is installed.
    pub outcome: Result<Installed, DownloadError>,
}

impl<D: CardDoor> Lpa<D> {
    /// Section 3.6.2: asks the SM-DS what waits for this eUICC, and downloads all of it. No address is the root SM-DS of
    /// the eUICC. A profile that cannot be had does not keep the others away; `options` are those of each download.
    ///
    /// # Errors
    /// The SM-DS did not say what waits.
    pub async fn discover(
        &mut self,
        sm_ds: Option<&SmdpAddress>,
        mut options: DownloadOptions,
    ) -> Result<Vec<Discovered>, DownloadError> {
        let sm_ds = match sm_ds {
            Some(address) => address.clone(),
            None => parse(&self.configured_addresses().await?.root_ds_address, "root SM-DS")?,
        };
        let waiting = match self.fetch(&whatever_waits_at(sm_ds.clone()), &mut options).await? {
            Fetched::Events(events) => events,
            // What was asked is an SM-DP+, and had a profile for this eUICC.
            Fetched::Profile(installed) => {
                let event = EventEntries { event_id: String::new(), rsp_server_address: sm_ds.to_string() };
                return Ok(vec![Discovered { event, outcome: Ok(*installed) }]);
            }
        };
        let mut discovered = Vec::new();
        let mut agenda = Agenda { to_follow: VecDeque::from(waiting), seen: HashSet::new() };
        for _ in 0..MAX_EVENTS {
            let Some(event) = agenda.next() else { break };
            match self.retrieve(&event, &mut options).await {
                Ok(Fetched::Events(events)) => agenda.to_follow.extend(events),
                Ok(Fetched::Profile(installed)) => {
                    discovered.push(Discovered { event, outcome: Ok(*installed) });
                }
                Err(error) => discovered.push(Discovered { event, outcome: Err(error) }),
            }
        }
        let left: Vec<_> = agenda.collect();
        if !left.is_empty() {
            let why = format!("{} events were left: one discovery follows {MAX_EVENTS}", left.len());
            self.teller.tell(self.teller.event("discover").with_outcome(Outcome::Refused(why)));
        }
        discovered
            .extend(left.into_iter().map(|event| Discovered { event, outcome: Err(too_many().into()) }));
        Ok(discovered)
    }

    /// Downloads what waits for this eUICC at its default SM-DP+.
    ///
    /// # Errors
    /// No profile was installed, and why.
    pub async fn download_from_default(
        &mut self,
        options: DownloadOptions,
    ) -> Result<Installed, DownloadError> {
        let address = self.configured_addresses().await?.default_dp_address.filter(|text| !text.is_empty());
        let address = address.ok_or_else(|| {
            Fault::new(
                "cannot ask the default SM-DP+",
                "the eUICC has no address of one",
                "set one, or use an activation code",
            )
        })?;
        self.download(&whatever_waits_at(parse(&address, "default SM-DP+")?), options).await
    }

    async fn retrieve(
        &mut self,
        event: &EventEntries,
        options: &mut DownloadOptions,
    ) -> Result<Fetched, DownloadError> {
        let address = event.rsp_server_address.parse();
        let smdp_address = address.map_err(|_| ServerFlaw::EventAddress(event.rsp_server_address.clone()))?;
        let code = ActivationCode { matching_id: event.event_id.clone(), ..whatever_waits_at(smdp_address) };
        self.fetch(&code, options).await
    }
}

/// Events in the order in which they were named, each once.
struct Agenda {
    to_follow: VecDeque<EventEntries>,
    seen: HashSet<(String, String)>,
}

impl Iterator for Agenda {
    type Item = EventEntries;

    fn next(&mut self) -> Option<EventEntries> {
        loop {
            let event = self.to_follow.pop_front()?;
            if self.seen.insert((event.rsp_server_address.to_ascii_lowercase(), event.event_id.clone())) {
                return Some(event);
            }
        }
    }
}

fn too_many() -> Fault {
    Fault::new(
        "the event was not followed",
        format!("one discovery follows no more than {MAX_EVENTS} events"),
        "discover again once the others are out of the way",
    )
}

/// An empty MatchingID stands for whatever waits for this eUICC.
fn whatever_waits_at(smdp_address: SmdpAddress) -> ActivationCode {
    ActivationCode {
        smdp_address,
        matching_id: String::new(),
        smdp_oid: None,
        confirmation_code_required: false,
    }
}

fn parse(address: &str, whose: &str) -> Result<SmdpAddress, SessionError> {
    address.parse().map_err(|error| {
        Fault::caused_by(
            error,
            format!("cannot use the address of the {whose} that the eUICC has"),
            "use a card with a proper address, or name the server",
        )
        .into()
    })
}
