//! An IoT eUICC in use and the keys of its eIM, for the targets `esep` and `esipa` and for the live
//! sessions of the fuzz smoke test. Everything is made from one seed, once per process.

#![allow(clippy::panic, clippy::expect_used, reason = "a panic is a finding of the fuzzer")]

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use certs::{EuiccCredentials, Pki, PkiOptions};
use crypto::{Curve, SecretKey, Signature};
use device::{DownloadOptions, EventSource, Lpa, LpaSettings, Slot};
use euicc_sim::{Card, CardDescription};
use rsp::der::{Asn1, Reader, Tag, tlv_bytes};
use rsp::ids::{Eid, Iccid, SmdpAddress};
use rsp::sgp22::ProfileState;
use rsp::sgp22::es10c::{ProfileInfo, ProfileInfoListRequest, ProfileInfoListResponse};
use rsp::sgp32::package::{EuiccPackage, EuiccPackageRequest, EuiccPackageSigned};
use rsp::sgp32::signature::{fixed_length, signed_octets};
use rsp::sgp32::{EimConfigurationData, EuiccPackageResult, KeyOrCertificate, SubjectPublicKeyInfo};
use sm_dp::ProfileOptions;
use testbed::Testbed;
use world::{Cells, Fault, Link, ManualClock, Memory, RamMemory, SeededRandom, World};

/// The identifier of the eIM.
pub const EIM_ID: &str = "eim.landfall.example";

/// The association token that the card gave to the eIM.
pub const TOKEN: i64 = 1;

/// Maximum octets that a card may store in addition to its profiles.
const MOST_STORED: usize = 4 << 20;

/// An IoT eUICC with two disabled profiles and one eIM.
pub struct IotEuicc {
    /// The PKI of all parties.
    pub pki: Arc<Pki>,
    /// Certificates and keys of the eUICC.
    pub credentials: EuiccCredentials,
    /// The profiles.
    pub iccids: [Iccid; 2],
    /// The key with which the eIM signs packages.
    pub eim_key: SecretKey,
    description: CardDescription,
    cells: Cells,
}

/// The eUICC of all targets and sessions.
pub static EUICC: LazyLock<IotEuicc> = LazyLock::new(|| IotEuicc::new().expect("the parties can be created"));

impl IotEuicc {
    fn new() -> Result<Self, Fault> {
        let pki = Arc::new(Pki::from_seed(b"fuzz", &PkiOptions::default()).map_err(testbed::bad_pki)?);
        let testbed = Testbed::with_pki(Arc::clone(&pki), "iot");
        let credentials = pki.euicc(Curve::P256, testbed.eid()?).map_err(testbed::bad_pki)?;
        let names = [EIM_ID.parse().map_err(testbed::bad_pki)?];
        let eim_key = pki.eim(EIM_ID, &names).map_err(testbed::bad_pki)?.signing;
        let eim_key = eim_key.into_iter().next().ok_or_else(|| {
            Fault::new("there is no eIM", "the PKI has no signing key for it", "report this as a bug")
        })?;
        let configuration = EimConfigurationData {
            eim_id: EIM_ID.to_owned(),
            counter_value: Some(0),
            association_token: Some(EimConfigurationData::TOKEN_REQUESTED),
            eim_public_key_data: Some(KeyOrCertificate::PublicKey(SubjectPublicKeyInfo(
                certs::subject_public_key_info(&eim_key.public_key()),
            ))),
            ..EimConfigurationData::default()
        };
        let own = [credentials.clone()];
        let description = CardDescription::iot_for(credentials.eid, &own, &[configuration]);
        let memory = RamMemory::default();
        let iccids = install(&testbed, &description, &memory)?;
        let cells = memory.load()?;
        Ok(Self { pki, credentials, iccids, eim_key, description, cells })
    }

    /// The EID.
    pub fn eid(&self) -> Eid {
        self.credentials.eid
    }

    /// Powers up a card with a copy of the memory.
    ///
    /// # Errors
    /// The card cannot be opened.
    pub fn card(&self) -> Result<IotCard, Fault> {
        let memory = RamMemory::of(self.cells.clone());
        let mut card = IotCard { card: self.open(&memory)?, memory, executed: BTreeSet::new() };
        card.select();
        Ok(card)
    }

