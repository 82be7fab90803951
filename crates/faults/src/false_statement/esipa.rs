//! Tampered messages of ESipa: false statements of an eIM to the IPA and the card, and of a card and its
//! IPA to the eIM.
//!
//! Packages and results (ESep) are signed again with the keys of the eIM or of the card. Their
//! signatures also cover the association token of the eIM at the card. The tampering peer knows a token
//! after it has seen it in IpaEuiccData.

use std::sync::PoisonError;

use bytes::Bytes;
use certs::ServerName;
use crypto::{Curve, SecretKey, Signature};
use rsp::der::{Asn1, Opaque, Raw, Tag, tlv, tlv_bytes};
use rsp::ids::Eid;
use rsp::sgp22::es8plus::StoreMetadataRequest;
use rsp::sgp32::esipa::{
    AuthenticateClientResponse, EimAcknowledgements, EimPackageResult, EmptyResponse, GetEimPackageResponse,
    InitiateAuthenticationResponse, MessageFromEim, MessageFromIpa, ProvideEimPackageResultRequest,
    ProvideEimPackageResultResponse,
};
use rsp::sgp32::ipa_data::{IpaEuiccDataResponse, ProfileDownloadData};
use rsp::sgp32::package::MAX_COUNTER;
use rsp::sgp32::signature::{fixed_length, signed_octets};
use rsp::sgp32::{EuiccPackage, EuiccPackageRequest, EuiccPackageResult};
use world::Fault;

use super::{SESSIONS, TamperingPeer, alter, cannot_falsify, no_key, sign};
use crate::acts::false_statement::{FalseEimStatement, FalseIotStatement};

/// An operation with an unknown tag.
const UNKNOWN_OPERATION: [u8; 2] = [0xAF, 0x00];

/// The tag of a package or a result of an unknown type.
const UNKNOWN_TYPE: Tag = Tag(0xBF5E);

/// The number by which an altered sequence number is higher.
const NUMBER_OFFSET: i64 = 1000;

/// The eIM in the place of the right one.
const OTHER_EIM: &str = "elsewhere.example";

impl TamperingPeer {
    /// Remembers the association token in a message of the IPA.
    pub(super) fn observe_token(&self, body: &[u8]) {
        let Ok(MessageFromIpa::ProvideEimPackageResult(request)) = MessageFromIpa::from_der(body) else {
            return;
        };
        let EimPackageResult::IpaEuiccDataResponse(response) = &request.eim_package_result else { return };
        let IpaEuiccDataResponse::IpaEuiccData(data) = &**response else { return };
        if let (Some(eid), Some(token)) = (request.eid_value, data.association_token) {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            tokens.push_front((eid, token));
            tokens.truncate(SESSIONS);
        }
    }

