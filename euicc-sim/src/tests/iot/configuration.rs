//! The eIM configuration: ES10b functions and the operations of packages.

use certs::Role;
use crypto::Curve;
use rsp::der::{Asn1, BitString, Null, Opaque, Raw};
use rsp::ids::CertificateDer;
use rsp::ids::SubjectKeyIdentifier;
use rsp::sgp32::eim_configuration::{EimIdType, protocols};
use rsp::sgp32::es10b::{
    AddInitialEimOk, AddInitialEimRequest, AddInitialEimResponse, EimSearch, GetCertsRequest,
    GetCertsResponse, GetEimConfigurationDataRequest, GetEimConfigurationDataResponse,
};
use rsp::sgp32::package::{DeleteEim, ListEim, MAX_COUNTER};
use rsp::sgp32::{Eco, EimConfigurationData, EuiccPackage, KeyOrCertificate, SubjectPublicKeyInfo};
use world::RamMemory;

use super::super::testbed::{Testbed, pki};
use super::testbed::{Eim, associate, card, card_in_use, error, make_iot, public_key_data};
use crate::{AfterFailure, TokenInUpdateEim};

fn add(eim: &EimConfigurationData) -> Eco {
    Eco::AddEim(Box::new(eim.clone()))
}

fn update(eim: &EimConfigurationData) -> Eco {
    Eco::UpdateEim(Box::new(eim.clone()))
}

fn remove(eim_id: &str) -> Eco {
    Eco::DeleteEim(DeleteEim { eim_id: eim_id.to_owned() })
}

const LIST: Eco = Eco::ListEim(ListEim {});

fn run(eim: &mut Eim, testbed: &mut Testbed, operations: &[Eco]) -> Vec<String> {
    eim.send(testbed, EuiccPackage::of_ecos(operations.to_vec()))
}

fn initial(testbed: &mut Testbed, eims: &[EimConfigurationData]) -> Result<Vec<AddInitialEimOk>, i64> {
    let request = AddInitialEimRequest { eim_configuration_data_list: eims.to_vec() };
    match testbed.call(&request) {
        AddInitialEimResponse::AddInitialEimOk(added) => Ok(added),
        AddInitialEimResponse::AddInitialEimError(code) => Err(code.0),
    }
}

fn configured(testbed: &mut Testbed, eim_id: Option<&str>) -> Vec<EimConfigurationData> {
    let search_criteria = eim_id.map(|eim_id| EimSearch::EimId(eim_id.to_owned()));
    let response: GetEimConfigurationDataResponse =
        testbed.call(&GetEimConfigurationDataRequest { search_criteria });
    response.eim_configuration_data_list.0
}

/// A configuration with all elements of v1.2.
fn whole(eim: &Eim) -> EimConfigurationData {
    EimConfigurationData {
        eim_fqdn: Some("eim.example.com".to_owned()),
        eim_id_type: Some(EimIdType::FQDN),
        trusted_public_key_data_tls: Some(public_key_data(&Eim::new("tls").key.public_key())),
        eim_supported_protocol: Some(BitString::of(&[protocols::RETRIEVE_HTTPS])),
        indirect_profile_download: Some(Null),
        ..eim.configuration()
    }
}

/// Changes of a configuration, with the code of addEim and AddInitialEim.
fn defective(testbed: &Testbed) -> Vec<(i64, EimConfigurationData)> {
    let good = || Eim::new("eim-2").configuration();
    let with = |code, change: &dyn Fn(&mut EimConfigurationData)| {
        let mut eim = good();
        change(&mut eim);
        (code, eim)
    };
    let certificate = testbed.pki.ci(Curve::P256).unwrap().der()[1..].to_vec();
    vec![
        with(3, &|eim| eim.euicc_ci_pk_id = Some(SubjectKeyIdentifier(vec![1; 20]))),
        with(5, &|eim| eim.association_token = Some(7)),
        with(5, &|eim| eim.association_token = Some(0)),
        with(6, &|eim| eim.counter_value = Some(MAX_COUNTER + 1)),
        with(6, &|eim| eim.counter_value = Some(-1)),
        with(7, &|eim| eim.counter_value = None),
        with(7, &|eim| eim.eim_public_key_data = None),
        with(7, &|eim| eim.eim_id = String::new()),
        with(7, &|eim| eim.eim_id = "x".repeat(129)),
        with(7, &|eim| eim.eim_fqdn = Some("x".repeat(256))),
        with(7, &|eim| {
            let not_a_key = SubjectPublicKeyInfo(vec![0x30, 0x03, 0x02, 0x01, 0x01]);
            eim.eim_public_key_data = Some(KeyOrCertificate::PublicKey(not_a_key));
        }),
        with(7, &|eim| {
            let truncated = CertificateDer([&[0x30][..], &certificate[..]].concat()[..40].to_vec());
            let mut octets = vec![0x30, 38];
            octets.extend_from_slice(&truncated.0[2..]);
            eim.eim_public_key_data = Some(KeyOrCertificate::Certificate(CertificateDer(octets)));
        }),
    ]
}

