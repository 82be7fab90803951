//! The subscriptions in a profile package, with all that their home networks need, and generated
//! packages.

use std::num::NonZeroU8;

use network::{Keys, Subscriber};
use profile::facts::Aka;
use profile::identities::{Identities, Identity};
use profile::{Capabilities, Fid, InstalledProfile, Package, SecretOctets, element::AlgorithmId};
use rsp::ids::{Iccid, Imsi, Mcc, Plmn};
use world::Fault;

/// The subscription of a profile package.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The ICCID of the profile.
    pub iccid: Iccid,
    /// EF.IMSI of its first USIM.
    pub imsi: Imsi,
    /// The home network, by EF.IMSI and EF.AD.
    pub home: Plmn,
    /// Algorithm and keys, for the subscriber server.
    pub subscriber: Subscriber,
    /// The additional identities (IMSIs) of the profile ([`profile::identities`]).
    pub others: Vec<Other>,
}

/// An additional identity of a package.
#[derive(Clone, Debug)]
pub struct Other {
    /// Its IMSI.
    pub imsi: Imsi,
    /// Its home network.
    pub home: Plmn,
    /// Its algorithm and keys, for the subscriber server.
    pub subscriber: Subscriber,
}

impl Subscription {
    /// Reads a profile package (TCA, DER).
    ///
    /// # Errors
    /// The package is invalid, or contains no USIM that a simulated network can serve, or an
    /// unusable identity.
    pub fn of(package: &[u8]) -> Result<Self, Fault> {
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
        let home = usim.home().ok_or_else(|| no_home(imsi))?;
        let aka = installed.facts.aka.iter().find(|aka| aka.adf == usim.adf());
        let aka = aka.ok_or_else(|| bad("its USIM has no authentication parameters".to_owned()))?;
        let identities = match Identities::of(&installed.files) {
            Some(read) => read.map_err(|e| bad(format!("its identities cannot be read: {e}")))?,
            None => Identities::default(),
        };
        let others = identities.0.iter().filter(|identity| identity.imsi != imsi);
        let others = others.map(|identity| other(identity, home, aka)).collect::<Result<_, _>>()?;
        Ok(Self { iccid, imsi, home, subscriber: subscriber(aka, (&aka.key, &aka.opc))?, others })
    }
}

fn bad(why: String) -> Fault {
    Fault::usage(
        "cannot use the profile package",
        why,
        "give a TCA package with a USIM; `landfall profile show` explains one",
    )
}

fn no_home(imsi: Imsi) -> Fault {
    bad(format!("its EF.AD gives the network code in IMSI {imsi} neither 2 nor 3 digits"))
}

/// Reads an identity. It has its own EF.AD and keys, or uses those of the profile.
fn other(identity: &Identity, home: Plmn, aka: &Aka) -> Result<Other, Fault> {
    const EF_AD: Fid = Fid(0x6FAD);
    let own = identity.files.iter().find(|file| file.path.last() == Some(&EF_AD));
    let digits = match own {
        // The same rule as in `Usim::home`.
        Some(file) => file.contents.get(3).map_or(2, |octet| usize::from(octet & 0x0F)),
        None => home.mnc().len(),
    };
    let imsi = identity.imsi;
    let home = imsi.plmn(digits).ok_or_else(|| no_home(imsi))?;
    let keys = identity.keys.as_ref().map_or((&aka.key, &aka.opc), |(key, opc)| (key, opc));
    Ok(Other { imsi, home, subscriber: subscriber(aka, keys)? })
}

fn subscriber(aka: &Aka, (k, opc): (&SecretOctets, &SecretOctets)) -> Result<Subscriber, Fault> {
    let key = |secret: &SecretOctets| {
        secret.expose().try_into().map_err(|_| bad("a key of its USIM does not have 16 octets".to_owned()))
    };
    let res_length = aka
        .res_length()
        .ok_or_else(|| bad(format!("algorithmOptions {:02X} of its USIM is not supported", aka.options)))?;
    Ok(Subscriber::new(match aka.algorithm {
        AlgorithmId::MILENAGE => Keys::Milenage { k: key(k)?, opc: key(opc)? },
        AlgorithmId::TUAK => Keys::Tuak {
            k: k.expose().to_vec(),
            topc: (opc.expose().try_into())
                .map_err(|_| bad("TOPc of its USIM does not have 32 octets".to_owned()))?,
            res_length,
            iterations: NonZeroU8::new(aka.keccak_iterations).unwrap_or(NonZeroU8::MIN),
        },
        AlgorithmId::USIM_TEST_ALGORITHM => Keys::UsimTest { k: key(k)?, res_length },
        other => return Err(bad(format!("the simulated networks do not support algorithm {other:?}"))),
    }))
}

/// The additional identities of generated packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnIdentities {
    /// From 1 to [`MOST_SERIES`](Self::MOST_SERIES). Packages of different series have different
    /// subscriber numbers, which also differ from those of packages with a single identity.
    pub series: u8,
    /// The home network of each identity, and the countries in which it is used.
    pub of: Vec<(Plmn, Vec<Mcc>)>,
}

impl OwnIdentities {
    /// The series is the first of the nine subscriber digits after the network code of an IMSI.
    pub const MOST_SERIES: u8 = 9;
    /// The number of subscribers per series.
    const SERIES: u64 = 100_000_000;

    fn number(&self, number: u64) -> u64 {
        u64::from(self.series) * Self::SERIES + number
    }

    /// The additional IMSIs of subscriber `number`.
    ///
    /// # Errors
    /// The number is too large.
    pub fn imsis(&self, number: u64) -> Result<Vec<(Plmn, Imsi)>, Fault> {
        self.of.iter().map(|(home, _)| Ok((*home, imsi(*home, self.number(number))?))).collect()
    }

