//! False statements of a card, and of the device that forwards what the card signs.

use certs::{Defect, Role};
use rsp::der::{BitString, Raw};
use rsp::ids::{CertificateDer, Iccid, Oid};
use rsp::sgp22::es8plus::{
    BppCommandId, ErrorReason, ErrorResult, FinalResult, ProfileInstallationResult, SuccessResult,
};
use rsp::sgp22::es9plus::HandleNotificationRequest;
use rsp::sgp22::es10b::{
    AuthenticateResponseOk, AuthenticateServerResponse, CancelSessionResponse, PrepareDownloadResponse,
};
use rsp::sgp22::{
    CtxParams1, NotificationMetadata, OtherSignedNotification, PendingNotification, notification_event,
};
use world::Fault;

use super::{
    Call, InjectedFault, TamperingPeer, alter, cannot_falsify, no_key, read_certificate, sign, with_signature,
};
use crate::acts::false_statement::FalseCardStatement;

impl FalseCardStatement {
    /// True if the request contains the element that the false statement changes.
    pub(super) fn applies_to(self, call: &Call) -> bool {
        use PendingNotification::{OtherSignedNotification, ProfileInstallationResult};
        match self {
            Self::Transaction => !matches!(call, Call::InitiateAuthentication | Call::HandleNotification(_)),
            Self::Signed1Transaction
            | Self::Signed1Challenge
            | Self::Signed1Address
            | Self::Signed1NoMemory
            | Self::Signed1NoUsim
            | Self::Signed1MatchingId
            | Self::Signature1 => authenticate_response(call).is_some(),
            Self::Signed2Transaction
            | Self::Signed2NoPoint
            | Self::Signed2Otpk
            | Self::Signature2
            | Self::Signature2Alone => matches!(call, Call::GetBoundProfilePackage(request)
                if matches!(request.prepare_download_response, PrepareDownloadResponse::DownloadResponseOk(_))),
            Self::CancelTransaction | Self::CancelOid | Self::CancelSignature => {
                matches!(call, Call::CancelSession(request)
                    if matches!(request.cancel_session_response, CancelSessionResponse::CancelSessionResponseOk(_)))
            }
            Self::ResultTransaction
            | Self::ResultOid
            | Self::ResultNoOid
            | Self::ResultIccid
            | Self::ResultNoIccid
            | Self::ResultEvent
            | Self::ResultNumber
            | Self::ResultAddress
            | Self::ResultOutcome
            | Self::ResultSignature => matches!(call.notification(), Some(ProfileInstallationResult(_))),
            Self::NotificationIccid
            | Self::NotificationNoIccid
            | Self::NotificationDeleted
            | Self::NotificationSignature
            | Self::NotificationOtherCard => {
                matches!(call.notification(), Some(OtherSignedNotification(_)))
            }
        }
    }
}

/// True if the request contains the certificates of the card.
pub(super) fn shows_certificates(call: &Call) -> bool {
    authenticate_response(call).is_some()
        || matches!(call.notification(), Some(PendingNotification::OtherSignedNotification(_)))
}

/// The signed response of the card in AuthenticateClient.
fn authenticate_response(call: &Call) -> Option<&AuthenticateResponseOk> {
    match call {
        Call::AuthenticateClient(request) => match &request.authenticate_server_response {
            AuthenticateServerResponse::AuthenticateResponseOk(ok) => Some(ok),
            AuthenticateServerResponse::AuthenticateResponseError(_) => None,
        },
        _ => None,
    }
}

