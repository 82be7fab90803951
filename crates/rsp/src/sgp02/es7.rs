//! ES7, SM-SR to SM-SR: SGP.02 section 5.6. The first SM-SR manages the eUICC, the second SM-SR
//! takes it over.
//!
//! No schema of namespace 1 was available for ES7: the names in that namespace are those of
//! namespace 3 in lowerCamel.

use super::{
    eis::Eis,
    function_macros::{function, notification},
    macros::enumeration,
    xml::Octets,
};
use crate::{ids::Eid, time::Timestamp};

function! {
    /// ES7.HandoverEUICC, first to second: hands the management of an eUICC over.
    HandoverEuicc = "ES7" "eUICCManagement" "HandoverEUICC", Asynchronous;
    HandoverEuiccRequest {
        /// The whole EIS without the values of keys.
        eis: Eis = "eis" / "Eis",
    }
    HandoverEuiccResponse {}
}

function! {
    /// ES7.AuthenticateSMSR, second to first: requests that the eUICC authenticates the second
    /// SM-SR.
    AuthenticateSmsr = "ES7" "eUICCManagement" "AuthenticateSMSR", Asynchronous;
    AuthenticateSmsrRequest {
        /// The parameter according to the text of the specification; not in the schema.
        eid: Option<Eid> = "eid" / "Eid",
        /// The parameter according to the schema. A peer that validates against the schema requires
        /// this element.
        eis: Option<Eis> = "eis" / "Eis",
        /// The whole TLV `7F21`.
        smsr_certificate: Octets = "smsrCertificate" / "SmsrCertificate",
    }
    AuthenticateSmsrResponse { random_challenge: Option<Octets> = "randomChallenge" / "RandomChallenge" }
}

impl AuthenticateSmsrRequest {
    /// Returns the eUICC of the request from whichever parameter is present.
    pub fn target(&self) -> Option<Eid> {
        self.eid.or_else(|| self.eis.as_ref().map(|eis| eis.eum_signed_info.eid))
    }
}

enumeration! {
    /// The length of the ephemeral key.
    pub enum EccKeyLength {
        /// P-256 or brainpoolP256.
        Ecc256 = "ECC-256",
        /// 384 bits.
        Ecc384 = "ECC-384",
        /// 512 bits.
        Ecc512 = "ECC-512",
        /// 521 bits.
        Ecc521 = "ECC-521",
    }
}

function! {
    /// ES7.CreateAdditionalKeySet, second to first: requests that the eUICC establishes a key set
    /// with the second SM-SR.
    CreateAdditionalKeySet = "ES7" "eUICCManagement" "CreateAdditionalKeySet", Asynchronous;
    CreateAdditionalKeySetRequest {
        eid: Eid = "eid" / "Eid",
        key_version_number: u8 = "keyVersionNumber" / "KeyVersionNumber",
        initial_sequence_counter: u64 = "initialSequenceCounter" / "InitialSequenceCounter",
        ecc_key_length: EccKeyLength = "eccKeyLength" / "ECCKeyLength",
        /// The scenario parameter. A signed octet in the schema; the defined values never use the
        /// sign bit.
        scenario_parameter: u8 = "scenarioParameter" / "ScenarioParameter",
        /// The host ID; empty if the key set is established without one.
        host_id: Octets = "hostId" / "HostId",
        ephemeral_public_key: Octets = "ephemeralPublicKey" / "EphemeralPublicKey",
        signature: Octets = "signature" / "Signature",
    }
    CreateAdditionalKeySetResponse {
        derivation_random: Option<Octets> = "derivationRandom" / "DerivationRandom",
        receipt: Option<Octets> = "receipt" / "Receipt",
    }
}

notification! {
    /// ES7.HandleSMSRChangeNotification.
    HandleSmsrChangeNotification = "ES7" "eUICCManagement" "HandleSMSRChangeNotification" {
        eis: Eis = "eis" / "Eis",
        completion_timestamp: Timestamp = "completionTimestamp" / "CompletionTimestamp",
    }
}
