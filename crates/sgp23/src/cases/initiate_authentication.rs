//! Cases of ES9+.InitiateAuthentication: SGP.22 section 5.6.1, SGP.23 section 4.3.12.

use rsp::der::{Asn1, Tag, tlv_bytes};
use rsp::ids::{SubjectKeyIdentifier, Version};
use rsp::sgp22::es9plus::{InitiateAuthentication, InitiateAuthenticationRequest};
use rsp::status::Status;

use crate::binding::{ASN1_PATH, Binding};
use crate::case::{Case, Run, run};
use crate::euicc::extended;
use crate::testbed::Testbed;
use crate::verdict::{During, Stop, Verdict, ensure, equal};

const FUNCTION: &str = "ES9+.InitiateAuthentication";
const CLAUSE: &str = "5.6.1";
const TEST: &str = "4.3.12.2.1 TC_SM-DP+_ES9+.InitiateAuthenticationNIST";

type Corrupt = fn(&Testbed<'_>, &mut InitiateAuthenticationRequest);

/// Each entry consists of the identifier in SGP.23, the defect, the expected status, and the
/// function that produces the defect in a request.
const REFUSALS: &[(Option<&str>, &str, Status, Corrupt)] = &[
    (Some("03"), "the address belongs to another server", Status::SmdpAddressRefused, |_, it| {
        it.smdp_address = "another.server.example".to_owned()
    }),
    (
        Some("04"),
        "the server trusts none of the eUICC's CIs for signing",
        Status::CiForSigningUnsupported,
        |_, it| it.euicc_info1.euicc_ci_pk_id_list_for_signing = stranger(),
    ),
    (None, "the eUICC supports no CI for signing", Status::CiForSigningUnsupported, |_, it| {
        it.euicc_info1.euicc_ci_pk_id_list_for_signing.clear();
    }),
    (
        Some("05"),
        "the version of the eUICC is below the server's lowest version",
        Status::SvnUnsupported,
        |_, it| it.euicc_info1.svn = Version([1, 0, 0]),
    ),
    (None, "the version of the eUICC does not exist yet", Status::SvnUnsupported, |_, it| {
        it.euicc_info1.svn = Version([9, 0, 0]);
    }),
    (
        Some("06"),
        "the server has no certificate of the eUICC's CIs for verification",
        Status::CiForVerificationUnavailable,
        |_, it| it.euicc_info1.euicc_ci_pk_id_list_for_verification = stranger(),
    ),
    (None, "the eUICC supports no CI for verification", Status::CiForVerificationUnavailable, |_, it| {
        it.euicc_info1.euicc_ci_pk_id_list_for_verification.clear();
    }),
    (
        None,
        "both lists of CIs are unknown: the list for signing is refused first",
        Status::CiForSigningUnsupported,
        |_, it| {
            it.euicc_info1.euicc_ci_pk_id_list_for_signing = stranger();
            it.euicc_info1.euicc_ci_pk_id_list_for_verification = stranger();
        },
    ),
    (
        None,
        "address and version are both wrong: the address is refused first",
        Status::SmdpAddressRefused,
        |_, it| {
            it.smdp_address = "another.server.example".to_owned();
            it.euicc_info1.svn = Version([1, 0, 0]);
        },
    ),
];

fn stranger() -> Vec<SubjectKeyIdentifier> {
    vec![SubjectKeyIdentifier(vec![7; 20])]
}

/// SGP.22 versions of eUICCs that the server must accept.
const VERSIONS: &[(Option<&str>, [u8; 3])] = &[
    (None, [2, 2, 0]),
    (Some("07"), [2, 2, 1]),
    (Some("08"), [2, 2, 2]),
    (Some("09"), [2, 3, 0]),
    (None, [2, 4, 0]),
    (None, [2, 5, 0]),
    (None, [2, 6, 0]),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "the response is signed with CERT.DPauth and contains the eUICC's challenge and the address",
            nominal(),
        )
        .id(TEST, "01"),
        case("every TransactionID and every serverChallenge is unique", unique()).id(TEST, "02"),
        case("the address is case-insensitive", any_case()),
        case("the CI for signing is the first of the eUICC's list that the server trusts", preference()),
        case("elements of version 3 in and after euiccInfo1 are ignored", later_elements()),
    ];
    cases.extend(REFUSALS.iter().map(|(id, title, status, corrupt)| {
        let (status, corrupt) = (*status, *corrupt);
        let run = run!(|testbed| {
            let mut request = testbed.initiation();
            corrupt(testbed, &mut request);
            testbed.refused::<InitiateAuthentication>(&request, status).await
        });
        case(title, run).id(TEST, *id)
    }));
    cases.extend(VERSIONS.iter().map(|(id, [major, minor, patch])| {
        let svn = Version([*major, *minor, *patch]);
        let run = run!(|testbed| {
            let mut request = testbed.initiation();
            request.euicc_info1.svn = svn;
            testbed.initiate_with(&request).await.map(|_| ())
        });
        case(&format!("an eUICC of version {svn} is accepted"), run).id(TEST, *id)
    }));
    cases
}

