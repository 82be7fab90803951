//! Tables and JSON of an SM-SR's records about a card: EIS and audit trail.

use rsp::{
    ids::{Aid, Eid, Iccid, Oid},
    ota::cat::Imei,
    sgp02::{
        Octets,
        common::FunctionExecutionStatus,
        eis::{AuditTrailRecord, Eis, OperationType, Pol2},
        notification::NotificationType,
    },
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;

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

/// An audit trail record for programs: with the operation code as in the XML schema, the name of
/// the operation, and the digits of the IMEI.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Audited {
    eid: Eid,
    /// The SM-SR that managed the eUICC.
    smsr_id: Oid,
    operation_date: Timestamp,
    /// Four hexadecimal digits.
    operation_type: String,
    /// The name of the function or notification; empty if it is unknown.
    operation: String,
    requester_id: Option<Oid>,
    operation_execution_status: Option<FunctionExecutionStatus>,
    isd_p_aid: Option<Aid>,
    iccid: Option<Iccid>,
    /// 15 digits; the octets in hexadecimal digits if they are no IMEI.
    imei: Option<String>,
    meid: Option<Octets>,
}

impl From<AuditTrailRecord> for Audited {
    fn from(record: AuditTrailRecord) -> Self {
        let imei = record.imei.map(|imei| match <[u8; 8]>::try_from(imei.0.as_slice()) {
            Ok(octets) => Imei(octets).digits(),
            Err(_) => imei.to_string(),
        });
        Self {
            eid: record.eid,
            smsr_id: record.smsr_id,
            operation_date: record.operation_date,
            operation_type: code(record.operation_type),
            operation: name(record.operation_type),
            requester_id: record.requester_id,
            operation_execution_status: record.operation_execution_status,
            isd_p_aid: record.isd_p_aid,
            iccid: record.iccid,
            imei,
            meid: record.meid,
        }
    }
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
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

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
        let audited = Audited::from(fell_back);
        assert_eq!(
            (audited.operation_type.as_str(), audited.operation.as_str(), audited.imei.as_deref()),
            ("0005", "ProfileChangeAfterFallback", Some("490154203237518"))
        );
        let shown = trail(&[record(OperationType::ENABLE_PROFILE), record(OperationType(0x0A00))]);
        assert!(shown.contains("0200  EnableProfile"), "{shown}");
        assert!(shown.contains("0A00  SetEmergencyProfileAttribute"), "{shown}");
        // A code of a later version has no name.
        assert_eq!(Audited::from(record(OperationType(0x7700))).operation, "");
    }
}
