//! EUICCResponse: the eUICC's report of an installation, PE by PE.

use rsp::der::Null;
use serde::Serialize;
use serde_json::Value;

use crate::json::{FromJson, Misread, by_serde};
use crate::macros::{always_present, fields};

rsp::codes! {
    /// The status of a PE. ISO 7816 status words (6xxx and 9xxx hex) can be used as values.
    pub struct PeStatusCode {
        /// Installed.
        OK = 0,
        /// The PE is not supported.
        PE_NOT_SUPPORTED = 1,
        /// The memory failed.
        MEMORY_FAILURE = 2,
        /// A value is invalid.
        BAD_VALUES = 3,
        /// There is not enough memory.
        NOT_ENOUGH_MEMORY = 4,
        /// Not a PE, or a PE at the wrong position.
        INVALID_REQUEST_FORMAT = 5,
        /// An element is missing, or is not permitted here.
        INVALID_PARAMETER = 6,
        /// The runtime environment is missing.
        RUNTIME_NOT_SUPPORTED = 7,
        /// The library or application is missing.
        LIB_NOT_SUPPORTED = 8,
        /// The template is missing.
        TEMPLATE_NOT_SUPPORTED = 9,
        /// The feature is missing.
        FEATURE_NOT_SUPPORTED = 10,
        /// A referenced code is missing.
        PIN_CODE_MISSING = 11,
        /// The major version is not supported.
        UNSUPPORTED_PROFILE_VERSION = 31,
        /// Status word 6A82: the path does not exist.
        FILE_NOT_FOUND = 0x6A82,
        /// Status word 6A89: a file with this identifier exists.
        FILE_ALREADY_EXISTS = 0x6A89,
    }
}

always_present!(PeStatusCode);

impl FromJson for PeStatusCode {
    fn from_json(value: &Value) -> Result<Self, Misread> {
        by_serde(value, "the status of a PE is expected here")
    }
}

fields! {
    /// PEStatus.
    pub struct PeStatus = 0x30 {
        "status" status: PeStatusCode = 0x80,
        "identification"
        /// The identification of the PE; absent for the whole package.
        identification: Option<i64> = 0x81,
        "additional-information" additional_information: Option<i64> = 0x82,
        "offset"
        /// The position within the PE.
        offset: Option<i64> = 0x83,
    }
}

impl PeStatus {
    /// The status of a PE, or of the package.
    pub fn new(status: PeStatusCode, identification: Option<u16>) -> Self {
        Self {
            status,
            identification: identification.map(i64::from),
            additional_information: None,
            offset: None,
            unknown: rsp::der::Unknown::default(),
        }
    }
}

fields! {
    /// EUICCResponse.
    pub struct EuiccResponse = 0x30 {
        "peStatus" pe_status: Vec<PeStatus> = 0xA0,
        "profileInstallationAborted" profile_installation_aborted: Option<Null> = 0x81,
        "statusMessage" status_message: Option<String> = 0x82,
    }
}

impl EuiccResponse {
    /// Success, with remarks.
    pub fn installed(warnings: Vec<PeStatus>) -> Self {
        let pe_status =
            if warnings.is_empty() { vec![PeStatus::new(PeStatusCode::OK, None)] } else { warnings };
        Self {
            pe_status,
            profile_installation_aborted: None,
            status_message: None,
            unknown: rsp::der::Unknown::default(),
        }
    }

    /// The report of an installation that ended with `refusal`.
    pub fn aborted(mut warnings: Vec<PeStatus>, refusal: &Refused) -> Self {
        warnings.push(refusal.status());
        // The field has 2 to 64 characters.
        let message: String = refusal.what.chars().filter(char::is_ascii).take(64).collect();
        Self {
            pe_status: warnings,
            profile_installation_aborted: Some(Null),
            status_message: (message.len() >= 2).then_some(message),
            unknown: rsp::der::Unknown::default(),
        }
    }
}

/// A PE that cannot be installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The status to report.
    pub code: PeStatusCode,
    /// The identification of the PE, when it has one.
    pub identification: Option<u16>,
    /// The name of the PE.
    pub element: &'static str,
    /// The error.
    pub what: String,
}

impl Refused {
    /// The entry for EUICCResponse.
    pub fn status(&self) -> PeStatus {
        PeStatus::new(self.code, self.identification)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.element)?;
        if let Some(identification) = self.identification {
            write!(f, " (PE {identification})")?;
        }
        write!(f, ": {} [{}]", self.what, self.code)
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use rsp::der::Asn1;

    use super::*;

    #[test]
    fn success_is_nine_bytes() {
        let response = EuiccResponse::installed(Vec::new());
        assert_eq!(hex::encode(response.to_der()), "3007a0053003800100");
        assert_eq!(EuiccResponse::from_der(&response.to_der()), Ok(response));
    }

    #[test]
    fn a_refusal_names_its_element() {
        let refused = Refused {
            code: PeStatusCode::TEMPLATE_NOT_SUPPORTED,
            identification: Some(9),
            element: "opt-usim",
            what: "no such template".to_owned(),
        };
        assert_eq!(refused.to_string(), "opt-usim (PE 9): no such template [template-not-supported(9)]");
        let der = EuiccResponse::aborted(Vec::new(), &refused).to_der();
        assert_eq!(
            hex::encode(&der),
            "301ea008300680010981010981 00 82 10 6e6f20737563682074656d706c617465".replace(' ', "")
        );
    }
}
