//! AT commands that need neither card nor network: V.250 section 6, TS 27.007 sections 5 and 9.1.

use world::CardInterface;

use super::line::Verb;
use super::messages::MessageSettings;
use super::refusal::Refusal;
use super::{Answer, AtModem};

/// The identification of the modem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The manufacturer: +CGMI.
    pub manufacturer: String,
    /// The model: +CGMM.
    pub model: String,
    /// The revision: +CGMR.
    pub revision: String,
    /// The IMEI, 15 digits: +CGSN.
    pub imei: String,
}

impl Identity {
    /// Returns the identity of this software modem, with an IMEI from the test range (TS 23.003
    /// section 6.2.1: type allocation codes that begin with 00).
    pub fn numbered(number: u32) -> Self {
        let digits = format!("00100100{:06}", number % 1_000_000);
        let check = luhn(&digits);
        Self {
            manufacturer: "Landfall".to_owned(),
            model: "Software modem".to_owned(),
            revision: env!("CARGO_PKG_VERSION").to_owned(),
            imei: format!("{digits}{check}"),
        }
    }
}

/// Computes the check digit of TS 23.003 annex B.
fn luhn(digits: &str) -> u32 {
    let sum: u32 = digits
        .bytes()
        .rev()
        .map(|digit| u32::from(digit.wrapping_sub(b'0')))
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { digit / 5 + digit * 2 } else { digit })
        .sum();
    (10 - sum % 10) % 10
}

/// The settings that a program changes by AT commands. ATZ resets them.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Echo: ATE.
    pub(super) echo: bool,
    /// True if result codes are verbose: ATV.
    pub(super) verbose: bool,
    /// True if result codes are suppressed: ATQ.
    pub(super) quiet: bool,
    /// +CMEE: 0 for ERROR, 1 for numeric and 2 for textual error codes.
    pub(super) cmee: u8,
    /// `<n>` of +CREG, +CGREG, +CEREG.
    pub(super) registration: [u8; 3],
    /// `<format>` of +COPS: 0 for the long name, 1 for the short name, 2 for the number.
    pub(super) operator_format: u8,
    /// The settings of the commands for short messages.
    pub(super) messages: MessageSettings,
    /// `<n>` of +CUSD: true if answers of USSD services are shown.
    pub(super) shows_ussd: bool,
    registers: [u8; 13],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            echo: true,
            verbose: true,
            quiet: false,
            cmee: 0,
            registration: [0; 3],
            operator_format: 0,
            messages: MessageSettings::default(),
            shows_ussd: false,
            // Defaults of V.250 section 6.2 for S3 to S5 and of section 6.3 for the others, which
            // concern calls.
            registers: [0, 0, 0, 13, 10, 8, 2, 50, 2, 0, 14, 0, 0],
        }
    }
}

impl Settings {
    /// Returns S3, the character that ends a line.
    pub(super) fn line_end(&self) -> u8 {
        self.registers[3]
    }

    /// Returns S5, the character that deletes the previous character.
    pub(super) fn backspace(&self) -> u8 {
        self.registers[5]
    }

    /// Returns S3 and S4, the characters around a response.
    pub(super) fn framing(&self) -> [u8; 2] {
        [self.registers[3], self.registers[4]]
    }

    /// Executes `Sn?` and `Sn=`.
    pub(super) fn register(&mut self, number: u32, value: Option<u32>) -> Answer {
        let register = usize::try_from(number).ok().and_then(|number| self.registers.get_mut(number));
        let register = register.ok_or(Refusal::Error)?;
        let Some(value) = value else { return Ok(vec![format!("{register:03}")]) };
        let value = u8::try_from(value).map_err(|_| Refusal::Error)?;
        if matches!(number, 3..=5) && value > 127 {
            return Err(Refusal::Error);
        }
        *register = value;
        Ok(vec![])
    }
}

