//! The LPA in the device (LPAd): SGP.22 section 3.
//!
//! | Module | Procedures |
//! |---|---|
//! | this module | local profile management, section 3.2; eUICC management, section 3.3 |
//! | `authenticate` | common mutual authentication, section 3.0.1 |
//! | `download` | profile download, sections 3.1.2 and 3.1.3; common cancel session, section 3.0.2 |
//! | `discovery` | event retrieval, section 3.6.2; the default SM-DP+ |
//! | `notifications` | notifications, section 3.5 |
//! | `es9plus` | the ES9+ client, sections 5.6 and 6.5 |

mod authenticate;
mod discovery;
mod download;
mod es9plus;
mod notifications;
mod requests;

use std::sync::Arc;

use rsp::ids::{Eid, Iccid, SmdpAddress, Version};
use rsp::sgp22::es10b::EuiccConfiguredAddressesResponse;
use rsp::sgp22::es10c::{EnableResult, ProfileInfo};
use rsp::sgp22::{DeviceCapabilities, DeviceInfo, EuiccInfo1, EuiccInfo2, ProfileState};
use world::{CardInterface, Fault, Link};

pub(crate) use authenticate::check_transaction_id;
pub use authenticate::{ServerFlaw, SessionError};
pub(crate) use discovery::Agenda;
pub use discovery::{Discovered, MAX_EVENTS};
pub use download::{
    Cancelled, Consent, Decision, DownloadError, DownloadOptions, Expected, Installed, Offer,
};
pub(crate) use download::{Fetched, Objection, differs_from_offer};
use es9plus::Es9Plus;
pub use es9plus::{Es9Error, HttpTraffic, USER_AGENT_LPAD};
pub(crate) use notifications::delivery;
pub use notifications::{Delivery, Handled};

use super::es10::{Es10, Es10Error};
use super::event_source::EventSource;
use super::terminal::{CardError, Traffic};

/// Resolves the address in an activation code or a notification, `host` or `host:port`, to a link.
pub trait Links: Send + Sync {
    /// Returns a link to the server at this address.
    ///
    /// # Errors
    /// No link can be made for this address. A server that does not answer is detected only by a
    /// request.
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault>;
}

impl<F> Links for F
where
    F: Fn(&SmdpAddress) -> Result<Link, Fault> + Send + Sync,
{
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        self(address)
    }
}

/// The settings of an LPA: the description of its device, and its retry limits.
#[derive(Clone, Debug)]
pub struct LpaSettings {
    /// TAC, IMEI and releases of the device.
    pub device_info: DeviceInfo,
    /// The version of SGP.22 in `X-Admin-Protocol`.
    pub version: Version,
    /// `User-Agent` in requests to servers.
    pub user_agent: &'static str,
    /// Maximum attempts for a request that gets no response.
    pub request_tries: u32,
    /// Maximum sessions for a download that is interrupted by a loss of the server. The eUICC keeps
    /// its one-time key, so that an SM-DP+ can send the same package again (section 3.1.3).
    pub download_tries: u32,
}

impl Default for LpaSettings {
    fn default() -> Self {
        Self {
            device_info: DeviceInfo {
                tac: [0x35, 0x29, 0x06, 0x11],
                device_capabilities: DeviceCapabilities {
                    eutran_epc_supported_release: Some(Version([15, 0, 0])),
                    lpa_svn: Some(Version([2, 6, 0])),
                    ..DeviceCapabilities::default()
                },
                imei: None,
            },
            version: Version([2, 6, 0]),
            user_agent: USER_AGENT_LPAD,
            request_tries: 3,
            download_tries: 2,
        }
    }
}

/// An LPA with the card that it manages.
pub struct Lpa<D> {
    es10: Es10<D>,
    links: Arc<dyn Links>,
    settings: LpaSettings,
    events: EventSource,
    http: HttpTraffic,
}

/// The reason why a change of profiles failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The eUICC refused, or could not be reached.
    #[error(transparent)]
    Es10(#[from] Es10Error),
    /// The eUICC reported success, but after the REFRESH the profile is not in the requested state.
    #[error("the eUICC reported success, but profile {iccid} is {state}; try again, or reset the card")]
    UnexpectedState {
        /// The profile.
        iccid: Iccid,
        /// The actual state.
        state: &'static str,
    },
}

impl From<CardError> for ChangeError {
    fn from(error: CardError) -> Self {
        Self::Es10(error.into())
    }
}

impl<D: CardInterface> Lpa<D> {
    /// Creates an LPA for the card behind `card_interface`.
    pub fn new(
        card_interface: D,
        links: impl Links + 'static,
        settings: LpaSettings,
        events: EventSource,
    ) -> Self {
        let es10 = Es10::new(card_interface, events.clone());
        Self { es10, links: Arc::new(links), settings, events, http: HttpTraffic::default() }
    }

    /// Returns the number of APDUs and octets exchanged so far.
    pub fn card_traffic(&self) -> Traffic {
        self.es10.traffic()
    }

    /// Returns the number of HTTP requests and octets so far.
    pub fn http_traffic(&self) -> HttpTraffic {
        self.http
    }

    /// Returns the ES10 client.
    pub fn es10(&mut self) -> &mut Es10<D> {
        &mut self.es10
    }

