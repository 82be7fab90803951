//! PE-AKAParameter and PE-CDMAParameter.

use serde::Serialize;

use super::PeHeader;
use crate::macros::{alternatives_from_json, fields, named_integer};
use crate::octets::{Octets, SecretOctets};

named_integer! {
    /// algorithmID.
    pub struct AlgorithmId {
        MILENAGE = 1 "milenage",
        TUAK = 2 "tuak",
        USIM_TEST_ALGORITHM = 3 "usim-test-algorithm",
    }
}

fields! {
    /// Reference to another application whose keys are used.
    pub struct MappingParameter = 0x30 {
        "mappingOptions" mapping_options: Octets = 0x80,
        "mappingSource" mapping_source: Octets = 0x81,
    }
}

fields! {
    /// The keys and constants of an algorithm.
    pub struct AlgoParameter = 0x30 {
        "algorithmID" algorithm_id: AlgorithmId = 0x80,
        "algorithmOptions" algorithm_options: Octets = 0x81,
        "key" key: SecretOctets = 0x82,
        "opc"
        /// OPc of Milenage, TOPc of TUAK.
        opc: SecretOctets = 0x83,
        "rotationConstants"
        /// DEFAULT 4000204060: r1 to r5 of Milenage.
        rotation_constants: Option<Octets> = 0x84,
        "xoringConstants"
        /// DEFAULT 0, 1, 2, 4, 8 in sixteen bytes each: c1 to c5 of Milenage.
        xoring_constants: Option<Octets> = 0x85,
        "authCounterMax" auth_counter_max: Option<Octets> = 0x86,
        "numberOfKeccak"
        /// DEFAULT 1.
        number_of_keccak: Option<i64> = 0x87,
    }
}

rsp::choice! {
    /// Own keys, or another application's.
    #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
    pub enum AlgoConfiguration = 0 {
        /// Another application's keys.
        #[serde(rename = "mappingParameter")]
        MappingParameter(MappingParameter) = 0xA0,
        /// Own keys.
        #[serde(rename = "algoParameter")]
        AlgoParameter(Box<AlgoParameter>) = 0xA1,
    }
}

fields! {
    /// PE-AKAParameter.
    pub struct AkaParameter = 0xA4 {
        "aka-header" header: PeHeader = 0xA0,
        "algoConfiguration" algo_configuration: AlgoConfiguration = 0xA1,
        "sqnOptions"
        /// DEFAULT 02.
        sqn_options: Option<Octets> = 0x82,
        "sqnDelta"
        /// DEFAULT 000010000000.
        sqn_delta: Option<Octets> = 0x83,
        "sqnAgeLimit"
        /// DEFAULT 000010000000.
        sqn_age_limit: Option<Octets> = 0x84,
        "sqnInit"
        /// The sequence numbers without index, one for each of 32 indices; all zero when absent.
        sqn_init: Option<Vec<Octets>> = 0xA5,
    }
}

fields! {
    /// PE-CDMAParameter.
    pub struct CdmaParameter = 0xA5 {
        "cdma-header" header: PeHeader = 0xA0,
        "authenticationKey" authentication_key: SecretOctets = 0x81,
        "ssd" ssd: Option<SecretOctets> = 0x82,
        "hrpdAccessAuthenticationData" hrpd_access_authentication_data: Option<SecretOctets> = 0x83,
        "simpleIPAuthenticationData" simple_ip_authentication_data: Option<SecretOctets> = 0x84,
        "mobileIPAuthenticationData" mobile_ip_authentication_data: Option<SecretOctets> = 0x85,
    }
}

alternatives_from_json!(AlgoConfiguration { "mappingParameter" MappingParameter, "algoParameter" AlgoParameter });
