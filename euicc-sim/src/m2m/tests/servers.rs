//! Compatibility of the card with the server side: commands built with `rsp::sgp02::es5` and
//! `crypto`, and responses decoded with them.

use certs::m2m::{CardDefect, Owner};
use certs::{Pki, PkiOptions};
use crypto::key_establishment::{EstablishedKeys, KeyUsage, SharedInfo};
use crypto::scp03::{SessionKeys, StaticKeys};
use crypto::{AesKey, Curve, SecretKey, scp03t};
use profile::{EuiccResponse, PeStatusCode};
use rsp::StatusWord;
use rsp::der::Asn1;
use rsp::ids::Aid;
use rsp::ota::script::{Chaining, Command, Form, Script};
use rsp::sgp02::es5::{
    self, CardResources, DeleteToken, EphemeralKeyForm, IsdPState, IsdPStatus, KeyAgreement, KeyType,
    Receipt, SmsrAddressing,
};

use super::oce::{Certificate, HOST_CHALLENGE, SM_DP, SM_SR, ephemeral, own, tlvs};
use super::testbed::{
    BOOTSTRAP, DEK, DELETE_ON_DISABLE, ISD_R, NEW, NO_DELETE, NO_RULES, Testbed, aes_keys, package, unhex,
};
use crate::m2m::keys::{Key, KeyKind, KeySet};
use crate::state::m2m::{Identity, LifeCycle};

/// Runs C-APDUs in a script, and returns data and status word of the last response.
fn run(testbed: &mut Testbed, chaining: Option<Chaining>, apdus: Vec<Vec<u8>>) -> (Vec<u8>, StatusWord) {
    let commands = apdus.into_iter().map(Command::Apdu).collect();
    // The script and its response are encoded and decoded, as if they were sent over the air.
    let script = Script { form: Form::Definite, chaining, commands };
    let response = testbed.run(ISD_R, &Script::parse(&script.to_bytes()).unwrap());
    let response = rsp::ota::script::ScriptResponse::parse(&response.to_bytes()).unwrap();
    let last = response.last_apdu().unwrap();
    (last.data.clone(), last.status)
}

#[track_caller]
fn run_successfully(testbed: &mut Testbed, apdu: Vec<u8>) -> Vec<u8> {
    let (data, status) = run(testbed, None, vec![apdu]);
    assert_eq!(status, StatusWord::OK);
    data
}

fn create(testbed: &mut Testbed, number: u16, memory: u32) {
    let part = |number| Aid::isd_p(number);
    run_successfully(testbed, es5::create_isd_p(&part(0x0D), &part(0x0E), &part(number), memory));
}

