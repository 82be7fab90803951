//! Profile download: SGP.22 sections 3.1.2 and 3.1.3 (download and installation), 3.0.2 (common
//! cancel session).
//!
//! If a session ends before the package is loaded, the SM-DP+ is informed of the reason. The reason
//! determines whether the order stays usable, section 5.7.14.

use std::fmt;

use crypto::Secret;
use rsp::activation_code::ActivationCode;
use rsp::der::{Asn1, Opaque, Raw};
use rsp::ids::{Aid, Iccid, SmdpAddress, TransactionId};
use rsp::sgp22::Function;
use rsp::sgp22::es8plus::{
    BoundProfilePackage, BppCommandId, ErrorReason, FinalResult, ProfileInstallationResult,
    StoreMetadataRequest,
};
use rsp::sgp22::es9plus::{
    AuthenticateClientOk, BoundProfilePackageDer, CancelSession, GetBoundProfilePackage,
    InitiateAuthentication,
};
use rsp::sgp22::es10b::{DownloadErrorCode, PrepareDownloadRequest, PrepareDownloadResponse};
use rsp::sgp22::es11::EventEntries;
use rsp::sgp22::{CancelSessionReason, ProfileClass, ppr};
use rsp::status::Status;
use schemars::JsonSchema;
use serde::Serialize;
use world::{CardInterface, Fault, Outcome};

use super::Lpa;
use super::authenticate::{
    AuthenticateClientAnywhere, ServerFlaw, ServerResponse, SessionError, check_transaction_id,
};
use super::es9plus::Es9Error;
use super::notifications::{Delivery, delivery};
use super::requests::{CancelSessionRequest, GetBoundProfilePackageRequest};
use crate::es10::{Es10Error, LoadError};
use crate::terminal::CardError;

/// The inputs of the user to a download.
#[derive(Default)]
pub struct DownloadOptions {
    /// The confirmation code that the operator gave to the user.
    pub confirmation_code: Option<Secret<String>>,
    /// Requirements on the profile metadata. A mismatch ends the session.
    pub expected: Expected,
    /// The way to obtain the user's consent before the download.
    pub consent: Consent,
}

/// Requirements on the profile metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The required ICCID.
    pub iccid: Option<Iccid>,
    /// The required service provider name.
    pub service_provider_name: Option<String>,
}

/// The way to obtain the user's consent before the download: section 3.1.3.
#[derive(Default)]
pub enum Consent {
    /// No question is asked, because the caller has already agreed to the download and to the
    /// profile's policy rules.
    #[default]
    Given,
    /// The function is called with the offer.
    Ask(Box<dyn FnMut(&Offer<'_>) -> Decision + Send>),
}

/// The question to the user.
#[derive(Debug)]
pub struct Offer<'a> {
    /// The metadata of the offered profile.
    pub metadata: &'a StoreMetadataRequest,
    /// True if the profile has policy rules that require the user's consent ("strong
    /// confirmation").
    pub policy_rules_need_consent: bool,
    /// True if the SM-DP+ requires a confirmation code.
    pub confirmation_code_required: bool,
}

/// The user's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The user accepts the download.
    Accept,
    /// The user rejects the download.
    Reject,
    /// The user postpones the download.
    Postpone,
    /// The user did not answer in time.
    CallFailure,
}

/// A profile that was installed. It is disabled.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Installed {
    /// The ICCID.
    pub iccid: Iccid,
    /// The AID of its ISD-P.
    pub isdp_aid: Aid,
    /// The metadata sent by the SM-DP+.
    pub metadata: StoreMetadataRequest,
    /// The delivery of the ProfileInstallationResult to the SM-DP+.
    pub notification: Delivery,
}

