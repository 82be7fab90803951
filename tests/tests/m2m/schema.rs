//! Validation of every message between operator, SM-DP, SM-SR and EUM against the GSMA's schemas.
//! The schemas can be obtained but not redistributed. `LANDFALL_ESIM_XSD` is the folder that
//! contains them, as for `crates/rsp/tests/sgp02/schema.rs`.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path, process::Command};

use crypto::Curve;
use rsp::{
    ids::Iccid,
    sgp02::{
        Function, Namespace,
        common::SubscriptionAddress,
        eis::Pol2,
        es2, es4,
        soap::{Envelope, Received},
        xml,
    },
};
use sm_dp::ProfileOptions;
use testbed::{
    m2m::{Bearer, M2m, operator::blank, recording::Message},
    subscription::{Subscription, own_package},
};

use crate::support::{Prepared, VALIDITY, settle, status};

const FOLDER: &str = "LANDFALL_ESIM_XSD";

#[test]
#[cfg_attr(not(has_esim_xsd), ignore = "needs LANDFALL_ESIM_XSD, a folder with the schemas of SGP.02")]
fn all_messages_are_valid_according_to_the_published_schemas() {
    let schemas = std::env::var_os(FOLDER).unwrap();
    for (namespace, name) in [(Namespace::V1, "1"), (Namespace::V3, "3")] {
        let recorded = everything(namespace);
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
        // The available schemas lack the elements added in version 4. The schemas of namespace 1
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
        let recorded = everything(namespace);
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
fn everything(namespace: Namespace) -> Vec<Message> {
    let prepared = Prepared::in_namespace(Bearer::Sms, namespace);
    prepared.run(async |run| call_everything(&prepared, &run).await);
    prepared.recording.take()
}

async fn call_everything(prepared: &Prepared, run: &M2m) {
    let (eid, local) = (prepared.start.eid, prepared.start.local);
    // No network accepts the subscriber of this profile.
    let package = own_package("262-98", 3, "Refused").unwrap();
    let refused = Subscription::of(&package).unwrap().iccid;
    run.stock.add_profile(&package, &ProfileOptions::default()).await.unwrap();
    let (sm_dp, sm_sr) = (run.sm_dp_id().clone(), run.sm_sr_id().clone());
    let done = run.download(true, VALIDITY).await.unwrap();
    assert!(done.base.is_done(), "{}", status(&done.base));
    settle().await;

    macro_rules! call {
        ($party:expr, $function:ty, $is_done:literal, $request:expr) => {
            let answer = run.operator.call::<$function>($party, $request, VALIDITY).await.unwrap();
            let how = status(&answer.base);
            assert_eq!(answer.base.is_done(), $is_done, "{}: {how}", <$function>::NAME);
            settle().await;
        };
    }
    let smsr_id = || sm_sr.clone();
    let other = prepared.setup.pki.eids(Curve::P256)[1];
    let address = SubscriptionAddress { imsi: None, msisdn: "4915100000002".parse().ok() };
    let iccid = local;
    let unknown = Iccid::with_luhn("8972499000000000009").unwrap();
    call!(
        &sm_dp,
        es2::DownloadProfile,
        true,
        es2::DownloadProfileRequest {
            base: blank(),
            eid,
            smsr_id: smsr_id(),
            profile_type: None,
            iccid: Some(refused),
            enable_profile: false
        }
    );
    // The networks refuse the profile, and the card rolls back.
    call!(
        &sm_dp,
        es2::EnableProfile,
        false,
        es2::EnableProfileRequest { base: blank(), eid, smsr_id: smsr_id(), iccid: refused }
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
        es2::DeleteProfileRequest { base: blank(), eid, iccid: refused, smsr_id: smsr_id() }
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
}

/// Returns the body element of a message and its name.
fn message(recorded: &Message, namespace: Namespace) -> Option<(String, String)> {
    let Message::Soap(text) = recorded else { return None };
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