fn case(title: &str, run: Run) -> Case {
    Case::new(FUNCTION, CLAUSE, title, run)
}

fn nominal() -> Run {
    run!(|testbed| testbed.initiate().await.map(|_| ()))
}

fn unique() -> Run {
    run!(|testbed| {
        // The eUICC's challenge stays the same, so only the server's randomness makes a difference.
        let request = testbed.initiation();
        let (first, second) =
            (testbed.initiate_with(&request).await?, testbed.initiate_with(&request).await?);
        ensure(first.ok.transaction_id != second.ok.transaction_id, || {
            format!("both sessions have TransactionID {}", first.ok.transaction_id)
        })?;
        ensure(first.ok.server_signed1.server_challenge != second.ok.server_signed1.server_challenge, || {
            "both sessions have the same serverChallenge".to_owned()
        })
    })
}

fn any_case() -> Run {
    run!(|testbed| {
        if !testbed.server.address.contains(|c: char| c.is_ascii_alphabetic()) {
            return Err(Stop::needs("an address with letters"));
        }
        let changed =
            |letter: fn(char) -> char| testbed.server.address.chars().map(letter).collect::<String>();
        for smdp_address in [
            changed(|c| c.to_ascii_uppercase()),
            changed(|c| if c < 'n' { c.to_ascii_uppercase() } else { c }),
        ] {
            let request = InitiateAuthenticationRequest { smdp_address, ..testbed.initiation() };
            testbed.initiate_with(&request).await.during(&request.smdp_address)?;
        }
        Ok(())
    })
}

fn preference() -> Run {
    run!(|testbed| {
        let own = testbed.euicc.info2.euicc_ci_pk_id_list_for_signing.clone();
        let mut request = testbed.initiation();
        request.euicc_info1.euicc_ci_pk_id_list_for_signing = [stranger(), own.clone()].concat();
        let started = testbed.initiate_with(&request).await?;
        equal("euiccCiPKIdToBeUsed", &Some(&started.ok.euicc_ci_pk_id_to_be_used), &own.first())
    })
}

/// Adds euiccCiPKIdListForSigningV3, euiccRspCapability and highestSvn of version 3, and an unknown
/// element.
fn later_elements() -> Run {
    run!(|testbed| {
        let mut info1 = testbed.initiation().euicc_info1.to_der();
        for element in [
            tlv_bytes(Tag(0xB1), &tlv_bytes(Tag::OCTET_STRING, &[7; 20])),
            tlv_bytes(Tag(0x88), &[0x04, 0xF0]),
            tlv_bytes(Tag(0x93), &[3, 1, 0]),
            tlv_bytes(Tag(0x9E), &[0xAA]),
        ] {
            info1 = extended(&info1, &[], &element)?;
        }
        send_later(testbed, &info1).await
    })
}

async fn send_later(testbed: &Testbed<'_>, info1: &[u8]) -> Verdict {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let request = testbed.initiation();
    let version = testbed.server.version;
    // lpaRspCapability of version 3: a BIT STRING.
    let capability = tlv_bytes(Tag(0x85), &[0x04, 0xF0]);
    let post = match testbed.binding {
        Binding::Json => {
            let mut body = serde_json::to_value(&request).map_err(|e| Stop::needs(e.to_string()))?;
            let fields = body.as_object_mut().ok_or_else(|| Stop::needs("a request that is an object"))?;
            fields.insert("euiccInfo1".to_owned(), BASE64_STANDARD.encode(info1).into());
            fields.insert(
                "lpaRspCapability".to_owned(),
                BASE64_STANDARD.encode([0x03, 0x02, 0x04, 0xF0]).into(),
            );
            fields.insert("ofALaterVersion".to_owned(), serde_json::json!({ "nested": [1, 2] }));
            let path = rsp::sgp22::es9plus::path("initiateAuthentication");
            Binding::Json.post(&path, version, body.to_string().into())
        }
        Binding::Asn1 => {
            let fields = [
                tlv_bytes(Tag(0x81), &request.euicc_challenge),
                tlv_bytes(Tag(0x83), request.smdp_address.as_bytes()),
                info1.to_vec(),
                capability,
                tlv_bytes(Tag(0x9E), &[1]),
            ];
            let function = tlv_bytes(InitiateAuthenticationRequest::TAG, &fields.concat());
            Binding::Asn1.post(ASN1_PATH, version, tlv_bytes(Tag(0xA2), &function).into())
        }
    };
    let response = testbed.send(post).await?;
    testbed.binding.answer::<InitiateAuthentication>(&response)?.done().map(|_| ())
}