/// The reason why no profile was installed. The variant identifies the party that ended the
/// download.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The session with the SM-DP+ failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The eUICC refused PrepareDownload. The SM-DP+ was informed of the refusal.
    #[error("the eUICC refused to prepare the download: {0}")]
    NotPrepared(DownloadErrorCode),
    /// The LPA or its user ended the session. The SM-DP+ was informed, unless
    /// [`Cancelled::not_told`] is set.
    #[error("{0}")]
    Cancelled(Cancelled),
    /// The eUICC did not install the package. The SM-DP+ is informed by notification.
    #[error("the eUICC did not install the package: {reason} at {at}")]
    NotInstalled {
        /// The failed command of the package.
        at: BppCommandId,
        /// The reason.
        reason: ErrorReason,
        /// The delivery of the notification.
        notification: Delivery,
    },
}

/// Every error that ends a session also ends a download.
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
    /// True if a retry with the same activation code can succeed, because no refusal was final.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Session(error) => error.is_retryable(),
            Self::Cancelled(cancelled) => cancelled.reason.allows_later_download(),
            Self::NotPrepared(_) | Self::NotInstalled { .. } => false,
        }
    }
}

/// The response of a server to a request for a download.
pub(crate) enum Fetched {
    /// A package, which was loaded. The eUICC installed it or refused it.
    Package(Box<Loaded>),
    /// Events at other servers.
    Events(Vec<EventEntries>),
}

/// A package that was loaded. The server does not know the result yet.
pub(crate) struct Loaded {
    /// The metadata sent by the SM-DP+.
    pub(crate) metadata: StoreMetadataRequest,
    /// The result, as the eUICC signed it.
    pub(crate) result: Raw<ProfileInstallationResult>,
}

/// A session that was cancelled before the package was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// The reason that was sent to the eUICC and the SM-DP+.
    pub reason: CancelSessionReason,
    /// A description for the user.
    pub why: String,
    /// The reason why the SM-DP+ could not be informed; `None` if it was informed.
    pub not_told: Option<String>,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the download was cancelled ({}): {}", self.reason, self.why)?;
        match &self.not_told {
            Some(not_told) => write!(f, "; the SM-DP+ could not be informed: {not_told}"),
            None => Ok(()),
        }
    }
}

/// A reason to cancel a session.
pub(crate) struct Objection {
    pub(crate) reason: CancelSessionReason,
    pub(crate) why: String,
}

impl<D: CardInterface> Lpa<D> {
    /// Downloads and installs the profile of an activation code. The profile is disabled
    /// afterwards.
    ///
    /// # Errors
    /// No profile was installed. The error contains the reason. At most a notification remains on
    /// the eUICC.
    pub async fn download(
        &mut self,
        code: &ActivationCode,
        mut options: DownloadOptions,
    ) -> Result<Installed, DownloadError> {
        if !code.findings.is_empty() {
            let event = self.events.event("activation code read").with_findings(code.findings.clone());
            self.events.emit(event.with_peer("", code.smdp_address.to_string()));
        }
        match self.fetch(code, &mut options).await? {
            Fetched::Package(loaded) => self.conclude(*loaded).await,
            // req: SGP.22-3.6.2-NoEventsForCode
            Fetched::Events(_) => Err(ServerFlaw::SmDs.into()),
        }
    }

