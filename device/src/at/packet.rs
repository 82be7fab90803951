//! AT commands for the packet domain: TS 27.007 sections 10.1 and 10.2, and the data call of a PDP
//! context (V.250 section 6.3).
//!
//! The simulated networks have no packet domain. The modem therefore carries the packets of its
//! contexts itself, to a loopback network: see [`ppp`](super::ppp).

use world::CardInterface;

use super::line::{Parameters, Verb};
use super::ppp::Link;
use super::refusal::{CmeError, Refusal};
use super::registration::Selection;
use super::{Answer, AtModem};

/// Maximum number of PDP contexts.
const MAX_CONTEXTS: u8 = 8;

/// A PDP context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Context {
    cid: u8,
    apn: String,
    is_active: bool,
}

impl Context {
    /// Returns the context of a modem without configuration.
    pub(super) fn initial() -> Self {
        Self { cid: 1, apn: String::new(), is_active: false }
    }

    /// Returns the addresses of the network and of the host.
    fn addresses(&self) -> ([u8; 4], [u8; 4]) {
        ([10, 64, self.cid, 1], [10, 64, self.cid, 2])
    }
}

/// A data call over the serial port.
pub(super) struct DataCall {
    cid: u8,
    link: Link,
    /// True if the program has returned to commands with `+++`.
    is_escaped: bool,
}

/// The octets that return to commands, if they arrive alone.
const ESCAPE: &[u8] = b"+++";

impl<D: CardInterface> AtModem<D> {
    /// True while the octets on the port are data.
    pub(super) fn is_in_data_mode(&self) -> bool {
        self.call.as_ref().is_some_and(|call| !call.is_escaped)
    }

    /// Processes octets in data mode.
    pub(super) fn receive_data(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let Some(call) = &mut self.call else { return };
        if octets == ESCAPE {
            call.is_escaped = true;
            return self.write_result(Ok(()), out);
        }
        out.extend(call.link.receive(octets));
        if call.link.is_terminated() {
            let cid = call.cid;
            self.call = None;
            self.deactivate(cid);
            self.write_code(NO_CARRIER, out);
        }
    }

    /// Ends the data call and discards the unfinished line, because the program has closed the port.
    /// Real modems notice this from the line DTR.
    pub fn hang_up(&mut self) {
        self.input.clear();
        self.prompt = None;
        if let Some(call) = self.call.take() {
            self.deactivate(call.cid);
        }
    }

    /// Ends all contexts, because the registration has ended.
    pub(super) fn release_contexts(&mut self) {
        self.contexts.iter_mut().for_each(|context| context.is_active = false);
        self.is_carrier_lost |= self.call.take().is_some();
    }

