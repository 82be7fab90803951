//! Cases of ES2+.DownloadOrder: SGP.22 section 5.3.1.

use rsp::status::Status;

use super::expect_refusal;
use crate::arrange::fresh_iccid;
use crate::case::{Case, Need, Run, run};
use crate::verdict::{During, equal};

pub(super) fn cases() -> Vec<Case> {
    let one_of_a_kind = |title, run| case(title, run).need(Need::Admin);
    vec![
        case(
            "a profile is reserved by its ICCID",
            run!(|testbed| {
                let (operator, iccid) = (testbed.operator()?, testbed.iccid()?);
                let reply = operator.download_order(Some(iccid), None, None).await?.done()?;
                equal("iccid", &reply.iccid, &iccid)
            }),
        ),
        one_of_a_kind(
            "a profile reserved without EID is Allocated",
            run!(|testbed| {
                testbed.ordered().await?;
                testbed.expect_state("Allocated").await
            }),
        ),
        one_of_a_kind(
            "a profile reserved for an EID is Linked",
            run!(|testbed| {
                let operator = testbed.operator()?;
                let eid = Some(testbed.euicc.eid);
                operator.download_order(Some(testbed.iccid()?), None, eid).await?.done()?;
                testbed.expect_state("Linked").await
            }),
        ),
        one_of_a_kind(
            "a profile is reserved by its type, and each profile only once",
            run!(|testbed| {
                let (operator, iccid) = (testbed.operator()?, testbed.iccid()?);
                let profile_type = testbed.profile_type()?;
                let reply = operator.download_order(None, Some(profile_type), None).await?.done()?;
                equal("iccid", &reply.iccid, &iccid)?;
                let again = operator.download_order(None, Some(profile_type), None).await?;
                again.refused("downloadOrder", Status::ProfileTypeUnavailable).during("the second time")
            }),
        ),
        case(
            "a matching ICCID and profile type are accepted",
            run!(|testbed| {
                let (operator, iccid) = (testbed.operator()?, testbed.iccid()?);
                let profile_type = testbed.profile_type()?;
                let reply = operator.download_order(Some(iccid), Some(profile_type), None).await?.done()?;
                equal("iccid", &reply.iccid, &iccid)
            }),
        ),
        case(
            "one of ICCID and profile type must be given",
            run!(|testbed| {
                let answer = testbed.operator()?.download_order(None, None, None).await?;
                expect_refusal(answer, "1.3.1")
            }),
        ),
        case(
            "an unknown ICCID is refused",
            run!(|testbed| {
                let answer =
                    testbed.operator()?.download_order(Some(fresh_iccid(testbed)?), None, None).await?;
                answer.refused("downloadOrder", Status::IccidUnknown)
            }),
        ),
        case(
            "an already ordered ICCID is refused",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                let answer = operator.download_order(Some(iccid), None, None).await?;
                answer.refused("downloadOrder", Status::IccidInUse)
            }),
        ),
        case(
            "a profile type that does not match the ICCID is refused",
            run!(|testbed| {
                let answer = testbed
                    .operator()?
                    .download_order(Some(testbed.iccid()?), Some("another type"), None)
                    .await?;
                answer.refused("downloadOrder", Status::ProfileTypeMismatch)
            }),
        ),
        case(
            "an unknown profile type is refused",
            run!(|testbed| {
                let answer = testbed.operator()?.download_order(None, Some("unknown type"), None).await?;
                answer.refused("downloadOrder", Status::ProfileTypeUnknown)
            }),
        ),
    ]
}

fn case(title: &str, run: Run) -> Case {
    super::case("ES2+.DownloadOrder", "5.3.1", title, run)
}
