//! PE-PINCodes and PE-PUKCodes.

use serde::Serialize;

use super::PeHeader;
use crate::macros::{alternatives_from_json, fields, named_integer};
use crate::octets::{Octets, SecretOctets};

named_integer! {
    /// PINKeyReferenceValue: the key reference of TS 102 221 9.5.1.
    pub struct PinKeyReference {
        PIN_APPL1 = 1 "pinAppl1", PIN_APPL2 = 2 "pinAppl2", PIN_APPL3 = 3 "pinAppl3", PIN_APPL4 = 4 "pinAppl4",
        PIN_APPL5 = 5 "pinAppl5", PIN_APPL6 = 6 "pinAppl6", PIN_APPL7 = 7 "pinAppl7", PIN_APPL8 = 8 "pinAppl8",
        ADM1 = 10 "adm1", ADM2 = 11 "adm2", ADM3 = 12 "adm3", ADM4 = 13 "adm4", ADM5 = 14 "adm5",
        SECOND_PIN_APPL1 = 129 "secondPINAppl1", SECOND_PIN_APPL2 = 130 "secondPINAppl2",
        SECOND_PIN_APPL3 = 131 "secondPINAppl3", SECOND_PIN_APPL4 = 132 "secondPINAppl4",
        SECOND_PIN_APPL5 = 133 "secondPINAppl5", SECOND_PIN_APPL6 = 134 "secondPINAppl6",
        SECOND_PIN_APPL7 = 135 "secondPINAppl7", SECOND_PIN_APPL8 = 136 "secondPINAppl8",
        ADM6 = 138 "adm6", ADM7 = 139 "adm7", ADM8 = 140 "adm8", ADM9 = 141 "adm9", ADM10 = 142 "adm10",
    }
}

impl PinKeyReference {
    /// True if the code belongs to one directory only.
    pub fn is_local(self) -> bool {
        (129..=136).contains(&self.0)
    }
}

named_integer! {
    /// PUKKeyReferenceValue.
    pub struct PukKeyReference {
        PUK_APPL1 = 1 "pukAppl1", PUK_APPL2 = 2 "pukAppl2", PUK_APPL3 = 3 "pukAppl3", PUK_APPL4 = 4 "pukAppl4",
        PUK_APPL5 = 5 "pukAppl5", PUK_APPL6 = 6 "pukAppl6", PUK_APPL7 = 7 "pukAppl7", PUK_APPL8 = 8 "pukAppl8",
        SECOND_PUK_APPL1 = 129 "secondPUKAppl1", SECOND_PUK_APPL2 = 130 "secondPUKAppl2",
        SECOND_PUK_APPL3 = 131 "secondPUKAppl3", SECOND_PUK_APPL4 = 132 "secondPUKAppl4",
        SECOND_PUK_APPL5 = 133 "secondPUKAppl5", SECOND_PUK_APPL6 = 134 "secondPUKAppl6",
        SECOND_PUK_APPL7 = 135 "secondPUKAppl7", SECOND_PUK_APPL8 = 136 "secondPUKAppl8",
    }
}

fields! {
    /// One PIN or administrative code.
    pub struct PinConfiguration = 0x30 {
        "keyReference" key_reference: PinKeyReference = 0x80,
        "pinValue" pin_value: SecretOctets = 0x81,
        "unblockingPINReference" unblocking_pin_reference: Option<PukKeyReference> = 0x82,
        "pinAttributes"
        /// DEFAULT 7; bit 1 enabled, bit 2 can be changed, bit 3 can be disabled, as the values of
        /// the TS.48 profile suggest.
        pin_attributes: Option<i64> = 0x83,
        "maxNumOfAttemps-retryNumLeft"
        /// DEFAULT 51 (33): the maximum number of attempts in the high half, the remaining ones in
        /// the low half.
        max_attempts_retries_left: Option<i64> = 0x84,
    }
}

fields! {
    /// PE-PINCodes.
    pub struct PinCodes = 0xA2 {
        "pin-Header" header: PeHeader = 0xA0,
        "pinCodes" pin_codes: PinCodesChoice = 0xA1,
    }
}

rsp::choice! {
    /// Own codes, or those of another directory.
    #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
    pub enum PinCodesChoice = 0 {
        /// The codes.
        #[serde(rename = "pinconfig")]
        Pinconfig(Vec<PinConfiguration>) = 0xA0,
        /// The directory whose codes are shared.
        #[serde(rename = "filePath")]
        FilePath(Octets) = 0x81,
    }
}

fields! {
    /// One unblocking code.
    pub struct PukConfiguration = 0x30 {
        "keyReference" key_reference: PukKeyReference = 0x80,
        "pukValue" puk_value: SecretOctets = 0x81,
        "maxNumOfAttemps-retryNumLeft"
        /// DEFAULT 170 (AA).
        max_attempts_retries_left: Option<i64> = 0x82,
    }
}

fields! {
    /// PE-PUKCodes.
    pub struct PukCodes = 0xA3 {
        "puk-Header" header: PeHeader = 0xA0,
        "pukCodes" puk_codes: Vec<PukConfiguration> = 0xA1,
    }
}

alternatives_from_json!(PinCodesChoice { "pinconfig" Pinconfig, "filePath" FilePath });
