//! The USIM of the enabled profile: the files that a modem reads and the authentication, 3GPP TS
//! 31.102, with TS 102 221 commands on the basic channel.

use std::time::Duration;

use rsp::der::tlv;
use rsp::ids::{Iccid, Imsi, Plmn};
use serde::Serialize;
use world::CardInterface;

use super::terminal::{Answer, CardError, Command, StatusWord, Terminal};
use network::AuthenticationAnswer;

/// The prefix of all USIM AIDs: TS 101 220 annex E.
const USIM_AID_PREFIX: [u8; 7] = [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02];

/// Files under the MF.
const EF_DIR: u16 = 0x2F00;
const EF_ICCID: u16 = 0x2FE2;

/// Files under ADF.USIM.
const EF_IMSI: u16 = 0x6F07;
const EF_HPPLMN: u16 = 0x6F31;
const EF_SPN: u16 = 0x6F46;
const EF_HPLMNWACT: u16 = 0x6F62;
const EF_FPLMN: u16 = 0x6F7B;
const EF_AD: u16 = 0x6FAD;
const EF_EHPLMN: u16 = 0x6FD9;

/// The key reference of PIN1: TS 102 221 section 9.5.1.
const PIN1: u8 = 0x01;

/// The subscription data of the enabled profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Usim {
    /// EF.ICCID.
    pub iccid: Iccid,
    /// EF.IMSI.
    pub imsi: Imsi,
    /// The home network of the IMSI. EF.AD gives the length of its MNC.
    pub home: Plmn,
    /// EF.SPN.
    pub service_provider_name: Option<String>,
    /// The networks that count as home, in order of priority: EF.EHPLMN, or if that is missing or
    /// empty, the network of the IMSI and EF.HPLMNwAcT.
    pub home_networks: Vec<Plmn>,
    /// EF.HPPLMN: the interval at which a roaming device searches for its home network; `None` if
    /// it never does.
    #[serde(skip)]
    pub(crate) home_search: Option<Duration>,
    /// EF.FPLMN: networks that have answered "PLMN not allowed".
    pub forbidden: Vec<Plmn>,
    /// The capacity of EF.FPLMN in entries; 0 if the file does not exist.
    #[serde(skip)]
    pub(crate) forbidden_room: usize,
    #[serde(skip)]
    aid: Vec<u8>,
}

/// The reason why there is no usable subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsimError {
    /// The card did not answer, or refused for a reason that the other variants do not cover.
    #[error(transparent)]
    Card(#[from] CardError),
    /// No profile is enabled, or the enabled one has no USIM.
    #[error("the card has no USIM; enable a profile")]
    NoUsim,
    /// The PIN is enabled, but the device has none configured.
    #[error("the USIM requires its PIN; configure the PIN of the device")]
    PinRequired,
    /// The configured PIN is wrong.
    #[error("the PIN is wrong, {attempts_left} attempts are left; correct it before the PIN is blocked")]
    WrongPin {
        /// The remaining attempts.
        attempts_left: u16,
    },
    /// The content of a file violates the standard.
    #[error("{file} of the enabled profile violates TS 31.102: {why}")]
    BadFile {
        /// The file.
        file: &'static str,
        /// The violation.
        why: String,
    },
}

impl Usim {
    /// Reads the enabled profile. `pin` is used only if the card requires it.
    pub(crate) async fn read<D: CardInterface>(
        terminal: &mut Terminal<D>,
        pin: Option<&str>,
    ) -> Result<Self, UsimError> {
        terminal.start().await?;
        let iccid = read_iccid(terminal).await?;
        let aid = find_usim(terminal).await?.ok_or(UsimError::NoUsim)?;
        select_adf(terminal, &aid).await?;
        if requires_pin(terminal).await? {
            verify_pin(terminal, pin).await?;
        }
        let imsi = read_file(terminal, "EF.IMSI", EF_IMSI).await?;
        let imsi = imsi.ok_or_else(|| bad_file("EF.IMSI", "missing"))?;
        let imsi = Imsi::from_ef(&imsi).map_err(|error| bad_file("EF.IMSI", error))?;
        let administrative = read_file(terminal, "EF.AD", EF_AD).await?.unwrap_or_default();
        let home = imsi.plmn(mnc_digits(&administrative)).ok_or_else(|| bad_file("EF.IMSI", "too short"))?;
        let spn = read_file(terminal, "EF.SPN", EF_SPN).await?;
        let equivalent = read_file(terminal, "EF.EHPLMN", EF_EHPLMN).await?.unwrap_or_default();
        let with_technology = read_file(terminal, "EF.HPLMNwAcT", EF_HPLMNWACT).await?.unwrap_or_default();
        let period = read_file(terminal, "EF.HPPLMN", EF_HPPLMN).await?;
        let forbidden = read_file(terminal, "EF.FPLMN", EF_FPLMN).await?.unwrap_or_default();
        Ok(Self {
            iccid,
            imsi,
            home,
            service_provider_name: spn.as_deref().and_then(alpha_identifier),
            home_networks: home_networks(home, &equivalent, &with_technology),
            home_search: search_period(period.as_deref()),
            forbidden: networks(&forbidden, 3),
            forbidden_room: forbidden.len() / 3,
            aid,
        })
    }

