//! Personalisation: many profiles from one description. A row overrides the template, and missing
//! keys and codes are generated from a seed.
//!
//! No I/O: the caller supplies rows and a seed, and receives packages and the operator's data, one
//! at a time.

use aes_kw::{KeyInit as _, KwAes128, KwAes256};
use hmac::{Hmac, Mac as _};
use rsp::ids::{Iccid, Imsi};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::description::{Code, Description, Digits, KeySet, KeyType, Mistakes, mentions};
use crate::{Package, SecretOctets};

/// The individual values of a profile: a row of the input. Missing values are generated or taken
/// from the template.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Row {
    /// ICCID with its check digit.
    pub iccid: Option<Iccid>,
    /// IMSI.
    pub imsi: Option<Imsi>,
    /// MSISDN.
    pub msisdn: Option<Digits>,
    /// K.
    pub ki: Option<SecretOctets>,
    /// OPc or TOPc.
    pub opc: Option<SecretOctets>,
    /// PIN1.
    pub pin1: Option<Code>,
    /// PUK1.
    pub puk1: Option<Code>,
    /// PIN2.
    pub pin2: Option<Code>,
    /// PUK2.
    pub puk2: Option<Code>,
    /// ADM1.
    pub adm1: Option<Code>,
}

/// The first numbers of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The first ICCID without its check digit.
    pub iccid: String,
    /// The first IMSI.
    pub imsi: String,
    /// The first MSISDN, if the profiles have one.
    pub msisdn: Option<String>,
}

impl Series {
    /// The row of profile `number`, counted from 0.
    ///
    /// # Errors
    /// The numbers are exhausted or invalid.
    pub fn row(&self, number: u64) -> Result<Row, Mistakes> {
        let wrong = |what: String| Mistakes::one("", what, "begin with a lower number, or with more digits");
        let counted = |first: &str| {
            // Only the last digits are incremented, because a whole ICCID does not fit into an
            // integer.
            let (fixed, counting) =
                first.split_at_checked(first.len().saturating_sub(15)).unwrap_or(("", first));
            let start: u64 = counting.parse().map_err(|_| wrong(format!("{first:?} is not a number")))?;
            let width = counting.len();
            let text = format!("{:0width$}", start.saturating_add(number));
            if text.len() > width {
                return Err(wrong(format!("there are not enough numbers from {first} for profile {number}")));
            }
            Ok(format!("{fixed}{text}"))
        };
        let iccid = Iccid::with_luhn(&counted(&self.iccid)?).map_err(|e| wrong(e.to_string()))?;
        let imsi = counted(&self.imsi)?.parse().map_err(|e: rsp::ids::InvalidId| wrong(e.to_string()))?;
        let msisdn = match &self.msisdn {
            Some(first) => {
                let digits = counted(first.trim_start_matches('+'))?;
                Some(format!("+{digits}").parse().map_err(|e: &str| wrong(e.to_owned()))?)
            }
            None => None,
        };
        Ok(Row { iccid: Some(iccid), imsi: Some(imsi), msisdn, ..Row::default() })
    }
}

/// The values that should differ between profiles, but that all profiles would take from the
/// template because the row does not have them.
pub fn taken_from_template(template: &Description, row: &Row) -> Vec<&'static str> {
    let a = &template.authentication;
    let taken = [
        ("iccid", row.iccid.is_none() && template.iccid.is_some()),
        ("imsi", row.imsi.is_none() && template.imsi.is_some()),
        ("msisdn", row.msisdn.is_none() && template.msisdn.is_some()),
        ("ki", row.ki.is_none() && a.ki.is_some()),
        ("opc", row.opc.is_none() && a.opc.is_some()),
    ];
    taken.into_iter().filter(|(_, is_taken)| *is_taken).map(|(name, _)| name).collect()
}

