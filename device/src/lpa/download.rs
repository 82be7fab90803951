//! Profile download: SGP.22 sections 3.1.2 and 3.1.3 (download and installation), 3.0.2 (common cancel session).
//!
//! Everything that ends a session before the package is loaded is told to the SM-DP+ with the reason that keeps the
//! order alive or ends it, as section 5.7.14 has it.

use std::fmt;

use rsp::activation_code::ActivationCode;
use rsp::der::{Asn1, Raw};
use rsp::ids::{Aid, Iccid, SmdpAddress, TransactionId};
use rsp::sgp22::es8plus::{
    BoundProfilePackage, BppCommandId, ErrorReason, FinalResult, ProfileInstallationResult,
    StoreMetadataRequest,
};
use rsp::sgp22::es9plus::{
    AuthenticateClientOk, BoundProfilePackageDer, CancelSession, CancelSessionRequestEs9, Function,
    GetBoundProfilePackage, GetBoundProfilePackageRequest, InitiateAuthentication,
};
use rsp::sgp22::es10b::{DownloadErrorCode, PrepareDownloadRequest, PrepareDownloadResponse};
use rsp::sgp22::es11::EventEntries;
use rsp::sgp22::{CancelSessionReason, PendingNotification, ProfileClass, ppr};
use rsp::status::Status;
use serde::Serialize;
use world::{CardDoor, Fault, Outcome};

use super::Lpa;
use super::authenticate::{AuthenticateClientAnywhere, ServerFlaw, SessionError, Waiting, same_transaction};
use super::es9plus::Es9Error;
use super::notifications::{Delivery, delivery};
use crate::es10::{Es10Error, LoadError};
use crate::terminal::CardError;

/// What the user says to a download.
#[derive(Default)]
pub struct DownloadOptions {
    /// As the operator gave it to the user.
    pub confirmation_code: Option<String>,
    /// What the metadata must say; anything else ends the session.
    pub expected: Expected,
    /// Who is asked before the profile is downloaded.
    pub consent: Consent,
}

/// What the metadata must say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// This profile and no other.
    pub iccid: Option<Iccid>,
    /// From this provider.
    pub service_provider_name: Option<String>,
}

/// Who is asked before a profile is downloaded: section 3.1.3.
#[derive(Default)]
pub enum Consent {
    /// Nobody: whoever began the download has agreed to it and to what the profile brings.
    #[default]
    Given,
    /// This function.
    Ask(Box<dyn FnMut(&Offer<'_>) -> Decision + Send>),
}

/// What the user is asked.
#[derive(Debug)]
pub struct Offer<'a> {
    /// What would be installed.
    pub metadata: &'a StoreMetadataRequest,
    /// Whether the profile has policy rules to which the user must agree ("strong confirmation").
    pub policy_rules_need_consent: bool,
    /// Whether the SM-DP+ wants a confirmation code.
    pub confirmation_code_required: bool,
}

/// What the user answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Accept,
    /// No.
    Reject,
    /// Not now.
    Postpone,
    /// Nothing.
    NoAnswer,
}

/// A profile is on the card, disabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// The profile.
    pub iccid: Iccid,
    /// Its ISD-P.
    pub isdp_aid: Aid,
    /// What the SM-DP+ said of it.
    pub metadata: StoreMetadataRequest,
    /// What became of the ProfileInstallationResult on its way to the SM-DP+.
    pub notification: Delivery,
}

/// Why no profile was installed. The variant says who said no.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The session with the SM-DP+ came to nothing.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The eUICC refused the offer of the profile. The SM-DP+ was told.
    #[error("the eUICC refused to prepare the download: {0}")]
    NotPrepared(DownloadErrorCode),
    /// The LPA, or its user, ended the session. The SM-DP+ was told, unless it says so here.
    #[error("{0}")]
    Cancelled(Cancelled),
    /// The eUICC did not install the package; the SM-DP+ is told by notification.
    #[error("the eUICC did not install the package: {reason} at {at}")]
    NotInstalled {
        /// Where.
        at: BppCommandId,
        /// Why.
        reason: ErrorReason,
        /// What became of the notification.
        notification: Delivery,
    },
}

