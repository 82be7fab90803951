//! Verification of what an eUICC signed: SGP.32 sections 2.11.2.1 and 3.3.1.

use rsp::{finding, sgp22::es8plus::ProfileInstallationResult, sgp32::signature, status::Status};
use rsp_server::{Decision, mutual_authentication};

use crate::{context::Context, devices, records::Device};

/// Verifies a signature with the key of the device's eUICC.
pub(crate) fn verify(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    signed: &[u8],
    octets: &[u8],
    name: &str,
) -> Decision<()> {
    let Some(certificates) = &device.certificates else {
        device.is_data_wanted = true;
        return Err(Status::EuiccExecutionError
            .because(
                "the certificates of the eUICC are not known; the eIM requests them with the next package",
            )
            .into());
    };
    let euicc = devices::verify(context.credentials, certificates, device.eid, context.now)
        .map_err(|why| Status::EuiccCertificateVerificationFailed.because(why))?;
    let (fixed, findings) = finding::collect(|| signature::fixed_length(octets));
    context.findings.extend(findings);
    let fixed =
        fixed.ok_or_else(|| Status::EuiccVerificationFailed.because(format!("{name} is not a signature")))?;
    // req: SGP.32-3.3.1-Signature
    mutual_authentication::verify(&euicc.public_key, signed, &fixed, name)?;
    Ok(())
}

/// Verifies the signature of ProfileInstallationResult: SGP.22 section 2.5.6.
pub(crate) fn verify_installation(
    context: &mut Context<'_, '_>,
    device: &mut Device,
    installation: &ProfileInstallationResult,
) -> Decision<()> {
    let signed = installation.profile_installation_result_data.bytes();
    verify(context, device, signed, &installation.euicc_sign_pir, "euiccSignPIR")
}