#[test]
fn the_first_eims_are_associated_together_or_not_at_all() {
    // req: SGP.32-5.9.4-Exists
    let mut testbed = card(|_| {});
    let (one, two) = (Eim::new("eim-1"), Eim::new("eim-2"));
    let mut without_token = two.configuration();
    without_token.association_token = None;
    for (code, eim) in defective(&testbed) {
        assert_eq!(initial(&mut testbed, &[one.configuration(), eim.clone()]), Err(code), "{eim:?}");
    }
    assert_eq!(initial(&mut testbed, &[]), Err(7));
    assert_eq!(initial(&mut testbed, &[one.configuration(), one.configuration()]), Err(2));
    assert!(configured(&mut testbed, None).is_empty());
    // Tokens of refused requests are not used up.
    let added = initial(&mut testbed, &[one.configuration(), without_token.clone()]);
    assert_eq!(added, Ok(vec![AddInitialEimOk::AssociationToken(1), AddInitialEimOk::AddOk(Null)]));
    assert_eq!(initial(&mut testbed, &[Eim::new("eim-3").configuration()]), Err(2));

    let mut small = card(|iot| iot.max_eims = 1);
    assert_eq!(initial(&mut small, &[one.configuration(), without_token]), Err(1));
}

#[test]
fn the_configuration_is_returned_without_counter() {
    let mut testbed = card(|_| {});
    assert_eq!(testbed.es10_text("BF5500"), "BF5502A000");
    let eim = Eim::new("eim-1");
    associate(&mut testbed, &whole(&eim));
    let expected = EimConfigurationData { counter_value: None, association_token: Some(1), ..whole(&eim) };
    assert_eq!(configured(&mut testbed, None), std::slice::from_ref(&expected));
    assert_eq!(configured(&mut testbed, Some("eim-1")), [expected]);
    assert!(configured(&mut testbed, Some("eim")).is_empty());
}

#[test]
fn an_eim_can_have_a_certificate_instead_of_a_key() {
    let mut testbed = card(|_| {});
    let credential = testbed.pki.credential(Role::DpTls, Curve::P256).unwrap();
    let mut eim = Eim { key: credential.key.clone(), ..Eim::new("eim-1") };
    let certificate = CertificateDer(credential.certificate.der().to_vec());
    let configuration = EimConfigurationData {
        eim_public_key_data: Some(KeyOrCertificate::Certificate(certificate)),
        ..eim.configuration()
    };
    eim.token = associate(&mut testbed, &configuration);
    assert_eq!(run(&mut eim, &mut testbed, &[LIST]), ["AB0BA0093007800565696D2D31"]);
}

#[test]
fn add_eim_has_each_result_and_another_token_each_time() {
    let (mut testbed, mut eim) = card_in_use(|iot| {
        iot.after_failure = AfterFailure::Continue;
        iot.max_eims = 3;
    });
    for (code, wrong) in defective(&testbed) {
        assert_eq!(run(&mut eim, &mut testbed, &[add(&wrong)]), [format!("A80302010{code}")], "{wrong:?}");
    }
    let (mut two, mut three) = (Eim::new("eim-2"), Eim::new("eim-3"));
    let mut without_token = three.configuration();
    without_token.association_token = None;
    let operations = [
        add(&eim.configuration()),
        add(&two.configuration()),
        add(&without_token),
        add(&Eim::new("eim-4").configuration()),
    ];
    let expected = ["A803020102", "A803840102", "A803020100", "A803020101"];
    assert_eq!(run(&mut eim, &mut testbed, &operations), expected);
    two.token = Some(2);
    let listed = run(&mut two, &mut testbed, &[LIST]);
    assert_eq!(
        listed,
        ["AB1DA01B 3007800565696D2D31 3007800565696D2D32 3007800565696D2D33".replace(' ', "")]
    );
    assert_eq!(run(&mut three, &mut testbed, &[LIST]), listed);
    // The spent counter of an eIM is renewed with another token.
    let operations = [remove("eim-2"), add(&two.configuration())];
    assert_eq!(run(&mut eim, &mut testbed, &operations), ["890100", "A803840103"]);
    let old = two.package(&testbed, EuiccPackage::of_ecos([LIST]));
    assert_eq!(error(&mut testbed, &two, &old), "unsigned none, token 3");
}

