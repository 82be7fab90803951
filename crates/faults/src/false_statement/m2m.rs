//! Tampered messages between the servers of SGP.02: false statements of an SM-SR about a card or
//! about the result of a script, and of an SM-DP to the card.
//!
//! Data that the EUM has signed is signed again with the key of the EUM. The other messages of
//! SGP.02 are not signed; TLS authenticates their sender.

use bytes::Bytes;
use certs::Role;
use crypto::{Curve, SecretKey};
use rsp::StatusWord;
use rsp::ota::script::{Answer, Command, Script, ScriptResponse};
use rsp::sgp02::certificate::Owner;
use rsp::sgp02::common::{BaseResponse, ExecutionStatus, FunctionExecutionStatus, Message, StatusCodeData};
use rsp::sgp02::eis::{Eis, EumSignedInfo};
use rsp::sgp02::es3::{
    CreateIsdpResponse, EnableProfileResponse, GetEisResponse, SendDataRequest, SendDataResponse,
};
use rsp::sgp02::es5::{self, Receipt};
use rsp::sgp02::signature::Canonical;
use rsp::sgp02::{Octets, soap, xml};
use rsp_server::soap::eum;
use world::Fault;

use super::{TamperingPeer, alter, cannot_falsify, no_key};
use crate::acts::false_statement::FalseM2mStatement;

impl TamperingPeer {
    /// Returns the tampered message, or `None` if the fault does not apply to the message.
    pub(super) fn altered_between_servers(
        &self,
        statement: FalseM2mStatement,
        body: &[u8],
    ) -> Option<Result<Bytes, Fault>> {
        match statement {
            FalseM2mStatement::IsdpAid => changed(body, |answer: &mut CreateIsdpResponse| {
                alter(answer.isd_p_aid.as_mut()?.0.get_mut(..15)?);
                Some(Ok(()))
            }),
            FalseM2mStatement::Challenge => answered(body, |data| {
                es5::random_challenge(data).ok()?;
                alter(data);
                Some(())
            }),
            FalseM2mStatement::Receipt => answered(body, |data| {
                Receipt::parse(data).ok()?;
                alter(data);
                Some(())
            }),
            FalseM2mStatement::StatusWord => changed(body, |answer: &mut SendDataResponse| {
                let data = answer.euicc_response_data.as_mut()?;
                let mut script = ScriptResponse::parse(data.as_slice()).ok()?;
                let Some(Answer::Apdu(apdu)) = script.answers.last_mut() else { return None };
                (apdu.data, apdu.status) = (Vec::new(), StatusWord(0x6F00));
                *data = Octets(script.to_bytes());
                Some(Ok(()))
            }),
            FalseM2mStatement::NotEnabled => changed(body, |answer: &mut EnableProfileResponse| {
                let is_done = answer.base.is_done();
                answer.base = BaseResponse { function_execution_status: failed(), ..answer.base.clone() };
                is_done.then_some(Ok(()))
            }),
            FalseM2mStatement::Certificate(defect) => changed(body, |request: &mut SendDataRequest| {
                let with = || self.pki.m2m_card_credential_with(defect, Owner::SmDp, "Landfall SM-DP");
                let is_it = |apdu: &[u8]| apdu.starts_with(&[0x80, 0xE2, 0x09, 0x00]);
                let apdu = |_: &[u8]| Ok(es5::store_certificate(&with().map_err(no_key)?.0));
                with_apdu(request, is_it, apdu)
            }),
            FalseM2mStatement::Signature => changed(body, |request: &mut SendDataRequest| {
                let is_it = |apdu: &[u8]| apdu.starts_with(&[0x80, 0xE2, 0x89, 0x01]);
                let corrupt = |apdu: &[u8]| {
                    let mut apdu = apdu.to_vec();
                    let at = apdu.windows(3).rposition(|tag| tag == [0x5F, 0x37, 0x40]);
                    let at = at.ok_or_else(|| cannot_falsify("there is no signature in the command"))?;
                    alter(apdu.get_mut(..at.saturating_add(10)).unwrap_or_default());
                    Ok(apdu)
                };
                with_apdu(request, is_it, corrupt)
            }),
            _ => changed(body, |answer: &mut GetEisResponse| {
                let eis = answer.eis.take()?;
                Some(self.other_eis(statement, eis).map(|eis| answer.eis = Some(eis)))
            }),
        }
    }

