//! CERT.ECASD.ECKA, the certificate of a card in GlobalPlatform's format: SGP.02 section 4.1.3.1, the same shape as those of
//! SM-DPs and SM-SRs, signed by the EUM.

use crypto::{Curve, PublicKey, Signature};
use rsp::{
    der::{Tag, tlv},
    time::Timestamp,
};

/// One that was read, and with [`verified`](Self::verified) found good.
#[derive(Clone, Debug)]
pub(crate) struct EcasdCertificate {
    /// What the signature is over.
    covered: Vec<u8>,
    signature: Signature,
    /// BCD, yyyymmdd.
    expires: Option<[u8; 4]>,
    /// With which one-time keys agree.
    pub(crate) public_key: PublicKey,
}

impl EcasdCertificate {
    /// Reads the TLV `7F21`.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, String> {
        let no = |what: &str| format!("the certificate of the ECASD {what}");
        let Some((Tag(0x7F21), contents)) = tlv::split(octets) else { return Err(no("is no TLV 7F21")) };
        let elements = tlv::each(contents).map_err(|e| no(&format!("cannot be read: {e}")))?;
        let find =
            |tag| elements.iter().filter_map(|element| tlv::split(element)).find(|(found, _)| found.0 == tag);
        let (_, key) = find(0x7F49).ok_or_else(|| no("has no public key"))?;
        let point = tlv::find(key, Tag(0xB0)).ok().flatten().and_then(tlv::split);
        let (_, point) = point.ok_or_else(|| no("has no point in its public key"))?;
        let public_key = PublicKey::from_sec1(Curve::P256, point)
            .map_err(|e| no(&format!("has a public key that is none on NIST P-256: {e}")))?;
        let whole_signature = elements
            .last()
            .filter(|last| matches!(tlv::split(last), Some((Tag(0x5F37), _))))
            .ok_or_else(|| no("does not end with a signature"))?;
        let (_, signature) = find(0x5F37).ok_or_else(|| no("has no signature"))?;
        let signature = Signature::from_slice(signature).map_err(|e| no(&e.to_string()))?;
        let covered = contents.strip_suffix(*whole_signature).unwrap_or_default().to_vec();
        let expires = find(0x5F24).and_then(|(_, date)| date.try_into().ok());
        Ok(Self { covered, signature, expires, public_key })
    }

    /// That the EUM has signed it, and that it holds now.
    pub(crate) fn verified(self, eum: &PublicKey, now: Timestamp) -> Result<Self, String> {
        eum.verify(&self.covered, &self.signature).map_err(|e| {
            format!("the EUM's signature on the certificate of the ECASD does not verify: {e}")
        })?;
        let today: String = now.to_string().chars().take(10).filter(char::is_ascii_digit).collect();
        match self.expires {
            Some(date) if hex::encode(date) < today => {
                Err(format!("the certificate of the ECASD has expired ({})", hex::encode(date)))
            }
            _ => Ok(self),
        }
    }
}
