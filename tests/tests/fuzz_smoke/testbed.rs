//! Testbed with one card: checks of every response, and a correct LPA that checks the state of the
//! card.

use std::sync::LazyLock;

use certs::{Pki, PkiOptions};
use euicc_sim::{Card, CardDescription};
use profile::Package;
use rsp::der::{Asn1, Tag, tlv};
use rsp::ids::{Aid, Iccid};
use rsp::sgp22::es8plus::{FinalResult, ProfileInstallationResult};
use rsp::sgp22::es10b::{
    GetEuiccChallengeRequest, GetEuiccChallengeResponse, GetEuiccInfo2Request, ListNotificationRequest,
    ListNotificationResponse, NotificationSentRequest,
};
use rsp::sgp22::es10c::{
    DeleteProfileRequest, DeleteProfileResponse, DeleteResult, DisableProfileRequest, DisableProfileResponse,
    DisableResult, EnableProfileRequest, EnableProfileResponse, EnableResult, ProfileInfo,
    ProfileInfoListRequest, ProfileInfoListResponse, RefreshFlag,
};
use rsp::sgp22::{EuiccInfo2, ProfileIdentifier, ProfileState};
use world::{Cells, ManualClock, Memory, RamMemory, SeededRandom, World};

use crate::run::Round;
use crate::server::Server;

/// Maximum octets that a card may store in addition to its profiles.
const MOST_STORED: usize = 4 << 20;

static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::from_seed(b"fuzz", &PkiOptions::default()).unwrap());

pub(crate) struct Testbed {
    pub(crate) round: Round,
    pub(crate) card: Card,
    memory: RamMemory,
    description: CardDescription,
    free_when_empty: u32,
}

impl Testbed {
    /// Creates a new card.
    pub(crate) fn new(round: Round) -> Self {
        let eid = PKI.eids(crypto::Curve::P256)[0];
        let credentials =
            [crypto::Curve::P256, crypto::Curve::BrainpoolP256r1].map(|curve| PKI.euicc(curve, eid).unwrap());
        let description = CardDescription::default_for(eid.to_string().parse().unwrap(), &credentials);
        let memory = RamMemory::default();
        let card = open(&description, &memory, &round);
        let mut testbed = Self { round, card, memory, description, free_when_empty: 0 };
        testbed.free_when_empty = testbed.free();
        testbed
    }

    /// Removes and reinserts the card.
    pub(crate) fn power_cycle(&mut self) {
        self.card = open(&self.description, &self.memory, &self.round);
    }

