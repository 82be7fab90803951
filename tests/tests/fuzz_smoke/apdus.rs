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

use crate::random::Hand;
use crate::run::{Round, Run};
use crate::testbed::{Bench, iccid_of, packages};

/// Commands per card.
const LIFE: usize = 1000;

/// Number of commands after which the card is checked and repaired.
const CHECK: usize = 200;

#[test]
fn the_card_answers_every_apdu_and_lives() {
    let goods: Vec<Goods> = packages().iter().map(|package| Goods::of(package)).collect();
    let goods: Vec<&Goods> = goods.iter().collect();
    let mut run = Run::of("the_card_answers_every_apdu_and_lives", 1, 3000);
    while let Some(round) = run.round() {
        live(round, &goods);
    }
    run.end();
}

/// A package and its known contents.
struct Goods {
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
    /// Path for SELECT by path: from the MF, or from the application as 7FFF.
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

impl Goods {
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

fn live(round: Round, goods: &[&Goods]) {
    let mut bench = Bench::new(round);
    let mut life = Life { goods, own: Vec::new(), channel: 0 };
    for number in 0..LIFE {
        if number % CHECK == 0 {
            life.put_right(&mut bench);
        }
        life.step(&mut bench);
    }
    life.put_right(&mut bench);
}

struct Life<'a> {
    goods: &'a [&'a Goods],
    /// Packages on this card, each with another ICCID.
    own: Vec<&'a Goods>,
    /// Logical channel in the class byte of the next commands.
    channel: u8,
}

impl<'a> Life<'a> {
    /// Restores the card: some profiles installed, one of them enabled, no pending
    /// notification.
    fn put_right(&mut self, bench: &mut Bench) {
        if bench.round.hand.chance(30) {
            bench.power_cycle();
        }
        let listed: Vec<_> = bench.check().iter().map(|each| each.iccid.unwrap()).collect();
        self.own.retain(|goods| listed.contains(&goods.iccid));
        for iccid in listed {
            if self.own.iter().all(|own| own.iccid != iccid) {
                self.own.push(self.goods.iter().find(|goods| goods.iccid == iccid).unwrap());
            }
        }
        if !self.own.is_empty() && bench.round.hand.chance(20) {
            let gone = self.own.swap_remove(bench.round.hand.number(self.own.len())).iccid;
            bench.disable(gone);
            assert_eq!(bench.delete(gone).0, 0, "a disabled profile can be deleted");
        }
        while self.own.len() < 2 {
            let mut others = self.goods.to_vec();
            others.retain(|goods| self.own.iter().all(|own| own.iccid != goods.iccid));
            if others.is_empty() {
                break;
            }
            let goods = *bench.round.hand.pick(&others);
            bench.download(&goods.package, goods.iccid).unwrap();
            self.own.push(goods);
        }
        let enabled = bench.round.hand.pick(&self.own).iccid;
        bench.isd_r();
        bench.enable(enabled);
        bench.deliver_notifications();
        bench.card.reset();
        self.channel = 0;
    }

    fn step(&mut self, bench: &mut Bench) {
        match bench.round.hand.number(1000) {
            0..3 => drop(bench.card.reset()),
            3..8 => self.interfered_download(bench),
            8..150 => self.es10(bench),
            150..400 => self.visit(bench),
            _ => {
                let command = self.command(&bench.round.hand);
                let hand = &bench.round.hand;
                match hand.number(10) {
                    0 => drop(bench.transmit(&hand.spoil(&command))),
                    1 => drop(bench.transmit(&command)),
                    _ => drop(bench.whole(&command)),
                }
            }
        }
    }

