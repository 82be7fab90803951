//! AT commands for networks and the registration: TS 27.007 sections 7.2, 7.3, 8.2, 8.5, 10.1.20
//! and 10.1.22.

use rsp::ids::Plmn;
use world::CardInterface;

use super::line::{Parameters, Verb};
use super::refusal::{CmeError, Refusal};
use super::registration_state::RegistrationState;
use super::{Answer, AtModem, Settings};
use crate::modem::{NoService, NotRegistered};
use network::{Service, SystemInformation};

/// `<fun>` of +CFUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Functionality {
    /// 0: both radio and card are off.
    Minimum,
    /// 1: full functionality.
    Full,
    /// 4: the radio is off, the card is on.
    NoRadio,
}

/// `<mode>` of +COPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// 0
    Automatic,
    /// 1
    Manual(Plmn),
    /// 2
    Deregistered,
}

/// `<AcT>` of the simulated networks: E-UTRAN.
const ACCESS_TECHNOLOGY: u8 = 7;

impl<D: CardInterface> AtModem<D> {
    /// If the modem has no service, it searches again at the next [`settle`](Self::settle). Real
    /// modems search periodically.
    pub fn search_again(&mut self) {
        self.search_due |=
            self.registration_state == RegistrationState::Searching && self.modem.registered().is_none();
    }

    pub(super) async fn register_if_due(&mut self) {
        let search_due = std::mem::take(&mut self.search_due);
        if self.functionality != Functionality::Full {
            return;
        }
        if search_due {
            // A new registration starts without active contexts.
            self.release_contexts();
        }
        let registered = match self.selection {
            Selection::Automatic if search_due => self.modem.register().await,
            Selection::Automatic if self.modem.is_home_search_due() => match self.modem.search_home().await {
                Some(registered) => registered,
                None => return,
            },
            Selection::Manual(plmn) if search_due => self.modem.register_manually(plmn).await,
            _ => return,
        };
        if let Err(not) = registered {
            self.update_state_after(&not);
        }
    }

    fn update_state_after(&mut self, not: &NotRegistered) {
        self.registration_state = match &not.why {
            NoService::Refused(_) | NoService::Forbidden(_) => RegistrationState::Denied,
            NoService::NoCoverage | NoService::Lost(_) => RegistrationState::Searching,
            NoService::Card(_) => RegistrationState::NoCard,
        };
    }

    /// Detaches from the network, or stops the search.
    pub(super) async fn deregister(&mut self) {
        self.release_contexts();
        self.modem.detach().await;
        self.registration_state = RegistrationState::Searching;
        self.search_due = false;
    }

    /// +CFUN, set phone functionality: section 8.2.
    pub(super) async fn cfun(&mut self, verb: &Verb) -> Answer {
        let parameters = match verb {
            Verb::Read => {
                let number = match self.functionality {
                    Functionality::Minimum => 0,
                    Functionality::Full => 1,
                    Functionality::NoRadio => 4,
                };
                return Ok(vec![format!("+CFUN: {number}")]);
            }
            Verb::Test => return Ok(vec!["+CFUN: (0,1,4),(0,1)".to_owned()]),
            Verb::Set(parameters) => parameters,
            Verb::Execute => return Err(Refusal::Error),
        };
        let requested = match parameters.number::<u8>(0)?.unwrap_or(1) {
            0 => Functionality::Minimum,
            1 => Functionality::Full,
            4 => Functionality::NoRadio,
            _ => return Err(CmeError::INCORRECT_PARAMETERS.into()),
        };
        let is_reset = match parameters.number::<u8>(1)?.unwrap_or(0) {
            0 => false,
            1 => true,
            _ => return Err(CmeError::INCORRECT_PARAMETERS.into()),
        };
        let had_card = self.functionality != Functionality::Minimum;
        self.functionality = requested;
        if is_reset {
            self.settings = Settings::default();
            self.selection = Selection::Automatic;
        }
        if is_reset || !had_card {
            self.modem.reset_card().await?;
            self.forget_card();
        }
        match requested {
            Functionality::Full => self.search_due = true,
            Functionality::NoRadio => self.deregister().await,
            Functionality::Minimum => {
                self.deregister().await;
                self.sessions.clear();
                self.modem.forget();
            }
        }
        Ok(vec![])
    }