/// What ends any session ends a download.
macro_rules! session_errors {
    ($($error:ty),+) => { $(
        impl From<$error> for DownloadError {
            fn from(error: $error) -> Self {
                Self::Session(error.into())
            }
        }
    )+ };
}

session_errors!(Fault, Es10Error, Es9Error, ServerFlaw, CardError);

impl DownloadError {
    /// Whether the same activation code may work another time: nobody has said no for good.
    pub fn may_be_tried_again(&self) -> bool {
        match self {
            Self::Session(error) => error.may_be_tried_again(),
            Self::Cancelled(cancelled) => cancelled.reason.keeps_the_order(),
            Self::NotPrepared(_) | Self::NotInstalled { .. } => false,
        }
    }
}

/// What there was at a server.
pub(super) enum Fetched {
    /// A profile. It is on the card.
    Profile(Box<Installed>),
    /// Word of other servers.
    Events(Vec<EventEntries>),
}

/// A session that was ended before the package was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// As told to eUICC and SM-DP+.
    pub reason: CancelSessionReason,
    /// For a person.
    pub why: String,
    /// Why the SM-DP+ could not be told, if so.
    pub not_told: Option<String>,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the download was cancelled ({}): {}", self.reason, self.why)?;
        match &self.not_told {
            Some(not_told) => write!(f, "; the SM-DP+ could not be told: {not_told}"),
            None => Ok(()),
        }
    }
}

/// A reason to cancel.
struct Objection {
    reason: CancelSessionReason,
    why: String,
}

impl<D: CardDoor> Lpa<D> {
    /// Downloads and installs the profile that an activation code names. The profile is disabled afterwards.
    ///
    /// # Errors
    /// No profile was installed, and why. The eUICC has nothing left of it but a notification.
    pub async fn download(
        &mut self,
        code: &ActivationCode,
        mut options: DownloadOptions,
    ) -> Result<Installed, DownloadError> {
        match self.fetch(code, &mut options).await? {
            Fetched::Profile(installed) => Ok(*installed),
            Fetched::Events(_) => Err(ServerFlaw::SmDs.into()),
        }
    }

    /// The same at a server that may be an SM-DS. A session that was cut off is begun again.
    pub(super) async fn fetch(
        &mut self,
        code: &ActivationCode,
        options: &mut DownloadOptions,
    ) -> Result<Fetched, DownloadError> {
        let mut tries_left = self.settings.download_tries.max(1);
        loop {
            tries_left = tries_left.saturating_sub(1);
            match self.run(code, options).await {
                Err(error) if tries_left > 0 && is_worth_another_session(&error) => {
                    let event = self.teller.event("begin the download again");
                    self.teller.tell(event.with_note(error.to_string()));
                }
                result => return result,
            }
        }
    }

    async fn run(
        &mut self,
        code: &ActivationCode,
        options: &mut DownloadOptions,
    ) -> Result<Fetched, DownloadError> {
        let (transaction_id, answer) = self.authenticate::<AuthenticateClientAnywhere>(code).await?;
        match answer {
            Waiting::Events(events) => {
                same_transaction("AuthenticateClient", &transaction_id, &events.transaction_id)?;
                Ok(Fetched::Events(events.event_entries))
            }
            Waiting::Profile(offered) => {
                let session = Session { address: &code.smdp_address, transaction_id: &transaction_id };
                let installed = self.take(session, *offered, options).await?;
                Ok(Fetched::Profile(Box::new(installed)))
            }
        }
    }

