//! Registration of devices.

use certs::{Certificate, EuiccCertificate, Verified};
use rsp::{ids::CertificateDer, ids::Eid, time::Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::Fault;

use crate::{
    context::Context,
    credentials::Credentials,
    records::{Association, Certificates, DEVICES, Device, Octets},
};

/// A device to register.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewDevice {
    /// The eUICC.
    pub eid: Eid,
    /// The association token, if it is known. The eIM requests it from the IPA before the first package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub association_token: Option<i64>,
    /// The counter in the association: the counter of the last package. Default: 0.
    #[serde(default)]
    pub counter: i64,
    /// CERT.EUICC, DER. The eIM requests the certificates from the IPA before the first package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub euicc_certificate: Option<Octets>,
    /// CERT.EUM, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eum_certificate: Option<Octets>,
}

impl NewDevice {
    /// Creates a device of which only the EID is known.
    pub fn new(eid: Eid) -> Self {
        Self { eid, association_token: None, counter: 0, euicc_certificate: None, eum_certificate: None }
    }
}

/// Registers a device, or replaces its association. The inner error is one of the user.
pub(crate) async fn register(
    context: &mut Context<'_, '_>,
    new: &NewDevice,
) -> Result<Result<Device, Fault>, Fault> {
    let certificates = match (&new.euicc_certificate, &new.eum_certificate) {
        (Some(euicc), Some(eum)) => Some(Certificates { eum: eum.clone(), euicc: euicc.clone() }),
        (None, None) => None,
        _ => return Ok(Err(refused(new.eid, "only one of the two certificates is present".to_owned()))),
    };
    if let Some(certificates) = &certificates
        && let Err(why) = verify(context.credentials, certificates, new.eid, context.now)
    {
        return Ok(Err(refused(new.eid, why)));
    }
    let association = Association { counter: new.counter, token: new.association_token, key: 0 };
    let key = new.eid.to_string();
    let device = match context.tx.get(&DEVICES, &key).await? {
        Some(mut device) => {
            device.association = association;
            device.certificates = certificates.or(device.certificates);
            device.is_data_wanted = true;
            device
        }
        None => Device::new(new.eid, association, certificates, context.now),
    };
    context.tx.put(&DEVICES, &key, &device)?;
    Ok(Ok(device))
}

fn refused(eid: Eid, why: String) -> Fault {
    Fault::usage(
        format!("cannot register device {eid}"),
        why,
        "use CERT.EUICC and CERT.EUM of this eUICC, or leave both out: the eIM requests them from the device",
    )
}

/// Verifies the certificates of an eUICC.
///
/// # Errors
/// The reason why the chain does not verify.
pub(crate) fn verify(
    credentials: &Credentials,
    certificates: &Certificates,
    eid: Eid,
    now: Timestamp,
) -> Result<Verified<EuiccCertificate>, String> {
    let parsed = |der: &Octets, name| {
        Certificate::from_der(der.0.clone()).map_err(|error| format!("{name} is malformed: {error}"))
    };
    let euicc = parsed(&certificates.euicc, "CERT.EUICC")?;
    let eum = parsed(&certificates.eum, "CERT.EUM")?;
    let verified = credentials.chains.verify(&credentials.anchors, &euicc, &eum, now);
    let verified = verified.map_err(|error| error.to_string())?;
    if verified.eid != eid {
        return Err(format!("CERT.EUICC is that of {}", verified.eid));
    }
    Ok(verified)
}

/// Returns the EID in CERT.EUICC, which is not verified.
pub(crate) fn eid_in(certificate: &CertificateDer) -> Option<Eid> {
    Certificate::from_der(certificate.0.clone()).ok()?.eid()
}