    /// +COPS, PLMN selection: section 7.3.
    pub(super) async fn cops(&mut self, verb: &Verb) -> Answer {
        match verb {
            Verb::Read => Ok(vec![self.operator()]),
            Verb::Test => {
                let received = self.received_networks().await?;
                let list: Vec<String> = received.iter().map(|network| self.list_entry(network)).collect();
                Ok(vec![format!("+COPS: {},,(0-4),(0-2)", list.join(","))])
            }
            Verb::Set(parameters) => self.select_network(parameters).await,
            Verb::Execute => Err(Refusal::Error),
        }
    }

    fn operator(&self) -> String {
        let mode = match self.selection {
            Selection::Automatic => 0,
            Selection::Manual(_) => 1,
            Selection::Deregistered => 2,
        };
        match self.modem.registered() {
            Some(registered) => {
                let format = self.settings.operator_format;
                let name = match format {
                    0 => truncated(&registered.network_name, LONG_NAME),
                    1 => truncated(&registered.network_name, SHORT_NAME),
                    _ => number(registered.plmn),
                };
                format!("+COPS: {mode},{format},\"{name}\",{ACCESS_TECHNOLOGY}")
            }
            None => format!("+COPS: {mode}"),
        }
    }

    fn list_entry(&self, network: &SystemInformation) -> String {
        let SystemInformation { plmn, name, .. } = network;
        let is_current = self.modem.registered().is_some_and(|registered| registered.plmn == *plmn);
        let is_forbidden = self.modem.usim().is_some_and(|usim| usim.forbidden.contains(plmn));
        let availability = match (is_current, is_forbidden) {
            (true, _) => 2,
            (false, true) => 3,
            (false, false) => 1,
        };
        let (long, short) = (truncated(name, LONG_NAME), truncated(name, SHORT_NAME));
        format!("({availability},\"{long}\",\"{short}\",\"{}\",{ACCESS_TECHNOLOGY})", number(*plmn))
    }

    async fn received_networks(&mut self) -> Result<Vec<SystemInformation>, Refusal> {
        if self.functionality != Functionality::Full {
            return Err(CmeError::OPERATION_NOT_ALLOWED.into());
        }
        self.modem.received_networks().await.map_err(|_| CmeError::NO_NETWORK_SERVICE.into())
    }

    async fn select_network(&mut self, parameters: &Parameters) -> Answer {
        let format = parameters.number::<u8>(1)?.unwrap_or(self.settings.operator_format);
        if format > 2 {
            return Err(CmeError::INCORRECT_PARAMETERS.into());
        }
        match parameters.number::<u8>(0)?.unwrap_or(0) {
            0 => {
                self.selection = Selection::Automatic;
                self.registration_state = RegistrationState::Searching;
                self.search_due = true;
            }
            mode @ (1 | 4) => {
                let named = parameters.text(2).ok_or(CmeError::INCORRECT_PARAMETERS)?;
                let chosen = self.choose(format, named).await;
                if chosen.is_err() && mode == 4 {
                    self.selection = Selection::Automatic;
                    self.search_due = true;
                } else {
                    chosen?;
                }
            }
            2 => {
                self.selection = Selection::Deregistered;
                self.deregister().await;
            }
            3 => {}
            _ => return Err(CmeError::INCORRECT_PARAMETERS.into()),
        }
        self.settings.operator_format = format;
        Ok(vec![])
    }

    /// Registers on this network only.
    async fn choose(&mut self, format: u8, named: &str) -> Result<(), Refusal> {
        let received = self.received_networks().await?;
        let is_meant = |network: &&SystemInformation| match format {
            0 => truncated(&network.name, LONG_NAME) == named,
            1 => truncated(&network.name, SHORT_NAME) == named,
            _ => number(network.plmn) == named,
        };
        let plmn = received.iter().find(is_meant).ok_or(CmeError::NO_NETWORK_SERVICE)?.plmn;
        self.selection = Selection::Manual(plmn);
        self.search_due = false;
        let Err(not) = self.modem.register_manually(plmn).await else { return Ok(()) };
        self.update_state_after(&not);
        Err(match not.why {
            NoService::Card(error) => error.into(),
            NoService::Refused(_) | NoService::Forbidden(_) => CmeError::NETWORK_NOT_ALLOWED.into(),
            NoService::NoCoverage | NoService::Lost(_) => CmeError::NO_NETWORK_SERVICE.into(),
        })
    }