    /// True if this network counts as home.
    pub(crate) fn is_home(&self, plmn: Plmn) -> bool {
        self.home_networks.contains(&plmn)
    }

    /// AUTHENTICATE in the 3G context: TS 31.102 section 7.1.2.1.
    pub(crate) async fn authenticate<D: CardInterface>(
        &self,
        terminal: &mut Terminal<D>,
        rand: &[u8; 16],
        autn: &[u8; 16],
    ) -> Result<AuthenticationAnswer, UsimError> {
        const AUTHENTICATE: &str = "AUTHENTICATE";
        // AUTHENTICATE applies to the current application, so the USIM is selected again: another
        // application may be selected now.
        select_adf(terminal, &self.aid).await?;
        let data = [&[16], rand.as_slice(), &[16], autn.as_slice()].concat();
        let command = basic(AUTHENTICATE, 0x88, 0x00, 0x81, &data, Some(0));
        let Answer { data, status } = terminal.exchange(command).await?;
        let malformed = || {
            let why = "neither DB with RES, CK and IK nor DC with AUTS".into();
            UsimError::Card(CardError::Answer { command: AUTHENTICATE, why })
        };
        match (status, data.as_slice()) {
            (StatusWord::AUTHENTICATION_ERROR_INCORRECT_MAC, _) => Ok(AuthenticationAnswer::MacFailure),
            (StatusWord::OK, [0xDB, length, rest @ ..]) => {
                let res = rest.get(..usize::from(*length)).ok_or_else(malformed)?;
                Ok(AuthenticationAnswer::Res(res.to_vec()))
            }
            (StatusWord::OK, [0xDC, 14, auts @ ..]) => {
                let auts = auts.try_into().map_err(|_| malformed())?;
                Ok(AuthenticationAnswer::SynchFailure(auts))
            }
            (StatusWord::OK, _) => Err(malformed()),
            _ => Err(CardError::Status { command: AUTHENTICATE, status }.into()),
        }
    }

