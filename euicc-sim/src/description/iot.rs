//! The IoT part of a card description: SGP.32. It has the settings for behaviour on which cards
//! differ. Each default is the behaviour of SGP.32 v1.2, or of most cards where the standard says
//! nothing.

use profile::Octets;
use rsp::sgp32::Version;
use serde::{Deserialize, Serialize};

use super::ipae::IpaeDescription;

/// The IoT part of the description of a card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IotDescription {
    /// The version of SGP.32 in EUICCInfo2.
    pub version: IotVersion,
    /// The eIMs that the manufacturer associates with a new card: EimConfigurationData in DER, as
    /// for ES10b.AddInitialEim. If empty, the card is delivered without eIM.
    pub initial_eims: Vec<Octets>,
    /// True if the card supports the Emergency Mechanism.
    pub ecall_supported: bool,
    /// True if the card supports the Fallback Mechanism.
    pub fallback_supported: bool,
    /// The maximum number of associated eIMs.
    pub max_eims: usize,
    /// The maximum number of stored results. If there are more, the oldest is discarded.
    pub max_results: usize,
    /// The maximum length of an eUICC Package Request in octets.
    pub max_package_size: usize,
    /// The maximum length of the results in one eUICC Package Result in octets.
    pub max_result_size: usize,
    /// The error for a package that is too long.
    pub oversized_package: SizeError,
    /// What follows an operation that fails.
    pub after_failure: AfterFailure,
    /// The treatment of an association token in updateEim.
    pub token_in_update_eim: TokenInUpdateEim,
    /// The terminal capability that the card requires for commands to the ISD-R.
    pub terminal_capability: TerminalCapabilityRule,
    /// True if the template of the ISD-R (E1) is inside A5 in the response to SELECT.
    pub template_in_a5: bool,
    /// The IPA inside the card (IPAe), if the card has one.
    pub ipae: Option<IpaeDescription>,
    /// True if ES10b.eUICCMemoryReset can delete the eIM configuration.
    pub eim_reset_supported: bool,
    /// True if ES10b.eUICCMemoryReset can reset the configuration of immediate enabling.
    pub immediate_enable_reset_supported: bool,
}

/// A version of SGP.32 that a card can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IotVersion {
    /// v1.2.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// v1.3: unsigned errors have a code, and DisableEmergencyProfile has ecallNotAvailable.
    #[serde(rename = "1.3")]
    V1_3,
}

impl From<IotVersion> for Version {
    fn from(version: IotVersion) -> Self {
        match version {
            IotVersion::V1_2 => Self::V1_2,
            IotVersion::V1_3 => Self::V1_3,
        }
    }
}

/// The error for a package that is too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeError {
    /// euiccPackageErrorSigned with sizeOverflow, after the checks of signature and counter.
    #[default]
    Signed,
    /// euiccPackageErrorUnsigned, because the card could not store the package to verify it. It has
    /// the code sizeOverflow in v1.3, and no code in v1.2.
    Unsigned,
}

/// What follows an operation that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterFailure {
    /// The card skips the further operations (SGP.32 section 3.3.1, step 5).
    #[default]
    Stop,
    /// The card skips the further operations, and processingTerminated follows the result of the
    /// failed operation.
    StopWithProcessingTerminated,
    /// The card runs the further operations.
    Continue,
}

/// The treatment of an association token in updateEim. A token never changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenInUpdateEim {
    /// The card ignores it.
    #[default]
    Ignored,
    /// The card refuses the operation with commandError.
    Refused,
}

/// The terminal capability that the card requires: IPAd support in TERMINAL CAPABILITY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TerminalCapabilityRule {
    /// None.
    #[default]
    NotRequired,
    /// The terminal must announce the IPAd before a command to the ISD-R.
    BeforeCommand,
    /// The terminal must announce the IPAd before it opens the channel of the ISD-R.
    BeforeChannel,
}

impl IotDescription {
    /// The default settings. The card has no eIM.
    pub(crate) const DEFAULT: Self = Self {
        version: IotVersion::V1_2,
        initial_eims: Vec::new(),
        ecall_supported: true,
        fallback_supported: true,
        max_eims: 8,
        max_results: 16,
        max_package_size: 8192,
        max_result_size: 8192,
        oversized_package: SizeError::Signed,
        after_failure: AfterFailure::Stop,
        token_in_update_eim: TokenInUpdateEim::Ignored,
        terminal_capability: TerminalCapabilityRule::NotRequired,
        template_in_a5: false,
        ipae: None,
        eim_reset_supported: true,
        immediate_enable_reset_supported: true,
    };
}

impl Default for IotDescription {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_contains_only_differences_and_settings_are_written_by_name() {
        let text = r#"{"version": "1.3", "after_failure": "stop-with-processing-terminated",
            "terminal_capability": "before-channel", "oversized_package": "unsigned",
            "token_in_update_eim": "refused"}"#;
        let description: IotDescription = serde_json::from_str(text).unwrap();
        let expected = IotDescription {
            version: IotVersion::V1_3,
            after_failure: AfterFailure::StopWithProcessingTerminated,
            terminal_capability: TerminalCapabilityRule::BeforeChannel,
            oversized_package: SizeError::Unsigned,
            token_in_update_eim: TokenInUpdateEim::Refused,
            ..IotDescription::default()
        };
        assert_eq!(description, expected);
        let written = serde_json::to_string(&description).unwrap();
        assert_eq!(serde_json::from_str::<IotDescription>(&written).unwrap(), expected);
        assert!(serde_json::from_str::<IotDescription>(r#"{"versions": "1.3"}"#).is_err());
    }
}
