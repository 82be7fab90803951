//! APDU fuzzing: long sequences of commands for one card, valid and invalid ones.

use profile::element::{PinCodesChoice, ProfileElement};
use profile::{Capabilities, FileIndex, FileKind, InstalledProfile, Package, ProfileFiles};
use rsp::der::{Asn1, BitString, Tag, tlv_bytes};
use rsp::ids::{Aid, Iccid};
use rsp::sgp22::es10b::{
    CancelSessionRequest, EuiccConfiguredAddressesRequest, GetEuiccChallengeRequest,
    GetEuiccChallengeResponse, GetEuiccInfo1Request, GetEuiccInfo2Request, GetRatRequest,
    ListNotificationRequest, NotificationSearch, NotificationSentRequest, RetrieveNotificationsListRequest,
    SetDefaultDpAddressRequest,
};
use rsp::sgp22::es10c::{
    DeleteProfileRequest, DisableProfileRequest, EidTag, EnableProfileRequest, EuiccMemoryResetRequest,
    GetEuiccDataRequest, ProfileInfoListRequest, ProfileSearch, RefreshFlag, SetNicknameRequest,
};
use rsp::sgp22::{CancelSessionReason, ProfileClass, ProfileIdentifier};

use crate::random::Random;
use crate::run::{Round, Run};
use crate::testbed::{Testbed, iccid_of, packages};

/// Commands per card.
const LIFE: usize = 1000;

/// Number of commands after which the card is checked and repaired.
const CHECK: usize = 200;

#[test]
fn the_card_answers_every_apdu_and_keeps_working() {
    let packages: Vec<PackageInfo> = packages().iter().map(|package| PackageInfo::of(package)).collect();
    let packages: Vec<&PackageInfo> = packages.iter().collect();
    let mut run = Run::of("the_card_answers_every_apdu_and_keeps_working", 1, 3000);
    while let Some(round) = run.round() {
        test_card(round, &packages);
    }
    run.end();
}

/// A package and its known contents.
struct PackageInfo {
    iccid: Iccid,
    package: Vec<u8>,
    files: Vec<Known>,
    fids: Vec<[u8; 2]>,
    aids: Vec<Vec<u8>>,
    /// Key references (P2) and codes.
    codes: Vec<(u8, Vec<u8>)>,
}

/// A file of a package.
struct Known {
    /// AID of its application, if it is in one.
    aid: Option<Vec<u8>>,
    /// Path for SELECT by path. It starts at the MF, or with 7FFF, which stands for the
    /// application.
    path: Vec<u8>,
    kind: FileKind,
    /// Length of its contents in octets.
    length: usize,
}

impl Known {
    fn of(files: &ProfileFiles, index: FileIndex) -> Option<Self> {
        let fids = files.path_of(index);
        let adf = files.by_path(fids.get(..2).unwrap_or_default()).and_then(|index| files.file(index));
        let aid = match adf.map(|adf| &adf.kind) {
            Some(FileKind::Adf { aid }) => Some(aid.to_vec()),
            _ => None,
        };
        let mut path: Vec<u8> = fids.iter().skip(1).flat_map(|fid| fid.0.to_be_bytes()).collect();
        if aid.is_some() {
            path.splice(..2, [0x7F, 0xFF]);
        }
        let file = files.file(index)?;
        let length = files.content(index).unwrap_or_default().len();
        Some(Self { aid, path, kind: file.kind.clone(), length })
    }
}