    /// Writes the result code of a call that the network has ended.
    pub(super) fn report_carrier(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_carrier_lost) {
            self.write_code(NO_CARRIER, out);
        }
    }

    /// ATH: ends a data call.
    pub(super) fn ath(&mut self) {
        if let Some(call) = self.call.take() {
            self.deactivate(call.cid);
        }
    }

    /// ATO: returns from commands to data.
    pub(super) fn ato(&mut self) -> Answer {
        let call = self.call.as_mut().ok_or(Refusal::Error)?;
        call.is_escaped = false;
        Ok(vec![])
    }

    /// ATD: only the packet domain can be dialled, `*99#` or `*99***<cid>#` (section 10.2.1.1).
    pub(super) fn dial(&mut self, number: &str) -> Answer {
        // T and P choose how a number is dialled.
        let number = number.strip_prefix(['T', 'P', 't', 'p']).unwrap_or(number);
        let service = number.strip_prefix("*99").and_then(|rest| rest.strip_suffix('#'));
        let cid = match service.map(|parts| parts.rsplit('*').next().unwrap_or_default()) {
            Some("") => 1,
            Some(cid) => cid.parse().map_err(|_| Refusal::NoCarrier)?,
            None => return Err(Refusal::NoCarrier),
        };
        self.connect(cid).map_err(|_| Refusal::NoCarrier)
    }

    /// Activates a context and begins its data call.
    fn connect(&mut self, cid: u8) -> Answer {
        self.activate(cid)?;
        let context = self.context(cid)?;
        let (own, assigned) = context.addresses();
        self.call = Some(DataCall { cid, link: Link::new(own, assigned), is_escaped: false });
        Ok(vec![])
    }

    fn context(&mut self, cid: u8) -> Result<&mut Context, Refusal> {
        let context = self.contexts.iter_mut().find(|context| context.cid == cid);
        Ok(context.ok_or(CmeError::UNKNOWN_CONTEXT)?)
    }

    fn activate(&mut self, cid: u8) -> Result<(), Refusal> {
        if self.modem.registered().is_none() {
            return Err(CmeError::NO_NETWORK_SERVICE.into());
        }
        self.context(cid)?.is_active = true;
        Ok(())
    }

    fn deactivate(&mut self, cid: u8) {
        if let Ok(context) = self.context(cid) {
            context.is_active = false;
        }
    }

    /// +CGDCONT, define PDP context: section 10.1.1.
    pub(super) fn cgdcont(&mut self, verb: &Verb) -> Answer {
        let parameters = match verb {
            Verb::Test => return Ok(vec![format!("+CGDCONT: (1-{MAX_CONTEXTS}),\"IP\",,,(0),(0)")]),
            Verb::Read => {
                let each = self.contexts.iter().map(|context| {
                    let address =
                        if context.is_active { dotted(context.addresses().1) } else { String::new() };
                    format!("+CGDCONT: {},\"IP\",\"{}\",\"{address}\",0,0", context.cid, context.apn)
                });
                return Ok(each.collect());
            }
            Verb::Set(parameters) => parameters,
            Verb::Execute => return Err(Refusal::Error),
        };
        let cid = parameters.number::<u8>(0)?.filter(|cid| (1..=MAX_CONTEXTS).contains(cid));
        let cid = cid.ok_or(CmeError::INCORRECT_PARAMETERS)?;
        if self.context(cid).is_ok_and(|context| context.is_active) {
            return Err(CmeError::OPERATION_NOT_ALLOWED.into());
        }
        self.contexts.retain(|context| context.cid != cid);
        // Without further parameters the context becomes undefined.
        if parameters.len() > 1 {
            if parameters.text(1).is_some_and(|kind| !kind.eq_ignore_ascii_case("IP")) {
                return Err(CmeError::UNKNOWN_CONTEXT_TYPE.into());
            }
            let apn = parameters.text(2).unwrap_or_default().to_owned();
            if apn.len() > MAX_APN || apn.contains(char::is_control) {
                return Err(CmeError::INCORRECT_PARAMETERS.into());
            }
            self.contexts.push(Context { cid, apn, is_active: false });
            self.contexts.sort_by_key(|context| context.cid);
        }
        Ok(vec![])
    }

    /// +CGATT, attach or detach: section 10.1.9. The simulated networks have one registration for
    /// both domains, so that a detach also ends the registration.
    pub(super) async fn cgatt(&mut self, verb: &Verb) -> Answer {
        match verb {
            Verb::Read => Ok(vec![format!("+CGATT: {}", u8::from(self.modem.registered().is_some()))]),
            Verb::Test => Ok(vec!["+CGATT: (0,1)".to_owned()]),
            Verb::Set(parameters) => match (parameters.number::<u8>(0)?, self.modem.registered()) {
                (Some(0), _) => {
                    self.selection = Selection::Deregistered;
                    self.deregister().await;
                    Ok(vec![])
                }
                (Some(1), Some(_)) => Ok(vec![]),
                (Some(1), None) => {
                    if self.selection == Selection::Deregistered {
                        self.selection = Selection::Automatic;
                    }
                    self.search_due = true;
                    Ok(vec![])
                }
                _ => Err(CmeError::INCORRECT_PARAMETERS.into()),
            },
            Verb::Execute => Err(Refusal::Error),
        }
    }

    /// +CGACT, activate or deactivate contexts: section 10.1.10.
    pub(super) fn cgact(&mut self, verb: &Verb) -> Answer {
        match verb {
            Verb::Test => Ok(vec!["+CGACT: (0,1)".to_owned()]),
            Verb::Read => {
                let each = self.contexts.iter();
                Ok(each
                    .map(|context| format!("+CGACT: {},{}", context.cid, u8::from(context.is_active)))
                    .collect())
            }
            Verb::Set(parameters) => {
                let is_activation = match parameters.number::<u8>(0)? {
                    Some(0) => false,
                    Some(1) => true,
                    _ => return Err(CmeError::INCORRECT_PARAMETERS.into()),
                };
                for cid in self.contexts_of(parameters, 1)? {
                    if is_activation {
                        self.activate(cid)?;
                    } else {
                        self.context(cid)?.is_active = false;
                        self.is_carrier_lost |= self.call.take_if(|call| call.cid == cid).is_some();
                    }
                }
                Ok(vec![])
            }
            Verb::Execute => Err(Refusal::Error),
        }
    }

    /// Returns the contexts that the parameters from `at` on name, or all contexts.
    fn contexts_of(&self, parameters: &Parameters, at: usize) -> Result<Vec<u8>, Refusal> {
        if parameters.len() <= at {
            return Ok(self.contexts.iter().map(|context| context.cid).collect());
        }
        let named = at..parameters.len();
        named.map(|at| parameters.number(at)?.ok_or(CmeError::INCORRECT_PARAMETERS.into())).collect()
    }

    /// +CGPADDR, show PDP addresses: section 10.1.14.
    pub(super) fn cgpaddr(&mut self, verb: &Verb) -> Answer {
        let cids = match verb {
            Verb::Test => {
                let known: Vec<String> =
                    self.contexts.iter().map(|context| context.cid.to_string()).collect();
                return Ok(vec![format!("+CGPADDR: ({})", known.join(","))]);
            }
            Verb::Execute => self.contexts.iter().map(|context| context.cid).collect(),
            Verb::Set(parameters) => self.contexts_of(parameters, 0)?,
            Verb::Read => return Err(Refusal::Error),
        };
        let mut lines = Vec::new();
        for cid in cids {
            let context = self.context(cid)?;
            lines.push(match context.is_active {
                true => format!("+CGPADDR: {cid},\"{}\"", dotted(context.addresses().1)),
                false => format!("+CGPADDR: {cid}"),
            });
        }
        Ok(lines)
    }

    /// +CGDATA, enter data state: section 10.1.12.
    pub(super) fn cgdata(&mut self, verb: &Verb) -> Answer {
        match verb {
            Verb::Test => Ok(vec!["+CGDATA: (\"PPP\")".to_owned()]),
            Verb::Set(parameters) if parameters.text(0).is_none_or(|l2p| l2p.eq_ignore_ascii_case("PPP")) => {
                self.connect(parameters.number(1)?.unwrap_or(1))
            }
            Verb::Set(_) => Err(CmeError::INCORRECT_PARAMETERS.into()),
            Verb::Execute | Verb::Read => Err(Refusal::Error),
        }
    }
}

/// Result codes of calls: V.250 section 5.7.1, table 1.
pub(super) const CONNECT: (&str, &str) = ("1", "CONNECT");
pub(super) const NO_CARRIER: (&str, &str) = ("3", "NO CARRIER");

/// Maximum length of an access point name: TS 23.003 section 9.1.
const MAX_APN: usize = 100;

fn dotted([a, b, c, d]: [u8; 4]) -> String {
    format!("{a}.{b}.{c}.{d}")
}