/// The columns of the input, fields of [`Row`].
pub const ROW_COLUMNS: [&str; 10] =
    ["iccid", "imsi", "msisdn", "ki", "opc", "pin1", "puk1", "pin2", "puk2", "adm1"];

/// The source of generated keys and codes. The same seed and ICCID give the same values.
pub struct SecretSource(Zeroizing<[u8; 64]>);

impl SecretSource {
    /// Creates the source from secret bytes.
    pub fn new(seed: [u8; 32]) -> Self {
        // The seed fills a whole block of HMAC-SHA256, padded with zeros as HMAC itself pads a
        // short key.
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(seed).for_each(|(octet, seed)| *octet = seed);
        Self(block)
    }

    /// Creates the source from a text, for reproducible runs. It is not suitable for secret keys.
    pub fn from_text(seed: &str) -> Self {
        Self::new(Sha256::digest(seed.as_bytes()).into())
    }

    fn octets(&self, what: &str, iccid: Iccid) -> [u8; 32] {
        let of = format!("{what} of {iccid}");
        Hmac::<Sha256>::new((&*self.0).into()).chain_update(of.as_bytes()).finalize().into_bytes().into()
    }

    fn key(&self, what: &str, iccid: Iccid, length: usize) -> SecretOctets {
        self.octets(what, iccid).iter().copied().take(length).collect::<Vec<u8>>().into()
    }

    fn code(&self, what: &str, iccid: Iccid, digits: usize) -> Option<Code> {
        let drawn = self.octets(what, iccid);
        let number = drawn.first_chunk().map(|octets| u64::from_be_bytes(*octets))?
            % 10u64.pow(u32::try_from(digits).ok()?);
        format!("{number:0digits$}").parse().ok()
    }
}

/// A personalised profile.
#[derive(Clone, Debug)]
pub struct Personalised {
    /// The complete description.
    pub description: Description,
    /// The package.
    pub package: Package,
}

/// Makes one profile.
///
/// # Errors
/// The combined values are not a valid description.
pub fn personalise(
    template: &Description,
    row: &Row,
    secrets: &SecretSource,
) -> Result<Personalised, Mistakes> {
    if !template.identity.is_empty() {
        return Err(Mistakes::one(
            "identity",
            "a row has only one identity, so all profiles would have the same further identities",
            "remove the further identities, or write a description for each profile",
        ));
    }
    let mut d = template.clone();
    let is_used = |given: &Description, name: &str| given.element.is_empty() || mentions(given, name);
    d.iccid = row.iccid.or(d.iccid);
    d.imsi = row.imsi.or(d.imsi);
    d.msisdn = row.msisdn.clone().or(d.msisdn.take());
    let Some(iccid) = d.iccid else {
        return Err(Mistakes::one(
            "iccid",
            "neither the template nor the row has an ICCID",
            "add a column iccid, or let the program assign consecutive ICCIDs",
        ));
    };
    let draw_ki = is_used(&d, "ki").then_some(16);
    let draw_opc = d.authentication.algorithm.opc_length().filter(|_| is_used(&d, "opc"));
    let a = &mut d.authentication;
    let draw = |what, length: Option<usize>| length.map(|length| secrets.key(what, iccid, length));
    a.ki = row.ki.clone().or(a.ki.take()).or_else(|| draw("ki", draw_ki));
    if row.opc.is_some() {
        a.op = None;
    }
    if a.op.is_none() {
        a.opc = row.opc.clone().or(a.opc.take()).or_else(|| draw("opc", draw_opc));
    }
    let codes = &mut d.codes;
    for (name, digits, given, code) in [
        ("pin1", 4, &row.pin1, &mut codes.pin1),
        ("puk1", 8, &row.puk1, &mut codes.puk1),
        ("pin2", 4, &row.pin2, &mut codes.pin2),
        ("puk2", 8, &row.puk2, &mut codes.puk2),
        ("adm1", 8, &row.adm1, &mut codes.adm1),
    ] {
        let drawn = || is_used(template, name).then(|| secrets.code(name, iccid, digits)).flatten();
        *code = given.clone().or(code.take()).or_else(drawn);
    }
    if d.security_domain.keys.is_empty() && d.element.is_empty() {
        let key = |what: &str| secrets.key(what, iccid, 16);
        d.security_domain.keys = vec![KeySet {
            version: 1,
            r#type: KeyType::Aes,
            enc: key("kic"),
            mac: key("kid"),
            dek: key("kik"),
        }];
    }
    let package = d.build()?;
    Ok(Personalised { description: d, package })
}

