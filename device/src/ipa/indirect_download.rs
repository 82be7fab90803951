//! The download through the eIM: SGP.32 section 3.2.3.2. The eIM relays each step to the SM-DP+ or
//! SM-DS. If the eIM keeps the download data, it also checks the server.

use rsp::activation_code::ActivationCode;
use rsp::der::{Asn1, Raw};
use rsp::ids::TransactionId;
use rsp::sgp22::es8plus::{ProfileInstallationResult, StoreMetadataRequest};
use rsp::sgp22::es10b::{AuthenticateServerRequest, PrepareDownloadRequest};
use rsp::sgp22::{CancelSessionReason, CtxParams1};
use rsp::sgp32::EimConfigurationData;
use rsp::sgp32::compact::{
    AuthenticateServerResponse, CancelSessionResponse, CompactAuthenticateResponseOk,
    CompactCancelSessionResponseOk, CompactPrepareDownloadResponseOk, PrepareDownloadResponse,
};
use rsp::sgp32::esipa::{
    AuthenticateClientOkDp, AuthenticateClientOkDs, AuthenticateClientRequest, AuthenticateClientResponse,
    CancelSessionRequest, GetBoundProfilePackageError, GetBoundProfilePackageRequest,
    GetBoundProfilePackageResponse, InitiateAuthenticationOk, InitiateAuthenticationRequest,
    InitiateAuthenticationResponse,
};
use rsp::sgp32::ipa_data::{ProfileDownloadTriggerRequest, ipa_features};
use world::{CardInterface, Outcome};

use super::profile_download::Failure;
use super::{Connectivity, Ipa};
use crate::lpa::{Objection, ServerFlaw, check_transaction_id, differs_from_offer};

/// Maximum servers of one download: an SM-DS, and the SM-DP+ of its event.
const MAX_SERVERS: usize = 2;

/// Every error of the eUICC or the eIM ends the download.
macro_rules! failures {
    ($($error:ty),+) => { $(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error)
            }
        }
    )+ };
}

failures!(
    crate::es10::Es10Error,
    crate::terminal::CardError,
    crate::es10::LoadError,
    super::EsipaError,
    ServerFlaw
);

/// A refusal of the eIM: the response in the ASN.1 binding is errorResponse.
fn refused(function: &str, code: impl ToString, response: &impl Asn1) -> Failure {
    let why = format!("{function}: the eIM answered {}", code.to_string());
    Failure { why, error_response: Some(response.to_der()) }
}

impl<D: CardInterface, C: Connectivity> Ipa<D, C> {
    /// Downloads through the eIM.
    // req: SGP.32-3.2.3.2-Indirect
    pub(super) async fn download_through_eim(
        &mut self,
        eim: &EimConfigurationData,
        trigger: &ProfileDownloadTriggerRequest,
    ) -> Result<Raw<ProfileInstallationResult>, Failure> {
        let mut trigger = trigger.clone();
        for _ in 0..MAX_SERVERS {
            let code = match trigger.profile_download_data {
                Some(_) => Some(self.activation_code(&trigger).await?),
                None => None,
            };
            match self.session_through_eim(eim, &trigger, code.as_ref()).await? {
                Ended::Loaded(result) => return Ok(result),
                Ended::Event(event) => trigger = event,
            }
        }
        Err(Failure::new(ServerFlaw::SmDs))
    }

    async fn session_through_eim(
        &mut self,
        eim: &EimConfigurationData,
        trigger: &ProfileDownloadTriggerRequest,
        code: Option<&ActivationCode>,
    ) -> Result<Ended, Failure> {
        let (session, offered) = self.authenticate_through_eim(eim, trigger, code).await?;
        let offered = match offered {
            AuthenticateClientResponse::OkDp(offered) => *offered,
            AuthenticateClientResponse::OkDs(AuthenticateClientOkDs { profile_download_trigger, .. }) => {
                let none = || Failure::new("the SM-DS has no event for this eUICC");
                return profile_download_trigger.map(Ended::Event).ok_or_else(none);
            }
            error @ AuthenticateClientResponse::Error(code) => {
                // The eIM refused the profile, and keeps the session for the cancellation.
                let objection = Objection {
                    reason: CancelSessionReason::PPR_NOT_ALLOWED,
                    why: format!("the eIM refused the profile: {code}"),
                };
                if code == rsp::sgp32::esipa::AuthenticateClientError::PPR_NOT_ALLOWED {
                    self.cancel_through_eim(eim, &session, objection).await;
                }
                return Err(refused("AuthenticateClient", code, &error));
            }
        };
        if let Err(flaw) = session.check(&offered) {
            let objection =
                Objection { reason: CancelSessionReason::UNDEFINED_REASON, why: flaw.to_string() };
            return Err(self.cancel_through_eim(eim, &session, objection).await);
        }
        if let Some(metadata) = &offered.profile_metadata
            && let Some(objection) = self.objection_to(metadata).await?
        {
            return Err(self.cancel_through_eim(eim, &session, objection).await);
        }
        if offered.smdp_signed2.cc_required_flag && offered.hash_cc.is_none() {
            let why = "the SM-DP+ requires a confirmation code, and the eIM sent no hashCc".to_owned();
            let objection = Objection { reason: CancelSessionReason::POSTPONED, why };
            return Err(self.cancel_through_eim(eim, &session, objection).await);
        }
        self.load_through_eim(eim, &session, offered).await.map(Ended::Loaded)
    }

