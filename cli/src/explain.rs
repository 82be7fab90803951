//! Explanations of codes, identifiers and octets: meaning, clause, sender, advice.
//!
//! The tables of the codes are those of the crates that use them. This module recognises the input.

mod codes;
mod content;

use rsp::{
    activation_code::ActivationCode,
    der::Shown,
    ids::{Eid, Iccid},
};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use world::Fault;

/// One reading of an input. A code that several tables contain has several.
#[derive(Clone, Debug, JsonSchema, PartialEq, Serialize)]
pub struct Reading {
    /// The code or the kind of content, such as `EMM cause #11 PLMN not allowed`.
    pub title: String,
    /// The standard and its section.
    pub standard: String,
    /// The meaning.
    pub meaning: String,
    /// The sender and the function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_by: Option<String>,
    /// Advice to the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The decoded elements.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_object")]
    #[schemars(with = "Map<String, Value>")]
    pub fields: Vec<(String, Shown)>,
}

/// An input and its readings.
#[derive(Clone, Debug, JsonSchema, PartialEq, Serialize)]
pub struct Explanation {
    /// The input.
    pub input: String,
    /// The readings, at least one.
    pub readings: Vec<Reading>,
}

/// Explains each code in the arguments.
///
/// # Errors
/// An input has none of the accepted forms, or is a number that its table does not contain.
pub fn explain(arguments: &[String]) -> Result<Vec<Explanation>, Fault> {
    let mut inputs = inputs(arguments).into_iter().peekable();
    let mut explanations = Vec::new();
    while let Some(word) = inputs.next() {
        let (input, readings) = match codes::Table::named(&word) {
            Some(table) => {
                let number = inputs.next().ok_or_else(|| no_number(&word, &table))?;
                let readings = table.readings(&number);
                if readings.is_empty() {
                    return Err(no_such_number(&word, &number, &table));
                }
                (format!("{word} {number}"), readings)
            }
            None => (word.clone(), readings(&word)),
        };
        if readings.is_empty() {
            return Err(unknown(&input));
        }
        explanations.push(Explanation { input, readings });
    }
    Ok(explanations)
}

/// Splits the arguments into codes, names of tables, and contents.
fn inputs(arguments: &[String]) -> Vec<String> {
    let is_octet = |word: &&str| word.len() == 2 && word.bytes().all(|digit| digit.is_ascii_hexdigit());
    let words: Vec<&str> = arguments.iter().flat_map(|argument| argument.split_whitespace()).collect();
    // Octets that are separated by blanks. Two of them can be a status word.
    if words.len() > 1 && words.iter().all(is_octet) {
        return vec![words.concat()];
    }
    arguments
        .iter()
        .flat_map(|argument| {
            let is_hex = argument.chars().all(|c| c.is_ascii_hexdigit() || c.is_whitespace());
            let is_name = || argument.contains(' ') && !codes::readings(argument).is_empty();
            if argument.contains('>') || argument.contains("-----BEGIN") || is_name() {
                vec![argument.clone()]
            } else if is_hex && argument.split_whitespace().all(|word| is_octet(&word)) {
                vec![argument.split_whitespace().collect()]
            } else {
                argument.split_whitespace().flat_map(table_and_number).collect()
            }
        })
        .collect()
}

/// Splits `EMM#11` and `SW=9000`.
fn table_and_number(word: &str) -> Vec<String> {
    match word.split_once(['=', '#', ':']) {
        Some((table, number)) if !number.is_empty() && codes::Table::named(table).is_some() => {
            vec![table.to_owned(), number.to_owned()]
        }
        _ => vec![word.to_owned()],
    }
}

/// Returns the readings of an input without the name of a table.
fn readings(input: &str) -> Vec<Reading> {
    let text = input.trim();
    if text.contains('>') {
        return content::exchange(text).into_iter().collect();
    }
    let mut readings = identifiers(text);
    readings.extend(codes::readings(text));
    // A status word of four digits is not the beginning of a content.
    if readings.is_empty() {
        readings.extend(content::readings(text));
    }
    readings
}

