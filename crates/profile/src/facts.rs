//! The parts of a package that are not files: codes, authentication parameters, security domains,
//! applications.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::element::{
    AkaParameter, AlgoConfiguration, AlgoParameter, AlgorithmId, Application, CdmaParameter,
    PinConfiguration, PinKeyReference, PukConfiguration, PukKeyReference, Rfm, SecurityDomain,
};
use crate::file_system::{Wrong, wrong};
use crate::files::{FileIndex, ProfileFiles};
use crate::octets::{Octets, SecretOctets};
use crate::response::PeStatusCode;

/// Everything in a package that is not a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Major and minor version of the package.
    pub version: (u8, u8),
    /// ICCID in reading order, as in the profile header.
    pub iccid: Octets,
    /// The name of the profile (profileType).
    pub profile_type: Option<String>,
    /// POL1 of SGP.02.
    pub pol: Option<Octets>,
    /// Connectivity parameters for the servers of SGP.02 and SGP.32.
    pub connectivity_parameters: Option<Octets>,
    /// Codes by directory.
    pub pins: Vec<Pins>,
    /// Unblocking codes of the whole profile.
    pub puks: Vec<Puk>,
    /// Authentication parameters by application.
    pub aka: Vec<Aka>,
    /// CDMA authentication parameters.
    #[serde(with = "as_der")]
    pub cdma: Arc<Vec<CdmaParameter>>,
    /// Security domains, the MNO-SD first.
    #[serde(with = "as_der")]
    pub security_domains: Arc<Vec<SecurityDomain>>,
    /// Remote file management instances.
    #[serde(with = "as_der")]
    pub rfm: Arc<Vec<Rfm>>,
    /// Applications.
    #[serde(with = "as_der")]
    pub applications: Arc<Vec<Application>>,
}

/// The codes of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// The directory: the MF for global codes.
    pub directory: FileIndex,
    /// The codes.
    pub codes: PinCodesOf,
}

/// Own codes, or those of another directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinCodesOf {
    /// Own codes.
    Own(Vec<Pin>),
    /// The codes of that directory.
    SharedWith(FileIndex),
}

/// A PIN or administrative code with its counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The code's number, as in P2 of VERIFY.
    pub reference: PinKeyReference,
    /// The code, eight bytes.
    pub value: SecretOctets,
    /// The unblocking code.
    pub unblocked_by: Option<PukKeyReference>,
    /// Bit 1: enabled; bit 2: can be changed; bit 3: can be disabled, as the values of the TS.48
    /// profile suggest.
    pub attributes: u8,
    /// Maximum number of attempts.
    pub attempts: u8,
    /// Remaining attempts.
    pub attempts_left: u8,
}

/// An unblocking code with its counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Puk {
    /// The number that PINs refer to.
    pub reference: PukKeyReference,
    /// The code, eight bytes.
    pub value: SecretOctets,
    /// Maximum number of attempts.
    pub attempts: u8,
    /// Remaining attempts.
    pub attempts_left: u8,
}

/// The authentication parameters of one application. If they are mapped to those of another
/// application, the parameters of that application are inserted here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aka {
    /// The ADF.
    pub adf: FileIndex,
    /// The AID of the application that owns these parameters, if they are mapped.
    pub mapped_from: Option<Octets>,
    /// Milenage, TUAK or the test algorithm.
    pub algorithm: AlgorithmId,
    /// One byte: the lengths of the algorithm's outputs.
    pub options: u8,
    /// K.
    pub key: SecretOctets,
    /// OPc or TOPc.
    pub opc: SecretOctets,
    /// r1 to r5 of Milenage as in the package (usually 40 00 20 40 60).
    pub rotation_constants: Octets,
    /// c1 to c5 of Milenage, sixteen bytes each.
    pub xoring_constants: Octets,
    /// Maximum number of authentications; the test algorithm has no such limit.
    pub authentication_counter_max: Option<u32>,
    /// Number of Keccak iterations of TUAK.
    pub keccak_iterations: u8,
    /// One byte: the checks of sequence numbers; none with the test algorithm.
    pub sqn_options: u8,
    /// Maximum step of a sequence number.
    pub sqn_delta: u64,
    /// Maximum age of a sequence number.
    pub sqn_age_limit: u64,
    /// The counters.
    pub counts: CountsOf,
}

/// The application's own counters, or those of another application. Applications that share keys
/// also share counters, so that a challenge is accepted only once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountsOf {
    /// Own counters.
    Own(Counts),
    /// The counters of the application with that ADF.
    SharedWith(FileIndex),
}

