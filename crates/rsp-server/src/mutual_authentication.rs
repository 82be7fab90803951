//! Server side of common mutual authentication: SGP.22 sections 3.0.1, 5.6.1, 5.6.3, 5.8.1 and
//! 5.8.2.

use certs::{Certificate, ChainError, EuiccCertificate, Flaw, TrustAnchors, Verified, check_euicc};
use crypto::{PublicKey, SecretKey, Signature};
use rsp::{
    der::Raw,
    ids::{CertificateDer, SubjectKeyIdentifier, TransactionId},
    sgp22::{
        EuiccInfo1, ServerSigned1,
        es9plus::InitiateAuthenticationOk,
        es10b::{AuthenticateResponseOk, AuthenticateServerResponse},
    },
    status::{Refusal, Status},
    time::Timestamp,
};
use world::World;

use crate::Settings;

/// Rules by which a server accepts an InitiateAuthentication request.
#[derive(Debug)]
pub struct InitiationRules<'a> {
    /// Role of the server, for example "SM-DP+".
    pub role: &'static str,
    /// Statuses of the refusals.
    pub statuses: InitiationStatuses,
    /// Settings of the server.
    pub settings: &'a Settings,
    /// CIs that the server trusts.
    pub anchors: &'a TrustAnchors,
}

/// Statuses with which a server refuses InitiateAuthentication. Their subjects depend on the role
/// of the server.
#[derive(Clone, Copy, Debug)]
pub struct InitiationStatuses {
    /// The request is for another server.
    pub address: Status,
    /// The SGP.22 version of the eUICC is not supported.
    pub version: Status,
    /// The server trusts no CI under which the eUICC can sign.
    pub signing: Status,
    /// The server has no certificate that the eUICC can verify.
    pub verification: Status,
}

/// The CIs of a session, and the credentials that the server uses in it.
#[derive(Debug)]
pub struct SelectedCis<'r, K> {
    /// CI under which the eUICC verifies the server.
    pub server_ci: &'r SubjectKeyIdentifier,
    /// Certificates and keys of the server below `server_ci`.
    pub credentials: K,
    /// CI under which the eUICC is to sign.
    pub euicc_ci: &'r SubjectKeyIdentifier,
}

impl InitiationRules<'_> {
    /// Checks that the request is for this server and that server and eUICC have a CI in common in
    /// each direction. `below` returns the server's credentials below a CI. The lists of the eUICC
    /// are in its order of preference.
    ///
    /// # Errors
    /// Refuses in the order of the statuses, which callers can observe.
    pub fn select<'r, K>(
        &self,
        address: &str,
        info: &'r EuiccInfo1,
        below: impl Fn(&SubjectKeyIdentifier) -> Option<K>,
    ) -> Result<SelectedCis<'r, K>, Refusal> {
        let Self { role, statuses, settings, .. } = self;
        if settings.own_address(address).is_none() {
            // req: SGP.22-5.6.1-Address, SGP.22-5.8.1-Address
            return Err(statuses
                .address
                .because(format!("the address of this {role} is {}", settings.address))
                .about(address));
        }
        let (lowest, highest) = (settings.lowest_svn, settings.highest_svn);
        if !(lowest..=highest).contains(&info.svn) {
            // req: SGP.22-5.6.1-Svn, SGP.22-5.8.1-Svn
            return Err(statuses
                .version
                .because(format!("this {role} supports eUICCs of versions {lowest} to {highest}"))
                .about(info.svn));
        }
        let mut signing = info.euicc_ci_pk_id_list_for_signing.iter();
        let euicc_ci = signing.find(|ci| self.anchors.find(ci).is_some()).ok_or_else(|| {
            // req: SGP.22-5.6.1-CiForSigning, SGP.22-5.8.1-CiForSigning
            statuses
                .signing
                .because(format!("this {role} trusts none of the CIs under which the eUICC can sign"))
        })?;
        let mut verifiable = info.euicc_ci_pk_id_list_for_verification.iter();
        let (server_ci, credentials) = verifiable.find_map(|ci| Some((ci, below(ci)?))).ok_or_else(|| {
            // req: SGP.22-5.6.1-CiForVerification, SGP.22-5.8.1-CiForVerification
            statuses
                .verification
                .because(format!("this {role} has no certificate issued by a CI that the eUICC can verify"))
        })?;
        Ok(SelectedCis { server_ci, credentials, euicc_ci })
    }
}

/// Challenge to an eUICC, as returned by InitiateAuthentication.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// Identifier of the session.
    pub transaction_id: TransactionId,
    /// Random value that the eUICC must return signed.
    pub server_challenge: [u8; 16],
    /// Data signed by the server.
    pub server_signed1: Raw<ServerSigned1>,
    /// Signature over `server_signed1`.
    pub server_signature1: Vec<u8>,
}

impl Challenge {
    /// Starts a session: signs the eUICC's challenge with `key` and creates the server's challenge.
    ///
    /// `server_address` is spelled as the LPA wrote it, because the eUICC compares it with the
    /// address that the user sees.
    pub fn new(world: &World, key: &SecretKey, euicc_challenge: [u8; 16], server_address: &str) -> Self {
        let transaction_id = TransactionId(world.random::<16>().to_vec());
        let server_challenge = world.random::<16>();
        let server_signed1 = Raw::new(ServerSigned1 {
            transaction_id: transaction_id.clone(),
            euicc_challenge,
            server_address: server_address.to_owned(),
            server_challenge,
        });
        let server_signature1 = key.sign(server_signed1.bytes()).as_bytes().to_vec();
        Self { transaction_id, server_challenge, server_signed1, server_signature1 }
    }

