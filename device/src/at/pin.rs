//! AT commands for PINs and PUKs: TS 27.007 sections 7.4, 7.5, 8.3 and 8.65. The commands that they
//! send to the card are defined in TS 102 221 sections 9.5 and 11.1.9 to 11.1.13.

use std::fmt;

use rsp::der::{Tag, tlv};
use world::CardInterface;

use super::line::{Parameters, Verb};
use super::refusal::{CmeError, Refusal};
use super::{Answer, AtModem, Quirk};
use crate::terminal::{CardError, StatusWord, Terminal};
use crate::usim::{self, UsimError};

/// The code that the card requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PinState {
    Ready,
    Pin,
    Puk,
    /// The state of a card without an enabled profile, as some manufacturers report it.
    Empty,
}

impl fmt::Display for PinState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "READY",
            Self::Pin => "SIM PIN",
            Self::Puk => "SIM PUK",
            Self::Empty => "EMPTY_EUICC",
        })
    }
}

/// Key references: TS 102 221 section 9.5.1.
const PIN1: u8 = 0x01;
const PIN2: u8 = 0x81;

/// Instructions.
const VERIFY: u8 = 0x20;
const CHANGE: u8 = 0x24;
const DISABLE: u8 = 0x26;
const ENABLE: u8 = 0x28;
const UNBLOCK: u8 = 0x2C;

impl<D: CardInterface> AtModem<D> {
    /// Returns a refusal if the card requires a code.
    pub(super) async fn must_be_ready(&mut self) -> Result<(), Refusal> {
        match self.pin_state().await? {
            PinState::Ready => Ok(()),
            PinState::Pin => Err(Refusal::Card(CmeError::SIM_PIN_REQUIRED)),
            PinState::Puk => Err(Refusal::Card(CmeError::SIM_PUK_REQUIRED)),
            PinState::Empty => Err(Refusal::Card(CmeError::SIM_NOT_INSERTED)),
        }
    }

    pub(super) async fn pin_state(&mut self) -> Result<PinState, Refusal> {
        let fcp = match usim::select_usim(self.card().await?).await {
            Err(UsimError::NoUsim) if self.has(Quirk::EmptyEuicc) => return Ok(PinState::Empty),
            fcp => fcp?,
        };
        if is_enabled(&fcp, PIN1) == Some(false) {
            return Ok(PinState::Ready);
        }
        match attempts_left(self.card().await?, VERIFY, PIN1).await? {
            Attempts::Left(0) => {}
            Attempts::Left(_) if usim::requires_pin(self.card().await?).await? => return Ok(PinState::Pin),
            Attempts::Left(_) | Attempts::NotRequired => return Ok(PinState::Ready),
        }
        match attempts_left(self.card().await?, UNBLOCK, PIN1).await? {
            Attempts::Left(0) | Attempts::NotRequired => Err(Refusal::Card(CmeError::SIM_FAILURE)),
            Attempts::Left(_) => Ok(PinState::Puk),
        }
    }

    /// +CPIN, enter PIN: section 8.3.
    pub(super) async fn cpin(&mut self, verb: &Verb) -> Answer {
        let parameters = match verb {
            Verb::Read => return Ok(vec![format!("+CPIN: {}", self.pin_state().await?)]),
            Verb::Test => return Ok(vec![]),
            Verb::Set(parameters) => parameters,
            Verb::Execute => return Err(Refusal::Error),
        };
        match (self.pin_state().await?, parameters.len()) {
            (PinState::Pin, 1) => self.present(VERIFY, PIN1, &code(parameters, 0)?).await?,
            (PinState::Puk, 2) => {
                let codes = [code(parameters, 0)?, code(parameters, 1)?].concat();
                self.present(UNBLOCK, PIN1, &codes).await?;
            }
            (PinState::Puk, _) => return Err(Refusal::Card(CmeError::SIM_PUK_REQUIRED)),
            _ => return Err(CmeError::OPERATION_NOT_ALLOWED.into()),
        }
        self.search_due = true;
        Ok(vec![])
    }

    /// +CPINR, remaining PIN retries: section 8.65.
    pub(super) async fn cpinr(&mut self, verb: &Verb) -> Answer {
        let requested = match verb {
            Verb::Execute => None,
            Verb::Set(parameters) => parameters.text(0),
            Verb::Test => return Ok(vec![]),
            Verb::Read => return Err(Refusal::Error),
        };
        usim::select_usim(self.card().await?).await?;
        let mut lines = Vec::new();
        for (name, ins, reference) in [
            ("SIM PIN", VERIFY, PIN1),
            ("SIM PUK", UNBLOCK, PIN1),
            ("SIM PIN2", VERIFY, PIN2),
            ("SIM PUK2", UNBLOCK, PIN2),
        ] {
            if requested.is_some_and(|requested| requested != name) {
                continue;
            }
            if let Attempts::Left(left) = attempts_left(self.card().await?, ins, reference).await? {
                lines.push(format!("+CPINR: {name},{left}"));
            }
        }
        Ok(lines)
    }