    /// Selects a file of the profile and uses it according to its type.
    fn visit(&mut self, bench: &mut Bench) {
        self.channel = 0;
        let goods = self.goods(&bench.round.hand);
        let file = bench.round.hand.pick(&goods.files);
        if let Some(aid) = &file.aid {
            bench.whole(&with_length([0, 0xA4, 4, 4], aid));
        }
        if bench.round.hand.chance(20) {
            for (reference, code) in &goods.codes {
                bench.whole(&with_length([0, 0x20, 0, *reference], code));
            }
        }
        bench.whole(&with_length([0, 0xA4, 8, 4], &file.path));
        for _ in 0..1 + bench.round.hand.number(5) {
            let command = self.use_of(&bench.round.hand, file);
            bench.whole(&command);
        }
    }

    fn use_of(&self, hand: &Hand, file: &Known) -> Vec<u8> {
        if hand.chance(15) {
            return with_length(
                *hand.pick(&[[0x00, 0x04, 0, 0], [0x00, 0x44, 0, 0], [0x80, 0xF2, 0, 0]]),
                &[],
            );
        }
        match file.kind {
            FileKind::Mf | FileKind::Df | FileKind::Adf { .. } => {
                let (class, ins, p1, p2, data) = self.authenticate(hand);
                with_length([class, ins, p1, p2], &data)
            }
            FileKind::Transparent => {
                let at = hand.number(file.length + 1).min(0x7FFF);
                let [high, low] = u16::try_from(at).unwrap().to_be_bytes();
                match hand.chance(50) {
                    true => [0, 0xB0, high, low, hand.octet()].to_vec(),
                    false => {
                        let length = (1 + hand.number(file.length - at + 1)).min(255);
                        with_length([0, 0xD6, high, low], &hand.octets(length))
                    }
                }
            }
            FileKind::LinearFixed { record_length } | FileKind::Cyclic { record_length } => {
                let number = hand.number(file.length / usize::from(record_length) + 2) as u8;
                let mode = *hand.pick(&[4, 4, 4, 2, 3]);
                let length = usize::from(record_length).min(255) - usize::from(hand.chance(5));
                match hand.number(5) {
                    0 => with_length([0, 0xDC, number, mode], &hand.octets(length)),
                    1 => with_length([0, 0xDC, 0, *hand.pick(&[2, 3])], &vec![hand.octet(); length]),
                    2 => with_length([0, 0xA2, number, mode], &some(hand, 3)),
                    3 => with_length([0x80, 0x32, 0, 0], &[0, 0, hand.octet()]),
                    _ => vec![0, 0xB2, number, mode, 0],
                }
            }
            FileKind::BerTlv { .. } => {
                let (class, ins, p1, p2, data) = self.tlv_object(hand);
                with_length([class, ins, p1, p2], &data)
            }
        }
    }

    fn goods(&self, hand: &Hand) -> &'a Goods {
        let among: &[&'a Goods] = if self.own.is_empty() { self.goods } else { &self.own };
        among[hand.number(among.len())]
    }

    fn fid(&self, hand: &Hand) -> [u8; 2] {
        match hand.number(20) {
            0 => [0x3F, 0x00],
            1 => [0x7F, 0xFF],
            2 => [0x2F, hand.octet()],
            3 => [hand.octet(), hand.octet()],
            _ => *hand.pick(&self.goods(hand).fids),
        }
    }