    /// The association tokens with which a message for or from this card may be signed.
    fn tokens_of(&self, eid: Eid) -> Vec<Option<i64>> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let observed = tokens.iter().filter(|(each, _)| *each == eid).map(|(_, token)| Some(*token));
        observed.chain([None]).collect()
    }

    /// Returns the answer of an eIM with a false statement, or `None` if the answer does not have the
    /// element.
    pub(super) fn altered_by_eim(
        &self,
        statement: FalseEimStatement,
        body: &[u8],
    ) -> Option<Result<Bytes, Fault>> {
        use MessageFromEim as Message;
        if statement == FalseEimStatement::PackageType {
            return with_unknown_type(body, GetEimPackageResponse::TAG).map(Ok);
        }
        let altered = match MessageFromEim::from_der(body).ok()? {
            Message::GetEimPackageResponse(response) => {
                self.other_package(statement, response)?.map(Message::GetEimPackageResponse)
            }
            Message::ProvideEimPackageResultResponse(response) => {
                Ok(Message::ProvideEimPackageResultResponse(other_acknowledgement(statement, response)?))
            }
            Message::InitiateAuthenticationResponse(InitiateAuthenticationResponse::Ok(mut ok)) => {
                let id = ok.transaction_id.as_mut();
                alter(&mut id.filter(|_| statement == FalseEimStatement::SessionTransaction)?.0);
                Ok(Message::InitiateAuthenticationResponse(InitiateAuthenticationResponse::Ok(ok)))
            }
            Message::AuthenticateClientResponse(AuthenticateClientResponse::OkDp(mut ok)) => {
                match statement {
                    FalseEimStatement::SessionTransaction => alter(&mut ok.transaction_id.as_mut()?.0),
                    FalseEimStatement::MetadataName => {
                        let metadata = ok.profile_metadata.take()?;
                        let profile_name = "Another profile".to_owned();
                        ok.profile_metadata = Some(StoreMetadataRequest { profile_name, ..metadata });
                    }
                    _ => return None,
                }
                Ok(Message::AuthenticateClientResponse(AuthenticateClientResponse::OkDp(ok)))
            }
            _ => return None,
        };
        Some(altered.map(|message| message.to_der().into()))
    }

    fn other_package(
        &self,
        statement: FalseEimStatement,
        response: GetEimPackageResponse,
    ) -> Option<Result<GetEimPackageResponse, Fault>> {
        use FalseEimStatement as False;
        match (statement, response) {
            (False::MatchingId, GetEimPackageResponse::ProfileDownloadTriggerRequest(mut trigger)) => {
                let Some(ProfileDownloadData::ActivationCode(code)) = &mut trigger.profile_download_data
                else {
                    return None;
                };
                code.push('X');
                Some(Ok(GetEimPackageResponse::ProfileDownloadTriggerRequest(trigger)))
            }
            (
                False::Transaction
                | False::EimId
                | False::Eid
                | False::CounterReplayed
                | False::CounterSkipped
                | False::CounterOverLimit
                | False::Operation
                | False::Token
                | False::Signature,
                GetEimPackageResponse::EuiccPackageRequest(request),
            ) => {
                let altered = self.other_euicc_package(statement, &request);
                Some(altered.map(|request| GetEimPackageResponse::EuiccPackageRequest(Raw::new(request))))
            }
            _ => None,
        }
    }

    /// Changes a package, and signs it again with the key of its eIM.
    fn other_euicc_package(
        &self,
        statement: FalseEimStatement,
        request: &EuiccPackageRequest,
    ) -> Result<EuiccPackageRequest, Fault> {
        use FalseEimStatement as False;
        let mut signed = (*request.euicc_package_signed).clone();
        let (key, mut token) = self.eim_key(request)?;
        match statement {
            False::Transaction => {
                alter(signed.eim_transaction_id.as_mut().map(|id| id.0.as_mut_slice()).unwrap_or_default());
            }
            False::EimId => signed.eim_id = OTHER_EIM.to_owned(),
            False::Eid => signed.eid_value = self.other_eid(signed.eid_value)?,
            False::CounterReplayed => signed.counter_value = signed.counter_value.saturating_sub(1),
            False::CounterSkipped => signed.counter_value = signed.counter_value.saturating_add(1),
            False::CounterOverLimit => signed.counter_value = MAX_COUNTER.saturating_add(1),
            False::Operation => match &mut signed.euicc_package {
                EuiccPackage::PsmoList(list) => replace_first(list),
                EuiccPackage::EcoList(list) => replace_first(list),
            },
            False::Token => token = Some(token.unwrap_or_default().saturating_add(1)),
            _ => {}
        }
        let signed = Raw::new(signed);
        let mut signature = sign(&key, &signed_octets(signed.bytes(), token));
        if statement == False::Signature {
            alter(&mut signature);
        }
        Ok(EuiccPackageRequest { euicc_package_signed: signed, eim_signature: signature })
    }

    /// Finds the key and the association token with which an eIM signed a package.
    fn eim_key(&self, request: &EuiccPackageRequest) -> Result<(SecretKey, Option<i64>), Fault> {
        let signed = &*request.euicc_package_signed;
        let name: ServerName = signed
            .eim_id
            .parse()
            .map_err(|_| cannot_falsify("the identifier of the eIM is not a name in the PKI"))?;
        let keys = self.pki.eim(&signed.eim_id, &[name]).map_err(no_key)?.signing;
        let tokens = self.tokens_of(signed.eid_value);
        let signature = signature(&request.eim_signature)?;
        let mut candidates = keys.iter().flat_map(|key| tokens.iter().map(move |token| (key, *token)));
        let found = candidates
            .find(|(key, token)| key.public_key().verify(&request.signed_octets(*token), &signature).is_ok());
        found.map(|(key, token)| (key.clone(), token)).ok_or_else(|| {
            cannot_falsify("the eIM is not of the PKI, or its association token was not in IpaEuiccData")
        })
    }

    /// Returns the request of an IPA with a false statement, or `None` if the request does not have the
    /// element.
    pub(super) fn altered_by_device(
        &self,
        statement: FalseIotStatement,
        body: &[u8],
    ) -> Option<Result<Bytes, Fault>> {
        use MessageFromIpa as Message;
        let altered = match MessageFromIpa::from_der(body).ok()? {
            Message::GetEimPackageRequest(mut request) if statement == FalseIotStatement::Eid => {
                self.other_eid(request.eid_value).map(|eid| {
                    request.eid_value = eid;
                    Message::GetEimPackageRequest(request)
                })
            }
            Message::ProvideEimPackageResult(request) => match statement {
                FalseIotStatement::ResultType => return with_unknown_result(&request).map(Ok),
                _ => self.other_result(statement, request)?.map(Message::ProvideEimPackageResult),
            },
            _ => return None,
        };
        Some(altered.map(|message| message.to_der().into()))
    }

    fn other_result(
        &self,
        statement: FalseIotStatement,
        mut request: ProvideEimPackageResultRequest,
    ) -> Option<Result<ProvideEimPackageResultRequest, Fault>> {
        let eid = request.eid_value?;
        if statement == FalseIotStatement::Eid {
            return Some(self.other_eid(eid).map(|eid| {
                request.eid_value = Some(eid);
                request
            }));
        }
        let result = match &mut request.eim_package_result {
            EimPackageResult::EuiccPackageResult(result) => &mut **result,
            EimPackageResult::EprAndNotifications(both) => &mut both.euicc_package_result,
            EimPackageResult::IpaEuiccDataResponse(response) => {
                let IpaEuiccDataResponse::IpaEuiccData(data) = &mut **response else { return None };
                let is_of_data = statement == FalseIotStatement::DataToken;
                let token = data.association_token.as_mut().filter(|_| is_of_data)?;
                *token = token.saturating_add(1);
                return Some(Ok(request));
            }
            _ => return None,
        };
        if statement == FalseIotStatement::DataToken
            || !matches!(**result, EuiccPackageResult::EuiccPackageResultSigned(_))
        {
            return None;
        }
        match self.other_euicc_result(statement, eid, (**result).clone()) {
            Ok(altered) => *result = Raw::new(altered),
            Err(why) => return Some(Err(why)),
        }
        Some(Ok(request))
    }

    /// Changes a signed result, and signs it again with the key of its card.
    fn other_euicc_result(
        &self,
        statement: FalseIotStatement,
        eid: Eid,
        mut result: EuiccPackageResult,
    ) -> Result<EuiccPackageResult, Fault> {
        use FalseIotStatement as False;
        let EuiccPackageResult::EuiccPackageResultSigned(whole) = &mut result else { return Ok(result) };
        let (key, mut token) =
            self.card_key_of_result(eid, |token| whole.signed_octets(token), &whole.euicc_sign_epr)?;
        let mut signed = (*whole.euicc_package_result_data_signed).clone();
        match statement {
            False::ResultEimId => signed.eim_id = OTHER_EIM.to_owned(),
            False::ResultCounter => signed.counter_value = signed.counter_value.saturating_sub(1),
            False::ResultTransaction => {
                alter(signed.eim_transaction_id.as_mut().map(|id| id.0.as_mut_slice()).unwrap_or_default());
            }
            False::ResultNumber => signed.seq_number = signed.seq_number.saturating_add(NUMBER_OFFSET),
            False::NoResult => signed.euicc_result.clear(),
            False::ResultToken => token = Some(token.unwrap_or_default().saturating_add(1)),
            _ => {}
        }
        whole.euicc_package_result_data_signed = Raw::new(signed);
        whole.euicc_sign_epr = sign(&key, &whole.signed_octets(token));
        if statement == False::ResultSignature {
            alter(&mut whole.euicc_sign_epr);
        }
        Ok(result)
    }

    /// Finds the key of a card, and the association token with which it signed a result.
    fn card_key_of_result(
        &self,
        eid: Eid,
        signed_octets: impl Fn(Option<i64>) -> Vec<u8>,
        octets: &[u8],
    ) -> Result<(SecretKey, Option<i64>), Fault> {
        let curve = [Curve::P256, Curve::BrainpoolP256r1]
            .into_iter()
            .find(|curve| self.pki.eids(*curve).contains(&eid));
        let curve = curve.ok_or_else(|| cannot_falsify("the card is not of the PKI"))?;
        let key = self.pki.euicc(curve, eid).map_err(no_key)?.euicc.key;
        let signature = signature(octets)?;
        let token = self
            .tokens_of(eid)
            .into_iter()
            .find(|token| key.public_key().verify(&signed_octets(*token), &signature).is_ok())
            .ok_or_else(|| cannot_falsify("the association token of the eIM was not in IpaEuiccData"))?;
        Ok((key, token))
    }
}

