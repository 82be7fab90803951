//! Cases of downloads: SGP.32 sections 3.2.3.1 (direct), 3.2.3.2 (through the eIM) and 3.7.

use ::eim::records::Outcome;
use rsp::der::Asn1;
use rsp::sgp32::ipa_data::{ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData, ipa_features};
use sgp23::ensure;

use super::case;
use crate::ipa::case::{Case, Need, Run, run};
use crate::ipa::tap::{Act, Function};

const TRIGGER: &str = "ESipa.ProfileDownloadTrigger";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            TRIGGER,
            "2.11.1.3, 2.11.2.3, 3.2.3.1",
            "a profile is downloaded from the SM-DP+ itself, and both servers get the result",
            download(false),
        )
        .need(Need::Feature(ipa_features::DIRECT_RSP_SERVER_COMMUNICATION)),
        case(
            TRIGGER,
            "3.2.3.2, 5.14.1 to 5.14.3",
            "a profile is downloaded through the eIM, which keeps the activation code",
            download(true),
        )
        .need(Need::Feature(ipa_features::EIM_DOWNLOAD_DATA_HANDLING)),
        case(
            TRIGGER,
            "3.2.3.2, 5.14.1 to 5.14.3",
            "unknown elements of a later version are ignored during a download through the eIM",
            unknown_elements(),
        )
        .need(Need::Feature(ipa_features::EIM_DOWNLOAD_DATA_HANDLING)),
        case(
            TRIGGER,
            "2.11.2.3, 3.2.3.2",
            "a profile whose metadata the eIM refuses is not installed, and the failure is reported",
            refused_metadata(),
        )
        .need(Need::Feature(ipa_features::EIM_DOWNLOAD_DATA_HANDLING)),
        case(TRIGGER, "2.11.2.3", "the result of a download is delivered again after a loss", lost_result()),
    ]
}

fn download(kept_by_eim: bool) -> Run {
    run!(|testbed| {
        let iccid = testbed.download(kept_by_eim).await?;
        let is_through_eim = !testbed.calls_of(Function::InitiateAuthentication).is_empty();
        ensure(is_through_eim || !kept_by_eim, || {
            "the IPA did not call InitiateAuthentication at the eIM".to_owned()
        })?;
        testbed.expect_installed_at_sm_dp(iccid).await
    })
}

fn unknown_elements() -> Run {
    run!(|testbed| {
        let functions = &[Function::GetEimPackage, Function::InitiateAuthentication, Function::Other];
        testbed.intervene(functions, Act::AddUnknownElement, u32::MAX);
        testbed.download(true).await.map(|_| ())
    })
}

fn refused_metadata() -> Run {
    run!(|testbed| {
        let [known, _] = testbed.profiles().await?;
        let (iccid, id) = testbed.order_download_of(true, Some(known)).await?;
        let outcome = testbed.outcome(&id).await?;
        let is_failure = match &outcome {
            Outcome::Download(octets) => {
                let result = ProfileDownloadTriggerResult::from_der(&octets.0);
                result.is_ok_and(|result| {
                    use ProfileDownloadTriggerResultData::ProfileDownloadError;
                    matches!(result.profile_download_trigger_result_data, ProfileDownloadError(_))
                })
            }
            _ => false,
        };
        ensure(is_failure, || format!("the IPA returned {outcome:?}, expected a failure"))?;
        let is_installed = testbed.is_installed_at_sm_dp(iccid).await?;
        ensure(!is_installed, || "the profile is installed".to_owned())
    })
}

fn lost_result() -> Run {
    run!(|testbed| {
        let (_, id) = testbed.order_download(false).await?;
        let delivery = &[Function::ProvideEimPackageResult, Function::HandleNotification];
        testbed.intervene(delivery, Act::LoseRequest, 1);
        testbed.outcome(&id).await.map(|_| ())
    })
}
