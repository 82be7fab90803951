//! A card, an eIM and the IPA's side of ES10b.

use crypto::{Curve, PublicKey, SecretKey, Signature};
use rsp::der::{Asn1, Null, Raw};
use rsp::ids::{Iccid, TransactionId};
use rsp::sgp22::ProfileState;
use rsp::sgp22::es8plus::StoreMetadataRequest;
use rsp::sgp32::es10b::{AddInitialEimOk, AddInitialEimRequest, AddInitialEimResponse};
use rsp::sgp32::package::{Delete, Disable, Enable, SetFallbackAttribute};
use rsp::sgp32::result::{EuiccPackageResultDataSigned, EuiccPackageResultSigned};
use rsp::sgp32::signature::signed_octets;
use rsp::sgp32::{
    EimConfigurationData, EuiccPackage, EuiccPackageRequest, EuiccPackageResult, EuiccPackageSigned,
    KeyOrCertificate, Psmo, SubjectPublicKeyInfo,
};
use world::{RamMemory, Random, SeededRandom};

use super::super::server::{Server, TestPackage, outcome};
use super::super::testbed::{Testbed, pki};
use crate::{CardDescription, IotDescription};

/// FETCH and TERMINAL RESPONSE of the REFRESH of a terminal that supports "UICC Reset".
const FETCH: &str = "801200000B";
const REFRESHED: &str = "801400000C810301010482028281830100";

/// An IoT card without profiles and without eIM.
pub(super) fn card(change: impl FnOnce(&mut IotDescription)) -> Testbed {
    Testbed::with(pki(), |description| make_iot(description, change), RamMemory::default())
}

pub(super) fn make_iot(description: &mut CardDescription, change: impl FnOnce(&mut IotDescription)) {
    let mut iot = IotDescription::default();
    change(&mut iot);
    description.iot = Some(Box::new(iot));
}

/// A card with the profiles 1, 2 and 3, of which 1 is enabled, and with one eIM.
pub(super) fn card_in_use(change: impl FnOnce(&mut IotDescription)) -> (Testbed, Eim) {
    let mut testbed = card(change);
    let mut eim = Eim::new("eim-1");
    eim.token = associate(&mut testbed, &eim.configuration());
    for number in 1..=3 {
        install(&mut testbed, number, |_| {});
    }
    assert_eq!(eim.run(&mut testbed, [enable(1)]), ["830100"]);
    testbed.reset();
    (testbed, eim)
}

pub(super) fn iccid(number: u8) -> Iccid {
    Iccid::with_luhn(&format!("8900012345678901{number:02}")).unwrap()
}

/// Downloads a profile from an SM-DP+ and installs it.
pub(super) fn install(testbed: &mut Testbed, number: u8, change: impl FnOnce(&mut StoreMetadataRequest)) {
    let server = Server::new(testbed, Curve::P256);
    let mut test_package = TestPackage::small(&iccid(number).to_string());
    change(&mut test_package.metadata);
    assert_eq!(outcome(&server.download(testbed, &test_package)), Ok(()));
}

/// The number of the enabled profile.
pub(super) fn enabled(testbed: &mut Testbed) -> Option<u8> {
    let profiles = testbed.profiles();
    let enabled = profiles.iter().find(|profile| profile.profile_state == Some(ProfileState::ENABLED));
    enabled.map(|profile| (1..=9).find(|number| Some(iccid(*number)) == profile.iccid).unwrap())
}

/// The terminal performs the announced REFRESH.
pub(super) fn refresh(testbed: &mut Testbed) {
    testbed.expect(FETCH, "D009 8103010104 82028182 9000");
    testbed.expect(REFRESHED, "9000");
}

/// Associates the first eIM and returns its association token.
#[track_caller]
pub(super) fn associate(testbed: &mut Testbed, eim: &EimConfigurationData) -> Option<i64> {
    let request = AddInitialEimRequest { eim_configuration_data_list: vec![eim.clone()] };
    match testbed.call(&request) {
        AddInitialEimResponse::AddInitialEimOk(added) => match added[..] {
            [AddInitialEimOk::AssociationToken(token)] => Some(token),
            [AddInitialEimOk::AddOk(_)] => None,
            _ => panic!("{added:?}"),
        },
        AddInitialEimResponse::AddInitialEimError(code) => panic!("{code}"),
    }
}

pub(super) fn enable(number: u8) -> Psmo {
    Psmo::Enable(Enable { iccid: iccid(number), rollback_flag: None })
}

pub(super) fn enable_with_rollback(number: u8) -> Psmo {
    Psmo::Enable(Enable { iccid: iccid(number), rollback_flag: Some(Null) })
}

pub(super) fn disable(number: u8) -> Psmo {
    Psmo::Disable(Disable { iccid: iccid(number) })
}

pub(super) fn delete(number: u8) -> Psmo {
    Psmo::Delete(Delete { iccid: iccid(number) })
}

pub(super) fn set_fallback(number: u8) -> Psmo {
    Psmo::SetFallbackAttribute(SetFallbackAttribute { iccid: iccid(number) })
}

/// An eIM that signs packages.
#[derive(Clone)]
pub(super) struct Eim {
    pub(super) id: String,
    pub(super) key: SecretKey,
    /// The counter of the last package.
    pub(super) counter: i64,
    pub(super) token: Option<i64>,
}