    /// Returns a command that a terminal might send.
    fn command(&mut self, hand: &Hand) -> Vec<u8> {
        let (class, ins, p1, p2, data) = match hand.number(32) {
            0..7 => self.select(hand),
            7..9 => (0x00, 0xB0, place(hand), *hand.pick(&[0, 0, 0, 1, 9, hand.octet()]), vec![]),
            9..12 => (0x00, 0xB2, *hand.pick(&[0, 1, 1, 2, 3, 10, 0xFF]), mode(hand), vec![]),
            12 => (0x00, 0xD6, place(hand), *hand.pick(&[0, 0, 1, hand.octet()]), some(hand, 40)),
            13 => (0x00, 0xDC, *hand.pick(&[0, 1, 2, 3, 10]), mode(hand), self.record(hand)),
            14 => (0x00, 0xA2, *hand.pick(&[0, 1, 2, 0xFF]), mode(hand), some(hand, 12)),
            15 => (0x80, 0x32, *hand.pick(&[0, 0x81, 0x80 | hand.octet()]), 0, {
                let length = *hand.pick(&[1, 3, 3, 3, 4]);
                hand.octets(length)
            }),
            16..18 => self.code(hand),
            18 => self.tlv_object(hand),
            19 => (0x80, 0xF2, *hand.pick(&[0, 1, 2, 3]), *hand.pick(&[0, 1, 0x0C, 2]), vec![]),
            20 => self.authenticate(hand),
            21 => (0x80, 0x78, *hand.pick(&[0, 1, 2]), *hand.pick(&[0x81, 0x01, hand.octet()]), vec![]),
            22 => (*hand.pick(&[0x00, 0x80]), *hand.pick(&[0x04, 0x44]), 0, 0, {
                let fid = self.fid(hand);
                if hand.chance(50) { fid.to_vec() } else { vec![] }
            }),
            23..25 => self.manage_channel(hand),
            25 => self.toolkit(hand),
            26 => {
                let instruction = *hand.pick(&[0x84, 0xCA, 0xCA, 0x76, 0x73, 0x75, 0xDA]);
                let p2 = *hand.pick(&[0x00, 0x5A, 0x42, 0xFE, hand.octet()]);
                let p1 = *hand.pick(&[0x00, 0x7F, 0xBF, 0xFF]);
                (*hand.pick(&[0x00, 0x80]), instruction, p1, p2, some(hand, 6))
            }
            27 => {
                let instruction = *hand.pick(&[0xD4, 0xE0, 0xE2, 0xE4, 0xE6, 0xE8, 0x0E, 0x0C, 0xC2, 0xF0]);
                (*hand.pick(&[0x00, 0x80]), instruction, hand.octet(), hand.octet(), some(hand, 60))
            }
            28 => (0x00, 0xC0, 0, 0, vec![]),
            // The same or another channel.
            29 => {
                self.channel = *hand.pick(&[0, 0, 1, 1, 2, 3, 4, 7, 19]);
                self.select(hand)
            }
            _ => (hand.octet(), hand.octet(), hand.octet(), hand.octet(), some(hand, 255)),
        };
        let class = match self.channel {
            0..4 => class | self.channel,
            channel => class | 0x40 | (channel - 4),
        };
        let command = [class, ins, p1, p2];
        with_lengths(hand, &command, &data)
    }

    fn select(&self, hand: &Hand) -> (u8, u8, u8, u8, Vec<u8>) {
        let p2 = *hand.pick(&[0x04, 0x04, 0x0C, 0x00, 0x06, 0x02, 0x40, 0x44, hand.octet()]);
        let (p1, name) = match hand.number(20) {
            0..10 => (*hand.pick(&[0, 0, 0, 0, 1, 2]), self.fid(hand).to_vec()),
            10..14 => {
                let steps: Vec<_> = (0..1 + hand.number(4)).map(|_| self.fid(hand)).collect();
                (*hand.pick(&[8, 8, 9]), steps.concat())
            }
            14 => (3, vec![]),
            15..18 => {
                let mut aid = match hand.number(8) {
                    0 => Aid::ISD_R.to_vec(),
                    1 => [&Aid::ISD_R[..14], &[0x02, 0x00]].concat(),
                    2 => [&Aid::ISD_R[..14], &[0x00, hand.octet()]].concat(),
                    3 => hand.octets(16),
                    _ => self.goods(hand).aids.first().cloned().unwrap_or_default(),
                };
                if hand.chance(20) {
                    aid.truncate(hand.number(17));
                }
                (4, aid)
            }
            18 => (4, Aid::ISD_R.to_vec()),
            _ => (hand.octet(), some(hand, 16)),
        };
        (0x00, 0xA4, p1, p2, name)
    }

    fn record(&self, hand: &Hand) -> Vec<u8> {
        let length = *hand.pick(&[1, 4, 14, 26, 28, 33, 40, 176, hand.number(256)]);
        hand.octets(length)
    }