    /// Performs the common mutual authentication through the eIM.
    async fn authenticate_through_eim(
        &mut self,
        eim: &EimConfigurationData,
        trigger: &ProfileDownloadTriggerRequest,
        code: Option<&ActivationCode>,
    ) -> Result<(TransactionSession, AuthenticateClientResponse), Failure> {
        let is_minimal = self.settings.has(ipa_features::MINIMIZE_ESIPA_BYTES);
        let euicc_challenge = self.es10().get_euicc_challenge().await?;
        let euicc_info1 = match is_minimal && trigger.eim_transaction_id.is_some() {
            true => None,
            false => Some(self.es10().get_euicc_info1().await?),
        };
        let request = InitiateAuthenticationRequest {
            euicc_challenge,
            smdp_address: code.map(|code| code.smdp_address.to_string()),
            euicc_info1,
            eim_transaction_id: trigger.eim_transaction_id.clone(),
        };
        let answer = self.esipa(eim)?.initiate_authentication(request).await?;
        let offered: InitiateAuthenticationOk = match answer {
            InitiateAuthenticationResponse::Ok(ok) => *ok,
            InitiateAuthenticationResponse::Error(code) => {
                return Err(refused("InitiateAuthentication", code, &answer));
            }
        };
        let signed = &offered.server_signed1;
        let id = signed.transaction_id.clone();
        if let Some(announced) = &offered.transaction_id {
            check_transaction_id("InitiateAuthentication", announced, &id)?;
        }
        // req: SGP.32-3.2.3.2-Echo
        if signed.euicc_challenge != euicc_challenge {
            return Err(ServerFlaw::OtherChallenge.into());
        }
        if let Some(code) = code
            && !signed.server_address.eq_ignore_ascii_case(code.smdp_address.as_str())
        {
            let requested = code.smdp_address.clone();
            return Err(ServerFlaw::OtherAddress { signed: signed.server_address.clone(), requested }.into());
        }
        let has_ctx_params1 = offered.ctx_params1.is_some();
        let matching_id = code.map(|code| code.matching_id.clone()).or(offered.matching_id);
        let ctx_params1 = offered.ctx_params1.unwrap_or_else(|| {
            let device_info = self.settings.device.device_info.clone();
            Raw::new(CtxParams1::download(matching_id, device_info))
        });
        let request = AuthenticateServerRequest {
            server_signed1: offered.server_signed1,
            server_signature1: offered.server_signature1,
            euicc_ci_pk_id_to_be_used: offered.euicc_ci_pk_identifier_to_be_used,
            server_certificate: offered.server_certificate,
            ctx_params1,
        };
        let response = self.es10().authenticate_server(&request).await?;
        let mut forwarded = decoded::<AuthenticateServerResponse>(response.bytes())?;
        let refusal = match &forwarded {
            AuthenticateServerResponse::AuthenticateResponseOk(ok) if is_minimal => {
                // req: SGP.32-5.14.3-IpaCompact
                let compact = CompactAuthenticateResponseOk::of(ok, !has_ctx_params1, false);
                forwarded = AuthenticateServerResponse::CompactAuthenticateResponseOk(Box::new(compact));
                None
            }
            AuthenticateServerResponse::AuthenticateResponseError(error) => {
                Some(error.authenticate_error_code)
            }
            _ => None,
        };
        let request =
            AuthenticateClientRequest { transaction_id: id.clone(), authenticate_server_response: forwarded };
        let answer = self.esipa(eim)?.authenticate_client(request).await;
        if let Some(code) = refusal {
            // The server was informed of the refusal.
            let why = format!("the eUICC refused the server: {code}");
            return Err(Failure { why, error_response: Some(response.bytes().to_vec()) });
        }
        Ok((TransactionSession { id }, answer?))
    }

    /// Returns the reason why the IPA does not accept an offered profile.
    async fn objection_to(&mut self, metadata: &StoreMetadataRequest) -> Result<Option<Objection>, Failure> {
        if let Some(objection) = self.lpa.is_on_card(metadata.iccid).await? {
            return Ok(Some(objection));
        }
        // The order of the eIM is the consent.
        Ok(self.lpa.policy_rules(metadata).await?.err())
    }

