//! Downloads without an activation code: from the default SM-DP+, and by event retrieval from the
//! root SM-DS, SGP.22 section 3.6.2.
//!
//! An event consists of a server address and an event ID for the request to that server. The server
//! may be another SM-DS; the LPA then queries that SM-DS too. Only the server's response shows
//! whether the server is an SM-DP+ or an SM-DS.

use std::collections::{HashSet, VecDeque};

use rsp::activation_code::ActivationCode;
use rsp::ids::SmdpAddress;
use rsp::sgp22::es11::EventEntries;
use world::{CardInterface, Fault};

use super::Lpa;
use super::authenticate::{ServerFlaw, SessionError};
use super::download::{DownloadError, DownloadOptions, Fetched, Installed, Loaded};

/// Maximum events that one discovery follows, over all servers. The limit protects against an SM-DS
/// that announces events without end.
pub const MAX_EVENTS: usize = 100;

/// An event and its outcome.
#[derive(Debug)]
pub struct Discovered {
    /// The event that the SM-DS announced.
    pub event: EventEntries,
    /// The profile that was downloaded, or the reason for the failure. Events beyond
    /// [`MAX_EVENTS`] are not followed. The SM-DP+ deletes the event after the installation.
    pub outcome: Result<Installed, DownloadError>,
}

impl<D: CardInterface> Lpa<D> {
    /// Retrieves the events for this eUICC from the SM-DS, and downloads all announced profiles:
    /// section 3.6.2. Without an address the root SM-DS of the eUICC is used. After a failed
    /// download the other downloads are still performed. `options` apply to each download.
    ///
    /// # Errors
    /// The event retrieval from the SM-DS failed.
    pub async fn discover(
        &mut self,
        sm_ds: Option<&SmdpAddress>,
        mut options: DownloadOptions,
    ) -> Result<Vec<Discovered>, DownloadError> {
        let code = self.sm_ds_activation_code(sm_ds).await?;
        let waiting = match self.fetch(&code, &mut options).await? {
            Fetched::Events(events) => events,
            // The server is an SM-DP+ and had a profile for this eUICC.
            Fetched::Package(loaded) => {
                let event = EventEntries {
                    event_id: String::new(),
                    rsp_server_address: code.smdp_address.to_string(),
                };
                return Ok(vec![Discovered { event, outcome: self.conclude(*loaded).await }]);
            }
        };
        let mut discovered = Vec::new();
        let mut agenda = Agenda::of(waiting);
        while let Some((event, loaded)) = self.follow(&mut agenda, &mut options).await {
            let outcome = match loaded {
                Ok(loaded) => self.conclude(*loaded).await,
                // req: SGP.22-3.6.2-Independent
                Err(error) => Err(error),
            };
            discovered.push(Discovered { event, outcome });
        }
        discovered.extend(agenda.map(|event| Discovered { event, outcome: Err(too_many().into()) }));
        Ok(discovered)
    }

    /// Follows the next events, over further SM-DSs, up to a package or a failure. Returns `None` if no
    /// event is left, or after [`MAX_EVENTS`] events.
    pub(crate) async fn follow(
        &mut self,
        agenda: &mut Agenda,
        options: &mut DownloadOptions,
    ) -> Option<(EventEntries, Result<Box<Loaded>, DownloadError>)> {
        while agenda.followed < MAX_EVENTS {
            let event = agenda.next()?;
            agenda.followed += 1;
            match self.retrieve(&event, options).await {
                Ok(Fetched::Events(events)) => agenda.to_follow.extend(events),
                Ok(Fetched::Package(loaded)) => return Some((event, Ok(loaded))),
                Err(error) => return Some((event, Err(error))),
            }
        }
        None
    }

    /// Downloads the profile that is prepared for this eUICC at its default SM-DP+.
    ///
    /// # Errors
    /// No profile was installed. The error contains the reason.
    pub async fn download_from_default(
        &mut self,
        options: DownloadOptions,
    ) -> Result<Installed, DownloadError> {
        let code = self.default_activation_code().await?;
        self.download(&code, options).await
    }

    /// Returns an activation code for any profile at the default SM-DP+ of the eUICC.
    pub(crate) async fn default_activation_code(&mut self) -> Result<ActivationCode, SessionError> {
        let address = self.configured_addresses().await?.default_dp_address.filter(|text| !text.is_empty());
        let address = address.ok_or_else(|| {
            Fault::usage(
                "cannot use the default SM-DP+",
                "no address is configured on the eUICC",
                "set one, or use an activation code",
            )
        })?;
        Ok(any_profile_at(parse(&address, "default SM-DP+")?))
    }

    /// Returns an activation code for any event at an SM-DS; without an address, at the root SM-DS of
    /// the eUICC.
    pub(crate) async fn sm_ds_activation_code(
        &mut self,
        sm_ds: Option<&SmdpAddress>,
    ) -> Result<ActivationCode, SessionError> {
        Ok(any_profile_at(match sm_ds {
            Some(address) => address.clone(),
            None => parse(&self.configured_addresses().await?.root_ds_address, "root SM-DS")?,
        }))
    }

    async fn retrieve(
        &mut self,
        event: &EventEntries,
        options: &mut DownloadOptions,
    ) -> Result<Fetched, DownloadError> {
        let address = event.rsp_server_address.parse();
        let smdp_address = address.map_err(|_| ServerFlaw::EventAddress(event.rsp_server_address.clone()))?;
        let code = ActivationCode { matching_id: event.event_id.clone(), ..any_profile_at(smdp_address) };
        self.fetch(&code, options).await
    }
}

/// The queue of events to follow. It yields each event once, in the order of announcement.
pub(crate) struct Agenda {
    to_follow: VecDeque<EventEntries>,
    seen: HashSet<(String, String)>,
    followed: usize,
}

impl Agenda {
    /// The queue of the events that an SM-DS returned.
    pub(crate) fn of(events: Vec<EventEntries>) -> Self {
        Self { to_follow: events.into(), seen: HashSet::new(), followed: 0 }
    }
}

impl Iterator for Agenda {
    type Item = EventEntries;

    fn next(&mut self) -> Option<EventEntries> {
        loop {
            let event = self.to_follow.pop_front()?;
            // req: SGP.22-3.6.2-Once
            if self.seen.insert((event.rsp_server_address.to_ascii_lowercase(), event.event_id.clone())) {
                return Some(event);
            }
        }
    }
}

fn too_many() -> Fault {
    Fault::new(
        "the event was not followed",
        format!("one discovery follows at most {MAX_EVENTS} events"),
        "repeat the discovery after the other events have been processed",
    )
}

/// Returns an activation code with an empty MatchingID, which requests any profile for this eUICC.
fn any_profile_at(smdp_address: SmdpAddress) -> ActivationCode {
    ActivationCode {
        smdp_address,
        matching_id: String::new(),
        smdp_oid: None,
        confirmation_code_required: false,
        findings: Vec::new(),
    }
}

fn parse(address: &str, whose: &str) -> Result<SmdpAddress, SessionError> {
    address.parse().map_err(|error| {
        Fault::caused_by(
            error,
            format!("cannot use the address of the {whose} on the eUICC"),
            "use a card with a valid address, or specify the server",
        )
        .into()
    })
}