    /// Section 3.1.3: from the offer of a profile to its result.
    async fn take(
        &mut self,
        session: Session<'_>,
        offered: AuthenticateClientOk,
        options: &mut DownloadOptions,
    ) -> Result<Installed, DownloadError> {
        let Session { address, transaction_id } = session;
        for found in [&offered.transaction_id, &offered.smdp_signed2.transaction_id] {
            if let Err(flaw) = same_transaction("AuthenticateClient", transaction_id, found) {
                return Err(self.distrust(session, flaw).await);
            }
        }
        let hash_cc = match self.consider(&offered, options, transaction_id).await? {
            Ok(hash_cc) => hash_cc,
            Err(objection) => return Err(self.cancel(session, objection).await),
        };
        let metadata = offered.profile_metadata;
        let prepare = PrepareDownloadRequest {
            smdp_signed2: offered.smdp_signed2,
            smdp_signature2: offered.smdp_signature2,
            hash_cc,
            smdp_certificate: offered.smdp_certificate,
        };
        let prepare_download_response = self.es10.prepare_download(&prepare).await?;
        let refused = match &prepare_download_response {
            PrepareDownloadResponse::DownloadResponseOk(_) => None,
            PrepareDownloadResponse::DownloadResponseError(error) => Some(error.download_error_code),
        };
        let request = GetBoundProfilePackageRequest {
            transaction_id: transaction_id.clone(),
            prepare_download_response,
        };
        let answer = self.es9plus(address)?.call::<GetBoundProfilePackage>(&request).await;
        if let Some(code) = refused {
            // The SM-DP+ has been told; whatever it makes of that, the eUICC's no is final.
            return Err(DownloadError::NotPrepared(code));
        }
        let answer = answer?;
        if let Err(flaw) = same_transaction("GetBoundProfilePackage", transaction_id, &answer.transaction_id)
        {
            return Err(self.distrust(session, flaw).await);
        }
        if let Some(objection) = other_than_offered(&metadata, &answer.bound_profile_package) {
            return Err(self.cancel(session, objection).await);
        }

        match self.es10.load_bound_profile_package(&answer.bound_profile_package.0).await {
            Ok(result) => self.conclude(metadata, result).await,
            Err(error) => {
                let objection = Objection {
                    reason: CancelSessionReason::LOAD_BPP_EXECUTION_ERROR,
                    why: error.to_string(),
                };
                let cancelled = self.cancel(session, objection).await;
                // A card that does not answer is the cause, and more useful to know than the cancelling.
                match error {
                    LoadError::Card(error @ CardError::Door { .. }) => Err(error.into()),
                    _ => Err(cancelled),
                }
            }
        }
    }

    /// Section 3.1.3: whether this device wants what is offered. Gives hashCc, or the objection.
    async fn consider(
        &mut self,
        offered: &AuthenticateClientOk,
        options: &mut DownloadOptions,
        transaction_id: &TransactionId,
    ) -> Result<Result<Option<[u8; 32]>, Objection>, DownloadError> {
        let metadata = &offered.profile_metadata;
        if let Some(objection) = mismatch(metadata, &options.expected) {
            return Ok(Err(objection));
        }
        if !self.es10.get_profiles_info(Some(metadata.iccid)).await?.is_empty() {
            // The order stays usable: the profile may be deleted, or be the outcome of an earlier attempt.
            let why =
                format!("profile {} is on the card already; delete it to download it again", metadata.iccid);
            return Ok(Err(Objection { reason: CancelSessionReason::POSTPONED, why }));
        }
        let policy_rules_need_consent = match self.policy_rules(metadata).await? {
            Ok(need_consent) => need_consent,
            Err(objection) => return Ok(Err(objection)),
        };
        let confirmation_code_required = offered.smdp_signed2.cc_required_flag;
        let offer = Offer { metadata, policy_rules_need_consent, confirmation_code_required };
        if let Some(objection) = refused_by_user(&offer, &mut options.consent) {
            return Ok(Err(objection));
        }
        Ok(match (confirmation_code_required, &options.confirmation_code) {
            (false, _) => Ok(None),
            (true, Some(code)) => Ok(Some(crypto::hash_cc(code, &transaction_id.0))),
            (true, None) => Err(Objection {
                reason: CancelSessionReason::POSTPONED,
                why: "the SM-DP+ wants a confirmation code and none was given; ask the operator for it"
                    .into(),
            }),
        })
    }

