//! Packages for eUICCs and requests to IPAs: SGP.32 section 2.11.1.

use certs::subject_public_key_info;
use rsp::{
    der::{Asn1, BitString, Null, Raw},
    ids::{CertificateDer, TransactionId},
    sgp22::es10c::ProfileInfoListRequest,
    sgp32::{
        EimConfigurationData, EuiccPackage, EuiccPackageRequest, EuiccPackageSigned, KeyOrCertificate,
        SubjectPublicKeyInfo,
        es10b::{ConfigureImmediateProfileEnablingRequest, SetDefaultDpAddressRequest},
        esipa::GetEimPackageResponse,
        ipa_data::{
            ContactSmds, IpaEuiccDataRequest, ProfileDownloadData, ProfileDownloadTriggerRequest,
            ipa_features,
        },
        package::{self, MAX_COUNTER, Psmo},
        signature::signed_octets,
    },
};

use crate::{
    config::Config,
    context::Context,
    credentials::Credentials,
    records::{
        DataElement, DataRequest, Delivery, Device, Download, DownloadSource, EimConfiguration, EimOperation,
        Octets, Package, ProfileOperation,
    },
};

/// Builds the package of an order, once. Takes the counter from the device.
///
/// # Errors
/// The reason why the package cannot be built.
pub(crate) fn build(
    context: &Context<'_, '_>,
    device: &mut Device,
    id: &TransactionId,
    package: &Package,
) -> Result<Delivery, String> {
    let (octets, counter) = match package {
        Package::ProfileOperations(operations) => {
            let package = EuiccPackage::of_psmos(operations.iter().map(psmo));
            let (octets, counter) = sign(context, device, id, package)?;
            (octets, Some(counter))
        }
        Package::EimOperations(operations) => {
            let ecos: Result<Vec<_>, _> =
                operations.iter().map(|operation| eco(context, device, operation)).collect();
            let (octets, counter) = sign(context, device, id, EuiccPackage::of_ecos(ecos?))?;
            (octets, Some(counter))
        }
        Package::Data(request) => (data_request(id, request).to_der(), None),
        Package::Download(download) => (trigger(device, id, download)?.to_der(), None),
    };
    Ok(Delivery {
        package: Octets(octets),
        counter,
        token: device.association.token,
        first: context.now,
        times: 1,
    })
}

/// Decodes a package for the reply to the IPA.
///
/// # Errors
/// The octets are not a package.
pub(crate) fn response(package: &[u8]) -> Result<GetEimPackageResponse, rsp::der::DecodeError> {
    use GetEimPackageResponse as Response;
    GetEimPackageResponse::from_der(&rsp::der::tlv_bytes(Response::TAG, package))
}

/// Signs a package with the key that the eUICC knows.
fn sign(
    context: &Context<'_, '_>,
    device: &mut Device,
    id: &TransactionId,
    euicc_package: EuiccPackage,
) -> Result<(Vec<u8>, i64), String> {
    let association = &mut device.association;
    // req: SGP.32-2.11.1.1-Counter
    let counter = association.counter.saturating_add(1);
    if counter > MAX_COUNTER {
        return Err(format!(
            "the counter is at its limit of {MAX_COUNTER}; delete the eIM on the eUICC, and add it again"
        ));
    }
    let key = context
        .credentials
        .signing(association.key)
        .ok_or_else(|| format!("the eIM has no signing key with number {}", association.key))?;
    let signed = Raw::new(EuiccPackageSigned {
        eim_id: context.config.eim_id.clone(),
        eid_value: device.eid,
        counter_value: counter,
        eim_transaction_id: Some(id.clone()),
        euicc_package,
    });
    // req: SGP.32-2.11.1.1-Signature
    let signature = key.sign(&signed_octets(signed.bytes(), association.token));
    association.counter = counter;
    let request =
        EuiccPackageRequest { euicc_package_signed: signed, eim_signature: signature.as_bytes().to_vec() };
    Ok((request.to_der(), counter))
}

fn psmo(operation: &ProfileOperation) -> Psmo {
    use ProfileOperation as Op;
    match operation.clone() {
        Op::Enable { iccid, rollback } => {
            Psmo::Enable(package::Enable { iccid, rollback_flag: rollback.then_some(Null) })
        }
        Op::Disable { iccid } => Psmo::Disable(package::Disable { iccid }),
        Op::Delete { iccid } => Psmo::Delete(package::Delete { iccid }),
        Op::ListProfileInfo {} => Psmo::ListProfileInfo(ProfileInfoListRequest {
            search_criteria: None,
            tag_list: Some(LIST.to_vec()),
        }),
        Op::GetRat {} => Psmo::GetRat(package::GetRat {}),
        Op::ConfigureImmediateEnable { allowed, smdp_oid, smdp_address } => {
            Psmo::ConfigureImmediateEnable(ConfigureImmediateProfileEnablingRequest {
                immediate_enable_flag: allowed.then_some(Null),
                default_smdp_oid: smdp_oid,
                default_smdp_address: smdp_address,
            })
        }
        Op::SetFallbackAttribute { iccid } => {
            Psmo::SetFallbackAttribute(package::SetFallbackAttribute { iccid })
        }
        Op::UnsetFallbackAttribute {} => Psmo::UnsetFallbackAttribute(package::UnsetFallbackAttribute {}),
        Op::SetDefaultDpAddress { address } => {
            Psmo::SetDefaultDpAddress(SetDefaultDpAddressRequest { default_dp_address: address })
        }
    }
}

/// The tags that listProfileInfo requests: ICCID, state, names, class, policy rules, and the attributes
/// of SGP.32.
const LIST: [u8; 14] = [0x5A, 0x9F, 0x70, 0x90, 0x91, 0x92, 0x95, 0x99, 0x9F, 0x7B, 0x9F, 0x26, 0x9F, 0x67];