/// Executes an action command without parameters.
pub(super) fn action(verb: &Verb, information: impl FnOnce() -> Vec<String>) -> Answer {
    match verb {
        Verb::Execute => Ok(information()),
        Verb::Test => Ok(vec![]),
        Verb::Read | Verb::Set(_) => Err(Refusal::Error),
    }
}

impl<D: CardInterface> AtModem<D> {
    /// Executes a basic command: V.250 sections 6.1 and 6.2.
    pub(super) async fn basic(&mut self, name: &str, number: Option<u32>) -> Answer {
        let switch = |number: Option<u32>| match number.unwrap_or(0) {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Refusal::Error),
        };
        match (name, number.unwrap_or(0)) {
            ("E", _) => self.settings.echo = switch(number)?,
            ("V", _) => self.settings.verbose = switch(number)?,
            ("Q", _) => self.settings.quiet = switch(number)?,
            ("Z", 0 | 1) | ("&F", 0 | 1) => self.settings = Settings::default(),
            ("I", _) => {
                let Identity { manufacturer, model, revision, .. } = &self.identity;
                return Ok(vec![manufacturer.clone(), model.clone(), format!("Revision: {revision}")]);
            }
            ("H", 0) => self.ath(),
            ("O", 0) => return self.ato(),
            // These commands concern the result codes of calls and modem control lines. This modem has
            // none of them, so the commands have no effect.
            ("X", 0..=4) | ("&C" | "&W", 0 | 1) | ("&D", 0..=2) => {}
            _ => return Err(Refusal::Error),
        }
        Ok(vec![])
    }

    /// Executes an extended command of this module.
    pub(super) fn general(&mut self, name: &str, verb: &Verb) -> Answer {
        match name {
            "+CGMI" | "+GMI" => action(verb, || vec![self.identity.manufacturer.clone()]),
            "+CGMM" | "+GMM" => action(verb, || vec![self.identity.model.clone()]),
            "+CGMR" | "+GMR" => action(verb, || vec![self.identity.revision.clone()]),
            "+CGSN" | "+GSN" => self.cgsn(verb),
            "+GCAP" => action(verb, || vec!["+GCAP: +CGSM".to_owned()]),
            "+CMEE" => self.cmee(verb),
            _ => Err(Refusal::Error),
        }
    }

    /// +CGSN: TS 27.007 section 5.4.
    fn cgsn(&self, verb: &Verb) -> Answer {
        let imei = &self.identity.imei;
        match verb {
            Verb::Execute => Ok(vec![imei.clone()]),
            Verb::Test => Ok(vec!["+CGSN: (0,1)".to_owned()]),
            Verb::Set(parameters) => match parameters.number::<u8>(0)? {
                Some(0) => Ok(vec![imei.clone()]),
                Some(1) => Ok(vec![format!("+CGSN: \"{imei}\"")]),
                _ => Err(Refusal::Error),
            },
            Verb::Read => Err(Refusal::Error),
        }
    }

    /// +CMEE: TS 27.007 section 9.1.
    fn cmee(&mut self, verb: &Verb) -> Answer {
        match verb {
            Verb::Read => return Ok(vec![format!("+CMEE: {}", self.settings.cmee)]),
            Verb::Test => return Ok(vec!["+CMEE: (0-2)".to_owned()]),
            Verb::Set(parameters) => {
                let mode = parameters.number::<u8>(0)?.unwrap_or(0);
                self.settings.cmee = Some(mode).filter(|mode| *mode <= 2).ok_or(Refusal::Error)?;
            }
            Verb::Execute => return Err(Refusal::Error),
        }
        Ok(vec![])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imei_contains_its_check_digit() {
        // A widely used example IMEI.
        assert_eq!(luhn("49015420323751"), 8);
        assert_eq!(Identity::numbered(1).imei, "001001000000015");
        assert_eq!(Identity::numbered(12_345_678).imei.len(), 15);
    }
}
