//! Validation of every message between operator, SM-DP, SM-SR and EUM against the GSMA's schemas.
//! The schemas can be obtained but not redistributed. `LANDFALL_ESIM_XSD` is the folder that
//! contains them, as for `crates/rsp/tests/sgp02/schema.rs`.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path, process::Command};

use cli::m2m::operator::blank;
use euicc_sim::m2m::toolkit::Numbers;
use rsp::{
    ids::{Eid, Iccid},
    sgp02::{
        Function, Namespace,
        common::SubscriptionAddress,
        eis::Pol2,
        es2, es4,
        soap::{Envelope, Received},
        xml,
    },
};
use tokio::runtime::Builder;

use crate::testbed::{Bearer, LOCAL, REFUSING, Recorded, Testbed, VALIDITY};

const FOLDER: &str = "LANDFALL_ESIM_XSD";

#[test]
#[cfg_attr(not(has_esim_xsd), ignore = "needs LANDFALL_ESIM_XSD, a folder with the schemas of SGP.02")]
fn all_messages_are_valid_according_to_the_published_schemas() {
    let schemas = std::env::var_os(FOLDER).unwrap();
    for (namespace, name) in [(Namespace::V1, "1"), (Namespace::V3, "3")] {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let recorded = runtime.block_on(everything(namespace));
        let printed: Vec<(String, String)> =
            recorded.iter().filter_map(|it| message(it, namespace)).collect();
        let Verdict { valid, undeclared, without_profile } =
            validated(&Path::new(&schemas).join(name), namespace, &printed);
        eprintln!(
            "{valid} of {} messages of namespace {name} are valid, {} are not declared, {without_profile} contain no \
                         profile",
            printed.len(),
            undeclared.len()
        );
        let in_none = undeclared.len();
        // The available schemas lack the elements added in version 4; those of namespace 1
        // also lack ES1.
        let no_es1 = namespace == Namespace::V1;
        let undeclared: BTreeSet<&str> = undeclared.iter().map(String::as_str).collect();
        let added: BTreeSet<&str> =
            undeclared.iter().copied().filter(|element| !(no_es1 && element.starts_with("ES1-"))).collect();
        let expected = BTreeSet::from([
            "ES2-AuditEISRequest",
            "ES2-AuditEISResponse",
            "ES2-SetFallBackAttributeRequest",
            "ES2-SetFallBackAttributeResponse",
        ]);
        assert_eq!(added, expected, "namespace {name}");
        // An SM-DP that queries a card before its first download gets an EIS without
        // profiles; namespace 1 requires at least one.
        assert_eq!(without_profile, usize::from(namespace == Namespace::V1));
        assert_eq!(valid + in_none + without_profile, printed.len());
    }
}

/// Checks that no message contains certain elements that the schemas forbid. This test does not
/// need the schemas.
#[test]
fn messages_contain_no_elements_that_the_schemas_forbid() {
    for namespace in Namespace::ALL {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let recorded = runtime.block_on(everything(namespace));
        let printed: Vec<(String, String)> =
            recorded.iter().filter_map(|it| message(it, namespace)).collect();
        assert!(printed.iter().any(|(element, _)| element == "ES2-DisableProfileResponse"));
        for (element, text) in &printed {
            let text = text.to_lowercase();
            assert!(!(element.starts_with("ES2-") && text.contains("euiccresponsedata")), "{text}");
            assert!(!(namespace == Namespace::V1 && text.contains("freememory>0<")), "{text}");
        }
    }
}