    /// Whether the Rules Authorisation Table allows the profile's policy rules, and whether the user must agree to them:
    /// section 2.9.2.4. For each rule the first line of the table that has it for this operator counts. A profile that may
    /// not be disabled must be the only operational one: section 3.1.3.
    async fn policy_rules(
        &mut self,
        metadata: &StoreMetadataRequest,
    ) -> Result<Result<bool, Objection>, DownloadError> {
        const CONSENT_REQUIRED: usize = 0;
        let rules = metadata.profile_policy_rules.as_ref().map(|rules| rules.ones()).unwrap_or_default();
        let rules: Vec<_> = rules.into_iter().filter(|rule| *rule != ppr::UPDATE_CONTROL).collect();
        if rules.is_empty() {
            return Ok(Ok(false));
        }
        let operational = |class| matches!(class, None | Some(ProfileClass::OPERATIONAL));
        if rules.contains(&ppr::PPR1) && self.list().await?.iter().any(|held| operational(held.profile_class))
        {
            let why =
                "the profile may not be disabled (PPR1), and there is another on the card; delete that first";
            return Ok(Err(Objection { reason: CancelSessionReason::PPR_NOT_ALLOWED, why: why.into() }));
        }
        let table = self.es10.get_rat().await?;
        let mut need_consent = false;
        for rule in rules {
            let line = table.iter().find(|line| {
                line.ppr_ids.has(rule)
                    && line.allowed_operators.iter().any(|allowed| {
                        metadata.profile_owner.as_ref().is_some_and(|owner| allowed.stands_for(owner))
                    })
            });
            match line {
                Some(line) => need_consent |= line.ppr_flags.has(CONSENT_REQUIRED),
                None => {
                    let why = format!("the card does not allow policy rule PPR{rule} to the profile's owner");
                    return Ok(Err(Objection { reason: CancelSessionReason::PPR_NOT_ALLOWED, why }));
                }
            }
        }
        Ok(Ok(need_consent))
    }

    /// Section 3.0.2: ends the session on both sides.
    async fn cancel(&mut self, session: Session<'_>, objection: Objection) -> DownloadError {
        let Objection { reason, why } = objection;
        let not_told = self.tell_cancelled(session, reason).await.err().map(|error| error.to_string());
        DownloadError::Cancelled(Cancelled { reason, why, not_told })
    }

    /// Ends a session with a server that contradicts itself. What it makes of that does not matter any more.
    async fn distrust(&mut self, session: Session<'_>, flaw: ServerFlaw) -> DownloadError {
        if let Err(error) = self.tell_cancelled(session, CancelSessionReason::UNDEFINED_REASON).await {
            let event = self.teller.event("cancel the session");
            self.teller.tell(event.with_outcome(Outcome::Failed(error.to_string())));
        }
        flaw.into()
    }

    async fn tell_cancelled(
        &mut self,
        session: Session<'_>,
        reason: CancelSessionReason,
    ) -> Result<(), DownloadError> {
        let transaction_id = session.transaction_id.clone();
        let cancel_session_response = self.es10.cancel_session(transaction_id.clone(), reason).await?;
        let request = CancelSessionRequestEs9 { transaction_id, cancel_session_response };
        self.es9plus(session.address)?.call::<CancelSession>(&request).await?;
        Ok(())
    }