    /// +CPWD, change password: section 7.5.
    pub(super) async fn cpwd(&mut self, verb: &Verb) -> Answer {
        let parameters = match verb {
            Verb::Test => return Ok(vec!["+CPWD: (\"SC\",8),(\"P2\",8)".to_owned()]),
            Verb::Set(parameters) => parameters,
            Verb::Read | Verb::Execute => return Err(Refusal::Error),
        };
        let reference = match parameters.text(0) {
            Some("SC") => PIN1,
            Some("P2") => PIN2,
            _ => return Err(CmeError::INCORRECT_PARAMETERS.into()),
        };
        let codes = [code(parameters, 1)?, code(parameters, 2)?].concat();
        usim::select_usim(self.card().await?).await?;
        self.present(CHANGE, reference, &codes).await?;
        Ok(vec![])
    }

    /// +CLCK, facility lock: section 7.4. The only facility is the PIN of the card.
    pub(super) async fn clck(&mut self, verb: &Verb) -> Answer {
        let parameters = match verb {
            Verb::Test => return Ok(vec!["+CLCK: (\"SC\")".to_owned()]),
            Verb::Set(parameters) => parameters,
            Verb::Read | Verb::Execute => return Err(Refusal::Error),
        };
        if parameters.text(0) != Some("SC") {
            return Err(CmeError::INCORRECT_PARAMETERS.into());
        }
        let fcp = usim::select_usim(self.card().await?).await?;
        let is_enabled = is_enabled(&fcp, PIN1).ok_or(Refusal::Card(CmeError::SIM_FAILURE))?;
        let ins = match parameters.number::<u8>(1)? {
            Some(2) => return Ok(vec![format!("+CLCK: {}", u8::from(is_enabled))]),
            Some(1) => ENABLE,
            Some(0) => DISABLE,
            _ => return Err(CmeError::INCORRECT_PARAMETERS.into()),
        };
        self.present(ins, PIN1, &code(parameters, 2)?).await?;
        Ok(vec![])
    }

    /// Sends a command that presents codes. The USIM must be selected.
    async fn present(&mut self, ins: u8, reference: u8, codes: &[u8]) -> Result<(), Refusal> {
        let command = usim::basic("PIN", ins, 0, reference, codes, None);
        let presented = self.card().await?.command(command).await;
        presented.map(drop).map_err(|error| {
            Refusal::Card(match error.status() {
                Some(status) if status.0 & 0xFFF0 == 0x63C0 => CmeError::INCORRECT_PASSWORD,
                Some(StatusWord::AUTHENTICATION_METHOD_BLOCKED) if ins != UNBLOCK => {
                    CmeError::SIM_PUK_REQUIRED
                }
                Some(StatusWord::REFERENCED_DATA_INVALIDATED | StatusWord::CONDITIONS_NOT_SATISFIED) => {
                    CmeError::OPERATION_NOT_ALLOWED
                }
                _ => CmeError::SIM_FAILURE,
            })
        })
    }
}

/// The card's answer to a query of a retry counter.
enum Attempts {
    Left(u16),
    /// The code is disabled or does not exist.
    NotRequired,
}

/// Queries a retry counter with VERIFY PIN or UNBLOCK PIN without data.
async fn attempts_left<D: CardInterface>(
    card: &mut Terminal<D>,
    ins: u8,
    reference: u8,
) -> Result<Attempts, CardError> {
    let query = card.exchange(usim::basic("PIN", ins, 0, reference, &[], None)).await?;
    Ok(match query.status {
        StatusWord::AUTHENTICATION_METHOD_BLOCKED => Attempts::Left(0),
        status if status.0 & 0xFFF0 == 0x63C0 => Attempts::Left(status.0 & 0x000F),
        _ => Attempts::NotRequired,
    })
}

/// Returns whether a code is enabled according to the PIN status template in the FCP: TS 102 221
/// section 11.1.1.4.10. Returns `None` if the template does not contain it.
fn is_enabled(fcp: &[u8], reference: u8) -> Option<bool> {
    let (_, contents) = tlv::split(fcp).filter(|(tag, _)| *tag == Tag(0x62))?;
    let (_, status) = tlv::split(tlv::find(contents, Tag(0xC6)).ok()??)?;
    let (_, bits) = tlv::split(tlv::find(status, Tag(0x90)).ok()??)?;
    let elements = tlv::each(status).ok()?;
    let references = elements.iter().filter_map(|element| tlv::split(element));
    let at =
        references.filter(|(tag, _)| *tag == Tag(0x83)).position(|(_, contents)| contents == [reference])?;
    let octet = bits.get(at / 8)?;
    Some(octet & (0x80 >> (at % 8)) != 0)
}

/// Returns a code of four to eight digits, padded with FF: TS 102 221 section 9.5.1.
fn code(parameters: &Parameters, at: usize) -> Result<Vec<u8>, Refusal> {
    let digits = parameters.text(at).filter(|text| (4..=8).contains(&text.len()));
    let digits = digits.filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
    let digits = digits.ok_or(CmeError::INCORRECT_PASSWORD)?;
    Ok(digits.bytes().chain(std::iter::repeat(0xFF)).take(8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_status_template_shows_which_code_is_enabled() {
        let fcp = hex::decode("620F82027821C609900140830101830181").unwrap();
        assert_eq!((is_enabled(&fcp, PIN1), is_enabled(&fcp, PIN2)), (Some(false), Some(true)));
        assert_eq!(is_enabled(&fcp, 0x0A), None);
        let truncated = fcp.split_last().unwrap().1;
        assert_eq!(is_enabled(truncated, PIN1), None);
    }
}
