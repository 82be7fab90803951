//! The association of eIMs: SGP.32 sections 3.5.1 and 3.5.2. ES10b.AddInitialEim and addEim have the
//! same conditions.

use certs::Certificate;
use crypto::PublicKey;
use rsp::ids::SubjectKeyIdentifier;
use rsp::sgp32::package::MAX_COUNTER;
use rsp::sgp32::result::AddEimResultCode;
use rsp::sgp32::{EimConfigurationData, KeyOrCertificate};

use crate::consumer::ConsumerContext;
use crate::description::IotDescription;
use crate::ecasd::Ecasd;
use crate::state::InDer;
use crate::state::iot::{AssociatedEim, IotState};

/// Maximum length of eimId in octets.
const MAX_EIM_ID: usize = 128;

/// Maximum length of eimFqdn in octets.
const MAX_FQDN: usize = 255;

/// The data of the card on which an association depends.
pub(super) struct Association<'a> {
    pub(super) settings: &'a IotDescription,
    pub(super) ecasd: &'a Ecasd,
}

impl<'a> Association<'a> {
    pub(super) fn of(context: &ConsumerContext<'a>) -> Self {
        Self { settings: context.description.iot(), ecasd: context.ecasd }
    }

    /// Associates an eIM and returns its association token, if it requested one.
    pub(super) fn add(
        &self,
        state: &mut IotState,
        eim: &EimConfigurationData,
    ) -> Result<Option<i64>, AddEimResultCode> {
        let (Some(counter), Some(_)) = (eim.counter_value, &eim.eim_public_key_data) else {
            return Err(AddEimResultCode::COMMAND_ERROR);
        };
        if !is_well_formed(eim) {
            return Err(AddEimResultCode::COMMAND_ERROR);
        }
        if state.eim(&eim.eim_id).is_some() {
            return Err(AddEimResultCode::ASSOCIATED_EIM_ALREADY_EXISTS);
        }
        if state.eims.len() >= self.settings.max_eims {
            return Err(AddEimResultCode::INSUFFICIENT_MEMORY);
        }
        if !self.has_key_for(eim.euicc_ci_pk_id.as_ref()) {
            return Err(AddEimResultCode::CI_PK_UNKNOWN);
        }
        let token = match eim.association_token {
            None => None,
            Some(EimConfigurationData::TOKEN_REQUESTED) => Some(state.next_association_token),
            Some(_) => return Err(AddEimResultCode::INVALID_ASSOCIATION_TOKEN),
        };
        if !is_counter(counter) {
            return Err(AddEimResultCode::COUNTER_VALUE_OUT_OF_RANGE);
        }
        if token.is_some() {
            state.next_association_token = state.next_association_token.saturating_add(1);
        }
        let configuration =
            EimConfigurationData { counter_value: None, association_token: token, ..eim.clone() };
        state.eims.push(AssociatedEim { counter, configuration: InDer(configuration) });
        Ok(token)
    }

    /// True if the card has a key for this CI. Without a CI it uses the preferred key.
    pub(super) fn has_key_for(&self, ci: Option<&SubjectKeyIdentifier>) -> bool {
        self.ecasd.credential_for(ci).is_some()
    }
}

/// True if the identifier, the host name and the key of the eIM have the right form.
pub(super) fn is_well_formed(eim: &EimConfigurationData) -> bool {
    (1..=MAX_EIM_ID).contains(&eim.eim_id.len())
        && eim.eim_fqdn.as_ref().is_none_or(|fqdn| fqdn.len() <= MAX_FQDN)
        && eim.eim_public_key_data.as_ref().is_none_or(|data| public_key(data).is_some())
}

/// True for a value that a replay counter can have.
pub(super) fn is_counter(counter: i64) -> bool {
    (0..=MAX_COUNTER).contains(&counter)
}

/// The key that verifies packages of an eIM. The eUICC uses a certificate without checking its
/// issuer and its validity, because the eIM configuration itself is trusted.
pub(super) fn public_key(data: &KeyOrCertificate) -> Option<PublicKey> {
    match data {
        KeyOrCertificate::PublicKey(key) => certs::public_key_of(&key.0).ok(),
        KeyOrCertificate::Certificate(der) => {
            Some(Certificate::from_der(der.0.clone()).ok()?.public_key().clone())
        }
    }
}
