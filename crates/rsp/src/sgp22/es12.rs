//! ES12, between the SM-DP+ and the SM-DS: SGP.22 sections 5.9 and 6.5.2.

use serde::{Deserialize, Serialize};

use super::{
    function::{self, functions},
    json::{NoOutput, RequestHeader},
};
use crate::ids::{Eid, SmdpAddress};

/// Returns the path of a function in the JSON binding, section 6.5.1.
pub fn path(function: &str) -> String {
    function::path("es12", function)
}

functions! {
    "es12":
    /// ES12.RegisterEvent: section 5.9.1.
    RegisterEvent = "registerEvent": RegisterEventRequest => NoOutput,
    /// ES12.DeleteEvent: section 5.9.2.
    DeleteEvent = "deleteEvent": DeleteEventRequest => NoOutput,
}

/// The request of RegisterEvent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterEventRequest {
    /// The header with the caller's identifier.
    pub header: RequestHeader,
    /// The eUICC for which the event is registered.
    pub eid: Eid,
    /// The address of the SM-DP+ that has the event, or of another SM-DS.
    #[serde(rename = "rspServerAddress")]
    pub rsp_server_address: SmdpAddress,
    /// The event ID, which the LPA sends to that server as MatchingID.
    #[serde(rename = "eventId")]
    pub event_id: String,
    /// True if an alternative SM-DS must forward the event to the root SM-DS.
    #[serde(rename = "forwardingIndicator")]
    pub forwarding_indicator: bool,
}

/// The request of DeleteEvent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteEventRequest {
    /// The header with the caller's identifier.
    pub header: RequestHeader,
    /// The eUICC for which the event was registered.
    pub eid: Eid,
    /// The event ID as it was registered.
    #[serde(rename = "eventId")]
    pub event_id: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing test panics")]

    use serde_json::json;

    use super::*;

    #[test]
    fn the_element_names_are_those_of_the_json_binding() {
        let header = json!({"functionRequesterIdentifier": "2.999.10", "functionCallIdentifier": "1"});
        let eid = "89049032123451234512345678901235";
        let register = json!({
            "header": header, "eid": eid, "rspServerAddress": "smdp.example.com", "eventId": "EV-1",
            "forwardingIndicator": true,
        });
        let read: RegisterEventRequest = serde_json::from_value(register.clone()).unwrap();
        assert_eq!(read.eid.to_string(), eid);
        assert_eq!(serde_json::to_value(&read).unwrap(), register);

        let delete = json!({"header": header, "eid": eid, "eventId": "EV-1"});
        let read: DeleteEventRequest = serde_json::from_value(delete.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), delete);
        assert_eq!(path("registerEvent"), "/gsma/rsp2/es12/registerEvent");
    }
}