impl PackageInfo {
    fn of(octets: &[u8]) -> Self {
        let package = Package::decode(octets).unwrap();
        let installed = InstalledProfile::of(&package, &Capabilities::default()).unwrap();
        let files = &installed.files;
        let files = files.all().filter_map(|(index, _)| Known::of(files, index)).collect();
        let fids = installed.files.all().map(|(_, file)| file.fid.0.to_be_bytes()).collect();
        let aids = installed.files.all().filter_map(|(_, file)| match &file.kind {
            FileKind::Adf { aid } => Some(aid.to_vec()),
            _ => None,
        });
        let mut codes = Vec::new();
        for element in &package.elements {
            match element {
                ProfileElement::PinCodes(pins) => {
                    if let PinCodesChoice::Pinconfig(pins) = &pins.pin_codes {
                        codes.extend(pins.iter().map(|pin| (pin.key_reference.0, pin.pin_value.expose())));
                    }
                }
                ProfileElement::PukCodes(puks) => {
                    let puks = puks.puk_codes.iter();
                    codes.extend(puks.map(|puk| (puk.key_reference.0, puk.puk_value.expose())));
                }
                _ => {}
            }
        }
        let codes = codes.into_iter().map(|(key, code)| (key, code.to_vec())).collect();
        Self {
            iccid: iccid_of(&package).unwrap(),
            package: octets.to_vec(),
            files,
            fids,
            aids: aids.collect(),
            codes,
        }
    }
}

fn test_card(round: Round, packages: &[&PackageInfo]) {
    let mut testbed = Testbed::new(round);
    let mut test = CardTest { packages, own: Vec::new(), channel: 0 };
    for number in 0..LIFE {
        if number % CHECK == 0 {
            test.restore(&mut testbed);
        }
        test.step(&mut testbed);
    }
    test.restore(&mut testbed);
}

struct CardTest<'a> {
    packages: &'a [&'a PackageInfo],
    /// Packages on this card, each with another ICCID.
    own: Vec<&'a PackageInfo>,
    /// Logical channel in the class byte of the next commands.
    channel: u8,
}

impl<'a> CardTest<'a> {
    /// Restores the card: some profiles are installed, one of them is enabled, and no notification
    /// is pending.
    fn restore(&mut self, testbed: &mut Testbed) {
        if testbed.round.random.chance(30) {
            testbed.power_cycle();
        }
        let listed: Vec<_> = testbed.check().iter().map(|each| each.iccid.unwrap()).collect();
        self.own.retain(|packages| listed.contains(&packages.iccid));
        for iccid in listed {
            if self.own.iter().all(|own| own.iccid != iccid) {
                self.own.push(self.packages.iter().find(|packages| packages.iccid == iccid).unwrap());
            }
        }
        if !self.own.is_empty() && testbed.round.random.chance(20) {
            let removed = self.own.swap_remove(testbed.round.random.number(self.own.len())).iccid;
            testbed.disable(removed);
            assert_eq!(testbed.delete(removed).0, 0, "a disabled profile can be deleted");
        }
        while self.own.len() < 2 {
            let mut others = self.packages.to_vec();
            others.retain(|packages| self.own.iter().all(|own| own.iccid != packages.iccid));
            if others.is_empty() {
                break;
            }
            let packages = *testbed.round.random.pick(&others);
            testbed.download(&packages.package, packages.iccid).unwrap();
            self.own.push(packages);
        }
        let enabled = testbed.round.random.pick(&self.own).iccid;
        testbed.isd_r();
        testbed.enable(enabled);
        testbed.deliver_notifications();
        testbed.card.reset();
        self.channel = 0;
    }

    fn step(&mut self, testbed: &mut Testbed) {
        match testbed.round.random.number(1000) {
            0..3 => drop(testbed.card.reset()),
            3..8 => self.disturbed_download(testbed),
            8..150 => self.es10(testbed),
            150..400 => self.visit(testbed),
            _ => {
                let command = self.command(&testbed.round.random);
                let random = &testbed.round.random;
                match random.number(10) {
                    0 => drop(testbed.transmit(&random.mutate_octets(&command))),
                    1 => drop(testbed.transmit(&command)),
                    _ => drop(testbed.whole(&command)),
                }
            }
        }
    }

