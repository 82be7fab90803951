//! What a profile package says of its subscription, enough to serve it as its home network; and packages of our own.

use std::num::NonZeroU8;

use euicc_sim::network::{Keys, Subscriber};
use profile::{Capabilities, InstalledProfile, Package, element::AlgorithmId};
use rsp::ids::{Iccid, Imsi, Plmn};
use world::Fault;

/// The subscription in a package.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The profile.
    pub iccid: Iccid,
    /// EF.IMSI of its first USIM.
    pub imsi: Imsi,
    /// The home network, by EF.IMSI and EF.AD.
    pub home: Plmn,
    /// Algorithm and keys, for the subscriber server.
    pub subscriber: Subscriber,
}

impl Subscription {
    /// Reads a package (TCA, DER).
    ///
    /// # Errors
    /// It is no package, or has no USIM that a network here could serve.
    pub fn of(package: &[u8]) -> Result<Self, Fault> {
        let bad = |why: String| {
            Fault::new(
                "cannot use the profile package",
                why,
                "give a TCA package with a USIM; `landfall profile show` explains one",
            )
        };
        let package = Package::decode(package).map_err(|e| bad(e.to_string()))?;
        let header = package.header().ok_or_else(|| bad("it has no header".to_owned()))?;
        let digits = header
            .iccid
            .0
            .clone()
            .try_into()
            .map_err(|_| bad("its ICCID does not have ten octets".to_owned()))?;
        let iccid = Iccid::from_profile_header(&digits).map_err(|e| bad(e.to_string()))?;
        let installed =
            InstalledProfile::of(&package, &Capabilities::default()).map_err(|e| bad(e.to_string()))?;
        let usim = installed.usim().ok_or_else(|| bad("it has no USIM".to_owned()))?;
        let imsi = usim.imsi().ok_or_else(|| bad("its USIM has no IMSI in EF.IMSI".to_owned()))?;
        let home = usim.home().ok_or_else(|| {
            bad(format!("its EF.AD gives the network code in IMSI {imsi} neither 2 nor 3 digits"))
        })?;
        let aka = installed.facts.aka.iter().find(|aka| aka.adf == usim.adf());
        let aka = aka.ok_or_else(|| bad("its USIM has no authentication parameters".to_owned()))?;
        let key = |secret: &profile::SecretOctets| {
            secret
                .expose()
                .try_into()
                .map_err(|_| bad("a key of its USIM does not have 16 octets".to_owned()))
        };
        let res_length = aka.res_length().ok_or_else(|| {
            bad(format!("what algorithmOptions {:02X} of its USIM asks for is not known", aka.options))
        })?;
        let keys = match aka.algorithm {
            AlgorithmId::MILENAGE => Keys::Milenage { k: key(&aka.key)?, opc: key(&aka.opc)? },
            AlgorithmId::TUAK => Keys::Tuak {
                k: aka.key.expose().to_vec(),
                topc: (aka.opc.expose().try_into())
                    .map_err(|_| bad("TOPc of its USIM does not have 32 octets".to_owned()))?,
                res_length,
                iterations: NonZeroU8::new(aka.keccak_iterations).unwrap_or(NonZeroU8::MIN),
            },
            AlgorithmId::USIM_TEST_ALGORITHM => Keys::UsimTest { k: key(&aka.key)?, res_length },
            other => return Err(bad(format!("no network here knows algorithm {other:?}"))),
        };
        Ok(Self { iccid, imsi, home, subscriber: Subscriber::new(keys) })
    }
}

/// A package of our own: subscriber `number` of the network `home`.
///
/// # Errors
/// The identifiers are malformed.
pub fn own_package(home: &str, number: u64, name: &str) -> Result<Vec<u8>, Fault> {
    let iccid = own_iccid(home, number)?;
    let home = plmn(home)?;
    let imsi = imsi_digits(home, number);
    let mut key = [0x4C; 16];
    if let Some(end) = key.last_chunk_mut() {
        *end = number.to_be_bytes();
    }
    Ok(profile::generic(&profile::generic::Subscription {
        iccid: iccid.to_profile_header(),
        imsi,
        mnc_digits: u8::try_from(home.mnc().len()).unwrap_or(2),
        key,
        opc: crypto::milenage::opc(&key, &[0x11; 16]),
        algorithm: profile::generic::Algorithm::Milenage,
        operator_name: name.to_owned(),
        ..profile::generic::Subscription::default()
    })
    .encode())
}

/// The IMSI of subscriber `number` of the network `home`.
///
/// # Errors
/// The network is malformed, or the number too large.
pub fn own_imsi(home: &str, number: u64) -> Result<Imsi, Fault> {
    imsi_digits(plmn(home)?, number)
        .parse()
        .map_err(|e: rsp::ids::InvalidId| Fault::caused_by(e, "cannot make an IMSI", "take a smaller number"))
}

fn imsi_digits(home: Plmn, number: u64) -> String {
    format!("{}{}{number:0width$}", home.mcc(), home.mnc(), width = 12 - home.mnc().len())
}

/// The ICCID of subscriber `number` of the network `home`.
///
/// # Errors
/// The identifiers are malformed.
pub fn own_iccid(home: &str, number: u64) -> Result<Iccid, Fault> {
    Iccid::with_luhn(&format!("{}{number:012}", own_series(home)?))
        .map_err(|e| Fault::caused_by(e, "cannot make a profile package", "report this"))
}

/// Which subscriber of the network `home` has an ICCID, if one of them has.
///
/// # Errors
/// The network is malformed.
pub fn own_number(home: &str, iccid: Iccid) -> Result<Option<u64>, Fault> {
    let digits = iccid.to_string();
    let rest = digits.strip_prefix(&own_series(home)?).filter(|rest| rest.len() == 13); // And the check digit.
    Ok(rest.and_then(|rest| rest.get(..12)).and_then(|number| number.parse().ok()))
}

/// The digits with which the ICCIDs of a network begin.
fn own_series(home: &str) -> Result<String, Fault> {
    let home = plmn(home)?;
    Ok(format!("89{}{}", home.mcc(), format!("{:0<3}", home.mnc()).get(..2).unwrap_or("00")))
}

fn plmn(text: &str) -> Result<Plmn, Fault> {
    text.parse().map_err(|e: rsp::ids::InvalidId| {
        Fault::caused_by(
            e,
            format!("{text:?} names no network"),
            "give country and network code, as in 724-99",
        )
    })
}