#[test]
fn the_card_processes_every_es5_function_of_the_sm_sr() {
    let mut testbed = Testbed::new();
    create(&mut testbed, NEW, 60_000);
    let all = IsdPStatus::parse_all(&run_successfully(&mut testbed, es5::get_status(None))).unwrap();
    assert_eq!(all.len(), 6);
    let of = |number| all.iter().find(|status| status.aid == Aid::isd_p(number)).unwrap();
    assert_eq!((of(BOOTSTRAP).state, of(BOOTSTRAP).fallback), (Some(IsdPState::Enabled), Some(true)));
    assert_eq!((of(NO_RULES).state, of(NO_RULES).fallback), (Some(IsdPState::Disabled), Some(false)));
    assert_eq!((of(NEW).state, of(NEW).granted_memory), (Some(IsdPState::Selectable), Some(60_000)));
    let resources = CardResources::parse(&run_successfully(&mut testbed, es5::get_card_resources())).unwrap();
    let free = testbed.card.description.memory_size - testbed.memory_used();
    assert_eq!((resources.applications, resources.free_non_volatile), (6, free));

    // More ISD-Ps than fit into one response.
    for number in 1..12 {
        create(&mut testbed, NEW + number, 0);
    }
    let commands = [es5::get_status(None), es5::get_next_status(), es5::get_next_status()].map(Command::Apdu);
    let script = Script { form: Form::Indefinite, chaining: None, commands: commands.to_vec() };
    let response = testbed.run(ISD_R, &script);
    let statuses: Vec<StatusWord> = response.apdus().map(|apdu| apdu.status).collect();
    assert_eq!(
        statuses,
        [StatusWord::MORE_STATUS_AVAILABLE, StatusWord::MORE_STATUS_AVAILABLE, StatusWord::OK]
    );
    let all: Vec<IsdPStatus> =
        response.apdus().flat_map(|apdu| IsdPStatus::parse_all(&apdu.data).unwrap()).collect();
    assert_eq!(all.len(), 17);

    run_successfully(&mut testbed, es5::set_fallback_attribute(&Aid::isd_p(NO_RULES)));
    run_successfully(&mut testbed, es5::set_fallback_attribute(&Aid::isd_p(BOOTSTRAP)));
    run_successfully(&mut testbed, es5::set_emergency_profile_attribute(&Aid::isd_p(NO_DELETE)));
    run_successfully(&mut testbed, es5::delete_profile(&Aid::isd_p(NEW)));
    let addressing = SmsrAddressing {
        sms: Some(unhex("911032547698")),
        https: Some(unhex("830489028A00")),
        dns: Some(unhex("D60161")),
    };
    run_successfully(&mut testbed, es5::update_smsr_addressing(&addressing));
    let stored = testbed.state().addressing.clone();
    let stored = [stored.sms, stored.https, stored.dns].map(|octets| octets.map(|octets| octets.0));
    assert_eq!(stored, [addressing.sms, addressing.https, addressing.dns]);

    run_successfully(&mut testbed, es5::enable_profile(&Aid::isd_p(DELETE_ON_DISABLE)));
    testbed.card.reset();
    assert!(
        es5::deleted_isd_ps(&run_successfully(&mut testbed, es5::handle_notification_confirmation(1)))
            .unwrap()
            .is_empty()
    );
    run_successfully(&mut testbed, es5::disable_profile(&Aid::isd_p(DELETE_ON_DISABLE)));
    testbed.card.reset();
    // POL1 deletes this profile when it is disabled.
    let deleted =
        es5::deleted_isd_ps(&run_successfully(&mut testbed, es5::handle_notification_confirmation(2)))
            .unwrap();
    assert_eq!(deleted, [Aid::isd_p(DELETE_ON_DISABLE)]);

    let psk = AesKey::new([0x51; 16]);
    let wrapped = AesKey::new(DEK).wrap(&psk);
    let put = es5::put_key(0x41, 1, KeyType::TlsPsk, 16, &wrapped, &psk.check_value());
    assert_eq!(run_successfully(&mut testbed, put), [&[0x41], &psk.check_value()[..]].concat());
    run_successfully(
        &mut testbed,
        es5::finalise_isd_r_handover(&[(super::testbed::SCP80, 1, 3), (0x41, 1, 2)]),
    );
    assert!(testbed.state().key_set(0x40).is_none() && testbed.state().key_set(0x41).is_some());
}

#[test]
fn the_card_accepts_a_master_delete_token_of_the_sm_dp() {
    let mut testbed = Testbed::new();
    let isd_p = testbed.state_mut().isd_p_mut(&Aid::isd_p(NO_DELETE)).unwrap();
    isd_p.identity = Identity { sin: vec![1].into(), sdin: vec![2, 3].into(), provider: vec![4].into() };
    let key = Key { id: 1, kind: KeyKind::Aes, value: [0x70; 16].into() };
    isd_p.key_sets.push(KeySet { version: 0x70, keys: vec![key], counter: 0 });
    let token = DeleteToken { sin: &[1], sdin: &[2, 3], provider: &[4], id: &[9] };
    let isd_p = Aid::isd_p(NO_DELETE);
    let mac = AesKey::new([0x70; 16]).cmac(&[&token.covered(&isd_p)]);
    run_successfully(&mut testbed, token.master_delete(&isd_p, &mac));
    assert_eq!(testbed.life_cycle(NO_DELETE), None);
}

