//! The IPA: SGP.31, SGP.32 section 3.
//!
//! The IPA of a device (IPAd) has the modem of this device. The IPA inside a card (IPAe) runs the
//! same procedures with another [`Connectivity`].
//!
//! An IPA polls the eIMs of its eUICC, and executes one package after the other. It keeps the device
//! connected: if a new profile has no service, it rolls back, and if all service is lost, it uses the
//! Fallback Profile.
//!
//! | Module | Procedures |
//! |---|---|
//! | this module | the settings, and the sequence of a check-in: section 3.1.1.1 |
//! | `connectivity` | registration, rollback (section 3.3.2), fallback (section 3.6), emergency |
//! | `visit` | ESipa.GetEimPackage until the eIM has no package |
//! | `euicc_package` | ES10b.LoadEuiccPackage (section 3.3.1), and the results that an eIM has not acknowledged |
//! | `ipa_euicc_data` | requests for data: sections 2.11.1.2 and 2.11.2.2 |
//! | `profile_download` | the trigger of a download, and the direct download: section 3.2.3.1 |
//! | `indirect_download` | the download through the eIM: section 3.2.3.2 |
//! | `notifications` | notifications to SM-DP+s, direct and through the eIM: section 3.7 |
//! | `esipa` | the ESipa client, all bindings: sections 5.14 and 6 |
//! | `state` | what the IPA remembers when the power is off |
//!
//! The eUICC remembers most of the state: results and notifications until they are acknowledged, and
//! the permission to roll back. The IPA therefore asks the eUICC instead of keeping copies.

mod connectivity;
mod esipa;
mod euicc_package;
mod indirect_download;
mod ipa_euicc_data;
mod notifications;
mod profile_download;
mod report;
mod state;
mod visit;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rsp::ids::{Eid, Plmn};
use rsp::sgp32::es10b::{AddInitialEimOk, ConfigureImmediateProfileEnablingRequest};
use rsp::sgp32::ipa_data::ipa_features;
use rsp::sgp32::{self, EimConfigurationData};
use world::{CardInterface, Fault, Link, Memory};

pub use connectivity::Connectivity;
pub use esipa::{Binding, EsipaError};
pub use report::{CheckIn, ConnectionChange, ExecutedPackage, ResultDelivery, Visit, VisitEnd};
pub use state::MEMORY_CELL;

use super::device::{NoPause, Pause};
use super::es10::{Es10, Es10Error};
use super::event_source::EventSource;
use super::lpa::{HttpTraffic, Lpa, LpaSettings};
use super::modem::{Modem, NotRegistered};
use super::terminal::{Abilities, CardError};
use state::State;

/// Maximum packages of one eIM in one check-in. An eIM that sends more is visited again at the next
/// check-in, after the other eIMs.
pub const MAX_PACKAGES: usize = 100;

/// Resolves the eIM of a configuration to a link.
pub trait EimLinks: Send + Sync {
    /// Returns a new connection to the eIM, over the protocol of `binding`. `eim` has its host name,
    /// and the key or certificate that TLS and DTLS must trust.
    ///
    /// # Errors
    /// No link can be made for this configuration. A server that does not answer is detected only by
    /// a request.
    fn link(&self, eim: &EimConfigurationData, binding: Binding) -> Result<Link, Fault>;
}

impl<F> EimLinks for F
where
    F: Fn(&EimConfigurationData, Binding) -> Result<Link, Fault> + Send + Sync,
{
    fn link(&self, eim: &EimConfigurationData, binding: Binding) -> Result<Link, Fault> {
        self(eim, binding)
    }
}

/// The settings of an IPA.
#[derive(Clone, Debug)]
pub struct IpaSettings {
    /// The device, and the limits of requests and direct downloads. The Lpa that the IPA uses for
    /// direct downloads has the same.
    pub device: LpaSettings,
    /// The binding of ESipa with all eIMs. `None` chooses it from the configuration of each eIM:
    /// ASN.1, over HTTPS unless the eIM supports only CoAP.
    pub binding: Option<Binding>,
    /// The version of SGP.32 that the eIMs understand.
    pub peer_version: sgp32::Version,
    /// The functions of the IPA ([`ipa_features`]). Without
    /// [`ipa_features::DIRECT_RSP_SERVER_COMMUNICATION`] all downloads and notifications go through
    /// the eIM.
    pub features: Vec<usize>,
    /// The connection of the device.
    pub connection: Connection,
    /// Maximum attempts to register before the IPA considers the enabled profile not to work.
    pub registration_tries: u32,
    /// Maximum attempts to deliver the result of a package that permits a rollback.
    pub delivery_tries: u32,
    /// Time on the Fallback Profile after which the IPA tries to return from it.
    pub return_after: Duration,
}