    /// +CREG, +CGREG and +CEREG, network registration: sections 7.2, 10.1.20 and 10.1.22. The three
    /// commands share one registration state.
    pub(super) fn creg(&mut self, name: &str, verb: &Verb) -> Answer {
        let at = usize::from(name != "+CREG").saturating_add(usize::from(name == "+CEREG"));
        let (stat, location) = (self.stat(), self.location());
        let mode = self.settings.registration.get_mut(at).ok_or(Refusal::Error)?;
        match verb {
            Verb::Read if *mode == 2 => Ok(vec![format!("{name}: 2,{stat}{location}")]),
            Verb::Read => Ok(vec![format!("{name}: {mode},{stat}")]),
            Verb::Test => Ok(vec![format!("{name}: (0-2)")]),
            Verb::Set(parameters) => {
                let requested = parameters.number::<u8>(0)?.unwrap_or(0);
                *mode = Some(requested).filter(|mode| *mode <= 2).ok_or(CmeError::INCORRECT_PARAMETERS)?;
                Ok(vec![])
            }
            Verb::Execute => Err(Refusal::Error),
        }
    }

    /// Writes the unsolicited result codes of the registration, if `<stat>` has changed.
    pub(super) fn report_registration(&mut self, out: &mut Vec<u8>) {
        // A change during a data call is reported after its end.
        if self.is_in_data_mode() {
            return;
        }
        let stat = self.stat();
        if stat == std::mem::replace(&mut self.reported_stat, stat) {
            return;
        }
        for (name, mode) in ["+CREG", "+CGREG", "+CEREG"].into_iter().zip(self.settings.registration) {
            match mode {
                0 => {}
                1 => self.write_unsolicited(&format!("{name}: {stat}"), out),
                _ => self.write_unsolicited(&format!("{name}: {stat}{}", self.location()), out),
            }
        }
    }

    /// Returns `<stat>`.
    fn stat(&self) -> u8 {
        let is_off = self.functionality != Functionality::Full || self.selection == Selection::Deregistered;
        match (self.modem.registered().map(|registered| registered.service), self.registration_state) {
            (Some(Service::Home), _) => 1,
            (Some(Service::Roaming), _) => 5,
            (None, _) if is_off => 0,
            (None, RegistrationState::NoCard) => 0,
            (None, RegistrationState::Searching) => 2,
            (None, RegistrationState::Denied) => 3,
        }
    }

    /// Returns `[,<tac>,<ci>,<AcT>]`. All simulated networks have the same area and cell. Without these
    /// values ModemManager does not parse the result code.
    fn location(&self) -> String {
        match self.modem.registered() {
            Some(_) => format!(",\"0001\",\"00000001\",{ACCESS_TECHNOLOGY}"),
            None => String::new(),
        }
    }

    /// +CSQ, signal quality: section 8.5. A simulated network has a strong signal or none.
    pub(super) async fn csq(&mut self, verb: &Verb) -> Answer {
        match verb {
            Verb::Execute => {
                let is_received = self.received_networks().await.is_ok_and(|received| !received.is_empty());
                Ok(vec![format!("+CSQ: {},99", if is_received { 31 } else { 99 })])
            }
            Verb::Test => Ok(vec!["+CSQ: (0-31,99),(99)".to_owned()]),
            Verb::Read | Verb::Set(_) => Err(Refusal::Error),
        }
    }
}

/// Maximum lengths of network names: section 7.3.
const LONG_NAME: usize = 16;
const SHORT_NAME: usize = 8;

fn truncated(name: &str, characters: usize) -> String {
    name.chars().filter(|c| *c != '"' && !c.is_control()).take(characters).collect()
}

/// Returns the digits of MCC and MNC.
fn number(plmn: Plmn) -> String {
    plmn.to_string().replace('-', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_string_of_at_commands_with_a_limited_length() {
        assert_eq!(truncated("The \"best\"\n network", LONG_NAME), "The best network");
        assert_eq!(truncated("Network", 3), "Net");
    }
}