/// Performs both STORE DATA of a key establishment on the server side, and returns the keys.
fn agree(
    testbed: &mut Testbed,
    isd_p: Option<u16>,
    agreement: &KeyAgreement,
    form: EphemeralKeyForm,
) -> Vec<[u8; 16]> {
    let owner = if isd_p.is_some() { SM_DP } else { SM_SR };
    let install = isd_p.map(|number| es5::install_for_personalization(&Aid::isd_p(number)));
    let store = es5::store_certificate(&Certificate::of(owner).octets());
    let first = install.into_iter().chain([store]).collect();
    let (answer, _) = run(testbed, Some(Chaining::FirstKept), first);
    let challenge = es5::random_challenge(&answer).unwrap();
    let point = form.contents(&ephemeral().public_key().to_sec1());
    let signature = own().sign(&agreement.signed(&point, &challenge));
    let (answer, status) =
        run(testbed, Some(Chaining::Last), vec![agreement.store_data(&point, signature.as_bytes())]);
    assert_eq!(status, StatusWord::OK);
    let receipt = Receipt::parse(&answer).unwrap();
    let ecasd = SecretKey::from_bytes(Curve::P256, &[0x22; 32]).unwrap().public_key();
    let info = SharedInfo {
        usage: KeyUsage::ThreeKeys,
        derivation_random: receipt.derivation_random.as_deref(),
        host_id: None,
        card_id: None,
    };
    let established = EstablishedKeys::derive(&ephemeral().agree(&ecasd).unwrap(), &info);
    let random = receipt.derivation_random.as_deref();
    assert!(established.is_receipt(&receipt.receipt, &agreement.to_bytes(), random));
    established.keys.iter().map(|key| *key.expose()).collect()
}

#[test]
fn the_card_accepts_a_download_of_the_sm_dp() {
    let mut testbed = Testbed::new();
    create(&mut testbed, NEW, 0);
    let agreement = KeyAgreement::scp03(
        KeyAgreement::CERTIFICATE | KeyAgreement::DERIVATION_RANDOM | KeyAgreement::DELETE_EXISTING,
    );
    for form in [EphemeralKeyForm::Coordinates, EphemeralKeyForm::Nested, EphemeralKeyForm::Point] {
        let keys = agree(&mut testbed, Some(NEW), &agreement, form);
        let initialize = [&[0x84, 0x0A, 0x30, 0x00], &HOST_CHALLENGE[..]].concat();
        let answer = unhex(&tlvs(&mut testbed, NEW, Some(Chaining::First), &[initialize]).concat());
        let [enc, mac, dek] = [0, 1, 2].map(|at| AesKey::new(keys[at]));
        let keys = StaticKeys { enc, mac, dek };
        let challenge = answer[15..23].try_into().unwrap();
        assert_eq!(challenge, keys.card_challenge([0, 0, 1], &Aid::isd_p(NEW).0));
        let session = SessionKeys::derive(&keys, HOST_CHALLENGE, challenge);
        assert_eq!(answer[23..31], session.card_cryptogram());
        let mut channel = scp03t::Channel::new(session);
        let authenticate = channel.external_authenticate();
        assert_eq!(tlvs(&mut testbed, NEW, Some(Chaining::Following), &[authenticate]), ["8500"]);
        if !matches!(form, EphemeralKeyForm::Point) {
            continue;
        }
        let package_octets = package(NEW, None);
        let segments: Vec<_> =
            package_octets.chunks(scp03t::MAX_SEGMENT).map(|segment| channel.protect(segment)).collect();
        let answers = tlvs(&mut testbed, NEW, Some(Chaining::Last), &segments);
        let response = channel.unprotect_response(&unhex(answers.last().unwrap())).unwrap();
        let response = EuiccResponse::from_der(&response).unwrap();
        assert_eq!(response.pe_status[0].status, PeStatusCode::OK);
    }
    assert_eq!(testbed.life_cycle(NEW), Some(LifeCycle::Disabled));
}

