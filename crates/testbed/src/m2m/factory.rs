//! The EUM's factory: creates an M2M card in its delivery state, and the data that the first SM-SR
//! gets about it (SGP.02 section 3.5.1, annex E).

use certs::{Pki, PkiError, m2m::IsdRKeys};
use crypto::{AesKey, Curve, Secret};
use euicc_sim::{
    CardDescription,
    m2m::{
        Addressing, FactoryProfile, M2mDescription,
        keys::{Key as CardKey, KeyKind, KeySet},
        toolkit::ToolkitSettings,
    },
};
use profile::{Capabilities, InstalledProfile, Package};
use rsp::{
    ids::{Aid, Eid, Iccid, Imsi, Oid, Version},
    ota::{
        cat::{ChannelParameters, TransportLevel, TransportProtocol},
        sms::Address,
        trigger::{HttpParameters, SessionParameters},
    },
    sgp02::{
        Namespace,
        common::SubscriptionAddress,
        eis::{
            Eis, EuiccCapabilities, EumSignedInfo, GpCertificate, Key, KeyComponent, Keyset, KeysetType,
            Pol2, ProfileInfo, ProfileState, SdRole, SecurityDomain,
        },
        signature::Canonical,
        xml::Octets,
    },
    time::Timestamp,
};
use rsp_server::soap::eum;
use std::{fmt, net::SocketAddr};
use world::{Fault, PhoneNumber};

/// Number of the ISD-P of the profile that is installed in the factory: the first number that an
/// ISD-P can have.
pub const FIRST_ISD_P: u16 = 0x10;
/// Executable load file and module from which ISD-Ps are created (SGP.02 section 2.2.3).
const LOAD_FILE: u16 = 0x0D;
const MODULE: u16 = 0x0E;
/// Key version number of the ECASD's key agreement key. The value was not checked against the
/// standard; no code depends on it.
const ECASD_KEY_VERSION: u8 = 0x74;

/// The addresses to which cards send messages and connect to reach an SM-SR.
#[derive(Clone, Debug)]
pub struct CardAddresses {
    /// The number to which cards send short messages.
    pub number: PhoneNumber,
    /// The address for HTTPS sessions, if there is one.
    pub https: Option<SocketAddr>,
    /// The path of the HTTPS requests.
    pub path: String,
}

/// The profile that is installed in the factory. It is enabled and has the fall-back attribute.
#[derive(Clone)]
pub struct FirstProfile {
    /// TCA profile package, DER.
    pub package: Vec<u8>,
    /// The operator that owns the profile.
    pub operator: Oid,
    /// The MSISDN of the profile.
    pub msisdn: PhoneNumber,
}

/// Omits the package, because it contains the keys of the subscription.
impl fmt::Debug for FirstProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, operator, msisdn } = self;
        write!(f, "FirstProfile({} octets, {operator}, {msisdn})", package.len())
    }
}

/// Returns the description of a card in its delivery state. `package` is its first profile (TCA,
/// DER).
///
/// # Errors
/// The PKI has no EUM that can certify the EID.
pub fn card(pki: &Pki, eid: Eid, package: &[u8], sm_sr: &CardAddresses) -> Result<CardDescription, Fault> {
    let ecasd = pki.ecasd(eid).map_err(cannot)?;
    let ci = pki.ci(Curve::P256).map_err(cannot)?;
    let keys = pki.isd_r_keys(eid).map_err(cannot)?;
    let octets = |key: &Secret<[u8; 16]>| *key.expose();
    let m2m = M2mDescription {
        ecasd_certificate: ecasd.certificate.octets().to_vec().into(),
        ecasd_key: (*ecasd.key.to_bytes().expose()).into(),
        ci_public_key: ci.public_key().to_sec1().to_vec().into(),
        sdin: SDIN.to_vec().into(),
        sin: SIN.to_vec().into(),
        key_sets: vec![
            KeySet::of_three(
                IsdRKeys::SCP80_VERSION,
                [octets(&keys.kic), octets(&keys.kid), octets(&keys.dek)],
                0,
            ),
            KeySet {
                version: IsdRKeys::SCP81_VERSION,
                keys: vec![
                    CardKey { id: 1, kind: KeyKind::TlsPsk, value: octets(&keys.psk).into() },
                    CardKey { id: 2, kind: KeyKind::Aes, value: octets(&keys.psk_dek).into() },
                ],
                counter: 0,
            },
        ],
        addressing: addressing(sm_sr),
        profiles: vec![FactoryProfile {
            isd_p: Aid::isd_p(FIRST_ISD_P),
            package: package.into(),
            enabled: true,
            fallback: true,
            key_sets: Vec::new(),
        }],
        toolkit: Default::default(),
    };
    Ok(CardDescription { m2m: Some(Box::new(m2m)), ..CardDescription::default_for(eid, &[]) })
}