    /// The eUICC has given its result: tells the SM-DP+, and says what it means.
    async fn conclude(
        &mut self,
        metadata: StoreMetadataRequest,
        result: Raw<ProfileInstallationResult>,
    ) -> Result<Installed, DownloadError> {
        let data = &result.profile_installation_result_data;
        let about = data.notification_metadata.clone();
        let pending = Raw::<PendingNotification>::from_der(result.bytes())
            .map_err(|error| CardError::undecodable("LoadBoundProfilePackage", &error))?;
        // The offer came unsigned: which profile it is, the card knows.
        let iccid = about.iccid.unwrap_or(metadata.iccid);
        let handled = self.deliver(&about, pending).await;
        let notification = delivery(about, handled);
        match &data.final_result {
            FinalResult::SuccessResult(success) => {
                let event = self.teller.event("profile installed");
                self.teller.tell(event.with_note(iccid.to_string()));
                Ok(Installed { iccid, isdp_aid: success.aid.clone(), metadata, notification })
            }
            FinalResult::ErrorResult(error) => {
                let event = self.teller.event("profile not installed");
                self.teller.tell(event.with_outcome(Outcome::Refused(error.error_reason.to_string())));
                Err(DownloadError::NotInstalled {
                    at: error.bpp_command_id,
                    reason: error.error_reason,
                    notification,
                })
            }
        }
    }
}

/// A session that can be cancelled.
#[derive(Clone, Copy)]
struct Session<'a> {
    address: &'a SmdpAddress,
    transaction_id: &'a TransactionId,
}

/// The answer was lost on the way, or the repeated request met a session that was over.
fn is_worth_another_session(error: &DownloadError) -> bool {
    match error {
        DownloadError::Session(SessionError::Server(Es9Error::Link { function, .. })) => {
            // Before the eUICC is in it, a repeated request is all there is to try.
            *function != InitiateAuthentication::NAME
        }
        DownloadError::Session(SessionError::Server(error)) => {
            error.status() == Some(Status::TransactionUnknown)
        }
        _ => false,
    }
}

fn mismatch(metadata: &StoreMetadataRequest, expected: &Expected) -> Option<Objection> {
    let why = match expected {
        Expected { iccid: Some(iccid), .. } if *iccid != metadata.iccid => {
            format!("the SM-DP+ offers profile {}, expected was {iccid}", metadata.iccid)
        }
        Expected { service_provider_name: Some(name), .. } if *name != metadata.service_provider_name => {
            format!("the profile is {}'s, expected was {name}'s", metadata.service_provider_name)
        }
        _ => return None,
    };
    Some(Objection { reason: CancelSessionReason::METADATA_MISMATCH, why })
}

/// What was offered is what was agreed to, and only the package's own metadata are installed: section 3.1.3. A package whose
/// metadata cannot be read the eUICC refuses by itself.
fn other_than_offered(offered: &StoreMetadataRequest, package: &BoundProfilePackageDer) -> Option<Objection> {
    let bound = BoundProfilePackage::from_der(&package.0).ok()?.open_metadata().ok()?;
    if bound == *offered {
        return None;
    }
    let why = match bound.iccid == offered.iccid {
        true => format!("the package of profile {} has other metadata than were offered", bound.iccid),
        false => format!("the package is of profile {}, offered was {}", bound.iccid, offered.iccid),
    };
    Some(Objection { reason: CancelSessionReason::METADATA_MISMATCH, why })
}

fn refused_by_user(offer: &Offer<'_>, consent: &mut Consent) -> Option<Objection> {
    let decision = match consent {
        Consent::Given => Decision::Accept,
        Consent::Ask(ask) => ask(offer),
    };
    let (reason, why) = match decision {
        Decision::Accept => return None,
        Decision::Reject => (CancelSessionReason::END_USER_REJECTION, "the user said no"),
        Decision::Postpone => (CancelSessionReason::POSTPONED, "the user said: later"),
        Decision::NoAnswer => (CancelSessionReason::TIMEOUT, "the user did not answer"),
    };
    Some(Objection { reason, why: why.into() })
}
