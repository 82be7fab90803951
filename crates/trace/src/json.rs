//! The JSON lines format: one object per line.
//!
//! | Field | Value |
//! |---|---|
//! | `time` | the time of the answer, RFC 3339 |
//! | `card` | the name of the card |
//! | `event` | `command`, `reset` or `fault` |
//! | `channel` | the logical channel of a command |
//! | `name`, `what` | the name of the command in its standard, and its object |
//! | `command`, `answer` | hexadecimal digits without the status word; `**` for a hidden octet |
//! | `sw`, `status` | the status word and its meaning; for a fault, `status` is the reason |
//! | `atr` | the answer to reset, for a reset |
//! | `details` | the decoded elements by the names in the standard: objects, arrays, texts; octets in hexadecimal digits |

use rsp::der::Shown;
use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::octets::{self, LineError};
use super::{Decoded, Event, Exchange};

/// One line of the format.
#[derive(JsonSchema, Serialize, Deserialize)]
pub struct Line {
    time: Timestamp,
    card: String,
    event: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<u8>,
    #[serde(default)]
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sw: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    atr: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    details: Map<String, Value>,
}

#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Command,
    Reset,
    Fault,
}

/// Formats an exchange as one line.
pub(super) fn line(exchange: &Exchange, decoded: &Decoded) -> String {
    let mut line = Line {
        time: exchange.at,
        card: exchange.card.clone(),
        event: Kind::Reset,
        channel: decoded.channel,
        name: decoded.name.clone(),
        what: decoded.what.clone(),
        command: None,
        answer: None,
        sw: None,
        status: decoded.status.clone(),
        atr: None,
        details: object(&decoded.details),
    };
    match &exchange.event {
        Event::Reset { atr } => {
            line.atr = Some(hex::encode_upper(atr));
            line.details.clear();
        }
        Event::Fault { command, .. } => {
            line.event = Kind::Fault;
            line.command = Some(octets::format(command, &decoded.secret_in_command));
        }
        Event::Command { command, answer } => {
            let (data, status) = answer.split_at_checked(answer.len().saturating_sub(2)).unwrap_or_default();
            line.event = Kind::Command;
            line.command = Some(octets::format(command, &decoded.secret_in_command));
            line.answer = Some(octets::format(data, &decoded.secret_in_answer));
            line.sw = Some(hex::encode_upper(status));
        }
    }
    // All fields can be encoded as JSON, so this cannot fail.
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

/// Parses a line in this format.
pub(super) fn read(line: &str, with_secrets: bool) -> Result<Exchange, LineError> {
    let line: Line = serde_json::from_str(line).map_err(|why| LineError::Malformed(why.to_string()))?;
    let octets = |digits: &Option<String>| octets::parse(digits.as_deref().unwrap_or_default(), with_secrets);
    let command = octets(&line.command)?;
    let event = match line.event {
        Kind::Reset => Event::Reset { atr: octets(&line.atr)? },
        Kind::Fault => Event::Fault { command, why: line.status },
        Kind::Command => {
            let answer = [octets(&line.answer)?, octets(&line.sw)?].concat();
            Event::Command { command, answer }
        }
    };
    Ok(Exchange { at: line.time, card: line.card, event })
}

/// Converts decoded elements to a JSON object.
pub fn object(fields: &[(String, Shown)]) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in fields {
        let value = json(value);
        // A repeated element, which violates the standard, is shown as well.
        let mut key = name.clone();
        while object.contains_key(&key) {
            key.push('\'');
        }
        object.insert(key, value);
    }
    object
}

fn json(value: &Shown) -> Value {
    match value {
        Shown::Text(text) => Value::String(text.clone()),
        Shown::Octets(octets) => Value::String(hex::encode_upper(octets)),
        Shown::Fields(fields) => Value::Object(object(fields)),
        Shown::List(elements) => Value::Array(elements.iter().map(json).collect()),
    }
}