impl TamperingPeer {
    /// Changes what the card has signed, and signs it again.
    pub(super) fn change_card_message(
        &self,
        statement: FalseCardStatement,
        call: &mut Call,
        injected: &InjectedFault,
    ) -> Result<(), Fault> {
        match call {
            Call::InitiateAuthentication => Ok(()),
            Call::AuthenticateClient(request) => {
                if statement == FalseCardStatement::Transaction {
                    alter(&mut request.transaction_id.0);
                }
                match &mut request.authenticate_server_response {
                    AuthenticateServerResponse::AuthenticateResponseOk(ok) => self.prove(statement, ok),
                    AuthenticateServerResponse::AuthenticateResponseError(_) => Ok(()),
                }
            }
            Call::GetBoundProfilePackage(request) => {
                if statement == FalseCardStatement::Transaction {
                    alter(&mut request.transaction_id.0);
                    return Ok(());
                }
                self.prepare(
                    statement,
                    &request.transaction_id.clone(),
                    &mut request.prepare_download_response,
                    injected,
                )
            }
            Call::CancelSession(request) => {
                if statement == FalseCardStatement::Transaction {
                    alter(&mut request.transaction_id.0);
                    return Ok(());
                }
                self.cancel(statement, &request.transaction_id.clone(), &mut request.cancel_session_response)
            }
            Call::HandleNotification(request) => self.notify(statement, request),
        }
    }

    fn prove(&self, statement: FalseCardStatement, ok: &mut AuthenticateResponseOk) -> Result<(), Fault> {
        let mut signed = (*ok.euicc_signed1).clone();
        match statement {
            FalseCardStatement::Signed1Transaction => alter(&mut signed.transaction_id.0),
            FalseCardStatement::Signed1Challenge => alter(&mut signed.server_challenge),
            FalseCardStatement::Signed1Address => signed.server_address = "elsewhere.example".to_owned(),
            FalseCardStatement::Signed1NoMemory | FalseCardStatement::Signed1NoUsim => {
                let mut info = signed.euicc_info2.into_value();
                match statement {
                    FalseCardStatement::Signed1NoMemory => info.ext_card_resource = NO_MEMORY.to_vec(),
                    _ => info.uicc_capability = BitString::of(&[]),
                }
                signed.euicc_info2 = Raw::new(info);
            }
            FalseCardStatement::Signed1MatchingId => {
                let mut context = signed.ctx_params1.into_value();
                if let CtxParams1::CtxParamsForCommonAuthentication(context) = &mut context {
                    context.matching_id = Some("NOBODYS".to_owned());
                }
                signed.ctx_params1 = Raw::new(context);
            }
            _ => {}
        }
        ok.euicc_signed1 = Raw::new(signed);
        let certificate = read_certificate(&ok.euicc_certificate)?;
        let eid = certificate.eid().ok_or_else(|| cannot_falsify("the card's certificate has no EID"))?;
        let key = self.pki.euicc(certificate.curve(), eid).map_err(no_key)?.euicc.key;
        ok.euicc_signature1 = sign(&key, ok.euicc_signed1.bytes());
        if statement == FalseCardStatement::Signature1 {
            alter(&mut ok.euicc_signature1);
        }
        Ok(())
    }

    fn prepare(
        &self,
        statement: FalseCardStatement,
        transaction_id: &rsp::ids::TransactionId,
        response: &mut PrepareDownloadResponse,
        injected: &InjectedFault,
    ) -> Result<(), Fault> {
        let PrepareDownloadResponse::DownloadResponseOk(ok) = response else { return Ok(()) };
        let session = self.observed(transaction_id)?;
        let key = self.card_key(transaction_id)?;
        let mut signed = (*ok.euicc_signed2).clone();
        match statement {
            FalseCardStatement::Signed2Transaction => alter(&mut signed.transaction_id.0),
            FalseCardStatement::Signed2NoPoint => alter(&mut signed.euicc_otpk),
            FalseCardStatement::Signed2Otpk => {
                let foreign_key =
                    crypto::SecretKey::generate(session.binding, &mut |octets| injected.fill(octets));
                signed.euicc_otpk = foreign_key.public_key().to_sec1().to_vec();
            }
            _ => {}
        }
        ok.euicc_signed2 = Raw::new(signed);
        ok.euicc_signature2 = match statement {
            FalseCardStatement::Signature2Alone => sign(&key, ok.euicc_signed2.bytes()),
            _ => sign(&key, &with_signature(ok.euicc_signed2.bytes(), &session.smdp_signature2)),
        };
        if statement == FalseCardStatement::Signature2 {
            alter(&mut ok.euicc_signature2);
        }
        Ok(())
    }