#[test]
fn delete_eim_has_each_result_and_reopens_the_initial_association() {
    let (mut testbed, mut eim) = card_in_use(|iot| iot.after_failure = AfterFailure::Continue);
    let two = Eim::new("eim-2").configuration();
    assert_eq!(run(&mut eim, &mut testbed, &[remove("eim-2"), remove("")]), ["890101", "890107"]);
    assert_eq!(run(&mut eim, &mut testbed, &[add(&two), remove("eim-2")]), ["A803840102", "890100"]);
    // The eIM deletes itself. Its result is signed with its token, and can be retrieved.
    let number = testbed.next_sequence_number();
    assert_eq!(run(&mut eim, &mut testbed, &[remove("eim-1")]), ["890102"]);
    let retrieved = testbed.es10_text(&format!("BF2B05A0038001{number:02X}"));
    assert!(retrieved.contains("A2") && retrieved.contains("BF51"), "{retrieved}");
    let request = eim.package(&testbed, EuiccPackage::of_ecos([LIST]));
    let mut unknown = eim.clone();
    unknown.token = None;
    assert_eq!(error(&mut testbed, &unknown, &request), "unsigned none, token none");
    assert_eq!(associate(&mut testbed, &two), Some(3));
}

#[test]
fn update_eim_has_each_result() {
    let (mut testbed, mut eim) = card_in_use(|iot| iot.after_failure = AfterFailure::Continue);
    let new_key = Eim::new("new key");
    let nothing = EimConfigurationData { eim_id: "eim-1".to_owned(), ..EimConfigurationData::default() };
    let ci = testbed.pki.ci(Curve::P256).unwrap().subject_key_id().unwrap().clone();
    let with = |change: &dyn Fn(&mut EimConfigurationData)| {
        let mut eim = nothing.clone();
        change(&mut eim);
        update(&eim)
    };
    let operations = [
        with(&|eim| eim.eim_id = "eim-2".to_owned()),
        with(&|eim| eim.euicc_ci_pk_id = Some(SubjectKeyIdentifier(vec![1; 20]))),
        with(&|eim| eim.counter_value = Some(MAX_COUNTER + 1)),
        with(&|eim| eim.counter_value = Some(1)),
        with(&|eim| {
            // The present key is not a new one.
            eim.counter_value = Some(1);
            eim.eim_public_key_data = Some(public_key_data(&Eim::new("eim-1").key.public_key()));
        }),
        with(&|eim| eim.eim_fqdn = Some("x".repeat(256))),
        with(&|eim| eim.eim_fqdn = Some("eim.example.com".to_owned())),
        with(&|eim| eim.euicc_ci_pk_id = Some(ci.clone())),
        // The token is ignored.
        with(&|eim| eim.association_token = Some(-1)),
        with(&|_| {}),
    ];
    let codes =
        ["8A0101", "8A0103", "8A0106", "8A0106", "8A0106", "8A0107", "8A0100", "8A0100", "8A0100", "8A0100"];
    assert_eq!(run(&mut eim, &mut testbed, &operations), codes);
    let after = configured(&mut testbed, None);
    assert_eq!(after[0].eim_fqdn.as_deref(), Some("eim.example.com"));
    assert_eq!((after[0].association_token, after[0].euicc_ci_pk_id.as_ref()), (Some(1), Some(&ci)));
    assert!(after[0].eim_public_key_data.is_some());

    // A new key with a lower counter.
    let operation = with(&|eim| {
        eim.counter_value = Some(0);
        eim.eim_public_key_data = Some(public_key_data(&new_key.key.public_key()));
    });
    assert_eq!(run(&mut eim, &mut testbed, std::slice::from_ref(&operation)), ["8A0100"]);
    let old = eim.package(&testbed, EuiccPackage::of_ecos([LIST]));
    assert_eq!(error(&mut testbed, &eim, &old), "unsigned none, token 1");
    let mut eim = Eim { key: new_key.key.clone(), counter: 0, ..eim };
    assert_eq!(run(&mut eim, &mut testbed, &[LIST]).len(), 1);

    let (mut testbed, mut eim) = card_in_use(|iot| iot.token_in_update_eim = TokenInUpdateEim::Refused);
    let operation = with(&|eim| eim.association_token = Some(-1));
    assert_eq!(run(&mut eim, &mut testbed, &[operation]), ["8A0107"]);
}