    fn code(&self, hand: &Hand) -> (u8, u8, u8, u8, Vec<u8>) {
        let goods = self.goods(hand);
        let (reference, code) = hand.pick(&goods.codes);
        let reference = if hand.chance(90) { *reference } else { hand.octet() };
        let another = |hand: &Hand| match hand.number(4) {
            0 => b"4321\xFF\xFF\xFF\xFF".to_vec(),
            1 => hand.octets(8),
            _ => hand.pick(&goods.codes).1.clone(),
        };
        let (ins, p1, data) = match hand.number(10) {
            0..5 => (0x20, 0, if hand.chance(85) { code.clone() } else { another(hand) }),
            5 => (0x20, 0, vec![]),
            6 => (0x24, *hand.pick(&[0, 0, 1]), [code.clone(), another(hand)].concat()),
            7 => (0x26, *hand.pick(&[0, 0, 0x81]), code.clone()),
            8 => (0x28, 0, code.clone()),
            _ => (0x2C, *hand.pick(&[0, 0, 1]), [another(hand), code.clone()].concat()),
        };
        (0x00, ins, p1, reference, data)
    }

    /// RETRIEVE DATA or SET DATA for BER-TLV files.
    fn tlv_object(&self, hand: &Hand) -> (u8, u8, u8, u8, Vec<u8>) {
        let mode = *hand.pick(&[0x80, 0x80, 0x00, 0xC0, hand.octet()]) | *hand.pick(&[0, 0, 31, 1]);
        let tag = *hand.pick(&[0x80, 0x81, 0x5C, 0xA0, 0x9F]);
        if hand.chance(50) {
            return (0x80, 0xCB, 0, mode, vec![tag]);
        }
        let value = some(hand, 200);
        let object = if hand.chance(80) { tlv_bytes(Tag(tag.into()), &value) } else { value };
        (0x80, 0xDB, 0, mode, object)
    }

    fn authenticate(&self, hand: &Hand) -> (u8, u8, u8, u8, Vec<u8>) {
        let (p2, mut data) = match hand.number(4) {
            0 => (0x80, [&[16][..], &hand.octets(16)].concat()),
            1 => (0x82, some(hand, 40)),
            _ => (0x81, [&[16][..], &hand.octets(16), &[16], &hand.octets(16)].concat()),
        };
        if hand.chance(10) {
            data = hand.spoil(&data);
        }
        (0x00, *hand.pick(&[0x88, 0x88, 0x88, 0x89]), 0, p2, data)
    }

    fn manage_channel(&mut self, hand: &Hand) -> (u8, u8, u8, u8, Vec<u8>) {
        let number = *hand.pick(&[0, 1, 1, 2, 3, 4, 19, 20]);
        if hand.chance(60) {
            self.channel = *hand.pick(&[0, 0, self.channel]);
            return (0x00, 0x70, 0, *hand.pick(&[0, 0, 0, number]), vec![]);
        }
        (0x00, 0x70, 0x80, number, vec![])
    }

    fn toolkit(&mut self, hand: &Hand) -> (u8, u8, u8, u8, Vec<u8>) {
        self.channel = 0;
        match hand.number(6) {
            0 => (0x80, 0x10, 0, 0, some(hand, 32)),
            1 => (0x80, 0x12, 0, 0, vec![]),
            2 => (0x80, 0x14, 0, 0, vec![0x81, 3, 1, 1, 4, 0x82, 2, 0x82, 0x81, 0x83, 1, hand.octet()]),
            3 => (0x80, 0xC2, 0, 0, [&[0xD6, 9][..], &hand.octets(9)].concat()),
            4 => (0x80, 0xAA, 0, 0, [&[0xA9][..], &some(hand, 8)].concat()),
            _ => (0x80, 0xF2, 0, 0, vec![]),
        }
    }

