//! ES1, EUM to SM-SR: SGP.02 section 5.2.

use super::{
    eis::{AdditionalProperties, Eis},
    function_macros::function,
};
use crate::ids::Eid;

function! {
    /// ES1.RegisterEIS: registers a produced eUICC with the SM-SR.
    RegisterEis = "ES1" "eUICCManagement" "RegisterEIS", Synchronous;
    RegisterEisRequest { eis: Eis = "eis" / "Eis" }
    RegisterEisResponse {}
}

function! {
    /// ES1.UpdateEISAdditionalProperties, added in version 4. Only one source describes it; its
    /// elements are named after the pattern of the others.
    UpdateEisAdditionalProperties = "ES1" "eUICCManagement" "UpdateEISAdditionalProperties", Synchronous;
    UpdateEisAdditionalPropertiesRequest {
        eid: Eid = "eid" / "Eid",
        additional_properties: AdditionalProperties = "additionalProperties" / "AdditionalProperties",
    }
    UpdateEisAdditionalPropertiesResponse {}
}