    /// Selects a file of the profile and uses it according to its type.
    fn visit(&mut self, testbed: &mut Testbed) {
        self.channel = 0;
        let packages = self.packages(&testbed.round.random);
        let file = testbed.round.random.pick(&packages.files);
        if let Some(aid) = &file.aid {
            testbed.whole(&with_length([0, 0xA4, 4, 4], aid));
        }
        if testbed.round.random.chance(20) {
            for (reference, code) in &packages.codes {
                testbed.whole(&with_length([0, 0x20, 0, *reference], code));
            }
        }
        testbed.whole(&with_length([0, 0xA4, 8, 4], &file.path));
        for _ in 0..1 + testbed.round.random.number(5) {
            let command = self.use_of(&testbed.round.random, file);
            testbed.whole(&command);
        }
    }

    fn use_of(&self, random: &Random, file: &Known) -> Vec<u8> {
        if random.chance(15) {
            return with_length(
                *random.pick(&[[0x00, 0x04, 0, 0], [0x00, 0x44, 0, 0], [0x80, 0xF2, 0, 0]]),
                &[],
            );
        }
        match file.kind {
            FileKind::Mf | FileKind::Df | FileKind::Adf { .. } => {
                let (class, ins, p1, p2, data) = self.authenticate(random);
                with_length([class, ins, p1, p2], &data)
            }
            FileKind::Transparent => {
                let at = random.number(file.length + 1).min(0x7FFF);
                let [high, low] = u16::try_from(at).unwrap().to_be_bytes();
                match random.chance(50) {
                    true => [0, 0xB0, high, low, random.octet()].to_vec(),
                    false => {
                        let length = (1 + random.number(file.length - at + 1)).min(255);
                        with_length([0, 0xD6, high, low], &random.octets(length))
                    }
                }
            }
            FileKind::LinearFixed { record_length } | FileKind::Cyclic { record_length } => {
                let number = random.number(file.length / usize::from(record_length) + 2) as u8;
                let mode = *random.pick(&[4, 4, 4, 2, 3]);
                let length = usize::from(record_length).min(255) - usize::from(random.chance(5));
                match random.number(5) {
                    0 => with_length([0, 0xDC, number, mode], &random.octets(length)),
                    1 => with_length([0, 0xDC, 0, *random.pick(&[2, 3])], &vec![random.octet(); length]),
                    2 => with_length([0, 0xA2, number, mode], &some(random, 3)),
                    3 => with_length([0x80, 0x32, 0, 0], &[0, 0, random.octet()]),
                    _ => vec![0, 0xB2, number, mode, 0],
                }
            }
            FileKind::BerTlv { .. } => {
                let (class, ins, p1, p2, data) = self.tlv_object(random);
                with_length([class, ins, p1, p2], &data)
            }
        }
    }

    fn packages(&self, random: &Random) -> &'a PackageInfo {
        let among: &[&'a PackageInfo] = if self.own.is_empty() { self.packages } else { &self.own };
        among[random.number(among.len())]
    }

    fn fid(&self, random: &Random) -> [u8; 2] {
        match random.number(20) {
            0 => [0x3F, 0x00],
            1 => [0x7F, 0xFF],
            2 => [0x2F, random.octet()],
            3 => [random.octet(), random.octet()],
            _ => *random.pick(&self.packages(random).fids),
        }
    }