    /// Performs the download from the offered profile to the result of the installation.
    async fn load_through_eim(
        &mut self,
        eim: &EimConfigurationData,
        session: &TransactionSession,
        offered: AuthenticateClientOkDp,
    ) -> Result<Raw<ProfileInstallationResult>, Failure> {
        let prepare = PrepareDownloadRequest {
            smdp_signed2: offered.smdp_signed2,
            smdp_signature2: offered.smdp_signature2,
            hash_cc: offered.hash_cc,
            smdp_certificate: offered.smdp_certificate,
        };
        let response = self.es10().prepare_download(&prepare).await?;
        let mut forwarded = decoded::<PrepareDownloadResponse>(response.bytes())?;
        let refusal = match &forwarded {
            PrepareDownloadResponse::DownloadResponseOk(ok)
                if self.settings.has(ipa_features::MINIMIZE_ESIPA_BYTES) =>
            {
                // req: SGP.32-5.14.2-IpaCompact
                let compact =
                    CompactPrepareDownloadResponseOk::of(ok, &prepare.smdp_signed2, offered.hash_cc);
                forwarded = PrepareDownloadResponse::CompactDownloadResponseOk(compact);
                None
            }
            PrepareDownloadResponse::DownloadResponseError(error) => Some(error.download_error_code),
            _ => None,
        };
        let request = GetBoundProfilePackageRequest {
            transaction_id: session.id.clone(),
            prepare_download_response: forwarded,
        };
        let answer = self.esipa(eim)?.get_bound_profile_package(request).await;
        if let Some(code) = refusal {
            let why = format!("the eUICC refused to prepare the download: {code}");
            return Err(Failure { why, error_response: Some(response.bytes().to_vec()) });
        }
        let package = match answer? {
            GetBoundProfilePackageResponse::Ok(ok) => ok.bound_profile_package,
            error @ GetBoundProfilePackageResponse::Error(code) => {
                if code == GetBoundProfilePackageError::METADATA_MISMATCH {
                    let why = "the eIM found other metadata in the package".to_owned();
                    let objection = Objection { reason: CancelSessionReason::METADATA_MISMATCH, why };
                    self.cancel_through_eim(eim, session, objection).await;
                }
                return Err(refused("GetBoundProfilePackage", code, &error));
            }
        };
        if let Some(metadata) = &offered.profile_metadata
            && let Some(objection) = differs_from_offer(metadata, &package)
        {
            return Err(self.cancel_through_eim(eim, session, objection).await);
        }
        match self.es10().load_bound_profile_package(&package.0).await {
            Ok(result) => Ok(result),
            Err(error) => {
                let reason = CancelSessionReason::LOAD_BPP_EXECUTION_ERROR;
                let objection = Objection { reason, why: error.to_string() };
                Err(self.cancel_through_eim(eim, session, objection).await)
            }
        }
    }

    /// Cancels the session at the eUICC and, through the eIM, at the server. Returns the failure of the
    /// download.
    async fn cancel_through_eim(
        &mut self,
        eim: &EimConfigurationData,
        session: &TransactionSession,
        objection: Objection,
    ) -> Failure {
        let Objection { reason, why } = objection;
        if let Err(failure) = self.send_cancel_through_eim(eim, session, reason).await {
            let event = self.events.event("cancel the session");
            self.events.emit(event.with_outcome(Outcome::Failed(failure.why)));
        }
        Failure::new(format!("the download was cancelled ({reason}): {why}"))
    }

    async fn send_cancel_through_eim(
        &mut self,
        eim: &EimConfigurationData,
        session: &TransactionSession,
        reason: CancelSessionReason,
    ) -> Result<(), Failure> {
        let response = self.es10().cancel_session(session.id.clone(), reason).await?;
        let mut forwarded = decoded::<CancelSessionResponse>(response.bytes())?;
        if let CancelSessionResponse::CancelSessionResponseOk(ok) = &forwarded
            && self.settings.has(ipa_features::MINIMIZE_ESIPA_BYTES)
        {
            // The eIM may not know the reason, so it is not left out.
            let compact = CompactCancelSessionResponseOk::of(ok, None);
            forwarded = CancelSessionResponse::CompactCancelSessionResponseOk(compact);
        }
        let request =
            CancelSessionRequest { transaction_id: session.id.clone(), cancel_session_response: forwarded };
        self.esipa(eim)?.cancel_session(request).await?;
        Ok(())
    }
}

/// The end of a session.
enum Ended {
    /// The package was loaded.
    Loaded(Raw<ProfileInstallationResult>),
    /// The server is an SM-DS. Its event is a trigger for another session.
    Event(ProfileDownloadTriggerRequest),
}

/// A session that an RSP server has opened.
struct TransactionSession {
    id: TransactionId,
}

impl TransactionSession {
    /// Checks that the offer belongs to the session.
    fn check(&self, offered: &AuthenticateClientOkDp) -> Result<(), ServerFlaw> {
        let announced = offered.transaction_id.as_ref();
        for found in announced.into_iter().chain([&offered.smdp_signed2.transaction_id]) {
            check_transaction_id("AuthenticateClient", &self.id, found)?;
        }
        Ok(())
    }
}

/// Decodes a response of the eUICC. The signed parts keep their octets.
fn decoded<T: Asn1>(response: &[u8]) -> Result<T, Failure> {
    T::from_peer(response).map_err(|error| Failure::new(format!("the response of the eUICC: {error}")))
}
