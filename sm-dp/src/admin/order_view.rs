//! The representation of an order in the admin API.

use rsp::{activation_code::ActivationCode, ids::Eid, time::Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::schema::MatchingIdText;
use crate::{
    Config,
    protection::{Protection, Rebinding},
    records::Order,
};

/// An order.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderView {
    /// The functionRequesterIdentifier of the operator that placed the order.
    requester: String,
    /// The intended eUICC, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    eid: Option<Eid>,
    /// The MatchingID, once the order is confirmed. It is empty if the order is found by its EID
    /// alone.
    #[schemars(with = "Option<MatchingIdText>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    matching_id: Option<String>,
    /// A deviation of the MatchingID from SGP.22 section 4.1.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    /// The activation code for the user, if there is a MatchingID that an activation code can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    activation_code: Option<String>,
    confirmation_code_required: bool,
    wrong_confirmation_codes: u32,
    download_attempts: u32,
    /// Maximum number of downloads. If absent, the limit of the server applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_download_attempts: Option<u32>,
    /// The end of the download period.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    /// The eUICC that received the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    handed_to: Option<Eid>,
    reusable: bool,
    protection: Protection,
    rebinding: Rebinding,
    /// The SM-DS that announces the order with an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    smds_address: Option<String>,
    /// True if the event is registered or its registration is in progress.
    event_registered: bool,
}

impl OrderView {
    pub(super) fn of(config: &Config, order: &Order) -> Self {
        let confirmation_code_required = order.confirmation_code_hash.is_some();
        let named = order.matching_id.clone().filter(|matching_id| !matching_id.is_empty());
        let note = named.as_deref().and_then(deviation);
        let named = named.filter(|matching_id| !matching_id.contains('$'));
        let activation_code = named.map(|matching_id| {
            let code = ActivationCode {
                smdp_address: config.server.address.clone(),
                matching_id,
                smdp_oid: None,
                confirmation_code_required,
                findings: Vec::new(),
            };
            format!("LPA:{code}")
        });
        Self {
            requester: order.requester.clone(),
            eid: order.eid,
            matching_id: order.matching_id.clone(),
            note,
            activation_code,
            confirmation_code_required,
            wrong_confirmation_codes: order.wrong_confirmation_codes,
            download_attempts: order.download_attempts,
            max_download_attempts: order.max_download_attempts,
            expires: order.expires,
            handed_to: order.handed_to,
            reusable: order.reusable,
            protection: order.protection,
            rebinding: order.rebinding,
            smds_address: order.smds_address.clone(),
            event_registered: order.event_registered,
        }
    }
}

/// Returns a note about a MatchingID that a third party may use but SGP.22 section 4.1.1 does not
/// allow.
fn deviation(matching_id: &str) -> Option<&'static str> {
    let complies = |octet: u8| octet.is_ascii_uppercase() || octet.is_ascii_digit() || octet == b'-';
    if matching_id.contains('$') {
        return Some("the MatchingID contains $, which separates the fields of an activation code");
    }
    let deviates = !matching_id.bytes().all(complies);
    deviates.then_some("the MatchingID has characters other than A-Z, 0-9 and - (SGP.22 section 4.1.1)")
}
