//! False statements of an SM-DP+ about itself and about the session: ES9+.InitiateAuthentication
//! and ES9+.AuthenticateClient.

use certs::{Defect, Role};
use rsp::der::Raw;
use rsp::ids::{CertificateDer, TransactionId};
use rsp::sgp22::ServerSigned1;
use rsp::sgp22::es9plus::{
    AuthenticateClientOk, AuthenticateClientRequest, GetBoundProfilePackageOk, InitiateAuthenticationOk,
};
use rsp::sgp22::es10b::{AuthenticateServerResponse, SmdpSigned2};
use world::Fault;

use super::{TamperingPeer, alter, cannot_falsify, no_key, read_certificate, sign, with_signature};
use crate::acts::false_statement::FalseServerStatement;

impl TamperingPeer {
    /// Makes a false statement in ES9+.InitiateAuthentication.
    pub(super) fn challenge(
        &self,
        statement: FalseServerStatement,
        reply: &mut InitiateAuthenticationOk,
    ) -> Result<(), Fault> {
        let key = self.server_key(&reply.server_certificate)?;
        let mut signed: ServerSigned1 = (*reply.server_signed1).clone();
        match statement {
            FalseServerStatement::Transaction => alter(&mut reply.transaction_id.0),
            FalseServerStatement::Signed1Transaction => alter(&mut signed.transaction_id.0),
            FalseServerStatement::Signed1Challenge => alter(&mut signed.euicc_challenge),
            FalseServerStatement::Signed1Address => signed.server_address = UNUSED_ADDRESS.to_owned(),
            FalseServerStatement::Signed1ServerChallenge => alter(&mut signed.server_challenge),
            FalseServerStatement::CiToBeUsed => alter(&mut reply.euicc_ci_pk_id_to_be_used.0),
            _ => {}
        }
        reply.server_signed1 = Raw::new(signed);
        reply.server_signature1 = sign(&key, reply.server_signed1.bytes());
        if statement == FalseServerStatement::Signature1 {
            alter(&mut reply.server_signature1);
        }
        Ok(())
    }

    /// Makes a false statement in ES9+.AuthenticateClient.
    pub(super) fn offer(
        &self,
        statement: FalseServerStatement,
        request: &AuthenticateClientRequest,
        reply: &mut AuthenticateClientOk,
    ) -> Result<(), Fault> {
        let mut key = self.server_key(&reply.smdp_certificate)?;
        let mut euicc_signature1 = euicc_signature1(request)?;
        let mut signed: SmdpSigned2 = (*reply.smdp_signed2).clone();
        match statement {
            FalseServerStatement::Transaction => alter(&mut reply.transaction_id.0),
            FalseServerStatement::Signed2Transaction => alter(&mut signed.transaction_id.0),
            FalseServerStatement::Signed2Code => signed.cc_required_flag = !signed.cc_required_flag,
            FalseServerStatement::Signed2Otpk => {
                signed.bpp_euicc_otpk = Some(key.public_key().to_sec1().to_vec())
            }
            FalseServerStatement::Signature2OverOther => alter(&mut euicc_signature1),
            FalseServerStatement::Signature2ByDpauth => {
                let curve = read_certificate(&reply.smdp_certificate)?.curve();
                key = self.pki.credential(Role::DpAuth, curve).map_err(no_key)?.key;
            }
            _ => {}
        }
        reply.smdp_signed2 = Raw::new(signed);
        reply.smdp_signature2 = sign(&key, &with_signature(reply.smdp_signed2.bytes(), &euicc_signature1));
        if statement == FalseServerStatement::Signature2 {
            alter(&mut reply.smdp_signature2);
        }
        Ok(())
    }

    /// Presents a CERT.DPauth with a defect.
    pub(super) fn present_dpauth(
        &self,
        role: Role,
        defect: Defect,
        reply: &mut InitiateAuthenticationOk,
    ) -> Result<(), Fault> {
        let curve = read_certificate(&reply.server_certificate)?.curve();
        let broken = self.pki.issue_with(defect, role, curve).map_err(no_key)?;
        reply.server_certificate = CertificateDer(broken.der);
        reply.server_signature1 = sign(&broken.key, reply.server_signed1.bytes());
        Ok(())
    }

    /// Presents a CERT.DPpb with a defect.
    pub(super) fn present_dppb(
        &self,
        role: Role,
        defect: Defect,
        request: &AuthenticateClientRequest,
        reply: &mut AuthenticateClientOk,
    ) -> Result<(), Fault> {
        let curve = read_certificate(&reply.smdp_certificate)?.curve();
        let broken = self.pki.issue_with(defect, role, curve).map_err(no_key)?;
        reply.smdp_certificate = CertificateDer(broken.der);
        let covered = with_signature(reply.smdp_signed2.bytes(), &euicc_signature1(request)?);
        reply.smdp_signature2 = sign(&broken.key, &covered);
        Ok(())
    }
}

/// Makes a false statement in ES9+.GetBoundProfilePackage, outside the package.
pub(super) fn change_transaction_id(statement: FalseServerStatement, reply: &mut GetBoundProfilePackageOk) {
    if statement == FalseServerStatement::Transaction {
        let TransactionId(octets) = &mut reply.transaction_id;
        alter(octets);
    }
}

fn euicc_signature1(request: &AuthenticateClientRequest) -> Result<Vec<u8>, Fault> {
    match &request.authenticate_server_response {
        AuthenticateServerResponse::AuthenticateResponseOk(ok) => Ok(ok.euicc_signature1.clone()),
        AuthenticateServerResponse::AuthenticateResponseError(_) => Err(cannot_falsify("the card refused")),
    }
}

/// An address without a server.
const UNUSED_ADDRESS: &str = "elsewhere.example";