    fn described(&self, number: u64) -> Result<Vec<profile::description::Identity>, Fault> {
        let described = |(home, countries): &(Plmn, Vec<Mcc>)| {
            let mut key = key_of(self.number(number));
            key.iter_mut().zip(home.to_bytes()).for_each(|(octet, own)| *octet = own);
            Ok(profile::description::Identity {
                countries: countries.clone(),
                imsi: imsi(*home, self.number(number))?,
                mnc_digits: u8::try_from(home.mnc().len()).ok(),
                ki: Some(key.into()),
                opc: Some(opc_of(&key).into()),
                access_classes: None,
                smsc: None,
                spn: None,
                home_plmns: None,
                operator_plmns: None,
                equivalent_plmns: None,
            })
        };
        self.of.iter().map(described).collect()
    }
}

/// Generates a package for subscriber `number` of the network `home`.
///
/// # Errors
/// The identifiers are malformed.
pub fn own_package(home: &str, number: u64, name: &str) -> Result<Vec<u8>, Fault> {
    own_package_with(home, number, name, &OwnIdentities::default())
}

/// Like [`own_package`], with additional identities.
///
/// # Errors
/// The identifiers are malformed.
pub fn own_package_with(
    home: &str,
    number: u64,
    name: &str,
    identities: &OwnIdentities,
) -> Result<Vec<u8>, Fault> {
    let iccid = own_iccid(home, number)?;
    let home = plmn(home)?;
    let key = key_of(number);
    Ok(profile::generic(&profile::generic::Subscription {
        iccid: iccid.to_profile_header(),
        imsi: imsi_digits(home, number),
        mnc_digits: u8::try_from(home.mnc().len()).unwrap_or(2),
        key,
        opc: opc_of(&key),
        algorithm: profile::generic::Algorithm::Milenage,
        operator_name: name.to_owned(),
        identities: identities.described(number)?,
        ..profile::generic::Subscription::default()
    })
    .encode())
}

fn key_of(number: u64) -> [u8; 16] {
    let mut key = [0x4C; 16];
    if let Some(end) = key.last_chunk_mut() {
        *end = number.to_be_bytes();
    }
    key
}

fn opc_of(key: &[u8; 16]) -> [u8; 16] {
    crypto::milenage::opc(key, &[0x11; 16])
}

/// The IMSI of subscriber `number` of the network `home`.
///
/// # Errors
/// The network is malformed, or the number too large.
pub fn own_imsi(home: &str, number: u64) -> Result<Imsi, Fault> {
    imsi(plmn(home)?, number)
}

fn imsi(home: Plmn, number: u64) -> Result<Imsi, Fault> {
    imsi_digits(home, number).parse().map_err(|e: rsp::ids::InvalidId| {
        Fault::usage_caused_by(e, "cannot make an IMSI", "take a smaller number")
    })
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

/// Returns the number of the subscriber of network `home` with this ICCID, or `None` if no
/// subscriber has it.
///
/// # Errors
/// The network is malformed.
pub fn own_number(home: &str, iccid: Iccid) -> Result<Option<u64>, Fault> {
    let digits = iccid.to_string();
    let rest = digits.strip_prefix(&own_series(home)?).filter(|rest| rest.len() == 13); // 12 digits and the check digit
    Ok(rest.and_then(|rest| rest.get(..12)).and_then(|number| number.parse().ok()))
}

/// The leading digits of the ICCIDs of a network.
fn own_series(home: &str) -> Result<String, Fault> {
    let home = plmn(home)?;
    Ok(format!("89{}{}", home.mcc(), format!("{:0<3}", home.mnc()).get(..2).unwrap_or("00")))
}

fn plmn(text: &str) -> Result<Plmn, Fault> {
    text.parse().map_err(|e: rsp::ids::InvalidId| {
        Fault::usage_caused_by(
            e,
            format!("{text:?} is not a network"),
            "give country and network code, as in 724-99",
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn identities() -> OwnIdentities {
        let of = [("724-91", "724"), ("286-910", "286")];
        let of = of.map(|(home, mcc)| (home.parse().unwrap(), vec![mcc.parse().unwrap()]));
        OwnIdentities { series: 1, of: of.to_vec() }
    }

    #[test]
    fn a_package_contains_its_further_identities_and_their_keys() {
        let package = own_package_with("262-91", 7, "Reise", &identities()).unwrap();
        let subscription = Subscription::of(&package).unwrap();
        assert_eq!(subscription.imsi.to_string(), "262910000000007");
        let others: Vec<_> = subscription
            .others
            .iter()
            .map(|other| (other.home.to_string(), other.imsi.to_string()))
            .collect();
        let expected = [("724-91", "724910100000007"), ("286-910", "286910100000007")]
            .map(|(home, imsi)| (home.into(), imsi.into()));
        assert_eq!(others, expected);
        let keys: Vec<Keys> = std::iter::once(&subscription.subscriber)
            .chain(subscription.others.iter().map(|other| &other.subscriber))
            .map(|subscriber| subscriber.keys.clone())
            .collect();
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
        let imsis = identities().imsis(7).unwrap();
        assert_eq!(
            imsis,
            subscription.others.iter().map(|other| (other.home, other.imsi)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn further_identities_cause_no_findings() {
        let findings = |identities: &OwnIdentities| {
            let package = own_package_with("262-91", 7, "Reise", identities).unwrap();
            profile::check::check(&Package::decode(&package).unwrap())
        };
        let rules = |identities: &OwnIdentities| {
            findings(identities).iter().map(|found| found.rule).collect::<Vec<_>>()
        };
        assert_eq!(rules(&identities()), rules(&OwnIdentities::default()));
    }
}
