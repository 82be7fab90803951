//! Certificates for cards that are wrong in one way each. What they test is the card, or the server that gets one of an
//! ECASD: they have to refuse them.

use crypto::SecretKey;
use rsp::ids::Eid;
use rsp::sgp02::certificate::{CurveReference, Day, Owner};
use rsp::time::Timestamp;

use super::issue::{CURVE, Plan};
use crate::pki::{Pki, PkiError};
use crate::role::Role;

/// One thing that is wrong with a certificate, all else being right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CardDefect {
    /// Its last day is the last of 2001: the peer looks at the end.
    Expired,
    /// Its first day is the first of 9999: the peer looks at the beginning, where there is one.
    NotYetValid,
    /// That of the other kind of server (an ECASD's: that of a server): the peer looks at whose it is.
    WrongOwner,
    /// Signed by a stranger who names himself as the issuer, key identifier and all: the peer verifies the signature.
    ForgedSignature,
    /// Signed by a stranger under his own key identifier: the peer trusts keys that it knows.
    Stranger,
    /// An octet of the subject was changed after signing: the peer verifies the signature over what it received.
    Tampered,
    /// The point is not on its curve: the peer checks it.
    NotAPoint,
    /// The curve is one that nobody knows: the peer does not guess.
    UnknownCurve,
    /// Half a signature: the peer checks its length.
    ShortSignature,
    /// It ends in the middle: the peer reads strictly.
    Truncated,
}

impl CardDefect {
    /// Every defect.
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
    /// The certificate for cards that this SM-DP or SM-SR has, with a defect, and the key that it has.
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

    /// The certificate that the ECASD of this card has, with a defect, and the key that it has.
    ///
    /// # Errors
    /// The EUM's certificate or key is missing, or the EID outside its range.
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
                // Of another card, with an EID that differs in its check digits.
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