/// Timers of an impatient card: seconds instead of the minutes of a card in the field.
pub fn impatient() -> ToolkitSettings {
    ToolkitSettings {
        poll_seconds: 1,
        attach_seconds: 5,
        loss_seconds: 4,
        confirmation_seconds: 10,
        notification_retry_seconds: 2,
        session_retry_seconds: 1,
        ..ToolkitSettings::default()
    }
}

/// Identification numbers of the ISD-R. They are inputs of the key derivation only if the SM-SR
/// requests this.
const SIN: &[u8] = b"LNDF";
const SDIN: &[u8] = &[0x01];

/// Type of address: international, ISDN.
const INTERNATIONAL: u8 = 0x91;

impl CardAddresses {
    /// Parameters of an HTTPS session that the card opens. `None` if there is no HTTPS address.
    pub fn session(&self) -> Option<SessionParameters> {
        self.https.map(|https| SessionParameters {
            connection: Some(ChannelParameters {
                transport: Some(TransportLevel {
                    protocol: TransportProtocol::TcpClient,
                    port: https.port(),
                }),
                destination: Some(https.ip()),
                ..ChannelParameters::default()
            }),
            http: Some(HttpParameters {
                host: Some(https.to_string()),
                agent_id: None,
                uri: Some(self.path.clone()),
            }),
            ..SessionParameters::default()
        })
    }
}

/// The addresses of the first SM-SR that are stored on the card.
fn addressing(sm_sr: &CardAddresses) -> Addressing {
    Addressing {
        sms: Address::new(INTERNATIONAL, sm_sr.number.digits()).map(|number| number.value().into()),
        https: sm_sr.session().map(|session| session.to_bytes().into()),
        dns: None,
    }
}

/// Returns the EIS that the EUM registers at the first SM-SR. It is signed in the form of this
/// namespace. Its keys are encrypted with `transport`, if the EUM and the SM-SR share such a key.
///
/// # Errors
/// The PKI has no EUM that can certify the EID, or the package is invalid.
pub fn eis(
    pki: &Pki,
    eid: Eid,
    first: &FirstProfile,
    sm_sr: &Oid,
    transport: Option<&[u8; 16]>,
    namespace: Namespace,
    now: Timestamp,
) -> Result<Eis, Fault> {
    let ecasd = pki.ecasd(eid).map_err(cannot)?;
    let signer = pki.credential(certs::Role::Eum, Curve::P256).map_err(cannot)?;
    let eum_id = eum_oid(pki)?;
    let (iccid, imsi, memory) = described(&first.package)?;
    let description = CardDescription::default_for(eid, &[]);
    let signed = EumSignedInfo {
        eid,
        eum_id: eum_id.clone(),
        production_date: Timestamp::from_seconds(now.seconds()),
        platform_type: "Landfall eUICC".to_owned(),
        platform_version: Version([1, 0, 0]),
        isd_p_loadfile_aid: Aid::isd_p(LOAD_FILE),
        isd_p_module_aid: Aid::isd_p(MODULE),
        ecasd: SecurityDomain {
            aid: Aid(Aid::ECASD.to_vec()),
            tar: Vec::new(),
            sin: Octets(SIN.to_vec()),
            sdin: Octets(SDIN.to_vec()),
            role: SdRole::Ecasd,
            keyset: vec![Keyset {
                version: ECASD_KEY_VERSION,
                r#type: Some(KeysetType::Ca),
                cntr: None,
                key: Vec::new(),
                certificate: vec![GpCertificate {
                    index: 1,
                    ca_id: eum_id,
                    value: Octets(ecasd.certificate.octets().to_vec()),
                }],
            }],
        },
        euicc_capabilities: EuiccCapabilities {
            cattp_support: false,
            cattp_version: None,
            http_support: true,
            http_version: Some(Version([1, 1, 3])),
            secure_packet_version: Version([12, 0, 0]),
            remote_provisioning_version: Version([4, 2, 0]),
        },
    };
    let signed = Canonical::eum_signed_info(signed, namespace);
    let signature = eum::sign(&signed, &signer.key, Some(signer.certificate.der()));
    let free = description.memory_size.saturating_sub(memory);
    Ok(Eis {
        eum_signed_info: signed,
        eum_signature: signature,
        remaining_memory: free,
        available_memory_for_profiles: free,
        last_audit_date: None,
        smsr_id: sm_sr.clone(),
        profile_info: vec![ProfileInfo {
            iccid,
            isd_p_aid: Aid::isd_p(FIRST_ISD_P),
            mno_id: first.operator.clone(),
            fallback_attribute: true,
            subscription_address: SubscriptionAddress { imsi, msisdn: first.msisdn.digits().parse().ok() },
            state: ProfileState::Enabled,
            smdp_id: None,
            profile_type: None,
            allocated_memory: memory,
            free_memory: None,
            pol2: Pol2::default(),
        }],
        isd_r: Some(isd_r(&pki.isd_r_keys(eid).map_err(cannot)?, transport)),
        audit_trail: None,
        additional_properties: None,
    })
}

