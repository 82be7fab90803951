//! Codes: numbers and names in the tables of the protocols.

use std::collections::BTreeSet;

use net::smpp::pdu::{self, CommandStatus};
use network::{EmmCause, FivegmmCause, RpCause, TpFailureCause};
use profile::PeStatusCode;
use rsp::{der::Shown, sgp02, status};
use trace::es10::{FUNCTIONS, Function, ResultCode, ResultValue};

use super::Reading;

/// A table that an input can name.
#[derive(Clone, Copy)]
pub(super) enum Table {
    Emm,
    Fivegmm,
    Rp,
    TpFcs,
    Smpp,
    StatusWord,
    PeStatus,
    /// `cause`: the causes of networks and short messages.
    AnyCause,
    /// The result codes of an ES10 function.
    Function(&'static Function),
    /// One element with a result code.
    Element(&'static Function, &'static ResultCode),
}

impl Table {
    /// Returns the table of this name, such as `EMM`, `EnableProfile` or `enableResult`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = plain(name);
        let table = match name.as_str() {
            "emm" | "emmcause" => Self::Emm,
            "5gmm" | "5gmmcause" => Self::Fivegmm,
            "rp" | "rpcause" => Self::Rp,
            "tpfcs" | "fcs" => Self::TpFcs,
            "smpp" | "commandstatus" => Self::Smpp,
            "sw" | "statusword" => Self::StatusWord,
            "pestatus" => Self::PeStatus,
            "cause" => Self::AnyCause,
            "profileinstallationresult" => return Self::named("LoadBoundProfilePackage"),
            _ => {
                return FUNCTIONS.iter().filter(|function| !function.results.is_empty()).find_map(
                    |function| {
                        let own = function.name.split_once('.').map_or(function.name, |(_, own)| own);
                        if [plain(own), plain(function.name)].contains(&name) {
                            return Some(Self::Function(function));
                        }
                        let element = function.results.iter().find(|result| plain(result.element) == name);
                        element.map(|element| Self::Element(function, element))
                    },
                );
            }
        };
        Some(table)
    }

    /// Returns the readings of a number in the table.
    pub(super) fn readings(self, number: &str) -> Vec<Reading> {
        let octet = || decimal(number).and_then(|number| u8::try_from(number).ok());
        match self {
            Self::Emm => octet().and_then(emm).into_iter().collect(),
            Self::Fivegmm => octet().and_then(fivegmm).into_iter().collect(),
            Self::Rp => octet().and_then(rp).into_iter().collect(),
            Self::TpFcs => hexadecimal(number).or_else(octet).and_then(tp_fcs).into_iter().collect(),
            Self::Smpp => decimal(number).and_then(smpp).or_else(|| smpp_name(number)).into_iter().collect(),
            Self::StatusWord => status_word(number).into_iter().collect(),
            Self::PeStatus => decimal(number).and_then(pe_status).into_iter().collect(),
            Self::AnyCause => octet()
                .map(|octet| [emm(octet), fivegmm(octet), rp(octet)].into_iter().flatten().collect())
                .unwrap_or_default(),
            Self::Function(function) => {
                let of = |result| result_readings(function, result, number);
                function.results.iter().flat_map(of).collect()
            }
            Self::Element(function, result) => result_readings(function, result, number),
        }
    }

    /// Returns a number of the table.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Emm | Self::Fivegmm | Self::AnyCause => "11",
            Self::Rp => "22",
            Self::TpFcs => "D3",
            Self::Smpp => "0x58",
            Self::StatusWord => "6A88",
            Self::PeStatus | Self::Function(_) | Self::Element(..) => "1",
        }
    }

    /// Lists the numbers of the table.
    pub(super) fn numbers(self) -> String {
        let octets = |numbers: &[u8]| numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let emm: Vec<u8> = EmmCause::ALL.iter().map(|cause| cause.0).collect();
        let fivegmm: Vec<u8> = FivegmmCause::ALL.iter().map(|cause| cause.0).collect();
        let rp: Vec<u8> = RpCause::ALL.iter().map(|cause| cause.0).collect();
        let of = |result: &ResultCode| {
            (result.values)().iter().map(|value| value.number.to_string()).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Emm => octets(&emm),
            Self::Fivegmm => octets(&fivegmm),
            Self::Rp => octets(&rp),
            Self::AnyCause => {
                let any: BTreeSet<u8> = [emm, fivegmm, rp].concat().into_iter().collect();
                octets(&any.into_iter().collect::<Vec<_>>())
            }
            Self::TpFcs => TpFailureCause::ALL
                .iter()
                .map(|cause| format!("{:02X}", cause.0))
                .collect::<Vec<_>>()
                .join(", "),
            Self::Smpp => "the statuses of SMPP 3.4 and 5.0".to_owned(),
            Self::StatusWord => "four hexadecimal digits, 6xxx or 9xxx".to_owned(),
            Self::PeStatus => {
                PeStatusCode::ALL.iter().map(|code| code.0.to_string()).collect::<Vec<_>>().join(", ")
            }
            Self::Function(function) => function.results.iter().map(of).collect::<Vec<_>>().join("; "),
            Self::Element(_, result) => of(result),
        }
    }
}

