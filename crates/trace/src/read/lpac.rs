//! The stdio protocol of lpac: one JSON object per line, requests of lpac and answers to them.

use serde_json::Value;

use super::pairs::{Pairs, Pending};
use crate::octets::{self, LineError};

/// Returns the JSON value in the line, which may be preceded by a time or a mark of the direction.
pub(super) fn object(line: &str) -> Option<Value> {
    serde_json::from_str(line.get(line.find('{')?..)?).ok()
}

/// Reads a line. Lines of the type `apdu` are read, all others are skipped.
pub(super) fn line(line: &str, with_secrets: bool, pairs: &mut Pairs) -> Result<(), LineError> {
    let Some(object) = object(line).filter(|object| object.get("type").is_some_and(|kind| kind == "apdu"))
    else {
        return Ok(());
    };
    let Some(payload) = object.get("payload") else { return Ok(()) };
    let text = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default();
    if let Some(function) = payload.get("func").and_then(Value::as_str) {
        let parameter = octets::parse(text("param"), with_secrets)?;
        pairs.command(match function {
            "connect" => Pending::Reset,
            "transmit" => Pending::Apdu(parameter),
            "logic_channel_open" => Pending::Open(parameter),
            "logic_channel_close" => Pending::Close(parameter.first().copied().unwrap_or_default()),
            _ => Pending::NoApdu,
        });
        return Ok(());
    }
    let code = payload.get("ecode").and_then(Value::as_i64).unwrap_or(-1);
    match pairs.pending() {
        _ if code < 0 => pairs.fail(&format!("lpac received the error {code}")),
        Some(Pending::Apdu(_)) | None => return pairs.response(octets::parse(text("data"), with_secrets)?),
        Some(_) => pairs.done(u8::try_from(code).ok()),
    }
    Ok(())
}
