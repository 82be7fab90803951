//! ES7, SM-SR to SM-SR: SGP.02 section 5.6. The first is the one that has the eUICC, the second the one that gets it.
//!
//! No schema of namespace 1 was to be had for ES7: its names there are those of namespace 3 in lowerCamel.

use super::{
    common::words,
    eis::Eis,
    macros::{function, notification},
    xml::Octets,
};
use crate::{ids::Eid, time::Timestamp};

function! {
    /// ES7.HandoverEUICC, first to second: an eUICC is yours from now on.
    HandoverEuicc = "ES7" "eUICCManagement" "HandoverEUICC", Asynchronous;
    HandoverEuiccRequest {
        /// Whole, without the values of keys.
        eis: Eis = "eis" / "Eis",
    }
    HandoverEuiccResponse {}
}

function! {
    /// ES7.AuthenticateSMSR, second to first: have the eUICC check who I am.
    AuthenticateSmsr = "ES7" "eUICCManagement" "AuthenticateSMSR", Asynchronous;
    AuthenticateSmsrRequest {
        /// What the text of the specification passes; not in the schema.
        eid: Option<Eid> = "eid" / "Eid",
        /// What the schema passes: to write this one is to be understood by whoever goes by the schema.
        eis: Option<Eis> = "eis" / "Eis",
        /// The whole TLV `7F21`.
        smsr_certificate: Octets = "smsrCertificate" / "SmsrCertificate",
    }
    AuthenticateSmsrResponse { random_challenge: Option<Octets> = "randomChallenge" / "RandomChallenge" }
}

impl AuthenticateSmsrRequest {
    /// Which eUICC it is about, in whichever way it says so.
    pub fn target(&self) -> Option<Eid> {
        self.eid.or_else(|| self.eis.as_ref().map(|eis| eis.eum_signed_info.eid))
    }
}

words! {
    /// The strength of the ephemeral key.
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
    /// ES7.CreateAdditionalKeySet, second to first: have the eUICC make a key set with me.
    CreateAdditionalKeySet = "ES7" "eUICCManagement" "CreateAdditionalKeySet", Asynchronous;
    CreateAdditionalKeySetRequest {
        eid: Eid = "eid" / "Eid",
        key_version_number: u8 = "keyVersionNumber" / "KeyVersionNumber",
        initial_sequence_counter: u64 = "initialSequenceCounter" / "InitialSequenceCounter",
        ecc_key_length: EccKeyLength = "eccKeyLength" / "ECCKeyLength",
        /// A signed octet in the schema; no parameter reaches its sign.
        scenario_parameter: u8 = "scenarioParameter" / "ScenarioParameter",
        /// Empty when the key set is made without one.
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