    /// Calls an ES10 function, sometimes with mutated data, sometimes in inconsistent blocks.
    fn es10(&mut self, bench: &mut Bench) {
        let hand = &bench.round.hand;
        let mut request = self.request(hand);
        if hand.chance(25) {
            request = hand.spoil(&request);
        }
        let select = hand.chance(70);
        let block = *hand.pick(&[120, 255, 255, 64, 1 + hand.number(255)]);
        let channel = *hand.pick(&[0, 1, 1, 1, 1, 2]);
        if select {
            bench.transmit(&[0, 0x70, 0, 0, 1]);
            bench.whole(&[&[channel, 0xA4, 4, 0, 16][..], &Aid::ISD_R].concat());
        }
        let blocks: Vec<_> = request.chunks(block).collect();
        for (number, block) in blocks.iter().enumerate() {
            let hand = &bench.round.hand;
            let mut p1 = if number + 1 == blocks.len() { 0x91 } else { 0x11 };
            let mut p2 = u8::try_from(number).unwrap_or(0xFF);
            if hand.chance(2) {
                (p1, p2) = (*hand.pick(&[0x91, 0x11, 0x90, 0x00]), hand.octet());
            }
            let command = [0x80 | channel, 0xE2, p1, p2, u8::try_from(block.len()).unwrap()];
            if hand.chance(1) {
                let between = self.command(hand);
                bench.transmit(&between);
            }
            bench.whole(&[&command[..], block].concat());
        }
    }

    fn request(&self, hand: &Hand) -> Vec<u8> {
        let iccid = self.goods(hand).iccid;
        let aid = Aid::isd_p(0x10 + hand.number(6) as u16);
        let identifier = |hand: &Hand| match hand.chance(60) {
            true => ProfileIdentifier::Iccid(iccid),
            false => ProfileIdentifier::IsdpAid(aid.clone()),
        };
        match hand.number(24) {
            0..3 => EnableProfileRequest {
                profile_identifier: identifier(hand),
                refresh_flag: RefreshFlag(hand.chance(50)),
            }
            .to_der(),
            3..5 => DisableProfileRequest {
                profile_identifier: identifier(hand),
                refresh_flag: RefreshFlag(hand.chance(50)),
            }
            .to_der(),
            5 if hand.chance(40) => DeleteProfileRequest::Iccid(iccid).to_der(),
            6 if hand.chance(15) => {
                let reset_options = BitString::of(&[hand.number(3), hand.number(4)]);
                EuiccMemoryResetRequest { reset_options }.to_der()
            }
            7..9 => {
                let search_criteria = match hand.number(4) {
                    0 => Some(ProfileSearch::Iccid(iccid)),
                    1 => Some(ProfileSearch::ProfileClass(ProfileClass(hand.number(4) as i64))),
                    _ => None,
                };
                let tag_list = hand.chance(50).then(|| some(hand, 12));
                ProfileInfoListRequest { search_criteria, tag_list }.to_der()
            }
            9 => {
                let profile_nickname = "é".repeat(hand.number(40));
                SetNicknameRequest { iccid, profile_nickname }.to_der()
            }
            10 => {
                let profile_management_operation =
                    hand.chance(50).then(|| BitString::of(&[hand.number(5), hand.number(5)]));
                ListNotificationRequest { profile_management_operation }.to_der()
            }
            11..13 => {
                let search_criteria = match hand.number(3) {
                    0 => Some(NotificationSearch::SeqNumber(hand.number(60) as i64)),
                    1 => {
                        Some(NotificationSearch::ProfileManagementOperation(BitString::of(&[hand.number(5)])))
                    }
                    _ => None,
                };
                RetrieveNotificationsListRequest { search_criteria }.to_der()
            }
            13 => NotificationSentRequest { seq_number: hand.number(60) as i64 }.to_der(),
            14 => GetEuiccInfo1Request {}.to_der(),
            15 => GetEuiccInfo2Request {}.to_der(),
            16 => GetEuiccChallengeRequest {}.to_der(),
            17 => GetRatRequest {}.to_der(),
            18 => EuiccConfiguredAddressesRequest {}.to_der(),
            19 => SetDefaultDpAddressRequest { default_dp_address: "dp.example.com".repeat(hand.number(20)) }
                .to_der(),
            20 => GetEuiccDataRequest { tag_list: EidTag }.to_der(),
            21 => CancelSessionRequest {
                transaction_id: rsp::ids::TransactionId(hand.octets(4)),
                reason: CancelSessionReason(hand.number(6) as i64),
            }
            .to_der(),
            // Functions of other versions, and unexpected parts of packages.
            22 => {
                let tag = [0xBF, *hand.pick(&[0x22, 0x35, 0x36, 0x43, 0x4A, 0x50, 0x54, 0x55, 0x64])];
                let contents = some(hand, 80);
                [&tag[..], &[u8::try_from(contents.len()).unwrap()], &contents].concat()
            }
            _ => {
                let tag = *hand.pick(&[0x86, 0x87, 0x88, 0xA0, 0xA1, 0xA2, 0xA3, 0x30]);
                tlv_bytes(Tag(tag), &some(hand, 120))
            }
        }
    }

