//! Cases of ES2+.ReleaseProfile: SGP.22 section 5.3.4.

use rsp::status::Status;

use crate::arrange::fresh_iccid;
use crate::case::{Case, Run, run};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "a confirmed profile is released and can be downloaded",
            run!(|testbed| {
                let (operator, iccid, matching_id) = testbed.confirmed(false).await?;
                operator.release(iccid).await?.done()?;
                testbed.download_with(&matching_id, None).await.map(|_| ())
            }),
        ),
        case(
            "an unknown ICCID cannot be released",
            run!(|testbed| {
                let answer = testbed.operator()?.release(fresh_iccid(testbed)?).await?;
                answer.refused("releaseProfile", Status::IccidUnknown)
            }),
        ),
        case(
            "an order that is not confirmed cannot be released",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                operator.release(iccid).await?.refused("releaseProfile", Status::IccidInvalidTransition)
            }),
        ),
        case(
            "a profile can be released only once",
            run!(|testbed| {
                let (operator, iccid, _) = testbed.confirmed(true).await?;
                operator.release(iccid).await?.refused("releaseProfile", Status::IccidInvalidTransition)
            }),
        ),
    ]
}

fn case(title: &str, run: Run) -> Case {
    super::case("ES2+.ReleaseProfile", "5.3.4", title, run)
}
