//! AT commands for the profiles of the eUICC: TS 27.007 (Release 19) section 20. The LPA of the modem
//! executes them.
//!
//! Names and purposes of the commands are those of the standard. The order of the parameters is our
//! own choice, because the full text of the section was not available. docs/how-to/modem.md
//! describes it.

use crypto::Secret;
use rsp::activation_code::ActivationCode;
use rsp::ids::{Iccid, SmdpAddress};
use rsp::sgp22::es10c::{ProfileInfo, reset_options};
use rsp::sgp22::{ProfileState, notification_event};
use world::CardInterface;

use super::general::action;
use super::line::{Parameters, Verb};
use super::refusal::{CmeError, Refusal};
use super::{Answer, AtModem};
use crate::es10::Es10Error;
use crate::lpa::{ChangeError, DownloadOptions, Lpa};

impl<D: CardInterface> AtModem<D> {
    /// Adds an LPA, which executes the commands of the eUICC. It must use the card of the modem,
    /// through a [`Slot`](crate::Slot).
    #[must_use]
    pub fn with_lpa(mut self, lpa: Lpa<D>) -> Self {
        self.lpa = Some(lpa);
        self
    }

    /// Executes a command of this module.
    pub(super) async fn euicc(&mut self, name: &str, verb: &Verb) -> Answer {
        // The card must be on, and its terminal's capabilities announced.
        self.card().await?;
        let Some(mut lpa) = self.lpa.take() else { return Err(CmeError::OPERATION_NOT_SUPPORTED.into()) };
        let answer = match name {
            "+CGEUICCID" => eid(&mut lpa, verb).await,
            "+CEUICCPD" => download(&mut lpa, verb).await,
            "+CEUICCPM" => self.change(&mut lpa, verb).await,
            "+CEUICCPMETAI" => metadata(&mut lpa, verb).await,
            "+CEUICCMEMRESET" => self.memory_reset(&mut lpa, verb).await,
            "+CEUICCSMDPA" => default_address(&mut lpa, verb).await,
            "+CEUICCPNM" => notifications(&mut lpa, verb).await,
            _ => Err(Refusal::Error),
        };
        // The LPA closes its channel, because it would not notice that a reset of the card closes
        // it. If the card does not answer, the next command reports this.
        let _ = lpa.es10().close().await;
        self.lpa = Some(lpa);
        answer
    }

    /// +CEUICCPM, profile management: `<op>,<iccid>`, with the operations 0 (disable), 1 (enable) and
    /// 2 (delete).
    async fn change(&mut self, lpa: &mut Lpa<D>, verb: &Verb) -> Answer {
        let parameters = match verb {
            Verb::Set(parameters) => parameters,
            Verb::Test => return Ok(vec!["+CEUICCPM: (0-2)".to_owned()]),
            Verb::Execute | Verb::Read => return Err(Refusal::Error),
        };
        let iccid = iccid(parameters, 1)?;
        let changed = match parameters.number::<u8>(0)? {
            Some(0) => lpa.disable(iccid).await,
            Some(1) => lpa.enable(iccid).await,
            Some(2) => return Ok(lpa.delete(iccid).await.map(|()| Vec::new())?),
            _ => return Err(CmeError::INCORRECT_PARAMETERS.into()),
        };
        self.was_reset_by_lpa();
        Ok(changed.map(|()| Vec::new())?)
    }

    /// +CEUICCMEMRESET: deletes the operational profiles and the test profiles that were loaded in the
    /// field, and resets the default SM-DP+ address.
    async fn memory_reset(&mut self, lpa: &mut Lpa<D>, verb: &Verb) -> Answer {
        if *verb != Verb::Execute {
            return action(verb, Vec::new);
        }
        let all = [
            reset_options::DELETE_OPERATIONAL_PROFILES,
            reset_options::DELETE_FIELD_LOADED_TEST_PROFILES,
            reset_options::RESET_DEFAULT_SMDP_ADDRESS,
        ];
        let reset = lpa.memory_reset(&all).await;
        self.was_reset_by_lpa();
        Ok(reset.map(|()| Vec::new())?)
    }

    fn was_reset_by_lpa(&mut self) {
        self.modem.was_reset();
        self.forget_card();
        self.is_card_changed = true;
    }
}

/// +CGEUICCID: the EID.
async fn eid<D: CardInterface>(lpa: &mut Lpa<D>, verb: &Verb) -> Answer {
    match verb {
        Verb::Execute | Verb::Read => Ok(vec![format!("+CGEUICCID: \"{}\"", lpa.eid().await?)]),
        Verb::Test => Ok(vec![]),
        Verb::Set(_) => Err(Refusal::Error),
    }
}

/// +CEUICCPD, profile download: `<activation code>[,<confirmation code>]`. The answer is the ICCID.
async fn download<D: CardInterface>(lpa: &mut Lpa<D>, verb: &Verb) -> Answer {
    let parameters = match verb {
        Verb::Set(parameters) => parameters,
        Verb::Test => return Ok(vec![]),
        Verb::Execute | Verb::Read => return Err(Refusal::Error),
    };
    let incorrect = || Refusal::from(CmeError::INCORRECT_PARAMETERS);
    let code: ActivationCode = parameters.text(0).and_then(|code| code.parse().ok()).ok_or_else(incorrect)?;
    let confirmation_code = parameters.text(1).map(|code| Secret::new(code.to_owned()));
    let options = DownloadOptions { confirmation_code, ..DownloadOptions::default() };
    match lpa.download(&code, options).await {
        Ok(installed) => Ok(vec![format!("+CEUICCPD: \"{}\"", installed.iccid)]),
        Err(error) => {
            tracing::warn!(%error, "the download of a profile failed");
            Err(CmeError::UNKNOWN.into())
        }
    }
}