/// The counters that change with every authentication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The 32 sequence numbers, without index.
    pub sqn: Vec<u64>,
    /// Number of authentications, if they are limited.
    pub authentications: u32,
}

impl Aka {
    /// The length of RES in bytes that algorithmOptions requests; `None` for proprietary values.
    ///
    /// Known packages use 01 for 64 bits and 02 for 128; 00 for 32 bits follows INSTANCE of TS
    /// 35.231. Milenage has no such option: TS 35.206 section 4.1.
    pub fn res_length(&self) -> Option<u8> {
        match (self.algorithm, self.options) {
            (AlgorithmId::MILENAGE, _) | (_, 0x01) => Some(8),
            (_, 0x00) => Some(4),
            (_, 0x02) => Some(16),
            _ => None,
        }
    }
}

impl Pin {
    pub(crate) fn of(code: &PinConfiguration) -> Result<Self, Wrong> {
        let (attempts, attempts_left) = attempts(code.max_attempts_retries_left, 0x33)?;
        Ok(Self {
            reference: code.key_reference,
            value: eight(&code.pin_value)?,
            unblocked_by: code.unblocking_pin_reference,
            attributes: small("pinAttributes", code.pin_attributes, 7)?,
            attempts,
            attempts_left,
        })
    }

    /// True if the code must be presented.
    pub fn is_enabled(&self) -> bool {
        self.attributes & 1 != 0
    }
}

impl Puk {
    pub(crate) fn of(code: &PukConfiguration) -> Result<Self, Wrong> {
        let (attempts, attempts_left) = attempts(code.max_attempts_retries_left, 0xAA)?;
        Ok(Self { reference: code.key_reference, value: eight(&code.puk_value)?, attempts, attempts_left })
    }
}

impl Aka {
    /// The parameters of a package for the application of `adf`. The meaning of mappingOptions
    /// apart from the keys is not public. Sequence numbers are shared unless the package has
    /// separate ones.
    pub(crate) fn of(
        parameter: &AkaParameter,
        adf: FileIndex,
        known: &[Self],
        files: &ProfileFiles,
    ) -> Result<Self, Wrong> {
        let mut aka = match &parameter.algo_configuration {
            AlgoConfiguration::AlgoParameter(own) => Self::own(own, adf)?,
            AlgoConfiguration::MappingParameter(mapping) => {
                let aid = &mapping.mapping_source;
                let source = known.iter().find(|aka| files.adfs(aid).any(|(index, _)| index == aka.adf));
                match source {
                    Some(source) => Self {
                        adf,
                        mapped_from: Some(aid.clone()),
                        counts: CountsOf::SharedWith(match source.counts {
                            CountsOf::Own(_) => source.adf,
                            CountsOf::SharedWith(other) => other,
                        }),
                        ..source.clone()
                    },
                    None => {
                        return wrong(
                            PeStatusCode::BAD_VALUES,
                            format!("no application {aid} has parameters to share"),
                        );
                    }
                }
            }
        };
        if let Some(options) = &parameter.sqn_options {
            let [octet] = options.0.as_slice() else {
                return wrong(PeStatusCode::BAD_VALUES, "sqnOptions is one octet");
            };
            aka.sqn_options = *octet;
        }
        if let Some(delta) = &parameter.sqn_delta {
            aka.sqn_delta = sequence_number(delta)?;
        }
        if let Some(limit) = &parameter.sqn_age_limit {
            aka.sqn_age_limit = sequence_number(limit)?;
        }
        if let Some(numbers) = &parameter.sqn_init {
            if numbers.len() != SQN_INDICES {
                return wrong(
                    PeStatusCode::BAD_VALUES,
                    format!("sqnInit has {} numbers, not 32", numbers.len()),
                );
            }
            let sqn = numbers.iter().map(sequence_number).collect::<Result<_, _>>()?;
            aka.counts = CountsOf::Own(Counts { sqn, authentications: 0 });
        }
        Ok(aka)
    }