/// Reads activation codes, ICCIDs and EIDs.
fn identifiers(text: &str) -> Vec<Reading> {
    let field = |name: &str, value: String| (name.to_owned(), Shown::Text(value));
    let mut readings = Vec::new();
    if let Ok(code) = text.parse::<ActivationCode>() {
        // The parsed code and not the input, which may end with characters that a shell executes.
        let next = format!("landfall device download 'LPA:{code}'");
        let mut fields = vec![field("smdpAddress", code.smdp_address.to_string())];
        fields.push(field("matchingId", code.matching_id));
        fields.extend(code.smdp_oid.map(|oid| field("smdpOid", oid.to_string())));
        fields.push(field("confirmationCodeRequired", code.confirmation_code_required.to_string()));
        fields.extend(code.findings.iter().map(|finding| field("finding", finding.to_string())));
        readings.push(Reading {
            title: "activation code".to_owned(),
            standard: "SGP.22 section 4.1".to_owned(),
            meaning: "The address of an SM-DP+ and the order to download there.".to_owned(),
            sent_by: Some("the operator, to the user".to_owned()),
            next: Some(next),
            fields,
        });
    }
    if let Ok(eid) = text.parse::<Eid>() {
        let check =
            if eid.has_valid_check_digits() { "valid" } else { "invalid: the number is not 1 modulo 97" };
        readings.push(Reading {
            title: format!("EID {eid}"),
            standard: "SGP.29, SGP.02 section 2.2.2".to_owned(),
            meaning: "The identity of an eUICC.".to_owned(),
            sent_by: Some("eUICC in ES10c.GetEID; its certificate contains it too".to_owned()),
            next: None,
            fields: vec![field("checkDigits", check.to_owned())],
        });
    }
    // An ICCID starts with 89. The octets of EF.ICCID have swapped digits.
    let is_swapped = text.len() == 20 && text.starts_with("98");
    if let Ok(iccid) = text.parse::<Iccid>()
        && !is_swapped
    {
        readings.push(iccid_reading(iccid));
    }
    readings
}

fn iccid_reading(iccid: Iccid) -> Reading {
    let digits = iccid.to_string();
    let without_check = digits.get(..digits.len().saturating_sub(1)).unwrap_or_default();
    let luhn = match Iccid::with_luhn(without_check) {
        Ok(valid) if valid == iccid => "valid",
        Ok(_) => "invalid, or absent: the last digit is not the Luhn digit of the others",
        Err(_) => "unknown: the number has another length",
    };
    let field = |name: &str, value: Shown| (name.to_owned(), value);
    Reading {
        title: format!("ICCID {iccid}"),
        standard: "ITU-T E.118, TS 102 221 section 13.2".to_owned(),
        meaning: "The identity of a profile or of a SIM card.".to_owned(),
        sent_by: Some("card in EF.ICCID, eUICC in ES10c.GetProfilesInfo".to_owned()),
        next: None,
        fields: vec![
            field("checkDigit", Shown::Text(luhn.to_owned())),
            field("efIccid", Shown::Octets(iccid.0.to_vec())),
        ],
    }
}

impl Explanation {
    /// Returns the text for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for reading in &self.readings {
            text.push_str(&format!("{} ({})\n", reading.title, reading.standard));
            let rows = [
                ("meaning", Some(&reading.meaning).filter(|meaning| !meaning.is_empty())),
                ("sent by", reading.sent_by.as_ref()),
                ("next", reading.next.as_ref()),
            ];
            for (name, value) in rows {
                text.extend(value.map(|value| format!("  {name:<8} {value}\n")));
            }
            text.push_str(&trace::details(&reading.fields));
        }
        text
    }
}

fn as_object<S: Serializer>(fields: &[(String, Shown)], serializer: S) -> Result<S::Ok, S::Error> {
    trace::object(fields).serialize(serializer)
}

fn no_number(word: &str, table: &codes::Table) -> Fault {
    Fault::usage(
        format!("cannot explain {word}"),
        "the number of the code is missing",
        format!("add the number: landfall explain {word} {}", table.example()),
    )
}

fn no_such_number(word: &str, number: &str, table: &codes::Table) -> Fault {
    Fault::usage(
        format!("cannot explain {word} {number}"),
        format!("the table has no such code; it has {}", table.numbers()),
        format!("check the number, or omit {word} to search all tables"),
    )
}

fn unknown(input: &str) -> Fault {
    let shown: String = input.chars().take(60).collect();
    Fault::usage(
        format!("cannot explain {shown:?}"),
        "the input has none of the accepted forms, or no table contains it",
        "give one of these forms:
          8.2.6/3.8                  status code of SGP.22 or SGP.02: subject/reason
          EnableProfile 5            ES10 function and result code
          6A88, SW=9000              status word
          EMM 11, 5GMM 27, cause 11  cause of a network
          RP-cause 22, TP-FCS D3     cause of a short message
          SMPP 0x58, ESME_RTHROTTLED command_status
          11                         number, in all tables
          catBusy                    name of a code
          BF31038001... or base64    APDU, ES10 element, notification or certificate
          'COMMAND > RESPONSE'       exchange with a card
          'LPA:1$ADDRESS$ID'         activation code
          8988211000000000012        ICCID, or EID",
    )
}