/// Returns the readings of a code without a table: a status code, a status word, a number, or a name.
pub(super) fn readings(text: &str) -> Vec<Reading> {
    if let Some((subject, reason)) = text.split_once('/') {
        return gsma_status(subject, reason);
    }
    if let Some(reading) = status_word(text) {
        return vec![reading];
    }
    if let Some(reading) = smpp_name(text) {
        return vec![reading];
    }
    let digits = text.strip_prefix('#').unwrap_or(text);
    if decimal(digits).is_some() && digits.len() <= 3 || digits.starts_with("0x") {
        return numbered(digits);
    }
    if text.len() == 2
        && let Some(reading) = hexadecimal(text).and_then(tp_fcs)
    {
        return vec![reading];
    }
    named(text)
}

/// Returns the readings of a number in every table.
fn numbered(number: &str) -> Vec<Reading> {
    let tables = [Table::AnyCause, Table::TpFcs, Table::Smpp, Table::PeStatus];
    let functions = FUNCTIONS.iter().map(Table::Function);
    tables.into_iter().chain(functions).flat_map(|table| table.readings(number)).collect()
}

/// Returns the readings of the name of a code, in any spelling: `catBusy`, `cat-busy`, `CAT_BUSY`.
fn named(name: &str) -> Vec<Reading> {
    let name = plain(name);
    let mut readings: Vec<Reading> = Vec::new();
    readings
        .extend(EmmCause::ALL.iter().filter(|cause| plain(cause.name()) == name).filter_map(|c| emm(c.0)));
    readings.extend(
        FivegmmCause::ALL.iter().filter(|cause| plain(cause.name()) == name).filter_map(|c| fivegmm(c.0)),
    );
    readings.extend(RpCause::ALL.iter().filter(|cause| plain(cause.name()) == name).filter_map(|c| rp(c.0)));
    readings.extend(
        TpFailureCause::ALL.iter().filter(|cause| plain(cause.name()) == name).filter_map(|c| tp_fcs(c.0)),
    );
    readings.extend(
        PeStatusCode::ALL
            .iter()
            .filter(|code| name_of(&code.to_string()) == name)
            .filter_map(|code| pe_status(code.0.try_into().ok()?)),
    );
    for function in &FUNCTIONS {
        for result in function.results {
            let of = |value: &ResultValue| name_of(&value.name) == name;
            let values = (result.values)().into_iter().filter(of);
            readings.extend(values.map(|value| result_reading(function, result, value)));
        }
    }
    readings
}

/// Returns the readings of a pair of SGP.22 and SGP.02.
fn gsma_status(subject: &str, reason: &str) -> Vec<Reading> {
    let mut readings = Vec::new();
    if let Some(status) = status::Status::from_codes(subject, reason) {
        readings.push(Reading {
            title: format!("status code {status}"),
            standard: "SGP.22 section 5.2.6".to_owned(),
            meaning: status.meaning().to_owned(),
            sent_by: status.functions().map(|functions| format!("server in {functions}")),
            next: Some(status.next().to_owned()),
            fields: Vec::new(),
        });
    }
    if let Some(status) = sgp02::status::Status::from_codes(subject, reason) {
        readings.push(Reading {
            title: format!("status code {status}"),
            standard: "SGP.02 section 5.1".to_owned(),
            meaning: status.meaning().to_owned(),
            sent_by: Some("SM-DP or SM-SR, in the status of a response".to_owned()),
            next: Some(status.next().to_owned()),
            fields: Vec::new(),
        });
    }
    let is_code = |code: &str| code.split('.').all(|part| part.parse::<u8>().is_ok());
    if readings.is_empty() && is_code(subject) && is_code(reason) {
        let (name, next) = status::reason(reason);
        readings.push(Reading {
            title: format!("status code {subject}/{reason}"),
            standard: "SGP.22 section 5.2.6, SGP.02 section 5.1".to_owned(),
            meaning: format!("Landfall does not send this pair. The reason {reason} is: {name}."),
            sent_by: None,
            next: Some(next.to_owned()),
            fields: Vec::new(),
        });
    }
    readings
}

