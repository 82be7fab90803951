//! Tables and JSON of an SM-SR's records about a card: EIS and audit trail.

use rsp::{
    ota::cat::Imei,
    sgp02::{
        eis::{AuditTrailRecord, Eis, OperationType, Pol2},
        notification::NotificationType,
    },
};
use serde_json::Value;
use world::Fault;

use crate::output::Table;

/// Returns the table of profiles.
pub fn profiles(eis: &Eis) -> String {
    let mut table = Table::new(&["ICCID", "ISD-P", "state", "fall-back", "operator", "MSISDN", "POL2"]);
    for profile in &eis.profile_info {
        table.row([
            profile.iccid.to_string(),
            profile.isd_p_aid.to_string(),
            profile.state.to_string(),
            if profile.fallback_attribute { "yes" } else { "" }.to_owned(),
            profile.mno_id.to_string(),
            profile.subscription_address.msisdn.as_ref().map(ToString::to_string).unwrap_or_default(),
            rules(&profile.pol2),
        ]);
    }
    table.render()
}

/// Returns the rules as text, such as `DELETE Not-Allowed`.
fn rules(pol2: &Pol2) -> String {
    let rules = pol2.rule.iter().map(|rule| format!("{} {}", rule.action, rule.qualification));
    rules.collect::<Vec<_>>().join(", ")
}

/// Returns the table of the audit trail.
pub fn trail(records: &[AuditTrailRecord]) -> String {
    let mut table = Table::new(&["time", "code", "operation", "ICCID", "requester", "status"]);
    for record in records {
        table.row([
            record.operation_date.to_string(),
            code(record.operation_type),
            name(record.operation_type),
            record.iccid.map(|iccid| iccid.to_string()).unwrap_or_default(),
            record.requester_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            record.operation_execution_status.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]);
    }
    table.render()
}

/// Returns an audit trail record as JSON, with the operation code as in the XML schema, the name of
/// the operation, and the digits of the IMEI.
///
/// # Errors
/// The record cannot be serialized, which does not occur in practice.
pub fn audited(record: &AuditTrailRecord) -> Result<Value, Fault> {
    let mut value = serde_json::to_value(record)
        .map_err(|e| Fault::caused_by(e, "cannot write the audit trail as JSON", "report this"))?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("operation_type".to_owned(), code(record.operation_type).into());
        fields.insert("operation".to_owned(), name(record.operation_type).into());
        let imei = record.imei.as_ref().and_then(|imei| <[u8; 8]>::try_from(imei.0.as_slice()).ok());
        if let Some(imei) = imei {
            fields.insert("imei".to_owned(), Imei(imei).digits().into());
        }
    }
    Ok(value)
}

fn code(what: OperationType) -> String {
    format!("{:04X}", what.0)
}

/// Returns the name of the function or notification. No published source defines the values of the
/// last two functions.
fn name(what: OperationType) -> String {
    let function = match what {
        OperationType::CREATE_ISDP => "CreateISDP",
        OperationType::ENABLE_PROFILE => "EnableProfile",
        OperationType::DISABLE_PROFILE => "DisableProfile",
        OperationType::DELETE_PROFILE => "DeleteProfile",
        OperationType::CAPABILITY_AUDIT => "AuditEIS",
        OperationType::MASTER_DELETE => "MasterDelete",
        OperationType::SET_FALLBACK_ATTRIBUTE => "SetFallBackAttribute",
        OperationType::ESTABLISH_ISDR_KEYSET => "EstablishISDRKeyset",
        OperationType::FINALISE_ISDR_HANDOVER => "FinaliseISDRHandover",
        OperationType(0x0A00) => "SetEmergencyProfileAttribute",
        OperationType(0x0B00) => "UpdateConnectivityParameters",
        OperationType(other) => {
            return match u8::try_from(other).map(NotificationType::of) {
                Ok(NotificationType::Other(_)) | Err(_) => String::new(),
                Ok(known) => format!("{known:?}"),
            };
        }
    };
    function.to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

    use rsp::sgp02::Octets;

    use super::*;

    fn record(what: OperationType) -> AuditTrailRecord {
        AuditTrailRecord {
            eid: "89049032000000000000000000000163".parse().unwrap(),
            smsr_id: "2.999.16.1".parse().unwrap(),
            operation_date: "2026-11-22T08:00:00Z".parse().unwrap(),
            operation_type: what,
            requester_id: None,
            operation_execution_status: None,
            isd_p_aid: None,
            iccid: None,
            imei: Some(Octets(Imei::of_digits("490154203237518").unwrap().0.to_vec())),
            meid: None,
        }
    }

    #[test]
    fn operation_codes_have_names_and_the_imei_is_shown_as_digits() {
        let fell_back =
            record(OperationType::notification(NotificationType::ProfileChangeAfterFallback.code()));
        let value = audited(&fell_back).unwrap();
        assert_eq!(
            (&value["operation_type"], &value["operation"], &value["imei"]),
            (&"0005".into(), &"ProfileChangeAfterFallback".into(), &"490154203237518".into())
        );
        let shown = trail(&[record(OperationType::ENABLE_PROFILE), record(OperationType(0x0A00))]);
        assert!(shown.contains("0200  EnableProfile"), "{shown}");
        assert!(shown.contains("0A00  SetEmergencyProfileAttribute"), "{shown}");
        // A code of a later version has no name.
        assert_eq!(audited(&record(OperationType(0x7700))).unwrap()["operation"], "");
    }
}