    /// Returns a command that a terminal might send.
    fn command(&mut self, random: &Random) -> Vec<u8> {
        let (class, ins, p1, p2, data) = match random.number(32) {
            0..7 => self.select(random),
            7..9 => (0x00, 0xB0, place(random), *random.pick(&[0, 0, 0, 1, 9, random.octet()]), vec![]),
            9..12 => (0x00, 0xB2, *random.pick(&[0, 1, 1, 2, 3, 10, 0xFF]), mode(random), vec![]),
            12 => (0x00, 0xD6, place(random), *random.pick(&[0, 0, 1, random.octet()]), some(random, 40)),
            13 => (0x00, 0xDC, *random.pick(&[0, 1, 2, 3, 10]), mode(random), self.record(random)),
            14 => (0x00, 0xA2, *random.pick(&[0, 1, 2, 0xFF]), mode(random), some(random, 12)),
            15 => (0x80, 0x32, *random.pick(&[0, 0x81, 0x80 | random.octet()]), 0, {
                let length = *random.pick(&[1, 3, 3, 3, 4]);
                random.octets(length)
            }),
            16..18 => self.code(random),
            18 => self.tlv_object(random),
            19 => (0x80, 0xF2, *random.pick(&[0, 1, 2, 3]), *random.pick(&[0, 1, 0x0C, 2]), vec![]),
            20 => self.authenticate(random),
            21 => (0x80, 0x78, *random.pick(&[0, 1, 2]), *random.pick(&[0x81, 0x01, random.octet()]), vec![]),
            22 => (*random.pick(&[0x00, 0x80]), *random.pick(&[0x04, 0x44]), 0, 0, {
                let fid = self.fid(random);
                if random.chance(50) { fid.to_vec() } else { vec![] }
            }),
            23..25 => self.manage_channel(random),
            25 => self.toolkit(random),
            26 => {
                let instruction = *random.pick(&[0x84, 0xCA, 0xCA, 0x76, 0x73, 0x75, 0xDA]);
                let p2 = *random.pick(&[0x00, 0x5A, 0x42, 0xFE, random.octet()]);
                let p1 = *random.pick(&[0x00, 0x7F, 0xBF, 0xFF]);
                (*random.pick(&[0x00, 0x80]), instruction, p1, p2, some(random, 6))
            }
            27 => {
                let instruction = *random.pick(&[0xD4, 0xE0, 0xE2, 0xE4, 0xE6, 0xE8, 0x0E, 0x0C, 0xC2, 0xF0]);
                (*random.pick(&[0x00, 0x80]), instruction, random.octet(), random.octet(), some(random, 60))
            }
            28 => (0x00, 0xC0, 0, 0, vec![]),
            // The next commands use the same channel or another one.
            29 => {
                self.channel = *random.pick(&[0, 0, 1, 1, 2, 3, 4, 7, 19]);
                self.select(random)
            }
            _ => (random.octet(), random.octet(), random.octet(), random.octet(), some(random, 255)),
        };
        let class = match self.channel {
            0..4 => class | self.channel,
            channel => class | 0x40 | (channel - 4),
        };
        let command = [class, ins, p1, p2];
        with_lengths(random, &command, &data)
    }

    fn select(&self, random: &Random) -> (u8, u8, u8, u8, Vec<u8>) {
        let p2 = *random.pick(&[0x04, 0x04, 0x0C, 0x00, 0x06, 0x02, 0x40, 0x44, random.octet()]);
        let (p1, name) = match random.number(20) {
            0..10 => (*random.pick(&[0, 0, 0, 0, 1, 2]), self.fid(random).to_vec()),
            10..14 => {
                let steps: Vec<_> = (0..1 + random.number(4)).map(|_| self.fid(random)).collect();
                (*random.pick(&[8, 8, 9]), steps.concat())
            }
            14 => (3, vec![]),
            15..18 => {
                let mut aid = match random.number(8) {
                    0 => Aid::ISD_R.to_vec(),
                    1 => [&Aid::ISD_R[..14], &[0x02, 0x00]].concat(),
                    2 => [&Aid::ISD_R[..14], &[0x00, random.octet()]].concat(),
                    3 => random.octets(16),
                    _ => self.packages(random).aids.first().cloned().unwrap_or_default(),
                };
                if random.chance(20) {
                    aid.truncate(random.number(17));
                }
                (4, aid)
            }
            18 => (4, Aid::ISD_R.to_vec()),
            _ => (random.octet(), some(random, 16)),
        };
        (0x00, 0xA4, p1, p2, name)
    }

    fn record(&self, random: &Random) -> Vec<u8> {
        let length = *random.pick(&[1, 4, 14, 26, 28, 33, 40, 176, random.number(256)]);
        random.octets(length)
    }