/// Returns the reading of a status word of four digits. `x` stands for any digit.
pub(super) fn status_word(digits: &str) -> Option<Reading> {
    if digits.len() != 4 || !digits.starts_with(['6', '9']) {
        return None;
    }
    let is_family = digits.contains(['x', 'X']);
    let octets = hex::decode(digits.replace(['x', 'X'], "1")).ok()?;
    let [sw1, sw2] = octets.as_slice() else { return None };
    let (sw1, sw2) = (*sw1, *sw2);
    let meaning = trace::status(sw1, sw2);
    Some(Reading {
        title: format!("status word {}", digits.to_uppercase().replace('X', "x")),
        standard: "TS 102 221 section 10.2.1, ISO/IEC 7816-4".to_owned(),
        meaning: match is_family {
            true => format!("For example {sw1:02X}{sw2:02X}: {meaning}."),
            false => format!("The card reports: {meaning}."),
        },
        sent_by: Some("card, at the end of a response APDU".to_owned()),
        next: Some(trace::status_advice(sw1, sw2).to_owned()),
        fields: Vec::new(),
    })
}

/// Makes the function that returns the reading of a cause.
macro_rules! cause {
    ($name:ident, $cause:ident, $title:literal, $standard:literal, $sent_by:literal) => {
        fn $name(number: u8) -> Option<Reading> {
            let cause = $cause(number);
            Some(Reading {
                title: format!($title, cause.0, cause.name()),
                standard: $standard.to_owned(),
                meaning: cause.meaning()?.to_owned(),
                sent_by: Some($sent_by.to_owned()),
                next: cause.next().map(str::to_owned),
                fields: Vec::new(),
            })
        }
    };
}

cause!(
    emm,
    EmmCause,
    "EMM cause #{} {}",
    "TS 24.301 section 9.9.3.9",
    "MME in ATTACH REJECT, TRACKING AREA UPDATE REJECT, SERVICE REJECT"
);
cause!(
    fivegmm,
    FivegmmCause,
    "5GMM cause #{} {}",
    "TS 24.501 section 9.11.3.2",
    "AMF in REGISTRATION REJECT, SERVICE REJECT"
);
cause!(rp, RpCause, "RP-Cause #{} {}", "TS 24.011 section 8.2.5.4", "SMSC, network or device in RP-ERROR");
cause!(
    tp_fcs,
    TpFailureCause,
    "TP-FCS {:02X} {}",
    "TS 23.040 section 9.2.3.22",
    "device in SMS-DELIVER-REPORT, SMSC in SMS-SUBMIT-REPORT"
);

/// The section of SMPP 5.0 with the statuses.
const SMPP_5: &str = "SMPP 5.0 section 4.7.6";

fn smpp(number: u32) -> Option<Reading> {
    let status = CommandStatus::from(number);
    let (standard, meaning, next) = match pdu::meaning(status) {
        Some((meaning, next)) => ("SMPP 3.4 section 5.1.3", meaning, next),
        None if matches!(status, CommandStatus::Other(_)) => return None,
        None => (SMPP_5, "A status that SMPP 3.4 does not have.", "read this section of the standard"),
    };
    Some(Reading {
        title: format!("command_status {}", pdu::name(status)),
        standard: standard.to_owned(),
        meaning: meaning.to_owned(),
        sent_by: Some("SMSC or ESME, in the header of a response".to_owned()),
        next: Some(next.to_owned()),
        fields: Vec::new(),
    })
}