    fn open(&self, memory: &RamMemory) -> Result<Card, Fault> {
        let clock = ManualClock::at(rsp::time::Timestamp(1_795_248_000_000));
        let world = World::new(clock, SeededRandom::from_text("card"));
        Card::open(self.description.clone(), memory.clone(), world)
    }

    /// Signs a package with the key of the eIM.
    pub fn package(&self, counter_value: i64, euicc_package: EuiccPackage) -> EuiccPackageRequest {
        let signed = rsp::der::Raw::new(EuiccPackageSigned {
            eim_id: EIM_ID.to_owned(),
            eid_value: self.eid(),
            counter_value,
            eim_transaction_id: None,
            euicc_package,
        });
        let signature = self.eim_key.sign(&signed_octets(signed.bytes(), Some(TOKEN)));
        EuiccPackageRequest { euicc_package_signed: signed, eim_signature: signature.as_bytes().to_vec() }
    }

    /// True if the eUICC has signed the result, or the result is an error that it does not sign. `token`
    /// is the association token that the eIM knows.
    pub fn has_signed(&self, result: &EuiccPackageResult, token: Option<i64>) -> bool {
        let (signed, signature) = match result {
            EuiccPackageResult::EuiccPackageResultSigned(it) => (it.signed_octets(token), &it.euicc_sign_epr),
            EuiccPackageResult::EuiccPackageErrorSigned(it) => (it.signed_octets(token), &it.euicc_sign_epe),
            EuiccPackageResult::EuiccPackageErrorUnsigned(_) => return true,
        };
        let key = self.credentials.euicc.certificate.public_key();
        let signature = fixed_length(signature).and_then(|octets| Signature::from_slice(&octets).ok());
        signature.is_some_and(|signature| key.verify(&signed, &signature).is_ok())
    }

    /// Signs a package of any form again: the data object `signed` with the key and the token of the
    /// eIM.
    pub fn sign_again(&self, package: &[u8]) -> Option<Vec<u8>> {
        let mut outer = Reader::new(package);
        let contents = outer.contents(EuiccPackageRequest::TAG).ok()?;
        let mut reader = Reader::new(contents);
        let (tag, inner) = reader.tlv().ok()?;
        let signed = tlv_bytes(tag, inner);
        let signature = self.eim_key.sign(&signed_octets(&signed, Some(TOKEN)));
        let signature = tlv_bytes(Tag(0x5F37), signature.as_bytes());
        Some(tlv_bytes(EuiccPackageRequest::TAG, &[signed, signature].concat()))
    }
}

/// Downloads two profiles to a new card.
fn install(
    testbed: &Testbed,
    description: &CardDescription,
    memory: &RamMemory,
) -> Result<[Iccid; 2], Fault> {
    const SM_DP: &str = "smdp.example.com";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.map_err(testbed::bad_pki)?;
    runtime.block_on(async {
        let sm_dp = testbed.sm_dp_plus(SM_DP)?;
        let link = sm_dp.link();
        let operator = testbed.operator(link.clone())?;
        let links = move |_: &SmdpAddress| Ok::<Link, Fault>(link.clone());
        let world = testbed.world("card");
        let clock = Arc::clone(&world.clock);
        let card = Card::open(description.clone(), memory.clone(), world)?;
        let mut lpa = Lpa::new(Slot::new(card), links, LpaSettings::default(), EventSource::silent(clock));
        let mut iccids = [Iccid([0; 10]); 2];
        for (number, installed) in (1..).zip(&mut iccids) {
            let package = testbed::subscription::own_package("724-99", number, "Fuzz")?;
            let iccid = sm_dp.add_profile(&package, &ProfileOptions::default()).await?;
            let address = SM_DP.parse().map_err(testbed::bad_pki)?;
            let code = operator.order(iccid, Some(description.eid), address).await?;
            let downloaded = lpa.download(&code, DownloadOptions::default()).await;
            *installed = downloaded.map_err(testbed::bad_pki)?.iccid;
        }
        Ok(iccids)
    })
}

/// An IoT eUICC with its memory. The ISD-R is selected on channel 1.
pub struct IotCard {
    card: Card,
    memory: RamMemory,
    /// The packages that the card executed.
    executed: BTreeSet<Vec<u8>>,
}

