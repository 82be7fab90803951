//! The AT command interface of a modem: ITU-T V.250 and 3GPP TS 27.007 over a [`Modem`].
//!
//! The module performs no I/O: octets from the serial port are passed to [`AtModem::receive`], and
//! the returned octets are written to the port. Activity between commands (a REFRESH requested by
//! the card, a search for a network) happens in [`AtModem::settle`].
//!
//! | Module | Commands | Clause |
//! |---|---|---|
//! | `line` | the parser of command lines | V.250 section 5 |
//! | `general` | ATE, ATI, ATZ, S registers, +CGMI, +CGSN, +CMEE, ... | V.250 section 6, TS 27.007 sections 5 and 9.1 |
//! | `card` | +CSIM, +CRSM, +CCHO, +CGLA, +CCHC, +CIMI, +CCID | TS 27.007 sections 5.6, 8.17, 8.18, 8.43, 8.45, 8.46 |
//! | `pin` | +CPIN, +CPINR, +CPWD, +CLCK | TS 27.007 sections 7.4, 7.5, 8.3, 8.65 |
//! | `registration` | +CFUN, +COPS, +CREG, +CGREG, +CEREG, +CSQ | TS 27.007 sections 7.2, 7.3, 8.2, 8.5, 10.1 |
//! | `packet` | +CGDCONT, +CGATT, +CGACT, +CGPADDR, +CGDATA, ATD | TS 27.007 sections 10.1 and 10.2 |
//! | `ppp` | the network's side of a data call | RFC 1661, RFC 1332 |
//! | `messages` | +CMGF, +CMGS, +CMGL, +CMGR, +CMGD, +CNMI, +CPMS, +CSCA, ... | TS 27.005 |
//! | `ussd` | +CUSD | TS 27.007 section 7.15 |
//! | `euicc` | +CGEUICCID, +CEUICCPD, +CEUICCPM, ... | TS 27.007 section 20 |
//! | `quirk` | manufacturer-specific deviations | |
//! | `refusal` | final result codes other than OK | V.250 section 5.7, TS 27.007 section 9.2 |

mod card;
mod euicc;
mod general;
mod line;
mod messages;
mod packet;
mod pin;
mod ppp;
mod quirk;
mod refusal;
mod registration;
mod registration_state;
mod ussd;

use world::CardInterface;

pub use general::Identity;
pub use quirk::{Quirk, UnknownQuirk};

use super::lpa::Lpa;
use super::modem::Modem;
use super::terminal::Abilities;
use card::Session;
use general::Settings;
use line::{Command, Commands};
use messages::{Messages, Prompt};
use packet::{CONNECT, Context, DataCall, NO_CARRIER};
use refusal::{CmeError, Refusal};
use registration::{Functionality, Selection};
use registration_state::RegistrationState;

/// Maximum length of a command line: the longest extended APDU in hexadecimal characters, and the
/// command around it.
pub(super) const MAX_LINE: usize = 2 * 65_544 + 64;

/// A modem with its serial port.
pub struct AtModem<D> {
    modem: Modem<D>,
    identity: Identity,
    quirks: Vec<Quirk>,
    settings: Settings,
    input: Vec<u8>,
    /// The last command line, which `A/` repeats.
    last_body: String,
    sessions: Vec<Session>,
    sessions_so_far: u32,
    functionality: Functionality,
    selection: Selection,
    registration_state: RegistrationState,
    /// True if a search for a network is due.
    search_due: bool,
    /// The last reported `<stat>`.
    reported_stat: u8,
    /// Unsolicited result codes that were not written yet.
    unsolicited: Vec<String>,
    messages: Messages,
    /// The message that the modem awaits after its prompt.
    prompt: Option<Prompt>,
    contexts: Vec<Context>,
    call: Option<DataCall>,
    /// True if the network has ended a data call, and this was not reported yet.
    is_carrier_lost: bool,
    lpa: Option<Lpa<D>>,
    /// True if the LPA has reset the card since the last [`settle`](Self::settle).
    is_card_changed: bool,
    /// True if the state of the PIN is to be reported after a reset of the card.
    is_ready_report_due: bool,
}

/// The lines of the information text, or the reason for the refusal.
type Answer = Result<Vec<String>, Refusal>;

impl<D: CardInterface> AtModem<D> {
    /// Creates a modem that has just been switched on. Its first [`settle`](Self::settle) searches
    /// for a network.
    pub fn new(mut modem: Modem<D>, identity: Identity, quirks: Vec<Quirk>) -> Self {
        modem.terminal().set_abilities(Abilities::of_modem());
        Self {
            modem,
            identity,
            quirks,
            settings: Settings::default(),
            input: Vec::new(),
            last_body: String::new(),
            sessions: Vec::new(),
            sessions_so_far: 0,
            functionality: Functionality::Full,
            selection: Selection::Automatic,
            registration_state: RegistrationState::Searching,
            search_due: true,
            reported_stat: 0,
            unsolicited: Vec::new(),
            messages: Messages::default(),
            prompt: None,
            contexts: vec![Context::initial()],
            call: None,
            is_carrier_lost: false,
            lpa: None,
            is_card_changed: false,
            is_ready_report_due: false,
        }
    }