fn eco(context: &Context<'_, '_>, device: &Device, operation: &EimOperation) -> Result<package::Eco, String> {
    use package::Eco;
    Ok(match operation {
        EimOperation::AddEim(eim) => {
            let mut data = configuration_data(eim);
            data.counter_value = data.counter_value.or(Some(0));
            Eco::AddEim(Box::new(data))
        }
        EimOperation::UpdateEim(eim) => Eco::UpdateEim(Box::new(configuration_data(eim))),
        EimOperation::DeleteEim { eim_id } => Eco::DeleteEim(package::DeleteEim { eim_id: eim_id.clone() }),
        EimOperation::ListEim {} => Eco::ListEim(package::ListEim {}),
        EimOperation::ReplaceOwnKey {} => {
            let next = device.association.key.saturating_add(1);
            let key = context.credentials.signing(next).ok_or("the eIM has no further signing key")?;
            Eco::UpdateEim(Box::new(EimConfigurationData {
                eim_id: context.config.eim_id.clone(),
                // A new key allows a lower counter.
                counter_value: Some(0),
                eim_public_key_data: Some(KeyOrCertificate::PublicKey(SubjectPublicKeyInfo(
                    subject_public_key_info(&key.public_key()),
                ))),
                ..EimConfigurationData::default()
            }))
        }
    })
}

/// Converts a configuration to the type of the standard.
pub(crate) fn configuration_data(eim: &EimConfiguration) -> EimConfigurationData {
    let one_of = |key: &Option<Octets>, certificate: &Option<Octets>| match (key, certificate) {
        (_, Some(certificate)) => Some(KeyOrCertificate::Certificate(CertificateDer(certificate.0.clone()))),
        (Some(key), None) => Some(KeyOrCertificate::PublicKey(SubjectPublicKeyInfo(key.0.clone()))),
        (None, None) => None,
    };
    EimConfigurationData {
        eim_id: eim.eim_id.clone(),
        eim_fqdn: eim.fqdn.clone(),
        eim_id_type: eim.eim_id_type,
        counter_value: eim.counter,
        association_token: eim.association_token,
        eim_public_key_data: one_of(&eim.public_key, &eim.certificate),
        trusted_public_key_data_tls: one_of(&eim.tls_public_key, &eim.tls_certificate),
        eim_supported_protocol: eim.protocols.as_ref().map(|protocols| {
            BitString::of(&protocols.iter().map(|protocol| protocol.bit()).collect::<Vec<_>>())
        }),
        euicc_ci_pk_id: None,
        indirect_profile_download: eim.indirect_profile_download.then_some(Null),
        esipa_proprietary_protocol_information: None,
    }
}

/// Returns the configuration with which an eUICC is associated with this eIM.
pub(crate) fn own_configuration(config: &Config, credentials: &Credentials) -> EimConfiguration {
    let key = |key: &crypto::PublicKey| Some(Octets(subject_public_key_info(key)));
    EimConfiguration {
        eim_id: config.eim_id.clone(),
        fqdn: Some(config.server.address.to_string()),
        eim_id_type: Some(config.eim_id_type),
        counter: Some(0),
        association_token: Some(EimConfigurationData::TOKEN_REQUESTED),
        public_key: credentials.signing(0).and_then(|signing| key(&signing.public_key())),
        certificate: None,
        tls_public_key: key(credentials.tls()),
        tls_certificate: None,
        protocols: Some(config.protocols.clone()),
        indirect_profile_download: true,
    }
}

fn data_request(id: &TransactionId, request: &DataRequest) -> IpaEuiccDataRequest {
    let tags: Vec<_> = request.elements.iter().copied().map(DataElement::tag).collect();
    IpaEuiccDataRequest {
        tag_list: IpaEuiccDataRequest::tag_list_of(&tags),
        euicc_ci_pk_identifier_to_be_used: None,
        search_criteria_notification: None,
        search_criteria_euicc_package_result: None,
        eim_transaction_id: Some(id.clone()),
    }
}

/// Creates the request for the results that the eUICC keeps, with the identifier of the order whose
/// result was lost.
pub(crate) fn recovery_request(id: &TransactionId) -> GetEimPackageResponse {
    let request = DataRequest { elements: vec![DataElement::EuiccPackageResults] };
    GetEimPackageResponse::IpaEuiccDataRequest(data_request(id, &request))
}

fn trigger(
    device: &Device,
    id: &TransactionId,
    download: &Download,
) -> Result<ProfileDownloadTriggerRequest, String> {
    let data = match &download.source {
        DownloadSource::ActivationCode(code) => {
            // The scheme of a QR code is not a part of the activation code.
            let code = code.trim();
            let scheme = code.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("LPA:"));
            let code = if scheme { code.get(4..).unwrap_or_default() } else { code };
            ProfileDownloadData::ActivationCode(code.to_owned())
        }
        DownloadSource::DefaultSmdp {} => ProfileDownloadData::ContactDefaultSmdp(Null),
        DownloadSource::Smds { address } => {
            ProfileDownloadData::ContactSmds(ContactSmds { smds_address: address.clone() })
        }
    };
    if download.kept_by_eim
        && device
            .features()
            .is_some_and(|features| !features.contains(&ipa_features::EIM_DOWNLOAD_DATA_HANDLING))
    {
        return Err("the IPA does not support downloads whose source the eIM keeps \
                    (eimDownloadDataHandling); place the order without keptByEim"
            .to_owned());
    }
    Ok(ProfileDownloadTriggerRequest {
        profile_download_data: (!download.kept_by_eim).then_some(data),
        eim_transaction_id: Some(id.clone()),
    })
}
