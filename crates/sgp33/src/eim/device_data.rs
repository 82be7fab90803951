//! The response to a request for data: SGP.32 sections 2.11.1.2 and 2.11.2.2.

use rsp::der::{BitString, Null};
use rsp::sgp22::{DeviceCapabilities, DeviceInfo};
use rsp::sgp32::es10b::NotificationSearch;
use rsp::sgp32::esipa::EimPackageResult;
use rsp::sgp32::ipa_data::{
    IpaCapabilities, IpaEuiccData, IpaEuiccDataRequest, IpaEuiccDataResponse, ipa_features, protocols,
};
use rsp::sgp32::notification::PendingNotificationList;
use sgp23::Stop;

use super::testbed::{Testbed, card_failed};

/// The functions of the tester's IPA: all of them.
const FEATURES: [usize; 6] = [
    ipa_features::DIRECT_RSP_SERVER_COMMUNICATION,
    ipa_features::INDIRECT_RSP_SERVER_COMMUNICATION,
    ipa_features::EIM_DOWNLOAD_DATA_HANDLING,
    ipa_features::EIM_CTX_PARAMS1_GENERATION,
    ipa_features::EIM_PROFILE_METADATA_VERIFICATION,
    ipa_features::MINIMIZE_ESIPA_BYTES,
];

/// The device of the tester.
pub(crate) fn device_info() -> DeviceInfo {
    DeviceInfo {
        tac: [0x35, 0x29, 0x06, 0x11],
        device_capabilities: DeviceCapabilities::default(),
        imei: None,
    }
}

impl Testbed<'_> {
    /// Answers a request for data with the elements of its tag list.
    ///
    /// # Errors
    /// The tag list is invalid, or has a tag of no element of IpaEuiccData.
    pub(crate) async fn data(&mut self, request: &IpaEuiccDataRequest) -> Result<EimPackageResult, Stop> {
        let tags = request
            .tags()
            .map_err(|error| Stop::failed(format!("tagList of IpaEuiccDataRequest: {error}")))?;
        let mut data = IpaEuiccData {
            eim_transaction_id: request.eim_transaction_id.clone(),
            ..IpaEuiccData::default()
        };
        for tag in tags {
            match tag.0 {
                0xA0 => data.notifications_list = Some(PendingNotificationList(self.notifications().await?)),
                0x81 | 0x83 => {
                    let addresses =
                        self.es10().get_euicc_configured_addresses().await.map_err(card_failed)?;
                    match tag.0 {
                        0x81 => data.default_smdp_address = addresses.default_dp_address,
                        _ => data.root_smds_address = Some(addresses.root_ds_address),
                    }
                }
                0xA2 => {
                    let search = NotificationSearch::EuiccPackageResults(Null);
                    let list = self.es10().retrieve_notifications_list(Some(search)).await;
                    if let device::es10::RetrievedList::EuiccPackageResults(list) =
                        list.map_err(card_failed)?
                    {
                        data.euicc_package_result_list = Some(list);
                    }
                }
                0xBF20 => data.euicc_info1 = Some(self.es10().get_euicc_info1().await.map_err(card_failed)?),
                0xBF22 => data.euicc_info2 = Some(self.es10().get_euicc_info2().await.map_err(card_failed)?),
                0x84 => data.association_token = self.token().await?,
                0xA5 | 0xA6 => {
                    let ci = request.euicc_ci_pk_identifier_to_be_used.clone();
                    let certs = self.es10().get_certs(ci).await.map_err(card_failed)?;
                    let certs = certs.map_err(|code| {
                        let code = code.name.unwrap_or_default();
                        Stop::failed(format!("the eIM requests certificates of a CI without them: {code}"))
                    })?;
                    match tag.0 {
                        0xA5 => data.eum_certificate = Some(certs.eum_certificate),
                        _ => data.euicc_certificate = Some(certs.euicc_certificate),
                    }
                }
                0xA8 => {
                    data.ipa_capabilities = Some(IpaCapabilities {
                        ipa_features: BitString::of(&FEATURES),
                        ipa_supported_protocols: Some(BitString::of(&[protocols::RETRIEVE_HTTPS])),
                        ..IpaCapabilities::default()
                    });
                }
                0xA9 => data.device_info = Some(device_info()),
                _ => {
                    return Err(Stop::failed(format!(
                        "tagList of IpaEuiccDataRequest has {tag}, the tag of no element of IpaEuiccData"
                    )));
                }
            }
        }
        let response = IpaEuiccDataResponse::IpaEuiccData(Box::new(data));
        Ok(EimPackageResult::IpaEuiccDataResponse(Box::new(response)))
    }
}