impl IotCard {
    /// Resets the card, and selects the ISD-R.
    pub fn select(&mut self) {
        self.card.reset();
        assert_eq!(self.card.transmit(&[0, 0x70, 0, 0, 1]), [1, 0x90, 0], "a channel is opened");
        let select = [&[1, 0xA4, 4, 0, 16][..], &rsp::ids::Aid::ISD_R].concat();
        assert_eq!(self.whole(&select).1, 0x9000, "the ISD-R is selected");
    }

    /// Removes and inserts the card.
    ///
    /// # Errors
    /// The card cannot be opened from its memory.
    pub fn power_cycle(&mut self, euicc: &IotEuicc) -> Result<(), Fault> {
        self.card = euicc.open(&self.memory)?;
        self.select();
        Ok(())
    }

    /// Sends a command of ES10, and returns its response. `None` is a refusal with a status word, which
    /// is checked. A package must not be executed twice.
    pub fn es10(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let mut response = Vec::new();
        let blocks: Vec<_> = request.chunks(255).collect();
        for (number, block) in blocks.iter().enumerate() {
            let p1 = if number + 1 == blocks.len() { 0x91 } else { 0x11 };
            let p2 = u8::try_from(number % 256).unwrap_or_default();
            let length = u8::try_from(block.len()).unwrap_or_default();
            let (mut data, status) = self.whole(&[&[0x81, 0xE2, p1, p2, length], *block].concat());
            response.append(&mut data);
            if !matches!(status >> 8, 0x90 | 0x91) {
                return None;
            }
        }
        if is_executed(&response) {
            assert!(self.executed.insert(request.to_vec()), "executed twice: {}", hex::encode(request));
        }
        Some(response)
    }

    /// Sends a request, and decodes the response.
    pub fn call<Response: Asn1>(&mut self, request: &impl Asn1) -> Option<Response> {
        Response::from_der(&self.es10(&request.to_der())?).ok()
    }

    /// Sends a command, and follows up `61XX`. Returns all data and the last status word, which must be
    /// one of TS 102 221 or SGP.22.
    fn whole(&mut self, command: &[u8]) -> (Vec<u8>, u16) {
        let mut data = Vec::new();
        let mut answer = self.card.transmit(command);
        loop {
            let Some((rest, [sw1, sw2])) =
                answer.split_last_chunk().map(|(rest, status)| (rest.to_vec(), *status))
            else {
                panic!("no status word after {}", hex::encode(command))
            };
            let status = u16::from_be_bytes([sw1, sw2]);
            match sw1 {
                0x90 | 0x91 | 0x61 => {}
                0x62..=0x6E | 0x93 | 0x94 | 0x98 => {
                    assert!(rest.is_empty(), "data in a refusal after {}", hex::encode(command));
                    assert_ne!(status, 0x6581, "the memory has no fault");
                }
                _ => panic!("status word {status:04X} after {}", hex::encode(command)),
            }
            data.extend(rest);
            if sw1 != 0x61 {
                return (data, status);
            }
            answer = self.card.transmit(&[command.first().copied().unwrap_or_default(), 0xC0, 0, 0, sw2]);
        }
    }

    /// Checks the card after any commands: it lists its profiles, of which at most one is enabled, it
    /// executes no package again, and its memory is bounded. Returns the profiles.
    pub fn check(&mut self) -> Vec<ProfileInfo> {
        self.select();
        for package in self.executed.clone() {
            // The assertion is in `es10`.
            let _ = self.es10(&package);
        }
        self.select();
        let request = ProfileInfoListRequest { search_criteria: None, tag_list: None };
        let Some(ProfileInfoListResponse::ProfileInfoListOk(profiles)) = self.call(&request) else {
            panic!("the card does not list its profiles")
        };
        let enabled = profiles.0.iter().filter(|each| each.profile_state == Some(ProfileState::ENABLED));
        assert!(enabled.count() <= 1, "{profiles:?}");
        let cells = self.memory.load().unwrap_or_default();
        let stored = cells.values().map(world::Content::len).sum::<usize>();
        assert!(stored <= MOST_STORED, "{stored} octets stored");
        profiles.0
    }
}

/// True if the card executed the package: the response is a signed result.
fn is_executed(response: &[u8]) -> bool {
    matches!(EuiccPackageResult::from_der(response), Ok(EuiccPackageResult::EuiccPackageResultSigned(_)))
}