    fn cancel(
        &self,
        statement: FalseCardStatement,
        transaction_id: &rsp::ids::TransactionId,
        response: &mut CancelSessionResponse,
    ) -> Result<(), Fault> {
        let CancelSessionResponse::CancelSessionResponseOk(ok) = response else { return Ok(()) };
        let key = self.card_key(transaction_id)?;
        let mut signed = (*ok.euicc_cancel_session_signed).clone();
        match statement {
            FalseCardStatement::CancelTransaction => alter(&mut signed.transaction_id.0),
            FalseCardStatement::CancelOid => signed.smdp_oid = unknown_oid()?,
            _ => {}
        }
        ok.euicc_cancel_session_signed = Raw::new(signed);
        ok.euicc_cancel_session_signature = sign(&key, ok.euicc_cancel_session_signed.bytes());
        if statement == FalseCardStatement::CancelSignature {
            alter(&mut ok.euicc_cancel_session_signature);
        }
        Ok(())
    }

    fn notify(
        &self,
        statement: FalseCardStatement,
        request: &mut HandleNotificationRequest,
    ) -> Result<(), Fault> {
        let mut pending = request.pending_notification.clone().into_value();
        match &mut pending {
            PendingNotification::ProfileInstallationResult(result) => self.installed(statement, result)?,
            PendingNotification::OtherSignedNotification(notification) => {
                self.changed(statement, notification)?;
            }
        }
        request.pending_notification = Raw::new(pending);
        Ok(())
    }

    fn installed(
        &self,
        statement: FalseCardStatement,
        result: &mut ProfileInstallationResult,
    ) -> Result<(), Fault> {
        let mut data = (*result.profile_installation_result_data).clone();
        let key = self.card_key(&data.transaction_id)?;
        let altered: &mut NotificationMetadata = &mut data.notification_metadata;
        match statement {
            FalseCardStatement::ResultTransaction => alter(&mut data.transaction_id.0),
            FalseCardStatement::ResultOid => data.smdp_oid = Some(unknown_oid()?),
            FalseCardStatement::ResultNoOid => data.smdp_oid = None,
            FalseCardStatement::ResultIccid => altered.iccid = Some(unknown_iccid()?),
            FalseCardStatement::ResultNoIccid => altered.iccid = None,
            FalseCardStatement::ResultEvent => {
                altered.profile_management_operation = BitString::of(&[notification_event::ENABLE]);
            }
            FalseCardStatement::ResultNumber => altered.seq_number = altered.seq_number.saturating_add(1000),
            FalseCardStatement::ResultAddress => {
                altered.notification_address = "elsewhere.example".to_owned()
            }
            FalseCardStatement::ResultOutcome => data.final_result = inverted_result(&data.final_result)?,
            _ => {}
        }
        result.profile_installation_result_data = Raw::new(data);
        result.euicc_sign_pir = sign(&key, result.profile_installation_result_data.bytes());
        if statement == FalseCardStatement::ResultSignature {
            alter(&mut result.euicc_sign_pir);
        }
        Ok(())
    }