    fn code(&self, random: &Random) -> (u8, u8, u8, u8, Vec<u8>) {
        let packages = self.packages(random);
        let (reference, code) = random.pick(&packages.codes);
        let reference = if random.chance(90) { *reference } else { random.octet() };
        let another = |random: &Random| match random.number(4) {
            0 => b"4321\xFF\xFF\xFF\xFF".to_vec(),
            1 => random.octets(8),
            _ => random.pick(&packages.codes).1.clone(),
        };
        let (ins, p1, data) = match random.number(10) {
            0..5 => (0x20, 0, if random.chance(85) { code.clone() } else { another(random) }),
            5 => (0x20, 0, vec![]),
            6 => (0x24, *random.pick(&[0, 0, 1]), [code.clone(), another(random)].concat()),
            7 => (0x26, *random.pick(&[0, 0, 0x81]), code.clone()),
            8 => (0x28, 0, code.clone()),
            _ => (0x2C, *random.pick(&[0, 0, 1]), [another(random), code.clone()].concat()),
        };
        (0x00, ins, p1, reference, data)
    }

    /// RETRIEVE DATA or SET DATA for BER-TLV files.
    fn tlv_object(&self, random: &Random) -> (u8, u8, u8, u8, Vec<u8>) {
        let mode = *random.pick(&[0x80, 0x80, 0x00, 0xC0, random.octet()]) | *random.pick(&[0, 0, 31, 1]);
        let tag = *random.pick(&[0x80, 0x81, 0x5C, 0xA0, 0x9F]);
        if random.chance(50) {
            return (0x80, 0xCB, 0, mode, vec![tag]);
        }
        let value = some(random, 200);
        let object = if random.chance(80) { tlv_bytes(Tag(tag.into()), &value) } else { value };
        (0x80, 0xDB, 0, mode, object)
    }

    fn authenticate(&self, random: &Random) -> (u8, u8, u8, u8, Vec<u8>) {
        let (p2, mut data) = match random.number(4) {
            0 => (0x80, [&[16][..], &random.octets(16)].concat()),
            1 => (0x82, some(random, 40)),
            _ => (0x81, [&[16][..], &random.octets(16), &[16], &random.octets(16)].concat()),
        };
        if random.chance(10) {
            data = random.mutate_octets(&data);
        }
        (0x00, *random.pick(&[0x88, 0x88, 0x88, 0x89]), 0, p2, data)
    }

    fn manage_channel(&mut self, random: &Random) -> (u8, u8, u8, u8, Vec<u8>) {
        let number = *random.pick(&[0, 1, 1, 2, 3, 4, 19, 20]);
        if random.chance(60) {
            self.channel = *random.pick(&[0, 0, self.channel]);
            return (0x00, 0x70, 0, *random.pick(&[0, 0, 0, number]), vec![]);
        }
        (0x00, 0x70, 0x80, number, vec![])
    }

    fn toolkit(&mut self, random: &Random) -> (u8, u8, u8, u8, Vec<u8>) {
        self.channel = 0;
        match random.number(6) {
            0 => (0x80, 0x10, 0, 0, some(random, 32)),
            1 => (0x80, 0x12, 0, 0, vec![]),
            2 => (0x80, 0x14, 0, 0, vec![0x81, 3, 1, 1, 4, 0x82, 2, 0x82, 0x81, 0x83, 1, random.octet()]),
            3 => (0x80, 0xC2, 0, 0, [&[0xD6, 9][..], &random.octets(9)].concat()),
            4 => (0x80, 0xAA, 0, 0, [&[0xA9][..], &some(random, 8)].concat()),
            _ => (0x80, 0xF2, 0, 0, vec![]),
        }
    }

