//! The toolkit of a device with an LPA: it reports the location status and performs the REFRESH
//! that a multi-IMSI applet requests (TS 102 223 sections 6.4.7, 6.4.15, 6.4.16 and 7.5.4).
//!
//! [`Online`](super::Online) executes proactive commands at any time; a device with an LPA executes
//! them only after an attempt to register. The LPA sends another TERMINAL PROFILE in between, so
//! the profile of the toolkit is sent again each time.

use std::sync::Arc;
use std::time::Duration;

use rsp::ota::cat::{Imei, LocationStatus};
use world::{CardInterface, NoDial, Outcome};

use super::device::{Device, ToolkitState};
use super::modem::{NotRegistered, Registered};
use super::online::service_without;
use super::terminal::{Abilities, CardError};
use super::toolkit::{self, Environment, ExecutedCommand, FollowUp, Identity, POLL_INTERVAL, Toolkit};

/// Maximum changes of identity per registration. The applet of this project makes fewer changes in
/// a day. After the maximum the device ignores further requests, and the card keeps its identity.
const MAX_IDENTITY_CHANGES: usize = 32;
/// Maximum proactive commands and envelopes per session. A card that begins a session sends a
/// handful.
const MAX_COMMANDS: usize = 16;
/// Maximum idle time that is recorded. No applet measures more than a day by counting the polls of
/// its terminal.
const MAX_IDLE_TIME: Duration = Duration::from_secs(86_400);

impl<D: CardInterface> Device<D> {
    /// Enables the toolkit: the device reports the location status to its card after every attempt
    /// to register, and performs the change of identity that the card requests in response.
    #[must_use]
    pub fn with_toolkit(mut self, imei: Imei) -> Self {
        self.modem.terminal().set_abilities(Abilities::serving(toolkit::profile_with_lpa().0));
        let toolkit = Toolkit::new(Identity { imei }, Arc::new(NoDial));
        self.toolkit_state = Some(ToolkitState { toolkit, idle_time: Duration::ZERO });
        self
    }

    /// Records idle time in which the device was on and only polled its card. The card uses the
    /// polls as its clock, so the device repeats the polls of the idle time at the next
    /// registration.
    pub fn record_idle_time(&mut self, idle_time: Duration) {
        if let Some(state) = &mut self.toolkit_state {
            state.idle_time = idle_time.min(MAX_IDLE_TIME);
        }
    }

    /// Registers with the enabled profile, with as many attempts as the settings allow. If the card
    /// changes its subscription in response, registers again.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn register(&mut self) -> Result<Registered, NotRegistered> {
        for _ in 0..MAX_IDENTITY_CHANGES {
            let result = self.register_current().await;
            if !self.run_toolkit_session(&result).await {
                return result;
            }
        }
        self.register_current().await
    }

    /// Runs a toolkit session. Returns true if the card has changed, so that the device must
    /// register again.
    pub(super) async fn run_toolkit_session(&mut self, result: &Result<Registered, NotRegistered>) -> bool {
        let Some(mut state) = self.toolkit_state.take() else { return false };
        let served = self.run_session(&mut state, result).await;
        self.toolkit_state = Some(state);
        served.unwrap_or_else(|error| {
            let event = self.events.event("toolkit session").with_peer("CAT", "card");
            self.events.emit(event.with_outcome(Outcome::Failed(error.to_string())));
            false
        })
    }

    async fn run_session(
        &mut self,
        state: &mut ToolkitState,
        result: &Result<Registered, NotRegistered>,
    ) -> Result<bool, CardError> {
        let ToolkitState { toolkit, idle_time } = state;
        let polls = std::mem::take(idle_time).as_secs() / POLL_INTERVAL.as_secs();
        toolkit.reset();
        if !self.modem.terminal().start_anew().await? {
            // No proactive command is pending, so the card has no toolkit applet that waits for
            // events.
            return Ok(false);
        }
        self.poll(polls).await?;
        let status = result.as_ref().map_or_else(service_without, |_| LocationStatus::Normal);
        let plmn = result.as_ref().ok().map(|registered| registered.plmn);
        let mut is_status_sent = false;
        for _ in 0..MAX_COMMANDS {
            if let Some(octets) = self.modem.terminal().fetch().await? {
                match self.execute(toolkit, status, &octets).await? {
                    FollowUp::Nothing => {}
                    FollowUp::ReadAgain => {
                        self.modem.forget();
                        return Ok(true);
                    }
                    FollowUp::Reset => {
                        self.modem.detach().await;
                        self.lpa.reset_card().await?;
                        self.modem.was_reset();
                        return Ok(true);
                    }
                }
            } else if let Some(envelope) = toolkit.next_envelope() {
                let octets = envelope.to_bytes();
                self.modem.terminal().envelope(&octets).await?;
                toolkit.envelope_sent();
                if status == LocationStatus::None {
                    // The device had no service during the whole idle time. The polls are repeated,
                    // because the card knows only now that there is no service.
                    self.poll(polls).await?;
                }
            } else if is_status_sent {
                break;
            } else {
                toolkit.service(status, plmn);
                is_status_sent = true;
            }
        }
        Ok(false)
    }

    async fn poll(&mut self, times: u64) -> Result<(), CardError> {
        for _ in 0..times {
            self.modem.terminal().status().await?;
        }
        Ok(())
    }

    async fn execute(
        &mut self,
        toolkit: &mut Toolkit,
        status: LocationStatus,
        octets: &[u8],
    ) -> Result<FollowUp, CardError> {
        let camped = match status {
            LocationStatus::Limited => self.modem.camped().await,
            LocationStatus::Normal | LocationStatus::None => None,
        };
        let (radio, attached) = (self.modem.radio(), self.modem.attachment());
        let environment = Environment { radio: &*radio, attached, camped };
        let ExecutedCommand { response, after, name, note } = toolkit.execute(octets, environment).await;
        self.events.emit(self.events.event(name).with_peer("CAT", "card").with_note(note));
        if let Some(response) = response {
            self.modem.terminal().respond(&response.to_bytes()).await?;
        }
        Ok(after)
    }
}
