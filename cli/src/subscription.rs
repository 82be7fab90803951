//! What a profile package says of its subscription: enough to serve it as its home network.

use euicc_sim::network::{Keys, Subscriber};
use profile::{Capabilities, Fid, InstalledProfile, Package, element::AlgorithmId};
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

const USIM: [u8; 7] = [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02];
const EF_IMSI: Fid = Fid(0x6F07);
const EF_AD: Fid = Fid(0x6FAD);

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
        let files = &installed.files;
        let (adf, _) = files.adfs(&USIM).next().ok_or_else(|| bad("it has no USIM".to_owned()))?;
        let content = |fid| files.child(adf, fid).and_then(|file| files.content(file));
        let imsi = content(EF_IMSI).ok_or_else(|| bad("its USIM has no EF.IMSI".to_owned()))?;
        let imsi = Imsi::from_ef(imsi).map_err(|e| bad(e.to_string()))?;
        let mnc_digits = content(EF_AD).and_then(|ad| ad.get(3)).map_or(2, |octet| usize::from(octet & 0x0F));
        let home = imsi
            .plmn(mnc_digits)
            .ok_or_else(|| bad(format!("EF.AD says {mnc_digits} digits of network code")))?;
        let aka = installed.facts.aka.iter().find(|aka| aka.adf == adf);
        let aka = aka.ok_or_else(|| bad("its USIM has no authentication parameters".to_owned()))?;
        let key = |secret: &profile::SecretOctets| {
            secret
                .expose()
                .try_into()
                .map_err(|_| bad("a key of its USIM does not have 16 octets".to_owned()))
        };
        let keys = match aka.algorithm {
            AlgorithmId::MILENAGE => Keys::Milenage { k: key(&aka.key)?, opc: key(&aka.opc)? },
            AlgorithmId::USIM_TEST_ALGORITHM => Keys::UsimTest { k: key(&aka.key)?, res_length: 16 },
            other => return Err(bad(format!("no network here knows algorithm {other:?}"))),
        };
        Ok(Self { iccid, imsi, home, subscriber: Subscriber::new(keys) })
    }
}
