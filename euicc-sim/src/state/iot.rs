//! The persistent state that only an IoT eUICC has: SGP.32.

use std::sync::Arc;

use profile::Octets;
use rsp::der::Raw;
use rsp::ids::Aid;
use rsp::sgp32::es10b::ConfigureImmediateProfileEnablingRequest;
use rsp::sgp32::{EimConfigurationData, EuiccPackageResult};
use serde::{Deserialize, Serialize};

use super::InDer;

/// The eIM configuration, the results for eIMs, and the mechanisms that change the enabled profile
/// without an eIM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IotState {
    /// The associated eIMs in the order of their association.
    pub(crate) eims: Vec<AssociatedEim>,
    /// The next association token. Tokens are never reused.
    pub(crate) next_association_token: i64,
    /// The results that have not been removed yet, in ascending order of the sequence numbers. Each
    /// has a cell of its own.
    #[serde(skip)]
    pub(crate) results: Vec<Arc<StoredResult>>,
    /// The permission to return to the previous profile with ES10b.ProfileRollback.
    pub(crate) rollback: Option<Rollback>,
    /// The configuration of immediate enabling.
    pub(crate) immediate_enable: InDer<ConfigureImmediateProfileEnablingRequest>,
    /// The profile with the Fallback Attribute.
    pub(crate) fallback: Option<Aid>,
    /// The profile that was enabled before the Fallback Mechanism enabled the Fallback Profile.
    pub(crate) before_fallback: Option<Aid>,
    /// Present while the Emergency Profile is active.
    pub(crate) emergency: Option<ActiveEmergency>,
    /// The data that an IPA inside the card keeps; empty at first.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub(crate) ipae: Octets,
}

fn is_empty(octets: &Octets) -> bool {
    octets.is_empty()
}

/// An eIM that is associated with the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssociatedEim {
    /// The counter of the last accepted package, or the initial value.
    pub(crate) counter: i64,
    /// The configuration without counter, and with the association token that the card assigned.
    pub(crate) configuration: InDer<EimConfigurationData>,
}

/// The result of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredResult {
    /// A number from the same sequence as those of notifications.
    pub(crate) sequence_number: i64,
    /// The result as it was signed.
    pub(crate) signed: InDer<Raw<EuiccPackageResult>>,
}

/// A permission to roll back. It ends when the result of the package is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// The profile that was enabled before the package.
    pub(crate) profile: Aid,
    /// The sequence number of the result of the package.
    pub(crate) result: i64,
}

/// The Emergency Profile is active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActiveEmergency {
    /// The profile that was enabled before.
    pub(crate) previous: Option<Aid>,
}

impl IotState {
    /// The state of a new card without eIM.
    pub(crate) const NEW: Self = Self {
        eims: Vec::new(),
        next_association_token: 1,
        results: Vec::new(),
        rollback: None,
        immediate_enable: InDer(NOT_ALLOWED),
        fallback: None,
        before_fallback: None,
        emergency: None,
        ipae: Octets(Vec::new()),
    };

    /// The associated eIM with this identifier.
    pub(crate) fn eim(&self, eim_id: &str) -> Option<&AssociatedEim> {
        self.eims.iter().find(|eim| eim.id() == eim_id)
    }

    pub(crate) fn eim_mut(&mut self, eim_id: &str) -> Option<&mut AssociatedEim> {
        self.eims.iter_mut().find(|eim| eim.id() == eim_id)
    }

    /// The stored result with this sequence number.
    pub(crate) fn result(&self, sequence_number: i64) -> Option<&StoredResult> {
        self.results.iter().find(|result| result.sequence_number == sequence_number).map(AsRef::as_ref)
    }

    /// Removes the result, and with it the permission to roll back the package.
    pub(crate) fn remove_result(&mut self, sequence_number: i64) {
        self.results.retain(|result| result.sequence_number != sequence_number);
        if self.rollback.as_ref().is_some_and(|rollback| rollback.result == sequence_number) {
            self.rollback = None;
        }
    }

    /// Removes all references to a deleted profile.
    pub(crate) fn forget_profile(&mut self, isd_p: &Aid) {
        let is_deleted = |profile: &mut Aid| profile == isd_p;
        let _ = self.fallback.take_if(is_deleted);
        let _ = self.before_fallback.take_if(is_deleted);
        let _ = self.rollback.take_if(|rollback| rollback.profile == *isd_p);
        if let Some(emergency) = &mut self.emergency {
            let _ = emergency.previous.take_if(is_deleted);
        }
    }
}

/// The configuration of immediate enabling of a new card.
pub(crate) const NOT_ALLOWED: ConfigureImmediateProfileEnablingRequest =
    ConfigureImmediateProfileEnablingRequest {
        immediate_enable_flag: None,
        default_smdp_oid: None,
        default_smdp_address: None,
    };

impl AssociatedEim {
    /// The identifier of the eIM.
    pub(crate) fn id(&self) -> &str {
        &self.configuration.0.eim_id
    }

    /// The association token, if the eIM has one.
    pub(crate) fn token(&self) -> Option<i64> {
        self.configuration.0.association_token
    }
}
