//! The download through the eIM: SGP.32 sections 3.2.3.2, 5.14.1 to 5.14.3 and 5.14.8.

use rsp::activation_code::ActivationCode;
use rsp::der::{Asn1, Raw};
use rsp::ids::TransactionId;
use rsp::sgp22::es8plus::{FinalResult, ProfileInstallationResult};
use rsp::sgp22::es10b::{AuthenticateServerRequest, PrepareDownloadRequest};
use rsp::sgp22::es12::{RegisterEvent, RegisterEventRequest};
use rsp::sgp22::json::RequestHeader;
use rsp::sgp22::{CancelSessionReason, CtxParams1};
use rsp::sgp32::compact::{
    AuthenticateServerResponse, CancelSessionResponse, CompactAuthenticateResponseOk,
    CompactCancelSessionResponseOk, CompactPrepareDownloadResponseOk, PrepareDownloadResponse,
};
use rsp::sgp32::esipa::{
    self, AuthenticateClientOkDp, AuthenticateClientRequest, AuthenticateClientResponse,
    CancelSessionRequest, GetBoundProfilePackageRequest, GetBoundProfilePackageResponse,
    GetEimPackageResponse, InitiateAuthenticationOk, InitiateAuthenticationRequest,
    InitiateAuthenticationResponse, MessageFromIpa,
};
use rsp::sgp32::ipa_data::{ProfileDownloadData, ProfileDownloadTriggerRequest};
use sgp23::{During, Stop, Verdict, equal};

use super::case::Need;
use super::device_data::device_info;
use super::operator::Operation;
use super::subject::SmDsOfEvents;
use super::testbed::{Testbed, card_failed};

/// The form in which the IPA forwards what the eUICC signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the eUICC signed it.
    Whole,
    /// Without what the eIM knows: sections 5.14.2 and 5.14.3.
    Compact,
}

/// A download that the eIM has triggered.
pub(crate) struct Trigger {
    /// The trigger.
    pub(crate) request: ProfileDownloadTriggerRequest,
    /// The activation code in it, or `None` if the eIM keeps it.
    pub(crate) code: Option<ActivationCode>,
}

/// An authenticated server, and the session that it opened.
pub(crate) struct Session {
    /// The transaction ID.
    pub(crate) id: TransactionId,
    /// The response of the eUICC to the server.
    pub(crate) response: AuthenticateServerResponse,
}