    /// Sends a command, and checks the format of the response.
    pub(crate) fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        let card = &mut self.card;
        let answer = self.round.step(hex::encode_upper(command), || card.transmit(command));
        let shown = hex::encode_upper(&answer);
        self.round.note(&shown);
        let [data @ .., sw1, sw2] = &answer[..] else { panic!("no status word") };
        let status = u16::from_be_bytes([*sw1, *sw2]);
        match *sw1 {
            0x90 => assert_eq!(*sw2, 0, "{shown}"),
            0x61 | 0x91 => {}
            0x62 | 0x63 => {}
            0x64..=0x6E | 0x93 | 0x94 | 0x98 => {
                assert!(data.is_empty(), "data in a refusal: {shown}");
                assert_ne!(status, 0x6581, "the memory has no fault");
            }
            // TS 102 221 defines no other status word for GET RESPONSE without pending
            // data.
            0x6F if command.get(1) == Some(&0xC0) => assert_eq!(answer, [0x6F, 0x00]),
            _ => panic!("status word {status:04X}"),
        }
        let most = expected_length(command).unwrap_or_default();
        assert!(data.len() <= most, "{} octets in response to Le {most}", data.len());
        answer
    }

    /// Sends a command, and follows up `61XX` and `6CXX`. Returns all response data, and the
    /// last status word.
    pub(crate) fn whole(&mut self, command: &[u8]) -> (Vec<u8>, u16) {
        let mut answer = self.transmit(command);
        if let [0x6C, le] = answer[..] {
            let mut again = command.to_vec();
            match case(command) {
                Some((false, has_le)) => {
                    again.truncate(command.len() - usize::from(has_le));
                    again.push(le);
                }
                Some((true, has_le)) => {
                    again.truncate(command.len() - if has_le { 2 } else { 0 });
                    again.extend([u8::from(le == 0), le]);
                }
                None => panic!("6CXX for invalid lengths"),
            }
            answer = self.transmit(&again);
            assert!(!matches!(answer[..], [0x6C, _]), "repeated 6CXX");
        }
        let mut data = Vec::new();
        loop {
            let status = answer.split_off(answer.len() - 2);
            data.append(&mut answer);
            match status[..] {
                [0x61, le] => {
                    answer = self.transmit(&[command[0], 0xC0, 0, 0, le]);
                    let expected = if le == 0 { 256 } else { usize::from(le) };
                    assert_eq!(answer.len(), expected + 2, "61{le:02X} announced this length");
                }
                _ => return (data, u16::from_be_bytes([status[0], status[1]])),
            }
        }
    }

    /// Resets the card and selects the ISD-R.
    pub(crate) fn isd_r(&mut self) {
        let atr = self.card.reset();
        assert_eq!(atr.0, self.description.atr.0, "the answer to reset");
        assert_eq!(self.transmit(&[0, 0x70, 0, 0, 1]), [1, 0x90, 0]);
        let select = [&[1, 0xA4, 4, 0, 16][..], &Aid::ISD_R].concat();
        let (_, status) = self.whole(&select);
        assert_eq!(status, 0x9000, "the ISD-R is selected");
    }

    /// Calls an ES10 function on channel 1.
    pub(crate) fn es10(&mut self, request: &[u8]) -> Result<Vec<u8>, u16> {
        let mut response = Vec::new();
        let blocks: Vec<_> = request.chunks(255).collect();
        for (number, block) in blocks.iter().enumerate() {
            let p1 = if number + 1 == blocks.len() { 0x91 } else { 0x11 };
            let header = [0x81, 0xE2, p1, u8::try_from(number).unwrap(), u8::try_from(block.len()).unwrap()];
            let (mut data, status) = self.whole(&[&header[..], block].concat());
            response.append(&mut data);
            if !matches!(status >> 8, 0x90 | 0x91) {
                return Err(status);
            }
        }
        Ok(response)
    }

    pub(crate) fn call<Response: Asn1>(&mut self, request: &impl Asn1) -> Response {
        let answer = self.es10(&request.to_der()).unwrap();
        Response::from_der(&answer).unwrap()
    }

    pub(crate) fn profiles(&mut self) -> Vec<ProfileInfo> {
        match self.call(&ProfileInfoListRequest { search_criteria: None, tag_list: None }) {
            ProfileInfoListResponse::ProfileInfoListOk(profiles) => profiles.0,
            ProfileInfoListResponse::ProfileInfoListError(code) => panic!("GetProfilesInfo: {code}"),
        }
    }

    /// Returns the free non-volatile memory, as reported by the card.
    pub(crate) fn free(&mut self) -> u32 {
        self.isd_r();
        let info: EuiccInfo2 = self.call(&GetEuiccInfo2Request {});
        let free = tlv::find(&info.ext_card_resource, Tag(0x82)).unwrap().unwrap();
        u32::from_be_bytes(free[2..].try_into().unwrap())
    }

    /// Resets the card, and checks its invariants. Returns its profiles.
    pub(crate) fn check(&mut self) -> Vec<ProfileInfo> {
        let free = self.free();
        let profiles = self.profiles();
        let enabled = profiles.iter().filter(|each| each.profile_state == Some(ProfileState::ENABLED));
        assert!(enabled.count() <= 1, "{profiles:?}");
        let cells = self.memory.load().unwrap();
        let taken = |each: &ProfileInfo| memory_of(&cells, each.isdp_aid.as_ref().unwrap());
        let taken: u32 = profiles.iter().map(taken).sum();
        assert_eq!(free + taken, self.free_when_empty, "all memory that no profile uses is free");
        let stored = cells.values().map(world::Content::len).sum::<usize>();
        assert!(stored <= MOST_STORED, "{stored} octets stored");
        profiles
    }

    /// Downloads a package, valid or not. Returns an error if it was refused, after checking
    /// that nothing is left of it.
    pub(crate) fn download(&mut self, package: &[u8], iccid: Iccid) -> Result<(), String> {
        let free = self.free();
        let before = self.profiles();
        let server = Server::new(&PKI, &self.round.random);
        let challenge: GetEuiccChallengeResponse = self.call(&GetEuiccChallengeRequest {});
        let answer = self.es10(&server.authenticate_server(challenge.euicc_challenge)).unwrap();
        let request = server.prepare_download(&answer).expect("the card authenticates");
        let answer = self.es10(&request).unwrap();
        let pieces = server.bind(&self.round.random, self.card.eid(), &answer, iccid, package);
        let mut result = Vec::new();
        for piece in pieces.expect("the card is ready") {
            result = self.es10(&piece).unwrap();
            if !result.is_empty() {
                break;
            }
        }
        let result = ProfileInstallationResult::from_der(&result).expect("a package ends with a result");
        match &result.profile_installation_result_data.final_result {
            FinalResult::SuccessResult(_) => {
                assert!(self.free() < free, "a profile takes memory");
                assert_eq!(self.profiles().len(), before.len() + 1);
                Ok(())
            }
            FinalResult::ErrorResult(error) => {
                assert_eq!(self.profiles(), before, "a refused package leaves no profile");
                assert_eq!(self.free(), free, "a refused package takes no memory");
                Err(format!("{error:?}"))
            }
        }
    }

    /// Returns a server for a download with interference.
    pub(crate) fn server(&self) -> Server {
        Server::new(&PKI, &self.round.random)
    }

    pub(crate) fn enable(&mut self, iccid: Iccid) -> EnableResult {
        let request = EnableProfileRequest {
            profile_identifier: ProfileIdentifier::Iccid(iccid),
            refresh_flag: RefreshFlag(false),
        };
        self.call::<EnableProfileResponse>(&request).enable_result
    }

    pub(crate) fn disable(&mut self, iccid: Iccid) -> DisableResult {
        let request = DisableProfileRequest {
            profile_identifier: ProfileIdentifier::Iccid(iccid),
            refresh_flag: RefreshFlag(false),
        };
        self.call::<DisableProfileResponse>(&request).disable_result
    }

    pub(crate) fn delete(&mut self, iccid: Iccid) -> DeleteResult {
        self.call::<DeleteProfileResponse>(&DeleteProfileRequest::Iccid(iccid)).delete_result
    }

    /// Delivers and removes all notifications, as an LPA does.
    pub(crate) fn deliver_notifications(&mut self) {
        let list = self.call(&ListNotificationRequest { profile_management_operation: None });
        let ListNotificationResponse::NotificationMetadataList(list) = list else { panic!("{list:?}") };
        for each in list.0 {
            self.es10(&NotificationSentRequest { seq_number: each.seq_number }.to_der()).unwrap();
        }
    }
}