    /// Runs a download with a mutated or missing message, or with other commands in between.
    fn interfered_download(&mut self, bench: &mut Bench) {
        let goods: &'a Goods = self.goods[bench.round.hand.number(self.goods.len())];
        bench.isd_r();
        let server = bench.server();
        let challenge: GetEuiccChallengeResponse = bench.call(&GetEuiccChallengeRequest {});
        let eid = bench.card.eid();
        if let Some(answer) =
            self.interfered(bench, server.authenticate_server(challenge.euicc_challenge), 10)
            && let Some(request) = server.prepare_download(&answer)
            && let Some(answer) = self.interfered(bench, request, 10)
            && let Some(pieces) = server.bind(&bench.round.hand, eid, &answer, goods.iccid, &goods.package)
        {
            for piece in pieces {
                self.interfered(bench, piece, 1);
            }
        }
        bench.card.reset();
        self.channel = 0;
    }

    fn interfered(&mut self, bench: &mut Bench, mut request: Vec<u8>, percent: usize) -> Option<Vec<u8>> {
        let hand = &bench.round.hand;
        if hand.chance(percent) {
            request = hand.spoil(&request);
        }
        if hand.chance(percent) {
            let between = self.command(hand);
            bench.transmit(&between);
        }
        bench.es10(&request).ok()
    }
}

/// P1 of a command for a transparent file: an offset or a short file identifier.
fn place(hand: &Hand) -> u8 {
    *hand.pick(&[0, 0, 0, 0x80 | hand.number(32) as u8, hand.octet()])
}

/// P2 of a command for a file with records.
fn mode(hand: &Hand) -> u8 {
    let mode = *hand.pick(&[4, 4, 4, 2, 3, 5, 6, 7, hand.number(8) as u8]);
    *hand.pick(&[0, 0, hand.number(32) as u8 * 8]) | mode
}

fn some(hand: &Hand, most: usize) -> Vec<u8> {
    let length = hand.number(most + 1);
    hand.octets(length)
}

/// Returns a short command without Le.
fn with_length(header: [u8; 4], data: &[u8]) -> Vec<u8> {
    match u8::try_from(data.len()) {
        Ok(0) | Err(_) => header.to_vec(),
        Ok(length) => [&header[..], &[length], data].concat(),
    }
}

/// Returns a command with short or extended lengths, with or without Le.
fn with_lengths(hand: &Hand, header: &[u8], data: &[u8]) -> Vec<u8> {
    let mut command = header.to_vec();
    let extended = hand.chance(5) || data.len() > 255;
    let le = match hand.number(10) {
        _ if data.is_empty() && hand.chance(90) => Some(*hand.pick(&[0, 0, 0, 1, 16, hand.octet()])),
        0..4 => None,
        _ => Some(*hand.pick(&[0, 0, 0, 1, 255, hand.octet()])),
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
        (Some(le), true) if data.is_empty() => command.extend([0, *hand.pick(&[0, 1]), le]),
        (Some(le), true) => command.extend([*hand.pick(&[0, 1]), le]),
    }
    command
}