/// The columns of the operator's output file.
pub const COLUMNS: [&str; 13] = [
    "iccid",
    "imsi",
    "msisdn",
    "algorithm",
    "ki",
    "opc",
    "pin1",
    "puk1",
    "pin2",
    "puk2",
    "adm1",
    "sd_version",
    "sd_keys",
];

impl Personalised {
    /// The row of the operator's output file, under [`COLUMNS`]. `sd_keys` are KIc, KID and KIK
    /// separated by blanks. With a transport key, all keys are wrapped.
    pub fn output(&self, transport: Option<&TransportKey>) -> [Zeroizing<String>; 13] {
        let d = &self.description;
        let key = |key: &SecretOctets| match transport {
            Some(transport) => hex::encode_upper(transport.wrap(key.expose())),
            None => hex::encode_upper(key.expose()),
        };
        let secret = |value: Option<&SecretOctets>| value.map(key).unwrap_or_default();
        let code =
            |code: &Option<Code>| code.as_ref().map_or_else(String::new, |code| code.expose().to_owned());
        let a = &d.authentication;
        let set = d.security_domain.keys.first();
        [
            d.iccid.map_or_else(String::new, |iccid| iccid.to_string()),
            d.imsi.map_or_else(String::new, |imsi| imsi.to_string()),
            d.msisdn.as_ref().map_or_else(String::new, |msisdn| msisdn.digits().to_owned()),
            a.algorithm.id().to_string(),
            secret(a.ki.as_ref()),
            secret(a.effective_opc().as_ref()),
            code(&d.codes.pin1),
            code(&d.codes.puk1),
            code(&d.codes.pin2),
            code(&d.codes.puk2),
            code(&d.codes.adm1),
            set.map_or_else(String::new, |set| set.version.to_string()),
            set.map_or_else(String::new, |set| [&set.enc, &set.mac, &set.dek].map(key).join(" ")),
        ]
        .map(Zeroizing::new)
    }
}

/// A transport key: AES Key Wrap, RFC 3394.
pub enum TransportKey {
    /// 16 bytes.
    Aes128(Box<KwAes128>),
    /// 32 bytes.
    Aes256(Box<KwAes256>),
}

impl TransportKey {
    /// Creates the key from 16 or 32 bytes; `None` for another length.
    pub fn new(octets: &[u8]) -> Option<Self> {
        match octets.len() {
            16 => KwAes128::new_from_slice(octets).ok().map(|key| Self::Aes128(Box::new(key))),
            32 => KwAes256::new_from_slice(octets).ok().map(|key| Self::Aes256(Box::new(key))),
            _ => None,
        }
    }

    /// Wraps a key of 16 or more bytes, a multiple of 8; the result is 8 bytes longer. Returns
    /// nothing for another length.
    pub fn wrap(&self, key: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0; key.len() + 8];
        let wrapped = match self {
            Self::Aes128(transport) => transport.wrap_key(key, &mut buffer),
            Self::Aes256(transport) => transport.wrap_key(key, &mut buffer),
        };
        wrapped.map(<[u8]>::to_vec).unwrap_or_default()
    }
}