    /// Returns the modem behind the port.
    pub fn modem(&self) -> &Modem<D> {
        &self.modem
    }

    /// Processes octets that were received from the port, executes the complete lines, and returns
    /// the octets to write to the port.
    pub async fn receive(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, octet) in octets.iter().enumerate() {
            if self.is_in_data_mode() {
                self.receive_data(octets.get(at..).unwrap_or_default(), &mut out);
                break;
            }
            if self.settings.echo {
                out.push(*octet);
            }
            self.process_octet(*octet, &mut out).await;
        }
        out
    }

    async fn process_octet(&mut self, octet: u8, out: &mut Vec<u8>) {
        if self.prompt.is_some() {
            return self.prompted(octet, out).await;
        }
        match octet {
            octet if octet == self.settings.line_end() => {
                let line = std::mem::take(&mut self.input);
                if line.len() > MAX_LINE {
                    return self.write_result(Err(Refusal::Error), out);
                }
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                // Lines without the prefix AT are ignored: V.250 section 5.2.1.
                if let Some((_, body)) =
                    line.split_at_checked(2).filter(|(at, _)| at.eq_ignore_ascii_case("AT"))
                {
                    body.clone_into(&mut self.last_body);
                    self.execute_line(out).await;
                }
            }
            octet if octet == self.settings.backspace() => drop(self.input.pop()),
            // Other control characters are ignored: section 5.2.2.
            0..0x20 => {}
            octet => {
                if self.input.len() <= MAX_LINE {
                    self.input.push(octet);
                }
                if self.input.eq_ignore_ascii_case(b"A/") {
                    self.input.clear();
                    self.execute_line(out).await;
                }
            }
        }
    }

    /// Executes the commands of a line until one fails: V.250 section 5.2.3.
    async fn execute_line(&mut self, out: &mut Vec<u8>) {
        let body = self.last_body.clone();
        for command in Commands::of(&body) {
            let answer = match command {
                Ok(command) => self.perform(command).await,
                Err(malformed) => Err(malformed.into()),
            };
            match answer {
                Ok(information) => information.iter().for_each(|text| self.write_text(text, out)),
                Err(refusal) => return self.write_result(Err(refusal), out),
            }
            if self.is_in_data_mode() {
                return self.write_code(CONNECT, out);
            }
            if self.prompt.is_some() {
                let [end, feed] = self.settings.framing();
                return out.extend([end, feed, b'>', b' ']);
            }
        }
        self.write_result(Ok(()), out);
    }

    async fn perform(&mut self, command: Command) -> Answer {
        match command {
            Command::Basic { name, number } => self.basic(&name, number).await,
            Command::Dial(number) => self.dial(&number),
            Command::Register { number, value } => self.settings.register(number, value),
            Command::Extended { name, verb } => match name.as_str() {
                "+CSIM" => self.csim(&verb).await,
                "+CRSM" => self.crsm(&verb).await,
                "+CCHO" => self.ccho(&verb).await,
                "+CGLA" => self.cgla(&verb).await,
                "+CCHC" => self.cchc(&verb).await,
                "+CIMI" => self.cimi(&verb).await,
                "+CCID" | "+ICCID" | "+QCCID" => self.ccid(&name, &verb).await,
                "+CPIN" => self.cpin(&verb).await,
                "+CPINR" => self.cpinr(&verb).await,
                "+CPWD" => self.cpwd(&verb).await,
                "+CLCK" => self.clck(&verb).await,
                "+CFUN" => self.cfun(&verb).await,
                "+COPS" => self.cops(&verb).await,
                "+CREG" | "+CGREG" | "+CEREG" => self.creg(&name, &verb),
                "+CSQ" => self.csq(&verb).await,
                "+CGDCONT" => self.cgdcont(&verb),
                "+CGATT" => self.cgatt(&verb).await,
                "+CGACT" => self.cgact(&verb),
                "+CGPADDR" => self.cgpaddr(&verb),
                "+CGDATA" => self.cgdata(&verb),
                "+CMGF" => self.cmgf(&verb),
                "+CMGS" => self.cmgs(&verb),
                "+CMGL" => self.cmgl(&verb),
                "+CMGR" => self.cmgr(&verb),
                "+CMGD" => self.cmgd(&verb),
                "+CNMI" => self.cnmi(&verb),
                "+CPMS" => self.cpms(&verb),
                "+CSCA" => self.csca(&verb),
                "+CSMP" => self.csmp(&verb),
                "+CSDH" => self.csdh(&verb),
                "+CSMS" => self.csms(&verb),
                "+CUSD" => self.cusd(&verb),
                name if name == "+CGEUICCID" || name.starts_with("+CEUICC") => self.euicc(name, &verb).await,
                _ => self.general(&name, &verb),
            },
        }
    }

    /// Performs the activity between commands: takes short messages from the network, executes
    /// proactive commands, and searches for a network if a search is due. Returns the unsolicited
    /// result codes for the port.
    ///
    /// If the result codes report that the modem searches, the next call performs the search
    /// ([`is_search_due`](Self::is_search_due)). A host that reads both reports at once may take
    /// them in the wrong order, as ModemManager does.
    pub async fn settle(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.take_arrived().await;
        let was_refreshed = self.functionality != Functionality::Minimum && self.execute_proactive().await;
        let was_changed = std::mem::take(&mut self.is_card_changed);
        self.report_carrier(&mut out);
        if (was_refreshed || was_changed) && self.has(Quirk::TellsSimState) {
            self.write_unsolicited("+CPIN: NOT READY", &mut out);
            self.is_ready_report_due = true;
        }
        self.report_registration(&mut out);
        if self.search_due && !out.is_empty() {
            return out;
        }
        self.register_if_due().await;
        if std::mem::take(&mut self.is_ready_report_due)
            && let Ok(state) = self.pin_state().await
        {
            self.write_unsolicited(&format!("+CPIN: {state}"), &mut out);
        }
        self.report_registration(&mut out);
        if !self.is_in_data_mode() && self.prompt.is_none() {
            for text in std::mem::take(&mut self.unsolicited) {
                self.write_unsolicited(&text, &mut out);
            }
        }
        out
    }

    /// True if the next [`settle`](Self::settle) searches for a network.
    pub fn is_search_due(&self) -> bool {
        self.search_due
    }

    /// Executes the pending proactive commands. Returns true if the card was reset.
    async fn execute_proactive(&mut self) -> bool {
        match self.modem.terminal().serve_proactive().await {
            Ok(false) => false,
            Ok(true) => {
                self.forget_card();
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the modem could not execute a proactive command");
                false
            }
        }
    }

    /// Discards the known state of the card after a reset: the reset closed all channels, and the
    /// card may now contain another subscription.
    fn forget_card(&mut self) {
        self.sessions.clear();
        self.modem.forget();
        self.release_contexts();
        self.registration_state = RegistrationState::Searching;
        self.search_due = true;
    }

    fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// Returns the `<err>` that is reported, subject to +CMEE and the quirks.
    fn reported_error(&self, refusal: Refusal) -> Option<CmeError> {
        match refusal {
            Refusal::Error | Refusal::NoCarrier | Refusal::ShortMessage(_) => None,
            Refusal::Card(_) if self.has(Quirk::PlainErrors) => None,
            Refusal::Card(_) if self.has(Quirk::SimFailure) => Some(CmeError::SIM_FAILURE),
            Refusal::Card(error) | Refusal::MobileTermination(error) => Some(error),
        }
        // req: TS.27.007-9.1-Cmee
        .filter(|_| self.settings.cmee > 0)
    }

    /// Writes information text: V.250 section 5.7.1. A line feed in the text begins a new line.
    fn write_text(&self, text: &str, out: &mut Vec<u8>) {
        let [end, feed] = self.settings.framing();
        if self.settings.verbose {
            out.extend([end, feed]);
        }
        for octet in text.bytes() {
            match octet {
                b'\n' => out.extend([end, feed]),
                octet => out.push(octet),
            }
        }
        out.extend([end, feed]);
    }

    /// Writes an unsolicited result code.
    fn write_unsolicited(&self, text: &str, out: &mut Vec<u8>) {
        if !self.settings.quiet {
            self.write_text(text, out);
        }
    }

    /// Writes the final result code: V.250 section 5.7.1, TS 27.007 section 9.2.
    fn write_result(&self, result: Result<(), Refusal>, out: &mut Vec<u8>) {
        if self.settings.quiet {
            return;
        }
        match result {
            Ok(()) => self.write_code(("0", "OK"), out),
            Err(Refusal::NoCarrier) => self.write_code(NO_CARRIER, out),
            Err(Refusal::ShortMessage(error)) => self.write_text(&format!("+CMS ERROR: {}", error.0), out),
            Err(refusal) => match self.reported_error(refusal) {
                None => self.write_code(("4", "ERROR"), out),
                Some(error) => {
                    let text = match self.settings.cmee {
                        1 => error.0.to_string(),
                        _ => error.text().to_owned(),
                    };
                    // ATV does not affect this result code: TS 27.007 section 9.2.0.
                    self.write_text(&format!("+CME ERROR: {text}"), out);
                }
            },
        }
    }

    /// Writes a result code in its numeric or verbose form.
    fn write_code(&self, (number, text): (&str, &str), out: &mut Vec<u8>) {
        if self.settings.quiet {
            return;
        }
        if self.settings.verbose {
            self.write_text(text, out);
        } else {
            let [end, _] = self.settings.framing();
            out.extend_from_slice(number.as_bytes());
            out.push(end);
        }
    }
}
