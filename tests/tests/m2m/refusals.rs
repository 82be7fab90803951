//! Refusals of the SM-DP, with the status codes of the table in `rsp::sgp02::status`, and without
//! side effects.

use std::time::Duration;

use cli::m2m::operator::blank;
use euicc_sim::m2m::toolkit::Numbers;
use rsp::{ids::Iccid, sgp02::es2};
use tokio::runtime::Builder;

use crate::testbed::{LOCAL, Testbed, VALIDITY};

fn played<T>(story: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(story)
}

#[test]
fn an_invalid_order_is_refused_and_reserves_nothing() {
    played(async {
        let testbed = Testbed::new("refusals").await;
        let device = testbed.device(501, Numbers::default()).await;
        let iccid = testbed.put_in_stock(LOCAL, 1).await;
        testbed.settle().await;
        let order = es2::DownloadProfileRequest {
            base: blank(),
            eid: device.eid,
            smsr_id: testbed.sm_sr_id(),
            profile_type: None,
            iccid: Some(iccid),
            enable_profile: false,
        };
        let nobody: rsp::ids::Oid = "2.999.16.1".parse().unwrap();
        let unknown = Iccid::with_luhn("8972499000000000009").unwrap();
        let other = cli::parties::eid_of_serial(testbed.pki(), 999).unwrap();
        let cases = [
            ("8.7/3.9", es2::DownloadProfileRequest { smsr_id: nobody, ..order.clone() }),
            ("8.2.1/3.9", es2::DownloadProfileRequest { iccid: Some(unknown), ..order.clone() }),
            ("8.2.5/2.3", es2::DownloadProfileRequest { iccid: None, ..order.clone() }),
            (
                "8.2.5/3.9",
                es2::DownloadProfileRequest {
                    iccid: None,
                    profile_type: Some("no such type".to_owned()),
                    ..order.clone()
                },
            ),
            // Status forwarded from the SM-SR.
            ("8.1.1/3.9", es2::DownloadProfileRequest { eid: other, ..order.clone() }),
        ];
        for (code, request) in cases {
            let answer = testbed
                .operator
                .call::<es2::DownloadProfile>(&testbed.sm_dp_id(), request, VALIDITY)
                .await
                .unwrap();
            let how = answer.base.function_execution_status.to_string();
            assert!(how.starts_with(&format!("FAILED {code}")), "{code}: {how}");
        }
        // The profile is still available after all refusals.
        let answer = testbed
            .operator
            .call::<es2::DownloadProfile>(&testbed.sm_dp_id(), order.clone(), VALIDITY)
            .await
            .unwrap();
        assert!(answer.base.is_done(), "{}", answer.base.function_execution_status);
        // A second order for it is refused.
        let answer = testbed
            .operator
            .call::<es2::DownloadProfile>(&testbed.sm_dp_id(), order, VALIDITY)
            .await
            .unwrap();
        let how = answer.base.function_execution_status.to_string();
        assert!(how.starts_with("FAILED 8.2/3.7"), "{how}");
    });
}

#[test]
fn es2_functions_are_refused_for_profiles_of_another_sm_dp() {
    played(async {
        let testbed = Testbed::new("strangers").await;
        let device = testbed.device(501, Numbers::default()).await;
        testbed.settle().await;
        let first = testbed.audit(device.eid).await.profile_info[0].iccid;
        // The profile belongs to this operator, but was not downloaded by this SM-DP; ES4
        // would work.
        let request = es2::DisableProfileRequest {
            base: blank(),
            eid: device.eid,
            smsr_id: testbed.sm_sr_id(),
            iccid: first,
        };
        let answer = testbed
            .operator
            .call::<es2::DisableProfile>(&testbed.sm_dp_id(), request, VALIDITY)
            .await
            .unwrap();
        let how = answer.base.function_execution_status.to_string();
        assert!(how.starts_with("FAILED 8.2.1/3.9"), "{how}");
    });
}

#[test]
fn a_download_without_response_expires_with_its_validity_period() {
    played(async {
        let testbed = Testbed::new("expired").await;
        let device = testbed.device(501, Numbers::default()).await;
        let iccid = testbed.put_in_stock(LOCAL, 1).await;
        testbed.settle().await;
        let eid = device.eid;
        // The device is switched off, so that the card is unreachable.
        drop(device);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let request = es2::DownloadProfileRequest {
            base: blank(),
            eid,
            smsr_id: testbed.sm_sr_id(),
            profile_type: None,
            iccid: Some(iccid),
            enable_profile: false,
        };
        let validity = Duration::from_secs(1800);
        let answer = testbed
            .operator
            .call::<es2::DownloadProfile>(&testbed.sm_dp_id(), request, validity)
            .await
            .unwrap();
        let how = answer.base.function_execution_status.to_string();
        assert!(how.starts_with("EXPIRED"), "{how}");
    });
}