    fn own(parameter: &AlgoParameter, adf: FileIndex) -> Result<Self, Wrong> {
        let [options] = parameter.algorithm_options.0.as_slice() else {
            return wrong(PeStatusCode::BAD_VALUES, "algorithmOptions is one octet");
        };
        let algorithm = parameter.algorithm_id;
        let lengths = (parameter.key.expose().len(), parameter.opc.expose().len());
        let right = match algorithm {
            AlgorithmId::MILENAGE => lengths == (16, 16),
            AlgorithmId::TUAK => matches!(lengths, (16 | 32, 32)),
            AlgorithmId::USIM_TEST_ALGORITHM => lengths.0 == 16,
            _ => {
                return wrong(
                    PeStatusCode::FEATURE_NOT_SUPPORTED,
                    format!("algorithm {algorithm} is unknown"),
                );
            }
        };
        if !right {
            return wrong(
                PeStatusCode::BAD_VALUES,
                format!("key and opc of {} and {} octets do not fit {algorithm}", lengths.0, lengths.1),
            );
        }
        let keccak_iterations = small("numberOfKeccak", parameter.number_of_keccak, 1)?;
        if algorithm == AlgorithmId::TUAK && keccak_iterations == 0 {
            return wrong(PeStatusCode::BAD_VALUES, "numberOfKeccak must be at least 1");
        }
        let rotation_constants = parameter.rotation_constants.clone().unwrap_or(ROTATION_CONSTANTS.into());
        let xoring_constants = parameter.xoring_constants.clone().unwrap_or_else(default_xoring_constants);
        if (rotation_constants.len(), xoring_constants.len()) != (5, 80) {
            return wrong(
                PeStatusCode::BAD_VALUES,
                "rotationConstants must have 5 octets, and xoringConstants must have 80",
            );
        }
        Ok(Self {
            adf,
            mapped_from: None,
            algorithm,
            options: *options,
            key: parameter.key.clone(),
            opc: parameter.opc.clone(),
            rotation_constants,
            xoring_constants,
            authentication_counter_max: parameter
                .auth_counter_max
                .as_ref()
                .map(|octets| octets.iter().take(3).fold(0, |number, octet| number << 8 | u32::from(*octet))),
            keccak_iterations,
            sqn_options: 0x02,
            sqn_delta: 0x1000_0000,
            sqn_age_limit: 0x1000_0000,
            counts: CountsOf::Own(Counts { sqn: vec![0; SQN_INDICES], authentications: 0 }),
        })
    }
}

const SQN_INDICES: usize = 32;

/// r1 to r5 of TS 35.206.
pub(crate) const ROTATION_CONSTANTS: [u8; 5] = [0x40, 0x00, 0x20, 0x40, 0x60];

/// c1 to c5 of TS 35.206.
pub(crate) fn default_xoring_constants() -> Octets {
    let constant = |last: u8| [[0; 15].as_slice(), &[last]].concat();
    [0, 1, 2, 4, 8].map(constant).concat().into()
}

fn attempts(value: Option<i64>, default: u8) -> Result<(u8, u8), Wrong> {
    let value = small("maxNumOfAttemps-retryNumLeft", value, default)?;
    Ok((value >> 4, value & 0x0F))
}

fn small(name: &str, value: Option<i64>, default: u8) -> Result<u8, Wrong> {
    match value.map(u8::try_from) {
        None => Ok(default),
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) => wrong(PeStatusCode::BAD_VALUES, format!("{name} is not from 0 to 255")),
    }
}

fn eight(value: &SecretOctets) -> Result<SecretOctets, Wrong> {
    if value.expose().len() == 8 {
        Ok(value.clone())
    } else {
        wrong(PeStatusCode::BAD_VALUES, "a code must have eight octets")
    }
}

/// Six bytes, at most 43 bits.
fn sequence_number(octets: &Octets) -> Result<u64, Wrong> {
    let number = octets.iter().fold(0u64, |number, octet| number << 8 | u64::from(*octet));
    if octets.len() == 6 && number <= 0x07FF_FFFF_FFFF {
        Ok(number)
    } else {
        wrong(PeStatusCode::BAD_VALUES, format!("{octets} is not a sequence number"))
    }
}

/// Elements kept as received. Their stored form is the hexadecimal digits of their DER.
mod as_der {
    use std::sync::Arc;

    use rsp::der::Asn1;
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::octets::Octets;

    pub(super) fn serialize<T: Asn1, S: Serializer>(
        elements: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(elements.iter().map(|element| Octets(element.to_der())))
    }

    pub(super) fn deserialize<'de, T: Asn1, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Vec<T>>, D::Error> {
        let stored = Vec::<Octets>::deserialize(deserializer)?;
        let elements = stored.iter().map(|der| T::from_der(der).map_err(de::Error::custom));
        elements.collect::<Result<_, _>>().map(Arc::new)
    }
}