/// Names in SMPP 3.4 of statuses that SMPP 5.0 calls otherwise.
const FORMER_NAMES: [(&str, u32); 5] = [
    ("ESME_RINVOPTPARSTREAM", 0xC0),
    ("ESME_ROPTPARNOTALLWD", 0xC1),
    ("ESME_RINVPARLEN", 0xC2),
    ("ESME_RMISSINGOPTPARAM", 0xC3),
    ("ESME_RINVOPTPARAMVAL", 0xC4),
];

/// Returns the reading of a status by its name, such as `ESME_RTHROTTLED`.
fn smpp_name(name: &str) -> Option<Reading> {
    /// The numbers of SMPP 5.0 are smaller.
    const END: u32 = 0x200;
    let name = plain(name);
    if !name.starts_with("esmer") {
        return None;
    }
    let own = |number: &u32| {
        let shown = pdu::name(CommandStatus::from(*number));
        shown.split_once(' ').is_some_and(|(own, _)| plain(own) == name)
    };
    let former = FORMER_NAMES.iter().find(|(former, _)| plain(former) == name);
    former.map(|(_, number)| *number).or_else(|| (0..END).find(own)).and_then(smpp)
}

fn pe_status(number: u32) -> Option<Reading> {
    let code = PeStatusCode(i64::from(number));
    Some(Reading {
        title: format!("PEStatus {code}"),
        standard: "TCA eUICC Profile Package, EUICCResponse".to_owned(),
        meaning: code.meaning()?.to_owned(),
        sent_by: Some("eUICC in simaResponse of ProfileInstallationResult".to_owned()),
        next: Some("check the profile package with `landfall profile check`".to_owned()),
        fields: Vec::new(),
    })
}

fn result_readings(function: &Function, result: &ResultCode, number: &str) -> Vec<Reading> {
    let number = decimal(number).map(i64::from);
    let values = (result.values)().into_iter().filter(|value| Some(value.number) == number);
    values.map(|value| result_reading(function, result, value)).collect()
}

/// Returns the readings of the result codes in the content of a response.
pub(super) fn results_in(name: &str, content: &Shown) -> Vec<Reading> {
    let function = FUNCTIONS.iter().find(|function| name.strip_suffix(" response") == Some(function.name));
    let mut readings = Vec::new();
    for (function, result) in
        function.iter().flat_map(|function| function.results.iter().map(move |r| (*function, r)))
    {
        let values =
            (result.values)().into_iter().filter(|value| contains(content, result.element, &value.name));
        readings.extend(values.map(|value| result_reading(function, result, value)));
    }
    readings
}

/// True if the content has an element of this name and text.
fn contains(content: &Shown, element: &str, text: &str) -> bool {
    match content {
        Shown::Fields(fields) => fields.iter().any(|(name, value)| {
            name == element && *value == Shown::Text(text.to_owned()) || contains(value, element, text)
        }),
        Shown::List(values) => values.iter().any(|value| contains(value, element, text)),
        Shown::Text(_) | Shown::Octets(_) => false,
    }
}

fn result_reading(function: &Function, result: &ResultCode, value: ResultValue) -> Reading {
    let sender = if result.element == "reason" { "LPA in the request" } else { "eUICC in the response" };
    Reading {
        title: format!("{} of {}: {}", result.element, function.name, value.name),
        standard: format!("SGP.22 section {}", function.section),
        meaning: value.meaning.to_owned(),
        sent_by: Some(format!("{sender} of {}", function.name)),
        next: value.next.map(str::to_owned),
        fields: Vec::new(),
    }
}

/// Parses `11`, `#11` and `0x0B`.
fn decimal(number: &str) -> Option<u32> {
    let number = number.strip_prefix('#').unwrap_or(number);
    match number.strip_prefix("0x").or_else(|| number.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => number.parse().ok(),
    }
}

/// Parses `D3` and `0xD3`.
fn hexadecimal(number: &str) -> Option<u8> {
    let digits = number.strip_prefix("0x").unwrap_or(number);
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// Returns the plain name in `cat-busy(5)`.
fn name_of(value: &str) -> String {
    plain(value.rsplit_once('(').map_or(value, |(name, _)| name))
}

/// Removes everything but letters and digits, which are compared in lower case.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