    /// Calls an ES10 function, sometimes with mutated data, sometimes in inconsistent blocks.
    fn es10(&mut self, testbed: &mut Testbed) {
        let random = &testbed.round.random;
        let mut request = self.request(random);
        if random.chance(25) {
            request = random.mutate_octets(&request);
        }
        let select = random.chance(70);
        let block = *random.pick(&[120, 255, 255, 64, 1 + random.number(255)]);
        let channel = *random.pick(&[0, 1, 1, 1, 1, 2]);
        if select {
            testbed.transmit(&[0, 0x70, 0, 0, 1]);
            testbed.whole(&[&[channel, 0xA4, 4, 0, 16][..], &Aid::ISD_R].concat());
        }
        let blocks: Vec<_> = request.chunks(block).collect();
        for (number, block) in blocks.iter().enumerate() {
            let random = &testbed.round.random;
            let mut p1 = if number + 1 == blocks.len() { 0x91 } else { 0x11 };
            let mut p2 = u8::try_from(number).unwrap_or(0xFF);
            if random.chance(2) {
                (p1, p2) = (*random.pick(&[0x91, 0x11, 0x90, 0x00]), random.octet());
            }
            let command = [0x80 | channel, 0xE2, p1, p2, u8::try_from(block.len()).unwrap()];
            if random.chance(1) {
                let between = self.command(random);
                testbed.transmit(&between);
            }
            testbed.whole(&[&command[..], block].concat());
        }
    }

    fn request(&self, random: &Random) -> Vec<u8> {
        let iccid = self.packages(random).iccid;
        let aid = Aid::isd_p(0x10 + random.number(6) as u16);
        let identifier = |random: &Random| match random.chance(60) {
            true => ProfileIdentifier::Iccid(iccid),
            false => ProfileIdentifier::IsdpAid(aid.clone()),
        };
        match random.number(24) {
            0..3 => EnableProfileRequest {
                profile_identifier: identifier(random),
                refresh_flag: RefreshFlag(random.chance(50)),
            }
            .to_der(),
            3..5 => DisableProfileRequest {
                profile_identifier: identifier(random),
                refresh_flag: RefreshFlag(random.chance(50)),
            }
            .to_der(),
            5 if random.chance(40) => DeleteProfileRequest::Iccid(iccid).to_der(),
            6 if random.chance(15) => {
                let reset_options = BitString::of(&[random.number(3), random.number(4)]);
                EuiccMemoryResetRequest { reset_options }.to_der()
            }
            7..9 => {
                let search_criteria = match random.number(4) {
                    0 => Some(ProfileSearch::Iccid(iccid)),
                    1 => Some(ProfileSearch::ProfileClass(ProfileClass(random.number(4) as i64))),
                    _ => None,
                };
                let tag_list = random.chance(50).then(|| some(random, 12));
                ProfileInfoListRequest { search_criteria, tag_list }.to_der()
            }
            9 => {
                let profile_nickname = "é".repeat(random.number(40));
                SetNicknameRequest { iccid, profile_nickname }.to_der()
            }
            10 => {
                let profile_management_operation =
                    random.chance(50).then(|| BitString::of(&[random.number(5), random.number(5)]));
                ListNotificationRequest { profile_management_operation }.to_der()
            }
            11..13 => {
                let search_criteria = match random.number(3) {
                    0 => Some(NotificationSearch::SeqNumber(random.number(60) as i64)),
                    1 => Some(NotificationSearch::ProfileManagementOperation(BitString::of(&[
                        random.number(5)
                    ]))),
                    _ => None,
                };
                RetrieveNotificationsListRequest { search_criteria }.to_der()
            }
            13 => NotificationSentRequest { seq_number: random.number(60) as i64 }.to_der(),
            14 => GetEuiccInfo1Request {}.to_der(),
            15 => GetEuiccInfo2Request {}.to_der(),
            16 => GetEuiccChallengeRequest {}.to_der(),
            17 => GetRatRequest {}.to_der(),
            18 => EuiccConfiguredAddressesRequest {}.to_der(),
            19 => {
                SetDefaultDpAddressRequest { default_dp_address: "dp.example.com".repeat(random.number(20)) }
                    .to_der()
            }
            20 => GetEuiccDataRequest { tag_list: EidTag }.to_der(),
            21 => CancelSessionRequest {
                transaction_id: rsp::ids::TransactionId(random.octets(4)),
                reason: CancelSessionReason(random.number(6) as i64),
            }
            .to_der(),
            // Functions of other versions, and unexpected parts of packages.
            22 => {
                let tag = [0xBF, *random.pick(&[0x22, 0x35, 0x36, 0x43, 0x4A, 0x50, 0x54, 0x55, 0x64])];
                let contents = some(random, 80);
                [&tag[..], &[u8::try_from(contents.len()).unwrap()], &contents].concat()
            }
            _ => {
                let tag = *random.pick(&[0x86, 0x87, 0x88, 0xA0, 0xA1, 0xA2, 0xA3, 0x30]);
                tlv_bytes(Tag(tag), &some(random, 120))
            }
        }
    }