    fn changed(
        &self,
        statement: FalseCardStatement,
        notification: &mut OtherSignedNotification,
    ) -> Result<(), Fault> {
        let certificate = read_certificate(&notification.euicc_certificate)?;
        let eid = certificate.eid().ok_or_else(|| cannot_falsify("the card's certificate has no EID"))?;
        let curve = certificate.curve();
        let mut card = self.pki.euicc(curve, eid).map_err(no_key)?;
        let mut altered = (*notification.tbs_other_notification).clone();
        match statement {
            FalseCardStatement::NotificationIccid => altered.iccid = Some(unknown_iccid()?),
            FalseCardStatement::NotificationNoIccid => altered.iccid = None,
            FalseCardStatement::NotificationDeleted => {
                altered.profile_management_operation = BitString::of(&[notification_event::DELETE]);
            }
            FalseCardStatement::NotificationOtherCard => {
                let others = self.pki.eids(curve).into_iter().find(|each| *each != eid);
                let other_eid = others.ok_or_else(|| cannot_falsify("the PKI has only one card"))?;
                card = self.pki.euicc(curve, other_eid).map_err(no_key)?;
                notification.euicc_certificate = CertificateDer(card.euicc.certificate.der().to_vec());
            }
            _ => {}
        }
        notification.tbs_other_notification = Raw::new(altered);
        notification.euicc_notification_signature =
            sign(&card.euicc.key, notification.tbs_other_notification.bytes());
        if statement == FalseCardStatement::NotificationSignature {
            alter(&mut notification.euicc_notification_signature);
        }
        Ok(())
    }

    /// Presents a CERT.EUICC or CERT.EUM with a defect.
    pub(super) fn present_card_certificate(
        &self,
        role: Role,
        defect: Defect,
        call: &mut Call,
    ) -> Result<(), Fault> {
        let broken = |own: &CertificateDer| {
            let curve = read_certificate(own)?.curve();
            self.pki.issue_with(defect, role, curve).map_err(no_key)
        };
        match call {
            Call::AuthenticateClient(request) => {
                let AuthenticateServerResponse::AuthenticateResponseOk(ok) =
                    &mut request.authenticate_server_response
                else {
                    return Ok(());
                };
                let broken = broken(&ok.euicc_certificate)?;
                if role == Role::Euicc {
                    ok.euicc_certificate = CertificateDer(broken.der);
                    ok.euicc_signature1 = sign(&broken.key, ok.euicc_signed1.bytes());
                } else {
                    ok.eum_certificate = CertificateDer(broken.der);
                }
            }
            Call::HandleNotification(request) => {
                let mut pending = request.pending_notification.clone().into_value();
                let PendingNotification::OtherSignedNotification(notification) = &mut pending else {
                    return Ok(());
                };
                let broken = broken(&notification.euicc_certificate)?;
                if role == Role::Euicc {
                    notification.euicc_certificate = CertificateDer(broken.der);
                    notification.euicc_notification_signature =
                        sign(&broken.key, notification.tbs_other_notification.bytes());
                } else {
                    notification.eum_certificate = CertificateDer(broken.der);
                }
                request.pending_notification = Raw::new(pending);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Extended card resources: no applications, 16 octets of non-volatile and 16 octets of volatile
/// memory.
const NO_MEMORY: [u8; 9] = [0x81, 1, 0, 0x82, 1, 16, 0x83, 1, 16];

/// Turns success into an error, and an error into success.
fn inverted_result(result: &FinalResult) -> Result<FinalResult, Fault> {
    Ok(match result {
        FinalResult::SuccessResult(_) => FinalResult::ErrorResult(ErrorResult {
            bpp_command_id: BppCommandId::LOAD_PROFILE_ELEMENTS,
            error_reason: ErrorReason::INSTALL_FAILED_DUE_TO_UNKNOWN_ERROR,
            sima_response: None,
        }),
        FinalResult::ErrorResult(_) => FinalResult::SuccessResult(SuccessResult {
            aid: rsp::ids::Aid::isd_p(16),
            sima_response: Vec::new(),
        }),
    })
}

/// An OID that belongs to no SM-DP+.
pub(super) fn unknown_oid() -> Result<Oid, Fault> {
    "2.999.66".parse().map_err(|_| cannot_falsify("the OID 2.999.66 cannot be parsed"))
}

/// The ICCID of a profile that was never on the card.
fn unknown_iccid() -> Result<Iccid, Fault> {
    Iccid::with_luhn("899900000000000000").map_err(|_| cannot_falsify("the ICCID 8999... cannot be parsed"))
}