impl Testbed<'_> {
    /// Registers the device, orders an operation, and polls for the trigger of its download.
    ///
    /// # Errors
    /// The eIM sends no trigger.
    pub(crate) async fn trigger_of(
        &mut self,
        operation: Operation,
    ) -> Result<ProfileDownloadTriggerRequest, Stop> {
        self.ordered(&[operation]).await?;
        match self.poll().await? {
            GetEimPackageResponse::ProfileDownloadTriggerRequest(request) => Ok(request),
            other => Err(Stop::failed(format!("GetEimPackage returned {other:?}, expected a trigger"))),
        }
    }

    /// Returns the next activation code of the operator.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn ordered_code(&self) -> Result<String, Stop> {
        Ok(self.eim.codes.next().ok_or_else(|| Stop::needs("an activation code"))?.to_owned())
    }

    /// Returns the SM-DS of the events.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn sm_ds(&self) -> Result<&SmDsOfEvents, Stop> {
        self.eim.sm_ds.as_ref().ok_or_else(|| Stop::needs(Need::SmDs))
    }

    /// Registers an event for the eUICC at the SM-DS: the profile of an activation code.
    ///
    /// # Errors
    /// The SM-DS refuses it, which says nothing about the eIM.
    pub(crate) async fn register_event(&self, code: &ActivationCode) -> Verdict {
        let SmDsOfEvents { es12, requester, .. } = self.sm_ds()?;
        let event = RegisterEventRequest {
            header: RequestHeader::new(requester.clone(), self.eid.to_string()),
            eid: self.eid,
            rsp_server_address: code.smdp_address.clone(),
            event_id: code.matching_id.clone(),
            forwarding_indicator: false,
        };
        let registered = world::call::<RegisterEvent>(es12, self.eim.version, &event).await.result;
        registered.map(|_| ()).map_err(|error| Stop::needs(format!("an event at the SM-DS: {error}")))
    }

    /// Orders a download, and polls for its trigger.
    ///
    /// # Errors
    /// The eIM sends no trigger, or one with another activation code.
    pub(crate) async fn triggered(&mut self) -> Result<Trigger, Stop> {
        let ordered = self.ordered_code()?;
        let request = self.trigger_of(Operation::Download(ordered.clone())).await?;
        let Some(ProfileDownloadData::ActivationCode(sent)) = &request.profile_download_data else {
            return Err(Stop::failed("the trigger has no activation code, although the IPA can use one"));
        };
        let parsed = |text: &str| -> Result<ActivationCode, Stop> {
            text.parse().map_err(|error| Stop::failed(format!("activation code {text:?}: {error}")))
        };
        let code = parsed(sent)?;
        let expected = parsed(&ordered)?;
        equal("the address of the trigger", &code.smdp_address, &expected.smdp_address)?;
        equal("the MatchingID of the trigger", &code.matching_id, &expected.matching_id)?;
        Ok(Trigger { request, code: Some(code) })
    }

    /// Orders a download whose activation code the eIM keeps, and polls for its trigger.
    ///
    /// # Errors
    /// The eIM sends no trigger, or one with data.
    pub(crate) async fn triggered_without_code(&mut self) -> Result<Trigger, Stop> {
        let ordered = self.ordered_code()?;
        let request = self.trigger_of(Operation::DownloadKept(ordered)).await?;
        equal("profileDownloadData", &request.profile_download_data, &None)?;
        Ok(Trigger { request, code: None })
    }

    /// Builds the InitiateAuthentication request for a trigger.
    ///
    /// # Errors
    /// The card fails.
    pub(crate) async fn initiation(
        &mut self,
        trigger: &Trigger,
    ) -> Result<InitiateAuthenticationRequest, Stop> {
        Ok(InitiateAuthenticationRequest {
            euicc_challenge: self.es10().get_euicc_challenge().await.map_err(card_failed)?,
            smdp_address: trigger.code.as_ref().map(|code| code.smdp_address.to_string()),
            euicc_info1: Some(self.es10().get_euicc_info1().await.map_err(card_failed)?),
            eim_transaction_id: trigger.request.eim_transaction_id.clone(),
        })
    }

    /// Calls InitiateAuthentication.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) async fn initiate(
        &self,
        request: &InitiateAuthenticationRequest,
    ) -> Result<InitiateAuthenticationResponse, Stop> {
        let wrap = MessageFromIpa::InitiateAuthenticationRequest;
        self.call::<esipa::InitiateAuthentication>(request, wrap).await
    }

    /// Opens a session, and lets the card authenticate the server.
    ///
    /// # Errors
    /// The eIM refuses, or the card refuses what the server signed.
    pub(crate) async fn session(&mut self, trigger: &Trigger, form: Form) -> Result<Session, Stop> {
        const FUNCTION: &str = "InitiateAuthentication";
        let request = self.initiation(trigger).await?;
        let ok: InitiateAuthenticationOk = match self.initiate(&request).await? {
            InitiateAuthenticationResponse::Ok(ok) => *ok,
            InitiateAuthenticationResponse::Error(code) => {
                return Err(Stop::failed(format!("{FUNCTION}: refused with {code}, expected success")));
            }
        };
        let signed = &ok.server_signed1;
        equal("serverSigned1.euiccChallenge", &signed.euicc_challenge, &request.euicc_challenge)
            .during(FUNCTION)?;
        let id = signed.transaction_id.clone();
        let has_ctx_params1 = ok.ctx_params1.is_some();
        let matching_id = trigger.code.as_ref().map(|code| code.matching_id.clone());
        // An SM-DS gets none.
        let matching_id = matching_id.filter(|id| !id.is_empty());
        let ctx_params1 =
            ok.ctx_params1.unwrap_or_else(|| Raw::new(CtxParams1::download(matching_id, device_info())));
        let request = AuthenticateServerRequest {
            server_signed1: ok.server_signed1,
            server_signature1: ok.server_signature1,
            euicc_ci_pk_id_to_be_used: ok.euicc_ci_pk_identifier_to_be_used,
            server_certificate: ok.server_certificate,
            ctx_params1,
        };
        let response = self.es10().authenticate_server(&request).await.map_err(card_failed)?;
        let response = match decoded::<AuthenticateServerResponse>(response.bytes())? {
            AuthenticateServerResponse::AuthenticateResponseOk(ok) if form == Form::Compact => {
                let compact = CompactAuthenticateResponseOk::of(&ok, !has_ctx_params1, false);
                AuthenticateServerResponse::CompactAuthenticateResponseOk(Box::new(compact))
            }
            AuthenticateServerResponse::AuthenticateResponseError(error) => {
                let code = error.authenticate_error_code;
                return Err(Stop::failed(format!("{FUNCTION}: the eUICC refused the server with {code}")));
            }
            whole => whole,
        };
        Ok(Session { id, response })
    }

    /// Calls AuthenticateClient.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) async fn authenticate(
        &self,
        id: &TransactionId,
        response: AuthenticateServerResponse,
    ) -> Result<AuthenticateClientResponse, Stop> {
        let request =
            AuthenticateClientRequest { transaction_id: id.clone(), authenticate_server_response: response };
        let wrap = MessageFromIpa::AuthenticateClientRequest;
        self.call::<esipa::AuthenticateClient>(&request, wrap).await
    }

    /// Runs AuthenticateClient, which must offer a profile.
    ///
    /// # Errors
    /// The eIM refuses.
    pub(crate) async fn offered(&self, session: &Session) -> Result<AuthenticateClientOkDp, Stop> {
        match self.authenticate(&session.id, session.response.clone()).await? {
            AuthenticateClientResponse::OkDp(offered) => {
                let id = &offered.smdp_signed2.transaction_id;
                equal("smdpSigned2.transactionId", id, &session.id).during("AuthenticateClient")?;
                Ok(*offered)
            }
            AuthenticateClientResponse::OkDs(_) => {
                Err(Stop::failed("AuthenticateClient: the response is that of an SM-DS"))
            }
            AuthenticateClientResponse::Error(code) => {
                Err(Stop::failed(format!("AuthenticateClient: refused with {code}, expected success")))
            }
        }
    }

    /// Lets the card prepare the download.
    ///
    /// # Errors
    /// The card refuses what the SM-DP+ signed.
    pub(crate) async fn prepared(
        &mut self,
        offered: &AuthenticateClientOkDp,
        form: Form,
    ) -> Result<PrepareDownloadResponse, Stop> {
        let request = PrepareDownloadRequest {
            smdp_signed2: offered.smdp_signed2.clone(),
            smdp_signature2: offered.smdp_signature2.clone(),
            hash_cc: offered.hash_cc,
            smdp_certificate: offered.smdp_certificate.clone(),
        };
        let response = self.es10().prepare_download(&request).await.map_err(card_failed)?;
        match decoded::<PrepareDownloadResponse>(response.bytes())? {
            PrepareDownloadResponse::DownloadResponseOk(ok) if form == Form::Compact => {
                let compact =
                    CompactPrepareDownloadResponseOk::of(&ok, &offered.smdp_signed2, offered.hash_cc);
                Ok(PrepareDownloadResponse::CompactDownloadResponseOk(compact))
            }
            PrepareDownloadResponse::DownloadResponseError(error) => {
                let code = error.download_error_code;
                Err(Stop::failed(format!("AuthenticateClient: the eUICC refused the offer with {code}")))
            }
            whole => Ok(whole),
        }
    }

    /// Calls GetBoundProfilePackage.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) async fn bound(
        &self,
        id: &TransactionId,
        response: PrepareDownloadResponse,
    ) -> Result<GetBoundProfilePackageResponse, Stop> {
        let request =
            GetBoundProfilePackageRequest { transaction_id: id.clone(), prepare_download_response: response };
        let wrap = MessageFromIpa::GetBoundProfilePackageRequest;
        self.call::<esipa::GetBoundProfilePackage>(&request, wrap).await
    }

    /// Downloads the profile of a trigger, and installs it on the card.
    ///
    /// # Errors
    /// The eIM refuses a request, or the card refuses what it receives.
    pub(crate) async fn downloaded(
        &mut self,
        trigger: &Trigger,
        form: Form,
    ) -> Result<Raw<ProfileInstallationResult>, Stop> {
        let session = self.session(trigger, form).await?;
        let offered = self.offered(&session).await?;
        let prepared = self.prepared(&offered, form).await?;
        let package = match self.bound(&session.id, prepared).await? {
            GetBoundProfilePackageResponse::Ok(ok) => ok.bound_profile_package,
            GetBoundProfilePackageResponse::Error(code) => {
                return Err(Stop::failed(format!("GetBoundProfilePackage: refused with {code}")));
            }
        };
        let loaded = self.es10().load_bound_profile_package(&package.0).await;
        let result =
            loaded.map_err(|error| Stop::failed(format!("the eUICC cannot load the package: {error}")))?;
        match &result.profile_installation_result_data.final_result {
            FinalResult::SuccessResult(_) => Ok(result),
            FinalResult::ErrorResult(error) => {
                let reason = error.error_reason;
                Err(Stop::failed(format!("the eUICC does not install the package: {reason}")))
            }
        }
    }

    /// Lets the card cancel a session, and forwards the cancellation.
    ///
    /// # Errors
    /// The card fails, or the response is invalid.
    pub(crate) async fn cancelled(
        &mut self,
        id: &TransactionId,
        sent_id: &TransactionId,
        form: Form,
    ) -> Result<esipa::CancelSessionResponse, Stop> {
        let reason = CancelSessionReason::POSTPONED;
        let response = self.es10().cancel_session(id.clone(), reason).await.map_err(card_failed)?;
        let response = match decoded::<CancelSessionResponse>(response.bytes())? {
            CancelSessionResponse::CancelSessionResponseOk(ok) if form == Form::Compact => {
                let compact = CompactCancelSessionResponseOk::of(&ok, None);
                CancelSessionResponse::CompactCancelSessionResponseOk(compact)
            }
            whole => whole,
        };
        let request =
            CancelSessionRequest { transaction_id: sent_id.clone(), cancel_session_response: response };
        self.call::<esipa::CancelSession>(&request, MessageFromIpa::CancelSessionRequest).await
    }
}

/// Decodes a response of the card. The signed parts keep their octets.
fn decoded<T: Asn1>(response: &[u8]) -> Result<T, Stop> {
    T::from_der(response).map_err(card_failed)
}