    /// Runs a download with a mutated or missing message, or with other commands in between.
    fn disturbed_download(&mut self, testbed: &mut Testbed) {
        let packages: &'a PackageInfo = self.packages[testbed.round.random.number(self.packages.len())];
        testbed.isd_r();
        let server = testbed.server();
        let challenge: GetEuiccChallengeResponse = testbed.call(&GetEuiccChallengeRequest {});
        let eid = testbed.card.eid();
        if let Some(answer) =
            self.disturbed(testbed, server.authenticate_server(challenge.euicc_challenge), 10)
            && let Some(request) = server.prepare_download(&answer)
            && let Some(answer) = self.disturbed(testbed, request, 10)
            && let Some(pieces) =
                server.bind(&testbed.round.random, eid, &answer, packages.iccid, &packages.package)
        {
            for piece in pieces {
                self.disturbed(testbed, piece, 1);
            }
        }
        testbed.card.reset();
        self.channel = 0;
    }

    fn disturbed(&mut self, testbed: &mut Testbed, mut request: Vec<u8>, percent: usize) -> Option<Vec<u8>> {
        let random = &testbed.round.random;
        if random.chance(percent) {
            request = random.mutate_octets(&request);
        }
        if random.chance(percent) {
            let between = self.command(random);
            testbed.transmit(&between);
        }
        testbed.es10(&request).ok()
    }
}

/// P1 of a command for a transparent file: an offset or a short file identifier.
fn place(random: &Random) -> u8 {
    *random.pick(&[0, 0, 0, 0x80 | random.number(32) as u8, random.octet()])
}

/// P2 of a command for a file with records.
fn mode(random: &Random) -> u8 {
    let mode = *random.pick(&[4, 4, 4, 2, 3, 5, 6, 7, random.number(8) as u8]);
    *random.pick(&[0, 0, random.number(32) as u8 * 8]) | mode
}

fn some(random: &Random, most: usize) -> Vec<u8> {
    let length = random.number(most + 1);
    random.octets(length)
}

/// Returns a short command without Le.
fn with_length(header: [u8; 4], data: &[u8]) -> Vec<u8> {
    match u8::try_from(data.len()) {
        Ok(0) | Err(_) => header.to_vec(),
        Ok(length) => [&header[..], &[length], data].concat(),
    }
}

/// Returns a command with short or extended lengths, with or without Le.
fn with_lengths(random: &Random, header: &[u8], data: &[u8]) -> Vec<u8> {
    let mut command = header.to_vec();
    let extended = random.chance(5) || data.len() > 255;
    let le = match random.number(10) {
        _ if data.is_empty() && random.chance(90) => Some(*random.pick(&[0, 0, 0, 1, 16, random.octet()])),
        0..4 => None,
        _ => Some(*random.pick(&[0, 0, 0, 1, 255, random.octet()])),
    };
    if !data.is_empty() {
        match extended {
            true => command.extend([&[0][..], &u16::try_from(data.len()).unwrap().to_be_bytes()].concat()),
            false => command.push(u8::try_from(data.len()).unwrap()),
        }
        command.extend(data);
    }
    match (le, extended) {
        (None, _) => {}
        (Some(le), false) => command.push(le),
        (Some(le), true) if data.is_empty() => command.extend([0, *random.pick(&[0, 1]), le]),
        (Some(le), true) => command.extend([*random.pick(&[0, 1]), le]),
    }
    command
}
