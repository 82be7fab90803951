//! Requests for data of the eUICC and the device: SGP.32 sections 2.11.1.2 and 2.11.2.2.

use rsp::der::{BitString, Null, Tag};
use rsp::finding::{self, FindingKind};
use rsp::sgp32::EimConfigurationData;
use rsp::sgp32::es10b::{GetCertsError, NotificationSearch};
use rsp::sgp32::esipa::EimPackageResult;
use rsp::sgp32::ipa_data::{
    IpaCapabilities, IpaEuiccData, IpaEuiccDataErrorCode, IpaEuiccDataRequest, IpaEuiccDataResponse,
    IpaEuiccDataResponseError, PackageResultSearch,
};
use rsp::sgp32::notification::PendingNotificationList;
use world::CardInterface;

use super::report::ExecutedPackage;
use super::{Binding, Connectivity, Ipa, IpaError};
use crate::es10::RetrievedList;

/// Tags of v1.0 in tagList, with those of the same elements in later versions.
const FORMER_TAGS: [(u32, u32); 3] = [(0x80, 0x81), (0x88, 0xA8), (0xBF2B, 0xA0)];

impl<D: CardInterface, C: Connectivity> Ipa<D, C> {
    /// Answers a request for data.
    pub(super) async fn ipa_euicc_data(
        &mut self,
        eim: &EimConfigurationData,
        request: &IpaEuiccDataRequest,
    ) -> Result<ExecutedPackage, IpaError> {
        let (response, description) = match self.data(eim, request).await? {
            Ok(data) => (IpaEuiccDataResponse::IpaEuiccData(Box::new(data)), "data".to_owned()),
            Err(code) => {
                let error = IpaEuiccDataResponseError {
                    eim_transaction_id: request.eim_transaction_id.clone(),
                    ipa_euicc_data_error_code: code,
                };
                (IpaEuiccDataResponse::IpaEuiccDataResponseError(error), code.to_string())
            }
        };
        let result = EimPackageResult::IpaEuiccDataResponse(Box::new(response));
        Ok(ExecutedPackage {
            package: "IpaEuiccDataRequest",
            eim_transaction_id: request.eim_transaction_id.clone(),
            results: vec![description],
            delivery: self.provide(eim, result).await?,
        })
    }

    async fn data(
        &mut self,
        eim: &EimConfigurationData,
        request: &IpaEuiccDataRequest,
    ) -> Result<Result<IpaEuiccData, IpaEuiccDataErrorCode>, IpaError> {
        // req: SGP.32-2.11.2.2-Ecall
        if self.state.emergency {
            return Ok(Err(IpaEuiccDataErrorCode::ECALL_ACTIVE));
        }
        let Ok(tags) = request.tags() else { return Ok(Err(IpaEuiccDataErrorCode::INCORRECT_TAG_LIST)) };
        let (tags, findings) = finding::collect(|| tags.into_iter().map(current_tag).collect::<Vec<_>>());
        if !findings.is_empty() {
            let event = self.events.event("IpaEuiccDataRequest").with_peer("ESipa", eim.eim_id.clone());
            self.events.emit(event.with_findings(findings));
        }
        let mut data = IpaEuiccData {
            eim_transaction_id: request.eim_transaction_id.clone(),
            ..IpaEuiccData::default()
        };
        for tag in tags {
            if let Err(code) = self.element(eim, request, tag, &mut data).await? {
                return Ok(Err(code));
            }
        }
        Ok(Ok(data))
    }

    /// Reads one element of the response.
    async fn element(
        &mut self,
        eim: &EimConfigurationData,
        request: &IpaEuiccDataRequest,
        tag: Tag,
        data: &mut IpaEuiccData,
    ) -> Result<Result<(), IpaEuiccDataErrorCode>, IpaError> {
        match tag.0 {
            0xA0 => {
                let search = request.search_criteria_notification.clone();
                if let RetrievedList::Notifications(list) =
                    self.es10().retrieve_notifications_list(search).await?
                {
                    data.notifications_list = Some(PendingNotificationList(list));
                }
            }
            0x81 => {
                let addresses = self.es10().get_euicc_configured_addresses().await?;
                data.default_smdp_address = addresses.default_dp_address;
            }
            0xA2 => {
                let search = match request.search_criteria_euicc_package_result {
                    Some(PackageResultSearch::SeqNumber(number)) => NotificationSearch::SeqNumber(number),
                    None => NotificationSearch::EuiccPackageResults(Null),
                };
                if let RetrievedList::EuiccPackageResults(list) =
                    self.es10().retrieve_notifications_list(Some(search)).await?
                {
                    data.euicc_package_result_list = Some(list);
                }
            }
            0xBF20 => data.euicc_info1 = Some(self.es10().get_euicc_info1().await?),
            0xBF22 => data.euicc_info2 = Some(self.es10().get_euicc_info2().await?),
            0x83 => {
                let addresses = self.es10().get_euicc_configured_addresses().await?;
                data.root_smds_address = Some(addresses.root_ds_address);
            }
            0x84 => {
                let eims = self.es10().get_eim_configuration_data().await?;
                let known = eims.into_iter().find(|known| known.eim_id == eim.eim_id);
                data.association_token = known.and_then(|known| known.association_token);
            }
            0xA5 | 0xA6 => {
                let ci = request.euicc_ci_pk_identifier_to_be_used.clone();
                match self.es10().get_certs(ci).await? {
                    Ok(certs) if tag.0 == 0xA5 => data.eum_certificate = Some(certs.eum_certificate),
                    Ok(certs) => data.euicc_certificate = Some(certs.euicc_certificate),
                    Err(code) if code.number == GetCertsError::INVALID_CI_PK_ID.0 => {
                        return Ok(Err(IpaEuiccDataErrorCode::EUICC_CI_PK_ID_NOT_FOUND));
                    }
                    Err(_) => return Ok(Err(IpaEuiccDataErrorCode::UNDEFINED_ERROR)),
                }
            }
            0xA8 => data.ipa_capabilities = Some(self.capabilities()),
            0xA9 => data.device_info = Some(self.settings.device.device_info.clone()),
            // req: SGP.32-2.11.1.2-TagList
            _ => return Ok(Err(IpaEuiccDataErrorCode::INCORRECT_TAG_LIST)),
        }
        Ok(Ok(()))
    }

    fn capabilities(&self) -> IpaCapabilities {
        let supported = match self.settings.binding {
            Some(binding) => vec![binding.protocol()],
            None => vec![Binding::Asn1.protocol(), Binding::Coap.protocol()],
        };
        IpaCapabilities {
            ipa_features: BitString::of(&self.settings.features),
            ipa_supported_protocols: Some(BitString::of(&supported)),
            ..IpaCapabilities::default()
        }
    }
}

/// Returns the tag of an element in the present version. A tag of v1.0 is a finding.
fn current_tag(tag: Tag) -> Tag {
    match FORMER_TAGS.iter().find(|(former, _)| *former == tag.0) {
        Some((_, current)) => {
            finding::report(FindingKind::OtherTag, || format!("tagList contains {tag}, a tag of v1.0"));
            Tag(*current)
        }
        None => tag,
    }
}
