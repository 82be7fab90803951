//! Common mutual authentication: SGP.22 section 3.0.1, the beginning of each session with an SM-DP+
//! or an SM-DS.

use certs::Certificate;
use rsp::activation_code::ActivationCode;
use rsp::der::Raw;
use rsp::ids::{Oid, SmdpAddress, TransactionId};
use rsp::sgp22::Function;
use rsp::sgp22::es9plus::{
    AuthenticateClient, AuthenticateClientOk, InitiateAuthentication, InitiateAuthenticationOk,
};
use rsp::sgp22::es10b::{AuthenticateErrorCode, AuthenticateServerRequest, AuthenticateServerResponse};
use rsp::sgp22::{CtxParams1, es11, json};
use rsp::status::Status;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use world::{CardInterface, Fault};

use super::Lpa;
use super::es9plus::Es9Error;
use super::requests::{AuthenticateClientRequest, InitiateAuthenticationRequest};
use crate::es10::Es10Error;
use crate::terminal::CardError;

/// The reason why a session with a server failed. The variant identifies the party that ended it.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No link to the server can be made.
    #[error(transparent)]
    Setup(#[from] Fault),
    /// The card refused or did not answer.
    #[error(transparent)]
    Card(#[from] Es10Error),
    /// The server did not answer, refused, or sent a malformed answer.
    #[error(transparent)]
    Server(#[from] Es9Error),
    /// The server's answer is inconsistent. It was not forwarded to the eUICC.
    #[error("the server's answer cannot be trusted: {0}")]
    ServerFlaw(#[from] ServerFlaw),
    /// The eUICC rejected the server's authentication. The server was informed.
    #[error(
        "the eUICC refused the server: {0}; check that they share a CI and that certificates are in date"
    )]
    ServerNotAuthenticated(AuthenticateErrorCode),
}

/// An inconsistency that the LPA detects in a server's answer before it passes the answer to the
/// eUICC: section 3.0.1. The documentation of a variant names the inconsistent part of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant describes it and its values")]
pub enum ServerFlaw {
    /// serverSigned1.
    #[error("it signed for address {signed} instead of {requested}")]
    OtherAddress { signed: String, requested: SmdpAddress },
    /// serverSigned1.
    #[error("it signed an eUICC challenge other than the one it received")]
    OtherChallenge,
    /// Any function.
    #[error("{function} contains transaction ID {found} instead of {expected}")]
    OtherTransaction { function: &'static str, expected: TransactionId, found: TransactionId },
    /// CERT.DPauth, compared with the activation code.
    #[error("its OID is {found}, but the activation code requires {expected}")]
    OtherOid { expected: Oid, found: String },
    /// CERT.DPauth.
    #[error("its certificate is invalid: {0}")]
    Certificate(String),
    /// AuthenticateClient.
    #[error("it is an SM-DS, which has no profiles; use event retrieval instead")]
    SmDs,
    /// EventEntries of an SM-DS.
    #[error("it announces an event at the invalid address {0:?}")]
    EventAddress(String),
}

impl From<CardError> for SessionError {
    fn from(error: CardError) -> Self {
        Self::Card(error.into())
    }
}

impl SessionError {
    /// True if a retry can succeed, because no refusal was final.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Setup(_) | Self::Card(Es10Error::Card(_)) => true,
            Self::Server(error) => match error {
                Es9Error::Link { .. } | Es9Error::Answer { .. } => true,
                Es9Error::Refused { status, .. } => matches!(
                    status.status(),
                    Some(
                        Status::TransactionUnknown
                            | Status::ProfileNotReleased
                            | Status::ConfirmationCodeMissing
                            | Status::ConfirmationCodeRefused
                    )
                ),
            },
            Self::Card(Es10Error::Refused { .. }) | Self::ServerFlaw(_) | Self::ServerNotAuthenticated(_) => {
                false
            }
        }
    }
}

/// AuthenticateClient at a server that may be an SM-DP+ or an SM-DS. Only the response shows the
/// kind of server.
pub(super) struct AuthenticateClientAnywhere;

impl Function for AuthenticateClientAnywhere {
    const INTERFACE: &'static str = AuthenticateClient::INTERFACE;
    const NAME: &'static str = AuthenticateClient::NAME;
    type Request = <AuthenticateClient as Function>::Request;
    type Reply = ServerResponse;
}

/// The response of a server to AuthenticateClient.
pub(super) enum ServerResponse {
    /// A profile, from an SM-DP+.
    Profile(Box<AuthenticateClientOk>),
    /// Events at other servers, from an SM-DS.
    Events(es11::AuthenticateClientOk),
}

impl<'de> Deserialize<'de> for ServerResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let answer = serde_json::Value::deserialize(deserializer)?;
        let waiting = match answer.get("eventEntries") {
            Some(_) => json::read_part(answer).map(Self::Events),
            None => json::read_part(answer).map(Self::Profile),
        };
        waiting.map_err(D::Error::custom)
    }
}