/// Memory of a profile according to the card's records.
fn memory_of(cells: &Cells, isd_p: &Aid) -> u32 {
    let profile: serde_json::Value = cells[&format!("profile/{isd_p}")].from_json().unwrap();
    profile["memory"].as_u64().unwrap().try_into().unwrap()
}

fn open(description: &CardDescription, memory: &RamMemory, round: &Round) -> Card {
    let clock = ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap());
    let world = World::new(clock, SeededRandom::from_text(&format!("card {}", round.number)));
    Card::open(description.clone(), memory.clone(), world).unwrap()
}

/// Maximum octets of response data for a command; `None` if its lengths are invalid.
fn expected_length(command: &[u8]) -> Option<usize> {
    match case(command)? {
        (_, false) => Some(0),
        (false, true) => match command[command.len() - 1] {
            0 => Some(256),
            le => Some(usize::from(le)),
        },
        (true, true) => match u16::from_be_bytes(*command.last_chunk().unwrap()) {
            0 => Some(65536),
            le => Some(usize::from(le)),
        },
    }
}

/// Parses the lengths (ISO/IEC 7816-4 section 5.2). Returns whether they are extended, and whether
/// there is an Le.
fn case(command: &[u8]) -> Option<(bool, bool)> {
    let body = command.get(4..)?;
    match body {
        [] => Some((false, false)),
        [_] => Some((false, true)),
        [0, _, _] => Some((true, true)),
        [0, high, low, rest @ ..] => {
            let lc = usize::from(u16::from_be_bytes([*high, *low]));
            match rest.len().checked_sub(lc)? {
                0 => Some((true, false)),
                2 => Some((true, true)),
                _ => None,
            }
        }
        [lc, rest @ ..] => match rest.len().checked_sub(usize::from(*lc))? {
            0 => Some((false, false)),
            1 => Some((false, true)),
            _ => None,
        },
    }
}

/// Returns the initial packages: a generated one, and those of TS.48 if they are available.
pub(crate) fn packages() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/ts48");
    let mut packages = vec![::testbed::subscription::own_package("724-99", 1, "Smoke").unwrap()];
    let Ok(files) = std::fs::read_dir(folder) else {
        println!("without TS.48: there are no packages at {folder}");
        return packages;
    };
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "der")) {
        packages.push(std::fs::read(path).unwrap());
    }
    packages
}

/// Returns the ICCID in the header of a package, if it is valid in metadata.
pub(crate) fn iccid_of(package: &Package) -> Option<Iccid> {
    Iccid::from_profile_header(&package.header()?.iccid.0.as_slice().try_into().ok()?).ok()
}