/// The connection of a device to its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// The device is connected by the enabled profile.
    Cellular,
    /// The device has another connection, which does not depend on its profiles.
    Other,
}

impl Default for IpaSettings {
    fn default() -> Self {
        Self {
            device: LpaSettings { user_agent: rsp::sgp32::esipa::USER_AGENT_IPAD, ..LpaSettings::default() },
            binding: None,
            peer_version: sgp32::Version::default(),
            features: vec![
                ipa_features::DIRECT_RSP_SERVER_COMMUNICATION,
                ipa_features::INDIRECT_RSP_SERVER_COMMUNICATION,
                ipa_features::EIM_DOWNLOAD_DATA_HANDLING,
            ],
            connection: Connection::Cellular,
            registration_tries: 3,
            delivery_tries: 3,
            return_after: Duration::from_secs(3600),
        }
    }
}

impl IpaSettings {
    fn has(&self, feature: usize) -> bool {
        self.features.contains(&feature)
    }
}

/// An IPA with its card and its connection.
pub struct Ipa<D, C = Modem<D>> {
    /// Procedures that an IPA has in common with an LPA: the direct download and notifications.
    lpa: Lpa<D>,
    connectivity: C,
    eims: Arc<dyn EimLinks>,
    connected: Option<esipa::Connected>,
    settings: IpaSettings,
    memory: Box<dyn Memory>,
    state: State,
    pause: Box<dyn Pause>,
    events: EventSource,
    http: HttpTraffic,
    eid: Option<Eid>,
}

