//! Card certificates with exactly one defect. Tests send them to cards, and to servers that receive
//! the certificate of an ECASD. The peer must refuse each of them.

use crypto::SecretKey;
use rsp::ids::Eid;
use rsp::sgp02::certificate::{CurveReference, Day, Owner};
use rsp::time::Timestamp;
use serde::Deserialize;

use super::issue::{CURVE, Plan};
use crate::pki::{Pki, PkiError};
use crate::role::Role;

/// The single defect of an otherwise valid card certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardDefect {
    /// The expiration date is the last day of 2001. Tests that the peer checks the expiration date.
    Expired,
    /// The effective date is the first day of 9999. Tests that the peer checks the effective date
    /// if the certificate has one.
    NotYetValid,
    /// The certificate belongs to the other kind of server (for an ECASD: to another card). Tests
    /// that the peer checks the owner.
    WrongOwner,
    /// The certificate is signed by an untrusted issuer, but contains the name and the key
    /// identifier of the correct issuer. Tests that the peer verifies the signature.
    ForgedSignature,
    /// The certificate is signed by an untrusted issuer, and contains the key identifier of this
    /// issuer. Tests that the peer trusts known keys only.
    Stranger,
    /// An octet of the subject was changed after signing. Tests that the peer verifies the
    /// signature of the received octets.
    Tampered,
    /// The point is not on its curve, which the peer must check.
    NotAPoint,
    /// The curve is unknown. Tests that the peer does not guess.
    UnknownCurve,
    /// The signature has half its length, which the peer must check.
    ShortSignature,
    /// The certificate is truncated. Tests that the peer parses strictly.
    Truncated,
}

impl CardDefect {
    /// All defects.
    pub const ALL: [Self; 10] = [
        Self::Expired,
        Self::NotYetValid,
        Self::WrongOwner,
        Self::ForgedSignature,
        Self::Stranger,
        Self::Tampered,
        Self::NotAPoint,
        Self::UnknownCurve,
        Self::ShortSignature,
        Self::Truncated,
    ];
}

impl Pki {
    /// Issues the card certificate of this SM-DP or SM-SR with a defect, and returns it with the
    /// server's key.
    ///
    /// # Errors
    /// The CI's certificate or key is missing.
    pub fn m2m_card_credential_with(
        &self,
        defect: CardDefect,
        owner: Owner,
        name: &str,
    ) -> Result<(Vec<u8>, SecretKey), PkiError> {
        let (plan, key) = self.m2m_server_plan(owner, name)?;
        Ok((self.broken(defect, plan)?, key))
    }

    /// Issues the certificate of this card's ECASD with a defect, and returns it with the ECASD's
    /// key.
    ///
    /// # Errors
    /// The EUM's certificate or key is missing, or the EID is outside its range.
    pub fn ecasd_with(&self, defect: CardDefect, eid: Eid) -> Result<(Vec<u8>, SecretKey), PkiError> {
        let (plan, key) = self.ecasd_plan(eid)?;
        Ok((self.broken(defect, plan)?, key))
    }

    fn broken(&self, defect: CardDefect, mut plan: Plan) -> Result<Vec<u8>, PkiError> {
        let stranger = self.credential(Role::Ci, CURVE)?.derived_key("stranger", CURVE);
        let contents = &mut plan.contents;
        match defect {
            CardDefect::Expired => {
                contents.effective = None;
                if let Some(day) = Day::of(Timestamp::from_seconds(1_009_756_800)) {
                    contents.expires = day;
                }
            }
            CardDefect::NotYetValid => {
                contents.effective = Day::of(Timestamp::from_seconds(253_370_764_800));
                if let Some(day) = Day::of(Timestamp::from_seconds(253_402_214_400)) {
                    contents.expires = day;
                }
            }
            CardDefect::WrongOwner => match contents.owner {
                Some(Owner::SmDp) => contents.owner = Some(Owner::SmSr),
                Some(Owner::SmSr) => contents.owner = Some(Owner::SmDp),
                // The certificate of another card, whose EID differs in the check digits.
                None => flip_last(&mut contents.subject),
            },
            CardDefect::Stranger => {
                contents.authority_key = Some(crate::issue::key_id(&stranger.public_key()).0);
                plan.signer = stranger;
            }
            CardDefect::ForgedSignature => plan.signer = stranger,
            CardDefect::NotAPoint => flip_last(&mut contents.point),
            CardDefect::UnknownCurve => contents.curve = CurveReference(0x7F),
            CardDefect::ShortSignature => {
                let signature = plan.signer.sign(&contents.to_be_signed());
                let half = signature.as_bytes().iter().take(32).copied().collect::<Vec<_>>();
                return Ok(contents.signed(&half));
            }
            CardDefect::Tampered | CardDefect::Truncated => {}
        }
        let subject = plan.contents.subject.clone();
        let mut octets = plan.sign();
        match defect {
            CardDefect::Tampered => {
                let at = octets.windows(subject.len()).position(|window| window == subject);
                let last = at.and_then(|at| at.checked_add(subject.len())?.checked_sub(1));
                if let Some(octet) = last.and_then(|last| octets.get_mut(last)) {
                    *octet ^= 0x01;
                }
            }
            CardDefect::Truncated => octets.truncate(octets.len() / 2),
            _ => {}
        }
        Ok(octets)
    }
}

fn flip_last(octets: &mut [u8]) {
    if let Some(last) = octets.last_mut() {
        *last ^= 0x01;
    }
}
