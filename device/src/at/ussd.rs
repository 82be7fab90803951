//! +CUSD, unstructured supplementary service data: TS 27.007 section 7.15.

use world::CardInterface;

use super::line::Verb;
use super::refusal::{CmeError, Refusal};
use super::{Answer, AtModem};

impl<D: CardInterface> AtModem<D> {
    /// +CUSD. The simulated networks have no USSD services, so that each request is answered with
    /// `<m>` 4, "operation not supported".
    pub(super) fn cusd(&mut self, verb: &Verb) -> Answer {
        let parameters = match verb {
            Verb::Read => return Ok(vec![format!("+CUSD: {}", u8::from(self.settings.shows_ussd))]),
            Verb::Test => return Ok(vec!["+CUSD: (0-2)".to_owned()]),
            Verb::Set(parameters) => parameters,
            Verb::Execute => return Err(Refusal::Error),
        };
        let is_request = parameters.text(1).is_some();
        match parameters.number::<u8>(0)?.unwrap_or(0) {
            // 2 ends a session. The modem never has one.
            2 => return Ok(vec![]),
            mode @ (0 | 1) => self.settings.shows_ussd = mode == 1,
            _ => return Err(CmeError::INCORRECT_PARAMETERS.into()),
        }
        if is_request {
            if self.modem.registered().is_none() {
                return Err(CmeError::NO_NETWORK_SERVICE.into());
            }
            if self.settings.shows_ussd {
                self.unsolicited.push("+CUSD: 4".to_owned());
            }
        }
        Ok(vec![])
    }
}