fn signature(octets: &[u8]) -> Result<Signature, Fault> {
    fixed_length(octets)
        .and_then(|fixed| Signature::from_slice(&fixed).ok())
        .ok_or_else(|| cannot_falsify("the message has no signature"))
}

fn replace_first<T: Asn1>(operations: &mut [Opaque<T>]) {
    if let Some(first) = operations.first_mut() {
        *first = Opaque::new(UNKNOWN_OPERATION.to_vec());
    }
}

fn other_acknowledgement(
    statement: FalseEimStatement,
    response: ProvideEimPackageResultResponse,
) -> Option<ProvideEimPackageResultResponse> {
    use ProvideEimPackageResultResponse as Response;
    let Response::EimAcknowledgements(EimAcknowledgements(mut numbers)) = response else { return None };
    match statement {
        FalseEimStatement::NoAcknowledgement => Some(Response::EmptyResponse(EmptyResponse {})),
        FalseEimStatement::AcknowledgedNumber => {
            let number = numbers.last_mut()?;
            number.0 = number.0.saturating_add(NUMBER_OFFSET);
            Some(Response::EimAcknowledgements(EimAcknowledgements(numbers)))
        }
        _ => None,
    }
}

/// Gives the only element of a message another tag. An error code stays as it is.
fn with_unknown_type(body: &[u8], message: Tag) -> Option<Bytes> {
    let (_, inner) = tlv::split(body).filter(|(tag, _)| *tag == message)?;
    let (_, contents) = tlv::split(inner).filter(|(tag, _)| *tag != Tag::INTEGER)?;
    Some(tlv_bytes(message, &tlv_bytes(UNKNOWN_TYPE, contents)).into())
}

/// Gives the result in a request another tag.
fn with_unknown_result(request: &ProvideEimPackageResultRequest) -> Option<Bytes> {
    let whole = request.eim_package_result.to_der();
    let (_, contents) = tlv::split(&whole)?;
    let mut inner = request.eid_value?.to_der();
    inner.extend(tlv_bytes(UNKNOWN_TYPE, contents));
    Some(tlv_bytes(ProvideEimPackageResultRequest::TAG, &inner).into())
}