    /// Builds the reply to InitiateAuthentication.
    pub fn reply(
        self,
        euicc_ci: &SubjectKeyIdentifier,
        certificate: &Certificate,
    ) -> InitiateAuthenticationOk {
        InitiateAuthenticationOk {
            transaction_id: self.transaction_id,
            server_signed1: self.server_signed1,
            server_signature1: self.server_signature1,
            euicc_ci_pk_id_to_be_used: euicc_ci.clone(),
            server_certificate: CertificateDer(certificate.der().to_vec()),
        }
    }
}

/// Challenge of a session, as the server stored it.
#[derive(Clone, Copy, Debug)]
pub struct SentChallenge<'a> {
    /// TransactionID of the session.
    pub transaction_id: &'a TransactionId,
    /// Challenge that was sent to the eUICC.
    pub server_challenge: &'a [u8],
    /// Server address that was signed.
    pub server_address: &'a str,
    /// CI under which the eUICC is to sign.
    pub euicc_ci: &'a SubjectKeyIdentifier,
}

impl SentChallenge<'_> {
    /// Checks that the answer comes from an eUICC of a trusted CI and that it answers this
    /// challenge. Returns the eUICC's certificate and its answer.
    ///
    /// # Errors
    /// Refuses in the order of section 5.6.3, which callers can observe: the eUICC's own error, the
    /// certificate chain, the CI, the signature, and the signed data.
    pub fn check<'r>(
        &self,
        anchors: &TrustAnchors,
        now: Timestamp,
        answer: &'r AuthenticateServerResponse,
    ) -> Result<(Verified<EuiccCertificate>, &'r AuthenticateResponseOk), Refusal> {
        let answer = match answer {
            AuthenticateServerResponse::AuthenticateResponseOk(answer) => answer,
            // req: SGP.22-5.6.3-EuiccError, SGP.22-5.8.2-EuiccError
            AuthenticateServerResponse::AuthenticateResponseError(error) => {
                check_transaction_id(self.transaction_id, &error.transaction_id)?;
                return Err(Status::EuiccVerificationFailed
                    .because(format!("the eUICC refused this server: {}", error.authenticate_error_code)));
            }
        };
        let eum = Certificate::from_der(answer.eum_certificate.0.clone())
            .map_err(|e| Status::EumCertificateVerificationFailed.because(e.to_string()))?;
        let euicc = Certificate::from_der(answer.euicc_certificate.0.clone())
            .map_err(|e| Status::EuiccCertificateVerificationFailed.because(e.to_string()))?;
        let euicc = check_euicc(anchors, &euicc, &eum, now).map_err(refusal_of)?;
        // req: SGP.22-5.6.3-CiUnknown, SGP.22-5.8.2-CiUnknown
        if euicc.ci_key_id != *self.euicc_ci {
            return Err(Status::CiUnknown
                .because("the eUICC signed under another CI than the requested one")
                .about(&euicc.ci_key_id));
        }
        let signed = &answer.euicc_signed1;
        // req: SGP.22-5.6.3-Signature, SGP.22-5.8.2-Signature
        verify(&euicc.public_key, signed.bytes(), &answer.euicc_signature1, "euiccSignature1")?;
        // req: SGP.22-5.6.3-SignedTransactionId, SGP.22-5.8.2-SignedTransactionId
        check_transaction_id(self.transaction_id, &signed.transaction_id)?;
        let wrong = |what| Err(Status::EuiccVerificationFailed.because(what));
        // req: SGP.22-5.6.3-Challenge, SGP.22-5.8.2-Challenge
        if signed.server_challenge.as_slice() != self.server_challenge {
            return wrong("serverChallenge differs from the challenge that this server sent");
        }
        // req: SGP.22-5.6.3-ServerAddress, SGP.22-5.8.2-ServerAddress
        if signed.server_address != self.server_address {
            return wrong("the eUICC signed another server address");
        }
        Ok((euicc, answer))
    }
}

/// Checks that the TransactionID in the signed data equals the one of the session.
///
/// # Errors
/// Refuses if they differ.
pub fn check_transaction_id(session: &TransactionId, signed: &TransactionId) -> Result<(), Refusal> {
    if session == signed {
        return Ok(());
    }
    Err(Status::TransactionUnknown.because("the eUICC's answer names another TransactionID").about(signed))
}

/// Checks a signature of the eUICC. `name` is the element that contains the signature.
///
/// # Errors
/// Refuses if the signature is malformed or was not made over `signed` with this key.
pub fn verify(key: &PublicKey, signed: &[u8], signature: &[u8], name: &str) -> Result<(), Refusal> {
    Signature::from_slice(signature)
        .and_then(|signature| key.verify(signed, &signature))
        .map_err(|e| Status::EuiccVerificationFailed.because(format!("{name} does not verify: {e}")))
}

/// Returns the ES9+ and ES11 refusal for an invalid certificate chain.
pub fn refusal_of(error: ChainError) -> Refusal {
    let status = match &error {
        // Section 4.5.2 requires the authority key identifier, which names the CI.
        ChainError::UnknownCi { key_id: None } => Status::EumCertificateVerificationFailed,
        ChainError::UnknownCi { key_id: Some(_) } | ChainError::Ci(_) => Status::CiUnknown,
        // req: SGP.22-5.6.3-EumCertificate, SGP.22-5.8.2-EumCertificate
        ChainError::Eum(Flaw::Expired(_)) => Status::EumCertificateExpired,
        ChainError::Eum(_) => Status::EumCertificateVerificationFailed,
        // req: SGP.22-5.6.3-EuiccCertificate, SGP.22-5.8.2-EuiccCertificate
        ChainError::Euicc(Flaw::Expired(_)) => Status::EuiccCertificateExpired,
        _ => Status::EuiccCertificateVerificationFailed,
    };
    status.because(error.to_string())
}
