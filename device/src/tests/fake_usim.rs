//! A card with one USIM and the files that a modem reads. The PIN is the only access condition, and
//! EF.DIR the only file with records.

use std::collections::BTreeMap;

use crypto::aka::{Algorithm, Autn, Sqn};
use crypto::milenage::Milenage;
use rsp::ids::Imsi;
use world::{Atr, CardInterface, CardInterfaceFault};

pub(crate) const K: [u8; 16] = [0x11; 16];
pub(crate) const OPC: [u8; 16] = [0x22; 16];
const AID: &str = "A0000000871002FF33FF018900000100";

pub(crate) struct FakeUsim {
    pub(crate) files: BTreeMap<u16, Vec<u8>>,
    pub(crate) algorithm: Algorithm,
    /// The highest sequence number accepted.
    pub(crate) sqn_ms: Sqn,
    /// The value that VERIFY PIN must present, and true if a command has presented it. An empty value:
    /// the PIN is blocked.
    pub(crate) pin: Option<(Vec<u8>, bool)>,
    pub(crate) has_usim: bool,
    /// The answer to AUTHENTICATE in place of the correct one.
    pub(crate) false_answer: Option<Vec<u8>>,
    selected: u16,
    waiting: Vec<u8>,
}

impl FakeUsim {
    pub(crate) fn new(imsi: &str) -> Self {
        let imsi: Imsi = imsi.parse().unwrap();
        let files = BTreeMap::from([
            (0x2FE2, hex::decode("98001032547698103214").unwrap()),
            (0x6F07, imsi.to_ef().to_vec()),
            (0x6FAD, vec![0, 0, 0, 2]),
            (0x6F46, b"\x01Fake\xFF\xFF".to_vec()),
            (0x6F7B, vec![0xFF; 6]),
        ]);
        Self {
            files,
            algorithm: Algorithm::Milenage(Milenage::new(K, OPC)),
            sqn_ms: Sqn::default(),
            pin: None,
            has_usim: true,
            false_answer: None,
            selected: 0,
            waiting: Vec::new(),
        }
    }

    fn answer(&mut self, command: &[u8]) -> Result<Vec<u8>, u16> {
        let data = command.get(5..).unwrap_or_default();
        match command {
            [0x80, 0xAA | 0x10, ..] => Ok(vec![]),
            [0x00, 0xC0, ..] => Ok(std::mem::take(&mut self.waiting)),
            [0x00, 0xA4, 0x04, ..] if hex::encode_upper(data) == AID => Ok(vec![]),
            [0x00, 0xA4, 0x00, _, 2, high, low] => {
                let fid = u16::from_be_bytes([*high, *low]);
                let exists = matches!(fid, 0x3F00 | 0x2F00) || self.files.contains_key(&fid);
                self.selected = fid;
                if exists && (self.has_usim || fid != 0x3F00) { Ok(vec![]) } else { Err(0x6A82) }
            }
            [0x00, 0xB2, 1, 0x04, ..] if self.selected == 0x2F00 => {
                Ok(hex::decode(format!("61124F10{AID}FFFF")).unwrap())
            }
            [0x00, 0xB2, ..] => Err(0x6A83),
            [0x00, 0xB0, 0, 0, le] => match self.files.get(&self.selected) {
                Some(_) if self.selected == 0x6F07 && matches!(self.pin, Some((_, false))) => Err(0x6982),
                // Some cards answer only if Le is the exact length.
                Some(contents) if usize::from(*le) != contents.len() => {
                    Err(0x6C00 | u16::try_from(contents.len()).unwrap())
                }
                Some(contents) => Ok(contents.clone()),
                None => Err(0x6986),
            },
            [0x00, 0xD6, 0, 0, ..] => {
                self.files.insert(self.selected, data.to_vec());
                Ok(vec![])
            }
            [0x00, 0x20, 0, 1, 8, code @ ..] => match &mut self.pin {
                Some((right, verified)) if right == code => {
                    *verified = true;
                    Ok(vec![])
                }
                Some((right, _)) if right.is_empty() => Err(0x6983),
                Some(_) => Err(0x63C2),
                None => Err(0x6984),
            },
            [0x00, 0x88, 0, 0x81, 34, rest @ ..] => self.authenticate(rest),
            _ => Err(0x6D00),
        }
    }

    fn authenticate(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        let rand: [u8; 16] = data[1..17].try_into().unwrap();
        let autn = Autn::from_bytes(data[18..34].try_into().unwrap());
        let checked = self.algorithm.check_autn(&rand, &autn).map_err(|_| 0x9862_u16)?;
        let answer = if checked.sqn.seq() > self.sqn_ms.seq() {
            self.sqn_ms = checked.sqn;
            let keys = &checked.keys;
            let part = |octets: &[u8]| [&[u8::try_from(octets.len()).unwrap()], octets].concat();
            let parts = [part(keys.res.as_bytes()), part(keys.ck.expose()), part(keys.ik.expose())];
            [vec![0xDB], parts.concat()].concat()
        } else {
            let auts = self.algorithm.make_auts(&rand, self.sqn_ms).to_bytes();
            [&[0xDC, 14], auts.as_slice()].concat()
        };
        self.waiting = self.false_answer.clone().unwrap_or(answer);
        Err(0x6100 | u16::try_from(self.waiting.len()).unwrap())
    }
}

impl CardInterface for FakeUsim {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let (mut data, status) = match self.answer(command) {
            Ok(data) => (data, 0x9000),
            Err(status) => (vec![], status),
        };
        data.extend(status.to_be_bytes());
        Ok(data)
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        if let Some((_, verified)) = &mut self.pin {
            *verified = false;
        }
        Ok(Atr::default())
    }
}