    fn other_eis(&self, statement: FalseM2mStatement, mut eis: Eis) -> Result<Eis, Fault> {
        let namespace = eis.eum_signed_info.namespace();
        let eid = eis.eum_signed_info.eid;
        let mut signed: EumSignedInfo = eis.eum_signed_info.clone().into_value();
        let eum = self.pki.credential(Role::Eum, Curve::P256).map_err(no_key)?;
        let mut certificate = eum.certificate.der().to_vec();
        let mut key: SecretKey = eum.key;
        match statement {
            FalseM2mStatement::EisSmsr => {
                eis.smsr_id = super::card::unknown_oid()?;
                return Ok(eis);
            }
            FalseM2mStatement::EisMemory => {
                eis.available_memory_for_profiles = 16;
                return Ok(eis);
            }
            FalseM2mStatement::EisSignature => {
                alter(&mut eis.eum_signature.signature_value.0);
                return Ok(eis);
            }
            FalseM2mStatement::EisChanged => {
                signed.platform_type.push('!');
                eis.eum_signed_info = Canonical::eum_signed_info(signed, namespace);
                return Ok(eis);
            }
            FalseM2mStatement::EisEid => signed.eid = self.other_eid(eid)?,
            FalseM2mStatement::EisByStranger => key = self.pki.dp(Curve::P256).map_err(no_key)?.pb.key,
            FalseM2mStatement::EisEum(defect) => {
                certificate = self.pki.issue_with(defect, Role::Eum, Curve::P256).map_err(no_key)?.der;
            }
            FalseM2mStatement::Ecasd(defect) => {
                let (broken, _) = self.pki.ecasd_with(defect, eid).map_err(no_key)?;
                let certificates = signed.ecasd.keyset.iter_mut().flat_map(|set| &mut set.certificate);
                certificates.for_each(|certificate| certificate.value = Octets(broken.clone()));
            }
            _ => {}
        }
        eis.eum_signed_info = Canonical::eum_signed_info(signed, namespace);
        eis.eum_signature = eum::sign(&eis.eum_signed_info, &key, Some(&certificate));
        Ok(eis)
    }
}

/// Changes the message in an envelope. Returns `None` if the envelope contains another message, or
/// one in which there is nothing to change.
fn changed<M: Message>(
    body: &[u8],
    change: impl FnOnce(&mut M) -> Option<Result<(), Fault>>,
) -> Option<Result<Bytes, Fault>> {
    let document = xml::parse(soap::text(body).ok()?).ok()?;
    let envelope = soap::Envelope::read(&document).ok()?;
    let mut message: M = (envelope.element() == M::ELEMENT).then(|| envelope.message().ok())??;
    let change = change(&mut message)?;
    Some(change.map(|()| soap::envelope(&envelope.header, envelope.namespace, &message).into()))
}

/// Changes the response of the card to the last command of a script.
fn answered(body: &[u8], change: impl FnOnce(&mut [u8]) -> Option<()>) -> Option<Result<Bytes, Fault>> {
    changed(body, |answer: &mut SendDataResponse| {
        let data = answer.euicc_response_data.as_mut()?;
        let mut script = ScriptResponse::parse(data.as_slice()).ok()?;
        let Some(Answer::Apdu(apdu)) = script.answers.last_mut() else { return None };
        change(&mut apdu.data)?;
        *data = Octets(script.to_bytes());
        Some(Ok(()))
    })
}

/// Replaces one command of a script.
fn with_apdu(
    request: &mut SendDataRequest,
    is_it: impl Fn(&[u8]) -> bool,
    instead: impl FnOnce(&[u8]) -> Result<Vec<u8>, Fault>,
) -> Option<Result<(), Fault>> {
    let mut script = Script::parse(request.data.as_slice()).ok()?;
    let found = script.commands.iter_mut().find_map(|command| match command {
        Command::Apdu(apdu) if is_it(apdu) => Some(apdu),
        _ => None,
    })?;
    match instead(found) {
        Ok(apdu) => *found = apdu,
        Err(why) => return Some(Err(why)),
    }
    request.data = Octets(script.to_bytes());
    Some(Ok(()))
}

fn failed() -> FunctionExecutionStatus {
    FunctionExecutionStatus {
        status: ExecutionStatus::Failed,
        status_code_data: Some(StatusCodeData {
            subject: "8.2".to_owned(),
            reason: "4.2".to_owned(),
            subject_identifier: None,
            message: Some("reported by an injected fault".to_owned()),
        }),
    }
}
