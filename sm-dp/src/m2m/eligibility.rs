//! Whether a profile may be put on an eUICC: SGP.02 section 3.1, what the SM-DP checks of the EIS.
//!
//! The EIS is what an SM-SR says. What it cannot make up is what the EUM has signed: who the card is and with which key it
//! agrees on others.

use certs::Certificate;
use crypto::{Curve, PublicKey, Signature};
use rsp::{
    der::{Tag, tlv},
    ids::{Eid, Oid},
    sgp02::{
        eis::{Eis, SdRole},
        status::{Refusal, Status},
    },
    time::Timestamp,
};
use rsp_server::soap::eum;

use super::{context::Context, credentials::Credentials};
use crate::records::Profile;

/// Checks it; PK.ECASD.ECKA, an uncompressed point.
pub(crate) fn check(
    context: &Context<'_, '_>,
    eid: Eid,
    sm_sr: &Oid,
    eis: &Eis,
    profile: &Profile,
) -> Result<Vec<u8>, Refusal> {
    let signed = &*eis.eum_signed_info;
    if signed.eid != eid {
        return Err(Status::EisInvalid.because("the EIS is of another eUICC").about(signed.eid));
    }
    if eis.smsr_id != *sm_sr {
        return Err(Status::SmsrRefused
            .because(format!("by its EIS the eUICC is managed by {}", eis.smsr_id))
            .about(sm_sr));
    }
    if eis.profile_info.iter().any(|known| known.iccid == profile.iccid) {
        return Err(Status::IccidInUse.because("the profile is on the eUICC already").about(profile.iccid));
    }
    if eis.available_memory_for_profiles < profile.memory {
        return Err(Status::EuiccInsufficientMemory.because(format!(
            "the profile needs about {} octets, the eUICC has {}",
            profile.memory, eis.available_memory_for_profiles
        )));
    }
    let eum = eum_of(context.credentials, eis, eid, context.now)?;
    ecasd_key(eis, eid, eum.public_key(), context.now)
}

/// The EUM that has signed the EIS, with a certificate below a CI that is trusted.
fn eum_of(credentials: &Credentials, eis: &Eis, eid: Eid, now: Timestamp) -> Result<Certificate, Refusal> {
    let shown =
        eis.eum_signature.certificates().into_iter().filter_map(|der| Certificate::from_der(der).ok());
    let mut why = "no certificate of its EUM is known".to_owned();
    for eum in shown.chain(credentials.eums().iter().cloned()) {
        let issuer = eum.authority_key_id().and_then(|id| credentials.anchors().find(id));
        let Some(issuer) = issuer.filter(|ci| eum.is_signed_by(ci.public_key())) else {
            why = "the certificate of the EUM is not below a CI that is trusted here".to_owned();
            continue;
        };
        if !eum.validity().contains(now) || !issuer.validity().contains(now) {
            return Err(Status::EumCertificateExpired.because("the certificate of the EUM does not hold now"));
        }
        if !eum.eid_range().prefixes().any(|prefix| eid.to_string().starts_with(prefix)) {
            why = "the EUM may not vouch for this EID".to_owned();
            continue;
        }
        match eum::check(eis, eum.public_key()) {
            Ok(()) => return Ok(eum),
            Err(error) => why = error.to_string(),
        }
    }
    Err(Status::EumVerificationFailed.because(why).about(eid))
}

/// The key in CERT.ECASD.ECKA, which the EUM has signed too.
fn ecasd_key(eis: &Eis, eid: Eid, eum: &PublicKey, now: Timestamp) -> Result<Vec<u8>, Refusal> {
    let no = |why: String| Status::EcasdCertificateVerificationFailed.because(why).about(eid);
    let ecasd = &eis.eum_signed_info.ecasd;
    if ecasd.role != SdRole::Ecasd {
        return Err(no("the security domain of the EIS that should be the ECASD is another".to_owned()));
    }
    let certificates = ecasd.keyset.iter().flat_map(|keyset| &keyset.certificate);
    let mut why = "the EIS has no certificate of the ECASD".to_owned();
    for certificate in certificates {
        match CardCertificate::read(&certificate.value.0).and_then(|it| it.check(eid, eum, now)) {
            Ok(key) => return Ok(key),
            Err(error) => why = error.to_owned(),
        }
    }
    Err(no(why))
}

/// A certificate of GlobalPlatform's form: SGP.02 section 4.1.3.1, table 77.
struct CardCertificate<'a> {
    /// 93 to 7F49, as they came.
    signed: &'a [u8],
    subject: &'a [u8],
    expires: &'a [u8],
    point: &'a [u8],
    signature: &'a [u8],
}

const CERTIFICATE: Tag = Tag(0x7F21);
const SUBJECT: Tag = Tag(0x5F20);
const EXPIRES: Tag = Tag(0x5F24);
const PUBLIC_KEY: Tag = Tag(0x7F49);
const POINT: Tag = Tag(0xB0);
const CURVE: Tag = Tag(0xF0);
const SIGNATURE: Tag = Tag(0x5F37);
/// The one octet that says P-256.
const P256: [u8; 1] = [0x00];

impl<'a> CardCertificate<'a> {
    fn read(octets: &'a [u8]) -> Result<Self, &'static str> {
        let Some((CERTIFICATE, contents)) = tlv::split(octets) else {
            return Err("what should be the certificate of the ECASD is not tag 7F21");
        };
        let broken = "the certificate of the ECASD is no sequence of TLVs";
        let elements = tlv::each(contents).map_err(|_| broken)?;
        let last = elements.last().ok_or(broken)?;
        let signed = contents.get(..contents.len().saturating_sub(last.len())).ok_or(broken)?;
        let find = |wanted: Tag| {
            let mut all = elements.iter().filter_map(|element| tlv::split(element));
            all.find(|(tag, _)| *tag == wanted).map(|(_, contents)| contents)
        };
        let Some((SIGNATURE, signature)) = tlv::split(last) else {
            return Err("the certificate of the ECASD does not end with its signature");
        };
        let key = find(PUBLIC_KEY).ok_or("the certificate of the ECASD has no key")?;
        let parts = tlv::each(key).map_err(|_| broken)?;
        let parts: Vec<_> = parts.into_iter().filter_map(tlv::split).collect();
        let point = match parts.as_slice() {
            [(POINT, point), (CURVE, curve)] if *curve == P256 => *point,
            [(POINT, point)] => *point,
            _ => return Err("the key of the ECASD is not one on NIST P-256"),
        };
        let subject = find(SUBJECT).ok_or("the certificate of the ECASD has no subject")?;
        let expires = find(EXPIRES).ok_or("the certificate of the ECASD has no end")?;
        Ok(Self { signed, subject, expires, point, signature })
    }

    fn check(self, eid: Eid, eum: &PublicKey, now: Timestamp) -> Result<Vec<u8>, &'static str> {
        if self.subject != eid.0 {
            return Err("the certificate is another ECASD's");
        }
        // BCD yyyymmdd sorts as it is read; the last day counts.
        let today: String = now.to_string().chars().filter(char::is_ascii_digit).take(8).collect();
        if hex::encode(self.expires) < today {
            return Err("the certificate of the ECASD has expired");
        }
        let signature = Signature::from_slice(self.signature)
            .map_err(|_| "the signature in the certificate of the ECASD is none")?;
        if eum.verify(self.signed, &signature).is_err() {
            return Err("the certificate of the ECASD is not signed by the EUM");
        }
        PublicKey::from_sec1(Curve::P256, self.point)
            .map(|key| key.to_sec1().to_vec())
            .map_err(|_| "the key of the ECASD is no point of its curve")
    }
}