impl<D: CardInterface> Lpa<D> {
    /// Performs the common mutual authentication: section 3.0.1.
    ///
    /// The procedure is the same for an SM-DP+ and an SM-DS. `F` determines the accepted responses.
    pub(super) async fn authenticate<F>(
        &mut self,
        code: &ActivationCode,
    ) -> Result<(TransactionId, F::Reply), SessionError>
    where
        F: Function<Reply: DeserializeOwned>,
    {
        let address = &code.smdp_address;
        let offered = self.initiate_authentication(code).await?;
        let transaction_id = offered.transaction_id.clone();
        let request = AuthenticateServerRequest {
            server_signed1: offered.server_signed1,
            server_signature1: offered.server_signature1,
            euicc_ci_pk_id_to_be_used: offered.euicc_ci_pk_id_to_be_used,
            server_certificate: offered.server_certificate,
            ctx_params1: Raw::new(CtxParams1::download(
                Some(code.matching_id.clone()),
                self.settings.device_info.clone(),
            )),
        };
        let authenticate_server_response = self.es10.authenticate_server(&request).await?;
        let refused = match &*authenticate_server_response {
            AuthenticateServerResponse::AuthenticateResponseOk(_) => None,
            AuthenticateServerResponse::AuthenticateResponseError(error) => {
                Some(error.authenticate_error_code)
            }
        };
        let request = AuthenticateClientRequest {
            transaction_id: transaction_id.clone(),
            authenticate_server_response,
        };
        let answer = self.es9plus(address)?.call::<F>(&request).await;
        if let Some(code) = refused {
            return Err(SessionError::ServerNotAuthenticated(code));
        }
        Ok((transaction_id, answer?))
    }

    /// Calls ES9+.InitiateAuthentication and performs the checks of the response that the standard
    /// assigns to the LPA.
    async fn initiate_authentication(
        &mut self,
        code: &ActivationCode,
    ) -> Result<InitiateAuthenticationOk, SessionError> {
        let address = &code.smdp_address;
        let euicc_info1 = self.es10.get_euicc_info1().await?;
        let euicc_challenge = self.es10.get_euicc_challenge().await?;
        let mut request =
            InitiateAuthenticationRequest { euicc_challenge, smdp_address: address.to_string(), euicc_info1 };
        let mut server = self.es9plus(address)?;
        let mut answer = server.call::<InitiateAuthentication>(&request).await;
        // A server at a port other than 443 may know its own address with or without the port,
        // because the FQDN of the standard contains no port. If the server refuses the address with
        // the port, the request is repeated without the port.
        if let (Err(error), Some(host)) = (&answer, without_port(address))
            && matches!(error.status(), Some(Status::SmdpAddressRefused | Status::SmdsAddressRefused))
        {
            request.smdp_address = host;
            answer = server.call::<InitiateAuthentication>(&request).await;
        }
        let answer = answer?;
        check_initiate_authentication(&request, &answer, code)?;
        Ok(answer)
    }
}

fn check_initiate_authentication(
    request: &InitiateAuthenticationRequest,
    answer: &InitiateAuthenticationOk,
    code: &ActivationCode,
) -> Result<(), ServerFlaw> {
    let signed = &answer.server_signed1;
    if signed.transaction_id != answer.transaction_id {
        return Err(ServerFlaw::OtherTransaction {
            function: "InitiateAuthentication",
            expected: answer.transaction_id.clone(),
            found: signed.transaction_id.clone(),
        });
    }
    // req: SGP.22-3.0.1-Echo
    if signed.euicc_challenge != request.euicc_challenge {
        return Err(ServerFlaw::OtherChallenge);
    }
    if !signed.server_address.eq_ignore_ascii_case(&request.smdp_address) {
        let requested = code.smdp_address.clone();
        return Err(ServerFlaw::OtherAddress { signed: signed.server_address.clone(), requested });
    }
    let Some(expected) = &code.smdp_oid else { return Ok(()) };
    let certificate = Certificate::from_der(answer.server_certificate.0.clone())
        .map_err(|error| ServerFlaw::Certificate(error.to_string()))?;
    // req: SGP.22-3.0.1-Oid
    if certificate.registered_ids().contains(expected) {
        return Ok(());
    }
    let found: Vec<String> = certificate.registered_ids().iter().map(ToString::to_string).collect();
    Err(ServerFlaw::OtherOid { expected: expected.clone(), found: found.join(", ") })
}

/// Checks that the transaction ID of a response is the transaction ID of the session.
pub(crate) fn check_transaction_id(
    function: &'static str,
    expected: &TransactionId,
    found: &TransactionId,
) -> Result<(), ServerFlaw> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (expected.clone(), found.clone());
    Err(ServerFlaw::OtherTransaction { function, expected, found })
}

fn without_port(address: &SmdpAddress) -> Option<String> {
    let (host, port) = address.as_str().rsplit_once(':')?;
    (!host.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())).then(|| host.to_owned())
}

#[cfg(test)]
mod tests;