/// The reason why a check-in ended early.
#[derive(Debug, thiserror::Error)]
pub enum IpaError {
    /// The device has no connection.
    #[error(transparent)]
    NoService(#[from] NotRegistered),
    /// The eUICC refused, or could not be reached.
    #[error(transparent)]
    Card(#[from] Es10Error),
    /// The memory of the device failed.
    #[error(transparent)]
    Memory(Fault),
}

impl From<CardError> for IpaError {
    fn from(error: CardError) -> Self {
        Self::Card(error.into())
    }
}

impl<D: CardInterface> Ipa<D> {
    /// Creates the IPA of a device from these parts. `lpa` and `modem` must access the same card:
    /// see [`Slot`](super::Slot). `memory` is that of the device.
    ///
    /// # Errors
    /// The memory cannot be read.
    pub fn new(
        mut lpa: Lpa<D>,
        mut modem: Modem<D>,
        eims: impl EimLinks + 'static,
        settings: IpaSettings,
        memory: impl Memory + 'static,
        events: EventSource,
    ) -> Result<Self, Fault> {
        lpa.es10().announce_ipa();
        modem.terminal().set_abilities(Abilities::of_ipa());
        Self::of_parts(lpa, modem, eims, settings, memory, events)
    }

    /// Sets the networks that are received at the device's location, strongest first.
    pub fn set_visible(&mut self, visible: Vec<Plmn>) {
        self.connectivity.set_visible(visible);
    }

    /// Returns the modem.
    pub fn modem(&mut self) -> &mut Modem<D> {
        &mut self.connectivity
    }
}

impl<D: CardInterface, C: Connectivity> Ipa<D, C> {
    /// Creates an IPA inside the card of `lpa`. The IPA announces nothing to the card, because the
    /// terminal does this. `memory` is a part of the memory of the card.
    ///
    /// # Errors
    /// The memory cannot be read.
    pub fn inside_card(
        mut lpa: Lpa<D>,
        connectivity: C,
        eims: impl EimLinks + 'static,
        settings: IpaSettings,
        memory: impl Memory + 'static,
        events: EventSource,
    ) -> Result<Self, Fault> {
        lpa.es10().announce_nothing();
        Self::of_parts(lpa, connectivity, eims, settings, memory, events)
    }

    fn of_parts(
        lpa: Lpa<D>,
        connectivity: C,
        eims: impl EimLinks + 'static,
        settings: IpaSettings,
        memory: impl Memory + 'static,
        events: EventSource,
    ) -> Result<Self, Fault> {
        let memory: Box<dyn Memory> = Box::new(memory);
        let state = State::load(&*memory)?;
        Ok(Self {
            lpa,
            connectivity,
            eims: Arc::new(eims),
            connected: None,
            settings,
            memory,
            state,
            pause: Box::new(NoPause),
            events,
            http: HttpTraffic::default(),
            eid: None,
        })
    }

    /// Sets the delay between attempts.
    #[must_use]
    pub fn with_pause(mut self, pause: impl Pause + 'static) -> Self {
        self.pause = Box::new(pause);
        self
    }

    /// Returns the ES10 client.
    pub fn es10(&mut self) -> &mut Es10<D> {
        self.lpa.es10()
    }

    /// Returns the LPA, for the list of profiles and the EID. Its functions of ES10c fail on an IoT
    /// eUICC.
    pub fn lpa(&mut self) -> &mut Lpa<D> {
        &mut self.lpa
    }

    /// Returns the number of HTTP requests and octets so far.
    pub fn http_traffic(&self) -> HttpTraffic {
        self.http + self.lpa.http_traffic()
    }

    /// Associates the first eIMs with the eUICC: ES10b.AddInitialEim, section 3.5.2.1. Returns the
    /// entry of each eIM.
    ///
    /// # Errors
    /// The eUICC refuses: for example, it has an eIM already.
    pub async fn add_initial_eim(
        &mut self,
        eims: Vec<EimConfigurationData>,
    ) -> Result<Vec<AddInitialEimOk>, Es10Error> {
        self.es10().add_initial_eim(eims).await
    }

    /// Configures the immediate enabling of downloaded profiles, before the eUICC has an eIM: section
    /// 5.9.17.
    ///
    /// # Errors
    /// The eUICC refuses: an associated eIM must configure it.
    pub async fn configure_immediate_profile_enabling(
        &mut self,
        request: &ConfigureImmediateProfileEnablingRequest,
    ) -> Result<(), Es10Error> {
        self.es10().configure_immediate_profile_enabling(request).await
    }

    /// Connects the device, delivers earlier results, and polls every eIM until it has no package:
    /// section 3.1.1.1. Notifications are sent at the end.
    ///
    /// # Errors
    /// The device has no connection, or the card or the memory of the device fails. The report
    /// contains the refusals of eIMs and SM-DP+s.
    pub async fn check_in(&mut self) -> Result<CheckIn, IpaError> {
        let mut report = CheckIn::default();
        let done = self.check_in_with(&mut report).await;
        report.registered = self.connectivity.registered().cloned();
        done.map(|()| report)
    }

    async fn check_in_with(&mut self, report: &mut CheckIn) -> Result<(), IpaError> {
        // A device that slept does not know whether its network and its eIM still know it.
        self.connectivity.deregister();
        self.connected = None;
        self.connect(report).await?;
        self.return_if_due(report).await?;
        self.conclude_download().await?;
        self.deliver_kept_results(report).await?;
        // A package can add and delete eIMs.
        let mut visited = BTreeSet::new();
        loop {
            let eims = self.es10().get_eim_configuration_data().await?;
            let Some(eim) = eims.into_iter().find(|eim| !visited.contains(&eim.eim_id)) else { break };
            visited.insert(eim.eim_id.clone());
            self.visit(&eim, report).await?;
            // A new profile or a rollback may have interrupted the connection.
            self.connect(report).await?;
        }
        report.notifications = self.send_notifications().await?;
        Ok(())
    }

    /// Returns the EID, which is read once.
    async fn eid(&mut self) -> Result<Eid, Es10Error> {
        if let Some(eid) = self.eid {
            return Ok(eid);
        }
        let eid = self.es10().get_eid().await?;
        self.eid = Some(eid);
        Ok(eid)
    }
}