/// A certificate of more than 255 octets needs a command in extended form, with an Le of two
/// octets.
#[test]
fn a_command_in_extended_form_is_parsed() {
    let mut testbed = Testbed::new();
    let (_, status) = run(&mut testbed, None, vec![es5::store_certificate(&[0x55; 300])]);
    // The command is parsed, but the data are not a certificate.
    assert_eq!(status, StatusWord::INCORRECT_DATA);
}

#[test]
fn the_card_accepts_a_key_establishment_of_another_sm_sr() {
    let mut testbed = Testbed::new();
    let agreement = KeyAgreement::scp80(KeyAgreement::CERTIFICATE | KeyAgreement::DERIVATION_RANDOM, 0x02, 7);
    let keys = agree(&mut testbed, None, &agreement, EphemeralKeyForm::Point);
    let set = testbed.state().key_set(0x02).unwrap();
    assert_eq!(aes_keys(set).to_vec(), keys);
    assert_eq!(set.counter, 7);
}

#[test]
fn valid_certificates_of_the_test_pki_are_accepted_and_defective_ones_refused() {
    let pki = Pki::from_seed(b"m2m card", &PkiOptions::default()).unwrap();
    let eid = pki.eids(Curve::P256)[0];
    let ecasd = pki.ecasd(eid).unwrap();
    let ci = pki.ci(Curve::P256).unwrap().public_key().clone();
    let certificate = ecasd.certificate.octets().to_vec();
    let mut testbed = Testbed::with(
        |description| {
            description.eid = eid;
            let m2m = description.m2m.as_deref_mut().unwrap();
            m2m.ecasd_certificate = certificate.clone().into();
            m2m.ecasd_key = ecasd.key.to_bytes().expose().as_slice().into();
            m2m.ci_public_key = ci.to_sec1().into();
        },
        world::RamMemory::default(),
    );
    create(&mut testbed, NEW, 0);
    let first = |testbed: &mut Testbed, isd_p: Option<u16>, certificate: &[u8]| {
        let install = isd_p.map(|number| es5::install_for_personalization(&Aid::isd_p(number)));
        let apdus = install.into_iter().chain([es5::store_certificate(certificate)]).collect();
        run(testbed, None, apdus).1
    };
    for (owner, isd_p, other) in [(Owner::SmDp, Some(NEW), None), (Owner::SmSr, None, Some(NEW))] {
        let good = pki.m2m_card_credential(owner, "a server").unwrap();
        assert_eq!(first(&mut testbed, isd_p, good.certificate.octets()), StatusWord::OK);
        // The certificate has the role of the other server.
        assert_eq!(
            first(&mut testbed, other, good.certificate.octets()),
            StatusWord::SECURITY_STATUS_NOT_SATISFIED
        );
        for defect in CardDefect::ALL {
            let broken = pki.m2m_card_credential_with(defect, owner, "a server").unwrap();
            let status = first(&mut testbed, isd_p, &broken.0);
            let expected = match defect {
                // Certificates with these defects cannot be parsed.
                CardDefect::NotAPoint
                | CardDefect::UnknownCurve
                | CardDefect::ShortSignature
                | CardDefect::Truncated => StatusWord::INCORRECT_DATA,
                _ => StatusWord::SECURITY_STATUS_NOT_SATISFIED,
            };
            assert_eq!(status, expected, "{owner}, {defect:?}");
        }
    }
    // The card returns the certificate that was issued for it.
    let returned = run_successfully(&mut testbed, unhex("80CABF30045C027F2100"));
    assert!(returned.ends_with(&certificate));
}