/// +CEUICCPMETAI, profile metadata: `?` lists the profiles, and `<iccid>,<nickname>` sets a nickname.
async fn metadata<D: CardInterface>(lpa: &mut Lpa<D>, verb: &Verb) -> Answer {
    match verb {
        Verb::Read => Ok(lpa.list().await?.iter().map(listed).collect()),
        Verb::Test => Ok(vec![]),
        Verb::Set(parameters) => {
            let nickname = parameters.text(1).unwrap_or_default();
            lpa.set_nickname(iccid(parameters, 0)?, nickname).await?;
            Ok(vec![])
        }
        Verb::Execute => Err(Refusal::Error),
    }
}

/// Formats `<iccid>,<state>,<nickname>,<service provider name>,<profile name>,<class>`, where state 1
/// is enabled.
fn listed(profile: &ProfileInfo) -> String {
    let text = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        text.chars().map(|c| if c == '"' || c.is_control() { '\'' } else { c }).collect::<String>()
    };
    let iccid = profile.iccid.map(|iccid| iccid.to_string()).unwrap_or_default();
    let state = u8::from(profile.profile_state == Some(ProfileState::ENABLED));
    format!(
        "+CEUICCPMETAI: \"{iccid}\",{state},\"{}\",\"{}\",\"{}\",{}",
        text(&profile.profile_nickname),
        text(&profile.service_provider_name),
        text(&profile.profile_name),
        profile.profile_class.map(|class| class.0.to_string()).unwrap_or_default(),
    )
}

/// +CEUICCSMDPA, default SM-DP+ address. An empty address removes it.
async fn default_address<D: CardInterface>(lpa: &mut Lpa<D>, verb: &Verb) -> Answer {
    match verb {
        Verb::Read => {
            let addresses = lpa.configured_addresses().await?;
            let default = addresses.default_dp_address.unwrap_or_default();
            Ok(vec![format!("+CEUICCSMDPA: \"{default}\",\"{}\"", addresses.root_ds_address)])
        }
        Verb::Test => Ok(vec![]),
        Verb::Set(parameters) => {
            let address: Option<SmdpAddress> = match parameters.text(0) {
                None => None,
                Some(text) => Some(text.parse().map_err(|_| CmeError::INCORRECT_PARAMETERS)?),
            };
            lpa.set_default_smdp_address(address.as_ref()).await?;
            Ok(vec![])
        }
        Verb::Execute => Err(Refusal::Error),
    }
}

/// +CEUICCPNM, pending notifications: `?` lists them as `<number>,<event>,<address>,<iccid>`; `0` sends
/// all of them, and `1,<number>` removes one.
async fn notifications<D: CardInterface>(lpa: &mut Lpa<D>, verb: &Verb) -> Answer {
    let parameters = match verb {
        Verb::Read => {
            let pending = lpa.es10().list_notification().await?;
            return Ok(pending
                .iter()
                .map(|each| {
                    let iccid = each.iccid.map(|iccid| iccid.to_string()).unwrap_or_default();
                    let event = event_number(|bit| each.profile_management_operation.has(bit));
                    let address = each.notification_address.replace('"', "'");
                    format!("+CEUICCPNM: {},{event},\"{address}\",\"{iccid}\"", each.seq_number)
                })
                .collect());
        }
        Verb::Test => return Ok(vec!["+CEUICCPNM: (0,1)".to_owned()]),
        Verb::Set(parameters) => parameters,
        Verb::Execute => return Err(Refusal::Error),
    };
    match (parameters.number::<u8>(0)?, parameters.number::<i64>(1)?) {
        (Some(0), None) => {
            let deliveries = lpa.process_notifications().await?;
            let failures: Vec<String> = deliveries.iter().filter_map(crate::lpa::Delivery::failure).collect();
            if failures.is_empty() {
                return Ok(vec![]);
            }
            tracing::warn!(?failures, "notifications remain on the card");
            Err(CmeError::UNKNOWN.into())
        }
        (Some(1), Some(number)) => {
            lpa.es10().remove_notification_from_list(number).await?;
            Ok(vec![])
        }
        _ => Err(CmeError::INCORRECT_PARAMETERS.into()),
    }
}

/// Returns 0 for install, 1 for enable, 2 for disable and 3 for delete.
fn event_number(is_event: impl Fn(usize) -> bool) -> usize {
    use notification_event::{DELETE, DISABLE, ENABLE, INSTALL};
    [INSTALL, ENABLE, DISABLE, DELETE].into_iter().position(is_event).unwrap_or_default()
}

fn iccid(parameters: &Parameters, at: usize) -> Result<Iccid, Refusal> {
    let iccid = parameters.text(at).and_then(|text| text.parse().ok());
    Ok(iccid.ok_or(CmeError::INCORRECT_PARAMETERS)?)
}

impl From<Es10Error> for Refusal {
    fn from(error: Es10Error) -> Self {
        // Result code 1 of the functions for profiles: the profile or notification was not found.
        const NOT_FOUND: i64 = 1;
        match error {
            Es10Error::Card(error) => error.into(),
            Es10Error::Refused { .. } if error.code() == Some(NOT_FOUND) => CmeError::NOT_FOUND.into(),
            Es10Error::Refused { .. } => CmeError::OPERATION_NOT_ALLOWED.into(),
        }
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Es10(error) => error.into(),
            ChangeError::UnexpectedState { .. } => CmeError::SIM_FAILURE.into(),
        }
    }
}