    /// Loads the package of an activation code, whose server may be an SM-DS. An interrupted session
    /// is repeated.
    pub(crate) async fn fetch(
        &mut self,
        code: &ActivationCode,
        options: &mut DownloadOptions,
    ) -> Result<Fetched, DownloadError> {
        let mut tries_left = self.settings.download_tries.max(1);
        loop {
            tries_left = tries_left.saturating_sub(1);
            match self.run(code, options).await {
                Err(error) if tries_left > 0 && can_restart(&error) => {
                    let event = self.events.event("restart the download");
                    self.events.emit(event.with_note(error.to_string()));
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
            ServerResponse::Events(events) => {
                check_transaction_id("AuthenticateClient", &transaction_id, &events.transaction_id)?;
                Ok(Fetched::Events(events.event_entries))
            }
            ServerResponse::Profile(offered) => {
                let session = Session { address: &code.smdp_address, transaction_id: &transaction_id };
                let loaded = self.load_offered(session, *offered, options).await?;
                Ok(Fetched::Package(Box::new(loaded)))
            }
        }
    }

    /// Performs the download from the offered profile to the installation result: section 3.1.3.
    async fn load_offered(
        &mut self,
        session: Session<'_>,
        offered: AuthenticateClientOk,
        options: &mut DownloadOptions,
    ) -> Result<Loaded, DownloadError> {
        let Session { address, transaction_id } = session;
        // req: SGP.22-3.0.2-TransactionId
        for found in [&offered.transaction_id, &offered.smdp_signed2.transaction_id] {
            if let Err(flaw) = check_transaction_id("AuthenticateClient", transaction_id, found) {
                return Err(self.cancel_untrusted(session, flaw).await);
            }
        }
        let hash_cc = match self.evaluate_offer(&offered, options, transaction_id).await? {
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
        let refused = match &*prepare_download_response {
            PrepareDownloadResponse::DownloadResponseOk(_) => None,
            PrepareDownloadResponse::DownloadResponseError(error) => Some(error.download_error_code),
        };
        let request = GetBoundProfilePackageRequest {
            transaction_id: transaction_id.clone(),
            prepare_download_response,
        };
        let answer = self.es9plus(address)?.call::<GetBoundProfilePackage>(&request).await;
        if let Some(code) = refused {
            // The SM-DP+ was informed. The eUICC's refusal is final, whether or not the SM-DP+
            // accepts it.
            return Err(DownloadError::NotPrepared(code));
        }
        let answer = answer?;
        if let Err(flaw) =
            check_transaction_id("GetBoundProfilePackage", transaction_id, &answer.transaction_id)
        {
            return Err(self.cancel_untrusted(session, flaw).await);
        }
        if let Some(objection) = differs_from_offer(&metadata, &answer.bound_profile_package) {
            return Err(self.cancel(session, objection).await);
        }

        match self.es10.load_bound_profile_package(&answer.bound_profile_package.0).await {
            Ok(result) => Ok(Loaded { metadata, result }),
            Err(error) => {
                let objection = Objection {
                    // req: SGP.22-3.0.2-LoadError
                    reason: CancelSessionReason::LOAD_BPP_EXECUTION_ERROR,
                    why: error.to_string(),
                };
                let cancelled = self.cancel(session, objection).await;
                // If the card does not answer, the caller gets the error of the card, because it is
                // more useful than that of the cancellation.
                match error {
                    LoadError::Card(error @ CardError::Interface { .. }) => Err(error.into()),
                    _ => Err(cancelled),
                }
            }
        }
    }

    /// Decides whether to accept the offered profile: section 3.1.3. Returns hashCc if the profile
    /// is accepted, otherwise an objection.
    async fn evaluate_offer(
        &mut self,
        offered: &AuthenticateClientOk,
        options: &mut DownloadOptions,
        transaction_id: &TransactionId,
    ) -> Result<Result<Option<[u8; 32]>, Objection>, DownloadError> {
        let metadata = &offered.profile_metadata;
        if let Some(objection) = mismatch(metadata, &options.expected) {
            return Ok(Err(objection));
        }
        if let Some(objection) = self.is_on_card(metadata.iccid).await? {
            return Ok(Err(objection));
        }
        let policy_rules_need_consent = match self.policy_rules(metadata).await? {
            Ok(need_consent) => need_consent,
            Err(objection) => return Ok(Err(objection)),
        };
        let confirmation_code_required = offered.smdp_signed2.cc_required_flag;
        let offer = Offer { metadata, policy_rules_need_consent, confirmation_code_required };
        if let Some(objection) = user_objection(&offer, &mut options.consent) {
            return Ok(Err(objection));
        }
        Ok(match (confirmation_code_required, &options.confirmation_code) {
            (false, _) => Ok(None),
            (true, Some(code)) => Ok(Some(crypto::hash_cc(code.expose(), &transaction_id.0))),
            (true, None) => Err(Objection {
                reason: CancelSessionReason::POSTPONED,
                why: "the SM-DP+ requires a confirmation code; ask the operator for it".into(),
            }),
        })
    }

    /// Returns an objection if the profile is on the card already. The order stays usable: the profile
    /// on the card can be deleted, or it may be the result of an earlier attempt with this order.
    pub(crate) async fn is_on_card(&mut self, iccid: Iccid) -> Result<Option<Objection>, Es10Error> {
        if self.es10.get_profiles_info(Some(iccid)).await?.is_empty() {
            return Ok(None);
        }
        let why = format!("profile {iccid} is on the card already; delete it to download it again");
        Ok(Some(Objection { reason: CancelSessionReason::POSTPONED, why }))
    }

    /// Checks the profile's policy rules against the Rules Authorisation Table, and returns true if
    /// the user must consent to them: section 2.9.2.4. For each rule the first matching entry of
    /// the table applies. A profile that cannot be disabled must be the only operational one:
    /// section 3.1.3.
    pub(crate) async fn policy_rules(
        &mut self,
        metadata: &StoreMetadataRequest,
    ) -> Result<Result<bool, Objection>, Es10Error> {
        const CONSENT_REQUIRED: usize = 0;
        let rules = metadata.profile_policy_rules.as_ref().map(|rules| rules.ones()).unwrap_or_default();
        let rules: Vec<_> = rules.into_iter().filter(|rule| *rule != ppr::UPDATE_CONTROL).collect();
        if rules.is_empty() {
            return Ok(Ok(false));
        }
        let operational = |class| matches!(class, None | Some(ProfileClass::OPERATIONAL));
        // req: SGP.22-2.9-OnlyOperational
        if rules.contains(&ppr::PPR1) && self.list().await?.iter().any(|held| operational(held.profile_class))
        {
            let why = "the profile cannot be disabled (PPR1), and the card contains another profile; delete that one first";
            return Ok(Err(Objection { reason: CancelSessionReason::PPR_NOT_ALLOWED, why: why.into() }));
        }
        let table = self.es10.get_rat().await?;
        let mut need_consent = false;
        for rule in rules {
            let line = table.iter().find(|line| {
                line.ppr_ids.has(rule)
                    && line.allowed_operators.iter().any(|allowed| {
                        metadata.profile_owner.as_ref().is_some_and(|owner| allowed.matches(owner))
                    })
            });
            match line {
                Some(line) => need_consent |= line.ppr_flags.has(CONSENT_REQUIRED),
                None => {
                    // req: SGP.22-2.9-Rat
                    let why =
                        format!("the card does not allow policy rule PPR{rule} for the owner of the profile");
                    return Ok(Err(Objection { reason: CancelSessionReason::PPR_NOT_ALLOWED, why }));
                }
            }
        }
        Ok(Ok(need_consent))
    }

    /// Cancels the session on both sides: section 3.0.2.
    async fn cancel(&mut self, session: Session<'_>, objection: Objection) -> DownloadError {
        let Objection { reason, why } = objection;
        let not_told = self.send_cancel(session, reason).await.err().map(|error| error.to_string());
        DownloadError::Cancelled(Cancelled { reason, why, not_told })
    }

    /// Cancels a session with a server whose answers are inconsistent. The server's response to the
    /// cancellation is ignored.
    async fn cancel_untrusted(&mut self, session: Session<'_>, flaw: ServerFlaw) -> DownloadError {
        if let Err(error) = self.send_cancel(session, CancelSessionReason::UNDEFINED_REASON).await {
            let event = self.events.event("cancel the session");
            self.events.emit(event.with_outcome(Outcome::Failed(error.to_string())));
        }
        flaw.into()
    }

    async fn send_cancel(
        &mut self,
        session: Session<'_>,
        reason: CancelSessionReason,
    ) -> Result<(), DownloadError> {
        let transaction_id = session.transaction_id.clone();
        let cancel_session_response = self.es10.cancel_session(transaction_id.clone(), reason).await?;
        let request = CancelSessionRequest { transaction_id, cancel_session_response };
        self.es9plus(session.address)?.call::<CancelSession>(&request).await?;
        Ok(())
    }

    /// Sends the eUICC's installation result to the SM-DP+, and returns the outcome of the
    /// download.
    pub(super) async fn conclude(&mut self, loaded: Loaded) -> Result<Installed, DownloadError> {
        let Loaded { metadata, result } = loaded;
        let data = &result.profile_installation_result_data;
        let about = data.notification_metadata.clone();
        let pending = Opaque::new(result.bytes().to_vec());
        // The offered metadata is not signed. The ICCID in the card's signed result takes
        // precedence.
        let iccid = about.iccid.unwrap_or(metadata.iccid);
        let handled = self.deliver(&about, pending).await;
        let notification = delivery(about, handled);
        match &data.final_result {
            FinalResult::SuccessResult(success) => {
                let event = self.events.event("profile installed");
                self.events.emit(event.with_note(iccid.to_string()));
                Ok(Installed { iccid, isdp_aid: success.aid.clone(), metadata, notification })
            }
            FinalResult::ErrorResult(error) => {
                let event = self.events.event("profile not installed");
                self.events.emit(event.with_outcome(Outcome::Refused(error.error_reason.to_string())));
                Err(DownloadError::NotInstalled {
                    at: error.bpp_command_id,
                    reason: error.error_reason,
                    notification,
                })
            }
        }
    }
}

/// The session to cancel.
#[derive(Clone, Copy)]
struct Session<'a> {
    address: &'a SmdpAddress,
    transaction_id: &'a TransactionId,
}

/// True if another session can succeed: either the response was lost, or the server no longer knows
/// the session of a repeated request.
fn can_restart(error: &DownloadError) -> bool {
    match error {
        DownloadError::Session(SessionError::Server(Es9Error::Link { function, .. })) => {
            // No session exists before InitiateAuthentication, so repeating that request is
            // sufficient.
            *function != InitiateAuthentication::NAME
        }
        DownloadError::Session(SessionError::Server(error)) => {
            error.status() == Some(Status::TransactionUnknown)
        }
        _ => false,
    }
}

// req: SGP.22-3.1.3-Expected
fn mismatch(metadata: &StoreMetadataRequest, expected: &Expected) -> Option<Objection> {
    let why = match expected {
        Expected { iccid: Some(iccid), .. } if *iccid != metadata.iccid => {
            format!("the SM-DP+ offers profile {} instead of {iccid}", metadata.iccid)
        }
        Expected { service_provider_name: Some(name), .. } if *name != metadata.service_provider_name => {
            format!(
                "the service provider of the profile is {} instead of {name}",
                metadata.service_provider_name
            )
        }
        _ => return None,
    };
    Some(Objection { reason: CancelSessionReason::METADATA_MISMATCH, why })
}

/// Compares the metadata in the package with the metadata that the user has accepted, because the
/// eUICC installs the metadata of the package: section 3.1.3. A package with undecodable metadata
/// is refused by the eUICC itself.
// req: SGP.22-3.1.3-Metadata
pub(crate) fn differs_from_offer(
    offered: &StoreMetadataRequest,
    package: &BoundProfilePackageDer,
) -> Option<Objection> {
    let bound = BoundProfilePackage::from_der(&package.0).ok()?.open_metadata().ok()?;
    if bound == *offered {
        return None;
    }
    let why = match bound.iccid == offered.iccid {
        true => {
            format!("the metadata in the package of profile {} differ from the offered metadata", bound.iccid)
        }
        false => format!(
            "the package contains profile {} instead of the offered profile {}",
            bound.iccid, offered.iccid
        ),
    };
    Some(Objection { reason: CancelSessionReason::METADATA_MISMATCH, why })
}

// req: SGP.22-3.0.2-User
fn user_objection(offer: &Offer<'_>, consent: &mut Consent) -> Option<Objection> {
    let decision = match consent {
        Consent::Given => Decision::Accept,
        Consent::Ask(ask) => ask(offer),
    };
    let (reason, why) = match decision {
        Decision::Accept => return None,
        Decision::Reject => (CancelSessionReason::END_USER_REJECTION, "the user rejected it"),
        Decision::Postpone => (CancelSessionReason::POSTPONED, "the user postponed it"),
        Decision::CallFailure => (CancelSessionReason::TIMEOUT, "the user did not answer"),
    };
    Some(Objection { reason, why: why.into() })
}
