//! Orders that the server offers to the eUICC.

use rsp::der::{BitString, Tag, tlv_bytes};
use rsp::ids::Version;
use rsp::status::Status;

use super::{
    super::CODE, BY_EID, BY_EVENT, Change, FOR_ANY_EID, FOR_EID, WITH_GET_IDENTITY, call_authenticate_client,
    case,
};
use crate::case::{Case, Run, run};
use crate::order::Order;
use crate::verdict::equal;

const TEST: &str = "4.3.14.2.1 TC_SM-DP+_ES9+.AuthenticateClientNIST";

/// Each entry consists of the identifier in SGP.23, the title, the order, and the modification of
/// the request.
const OFFERS: &[(Option<&str>, &str, Order, Change)] = &[
    (Some("01"), "default SM-DP+: an order for the EID is found with an empty MatchingID", BY_EID, |_, _| {}),
    (
        Some("02"),
        "default SM-DP+, with confirmation code",
        Order { confirmation_code: Some(CODE), ..BY_EID },
        |_, _| {},
    ),
    (Some("05"), "SM-DS: the order is found with the EventID", BY_EVENT, |_, _| {}),
    (
        Some("06"),
        "SM-DS, with confirmation code",
        Order { confirmation_code: Some(CODE), ..BY_EVENT },
        |_, _| {},
    ),
    (Some("08"), "activation code: the order for the EID is found with its MatchingID", FOR_EID, |_, _| {}),
    (
        Some("09"),
        "activation code for the EID, with confirmation code",
        Order { confirmation_code: Some(CODE), ..FOR_EID },
        |_, _| {},
    ),
    (Some("11"), "activation code: an order without EID is for any eUICC", FOR_ANY_EID, |_, _| {}),
    (
        Some("12"),
        "activation code without EID, with confirmation code",
        Order { confirmation_code: Some(CODE), ..FOR_ANY_EID },
        |_, _| {},
    ),
    (Some("14"), "default SM-DP+: the MatchingID may be missing", BY_EID, |_, it| it.matching_id = None),
    (Some("19"), "unknown bits of UICCCapability are ignored", FOR_ANY_EID, |_, it| {
        let mut bits = it.info2.uicc_capability.ones();
        bits.extend([40, 61]);
        it.info2.uicc_capability = BitString::of(&bits);
    }),
    (Some("20"), "unknown elements of deviceInfo are ignored", FOR_ANY_EID, |_, it| {
        let device_info = vec![Tag(0xA0), Tag(0xA1)];
        it.later.push((device_info.clone(), tlv_bytes(Tag(0x9D), &[1, 2, 3])));
        it.later.push(([device_info, vec![Tag(0xA1)]].concat(), tlv_bytes(Tag(0x9C), &[17, 0, 0])));
    }),
    (Some("21"), "unknown elements of euiccInfo2 are ignored", FOR_ANY_EID, |_, it| {
        // Adds highestSvn and an unknown element.
        it.later.push((vec![Tag(0xBF22)], tlv_bytes(Tag(0x93), &[3, 1, 0])));
        it.later.push((vec![Tag(0xBF22)], tlv_bytes(Tag(0xBF7E), &[0x80, 1, 1])));
    }),
    (None, "unknown bits of RspCapability are ignored", FOR_ANY_EID, |_, it| {
        it.info2.rsp_capability = BitString::of(&[0, 1, 2, 3, 4, 5, 14, 23]);
    }),
    (
        None,
        "an extCardResource that cannot be read does not mean a lack of memory",
        FOR_ANY_EID,
        // The element is an OCTET STRING. Section 5.6.3 refuses a known lack of memory only.
        |_, it| it.info2.ext_card_resource = vec![0x82, 9, 0xFF],
    ),
    (
        None,
        "an eUICC of version 2.2 is not refused because of a capability whose bit was reserved",
        WITH_GET_IDENTITY,
        |_, it| it.info2.svn = Version([2, 2, 2]),
    ),
    (None, "unknown elements after ctxParams1 are ignored", FOR_ANY_EID, |_, it| {
        it.later.push((vec![], tlv_bytes(Tag(0x9E), &[1])));
        it.later.push((vec![Tag(0xA0)], tlv_bytes(Tag(0x9D), &[1])));
    }),
    (
        None,
        "version 3: operationType may request a download and matchingIdSource may be present",
        FOR_ANY_EID,
        |_, it| {
            it.later.push((vec![Tag(0xA0)], tlv_bytes(Tag(0x82), &[0x06, 0xC0])));
            it.later.push((vec![Tag(0xA0)], tlv_bytes(Tag(0xA3), &[0x81, 0x00])));
        },
    ),
    (None, "a device with an IMEI and all supported releases is accepted", FOR_ANY_EID, |_, it| {
        let release = Some(Version([15, 0, 0]));
        it.device_info.imei = Some([0x53, 0x92, 0x60, 0x11, 0x32, 0x54, 0x76, 0xF8]);
        it.device_info.device_capabilities.gsm_supported_release = release;
        it.device_info.device_capabilities.eutran_epc_supported_release = release;
        it.device_info.device_capabilities.nr_5gc_supported_release = release;
    }),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = OFFERS
        .iter()
        .map(|(id, title, order, change)| {
            let change = *change;
            let run = run!(|testbed| {
                let started = testbed.initiate().await?;
                let mut proof = testbed.euicc.authenticate(&started.ok, &testbed.placed_order()?.matching_id);
                change(testbed, &mut proof);
                let offered = testbed.authenticate(started, &proof.request()?).await?;
                equal("smdpSigned2.bppEuiccOtpk", &offered.ok.smdp_signed2.bpp_euicc_otpk, &None)
            });
            case(title, *order, run).id(TEST, *id)
        })
        .collect();
    cases.push(
        case(
            "default SM-DP+: the correct MatchingID is accepted after a wrong one",
            BY_EID,
            second_attempt(),
        )
        .id(TEST, "03"),
    );
    cases
}

fn second_attempt() -> Run {
    run!(|testbed| {
        call_authenticate_client(testbed, &testbed.euicc, "WRONG")
            .await?
            .refused("authenticateClient", Status::MatchingIdRefused)?;
        testbed.offered().await.map(|_| ())
    })
}