    /// Returns the EID.
    pub async fn eid(&mut self) -> Result<Eid, Es10Error> {
        self.es10.get_eid().await
    }

    /// Returns EUICCInfo1 and EUICCInfo2.
    pub async fn chip_info(&mut self) -> Result<(EuiccInfo1, EuiccInfo2), Es10Error> {
        let info1 = self.es10.get_euicc_info1().await?.into_value();
        Ok((info1, self.es10.get_euicc_info2().await?.into_value()))
    }

    /// Returns all profiles on the card: section 3.2.4.
    pub async fn list(&mut self) -> Result<Vec<ProfileInfo>, Es10Error> {
        self.es10.get_profiles_info(None).await
    }

    /// Returns the ICCID of the enabled profile.
    pub async fn enabled(&mut self) -> Result<Option<Iccid>, Es10Error> {
        let profiles = self.list().await?;
        let enabled = profiles.iter().find(|profile| profile.profile_state == Some(ProfileState::ENABLED));
        Ok(enabled.and_then(|profile| profile.iccid))
    }

    /// Enables a profile, performs the REFRESH, and verifies the result: section 3.2.1.
    ///
    /// Succeeds if the profile is enabled already. After a lost response, the outcome is determined
    /// by the actual state of the profile on the card.
    pub async fn enable(&mut self, iccid: Iccid) -> Result<(), ChangeError> {
        match self.es10.enable_profile(iccid, true).await {
            Ok(()) => self.es10.refresh().await?,
            Err(error) if error.code() == Some(EnableResult::PROFILE_NOT_IN_DISABLED_STATE.0) => {}
            Err(error) if error.code() == Some(EnableResult::CAT_BUSY.0) => {
                // A REFRESH is pending that the device never fetched. The device resets the card in
                // place of that REFRESH; the answer after the reset is final.
                self.es10.reset().await?;
                match self.es10.enable_profile(iccid, true).await {
                    Ok(()) => self.es10.refresh().await?,
                    Err(error) if error.code() == Some(EnableResult::PROFILE_NOT_IN_DISABLED_STATE.0) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) if error.outcome_is_unknown() => self.es10.reset().await?,
            Err(error) => return Err(error.into()),
        }
        self.expect_state(iccid, Some(ProfileState::ENABLED)).await
    }

    /// Disables a profile, performs the REFRESH, and verifies the result: section 3.2.2.
    pub async fn disable(&mut self, iccid: Iccid) -> Result<(), ChangeError> {
        match self.es10.disable_profile(iccid, true).await {
            Ok(()) => self.es10.refresh().await?,
            Err(error) if error.outcome_is_unknown() => self.es10.reset().await?,
            Err(error) => return Err(error.into()),
        }
        self.expect_state(iccid, Some(ProfileState::DISABLED)).await
    }

    /// Deletes a disabled profile: section 3.2.3.
    pub async fn delete(&mut self, iccid: Iccid) -> Result<(), ChangeError> {
        match self.es10.delete_profile(iccid).await {
            Ok(()) => Ok(()),
            Err(error) if error.outcome_is_unknown() => {
                self.es10.reset().await?;
                self.expect_state(iccid, None).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn expect_state(
        &mut self,
        iccid: Iccid,
        expected: Option<ProfileState>,
    ) -> Result<(), ChangeError> {
        let profiles = self.es10.get_profiles_info(Some(iccid)).await?;
        let found = profiles.first().and_then(|profile| profile.profile_state);
        if found == expected {
            return Ok(());
        }
        let state = match found {
            None => "not on the card",
            Some(ProfileState::ENABLED) => "enabled",
            Some(_) => "disabled",
        };
        Err(ChangeError::UnexpectedState { iccid, state })
    }

    /// Sets the nickname of a profile: section 3.2.6. An empty text removes the nickname.
    pub async fn set_nickname(&mut self, iccid: Iccid, nickname: &str) -> Result<(), Es10Error> {
        self.es10.set_nickname(iccid, nickname).await
    }

    /// Resets the eUICC memory, section 3.3.2, and performs the REFRESH. The options are those of
    /// `rsp::sgp22::es10c::reset_options`.
    pub async fn memory_reset(&mut self, options: &[usize]) -> Result<(), ChangeError> {
        self.es10.euicc_memory_reset(options).await?;
        Ok(self.es10.refresh().await?)
    }

    /// Sets the default SM-DP+ address: section 3.3.3. `None` removes the address.
    pub async fn set_default_smdp_address(&mut self, address: Option<&SmdpAddress>) -> Result<(), Es10Error> {
        self.es10.set_default_dp_address(address).await
    }

    /// Returns the addresses of the default SM-DP+ and the root SM-DS.
    pub async fn configured_addresses(&mut self) -> Result<EuiccConfiguredAddressesResponse, Es10Error> {
        self.es10.get_euicc_configured_addresses().await
    }

    /// Resets the card.
    pub async fn reset_card(&mut self) -> Result<(), CardError> {
        self.es10.reset().await
    }

    fn es9plus(&mut self, address: &SmdpAddress) -> Result<Es9Plus<'_>, Fault> {
        Ok(Es9Plus {
            link: self.links.link(address)?,
            address: address.to_string(),
            version: self.settings.version,
            user_agent: self.settings.user_agent,
            tries: self.settings.request_tries,
            events: &self.events,
            traffic: &mut self.http,
        })
    }
}