/// Runs all functions of an operator for a device, including refused ones. Returns all messages.
async fn everything(namespace: Namespace) -> Vec<Recorded> {
    let testbed = Testbed::with("schemas", Bearer::Sms, namespace).await;
    let device = testbed.device(501, Numbers::default()).await;
    let (local, refusing) = (testbed.put_in_stock(LOCAL, 1).await, testbed.put_in_stock(REFUSING, 2).await);
    testbed.settle().await;
    let eid = device.eid;
    let (sm_dp, sm_sr) = (testbed.sm_dp_id(), testbed.sm_sr_id());
    let done = testbed.download(eid, local, true).await;
    assert!(done.base.is_done(), "{}", done.base.function_execution_status);
    let done = testbed.download(eid, refusing, false).await;
    assert!(done.base.is_done(), "{}", done.base.function_execution_status);
    testbed.settle().await;

    macro_rules! call {
        ($party:expr, $function:ty, $is_done:literal, $request:expr) => {
            let answer = testbed.operator.call::<$function>($party, $request, VALIDITY).await.unwrap();
            let how = answer.base.function_execution_status.to_string();
            assert_eq!(answer.base.is_done(), $is_done, "{}: {how}", <$function>::NAME);
            testbed.settle().await;
        };
    }
    let smsr_id = || sm_sr.clone();
    let other: Eid = cli::parties::eid_of_serial(testbed.pki(), 999).unwrap();
    let address = SubscriptionAddress { imsi: None, msisdn: "5511900000001".parse().ok() };
    let iccid = local;
    let unknown = Iccid::with_luhn("8972499000000000009").unwrap();
    // The network refuses the profile, and the card rolls back.
    call!(
        &sm_dp,
        es2::EnableProfile,
        false,
        es2::EnableProfileRequest { base: blank(), eid, smsr_id: smsr_id(), iccid: refusing }
    );
    call!(&sm_dp, es2::GetEis, true, es2::GetEisRequest { base: blank(), eid, smsr_id: smsr_id() });
    call!(
        &sm_dp,
        es2::AuditEis,
        true,
        es2::AuditEisRequest { base: blank(), eid, iccid: vec![], smsr_id: smsr_id() }
    );
    call!(
        &sm_dp,
        es2::UpdatePolicyRules,
        true,
        es2::UpdatePolicyRulesRequest {
            base: blank(),
            eid,
            iccid,
            smsr_id: smsr_id(),
            pol2: Some(Pol2::default())
        }
    );
    call!(
        &sm_dp,
        es2::UpdateSubscriptionAddress,
        true,
        es2::UpdateSubscriptionAddressRequest {
            base: blank(),
            eid,
            smsr_id: smsr_id(),
            iccid,
            new_subscription_address: address.clone()
        }
    );
    call!(
        &sm_dp,
        es2::SetFallBackAttribute,
        false,
        es2::SetFallBackAttributeRequest { base: blank(), eid, smsr_id: smsr_id(), iccid: unknown }
    );
    call!(
        &sm_dp,
        es2::DisableProfile,
        true,
        es2::DisableProfileRequest { base: blank(), eid, smsr_id: smsr_id(), iccid }
    );
    call!(
        &sm_dp,
        es2::DisableProfile,
        false,
        es2::DisableProfileRequest { base: blank(), eid, smsr_id: smsr_id(), iccid }
    );
    call!(
        &sm_dp,
        es2::DeleteProfile,
        true,
        es2::DeleteProfileRequest { base: blank(), eid, iccid: refusing, smsr_id: smsr_id() }
    );
    call!(&sm_sr, es4::GetEis, true, es4::GetEisRequest { base: blank(), eid });
    call!(&sm_sr, es4::GetEis, false, es4::GetEisRequest { base: blank(), eid: other });
    call!(&sm_sr, es4::AuditEis, true, es4::AuditEisRequest { base: blank(), eid, iccid: vec![iccid] });
    call!(&sm_sr, es4::EnableProfile, true, es4::EnableProfileRequest { base: blank(), eid, iccid });
    call!(
        &sm_sr,
        es4::UpdateSubscriptionAddress,
        true,
        es4::UpdateSubscriptionAddressRequest {
            base: blank(),
            eid,
            iccid,
            new_subscription_address: address
        }
    );
    call!(&sm_sr, es4::DisableProfile, true, es4::DisableProfileRequest { base: blank(), eid, iccid });
    call!(&sm_sr, es4::DeleteProfile, true, es4::DeleteProfileRequest { base: blank(), eid, iccid });
    testbed.recorded_messages()
}

/// Returns the body element of a message and its name.
fn message(recorded: &Recorded, namespace: Namespace) -> Option<(String, String)> {
    let Recorded::Soap(text) = recorded else { return None };
    let document = xml::parse(text).unwrap();
    match Envelope::receive(&document).unwrap() {
        Received::Message(envelope) => {
            assert_eq!(envelope.namespace, namespace, "{text}");
            Some((envelope.element().to_owned(), envelope.canonical()))
        }
        Received::Fault(fault) => panic!("{fault}"),
    }
}

struct Verdict {
    valid: usize,
    /// Elements that no schema declares.
    undeclared: Vec<String>,
    /// Number of EISs without a profile.
    without_profile: usize,
}

fn validated(schemas: &Path, namespace: Namespace, printed: &[(String, String)]) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let mut wrapper = format!(
        "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" targetNamespace=\"{}\">",
        namespace.uri()
    );
    for interface in ["ES1", "ES2", "ES3", "ES4", "ES7"] {
        let file = schemas.join(format!("xsd/euicc.request.{interface}.xsd"));
        if file.exists() {
            write!(wrapper, "<xs:include schemaLocation=\"{}\"/>", file.display()).unwrap();
        }
    }
    fs::write(folder.path().join("wrapper.xsd"), wrapper + "</xs:schema>").unwrap();
    let names: Vec<String> =
        printed.iter().enumerate().map(|(number, (element, _))| format!("{number}-{element}.xml")).collect();
    for (name, (_, text)) in names.iter().zip(printed) {
        fs::write(folder.path().join(name), text).unwrap();
    }
    // xmllint is in Debian's package libxml2-utils.
    let output = Command::new("xmllint")
        .current_dir(folder.path())
        .args(["--nonet", "--noout", "--schema", "wrapper.xsd"])
        .args(&names)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let valid = stderr.lines().filter(|line| line.ends_with(" validates")).count();
    let mut verdict = Verdict { valid, undeclared: Vec::new(), without_profile: 0 };
    for line in stderr.lines().filter(|line| line.contains("validity error")) {
        let file = line.split(".xml").next().unwrap_or_default();
        if line.contains("No matching global declaration available for the validation root") {
            let (_, element) = file.split_once('-').unwrap();
            verdict.undeclared.push(element.to_owned());
        } else if line.ends_with("Expected is ( {http://namespaces.gsma.org/esim-messaging/1}profileInfo ).")
        {
            verdict.without_profile += 1;
        } else {
            panic!("{line}");
        }
    }
    verdict
}