/// The OID of the EUM, which is in its TLS certificate and in every EIS that it signs.
///
/// # Errors
/// The PKI has no EUM.
pub fn eum_oid(pki: &Pki) -> Result<Oid, Fault> {
    let names =
        ["localhost".parse().map_err(|e| Fault::caused_by(e, "cannot name the EUM", "report this"))?];
    let tls = pki.m2m_eum(&names).map_err(cannot)?;
    tls.certificate.registered_ids().first().cloned().ok_or_else(|| {
        Fault::new(
            "the EUM has no object identifier",
            "its certificate contains none",
            "make a PKI with `landfall certs init`",
        )
    })
}

fn isd_r(keys: &IsdRKeys, transport: Option<&[u8; 16]>) -> SecurityDomain {
    let key = |index: u8, kind: u8, value: &Secret<[u8; 16]>| {
        let sent = match transport {
            Some(transport) => AesKey::new(*transport).encrypt_block(*value.expose()).to_vec(),
            None => value.expose().to_vec(),
        };
        Key {
            index,
            kcv: Octets(AesKey::new(*value.expose()).check_value().to_vec()),
            key_components: vec![KeyComponent { r#type: kind, value: Octets(sent) }],
        }
    };
    /// Key types AES and pre-shared key for TLS: GlobalPlatform section 11.1.8.
    const AES: u8 = 0x88;
    const TLS_PSK: u8 = 0x85;
    let set =
        |version, kind, cntr, key| Keyset { version, r#type: Some(kind), cntr, key, certificate: Vec::new() };
    SecurityDomain {
        aid: Aid(Aid::ISD_R.to_vec()),
        tar: Vec::new(),
        sin: Octets(SIN.to_vec()),
        sdin: Octets(SDIN.to_vec()),
        role: SdRole::IsdR,
        keyset: vec![
            set(
                IsdRKeys::SCP80_VERSION,
                KeysetType::Scp80,
                Some(0),
                vec![key(1, AES, &keys.kic), key(2, AES, &keys.kid), key(3, AES, &keys.dek)],
            ),
            set(
                IsdRKeys::SCP81_VERSION,
                KeysetType::Scp81,
                None,
                vec![key(1, TLS_PSK, &keys.psk), key(2, AES, &keys.psk_dek)],
            ),
        ],
    }
}

/// The ICCID and the IMSI of a package, and the memory that the card charges for it.
fn described(package: &[u8]) -> Result<(Iccid, Option<Imsi>, u32), Fault> {
    let unfit = |why: String| {
        Fault::usage("cannot put the profile onto a card", why, "give a TCA profile package in DER")
    };
    let decoded = Package::decode(package).map_err(|e| unfit(e.to_string()))?;
    let header = decoded.header().ok_or_else(|| unfit("it has no header".to_owned()))?;
    let swapped: [u8; 10] = header
        .iccid
        .0
        .clone()
        .try_into()
        .map_err(|_| unfit("its ICCID does not have ten octets".to_owned()))?;
    let iccid = Iccid::from_profile_header(&swapped).map_err(|e| unfit(e.to_string()))?;
    let installed =
        InstalledProfile::of(&decoded, &Capabilities::default()).map_err(|e| unfit(e.to_string()))?;
    let memory = u32::try_from(installed.files.memory().max(package.len())).unwrap_or(u32::MAX);
    Ok((iccid, installed.usim().and_then(|usim| usim.imsi()), memory))
}

fn cannot(error: PkiError) -> Fault {
    let next = match &error {
        PkiError::EidOutsideRange { .. } => "give an EID of this EUM",
        _ => "use a PKI that has a CI and an EUM with their keys; `landfall certs init` makes one",
    };
    Fault::caused_by(error, "cannot make an M2M card", next)
}
