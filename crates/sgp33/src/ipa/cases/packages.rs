//! Cases of packages and their results: SGP.32 sections 2.11, 3.3.1, 5.14.5 and 5.14.6.

use ::eim::records::{DataElement, Outcome};
use rsp::sgp32::EuiccResultData;
use rsp::sgp32::esipa::EimPackageResultErrorCode;
use sgp23::{During, Stop, ensure, equal};

use super::case;
use crate::ipa::case::{Case, Run, run};
use crate::ipa::tap::{Act, Function};
use crate::ipa::testbed::results_of;

const PACKAGE: &str = "ESipa.GetEimPackage";
const RESULT: &str = "ESipa.ProvideEimPackageResult";

/// The functions with which an IPA delivers the result of a package.
const DELIVERY: &[Function] = &[Function::ProvideEimPackageResult, Function::HandleNotification];

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            PACKAGE,
            "2.11.1.2, 2.11.2.2",
            "a request for data is answered with all requested elements",
            data(),
        ),
        case(RESULT, "3.3.1, 5.14.6", "the result arrives as the eUICC signed it", result()),
        case(
            PACKAGE,
            "3.3.1",
            "packages are executed in sequence, until the eIM has no further one",
            sequence(),
        ),
        case(
            RESULT,
            "3.3.1",
            "a result whose acknowledgement was lost is delivered again, octet for octet",
            lost_acknowledgement(),
        ),
        case(RESULT, "3.3.1", "a result that did not arrive is kept, and delivered later", kept_result()),
        case(RESULT, "2.11.1.4, 3.3.1", "an acknowledged result is removed from the eUICC", removed_result()),
        case(PACKAGE, "5.14.5", "unknown elements of a later version are ignored", unknown_elements()),
        case(
            RESULT,
            "3.3.1, 6.3.2.7",
            "a package that cannot be decoded is reported: invalidPackageFormat",
            undecodable(Act::DamagePackage, &[EimPackageResultErrorCode::INVALID_PACKAGE_FORMAT]),
        ),
        case(
            RESULT,
            "3.3.1, 6.3.2.7",
            "a package of an unknown kind is reported",
            undecodable(
                Act::ReplaceByUnknownPackage,
                &[
                    EimPackageResultErrorCode::UNKNOWN_PACKAGE,
                    EimPackageResultErrorCode::INVALID_PACKAGE_FORMAT,
                ],
            ),
        ),
    ]
}

fn data() -> Run {
    run!(|testbed| {
        use DataElement as E;
        let elements = [
            E::EuiccInfo1,
            E::EuiccInfo2,
            E::EumCertificate,
            E::EuiccCertificate,
            E::IpaCapabilities,
            E::DeviceInfo,
        ];
        let data = testbed.data(&elements).await?;
        let present = [
            ("euiccInfo1", data.euicc_info1.is_some()),
            ("euiccInfo2", data.euicc_info2.is_some()),
            ("eumCertificate", data.eum_certificate.is_some()),
            ("euiccCertificate", data.euicc_certificate.is_some()),
            ("ipaCapabilities", data.ipa_capabilities.is_some()),
            ("deviceInfo", data.device_info.is_some()),
        ];
        let missing: Vec<_> =
            present.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| *name).collect();
        ensure(missing.is_empty(), || format!("IpaEuiccData lacks {}", missing.join(", ")))
    })
}

fn result() -> Run {
    run!(|testbed| {
        let id = testbed.order_list().await?;
        let results = testbed.delivered_results(&id).await?;
        ensure(matches!(results.as_slice(), [EuiccResultData::ListProfileInfoResult(_)]), || {
            format!("the result is {results:?}, expected a list of profiles")
        })
    })
}

fn sequence() -> Run {
    run!(|testbed| {
        let first = testbed.order_list().await?;
        let second = testbed.order_eims().await?;
        testbed.outcome(&second).await?;
        let Some(outcome) = testbed.ended(&first).await? else {
            return Err(Stop::failed("the second package has a result, and the first has none"));
        };
        results_of(&outcome)?;
        let polls = testbed.calls_of(Function::GetEimPackage).len();
        let results = testbed.calls().iter().filter(|call| call.result().is_some()).count();
        ensure(polls > results, || {
            format!("the IPA polled {polls} times for {results} packages, expected once more")
        })
    })
}

fn lost_acknowledgement() -> Run {
    run!(|testbed| {
        let id = testbed.order_list().await?;
        testbed.intervene(DELIVERY, Act::LoseAnswer, 1);
        testbed.outcome(&id).await?;
        // The eIM has the result, but the eUICC keeps it until it is acknowledged.
        for _ in 0..testbed.ipa.retries {
            if testbed.delivered().len() > 1 {
                break;
            }
            testbed.run().await?;
        }
        let delivered = testbed.delivered();
        ensure(delivered.len() > 1, || "the result was delivered once, expected a repetition".to_owned())?;
        ensure(delivered.iter().all(|octets| Some(octets) == delivered.first()), || {
            "the repeated result has other octets".to_owned()
        })
    })
}

fn kept_result() -> Run {
    run!(|testbed| {
        let id = testbed.order_list().await?;
        testbed.intervene(DELIVERY, Act::LoseRequest, u32::MAX);
        testbed.run().await?;
        ensure(!testbed.delivered().is_empty(), || "the IPA delivered no result".to_owned())?;
        testbed.ipa.tap.end_interventions();
        results_of(&testbed.outcome(&id).await?).map(|_| ())
    })
}

fn removed_result() -> Run {
    run!(|testbed| {
        let id = testbed.order_list().await?;
        testbed.outcome(&id).await?;
        let data = testbed.data(&[DataElement::EuiccPackageResults]).await?;
        let kept = data.euicc_package_result_list.unwrap_or_default().len();
        equal("the number of results on the eUICC", &kept, &0)
    })
}

fn unknown_elements() -> Run {
    run!(|testbed| {
        testbed.intervene(&[Function::GetEimPackage], Act::AddUnknownElement, u32::MAX);
        let id = testbed.order_list().await?;
        testbed.delivered_results(&id).await.during("EuiccPackageRequest")?;
        testbed.data(&[DataElement::EuiccInfo1]).await.map(|_| ())
    })
}

fn undecodable(act: Act, expected: &'static [EimPackageResultErrorCode]) -> Run {
    run!(|testbed| {
        let id = testbed.order_list().await?;
        testbed.intervene(&[Function::GetEimPackage], act, 1);
        match testbed.outcome(&id).await? {
            Outcome::RefusedByIpa(code) => ensure(expected.iter().any(|expected| expected.0 == code), || {
                format!(
                    "the IPA reported {}, expected {}",
                    EimPackageResultErrorCode(code),
                    expected.first().copied().unwrap_or(EimPackageResultErrorCode::UNDEFINED_ERROR)
                )
            }),
            _ => Err(Stop::failed("the IPA executed a later package without a report of this one")),
        }
    })
}
