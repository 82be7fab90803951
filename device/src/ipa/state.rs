//! The state that an IPA keeps when the power is off.

use std::collections::BTreeMap;

use rsp::der::Asn1;
use rsp::ids::TransactionId;
use rsp::sgp32::ipa_data::ProfileDownloadTriggerResult;
use rsp::sgp32::{EimConfigurationData, StateChangeCause};
use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};
use world::{Batch, CardInterface, Content, Fault, Memory};

use super::{Connectivity, Ipa, IpaError};

/// The name of the cell in the memory of an IPA.
pub const MEMORY_CELL: &str = "ipa";

/// The state that an IPA keeps when the power is off. The eUICC keeps everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// Changes that an eIM does not know yet, by eIM. The last cause counts.
    pub(super) state_changes: BTreeMap<String, StateChangeCause>,
    /// The time at which the Fallback Mechanism was executed, while the Fallback Profile is enabled.
    pub(super) fallback_since: Option<Timestamp>,
    /// True while the Emergency Profile is enabled.
    pub(super) emergency: bool,
    /// The eIM whose package permits a rollback, until it has the result.
    pub(super) awaits_delivery: Option<String>,
    /// The download whose result the eIM does not have.
    pub(super) download: Option<Download>,
    /// Configurations of eIMs that were deleted while the eUICC had results for them, DER. At most
    /// [`MAX_FORMER_EIMS`].
    pub(super) former_eims: Vec<Octets>,
}

/// Maximum number of deleted eIMs that still get a result.
const MAX_FORMER_EIMS: usize = 4;

/// A download that an eIM triggered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Download {
    /// The eIM.
    pub(super) eim_id: String,
    /// The identifier of the trigger.
    pub(super) eim_transaction_id: Option<TransactionId>,
    /// The progress.
    pub(super) progress: Progress,
}

/// The progress of a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Progress {
    /// The download was started. The eUICC had no notification after this sequence number, or none at
    /// all.
    Started { last_notification: Option<i64> },
    /// The download ended, and the eIM does not have the result: ProfileDownloadTriggerResult, DER.
    Ended(Octets),
}

/// Octets, stored in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct Octets(pub(super) Vec<u8>);

impl From<Octets> for String {
    fn from(octets: Octets) -> Self {
        hex::encode(octets.0)
    }
}

impl TryFrom<String> for Octets {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(text).map(Self)
    }
}

impl State {
    /// Reads the state. A new device has none.
    pub(super) fn load(memory: &dyn Memory) -> Result<Self, Fault> {
        let cells = memory.load()?;
        let Some(cell) = cells.get(MEMORY_CELL) else { return Ok(Self::default()) };
        cell.from_json().map_err(|error| {
            Fault::caused_by(
                error,
                "cannot use the device's memory",
                "remove it; the card itself is not affected",
            )
        })
    }

    /// Returns the configurations of deleted eIMs.
    pub(super) fn former_eims(&self) -> impl Iterator<Item = EimConfigurationData> {
        self.former_eims.iter().filter_map(|der| EimConfigurationData::from_der(&der.0).ok())
    }

    /// Adds an eIM that was deleted while the eUICC has a result for it.
    pub(super) fn add_former_eim(&mut self, eim: &EimConfigurationData) {
        let der = Octets(eim.to_der());
        if !self.former_eims.contains(&der) {
            self.former_eims.push(der);
            let surplus = self.former_eims.len().saturating_sub(MAX_FORMER_EIMS);
            self.former_eims.drain(..surplus);
        }
    }

    /// Removes a deleted eIM that has its results.
    pub(super) fn remove_former_eim(&mut self, eim_id: &str) {
        self.former_eims
            .retain(|der| EimConfigurationData::from_der(&der.0).is_ok_and(|former| former.eim_id != eim_id));
    }
}

impl Download {
    /// Returns the result, if the download ended.
    pub(super) fn result(&self) -> Option<ProfileDownloadTriggerResult> {
        match &self.progress {
            Progress::Started { .. } => None,
            Progress::Ended(result) => ProfileDownloadTriggerResult::from_der(&result.0).ok(),
        }
    }
}

impl<D: CardInterface, C: Connectivity> Ipa<D, C> {
    /// Changes the state, and stores it if it differs.
    pub(super) fn remember(&mut self, change: impl FnOnce(&mut State)) -> Result<(), IpaError> {
        let mut changed = self.state.clone();
        change(&mut changed);
        if changed == self.state {
            return Ok(());
        }
        let content = Content::json(&changed).map_err(IpaError::Memory)?;
        self.memory.commit(Batch::of(MEMORY_CELL, content)).map_err(IpaError::Memory)?;
        self.state = changed;
        Ok(())
    }

    /// Remembers a change for every eIM but `except`, which has just been polled and knows the earlier
    /// changes.
    pub(super) async fn remember_change(
        &mut self,
        cause: StateChangeCause,
        except: Option<&str>,
    ) -> Result<(), IpaError> {
        let eims = self.es10().get_eim_configuration_data().await?;
        self.remember(|state| {
            let others = eims.into_iter().filter(|eim| Some(eim.eim_id.as_str()) != except);
            state.state_changes = others.map(|eim| (eim.eim_id, cause)).collect();
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_few_deleted_eims_are_kept_until_they_have_their_results() {
        let mut state = State::default();
        for number in [1, 2, 3, 3, 4, 5] {
            let eim_id = format!("eim{number}.example.com");
            state.add_former_eim(&EimConfigurationData { eim_id, ..EimConfigurationData::default() });
        }
        state.remove_former_eim("eim4.example.com");
        let kept: Vec<_> = state.former_eims().map(|eim| eim.eim_id).collect();
        assert_eq!(kept, ["eim2.example.com", "eim3.example.com", "eim5.example.com"]);
    }
}
