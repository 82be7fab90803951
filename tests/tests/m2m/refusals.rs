//! Refusals of the SM-DP, with the status codes of the table in `rsp::sgp02::status`, and without
//! side effects.

use std::time::Duration;

use crypto::Curve;
use rsp::{
    ids::Iccid,
    sgp02::{Function, es2},
};
use testbed::m2m::{Bearer, M2m, operator::blank};

use crate::support::{Prepared, VALIDITY, status};

/// Calls a function of the SM-DP.
async fn call<F: Function>(run: &M2m, request: F::Request) -> F::Response
where
    F::Request: Clone + Send,
{
    run.operator.call::<F>(run.sm_dp_id(), request, VALIDITY).await.unwrap()
}

#[test]
fn an_invalid_order_is_refused_and_reserves_nothing() {
    let prepared = Prepared::new(Bearer::Sms);
    prepared.run(async |run| {
        let order = es2::DownloadProfileRequest {
            base: blank(),
            eid: prepared.start.eid,
            smsr_id: run.sm_sr_id().clone(),
            profile_type: None,
            iccid: Some(prepared.start.local),
            enable_profile: false,
        };
        let nobody: rsp::ids::Oid = "2.999.16.1".parse().unwrap();
        let unknown = Iccid::with_luhn("8972499000000000009").unwrap();
        let other = prepared.setup.pki.eids(Curve::P256)[1];
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
            let status = status(&call::<es2::DownloadProfile>(&run, request).await.base);
            assert!(status.starts_with(&format!("FAILED {code}")), "{code}: {status}");
        }
        // The profile is still available after all refusals.
        let answer = call::<es2::DownloadProfile>(&run, order.clone()).await;
        assert!(answer.base.is_done(), "{}", status(&answer.base));
        // A second order for it is refused.
        let status = status(&call::<es2::DownloadProfile>(&run, order).await.base);
        assert!(status.starts_with("FAILED 8.2/3.7"), "{status}");
    });
}

#[test]
fn es2_functions_are_refused_for_profiles_of_another_sm_dp() {
    let prepared = Prepared::new(Bearer::Sms);
    prepared.run(async |run| {
        // The profile belongs to this operator, but was not downloaded by this SM-DP; ES4
        // would work.
        let request = es2::DisableProfileRequest {
            base: blank(),
            eid: prepared.start.eid,
            smsr_id: run.sm_sr_id().clone(),
            iccid: prepared.start.bootstrap,
        };
        let status = status(&call::<es2::DisableProfile>(&run, request).await.base);
        assert!(status.starts_with("FAILED 8.2.1/3.9"), "{status}");
    });
}

#[test]
fn a_download_without_response_expires_with_its_validity_period() {
    Prepared::new(Bearer::Sms).run(async |run| {
        // No short message arrives, so that the card is unreachable.
        run.faults.install("radio/sms-lose@mt".parse().unwrap());
        let answer = run.download(false, Duration::from_secs(1800)).await.unwrap();
        let status = status(&answer.base);
        assert!(status.starts_with("EXPIRED"), "{status}");
    });
}