#[test]
fn nested_keys_of_other_eims_are_accepted_and_returned_in_the_strict_form() {
    let (mut testbed, mut eim) = card_in_use(|_| {});
    let two = Eim::new("eim-2").configuration();
    let strict = Raw::new(add(&two)).bytes().to_vec();
    // A5{A0{30{...}}} instead of A5{A0{...}}.
    let strict = hex::encode(strict);
    let at = strict.find("a55ba059").unwrap();
    let nested = format!("{}a55da05b3059{}", &strict[..at], &strict[at + 8..]);
    let length = format!("{:02x}", nested.len() / 2 - 2);
    let nested = format!("a8{length}{}", &nested[4..]);
    let nested = Opaque::new(hex::decode(nested).unwrap());
    assert_eq!(eim.send(&mut testbed, EuiccPackage::EcoList(vec![nested])), ["A803840102"]);
    let expected = EimConfigurationData { counter_value: None, association_token: Some(2), ..two };
    let response = testbed
        .es10_text(&format!("BF550AA00780{:02X}{}", 5, hex::encode("eim-2")).replace("BF550A", "BF5509"));
    assert!(response.ends_with(&hex::encode_upper(expected.to_der())), "{response}");
}

#[test]
fn get_certs_returns_the_certificates_for_a_ci() {
    let mut testbed = card(|_| {});
    let eid = testbed.pki.eids(Curve::P256)[0];
    for (curve, given) in [(Curve::P256, false), (Curve::P256, true), (Curve::BrainpoolP256r1, true)] {
        let expected = testbed.pki.euicc(curve, eid).unwrap();
        let ci = SubjectKeyIdentifier(testbed.pki.ci(curve).unwrap().subject_key_id().unwrap().0.clone());
        match testbed.call(&GetCertsRequest { euicc_ci_pk_id: given.then_some(ci) }) {
            GetCertsResponse::Certs(certs) => {
                assert_eq!(certs.euicc_certificate.0, expected.euicc.certificate.der());
                assert_eq!(certs.eum_certificate.0, expected.eum.der());
            }
            GetCertsResponse::GetCertsError(code) => panic!("{code}"),
        }
    }
    assert_eq!(testbed.es10_text("BF5603800101"), "BF5603810101");
}

#[test]
fn a_card_can_be_delivered_with_eims() {
    let mut eim = Eim::new("eim-1");
    let der = eim.configuration().to_der();
    let change = |description: &mut crate::CardDescription| {
        make_iot(description, |iot| iot.initial_eims = vec![der.clone().into()]);
    };
    let memory = RamMemory::default();
    let mut testbed = Testbed::with(pki(), change, memory.clone());
    eim.token = Some(1);
    assert_eq!(run(&mut eim, &mut testbed, &[remove("eim-1")]), ["890102"]);
    // The description is that of a new card, and does not bring the eIM back.
    let mut testbed = Testbed::with(pki(), change, memory);
    assert!(configured(&mut testbed, None).is_empty());

    for wrong in [vec![0x30, 0x00], Eim::new("").configuration().to_der()] {
        let mut description = super::super::testbed::description(&pki());
        make_iot(&mut description, |iot| iot.initial_eims = vec![wrong.into()]);
        let clock = world::ManualClock::at(rsp::time::Timestamp(0));
        let world = world::World::new(clock, world::SeededRandom::from_text("x"));
        let fault = crate::Card::open(description, RamMemory::default(), world).unwrap_err();
        assert!(fault.to_string().contains("initial_eims"), "{fault}");
    }
}