    /// Writes EF.FPLMN. Returns false if the card refuses.
    pub(crate) async fn write_forbidden<D: CardInterface>(
        &mut self,
        terminal: &mut Terminal<D>,
        mut forbidden: Vec<Plmn>,
    ) -> Result<bool, UsimError> {
        // The oldest entries are dropped if the file is too small.
        let surplus = forbidden.len().saturating_sub(self.forbidden_room);
        forbidden.drain(..surplus);
        let mut contents: Vec<u8> = forbidden.iter().flat_map(|plmn| plmn.to_bytes()).collect();
        contents.resize(self.forbidden_room.saturating_mul(3), 0xFF);
        if contents.is_empty() {
            return Ok(false);
        }
        select_adf(terminal, &self.aid).await?;
        terminal.command(basic("SELECT EF.FPLMN", 0xA4, 0x00, 0x0C, &EF_FPLMN.to_be_bytes(), None)).await?;
        let update = basic("UPDATE BINARY", 0xD6, 0, 0, &contents, None);
        match terminal.command(update).await {
            Ok(_) => {
                self.forbidden = forbidden;
                Ok(true)
            }
            Err(CardError::Status { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

pub(crate) fn basic<'a>(
    name: &'static str,
    ins: u8,
    p1: u8,
    p2: u8,
    data: &'a [u8],
    le: Option<u8>,
) -> Command<'a> {
    Command { name, class: 0x00, channel: 0, ins, p1, p2, data, le }
}

fn bad_file(file: &'static str, why: impl ToString) -> UsimError {
    UsimError::BadFile { file, why: why.to_string() }
}

async fn select_mf<D: CardInterface>(terminal: &mut Terminal<D>) -> Result<(), UsimError> {
    match terminal.command(basic("SELECT MF", 0xA4, 0x00, 0x0C, &[0x3F, 0x00], None)).await {
        Ok(_) => Ok(()),
        // A card without an enabled profile has no file system.
        Err(CardError::Status { .. }) => Err(UsimError::NoUsim),
        Err(error) => Err(error.into()),
    }
}

/// Reads EF.ICCID, which needs no PIN. Leaves the MF selected.
pub(crate) async fn read_iccid<D: CardInterface>(terminal: &mut Terminal<D>) -> Result<Iccid, UsimError> {
    select_mf(terminal).await?;
    let iccid = read_file(terminal, "EF.ICCID", EF_ICCID).await?.ok_or(UsimError::NoUsim)?;
    <[u8; 10]>::try_from(iccid)
        .ok()
        .and_then(|octets| Iccid(octets).to_string().parse().ok())
        .ok_or_else(|| bad_file("EF.ICCID", "not the nibble-swapped digits of an ICCID"))
}

/// True if the PIN is enabled and was not verified. The function tries to read a file, because
/// VERIFY PIN without data returns the retry counter whether or not the PIN was verified (TS 102
/// 221 section 11.1.9.1.2). The USIM must be selected.
pub(crate) async fn requires_pin<D: CardInterface>(terminal: &mut Terminal<D>) -> Result<bool, UsimError> {
    match read_file(terminal, "EF.IMSI", EF_IMSI).await {
        Err(UsimError::Card(error)) if error.status() == Some(StatusWord::SECURITY_STATUS_NOT_SATISFIED) => {
            Ok(true)
        }
        read => read.map(|_| false),
    }
}

/// Selects the USIM and returns its FCP template.
pub(crate) async fn select_usim<D: CardInterface>(terminal: &mut Terminal<D>) -> Result<Vec<u8>, UsimError> {
    select_mf(terminal).await?;
    let aid = find_usim(terminal).await?.ok_or(UsimError::NoUsim)?;
    Ok(terminal.command(basic("SELECT ADF.USIM", 0xA4, 0x04, 0x04, &aid, Some(0))).await?)
}

async fn select_adf<D: CardInterface>(terminal: &mut Terminal<D>, aid: &[u8]) -> Result<(), UsimError> {
    terminal.command(basic("SELECT ADF.USIM", 0xA4, 0x04, 0x0C, aid, None)).await?;
    Ok(())
}

/// Reads a transparent file under the current directory. Returns `None` if the file does not exist.
async fn read_file<D: CardInterface>(
    terminal: &mut Terminal<D>,
    name: &'static str,
    file: u16,
) -> Result<Option<Vec<u8>>, UsimError> {
    match terminal.command(basic(name, 0xA4, 0x00, 0x0C, &file.to_be_bytes(), None)).await {
        Ok(_) => {}
        Err(CardError::Status { status: StatusWord::FILE_NOT_FOUND, .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    match terminal.command(basic(name, 0xB0, 0, 0, &[], Some(0))).await {
        Ok(contents) => Ok(Some(contents)),
        // Deactivated: TS 102 221 section 11.1.14.
        Err(CardError::Status { status: StatusWord::REFERENCED_DATA_INVALIDATED, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the AID of the first USIM in EF.DIR.
async fn find_usim<D: CardInterface>(terminal: &mut Terminal<D>) -> Result<Option<Vec<u8>>, UsimError> {
    terminal.command(basic("SELECT EF.DIR", 0xA4, 0x00, 0x0C, &EF_DIR.to_be_bytes(), None)).await?;
    for number in 1..=u8::MAX {
        let record =
            match terminal.command(basic("READ RECORD EF.DIR", 0xB2, number, 0x04, &[], Some(0))).await {
                Ok(record) => record,
                Err(CardError::Status { status: StatusWord::RECORD_NOT_FOUND, .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
        if let Some(aid) = application(&record).filter(|aid| aid.starts_with(&USIM_AID_PREFIX)) {
            return Ok(Some(aid.to_vec()));
        }
    }
    Ok(None)
}

/// Returns the AID in a record of EF.DIR, `61 { 4F AID, 50 label }` and padding: TS 102 221 section
/// 13.1.
fn application(record: &[u8]) -> Option<&[u8]> {
    let length = tlv::announced_length(record).ok()??;
    let (tag, template) = tlv::split(record.get(..length)?)?;
    let aid = tlv::find(template, rsp::der::Tag(0x4F)).ok()??;
    (tag.0 == 0x61).then(|| tlv::split(aid).map(|(_, aid)| aid))?
}

/// VERIFY PIN: TS 102 221 section 11.1.9.
async fn verify_pin<D: CardInterface>(
    terminal: &mut Terminal<D>,
    pin: Option<&str>,
) -> Result<(), UsimError> {
    let pin = pin.ok_or(UsimError::PinRequired)?;
    let code: Vec<u8> = pin.bytes().chain(std::iter::repeat(0xFF)).take(8).collect();
    match terminal.command(basic("VERIFY PIN", 0x20, 0, PIN1, &code, None)).await {
        Ok(_) => Ok(()),
        Err(CardError::Status { status, .. }) if status.0 & 0xFFF0 == 0x63C0 => {
            Err(UsimError::WrongPin { attempts_left: status.0 & 0x000F })
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the number of MNC digits in the IMSI: the fourth octet of EF.AD. On old cards EF.AD has
/// three octets, and the MNC has two digits.
fn mnc_digits(administrative: &[u8]) -> usize {
    match administrative {
        [_, _, _, digits, ..] if digits & 0x0F == 3 => 3,
        _ => 2,
    }
}

/// Decodes EF.HPPLMN, an interval of up to eight hours in units of six minutes: TS 31.102 section
/// 4.2.6. A missing or invalid value means one hour: TS 23.122 section 4.4.3.3.1.
fn search_period(contents: Option<&[u8]>) -> Option<Duration> {
    const STEP: Duration = Duration::from_secs(6 * 60);
    match contents {
        Some([0, ..]) => None,
        Some([steps @ 1..=80, ..]) => Some(STEP * u32::from(*steps)),
        _ => Some(STEP * 10),
    }
}

/// Returns the home networks in order of priority. The networks in EF.EHPLMN replace the network of
/// the IMSI, which counts as visited unless EF.EHPLMN contains it: TS 23.122 section 1.2.
fn home_networks(of_imsi: Plmn, ehplmn: &[u8], hplmnwact: &[u8]) -> Vec<Plmn> {
    let equivalent = networks(ehplmn, 3);
    match equivalent.is_empty() {
        true => std::iter::once(of_imsi).chain(networks(hplmnwact, 5)).collect(),
        false => equivalent,
    }
}

/// Decodes networks from entries of `size` octets, of which the first three are the PLMN. Empty
/// entries are skipped.
fn networks(contents: &[u8], size: usize) -> Vec<Plmn> {
    contents
        .chunks_exact(size)
        .filter_map(|entry| entry.first_chunk::<3>())
        .filter_map(|octets| Plmn::from_bytes(*octets).ok())
        .collect()
}

/// Decodes EF.SPN: display condition, then a name in the GSM default alphabet (decoded as ASCII,
/// with which it agrees for most letters) or in UCS2 (TS 102 221 annex A, first coding scheme).
fn alpha_identifier(contents: &[u8]) -> Option<String> {
    let (_, name) = contents.split_first()?;
    let text: String = match name {
        [0x80, ucs2 @ ..] => {
            let units = ucs2.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
            let units: Vec<u16> = units.map(u16::from_be_bytes).take_while(|unit| *unit != 0xFFFF).collect();
            String::from_utf16_lossy(&units)
        }
        name => name.iter().take_while(|octet| **octet != 0xFF).map(|octet| char::from(*octet)).collect(),
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contents_of_files_are_decoded() {
        let record = hex::decode("61184F10A0000000871002FF33FF018900000100500455534D31FFFFFFFF").unwrap();
        assert_eq!(hex::encode_upper(application(&record).unwrap()), "A0000000871002FF33FF018900000100");
        assert_eq!(application(&[0xFF; 8]), None);
        assert_eq!(mnc_digits(&[0, 0, 0, 2]), 2);
        assert_eq!(mnc_digits(&[0, 0, 0, 3]), 3);
        assert_eq!(mnc_digits(&[0, 0, 0]), 2);
        let listed = networks(&[0x00, 0xF1, 0x10, 0xFF, 0xFF, 0xFF, 0x13, 0x00, 0x14], 3);
        assert_eq!(listed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["001-01", "310-410"]);
        assert_eq!(alpha_identifier(b"\x01Landfall\xFF\xFF").as_deref(), Some("Landfall"));
        assert_eq!(alpha_identifier(&[1, 0x80, 0x00, 0x41, 0xFF, 0xFF]).as_deref(), Some("A"));
        assert_eq!(alpha_identifier(&[1, 0xFF]), None);
        let minutes = |contents| search_period(contents).map(|period: Duration| period.as_secs() / 60);
        assert_eq!(minutes(Some(&[0])), None);
        assert_eq!(minutes(Some(&[1])), Some(6));
        assert_eq!(minutes(Some(&[80])), Some(8 * 60));
        for usual in [None, Some(&[0x0A][..]), Some(&[81]), Some(&[0xFF]), Some(&[])] {
            assert_eq!(minutes(usual), Some(60), "{usual:?}");
        }
    }
}