/// A summary of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Made {
    /// Number of packages.
    pub packages: u64,
    /// Their total size in bytes.
    pub octets: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Series {
        Series {
            iccid: "8972499000000000100".into(),
            imsi: "724990000000998".into(),
            msisdn: Some("+5511900000000".into()),
        }
    }

    #[test]
    fn numbers_are_consecutive_and_finite() {
        let row = series().row(3).unwrap();
        assert_eq!(row.iccid, Some(Iccid::with_luhn("8972499000000000103").unwrap()));
        assert_eq!(row.imsi, Some("724990000001001".parse().unwrap()));
        assert_eq!(row.msisdn.unwrap().digits(), "5511900000003");
        let last = Series { imsi: "724999999999999".into(), ..series() };
        assert!(last.row(0).is_ok());
        let given = Series { imsi: "999999999999999".into(), ..series() }.row(1).unwrap_err().to_string();
        assert!(given.contains("for profile 1"), "{given}");
        assert!(Series { iccid: "89x".into(), ..series() }.row(0).is_err());
    }

    #[test]
    fn fixed_values_stay_and_the_rest_is_generated_from_the_seed() {
        let template = Description::parse(
            "[codes]\npin1 = '4711'\n[authentication]\nop = '11111111111111111111111111111111'\n",
        )
        .unwrap();
        let make = |seed: &str, number| {
            personalise(&template, &series().row(number).unwrap(), &SecretSource::from_text(seed)).unwrap()
        };
        let (first, again, other, second) = (make("a", 0), make("a", 0), make("b", 0), make("a", 1));
        assert_eq!(first.package, again.package);
        let outputs = [&first, &other, &second].map(|one| one.output(None));
        assert!(outputs.iter().all(|output| *output[6] == "4711"));
        for column in [4, 5, 7, 10, 12] {
            assert_ne!(outputs[0][column], outputs[1][column], "{}", COLUMNS[column]);
            assert_ne!(outputs[0][column], outputs[2][column], "{}", COLUMNS[column]);
        }
        let ki: [u8; 16] = hex::decode(&*outputs[0][4]).unwrap().try_into().unwrap();
        assert_eq!(*outputs[0][5], hex::encode_upper(crypto::milenage::opc(&ki, &[0x11; 16])), "from OP");
    }

    #[test]
    fn values_missing_in_the_row_come_from_the_template() {
        let template = Description::parse(
            "msisdn = '+5511'\n[authentication]\nki = '000102030405060708090A0B0C0D0E0F'\nop = '11111111111111111111111111111111'\n",
        )
        .unwrap();
        assert_eq!(taken_from_template(&template, &Row::default()), ["msisdn", "ki"], "OP is the operator's");
        let row = Row { ki: Some(vec![1; 16].into()), ..series().row(0).unwrap() };
        assert!(taken_from_template(&template, &row).is_empty());
    }

    #[test]
    fn further_identities_are_not_shared_by_many_profiles() {
        let template =
            Description::parse("[[identity]]\ncountries = ['724']\nimsi = '724050000000001'\n").unwrap();
        let refused = personalise(&template, &series().row(0).unwrap(), &SecretSource::from_text("a"));
        assert!(refused.unwrap_err().to_string().contains("the same further identities"));
    }

    /// RFC 3394 section 4.1 and 4.6.
    #[test]
    fn keys_are_wrapped_for_transport() {
        let key = hex::decode("000102030405060708090A0B0C0D0E0F").unwrap();
        let wrapped =
            TransportKey::new(&key).unwrap().wrap(&hex::decode("00112233445566778899AABBCCDDEEFF").unwrap());
        assert_eq!(hex::encode_upper(wrapped), "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5");
        let long = [key, hex::decode("101112131415161718191A1B1C1D1E1F").unwrap()].concat();
        let data = hex::decode("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F").unwrap();
        let wrapped = TransportKey::new(&long).unwrap().wrap(&data);
        assert_eq!(
            hex::encode_upper(wrapped),
            "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
        );
        assert!(TransportKey::new(&[0; 24]).is_none());
    }
}