impl Eim {
    pub(super) fn new(id: &str) -> Self {
        let random = SeededRandom::from_text(id);
        let key = SecretKey::generate(Curve::P256, &mut |octets| random.fill(octets));
        Self { id: id.to_owned(), key, counter: 0, token: None }
    }

    /// The configuration of this eIM, which requests an association token.
    pub(super) fn configuration(&self) -> EimConfigurationData {
        EimConfigurationData {
            eim_id: self.id.clone(),
            counter_value: Some(0),
            association_token: Some(EimConfigurationData::TOKEN_REQUESTED),
            eim_public_key_data: Some(public_key_data(&self.key.public_key())),
            ..EimConfigurationData::default()
        }
    }

    /// The next package for the card.
    pub(super) fn package(&mut self, testbed: &Testbed, euicc_package: EuiccPackage) -> EuiccPackageRequest {
        self.counter += 1;
        self.sign(EuiccPackageSigned {
            eim_id: self.id.clone(),
            eid_value: testbed.card.eid(),
            counter_value: self.counter,
            eim_transaction_id: Some(TransactionId(vec![0xE1, u8::try_from(self.counter % 256).unwrap()])),
            euicc_package,
        })
    }

    pub(super) fn sign(&self, package: EuiccPackageSigned) -> EuiccPackageRequest {
        let signed = Raw::new(package);
        let covered = signed_octets(signed.bytes(), self.token);
        EuiccPackageRequest {
            eim_signature: self.key.sign(&covered).as_bytes().to_vec(),
            euicc_package_signed: signed,
        }
    }

    /// Sends operations on profiles to the card. Returns the result of each in hexadecimal.
    #[track_caller]
    pub(super) fn run(
        &mut self,
        testbed: &mut Testbed,
        operations: impl IntoIterator<Item = Psmo>,
    ) -> Vec<String> {
        self.send(testbed, EuiccPackage::of_psmos(operations))
    }

    #[track_caller]
    pub(super) fn send(&mut self, testbed: &mut Testbed, package: EuiccPackage) -> Vec<String> {
        let request = self.package(testbed, package);
        let result = testbed_load(testbed, &request);
        results(&self.verified(testbed, &result))
    }

    /// Checks signature and header of a signed result, and returns its data.
    #[track_caller]
    pub(super) fn verified(
        &self,
        testbed: &Testbed,
        result: &EuiccPackageResult,
    ) -> EuiccPackageResultDataSigned {
        let EuiccPackageResult::EuiccPackageResultSigned(signed) = result else { panic!("{result:?}") };
        let EuiccPackageResultSigned { euicc_package_result_data_signed: data, euicc_sign_epr } = signed;
        let signature = Signature::from_slice(euicc_sign_epr).unwrap();
        testbed.public_key(Curve::P256).verify(&signed.signed_octets(self.token), &signature).unwrap();
        assert_eq!((&data.eim_id, data.counter_value), (&self.id, self.counter));
        (**data).clone()
    }
}

/// The result of each operation in hexadecimal.
pub(super) fn results(data: &EuiccPackageResultDataSigned) -> Vec<String> {
    data.euicc_result.iter().map(|result| hex::encode_upper(result.bytes())).collect()
}

/// ES10b.LoadEuiccPackage.
pub(super) fn testbed_load(testbed: &mut Testbed, request: &EuiccPackageRequest) -> EuiccPackageResult {
    testbed.call(request)
}

/// The error of a package in hexadecimal: the contents of its CHOICE without signature.
#[track_caller]
pub(super) fn error(testbed: &mut Testbed, eim: &Eim, request: &EuiccPackageRequest) -> String {
    let result: EuiccPackageResult = testbed.call(request);
    match &result {
        EuiccPackageResult::EuiccPackageResultSigned(_) => panic!("the package was executed: {result:?}"),
        EuiccPackageResult::EuiccPackageErrorSigned(error) => {
            let signature = Signature::from_slice(&error.euicc_sign_epe).unwrap();
            let covered = error.signed_octets(eim.token);
            testbed.public_key(Curve::P256).verify(&covered, &signature).unwrap();
            format!("signed {}", error.euicc_package_error_data_signed.euicc_package_error_code.0)
        }
        EuiccPackageResult::EuiccPackageErrorUnsigned(error) => {
            assert_eq!(error.eim_id, request.euicc_package_signed.eim_id);
            assert_eq!(error.eim_transaction_id, request.euicc_package_signed.eim_transaction_id);
            let number = |number: Option<i64>| number.map_or("none".to_owned(), |number| number.to_string());
            let code = error.euicc_package_unsigned_error_code.map(|code| code.0);
            format!("unsigned {}, token {}", number(code), number(error.association_token))
        }
    }
}

/// Encodes a key as SubjectPublicKeyInfo.
pub(super) fn public_key_data(key: &PublicKey) -> KeyOrCertificate {
    const P256: &str = "3059301306072A8648CE3D020106082A8648CE3D030107034200";
    let octets = [hex::decode(P256).unwrap(), key.to_sec1().to_vec()].concat();
    KeyOrCertificate::PublicKey(SubjectPublicKeyInfo(octets))
}

/// Sends a request and returns the response in hexadecimal.
#[track_caller]
pub(super) fn answer(testbed: &mut Testbed, request: &impl Asn1) -> String {
    testbed.es10_text(&hex::encode(request.to_der()))
}
